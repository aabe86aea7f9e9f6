"""A batch that was cut short goes on where its journal says, pays for nothing twice, and loses nothing."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import shutil
import sqlite3
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.names import KEY, urls

from mountsea_async import (
    APIError,
    BatchReport,
    ClientConfig,
    DuplicateURLWarning,
    Event,
    InputError,
    ItemChanged,
    ItemState,
    JournalBusy,
    JournalError,
    JournalFailed,
    JournalMismatch,
    MountseaClient,
    NotSubmittedError,
    PollPolicy,
    SessionClosed,
    SessionOpened,
    UploadItem,
    read_journal,
)
from mountsea_async.testing import (
    Answer,
    Behaviour,
    Cut,
    Emulator,
    Fault,
    Fixed,
    Hang,
    Outcome,
    Uniform,
    out_of_credits,
    rate_limited,
    unauthorized,
)
from mountsea_async.upload.store import Store

SONGS = urls(20)


def states(report: BatchReport) -> list[str]:
    return [item.state.value for item in report.items]


def told(report: BatchReport) -> dict[str, Any]:
    """What a report says, but for what this run alone took."""
    said = report.to_dict()
    said.pop("stats")
    return said


def polls(w: Any, report: BatchReport) -> dict[str, int]:
    """How often each succeeded item's task was asked for."""
    return {item.task_id: w.ledger.polls_of(item.task_id) for item in report.succeeded if item.task_id}


def ours() -> set[asyncio.Task[Any]]:
    return {task for task in asyncio.all_tasks() if "RequestHandler" not in repr(task.get_coro())}


async def until(holds: Callable[[], bool]) -> None:
    for _ in range(200_000):
        if holds():
            return
        await asyncio.sleep(0)
    raise AssertionError("it never came")


def contents(folder: Path) -> list[bytes]:
    return [file.read_bytes() for file in folder.iterdir()]


def modes(folder: Path) -> dict[str, int]:
    return {file.name: stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()}


async def run_and_cancel(batch: asyncio.Task[Any], moment: float) -> None:
    await asyncio.sleep(moment)
    assert not batch.done(), "the moment comes too late to show anything"
    batch.cancel()
    await asyncio.wait([batch])


def nothing_was_lost(w: Any, report: BatchReport, entries: list[str] = SONGS) -> None:
    assert report.finished
    assert [w.ledger.posts(url) for url in entries if w.ledger.posts(url) > 1] == []
    assert w.ledger.lost(report.audio_ids) == ()
    by_clip = {charge.clip_id: charge.audio_url for charge in w.ledger.charges}
    assert all(by_clip[item.clip.id] == entries[item.index] for item in report.items if item.clip)


# -------------------------------------------------------------------------------------------------- run again
@pytest.mark.parametrize("moment", [0.5, 3, 6, 14])
async def test_after_a_cancel_the_same_call_goes_on_where_it_stopped(world, tmp_path: Path, moment: float) -> None:
    w = await world(Behaviour(durations=Uniform(1, 30), latency=1))
    call = {"journal": tmp_path / "j", "concurrency": 4}
    await run_and_cancel(asyncio.create_task(w.client.upload_batch(SONGS, **call)), moment)
    held = read_journal(tmp_path / "j")
    asked = polls(w, held)
    report = await w.client.upload_batch(SONGS, **call)
    assert report.ok
    assert asked == {task_id: w.ledger.polls_of(task_id) for task_id in asked}, "what has ended isn't asked for again"
    assert [item for item in report.items if item.clip_id][: len(held.items)]
    assert len(w.ledger.sessions) == 1 or held.session_id is None
    assert {charge.session_id for charge in w.ledger.charges} == {report.session_id}
    nothing_was_lost(w, report)


async def test_after_a_deadline_the_same_call_goes_on_where_it_stopped(world, tmp_path: Path) -> None:
    w = await world(Behaviour(durations=Fixed(20), latency=1))
    first = await w.client.upload_batch(SONGS, journal=tmp_path / "j", concurrency=3, deadline=6)
    assert {ItemState.UNDETERMINED, ItemState.NOT_SUBMITTED} <= set(first.counts)
    assert told(first) == told(read_journal(tmp_path / "j"))
    second = await w.client.upload_batch(SONGS, journal=tmp_path / "j")
    assert second.ok
    assert second.stopped is None
    assert second.session_id == first.session_id
    pending = [item for item in first.items if item.state is ItemState.UNDETERMINED]
    assert [item.task_id for item in pending] == [second.items[item.index].task_id for item in pending]
    nothing_was_lost(w, second)


async def test_a_deadline_that_ends_every_run_still_brings_each_of_them_further(world, tmp_path: Path) -> None:
    w = await world(Behaviour(durations=Fixed(4), latency=1))
    done = 0
    for _ in range(12):
        report = await w.client.upload_batch(SONGS, journal=tmp_path / "j", concurrency=3, deadline=9)
        assert len(report.succeeded) > done or report.ok
        done = len(report.succeeded)
        if report.ok:
            break
    assert report.ok
    nothing_was_lost(w, report)


STOPS: dict[str, Fault] = {
    "credits": Fault(out_of_credits(), after=7, on="item", times=20),
    "key": Fault(unauthorized(), after=7, on="item", times=20),
}


