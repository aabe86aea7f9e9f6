"""The pending tasks' places in the schedule, and who of them comes first by some time of theirs.

Pure data: what the times mean is the business of `window.py` and `bounds.py`.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection
from math import inf

import attrs

__all__ = ["Seat", "Soonest"]

_ROOM = 64


@attrs.define(eq=False, weakref_slot=False)
class Seat:
    """One pending task.

    Attributes:
        task: Whatever the task is known by.
        order: Its place in the order of acceptance.
        accepted: When it was accepted.
        since: When it was last known to be pending.
        marks: The window's two clocks at that time.
        inside: Whether it is in the window.
        asking: Whether it is being asked just now.
        held: Whether the last ask brought no answer: it waits for its bound.
        asks: How many asks it has had.
        failures: How many of the last ones in a row brought nothing.
        asked: When it was asked last.
        bound: When it is asked at the latest; infinity while only the sweep bounds it.
        expected: The probability that it had ended, when it was asked; `listed` is the part that the list told.
    """

    task: int
    order: int
    accepted: float
    since: float
    marks: tuple[float, float] = (0.0, 0.0)
    inside: bool = False
    asking: bool = False
    held: bool = False
    asks: int = 0
    failures: int = 0
    asked: float = 0.0
    bound: float = inf
    expected: float = 0.0
    listed: float = 0.0


class Soonest:
    """A heap of seats by a time that changes: what is out of date stays in it until it comes up.

    Args:
        time: A seat's time.
        counts: Whether a seat is to be found at all.
    """

    def __init__(self, time: Callable[[Seat], float], counts: Callable[[Seat], bool]) -> None:
        self._time = time
        self._counts = counts
        self._heap: list[tuple[float, int, Seat]] = []

    def push(self, seat: Seat, of: Collection[Seat]) -> None:
        """To be called whenever a seat's time has changed.

        Args:
            seat: The seat.
            of: All that may be found, it included: the heap is made of them anew once most of it is out of date.
        """
        if len(self._heap) > 2 * len(of) + _ROOM:
            self._heap = [(self._time(each), each.order, each) for each in of if self._time(each) < inf]
            heapq.heapify(self._heap)
        else:
            heapq.heappush(self._heap, (self._time(seat), seat.order, seat))

    def first(self) -> Seat | None:
        """The one with the least time."""
        while self._heap:
            time, _, seat = self._heap[0]
            if self._counts(seat) and self._time(seat) == time:
                return seat
            heapq.heappop(self._heap)
        return None

    def pop(self) -> Seat:
        """Takes out the one that `first` has told."""
        return heapq.heappop(self._heap)[2]
