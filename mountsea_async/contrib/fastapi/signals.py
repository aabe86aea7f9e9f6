"""The end of the process, heard as soon as it is asked for.

A server waits for its open connections before it ends the application's lifespan, and a stream of events is one that
stays open: so the application has to hear of the signal itself. The server's own handler is called as before.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

__all__ = ["told_of_the_end"]


@contextlib.contextmanager
def told_of_the_end(tell: Callable[[], object]) -> Iterator[None]:
    """Calls a function, in the running loop, once SIGTERM or SIGINT comes.

    Only where somebody handles the signal already, and in the main thread: what a signal does is the server's choice.

    Args:
        tell: The function.
    """
    loop = asyncio.get_running_loop()
    with contextlib.ExitStack() as stack:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                stack.enter_context(_listening(number, lambda: loop.call_soon_threadsafe(tell)))
        yield


@contextlib.contextmanager
def _listening(number: signal.Signals, tell: Callable[[], object]) -> Iterator[None]:
    before: Any = signal.getsignal(number)
    if not callable(before):
        yield
        return

    def heard(received: int, frame: FrameType | None) -> None:
        tell()
        before(received, frame)

    signal.signal(number, heard)
    try:
        yield
    finally:
        if signal.getsignal(number) is heard:  # else somebody else has taken it over
            signal.signal(number, before)
