"""How fast uploads end, as far as has been seen.

Pure: is told times.
"""

from __future__ import annotations

from collections import deque

__all__ = ["SILENCE", "Completions"]

MANY = 8
"""So many completions tell how fast they come."""
SILENCE, SILENT_GAPS, SILENT_AT_MOST = 15.0, 5.0, 280.0
"""Seconds, and mean gaps between completions, after which silence says that something isn't noticed; and so many
seconds at most, since silence ends a batch after some minutes."""


class Completions:
    """The last few completions of a session.

    Args:
        least: Seconds that are taken to lie between the first and the last of them, at least.

    Attributes:
        began: When the first upload was accepted.
    """

    def __init__(self, least: float) -> None:
        self._least = least
        self._times: deque[float] = deque(maxlen=MANY + 1)
        self.began = 0.0

    @property
    def known(self) -> bool:
        """Whether there were any."""
        return len(self._times) > 1

    def note(self, now: float, count: int) -> None:
        """So many uploads have ended, or were seen to have."""
        if not self._times:
            self._times.append(self.began)
        self._times.extend([now] * min(count, MANY))

    def speed(self, now: float) -> float:
        """Completions a second of late; silence slows it down."""
        if not self.known:
            return 1 / max(1.0, now - self.began)
        return (len(self._times) - 1) / max(self._least, now - self._times[0])

    def silence(self, now: float) -> float:
        """Seconds since one was noted."""
        return now - (self._times[-1] if self._times else self.began)

    def silent(self, now: float) -> bool:
        """Whether nothing has ended for suspiciously long."""
        if not self.known:
            return now - self.began > 4 * SILENCE
        gap = (self._times[-1] - self._times[0]) / (len(self._times) - 1)
        return self.silence(now) > min(SILENT_AT_MOST, max(SILENCE, SILENT_GAPS * gap))