@pytest.mark.parametrize("fault", STOPS.values(), ids=STOPS)
async def test_after_a_refusal_one_request_finds_out_whether_it_still_holds(
    world, tmp_path: Path, fault: Fault
) -> None:
    w = await world(Behaviour(durations=Fixed(5), latency=0.2, faults=(fault,)))
    first = await w.client.upload_batch(SONGS, journal=tmp_path / "j", concurrency=2)
    assert len(first.not_submitted) == 13
    asked = w.ledger.requests("item")
    second = await w.client.resume_batch(tmp_path / "j")
    assert second.stopped == first.stopped
    assert w.ledger.requests("item") == asked + 1
    assert states(second) == states(first)
    w.emulator.clear_faults()
    third = await w.client.resume_batch(tmp_path / "j")
    assert third.ok
    assert w.ledger.paid_twice() == {}
    assert w.ledger.lost(third.audio_ids) == ()


async def test_after_a_stop_by_hand_it_goes_on(world, tmp_path: Path) -> None:
    w = await world(Behaviour(durations=Fixed(5), latency=1))
    async with w.client.upload_session(journal=tmp_path / "j", concurrency=2) as session:
        everything = asyncio.create_task(session.upload_all(SONGS))
        await asyncio.sleep(4)
        session.stop_submitting("enough")
        first = await everything
    assert {item.reason for item in first.not_submitted} == {"enough"}
    second = await w.client.resume_batch(tmp_path / "j")
    assert second.ok
    nothing_was_lost(w, second)


# ------------------------------------------------------------------------------------------------------- kills
def as_after_a_kill(journal: Path) -> Path:
    """The journal as a process that dies in this moment leaves it."""
    copy = journal.with_name(journal.name + "-killed")
    shutil.copy(journal, copy)
    log = journal.with_name(journal.name + "-wal")
    if log.exists():
        shutil.copy(log, copy.with_name(copy.name + "-wal"))
    return copy


async def kill(batch: asyncio.Task[Any], journal: Path) -> Path:
    """Ends a batch so that nothing which it does from now on is in the journal that is returned."""
    copy = as_after_a_kill(journal)
    while not batch.done():
        batch.cancel()
        await asyncio.sleep(0)
    return copy


@pytest.mark.parametrize("moment", [0.4, 1.7, 3.2, 5.05, 9])
async def test_after_a_kill_nothing_is_paid_twice_and_nothing_is_lost(world, tmp_path: Path, moment: float) -> None:
    faults = (Fault(Cut(after_work=True), nth=9), Fault(Outcome("failed"), nth=4), Fault(Outcome("blank"), nth=6))
    w = await world(Behaviour(durations=Uniform(1, 8), latency=0.4, faults=faults))
    batch = asyncio.create_task(w.client.upload_batch(SONGS, journal=tmp_path / "j", concurrency=4))
    await asyncio.sleep(moment)
    copy = await kill(batch, tmp_path / "j")
    flying = [item for item in read_journal(copy).items if item.state is ItemState.SUBMITTING]
    before = read_journal(copy)
    report = await w.client.resume_batch(copy, concurrency=4)
    assert all(report.items[item.index].state is ItemState.UNKNOWN for item in flying)
    assert all(report.items[item.index].state is item.state for item in before.succeeded)
    nothing_was_lost(w, report)
    assert told(await w.client.resume_batch(copy)) == told(report)


async def test_an_intent_without_an_answer_is_unknown_and_says_why(world, tmp_path: Path) -> None:
    w = await world(Behaviour(durations=Fixed(5), faults=(Fault(Hang(after_work=False), url="*-00001.mp3"),)))
    batch = asyncio.create_task(w.client.upload_batch(urls(3), journal=tmp_path / "j"))
    await asyncio.sleep(2)
    copy = await kill(batch, tmp_path / "j")
    report = await w.client.resume_batch(copy)
    assert states(report) == ["succeeded", "unknown", "succeeded"]
    assert report.items[1].reason == "interrupted"
    assert report.items[1].error is not None
    assert w.ledger.posts(urls(2)[1]) == 1


async def test_a_run_that_was_killed_while_its_session_was_prepared_has_cost_nothing(world, tmp_path: Path) -> None:
    w = await world(Behaviour(durations=Fixed(5), faults=(Fault(Hang(), on="prepare", times=1),)))
    batch = asyncio.create_task(w.client.upload_batch(urls(3), journal=tmp_path / "j"))
    await asyncio.sleep(5)
    copy = await kill(batch, tmp_path / "j")
    assert read_journal(copy).session_id is None
    report = await w.client.resume_batch(copy)
    assert report.ok
    again = await w.client.upload_batch(urls(3), journal=copy)
    assert told(again) == told(report)
    assert w.ledger.paid_twice() == {}


async def test_a_run_that_was_killed_while_it_resumed_is_resumed(world, tmp_path: Path) -> None:
    w = await world(Behaviour(durations=Fixed(20), latency=0.5))
    await run_and_cancel(asyncio.create_task(w.client.upload_batch(SONGS, journal=tmp_path / "j", concurrency=4)), 3)
    journal = tmp_path / "j"
    for _ in range(4):
        batch = asyncio.create_task(w.client.resume_batch(journal, concurrency=4))
        await asyncio.sleep(1.3)
        journal = await kill(batch, journal)
    report = await w.client.resume_batch(journal)
    nothing_was_lost(w, report)
    assert not report.not_submitted


