"""Whether a session's submits may go: all of them, one at a time, or none.

Who waits here holds no permit and no place in flight. Knows nothing of why: it is told to close, narrow and widen.
"""

from __future__ import annotations

import asyncio
from collections import deque
from enum import Enum, auto

from .batch import Item

__all__ = ["SubmitGate"]


class _Width(Enum):
    ALL = auto()
    ONE = auto()
    NONE = auto()


class SubmitGate:
    """The gate of one session. Made in the loop that its items run in; wide open at first."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._width = _Width.ALL
        self._probe: Item | None = None
        self._not_before = 0.0
        self._waiting: deque[tuple[Item, asyncio.Future[None]]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def wide(self) -> bool:
        """Whether everybody may go."""
        return self._width is _Width.ALL

    @property
    def closed(self) -> bool:
        """Whether nobody may go."""
        return self._width is _Width.NONE

    def close(self) -> None:
        """Nobody goes from here on."""
        self._width, self._probe = _Width.NONE, None

    def narrow(self, after: float = 0.0) -> None:
        """One at a time from here on: whoever goes next is a probe of whether the others can.

        Args:
            after: Seconds before which nobody goes.
        """
        self._width, self._probe = _Width.ONE, None
        self._not_before = self._loop.time() + after
        self._call_next()

    def widen(self) -> None:
        """Everybody goes."""
        self._width, self._probe = _Width.ALL, None
        waiting, self._waiting = self._waiting, deque()
        for _, turn in waiting:
            if not turn.done():
                turn.set_result(None)

    async def turn(self, item: Item) -> None:
        """Waits until an item may go."""
        while not self.admits(item):
            turn: asyncio.Future[None] = self._loop.create_future()
            self._waiting.append((item, turn))
            self._call_next()
            try:
                await turn
            except asyncio.CancelledError:
                self.leave(item)
                raise

    def admits(self, item: Item) -> bool:
        """Whether an item may go: things may have changed since its turn came."""
        return self.wide or (self._width is _Width.ONE and self._probe is item)

    def leave(self, item: Item) -> None:
        """An item's turn is over, whatever came of it."""
        if self._probe is item:
            self._probe = None
            self._call_next()

    def _call_next(self) -> None:
        if self._width is not _Width.ONE or self._probe is not None:
            return
        if (wait := self._not_before - self._loop.time()) > 0:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.call_later(wait, self._on_timer)
            return
        while self._waiting:
            item, turn = self._waiting.popleft()
            if not turn.done():
                self._probe = item
                turn.set_result(None)
                return

    def _on_timer(self) -> None:
        self._timer = None
        self._call_next()
