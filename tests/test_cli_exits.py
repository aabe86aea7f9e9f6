"""The exit codes: which outcome gives which, and which wins when several hold."""

from __future__ import annotations

import pytest

from mountsea_async import (
    AuthenticationError,
    BatchReport,
    ConfigurationError,
    DeadlineError,
    InputError,
    InsufficientCreditsError,
    ItemReport,
    ItemState,
    JournalBusy,
    JournalError,
    JournalMismatch,
    MissingClipError,
    MountseaError,
    NoAccountError,
    NotFoundError,
    NotSentError,
    NotSubmittedError,
    RateLimitedError,
    Reconciliation,
    ServerError,
    StalledError,
    TaskFailedError,
    TaskLostError,
    TaskTimedOutError,
    UnknownOutcomeError,
)
from mountsea_async.cli.exits import Exit, error_code, exit_code, worst

S = ItemState
READ = Reconciliation(read=True)
EXTRA = Reconciliation(read=True, unattributed=("c9",))
MISSING = Reconciliation(read=True, missing=("c1",))
UNREAD = Reconciliation()


FULL = JournalError("x", path="j")


def report(
    *states: ItemState,
    verdict: Reconciliation = READ,
    stopped: str | None = None,
    journal_error: JournalError | None = None,
) -> BatchReport:
    items = tuple(ItemReport(i, None, f"https://e.com/{i}", state) for i, state in enumerate(states))
    return BatchReport("s", items, reconciliation=verdict, stopped=stopped, journal_error=journal_error)


@pytest.mark.parametrize(
    ("made", "code"),
    [
        (report(S.SUCCEEDED), 0),
        (report(S.SUCCEEDED, verdict=MISSING), 0),
        (report(S.SUCCEEDED, S.FAILED), 1),
        (report(S.SUCCEEDED, S.TIMED_OUT), 1),
        (report(S.UNKNOWN), 3),
        (report(S.UNDETERMINED), 3),
        (report(S.SUBMITTED), 3),
        (report(S.SUBMITTING), 3),
        (report(S.SUCCEEDED, verdict=EXTRA), 3),
        (report(S.SUCCEEDED, S.NOT_SUBMITTED, stopped="unauthorized"), 4),
        (report(S.SUCCEEDED, S.NOT_SUBMITTED, stopped="credits"), 4),
        (report(S.SUCCEEDED, S.NOT_SUBMITTED, stopped="no_account"), 5),
        (report(S.NEW), 5),
        (report(S.SUCCEEDED, verdict=UNREAD), 5),
        (report(S.FAILED, S.NOT_SUBMITTED), 5),
        (report(S.FAILED, S.UNKNOWN, S.NOT_SUBMITTED), 3),
        (report(S.FAILED, S.UNKNOWN, S.NOT_SUBMITTED, stopped="credits"), 4),
        (report(S.FAILED, verdict=UNREAD), 5),
        (report(S.SUCCEEDED, journal_error=FULL), 5),
        (report(S.FAILED, journal_error=FULL), 5),
        (report(S.UNKNOWN, journal_error=FULL), 3),
        (report(S.NOT_SUBMITTED, stopped="credits", journal_error=FULL), 4),
        (report(), 0),
    ],
)
def test_a_report_gives_its_code(made: BatchReport, code: int) -> None:
    assert exit_code(made) == code
    assert exit_code(made, interrupted=True) == 130


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigurationError("x"), 2),
        (InputError("x"), 2),
        (AuthenticationError("x", status=401), 4),
        (InsufficientCreditsError("x", status=402), 4),
        (NotSentError("x"), 5),
        (NotSubmittedError("x", reason="deadline"), 5),
        (NoAccountError("x", status=503), 5),
        (RateLimitedError("x", status=429), 5),
        (ServerError("x", status=500), 5),
        (NotFoundError("x", status=404), 5),
        (JournalBusy("x", path="j"), 5),
        (JournalMismatch("x", path="j"), 2),
        (JournalError("x", path="j"), 5),
        (UnknownOutcomeError("x", cause=ServerError("y", status=502)), 3),
        (DeadlineError("x", task_id="t"), 3),
        (StalledError("x", task_id="t"), 3),
        (TaskLostError("x", task_id="t"), 3),
        (TaskFailedError("x", task_id="t"), 1),
        (TaskTimedOutError("x", task_id="t"), 1),
        (MissingClipError("x", task_id="t"), 1),
    ],
)
def test_an_error_gives_its_code(error: MountseaError, code: int) -> None:
    assert error_code(error) == code


def test_the_order_among_codes() -> None:
    order = [130, 2, 4, 3, 5, 1, 0]
    for first, code in enumerate(order):
        for other in order[first:]:
            assert worst(Exit(other), Exit(code)) == code
