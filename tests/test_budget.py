"""`max_credits` and `price_per_item`: what a batch may cost, kept beforehand and while it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.names import urls

from mountsea_async import ConfigurationError, InputError, ItemState, NotSubmittedError
from mountsea_async.testing import Answer, Behaviour, Cut, Fault, Fixed, Outcome

TEN = urls(10)


async def test_a_batch_that_would_cost_too_much_is_refused_before_anything_is_sent(world) -> None:
    w = await world(Behaviour(durations=Fixed(2), price=7))
    with pytest.raises(InputError, match=r"10 uploads at 7 credits each cost more than max_credits=69"):
        await w.client.upload_batch(TEN, max_credits=69, price_per_item=7)
    assert w.ledger.requests() == 0
    report = await w.client.upload_batch(TEN, max_credits=70, price_per_item=7)
    assert report.ok
    assert w.ledger.spent == 70


async def test_repeated_urls_cost_what_they_are_uploaded(world) -> None:
    w = await world(Behaviour(durations=Fixed(2)))
    with pytest.warns(UserWarning, match="repeat a URL"):
        report = await w.client.upload_batch(TEN + TEN, max_credits=10, price_per_item=1)
    assert report.ok
    with pytest.raises(InputError, match="20 uploads"):
        await w.client.upload_batch(TEN + TEN, max_credits=19, price_per_item=1, keep_duplicates=True)


async def test_what_may_be_sent_again_stops_at_the_bound(world) -> None:
    w = await world(Behaviour(durations=Fixed(2), faults=(Fault(Cut(after_work=False), nth=range(1, 4)),)))
    report = await w.client.upload_batch(TEN, max_credits=11, price_per_item=1, on_unknown="resubmit", concurrency=1)
    assert report.stopped == "budget"
    assert w.ledger.requests("item") == 11  # three were lost, eight accepted
    assert len(report.succeeded) == 8
    assert {item.reason for item in report.items if item.state is not ItemState.SUCCEEDED} == {"budget"}


async def test_a_session_takes_no_more_than_it_may_cost(world) -> None:
    w = await world(Behaviour(durations=Fixed(2)))
    async with w.client.upload_session(max_credits=30, price_per_item=10) as session:
        await session.upload_all(TEN[:2])
        with pytest.raises(InputError, match="2 uploads at 10 credits each and 2 before cost more than max_credits=30"):
            await session.upload_all(TEN[2:4])
        await session.upload(TEN[2])
        with pytest.raises(InputError, match="and 3 before"):
            await session.upload(TEN[3])
        assert len(session.report.items) == 3
    assert len(w.ledger.charges) == 3


async def test_uploads_put_in_flight_together_stay_within_it(world) -> None:
    w = await world(Behaviour(durations=Fixed(2), latency=1.0))
    refused = 0
    async with w.client.upload_session(max_credits=3, price_per_item=1) as session:
        for url in TEN:
            try:
                await session.submit(url)
            except (InputError, NotSubmittedError):
                refused += 1
    assert (len(w.ledger.charges), refused) == (3, 7)


@pytest.mark.parametrize(("effect", "counts"), [(Answer(400), False), (Outcome("failed"), True)])
async def test_what_was_turned_away_costs_nothing_and_what_failed_may_have(world, effect: Any, counts: bool) -> None:
    w = await world(Behaviour(durations=Fixed(2), faults=(Fault(effect, nth=1),)))
    async with w.client.upload_session(max_credits=10, price_per_item=1) as session:
        await session.upload_all(TEN)
        if counts:
            with pytest.raises(InputError, match="and 10 before"):
                await session.upload(TEN[0])
        else:
            failed = next(item for item in session.report.items if item.state is ItemState.FAILED)
            await session.upload(failed.audio_url)


async def test_all_runs_of_a_journal_share_the_bound(world, tmp_path: Path) -> None:
    w = await world(Behaviour(durations=Fixed(2), faults=(Fault(Outcome("failed"), nth=range(1, 5)),)))
    budget: dict[str, Any] = {"max_credits": 12, "price_per_item": 1, "journal": tmp_path / "j"}
    first = await w.client.upload_batch(TEN, **budget)
    assert len(first.failed) == 4
    second = await w.client.upload_batch(TEN, retry_failed=True, concurrency=1, **budget)
    assert second.stopped == "budget"
    assert len(w.ledger.charges) == 12
    assert len(second.succeeded) == 8


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"max_credits": 10}, "price_per_item: give both"),
        ({"price_per_item": 10}, "max_credits: give both"),
        ({"max_credits": -1, "price_per_item": 1}, "max_credits=-1: give credits, a number from 0"),
        ({"max_credits": True, "price_per_item": 1}, "max_credits=True"),
        ({"max_credits": "10", "price_per_item": 1}, "max_credits='10'"),
        ({"max_credits": 10, "price_per_item": float("nan")}, "price_per_item=nan"),
    ],
)
async def test_what_is_no_bound_is_refused(world, settings: dict[str, Any], named: str) -> None:
    w = await world(Behaviour())
    with pytest.raises(ConfigurationError, match=named):
        await w.client.upload_batch(TEN, **settings)
    assert w.ledger.requests() == 0
