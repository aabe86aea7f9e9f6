"""Whom to ask and when: the schedule of one session's polls.

Pure: is told times, answers and what the session's list of clips holds; answers with whom to ask, and when to come
back. The list is one request and tells how many clips exist, so it is read often, and a task is asked when it has
probably ended: when the lag that it is expected to have by now is worth a request. The list never shows a failed
upload, and may lag, lack ids or hold foreign ones, so what was found is compared with it.
Documentation: docs.mountsea.ai/api-reference/suno/task and .../uploadSession.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from enum import Enum, auto
from math import inf
from typing import Final, Literal, TypeAlias

from ..config import PollPolicy
from .belief import TIMELY
from .bounds import Bounds
from .guess import TICK, Guess
from .readings import failing_interval, idle_interval, interval
from .seats import Seat
from .situation import SPACING, Situation

__all__ = ["LIST", "Ask", "Schedule"]


class _List(Enum):
    LIST = auto()


LIST: Final = _List.LIST
"""Instead of a task: read the session's list."""
Ask: TypeAlias = int | Literal[_List.LIST]

OVERDUE = 10.0
"""Seconds after which a task that the rate has kept waiting beyond its bound is asked before those that have rather
ended: where so few asks are allowed, these would have every one of them."""
_CATCH_UP = 0.02
"""Seconds of asks that may be made up for at once: a timer comes now and then, and late."""
FOREIGN, FOREIGN_LEAST = 4.0, 16.0
"""So many times as wide as before may the window grow in search for a clip's task, and at least so wide; then the clip
is nobody's here."""


