"""Batches outside of the calls that ask for them: taken in once, run in turn, gone on with after any kind of end."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from support.names import KEY, urls

from mountsea_async import (
    BatchConflict,
    BatchNotFound,
    BatchReport,
    ClientConfig,
    ClientStateError,
    ConfigurationError,
    InputError,
    ItemState,
    JournalBusy,
    JournalError,
    MountseaClient,
    Overloaded,
    PollPolicy,
    SessionClosed,
    SupervisorClosed,
    UploadItem,
    read_journal,
)
from mountsea_async.contrib.note import (
    BatchNote,
    BatchState,
    BatchSummary,
)
from mountsea_async.contrib.supervisor import Supervisor
from mountsea_async.testing import Answer, Behaviour, Emulator, Fault, Fixed, Uniform, out_of_credits, unauthorized
from mountsea_async.upload.events import Event
from mountsea_async.upload.store import Store

SONGS = urls(6)
QUICK = ClientConfig(poll=PollPolicy(first=0.5, cap=1.0), settle=1.0)


@asynccontextmanager
async def supervising(emulator: Emulator, folder: Path, key: str = KEY, **settings: Any) -> AsyncIterator[Supervisor]:
    client = MountseaClient(key, base_url=emulator.base_url, config=QUICK)
    async with client, Supervisor(client, folder, **settings) as supervisor:
        yield supervisor


async def reaches(supervisor: Supervisor, batch_id: str, state: BatchState) -> BatchSummary:
    """The batch's summary once it is in a state."""
    async with asyncio.timeout(3600):
        async for told in supervisor.watch(batch_id):
            if isinstance(told, BatchSummary) and told.state is state:
                return told
    raise AssertionError(f"it never was {state}")


async def in_flight(supervisor: Supervisor, batch_id: str, count: int) -> None:
    """Waits until so many items of a batch were accepted."""
    async with asyncio.timeout(3600):
        accepted = 0
        async for told in supervisor.watch(batch_id):
            accepted += getattr(told, "trigger", None) == "accept"
            if accepted >= count:
                return
    raise AssertionError("it ended before")


async def read_on(supervisor: Supervisor, batch_id: str, seen: list[Event]) -> None:
    """Reads a batch's events from where the last reader stopped."""
    after = seen[-1].seq if seen else -1
    seen.extend([told async for told in supervisor.watch(batch_id, after=after) if not isinstance(told, BatchSummary)])


def told_of(told: Event | BatchSummary) -> tuple[object, ...]:
    """What tells one event from another."""
    return type(told), *(getattr(told, name, None) for name in ("seq", "at", "index", "state"))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def states(report: BatchReport) -> list[ItemState]:
    return [item.state for item in report.items]


def all_paid_once(emulator: Emulator, songs: list[str] = SONGS) -> bool:
    return emulator.ledger.paid_twice() == {} and {charge.audio_url for charge in emulator.ledger.charges} == set(songs)


def emulated(*faults: Fault, **behaviour: Any) -> Emulator:
    return Emulator(Behaviour(**{"durations": Fixed(3)} | behaviour, faults=faults), api_key=KEY)


# ---------------------------------------------------------------------------------------------------- the main job
async def test_a_batch_is_on_disk_before_its_caller_is_answered_and_ends_without_him(tmp_path: Path) -> None:
    async with emulated() as emulator, supervising(emulator, tmp_path / "new" / "batches") as supervisor:
        made, new = await supervisor.create(SONGS)
        held = read_journal(tmp_path / "new" / "batches" / f"{made.id}.journal")
        assert new
        assert made.state is BatchState.QUEUED
        assert [item.audio_url for item in held.items] == SONGS
        report = await supervisor.wait(made.id)
        done = supervisor.summary(made.id)
    assert states(report) == [ItemState.SUCCEEDED] * 6
    assert (done.state, done.counts, done.items) == (BatchState.FINISHED, {"succeeded": 6}, 6)
    assert done.session_id == report.session_id is not None
    assert done.ended_at is not None
    assert done.ended_at > done.created_at
    assert all_paid_once(emulator)


