"""Faults of polls and of the session's list: what a bad answer may say about an item, and what never.

The rows are listed in `test_fault_matrix.py`; those that other modules show already are not repeated here.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import logging

import aiohttp
import pytest
from support.names import KEY, urls

from mountsea_async import BatchReport, ClientConfig, Event, ItemChanged, ItemState, PollPolicy
from mountsea_async.testing import Answer, Behaviour, Fault, Fixed, Outcome, Reshape
from mountsea_async.testing.service import Session


def states(report: BatchReport) -> list[str]:
    return [item.state.value for item in report.items]


# ------------------------------------------------------------------------------------------------------ one task
async def test_a_task_whose_polls_go_wrong_is_asked_for_less_and_less_often(world) -> None:
    trouble = Fault(Answer(500), on="status", nth=frozenset(range(1, 15)))
    w = await world(Behaviour(durations=Fixed(1), faults=(trouble,)))
    report = await w.client.upload_batch(urls(1))
    assert report.ok
    assert report.stats.poll_errors == 14
    asked = [call.at for call in w.ledger.calls if call.endpoint == "status"][:15]
    gaps = [late - early for early, late in itertools.pairwise(asked)]
    assert gaps[0] < 5
    assert all(later >= earlier / 1.1 for earlier, later in itertools.pairwise(gaps))
    assert 30 <= gaps[-1] <= 33


async def test_a_status_that_nobody_knows_is_waited_out_and_ends_undetermined_by_the_stall_rule(
    world, caplog: pytest.LogCaptureFixture
) -> None:
    strange = Fault(Reshape({"status": "Marinating", "data": None}), on="status", url="*-00001.mp3")
    w = await world(Behaviour(durations=Fixed(1), faults=(strange,)))
    with caplog.at_level(logging.WARNING, logger="mountsea_async"):
        report = await w.client.upload_batch(urls(3))
    assert states(report) == ["succeeded", "undetermined", "succeeded"]
    assert report.items[1].reason == "stalled"
    assert 600 <= report.stats.elapsed < 700
    assert [r.message for r in caplog.records].count("task.unknown_status") == 1
    assert w.ledger.lost(report.audio_ids) == ()


async def test_a_success_stays_one_whatever_the_service_says_afterwards(world) -> None:
    regression = Fault(Reshape({"status": "running", "data": None}), on="status", url="*.mp3", after=2)
    w = await world(Behaviour(durations=Fixed(1), faults=(regression,)))
    async with w.client.upload_session() as session:
        report = await session.upload_all(urls(2))
        assert states(report) == ["succeeded"] * 2
        await asyncio.sleep(600)
    assert session.report.items == report.items
    assert {w.ledger.polls_of(item.task_id) for item in report.items} == {1}


async def test_a_status_that_goes_back_before_the_end_is_no_end(world) -> None:
    back = Fault(Reshape({"status": "queued"}), on="status", nth=frozenset({3, 4}))
    w = await world(Behaviour(durations=Fixed(20), faults=(back,)))
    report = await w.client.upload_batch(urls(1))
    assert report.ok


async def test_a_failure_that_turns_out_a_success_is_a_success(world, caplog: pytest.LogCaptureFixture) -> None:
    mistake = Fault(Reshape({"status": "failed", "data": None}), on="status", url="*-00000.mp3", times=1)
    w = await world(Behaviour(durations=Fixed(1), faults=(mistake,)))
    with caplog.at_level(logging.WARNING, logger="mountsea_async"):
        report = await w.client.upload_batch(urls(2))
    assert w.ledger.posts(urls(2)[0]) == 1
    assert w.ledger.lost(report.audio_ids) == ()
    assert states(report) == ["succeeded", "succeeded"]
    assert report.items[0].evidence == "task"
    assert caplog.records, "an anomaly is told"


async def test_a_clip_of_a_task_that_said_failed_is_not_lost(world) -> None:
    mistake = Fault(Reshape({"status": "failed", "data": None}), on="status", url="*-00000.mp3")
    w = await world(Behaviour(durations=Fixed(1), faults=(mistake,)))
    report = await w.client.upload_batch(urls(2))
    assert w.ledger.posts(urls(2)[0]) == 1
    assert w.ledger.lost(report.audio_ids) == ()
    assert not report.ok or states(report) == ["succeeded"] * 2


async def test_a_success_without_a_clip_is_asked_for_a_bounded_time_and_its_clip_sought_by_elimination(world) -> None:
    w = await world(Behaviour(durations=Fixed(1), faults=(Fault(Outcome("blank", duration=1), url="*-00001.mp3"),)))
    report = await w.client.upload_batch(urls(3))
    item = report.items[1]
    assert w.ledger.polls_of(item.task_id) >= 3
    assert report.stats.elapsed < 150
    (paid,) = [charge for charge in w.ledger.charges if charge.audio_url == urls(3)[1]]
    assert (item.state, item.reason) == (ItemState.UNKNOWN, "success_without_clip")
    assert (item.clip_id, item.evidence) == (paid.clip_id, "elimination")


LATE = {
    "failed, landed at the check": ("failed", 0.2),
    "timed out, landed at the check": ("timeout", 0.2),
    "timed out, lands while things settle": ("timeout", 5.0),
}


@pytest.mark.parametrize(("ends", "after"), LATE.values(), ids=LATE)
async def test_clips_that_land_after_their_tasks_had_ended_are_reported_and_nothing_is_sent_again(
    world, ends: str, after: float
) -> None:
    share = {"fail_share": 1.0} if ends == "failed" else {"timeout_share": 1.0}
    w = await world(Behaviour(durations=Fixed(1), late_after=after, **share))
    report = await w.client.upload_batch(urls(4))
    assert set(states(report)) == {"failed" if ends == "failed" else "timed_out"}
    assert [w.ledger.posts(url) for url in urls(4)] == [1] * 4
    assert sorted(report.audio_ids) == sorted(charge.clip_id for charge in w.ledger.charges)
    assert not report.ok


async def test_an_accepted_task_that_is_not_found_at_first_is_given_half_a_minute(world) -> None:
    unseen = Fault(Answer(404), on="status", nth=frozenset(range(1, 7)))
    w = await world(Behaviour(durations=Fixed(1), faults=(unseen,)))
    report = await w.client.upload_batch(urls(1))
    assert report.ok
    accepted = next(call.at for call in w.ledger.calls if call.endpoint == "item")
    unknown = [call.at for call in w.ledger.calls if call.status == 404]
    assert unknown[-1] - accepted >= 25


# ---------------------------------------------------------------------------------------------- the session's list
async def test_a_list_that_repeats_an_id_counts_it_once_and_says_so(world, monkeypatch: pytest.MonkeyPatch) -> None:
    once = Session.audio_ids
    monkeypatch.setattr(Session, "audio_ids", lambda self, now: [*once(self, now), *once(self, now)])
    w = await world(Behaviour(durations=Fixed(1)))
    report = await w.client.upload_batch(urls(3))
    assert states(report) == ["succeeded"] * 3
    assert len(report.audio_ids) == len(set(report.audio_ids)) == 3
    assert set(report.reconciliation.duplicated) == set(report.audio_ids)
    assert not report.reconciliation.consistent


async def test_a_second_task_that_the_server_made_of_one_request_is_reported_beside_the_first(world) -> None:
    w = await world(Behaviour(durations=Fixed(10)))
    url = urls(3)[1]
    twice: list[asyncio.Task[None]] = []

    async def again(session_id: str) -> None:
        """What a gateway does that repeats a request by itself."""
        async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {KEY}"}) as http:
            where = f"{w.emulator.base_url}/suno/v2/audio/upload/session/item"
            async with http.post(where, json={"sessionId": session_id, "audioUrl": url}) as response:
                assert response.status == 201

    def watch(event: Event) -> None:
        if isinstance(event, ItemChanged) and event.index == 1 and event.state is ItemState.SUBMITTED:
            twice.append(asyncio.get_running_loop().create_task(again(w.ledger.sessions[0])))

    report = await w.client.upload_batch(urls(3), on_event=watch)
    assert len(twice) == 1
    await twice[0]
    ours = [c for c in w.ledger.calls if c.audio_url == url and c.headers["user-agent"].startswith("mountsea-async/")]
    assert [call.endpoint for call in ours].count("item") == 1
    assert states(report) == ["succeeded"] * 3
    both = {charge.clip_id for charge in w.ledger.charges if charge.audio_url == url}
    assert len(both) == 2
    assert both <= set(report.audio_ids)
    assert len(report.reconciliation.unattributed) == 1


# ----------------------------------------------------------------------------------------------------------- sizes
async def test_polls_that_are_always_too_large_end_by_the_stall_rule_and_disturb_no_other_item(world) -> None:
    flood = Fault(Answer(200, "x" * 2_000_000), on="status", url="*-00001.mp3")
    w = await world(Behaviour(durations=Fixed(1), faults=(flood,)))
    report = await w.client.upload_batch(urls(3))
    assert states(report) == ["succeeded", "undetermined", "succeeded"]
    assert report.items[1].reason == "stalled"
    assert w.ledger.polls_of(report.items[1].task_id) < 100
    assert w.ledger.lost(report.audio_ids) == ()


async def test_a_list_of_a_million_ids_is_not_read_into_memory_and_leaves_the_items_as_they_are(world) -> None:
    ids = [f"{number:036}" for number in range(1_000_000)]
    body = json.dumps({"status": "success", "data": {"audioIds": ids}})
    faults = (Fault(Answer(200, body), on="status", after=3),)
    tasks_first = ClientConfig(poll=PollPolicy(strategy="backoff"))
    w = await world(Behaviour(durations=Fixed(1), faults=faults), config=tasks_first)
    report = await w.client.upload_batch(urls(3))
    assert states(report) == ["succeeded"] * 3
    assert not report.reconciliation.read
    assert len(report.audio_ids) == 3
    assert w.ledger.requests("status") < 60, "tried a few times only"
