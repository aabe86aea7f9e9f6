"""After a request whose outcome isn't known: who waits, for how long, what is sent again, and what is said of it."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from support.names import urls

from mountsea_async import (
    BatchReport,
    ClientConfig,
    ClipsListed,
    ConfigurationError,
    Event,
    InputError,
    ItemChanged,
    ItemSettled,
    ItemState,
    PollPolicy,
    Reconciled,
    Timeouts,
    UnknownOutcomeError,
)
from mountsea_async.testing import (
    Answer,
    Behaviour,
    Cut,
    Fault,
    Fixed,
    Hang,
    Outcome,
    Reshape,
    Uniform,
    html,
    rate_limited,
)
from mountsea_async.wire.caller import Caller

LOST, LANDED = Cut(after_work=False), Cut(after_work=True)
HASTY = ClientConfig(timeouts=Timeouts(submit=5))


def one(index: int) -> str:
    return f"*-{index:05}.mp3"


def states(report: BatchReport) -> list[str]:
    return [item.state.value for item in report.items]


def asked_at(w: Any, url: str) -> list[float]:
    return [call.at for call in w.ledger.calls if call.endpoint == "item" and call.audio_url == url]


def claims_no_more_than_is_so(w: Any, report: BatchReport) -> None:
    """Every clip is in the report, and none is said to be another item's."""
    assert report.finished
    assert w.ledger.lost(report.audio_ids) == ()
    by_clip = {charge.clip_id: charge.audio_url for charge in w.ledger.charges if charge.clip_id}
    for item in report.items:
        if item.clip is not None:
            assert by_clip[item.clip.id] == item.audio_url
        if item.candidates and item.audio_url in by_clip.values():
            assert item.audio_url in {by_clip.get(candidate) for candidate in item.candidates}


async def ended(task: asyncio.Task[Any]) -> bool:
    """Waits for a task. Where the loop spins, no timer of its own would ever fire: a thread ends that."""
    loop = asyncio.get_running_loop()
    rescue = threading.Timer(10, loop.call_soon_threadsafe, [task.cancel])
    rescue.start()
    await asyncio.wait([task])
    rescue.cancel()
    return not task.cancelled()


def ours() -> set[asyncio.Task[Any]]:
    return {task for task in asyncio.all_tasks() if "RequestHandler" not in repr(task.get_coro())}


# ------------------------------------------------------------------------------------------------------ holding
async def test_a_lost_answer_holds_up_the_submits_until_it_has_settled(world) -> None:
    w = await world(Behaviour(durations=Fixed(5), faults=(Fault(LOST, url=one(1)),)), config=ClientConfig(settle=100))
    report = await w.client.upload_batch(urls(12), concurrency=1)
    (lost,) = asked_at(w, urls(2)[1])
    assert min(asked_at(w, url)[0] for url in urls(12)[2:]) >= lost + 100
    assert states(report) == ["succeeded", "unknown"] + ["succeeded"] * 10
    assert report.items[1].reason == "absent"
    claims_no_more_than_is_so(w, report)


async def test_what_is_polled_goes_on_while_submits_are_held(world) -> None:
    w = await world(Behaviour(durations=Fixed(5), faults=(Fault(LOST, url=one(3)),)), config=ClientConfig(settle=200))
    ends: list[float] = []

    def note(event: Event) -> None:
        if isinstance(event, ItemChanged) and event.state is ItemState.SUCCEEDED:
            ends.append(asyncio.get_running_loop().time())

    await w.client.upload_batch(urls(6), concurrency=1, on_event=note)
    (lost,) = asked_at(w, urls(4)[3])
    assert len([at for at in ends if at < lost + 20]) == 3
    assert len(ends) == 5


async def test_what_settles_by_its_clip_holds_up_nobody_for_longer(world) -> None:
    w = await world(
        Behaviour(durations=Fixed(5), faults=(Fault(LANDED, url="*-0000[01].mp3"),)), config=ClientConfig(settle=300)
    )
    report = await w.client.upload_batch(urls(6), concurrency=1)
    assert report.stats.elapsed < 90
    assert [item.evidence for item in report.items[:2]] == ["elimination"] * 2
    claims_no_more_than_is_so(w, report)


