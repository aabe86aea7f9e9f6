"""Faults around the journal: kills, cancels, full disks, two processes, and journals that belong to something else.

Real files and, where a process dies, real processes. The rows are listed in `test_fault_matrix.py`.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from support.names import KEY, urls

from mountsea_async import (
    BatchReport,
    ClientConfig,
    Event,
    ItemChanged,
    ItemState,
    JournalBusy,
    JournalMismatch,
    MountseaClient,
    PollPolicy,
    UploadItem,
    read_journal,
)
from mountsea_async.testing import (
    Behaviour,
    Cut,
    Emulator,
    Fault,
    Fixed,
    Hang,
    Reshape,
    Uniform,
    out_of_credits,
    unauthorized,
)
from mountsea_async.testing.ledger import Recorder
from mountsea_async.upload.store import Store

BOUND = 90.0
QUICK = ClientConfig(poll=PollPolicy(first=0.05, cap=0.2), settle=0.5)


def states(report: BatchReport) -> list[str]:
    return [item.state.value for item in report.items]


def until(holds: Callable[[], Any], what: str) -> None:
    end = time.monotonic() + BOUND
    while not holds():
        assert time.monotonic() < end, f"not in time: {what}"
        time.sleep(0.002)


def same_apart_from_time(first: BatchReport, second: BatchReport) -> bool:
    """Whether two reports say the same of every item and every clip."""
    one, other = (report.to_dict() for report in (first, second))
    return all(one[name] == other[name] for name in ("session_id", "audio_ids", "items", "reconciliation"))


# ------------------------------------------------------------------------------------------ killed at a given point
CHILD = """
import asyncio, json, os, resource, signal, sys

from mountsea_async import ClientConfig, MountseaClient, PollPolicy
from mountsea_async.upload.store import Store
from mountsea_async.wire.transport import Transport

moment, journal, urls = sys.argv[1], sys.argv[2], sys.argv[3:]
commit, send = Store.commit, Transport.send
failures = 0


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def brings(events, kind, trigger=None):
    facts = [(event.kind, event.index, json.loads(event.data).get("trigger")) for event in events]
    return (kind, 2, trigger) in facts if trigger else any(fact[0] == kind for fact in facts)


