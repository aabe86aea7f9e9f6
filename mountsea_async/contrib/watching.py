"""What readers of a batch are told: its events from where they stopped reading, and its summary when its state changes.

A reader holds a place in the log, never a queue. While the batch runs the log is in memory, and only what is durable
is told; before and after it is the journal's.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from ..upload.events import Event
from ..upload.past import read_events
from .note import BatchState, BatchSummary
from .supervised import Supervised

__all__ = ["watch"]

_PAGE = 500


async def watch(
    batch: Supervised, after: int, closing: Callable[[], bool]
) -> AsyncGenerator[Event | BatchSummary, None]:
    """What happens in a batch.

    Args:
        batch: The batch.
        after: The `seq` of the event after which to begin.
        closing: Whether the supervisor is about to close.
    """
    told: BatchState | None = None
    while True:
        changes, over = batch.changes, batch.over or closing()
        if not batch.state.final and batch.state is not told:
            told = batch.state
            yield batch.summary()
        async with aclosing(_events(batch, after)) as events:
            async for event in events:
                after = event.seq
                yield event
        if over:
            yield batch.summary()
            return
        if batch.changes == changes:
            await batch.changed()


async def _events(batch: Supervised, after: int) -> AsyncGenerator[Event, None]:
    """The events that there are; those of a running session until it closes."""
    if batch.session is not None:
        async with aclosing(batch.session.durable_events(after)) as events:
            async for event in events:
                yield event
        return
    while page := await asyncio.to_thread(read_events, batch.path, after, _PAGE):
        for event in page:
            after = event.seq
            yield event
