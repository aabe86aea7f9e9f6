"""How long a task may go unasked, whatever is known of it.

Pure: is told times and random numbers. The plain backoff that the service recommends is the bound where nothing better
is known; where the list guides the asks, only a sweep looks for those that nobody has asked for very long.
Documentation: docs.mountsea.ai/api-reference/suno/task (exponential backoff from 2 to 3 s).
"""

from __future__ import annotations

import random
from math import inf, sqrt
from operator import attrgetter

import attrs

from ..config import PollPolicy
from .seats import Seat, Soonest
from .window import Window

__all__ = ["LONGEST", "Bounds", "backoff_delay", "lone_delay"]

LONGEST = 3600.0
"""Seconds after which a task is asked in any case; after twice its age when it was asked last, where that is longer."""
BLIND_CAP = 200.0
"""The longest wait of the backoff where the list is of no use, but the window still tells whom to ask first."""
_SWEEP = LONGEST / 6
_OF_AGE = 0.6
"""Where the list is of no use, a task isn't asked for so long, measured by its age."""


def backoff_delay(policy: PollPolicy, asks: int, uniform: float) -> float:
    """Seconds before a task is asked by the plain documented backoff.

    Args:
        policy: The waits' scale.
        asks: How often it was asked.
        uniform: A random number from 0 to 1; takes tasks submitted together apart by up to a tenth.
    """
    first, cap = policy.bounds
    # Past some dozens of asks the power has long since met the cap, or stays one.
    return min(cap, first * policy.factor ** min(asks, 64)) * (1 + uniform / 10)


def lone_delay(policy: PollPolicy, asks: int, age: float, uniform: float) -> float:
    """Seconds before a task is asked of which no list tells.

    Args:
        policy: The waits' scale.
        asks: How often it was asked.
        age: Seconds since somebody began to ask for it.
        uniform: A random number from 0 to 1.
    """
    if policy.strategy == "backoff":
        return backoff_delay(policy, asks, uniform)
    first, cap = policy.bounds
    return min(cap, max(first, sqrt(2 * policy.price * age)))


class Bounds:
    """The bounds of the tasks of one session.

    Args:
        policy: The waits' scale.
        rng: Where jitter comes from.
        window: The tasks.

    Attributes:
        guided: Whether the list tells whom to ask; then no task has a bound of its own, but for those that are held.
    """

    def __init__(self, policy: PollPolicy, rng: random.Random, window: Window) -> None:
        self._policy = policy
        self._rng = rng
        self._window = window
        self._plain = policy.strategy == "backoff"
        first, cap = policy.bounds
        # Who gets no answer asks less and less often.
        self._trouble = policy if self._plain else attrs.evolve(policy, first=2 * first, cap=3 * cap)
        self._soonest = Soonest(attrgetter("bound"), self._counts)
        self._sweep_at = inf
        self.guided = not self._plain

    def bind(self, seat: Seat, now: float) -> None:
        """A task was accepted, or was asked."""
        if self._plain:
            wait = backoff_delay(self._policy, seat.asks, self._rng.random())
        elif seat.held:
            wait = backoff_delay(self._trouble, seat.failures, self._rng.random())
        elif not self.guided:
            # About as the backoff waits, without the memory of how often it was asked.
            wait = min(BLIND_CAP, max(2 * self._policy.bounds[0], (now - seat.accepted) * _OF_AGE))
        else:
            seat.bound = inf
            self._sweep_at = min(self._sweep_at, now + _SWEEP)
            return
        self._push(seat, now + wait)

    def ask_now(self, seat: Seat, now: float) -> None:
        """A task may have ended long ago."""
        self._push(seat, now)

    def _push(self, seat: Seat, at: float) -> None:
        seat.bound = at
        self._soonest.push(seat, self._window.seats.values())

    def _counts(self, seat: Seat) -> bool:
        return not seat.asking and self._window.seats.get(seat.task) is seat

    def guide(self, now: float, *, guided: bool, late: bool = False) -> None:
        """Bounds everybody's wait anew where the list has become of no use, or of use again.

        Args:
            now: The time.
            guided: Whether it is of use.
            late: Whether it has been of no use for long before that was noticed: then the waits began with the asks.
        """
        guided = guided and not self._plain
        if guided is not self.guided:
            self.guided = guided
            for seat in self._window:
                if not (seat.asking or seat.held or seat.bound <= now):
                    self.bind(seat, max(seat.accepted, seat.asked) if late and not guided else now)
        if now >= self._sweep_at:
            self._sweep(now)

    def _sweep(self, now: float) -> None:
        self._sweep_at = now + _SWEEP
        for seat in self._window:
            unasked = now - max(seat.accepted, seat.asked)
            if seat.bound > now and not seat.asking and unasked >= max(LONGEST, (now - seat.accepted) * 2 / 3):
                self._push(seat, now)

    def at(self) -> float:
        """When the next task is to be asked, or looked for, in any case."""
        return min(self._sweep_at, self.first())

    def first(self) -> float:
        """When the next task is to be asked in any case."""
        seat = self._soonest.first()
        return inf if seat is None else seat.bound

    def pop(self) -> Seat:
        """That task."""
        return self._soonest.pop()