async def test_what_is_lost_together_can_not_be_told_apart_and_the_report_says_so(world) -> None:
    w = await world(
        Behaviour(durations=Fixed(5), latency=1, faults=(Fault(LANDED, url="*-0000[01].mp3"),)),
        config=ClientConfig(settle=300),
    )
    report = await w.client.upload_batch(urls(6), concurrency=3)
    assert [item.reason for item in report.items[:2]] == ["ambiguous"] * 2
    assert report.items[0].candidates == report.items[1].candidates
    assert set(report.items[0].candidates) == set(report.reconciliation.unattributed)
    claims_no_more_than_is_so(w, report)


async def test_after_a_hold_one_probe_goes_first(world) -> None:
    w = await world(
        Behaviour(durations=Fixed(5), latency=3, faults=(Fault(LOST, url=one(0)),)),
        config=ClientConfig(settle=50),
    )
    await w.client.upload_batch(urls(20), concurrency=4)
    (lost,) = asked_at(w, urls(1)[0])
    held = sorted(at for url in urls(20) for at in asked_at(w, url) if at > lost + 50)
    assert held[1] >= held[0] + 3, "the second goes only when the first was accepted"
    assert held[-1] <= held[0] + 60, "but not for ever"


@pytest.mark.parametrize("count", [2, 5])
async def test_holes_whose_probes_are_lost_too_still_let_the_batch_end(world, count: int) -> None:
    w = await world(
        Behaviour(durations=Fixed(5), faults=(Fault(LOST, url=f"*-0000[0-{count}].mp3"),)),
        config=ClientConfig(settle=30),
    )
    report = await w.client.upload_batch(urls(20), concurrency=3)
    assert report.stopped is None
    assert states(report) == ["unknown"] * (count + 1) + ["succeeded"] * (19 - count)
    claims_no_more_than_is_so(w, report)


async def test_continue_never_pauses(world) -> None:
    w = await world(Behaviour(durations=Fixed(30), faults=(Fault(LOST, every=3),)))
    report = await w.client.upload_batch(urls(30), concurrency=2, on_unknown="continue")
    asked = [call.at for call in w.ledger.calls if call.endpoint == "item"]
    assert max(asked) < min(asked) + 5
    assert report.counts[ItemState.UNKNOWN] == 10
    claims_no_more_than_is_so(w, report)


async def test_eight_in_a_row_stop_the_rest_however_they_are_held(world) -> None:
    w = await world(
        Behaviour(durations=Fixed(5), faults=(Fault(html(504, after_work=True), after=3),)),
        config=ClientConfig(settle=30),
    )
    report = await w.client.upload_batch(urls(60), concurrency=1)
    assert report.stopped == "no_answers"
    assert (len(report.succeeded), len(report.unknown), len(report.not_submitted)) == (3, 8, 49)
    claims_no_more_than_is_so(w, report)


async def test_eight_in_a_row_stop_a_batch_that_sends_again_too(world) -> None:
    w = await world(Behaviour(durations=Fixed(5), faults=(Fault(LOST),)), config=ClientConfig(settle=10))
    report = await w.client.upload_batch(urls(30), concurrency=1, on_unknown="resubmit")
    assert report.stopped == "no_answers"
    assert w.ledger.requests("item") <= 9
    assert report.finished


async def test_an_unknown_word_is_refused(world) -> None:
    w = await world()
    with pytest.raises(Exception, match="on_unknown"):
        await w.client.upload_batch(urls(1), on_unknown="guess")
    with pytest.raises(InputError):
        await w.client.upload_batch([])
    assert w.ledger.calls == ()


# ------------------------------------------------------------------------------------------------- sending again
async def test_what_stayed_absent_is_sent_again_on_the_callers_word_and_the_report_says_so(world) -> None:
    w = await world(Behaviour(durations=Fixed(5), faults=(Fault(LOST, url=one(1), times=1),)))
    report = await w.client.upload_batch(urls(4), on_unknown="resubmit")
    assert report.ok
    assert [item.resubmits for item in report.items] == [0, 1, 0, 0]
    assert [w.ledger.posts(url) for url in urls(4)] == [1, 2, 1, 1]
    assert w.ledger.paid_twice() == {}
    first, second = asked_at(w, urls(4)[1])
    assert second >= first + 15


