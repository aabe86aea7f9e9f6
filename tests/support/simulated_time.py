"""An event loop over real sockets whose clock jumps: nothing waits, yet every timer fires in its order.

For servers and clients that live in one loop over loopback: bytes are there as soon as they were sent, so when no
socket is ready the next thing to happen is the next timer, and the clock may jump to it.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable
from typing import Any


class _JumpingSelector(selectors.DefaultSelector):
    loop: JumpingLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if self.loop.threads or timeout is None:
            # A thread's answer comes in real time; the bound turns a deadlock into a failure.
            ready = super().select(0.01 if self.loop.threads else 10)
            if not ready and timeout is None and not self.loop.threads:
                raise RuntimeError("nothing is scheduled and nobody writes: the test would wait for ever")
            return ready
        ready = super().select(0.0002)
        if not ready:
            self.loop.now += timeout
        return ready


class JumpingLoop(asyncio.SelectorEventLoop):
    """`time()` moves only when there is nothing to do."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.threads = 0
        selector = _JumpingSelector()
        selector.loop = self
        super().__init__(selector)
        self._clock_resolution = 1e-6

    def time(self) -> float:
        return self.now

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:
        self.threads += 1
        future = super().run_in_executor(executor, func, *args)
        future.add_done_callback(self._thread_ended)
        return future

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 - asyncio's own
        """Waits for its threads in real time: five minutes of this clock are nothing."""
        self.threads += 1
        try:
            await super().shutdown_default_executor()
        finally:
            self.threads -= 1

    def _thread_ended(self, _: object) -> None:
        self.threads -= 1
