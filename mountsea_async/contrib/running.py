"""Sees the batches of a supervisor through: runs each in its turn, tries again what can't go on, notes the end."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine
from typing import Any

import attrs

from ..client import MountseaClient
from ..errors import (
    APIError,
    BatchConflict,
    BatchNotFound,
    ClientStateError,
    JournalError,
    MountseaError,
    NoAccountError,
    RateLimitedError,
    ServerError,
    TransportError,
    UnexpectedAnswerError,
)
from ..upload.past import read_journal
from ..upload.planned import call_off, put_note
from ..upload.report import BatchReport
from ..upload.unbroken import to_the_end
from ..wire.protocol import stops_submits
from .note import BatchNote, BatchState
from .supervised import Supervised
from .words import public_words

__all__ = ["Runner"]

logger = logging.getLogger("mountsea_async")

_PASSING = (TransportError, ServerError, NoAccountError, RateLimitedError, UnexpectedAnswerError, JournalError)
"""What another try may get over: the service is away, the disk is full, somebody works on the journal."""
_AGAIN, _AGAIN_CAP = 5.0, 60.0
"""Seconds after which a batch that can't go on is tried again; doubled from time to time, up to the second."""


class Runner:
    """Runs batches whose journals are there.

    Args:
        client: An open client.
        at_once: So many at the same time.
        concurrency: Requests in flight at once, in each.
        accept_new_key: Let another key go on with them.
    """

    def __init__(self, client: MountseaClient, *, at_once: int, concurrency: int, accept_new_key: bool) -> None:
        self._client = client
        self._seats = asyncio.Semaphore(at_once)
        self._concurrency = concurrency
        self._accept_new_key = accept_new_key
        self._runs: set[asyncio.Task[None]] = set()
        self._orders: set[asyncio.Task[None]] = set()
        self._closing = False

    # ------------------------------------------------------------------------------------------ what can be ordered
    def start(self, batch: Supervised) -> None:
        """Sees a batch through, in a task of its own."""
        if not self._closing:
            run = asyncio.get_running_loop().create_task(self._see_through(batch))
            self._runs.add(run)
            run.add_done_callback(self._runs.discard)
            batch.seen_through_by(run)

    async def stop(self, batch: Supervised, word: str) -> None:
        """Submits nothing more of a batch; does nothing to one that has ended.

        Args:
            batch: The batch.
            word: Why, for its report.

        Raises:
            JournalError: That can't be written down.
        """
        await self._carry_out(batch, self._stop(batch, word))

    async def resume(self, batch: Supervised, *, retry_failed: bool) -> None:
        """Goes on with a batch that has ended.

        Args:
            batch: The batch.
            retry_failed: Send again what has failed, too.

        Raises:
            BatchConflict: It hasn't ended.
            JournalError: Its journal can't be written.
        """
        batch.resuming = True
        await self._carry_out(batch, self._resume(batch, retry_failed=retry_failed))

    def begin_to_close(self) -> None:
        """Begins nothing more, and cancels what runs; it is `at_work` until it has come to its end."""
        self._closing = True
        for run in self._runs:
            run.cancel()

    @property
    def at_work(self) -> list[asyncio.Task[None]]:
        """What has not come to its end."""
        return [*self._runs, *self._orders]

    async def _carry_out(self, batch: Supervised, order: Coroutine[Any, Any, None]) -> None:
        """One order for a batch at a time, and each to its end, whoever gave it may leave."""

        async def carried_out() -> None:
            async with batch.orders:
                await order

        task = asyncio.get_running_loop().create_task(carried_out())
        self._orders.add(task)
        task.add_done_callback(self._carried_out)
        await asyncio.shield(task)

    def _carried_out(self, task: asyncio.Task[None]) -> None:
        self._orders.discard(task)
        if not task.cancelled():
            task.exception()  # told to whoever gave the order, if he is still there

    async def _stop(self, batch: Supervised, word: str) -> None:
        if batch.state.final:
            return
        batch.note = attrs.evolve(batch.note, stop=batch.note.stop or word)
        if batch.session is not None:
            try:
                batch.session.stop_submitting(word)
                await batch.session.annotate(batch.note.encode())
            except ClientStateError:  # it is just ending; a run that was cut short writes nothing down
                await self._wait_for(batch)
                if not batch.state.final:
                    await asyncio.to_thread(put_note, batch.path, batch.note.encode())
            batch.poke()
            return
        if batch.task is not None:
            batch.task.cancel()
            await self._wait_for(batch)
        try:
            if not batch.state.final and not await self._call_off(batch, word):
                await asyncio.to_thread(put_note, batch.path, batch.note.encode())
        finally:
            if (
                not batch.state.final
            ):  # what was sent is followed; and if nothing could be written, the word still holds
                self.start(batch)
            batch.poke()

    async def _resume(self, batch: Supervised, *, retry_failed: bool) -> None:
        try:
            if batch.removed:
                raise BatchNotFound(f"batch {batch.id} was removed: its time is over")
            if not batch.state.final:
                raise BatchConflict(f"batch {batch.id} hasn't ended: there is nothing to resume yet")
            await self._wait_for(batch)
            begun = attrs.evolve(batch.note, state=None, stop=None, ended_at=None, error=None, counts={})
            note = attrs.evolve(begun, retry_failed=retry_failed)
            await asyncio.to_thread(put_note, batch.path, note.encode())
            batch.note = note
            self.start(batch)
        finally:
            batch.resuming = False
        batch.poke()

    async def _wait_for(self, batch: Supervised) -> None:
        if batch.task is not None:
            await asyncio.wait([batch.task])

    # ----------------------------------------------------------------------------------------------------- running
    async def _see_through(self, batch: Supervised) -> None:
        """Runs a batch to its end. A cancel leaves it to a later run."""
        wait = _AGAIN
        while True:
            try:
                async with self._seats:
                    await self._run(batch)
            except _PASSING as error:
                logger.warning("batch.put_off", extra={"batch_id": batch.id, "error": error.message})
                batch.error = public_words(error)
                batch.poke()
            except APIError as error:
                await to_the_end(self._refused(batch, error))
                return
            except Exception:
                logger.exception("batch.crashed", extra={"batch_id": batch.id})
                batch.error = "an error of the application stopped it, its log says which; it goes on at the next start"
                batch.poke()
                return
            else:
                return
            await asyncio.sleep(wait)
            wait = min(_AGAIN_CAP, wait * 2)

    async def _run(self, batch: Supervised) -> None:
        session = self._client.resume_session(
            batch.path,
            concurrency=self._concurrency,
            retry_failed=batch.note.retry_failed,
            accept_new_key=self._accept_new_key,
        )
        await session.read_first(None)
        try:
            async with session:
                if batch.note.stop is not None:  # nothing was awaited since it was opened: nothing of it has begun
                    session.stop_submitting(batch.note.stop)
                batch.session, batch.error = session, None
                batch.poke()
                if batch.note.retry_failed:  # once: what fails again is not sent again by the next start
                    batch.note = attrs.evolve(batch.note, retry_failed=False)
                    await session.annotate(batch.note.encode())
                await session.run()
            report = session.report
            if report.stopped == "journal" or report.journal_error is not None:
                # What it has come to is not all on disk: it has not ended, but goes on when the disk lets it.
                raise report.journal_error or JournalError("the journal couldn't be written", path=str(batch.path))
            batch.note = _ended(batch.note, report, BatchState.FINISHED, time.time())
        finally:
            batch.session = None
            batch.poke()
        await to_the_end(self._write_end(batch))

    async def _write_end(self, batch: Supervised) -> None:
        try:
            await asyncio.to_thread(put_note, batch.path, batch.note.encode())
        except JournalError as error:  # the next start looks at it again, and finds nothing left to do
            logger.warning("batch.end_unwritten", extra={"batch_id": batch.id, "error": error.message})

    async def _refused(self, batch: Supervised, error: MountseaError) -> None:
        """The service would not go on with a batch. Where nothing of it was ever sent that is its end."""
        logger.warning("batch.refused", extra={"batch_id": batch.id, "error": error.message})
        batch.error = public_words(error)
        try:
            await self._call_off(batch, stops_submits(error) or "refused", error)
        except JournalError as failure:
            logger.warning("batch.end_unwritten", extra={"batch_id": batch.id, "error": failure.message})
        batch.poke()

    async def _call_off(self, batch: Supervised, reason: str, error: MountseaError | None = None) -> bool:
        """Ends a batch that nobody runs and of which nothing was ever sent.

        Args:
            batch: The batch.
            reason: A short word for the report.
            error: The refusal that it follows, where there was one.

        Returns:
            Whether that was so.

        Raises:
            JournalError: Its journal can't be read or written.
        """
        report = await asyncio.to_thread(read_journal, batch.path)
        if any(item.attempts for item in report.items):
            return False
        state = BatchState.FINISHED if error is None else BatchState.REFUSED
        begun = attrs.evolve(batch.note, stop=reason, error=None if error is None else public_words(error))
        at = time.time()
        ended = await asyncio.to_thread(
            call_off,
            batch.path,
            reason=reason,
            at=at,
            note=lambda report: _ended(begun, report, state, at).encode(),
            error=error,
        )
        batch.note, batch.error = _ended(begun, ended, state, at), None
        return True


def _ended(note: BatchNote, report: BatchReport, state: BatchState, at: float) -> BatchNote:
    return attrs.evolve(
        note,
        state=state,
        ended_at=at,
        session_id=report.session_id,
        stop=note.stop or report.stopped,
        counts={state.value: count for state, count in report.counts.items()},
    )