@pytest.mark.e2e
def test_a_loop_that_is_never_run_again_is_as_good_as_killed(tmp_path: Path) -> None:
    def reached(loop: asyncio.AbstractEventLoop, holds: Callable[[], bool]) -> None:
        async def turn() -> None:
            while not holds():  # noqa: ASYNC110 - the service runs in another thread
                await asyncio.sleep(0.005)

        loop.run_until_complete(asyncio.wait_for(turn(), 20))

    behaviour = Behaviour(durations=Fixed(0.1), latency=0.02)
    with Emulator(behaviour, api_key=KEY).in_thread() as emulator:
        dead = asyncio.new_event_loop()
        client = MountseaClient(KEY, base_url=emulator.base_url)
        dead.run_until_complete(client.__aenter__())
        batch = dead.create_task(client.upload_batch(SONGS, journal=tmp_path / "j", concurrency=3))
        reached(dead, lambda: len(emulator.ledger.charges) >= 5)
        copy = as_after_a_kill(tmp_path / "j")

        async def resume() -> BatchReport:
            config = ClientConfig(settle=0.2, poll=PollPolicy(first=0.1, cap=0.2))
            async with MountseaClient(KEY, base_url=emulator.base_url, config=config) as another:
                with pytest.raises(JournalBusy):
                    await another.resume_batch(tmp_path / "j")
                return await another.resume_batch(copy, on_unknown="continue")

        report = asyncio.run(resume())
        assert emulator.ledger.paid_twice() == {}
        assert emulator.ledger.lost(report.audio_ids) == ()
        assert len(report.succeeded) >= 16
        batch.cancel()
        dead.run_until_complete(asyncio.wait([batch]))
        dead.run_until_complete(client.close())
        dead.close()


# ------------------------------------------------------------------------------------------------- idempotence
async def test_running_a_finished_journal_again_changes_nothing(world, tmp_path: Path) -> None:
    faults = (
        Fault(Outcome("failed"), url="*-00001.mp3"),
        Fault(Cut(after_work=True), url="*-00002.mp3"),
        Fault(Cut(after_work=False), url="*-00007.mp3"),
        Fault(Answer(400), url="*-00004.mp3"),
        Fault(Outcome("late", late_after=5), url="*-00005.mp3"),
    )
    w = await world(Behaviour(durations=Fixed(5), faults=faults))
    first = await w.client.upload_batch(urls(10), journal=tmp_path / "j", concurrency=1)
    asked = polls(w, first)
    items = w.ledger.requests("item")
    for _ in range(2):
        assert told(await w.client.upload_batch(urls(10), journal=tmp_path / "j")) == told(first)
        assert told(await w.client.resume_batch(tmp_path / "j")) == told(first)
    assert polls(w, first) == asked
    assert w.ledger.requests("item") == items
    assert w.ledger.summary()["sessions"] == 1


# ----------------------------------------------------------------------------------------------------- refusals
async def finished(w: Any, path: Path, entries: Any = None) -> BatchReport:
    report: BatchReport = await w.client.upload_batch(urls(3) if entries is None else entries, journal=path)
    return report


async def test_other_inputs_are_refused_by_name_and_without_their_signatures(world, tmp_path: Path) -> None:
    w = await world()
    signed = [f"{url}?sig=SECRET{number}" for number, url in enumerate(urls(3))]
    await finished(w, tmp_path / "j", signed)
    asked = w.ledger.requests()
    for entries, says in (
        (signed[:2], "3 entries, not 2"),
        ([signed[0], signed[2], signed[1]], "entry 1"),
        ([UploadItem(signed[0], key="a"), *signed[1:]], "entry 0"),
    ):
        with pytest.raises(JournalMismatch, match=says) as caught:
            await w.client.upload_batch(entries, journal=tmp_path / "j")
        assert "SECRET" not in str(caught.value)
        assert caught.value.path == str(tmp_path / "j")
    assert w.ledger.requests() == asked


async def test_a_session_id_other_than_the_journals_is_refused(world, tmp_path: Path) -> None:
    w = await world()
    first = await finished(w, tmp_path / "j")
    other = await w.client.upload_batch(urls(1, stem="other"))
    with pytest.raises(JournalMismatch, match=first.session_id):
        await w.client.upload_batch(urls(3), journal=tmp_path / "j", session_id=other.session_id)
    again = await w.client.upload_batch(urls(3), journal=tmp_path / "j", session_id=first.session_id)
    assert told(again) == told(first)


async def test_an_adopted_session_is_gone_on_with_and_its_earlier_clips_stay_apart(world, tmp_path: Path) -> None:
    w = await world(Behaviour(durations=Fixed(5), latency=1))
    adopted = await w.client.upload_batch(urls(2, stem="earlier"))
    batch = asyncio.create_task(
        w.client.upload_batch(SONGS, journal=tmp_path / "j", session_id=adopted.session_id, concurrency=3)
    )
    await run_and_cancel(batch, 6)
    report = await w.client.resume_batch(tmp_path / "j")
    assert report.ok
    assert report.session_id == adopted.session_id
    assert set(report.reconciliation.earlier) == set(adopted.audio_ids)


@pytest.mark.parametrize("content", ["missing", "empty", "a session without items"])
async def test_a_journal_with_nothing_to_go_on_with_says_so_and_stays_usable(
    world, tmp_path: Path, content: str
) -> None:
    w = await world()
    path = tmp_path / "j"
    if content == "empty":
        path.touch()
    elif content != "missing":
        async with w.client.upload_session(journal=path):
            pass
    asked = w.ledger.requests()
    with pytest.raises(JournalError):
        await w.client.resume_batch(path)
    assert w.ledger.requests() == asked
    if content != "a session without items":
        assert (await finished(w, path)).ok


