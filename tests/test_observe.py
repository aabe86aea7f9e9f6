"""Who watches a client's sessions: the observer that is asked for each, and what logging hears of them."""

from __future__ import annotations

import asyncio
import contextvars
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.names import KEY, urls

from mountsea_async import (
    AuthenticationError,
    ClientConfig,
    ConfigurationError,
    Event,
    ItemChanged,
    ItemState,
    MountseaClient,
    NotSubmittedError,
    PollPolicy,
    SessionClosed,
    SessionOpened,
    SessionPlanned,
)
from mountsea_async.testing import Answer, Behaviour, Cut, Fault, Fixed, Hang, Outcome, Uniform, rate_limited
from mountsea_async.testing import unauthorized as key_refused


class Observer:
    """Keeps the events of each session apart, and what was current where each began."""

    def __init__(self) -> None:
        self.sessions: list[list[Event]] = []
        self.around: list[str] = []

    def __call__(self) -> Callable[[Event], object]:
        self.sessions.append([])
        self.around.append(REQUEST.get())
        return self.sessions[-1].append


REQUEST = contextvars.ContextVar("request", default="none")


# ------------------------------------------------------------------------------------------------ the observer
async def test_each_session_of_any_kind_is_watched_by_one_of_its_own(world, tmp_path: Path) -> None:
    observer, heard = Observer(), list[Event]()
    w = await world(Behaviour(durations=Fixed(1), seed=1), observe=observer)
    await w.client.upload_batch(urls(2), on_event=heard.append, journal=tmp_path / "j")
    assert observer.sessions == [heard]
    async with w.client.upload_session() as session:
        await session.upload(urls(1)[0])
    await w.client.train_model(urls(6), "mine")
    await w.client.resume_batch(tmp_path / "j")
    assert len(observer.sessions) == 4
    assert isinstance(observer.sessions[2][0], SessionPlanned)
    for events in observer.sessions:
        assert isinstance(events[-1], SessionClosed)
        assert sum(isinstance(event, SessionOpened) for event in events) == 1
    first, again = observer.sessions[0], observer.sessions[3]
    assert again[0].seq == len(first), "of what an earlier run has told it hears nothing"


async def test_it_is_asked_in_the_context_of_whoever_opens_the_session(world) -> None:
    observer = Observer()
    w = await world(Behaviour(durations=Fixed(1)), observe=observer)

    async def serve(name: str) -> None:
        REQUEST.set(name)
        await w.client.upload_batch(urls(1, stem=name))

    await asyncio.gather(*(serve(name) for name in ("a", "b", "c")))
    assert sorted(observer.around) == ["a", "b", "c"]


async def test_watching_changes_nothing_of_when_tasks_are_asked_for(world) -> None:
    """`on_event` does: it wants to hear of each item as it lands."""
    policy = PollPolicy(strategy="learned")

    async def asked(observe: Observer | None, **settings: Any) -> tuple[int, float]:
        w = await world(Behaviour(durations=Uniform(20, 60), seed=3), config=ClientConfig(poll=policy), observe=observe)
        w.client._rng.seed(5)
        report = await w.client.upload_batch(urls(30), **settings)
        return report.stats.polls, round(report.stats.elapsed)

    alone = await asked(None)
    assert await asked(Observer()) == alone
    assert (await asked(None, on_event=lambda event: None))[0] > alone[0]


@pytest.mark.parametrize("gives", ["raises", "nothing", "a coroutine"])
async def test_a_batch_goes_on_without_an_observer_that_cannot_be_had(
    world, gives: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def later(event: Event) -> None: ...

    def observe() -> Any:
        if gives == "raises":
            raise RuntimeError("my own fault")
        return None if gives == "nothing" else later(SessionClosed(0, 0.0))

    w = await world(Behaviour(durations=Fixed(1)), observe=observe)
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, what: told.append(what))
    heard: list[Event] = []
    assert (await w.client.upload_batch(urls(2), on_event=heard.append)).ok
    assert isinstance(heard[-1], SessionClosed)
    assert [record.message for record in caplog.records if record.levelno == logging.ERROR] == ["observe.failed"]
    assert len(told) == 1


async def test_what_a_watcher_raises_reaches_neither_the_batch_nor_the_other_watcher(
    world, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(event: Event) -> None:
        raise RuntimeError("my own fault")

    w = await world(Behaviour(durations=Fixed(1)), observe=lambda: broken)
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, what: told.append(what))
    heard: list[Event] = []
    assert (await w.client.upload_batch(urls(2), on_event=heard.append)).ok
    failures = [record for record in caplog.records if record.message == "observe.failed"]
    assert len(failures) == len(heard) > 4
    assert [what["message"].partition(" ")[0] for what in told] == ["observe"], "once, where nobody can miss it"


