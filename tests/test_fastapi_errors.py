"""What our errors become as answers of an application: a table, and what may never stand in such an answer."""

from __future__ import annotations

import json

import pytest
from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient
from support.names import KEY

from mountsea_async import (
    AbandonedError,
    APIError,
    AuthenticationError,
    BadRequestError,
    BatchConflict,
    BatchFailed,
    BatchNotFound,
    BatchReport,
    ClientStateError,
    ConfigurationError,
    DeadlineError,
    InputError,
    InputProblem,
    InsufficientCreditsError,
    ItemReport,
    ItemState,
    JournalBusy,
    JournalError,
    JournalMismatch,
    MissingClipError,
    MountseaError,
    NoAccountError,
    NoAnswerError,
    NotFoundError,
    NotSentError,
    NotSubmittedError,
    Overloaded,
    PhraseExpiredError,
    RateLimitedError,
    ServerError,
    StalledError,
    SupervisorClosed,
    TaskFailedError,
    TaskLostError,
    TaskTimedOutError,
    UnexpectedAnswerError,
    UnknownOutcomeError,
    errors,
)
from mountsea_async.contrib.fastapi import (
    http_status,
    mountsea_error_handler,
)

BODY = "<raw body of the service>"


def api(kind: type[APIError], status: int, retry_after: float | None = None) -> APIError:
    return kind(f"HTTP {status}: it refuses ({BODY})", status=status, excerpt=BODY, retry_after=retry_after)


def item(index: int, state: ItemState) -> ItemReport:
    return ItemReport(index, f"key-{index}", f"https://a.example/{index}", state, task_id=f"task-{index}")


def batch(*states: ItemState) -> BatchFailed:
    return BatchFailed(BatchReport("session-1", tuple(item(index, state) for index, state in enumerate(states))))


LOST = NoAnswerError("no answer", may_arrive=True)
TABLE: list[tuple[MountseaError, int]] = [
    (InputError("the batch is empty"), 422),
    (api(InsufficientCreditsError, 402), 402),
    (UnknownOutcomeError("may or may not", cause=LOST), 409),
    (UnknownOutcomeError("may or may not", cause=api(ServerError, 502)), 409),
    (batch(ItemState.SUCCEEDED, ItemState.UNKNOWN, ItemState.FAILED), 409),
    (batch(ItemState.SUCCEEDED, ItemState.FAILED), 502),
    (api(AuthenticationError, 401), 502),
    (api(AuthenticationError, 403), 502),
    (api(BadRequestError, 400), 502),
    (api(NotFoundError, 404), 502),
    (api(ServerError, 500), 502),
    (api(UnexpectedAnswerError, 200), 502),
    (NotSentError("refused"), 502),
    (LOST, 502),
    (api(RateLimitedError, 429), 503),
    (api(NoAccountError, 503), 503),
    (DeadlineError("too late", task_id="t"), 504),
    (StalledError("no life", task_id="t"), 504),
    (AbandonedError("told to stop", task_id="t"), 502),
    (TaskFailedError("failed: no audio", task_id="t"), 502),
    (TaskTimedOutError("timed out", task_id="t"), 502),
    (PhraseExpiredError("too late", task_id="t"), 502),
    (MissingClipError("no clip", task_id="t"), 502),
    (TaskLostError("lost", task_id="t"), 502),
    (NotSubmittedError("the deadline passed", reason="deadline"), 504),
    (NotSubmittedError("stalled", reason="stalled"), 504),
    (NotSubmittedError("stopped", reason="stopped"), 503),
    (NotSubmittedError("no credits", reason="credits", cause=api(InsufficientCreditsError, 402)), 402),
    (NotSubmittedError("key", reason="unauthorized", cause=api(AuthenticationError, 401)), 502),
    (NotSubmittedError("429", reason="rate_limited", cause=api(RateLimitedError, 429, 7.5)), 503),
    (ConfigurationError("no key"), 500),
    (ClientStateError("not open"), 500),
    (JournalError("/srv/secret/place can't be written", path="/srv/secret/place"), 500),
    (JournalBusy("/srv/secret/place is in use", path="/srv/secret/place"), 409),
    (JournalMismatch("/srv/secret/place is another's", path="/srv/secret/place"), 409),
    (Overloaded("104 batches", retry_after=30.0), 429),
    (BatchNotFound("there is no batch"), 404),
    (BatchConflict("another request's"), 409),
    (SupervisorClosed("shutting down"), 503),
]


def named(value: object) -> str:
    return type(value).__name__ if isinstance(value, MountseaError) else str(value)


def test_every_class_of_error_has_a_row() -> None:
    leaves = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, MountseaError)]
    uncovered = {kind.__name__ for kind in leaves} - {type(error).__name__ for error, _ in TABLE}
    bases = {"MountseaError", "UsageError", "TransportError", "APIError", "TaskError", "TaskPendingError"}
    assert uncovered == bases | {"MissingModelError", "MissingPersonaError"}


@pytest.mark.parametrize(("error", "status"), TABLE, ids=named)
async def test_an_error_becomes_an_answer_of_the_applications_own(error: MountseaError, status: int) -> None:
    app = FastAPI()
    app.add_exception_handler(MountseaError, mountsea_error_handler)

    @app.get("/")
    async def route() -> None:
        raise error

    async with AsyncClient(transport=ASGITransport(app=app), base_url="http://test") as http:
        answer = await http.get("/")
    said = answer.json()
    assert answer.status_code == status == http_status(error)
    assert said["error"] == type(error).__name__
    assert said["detail"]
    assert answer.headers["cache-control"] == "no-store"
    assert BODY not in answer.text
    assert "/srv/secret" not in answer.text
    assert ("retry-after" in answer.headers) == (status in (429, 503))
    assert said.get("task_id") == error.task_id


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (api(RateLimitedError, 429, 7.5), "8"),
        (api(RateLimitedError, 429, 0.0), "1"),
        (api(NoAccountError, 503), "10"),
        (Overloaded("full", retry_after=30.0), "30"),
        (NotSubmittedError("429", reason="rate_limited", cause=api(RateLimitedError, 429, 7.5)), "8"),
    ],
    ids=named,
)
async def test_retry_after_is_in_whole_seconds_and_never_zero(error: MountseaError, seconds: str) -> None:
    answer = await mountsea_error_handler(None, error)  # type: ignore[arg-type]
    assert answer.headers["retry-after"] == seconds


async def test_bad_input_names_each_entry() -> None:
    problems = [InputProblem(3, "ftp://a.example/b", "it doesn't begin with http"), InputProblem(5, "", "it is empty")]
    answer = await mountsea_error_handler(None, InputError("2 entries", problems=problems))  # type: ignore[arg-type]
    assert [problem["index"] for problem in json.loads(bytes(answer.body))["problems"]] == [3, 5]


async def test_unknown_outcomes_name_their_items() -> None:
    error = batch(ItemState.SUCCEEDED, ItemState.UNKNOWN, ItemState.FAILED, ItemState.NOT_SUBMITTED)
    said = json.loads(bytes((await mountsea_error_handler(None, error)).body))  # type: ignore[arg-type]
    assert said["session_id"] == "session-1"
    assert [(item["index"], item["key"], item["task_id"]) for item in said["unknown"]] == [(1, "key-1", "task-1")]
    assert [item["index"] for item in said["failed"]] == [2, 3]


async def test_what_is_not_ours_is_not_answered_for() -> None:
    with pytest.raises(KeyError):
        await mountsea_error_handler(None, KeyError(KEY))  # type: ignore[arg-type]
