"""Exit codes: what the shell is told. Pure: a report or an error in, a number out."""

from __future__ import annotations

from enum import IntEnum

from .. import (
    AuthenticationError,
    BatchReport,
    InsufficientCreditsError,
    ItemState,
    MountseaError,
    TaskError,
    TaskLostError,
    TaskPendingError,
    TrainingReport,
    UnknownOutcomeError,
    UsageError,
)

__all__ = ["Exit", "error_code", "exit_code", "worst"]


class Exit(IntEnum):
    """The exit codes of every command."""

    OK = 0
    FAILED = 1
    USAGE = 2
    UNKNOWN = 3
    REFUSED = 4
    INCOMPLETE = 5
    INTERRUPTED = 130


_ORDER = (Exit.INTERRUPTED, Exit.USAGE, Exit.REFUSED, Exit.UNKNOWN, Exit.INCOMPLETE, Exit.FAILED, Exit.OK)
"""Which code is given when several hold: the first."""

_MAY_HAVE_BEEN_SENT = (ItemState.SUBMITTING, ItemState.SUBMITTED)


def worst(*codes: Exit) -> Exit:
    """The code that is given when several hold."""
    return min(codes, key=_ORDER.index)


def exit_code(report: BatchReport, interrupted: bool = False) -> Exit:  # noqa: FBT001, FBT002 - reads as a sentence
    """The exit code of a batch.

    Args:
        report: What became of the batch.
        interrupted: Whether it was told to stop; that goes before all else.
    """
    states = report.counts
    codes = [Exit.OK]
    if interrupted:
        codes.append(Exit.INTERRUPTED)
    if report.stopped in ("unauthorized", "credits"):
        codes.append(Exit.REFUSED)
    if report.unknown or report.reconciliation.unattributed or any(states.get(state) for state in _MAY_HAVE_BEEN_SENT):
        codes.append(Exit.UNKNOWN)
    if report.not_submitted or states.get(ItemState.NEW):
        codes.append(Exit.INCOMPLETE)
    if report.training is not None:
        codes.append(_training_code(report.training))
    elif report.items and not report.reconciliation.read:
        codes.append(Exit.INCOMPLETE)
    if report.journal_error is not None:
        codes.append(Exit.INCOMPLETE)
    if report.failed:
        codes.append(Exit.FAILED)
    return worst(*codes)


def _training_code(training: TrainingReport) -> Exit:
    if training.state is ItemState.SUCCEEDED or training.name is None:
        return Exit.OK
    if training.state in (ItemState.NEW, ItemState.NOT_SUBMITTED):
        return Exit.REFUSED if training.reason in ("unauthorized", "credits") else Exit.INCOMPLETE
    return Exit.FAILED if training.state in (ItemState.FAILED, ItemState.TIMED_OUT) else Exit.UNKNOWN


def error_code(error: MountseaError) -> Exit:
    """The exit code of an error that ended a command before there was anything to report."""
    if isinstance(error, UsageError):
        return Exit.USAGE
    if isinstance(error, AuthenticationError | InsufficientCreditsError):
        return Exit.REFUSED
    if isinstance(error, UnknownOutcomeError | TaskPendingError | TaskLostError):
        return Exit.UNKNOWN
    return Exit.FAILED if isinstance(error, TaskError) else Exit.INCOMPLETE
