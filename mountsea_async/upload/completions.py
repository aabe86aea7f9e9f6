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
        # When, and how many had ended by then: the last of them, and as many before as it takes to have `MANY`.
        self._counts: deque[tuple[float, int]] = deque()
        self.began = 0.0

    @property
    def known(self) -> bool:
        """Whether there were any."""
        return bool(self._counts)

    def note(self, now: float, count: int) -> None:
        """So many uploads have ended, or were seen to have."""
        counts = self._counts
        if not counts:
            counts.append((self.began, 0))
        total = counts[-1][1] + count
        counts.append((now, total))
        while counts[1][1] <= total - MANY:
            counts.popleft()

    def speed(self, now: float) -> float:
        """Completions a second of late; silence slows it down."""
        if not self.known:
            return 1 / max(1.0, now - self.began)
        since, before = self._counts[0]
        return (self._counts[-1][1] - before) / max(self._least, now - since)

    def silence(self, now: float) -> float:
        """Seconds since one was noted."""
        return now - (self._counts[-1][0] if self._counts else self.began)

    def silent(self, now: float) -> bool:
        """Whether nothing has ended for suspiciously long."""
        if not self.known:
            return now - self.began > 4 * SILENCE
        (since, before), (last, total) = self._counts[0], self._counts[-1]
        gap = (last - since) / (total - before)
        return self.silence(now) > min(SILENT_AT_MOST, max(SILENCE, SILENT_GAPS * gap))
