"""What readers of a batch are told: its events from where they stopped reading, and its summary when its state changes.

A reader holds a place in the log, never a queue. While the batch runs the log is in memory, and only what is durable
is told; before and after it is the journal's.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from ..upload.events import Event
from ..upload.log import AT_A_TIME
from ..upload.past import read_events
from .note import BatchState, BatchSummary
from .supervised import Supervised

__all__ = ["watch"]


async def watch(
    batch: Supervised, after: int, closing: Callable[[], bool], idle: float | None = None
) -> AsyncGenerator[tuple[Event, ...] | BatchSummary, None]:
    """What happens in a batch.

    Args:
        batch: The batch.
        after: The `seq` of the event after which to begin.
        closing: Whether the supervisor is about to close.
        idle: Seconds after which no events are told, where nothing has happened; None: never.
    """
    told: BatchState | None = None
    while True:
        changes, over = batch.changes, batch.over or closing()
        if not batch.state.final and batch.state is not told:
            told = batch.state
            yield batch.summary()
        async with aclosing(_events(batch, after, idle)) as groups:
            async for events in groups:
                after = events[-1].seq if events else after
                yield events
                if not batch.state.final and batch.state is not told:
                    told = batch.state
                    yield batch.summary()
        if over:
            yield batch.summary()
            return
        try:
            async with asyncio.timeout(idle):
                if batch.changes == changes:
                    await batch.changed()
        except TimeoutError:
            yield ()


async def _events(batch: Supervised, after: int, idle: float | None) -> AsyncGenerator[tuple[Event, ...], None]:
    """The events that there are; those of a running session until it closes."""
    if batch.session is not None:
        async with aclosing(batch.session.durable_events(after, idle=idle)) as groups:
            async for events in groups:
                yield events
        return
    while page := await asyncio.to_thread(read_events, batch.path, after, AT_A_TIME):
        after = page[-1].seq
        yield page
