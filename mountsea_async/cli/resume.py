"""`mountsea resume`: goes on with the batch of a journal where it stopped."""

from __future__ import annotations

import asyncio
from pathlib import Path

from .. import JournalError
from . import output
from .batch import Settings, run_batch
from .deliver import deliver
from .exits import Exit
from .upload import make_client

__all__ = ["resume"]


def resume(settings: Settings, *, form: output.Format, path: Path | None) -> Exit:
    """Goes on with a batch; its inputs come from the journal.

    Args:
        settings: The flags, the journal among them.
        form: The form of the results.
        path: Where they go; None: stdout.

    Raises:
        UsageError: A flag or the environment is at fault; nothing was sent.
        JournalError: There is no such journal.
    """
    journal = settings.journal
    if journal is None or not journal.is_file():
        raise JournalError(f"there is no journal {journal}: check the name", path=str(journal))
    if path is not None:
        output.check_output(path)
    client = make_client(settings.base_url)
    return deliver(asyncio.run(run_batch(client, None, settings)), form=form, path=path)