async def test_the_report_of_a_running_batch_is_the_one_so_far(tmp_path: Path) -> None:
    async with emulated() as emulator, supervising(emulator, tmp_path) as supervisor:
        made, _ = await supervisor.create(SONGS)
        await in_flight(supervisor, made.id, 6)
        summary, report = supervisor.summary(made.id), await supervisor.report(made.id)
        assert summary.state is BatchState.RUNNING
        assert summary.counts == {"submitted": 6}
        assert states(report) == [ItemState.SUBMITTED] * 6
        await supervisor.wait(made.id)


async def test_what_can_not_be_uploaded_is_refused_and_leaves_nothing_behind(tmp_path: Path) -> None:
    async with emulated() as emulator, supervising(emulator, tmp_path, max_items=6) as supervisor:
        with pytest.raises(InputError, match="ftp"):
            await supervisor.create([*SONGS[:2], "ftp://a.example/b"])
        with pytest.raises(InputError, match="send at most 6"):
            await supervisor.create(urls(7))
        with pytest.raises(InputError, match="its metadata can't be written"):
            await supervisor.create([UploadItem(SONGS[0], metadata={"when": object()})])
        for key in ("", "k" * 256, "one\ntwo"):
            with pytest.raises(InputError, match="idempotency_key="):
                await supervisor.create(SONGS, idempotency_key=key)
        assert supervisor.summaries() == []
    assert names(tmp_path) == ["batches.lock"]
    assert not emulator.ledger.calls


async def test_batches_run_side_by_side_up_to_a_limit_wait_up_to_another_and_are_refused_beyond(tmp_path: Path) -> None:
    async with emulated() as emulator, supervising(emulator, tmp_path, at_once=2, queued=1) as supervisor:
        made = [(await supervisor.create(urls(2, stem=stem)))[0].id for stem in "abc"]
        with pytest.raises(Overloaded) as refusal:
            await supervisor.create(urls(2, stem="d"))
        await in_flight(supervisor, made[1], 2)
        assert [supervisor.summary(one).state for one in made] == ["running", "running", "queued"]
        assert [one.id for one in supervisor.summaries()] == made[::-1]
        for one in made:
            assert (await supervisor.wait(one)).ok
        later, _ = await supervisor.create(urls(2, stem="d"))
        assert (await supervisor.wait(later.id)).ok
    assert refusal.value.retry_after > 0
    assert emulator.ledger.paid_twice() == {}


@pytest.mark.parametrize(
    "wrong",
    [{"at_once": 0}, {"at_once": True}, {"queued": -1}, {"max_items": 0}, {"keep": 3600}, {"keep": timedelta(-1)}],
)
async def test_a_setting_out_of_its_range_is_named(tmp_path: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=f"{next(iter(wrong))}="):
        Supervisor(MountseaClient(KEY, base_url="http://127.0.0.1:1"), tmp_path, **wrong)


# ------------------------------------------------------------------------------------------------- the same request
async def test_the_same_key_again_gives_the_same_batch_and_pays_for_nothing(tmp_path: Path) -> None:
    async with emulated() as emulator:
        async with supervising(emulator, tmp_path) as supervisor:
            asked = [supervisor.create(SONGS, idempotency_key="mine") for _ in range(5)]
            first = await asyncio.gather(*asked)
            await supervisor.wait(first[0][0].id)
            after = await supervisor.create(SONGS, idempotency_key="mine")
        async with supervising(emulator, tmp_path) as supervisor:
            restarted = await supervisor.create(SONGS, idempotency_key="mine")
            assert len(supervisor.summaries()) == 1
    assert len({summary.id for summary, _ in (*first, after, restarted)}) == 1
    assert [new for _, new in (*first, after, restarted)] == [True, *[False] * 6]
    assert all_paid_once(emulator)


