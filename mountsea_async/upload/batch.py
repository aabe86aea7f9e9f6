"""The items of a session, as the events have left them: a projection that only `apply` changes.

No I/O and no clock. `EventLog` keeps the events for readers that hold a cursor, never a queue: a slow reader
costs nothing and a late one misses nothing.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import attrs

from ..errors import MountseaError
from ..models import Clip, UploadItem
from ..redact import shown_url
from .events import Event, ItemChanged
from .lifecycle import ENDS, ItemState, advance
from .report import ItemReport, utc

__all__ = ["Batch", "EventLog", "Item"]


@attrs.define(eq=False)
class Item:
    """One entry of the input. Only `Batch.apply` changes what follows `twins`."""

    index: int
    key: str | None
    audio_url: str = attrs.field(repr=False)
    metadata: Mapping[str, Any] = attrs.field(repr=False)
    duplicate_of: int | None = None
    twins: list[Item] = attrs.field(factory=list, repr=False)
    state: ItemState = ItemState.NEW
    reason: str | None = None
    task_id: str | None = None
    clip: Clip | None = None
    error: MountseaError | None = None
    attempts: int = 0
    submitted_at: float | None = None
    ended_at: float | None = None

    @property
    def ended(self) -> bool:
        """Whether this run does nothing more for it."""
        return self.state in ENDS

    def report(self) -> ItemReport:
        """The item as it stands."""
        return ItemReport(
            index=self.index,
            key=self.key,
            audio_url=shown_url(self.audio_url),
            state=self.state,
            reason=self.reason,
            evidence="task" if self.clip else None,
            task_id=self.task_id,
            clip=self.clip,
            error=self.error,
            attempts=self.attempts,
            duplicate_of=self.duplicate_of,
            metadata=self.metadata,
            submitted_at=utc(self.submitted_at),
            ended_at=utc(self.ended_at),
        )


class Batch:
    """All items of a session, and how many are in each state."""

    def __init__(self) -> None:
        self.items: list[Item] = []
        self.counts: Counter[ItemState] = Counter()
        self.uploads_ended = 0
        self._by_url: dict[str, Item] = {}

    def add(self, entry: UploadItem, *, keep_duplicates: bool) -> tuple[Item, Item | None]:
        """Takes in one entry.

        Returns:
            The item, and the earlier item whose upload it shares, if it does.
        """
        original = None if keep_duplicates else self._by_url.get(entry.audio_url)
        if original is not None and original.state in _REPEATABLE:
            original = None
        item = Item(len(self.items), entry.key, entry.audio_url, entry.metadata)
        if original is None:
            self._by_url[entry.audio_url] = item
        else:
            item.duplicate_of = original.index
            original.twins.append(item)
        self.items.append(item)
        self.counts[item.state] += 1
        return item, original

    @property
    def unfinished(self) -> int:
        """Items that have not come to an end."""
        return len(self.items) - sum(self.counts[state] for state in ENDS)

    def reports(self) -> tuple[ItemReport, ...]:
        """All items as they stand; those whose tasks have named the same clip are marked."""
        named = Counter(item.clip.id for item in self.items if item.clip and item.duplicate_of is None)
        return tuple(
            attrs.evolve(item.report(), reason="duplicate_clip")
            if item.clip and named[item.clip.id] > 1
            else item.report()
            for item in self.items
        )

    def apply(self, event: Event) -> None:
        """The one function that changes an item.

        Raises:
            IllegalTransition: The table of `lifecycle.py` doesn't know the event's transition.
        """
        if not isinstance(event, ItemChanged):
            return
        item = self.items[event.index]
        state = advance(item.state, event.trigger)
        self.counts[item.state] -= 1
        self.counts[state] += 1
        item.state = state
        item.reason = event.reason or item.reason
        item.task_id = event.task_id or item.task_id
        item.clip = event.clip or item.clip
        item.error = event.error
        if state is ItemState.SUBMITTING:
            item.attempts += 1
        elif state is ItemState.SUBMITTED:
            item.submitted_at = event.at
        elif state in ENDS:
            item.ended_at = event.at
            self.uploads_ended += item.duplicate_of is None


_REPEATABLE = frozenset({ItemState.FAILED, ItemState.NOT_SUBMITTED})
"""Ends after which the same URL, handed in again by the caller, is a new upload; a timed out one may still land."""


class EventLog:
    """The events of a session, in order, and whoever waits for the next one."""

    def __init__(self) -> None:
        self._events: list[Event] = []
        self._waiters: list[asyncio.Future[None]] = []
        self.closed = self.released = False

    def __len__(self) -> int:
        return len(self._events)

    def append(self, event: Event) -> None:
        """Takes in the next event."""
        self._events.append(event)
        self.wake()

    def release(self) -> None:
        """Readers that have read everything need not wait for more."""
        self.released = True
        self.wake()

    def close(self) -> None:
        """No event will follow."""
        self.closed = True
        self.wake()

    def wake(self) -> None:
        """Lets readers look again at what they wait for."""
        if self._waiters:
            waiters, self._waiters = self._waiters, []
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(None)

    async def read(self, is_over: Callable[[], bool]) -> AsyncIterator[Event]:
        """Every event from the first on, until the log is closed or `is_over` says so."""
        cursor = 0
        while True:
            while cursor < len(self._events):
                event = self._events[cursor]
                cursor += 1
                yield event
            if self.closed or self.released or is_over():
                return
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            try:
                await waiter
            finally:
                if waiter in self._waiters:
                    self._waiters.remove(waiter)