@pytest.mark.parametrize("on_unknown", ["hold", "continue"])
async def test_nothing_is_sent_again_without_the_callers_word(world, on_unknown: Any) -> None:
    w = await world(Behaviour(durations=Fixed(5), faults=(Fault(LOST, url="*-0000[0-3].mp3"),)))
    report = await w.client.upload_batch(urls(8), on_unknown=on_unknown)
    assert {w.ledger.posts(url) for url in urls(8)} == {1}
    assert {item.resubmits for item in report.items} == {0}


async def test_what_has_landed_is_not_sent_again(world) -> None:
    w = await world(Behaviour(durations=Fixed(5), faults=(Fault(LANDED, url="*-0000[0-3].mp3"),)))
    report = await w.client.upload_batch(urls(8), on_unknown="resubmit")
    assert {w.ledger.posts(url) for url in urls(8)} == {1}
    claims_no_more_than_is_so(w, report)


async def test_where_one_of_two_has_landed_neither_is_sent_again(world) -> None:
    w = await world(
        Behaviour(durations=Fixed(5), faults=(Fault(LANDED, url=one(0)), Fault(LOST, url=one(1)))),
        config=ClientConfig(settle=40),
    )
    report = await w.client.upload_batch(urls(4), on_unknown="resubmit", concurrency=4)
    assert {w.ledger.posts(url) for url in urls(4)} == {1}
    assert states(report)[2:] == ["succeeded"] * 2
    claims_no_more_than_is_so(w, report)


async def test_an_item_is_sent_again_three_times_at_most(world) -> None:
    w = await world(Behaviour(durations=Fixed(5), faults=(Fault(LOST, url=one(0)),)), config=ClientConfig(settle=20))
    report = await w.client.upload_batch(urls(3), on_unknown="resubmit")
    assert w.ledger.posts(urls(1)[0]) == 4
    assert (report.items[0].resubmits, report.items[0].attempts) == (3, 4)
    assert (report.items[0].state, report.items[0].reason) == (ItemState.UNKNOWN, "absent")
    assert isinstance(report.items[0].error, UnknownOutcomeError)


async def test_a_success_that_named_no_clip_is_not_sent_again(world) -> None:
    blank = Fault(Reshape({"data": None}), on="status", url=one(0))
    w = await world(Behaviour(durations=Fixed(5), append_lag=10_000, faults=(blank,)), config=ClientConfig(settle=20))
    report = await w.client.upload_batch(urls(1), on_unknown="resubmit")
    assert w.ledger.posts(urls(1)[0]) == 1
    assert (report.items[0].state, report.items[0].reason) == (ItemState.UNKNOWN, "success_without_clip")


@pytest.mark.parametrize("ends", ["failed", "timeout"])
async def test_what_the_service_has_given_up_is_not_sent_again(world, ends: Any) -> None:
    w = await world(Behaviour(durations=Fixed(5), faults=(Fault(Outcome(ends), url=one(0)),)))
    await w.client.upload_batch(urls(2), on_unknown="resubmit")
    assert {w.ledger.posts(url) for url in urls(2)} == {1}


async def test_a_request_that_was_cut_short_by_us_is_not_sent_again_by_the_same_run(world) -> None:
    w = await world(Behaviour(durations=Fixed(5), faults=(Fault(Hang(after_work=True), url=one(0)),)))
    report = await w.client.upload_batch(urls(3), on_unknown="resubmit", deadline=20)
    assert {w.ledger.posts(url) for url in urls(3)} == {1}
    assert states(report) == ["unknown", "succeeded", "succeeded"]


async def test_a_first_upload_that_lands_after_all_is_told_beside_the_second(world) -> None:
    late = Fault(Outcome("success", duration=200), url=one(0), times=1)
    w = await world(
        Behaviour(durations=Fixed(5), faults=(Fault(Answer(504, after_work=True), url=one(0), times=1), late)),
        config=ClientConfig(settle=20),
    )
    w.emulator.clear_faults()
    w.emulator.add_fault(Fault(Hang(after_work=False, seconds=150), url=one(0), times=1))
    report = await w.client.upload_batch(urls(2), on_unknown="resubmit")
    assert report.items[0].state is ItemState.SUCCEEDED
    assert report.items[0].resubmits == 1
    # The caller's word has paid twice: both clips are in the report, whenever the first one lands.
    async with w.client.upload_session(report.session_id) as session:
        pass
    await asyncio.sleep(300)
    again = await w.client.upload_batch(urls(1, stem="other"), session_id=report.session_id)
    assert set(w.ledger.clip_ids()) <= {*again.reconciliation.earlier, *again.audio_ids}
    assert session.report.items == ()


