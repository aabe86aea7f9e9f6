"""Which task has probably ended, and whether that is worth a request by now.

Pure. Everything that it is decided from is in `situation.py`; it changes nothing but what it owes to caution.
"""

from __future__ import annotations

from math import inf
from typing import TypeAlias

from .belief import CERTAINTY, suspicion
from .seats import Seat
from .situation import Situation

__all__ = ["TICK", "Guess"]

SURE, CERTAIN = 0.6, 0.85
"""A task that has ended with this probability is asked; the second holds while only the end of the batch matters."""
UNLISTED, BLIND = 0.5, 0.6
"""What lag is worth that only a suspicion speaks of; the second where the list is of no use."""
SUSPICION = 20.0
"""How many times less a suspected lag is worth where only the end of the batch matters, until the last tenth."""
TOGETHER = 0.2
"""The share of the asks that looking for one more clip saves where it is looked for together with others."""
OF_SILENCE = 0.1
"""While nothing is heard, somebody is asked whenever it has lasted longer by this share."""
STEP, TICK = 0.02, 0.005
"""Seconds: the shortest wait for a chance to grow, and what is close enough to now: a moment that moves on as time
passes would otherwise be approached for ever."""
_Worth: TypeAlias = tuple[float, float, float]
"""What asking a task is worth: the lag that it is expected to have by now, in seconds; the probability that it has
ended, as far as the list tells; and the same, as far as may be suspected without it."""


class Guess:
    """The guesses of one session.

    Args:
        situation: What is known.

    Attributes:
        sentinel_at: When somebody is to be asked next because nothing is heard.
    """

    def __init__(self, situation: Situation) -> None:
        self._known = situation
        self.sentinel_at = inf
        self._weighed: tuple[int, Seat, _Worth] | None = None

    def seat(self, now: float) -> Seat | None:
        """The task whose end is worth a request by now, if there is one; it is to be asked."""
        known = self._known
        window, belief = known.window, known.belief
        if (seat := self._successor()) is not None:
            window.tried()
            seat.expected = seat.listed = 0.0
            return seat
        if (seat := self._candidate()) is None:
            return None
        if (worker := window.worker(known.grown_at)) is not None:
            at_work, chance = worker
            if chance >= SURE or chance * (now - known.grown_at) >= known.price:
                at_work.expected = at_work.listed = chance
                return at_work
        if now < self._not_before(seat):
            return None
        worth = self._worth(seat, now)
        seat.expected = seat.listed = 0.0
        if self._is_due(worth):
            _, chance, suspected = worth
            seat.listed, seat.expected = chance, 1 - (1 - chance) * (1 - suspected)
        elif self._may_check() and belief.audits:
            belief.audits -= 1
        elif now >= self._sentinel(now):
            silence = known.completions.silence(now)
            self.sentinel_at = now + max(known.first, OF_SILENCE * silence)
        else:
            return None
        return seat

    def at(self, now: float) -> float:
        """When there will be one, if nothing is told meanwhile; too early rather than too late."""
        known = self._known
        if self._successor() is not None:
            return now
        if (seat := self._candidate()) is None:
            return inf
        lag, chance, suspected = worth = self._worth(seat, now)
        growth = chance + suspected if known.eager else suspected / SUSPICION
        wait = (known.price - lag) / max(growth, 1e-3)
        # A chance grows, so that may be too long: to be looked at again by half of the time that has passed.
        wait = max(STEP, min(wait, max(0.25, (now - seat.since) / 2)))
        due = self._is_due(worth) or (self._may_check() and known.belief.audits)
        return max(min(now if due else now + wait, self._sentinel(now)), self._not_before(seat))

    def _candidate(self) -> Seat | None:
        """The task that has most probably ended, if one more may be asked: as many as there are clips to be found."""
        known = self._known
        window = known.window
        free = known.in_flight < max(1, window.outstanding) or known.few or known.misled
        if not free or known.plain:
            return None
        return (window.at_work() if self._blind() else None) or window.top()

    def _successor(self) -> Seat | None:
        """Who is probably worked on instead of one that has ended; one after another is asked whether it is."""
        return self._known.window.successor() if not self._known.in_flight and self._blind() else None

    def _blind(self) -> bool:
        """Whether nothing tells of an end but the tasks themselves."""
        known = self._known
        return known.misled and not known.plain and not known.few and not known.window.outstanding

    def _not_before(self, seat: Seat) -> float:
        """A task that no list guides to isn't asked sooner than the shortest wait."""
        if not self._known.few:
            return -inf
        return seat.since + (self._known.shortest - TICK if seat.asks else self._known.first)

    def _may_check(self) -> bool:
        """Whether a task may be asked though nothing speaks for it."""
        return not self._known.window.outstanding and not self._known.misled

    def _sentinel(self, now: float) -> float:
        """When to do so because nothing is heard: the list may lag without showing it, or all may be failing."""
        known = self._known
        if known.in_flight or not self._may_check():
            return inf
        silent = (known.stream and known.belief.untried) or known.completions.silent(now)
        return self.sentinel_at if silent else inf

    def _is_due(self, worth: _Worth) -> bool:
        lag, chance, _ = worth
        return chance >= (SURE if self._known.eager else CERTAIN) or lag >= self._known.price or self._hurry()

    def _hurry(self) -> bool:
        """Whether to look for the task of an outstanding clip at once: it takes as many asks later, unless so many more
        clips come meanwhile that looking for all of them together is cheaper."""
        known = self._known
        window = known.window
        if not (window.outstanding and known.eager):
            return False
        more = known.speed * window.inside * known.price * TOGETHER
        return window.outstanding >= more and window.unseen_since(known.grown_at)

    def _worth(self, seat: Seat, now: float) -> _Worth:
        """Worked out once a moment: whoever isn't asked is weighed again to tell when to wake up."""
        moment = self._known.moment
        if (weighed := self._weighed) is not None and weighed[0] == moment and weighed[1] is seat:
            return weighed[2]
        worth = self._weigh(seat, now)
        self._weighed = (moment, seat, worth)
        return worth

    def _weigh(self, seat: Seat, now: float) -> _Worth:
        known = self._known
        window, few, misled = known.window, known.few, known.misled
        chance = window.chance(seat, now, known.fresh)
        side_by_side = max(1.0, min(window.width, len(window)))
        if (few or misled) and not known.completions.known:
            side_by_side = 1.0
        if misled and not few and seat.task in window.working:
            side_by_side = float(len(window.working) + window.vacant)
        doubt = CERTAINTY if few or misled else known.belief.doubt
        suspected, lag = suspicion(doubt, known.speed / side_by_side, now - seat.since)
        if not known.eager:
            return lag * UNLISTED / SUSPICION, chance, suspected
        return window.lag(seat) + (BLIND if misled and not few else UNLISTED) * lag, chance, suspected
