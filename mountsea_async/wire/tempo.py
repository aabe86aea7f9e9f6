"""How fast requests may go, learned from what was accepted and what was refused.

Pure: no loop, no sleeping; it is told times and answers with times. Who waits and who is woken is in `pacing.py`.

What it rests on: a limiter is a bucket that fills at R a second and holds B. Between two refusals it goes from empty
to empty, so what was accepted in between, over the time in between, is R, whatever B is, unless it has stood full on
the way. That it has shows in a shorter stretch before the refusal, which took more than B and R allow.
"""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Iterable

START = 8
"""Requests in flight before anything is known; each accepted one adds one."""
KNOWN = 0.995
"""Of a rate that the user gives: two clocks never agree wholly."""
SHARE = 0.98
"""Of the rate that was found; the rest pays for what isn't known about the service's clock and the way there."""
HOLD_MOST = 30.0
"""The longest time without a refusal after which a higher rate is tried."""
STEP, STEP_MOST = 0.02, 0.32
"""The least and the most that it is raised by in the first second of that, as a share."""
BOUNDLESS = 1e4
"""A rate that nobody here can reach: it was no limit after all."""
FEW = 8
"""So few accepted requests between two refusals don't make an estimate of their own."""

HINTLESS = 1.0
"""The first pause after a refusal without a hint; it doubles up to `HINTLESS_CAP` while refusals go on."""
HINTLESS_LEAST, HINTLESS_CAP = 0.25, 20.0
FORGOTTEN = 300.0
"""Seconds after a pause in which nobody has asked: the next refusal is the first of its kind again."""
DISBELIEF = 0.05
"""The shortest pause, doubled with each refusal in a row, whatever the hint."""


