"""A batch in its journal while nobody runs it: written down beforehand, annotated, called off, removed.

Everything here blocks: in asyncio code it runs in a thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import attrs

from ..errors import JournalError, MountseaError
from ..models import UploadItem
from . import codec, reasons
from .batch import Batch
from .events import Event, ItemChanged, SubmitsStopped
from .lifecycle import ItemState, Trigger, advance
from .past import Binding, Past, entry_of, events_of, header_of, inputs_hash, rows_of, undamaged
from .place import beside
from .report import BatchReport
from .store import Header, Store, reading

__all__ = ["call_off", "put_note", "read_header", "remove_journal", "write_plan"]

_SIDE_FILES = ("-wal", "-shm", "-journal", ".lock")


def write_plan(
    path: Path, binding: Binding, entries: Sequence[UploadItem], *, keep_duplicates: bool, note: str
) -> None:
    """Makes the journal of a batch that is to run later; it is on disk when this returns.

    Args:
        path: The file.
        binding: The client that is to run it.
        entries: The batch.
        keep_duplicates: Whether entries that repeat a URL are uploads of their own.
        note: A text to be kept with it.

    Raises:
        InputError: Metadata of entries can't be written as JSON.
        JournalMismatch: The file is another batch's journal, or none.
        JournalError: It can't be written.
    """
    rows = rows_of(entries, keep_duplicates=keep_duplicates)
    fresh = not path.exists()
    try:
        with _open(path) as store:
            store.create(header_of(binding, inputs_hash(entries), note), rows)
    except BaseException:
        if fresh:
            with suppress(OSError):  # why it can't be written is what is told
                remove_journal(path)
        raise


def read_header(path: Path) -> Header | None:
    """What a journal says of itself, also while somebody writes it; None where no batch was written down in it.

    Raises:
        JournalError: There is none, or it can't be read.
    """
    with reading(path) as snapshot:
        return snapshot.header


def put_note(path: Path, note: str) -> None:
    """Puts another note in the place of a journal's.

    Raises:
        JournalBusy: Somebody is at work on it.
        JournalError: It can't be written, or holds no batch.
    """
    with _open(path) as store:
        store.commit((), (), attrs.evolve(_header(store), note=note))


def call_off(
    path: Path,
    *,
    reason: str,
    at: float,
    note: Callable[[BatchReport], str],
    error: MountseaError | None = None,
) -> BatchReport:
    """Ends what a batch has not begun: its new items become `not_submitted`.

    Args:
        path: The journal.
        reason: A short word for the report.
        at: Wall time in seconds.
        note: From the report as it is then, what takes the place of the journal's note.
        error: The refusal that it follows, where there was one.

    Returns:
        The report as it is then.

    Raises:
        JournalBusy: Somebody is at work on it.
        JournalError: It can't be read or written.
    """
    with _open(path) as store, undamaged(path):
        batch, begin = Batch(), 0
        Past(tuple(map(entry_of, store.entries()))).put_into(batch)
        for event in events_of(store.events(), path):
            batch.apply(event)
            begin = event.seq + 1
        events = tuple(_skipped(batch, begin, at, reason, error))
        for event in events:
            batch.apply(event)
        report = batch.report()
        store.commit((), tuple(map(codec.encode, events)), attrs.evolve(_header(store), note=note(report)))
        return report


def _skipped(batch: Batch, begin: int, at: float, reason: str, error: MountseaError | None) -> Iterator[Event]:
    yield SubmitsStopped(begin, at, reason, error)
    new = [item for item in batch.items if item.state is ItemState.NEW]
    for seq, item in enumerate(new, begin + 1):
        yield ItemChanged(
            seq,
            at,
            item.index,
            item.key,
            Trigger.SKIP,
            item.state,
            advance(item.state, Trigger.SKIP),
            reason=reason,
            error=reasons.not_submitted(reason, error),
        )


def remove_journal(path: Path) -> None:
    """Removes a journal with the files beside it; what isn't there is no fault. Nobody may be at work on it.

    Raises:
        OSError: The system refuses.
    """
    for file in (path, *(beside(path, suffix) for suffix in _SIDE_FILES)):
        with suppress(FileNotFoundError):
            file.unlink()


def _header(store: Store) -> Header:
    header = store.header()
    if header is None:
        raise JournalError(f"journal {store.path} holds no batch", path=str(store.path))
    return header


@contextmanager
def _open(path: Path) -> Iterator[Store]:
    store = Store(path)
    store.open()
    try:
        yield store
    finally:
        store.close()
