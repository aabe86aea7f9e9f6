"""How long an attempt may take: one timer for all attempts in flight, so that one which ends in time costs none.

Knows nothing of HTTP. It cancels whoever has waited too long, as `asyncio.timeout` does, and forgives a loop that stood
still: what has arrived meanwhile is read first.
"""

from __future__ import annotations

import asyncio
import math
from typing import Any

import attrs

LATE = 1.0
"""A timer that fires so many seconds late says that the loop stood still; the answer then gets as many more."""


@attrs.define(eq=False)
class Wait:
    """One attempt's time.

    Attributes:
        due: Loop time at which it is over.
        task: Whoever waits.
        cancelling: How often that task had been cancelled before.
        expired: Whether we have cancelled it.
    """

    due: float
    task: asyncio.Task[Any]
    cancelling: int
    expired: bool = False


class Alarm:
    """Keeps the time of the attempts of one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waits: dict[Wait, None] = {}  # in their order, so that the same world runs the same way twice
        self._timer: asyncio.TimerHandle | None = None
        self._rings_at = math.inf

    def begin(self, seconds: float) -> Wait:
        """The running task begins to wait; after so many seconds it is cancelled. `end` must follow."""
        task = asyncio.current_task(self._loop)
        if task is None:
            raise RuntimeError("only a task can be given a time")
        wait = Wait(self._loop.time() + seconds, task, task.cancelling())
        self._waits[wait] = None
        if wait.due < self._rings_at:
            self._set_timer(wait.due)
        return wait

    def end(self, wait: Wait) -> bool:
        """The task waits no more. Returns whether the time was up, and a `CancelledError` of it nobody else's."""
        self._waits.pop(wait, None)
        return wait.expired and wait.task.uncancel() <= wait.cancelling

    def close(self) -> None:
        """Nobody is waiting any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer, self._rings_at = None, math.inf

    def _set_timer(self, due: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._rings_at = self._loop.call_at(due, self._ring), due

    def _ring(self) -> None:
        # Loops fire a timer up to their clock's resolution early, and it must not be set for the same moment again.
        now = max(self._loop.time(), self._rings_at)
        self._timer, self._rings_at = None, math.inf
        for wait in [wait for wait in self._waits if wait.due <= now]:
            if now - wait.due > LATE:
                wait.due = now + LATE
            else:
                # One turn later: an answer that came with this very turn of the loop has woken its task by then.
                wait.due = math.inf
                self._loop.call_soon(self._expire, wait)
        due = min((wait.due for wait in self._waits), default=math.inf)
        if due < math.inf:
            self._set_timer(due)

    def _expire(self, wait: Wait) -> None:
        if wait in self._waits:
            wait.expired = True
            wait.task.cancel()
