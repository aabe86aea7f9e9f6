"""What may go wrong around a supervised batch: the disk, the moment, the note, the limits. Nothing is paid twice."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from support.names import KEY, urls

from mountsea_async import (
    BatchConflict,
    BatchNotFound,
    ClientConfig,
    ConfigurationError,
    ItemState,
    JournalError,
    MountseaClient,
    Overloaded,
    PollPolicy,
    read_journal,
)
from mountsea_async.contrib import shelf
from mountsea_async.contrib.note import BatchNote, BatchState, BatchSummary
from mountsea_async.contrib.supervisor import Supervisor
from mountsea_async.testing import Answer, Behaviour, Emulator, Fault, Fixed, Outcome
from mountsea_async.upload.planned import put_note
from mountsea_async.upload.store import Store

SONGS = urls(20)
QUICK = ClientConfig(poll=PollPolicy(first=0.5, cap=1.0), settle=1.0, shutdown=1.0)


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    async with Emulator(Behaviour(durations=Fixed(3), latency=0.2), api_key=KEY) as emulator:
        yield emulator


@asynccontextmanager
async def supervising(emulator: Emulator, folder: Path, **settings: Any) -> AsyncIterator[Supervisor]:
    client = MountseaClient(KEY, base_url=emulator.base_url, config=QUICK)
    async with client, Supervisor(client, folder, **settings) as supervisor:
        yield supervisor


async def charged(emulator: Emulator, uploads: int) -> None:
    async with asyncio.timeout(60):
        while len(emulator.ledger.charges) < uploads:  # noqa: ASYNC110 - the emulator tells nobody
            await asyncio.sleep(0.05)


async def waiting(supervisor: Supervisor, batch_id: str) -> None:
    async with asyncio.timeout(600):
        while supervisor.summary(batch_id).state is not BatchState.WAITING:  # noqa: ASYNC110 - the test's own clock
            await asyncio.sleep(0.1)


def refuse(patch: pytest.MonkeyPatch, where: Any, name: str, path: Path) -> None:
    def refused(*arguments: Any, **more: Any) -> None:
        raise JournalError(f"journal {path} can't be used: disk", path=str(path)) from OSError(5, "disk")

    patch.setattr(where, name, refused)


# ------------------------------------------------------------------------------------------------------ the moment
@pytest.mark.parametrize("turns", range(8))
async def test_a_stop_that_was_answered_holds_even_if_the_shutdown_began_meanwhile(
    emulator: Emulator, tmp_path: Path, turns: int
) -> None:
    async with supervising(emulator, tmp_path, concurrency=2) as supervisor:
        made, _ = await supervisor.create(SONGS)
        await charged(emulator, 2)
        order = asyncio.ensure_future(supervisor.stop(made.id))
        for _ in range(turns):
            await asyncio.sleep(0)
        supervisor.begin_to_close()
        with suppress(Exception):
            await order
        answered = order.exception() is None
    before = len(emulator.ledger.charges)
    async with supervising(emulator, tmp_path) as supervisor:
        await supervisor.wait(made.id)
    assert not answered or len(emulator.ledger.charges) == before


async def test_closing_is_not_cut_short_so_that_nobody_else_takes_the_folder_meanwhile(
    emulator: Emulator, tmp_path: Path
) -> None:
    client = MountseaClient(KEY, base_url=emulator.base_url, config=QUICK)
    async with client:
        supervisor = await Supervisor(client, tmp_path, concurrency=2).__aenter__()
        await supervisor.create(SONGS)
        await charged(emulator, 2)
        closing = asyncio.ensure_future(supervisor.close())
        await asyncio.sleep(0)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        assert not supervisor._at_work()


# -------------------------------------------------------------------------------------------------------- the disk
async def test_a_disk_that_was_full_for_a_while_ends_no_batch(
    emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit, failing = Store.commit, [False]

    def sometimes(self: Store, entries: Any, events: Any, header: Any = None) -> None:
        if failing[0] and events:
            raise JournalError("the disk is full", path=str(self.path))
        commit(self, entries, events, header)

    monkeypatch.setattr(Store, "commit", sometimes)
    async with supervising(emulator, tmp_path, concurrency=2) as supervisor:
        made, _ = await supervisor.create(SONGS)
        await charged(emulator, 4)
        failing[0] = True
        states = []
        async with asyncio.timeout(600):
            while BatchState.WAITING not in states:
                states.append(supervisor.summary(made.id).state)
                await asyncio.sleep(0.5)
        assert BatchState.FINISHED not in states
        failing[0] = False
        report = await supervisor.wait(made.id)
    assert {item.state for item in report.items} <= {ItemState.SUCCEEDED, ItemState.UNKNOWN}
    assert {charge.clip_id for charge in emulator.ledger.charges} <= set(report.audio_ids)
    assert emulator.ledger.paid_twice() == {}


async def test_a_journal_that_the_system_withholds_stops_the_start_since_its_key_would_be_free(
    emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with supervising(emulator, tmp_path) as supervisor:
        made, _ = await supervisor.create(SONGS, idempotency_key="mine")
    with monkeypatch.context() as patch:
        refuse(patch, shelf, "read_header", tmp_path)
        with pytest.raises(JournalError, match="disk"):
            async with supervising(emulator, tmp_path):
                pass
    async with supervising(emulator, tmp_path) as supervisor:
        again, new = await supervisor.create(SONGS, idempotency_key="mine")
        assert (again.id, new) == (made.id, False)
        assert (await supervisor.wait(made.id)).ok
    assert emulator.ledger.paid_twice() == {}


async def test_a_request_that_failed_and_was_written_all_the_same_is_not_run_beside_its_repetition(
    emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = Store.create

    def lost(self: Store, *arguments: Any) -> None:
        create(self, *arguments)
        raise JournalError("the disk answered with an error, too late", path=str(self.path))

    async with supervising(emulator, tmp_path) as supervisor:
        with monkeypatch.context() as patch:
            patch.setattr(Store, "create", lost)
            patch.setattr(Path, "unlink", lambda *_, **__: (_ for _ in ()).throw(OSError(30, "read-only")))
            with pytest.raises(JournalError, match="too late"):
                await supervisor.create(SONGS, idempotency_key="mine")
        made, new = await supervisor.create(SONGS, idempotency_key="mine")
        assert new
        await charged(emulator, 5)
    async with supervising(emulator, tmp_path) as supervisor:
        assert (await supervisor.wait(made.id)).ok
        (ghost,) = (one for one in supervisor.summaries() if one.id != made.id)
        assert ghost.state is BatchState.WAITING
        assert "idempotency key" in str(ghost.error)
    assert emulator.ledger.paid_twice() == {}
    assert len(emulator.ledger.charges) == 20


async def test_a_stop_that_can_not_be_written_down_is_told_and_leaves_nothing_unattended(
    emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with supervising(emulator, tmp_path, at_once=1) as supervisor:
        first, _ = await supervisor.create(SONGS)
        second, _ = await supervisor.create(urls(3, stem="second"))
        with monkeypatch.context() as patch:
            refuse(patch, running_module(), "read_journal", tmp_path)
            with pytest.raises(JournalError, match="disk"):
                await supervisor.stop(second.id)
        assert (await supervisor.wait(first.id)).ok
        report = await supervisor.wait(second.id)
    assert [item.state for item in report.items] == [ItemState.NOT_SUBMITTED] * 3
    assert len(emulator.ledger.charges) == 20


def running_module() -> Any:
    from mountsea_async.contrib import running  # noqa: PLC0415 - only to be patched

    return running


# ------------------------------------------------------------------------------------------------------- the limits
async def test_resumes_at_once_keep_to_the_limits_as_well(emulator: Emulator, tmp_path: Path) -> None:
    async with supervising(emulator, tmp_path, at_once=3, queued=3) as supervisor:
        made = [(await supervisor.create(urls(1, stem=f"b{n}")))[0].id for n in range(6)]
        for batch_id in made:
            await supervisor.wait(batch_id)
    async with supervising(emulator, tmp_path, at_once=1, queued=1) as supervisor:
        answers = await asyncio.gather(*map(supervisor.resume, made), return_exceptions=True)
        again = await asyncio.gather(supervisor.resume(made[0]), return_exceptions=True)
        for batch_id in made:
            await supervisor.wait(batch_id)
    assert sum(isinstance(answer, BatchSummary) for answer in answers) == 2
    assert sum(isinstance(answer, Overloaded) for answer in answers) == 4
    assert isinstance(again[0], BatchConflict | Overloaded)


async def test_a_setting_that_no_session_takes_is_refused_at_once(emulator: Emulator, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="128"):
        Supervisor(MountseaClient(KEY, base_url=emulator.base_url), tmp_path, concurrency=128)


async def test_a_mistake_of_the_application_refuses_no_batch(
    emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def misused(*arguments: Any, **settings: Any) -> None:
        raise ConfigurationError("a setting is out of its range")

    with monkeypatch.context() as patch:
        patch.setattr(MountseaClient, "resume_session", misused)
        async with supervising(emulator, tmp_path) as supervisor:
            made, _ = await supervisor.create(SONGS)
            await waiting(supervisor, made.id)
    async with supervising(emulator, tmp_path) as supervisor:
        assert (await supervisor.wait(made.id)).ok


async def test_readers_who_wait_in_vain_leave_nothing_behind(emulator: Emulator, tmp_path: Path) -> None:
    async with supervising(emulator, tmp_path, at_once=1) as supervisor:
        await supervisor.create(SONGS)
        queued, _ = await supervisor.create(urls(1, stem="queued"))
        told = supervisor.watch_commits(queued.id, idle=0.01)
        idle = [await anext(told) for _ in range(50)]
        await told.aclose()
        assert idle.count(()) == 49
        assert supervisor._batches[queued.id]._waiters == []


async def test_whoever_watches_is_told_that_it_is_stopping(emulator: Emulator, tmp_path: Path) -> None:
    async with supervising(emulator, tmp_path, concurrency=2) as supervisor:
        made, _ = await supervisor.create(SONGS)
        states = []
        async for told in supervisor.watch(made.id):
            if isinstance(told, BatchSummary):
                states.append(told.state)
            elif len(emulator.ledger.charges) >= 2 and BatchState.STOPPING not in states:
                await supervisor.stop(made.id)
    assert states[-3:] == [BatchState.RUNNING, BatchState.STOPPING, BatchState.FINISHED]


# --------------------------------------------------------------------------------------------- what is kept how long
async def test_the_word_to_send_failed_items_again_survives_a_restart_and_counts_once(tmp_path: Path) -> None:
    behaviour = Behaviour(durations=Fixed(3), faults=(Fault(Outcome("failed"), url=SONGS[1]),))
    async with Emulator(behaviour, api_key=KEY) as emulator:
        async with supervising(emulator, tmp_path) as supervisor:
            made, _ = await supervisor.create(SONGS[:3])
            await supervisor.wait(made.id)
            supervisor._runner._closing = True  # the process ends before the batch has its turn
            await supervisor.resume(made.id, retry_failed=True)
            supervisor._runner._closing = False
        for _ in range(2):
            async with supervising(emulator, tmp_path) as supervisor:
                await supervisor.wait(made.id)
    assert emulator.ledger.posts(SONGS[1]) == 2


async def test_what_is_being_resumed_is_not_removed_and_what_was_removed_is_not_resumed(
    emulator: Emulator, tmp_path: Path
) -> None:
    async with supervising(emulator, tmp_path) as supervisor:
        made, _ = await supervisor.create(SONGS[:2])
        await supervisor.wait(made.id)
        batch = supervisor._batches[made.id]
        async with batch.orders:
            resuming = asyncio.ensure_future(supervisor.resume(made.id))
            await asyncio.sleep(0)
            await supervisor._remove(batch)
        with pytest.raises(BatchNotFound):
            await resuming
        kept, _ = await supervisor.create(SONGS[2:4])
        await supervisor.wait(kept.id)
        supervisor._keep = timedelta(0)
        resuming = asyncio.ensure_future(supervisor.resume(kept.id))
        await asyncio.sleep(0)
        cleaning = asyncio.ensure_future(supervisor._remove_old())
        assert (await resuming).state is BatchState.QUEUED
        await asyncio.sleep(1)
        assert read_journal(tmp_path / f"{kept.id}.journal").items
        cleaning.cancel()
        await asyncio.wait([cleaning])


@pytest.mark.parametrize(
    "damage",
    [
        {"created_at": "x"},
        {"created_at": None},
        {"created_at": 1e300},
        {"created_at": True},
        {"items": "x"},
        {"counts": None},
        {"stop": 5},
        {"idempotency_key": [1]},
        {"state": "finished", "ended_at": "x"},
        {"retry_failed": "yes"},
    ],
    ids=str,
)
async def test_a_damaged_note_hinders_no_other_batch(
    emulator: Emulator, tmp_path: Path, damage: dict[str, Any]
) -> None:
    async with supervising(emulator, tmp_path) as supervisor:
        bad, _ = await supervisor.create(SONGS[:1])
        await supervisor.wait(bad.id)
    note = json.loads(BatchNote(created_at=1.0, items=1, request="r").encode())
    put_note(tmp_path / f"{bad.id}.journal", json.dumps(note | damage))
    async with supervising(emulator, tmp_path) as supervisor:
        good, _ = await supervisor.create(SONGS[1:2])
        assert (await supervisor.wait(good.id)).ok
        assert [one.id for one in supervisor.summaries()] == [good.id]


async def test_what_the_service_said_and_where_journals_lie_is_not_told(tmp_path: Path) -> None:
    faults = (Fault(Answer(500, b"UPSTREAMBODY"), on="prepare", times=8),)
    emulator = Emulator(Behaviour(durations=Fixed(1), faults=faults), api_key=KEY)
    async with emulator, supervising(emulator, tmp_path) as supervisor:
        made, _ = await supervisor.create(SONGS[:1])
        await waiting(supervisor, made.id)
        said = supervisor.summary(made.id).error
        await supervisor.wait(made.id)
    assert said
    assert "UPSTREAMBODY" not in said
    assert str(tmp_path) not in said
