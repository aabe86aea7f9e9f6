"""Batches that outlive whoever asked for them: each has its journal in one folder, and goes on after any restart.

No web framework is known here; `contrib.fastapi` puts a supervisor behind routes.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypedDict

from ..client import MountseaClient
from ..config import MAX_IN_FLIGHT
from ..errors import (
    BatchConflict,
    ClientStateError,
    ConfigurationError,
    JournalError,
    Overloaded,
    SupervisorClosed,
)
from ..upload.fields import check_concurrency
from ..upload.inputs import Urls
from ..upload.unbroken import to_the_end
from .intake import Intake
from .note import BatchNote, BatchSummary
from .reading import BatchReading
from .running import Runner
from .shelf import Shelf
from .supervised import Supervised

__all__ = ["Supervisor", "SupervisorSettings"]

logger = logging.getLogger("mountsea_async")

_RETRY_AFTER = 30.0
_LOOK_FOR_OLD = 3600.0
_STOPPED = "deleted"


class SupervisorSettings(TypedDict, total=False):
    """The settings of a `Supervisor`, which explains them."""

    at_once: int
    queued: int
    max_items: int
    keep: timedelta | None
    concurrency: int
    accept_new_key: bool


class Supervisor(BatchReading):
    """Runs batches outside of the calls that ask for them, to be entered with `async with`.

    A batch is taken in once it is on disk. It goes on after a restart, after a kill, too, and nothing is paid for
    twice. Leaving the supervisor stops submitting, gives requests on their way `ClientConfig.shutdown` seconds for
    their answers, and closes the journals; the next one on the same folder goes on.

    Follows docs.mountsea.ai/api-reference/suno/uploadSession.

    Args:
        client: An open client; it must stay open for as long as the supervisor is.
        folder: Where the journals lie, on a local disk; made if it isn't there. One process at a time.
        at_once: Batches that run at the same time, 1 or more.
        queued: Batches that may wait for their turn besides; beyond, `Overloaded`.
        max_items: The longest batch that is taken in.
        keep: How long the journal of a batch that has ended is kept, and with it its id and its idempotency key;
            None: until somebody removes it.
        concurrency: Requests in flight at once, in each batch (1 to 100).
        accept_new_key: Let another key go on with unfinished batches, after the key was changed.

    Raises:
        ConfigurationError: A setting is out of its range.
    """

    def __init__(
        self,
        client: MountseaClient,
        folder: str | os.PathLike[str],
        *,
        at_once: int = 4,
        queued: int = 100,
        max_items: int = 10_000,
        keep: timedelta | None = timedelta(days=7),
        concurrency: int = 32,
        accept_new_key: bool = False,
    ) -> None:
        for name, value, low in (("at_once", at_once, 1), ("queued", queued, 0), ("max_items", max_items, 1)):
            if isinstance(value, bool) or not isinstance(value, int) or value < low:
                raise ConfigurationError(f"{name}={value!r}: give a whole number, at least {low}")
        if keep is not None and (not isinstance(keep, timedelta) or keep < timedelta(0)):
            raise ConfigurationError(f"keep={keep!r}: give a timedelta, or None to keep all")
        check_concurrency(concurrency, MAX_IN_FLIGHT)
        self._client = client
        self._shelf = Shelf(Path(folder))
        self._limit = at_once + queued
        self._keep = keep
        self._runner = Runner(client, at_once=at_once, concurrency=concurrency, accept_new_key=accept_new_key)
        self._batches: dict[str, Supervised] = {}
        self._intake = Intake(client, self._shelf, max_items)
        self._cleaner: asyncio.Task[None] | None = None
        self.closing = False
        """Whether it takes in nothing more."""

    def __repr__(self) -> str:
        return f"Supervisor({str(self._shelf.folder)!r}, batches={len(self._batches)})"

    # ------------------------------------------------------------------------------------------ opening, closing
    async def __aenter__(self) -> Self:
        """Takes the folder, and goes on with the batches in it that aren't finished.

        Raises:
            JournalBusy: Another process keeps batches in it.
            JournalError: It can't be used.
            ClientStateError: It was entered before.
        """
        if self._cleaner is not None:
            raise ClientStateError("a supervisor is entered once: make another")
        await asyncio.to_thread(self._shelf.open)
        try:
            held = await asyncio.to_thread(lambda: sorted(self._shelf.held(), key=self._shelf.precedence))
            for batch_id, note in held:
                self._take_in(batch_id, note)
            # What came first is listed last; what has begun came first of all where two have one name.
            self._batches = dict(sorted(self._batches.items(), key=lambda one: one[1].note.created_at))
        except BaseException:
            self._shelf.close()
            raise
        self._cleaner = asyncio.get_running_loop().create_task(self._remove_old())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def begin_to_close(self) -> None:
        """Takes in nothing more, submits nothing more, lets readers of events end. `close` waits for the rest."""
        if self.closing:
            return
        self.closing = True
        self._runner.begin_to_close()
        for batch in self._batches.values():
            batch.poke()

    async def close(self) -> None:
        """Stops submitting, waits for requests on their way, closes the journals. Once more does nothing."""
        self.begin_to_close()
        if self._cleaner is not None:
            self._cleaner.cancel()
        try:
            await to_the_end(self._at_rest())  # it is bounded, and nobody may take the folder before
        finally:
            self._shelf.close()

    async def _at_rest(self) -> None:
        while tasks := self._at_work():
            await asyncio.wait(tasks)

    def _at_work(self) -> list[asyncio.Task[Any]]:
        tasks = [self._cleaner, *self._intake.making, *self._runner.at_work]
        return [task for task in tasks if task is not None and not task.done()]

    def _check_open(self) -> None:
        if self._cleaner is None or self.closing:
            said = "is shutting down" if self.closing else "isn't open: use it inside `async with`"
            raise SupervisorClosed(f"the supervisor {said}")

    # --------------------------------------------------------------------------------------------------- taking in
    async def create(
        self, urls: Urls, *, idempotency_key: str | None = None, keep_duplicates: bool = False
    ) -> tuple[BatchSummary, bool]:
        """Takes in a batch. When this returns it is on disk, and will be uploaded whatever happens to the caller.

        Args:
            urls: As in `MountseaClient.upload_batch`.
            idempotency_key: The caller's own name for this request, 1 to 255 characters: the same name again gives
                the same batch, and pays for nothing.
            keep_duplicates: As in `MountseaClient.upload_batch`.

        Returns:
            The batch, and whether it is a new one.

        Raises:
            InputError: The batch is empty or too long, or entries can't be uploaded; names each.
            BatchConflict: The name is that of another request.
            Overloaded: Too many batches run and wait.
            SupervisorClosed: It is shutting down.
            JournalError: The journal can't be written.
        """
        self._check_open()
        entries, note = await self._intake.check(urls, idempotency_key, keep_duplicates=keep_duplicates)
        if (known := await self._intake.known(note)) is not None:
            return self._find(known).summary(), False
        self._check_open()  # it may have been closed meanwhile
        self._check_room()
        made = self._intake.make(entries, note, keep_duplicates=keep_duplicates, then=self._take_in)
        # Whoever asked may leave: a batch that was half taken in would be paid for without anybody's knowing.
        return (await asyncio.shield(made)).summary(), True

    def check_size(self, entries: int) -> None:
        """Makes sure that a batch of so many entries would be taken in.

        Raises:
            InputError: It is longer than `max_items`.
        """
        self._intake.check_size(entries)

    def _check_room(self) -> None:
        open_batches = sum(not batch.state.final or batch.resuming for batch in self._batches.values())
        if open_batches + len(self._intake.making) >= self._limit:
            raise Overloaded(f"{open_batches} batches run or wait already: try again later", retry_after=_RETRY_AFTER)

    def _take_in(self, batch_id: str, note: BatchNote) -> Supervised:
        batch = self._batches[batch_id] = Supervised(batch_id, self._shelf.path(batch_id), note)
        if not self._intake.learn(batch_id, note):
            # Its request was answered with an error, but had reached the disk; what came of the repetition is there.
            batch.error = "another batch has its idempotency key: remove one of the two journals"
            logger.error("batch.same_key", extra={"batch_id": batch_id})
        elif not batch.state.final:
            self._runner.start(batch)
        return batch

    # -------------------------------------------------------------------------------------------- what can be done
    async def stop(self, batch_id: str) -> BatchSummary:
        """Submits nothing more of a batch, for good; what was submitted is followed to its end.

        Args:
            batch_id: The batch. One that has ended stays as it is.

        Raises:
            BatchNotFound: There is none of that id.
            SupervisorClosed: It is shutting down.
            JournalError: That can't be written down; it holds until the next restart.
        """
        self._check_open()
        batch = self._find(batch_id)
        await self._runner.stop(batch, _STOPPED)
        return batch.summary()

    async def resume(self, batch_id: str, *, retry_failed: bool = False) -> BatchSummary:
        """Goes on with a batch that has ended, where there is something left: credits were missing, it was stopped.

        Args:
            batch_id: The batch.
            retry_failed: Send again what has failed, too.

        Raises:
            BatchNotFound: There is none of that id.
            BatchConflict: It hasn't ended.
            Overloaded: Too many batches run and wait.
            SupervisorClosed: It is shutting down.
            JournalError: Its journal can't be written.
        """
        self._check_open()
        batch = self._find(batch_id)
        if batch.resuming:
            raise BatchConflict(f"batch {batch_id} is being resumed already")
        self._check_room()
        await self._runner.resume(batch, retry_failed=retry_failed)
        return batch.summary()

    # ---------------------------------------------------------------------------------------------------- clearing
    async def _remove_old(self) -> None:
        while self._keep is not None:
            before = time.time() - self._keep.total_seconds()
            for batch in list(self._batches.values()):
                async with batch.orders:
                    if batch.over and (batch.note.ended_at or before) < before:
                        await self._remove(batch)
            await asyncio.sleep(_LOOK_FOR_OLD)

    async def _remove(self, batch: Supervised) -> None:
        try:
            await asyncio.to_thread(self._shelf.remove, batch.id)
        except JournalError as error:
            logger.warning("batch.not_removed", extra={"batch_id": batch.id, "error": error.message})
            return
        batch.removed = True
        del self._batches[batch.id]
        self._intake.forget(batch.note)
        batch.poke()
