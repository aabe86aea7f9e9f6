"""Whom to ask and when: the schedule of one session's polls.

Pure: is told times, answers and what the session's list of clips holds; answers with whom to ask, and when to come back.
The list is one request and tells how many clips exist, so it is read often, and a task is asked when it has probably
ended: when the lag that it is expected to have by now is worth a request. The list never shows a failed upload, and may
lag, lack ids or hold foreign ones, so what was found is compared with it. Whoever can't be found by the list is found by
the plain backoff that the service recommends.
Documentation: docs.mountsea.ai/api-reference/suno/task (exponential backoff from 2 to 3 s).
"""

from __future__ import annotations

import heapq
import random
from collections import deque
from collections.abc import Callable
from enum import Enum, auto
from math import exp, inf, log, sqrt
from typing import Final, Literal, TypeAlias

from ..config import PollPolicy
from .window import Seat, Window

__all__ = ["LIST", "Ask", "Schedule", "backoff_delay", "lone_delay"]


class _List(Enum):
    LIST = auto()


LIST: Final = _List.LIST
"""Instead of a task: read the session's list."""
Ask: TypeAlias = int | Literal[_List.LIST]

SURE, CERTAIN = 0.6, 0.9
"""A task that has ended with this probability is asked; the second holds while only the end of the batch matters."""
READING = 0.6
"""What a reading of the list is worth beside an ask: it only tells of a completion, it doesn't bring it."""
UNASKED = 0.3
"""How much longer the list isn't read for each clip that it has shown and whose task isn't found yet."""
IDS_AS_A_REQUEST = 500
"""So many ids make a reading as dear as one more request."""
UNLISTED = 0.5
"""What lag is worth that only a suspicion speaks of."""
TOGETHER = 0.2
"""The share of the asks that looking for one more clip saves where it is looked for together with others."""
POLLS_A_SECOND, ALL_WITHIN = 20.0, 5.0
"""Polls a second where nothing was set; more where so few could not ask each task of the batch within so many seconds."""
LAST_TENTH = 0.1
END_MATTERS = 3.0
"""How many times dearer a request is where only the end of the batch matters."""
SUSPICION = 20.0
"""How many times less a suspected lag is worth until the last tenth, there."""
LOOK_AT_MOST = 240.0
"""Seconds between two readings until the last tenth, there, at most; and shorter the younger the batch is."""
SILENCE, SILENT_GAPS = 15.0, 5.0
"""Seconds, and mean gaps between completions, after which silence says that something isn't listed."""
MANY = 8
"""So many completions tell how fast they come."""
PRIOR, PRIOR_WEIGHT = 0.3, 4.0
"""The share of tasks that end without a listed clip, before any has ended, and how many of them that is worth."""
MEMORY = 60.0
GRACE = 1.0
"""Seconds after which a clip that a task has named should be in the list."""
DOUBT = 0.4
"""How much one clip that is in the list by then, or isn't, counts."""
BLIND_WORTH, BLIND_CAP = 0.6, 200.0
"""The same as `UNLISTED`, and the longest wait of the backoff, where the list is of no use."""
LONGEST = 3600.0
"""Seconds after which a task is asked in any case; three times its age where it is older."""
AUDITS = 16
"""After so many completions, and more often at first, a task is asked that the list says is pending."""
FOREIGN = 4.0
"""So many times as wide as before may the window grow in search for a clip's task; then the clip is foreign."""
_SPACING = 1.15
_STEP = 0.02


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
        self._rng = rng
        self._more = more
        self._least, self._most = policy.bounds
        self._plain = policy.strategy == "backoff"
        self.stream = True
        self.allowed: float | None = None
        self._window = Window()
        self._accepted = 0
        self._in_flight = 0
        self._free_at = -inf
        self._bounds: list[tuple[float, int, Seat]] = []
        self._unguided = self._plain
        self._sweep_at = -inf
        # How fast completions come.
        self._first = 0.0
        self._progress: deque[float] = deque(maxlen=MANY + 1)
        # What the list told, and how far it can be believed.
        self._reading = False
        self._read_at: float | None = None
        self._read_again = -inf
        self._failed_readings = 0
        self._ids = 0
        self._foreign = 0
        self._grown_at, self._width_before = -inf, 0.0
        self._ended = self._unlisted = 0.0
        self._lagging = 0.0
        self._doubtful: list[tuple[int, float]] = []
        # Asks that nothing but caution speaks for.
        self._audits, self._audit_after, self._since_audit = 0, 1, 0
        self._sentinel_at = inf

    def __len__(self) -> int:
        return len(self._window)

    @property
    def _price(self) -> float:
        return self._policy.price if self.stream else END_MATTERS * self._policy.price

    # ------------------------------------------------------------------------------------------ what is going on
    def _speed(self, now: float) -> float:
        """Completions a second of late; silence slows it down."""
        if len(self._progress) < 2:
            return 1 / max(1.0, now - self._first)
        return (len(self._progress) - 1) / max(self._least / 2, now - self._progress[0])

    def _completed(self, now: float, count: int) -> None:
        if not self._progress:
            self._progress.append(self._first)
        self._progress.extend([now] * min(count, MANY))

    def _fresh(self, now: float) -> float:
        return 0.0 if self._read_at is None else self._speed(now) * (now - self._read_at)

    def _left(self) -> int:
        """Uploads that have not ended, as far as the list tells."""
        return len(self._window) + self._more() - self._window.outstanding - self._foreign

    def _last_tenth(self) -> float:
        return max(2.0, LAST_TENTH * (self._accepted + self._more()))

    def _silent(self, now: float) -> bool:
        if len(self._progress) < 2:
            return now - self._first > 4 * SILENCE
        gap = (self._progress[-1] - self._progress[0]) / (len(self._progress) - 1)
        return now - self._progress[-1] > max(SILENCE, SILENT_GAPS * gap)

    def _few(self) -> bool:
        """Whether there is too little to ask for to read a list."""
        return len(self._window) <= 2 and not self._more()

    def _misled(self) -> bool:
        """Whether the list is of no use: it can't be read, or lags behind the tasks."""
        return self._plain or self._failed_readings > 0 or self._lagging > 0.5

    def _eager(self, now: float) -> bool:
        """Whether lag matters already."""
        return self.stream or self._misled() or self._left() <= self._last_tenth() or self._silent(now)

    def _doubt(self) -> float:
        """The probability that a task ends without its clip being listed."""
        if self._few() or self._misled():
            return 0.98
        return min(0.98, (self._unlisted + PRIOR * PRIOR_WEIGHT) / (self._ended + PRIOR_WEIGHT))

    # -------------------------------------------------------------------------------------------------- being told
    def add(self, task: int, now: float) -> None:
        """A task was accepted."""
        self._advance(now)
        if not self._accepted:
            self._first = now
            self._sweep_at = now + LONGEST / 6
            self._sentinel_at = now + 2 * self._least
        self._accepted += 1
        self._set_bound(self._window.add(task, now), now)
        self._window.fill(now)

    def _advance(self, now: float) -> None:
        self._window.advance(now, self._fresh(now))

    def read_soon(self) -> None:
        """The list holds what nobody has looked at yet."""
        self._read_again = inf

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
        self._reading, self._failed_readings, self._ids = False, 0, ids
        for doubtful in [each for each in self._doubtful if asked_at >= each[1] + GRACE]:
            self._doubtful.remove(doubtful)
            absent = not is_listed(doubtful[0])
            self._unlisted += absent
            self._lagging += DOUBT * (absent - self._lagging)
        window, before = self._window, self._first if self._read_at is None else self._read_at
        found = max(0, unexplained - self._foreign)
        if found > window.outstanding:
            self._completed(now, found - window.outstanding)
            if not window.outstanding:
                self._width_before = window.width
            self._grown_at = now
            window.completed(now, found - window.outstanding + (window.outstanding > 0))
        window.outstanding, self._read_at, self._read_again = found, asked_at, -inf
        window.fill(now, before)

    def unread(self, now: float) -> None:
        """The list could not be read."""
        self._advance(now)
        self._reading, self._read_at, self._read_again = False, now, -inf
        self._failed_readings += 1

    def pending(self, task: int, now: float, *, begun: bool | None = None) -> None:
        """A task was asked and is pending.

        Args:
            task: The task.
            now: The time.
            begun: Whether it is being worked on, by the service's word.
        """
        seat = self._answered(task, now)
        self._window.learn(seat, ended=False)
        self._window.seen_pending(seat, seat.asked, begun=begun)
        self._set_bound(seat, now)
        if self._window.outstanding and not self._in_flight:
            self._look_further(now)

    def unanswered(self, task: int, now: float) -> None:
        """A task was asked, and there is nothing to be learned from what came."""
        seat = self._answered(task, now)
        seat.held = True
        self._set_bound(seat, now)

    def _answered(self, task: int, now: float) -> Seat:
        self._advance(now)
        seat = self._window.seats[task]
        self._in_flight -= seat.asking
        seat.asking = seat.held = False
        return seat

    def ended(self, task: int, now: float, *, listed: bool, failed: bool) -> None:
        """A task has ended, or is given up.

        Args:
            task: The task.
            now: The time.
            listed: Whether the clip that it names is in the list as it was read last.
            failed: Whether it names no clip.
        """
        seat, window = self._answered(task, now), self._window
        window.learn(seat, ended=True)
        if not seat.inside and self._misled():
            window.widen(1.5)
        window.remove(task)
        self._ended += 1
        self._unlisted += failed
        if listed and window.outstanding:
            window.outstanding -= 1
        elif listed and self._foreign:
            self._foreign -= 1
            window.widen(1.5)
        else:
            self._completed(now, 1)
            window.completed(now, 0)
        if not (listed or failed or self._misled()):
            self._audits += 1
            self._read_again = now + GRACE
        if not (listed or failed):
            self._doubtful.append((task, now))
        self._count_audit()
        if self._ended > MEMORY:
            self._ended, self._unlisted = self._ended * 0.75, self._unlisted * 0.75
        window.shrink()
        window.fill(now)

    def _count_audit(self) -> None:
        self._since_audit += 1
        if self._since_audit >= self._audit_after:
            self._audits, self._since_audit = self._audits + 1, 0
            self._audit_after = min(AUDITS, 2 * self._audit_after)

    def drop(self, task: int, now: float) -> None:
        """A task isn't asked any more."""
        if task in self._window.seats:
            self._answered(task, now)
            self._window.remove(task)
            self._window.fill(now)

    def _look_further(self, now: float) -> None:
        """Lets more tasks in where none of the window's has named an outstanding clip; some clips are nobody's."""
        window, top = self._window, self._window.top()
        if top is not None and top.since < self._grown_at:
            return
        known = self._ended >= AUDITS / 2
        if window.everybody or (known and window.width >= max(16.0, FOREIGN * self._width_before)):
            self._foreign += window.outstanding
            window.outstanding = 0
            if known:
                window.width = self._width_before * 1.5
                window.shrink()
        else:
            window.widen(2.0)
            window.fill(self._grown_at, self._first)

    # -------------------------------------------------------------------------------------------------- answering
    def due(self, now: float) -> Ask | None:
        """Whom to ask now, if anybody; it counts as being asked from here on. To be called until it says None."""
        self._advance(now)
        if not self._window or now < self._free_at:
            return None
        ask = self._choose(now)
        if ask is not None:
            self._free_at = now + _SPACING / self._rate()
        return ask

    def _rate(self) -> float:
        """Polls a second, at most."""
        rate = self._policy.max_rate or max(POLLS_A_SECOND, self._accepted / ALL_WITHIN)
        return rate if self.allowed is None else min(rate, self.allowed)

    def _choose(self, now: float) -> Ask | None:
        if now >= self._reading_at(now):
            self._reading = True
            return LIST
        self._rebound(now)
        seat = self._guess(now)
        if seat is None and self._bound_at() <= now:
            seat = heapq.heappop(self._bounds)[2]
            seat.expected = seat.listed = 0.0
        if seat is None:
            return None
        seat.asking, seat.asks, seat.asked = True, seat.asks + 1, now
        self._in_flight += 1
        return seat.task

    def _may_guess(self) -> bool:
        return not self._plain and (self._in_flight < max(1, self._window.outstanding) or self._few() or self._misled())

    def _guess(self, now: float) -> Seat | None:
        """The task whose end is worth a request by now."""
        seat = self._window.top() if self._may_guess() else None
        if seat is None:
            return None
        if (worker := self._window.worker(self._grown_at)) is not None:
            at_work, chance = worker
            if chance >= SURE or chance * (now - self._grown_at) >= self._price:
                at_work.expected = at_work.listed = chance
                return at_work
        seat.expected = seat.listed = 0.0
        worth, chance, suspected = self._worth(seat, now)
        if self._is_due(worth, chance, now):
            seat.listed, seat.expected = chance, 1 - (1 - chance) * (1 - suspected)
            return seat
        if self._audits and self.stream and not self._window.outstanding and not self._misled():
            self._audits -= 1
            return seat
        if now >= self._sentinel(now):
            self._sentinel_at = now + sqrt(2 * self._price * max(1.0, now - self._first))
            return seat
        return None

    def _is_due(self, worth: float, chance: float, now: float) -> bool:
        sure = SURE if self._eager(now) else CERTAIN
        return chance >= sure or worth >= self._price or self._hurry(now)

    def _hurry(self, now: float) -> bool:
        """Whether to look for the task of an outstanding clip at once: it takes as many asks later, unless so many more
        clips come meanwhile that looking for all of them together is cheaper."""
        window = self._window
        more = self._speed(now) * window.inside * self._price * TOGETHER
        return self._eager(now) and 0 < window.outstanding >= more and window.unseen_since(self._grown_at)

    def _sentinel(self, now: float) -> float:
        """When to ask though nothing speaks for it: before anything has ended the list may lag without showing it."""
        quiet = self.stream and not (self._ended or self._in_flight or self._window.outstanding or self._misled())
        return self._sentinel_at if quiet else inf

    def _worth(self, seat: Seat, now: float) -> tuple[float, float, float]:
        """What asking a task is worth: the lag that it is expected to have by now, in seconds; the probability that it
        has ended, as far as the list tells; and the same, as far as may be suspected without it."""
        chance = self._window.chance(seat, now, self._fresh(now))
        known = len(self._progress) > 1 or not (self._few() or self._misled())
        hazard = self._speed(now) / (max(1.0, min(self._window.width, len(self._window))) if known else 1.0)
        doubt, passed = self._doubt(), min(50.0, hazard * (now - seat.since))
        grown = exp(passed)
        suspected = doubt * (grown - 1) / (doubt * grown + 1 - doubt)
        lag = (log(doubt * grown + 1 - doubt) - doubt * passed) / (hazard * (1 - doubt))
        if not self._eager(now):
            return lag * UNLISTED / SUSPICION, chance, suspected
        weight = BLIND_WORTH if self._misled() and not self._few() else UNLISTED
        return self._window.lag(seat) + weight * lag, chance, suspected

    def _reading_at(self, now: float) -> float:
        """When the list is to be read."""
        if self._plain or self._reading or self._few() or not self._window:
            return inf
        if self._read_again == inf:
            return now
        if self._read_at is None:
            return self._first + self._least
        price = READING * self._price * (1 + self._ids / IDS_AS_A_REQUEST)
        wait = max(self._least, sqrt(2 * price / self._speed(now))) * (1 + UNASKED * self._window.outstanding)
        wait = min(wait, self._most)
        if not self._eager(now):
            to_go = (self._left() - self._last_tenth()) / self._speed(now)
            wait = max(wait, min(to_go / 2, max(SILENCE, (now - self._first) / 4), LOOK_AT_MOST))
        if self._failed_readings:
            wait = max(wait, min(300.0, self._least * 2.0 ** min(self._failed_readings, 20)))
        elif self._lagging > 0.5:
            wait = max(2 * self._most, 4 * wait)
        elif self._read_again > self._read_at:
            return min(self._read_at + wait, self._read_again)
        return self._read_at + wait

    # ------------------------------------------------------------------------------------------------- the bounds
    def _set_bound(self, seat: Seat, now: float) -> None:
        if self._plain or seat.held:
            wait = backoff_delay(self._policy, seat.asks, self._rng.random())
        elif self._unguided:
            # The backoff's wait from half to a whole of a task's age, without the memory of how often it was asked.
            wait = min(BLIND_CAP, max(2 * self._least, (now - seat.accepted) / 2))
        else:
            seat.bound = inf  # thousands may be pending for hours: the sweep finds those that nobody asks
            return
        self._bind(seat, now + wait)

    def _bind(self, seat: Seat, at: float) -> None:
        seat.bound = at
        if len(self._bounds) > 2 * len(self._window) + MEMORY:
            self._bounds = [(each.bound, each.order, each) for each in self._window if each.bound < inf]
            heapq.heapify(self._bounds)
        else:
            heapq.heappush(self._bounds, (at, seat.order, seat))

    def _sweep(self, now: float) -> None:
        """Bounds those that have not been asked for far too long, whatever the list says."""
        if now < self._sweep_at:
            return
        self._sweep_at = now + LONGEST / 6
        for seat in self._window:
            unasked = now - max(seat.accepted, seat.asked)
            if seat.bound == inf and not seat.asking and unasked >= max(LONGEST, (now - seat.accepted) * 2 / 3):
                self._bind(seat, now)

    def _rebound(self, now: float) -> None:
        """Bounds everybody's wait anew where the list has become of no use, or of use again."""
        unguided = self._plain or (self._misled() and not self._few())
        if unguided is not self._unguided:
            self._unguided = unguided
            for seat in self._window:
                if not (seat.asking or seat.held):
                    self._set_bound(seat, now)
        self._sweep(now)

    def _bound_at(self) -> float:
        while self._bounds:
            at, _, seat = self._bounds[0]
            if seat.bound == at and not seat.asking and self._window.seats.get(seat.task) is seat:
                return at
            heapq.heappop(self._bounds)
        return inf

    def wake_at(self, now: float) -> float:
        """When to call `due` again if nothing is told meanwhile; infinity if there is nobody to ask."""
        if not self._window:
            return inf
        at = min(self._reading_at(now), self._bound_at(), self._sentinel(now), self._sweep_at)
        seat = self._window.top() if self._may_guess() else None
        if seat is not None:
            worth, chance, suspected = self._worth(seat, now)
            growth = chance + suspected if self._eager(now) else suspected / SUSPICION
            wait = (self._price - worth) / max(growth, 1e-3)
            # A chance grows, so that may be too long: to be looked at again by half of the time that has passed.
            wait = max(_STEP, min(wait, max(0.25, (now - seat.since) / 2)))
            at = min(at, now if self._is_due(worth, chance, now) else now + wait)
        return max(at, self._free_at, now)
