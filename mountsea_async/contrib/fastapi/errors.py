"""Our errors as HTTP answers of the application's own. Never the service's body, never its 401 as ours."""

from __future__ import annotations

import math
from typing import Any, Final

from fastapi import Request, Response
from fastapi.responses import JSONResponse

from ...errors import (
    APIError,
    BatchConflict,
    BatchNotFound,
    DeadlineError,
    InputError,
    InsufficientCreditsError,
    JournalBusy,
    JournalError,
    JournalMismatch,
    MountseaError,
    NoAccountError,
    NotSubmittedError,
    Overloaded,
    RateLimitedError,
    StalledError,
    SupervisorClosed,
    TaskError,
    TransportError,
    UnknownOutcomeError,
    UsageError,
)
from ...upload.report import BatchFailed, ItemReport
from ..words import public_words

__all__ = ["answer_to", "http_status", "mountsea_error_handler"]

_RETRY_AFTER = 10.0
"""Seconds, where the service gave none."""
_PROBLEMS = 100
"""So many entries at fault are named."""
_STATUSES: Final[tuple[tuple[type[MountseaError], int], ...]] = (
    (Overloaded, 429),
    (BatchNotFound, 404),
    (BatchConflict, 409),
    (SupervisorClosed, 503),
    (InputError, 422),
    (JournalBusy, 409),
    (JournalMismatch, 409),
    (UsageError, 500),  # the application's own fault: a setting, a client that isn't open
    (JournalError, 500),
    (UnknownOutcomeError, 409),
    (InsufficientCreditsError, 402),
    (RateLimitedError, 503),
    (NoAccountError, 503),
    (APIError, 502),
    (TransportError, 502),
    (DeadlineError, 504),
    (StalledError, 504),
    (TaskError, 502),
)
"""The first class that fits counts."""


def http_status(error: MountseaError) -> int:
    """The status of the answer that an error becomes."""
    if isinstance(error, NotSubmittedError):
        if error.cause is not None:
            return http_status(error.cause)
        return 504 if error.reason in ("deadline", "stalled") else 503
    if isinstance(error, BatchFailed):
        return 409 if error.report.unknown else 502
    return next((status for kind, status in _STATUSES if isinstance(error, kind)), 502)


def answer_to(error: MountseaError) -> Response:
    """An error as a JSON answer: `detail` in words, `error` the name of its class, and what there is to act on."""
    status = http_status(error)
    body: dict[str, Any] = {"detail": public_words(error), "error": type(error).__name__}
    if error.task_id is not None:
        body["task_id"] = error.task_id
    if isinstance(error, InputError):
        told = error.problems[:_PROBLEMS]
        body["problems"] = [{"index": p.index, "value": p.value, "problem": p.problem} for p in told]
    if isinstance(error, BatchFailed):
        body["detail"] = "not every item of the batch succeeded"
        body["session_id"] = error.report.session_id
        body["unknown"] = [_named(item) for item in error.report.unknown]
        body["failed"] = [_named(item) for item in (*error.report.failed, *error.report.not_submitted)]
    return JSONResponse(body, status, headers=_headers(error, status))


def _named(item: ItemReport) -> dict[str, Any]:
    return {
        "index": item.index,
        "key": item.key,
        "state": item.state.value,
        "reason": item.reason,
        "task_id": item.task_id,
        "candidates": list(item.candidates),
    }


def _headers(error: MountseaError, status: int) -> dict[str, str]:
    headers = {"Cache-Control": "no-store"}
    if status in (429, 503):
        cause = error.cause if isinstance(error, NotSubmittedError) and error.cause is not None else error
        seconds = getattr(cause, "retry_after", None)
        headers["Retry-After"] = str(math.ceil(_RETRY_AFTER if seconds is None else max(1.0, seconds)))
    return headers


async def mountsea_error_handler(request: Request, error: Exception) -> Response:
    """Answers for the errors of this library that a route didn't catch.

    `app.add_exception_handler(MountseaError, mountsea_error_handler)`. The statuses: 422 bad input, 402 no credits,
    409 an outcome that isn't known (with the items), 502 the service or the way to it, 503 with `Retry-After` where it
    asks for patience, 504 a deadline, 404 and 429 of a supervisor, 500 a mistake of the application's.

    Args:
        request: The request.
        error: The error.
    """
    if not isinstance(error, MountseaError):
        raise error
    return answer_to(error)
