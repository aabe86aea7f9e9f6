"""One command from its arguments to its exit code: what an error or an interrupt becomes."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from cyclopts import CycloptsError

from .app import STDIN
from .making import app

__all__ = ["run"]


def run(arguments: Sequence[str]) -> int:
    """Runs one command. Returns the exit code; an expected error becomes a line on stderr.

    Args:
        arguments: Without the program's name.
    """
    try:
        code = _call([STDIN if argument == "-" else argument for argument in arguments])
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        from .wording import abandon  # noqa: PLC0415 - only in an error

        abandon(sys.stdout)
        return 0
    except KeyboardInterrupt:
        return 130
    return code


def _call(tokens: list[str]) -> int:
    from .. import MountseaError  # noqa: PLC0415 - see the module's docstring

    try:
        return int(app(tokens) or 0)
    except SystemExit as ending:  # how the framework ends an interrupt
        return ending.code if isinstance(ending.code, int) else 2
    except CycloptsError as error:
        return _misused(error)
    except MountseaError as error:
        from .exits import error_code  # noqa: PLC0415 - only in an error
        from .wording import in_flags, say_error  # noqa: PLC0415 - as above

        say_error(in_flags(error.message))
        return int(error_code(error))


def _misused(error: CycloptsError) -> int:
    """Tells a parse error in our words; never what looks like a key."""
    from .wording import one_line, say_error  # noqa: PLC0415 - only in an error

    text = one_line(str(error).replace(STDIN, "-").replace(repr(STDIN), "'-'"))
    if "--api-key" in text or "--api_key" in text:
        text = "there is no flag for the API key: set the environment variable MOUNTSEA_API_KEY"
    command = " ".join(("mountsea", *(error.command_chain or ())))
    say_error(f"{text}\nTry: {command} --help")
    return 2