@pytest.mark.parametrize("other", ["inputs", "duplicates"])
async def test_a_key_that_comes_again_with_something_else_is_refused(tmp_path: Path, other: str) -> None:
    async with emulated() as emulator, supervising(emulator, tmp_path) as supervisor:
        made, _ = await supervisor.create(SONGS, idempotency_key="mine")
        songs = SONGS[1:] if other == "inputs" else SONGS
        with pytest.raises(BatchConflict, match=made.id):
            await supervisor.create(songs, idempotency_key="mine", keep_duplicates=other == "duplicates")


async def test_a_caller_who_leaves_while_his_batch_is_written_down_has_it_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with emulated() as emulator, supervising(emulator, tmp_path) as supervisor:
        asked = asyncio.ensure_future(supervisor.create(SONGS, idempotency_key="mine"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        found, new = await supervisor.create(SONGS, idempotency_key="mine")
        assert not new
        assert (await supervisor.wait(found.id)).ok
    assert all_paid_once(emulator)


async def test_a_batch_that_can_not_be_written_down_is_not_there_and_its_key_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Store, *arguments: Any) -> None:
        raise JournalError("the disk is full", path=str(self.path))

    async with emulated() as emulator, supervising(emulator, tmp_path) as supervisor:
        with monkeypatch.context() as patch:
            patch.setattr(Store, "create", full)
            with pytest.raises(JournalError, match="disk is full"):
                await supervisor.create(SONGS, idempotency_key="mine")
        assert supervisor.summaries() == []
        assert names(tmp_path) == ["batches.lock"]
        made, new = await supervisor.create(SONGS, idempotency_key="mine")
        assert new
        assert (await supervisor.wait(made.id)).ok
    assert all_paid_once(emulator)


# ---------------------------------------------------------------------------------------------------------- restarts
async def test_leaving_stops_submitting_and_the_next_one_goes_on_on_the_same_account(tmp_path: Path) -> None:
    songs = urls(40)
    async with emulated(latency=0.2) as emulator:
        async with supervising(emulator, tmp_path, concurrency=4) as supervisor:
            made, _ = await supervisor.create(songs)
            queued, _ = await supervisor.create(urls(2, stem="later"))
            await in_flight(supervisor, made.id, 4)
        held = read_journal(tmp_path / f"{made.id}.journal")
        assert 4 <= sum(item.task_id is not None for item in held.items) < 40
        async with supervising(emulator, tmp_path) as supervisor:
            assert [one.id for one in supervisor.summaries()] == [queued.id, made.id]
            report = await supervisor.wait(made.id)
            assert (await supervisor.wait(queued.id)).ok
    assert report.ok
    assert report.session_id == held.session_id
    assert all_paid_once(emulator, songs + urls(2, stem="later"))


async def test_what_has_ended_is_not_run_again(tmp_path: Path) -> None:
    async with emulated() as emulator:
        async with supervising(emulator, tmp_path) as supervisor:
            made, _ = await supervisor.create(SONGS)
            report = await supervisor.wait(made.id)
            before = supervisor.summary(made.id)
        calls = len(emulator.ledger.calls)
        async with supervising(emulator, tmp_path) as supervisor:
            assert supervisor.summary(made.id) == before
            assert (await supervisor.report(made.id)).items == report.items
            assert (await supervisor.wait(made.id)).items == report.items
    assert len(emulator.ledger.calls) == calls


async def test_nothing_is_taken_in_before_it_is_open_or_once_it_closes(tmp_path: Path) -> None:
    async with emulated() as emulator:
        client = MountseaClient(KEY, base_url=emulator.base_url)
        supervisor = Supervisor(client, tmp_path)
        with pytest.raises(SupervisorClosed, match="isn't open"):
            await supervisor.create(SONGS)
        async with client:
            async with supervisor:
                made, _ = await supervisor.create(SONGS)
                supervisor.begin_to_close()
                for refused in (supervisor.create(SONGS), supervisor.stop(made.id), supervisor.resume(made.id)):
                    with pytest.raises(SupervisorClosed, match="shutting down"):
                        await refused
            with pytest.raises(ClientStateError, match="entered once"):
                await supervisor.__aenter__()
        await supervisor.close()


async def test_a_folder_is_one_supervisors_at_a_time(tmp_path: Path) -> None:
    async with emulated() as emulator, supervising(emulator, tmp_path):
        with pytest.raises(JournalBusy, match="Run one worker, or give each a folder of its own") as refusal:
            async with supervising(emulator, tmp_path):
                pass
        assert "another batch of this process" in refusal.value.message
        script = "import sys, pathlib, mountsea_async.contrib.shelf as s; s.Shelf(pathlib.Path(sys.argv[1])).open()"
        tried = await asyncio.create_subprocess_exec(
            sys.executable, "-c", script, str(tmp_path), stderr=asyncio.subprocess.PIPE
        )
        _, said = await tried.communicate()
    assert f"in use by process {os.getpid()}" in said.decode()
    async with emulated() as emulator, supervising(emulator, tmp_path):
        pass  # and is free again


async def test_what_is_no_batch_of_ours_is_left_alone_and_what_was_never_written_down_is_removed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    names = iter("0123456789abcdef")
    empty, damaged, foreign, noteless = (tmp_path / f"{next(names) * 32}.journal" for _ in range(4))
    empty.touch()
    damaged.write_bytes(b"no database at all, but long enough to be looked at" * 100)
    other = tmp_path / "my own.journal"
    async with emulated() as emulator, MountseaClient(KEY, base_url=emulator.base_url) as client:
        await client.plan_batch(SONGS, journal=other)
        await client.plan_batch(SONGS, journal=noteless)
        await client.plan_batch(SONGS, journal=foreign, note='{"kind": "another program", "n": 1}')
        async with Supervisor(client, tmp_path) as supervisor:
            assert supervisor.summaries() == []
    assert not empty.exists()
    assert all(path.exists() for path in (damaged, other, foreign, noteless))
    assert [record.getMessage() for record in caplog.records if record.name == "mountsea_async"] == ["batch.unreadable"]
    assert not emulator.ledger.calls


@pytest.mark.parametrize(
    "note",
    [
        '{"kind": "mountsea supervisor"}',
        '{"kind": "mountsea supervisor", "created_at": 1e999, "items": 1, "request": ""}',
        '{"kind": "mountsea supervisor", "created_at": 1, "items": 1, "request": "", "state": "odd"}',
        "{",
        "[" * 100_000,
    ],
)
def test_a_damaged_note_is_told_as_such(note: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        BatchNote.decode(note)


def test_a_note_of_a_later_version_is_read() -> None:
    note = BatchNote(created_at=1.0, items=2, request="r", state=BatchState.FINISHED, counts={"succeeded": 2})
    assert BatchNote.decode(note.encode().replace('"items"', '"mood": "calm", "items"')) == note


# ------------------------------------------------------------------------------------------- stopping, and going on
async def test_a_stopped_batch_submits_nothing_more_and_follows_what_was_submitted(tmp_path: Path) -> None:
    songs = urls(40)
    async with emulated(latency=0.2) as emulator, supervising(emulator, tmp_path, concurrency=2) as supervisor:
        made, _ = await supervisor.create(songs)
        await in_flight(supervisor, made.id, 2)
        stopping = await supervisor.stop(made.id)
        posts = len(emulator.ledger.charges)
        report = await supervisor.wait(made.id)
        done = supervisor.summary(made.id)
        again = await supervisor.stop(made.id)
    assert stopping.state is BatchState.STOPPING
    assert (done.state, done.stopped) == (BatchState.FINISHED, "deleted")
    assert again == done
    assert report.stopped == "deleted"
    assert len(report.succeeded) == len(emulator.ledger.charges) <= posts + 2
    assert len(report.succeeded) + len(report.not_submitted) == 40


async def test_a_stop_holds_after_a_restart(tmp_path: Path) -> None:
    songs = urls(40)
    async with emulated(latency=0.2) as emulator:
        async with supervising(emulator, tmp_path, concurrency=2) as supervisor:
            made, _ = await supervisor.create(songs)
            await in_flight(supervisor, made.id, 2)
            await supervisor.stop(made.id)
        charged = len(emulator.ledger.charges)
        async with supervising(emulator, tmp_path) as supervisor:
            report = await supervisor.wait(made.id)
            assert supervisor.summary(made.id).state is BatchState.FINISHED
    assert len(emulator.ledger.charges) == charged == len(report.succeeded)
    assert len(report.not_submitted) == 40 - charged


async def test_a_batch_that_is_stopped_before_its_turn_is_never_begun(tmp_path: Path) -> None:
    async with emulated() as emulator, supervising(emulator, tmp_path, at_once=1) as supervisor:
        first, _ = await supervisor.create(SONGS)
        second, _ = await supervisor.create(urls(3, stem="never"))
        stopped = await supervisor.stop(second.id)
        report = await supervisor.report(second.id)
        seen = [told async for told in supervisor.watch(second.id)]
        assert (await supervisor.wait(first.id)).ok
    assert (stopped.state, stopped.counts) == (BatchState.FINISHED, {"not_submitted": 3})
    assert states(report) == [ItemState.NOT_SUBMITTED] * 3
    assert {item.reason for item in report.items} == {"deleted"}
    assert [type(told).__name__ for told in seen] == ["SubmitsStopped", *["ItemChanged"] * 3, "BatchSummary"]
    assert all_paid_once(emulator)


async def test_a_batch_that_ended_for_want_of_credits_goes_on_when_told_to(tmp_path: Path) -> None:
    async with (
        emulated(Fault(out_of_credits(), after=3)) as emulator,
        supervising(emulator, tmp_path, concurrency=1) as supervisor,
    ):
        made, _ = await supervisor.create(SONGS)
        with pytest.raises(BatchConflict, match="hasn't ended"):
            await supervisor.resume(made.id)
        report = await supervisor.wait(made.id)
        assert (len(report.succeeded), report.stopped) == (3, "credits")
        assert supervisor.summary(made.id).stopped == "credits"
        emulator.clear_faults()
        resumed = await supervisor.resume(made.id)
        whole = await supervisor.wait(made.id)
        ended = supervisor.summary(made.id)
    assert resumed.state is BatchState.QUEUED
    assert (resumed.stopped, resumed.ended_at) == (None, None)
    assert whole.ok
    assert whole.session_id == report.session_id
    assert (ended.state, ended.stopped, ended.counts) == (BatchState.FINISHED, None, {"succeeded": 6})
    assert all_paid_once(emulator)


async def test_what_has_failed_is_sent_again_only_when_told_to(tmp_path: Path) -> None:
    bad = Fault(Answer(400, b'{"message": "no audio"}'), url=SONGS[1], times=1)
    async with emulated(bad) as emulator, supervising(emulator, tmp_path) as supervisor:
        made, _ = await supervisor.create(SONGS)
        first = await supervisor.wait(made.id)
        await supervisor.resume(made.id)
        second = await supervisor.wait(made.id)
        await supervisor.resume(made.id, retry_failed=True)
        third = await supervisor.wait(made.id)
    assert [len(report.failed) for report in (first, second, third)] == [1, 1, 0]
    assert third.ok
    assert all_paid_once(emulator)


# ---------------------------------------------------------------------------------------------------------- refusals
@pytest.mark.parametrize(("fault", "word"), [(unauthorized, "unauthorized"), (out_of_credits, "credits")])
async def test_a_batch_that_the_service_will_not_begin_is_refused_for_good_and_nothing_was_paid(
    tmp_path: Path, fault: Any, word: str
) -> None:
    async with emulated(Fault(fault(), on="prepare")) as emulator:
        async with supervising(emulator, tmp_path) as supervisor:
            made, _ = await supervisor.create(SONGS)
            refused = await reaches(supervisor, made.id, BatchState.REFUSED)
            report = await supervisor.report(made.id)
        calls = len(emulator.ledger.calls)
        async with supervising(emulator, tmp_path) as supervisor:
            assert supervisor.summary(made.id) == refused
            await supervisor.wait(made.id)
    assert refused.stopped == word
    assert refused.error is not None
    assert report.stopped == word
    assert states(report) == [ItemState.NOT_SUBMITTED] * 6
    assert len(emulator.ledger.calls) == calls
    assert not emulator.ledger.charges


async def test_a_service_that_is_away_is_waited_for(tmp_path: Path) -> None:
    away = Fault(Answer(500, b"down"), on="prepare", times=8)
    async with emulated(away) as emulator, supervising(emulator, tmp_path) as supervisor:
        made, _ = await supervisor.create(SONGS)
        waiting = await reaches(supervisor, made.id, BatchState.WAITING)
        report = await supervisor.wait(made.id)
        assert supervisor.summary(made.id).error is None
    assert waiting.error is not None
    assert report.ok
    assert all_paid_once(emulator)


async def test_another_key_does_not_go_on_with_a_batch_unless_it_may(tmp_path: Path) -> None:
    songs = urls(40)
    async with emulated(latency=0.2) as emulator:
        async with supervising(emulator, tmp_path, concurrency=2) as supervisor:
            made, _ = await supervisor.create(songs)
            await in_flight(supervisor, made.id, 2)
        async with supervising(emulator, tmp_path, key="mk-another-key") as supervisor:
            waiting = await reaches(supervisor, made.id, BatchState.WAITING)
        charged = len(emulator.ledger.charges)
        async with Emulator(api_key="mk-another-key") as same:
            same._service = emulator._service
        async with same, supervising(same, tmp_path, key="mk-another-key", accept_new_key=True) as supervisor:
            assert (await supervisor.wait(made.id)).ok
    assert waiting.error is not None
    assert "another key" in waiting.error
    assert charged < 40
    assert all_paid_once(emulator, songs)


async def test_an_error_of_the_library_leaves_the_batch_to_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*arguments: Any, **settings: Any) -> None:
        raise RuntimeError("a bug")

    async with emulated() as emulator:
        with monkeypatch.context() as patch:
            patch.setattr(MountseaClient, "resume_session", broken)
            async with supervising(emulator, tmp_path) as supervisor:
                made, _ = await supervisor.create(SONGS)
                waiting = await reaches(supervisor, made.id, BatchState.WAITING)
        async with supervising(emulator, tmp_path) as supervisor:
            assert (await supervisor.wait(made.id)).ok
    assert waiting.error is not None
    assert "a bug" not in waiting.error
    assert "batch.crashed" in [record.getMessage() for record in caplog.records]
    assert all_paid_once(emulator)


# ---------------------------------------------------------------------------------------------------------- watching
async def test_whoever_watches_is_told_every_event_once_from_where_he_stopped_across_restarts(tmp_path: Path) -> None:
    songs, seen = urls(30), list[Event]()
    async with emulated(latency=0.1) as emulator:
        made_id = ""
        for _ in range(3):
            async with supervising(emulator, tmp_path, concurrency=3) as supervisor:
                if not made_id:
                    made_id = (await supervisor.create(songs))[0].id

                reading = asyncio.create_task(read_on(supervisor, made_id, seen))
                await in_flight(supervisor, made_id, len(emulator.ledger.charges) + 3)
            await reading
        async with supervising(emulator, tmp_path) as supervisor:
            await supervisor.wait(made_id)
            whole = [told async for told in supervisor.watch(made_id)]
            rest = [told async for told in supervisor.watch(made_id, after=seen[-1].seq)]
    assert [event.seq for event in seen] == list(range(len(seen)))
    assert [told_of(each) for each in (*seen, *rest)] == [told_of(each) for each in whole]
    assert isinstance(whole[-1], BatchSummary)
    assert whole[-1].state is BatchState.FINISHED
    assert sum(isinstance(told, SessionClosed) for told in whole) == 4
    assert all_paid_once(emulator, songs)


async def test_a_reader_who_comes_before_the_beginning_and_one_who_never_reads_hinder_nobody(
    tmp_path: Path,
) -> None:
    async with emulated() as emulator, supervising(emulator, tmp_path, at_once=1) as supervisor:
        first, _ = await supervisor.create(SONGS)
        second, _ = await supervisor.create(urls(3, stem="second"))
        early = supervisor.watch(second.id)
        idle = supervisor.watch(first.id)
        assert (await anext(early)).state is BatchState.QUEUED  # type: ignore[union-attr]
        await anext(idle)
        told = [each async for each in early]
        assert (await supervisor.report(first.id)).ok
        await idle.aclose()
    numbers = [each.seq for each in told if not isinstance(each, BatchSummary)]
    assert numbers == list(range(len(numbers)))
    assert [each.state for each in told if isinstance(each, BatchSummary)] == ["running", "finished"]


async def test_nothing_is_told_that_a_kill_could_take_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit, durable = Store.commit, [-1]

    def watched(self: Store, entries: Any, events: Any, header: Any = None) -> None:
        commit(self, entries, events, header)
        durable[0] = max([durable[0], *(event.seq for event in events)])

    monkeypatch.setattr(Store, "commit", watched)
    async with emulated() as emulator, supervising(emulator, tmp_path) as supervisor:
        made, _ = await supervisor.create(SONGS)
        async for told in supervisor.watch(made.id):
            if not isinstance(told, BatchSummary):
                assert told.seq <= durable[0]
    assert durable[0] > 12


async def test_a_snapshot_and_the_events_after_it_miss_nothing(tmp_path: Path) -> None:
    async with emulated(durations=Uniform(1, 9)) as emulator, supervising(emulator, tmp_path) as supervisor:
        made, _ = await supervisor.create(SONGS)
        before = await supervisor.snapshot(made.id)
        await in_flight(supervisor, made.id, 6)
        summary, after, report = await supervisor.snapshot(made.id)
        state = {item.index: item.state for item in report.items}
        async for told in supervisor.watch(made.id, after=after):
            if hasattr(told, "index") and hasattr(told, "state"):
                state[told.index] = told.state
        _, last, final = await supervisor.snapshot(made.id)
    assert before[1] == -1
    assert states(before[2]) == [ItemState.NEW] * 6
    assert summary.state is BatchState.RUNNING
    assert list(state.values()) == states(final)
    assert last > after


async def test_an_unknown_batch_is_told_as_such_everywhere(tmp_path: Path) -> None:
    async with emulated() as emulator, supervising(emulator, tmp_path) as supervisor:
        with pytest.raises(BatchNotFound, match="there is no batch 'x"):
            supervisor.summary("x" * 1000)
        for asked in (supervisor.report, supervisor.stop, supervisor.resume, supervisor.wait, supervisor.snapshot):
            with pytest.raises(BatchNotFound):
                await asked("../../etc/passwd")
        with pytest.raises(BatchNotFound):
            await anext(supervisor.watch("nobody"))


# ---------------------------------------------------------------------------------------------------------- clearing
async def test_what_has_ended_is_removed_after_its_time_and_its_key_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with emulated(durations=Uniform(1, 2)) as emulator:
        async with supervising(emulator, tmp_path) as supervisor:
            made, _ = await supervisor.create(SONGS, idempotency_key="mine")
            await supervisor.wait(made.id)
            ended = supervisor.summary(made.id).ended_at or 0.0
        async with supervising(emulator, tmp_path, keep=timedelta(days=1)) as supervisor:
            assert supervisor.summary(made.id).state is BatchState.FINISHED
        monkeypatch.setattr(time, "time", lambda: ended + 86_401)
        async with supervising(emulator, tmp_path, keep=None) as supervisor:
            await asyncio.sleep(10)
            assert supervisor.summary(made.id).state is BatchState.FINISHED
        async with supervising(emulator, tmp_path, keep=timedelta(days=1)) as supervisor:
            await asyncio.sleep(10)
            with pytest.raises(BatchNotFound):
                supervisor.summary(made.id)
            _, new = await supervisor.create(urls(2, stem="other"), idempotency_key="mine")
            assert new
    assert not [name for name in names(tmp_path) if name.startswith(made.id)]