async def test_two_tasks_of_one_process_do_not_work_on_one_journal(world, tmp_path: Path) -> None:
    w = await world(Behaviour(durations=Fixed(20)))
    calls = [w.client.upload_batch(urls(3), journal=tmp_path / "j") for _ in range(3)]
    results = await asyncio.gather(*calls, return_exceptions=True)
    reports = [result for result in results if isinstance(result, BatchReport)]
    assert len(reports) == 1
    assert [type(result) for result in results].count(JournalBusy) == 2
    assert reports[0].ok
    assert w.ledger.summary()["sessions"] == 1
    async with w.client.upload_session(journal=tmp_path / "j"):
        with pytest.raises(JournalBusy):
            await w.client.resume_batch(tmp_path / "j")


# ------------------------------------------------------------------------------------------- keys and duplicates
async def test_keys_and_metadata_come_back_from_the_journal(world, tmp_path: Path) -> None:
    w = await world(Behaviour(durations=Fixed(20), latency=1))
    entries = [UploadItem(url, key=f"k{n}", metadata={"n": [n, {"é": None}]}) for n, url in enumerate(SONGS)]
    batch = asyncio.create_task(w.client.upload_batch(entries, journal=tmp_path / "j", concurrency=3))
    await run_and_cancel(batch, 5)
    report = await w.client.resume_batch(tmp_path / "j")
    assert report.ok
    assert [(item.key, dict(item.metadata)) for item in report.items] == [
        (entry.key, dict(entry.metadata)) for entry in entries
    ]


async def test_a_url_signed_anew_is_sent_in_place_of_the_one_that_has_run_out(world, tmp_path: Path) -> None:
    w = await world(Behaviour(durations=Fixed(5), latency=1))

    def signed(signature: int) -> list[UploadItem]:
        return [UploadItem(f"{url}?sig={signature}", key=f"song {n}") for n, url in enumerate(urls(9))]

    batch = asyncio.create_task(w.client.upload_batch(signed(1), journal=tmp_path / "j", concurrency=2))
    await run_and_cancel(batch, 4)
    early = len(w.ledger.charges)
    report = await w.client.upload_batch(signed(2), journal=tmp_path / "j", concurrency=2)
    assert report.ok
    signatures = [charge.audio_url.rpartition("=")[2] for charge in w.ledger.charges]
    assert signatures == ["1"] * early + ["2"] * (9 - early)
    assert (await w.client.resume_batch(tmp_path / "j")).ok
    assert len(w.ledger.charges) == 9


async def test_duplicates_share_their_upload_in_every_run(world, tmp_path: Path) -> None:
    w = await world(Behaviour(durations=Fixed(10), latency=1))
    first, second = urls(2)
    entries = [first, second, first, second, first]
    with pytest.warns(DuplicateURLWarning):
        await run_and_cancel(
            asyncio.create_task(w.client.upload_batch(entries, journal=tmp_path / "j", concurrency=1)), 2.5
        )
    report = await w.client.resume_batch(tmp_path / "j")
    assert report.ok
    assert [item.duplicate_of for item in report.items] == [None, None, 0, 1, 0]
    assert (w.ledger.posts(first), w.ledger.posts(second)) == (1, 1)
    assert len(report.audio_ids) == 2


@pytest.mark.parametrize("again", ["resume", "same call", "without the flag"])
async def test_duplicates_that_are_kept_are_all_uploaded_by_whatever_run(world, tmp_path: Path, again: str) -> None:
    refusal = Fault(out_of_credits(), after=1)
    w = await world(Behaviour(durations=Fixed(5), latency=0.5, faults=(refusal,)))
    (url,) = urls(1)
    first = await w.client.upload_batch([url] * 3, keep_duplicates=True, journal=tmp_path / "j", concurrency=1)
    assert states(first) == ["succeeded", "not_submitted", "not_submitted"]
    w.emulator.clear_faults()
    if again == "resume":
        report = await w.client.resume_batch(tmp_path / "j")
    elif again == "same call":
        report = await w.client.upload_batch([url] * 3, keep_duplicates=True, journal=tmp_path / "j")
    else:
        with pytest.warns(DuplicateURLWarning):
            report = await w.client.upload_batch([url] * 3, journal=tmp_path / "j")
    assert report.ok
    assert len(set(report.audio_ids)) == 3
    assert w.ledger.charged(url) == 3


# -------------------------------------------------------------------------------------------------- retry_failed
async def test_what_has_failed_is_sent_again_only_if_asked_for(world, tmp_path: Path) -> None:
    faults = (
        Fault(Outcome("failed"), url="*-00001.mp3", times=1),
        Fault(Answer(400), url="*-00002.mp3", times=1),
        Fault(Outcome("timeout"), url="*-00003.mp3", times=1),
    )
    w = await world(Behaviour(durations=Fixed(5), faults=faults))
    first = await finished(w, tmp_path / "j", urls(5))
    assert states(first) == ["succeeded", "failed", "failed", "timed_out", "succeeded"]
    assert states(await w.client.resume_batch(tmp_path / "j")) == states(first)
    report = await w.client.resume_batch(tmp_path / "j", retry_failed=True)
    assert report.ok
    assert [item.resubmits for item in report.items] == [0, 1, 1, 1, 0]
    assert [w.ledger.posts(url) for url in urls(5)] == [1, 2, 2, 2, 1]
    assert report.session_id == first.session_id
    assert told(await w.client.resume_batch(tmp_path / "j", retry_failed=True)) == told(report)


