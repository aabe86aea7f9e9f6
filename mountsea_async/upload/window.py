"""The pending tasks, and which of them are probably being worked on: the window from which the next to ask is chosen.

Pure: is told times. An account may work on one upload after another, on a few at once or on all; which, shows only in
where completions are found. The window holds the oldest pending tasks, as many as are probably worked on side by side,
and as many more as there are clips whose task isn't known yet. Knows nothing of requests; `polling.py` decides by it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from math import exp, log
from operator import attrgetter

from .seats import Seat, Soonest

__all__ = ["Window"]

WIDTH = 32.0
"""Tasks that are taken to be worked on side by side before anything was found."""
_LEARNING, _DRIFT = 0.4, 0.01
"""How much one answer changes the width: by what it tells, and upwards, since what lies outside is never asked."""
_EXACT = 64
"""Up to so many tasks their ranks are counted, beyond estimated."""
_FEW = 8
"""Up to so many tasks that are being worked on are asked before all others where there is no list; and so many that
waited are asked in search for the one that is worked on next."""
_TRUST, _MEMORY = 3.0, 20.0
"""How much evidence it takes to doubt the list of clips, and how much of it is kept."""
_INSTANT = 1e-6
_WORD = 0.1
"""How much one answer changes the share of the window that is taken to be worked on."""


class Window:
    """The pending tasks in the order of their acceptance.

    The probability that a task has ended grows with the time since it was last known to be pending: the clips that are
    `outstanding` are shared out among the tasks of the window by that time. Two clocks hold the integrals from which
    any task's expected lag so far can be had at once, however many tasks there are.

    Attributes:
        seats: All pending tasks.
        outstanding: Clips in the session's list whose task isn't known yet.
        width: How many tasks are probably worked on side by side.
        working: Those that are being worked on by the service's word; no more than can be told apart with ease.
        vacant: How many of them have ended since, without it being known who is worked on instead.
    """

    def __init__(self) -> None:
        self.seats: dict[int, Seat] = {}
        self.outstanding = 0
        self.width = WIDTH
        self._orders = 0
        self._waiting: deque[Seat] = deque()
        self._inside: dict[int, Seat] = {}
        self._unseen = Soonest(attrgetter("since"), _may_be_asked)
        self._since = 0.0
        self._clocks = (0.0, 0.0)
        self._at = 0.0
        self._promised = self._kept = 0.0
        self.working: dict[int, Seat] = {}
        self.vacant = 0
        self._tries = 0
        self._vacant_at = 0.0
        self._queued: list[Seat] = []
        self._words, self._worked = False, 1.0

    def __len__(self) -> int:
        return len(self.seats)

    @property
    def inside(self) -> int:
        """How many tasks are in the window."""
        return len(self._inside)

    def unseen_since(self, at: float) -> bool:
        """Whether a task of the window that may be asked was last seen before that time."""
        top = self.top()
        return top is not None and top.since < at

    @property
    def everybody(self) -> bool:
        """Whether no pending task lies outside."""
        return len(self._inside) >= len(self.seats)

    # ------------------------------------------------------------------------------------------- time and chances
    def advance(self, now: float, fresh: float) -> None:
        """Lets time pass.

        Args:
            now: Until when.
            fresh: Completions that are to be expected since the list was read.
        """
        count = len(self._inside)
        if now <= self._at:
            return
        if self.outstanding and count:
            before = max(_INSTANT, count * self._at - self._since)
            after = max(_INSTANT, count * now - self._since)
            share, grown = self._mass(fresh) / count, log(after / before)
            first, second = self._clocks
            self._clocks = (
                first + share * grown,
                second + share * (now - self._at + self._since / count * grown),
            )
        self._at = now

    def _mass(self, fresh: float) -> float:
        """How many tasks of the window have ended, as far as the list tells."""
        if not self.outstanding:
            return 0.0
        trust = min(1.0, (self._kept + _TRUST) / (self._promised + _TRUST))
        return min(len(self._inside), trust * self.outstanding + fresh)

    def chance(self, seat: Seat, now: float, fresh: float) -> float:
        """The probability that a task of the window has ended, as far as the list tells."""
        unseen = len(self._inside) * now - self._since
        if unseen <= _INSTANT:
            return self._mass(fresh) / max(1, len(self._inside))
        return min(1.0, self._mass(fresh) * (now - seat.since) / unseen)

    def lag(self, seat: Seat) -> float:
        """The lag that a task of the window is expected to have by now, as far as the list tells: seconds."""
        first, second = self._clocks
        return (second - seat.marks[1]) - seat.since * (first - seat.marks[0])

    # --------------------------------------------------------------------------------------------- who is inside
    def add(self, task: int, now: float) -> Seat:
        """Takes in a task that was accepted."""
        seat = Seat(task, self._orders, now, now)
        self._orders += 1
        self.seats[task] = seat
        self._waiting.append(seat)
        return seat

    def fill(self, now: float, since: float | None = None) -> None:
        """Lets tasks in until the window is as large as it should be.

        Args:
            now: The time.
            since: When they began to be worked on, one after another until now; None: just now.
        """
        lack = min(len(self.seats), round(self.width) + self.outstanding) - len(self._inside)
        entered = 0
        while entered < lack and (seat := self._next()) is not None:
            entered += 1
            self._enter(seat, now if since is None else since + (now - since) * entered / (lack + 1))

    def _next(self) -> Seat | None:
        while self._waiting:
            seat = self._waiting.popleft()
            if seat.task in self.seats:
                return seat
        return None

    def _enter(self, seat: Seat, since: float) -> None:
        seat.inside = True
        self._inside[seat.task] = seat
        seat.since = max(since, seat.since)
        seat.marks = self._clocks
        self._since += seat.since
        self._unseen.push(seat, self._inside.values())

    def shrink(self) -> None:
        """Lets the youngest out where far too many are inside."""
        goal = round(self.width) + self.outstanding
        if len(self._inside) <= 1.5 * goal + 2:
            return
        for seat in sorted(self._inside.values(), key=lambda seat: seat.order, reverse=True)[:-goal]:
            if not seat.asking:
                self._leave(seat)
                self._waiting.appendleft(seat)

    def _leave(self, seat: Seat) -> None:
        seat.inside = False
        del self._inside[seat.task]
        self._since -= seat.since

    def remove(self, task: int) -> None:
        """A task is pending no more."""
        seat = self.seats.pop(task)
        if self.working.pop(task, None) is not None:
            # Where nobody waits, nobody is worked on instead.
            self.vacant = min(_FEW, self.vacant + 1, len(self.seats) - len(self.working))
            self._vacant_at = self._at
            self._look_for_next()
        if seat.inside:
            self._leave(seat)

    def seen_pending(self, seat: Seat, at: float, *, begun: bool | None = None) -> None:
        """A task was pending at that time.

        Args:
            seat: The task.
            at: When.
            begun: Whether it was being worked on, by the service's word; None where it has no word for that.
        """
        self._hear(seat, begun=begun)
        self._see(seat, at)

    def _see(self, seat: Seat, at: float) -> None:
        if seat.inside:
            self._since += at - seat.since
        seat.since, seat.marks = at, self._clocks
        if seat.inside:
            self._unseen.push(seat, self._inside.values())

    def _hear(self, seat: Seat, *, begun: bool | None) -> None:
        """What the service's word tells: whoever is being worked on ends before those that still wait."""
        known = self.working.pop(seat.task, None) is not None
        if begun is None:
            return
        if begun and not known and self.vacant:
            self.vacant -= 1
            self._look_for_next()
        self._worked += _WORD * (begun - self._worked)
        if begun:
            self._words = True
            if len(self.working) < _EXACT:
                self.working[seat.task] = seat
        elif self._words:
            self._queued.append(seat)

    def completed(self, now: float, count: int) -> None:
        """So many more have ended. If it is only one, it is nobody who was queued since the one before."""
        queued, self._queued = self._queued, []
        if count == 1:
            for seat in queued:
                if self.seats.get(seat.task) is seat and not seat.asking and seat.since < now:
                    self._see(seat, now)

    def worker(self, grown_at: float) -> tuple[Seat, float] | None:
        """A task that was being worked on before the list grew last, and the probability that it is one of those that
        have ended; None where the service's words tell nothing."""
        if not self.outstanding or not self.working or len(self.working) >= _EXACT:
            return None
        before = [seat for seat in self.working.values() if seat.since < grown_at]
        free = [seat for seat in before if not (seat.asking or seat.held)]
        if not free:
            return None
        at_work = max(len(before), self._worked * len(self._inside) - (len(self.working) - len(before)))
        return min(free, key=lambda seat: seat.since), min(1.0, self._mass(0.0) / max(1.0, at_work))

    def successor(self) -> Seat | None:
        """Who is probably worked on instead of one that has ended: the oldest that still waited when it was seen."""
        if not (self.vacant and self._tries) or len(self.working) + self.vacant > _FEW:
            return None
        for seat in self._inside.values():
            if seat.task not in self.working and seat.since < self._vacant_at and not (seat.asking or seat.held):
                return seat
        return None

    def _look_for_next(self) -> None:
        # The fewer are known, the longer it would take until one of them is come upon.
        self._tries = max(_FEW // 2, _FEW - len(self.working))

    def tried(self) -> None:
        """That one is being asked."""
        self._tries -= 1

    def at_work(self) -> Seat | None:
        """A task that was being worked on when it was last seen, where they are few: who waits won't end before it."""
        if not 0 < len(self.working) <= _FEW:
            return None
        free = [seat for seat in self.working.values() if seat.inside and not (seat.asking or seat.held)]
        return min(free, key=lambda seat: seat.since, default=None)

    def top(self) -> Seat | None:
        """The task that has most probably ended: nobody has been unseen for longer."""
        return self._unseen.first()

    def __iter__(self) -> Iterator[Seat]:
        return iter(self.seats.values())

    # ------------------------------------------------------------------------------------------------- the width
    def learn(self, seat: Seat, *, ended: bool) -> None:
        """Compares an answer with what was expected.

        More completions than expected among the younger tasks say that more are worked on than was thought; more among
        the older, that fewer are.
        """
        if seat.listed:
            self._promised += seat.listed
            self._kept += ended
            if self._promised > _MEMORY:
                self._promised, self._kept = self._promised * 0.8, self._kept * 0.8
        if not seat.inside:
            return
        if len(self._inside) > 1:
            surprise = (ended - seat.expected) * (2 * self._rank(seat) - 1)
            self.widen(exp(_LEARNING * surprise + _DRIFT))
        elif ended:
            self.widen(1 / 1.1)

    def _rank(self, seat: Seat) -> float:
        """From 0, the oldest of the window, to 1, the youngest."""
        if len(self._inside) <= _EXACT:
            return sum(each.order < seat.order for each in self._inside.values()) / (len(self._inside) - 1)
        oldest = next(iter(self._inside.values())).order
        return min(1.0, max(0.0, (seat.order - oldest) / (self._orders - oldest)))

    def widen(self, factor: float) -> None:
        """Changes the width by a factor, within what makes sense."""
        self.width = min(max(1.0, self.width * factor), max(4.0, float(len(self.seats))))


def _may_be_asked(seat: Seat) -> bool:
    return seat.inside and not (seat.asking or seat.held)
