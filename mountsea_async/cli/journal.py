"""`mountsea journal`: what a journal holds, also while a batch is running on it. Asks nobody, needs no key."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from .. import BatchReport, read_journal
from . import output
from .deliver import hand_over
from .exits import Exit
from .summary import head, trained, unfinished
from .wording import go_on_command, say, say_wrapped

__all__ = ["journal", "words"]


def journal(file: Path, *, form: output.Format, path: Path | None) -> Exit:
    """Prints the items as they stand, and a summary.

    Args:
        file: The journal.
        form: The form of the results.
        path: Where they go; None: stdout.

    Raises:
        ConfigurationError: The output can't be written.
        JournalMismatch: It is no journal.
        JournalError: It can't be read.
    """
    if path is not None:
        output.check_output(path)
    report = read_journal(file)
    delivered = hand_over(report, form, path)
    say_wrapped(" ".join(words(report)))
    if unfinished(report):
        say(f"  unless a run is at it, go on with:\n    {go_on_command(file)}")
    return Exit.OK if delivered else Exit.INCOMPLETE


def words(report: BatchReport) -> Iterator[str]:
    """What a journal says of its batch, in sentences."""
    if not report.items:
        yield "the journal holds no items."
        return
    begun = min((item.submitted_at for item in report.items if item.submitted_at), default=None)
    since = "" if begun is None else f", the first accepted {begun.strftime('%Y-%m-%d %H:%M:%S')} UTC"
    yield f"{head(report)}{since}."
    yield "No session yet." if report.session_id is None else f"Session {report.session_id}."
    if unattributed := len(report.reconciliation.unattributed):
        yield f"Clips that belong to no item: {unattributed:,}."
    if report.training is not None:
        yield from (f"{line}{'' if line.endswith('.') else '.'}" for line in trained(report.training))
    if left := unfinished(report):
        yield f"Left to do: {left:,}."
