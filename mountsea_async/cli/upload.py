"""`mountsea upload`: reads what to upload, refuses what can't be, and runs the batch."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from .. import ConfigurationError, InputError, MountseaClient
from . import output
from .batch import Settings, deliver, run_batch
from .exits import Exit
from .sources import STDIN, read_sources

__all__ = ["form_of", "make_client", "upload"]


def upload(
    sources: Sequence[str],
    settings: Settings,
    *,
    base_url: str | None,
    form: output.Format,
    path: Path | None,
) -> Exit:
    """Uploads everything that the sources name. All that can be refused is refused before a request is sent.

    Raises:
        UsageError: The input, a flag or the environment is at fault; nothing was sent.
    """
    if not sources:
        if sys.stdin is None or sys.stdin.isatty():
            raise InputError(
                "nothing to upload: give a file of URLs, URLs, or '-' to read URLs from stdin, for example\n"
                "  mountsea upload urls.txt\n  mountsea upload https://example.com/song.mp3"
            )
        sources = [STDIN]
    if path is not None:
        output.check_output(path)
    client = make_client(base_url)
    entries = read_sources(sources)
    return deliver(asyncio.run(run_batch(client, entries, settings)), form=form, path=path)


def form_of(path: Path | None) -> output.Format:
    """The form of the results that a file's suffix asks for; a table where there is none."""
    suffixes: dict[str, output.Format] = {".json": "json", ".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv"}
    return suffixes.get(path.suffix.lower(), "table") if path is not None else "table"


def make_client(base_url: str | None) -> MountseaClient:
    """A client with the environment's key.

    Raises:
        ConfigurationError: There is no key, or the key or the address can't be used.
    """
    if "MOUNTSEA_API_KEY" not in os.environ:
        raise ConfigurationError(
            "no API key: set the environment variable MOUNTSEA_API_KEY. To look around without one: mountsea demo"
        )
    return MountseaClient(base_url=base_url)