@pytest.mark.parametrize("stop", ["credits", "hand", "deadline", "cancel"])
async def test_a_stop_before_an_item_is_sent_again_leaves_it_unknown(world, stop: str) -> None:
    faults = (
        Fault(LANDED, times=1),
        Fault(Reshape({"data": {"audioIds": []}}), on="status"),
        Fault(Answer(402) if stop == "credits" else rate_limited(60)),
    )
    w = await world(Behaviour(durations=Fixed(5), faults=faults), config=ClientConfig(settle=10))
    session = w.client.upload_session(on_unknown="resubmit", deadline=40 if stop == "deadline" else None)

    async def run() -> None:
        async with session:
            await session.upload_all(urls(1))

    running = asyncio.create_task(run())
    await asyncio.sleep(25)
    assert w.ledger.posts(urls(1)[0]) == 2
    if stop == "hand":
        session.stop_submitting()
    elif stop == "cancel":
        running.cancel()
    await asyncio.wait([running])
    assert states(session.report) == ["unknown"]
    assert session.report.items[0].resubmits == 1
    assert len(w.ledger.charges) == 1, "it was paid for all along"


async def test_an_upload_that_nobody_wants_any_more_is_not_sent_again_after_a_refusal(world) -> None:
    w = await world(Behaviour(durations=Fixed(5), latency=1, faults=(Fault(rate_limited(5), nth=1),)))
    async with w.client.upload_session() as session:
        upload = asyncio.create_task(session.upload(urls(1)[0]))
        await asyncio.sleep(0.5)
        upload.cancel()
        await asyncio.wait([upload])
    assert states(session.report) == ["not_submitted"]
    assert w.ledger.charges == ()


# ---------------------------------------------------------------------------------------------- the settle time
def settled_after(w: Any, events: list[Event], index: int) -> float:
    """Seconds from an item's end without a clip to its settling."""
    ends = [e.at for e in events if isinstance(e, ItemChanged) and e.index == index and e.state is ItemState.UNKNOWN]
    settled = [e.at for e in events if isinstance(e, ItemSettled) and e.index == index]
    return settled[0] - ends[-1]


# An upload of 20 s is seen to have ended up to 29 s after its acceptance, and the list is looked at every 15 s.
@pytest.mark.parametrize(
    ("duration", "least", "most"), [(1, 15, 32), (20, 50, 84), (400, 300, 317)], ids=["short", "medium", "long"]
)
async def test_the_settle_time_follows_from_the_batchs_own_uploads_within_bounds(
    world, duration: float, least: float, most: float
) -> None:
    w = await world(Behaviour(durations=Fixed(duration), faults=(Fault(LOST, url=one(5), times=1),)))
    seen: list[Event] = []
    async with w.client.upload_session(on_event=seen.append) as session:
        await session.upload_all(urls(5))
        await session.upload_all(urls(6))
    assert least <= settled_after(w, seen, 10) <= most


async def test_the_settle_time_before_any_upload_has_ended_is_five_minutes(world) -> None:
    w = await world(Behaviour(durations=Fixed(5), faults=(Fault(LOST),)))
    seen: list[Event] = []
    await w.client.upload_batch(urls(1), on_event=seen.append)
    assert 300 <= settled_after(w, seen, 0) <= 317


@pytest.mark.parametrize("settle", [0, 7, 290])
async def test_the_settle_time_can_be_set(world, settle: float) -> None:
    w = await world(
        Behaviour(durations=Fixed(5), faults=(Fault(LOST, url=one(0)),)), config=ClientConfig(settle=settle)
    )
    seen: list[Event] = []
    await w.client.upload_batch(urls(2), on_event=seen.append)
    assert settle <= settled_after(w, seen, 0) <= settle + 16


def test_a_settle_time_that_would_make_the_batch_look_dead_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="settle"):
        ClientConfig(settle=900)


