"""`mountsea upload`: reads what to upload, refuses what can't be, and runs the batch."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import attrs

from .. import ConfigurationError, InputError, MountseaClient
from . import output, state
from .batch import Outcome, Settings, run_batch
from .deliver import deliver
from .exits import Exit
from .preflight import refused_by_preflight
from .sources import STDIN, Entry, read_sources

__all__ = ["make_client", "upload"]


def upload(
    sources: Sequence[str],
    settings: Settings,
    *,
    no_journal: bool,
    form: output.Format,
    path: Path | None,
    preflight: bool = False,
) -> Exit:
    """Uploads everything that the sources name. All that can be refused is refused before a request is sent.

    Args:
        sources: URLs, paths, or `-` for stdin.
        settings: The flags; without a journal of its own the run gets one in the state directory.
        no_journal: Keep none.
        form: The form of the results.
        path: Where they go; None: stdout.
        preflight: Ask for each URL first, and go on only if all are fine.

    Raises:
        UsageError: The input, a flag or the environment is at fault; nothing was sent.
    """
    _check_journal(settings, no_journal=no_journal)
    if not sources:
        if sys.stdin is None or sys.stdin.isatty():
            raise InputError(
                "nothing to upload: give a file of URLs, URLs, or '-' to read URLs from stdin, for example\n"
                "  mountsea upload urls.txt\n  mountsea upload https://example.com/song.mp3"
            )
        sources = [STDIN]
    if path is not None:
        output.check_output(path)
    client = make_client(settings.base_url)
    entries = read_sources(sources)
    if preflight and (refused := refused_by_preflight(entries, settings, form=form, path=path)) is not None:
        return refused
    kept = settings.journal is not None or no_journal
    outcome = asyncio.run(run_batch(client, entries, settings)) if kept else _journaled(client, entries, settings)
    return deliver(outcome, form=form, path=path)


def _check_journal(settings: Settings, *, no_journal: bool) -> None:
    if settings.journal is not None:
        if no_journal:
            raise ConfigurationError("--journal FILE and --no-journal contradict each other: give one of them")
        return
    for flag, wanted in (("--retry-failed", settings.retry_failed), ("--accept-new-key", settings.accept_new_key)):
        if wanted:
            raise ConfigurationError(
                f"{flag} speaks of an earlier run: name its journal with --journal FILE, or leave it out"
            )


def _journaled(client: MountseaClient, entries: Sequence[Entry], settings: Settings) -> Outcome:
    """Runs the batch with a journal in the state directory; one that nothing was begun in is not left there."""
    journal = state.claim([entry.item for entry in entries], at=time.time())
    outcome: Outcome | None = None
    try:
        outcome = asyncio.run(run_batch(client, entries, attrs.evolve(settings, journal=journal)))
        return outcome
    finally:
        if outcome is None or outcome.report is None:
            state.let_go(journal)


def make_client(base_url: str | None, balance_url: str | None = None) -> MountseaClient:
    """A client with the environment's key.

    Raises:
        ConfigurationError: There is no key, or the key or the address can't be used.
    """
    if "MOUNTSEA_API_KEY" not in os.environ:
        raise ConfigurationError(
            "no API key: set the environment variable MOUNTSEA_API_KEY. To look around without one: mountsea demo"
        )
    return MountseaClient(base_url=base_url, balance_url=balance_url)
