"""Why an item ended without a clip through no answer of its own: the stable words, and the errors that say them.

Pure.
"""

from __future__ import annotations

from ..errors import (
    AbandonedError,
    DeadlineError,
    MountseaError,
    NoAnswerError,
    NotSubmittedError,
    StalledError,
    TaskPendingError,
    UnknownOutcomeError,
)

__all__ = ["cut_short", "not_submitted", "still_pending", "withheld"]

_BECAUSE = {
    "unauthorized": "the service refuses the key",
    "credits": "there are no credits left",
    "budget": "max_credits would be exceeded",
    "session_gone": "the service doesn't know the session any more",
    "no_account": "the session's account is not available",
    "unreachable": "the service can't be reached",
    "rate_limited": "the service kept answering 'too many requests'",
    "no_answers": "too many requests in a row got no clear answer",
    "deadline": "the deadline passed",
    "stalled": "nothing showed a sign of life for too long",
    "stopped": "submitting was stopped",
    "cancelled": "the upload was cancelled",
    "interrupted": "the process that sent it ended first",
    "journal": "the journal can't be written",
    "rejected": "the service turned it away",
    "refused": "the service would not prepare a session",
}
_PENDING: dict[str, type[TaskPendingError]] = {
    "deadline": DeadlineError,
    "stalled": StalledError,
    "unauthorized": StalledError,
    "rate_limited": StalledError,
    "unreachable": StalledError,
    "no_account": StalledError,
}


def not_submitted(reason: str, cause: MountseaError | None) -> NotSubmittedError:
    """The error of an item that was never accepted.

    Args:
        reason: The word for it; a caller's own is shown as it is.
        cause: The refusal that stopped the submits, where there was one.
    """
    words = _BECAUSE.get(reason, reason) + (f": {cause.message}" if cause else "")
    return NotSubmittedError(f"not submitted, since {words}", reason=reason, cause=cause)


def withheld(reason: str, cause: MountseaError | None) -> UnknownOutcomeError:
    """The error of an item that was to be sent again, and wasn't."""
    error = not_submitted(reason, cause)
    return UnknownOutcomeError(f"an earlier request may or may not have been processed; {error.message}", cause=error)


def still_pending(reason: str, task_id: str) -> TaskPendingError:
    """The error of an item whose task we stopped asking for."""
    kind = _PENDING.get(reason, AbandonedError)
    return kind(f"task {task_id} was still pending when {_BECAUSE.get(reason, reason)}", task_id=task_id)


def cut_short(reason: str) -> UnknownOutcomeError:
    """The error of an item whose request we gave up before its answer came."""
    cause = NoAnswerError(f"the request was given up before its answer came, since {_BECAUSE.get(reason, reason)}")
    return UnknownOutcomeError(f"may or may not have been processed: {cause.message}", cause=cause)
