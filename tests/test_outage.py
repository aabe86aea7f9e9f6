"""Outages of seconds and of minutes: what is sent meanwhile, what is given up, and what a resume makes of it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from support.names import urls

from mountsea_async import BatchReport, ClientConfig, ItemState, NotSubmittedError, RetryPolicy
from mountsea_async.testing import Answer, Behaviour, Fault, Fixed, Hang, LoseAccount, Uniform, no_account, rate_limited

SONGS = urls(60)


async def with_outage(w: Any, begins: float, lasts: float, **settings: Any) -> BatchReport:
    """A batch of sixty, in whose course the service is away for so long."""
    batch = asyncio.create_task(w.client.upload_batch(SONGS, **settings))
    await asyncio.sleep(begins)
    await w.emulator.__aexit__(None, None, None)
    await asyncio.sleep(lasts)
    await w.emulator.__aenter__()
    report: BatchReport = await batch
    return report


def nothing_was_lost(w: Any, report: BatchReport) -> None:
    assert report.finished
    assert w.ledger.paid_twice() == {}
    assert max(w.ledger.posts(url) for url in SONGS) == 1
    assert w.ledger.lost(report.audio_ids) == ()


@pytest.mark.parametrize(("begins", "seconds"), [(0.35, 5), (2.05, 60), (0.35, 540), (2.05, 540)])
async def test_an_outage_that_ends_within_ten_minutes_leaves_nothing_unsubmitted(
    world, begins: float, seconds: float
) -> None:
    w = await world(Behaviour(durations=Uniform(2, 20), latency=0.2))
    report = await with_outage(w, begins, seconds, concurrency=4)
    assert report.stopped is None
    assert not report.not_submitted
    assert len(report.unknown) <= 4, "no more than were on their way"
    nothing_was_lost(w, report)


async def test_an_outage_that_finds_nothing_in_flight_costs_nothing_at_all(world) -> None:
    w = await world(Behaviour(durations=Uniform(2, 20), faults=(Fault(rate_limited(20), nth=30),)))
    report = await with_outage(w, 10, 60)
    assert report.ok
    assert w.ledger.paid_twice() == {}


async def test_an_outage_of_eleven_minutes_ends_the_batch_and_a_resume_completes_it(world, tmp_path: Path) -> None:
    w = await world(Behaviour(durations=Uniform(2, 20), latency=0.2))
    report = await with_outage(w, 1.3, 660, concurrency=4, journal=tmp_path / "j")
    assert report.stopped == "unreachable"
    assert len(report.not_submitted) > 20
    assert {item.reason for item in report.not_submitted} == {"unreachable"}
    assert all(isinstance(item.error, NotSubmittedError) for item in report.not_submitted)
    assert report.not_submitted[0].error.cause is not None
    assert all(item.task_id for item in report.items if item.state is ItemState.UNDETERMINED)
    again = await w.client.resume_batch(tmp_path / "j")
    assert again.stopped is None
    assert len(again.succeeded) + len(again.unknown) == 60
    nothing_was_lost(w, again)


async def test_an_outage_of_eleven_minutes_ends_before_the_service_is_back(world) -> None:
    w = await world(Behaviour(durations=Uniform(2, 20), latency=0.2))
    loop = asyncio.get_running_loop()
    batch = asyncio.create_task(w.client.upload_batch(SONGS, concurrency=4))
    await asyncio.sleep(1)
    await w.emulator.__aexit__(None, None, None)
    began = loop.time()
    report = await batch
    assert report.stopped == "unreachable"
    assert 590 <= loop.time() - began <= 700
    assert not report.reconciliation.read


@pytest.mark.parametrize("tries", [3, 20])
async def test_an_outage_costs_some_dozens_of_attempts_however_many_items_meet_it(world, tries: int) -> None:
    w = await world(Behaviour(durations=Fixed(5), latency=0.2), config=ClientConfig(retry=RetryPolicy(max_tries=tries)))
    report = await with_outage(w, 0.1, 540)
    assert report.stopped is None
    # Each item is refused once, thirty-five retries are paid for by the quota, then one probe goes at a time.
    assert sum(item.attempts for item in report.items) < 60 + 60 + 35 + 60
    nothing_was_lost(w, report)


async def test_after_an_outage_all_go_side_by_side_again(world) -> None:
    w = await world(Behaviour(durations=Fixed(5), latency=1))
    report = await with_outage(w, 2.5, 60, concurrency=16)
    assert report.stopped is None
    assert w.ledger.peak_in_flight > 8
    last = max(charge.at for charge in w.ledger.charges)
    back = min(charge.at for charge in w.ledger.charges if charge.at > 1060)
    assert last - back < 30


async def test_a_service_that_is_away_and_back_again_and_again_is_outlived(world) -> None:
    w = await world(Behaviour(durations=Fixed(5), latency=3))
    batch = asyncio.create_task(w.client.upload_batch(SONGS, concurrency=4))
    for _ in range(3):
        await asyncio.sleep(25)
        await w.emulator.__aexit__(None, None, None)
        await asyncio.sleep(100)
        await w.emulator.__aenter__()
    report = await batch
    assert report.stopped is None
    nothing_was_lost(w, report)


async def test_a_cancel_in_an_outage_ends_at_once_and_a_resume_completes_the_batch(world, tmp_path: Path) -> None:
    w = await world(Behaviour(durations=Fixed(5), latency=0.2))
    loop = asyncio.get_running_loop()
    batch = asyncio.create_task(w.client.upload_batch(SONGS, concurrency=4, journal=tmp_path / "j"))
    await asyncio.sleep(1.1)
    await w.emulator.__aexit__(None, None, None)
    await asyncio.sleep(60)
    began = loop.time()
    batch.cancel()
    await asyncio.wait([batch])
    assert loop.time() - began <= 11
    await w.emulator.__aenter__()
    report = await w.client.resume_batch(tmp_path / "j")
    assert not report.not_submitted
    nothing_was_lost(w, report)


async def test_a_deadline_in_an_outage_ends_the_batch_in_time(world) -> None:
    w = await world(Behaviour(durations=Fixed(5), latency=0.2))
    report = await with_outage(w, 1.1, 100, concurrency=4, deadline=60)
    assert report.stopped == "deadline"
    assert report.stats.elapsed <= 81
    assert w.ledger.paid_twice() == {}
    paid = {charge.task_id for charge in w.ledger.charges}
    assert {item.task_id for item in report.items if item.task_id} == paid, "each can still be asked for"


# --------------------------------------------------------------------------------------------------- no account
async def test_an_account_that_is_away_for_a_while_is_waited_for(world) -> None:
    w = await world(Behaviour(durations=Fixed(5), latency=0.2))
    batch = asyncio.create_task(w.client.upload_batch(SONGS))
    await asyncio.sleep(0.3)
    w.emulator.add_fault(Fault(no_account(), on="item"))
    await asyncio.sleep(60)
    asked = w.ledger.requests("item")
    w.emulator.clear_faults()
    report = await batch
    assert report.ok
    assert w.ledger.paid_twice() == {}
    assert asked < 60 + 60 + 100 + 20


async def test_an_account_that_stays_away_ends_the_batch_after_two_minutes(world, tmp_path: Path) -> None:
    w = await world(Behaviour(durations=Fixed(5), latency=0.2, faults=(Fault(LoseAccount(), nth=21),)))
    report = await w.client.upload_batch(SONGS, concurrency=2, journal=tmp_path / "j")
    assert report.stopped == "no_account"
    assert report.stats.elapsed < 300
    assert len(report.not_submitted) == 40
    again = await w.client.resume_batch(tmp_path / "j")
    assert again.stopped == "no_account"
    assert len(again.not_submitted) == 40
    assert again.session_id == report.session_id, "another session would be another account"


async def test_a_service_that_hangs_stops_the_rest_and_bounds_what_it_may_cost(world) -> None:
    w = await world(Behaviour(durations=Fixed(5), latency=0.2))
    batch = asyncio.create_task(w.client.upload_batch(SONGS, concurrency=4))
    await asyncio.sleep(1.3)
    w.emulator.add_fault(Fault(Hang(after_work=True), on="item"))
    report = await batch
    assert report.stopped in {"no_answers", "stalled"}
    assert len(report.unknown) <= 4 + 8
    nothing_was_lost(w, report)


async def test_a_gateway_page_for_a_minute_is_no_reason_to_send_anything_twice(world) -> None:
    w = await world(Behaviour(durations=Fixed(5), latency=0.2))
    batch = asyncio.create_task(w.client.upload_batch(SONGS, concurrency=4))
    await asyncio.sleep(1.3)
    w.emulator.add_fault(Fault(Answer(502, "<html>bad gateway</html>"), on="any"))
    await asyncio.sleep(60)
    w.emulator.clear_faults()
    report = await batch
    nothing_was_lost(w, report)
    assert len(report.unknown) < 20
