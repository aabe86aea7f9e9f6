"""`upload_session`: single submits and uploads, what can be watched, and how it is left."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from support.names import urls

from mountsea_async import (
    BadRequestError,
    ClientStateError,
    ClipsListed,
    ConfigurationError,
    DuplicateURLWarning,
    Event,
    InputError,
    ItemChanged,
    ItemState,
    NotSubmittedError,
    Reconciled,
    SessionClosed,
    SessionOpened,
    TaskFailedError,
    TaskTimedOutError,
    UnknownOutcomeError,
)
from mountsea_async.testing import Answer, Behaviour, Cut, Fault, Fixed, Outcome, Uniform, no_account


async def test_submit_returns_when_the_service_has_accepted_and_the_session_goes_on_polling(world) -> None:
    w = await world(Behaviour(durations=Fixed(100)))
    async with w.client.upload_session() as session:
        handle = await session.submit(urls(1)[0])
        assert handle.task_id == w.ledger.charges[0].task_id
        assert (await handle.status()).status == "running"
        assert session.report.items[0].state is ItemState.SUBMITTED
    assert session.report.ok


async def test_upload_returns_the_clip(world) -> None:
    w = await world(Behaviour(durations=Fixed(10)))
    async with w.client.upload_session() as session:
        clip = await session.upload(urls(1)[0])
        assert clip.id == w.ledger.charges[0].clip_id
    assert session.report.reconciliation.matched == (clip.id,)


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault(Outcome("failed", fail_reason="Audio source not found.")), TaskFailedError),
        (Fault(Answer(400)), BadRequestError),
        (Fault(Cut(after_work=True)), UnknownOutcomeError),
        (Fault(Answer(402)), NotSubmittedError),
    ],
    ids=["failed", "rejected", "unknown", "credits"],
)
async def test_upload_raises_what_became_of_its_item(world, fault: Fault, error: type[Exception]) -> None:
    w = await world(Behaviour(durations=Fixed(10), faults=(fault,)))
    async with w.client.upload_session() as session:
        with pytest.raises(error):
            await session.upload(urls(1)[0])


async def test_all_ways_of_adding_share_one_session_and_one_report(world) -> None:
    w = await world(Behaviour(durations=Uniform(1, 9)))
    async with w.client.upload_session() as session:
        await session.submit(urls(1, stem="a")[0])
        await asyncio.gather(*(session.upload(url) for url in urls(3, stem="b")))
        report = await session.upload_all(urls(4, stem="c"))
        assert len(report.items) == 8
    assert session.report.ok
    assert len({charge.session_id for charge in w.ledger.charges}) == 1


async def test_a_url_in_flight_that_is_handed_in_again_is_not_paid_for_again(world) -> None:
    w = await world(Behaviour(durations=Fixed(10)))
    (url,) = urls(1)
    async with w.client.upload_session() as session:
        first, second = await asyncio.gather(session.upload(url), session.upload(url))
        third = await session.upload(url)
    assert first == second == third
    assert w.ledger.posts(url) == 1


async def test_a_url_that_failed_may_be_handed_in_again(world) -> None:
    w = await world(Behaviour(durations=Fixed(10), faults=(Fault(Outcome("failed"), nth=1),)))
    (url,) = urls(1)
    async with w.client.upload_session() as session:
        with pytest.raises(TaskFailedError):
            await session.upload(url)
        await session.upload(url)
    assert [item.state for item in session.report.items] == [ItemState.FAILED, ItemState.SUCCEEDED]


# --------------------------------------------------------------------------------------------------- watching
async def test_items_are_yielded_as_they_end_each_once(world) -> None:
    w = await world(Behaviour(durations=Uniform(1, 60)))
    async with w.client.upload_session() as session:
        everything = asyncio.create_task(session.upload_all(urls(20)))
        seen = [item async for item in session.as_completed()]
        await everything
    assert sorted(item.index for item in seen) == list(range(20))
    assert [item.ended_at for item in seen] == sorted(item.ended_at for item in seen)
    assert [item.index for item in seen] != list(range(20))


async def test_items_can_be_consumed_in_the_task_that_opened_the_session(world) -> None:
    w = await world(Behaviour(durations=Uniform(1, 60)))
    async with w.client.upload_session() as session:
        await asyncio.gather(*(session.submit(url) for url in urls(5)))
        assert len([item async for item in session.as_completed()]) == 5
        events = [event async for event in session.events()]
    assert isinstance(events[0], SessionOpened)


async def test_readers_of_events_get_all_of_them_whenever_they_come(world) -> None:
    w = await world(Behaviour(durations=Fixed(5)))

    async def read() -> list[Event]:
        return [event async for event in session.events()]

    async with w.client.upload_session() as session:
        early = asyncio.create_task(read())
        await session.upload_all(urls(3))
        late = asyncio.create_task(read())
    first, second = await early, await late
    assert first == second == await read()
    assert isinstance(first[-1], SessionClosed)
    assert isinstance(first[-2], Reconciled)
    assert sum(isinstance(event, ItemChanged) and event.state is ItemState.SUCCEEDED for event in first) == 3


async def test_a_reader_that_leaves_early_leaves_nothing_behind(world) -> None:
    w = await world(Behaviour(durations=Fixed(5)))
    async with w.client.upload_session() as session:
        await session.submit(urls(1)[0])
        stream = session.as_completed()
        reader = asyncio.create_task(anext(stream))
        await asyncio.sleep(1)
        reader.cancel()
        await asyncio.wait([reader])
        await stream.aclose()
    assert session.report.ok


# ----------------------------------------------------------------------------------------------------- leaving
async def test_leaving_by_an_exception_stops_submits_and_keeps_the_report(world) -> None:
    w = await world(Behaviour(durations=Fixed(100), latency=1))
    with pytest.raises(KeyError):  # noqa: PT012 - the block is what is left by it
        async with w.client.upload_session(concurrency=2) as session:
            everything = asyncio.create_task(session.upload_all(urls(20)))
            await asyncio.sleep(4.5)
            raise KeyError("the user's own")
    await everything
    report = session.report
    assert report.finished
    assert len(w.ledger.charges) == len(report.unknown) < 20
    assert {item.reason for item in report.items} == {"cancelled"}
    assert all(item.task_id for item in report.unknown)


async def test_stopping_by_hand_lets_what_was_submitted_finish(world) -> None:
    w = await world(Behaviour(durations=Fixed(30), latency=1))
    async with w.client.upload_session(concurrency=3) as session:
        everything = asyncio.create_task(session.upload_all(urls(20)))
        await asyncio.sleep(2.5)
        session.stop_submitting("enough")
        report = await everything
    assert len(report.succeeded) == len(w.ledger.charges) == 6
    assert {item.reason for item in report.not_submitted} == {"enough"}
    with pytest.raises(ClientStateError):
        session.stop_submitting()


async def test_what_is_added_after_a_stop_is_not_submitted(world) -> None:
    w = await world()
    async with w.client.upload_session() as session:
        session.stop_submitting()
        with pytest.raises(NotSubmittedError):
            await session.upload(urls(1)[0])
    assert w.ledger.charges == ()


async def test_a_cancelled_upload_that_was_not_sent_yet_is_taken_back(world) -> None:
    w = await world(Behaviour(latency=5, durations=Fixed(5)))
    first, second = urls(2)
    async with w.client.upload_session(concurrency=1) as session:
        sent = asyncio.create_task(session.upload(first))
        waiting = asyncio.create_task(session.upload(second))
        await asyncio.sleep(1)
        sent.cancel()
        waiting.cancel()
        await asyncio.wait([sent, waiting])
    assert [item.state for item in session.report.items] == [ItemState.SUCCEEDED, ItemState.NOT_SUBMITTED]
    assert w.ledger.posts(second) == 0


async def test_a_session_that_was_left_takes_nothing_more(world) -> None:
    w = await world()
    async with w.client.upload_session() as session:
        pass
    with pytest.raises(ClientStateError, match="closed"):
        await session.upload(urls(1)[0])
    with pytest.raises(ClientStateError, match="entered once"):
        async with session:
            pass


async def test_a_session_without_items_reads_no_list(world) -> None:
    w = await world()
    async with w.client.upload_session() as session:
        assert session.session_id
    assert w.ledger.requests("status") == 0
    assert session.report.items == ()


async def test_a_session_is_used_only_when_open(world) -> None:
    w = await world()
    session = w.client.upload_session()
    assert session.report.items == ()
    with pytest.raises(ClientStateError, match="async with"):
        await session.upload(urls(1)[0])
    with pytest.raises(ClientStateError):
        _ = session.session_id


async def test_a_bad_url_is_refused_by_every_way_of_adding(world) -> None:
    w = await world()
    async with w.client.upload_session() as session:
        for call in (session.upload, session.submit):
            with pytest.raises(InputError, match="localhost"):
                await call("http://localhost/a.mp3")
        with pytest.raises(InputError, match="empty"):
            await session.upload_all([])
    assert w.ledger.requests("item") == 0


async def test_adopting_a_task_that_is_no_session_is_refused(world) -> None:
    w = await world(Behaviour(durations=Fixed(1)))
    async with w.client.upload_session() as session:
        handle = await session.submit(urls(1)[0])
    with pytest.raises(InputError, match="no upload session"):
        async with w.client.upload_session(handle.task_id):
            pass


async def test_an_on_event_that_would_never_run_is_refused(world) -> None:
    w = await world()

    async def callback(event: Event) -> None: ...

    with pytest.raises(ConfigurationError, match="plain function"):
        w.client.upload_session(on_event=callback)


# ------------------------------------------------------------------------------- what several tasks do to a session
async def test_a_callback_may_stop_the_session_at_any_event(world) -> None:
    w = await world(Behaviour(durations=Fixed(5), faults=(Fault(no_account(), nth=1),)))

    def stop(event: Event) -> None:
        if isinstance(event, ItemChanged) and event.trigger == "release":
            session.stop_submitting("enough")

    async with w.client.upload_session(on_event=stop) as session:
        with pytest.warns(DuplicateURLWarning):
            report = await session.upload_all([*urls(3), urls(1)[0]])
    assert report.finished
    assert {report.items[0].state, report.items[3].state} == {ItemState.NOT_SUBMITTED}
    assert report.stopped == "enough"


async def test_a_callback_that_lets_a_cancel_out_stops_nothing(world) -> None:
    w = await world(Behaviour(durations=Fixed(5)))

    def broken(event: Event) -> None:
        raise asyncio.CancelledError

    assert (await w.client.upload_batch(urls(3), on_event=broken)).ok


async def test_the_first_error_of_a_callback_is_not_to_be_missed(world) -> None:
    w = await world(Behaviour(durations=Fixed(5)))
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(context))

    def broken(event: Event) -> None:
        raise RuntimeError("my own fault")

    await w.client.upload_batch(urls(3), on_event=broken)
    (context,) = told
    assert str(context["exception"]) == "my own fault"


async def test_a_callback_that_returns_a_coroutine_is_told_so(world) -> None:
    w = await world(Behaviour(durations=Fixed(5)))
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(context))
    await w.client.upload_batch(urls(1), on_event=lambda event: asyncio.sleep(0))
    assert "plain function" in str(told[0]["exception"])


async def test_on_event_has_heard_everything_when_the_batch_is_back(world) -> None:
    w = await world(Behaviour(durations=Fixed(5)))
    seen: list[Event] = []
    await w.client.upload_batch(urls(3), on_event=seen.append)
    assert isinstance(seen[-1], SessionClosed)


async def test_nothing_is_taken_once_the_final_check_has_begun(world) -> None:
    w = await world(Behaviour(durations=Fixed(5), append_lag=20))
    before = asyncio.all_tasks()

    async def late() -> None:
        await asyncio.sleep(12)
        await session.submit(urls(1, stem="late")[0])

    async with w.client.upload_session() as session:
        adding = asyncio.create_task(late())
        await session.submit(urls(1)[0])
    await asyncio.wait([adding])
    assert isinstance(adding.exception(), ClientStateError)
    assert w.ledger.posts(urls(1, stem="late")[0]) == 0
    assert session.report.finished
    assert not {t for t in asyncio.all_tasks() - before if "RequestHandler" not in repr(t.get_coro())}


async def test_a_shared_upload_goes_on_while_anybody_wants_it(world) -> None:
    w = await world(Behaviour(durations=Fixed(5), latency=3))
    block, shared = urls(2)
    async with w.client.upload_session(concurrency=1) as session:
        first = asyncio.create_task(session.upload(block))
        await asyncio.sleep(0.1)
        leaving, staying = (asyncio.create_task(session.upload(shared)) for _ in range(2))
        await asyncio.sleep(1)
        leaving.cancel()
        clip = await staying
        await first
    assert clip.id
    assert leaving.cancelled()
    assert w.ledger.posts(shared) == 1


async def test_a_shared_upload_that_nobody_wants_any_more_is_not_sent(world) -> None:
    w = await world(Behaviour(durations=Fixed(5), latency=3))
    block, shared = urls(2)
    async with w.client.upload_session(concurrency=1) as session:
        first = asyncio.create_task(session.upload(block))
        await asyncio.sleep(0.1)
        sharers = [asyncio.create_task(session.upload(shared)) for _ in range(2)]
        await asyncio.sleep(1)
        for task in sharers:
            task.cancel()
        await first
    assert w.ledger.posts(shared) == 0
    assert session.report.finished


async def test_tasks_that_somebody_else_cancels_leave_every_item_at_an_end(world) -> None:
    w = await world(Behaviour(durations=Fixed(50)))
    session = w.client.upload_session(concurrency=2)

    async def run() -> None:
        async with session:
            await session.upload_all(urls(6))

    batch = asyncio.create_task(run())
    await asyncio.sleep(1)
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        if "RequestHandler" not in repr(task.get_coro()):
            task.cancel()
    await asyncio.wait([batch])
    assert session.report.finished
    assert len(session.report.unknown) == len(w.ledger.charges)


async def test_the_deadline_counts_while_urls_are_read(world) -> None:
    w = await world()

    async def endless() -> AsyncIterator[str]:
        yield urls(1)[0]
        while True:  # noqa: ASYNC110 - a source that never ends
            await asyncio.sleep(60)

    with pytest.raises(NotSubmittedError, match="before all URLs were read"):
        await w.client.upload_batch(endless(), deadline=10)
    assert w.ledger.calls == ()
    async with w.client.upload_session(deadline=10) as session:
        with pytest.raises(NotSubmittedError):
            await session.upload_all(endless())


async def test_a_reader_inside_the_block_is_let_go_by_the_deadline(world) -> None:
    w = await world(Behaviour(durations=Fixed(5)))

    async def read() -> None:
        async for _ in session.events():
            pass

    async with w.client.upload_session(deadline=30) as session, asyncio.TaskGroup() as group:
        group.create_task(read())
        group.create_task(session.upload_all(urls(3)))
    assert session.report.ok


async def test_a_reader_outside_the_block_hears_the_end_of_a_batch_that_met_its_deadline(world) -> None:
    w = await world(Behaviour(durations=Fixed(500)))
    session = w.client.upload_session(deadline=20)

    async def read() -> list[Event]:
        return [event async for event in session.events()]

    async with session:
        reader = asyncio.create_task(read())
        await session.upload_all(urls(3))
    assert [type(event) for event in (await reader)[-2:]] == [Reconciled, SessionClosed]


async def test_a_check_in_another_task_ends_when_the_session_is_left(world) -> None:
    w = await world(Behaviour(durations=Fixed(2), append_lag=15))
    loop = asyncio.get_running_loop()
    with pytest.raises(KeyError):  # noqa: PT012 - the block is what is left by it
        async with w.client.upload_session() as session:
            everything = asyncio.create_task(session.upload_all(urls(3)))
            await asyncio.sleep(6)
            raise KeyError
    left_at, asked = loop.time(), w.ledger.requests("status")
    await everything
    assert loop.time() == pytest.approx(left_at, abs=0.5)
    assert w.ledger.requests("status") == asked


async def test_a_session_in_another_event_loop_says_so(world) -> None:
    w = await world()
    async with w.client.upload_session() as session:

        def elsewhere() -> None:
            with pytest.raises(ClientStateError, match="another event loop"):
                asyncio.run(session.upload(urls(1)[0]))

        await asyncio.get_running_loop().run_in_executor(None, elsewhere)
        assert await asyncio.get_running_loop().run_in_executor(None, lambda: session.report.items) == ()
    assert w.ledger.requests("item") == 0


async def test_a_clip_that_lands_between_two_checks_is_found_by_the_second(world) -> None:
    w = await world(Behaviour(durations=Fixed(5), faults=(Fault(Outcome("late", duration=1, late_after=400)),)))
    async with w.client.upload_session() as session:
        await session.upload_all(urls(2))
        assert session.report.audio_ids == ()
        await asyncio.sleep(500)
    assert w.ledger.lost(session.report.audio_ids) == ()
    assert len(session.report.audio_ids) == 2


async def test_no_event_follows_the_last(world) -> None:
    w = await world(Behaviour(durations=Fixed(50)))
    with pytest.raises(KeyError):  # noqa: PT012 - the block is what is left by it
        async with w.client.upload_session() as session:
            everything = asyncio.create_task(session.upload_all(urls(3)))
            await asyncio.sleep(5)
            raise KeyError
    await everything
    assert isinstance([event async for event in session.events()][-1], SessionClosed)


async def test_a_url_that_timed_out_is_not_paid_for_again_by_handing_it_in_again(world) -> None:
    w = await world(Behaviour(durations=Fixed(5), faults=(Fault(Outcome("timeout")),)))
    (url,) = urls(1)
    async with w.client.upload_session() as session:
        for _ in range(2):
            with pytest.raises(TaskTimedOutError):
                await session.upload(url)
    assert w.ledger.posts(url) == 1


async def test_what_is_in_flight_has_no_candidates_since_its_own_task_will_tell(world) -> None:
    w = await world(Behaviour(durations=Uniform(1, 60)))
    async with w.client.upload_session() as session:
        everything = asyncio.create_task(session.upload_all(urls(30)))
        async for event in session.events():
            if isinstance(event, ClipsListed) and session.counts.get(ItemState.SUBMITTED):
                assert not any(item.candidates for item in session.report.items)
            if isinstance(event, Reconciled):
                break
        await everything