async def test_an_upload_that_takes_for_ever_holds_up_the_submits_for_five_minutes_at_most(world) -> None:
    faults = (Fault(Outcome("success", duration=500), url=one(0)), Fault(LOST, url=one(1)))
    w = await world(Behaviour(durations=Fixed(5), faults=faults), config=ClientConfig(settle=250))
    report = await w.client.upload_batch(urls(12), concurrency=1)
    (lost,) = asked_at(w, urls(2)[1])
    assert 250 <= min(asked_at(w, url)[0] for url in urls(12)[2:]) - lost <= 320
    assert report.stopped is None
    assert states(report) == ["succeeded", "unknown"] + ["succeeded"] * 10
    claims_no_more_than_is_so(w, report)


async def test_a_lagging_list_is_waited_for_before_anything_counts_as_absent(world) -> None:
    w = await world(Behaviour(durations=Fixed(10), append_lag=18, faults=(Fault(LANDED, url=one(2)),)))
    report = await w.client.upload_batch(urls(5))
    assert (report.items[2].evidence, report.items[2].state) == ("elimination", ItemState.UNKNOWN)
    assert report.reconciliation.consistent
    claims_no_more_than_is_so(w, report)


# ------------------------------------------------------------------------------------------------- attributions
async def test_a_clip_that_comes_when_nobody_expects_it_any_more_is_not_said_to_be_anothers(world) -> None:
    faults = (Fault(LANDED, url=one(5)), Fault(LOST, url=one(8)), Fault(LOST, url=one(9)))
    w = await world(Behaviour(durations=Fixed(100), parallel=1, faults=faults))
    report = await w.client.upload_batch(urls(12), concurrency=1)
    claims_no_more_than_is_so(w, report)


@pytest.mark.parametrize(("late", "parallel"), [(40, None), (70, None), (70, 1)])
async def test_the_clip_of_a_request_that_arrives_when_nobody_waits_any_more_is_not_said_to_be_anothers(
    world, late: float, parallel: int | None
) -> None:
    faults = (Fault(Hang(seconds=late), url=one(1), on="item"), Fault(LOST, url=one(12)))
    w = await world(Behaviour(durations=Fixed(5), parallel=parallel, faults=faults), config=HASTY)
    report = await w.client.upload_batch(urls(40), concurrency=1)
    assert asked_at(w, urls(13)[12])[0] - asked_at(w, urls(2)[1])[0] > 20, "what was lost later is a candidate, too"
    assert w.ledger.charged(urls(2)[1]) == 1
    claims_no_more_than_is_so(w, report)


@pytest.mark.parametrize("fault", [Hang(), LOST], ids=["may still arrive", "can't arrive"])
async def test_a_request_that_may_still_arrive_holds_up_nobody_for_longer(world, fault: Any) -> None:
    w = await world(Behaviour(durations=Fixed(1), faults=(Fault(fault, url=one(9)),)), config=HASTY)
    report = await w.client.upload_batch(urls(20), concurrency=1)
    (lost,) = asked_at(w, urls(10)[9])
    assert min(asked_at(w, url)[0] for url in urls(20)[10:]) - lost < 50
    assert report.items[9].reason == "absent"
    assert report.stats.elapsed < 90


@pytest.mark.parametrize(("fault", "after"), [(Hang(), 80), (LOST, 15)], ids=["may still arrive", "can't arrive"])
async def test_what_is_to_be_paid_for_again_must_not_be_on_its_way_any_more(world, fault: Any, after: float) -> None:
    w = await world(Behaviour(durations=Fixed(1), faults=(Fault(fault, url=one(9), times=1),)), config=HASTY)
    report = await w.client.upload_batch(urls(20), concurrency=1, on_unknown="resubmit")
    first, second = asked_at(w, urls(10)[9])
    assert after <= second - first < after + 60
    assert report.ok


@pytest.mark.parametrize("seed", range(4))
async def test_no_clip_is_lost_and_none_is_said_to_be_anothers_whatever_is_lost(world, seed: int) -> None:
    faults = (
        Fault(LANDED, share=0.15),
        Fault(LOST, share=0.1),
        Fault(Outcome("blank"), share=0.1),
        Fault(Outcome("late", late_after=20), share=0.1),
        Fault(Outcome("failed"), share=0.1),
    )
    w = await world(Behaviour(durations=Uniform(1, 25), append_lag=3, seed=seed, faults=faults))
    report = await w.client.upload_batch(urls(40), concurrency=1 + 4 * seed)
    assert w.ledger.paid_twice() == {}
    claims_no_more_than_is_so(w, report)