async def test_a_failed_item_whose_clip_has_appeared_is_not_sent_again(world, tmp_path: Path) -> None:
    w = await world(
        Behaviour(durations=Fixed(5), faults=(Fault(Outcome("late", late_after=5), url="*-00001.mp3", times=1),))
    )
    await finished(w, tmp_path / "j")
    report = await w.client.resume_batch(tmp_path / "j", retry_failed=True)
    assert (report.items[1].state, report.items[1].reason) == (ItemState.TIMED_OUT, "late")
    assert w.ledger.posts(urls(2)[1]) == 1


async def test_sending_failed_and_lost_ones_again_at_once_sends_each_once(world, tmp_path: Path) -> None:
    faults = (
        Fault(Cut(after_work=False), url="*-00001.mp3", times=1),
        Fault(Outcome("failed"), url="*-00002.mp3", times=1),
    )
    w = await world(Behaviour(durations=Fixed(5), faults=faults), config=ClientConfig(settle=0))
    patient = ClientConfig(settle=300)
    async with MountseaClient(KEY, base_url=w.emulator.base_url, config=patient) as client:
        await run_and_cancel(asyncio.create_task(client.upload_batch(urls(4), journal=tmp_path / "j")), 60)
    report = await w.client.resume_batch(tmp_path / "j", retry_failed=True, on_unknown="resubmit")
    assert report.ok
    assert [w.ledger.posts(url) for url in urls(4)] == [1, 2, 2, 1]


@pytest.mark.parametrize("runs", [1, 2])
async def test_what_an_earlier_run_has_found_absent_is_sent_again_on_the_callers_word(
    world, tmp_path: Path, runs: int
) -> None:
    w = await world(Behaviour(durations=Fixed(5), faults=(Fault(Cut(after_work=False), url="*-00001.mp3", times=1),)))
    for _ in range(runs):
        held = await finished(w, tmp_path / "j")
        assert (held.items[1].state, held.items[1].reason) == (ItemState.UNKNOWN, "absent")
    report = await w.client.resume_batch(tmp_path / "j", on_unknown="resubmit")
    assert report.ok
    assert report.items[1].resubmits == 1
    assert w.ledger.posts(urls(2)[1]) == 2


async def not_sent_again_for_lack_of_credits(w: Any, path: Path) -> tuple[BatchReport, BatchReport]:
    w.emulator.add_fault(Fault(Outcome("timeout"), url="*-00001.mp3", times=1))
    w.emulator.add_fault(Fault(out_of_credits(), url="*-00001.mp3"))
    return await finished(w, path), await w.client.resume_batch(path, retry_failed=True)


async def test_a_timed_out_item_that_is_not_sent_again_after_all_keeps_its_task(world, tmp_path: Path) -> None:
    w = await world(Behaviour(durations=Fixed(5)))
    first, second = await not_sent_again_for_lack_of_credits(w, tmp_path / "j")
    assert second.items[1].task_id == first.items[1].task_id
    assert second.items[1].state is not ItemState.NOT_SUBMITTED
    assert second.items[1].reason == "credits"


async def test_a_report_says_why_an_item_was_not_sent_again_after_all(world, tmp_path: Path) -> None:
    w = await world(Behaviour(durations=Fixed(5)))
    _, second = await not_sent_again_for_lack_of_credits(w, tmp_path / "j")
    assert second.stopped == "credits"


# -------------------------------------------------------------------------------------------------- upload_session
async def test_a_session_goes_on_with_its_journal_and_shares_what_it_holds(world, tmp_path: Path) -> None:
    w = await world(Behaviour(durations=Fixed(10), latency=0.5))

    async def first_run() -> None:
        async with w.client.upload_session(journal=tmp_path / "j", concurrency=2) as session:
            await asyncio.gather(*(session.upload(UploadItem(url, metadata={"u": url})) for url in urls(6)))

    await run_and_cancel(asyncio.create_task(first_run()), 2.2)
    held = read_journal(tmp_path / "j")
    assert len(held.items) == 6
    assert {item.state for item in held.items} > {ItemState.UNDETERMINED}
    async with w.client.upload_session(journal=tmp_path / "j") as session:
        assert session.session_id == held.session_id
        clip = await session.upload(urls(1)[0])
        await session.upload(urls(1, stem="new")[0])
        seen = [item.index async for item in session.as_completed()]
    report = session.report
    assert report.items[0].clip == clip
    assert sorted(seen) == list(range(8))
    assert [item.metadata.get("u") for item in report.items[:6]] == urls(6)
    assert report.items[6].duplicate_of == 0
    assert {w.ledger.posts(url) for url in urls(6)} == {1}
    assert report.ok
    assert told(await w.client.resume_batch(tmp_path / "j")) == told(report)


async def test_a_url_signed_anew_under_its_key_shares_its_upload_in_a_session_too(world, tmp_path: Path) -> None:
    w = await world(Behaviour(durations=Fixed(5)))
    first, second = urls(2)
    clips = []
    for signature in range(3):
        async with w.client.upload_session(journal=tmp_path / "j") as session:
            clips.append(await session.upload(UploadItem(f"{first}?sig={signature}", key="a")))
    assert len(set(clips)) == 1
    async with w.client.upload_session(journal=tmp_path / "j") as session:
        other = await session.upload(UploadItem(f"{second}?sig=0", key="a"))
    assert other not in clips, "another file under the same key is another upload"
    assert len(w.ledger.charges) == 2


