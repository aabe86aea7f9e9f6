"""The events of a session, kept for readers that hold a cursor, never a queue: a slow reader costs nothing and a late
one misses nothing. No I/O and no clock.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

from .events import Event

__all__ = ["EventLog"]


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