async def test_a_late_clip_of_a_timed_out_item_is_waited_for_and_told(world) -> None:
    late = Fault(Outcome("late", duration=10, late_after=20), url=one(1))
    w = await world(Behaviour(durations=Fixed(12), faults=(late,)))
    report = await w.client.upload_batch(urls(3))
    assert (report.items[1].state, report.items[1].reason) == (ItemState.TIMED_OUT, "late")
    assert report.items[1].evidence == "elimination"
    claims_no_more_than_is_so(w, report)


async def test_a_failure_that_turns_out_a_success_is_a_success(world) -> None:
    failed = Fault(Reshape({"status": "failed", "data": None}), on="status", url=one(1), times=1)
    w = await world(Behaviour(durations=Fixed(1), faults=(failed,)))
    report = await w.client.upload_batch(urls(3))
    assert report.ok
    assert report.items[1].reason is None


async def test_ids_that_no_item_can_own_are_told_and_never_sent_for(world) -> None:
    w = await world(Behaviour(durations=Fixed(5)))
    mine = asyncio.create_task(w.client.upload_batch(urls(3)))
    await asyncio.sleep(2)
    (session_id,) = w.ledger.sessions
    theirs = await w.client.upload_batch(urls(2, stem="theirs"), session_id=session_id)
    report = await mine
    assert set(report.reconciliation.unattributed) <= set(theirs.audio_ids)
    assert len(report.succeeded) == 3
    assert w.ledger.paid_twice() == {}


async def test_a_foreign_clip_beside_a_lost_one_makes_both_candidates(world) -> None:
    w = await world(Behaviour(durations=Fixed(5), faults=(Fault(LANDED, url=one(0)),)))
    mine = asyncio.create_task(w.client.upload_batch(urls(1)))
    await asyncio.sleep(1)
    (session_id,) = w.ledger.sessions
    theirs = await w.client.upload_batch(urls(1, stem="theirs"), session_id=session_id)
    report = await mine
    assert report.items[0].state is ItemState.UNKNOWN
    assert w.ledger.lost({*report.audio_ids, *theirs.audio_ids}) == ()


# ------------------------------------------------------------------------------------------- it always comes to an end
async def test_a_hole_whose_task_names_its_clip_after_all_is_closed(world) -> None:
    faults = (
        Fault(Outcome("success", duration=5), url=one(0)),
        Fault(Outcome("success", duration=20), url=one(1)),
        Fault(Reshape({"data": None}), on="status", url="*-0000[01].mp3", times=13),
    )
    w = await world(Behaviour(append_lag=45, faults=faults))
    loop = asyncio.get_running_loop()
    batch = asyncio.create_task(w.client.upload_batch(urls(2)))
    loop.call_later(3000, batch.cancel)
    await asyncio.wait([batch])
    assert not batch.cancelled(), "it never came to an end"
    claims_no_more_than_is_so(w, batch.result())


async def test_a_stop_before_an_items_first_step_ends_it_and_the_session(world) -> None:
    w = await world(Behaviour(durations=Fixed(5)))

    async def run() -> BatchReport:
        async with w.client.upload_session() as session:
            uploading = asyncio.create_task(session.upload(urls(1)[0]))
            await asyncio.sleep(0)
            session.stop_submitting()
            await asyncio.wait([uploading])
            uploading.exception()
        return session.report

    running = asyncio.create_task(run())
    assert await ended(running)
    assert states(running.result()) == ["not_submitted"]


@pytest.mark.parametrize("turns", range(6))
async def test_an_upload_that_is_cancelled_in_its_first_steps_leaves_a_session_that_ends(world, turns: int) -> None:
    w = await world(Behaviour(durations=Fixed(5)))

    async def run() -> BatchReport:
        async with w.client.upload_session() as session:
            uploading = asyncio.create_task(session.upload_all(urls(3)))
            for _ in range(turns):
                await asyncio.sleep(0)
            uploading.cancel()
            await asyncio.wait([uploading])
        return session.report

    running = asyncio.create_task(run())
    assert await ended(running)
    assert running.result().finished


