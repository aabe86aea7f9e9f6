"""A batch that is written down first and run later: nothing is sent for it, and nothing of it is lost."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from support.names import KEY, urls

from mountsea_async import (
    ClientConfig,
    ClientStateError,
    InputError,
    ItemState,
    JournalBusy,
    JournalError,
    JournalMismatch,
    MountseaClient,
    PollPolicy,
    UploadItem,
    read_journal,
)
from mountsea_async.testing import Behaviour, Emulator, Fixed
from mountsea_async.upload.planned import call_off, put_note, read_header, remove_journal
from mountsea_async.upload.store import Store

SONGS = urls(5)
QUICK = ClientConfig(poll=PollPolicy(first=0.5, cap=1.0), settle=1.0)


@asynccontextmanager
async def serving() -> AsyncIterator[tuple[Emulator, MountseaClient]]:
    emulator = Emulator(Behaviour(durations=Fixed(1)), api_key=KEY)
    async with emulator, MountseaClient(KEY, base_url=emulator.base_url, config=QUICK) as client:
        yield emulator, client


async def test_a_planned_batch_is_on_disk_costs_nothing_and_is_uploaded_when_it_is_resumed(tmp_path: Path) -> None:
    entries = [*SONGS, UploadItem("https://a.example/b?sig=1", key="last", metadata={"n": 1}), SONGS[0]]
    async with serving() as (emulator, client):
        await client.plan_batch(entries, journal=tmp_path / "j", note="mine")
        assert not emulator.ledger.calls
        planned = read_journal(tmp_path / "j")
        header = read_header(tmp_path / "j")
        report = await client.resume_batch(tmp_path / "j")
    assert [item.state for item in planned.items] == [ItemState.NEW] * 7
    assert (planned.items[6].duplicate_of, planned.items[5].metadata) == (0, {"n": 1})
    assert header is not None
    assert header.note == "mine"
    assert report.ok
    assert len(emulator.ledger.charges) == 6


async def test_a_note_stays_with_its_journal_whatever_is_written_into_it(tmp_path: Path) -> None:
    async with serving() as (_, client):
        await client.plan_batch(SONGS, journal=tmp_path / "j", note="planned")
        async with client.resume_session(tmp_path / "j", accept_new_key=True) as session:
            await session.annotate("running")
            await session.run()
        with pytest.raises(ClientStateError):
            await session.annotate("too late")
    header = read_header(tmp_path / "j")
    assert header is not None
    assert header.note == "running"
    put_note(tmp_path / "j", "ended")
    assert read_journal(tmp_path / "j").ok
    again = read_header(tmp_path / "j")
    assert again is not None
    assert (again.note, again.inputs_hash, again.fingerprint) == ("ended", header.inputs_hash, header.fingerprint)


async def test_a_plan_never_takes_the_place_of_another_file(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("not a journal, but somebody's notes")
    async with Emulator(api_key=KEY) as emulator, MountseaClient(KEY, base_url=emulator.base_url) as client:
        await client.plan_batch(SONGS, journal=tmp_path / "j")
        with pytest.raises(JournalMismatch, match="another batch's journal"):
            await client.plan_batch(SONGS[1:], journal=tmp_path / "j")
        with pytest.raises(JournalMismatch, match="is no journal"):
            await client.plan_batch(SONGS, journal=tmp_path / "text")
        with pytest.raises(JournalError, match="folder"):
            await client.plan_batch(SONGS, journal=tmp_path / "nowhere" / "j")
        with pytest.raises(InputError, match="empty"):
            await client.plan_batch([], journal=tmp_path / "none")
        with pytest.raises(InputError, match="metadata"):
            await client.plan_batch([UploadItem(SONGS[0], metadata={"x": {1}})], journal=tmp_path / "none")
    assert len(read_journal(tmp_path / "j").items) == 5
    assert (tmp_path / "text").read_text() == "not a journal, but somebody's notes"
    assert not (tmp_path / "none").exists()


async def test_what_was_called_off_is_not_submitted_and_can_be_resumed(tmp_path: Path) -> None:
    path = tmp_path / "j"
    async with serving() as (emulator, client):
        await client.plan_batch([*SONGS, SONGS[0]], journal=path)
        report = call_off(path, reason="deleted", at=1.0, note=lambda report: f"{len(report.not_submitted)} left")
        assert read_journal(path).to_dict() == report.to_dict()
        assert [item.reason for item in report.items] == ["deleted"] * 6
        assert report.stopped == "deleted"
        header = read_header(path)
        assert header is not None
        assert header.note == "6 left"
        assert not emulator.ledger.calls
        assert (await client.resume_batch(path)).ok
    assert len(emulator.ledger.charges) == 5


def test_a_journal_somebody_works_on_is_left_alone(tmp_path: Path) -> None:
    store = Store(tmp_path / "j")
    store.open()
    try:
        for attempt in (
            lambda: put_note(tmp_path / "j", "x"),
            lambda: call_off(tmp_path / "j", reason="x", at=0.0, note=str),
        ):
            with pytest.raises(JournalBusy):
                attempt()
    finally:
        store.close()
    with pytest.raises(JournalError, match="holds no batch"):
        put_note(tmp_path / "j", "x")


def test_a_journal_is_removed_with_the_files_beside_it(tmp_path: Path) -> None:
    for suffix in ("", "-wal", "-shm", ".lock"):
        (tmp_path / f"j{suffix}").touch()
    (tmp_path / "j2").touch()
    remove_journal(tmp_path / "j")
    remove_journal(tmp_path / "j")
    assert [path.name for path in tmp_path.iterdir()] == ["j2"]
