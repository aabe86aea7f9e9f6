"""Ctrl-C and SIGTERM during a batch: the first Ctrl-C stops submitting, the next one, or SIGTERM, stops."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Iterator

from .. import ClientStateError, UploadSession

__all__ = ["Interrupts"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """Turns signals into calls on a running batch.

    Args:
        session: The batch's session.
        work: The task that runs the batch.
        say: Tells the person at the terminal.

    Attributes:
        seen: Whether there was any.
    """

    def __init__(
        self,
        session: UploadSession,
        work: asyncio.Task[None],
        say: Callable[[str], None],
    ) -> None:
        self._session = session
        self._work = work
        self._say = say
        self.seen = False
        self._stopping = False

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Listens while the body runs; where the loop can't (Windows), Ctrl-C cancels as it always does."""
        loop = asyncio.get_running_loop()
        added = []
        for number in _SIGNALS:
            with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
                loop.add_signal_handler(number, self._on_signal, number)
                added.append(number)
        try:
            yield
        finally:
            for number in added:
                loop.remove_signal_handler(number)

    def _on_signal(self, number: signal.Signals) -> None:
        first, self.seen = not self.seen, True
        if number == signal.SIGINT and first and self._stop_submitting():
            return
        self.stop()

    def _stop_submitting(self) -> bool:
        """Whether there was anything to stop: a batch without a session yet is simply given up."""
        try:
            self._session.stop_submitting("interrupted")
        except ClientStateError:
            return False
        self._say(
            "interrupted: nothing more is submitted; what was submitted is still being followed. "
            "Press Ctrl-C again to stop at once."
        )
        return True

    def stop(self) -> None:
        """Ends the batch; pressing again cuts short the time that requests on their way get."""
        self.seen = True
        if not self._stopping:
            self._stopping = True
            if self._session.report.items:
                self._say("stopping: requests on their way get up to 10 s for their answers")
        self._work.cancel()
