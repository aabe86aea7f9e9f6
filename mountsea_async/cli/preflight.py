"""`--preflight`: asks for each URL before anything is paid, and says what is wrong in terms of files and lines."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

from .. import ClientConfig, InputError, InputProblem, ItemState, JournalError, PreflightReport, read_journal
from ..upload.preflight import preflight
from . import output
from .batch import Settings
from .exits import Exit
from .sources import Entry, Problem, refusal
from .wording import in_flags, one_line, say, say_error

__all__ = ["refused_by_preflight"]


def refused_by_preflight(
    entries: Sequence[Entry], settings: Settings, *, form: output.Format, path: Path | None
) -> Exit | None:
    """Asks for the URLs that the run may send. Returns the exit code if the run must not go on, else None.

    Args:
        entries: All that is to be uploaded.
        settings: The flags.
        form: The form of the results; if that is JSON and there are problems, the report is printed.
        path: Where it goes; None: stdout.

    Raises:
        InputError: Entries can't be uploaded whatever their hosts say; nobody was asked.
        ConfigurationError: A flag is out of its range.
    """
    asked = _left(entries, settings)
    if not asked:
        return None
    try:
        report = asyncio.run(_ask(asked, settings))
    except InputError as error:
        if not error.problems:
            raise
        raise refusal(_placed(error.problems, asked), len(asked)) from None
    except KeyboardInterrupt:
        say("interrupted before anything was submitted: nothing was paid")
        return Exit.INTERRUPTED
    if report.ok:
        say(f"preflight: all {len(asked):,} URLs answer with what looks like audio")
        return None
    if form == "json":
        _hand_over(report, path)
    _tell(_placed(report.problems, asked), len(asked))
    return Exit.USAGE


async def _ask(entries: Sequence[Entry], settings: Settings) -> PreflightReport:
    return await preflight(
        [entry.item for entry in entries],
        ClientConfig(),
        concurrency=settings.concurrency,
        allow_private=settings.allow_private,
    )


def _left(entries: Sequence[Entry], settings: Settings) -> Sequence[Entry]:
    """The entries that may still be sent: what an earlier run has uploaded may be gone by now, and isn't needed."""
    if settings.journal is None or not settings.journal.is_file():
        return entries
    try:
        items = read_journal(settings.journal).items
    except JournalError:
        return entries  # the run itself says what is wrong with it
    if len(items) != len(entries):
        return entries
    sent = {ItemState.NEW, ItemState.NOT_SUBMITTED}
    if settings.retry_failed:
        sent |= {ItemState.FAILED, ItemState.TIMED_OUT}
    if settings.on_unknown == "resubmit":
        sent |= {ItemState.SUBMITTING, ItemState.UNKNOWN}
    return [entry for entry, item in zip(entries, items, strict=True) if item.state in sent]


def _placed(problems: Sequence[InputProblem], entries: Sequence[Entry]) -> list[Problem]:
    return [Problem(entries[each.index].place, f"{each.value!r}: {each.problem}") for each in problems]


def _tell(problems: Sequence[Problem], total: int) -> None:
    """Tells all of them: whoever mends a list wants to do so once."""
    say_error(f"{len(problems)} of {total} entries can't be uploaded, so nothing was sent:")
    for problem in problems:
        say(f"  {problem.place}: {in_flags(one_line(problem.problem))}")


def _hand_over(report: PreflightReport, path: Path | None) -> None:
    text = json.dumps(report.to_dict(), indent=2) + "\n"
    if path is not None:
        try:
            output.to_file(path, text)
            return
        except OSError as error:
            say_error(f"{path} can't be written ({error.strerror or error}); the report follows on stdout")
    output.to_stdout(text)