def limit(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


def watched_commit(self, entries, events, header=None):
    global failures
    intent, task = brings(events, "item_changed", "intend"), brings(events, "item_changed", "accept")
    if moment == "before the intent is durable" and intent:
        first = min(event.seq for event in events if event.index == 2)
        commit(self, entries, [event for event in events if event.seq < first], header)
        die()
    if moment == "before the task id is durable" and task:
        die()
    if moment == "before the verdict is durable" and brings(events, "reconciled"):
        die()
    if moment == "disk full at the intent" and intent or moment.startswith("disk full at the task id") and task:
        if not failures:
            limit(os.path.getsize(journal + "-wal"))
    try:
        commit(self, entries, events, header)
    except Exception:
        failures += 1
        if moment.endswith("for a while") and failures == 3:
            limit(resource.RLIM_INFINITY)
        raise
    if moment == "after the verdict is durable" and brings(events, "reconciled"):
        die()


async def watched_send(self, request, flight=None):
    if moment == "before the first byte" and request.paid and urls[2].encode() in request.body:
        die()
    return await send(self, request, flight)


async def main():
    config = ClientConfig(poll=PollPolicy(first=0.05, cap=0.2), settle=0.5)
    async with MountseaClient(config=config) as client:
        report = await client.upload_batch(urls, journal=journal, concurrency=1)
    print(json.dumps({"failures": failures, "journal_error": str(report.journal_error or ""), **report.to_dict()}))


Store.commit, Transport.send = watched_commit, watched_send
asyncio.run(main())
"""


@contextmanager
def child(emulator: Emulator, moment: str, journal: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that uploads five URLs one by one and meets its fate at the third."""
    environment = {**os.environ, "MOUNTSEA_API_KEY": KEY, "MOUNTSEA_BASE_URL": emulator.base_url}
    command = [sys.executable, "-c", CHILD, moment, str(journal), *urls(5)]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def killed(emulator: Emulator, moment: str, journal: Path) -> None:
    """Runs the process until it has killed itself."""
    with child(emulator, moment, journal) as process:
        _, err = process.communicate(timeout=BOUND)
        assert process.returncode == -signal.SIGKILL, err.decode()


def resumed(emulator: Emulator, journal: Path, **settings: Any) -> BatchReport:
    """Goes on with a journal in this process."""

    async def main() -> BatchReport:
        async with MountseaClient(KEY, base_url=emulator.base_url, config=QUICK) as client:
            return await client.resume_batch(journal, **settings)

    return asyncio.run(main())


def emulator_of(*faults: Fault) -> Any:
    return Emulator(Behaviour(durations=Fixed(0.05), faults=faults), api_key=KEY).in_thread()


THIRD = urls(5)[2]


@pytest.mark.e2e
def test_killed_before_the_intent_was_durable_the_item_is_new_and_sent_once_by_the_resume(tmp_path: Path) -> None:
    journal = tmp_path / "batch.journal"
    with emulator_of() as emulator:
        killed(emulator, "before the intent is durable", journal)
        assert emulator.ledger.posts(THIRD) == 0
        assert states(read_journal(journal))[2:] == ["new"] * 3
        report = resumed(emulator, journal)
        assert report.ok
        assert [emulator.ledger.posts(url) for url in urls(5)] == [1] * 5
        assert {charge.session_id for charge in emulator.ledger.charges} == {report.session_id}


@pytest.mark.e2e
def test_killed_after_the_intent_and_before_a_byte_the_item_is_held_until_its_owner_says_otherwise(
    tmp_path: Path,
) -> None:
    journal = tmp_path / "batch.journal"
    with emulator_of() as emulator:
        killed(emulator, "before the first byte", journal)
        assert states(read_journal(journal))[2] in ("submitting", "unknown")
        report = resumed(emulator, journal)
        assert states(report) == ["succeeded", "succeeded", "unknown", "succeeded", "succeeded"]
        assert emulator.ledger.posts(THIRD) == 0, "what may have been paid is not sent again by itself"
        assert report.items[2].clip is None


@pytest.mark.e2e
@pytest.mark.parametrize("runs", [1, 2])
def test_killed_after_the_intent_and_before_a_byte_the_item_is_sent_again_on_its_owners_word(
    tmp_path: Path, runs: int
) -> None:
    journal = tmp_path / "batch.journal"
    with emulator_of() as emulator:
        killed(emulator, "before the first byte", journal)
        if runs == 2:
            assert states(resumed(emulator, journal))[2] == "unknown"
        again = resumed(emulator, journal, on_unknown="resubmit")
        assert again.ok
        assert [emulator.ledger.posts(url) for url in urls(5)] == [1] * 5


@pytest.mark.e2e
def test_killed_between_the_request_and_its_answer_the_clip_is_found_in_the_list(tmp_path: Path) -> None:
    journal = tmp_path / "batch.journal"
    with emulator_of(Fault(Hang(after_work=True), url=THIRD, times=1)) as emulator:
        with child(emulator, "never", journal) as process:
            until(lambda: emulator.ledger.charged(THIRD), "the third upload is charged")
            process.kill()
            assert process.wait(BOUND) == -signal.SIGKILL
        held_and_found(emulator, resumed(emulator, journal))


@pytest.mark.e2e
def test_killed_between_the_answer_and_its_task_id_the_clip_is_found_in_the_list(tmp_path: Path) -> None:
    journal = tmp_path / "batch.journal"
    with emulator_of() as emulator:
        killed(emulator, "before the task id is durable", journal)
        assert emulator.ledger.posts(THIRD) == 1
        held_and_found(emulator, resumed(emulator, journal))


def held_and_found(emulator: Emulator, report: BatchReport) -> None:
    """The third item's outcome was lost with the process; its clip isn't."""
    (paid,) = [charge for charge in emulator.ledger.charges if charge.audio_url == THIRD]
    lost = report.items[2]
    assert [emulator.ledger.posts(url) for url in urls(5)] == [1] * 5
    assert states(report) == ["succeeded", "succeeded", "unknown", "succeeded", "succeeded"]
    assert (lost.clip_id, lost.evidence) == (paid.clip_id, "elimination")
    assert emulator.ledger.lost(report.audio_ids) == ()


@pytest.mark.e2e
@pytest.mark.parametrize("moment", ["before the verdict is durable", "after the verdict is durable"])
def test_killed_while_it_reconciles_every_later_run_says_the_same_and_sends_nothing(
    tmp_path: Path, moment: str
) -> None:
    journal = tmp_path / "batch.journal"
    with emulator_of(Fault(Cut(after_work=True), url=THIRD)) as emulator:
        killed(emulator, moment, journal)
        first = resumed(emulator, journal)
        second, third = resumed(emulator, journal), resumed(emulator, journal)
        held_and_found(emulator, first)
        assert same_apart_from_time(first, second)
        assert same_apart_from_time(second, third)
        assert same_apart_from_time(third, read_journal(journal))


# ---------------------------------------------------------------------------------------------------- full disks
def ran(emulator: Emulator, moment: str, journal: Path) -> dict[str, Any]:
    """Runs the process to its end. Returns its report."""
    with child(emulator, moment, journal) as process:
        out, err = process.communicate(timeout=BOUND)
        assert process.returncode == 0, err.decode()
        assert b"Traceback" not in err
        printed: dict[str, Any] = json.loads(out)
        return printed


@pytest.mark.e2e
def test_a_disk_that_is_full_at_an_intent_keeps_the_request_back_and_loses_nothing(tmp_path: Path) -> None:
    journal = tmp_path / "batch.journal"
    with emulator_of() as emulator:
        report = ran(emulator, "disk full at the intent", journal)
        assert report["failures"] >= 1
        assert [item["state"] for item in report["items"]] == ["succeeded"] * 2 + ["not_submitted"] * 3
        assert report["stopped"] == "journal"
        assert str(journal) in report["journal_error"]
        assert [emulator.ledger.posts(url) for url in urls(5)] == [1, 1, 0, 0, 0]
        again = resumed(emulator, journal)
        assert not again.not_submitted
        assert [emulator.ledger.posts(url) for url in urls(5)] == [1] * 5
        assert emulator.ledger.lost(again.audio_ids) == ()


@pytest.mark.e2e
def test_a_disk_that_is_full_at_a_task_id_loses_no_clip_that_was_paid_for(tmp_path: Path) -> None:
    journal = tmp_path / "batch.journal"
    with emulator_of() as emulator:
        report = ran(emulator, "disk full at the task id", journal)
        assert [item["state"] for item in report["items"]] == ["succeeded"] * 3 + ["not_submitted"] * 2
        assert report["items"][2]["task_id"] in {charge.task_id for charge in emulator.ledger.charges}
        assert emulator.ledger.lost(report["audio_ids"]) == ()
        assert report["journal_error"]
        again = resumed(emulator, journal)
        assert [emulator.ledger.posts(url) for url in urls(5)] == [1] * 5
        assert emulator.ledger.lost(again.audio_ids) == ()


@pytest.mark.e2e
def test_a_task_id_that_could_not_be_written_for_a_while_is_written_then(tmp_path: Path) -> None:
    journal = tmp_path / "batch.journal"
    with emulator_of(Fault(Hang(seconds=3), on="status", url=THIRD, times=1)) as emulator:
        report = ran(emulator, "disk full at the task id for a while", journal)
        assert report["failures"] == 3
        held = read_journal(journal)
        assert held.items[2].task_id == report["items"][2]["task_id"]
        assert held.items[2].state is ItemState.SUCCEEDED


# ------------------------------------------------------------------------------------------------------- power loss
async def test_an_intent_survives_whatever_a_power_loss_does_to_what_was_not_synced(
    world, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = tmp_path / "batch.journal"
    arrived, found = Recorder.arrived, dict[str, ItemState]()

    def witness(self: Recorder, call: Any) -> int:
        """The power goes as a request arrives: the tail of the log is garbage, its index is gone."""
        if call.endpoint == "item":
            copy = tmp_path / f"copy-{len(found)}"
            shutil.copy(journal, copy)
            log = journal.with_name(journal.name + "-wal").read_bytes()
            copy.with_name(copy.name + "-wal").write_bytes(log + bytes(range(256)) * 20)
            after = read_journal(copy)
            found[call.audio_url] = after.items[urls(20).index(call.audio_url)].state
        return arrived(self, call)

    monkeypatch.setattr(Recorder, "arrived", witness)
    w = await world(Behaviour(durations=Fixed(5), latency=0.1))
    report = await w.client.upload_batch(urls(20), journal=journal, concurrency=5)
    assert report.ok
    assert set(found) == set(urls(20))
    assert not set(found.values()) & {ItemState.NEW, ItemState.NOT_SUBMITTED}


def test_what_is_acknowledged_was_synced(tmp_path: Path) -> None:
    store = Store(tmp_path / "batch.journal")
    store.open()
    try:
        assert store._connection is not None
        assert store._connection.execute("PRAGMA synchronous").fetchone() == (2,), "FULL"
        assert store._connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    finally:
        store.close()


# ----------------------------------------------------------------------------------------------------------- cancels
MOMENTS = [round(0.05 + 0.31 * number, 2) for number in range(16)]


@pytest.mark.parametrize("moment", MOMENTS)
async def test_a_batch_that_was_cancelled_at_any_moment_is_completed_by_a_resume(
    world, tmp_path: Path, moment: float
) -> None:
    w = await world(Behaviour(durations=Fixed(2), latency=0.3))
    loop = asyncio.get_running_loop()
    batch = asyncio.create_task(w.client.upload_batch(urls(24), journal=tmp_path / "j", concurrency=4))
    await asyncio.sleep(moment)
    assert not batch.done(), "the moment comes too late to show anything"
    batch.cancel()
    began = loop.time()
    await asyncio.wait([batch])
    assert batch.cancelled()
    assert loop.time() - began <= 11
    report = await w.client.resume_batch(tmp_path / "j") if moment > 0.3 else None
    if report is None:  # there may have been no journal yet: the first call made again is the same
        report = await w.client.upload_batch(urls(24), journal=tmp_path / "j", concurrency=4)
    assert report.ok, "requests on their way got their answers within the grace"
    assert [w.ledger.posts(url) for url in urls(24)] == [1] * 24
    assert w.ledger.lost(report.audio_ids) == ()


async def test_a_request_whose_answer_did_not_come_within_the_grace_is_held_by_the_resume(
    world, tmp_path: Path
) -> None:
    w = await world(Behaviour(durations=Fixed(2), faults=(Fault(Hang(after_work=True), url=THIRD),)))
    batch = asyncio.create_task(w.client.upload_batch(urls(5), journal=tmp_path / "j"))
    await asyncio.sleep(1)
    batch.cancel()
    await asyncio.wait([batch])
    report = await w.client.resume_batch(tmp_path / "j")
    held_and_found(w.emulator, report)


class SlowDisk:
    """Commits that wait until they are let go, each in the journal's own thread."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.release = threading.Event()
        self.release.set()
        self.waiting = threading.Event()
        self.done = 0
        commit = Store.commit

        def slowly(store: Store, *arguments: Any) -> None:
            if not self.release.is_set():
                self.waiting.set()
            assert self.release.wait(BOUND)
            commit(store, *arguments)
            self.done += 1

        monkeypatch.setattr(Store, "commit", slowly)


async def turns_until(holds: Callable[[], bool]) -> None:
    for _ in range(100_000):
        if holds():
            return
        await asyncio.sleep(0)
    raise AssertionError("it never came")


@pytest.mark.parametrize("cancels", [1, 2])
async def test_a_cancel_during_a_commit_neither_loses_the_commit_nor_sends_what_it_was_for(
    world, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cancels: int
) -> None:
    disk = SlowDisk(monkeypatch)
    w = await world(Behaviour(durations=Fixed(2)))

    def hold(event: Event) -> None:
        if isinstance(event, ItemChanged) and event.index == 2 and event.state is ItemState.SUBMITTING:
            disk.release.clear()

    batch = asyncio.create_task(w.client.upload_batch(urls(5), journal=tmp_path / "j", concurrency=1, on_event=hold))
    await turns_until(disk.waiting.is_set)
    before = disk.done
    for _ in range(cancels):
        batch.cancel()
        for _ in range(20):
            await asyncio.sleep(0)
    assert not batch.done(), "the commit is waited for"
    disk.release.set()
    await asyncio.wait([batch])
    assert batch.cancelled()
    assert disk.done > before
    assert w.ledger.posts(THIRD) == 0, "the permit came, the cancel came, nothing was sent"
    report = await w.client.resume_batch(tmp_path / "j")
    assert report.ok
    assert [w.ledger.posts(url) for url in urls(5)] == [1] * 5


# ----------------------------------------------------------------------------------------------------- two at once
async def test_a_second_batch_on_the_same_journal_is_told_at_once(world, tmp_path: Path) -> None:
    w = await world(Behaviour(durations=Fixed(30)))
    loop = asyncio.get_running_loop()
    first = asyncio.create_task(w.client.upload_batch(urls(5), journal=tmp_path / "j"))
    await asyncio.sleep(3)
    began, asked = loop.time(), w.ledger.requests()
    with pytest.raises(JournalBusy):
        await w.client.upload_batch(urls(5), journal=tmp_path / "j")
    with pytest.raises(JournalBusy):
        await w.client.resume_batch(tmp_path / "j")
    assert loop.time() - began < 1
    assert w.ledger.requests() == asked
    assert (await first).ok
    assert (await w.client.resume_batch(tmp_path / "j")).ok


@pytest.mark.e2e
@pytest.mark.parametrize("paused", [False, True], ids=["working", "paused"])
def test_a_journal_that_another_process_holds_is_left_to_it_even_while_it_is_paused(
    tmp_path: Path, paused: bool
) -> None:
    journal = tmp_path / "batch.journal"
    unended = Fault(Reshape({"status": "running", "data": None}), on="status", url="*.mp3")
    with emulator_of(unended) as emulator, child(emulator, "never", journal) as first:
        until(lambda: len(emulator.ledger.charges) == 5, "all uploads")
        if paused:
            first.send_signal(signal.SIGSTOP)
        asked = emulator.ledger.requests("item") + emulator.ledger.requests("prepare")
        began = time.monotonic()
        with pytest.raises(JournalBusy):
            resumed(emulator, journal)
        with child(emulator, "never", journal) as second:
            _, err = second.communicate(timeout=BOUND)
        assert second.returncode == 1
        assert b"JournalBusy" in err
        assert time.monotonic() - began < BOUND / 2
        assert emulator.ledger.requests("item") + emulator.ledger.requests("prepare") == asked
        emulator.clear_faults()
        first.send_signal(signal.SIGCONT)
        out, err = first.communicate(timeout=BOUND)
        assert first.returncode == 0, err.decode()
        assert json.loads(out)["ok"]
        assert resumed(emulator, journal).ok
        assert [emulator.ledger.posts(url) for url in urls(5)] == [1] * 5


# ------------------------------------------------------------------------------------------- somebody else's journal
def newer(journal: Path) -> None:
    with sqlite3.connect(journal) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()


def of_another_program(journal: Path) -> None:
    journal.unlink()
    with sqlite3.connect(journal) as connection:
        connection.execute("CREATE TABLE photos (id INTEGER)")
    connection.close()


def no_database(journal: Path) -> None:
    journal.write_bytes(b"ID3\x04 this is a song" * 100)


NOT_OURS: dict[str, tuple[dict[str, Any], Callable[[Path], None], str]] = {
    "fewer URLs": ({"entries": urls(4)}, lambda _: None, "5 entries, not 4"),
    "another order": ({"entries": urls(5)[::-1]}, lambda _: None, "other inputs: entry 0 is"),
    "another URL": ({"entries": [*urls(4), *urls(1, stem="x")]}, lambda _: None, "other inputs: entry 4 is"),
    "another key": ({"key": KEY + "-other"}, lambda _: None, "another API key"),
    "another service": ({"base_url": "https://elsewhere.example"}, lambda _: None, "https://elsewhere.example"),
    "a newer version": ({}, newer, "version 99"),
    "another program's": ({}, of_another_program, "another program's"),
    "no database": ({}, no_database, "j"),
}


@pytest.mark.parametrize(("settings", "spoil", "says"), NOT_OURS.values(), ids=NOT_OURS)
async def test_a_journal_of_something_else_is_refused_with_what_it_is_and_nothing_is_sent(
    world, tmp_path: Path, settings: dict[str, Any], spoil: Callable[[Path], None], says: str
) -> None:
    w = await world(Behaviour(durations=Fixed(2), faults=(Fault(Cut(after_work=True), url=THIRD),)))
    journal = tmp_path / "j"
    await w.client.upload_batch(urls(5), journal=journal)
    spoil(journal)
    held, asked = journal.read_bytes(), w.ledger.requests()
    where = {"base_url": w.emulator.base_url} | {k: v for k, v in settings.items() if k == "base_url"}
    async with MountseaClient(settings.get("key", KEY), **where) as client:
        with pytest.raises(JournalMismatch, match=says) as caught:
            await client.upload_batch(settings.get("entries", urls(5)), journal=journal)
    assert str(journal) in str(caught.value)
    assert KEY not in str(caught.value)
    assert w.ledger.requests() == asked
    assert journal.read_bytes() == held, "it is left as it was"


def files_of(journal: Path) -> list[Path]:
    """The journal and whatever lies beside it."""
    found = [path for path in journal.parent.iterdir() if path.name.startswith(journal.name)]
    assert found
    return found


async def test_a_new_key_may_go_on_if_its_owner_says_so_and_no_key_is_in_the_journal(world, tmp_path: Path) -> None:
    w = await world(Behaviour(durations=Fixed(2), faults=(Fault(Cut(after_work=True), url=THIRD),)))
    journal = tmp_path / "j"
    first = await w.client.upload_batch(urls(5), journal=journal)
    w.emulator._api_key = KEY + "-renewed"
    await w.emulator.__aexit__(None, None, None)
    await w.emulator.__aenter__()
    async with MountseaClient(KEY + "-renewed", base_url=w.emulator.base_url) as client:
        second = await client.resume_batch(journal, accept_new_key=True)
        assert same_apart_from_time(first, second)
        third = await client.resume_batch(journal)
        assert same_apart_from_time(first, third)
    assert w.ledger.paid_twice() == {}
    assert not [path for path in files_of(journal) if KEY.encode() in path.read_bytes()]


async def test_a_clip_that_lands_long_after_its_item_had_failed_is_found_by_a_resume(world, tmp_path: Path) -> None:
    w = await world(Behaviour(durations=Fixed(2), late_after=600, fail_share=1.0))
    report = await w.client.upload_batch(urls(3), journal=tmp_path / "j")
    assert report.audio_ids == ()
    await asyncio.sleep(700)
    again = await w.client.resume_batch(tmp_path / "j")
    assert states(again) == ["failed"] * 3
    assert sorted(again.audio_ids) == sorted(charge.clip_id for charge in w.ledger.charges)
    assert [w.ledger.posts(url) for url in urls(3)] == [1] * 3


@pytest.mark.parametrize("effect", [unauthorized(), out_of_credits()], ids=["401", "402"])
async def test_a_resume_after_a_refusal_finds_out_by_one_request_whether_it_still_holds(
    world, tmp_path: Path, effect: Any
) -> None:
    w = await world(Behaviour(durations=Fixed(2), latency=0.3, faults=(Fault(effect, after=4, on="item"),)))
    first = await w.client.upload_batch(urls(30), journal=tmp_path / "j", concurrency=8)
    assert len(first.succeeded) == 4
    asked = w.ledger.requests("item")
    second = await w.client.resume_batch(tmp_path / "j", concurrency=8)
    assert w.ledger.requests("item") == asked + 1
    assert states(second) == states(first)
    assert second.stopped == first.stopped
    w.emulator.clear_faults()
    third = await w.client.resume_batch(tmp_path / "j", concurrency=8)
    assert third.ok
    assert len(w.ledger.charges) == 30
    assert w.ledger.paid_twice() == {}


async def test_a_url_that_was_signed_anew_may_take_its_place_by_its_key(world, tmp_path: Path) -> None:
    w = await world(Behaviour(durations=Fixed(2), faults=(Fault(out_of_credits(), after=2, on="item"),)))

    def signed(signature: int) -> list[UploadItem]:
        return [UploadItem(f"{url}?sig={signature}", key=f"song {n}") for n, url in enumerate(urls(5))]

    first = await w.client.upload_batch(signed(1), journal=tmp_path / "j", concurrency=1)
    assert len(first.not_submitted) == 3
    w.emulator.clear_faults()
    second = await w.client.upload_batch(signed(2), journal=tmp_path / "j")
    assert second.ok
    assert [charge.audio_url.rpartition("=")[2] for charge in w.ledger.charges] == ["1", "1", "2", "2", "2"]


# ------------------------------------------------------------------------------------------------ the command line
MOUNTSEA = [sys.executable, "-m", "mountsea_async.cli"]
FULL_AFTER = 60_000
"""Bytes that a file may have where the disk is said to be full."""
LIMITED = f"""
import os, resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, ({FULL_AFTER}, {FULL_AFTER}))
os.execv(sys.executable, [sys.executable, "-m", "mountsea_async.cli", *sys.argv[1:]])
"""
ON_A_FULL_DISK = [sys.executable, "-c", LIMITED]


@contextmanager
def command(emulator: Emulator, folder: Path, *line: str) -> Iterator[subprocess.Popen[bytes]]:
    """The command line as a process of its own, at home in a folder."""
    environment = {**os.environ, "MOUNTSEA_API_KEY": KEY, "MOUNTSEA_BASE_URL": emulator.base_url}
    process = subprocess.Popen(
        line,
        env={**environment, "XDG_STATE_HOME": str(folder / "state")},
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def mountsea(emulator: Emulator, folder: Path, *arguments: str, on: list[str] = MOUNTSEA) -> tuple[int, Any, str]:
    """Runs the command to its end. Returns its exit code, its report if it gave one, and what it said."""
    with command(emulator, folder, *on, *arguments, "--format", "json", "--quiet") as process:
        out, err = process.communicate(timeout=BOUND)
    assert KEY not in (out + err).decode()
    return process.returncode, json.loads(out) if out else None, err.decode()


SEED = 20261122
LIVES = 20
ITEMS = 12


class Life:
    """One upload whose process is killed at a moment that its number decides, and what follows."""

    def __init__(self, number: int, folder: Path) -> None:
        self.chance = random.Random(f"{SEED} {number}")  # noqa: S311 - reproducible on purpose
        self.number = number
        self.folder = folder / f"life-{number}"
        self.folder.mkdir()
        self.urls = urls(ITEMS, stem=f"life-{number}")
        (self.folder / "urls.txt").write_text("\n".join(self.urls), encoding="utf-8")
        self.story: list[str] = []
        self.kills = 0

    def __repr__(self) -> str:
        return f"seed {SEED}, life {self.number}: " + ", ".join(self.story)

    def live(self) -> None:
        behaviour = Behaviour(durations=Uniform(0.1, 2.2), latency=0.03, seed=self.number)
        with Emulator(behaviour, api_key=KEY).in_thread() as emulator:
            upload = ["upload", "urls.txt", "--journal", "batch.journal", "--concurrency", "4"]
            resume = ["resume", "batch.journal", "--concurrency", "4", "--deadline", "12"]
            self.meet(emulator, upload, 2 * ITEMS)
            if self.chance.random() < 0.4:
                self.meet(emulator, resume, ITEMS // 2)
            self.end(emulator, upload, resume)

    def meet(self, emulator: Emulator, line: list[str], most: int) -> None:
        """Runs a command until a random number of requests has come in, and a moment more."""
        seen = emulator.ledger.requests()
        requests = self.chance.randint(0, most)
        pause = self.chance.uniform(0, 0.8 if requests == 0 else 0.04)
        with command(emulator, self.folder, *MOUNTSEA, *line, "--quiet") as process:
            until(
                lambda: emulator.ledger.requests() >= seen + requests or process.poll() is not None,
                f"{requests} requests in {self}",
            )
            time.sleep(pause)
            process.kill()
            process.communicate(timeout=BOUND)
        self.kills += process.returncode == -signal.SIGKILL
        self.story.append(f"{line[0]} met {requests} requests and {pause:.3f} s: {process.returncode}")

    def end(self, emulator: Emulator, upload: list[str], resume: list[str]) -> None:
        """Goes on until everything has ended, as somebody would who reads what the command says."""
        for _ in range(4):
            code, report, said = mountsea(emulator, self.folder, *resume)
            if report is None:  # killed before its inputs were in the journal, so there is nothing to resume
                assert emulator.ledger.charges == (), self
                code, report, said = mountsea(emulator, self.folder, *upload)
            self.story.append(f"went on: {code}")
            if not {item["state"] for item in report["items"]} & {"not_submitted", "undetermined"}:
                break
            # Requests that never left may hold the rest back for two minutes: nobody has seen how long uploads take.
            resume = [*resume, "--on-unknown", "continue"]
        assert code in (0, 3), f"{self}: {said}"
        assert emulator.ledger.paid_twice() == {}, self
        assert max(map(emulator.ledger.posts, self.urls)) == 1, self
        assert {charge.session_id for charge in emulator.ledger.charges} == {report["session_id"]}, self
        until(lambda: len(emulator.ledger.clip_ids()) == len(emulator.ledger.charges), f"every clip of {self}")
        assert emulator.ledger.lost(report["audio_ids"]) == (), self
        assert [item["state"] for item in report["items"] if item["state"] not in ("succeeded", "unknown")] == [], self


@pytest.mark.e2e
def test_killed_at_twenty_random_moments_the_command_line_pays_for_nothing_twice_and_loses_no_clip(
    tmp_path: Path,
) -> None:
    lives = [Life(number, tmp_path) for number in range(LIVES)]
    with ThreadPoolExecutor(5) as pool:
        ends = [pool.submit(life.live) for life in lives]
    for life in lives:
        print(life)  # noqa: T201 - how to meet the same moments again
    for end in ends:
        end.result()
    assert sum(life.kills > 0 for life in lives) >= LIVES * 3 // 4, "most were alive when they were to be killed"


@pytest.mark.e2e
def test_the_command_line_on_a_full_disk_sends_nothing_that_it_cannot_write_down_and_says_so(tmp_path: Path) -> None:
    journal = tmp_path / "batch.journal"
    (tmp_path / "urls.txt").write_text("\n".join(urls(60)), encoding="utf-8")
    upload = ["upload", "urls.txt", "--journal", "batch.journal", "--concurrency", "4"]
    with Emulator(Behaviour(durations=Fixed(0.2), latency=0.05), api_key=KEY).in_thread() as emulator:
        code, report, said = mountsea(emulator, tmp_path, *upload, on=ON_A_FULL_DISK)
        sent = {url for url in urls(60) if emulator.ledger.posts(url)}
        assert 0 < len(sent) < 60
        assert code == 5
        assert "batch.journal" in said
        assert report["stopped"] == "journal"
        ends = {item["audio_url"]: item["state"] for item in report["items"]}
        assert {url for url, end in ends.items() if end == "succeeded"} == sent
        assert {url for url, end in ends.items() if end == "not_submitted"} == set(urls(60)) - sent
        held = read_journal(journal)
        intended = {item.audio_url for item in held.items if item.attempts}
        assert sent <= intended, "their intents were durable"
        lacking = {item["task_id"] for item in report["items"]} - {item.task_id for item in held.items}
        assert lacking, "the disk was full while they were on their way"
        assert all(task_id in said for task_id in lacking)
        code, report, said = mountsea(emulator, tmp_path, "resume", "batch.journal")
        assert code in (0, 3), said
        assert emulator.ledger.paid_twice() == {}
        assert max(map(emulator.ledger.posts, urls(60))) == 1
        assert emulator.ledger.lost(report["audio_ids"]) == ()


@pytest.mark.e2e
def test_a_second_command_on_the_same_journal_ends_at_once_and_asks_nobody(tmp_path: Path) -> None:
    (tmp_path / "urls.txt").write_text("\n".join(urls(3)), encoding="utf-8")
    upload = ["upload", "urls.txt", "--journal", "batch.journal"]
    with Emulator(Behaviour(durations=Fixed(600)), api_key=KEY).in_thread() as emulator:
        with command(emulator, tmp_path, *MOUNTSEA, *upload) as first:
            until(lambda: len(emulator.ledger.charges) == 3, "all uploads")
            for line in (upload, ["resume", "batch.journal"]):
                code, report, said = mountsea(emulator, tmp_path, *line)
                assert (code, report) == (5, None)
                assert "batch.journal" in said
            assert first.poll() is None
        assert emulator.ledger.requests("prepare") == 1
        assert emulator.ledger.requests("item") == 3
        code, report, said = mountsea(emulator, tmp_path, "resume", "batch.journal", "--deadline", "1")
        assert code == 3, said
        assert {item["state"] for item in report["items"]} == {"undetermined"}
        assert emulator.ledger.requests("item") == 3