async def test_a_session_that_adds_to_a_batchs_journal_makes_it_its_own(world, tmp_path: Path) -> None:
    w = await world(Behaviour(durations=Fixed(5)))
    await finished(w, tmp_path / "j")
    async with w.client.upload_session(journal=tmp_path / "j") as session:
        await session.upload(urls(1, stem="more")[0])
    with pytest.raises(JournalMismatch, match=r"4 entries, not 3|upload session"):
        await finished(w, tmp_path / "j")
    report = await w.client.resume_batch(tmp_path / "j")
    assert len(report.succeeded) == 4
    assert len(w.ledger.charges) == 4


async def test_a_batch_is_not_gone_on_with_by_a_sessions_journal(world, tmp_path: Path) -> None:
    w = await world(Behaviour(durations=Fixed(5)))
    async with w.client.upload_session(journal=tmp_path / "j") as session:
        await session.upload_all(urls(3))
    with pytest.raises(JournalMismatch, match="upload session"):
        await finished(w, tmp_path / "j")


async def test_metadata_that_cannot_be_written_is_refused_by_every_way_of_adding(world, tmp_path: Path) -> None:
    w = await world()
    bad = UploadItem(urls(1)[0], metadata={"n": {1, 2}})
    with pytest.raises(InputError, match="metadata"):
        await w.client.upload_batch([bad], journal=tmp_path / "j")
    async with w.client.upload_session(journal=tmp_path / "j") as session:
        for call in (session.upload(bad), session.submit(bad), session.upload_all([bad])):
            with pytest.raises(InputError, match="metadata"):
                await call
    assert w.ledger.requests("item") == 0
    assert session.report.items == ()


