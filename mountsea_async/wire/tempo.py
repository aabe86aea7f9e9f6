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
SHARE = 0.993
"""Of the rate that was found; the rest pays for what isn't known about the service's clock and the way there."""
ENOUGH, ENOUGH_SECONDS, FEWEST = 20, 2.0, 8
"""An estimate rests on so many accepted requests, or on so many seconds in which at least the fewest were accepted.
What a shorter time shows is chance: where requests arrive unevenly, some are refused at any rate."""
HOLD, HOLD_MOST = 1.0, 30.0
"""Seconds without a refusal after which a higher rate is tried: at first, and as each try fails, twice as long."""
STEP, STEP_MOST = 0.3, 0.5
"""The share that it is then raised by a second, over the seconds waited, doubled every two seconds; and the most."""
FAR, RECOVERY = 0.4, 7.0
"""Below this share of what once was accepted, it is tried so often (seconds) whether that goes again."""
LONG = 8.0
"""What was found over so many seconds, and what has been found again, isn't soon doubted."""
BOUNDLESS = 1e4
"""A rate that nobody here can reach: it was no limit after all."""

HINTLESS, HINTLESS_CAP = 1.0, 20.0
"""The pause after a refusal without a hint, while no rate is known; it doubles up to the cap while refusals go on."""
SHORT = 4
"""That pause where a rate is known, in requests of that rate."""
FORGOTTEN = 300.0
"""Seconds after a pause in which nobody has asked: the next refusal is the first of its kind again."""
DISBELIEF = 0.05
"""The shortest pause, doubled with each refusal in a row, whatever the hint."""

