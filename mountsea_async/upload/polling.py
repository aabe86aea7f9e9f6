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
from math import inf, sqrt
from typing import Final, Literal, TypeAlias

from ..config import PollPolicy
from .belief import CERTAINTY, Belief, suspicion
from .bounds import Bounds
from .completions import Completions
from .readings import failing_interval, idle_interval, interval
from .window import Seat, Window

__all__ = ["LIST", "Ask", "Schedule"]


class _List(Enum):
    LIST = auto()


LIST: Final = _List.LIST
"""Instead of a task: read the session's list."""
Ask: TypeAlias = int | Literal[_List.LIST]

SURE, CERTAIN = 0.6, 0.85
"""A task that has ended with this probability is asked; the second holds while only the end of the batch matters."""
UNLISTED, BLIND = 0.5, 0.6
"""What lag is worth that only a suspicion speaks of; the second where the list is of no use."""
TOGETHER = 0.2
"""The share of the asks that looking for one more clip saves where it is looked for together with others."""
POLLS_A_SECOND, ALL_WITHIN = 20.0, 5.0
"""Polls a second where nothing was set; more where so few would not reach the whole batch within so many seconds."""
_SPACING = 1.15
"""Asks are so much farther apart than the rate says: on their way they draw nearer."""
OVERDUE = 10.0
"""Seconds after which a task that the rate has kept waiting beyond its bound is asked before those that have rather
ended: where so few asks are allowed, these would have every one of them."""
_CATCH_UP = 0.02
"""Seconds of asks that may be made up for at once: a timer comes now and then, and late."""
LAST_TENTH = 0.1
LAST_FEW = 0.02
END_MATTERS = 6.0
"""How many times dearer a request is where only the end of the batch matters, until the last few."""
SUSPICION = 20.0
"""How many times less a suspected lag is worth there, until the last tenth."""
FOREIGN, FOREIGN_LEAST = 4.0, 16.0
"""So many times as wide as before may the window grow in search for a clip's task, and at least so wide; then the clip
is nobody's here."""
_STEP, _TICK = 0.02, 0.005
"""Seconds: the shortest wait for a chance to grow, and what is close enough to now: a moment that moves on as time
passes would otherwise be approached for ever."""


