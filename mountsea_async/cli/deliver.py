"""What a run hands over: the data first, then in words what it came to, and how to go on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from .. import BatchReport, ItemReport, JournalError, MountseaError, read_journal
from . import output
from .batch import Outcome
from .exits import Exit, worst
from .summary import resumable, summary
from .wording import go_on_command, in_flags, one_line, say, say_error, say_wrapped

__all__ = ["deliver", "hand_over"]


def deliver(outcome: Outcome, *, form: output.Format | None, path: Path | None) -> Exit:
    """Hands over the results: data first, then the summary, last the command that goes on. Returns the exit code.

    Args:
        outcome: How the run ended.
        form: The form of the data; None: no data.
        path: Where it goes; None: stdout.

    Raises:
        BaseException: Whatever ended the run and is no error of the library: a bug, told after the report.
    """
    report, error, code, journal = outcome.report, outcome.error, outcome.code, outcome.settings.journal
    if report is not None:
        if form is not None and not hand_over(report, form, path):
            code = worst(code, Exit.INCOMPLETE)
        for line in summary(report, journal=journal is not None):
            say_wrapped(line)
    elif outcome.interrupted:
        say("interrupted before anything was submitted: nothing was paid")
    if isinstance(error, MountseaError):
        say_error(in_flags(error.message))
    if report is not None and journal is not None:
        if report.journal_error is not None:
            _tell_unwritten(report, report.journal_error, journal)
        if resumable(report):
            say(f"  go on with:\n    {go_on_command(journal, outcome.settings.base_url)}")
    if error is not None and not isinstance(error, MountseaError):
        raise error
    return code


def hand_over(report: BatchReport, form: output.Format, path: Path | None) -> bool:
    """Whether the data got to where it should go. A file that can't be written sends it to stdout: it was paid for."""
    if path is not None:
        try:
            output.to_file(path, output.render(report, form))
            return True
        except OSError as error:
            say_error(f"{path} can't be written ({error.strerror or error}); the results follow on stdout")
    try:
        output.to_stdout(output.render(report, form, width=output.stdout_width() if path is None else None))
    except OSError as error:
        say_error(f"stdout can't be written to ({error.strerror or error})")
        return False
    return path is None


def _tell_unwritten(report: BatchReport, error: JournalError, journal: Path) -> None:
    """Tells why the journal can't be written, and what is known here alone. It was paid for, so it is on stderr."""
    say_error(in_flags(error.message))
    lacking = _lacking(report, journal)
    if not lacking:
        say_wrapped("  the journal holds the task id of every upload that was accepted")
        return
    say_wrapped(
        "  accepted, but the journal may lack their task ids; keep them, mountsea status TASK_ID asks for each:"
    )
    for item in lacking:
        say(f"{item.index}, {item.task_id}, {one_line(item.audio_url)}")


def _lacking(report: BatchReport, journal: Path) -> Sequence[ItemReport]:
    """The accepted uploads whose task ids the journal can't be shown to hold."""
    accepted = [item for item in report.items if item.task_id is not None and item.duplicate_of is None]
    try:
        held = {(item.index, item.task_id) for item in read_journal(journal).items}
    except JournalError:
        return accepted
    return [item for item in accepted if (item.index, item.task_id) not in held]
