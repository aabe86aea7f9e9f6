"""`Journal`: groups on the loop, durable when flushed, kept when it fails, and let go of however it ends."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from support.names import urls

from mountsea_async import (
    InputError,
    ItemState,
    JournalBusy,
    JournalError,
    JournalMismatch,
    UploadItem,
    read_journal,
)
from mountsea_async.testing import Behaviour, Fault, Fixed, Outcome
from mountsea_async.upload.events import Event, Paused
from mountsea_async.upload.journal import Journal
from mountsea_async.upload.past import Binding, inputs_hash
from mountsea_async.upload.store import Store, reading

BOUND = 20.0
OURS = Binding("https://api.example", lambda salt: f"ours-{salt}")
THEIRS = Binding("https://api.example", lambda salt: f"theirs-{salt}")
ENTRIES = [UploadItem(url) for url in urls(3)]


def event(seq: int) -> Event:
    return Paused(seq, 1.0, float(seq))


def held(path: Path) -> list[int]:
    """The numbers of the events that would survive a kill."""
    with reading(path) as snapshot:
        return [row.seq for row in snapshot.events()]


def names(path: Path) -> list[str]:
    """The files beside a journal, its own included."""
    return sorted(file.name for file in path.parent.iterdir())


async def turns(count: int = 20) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def until(holds: Callable[[], Any]) -> None:
    for _ in range(200_000):
        if holds():
            return
        await asyncio.sleep(0)
    raise AssertionError("it never came")


class Disk:
    """The commits of all stores: noted, and held up or refused on demand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.groups: list[list[int]] = []
        self.begun = self.failing = 0
        self._go = threading.Event()
        self._go.set()
        commit = Store.commit

        def watched(store: Store, entries: Any, events: Any, header: Any = None) -> None:
            self.begun += 1
            assert self._go.wait(BOUND)
            if self.failing:
                self.failing -= 1
                raise JournalError("the disk is full", path=str(store.path))
            commit(store, entries, events, header)
            self.groups.append([row.seq for row in events])

        monkeypatch.setattr(Store, "commit", watched)

    def hold(self) -> None:
        self.begun = 0
        self._go.clear()

    def go(self) -> None:
        self._go.set()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "j"


@pytest.fixture
async def journal(path: Path) -> AsyncIterator[Journal]:
    made, _ = await Journal.open(path, OURS, None, keep_duplicates=False)
    yield made
    await made.close()


