"""How often something happens at most."""

from __future__ import annotations

from collections.abc import Sequence


def most_within(times: Sequence[float], seconds: float) -> int:
    """The most of the times, which ascend, that lie within any span of so many seconds."""
    most = first = 0
    for last, at in enumerate(times):
        while times[first] <= at - seconds:
            first += 1
        most = max(most, last - first + 1)
    return most
