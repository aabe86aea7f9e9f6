"""How long to wait for what may never come: a silent batch, a clip that stays away, a service that can't be reached.

Pure: is told times, counts and random numbers, and answers with seconds.
"""

from __future__ import annotations

from ..config import PollPolicy, RetryPolicy

__all__ = ["REFUSED_PATIENCE", "SETTLE_MOST", "TRAVEL", "Absence", "outage_delay", "settle_limit", "stall_limit"]

REFUSED_PATIENCE = 60.0
"""Seconds after which polls that are all refused for their key count as a stall: they won't come back."""
_MEAN_GAPS = 6


def stall_limit(policy: PollPolicy, ended: int, span: float) -> float:
    """Seconds without a sign of life after which what is pending is given up.

    Args:
        policy: Holds the lower bound.
        ended: Items that have ended so far.
        span: Seconds from the first submit to the last end.
    """
    mean_gap = span / ended if ended else 0.0
    return max(policy.stall, _MEAN_GAPS * mean_gap)


SETTLE_LEAST, SETTLE_MOST = 15.0, 300.0
"""Bounds of the settle time that is derived from a batch's own uploads; the second is taken before any has ended."""
FEW = 5
"""So few uploads tell little of how long the slowest may take."""


def settle_limit(setting: float | None, longest: float | None, ended: int) -> float:
    """Seconds after which a clip that hasn't appeared isn't expected any more.

    Args:
        setting: `ClientConfig.settle`; None derives it.
        longest: Seconds that the slowest upload of the batch has taken so far, waiting for its turn included.
        ended: How many have ended with a clip.
    """
    if setting is not None:
        return setting
    if longest is None:
        return SETTLE_MOST
    return min(SETTLE_MOST, max(SETTLE_LEAST, (4 if ended < FEW else 2) * longest + 20))


TRAVEL = 75.0
"""Seconds for which a request that nobody waits for any more may still be on its way to the service."""


class Absence:
    """A clip that stays away. Accounts work one after another, so it counts from when nothing before it is pending.

    Args:
        since: Time from which on the clip is awaited.
        lost: The event with which its upload ended without it.
        travel: Seconds from then on in which its request may still arrive; 0 if it has arrived.
    """

    __slots__ = ("_arrived", "_arrives_by", "_certain_from", "_likely_from", "lost")

    def __init__(self, since: float, lost: int, travel: float) -> None:
        self.lost = lost
        self._likely_from = self._certain_from = since
        self._arrives_by = since + travel
        self._arrived = None if travel else lost

    def look(self, now: float, first_pending: float, events: int) -> None:
        """Takes in how things stand.

        Args:
            now: The time.
            first_pending: The event with which the oldest upload that is pending was about to be sent.
            events: How many events there have been.
        """
        if first_pending < self.lost:
            self._likely_from = now
        if self._arrived is None and now >= self._arrives_by:
            self._arrived = events
        if self._arrived is None or first_pending < self._arrived:
            self._certain_from = now

    def likely(self, now: float, limit: float) -> bool:
        """Whether it has stayed away for so long that nobody should be held up for it."""
        return now - self._likely_from >= limit

    def certain(self, now: float, limit: float) -> bool:
        """Whether it will not come, even if its request arrived late and found a queue."""
        return now - self._certain_from >= limit


def outage_delay(policy: RetryPolicy, outages: int, uniform: float) -> float:
    """Seconds before the next submit while the service can't be reached.

    Args:
        policy: The waits' scale.
        outages: How often it could not be reached in a row.
        uniform: A random number from 0 to 1.
    """
    ceiling = min(policy.cap, policy.base * 2.0 ** min(outages, 30))
    return ceiling * (0.5 + uniform / 2)