class Schedule:
    """The polls of one session.

    Args:
        policy: The one price, bounds, and the strategy.
        rng: Where the backoff's jitter comes from.
        more: Tells how many uploads are still to be accepted.

    Attributes:
        stream: Whether items are consumed as they land; otherwise only the end of the batch matters.
        allowed: Requests a second that the service lets polls make; None while it lets them make any.
    """

    def __init__(self, policy: PollPolicy, rng: random.Random, more: Callable[[], int] = lambda: 0) -> None:
        self._policy = policy
        self._more = more
        self._least, self._most = policy.bounds
        self._plain = policy.strategy == "backoff"
        self.stream = True
        self.allowed: float | None = None
        self._window = Window()
        self._bounds = Bounds(policy, rng, self._window)
        self._completions = Completions(self._least / 2)
        self._belief = Belief()
        self._accepted = 0
        self._in_flight = 0
        self._free_at = -inf
        self._grown_at, self._width_before = -inf, 0.0
        self._sentinel_at = inf
        self._to_go = 0.0
        # What `_look` has found, and when; minus infinity where something has changed since.
        self._looked_at = -inf
        self._eager = True
        self._speed = 1.0

    def __len__(self) -> int:
        return len(self._window)

    def __contains__(self, task: int) -> bool:
        return task in self._window.seats

    # ------------------------------------------------------------------------------------------ what is going on
    @property
    def _price(self) -> float:
        late = self.stream or self._left() <= max(2.0, LAST_FEW * (self._accepted + self._more()))
        return self._policy.price if late else END_MATTERS * self._policy.price

    def _rate(self) -> float:
        """Polls a second, at most."""
        rate = self._policy.max_rate or max(POLLS_A_SECOND, self._accepted / ALL_WITHIN)
        return rate if self.allowed is None else min(rate, self.allowed)

    def _fresh(self, now: float) -> float:
        """Completions that are to be expected since the list was read."""
        read_at = self._belief.read_at
        return 0.0 if read_at is None else self._speed * (now - read_at)

    def _left(self) -> int:
        """Uploads that have not ended, as far as the list tells."""
        return len(self._window) + self._more() - self._window.outstanding - self._belief.foreign

    def _last_tenth(self) -> float:
        return max(2.0, LAST_TENTH * (self._accepted + self._more()))

    def _few(self) -> bool:
        """Whether there is too little to ask for to read a list."""
        return len(self._window) <= 2 and not self._more()

    def _misled(self) -> bool:
        return self._plain or self._belief.misled

    def _look(self, now: float) -> None:
        """Works out once what each decision of this moment needs."""
        if now == self._looked_at:
            return
        self._advance(now)
        self._looked_at = now
        ending = self._left() <= self._last_tenth()
        self._eager = self.stream or ending or self._misled() or self._completions.silent(now)

    # -------------------------------------------------------------------------------------------------- being told
    def add(self, task: int, now: float) -> None:
        """A task was accepted."""
        if not self._accepted:
            self._completions.began = now
            self._sentinel_at = now + 2 * self._least
        self._advance(now)
        self._accepted += 1
        self._bounds.bind(self._window.add(task, now), now)
        self._window.fill(now)

    def _advance(self, now: float) -> None:
        """To be called before anything changes."""
        self._looked_at = -inf
        self._speed = self._completions.speed(now)
        self._window.advance(now, self._fresh(now))

    def read_soon(self) -> None:
        """The list holds what nobody has looked at yet."""
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
        self._advance(now)
        window, belief = self._window, self._belief
        before = self._completions.began if belief.read_at is None else belief.read_at
        belief.read(ids, asked_at, is_listed)
        found = max(0, unexplained - belief.foreign)
        if (growth := found - window.outstanding) > 0:
            self._completions.note(now, growth)
            window.completed(now, growth + (window.outstanding > 0))
            if not window.outstanding:
                self._width_before = window.width
            self._grown_at = now
        window.outstanding = found
        window.fill(now, before)
        # As it looks now: the speed falls with each second of silence, and the moment to look would never come.
        self._to_go = (self._left() - self._last_tenth()) / self._completions.speed(now)

    def unread(self, now: float) -> None:
        """The list could not be read."""
        self._advance(now)
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
        if window.outstanding and not self._in_flight:
            self._look_further(now)

    def unanswered(self, task: int, now: float) -> None:
        """A task was asked, and there is nothing to be learned from what came."""
        seat = self._answered(task, now)
        seat.held = True
        self._bounds.bind(seat, now)
        seat.failures += 1

    def _answered(self, task: int, now: float) -> Seat:
        self._advance(now)
        seat = self._window.seats[task]
        self._in_flight -= seat.asking
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
        belief.ended(task, now, listed=listed, failed=failed, watched=self.stream)
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
        if window.unseen_since(self._grown_at):
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
            window.fill(self._grown_at, self._completions.began)

    # ---------------------------------------------------------------------------------------------- whom to ask
    def due(self, now: float) -> Ask | None:
        """Whom to ask now, if anybody; it counts as being asked from here on. To be called until it says None."""
        self._look(now)
        if not self._window or now < self._free_at:
            return None
        ask = self._choose(now)
        if ask is not None:
            self._looked_at = -inf
        if ask is not None:
            self._free_at = max(self._free_at, now - _CATCH_UP) + _SPACING / self._rate()
        return ask

    def _choose(self, now: float) -> Ask | None:
        if self._reading_at(now) <= now + _TICK:
            self._belief.reading = True
            return LIST
        # Of few tasks the list isn't read, so that nothing tells of one which lies outside the window.
        self._bounds.guide(now, guided=self._window.everybody if self._few() else not self._misled())
        seat = self._overdue(now - OVERDUE) or self._guess(now) or self._overdue(now)
        if seat is None:
            return None
        seat.asking, seat.asks, seat.asked = True, seat.asks + 1, now
        self._in_flight += 1
        return seat.task

    def _overdue(self, now: float) -> Seat | None:
        """A task that was to be asked by then in any case."""
        if (seat := self._bounds.pop(now)) is not None:
            seat.expected = seat.listed = 0.0
        return seat

    def _guess(self, now: float) -> Seat | None:
        """The task whose end is worth a request by now."""
        if (seat := self._candidate()) is None:
            return None
        if (worker := self._window.worker(self._grown_at)) is not None:
            at_work, chance = worker
            if chance >= SURE or chance * (now - self._grown_at) >= self._price:
                at_work.expected = at_work.listed = chance
                return at_work
        if now < self._not_before(seat):
            return None
        worth, chance, suspected = self._worth(seat, now)
        seat.expected = seat.listed = 0.0
        if self._is_due(worth, chance, now):
            seat.listed, seat.expected = chance, 1 - (1 - chance) * (1 - suspected)
        elif self._may_check() and self._belief.audits:
            self._belief.audits -= 1
        elif now >= self._sentinel(now):
            self._sentinel_at = now + sqrt(2 * self._price * max(1.0, self._completions.silence(now)))
        else:
            return None
        return seat

    def _candidate(self) -> Seat | None:
        """The task that has most probably ended, if one more may be asked: as many as there are clips to be found."""
        free = self._in_flight < max(1, self._window.outstanding) or self._few() or self._misled()
        if not free or self._plain:
            return None
        blind = self._misled() and not self._few() and not self._window.outstanding
        return (self._window.at_work() if blind else None) or self._window.top()

    def _not_before(self, seat: Seat) -> float:
        """A task that no list guides to isn't asked sooner than the policy's shortest wait."""
        return seat.since + self._least - _TICK if self._few() else -inf

    def _may_check(self) -> bool:
        """Whether a task may be asked though nothing speaks for it."""
        return not self._window.outstanding and not self._misled()

    def _sentinel(self, now: float) -> float:
        """When to do so because nothing is heard: the list may lag without showing it, or all may be failing."""
        silent = self._completions.silent(now) or (self.stream and self._belief.untried)
        return self._sentinel_at if silent and not self._in_flight and self._may_check() else inf

    def _is_due(self, worth: float, chance: float, now: float) -> bool:
        sure = SURE if self._eager else CERTAIN
        return chance >= sure or worth >= self._price or self._hurry(now)

    def _hurry(self, now: float) -> bool:
        """Whether to look for the task of an outstanding clip at once: it takes as many asks later, unless so many more
        clips come meanwhile that looking for all of them together is cheaper."""
        window = self._window
        more = self._speed * window.inside * self._price * TOGETHER
        return self._eager and 0 < window.outstanding >= more and window.unseen_since(self._grown_at)

    def _worth(self, seat: Seat, now: float) -> tuple[float, float, float]:
        """What asking a task is worth: the lag that it is expected to have by now, in seconds; the probability that it
        has ended, as far as the list tells; and the same, as far as may be suspected without it."""
        window, few, misled = self._window, self._few(), self._misled()
        chance = window.chance(seat, now, self._fresh(now))
        side_by_side = max(1.0, min(window.width, len(window)))
        if (few or misled) and not self._completions.known:
            side_by_side = 1.0
        if misled and not few and seat.task in window.working:
            side_by_side = float(len(window.working))
        hazard = self._speed / side_by_side
        doubt = CERTAINTY if few or misled else self._belief.doubt
        suspected, lag = suspicion(doubt, hazard, now - seat.since)
        if not self._eager:
            return lag * UNLISTED / SUSPICION, chance, suspected
        return window.lag(seat) + (BLIND if misled and not few else UNLISTED) * lag, chance, suspected

    # ----------------------------------------------------------------------------------------------------- when
    def _reading_at(self, now: float) -> float:
        """When the list is to be read."""
        belief = self._belief
        if self._plain or belief.reading or self._few() or not self._window:
            return inf
        if belief.again == inf:
            return now
        if belief.read_at is None:
            return self._completions.began + self._least
        # Where few asks are allowed, at most every other one is for the list.
        wait = max(self._interval(now), 2 * _SPACING / self._rate())
        if belief.failures:
            wait = max(wait, failing_interval(self._least, belief.failures))
        elif belief.lags:
            wait = max(2 * self._most, 4 * wait)
        elif belief.again > belief.read_at:
            return min(belief.read_at + wait, belief.again)
        return belief.read_at + wait

    def _interval(self, now: float) -> float:
        if self._eager:
            return interval(
                self._policy.bounds, self._price, self._speed, ids=self._belief.ids, unasked=self._window.outstanding
            )
        age = now - self._completions.began
        return idle_interval(self._policy.bounds, self._price, self._speed, self._belief.ids, age, self._to_go)

    def wake_at(self, now: float) -> float:
        """When to call `due` again, once it has said None and if nothing is told meanwhile; infinity if there is nobody
        to ask."""
        if not self._window:
            return inf
        self._look(now)
        at = min(self._reading_at(now), self._bounds.at())
        if (seat := self._candidate()) is not None:
            worth, chance, suspected = self._worth(seat, now)
            growth = chance + suspected if self._eager else suspected / SUSPICION
            wait = (self._price - worth) / max(growth, 1e-3)
            # A chance grows, so that may be too long: to be looked at again by half of the time that has passed.
            wait = max(_STEP, min(wait, max(0.25, (now - seat.since) / 2)))
            due = self._is_due(worth, chance, now) or (self._may_check() and self._belief.audits)
            at = min(at, max(min(now if due else now + wait, self._sentinel(now)), self._not_before(seat)))
        return max(at, now + _TICK, self._free_at)
