"""What can be asked of the batches that a supervisor keeps: summaries, reports, events. Changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from ..errors import BatchNotFound
from ..upload.events import Event
from ..upload.past import read_events, read_journal, read_upto
from ..upload.report import BatchReport
from .note import BatchSummary
from .supervised import Supervised
from .watching import watch

__all__ = ["BatchReading"]


class BatchReading:
    """The part of a `Supervisor` that changes nothing."""

    _batches: dict[str, Supervised]
    closing: bool

    def _find(self, batch_id: str) -> Supervised:
        try:
            return self._batches[batch_id]
        except KeyError:
            raise BatchNotFound(f"there is no batch {batch_id[:64]!r}") from None

    def summary(self, batch_id: str) -> BatchSummary:
        """A batch in a few words. Raises `BatchNotFound`."""
        return self._find(batch_id).summary()

    def summaries(self) -> list[BatchSummary]:
        """All batches, the newest first."""
        return [batch.summary() for batch in reversed(self._batches.values())]

    async def report(self, batch_id: str) -> BatchReport:
        """A batch as it stands, also while it runs.

        Raises:
            BatchNotFound: There is none of that id.
            JournalError: Its journal can't be read.
        """
        batch = self._find(batch_id)
        if batch.session is not None:
            return batch.session.report
        return await asyncio.to_thread(read_journal, batch.path)

    async def watch(self, batch_id: str, *, after: int = -1) -> AsyncGenerator[Event | BatchSummary, None]:
        """What happens in a batch, and its summary at first and whenever its own state has changed.

        Only what is on disk is told, so an event's `seq` never comes to mean another one, whatever is killed. Ends
        with the summary, when the batch has ended or the supervisor is closed. A reader who is slow, or has gone,
        costs nothing: nothing is kept for him but his place.

        Args:
            batch_id: The batch.
            after: The `seq` of the event after which to begin; -1: with the first.

        Raises:
            BatchNotFound: There is none of that id.
            JournalError: Its journal can't be read.
        """
        async with aclosing(self.watch_commits(batch_id, after=after)) as told:
            async for each in told:
                for one in (each,) if isinstance(each, BatchSummary) else each:
                    yield one

    async def watch_commits(
        self, batch_id: str, *, after: int = -1, idle: float | None = None
    ) -> AsyncGenerator[tuple[Event, ...] | BatchSummary, None]:
        """As `watch`, but all events at a time that there are: many readers at once cost less so.

        Args:
            batch_id: The batch.
            after: The `seq` of the event after which to begin.
            idle: Seconds after which an empty tuple is given where nothing has happened, so that whoever sends this on
                can show that he is there; None: never.

        Raises:
            BatchNotFound, JournalError: As `watch`.
        """
        async with aclosing(watch(self._find(batch_id), after, lambda: self.closing, idle)) as told:
            async for each in told:
                yield each

    async def has_events(self, batch_id: str, *, after: int) -> bool:
        """Whether a batch has events after one of them, as far as its journal on disk tells."""
        return bool(await asyncio.to_thread(read_events, self._find(batch_id).path, after, 1))

    async def snapshot(self, batch_id: str) -> tuple[BatchSummary, int, BatchReport]:
        """A batch as it stands: its summary, the `seq` of the last durable event that its report holds, the report.

        Raises:
            BatchNotFound: There is none of that id.
            JournalError: Its journal can't be read.
        """
        batch = self._find(batch_id)
        if batch.session is not None:
            return batch.summary(), batch.session.durable_seq, batch.session.report
        summary = batch.summary()
        report, last = await asyncio.to_thread(read_upto, batch.path)
        return summary, last, report

    async def wait(self, batch_id: str) -> BatchReport:
        """Waits until a batch has ended, or the supervisor is closed, and gives its report.

        Raises:
            BatchNotFound: There is none of that id.
            JournalError: Its journal can't be read.
        """
        batch = self._find(batch_id)
        while not (batch.over or self.closing):
            await batch.changed()
        return await self.report(batch_id)