CATCH_UP, CATCH_UP_FIRST = 0.95, 0.3
"""Of what the service's bucket is thought to hold, so much may go at once after a pause, which has filled it; the
second while one refusal is all that is known."""
WAVE, FALL = 4, 8.0
"""All in flight refused, so many at least: the limit has fallen. The rate is divided by the second."""
SLOWEST = 0.5
"""Requests a second below which refusals alone don't take the rate."""


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
        self._row = 0  # fresh refusals without an accepted request in between
        self.rate = None if rate is None else self._ceiling
        self._forget(known=rate is not None)

    def _forget(self, *, known: bool) -> None:
        self._learned = known
        self._credit = self._depth = 1.0  # what may go at once, and the most of that
        self._at: float | None = None  # until when the credit is counted
        self._due: float | None = None  # until when somebody was told to wait for the rate
        self._began: float | None = None  # when the first request went
        self._first = (1, 0.0)  # accepted before the first refusal, and in how many seconds
        self._first_end = -math.inf  # when those had been sent
        self._empty_at: float | None = None  # a refused request was sent: what was counted since is what follows
        self._count = 0
        self._times: deque[float] = deque(maxlen=1024)
        self._pressed = 0.0  # seconds since the last refusal in which the rate was what requests waited for
        self._hold = HOLD
        self._turned = self._pauses = 0  # refusals since then, and pauses that came of them
        self._shut = 0.0  # seconds in those
        self._settled = math.inf  # the rate that the last estimate gave
        self._best = 0.0  # the highest estimate so far

    # --------------------------------------------------------------------------------------------------- going
    def admit(self, now: float) -> float:
        """Lets one request go, if it may.

        Returns:
            0.0 if it goes now; else the time at which to ask again: infinity means when one has come back.
        """
        if self.in_flight >= self.window:
            self._due = None  # it isn't the rate that holds it up
            return math.inf
        if now < self.open_at:
            return self.open_at
        if self.rate is not None:
            self._advance(now)
            if self._credit < 1.0 - 1e-9:
                self._due = now + (1.0 - self._credit) / (self.rate or 1.0)
                return max(self._due, math.nextafter(now, math.inf))
            self._credit -= 1.0
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
            rate *= 2.0 ** (seconds / max(0.25 if self._first[0] < ENOUGH else 1.0, 1 / rate))
        elif rate < (before := self._before()):
            rate = min(rate * 4.0**seconds, before)
            if rate == before:
                self._pressed = 0.0
                self._hold = HOLD / 4 if before > self._settled else max(LONG, self._hold)
        else:
            quiet = min(self._pressed - self._hold, 60.0)
            rate *= math.exp(min(STEP_MOST, rate / 10, STEP / self._hold * 2.0 ** (quiet / 2)) * seconds)
        self.rate = min(rate, self._ceiling)
        if self.rate > BOUNDLESS:
            self.rate = None
            self._forget(known=False)

    def _before(self) -> float:
        """The rate up to which there is nothing new to find: it went so fast before."""
        return max(FAR * self._best, 0.99 * self._settled if self._settled < math.inf else 0.0)

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
        elif sent_at is not None and sent_at <= self._first_end:
            self._first = (self._first[0] + 1, self._first[1])
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
            self._learn(now, sent_at)
        if fresh or self._fallen():
            self._shrink()
        self._credit, self._due = min(0.0, self._credit), None
        self._turned += 1
        if not fresh and not self._count and self._turned == 1:
            self._begin_at(sent_at)
        if self._learned and not self.in_flight and not self._count and self._turned >= WAVE:
            self._fall()
        pause = self._pause(hint, fresh=fresh)
        if pause is not None and now + pause > self.open_at:
            self._pauses += self.open_at <= now
            self._shut += now + pause - max(self.open_at, now)
            self.open_at, self._pressed = now + pause, 0.0
        else:
            pause = None
        if self.rate is not None and self.open_at > now:  # one may go as soon as the pause is over
            self._credit = max(self._credit, 1.0 - self.rate * (self.open_at - now))
        return pause

    def _shrink(self) -> None:
        """Fewer at once; each accepted one lets one more go."""
        there = min(self.window, self.in_flight + 1)  # the refused one may be back already, or not yet
        share = 2 if self._learned else 8
        self.window = 1 if self._row > 1 or self._trouble() else max(1, there // share)

    def _fall(self) -> None:
        """The limit is another one, and nothing is known of what its bucket holds."""
        rate = self.rate or SLOWEST
        self.rate = max(min(rate, SLOWEST), rate / FALL)
        self._depth, self.window, self._hold = 1.0, 1, HOLD

    def _begin_at(self, sent_at: float) -> None:
        """The service's bucket was empty then: what is counted from here on shows how fast it fills."""
        if self._empty_at is None or sent_at > self._empty_at:
            self._empty_at = sent_at
        self._count = self._turned = self._pauses = 0
        self._shut = 0.0
        self._times.clear()

    def _pause(self, hint: float | None, *, fresh: bool) -> float | None:
        token = 1 / self.rate if self._learned and self.rate is not None else math.inf
        if hint is not None:
            hint = min(hint, self._max_retry_after)
            spread = min(hint / 10, 2 * token)
            # Whoever says "at once" and refuses again and again isn't believed for ever.
            return max(hint + self._rng.random() * spread, min(HINTLESS_CAP, DISBELIEF * 2.0 ** min(self._row, 20)))
        if not fresh and not self._fallen():
            return None
        longest = min(HINTLESS_CAP, HINTLESS * 2.0 ** min(self._row - 1, 20))
        longest = min(longest, SHORT * token * 4.0 ** min(self._trouble(), 20))
        return longest * self._rng.uniform(0.5, 1)

    # ------------------------------------------------------------------------------------------------- learning
    def _learn(self, now: float, sent_at: float) -> None:
        if self._empty_at is None:
            seconds = 0.0 if self._began is None else max(0.0, sent_at - self._began)
            self._first, self._first_end = (self._count, seconds), sent_at
            if self.rate is None:
                self.rate, self._at = max(1.0, self._count / (1.0 + seconds)), now
                self._depth = self._catch_up(CATCH_UP_FIRST, self.rate)
                self._best = self.rate if seconds > LONG else 0.0
            self._begin_at(sent_at)
            return
        seconds = sent_at - self._empty_at
        before = self.rate
        if seconds <= 0 or before is None:
            return
        if self._trouble() > 1:
            # Never so low that it would take for ever to find out that the service is back: pauses do the rest.
            self.rate = max(min(before, SLOWEST), before / FALL, self._count / seconds)
        if self._count < FEWEST or (self._count < ENOUGH and seconds < ENOUGH_SECONDS):
            rate, self._depth = self.rate or before, 1.0
            self.rate = max(min(rate, 0.9 * self._settled), min(0.97 * rate, self._settled))
            return
        found = self._estimate(sent_at, seconds)
        near = self._is_near(found, 0.7)
        self._depth = self._catch_up(CATCH_UP, found) if near or self._settled == math.inf else 1.0
        if self._is_near(found, 0.9):
            self._hold = min(HOLD_MOST, 2 * self._hold)
        elif not near:  # the longer what it rests on, the longer it is kept
            self._hold = HOLD if self._first[0] < ENOUGH else min(LONG, max(HOLD, self._count / ENOUGH))
        self._best = max(0.97 * self._best, found)
        if found < FAR * self._best:
            self._hold = RECOVERY
        self._settled = SHARE * found
        self.rate, self._learned = min(self._settled, self._ceiling), True
        self._begin_at(sent_at)

    def _is_near(self, found: float, share: float) -> bool:
        return share * self._settled < found < self._settled / share

    def _fallen(self) -> bool:
        """Whether even what was in flight shows that the limit is another one."""
        return self._learned and self._trouble() > 3

    def _trouble(self) -> int:
        """How much more is refused than uneven arrival explains."""
        return max(0, self._turned - self._count // 2)

    def _estimate(self, sent_at: float, seconds: float) -> float:
        """The rate that explains the refusal: the whole time since the last one, or a stretch of it."""
        found = self._count / seconds
        burst = self._burst(found)
        if (was_open := seconds - self._shut) > 0.2:  # a pause brings no more than a full bucket
            found = max(found, (self._count - self._pauses * burst) / was_open)
        return max(found, steepest(sent_at, reversed(self._times), burst, self._first[1]))

    def _burst(self, rate: float) -> float:
        """What the service's bucket holds when full, if it fills at that rate."""
        accepted, seconds = self._first
        rate = max(rate, self._best)
        return 1.0 + max(0.0, accepted - 1 - rate * seconds)

    def _catch_up(self, share: float, rate: float) -> float:
        """How many may go at once after a pause; one where the user has given a rate, which is kept evenly."""
        return max(1.0, share * self._burst(rate)) if self._ceiling == math.inf else 1.0

    def shift(self, seconds: float) -> None:
        """The clock is another one, so many seconds ahead; what was under way is gone."""
        self.in_flight, self.refused_since, self._due = 0, None, None
        self.open_at += seconds
        self._first_end = -math.inf
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
    best, taken = 0.0, 0
    for moment in latest_first:
        taken += moment < end  # what was sent later may have overtaken it
        length = end - moment
        if taken >= 5 and length >= max(0.1, least) and taken + 0.5 - burst > best * length:
            best = (taken + 0.5 - burst) / length
    return best
