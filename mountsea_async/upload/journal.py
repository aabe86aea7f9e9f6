"""The journal of a batch as the event loop sees it: what is appended is durable once `flush` has returned.

Groups are formed here, on the loop: everything that is appended while one commit runs goes into the next. The file is
`store.py`'s, the form of the rows `codec.py`'s, and whose a journal is says `past.py`. No file is touched on the loop.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import attrs

from ..errors import JournalError, JournalMismatch
from ..models import UploadItem
from . import codec
from .events import Event
from .past import (
    Binding,
    Entry,
    Past,
    check_binding,
    check_inputs,
    entry_of,
    events_of,
    header_of,
    inputs_hash,
    rows_of,
    undamaged,
)
from .store import EntryRow, EventRow, Header, Store
from .unbroken import to_the_end

__all__ = ["Journal"]

logger = logging.getLogger("mountsea_async")

T = TypeVar("T")

LAZY = 0.1
"""Seconds after which a commit begins though nobody waits for it."""
PATIENCE = 10.0
"""Seconds for which the end of a run waits for the disk, at most."""
AGAIN, AGAIN_CAP = 0.5, 30.0
"""Seconds after which a failed commit is tried again; doubled from time to time, up to the second."""


class Journal:
    """One journal, open in the event loop that runs; made by `Journal.open`.

    Attributes:
        path: The file.
        failure: Why the last commit failed; None after one that didn't.
        on_failure: Called from the loop when a commit has failed.
        on_durable: Called from the loop when a commit has made events durable, with how many.
    """

    _header: Header

    def __init__(self, path: Path) -> None:
        self.path = path
        self.failure: JournalError | None = None
        self.on_failure: Callable[[JournalError], None] = lambda error: None
        self.on_durable: Callable[[int], None] = lambda events: None
        self._loop = asyncio.get_running_loop()
        self._thread = ThreadPoolExecutor(1, "mountsea-journal")
        self._store = Store(path)
        self._entries: list[EntryRow] = []
        self._events: list[EventRow] = []
        self._appended = self._durable = 0
        self._waiters: list[tuple[int, asyncio.Future[None]]] = []
        self._committing = False
        self._timer: asyncio.Handle | None = None
        self._again = AGAIN
        self._closed = False
        self._letting_go: asyncio.Future[None] | None = None

    def __repr__(self) -> str:
        return f"Journal({str(self.path)!r})"

    # -------------------------------------------------------------------------------------------------- opening
    @classmethod
    async def open(
        cls,
        path: Path,
        binding: Binding,
        entries: Sequence[UploadItem] | None,
        *,
        keep_duplicates: bool,
        must_exist: bool = False,
        opening: Sequence[Event] = (),
        note: str = "",
    ) -> tuple[Journal, Past]:
        """Opens a journal for writing: a new one, or one to go on with.

        Args:
            path: The file.
            binding: The client that it belongs to.
            entries: The inputs of the batch; None: whatever the journal holds.
            keep_duplicates: Whether entries of a new journal that repeat a URL are uploads of their own.
            must_exist: Whether it must hold a batch already.
            opening: What a new journal begins with.
            note: What a new journal says of itself besides.

        Raises:
            InputError: Metadata of entries can't be written as JSON.
            JournalBusy: Somebody else works on it.
            JournalMismatch: It belongs to other inputs, another key, or is no journal of this version.
            JournalError: It can't be read or written.
        """
        rows = rows_of(entries or (), keep_duplicates=keep_duplicates)
        journal = cls(path)
        try:
            await journal._call(journal._store.open)
            header = await journal._call(journal._store.header)
            if header is None and not must_exist:
                hashed = None if entries is None else inputs_hash(entries)
                past = await journal._begin(header_of(binding, hashed, note), entries, rows, opening)
            else:
                past = Past() if header is None else await journal._go_on(header, binding, entries)
                journal._expect(past, must_exist=must_exist)
        except BaseException:
            await to_the_end(journal.close())
            raise
        return journal, past

    async def _begin(
        self,
        header: Header,
        entries: Sequence[UploadItem] | None,
        rows: Sequence[EntryRow],
        opening: Sequence[Event],
    ) -> Past:
        self._header = header
        await self._call(self._store.create, header, rows, tuple(map(codec.encode, opening)))
        known = tuple((entry, row.duplicate_of, None) for entry, row in zip(entries or (), rows, strict=True))
        return Past(known, tuple(opening))

    async def _go_on(self, header: Header, binding: Binding, entries: Sequence[UploadItem] | None) -> Past:
        self._header = header
        known = await self._call(self._read_entries)
        check_binding(self.path, header, binding)
        if entries is not None:
            check_inputs(self.path, header, [entry for entry, *_ in known], entries)
        if binding.fingerprint(header.salt) != header.fingerprint or binding.base_url != header.base_url:
            await self._put_header(header_of(binding, header.inputs_hash, header.note))
        if entries is not None:
            await self._sign_anew([entry for entry, *_ in known], entries)
            known = tuple(
                (new, original, replaced) for new, (_, original, replaced) in zip(entries, known, strict=True)
            )
        return Past(known, await self._call(self._read_events))

    def _read_entries(self) -> tuple[Entry, ...]:
        with undamaged(self.path):
            return tuple(map(entry_of, self._store.entries()))

    def _read_events(self) -> tuple[Event, ...]:
        return tuple(events_of(self._store.events(), self.path))

    def _expect(self, past: Past, *, must_exist: bool) -> None:
        if must_exist and not past.entries:
            raise JournalMismatch(
                f"journal {self.path} holds nothing to upload: name that of a batch", path=str(self.path)
            )

    async def _sign_anew(self, known: Sequence[UploadItem], entries: Sequence[UploadItem]) -> None:
        """Takes over URLs that were signed anew; their entries are known by their keys."""
        pairs = enumerate(zip(known, entries, strict=True))
        if changed := {i: new.audio_url for i, (old, new) in pairs if old.audio_url != new.audio_url}:
            await self._call(self._store.replace_url, changed)

    async def _put_header(self, header: Header) -> None:
        await self._call(self._store.commit, (), (), header)
        self._header = header

    async def _call(self, function: Callable[..., T], *arguments: Any) -> T:
        return await self._loop.run_in_executor(self._thread, function, *arguments)

    # -------------------------------------------------------------------------------------------------- writing
    @staticmethod
    def check(entries: Sequence[UploadItem]) -> None:
        """Makes sure that entries can be written.

        Raises:
            InputError: Their metadata can't be written as JSON; names each.
        """
        rows_of(entries, keep_duplicates=True)

    def add(self, entry: UploadItem, index: int, duplicate_of: int | None, replaces: int | None) -> None:
        """Takes in an entry that joins the batch while it runs, and that `check` has let pass."""
        (row,) = rows_of([entry], keep_duplicates=True)
        self._entries.append(attrs.evolve(row, index=index, duplicate_of=duplicate_of, replaces=replaces))
        self._note()

    def append(self, event: Event) -> None:
        """Takes in an event."""
        self._events.append(codec.encode(event))
        self._note()

    async def annotate(self, note: str) -> None:
        """Puts another note in the place of the journal's; durable when it returns.

        Raises:
            JournalError: It can't be written.
        """
        if self._closed:
            raise JournalError(f"journal {self.path} is closed", path=str(self.path))
        await self._put_header(attrs.evolve(self._header, note=note))

    def _note(self) -> None:
        self._appended += 1
        if self._timer is None and not self._committing and not self._closed:
            self._timer = self._loop.call_later(LAZY, self._commit)

    async def flush(self) -> None:
        """Waits until everything that was appended so far is durable. A cancel ends the wait, not the commit.

        Raises:
            JournalError: It could not be written. It is kept, and tried again.
        """
        if self.failure is not None:
            raise self.failure
        if self._durable < self._appended:
            await self._wait()

    async def _wait(self) -> None:
        waiter: asyncio.Future[None] = self._loop.create_future()
        self._waiters.append((self._appended, waiter))
        if not self._committing:
            if self._timer is not None:
                self._timer.cancel()
            # One turn later, so that all who are about to wait in this one are in the group.
            self._timer = self._loop.call_soon(self._commit)
        await waiter

    def _commit(self) -> None:
        self._timer = None
        if self._committing:
            return
        self._committing = True
        entries, events, upto = tuple(self._entries), tuple(self._events), self._appended
        future = self._loop.run_in_executor(self._thread, self._store.commit, entries, events)
        future.add_done_callback(lambda done: self._committed(done, len(entries), len(events), upto))

    def _committed(self, done: asyncio.Future[None], entries: int, events: int, upto: int) -> None:
        self._committing = False
        error = asyncio.CancelledError() if done.cancelled() else done.exception()
        if error is None:
            self._durable, self.failure, self._again = upto, None, AGAIN
            del self._entries[:entries], self._events[:events]
            self.on_durable(events)
        else:
            self._failed(error)
        waiters, self._waiters = self._waiters, []
        for target, waiter in waiters:
            if waiter.done():
                continue
            if error is None and target > upto:
                self._waiters.append((target, waiter))
            elif self.failure is None:
                waiter.set_result(None)
            else:
                waiter.set_exception(self.failure)
        if error is None and self._waiters and self._letting_go is None:
            self._commit()
        elif self._durable < self._appended and self._timer is None and not self._closed:
            self._timer = self._loop.call_later(LAZY if error is None else self._again, self._commit)
        if self.failure is not None:
            self.on_failure(self.failure)

    def _failed(self, error: BaseException) -> None:
        if not isinstance(error, JournalError):
            error = JournalError(f"journal {self.path} can't be written: {type(error).__name__}", path=str(self.path))
        self._again = min(AGAIN_CAP, self._again * 2)
        self.failure = error
        logger.error("journal.failed", extra={"path": str(self.path), "error": error.message})

    async def close(self) -> None:
        """Writes what is left and lets go of the file. What can't be written stays in the report alone."""
        if self._closed:
            return
        self._closed = True
        self.on_failure = lambda error: None  # by now the report alone can tell
        try:
            if self._durable < self._appended:
                await self._wait_a_while()
        except JournalError as error:
            unwritten = {"path": str(self.path), "events": len(self._events)}
            logger.warning("journal.incomplete", exc_info=error, extra=unwritten)
        finally:
            # Never cancelled: before the thread has come to it that would leave the file locked.
            await asyncio.wait([self.let_go()], timeout=PATIENCE)

    async def _wait_a_while(self) -> None:
        """Waits for the last commit, but not for ever: a disk may hang without failing."""
        last = self._loop.create_task(self._wait())
        try:
            await asyncio.wait([last], timeout=PATIENCE)
        finally:
            if not last.done():
                last.cancel()
                self.failure = JournalError(f"journal {self.path}: its disk doesn't answer", path=str(self.path))
        if last.done():
            last.result()

    def let_go(self) -> asyncio.Future[None]:
        """Lets go of the file, written or not: the last resort of whoever can't wait. Once more does nothing."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        if self._letting_go is None:
            self._letting_go = self._loop.run_in_executor(self._thread, self._store.close)
            self._thread.shutdown(wait=False)
        return self._letting_go