class Schedule:
    """The polls of one session.

    Args:
        policy: The one price, bounds, and the strategy.
        rng: Where the backoff's jitter comes from.
        more: Tells how many uploads are still to be accepted.
        lists: Whether the session has a list.
    """

    def __init__(
        self, policy: PollPolicy, rng: random.Random, more: Callable[[], int] = lambda: 0, *, lists: bool = True
    ) -> None:
        self._known = Situation(policy, more, lists=lists)
        self._window, self._belief = self._known.window, self._known.belief
        self._completions = self._known.completions
        self._bounds = Bounds(policy, rng, self._window)
        self._guess = Guess(self._known)
        self._free_at = -inf
        self._width_before = 0.0
        self._reading = (-1, inf)

    def __len__(self) -> int:
        return len(self._window)

    def __contains__(self, task: int) -> bool:
        return task in self._window.seats

    @property
    def stream(self) -> bool:
        """Whether items are consumed as they land; otherwise only the end of the batch matters."""
        return self._known.stream

    @stream.setter
    def stream(self, consumed: bool) -> None:
        self._known.stream, self._known.looked_at = consumed, -inf

    @property
    def allowed(self) -> float | None:
        """Requests a second that the service lets polls make; None while it lets them make any."""
        return self._known.allowed

    @allowed.setter
    def allowed(self, rate: float | None) -> None:
        self._known.allowed = rate

    # -------------------------------------------------------------------------------------------------- being told
    def add(self, task: int, now: float, *, old: bool = False) -> None:
        """A task was accepted.

        Args:
            task: The task.
            now: The time.
            old: It may have been long ago, so that it may have ended by now.
        """
        if not self._known.accepted:
            self._completions.began = now
            self._guess.sentinel_at = now + 2 * self._known.first
        self._known.advance(now)
        self._known.accepted += 1
        seat = self._window.add(task, now)
        if old and not self._belief.there:  # where there is a list it is read at once
            self._bounds.ask_now(seat, now)
        else:
            self._bounds.bind(seat, now)
        self._window.fill(now)

    def read_soon(self) -> None:
        """The list holds what nobody has looked at yet."""
        self._known.looked_at = -inf
        self._belief.again = inf

    def listed(self, unexplained: int, ids: int, asked_at: float, now: float, is_listed: Callable[[int], bool]) -> None:
        """The list was read.

        Args:
            unexplained: Its ids that no task has named.
            ids: All of its ids.
            asked_at: When it was asked for.
            now: The time.
            is_listed: Whether the clip that a task has named is in it.
        """
        self._known.advance(now)
        window, belief = self._window, self._belief
        before = self._completions.began if belief.read_at is None else belief.read_at
        belief.read(ids, asked_at, is_listed)
        found = max(0, unexplained - belief.foreign)
        if (growth := found - window.outstanding) > 0:
            self._completions.note(now, growth)
            window.completed(now, growth + (window.outstanding > 0))
            if not window.outstanding:
                self._width_before = window.width
            self._known.grown_at = now
        window.outstanding = found
        window.fill(now, before)
        self._known.foresee(now)

    def unread(self, now: float) -> None:
        """The list could not be read."""
        self._known.advance(now)
        self._belief.unread(now)

    def pending(self, task: int, now: float, *, begun: bool | None = None) -> None:
        """A task was asked and is pending.

        Args:
            task: The task.
            now: The time.
            begun: Whether it is being worked on, by the service's word.
        """
        seat, window = self._answered(task, now), self._window
        seat.failures = 0
        window.learn(seat, ended=False)
        window.seen_pending(seat, seat.asked, begun=begun)
        self._bounds.bind(seat, now)
        if window.outstanding and not self._known.in_flight:
            self._look_further(now)

    def unanswered(self, task: int, now: float) -> None:
        """A task was asked, and there is nothing to be learned from what came."""
        seat = self._answered(task, now)
        seat.held = True
        self._bounds.bind(seat, now)
        seat.failures += 1

    def _answered(self, task: int, now: float) -> Seat:
        self._known.advance(now)
        self._known.heard_at = now
        seat = self._window.seats[task]
        self._known.in_flight -= seat.asking
        seat.asking = seat.held = False
        return seat

    def ended(self, task: int, now: float, *, listed: bool, failed: bool) -> None:
        """A task has ended.

        Args:
            task: The task.
            now: The time.
            listed: Whether the clip that it names is in the list as it was read last.
            failed: Whether it names no clip.
        """
        seat, window, belief = self._answered(task, now), self._window, self._belief
        window.learn(seat, ended=True)
        if not seat.inside and belief.misled:
            window.widen(1.5)
        window.remove(task)
        if listed and window.outstanding:
            window.outstanding -= 1
        elif listed and belief.foreign:  # it was nobody's only because this task lay outside the window
            belief.foreign -= 1
            window.widen(1.5)
        else:
            self._completions.note(now, 1)
            window.completed(now, 0)
        belief.ended(task, now, listed=listed, failed=failed, watched=self._known.stream)
        window.shrink()
        window.fill(now)

    def drop(self, task: int, now: float) -> None:
        """A task isn't asked any more."""
        self._answered(task, now)
        self._window.remove(task)
        self._window.fill(now)

    def _look_further(self, now: float) -> None:
        """Lets more tasks in where none of the window's has named an outstanding clip; some clips are nobody's."""
        window, belief = self._window, self._belief
        if window.unseen_since(self._known.grown_at):
            return
        wide = belief.experienced and window.width >= max(FOREIGN_LEAST, FOREIGN * self._width_before)
        if wide or window.everybody:
            belief.foreign += window.outstanding
            window.outstanding = 0
            if belief.experienced:
                window.width = self._width_before * 1.5
                window.shrink()
        else:
            window.widen(2.0)
            window.fill(self._known.grown_at, self._completions.began)

    # ---------------------------------------------------------------------------------------------- whom to ask
    def due(self, now: float) -> Ask | None:
        """Whom to ask now, if anybody; it counts as being asked from here on. To be called until it says None."""
        if not self._window or now < self._free_at:
            return None
        self._known.look(now)
        ask = self._choose(now)
        if ask is not None:
            self._free_at = max(self._free_at, now - _CATCH_UP) + SPACING / self._known.rate()
        return ask

    def _choose(self, now: float) -> Ask | None:
        known = self._known
        if self._reading_at(now) <= now + TICK:
            self._belief.reading = True
            return LIST
        # Of few tasks the list isn't read, so that nothing tells of one which lies outside the window.
        guided = self._window.everybody if known.few else not known.misled
        self._bounds.guide(now, guided=guided, late=self._belief.lags)
        bound = self._bounds.first()
        seat = self._guess.seat(now) if bound > now - OVERDUE else None
        if seat is None:
            if bound > now:
                return None
            seat = self._bounds.pop()
            seat.expected = seat.listed = 0.0
        seat.asking, seat.asks, seat.asked = True, seat.asks + 1, now
        known.in_flight += 1
        return seat.task

    # ----------------------------------------------------------------------------------------------------- when
    def wake_at(self, now: float) -> float:
        """When to call `due` again, once it has said None and if nothing is told meanwhile; infinity if there is nobody
        to ask."""
        if not self._window:
            return inf
        self._known.look(now)
        at = min(self._reading_at(now), self._bounds.at(), self._guess.at(now))
        return max(at, now + TICK, self._free_at)

    def _reading_at(self, now: float) -> float:
        """When the list is to be read."""
        if self._belief.reading:
            return inf
        if self._reading[0] != self._known.moment:
            self._reading = (self._known.moment, self._next_reading(now))
        return self._reading[1]

    def _next_reading(self, now: float) -> float:
        known, belief = self._known, self._belief
        if known.plain or known.few or not belief.there or not self._window:
            return inf
        if belief.again == inf:
            return now
        if belief.read_at is None:
            return self._completions.began + known.first
        # Where few asks are allowed, at most every other one is for the list.
        wait = max(self._interval(now), 2 * SPACING / known.rate())
        if belief.failures:
            wait = max(wait, failing_interval(known.first, belief.failures))
        elif belief.lags:
            # Whether it still lags, is best shown by what was named just before.
            at = belief.read_at + max(2 * known.cap, 4 * wait)
            return min(max(at, belief.again), at + TIMELY)
        elif belief.again > belief.read_at:
            return min(belief.read_at + wait, belief.again)
        return belief.read_at + wait

    def _interval(self, now: float) -> float:
        known, ids = self._known, self._belief.ids
        if not known.eager:
            return idle_interval(known.first, ids, now - self._completions.began, known.to_go)
        unasked = self._window.outstanding + self._belief.foreign
        return interval((known.shortest, known.cap), known.price, known.speed, ids=ids, unasked=unasked)