async def test_a_list_that_cannot_be_read_ends_the_batch_all_the_same(world) -> None:
    async def unreadable(caller: Caller, task_id: str, *, audio_ids: int = 0) -> Any:
        return await read(caller, task_id if not audio_ids else "00000000-0000-4000-8000-000000000000")

    read = Caller.task
    w = await world(
        Behaviour(durations=Fixed(5), faults=(Fault(LOST, url="*-0000[01].mp3"),)), config=ClientConfig(settle=30)
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Caller, "task", unreadable)
        report = await w.client.upload_batch(urls(6), concurrency=1)
    assert report.finished
    assert not report.reconciliation.read
    assert states(report)[:2] == ["unknown", "unknown"]
    assert [item.reason for item in report.items[:2]] == [None, None], "nobody has seen that they are absent"
    assert w.ledger.paid_twice() == {}
    assert report.stats.elapsed < 900


@pytest.mark.parametrize("on_unknown", ["hold", "resubmit"])
async def test_a_deadline_while_things_settle_ends_it_within_the_grace(world, on_unknown: Any) -> None:
    w = await world(
        Behaviour(durations=Fixed(5), faults=(Fault(LOST, url="*-0000[01].mp3"),)), config=ClientConfig(settle=200)
    )
    report = await w.client.upload_batch(urls(6), concurrency=1, deadline=60, on_unknown=on_unknown)
    assert report.stopped == "deadline"
    assert states(report) == ["unknown"] + ["not_submitted"] * 5
    assert 60 <= report.stats.elapsed <= 81
    assert [w.ledger.posts(url) for url in urls(2)] == [1, 0]


async def test_a_deadline_while_only_the_last_one_settles_stops_nothing(world) -> None:
    w = await world(Behaviour(durations=Fixed(5), faults=(Fault(LOST, url=one(1)),)), config=ClientConfig(settle=200))
    report = await w.client.upload_batch(urls(3), deadline=60)
    assert report.stopped is None
    assert states(report) == ["succeeded", "unknown", "succeeded"]
    assert report.stats.elapsed <= 81


@pytest.mark.parametrize("on_unknown", ["hold", "resubmit", "continue"])
@pytest.mark.parametrize("moment", [1, 12, 95])
async def test_a_cancel_while_things_settle_ends_at_once_and_leaves_nothing(
    world, moment: float, on_unknown: Any
) -> None:
    w = await world(
        Behaviour(durations=Fixed(8), faults=(Fault(LOST, url="*-0000[01].mp3"),)), config=ClientConfig(settle=60)
    )
    loop, before = asyncio.get_running_loop(), ours()
    session = w.client.upload_session(concurrency=2, on_unknown=on_unknown)

    async def run() -> None:
        async with session:
            await session.upload_all(urls(6))
            await asyncio.sleep(1000)

    running = asyncio.create_task(run())
    await asyncio.sleep(moment)
    began = loop.time()
    running.cancel()
    await asyncio.wait([running])
    assert running.cancelled()
    assert loop.time() - began <= 11
    assert ours() - before == set()
    assert session.report.finished


@pytest.mark.parametrize("storm", [1, 2, 3, 10, 1000])
async def test_cancels_that_do_not_cease_end_it_and_leave_nothing(world, storm: int) -> None:
    faults = (Fault(LOST, url="*-0000[01].mp3"), Fault(Hang(), on="status", after=4))
    w = await world(Behaviour(durations=Fixed(8), faults=faults))
    before = ours()
    batch = asyncio.create_task(w.client.upload_batch(urls(6), concurrency=2))
    await asyncio.sleep(3)
    for _ in range(storm):
        batch.cancel()
        await asyncio.sleep(0)
    await asyncio.wait([batch])
    assert batch.cancelled()
    assert ours() - before == set()


