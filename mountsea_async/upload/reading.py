"""What can be read of a session: its events, its items as they end, its report. Any number of readers, at any time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from ..errors import ClientStateError
from .events import Event, ItemChanged
from .lifecycle import ENDS, ItemState
from .plan import Plan
from .report import BatchReport, ItemReport
from .run import Run

__all__ = ["SessionReading"]


class SessionReading:
    """The part of an `UploadSession` that changes nothing."""

    _plan: Plan
    _run: Run | None
    _owner: asyncio.Task[object] | None
    _adding: int

    def _entered(self) -> Run:
        if self._run is None:
            raise ClientStateError("the session isn't open: use it inside `async with client.upload_session()`")
        return self._run

    @property
    def session_id(self) -> str:
        """The service's id of the session.

        Raises:
            ClientStateError: The session isn't open yet.
        """
        return self._entered().session_id

    async def events(self) -> AsyncIterator[Event]:
        """Every event of the session, from the first on; any number of readers, whenever they come. Where a journal was
        resumed, those of the earlier runs come first.

        Ends when the session has closed, so await its reader outside the session's block, not inside. In the task
        that opened the session, which can't close it meanwhile, it ends when nothing is in flight.
        """
        run = self._entered()
        run.consumed()
        owner = asyncio.current_task() is self._owner
        await asyncio.sleep(0)  # lets an `upload_all` that was just made a task begin
        async for event in run.record.log.read(lambda: owner and self._idle(run)):
            yield event

    async def durable_events(
        self, after: int = -1, *, idle: float | None = None
    ) -> AsyncGenerator[tuple[Event, ...], None]:
        """The events as they become durable in the journal, commit by commit, for readers who come back: no kill makes
        another event of the same `seq` of what was read here. Ends when the session has closed. A slow reader costs
        nothing.

        Args:
            after: The `seq` of the event after which to begin; -1: with the first.
            idle: Seconds after which an empty tuple is given where nothing has happened; None: never.
        """
        run = self._entered()
        run.consumed()
        async with aclosing(run.record.log.read_durable(after, idle)) as commits:
            async for events in commits:
                yield events

    @property
    def durable_seq(self) -> int:
        """The `seq` of the last event that is durable in the journal; -1 before any is."""
        return self._entered().record.log.durable - 1

    async def as_completed(self) -> AsyncIterator[ItemReport]:
        """The items in the order in which they end, those that have ended before included.

        Ends when nothing is in flight.
        """
        run = self._entered()
        run.consumed()
        await asyncio.sleep(0)  # as above
        async for event in run.record.log.read(lambda: self._idle(run)):
            if isinstance(event, ItemChanged) and event.state in ENDS:
                item = run.record.batch.items[event.index]
                if item.last == event.seq:  # it may have been sent again since
                    yield item.report()

    def _idle(self, run: Run) -> bool:
        return not self._adding and not run.record.batch.unfinished

    @property
    def counts(self) -> dict[ItemState, int]:
        """How many items are in each state that occurs, without the rest of a report."""
        return {} if self._run is None else dict(+self._run.record.batch.counts)

    @property
    def report(self) -> BatchReport:
        """The session as it stands: at any time, after a cancel too."""
        return BatchReport(self._plan.session_id, ()) if self._run is None else self._run.report()
