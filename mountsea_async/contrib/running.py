"""Sees the batches of a supervisor through: runs each in its turn, tries again what can't go on, notes the end."""

from __future__ import annotations

import asyncio
import logging
import time

import attrs

from ..client import MountseaClient
from ..errors import (
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

    async def see_through(self, batch: Supervised) -> None:
        """Runs a batch to its end. A cancel leaves it to a later run."""
        wait = _AGAIN
        while True:
            try:
                async with self._seats:
                    await self._run(batch)
            except _PASSING as error:
                logger.warning("batch.put_off", extra={"batch_id": batch.id, "error": error.message})
                batch.error = error.message
                batch.poke()
            except MountseaError as error:
                await to_the_end(self._refused(batch, error))
                return
            except Exception:
                logger.exception("batch.crashed", extra={"batch_id": batch.id})
                batch.error = "an error of the library stopped it; it goes on at the next start"
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
            retry_failed=batch.retry_failed,
            accept_new_key=self._accept_new_key,
        )
        await session.read_first(None)
        try:
            async with session:
                if batch.note.stop is not None:  # nothing was awaited since it was opened: nothing of it has begun
                    session.stop_submitting(batch.note.stop)
                batch.session, batch.error = session, None
                batch.poke()
                await session.run()
            batch.note = _ended(batch.note, session.report, BatchState.FINISHED, time.time())
        finally:
            batch.session = None
            batch.poke()
        batch.retry_failed = False
        await to_the_end(self._write_end(batch))

    async def _write_end(self, batch: Supervised) -> None:
        try:
            await asyncio.to_thread(put_note, batch.path, batch.note.encode())
        except JournalError as error:  # the next start looks at it again, and finds nothing left to do
            logger.warning("batch.end_unwritten", extra={"batch_id": batch.id, "error": error.message})

    async def _refused(self, batch: Supervised, error: MountseaError) -> None:
        """The service would not go on with a batch. Where nothing of it was ever sent that is its end."""
        logger.warning("batch.refused", extra={"batch_id": batch.id, "error": error.message})
        batch.error = error.message
        try:
            await self.call_off(batch, stops_submits(error) or "refused", error)
        except JournalError as failure:
            logger.warning("batch.end_unwritten", extra={"batch_id": batch.id, "error": failure.message})
        batch.poke()

    async def call_off(self, batch: Supervised, reason: str, error: MountseaError | None = None) -> bool:
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
        begun = attrs.evolve(batch.note, stop=reason, error=None if error is None else error.message)
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
