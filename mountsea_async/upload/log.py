"""The events of a session, kept for readers that hold a cursor, never a queue: a slow reader costs nothing and a late
one misses nothing. No I/O and no clock.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable

from .events import Event

__all__ = ["EventLog"]

AT_A_TIME = 500
"""So many events a reader is handed at once, at most."""


class EventLog:
    """The events of a session, in order, and whoever waits for the next one."""

    def __init__(self) -> None:
        self._events: list[Event] = []
        self._waiters: list[asyncio.Future[None]] = []
        self._waiters_for_disk: list[asyncio.Future[None]] = []
        self._durable = 0
        self.closed = self.settled = self.released = False

    def __len__(self) -> int:
        return len(self._events)

    def append(self, event: Event) -> None:
        """Takes in the next event."""
        self._events.append(event)
        _wake(self._waiters)

    def kept(self, events: int) -> None:
        """So many more events would survive a kill."""
        self._durable = min(self._durable + events, len(self._events))
        _wake(self._waiters_for_disk)

    def release(self) -> None:
        """Readers that have read everything need not wait for more."""
        self.released = True
        self.wake()

    def close(self) -> None:
        """No event will follow."""
        self.closed = True
        self.wake()

    def settle(self) -> None:
        """Nothing more becomes durable."""
        self.settled = True
        self.wake()

    def wake(self) -> None:
        """Lets readers look again at what they wait for."""
        _wake(self._waiters)
        _wake(self._waiters_for_disk)

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
            await _wait_among(self._waiters)

    async def read_durable(self, after: int, idle: float | None = None) -> AsyncGenerator[tuple[Event, ...], None]:
        """Every event that would survive a kill, in order, all that there are at a time; until no more become durable.

        Args:
            after: The number of the event after which to begin; -1: with the first.
            idle: Seconds after which none at all are given, where there are none.
        """
        cursor = after + 1
        while True:
            while cursor < self._durable:
                events = tuple(self._events[cursor : min(self._durable, cursor + AT_A_TIME)])
                cursor += len(events)
                yield events
            if self.settled:
                return
            try:
                async with asyncio.timeout(idle):
                    await _wait_among(self._waiters_for_disk)
            except TimeoutError:
                yield ()

    @property
    def durable(self) -> int:
        """How many events would survive a kill."""
        return self._durable


def _wake(waiters: list[asyncio.Future[None]]) -> None:
    for waiter in waiters:
        if not waiter.done():
            waiter.set_result(None)
    waiters.clear()


async def _wait_among(waiters: list[asyncio.Future[None]]) -> None:
    waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    waiters.append(waiter)
    try:
        await waiter
    finally:
        if waiter in waiters:
            waiters.remove(waiter)