class Tempo:
    """Decides when a request may go, how many at once, and how long nobody may.

    Args:
        limit: Requests in flight at once, at most.
        rate: Requests a second that are known to be allowed: kept from the start, one at a time, and never exceeded.
            None: as many as are asked for, until the first refusal.
        max_retry_after: A longer hint is cut to this many seconds.
        rng: Where jitter comes from.

    Attributes:
        rate: Requests a second that go now; None while nothing bounds them.
        in_flight: How many are under way.
        window: How many may be.
        open_at: Nobody goes before.
        refused_since: When the refusals began, if nothing was accepted since.
    """

    def __init__(self, limit: int, *, rate: float | None, max_retry_after: float, rng: random.Random) -> None:
        self._limit = limit
        self._ceiling = math.inf if rate is None else KNOWN * rate
        self._max_retry_after = max_retry_after
        self._rng = rng
        self.in_flight = 0
        self.window = min(START, limit)
        self.open_at = -math.inf
        self.refused_since: float | None = None
        self._row = self._soon = 0  # refusals without an accepted request in between, and with few
        self._refused_at: float | None = None
        self._began: float | None = None
        self.rate = None if rate is None else self._ceiling
        self._forget(known=rate is not None)

    def _forget(self, *, known: bool) -> None:
        self._learned = known
        self._credit = 1.0  # what the service's bucket surely holds, as far as we know
        self._depth = 1.0
        self._most = math.inf
        self._ask_again = False
        self._at: float | None = None  # until when the credit is counted
        self._due: float | None = None  # until when somebody was told to wait for the rate
        self._went = 0  # since the last refusal
        self._allowed = 0.0  # requests that the rate had room for since the last refusal
        self._pressed = 0.0  # seconds since the last refusal in which the rate was what requests waited for
        self._hold, self._step = 1.0, 2 * STEP_MOST
        self._best = 0.0
        self._guess = False
        self._wave = (0, 0.0)  # accepted amid the first refusals, and when those began
        self._first: tuple[int, float] = (1, 0.0)  # accepted before the first refusal, and in how many seconds
        self._fuzz = 0.0
        self._empty_at: float | None = None
        self._count = 0
        self._times: deque[float] = deque(maxlen=1024)

    # --------------------------------------------------------------------------------------------------- going
    def admit(self, now: float) -> float:
        """Lets one request go, if it may.

        Returns:
            0.0 if it goes now; else the time at which to ask again: infinity means when one has come back.
        """
        if self.in_flight >= self.window:
            return math.inf
        if now < self.open_at:
            return self.open_at
        if self.rate is not None:
            self._advance(now)
            if self._ask_again:  # the pause is over, and that is what it was for
                self._ask_again, self._credit = False, max(1.0, self._credit)
            if self._credit < 1.0 - 1e-9:
                self._due = now + (1.0 - self._credit) / (self.rate or 1.0)
                return max(self._due, math.nextafter(now, math.inf))
            self._credit -= 1.0
            self._went += 1
        if self._began is None:
            self._began = now
        self.in_flight += 1
        return 0.0

    def back(self, *, unsent: bool = False) -> None:
        """One that went is back. Where it was never sent, another may go for it."""
        self.in_flight -= 1
        if unsent:
            self._credit += 1.0

    def _advance(self, now: float) -> None:
        """Counts the credit up to now, and raises the rate where it is what holds requests up."""
        since, rate = self._at, self.rate
        self._at = now
        if since is None or rate is None or now <= since:
            return
        due, self._due = self._due, None
        self._allowed += rate * max(0.0, now - max(since, self.open_at))
        self._credit = min(self._depth, self._credit + rate * ((now if due is None else min(now, due)) - since))
        if due is None:
            return
        self._pressed += now - since
        if now > due:  # timers fire late: what was missed may follow, if it isn't much
            self._credit += rate * min(now - due, 0.02)
        self._grow(rate, min(now - since, self._pressed if not self._learned else self._pressed - self._hold))

    def _grow(self, rate: float, seconds: float) -> None:
        if seconds <= 0 or rate >= self._ceiling:
            return
        seconds = min(seconds, 60.0)  # a clock that stood still, or a machine that slept: not for ever upwards
        if not self._learned:
            rate *= 2.0 ** (seconds / (2.0 if self._guess else max(0.25, 2 / rate)))
        elif rate < 0.9 * self._best:  # it went faster before: back to there
            rate *= 2.0 ** (2 * seconds)
            if rate >= 0.9 * self._best:
                rate, self._pressed, self._hold, self._step = 0.9 * self._best, 0.0, 1.0, STEP_MOST / 2
        else:
            quiet = min(self._pressed - self._hold, 60.0)
            rate *= math.exp(min(1.4, self._step * 2.0 ** (quiet / 5)) * seconds)
        self.rate = min(rate, self._ceiling)
        if self.rate > BOUNDLESS:
            self.rate = None
            self._forget(known=False)
            self._began = None

    # -------------------------------------------------------------------------------------------------- answers
    def accepted(self, sent_at: float | None) -> None:
        """A request was taken.

        Args:
            sent_at: When it was sent.
        """
        self._row, self.refused_since = 0, None
        if self.window < self._limit:
            self.window += 1
        if self._empty_at is None:
            self._count += 1
        elif sent_at is not None and sent_at > self._empty_at:
            self._count += 1
            self._times.append(sent_at)

    def refused(self, now: float, sent_at: float, hint: float | None) -> float | None:
        """A request was turned away.

        Args:
            now: The time.
            sent_at: When it was sent. One that was on its way before the last pause began tells nothing new.
            hint: Seconds that the service asks for, if it does.

        Returns:
            For how long nobody goes from now on, if that is longer than was known.
        """
        if self.refused_since is None or sent_at - self.open_at > FORGOTTEN:
            self.refused_since = now
        fresh = sent_at >= self.open_at
        if self.rate is not None:
            self._advance(now)
        if fresh:
            self._row += 1
            self._soon = self._soon + 1 if self._learned and self._count < FEW else 0
            self._learn(now, sent_at)
            # The refused one may be back already, or not yet.
            self.window = max(1, min(self.window, self.in_flight + 1) // 8) if self._row == 1 else 1
        elif not self._learned and self._count:
            self._listen_in(sent_at)
        if self._empty_at is None or self._count:
            self._empty_at = sent_at if self._empty_at is None else max(sent_at, self._empty_at)
        self._count, self._credit, self._due = 0, min(0.0, self._credit), None
        self._allowed, self._went = 0.0, 0
        self._times.clear()
        self._ask_again = True
        pause = self._pause(hint, fresh=fresh)
        if pause is None or now + pause <= self.open_at:
            return None
        self.open_at, self._pressed = now + pause, 0.0
        if self._learned and fresh and self.rate is not None and self.rate > 0.4 * self._best:
            # A refusal that costs time must be rarer: nothing fills up while a full bucket waits for the hint to end.
            lost = pause + now - sent_at - self._depth / self.rate
            self._hold = max(self._hold, min(2 * HOLD_MOST, 60 * lost))
        return pause

    def _pause(self, hint: float | None, *, fresh: bool) -> float | None:
        tokens = math.inf if self.rate is None or not self._learned else 1 / self.rate
        if hint is not None:
            hint = min(hint, self._max_retry_after)
            pause = hint + self._rng.random() * min(hint / 10, 5 * tokens)
            # Whoever says "at once" and refuses again and again isn't believed for ever.
            return max(pause, min(HINTLESS_CAP, DISBELIEF * 2.0 ** min(self._row, 20)))
        if not fresh:
            return None
        first = min(HINTLESS, max(HINTLESS_LEAST, 8 * tokens))
        return min(HINTLESS_CAP, first * 2.0 ** min(max(self._row - 1, min(2, self._soon)), 20)) * self._rng.uniform(
            0.5, 1
        )

    # ------------------------------------------------------------------------------------------------- learning
    def _learn(self, now: float, sent_at: float) -> None:
        if self._empty_at is None:
            self._begin(now, sent_at)
            return
        seconds = sent_at - self._empty_at
        if not self._count or seconds <= 0 or self.rate is None:
            return
        found = self._estimate(sent_at, seconds)
        burst = max(1.0, self._first[0] - found * self._first[1])
        before, idle = self.rate, self._went < 0.5 * self._allowed - 2
        if self._learned and found < 0.7 * before:
            self._hold, self._step = 1.0, STEP_MOST
            self._most = max(1.0, self._count)  # another limit: what its bucket holds isn't known
        else:
            self._hold, self._step = min(HOLD_MOST, 2 * self._hold), max(STEP, self._step / 2)
        if self._learned and before < 0.4 * self._best:
            self._best *= 0.97
        if self._count >= FEW or not self._learned:
            self.rate = SHARE * found * (1 - min(0.1, 0.5 / self._count))
            self._first, self._fuzz = (round(burst), 0.0), max(self._fuzz, 0.1 * (burst - 1))
            self._most *= 2
        else:
            self.rate = min(0.9 * before, SHARE * found)
            self._most = max(1.0, self._count)
        if self._learned and idle:  # much of the time nobody wanted to go: what was accepted shows the least
            self.rate = max(self.rate, 0.8 * before)
        if self._count >= FEW:
            self._best = max(self._best, found)
        if found < 0.4 * self._best:  # it went much faster before: look often whether it does again
            self._hold = max(min(self._hold, 3.0), min(15.0, 25 / found))
        else:
            self._hold = max(self._hold, min(HOLD_MOST, 40 / found))
        self.rate = min(self.rate, self._ceiling)
        if found > 1.5 * before:
            self._most = math.inf
        self._depth, self._learned = max(1.0, min(self._most, 0.95 * burst)), True

    def _begin(self, now: float, sent_at: float) -> None:
        """The first refusal: the service's bucket is empty for the first time."""
        seconds = 0.0 if self._began is None else max(0.0, sent_at - self._began)
        self._first = (self._count, seconds)
        self._wave = (0, sent_at)
        self._fuzz = 0.15 * (self.in_flight + 1) if seconds > 0 else 0.0
        if self.rate is None:
            self.rate = max(1.0, self._count / seconds / 8 if seconds > 0 else 1.0)
            self._at = now

    def _listen_in(self, sent_at: float) -> None:
        """What is accepted amid the first refusals gives a hint of the rate."""
        taken, began = self._wave[0] + self._count, self._wave[1]
        self._wave = taken, began
        if taken >= FEW // 2 and sent_at > began and self.rate is not None:
            found = taken / (sent_at - began)
            self.rate, self._best, self._guess = max(1.0, 0.7 * found), 0.9 * found, True

    def _estimate(self, sent_at: float, seconds: float) -> float:
        """The rate that explains the refusal: the whole time since the last one, or a stretch of it."""
        accepted, began_in = self._first
        found = self._count / seconds
        for _ in range(12):
            burst = max(1.0, accepted - found * began_in) + self._fuzz
            higher = max(found, steepest(sent_at, reversed(self._times), burst, began_in))
            if higher <= found * 1.001:
                break
            found = higher
        return found

    def shift(self, seconds: float) -> None:
        """The clock is another one, so many seconds ahead; what was under way is gone."""
        self.in_flight, self.refused_since, self._due = 0, None, None
        self.open_at += seconds
        self._at = None if self._at is None else self._at + seconds
        self._began = None if self._began is None else self._began + seconds
        self._empty_at = None if self._empty_at is None else self._empty_at + seconds
        self._times = deque((moment + seconds for moment in self._times), maxlen=self._times.maxlen)


def steepest(end: float, latest_first: Iterable[float], burst: float, least: float) -> float:
    """The highest rate at which a bucket that holds `burst` would have been empty at `end`, if it was ever full.

    Args:
        end: When it was empty.
        latest_first: When it was taken from before.
        burst: What it holds when full.
        least: Shorter stretches than this many seconds don't count.
    """
    best = 0.0
    for taken, moment in enumerate(latest_first, 1):
        length = end - moment
        if length > 1e-6 and length >= least and taken + 1 - burst > best * length:
            best = (taken + 1 - burst) / length
    return best