async def test_an_observer_that_makes_coroutines_is_told_so_and_harms_nothing(
    world, caplog: pytest.LogCaptureFixture
) -> None:
    async def later(event: Event) -> None: ...

    w = await world(Behaviour(durations=Fixed(1)), observe=lambda: later)
    asyncio.get_running_loop().set_exception_handler(lambda _, what: None)
    assert (await w.client.upload_batch(urls(1))).ok
    (first, *_) = (record for record in caplog.records if record.message == "observe.failed")
    assert first.exc_info is not None
    assert "plain function" in str(first.exc_info[1])


async def _coroutine() -> Any: ...


@pytest.mark.parametrize("observe", [3, "telemetry", _coroutine])
def test_what_cannot_be_called_so_is_refused_when_the_client_is_made(observe: Any) -> None:
    with pytest.raises(ConfigurationError, match="observe: give a plain function"):
        MountseaClient(KEY, observe=observe)


async def test_a_session_that_is_refused_is_told_of_to_nobody(world) -> None:
    observer = Observer()
    w = await world(Behaviour(faults=(Fault(key_refused(), on="prepare"),)), observe=observer)
    with pytest.raises(AuthenticationError):
        await w.client.upload_batch(urls(1))
    assert observer.sessions == [[]]


async def test_a_session_that_ends_while_it_is_opened_is_told_to_be_closed(world, tmp_path: Path) -> None:
    observer = Observer()
    failed = Fault(Outcome("failed"), url="*-00000.mp3", times=1)
    w = await world(Behaviour(durations=Fixed(5), faults=(failed,)), observe=observer)
    await w.client.upload_batch(urls(2), journal=tmp_path / "j")
    w.emulator.add_fault(Fault(Hang(), on="status", times=1))
    with pytest.raises(NotSubmittedError):
        await w.client.resume_batch(tmp_path / "j", retry_failed=True, deadline=5)
    assert [type(event) for event in observer.sessions[1]] == [SessionOpened, SessionClosed]
    assert (await w.client.resume_batch(tmp_path / "j", retry_failed=True)).ok


# --------------------------------------------------------------------------------------------------- the polls
async def test_an_end_tells_how_often_its_task_was_asked_for(world) -> None:
    heard: list[Event] = []
    policy = PollPolicy(strategy="backoff", first=2, factor=1)
    w = await world(Behaviour(durations=Uniform(3, 30), fail_share=0.2), config=ClientConfig(poll=policy))
    report = await w.client.upload_batch([*urls(8)], on_event=heard.append)
    asked = [call.task_id for call in w.ledger.calls if call.endpoint == "status"]
    assert [item.polls for item in report.items] == [asked.count(item.task_id) for item in report.items]
    assert len({item.polls for item in report.items}) > 2
    ends = {event.index: event.polls for event in heard if isinstance(event, ItemChanged) and event.state.ended}
    assert [ends[item.index] for item in report.items] == [item.polls for item in report.items]
    assert report.to_dict()["items"][3]["polls"] == report.items[3].polls


async def test_polls_that_got_no_answer_count_and_those_of_all_runs_are_added_up(world, tmp_path: Path) -> None:
    policy = PollPolicy(strategy="backoff", first=2, factor=1)
    config = ClientConfig(poll=policy, shutdown=1)
    w = await world(
        Behaviour(durations=Fixed(25), faults=(Fault(Answer(500), on="status", url="*.mp3", nth=2),)), config=config
    )
    first = await w.client.upload_batch(urls(1), journal=tmp_path / "j", deadline=11)
    assert first.items[0].state is ItemState.UNDETERMINED
    task_id = first.items[0].task_id

    def asked() -> int:
        return sum(call.endpoint == "status" and call.task_id == task_id for call in w.ledger.calls)

    assert first.items[0].polls == asked() > 2
    second = await w.client.resume_batch(tmp_path / "j")
    assert second.ok
    assert second.items[0].polls == asked() > first.items[0].polls


async def test_what_was_never_followed_tells_no_polls(world) -> None:
    w = await world(Behaviour(durations=Fixed(1), credits=1))
    report = await w.client.upload_batch(urls(2), concurrency=1)
    assert [item.polls is None for item in report.items] == [False, True]


