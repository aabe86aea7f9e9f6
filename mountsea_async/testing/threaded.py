"""An emulator on a thread of its own, for synchronous tests and for tests under any async framework.

What may live here: the one thread this package starts, bounded at both ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

    from mountsea_async.testing.emulator import Emulator

_BOUND = 15.0


class EmulatorThread:
    """Runs an emulator beside the caller: `with emulator.in_thread() as emulator`.

    Args:
        emulator: one that is not running.
    """

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator
        self._started = threading.Event()
        self._stop: tuple[asyncio.AbstractEventLoop, asyncio.Event] | None = None
        self._error: BaseException | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Emulator:
        """Start, and wait until it listens.

        Raises:
            OSError: the port is taken, or another error of starting.
            RuntimeError: it did not start in time, or this runner was used before.
        """
        if self._thread is not None:
            raise RuntimeError("This runner was used already: call in_thread() again")
        self._thread = threading.Thread(target=self._run, name="mountsea-emulator", daemon=True)
        self._thread.start()
        if not self._started.wait(_BOUND):
            raise RuntimeError(f"The emulator did not start within {_BOUND:g} s")
        if self._error is not None:
            self._thread.join(_BOUND)
            raise self._error
        return self._emulator

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop, and wait until the thread has ended.

        Raises:
            RuntimeError: it did not stop in time; or the error that ended it earlier.
        """
        if self._stop is not None:
            loop, stop = self._stop
            with contextlib.suppress(RuntimeError):  # the loop ended by itself; its error is raised below
                loop.call_soon_threadsafe(stop.set)
        if self._thread is not None:
            self._thread.join(_BOUND)
            if self._thread.is_alive():
                raise RuntimeError(f"The emulator did not stop within {_BOUND:g} s") from error
        if self._error is not None and error is None:
            raise self._error

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # noqa: BLE001 - handed to the thread that asked, which raises it
            self._error = error
        finally:
            self._started.set()

    async def _serve(self) -> None:
        stop = asyncio.Event()
        async with self._emulator:
            self._stop = asyncio.get_running_loop(), stop
            self._started.set()
            await stop.wait()
