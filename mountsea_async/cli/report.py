"""`mountsea report`: what is in a journal, as a page to look at. Asks nobody, needs no key."""

from __future__ import annotations

from pathlib import Path

from .. import ConfigurationError, read_journal
from . import output
from .exits import Exit
from .summary import head
from .wording import say_error, say_wrapped

__all__ = ["report"]


def report(file: Path, *, title: str | None, path: Path | None) -> Exit:
    """Draws a journal as one HTML file.

    Args:
        file: The journal.
        title: The heading; None: the journal's name.
        path: Where the page goes; None: stdout.

    Raises:
        ConfigurationError: The output can't be written, or is the journal itself.
        JournalMismatch: It is no journal.
        JournalError: It can't be read.
    """
    if path is not None:
        if path.resolve() == file.resolve():
            raise ConfigurationError(f"--output {path}: it is the journal itself; name another file")
        output.check_output(path)
    found = read_journal(file)
    page = found.to_html(title or file.name.removesuffix(".journal"))
    try:
        if path is None:
            output.to_stdout(page)
        else:
            output.to_file(path, page)
    except OSError as error:
        say_error(f"{path or 'stdout'} can't be written ({error.strerror or error})")
        return Exit.INCOMPLETE
    say_wrapped(f"{head(found)}{'' if path is None else f': {path}'}")
    return Exit.OK
