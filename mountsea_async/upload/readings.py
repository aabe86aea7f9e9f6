"""How often the session's list of clips is read.

Pure. A reading is one request, however many clips it tells of; it grows dearer with the ids that it holds.
"""

from __future__ import annotations

from math import sqrt

__all__ = ["failing_interval", "idle_interval", "interval"]

READING = 0.6
"""What a reading of the list is worth beside an ask: it only tells of a completion, it doesn't bring it."""
UNASKED, UNASKED_AT_MOST = 0.7, 4.0
"""How much longer the list isn't read for each clip that it has shown and whose task isn't found yet, and in all: it
may be nobody's here."""
IDS_AS_A_REQUEST = 500
"""So many ids make a reading as dear as one more request."""
LOOK_AT_MOST, FAILING_AT_MOST = 240.0, 300.0
"""Seconds between two readings at most, while lag doesn't matter yet, and while none succeeds."""


def interval(bounds: tuple[float, float], price: float, speed: float, *, ids: int, unasked: int = 0) -> float:
    """Seconds from one reading to the next while each completion's lag counts.

    Args:
        bounds: The shortest and the longest.
        price: Seconds of lag that a request is worth.
        speed: Completions a second.
        ids: How many ids the list holds.
        unasked: How many of them are clips whose task isn't found yet.
    """
    least, most = bounds
    wait = min(most, max(least, sqrt(2 * READING * price * (1 + ids / IDS_AS_A_REQUEST) / speed)))
    return min(most, wait * min(UNASKED_AT_MOST, 1 + UNASKED * unasked))


def idle_interval(least: float, ids: int, age: float, to_go: float) -> float:
    """The same while only the end of the batch counts, and it is far off.

    Args:
        least: The shortest.
        ids: How many ids the list holds.
        age: Seconds since the batch began; the younger it is, the less is known of how fast it goes.
        to_go: Seconds until lag begins to count, as it looked at the last reading.
    """
    return max(least * (1 + ids / IDS_AS_A_REQUEST), min(to_go / 2, max(2 * least, age / 4), LOOK_AT_MOST))


def failing_interval(least: float, failures: int) -> float:
    """Seconds to the next reading after so many in a row that brought nothing."""
    return min(FAILING_AT_MOST, least * 2.0 ** min(failures, 20))