# ------------------------------------------------------------------------------------------------------- secrets
async def test_signatures_are_in_the_private_file_alone_and_the_key_is_nowhere(
    world, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    faults = (
        Fault(Cut(after_work=True), nth=2),
        Fault(Answer(400, '{"message":"cannot read https://cdn.example.com/a.mp3?X-Signature=TOPSIGNATURE"}'), nth=3),
        Fault(Outcome("failed", fail_reason="GET https://cdn.example.com/a.mp3?X-Signature=TOPSIGNATURE: 403"), nth=4),
        Fault(unauthorized(), after=8),
    )
    w = await world(Behaviour(durations=Fixed(5), faults=faults))
    signed = [f"{url}?X-Signature=TOPSIGNATURE{number}" for number, url in enumerate(urls(12))]
    events: list[Event] = []
    path, places = tmp_path / "j", []
    for _ in range(2):
        batch = asyncio.create_task(w.client.upload_batch(signed, journal=path, concurrency=1, on_event=events.append))
        await asyncio.sleep(7)
        places += contents(tmp_path)
        report = await batch
    places += contents(tmp_path)
    assert any(b"TOPSIGNATURE" in content for content in places), "the journal needs it"
    assert not any(KEY.encode() in content for content in places)
    assert set(modes(tmp_path).values()) == {0o600}
    said = [repr(report), json.dumps(report.to_dict()), repr(read_journal(path)), repr(events)]
    said += [repr(item.error) + str(item.error) for item in report.items]
    said += [logging.Formatter().format(record) + repr(record.__dict__) for record in caplog.records]
    said += [json.dumps(each) for each in rows(path, "event")]
    assert not [text for text in said if "TOPSIGNATURE" in text]
    assert not [text for text in said if KEY in text]


def rows(path: Path, table: str) -> list[Any]:
    connection = sqlite3.connect(path)
    try:
        return list(connection.execute(f"SELECT * FROM {table}"))  # noqa: S608 - a table of ours
    finally:
        connection.close()


@pytest.mark.skipif(os.name != "posix", reason="modes of POSIX")
async def test_the_files_are_private_from_the_first_moment_on(world, tmp_path: Path) -> None:
    w = await world(Behaviour(durations=Fixed(5), latency=1))
    mask = os.umask(0)
    try:
        batch = asyncio.create_task(w.client.upload_batch(urls(3), journal=tmp_path / "j"))
        await asyncio.sleep(3)
        found = modes(tmp_path)
        await batch
    finally:
        os.umask(mask)
    assert {"j", "j-wal", "j.lock"} <= set(found)
    assert set(found.values()) == {0o600}


# -------------------------------------------------------------------------------------------------------- events
async def test_a_callback_hears_of_new_events_only_and_readers_of_all(world, tmp_path: Path) -> None:
    w = await world(Behaviour(durations=Fixed(10), latency=1))
    heard: list[list[Event]] = [[], []]
    await run_and_cancel(
        asyncio.create_task(
            w.client.upload_batch(SONGS, journal=tmp_path / "j", concurrency=3, on_event=heard[0].append)
        ),
        6,
    )
    async with w.client.upload_session(journal=tmp_path / "j", on_event=heard[1].append) as session:
        ended = [item async for item in session.as_completed()]
    read = [event async for event in session.events()]
    assert [event.seq for event in read] == list(range(len(read)))
    assert [repr(event) for event in read] == [repr(event) for event in heard[0] + heard[1]]
    assert isinstance(heard[1][0], SessionOpened)
    assert sorted(item.index for item in ended) == list(range(20))
    again: list[Event] = []
    await w.client.resume_batch(tmp_path / "j", on_event=again.append)
    assert not [event for event in again if isinstance(event, ItemChanged)]
    assert again[0].seq == len(read)


async def test_no_event_follows_the_last_when_the_disk_fails_at_the_very_end(
    world, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = Store.commit

    def full_at_the_end(store: Store, entries: Any, events: Any, header: Any = None) -> None:
        if any(event.kind == "session_closed" for event in events):
            raise JournalError("the disk is full", path=str(store.path))
        commit(store, entries, events, header)

    monkeypatch.setattr(Store, "commit", full_at_the_end)
    w = await world(Behaviour(durations=Fixed(5)))
    heard: list[Event] = []
    async with w.client.upload_session(journal=tmp_path / "j", on_event=heard.append) as session:
        await session.upload_all(urls(3))
    read = [event async for event in session.events()]
    assert isinstance(read[-1], SessionClosed)
    assert read == heard
    assert session.report.journal_error is not None
    monkeypatch.undo()
    assert (await w.client.resume_batch(tmp_path / "j")).ok


async def test_a_journal_that_fails_in_mid_batch_stops_it_and_what_was_paid_for_is_told(
    world, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit, full = Store.commit, False

    def failing(store: Store, *arguments: Any) -> None:
        if full:
            raise JournalError("the disk is full", path=str(store.path))
        commit(store, *arguments)

    monkeypatch.setattr(Store, "commit", failing)
    w = await world(Behaviour(durations=Fixed(10), latency=1))
    heard: list[Event] = []
    batch = asyncio.create_task(
        w.client.upload_batch(SONGS, journal=tmp_path / "j", concurrency=3, on_event=heard.append)
    )
    await asyncio.sleep(4.5)
    full = True
    report = await batch
    assert report.stopped == "journal"
    assert report.journal_error is not None
    assert len([event for event in heard if isinstance(event, JournalFailed)]) == 1
    assert len(report.succeeded) == len(w.ledger.charges)
    full = False
    again = await w.client.resume_batch(tmp_path / "j")
    nothing_was_lost(w, again)
    assert len(again.succeeded) + len(again.unknown) == 20


# ------------------------------------------------------------------------------------- entering and leaving it
async def usable(w: Any, path: Path) -> None:
    """Nobody holds the journal, and its batch can be completed."""
    report = await w.client.upload_batch(urls(3), journal=path)
    assert not report.not_submitted
    assert w.ledger.paid_twice() == {}


@pytest.mark.parametrize("times", [1, 2, 5, 1000])
async def test_a_cancel_while_the_session_is_prepared_leaves_the_journal_free(
    world, tmp_path: Path, times: int
) -> None:
    w = await world(Behaviour(durations=Fixed(5), faults=(Fault(Hang(), on="prepare", times=1),)))
    before = ours()
    batch = asyncio.create_task(w.client.upload_batch(urls(3), journal=tmp_path / "j"))
    await asyncio.sleep(3)
    for _ in range(times):
        batch.cancel()
        await asyncio.sleep(0)
    await asyncio.wait([batch])
    assert batch.cancelled()
    assert ours() - before == set()
    await usable(w, tmp_path / "j")


async def test_a_deadline_while_the_session_is_prepared_leaves_the_journal_free(world, tmp_path: Path) -> None:
    w = await world(Behaviour(durations=Fixed(5), faults=(Fault(Hang(), on="prepare", times=1),)))
    with pytest.raises(NotSubmittedError):
        await w.client.upload_batch(urls(3), journal=tmp_path / "j", deadline=5)
    await usable(w, tmp_path / "j")


@pytest.mark.parametrize("effect", [unauthorized(), out_of_credits(), Answer(500)], ids=["key", "credits", "500"])
async def test_a_refused_session_leaves_the_journal_free(world, tmp_path: Path, effect: Answer) -> None:
    w = await world(Behaviour(durations=Fixed(5), faults=(Fault(effect, on="prepare", times=10),)))
    for _ in range(2):
        with pytest.raises(APIError):
            await w.client.upload_batch(urls(3), journal=tmp_path / "j")
    w.emulator.clear_faults()
    await usable(w, tmp_path / "j")


@pytest.mark.parametrize("deadline", [None, 5.0])
async def test_a_resume_that_is_ended_while_it_reads_the_list_leaves_nothing(
    world, tmp_path: Path, deadline: float | None
) -> None:
    w = await world(Behaviour(durations=Fixed(5), faults=(Fault(Outcome("failed"), url="*-00000.mp3", times=1),)))
    await finished(w, tmp_path / "j")
    w.emulator.add_fault(Fault(Hang(), on="status", times=1))
    w.emulator.add_fault(Fault(rate_limited(3), url="*other*", times=1))
    before, heard = ours(), list[Event]()
    call = w.client.resume_batch(tmp_path / "j", retry_failed=True, on_event=heard.append, deadline=deadline)
    if deadline is None:
        await run_and_cancel(asyncio.create_task(call), 3)
    else:
        with pytest.raises(NotSubmittedError):
            await call
    assert ours() - before == set()
    count = len(heard)
    await w.client.upload_batch(urls(2, stem="other"))
    assert len(heard) == count, "it hears of nothing any more"
    await usable(w, tmp_path / "j")


class Held:
    """Files that take as long to open, or a commit that takes as long, as one likes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, name: str, *, brings: str = "") -> None:
        self.go, self.begun = threading.Event(), threading.Event()
        real = getattr(Store, name)

        def slowly(store: Store, *arguments: Any) -> Any:
            if not brings or any(brings in row.data for row in arguments[1]):
                self.begun.set()
                assert self.go.wait(20)
            return real(store, *arguments)

        monkeypatch.setattr(Store, name, slowly)


@pytest.mark.parametrize("cancels", [1, 2, 3, 50])
async def test_a_cancel_while_the_file_is_opened_leaves_the_journal_free(
    world, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cancels: int
) -> None:
    w = await world(Behaviour(durations=Fixed(5)))
    disk = Held(monkeypatch, "open")
    batch = asyncio.create_task(w.client.upload_batch(urls(3), journal=tmp_path / "j"))
    await until(disk.begun.is_set)
    for _ in range(cancels):
        batch.cancel()
        for _ in range(10):
            await asyncio.sleep(0)
    early = batch.done()
    disk.go.set()
    await asyncio.wait([batch])
    assert batch.cancelled()
    assert not early, "its file is still being opened"
    monkeypatch.undo()
    await usable(w, tmp_path / "j")


STOPPERS: dict[str, Callable[[Any, asyncio.Task[Any]], None]] = {
    "stop": lambda session, upload: session.stop_submitting(),
    "cancel": lambda session, upload: upload.cancel(),
}


@pytest.mark.parametrize("stopper", STOPPERS)
async def test_what_is_taken_back_while_its_intent_is_written_is_not_sent(
    world, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stopper: str
) -> None:
    w = await world(Behaviour(durations=Fixed(5)))
    disk = Held(monkeypatch, "commit", brings='"intend"')
    async with w.client.upload_session(journal=tmp_path / "j") as session:
        upload = asyncio.create_task(session.upload(urls(1)[0]))
        await until(disk.begun.is_set)
        STOPPERS[stopper](session, upload)
        for _ in range(10):
            await asyncio.sleep(0)
        disk.go.set()
        await asyncio.wait([upload])
        upload.cancelled() or upload.exception()
    assert states(session.report) == ["not_submitted"]
    assert w.ledger.posts(urls(1)[0]) == 0
    assert states(read_journal(tmp_path / "j")) == ["not_submitted"]


@pytest.mark.parametrize("exception", [KeyError, asyncio.CancelledError])
async def test_a_session_that_is_left_by_an_exception_leaves_the_journal_free_and_true(
    world, tmp_path: Path, exception: type[BaseException]
) -> None:
    w = await world(Behaviour(durations=Fixed(20), latency=1))
    before = ours()
    with pytest.raises(exception):  # noqa: PT012 - the block is what is left by it
        async with w.client.upload_session(journal=tmp_path / "j", concurrency=3) as session:
            everything = asyncio.create_task(session.upload_all(SONGS))
            await asyncio.sleep(6.5)
            raise exception
    await asyncio.wait([everything])
    assert ours() - before == set()
    assert told(read_journal(tmp_path / "j")) == told(session.report)
    report = await w.client.resume_batch(tmp_path / "j")
    assert report.ok
    nothing_was_lost(w, report)


async def test_tasks_that_somebody_else_cancels_leave_the_journal_free(world, tmp_path: Path) -> None:
    w = await world(Behaviour(durations=Fixed(20), latency=1))
    batch = asyncio.create_task(w.client.upload_batch(SONGS, journal=tmp_path / "j", concurrency=3))
    await asyncio.sleep(5.5)
    for task in ours() - {asyncio.current_task()}:
        task.cancel()
    await asyncio.wait([batch])
    report = await w.client.resume_batch(tmp_path / "j")
    nothing_was_lost(w, report)
    assert len(report.succeeded) + len(report.unknown) == 20


async def test_a_host_that_cancels_everything_twice_leaves_the_journal_free(world, tmp_path: Path) -> None:
    for turns in range(1, 13):
        w = await world(Behaviour(durations=Fixed(20), latency=1, faults=(Fault(Cut(after_work=True), nth=2),)))
        path = tmp_path / f"j{turns}"
        batch = asyncio.create_task(w.client.upload_batch(urls(6), journal=path, concurrency=3))
        await asyncio.sleep(4.5)
        for _ in range(2):
            for task in ours() - {asyncio.current_task()}:
                task.cancel()
            for _ in range(turns):
                await asyncio.sleep(0)
        await asyncio.wait([batch])
        await asyncio.sleep(5)
        report = await w.client.resume_batch(path)
        nothing_was_lost(w, report, urls(6))


# ---------------------------------------------------------------------------------------------------- another key
async def test_a_batch_may_go_on_with_another_key_if_its_owner_says_so(world, tmp_path: Path) -> None:
    w = await world(Behaviour(durations=Fixed(5), faults=(Fault(unauthorized(), after=4, on="item", times=20),)))
    first = await w.client.upload_batch(urls(9), journal=tmp_path / "j", concurrency=1)
    assert first.stopped == "unauthorized"
    async with Emulator(api_key=KEY + "2") as other:
        other._service = w.emulator._service
        async with MountseaClient(KEY + "2", base_url=w.emulator.base_url) as client:
            with pytest.raises(JournalMismatch, match="another API key") as caught:
                await client.resume_batch(tmp_path / "j")
            assert KEY not in str(caught.value)
        async with MountseaClient(KEY, base_url=other.base_url) as client:
            with pytest.raises(JournalMismatch, match="service at"):
                await client.upload_batch(urls(9), journal=tmp_path / "j")
    assert (await w.client.resume_batch(tmp_path / "j", accept_new_key=True)).session_id == first.session_id