# --------------------------------------------------------------------------------------------- several at a time
async def test_two_checks_at_once_send_nothing_twice_and_both_come_back(world) -> None:
    w = await world(
        Behaviour(durations=Fixed(5), faults=(Fault(LOST, url="*-0000[0].mp3", times=1),)),
        config=ClientConfig(settle=30),
    )
    async with w.client.upload_session(on_unknown="resubmit") as session:
        first, second = await asyncio.gather(session.upload_all(urls(3)), session.upload_all(urls(3)))
        assert first.finished
        assert second.finished
    assert session.report.ok
    assert [w.ledger.posts(url) for url in urls(3)] == [2, 1, 1]


async def test_all_checks_end_when_the_session_is_left(world) -> None:
    w = await world(Behaviour(durations=Fixed(2), append_lag=25))
    loop = asyncio.get_running_loop()
    with pytest.raises(KeyError):  # noqa: PT012 - the block is what is left by it
        async with w.client.upload_session() as session:
            first = asyncio.create_task(session.upload_all(urls(3)))
            await asyncio.sleep(5)
            second = asyncio.create_task(session.upload_all(urls(3)))
            await asyncio.sleep(3)
            raise KeyError
    left_at, asked = loop.time(), w.ledger.requests("status")
    events = [event async for event in session.events()]
    await asyncio.wait([first, second])
    assert loop.time() == pytest.approx(left_at, abs=0.5)
    assert w.ledger.requests("status") == asked
    assert [event async for event in session.events()] == events


async def test_a_session_that_is_left_in_the_moment_a_check_runs_out_is_left_all_the_same(world) -> None:
    w = await world(Behaviour(durations=Fixed(2), append_lag=300))
    loop = asyncio.get_running_loop()
    for early in (True, False):
        due = loop.create_future()
        session = w.client.upload_session(deadline=20)
        began = loop.time()
        if early:
            loop.call_at(began + 30, due.set_result, None)
        with pytest.raises(KeyError):  # noqa: PT012 - the block is what is left by it
            async with session:
                everything = asyncio.create_task(session.upload_all(urls(3)))
                await asyncio.sleep(6)
                if not early:
                    loop.call_at(began + 30, due.set_result, None)
                await due
                raise KeyError
        await everything
        assert session.report.finished
        assert isinstance([event async for event in session.events()][-2], Reconciled | ClipsListed | ItemSettled)


# ----------------------------------------------------------------------------------------------- bugs of our own
@pytest.mark.parametrize("nth", [1, 2])
async def test_an_error_of_our_own_in_here_comes_out_and_leaves_nothing(
    world, monkeypatch: pytest.MonkeyPatch, nth: int
) -> None:
    w = await world(
        Behaviour(durations=Fixed(8), faults=(Fault(LOST, url="*-0000[01].mp3"),)), config=ClientConfig(settle=60)
    )
    before, calls, task = ours(), 0, Caller.task

    async def broken(caller: Caller, *arguments: Any, **settings: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == nth:
            raise RuntimeError("a bug")
        return await task(caller, *arguments, **settings)

    monkeypatch.setattr(Caller, "task", broken)
    session = w.client.upload_session(concurrency=2)
    with pytest.raises(RuntimeError, match="a bug"):
        async with session:
            await session.upload_all(urls(6))
    assert session.report.finished
    assert len(w.ledger.charges) == len([item for item in session.report.items if item.task_id])
    assert ours() - before == set()


async def test_holes_at_a_closed_gate_are_told_apart_from_silence(world) -> None:
    w = await world(
        Behaviour(durations=Fixed(5), faults=(Fault(LOST, url="*-0000[0-3].mp3"),)),
        config=ClientConfig(settle=290, poll=PollPolicy(stall=600)),
    )
    report = await w.client.upload_batch(urls(8), concurrency=4)
    assert report.stopped is None
    assert states(report) == ["unknown"] * 4 + ["succeeded"] * 4


async def test_a_rejection_does_not_make_up_for_a_request_that_was_lost_before(world) -> None:
    faults = (Fault(LOST, nth=1, on="item"), Fault(Answer(400), on="item", after=1))
    w = await world(Behaviour(durations=Fixed(5), faults=faults), config=ClientConfig(settle=10))
    report = await w.client.upload_batch(urls(1), on_unknown="resubmit")
    (item,) = report.items
    assert (item.state, item.reason, item.resubmits) == (ItemState.UNKNOWN, "rejected", 1)
    assert "may or may not have been processed" in str(item.error)
    assert report.failed == ()