@pytest.fixture
def disk(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


# ------------------------------------------------------------------------------------------------------ durable
async def test_what_was_flushed_is_on_the_disk(journal: Journal, path: Path) -> None:
    journal.append(event(0))
    journal.append(event(1))
    await journal.flush()
    assert held(path) == [0, 1]


async def test_nothing_to_flush_writes_nothing(journal: Journal, disk: Disk) -> None:
    await journal.flush()
    assert disk.groups == []


async def test_all_who_wait_in_one_turn_are_in_one_commit(journal: Journal, disk: Disk) -> None:
    async def write(seq: int) -> None:
        journal.append(event(seq))
        await journal.flush()

    await asyncio.gather(*(write(seq) for seq in range(50)))
    assert disk.groups == [list(range(50))]


async def test_what_is_appended_while_a_commit_runs_is_in_the_next_one(journal: Journal, disk: Disk) -> None:
    disk.hold()
    journal.append(event(0))
    first = asyncio.create_task(journal.flush())
    await until(lambda: disk.begun)
    for seq in (1, 2, 3):
        journal.append(event(seq))
    second = asyncio.create_task(journal.flush())
    await turns()
    assert not first.done()
    disk.go()
    await asyncio.gather(first, second)
    assert disk.groups == [[0], [1, 2, 3]]


async def test_nobody_waits_for_what_others_append_later(journal: Journal, disk: Disk, path: Path) -> None:
    disk.hold()
    journal.append(event(0))
    first = asyncio.create_task(journal.flush())
    await until(lambda: disk.begun)
    journal.append(event(1))
    disk.go()
    await first
    assert 0 in held(path)
    assert disk.groups[0] == [0]


async def test_what_nobody_waits_for_is_written_soon_all_the_same(journal: Journal, path: Path) -> None:
    journal.append(event(0))
    await asyncio.sleep(1)
    await until(lambda: held(path) == [0])


async def test_a_cancelled_flush_ends_the_wait_and_not_the_commit(journal: Journal, disk: Disk, path: Path) -> None:
    disk.hold()
    journal.append(event(0))
    waiting, staying = (asyncio.create_task(journal.flush()) for _ in range(2))
    await until(lambda: disk.begun)
    waiting.cancel()
    await asyncio.wait([waiting])
    assert waiting.cancelled()
    disk.go()
    await staying
    assert held(path) == [0]


async def test_a_flush_that_was_cancelled_before_the_commit_began_leaves_it_to_be_made(
    journal: Journal, disk: Disk, path: Path
) -> None:
    journal.append(event(0))
    waiting = asyncio.create_task(journal.flush())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    await asyncio.sleep(1)
    await until(lambda: held(path) == [0])
    assert disk.groups == [[0]]


# ------------------------------------------------------------------------------------------------------ failing
async def test_everybody_who_waits_hears_of_a_failure_and_so_does_whoever_comes_next(
    journal: Journal, disk: Disk
) -> None:
    told: list[JournalError] = []
    journal.on_failure = told.append
    disk.failing = 1
    journal.append(event(0))
    results = await asyncio.gather(journal.flush(), journal.flush(), return_exceptions=True)
    assert [type(result) for result in results] == [JournalError] * 2
    assert told == [journal.failure]
    with pytest.raises(JournalError, match="full"):
        await journal.flush()


async def test_whoever_was_to_be_in_the_next_commit_hears_of_a_failure_too(journal: Journal, disk: Disk) -> None:
    disk.hold()
    disk.failing = 1
    journal.append(event(0))
    first = asyncio.create_task(journal.flush())
    await until(lambda: disk.begun)
    journal.append(event(1))
    second = asyncio.create_task(journal.flush())
    await turns()
    disk.go()
    results = await asyncio.gather(first, second, return_exceptions=True)
    assert [type(result) for result in results] == [JournalError] * 2


async def test_what_could_not_be_written_is_kept_and_written_when_the_disk_recovers(
    journal: Journal, disk: Disk, path: Path
) -> None:
    disk.failing = 3
    journal.append(event(0))
    with pytest.raises(JournalError):
        await journal.flush()
    journal.append(event(1))
    assert held(path) == []
    await asyncio.sleep(30)
    await until(lambda: journal.failure is None)
    journal.append(event(2))
    await journal.flush()
    assert held(path) == [0, 1, 2]
    assert disk.groups == [[0, 1], [2]]


async def test_an_error_that_is_not_the_stores_own_is_a_failure_too(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(Store, "commit", broken)
        journal.append(event(0))
        with pytest.raises(JournalError, match="MemoryError"):
            await journal.flush()


# ------------------------------------------------------------------------------------------------------ closing
async def test_closing_writes_what_is_left_and_frees_the_file(path: Path) -> None:
    journal, _ = await Journal.open(path, OURS, None, keep_duplicates=False)
    with pytest.raises(JournalBusy):
        await Journal.open(path, OURS, None, keep_duplicates=False)
    journal.append(event(0))
    await journal.close()
    await journal.close()
    assert held(path) == [0]
    again, past = await Journal.open(path, OURS, None, keep_duplicates=False)
    await again.close()
    assert past.events == (event(0),)


async def test_closing_waits_for_the_commit_that_runs_and_makes_the_last_one(
    journal: Journal, disk: Disk, path: Path
) -> None:
    disk.hold()
    journal.append(event(0))
    flushing = asyncio.create_task(journal.flush())
    await until(lambda: disk.begun)
    journal.append(event(1))
    closing = asyncio.create_task(journal.close())
    await turns()
    assert not closing.done()
    disk.go()
    await asyncio.gather(flushing, closing)
    assert held(path) == [0, 1]


async def test_a_journal_that_cannot_be_written_is_let_go_of_all_the_same(
    journal: Journal, disk: Disk, path: Path
) -> None:
    disk.failing = 1_000_000
    journal.append(event(0))
    await journal.close()
    disk.failing = 0
    again, past = await Journal.open(path, OURS, None, keep_duplicates=False)
    await again.close()
    assert past.events == ()
    assert journal.failure is not None


async def test_a_close_that_is_cancelled_while_a_commit_runs_frees_the_file_and_says_nothing(
    journal: Journal, disk: Disk, path: Path
) -> None:
    said: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: said.append(context))
    disk.hold()
    journal.append(event(0))
    flushing = asyncio.create_task(journal.flush())
    await until(lambda: disk.begun)
    journal.append(event(1))
    closing = asyncio.create_task(journal.close())
    await turns()
    closing.cancel()
    await turns()
    disk.go()
    await asyncio.wait([flushing, closing])
    await turns(200)
    assert said == []
    assert held(path)[:1] == [0]
    store = Store(path)
    store.open()
    store.close()


class SlowOpen:
    """Files that take as long to open as one likes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.go, self.begun = threading.Event(), threading.Event()
        opened = Store.open

        def slowly(store: Store) -> None:
            self.begun.set()
            assert self.go.wait(BOUND)
            opened(store)

        monkeypatch.setattr(Store, "open", slowly)


@pytest.mark.parametrize("cancels", [1, 2, 3])
async def test_a_cancel_while_the_file_is_opened_leaves_no_lock_behind(
    path: Path, monkeypatch: pytest.MonkeyPatch, cancels: int
) -> None:
    disk = SlowOpen(monkeypatch)
    opening = asyncio.create_task(Journal.open(path, OURS, None, keep_duplicates=False))
    await until(disk.begun.is_set)
    for _ in range(cancels):
        opening.cancel()
        await turns()
    disk.go.set()
    await asyncio.wait([opening])
    assert opening.cancelled()
    for _ in range(1000):
        try:
            again, _ = await Journal.open(path, OURS, None, keep_duplicates=False)
        except JournalBusy:  # the thread may need a moment
            continue
        await again.close()
        return
    raise AssertionError("it is locked for ever")


# ------------------------------------------------------------------------------------------------------ entries
async def test_entries_come_back_with_their_keys_metadata_and_duplicates(path: Path) -> None:
    first, second = urls(2)
    entries = [
        UploadItem(first, key="a", metadata={"n": [1, None, "é"]}),
        UploadItem(second),
        UploadItem(first, key="c"),
    ]
    journal, past = await Journal.open(path, OURS, entries, keep_duplicates=False)
    await journal.close()
    again, later = await Journal.open(path, OURS, None, keep_duplicates=False)
    await again.close()
    assert past.entries == later.entries
    assert [(entry, original) for entry, original, *_ in later.entries] == list(
        zip(entries, (None, None, 0), strict=True)
    )


async def test_entries_that_join_while_it_runs_are_durable_with_the_events_that_follow(
    journal: Journal, disk: Disk, path: Path
) -> None:
    first, second = urls(2)
    journal.add(UploadItem(first, key="a", metadata={"n": 1}), 0, None, None)
    journal.append(event(0))
    await journal.flush()
    disk.hold()
    journal.add(UploadItem(second), 1, None, None)
    flushing = asyncio.create_task(journal.flush())
    await until(lambda: disk.begun)
    journal.add(UploadItem(first), 2, 0, None)
    disk.go()
    await flushing
    await journal.flush()
    with reading(path) as snapshot:
        rows = [(row.index, row.key, row.audio_url, row.duplicate_of) for row in snapshot.entries()]
    assert rows == [(0, "a", first, None), (1, None, second, None), (2, None, first, 0)]


async def test_metadata_that_no_file_can_hold_is_refused_before_there_is_a_file(path: Path) -> None:
    entries = [UploadItem(urls(1)[0]), UploadItem("https://a.example/x?sig=SECRET", metadata={"n": object()})]
    with pytest.raises(InputError, match="metadata") as caught:
        await Journal.open(path, OURS, entries, keep_duplicates=False)
    assert [problem.index for problem in caught.value.problems] == [1]
    assert "SECRET" not in str(caught.value)
    assert names(path) == []


# ------------------------------------------------------------------------------------------------------ headers
@pytest.mark.parametrize(
    ("binding", "says"),
    [(THEIRS, "another API key"), (Binding("https://other.example", OURS.fingerprint), "https://other.example")],
    ids=["key", "service"],
)
async def test_a_journal_of_another_key_or_service_is_refused_unless_it_may_change_hands(
    path: Path, binding: Binding, says: str
) -> None:
    journal, _ = await Journal.open(path, OURS, ENTRIES, keep_duplicates=False)
    await journal.close()
    with pytest.raises(JournalMismatch, match=says):
        await Journal.open(path, binding, ENTRIES, keep_duplicates=False)
    accepting = Binding(binding.base_url, binding.fingerprint, accept_new_key=True)
    journal, _ = await Journal.open(path, accepting, ENTRIES, keep_duplicates=False)
    await journal.close()
    journal, past = await Journal.open(path, binding, ENTRIES, keep_duplicates=False)
    await journal.close()
    assert [entry for entry, *_ in past.entries] == ENTRIES
    with pytest.raises(JournalMismatch):
        await Journal.open(path, OURS, ENTRIES, keep_duplicates=False)


async def test_who_is_refused_leaves_the_lock_to_others(path: Path) -> None:
    journal, _ = await Journal.open(path, OURS, ENTRIES, keep_duplicates=False)
    await journal.close()
    for binding, entries in ((THEIRS, ENTRIES), (OURS, ENTRIES[:2])):
        with pytest.raises(JournalMismatch):
            await Journal.open(path, binding, entries, keep_duplicates=False)
    journal, _ = await Journal.open(path, OURS, ENTRIES, keep_duplicates=False)
    await journal.close()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([UploadItem("https://a"), UploadItem("https://b")], [UploadItem("https://b"), UploadItem("https://a")]),
        ([UploadItem("https://a")], [UploadItem("https://a")] * 2),
        ([UploadItem("https://a")], [UploadItem("https://a", key="https://a")]),
        ([UploadItem("https://a", key="1"), UploadItem("https://a", key="2")], [UploadItem("https://a", key="12")]),
        ([UploadItem("https://a?x=1")], [UploadItem("https://a?x=2")]),
        ([], [UploadItem("https://a", key="")]),
    ],
)
def test_other_inputs_have_another_hash(one: list[UploadItem], other: list[UploadItem]) -> None:
    assert inputs_hash(one) != inputs_hash(other)


def test_a_key_stands_for_its_url_and_metadata_for_nothing() -> None:
    one = [UploadItem("https://a?sig=1", key="k", metadata={"n": 1})]
    other = [UploadItem("https://a?sig=2", key="k")]
    assert inputs_hash(one) == inputs_hash(iter(other))


def test_half_a_character_in_a_name_has_a_hash_too() -> None:
    assert inputs_hash([UploadItem("https://a/\ud800")]) != inputs_hash([UploadItem("https://a/\ud801")])


# ------------------------------------------------------------------------------------------------------ reading
async def test_a_journal_can_be_read_while_its_batch_runs_and_says_no_less_later(world, tmp_path: Path) -> None:
    w = await world(Behaviour(durations=Fixed(5), latency=0.5, faults=(Fault(Outcome("failed"), url="*-00003.mp3"),)))
    batch = asyncio.create_task(w.client.upload_batch(urls(12), journal=tmp_path / "j", concurrency=3))
    ended: set[int] = set()
    attempts = 0
    await asyncio.sleep(0.7)
    while not batch.done():
        found = read_journal(tmp_path / "j")
        assert len(found.items) == 12
        now = {item.index for item in found.items if item.state.ended}
        assert now >= ended
        assert sum(item.attempts for item in found.items) >= attempts
        ended, attempts = now, sum(item.attempts for item in found.items)
        await asyncio.sleep(0.9)
    report, found = await batch, read_journal(tmp_path / "j")
    told = report.to_dict(), found.to_dict()
    for each in told:
        each.pop("stats")
    assert told[0] == told[1]
    assert found.counts == {ItemState.SUCCEEDED: 11, ItemState.FAILED: 1}


async def test_reading_a_journal_that_is_not_there_makes_none(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="no journal"):
        read_journal(tmp_path / "j")
    assert names(tmp_path / "j") == []


async def test_a_journal_that_was_begun_and_no_more_reads_as_its_inputs(path: Path) -> None:
    journal, _ = await Journal.open(path, OURS, ENTRIES, keep_duplicates=False)
    await journal.close()
    found = read_journal(path)
    assert [item.state for item in found.items] == [ItemState.NEW] * 3
    assert found.session_id is None