# ----------------------------------------------------------------------------------------------------- logging
@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Callable[[str], list[logging.LogRecord]]:
    """The records of a name."""
    caplog.set_level(logging.DEBUG, "mountsea_async")
    return lambda name: [record for record in caplog.records if record.message == name]


def extra(record: logging.LogRecord) -> dict[str, Any]:
    usual = logging.makeLogRecord({}).__dict__.keys() | {"message", "asctime", "taskName"}
    return {name: value for name, value in record.__dict__.items() if name not in usual}


async def test_a_batch_is_told_to_logging_from_its_beginning_to_its_end(world, said) -> None:
    faults = (Fault(Outcome("failed", fail_reason="no audio"), nth=2), Fault(rate_limited(3), nth=4))
    w = await world(Behaviour(durations=Fixed(5), faults=faults))
    report = await w.client.upload_batch([f"{url}?sig=SIGNED" for url in urls(5)], concurrency=1)
    (opened,) = said("batch.opened")
    assert (opened.levelno, opened.session_id, opened.adopted) == (logging.INFO, report.session_id, False)
    ended = {record.index: record for record in said("item.ended")}
    assert len(ended) == len(said("item.ended")) == 5
    for item in report.items:
        record = ended[item.index]
        assert record.levelno == (logging.DEBUG if item.state is ItemState.SUCCEEDED else logging.INFO)
        assert extra(record) == {
            "session_id": report.session_id,
            "index": item.index,
            "key": None,
            "state": item.state.value,
            "reason": item.reason,
            "task_id": item.task_id,
            "clip_id": item.clip_id,
            "error": item.error.message if item.error else None,
            "attempts": item.attempts,
            "polls": item.polls,
        }
    (paused,) = said("batch.paused")
    assert paused.seconds == pytest.approx(3, abs=1)
    (reconciled,) = said("batch.reconciled")
    assert (reconciled.consistent, reconciled.matched, reconciled.levelno) == (True, 4, logging.INFO)
    (closed,) = said("batch.closed")
    assert closed.counts == {state.value: count for state, count in report.counts.items()}
    for record in (opened, *ended.values(), paused, reconciled, closed):
        assert "SIGNED" not in json.dumps(extra(record)), "and what there is can be written as JSON"


async def test_a_stop_is_a_warning_unless_the_caller_has_asked_for_it(world, said) -> None:
    w = await world(Behaviour(durations=Fixed(1), credits=1))
    await w.client.upload_batch(urls(3))
    async with w.client.upload_session() as session:
        session.stop_submitting()
    refused, asked_for = said("batch.stopped")
    assert (refused.levelno, refused.reason) == (logging.WARNING, "credits")
    assert "credits" in refused.error.lower()
    assert (asked_for.levelno, asked_for.reason, asked_for.error) == (logging.INFO, "stopped", None)


async def test_a_list_that_disagrees_is_a_warning(world, said) -> None:
    w = await world(Behaviour(durations=Fixed(1), latency=1, faults=(Fault(Cut(after_work=True), nth=(1, 2)),)))
    report = await w.client.upload_batch(urls(3), on_unknown="continue")
    (told,) = said("batch.reconciled")
    assert not report.reconciliation.consistent
    assert (told.levelno, told.consistent) == (logging.WARNING, False)


async def test_the_end_of_a_training_is_told(world, said) -> None:
    w = await world(Behaviour(durations=Fixed(1)))
    model = await w.client.train_model(urls(6), "mine")
    (told,) = said("training.ended")
    assert (told.model, told.model_id, told.state) == ("mine", model.id, "succeeded")


async def test_what_nobody_asked_for_is_not_told(world, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "mountsea_async")
    w = await world(Behaviour(durations=Fixed(1), fail_share=0.5))
    await w.client.upload_batch(urls(5))
    assert [record.message for record in caplog.records if record.name == "mountsea_async"] == []


async def test_a_filter_that_raises_stops_no_batch(world) -> None:
    def broken(record: logging.LogRecord) -> bool:
        raise RuntimeError("my own fault")

    logger = logging.getLogger("mountsea_async")
    told: list[dict[str, Any]] = []
    w = await world(Behaviour(durations=Fixed(1)))
    asyncio.get_running_loop().set_exception_handler(lambda _, what: told.append(what))
    logger.addFilter(broken)
    try:
        assert (await w.client.upload_batch(urls(2))).ok
    finally:
        logger.removeFilter(broken)
    assert told
