"""What the session's list of clips has told, and how far it can be believed.

Pure: is told times. The list never shows a failed upload; it may lag behind the tasks, lack ids, hold ids of others, or
be unreadable. What was found by asking tasks is compared with it.
"""

from __future__ import annotations

from collections.abc import Callable
from math import exp, inf, log

__all__ = ["CERTAINTY", "TIMELY", "Belief", "suspicion"]

PRIOR, PRIOR_WEIGHT = 0.3, 4.0
"""The share of tasks that end without a listed clip, before any has ended, and how many of them that is worth."""
CERTAINTY = 0.98
"""The same where there is no list to go by."""
MEMORY = 60.0
"""Of about so many tasks it is remembered how they ended."""
GRACE = 1.0
"""Seconds after which a clip that a task has named should be in the list."""
TIMELY = 10.0
"""Seconds after which it says nothing for the list that it is there."""
WEIGHT = 0.4
"""How much one clip that is in the list by then, or isn't, counts; the first that isn't counts as all there were, if
none has ever been found there."""
AUDITS = 16
"""After so many completions, and more often at first, a task is asked that the list says is pending."""


def suspicion(doubt: float, hazard: float, unseen: float) -> tuple[float, float]:
    """What may be suspected of a task whose clip isn't in the list.

    Args:
        doubt: The probability that it ends without its clip being listed.
        hazard: Ends a second of a task like it.
        unseen: Seconds since it was last known to be pending.

    Returns:
        The probability that it has ended, and the lag that it is expected to have by now, in seconds.
    """
    passed = min(50.0, hazard * unseen)
    grown = exp(passed)
    probability = doubt * (grown - 1) / (doubt * grown + 1 - doubt)
    return probability, (log(doubt * grown + 1 - doubt) - doubt * passed) / (hazard * (1 - doubt))


class Belief:
    """The readings of one session's list.

    Args:
        there: Whether the session has one.

    Attributes:
        reading: Whether it is being read just now.
        read_at: When the last answer was asked for; None before the first.
        again: When to read it on suspicion; minus infinity for no suspicion, infinity for at once.
        failures: Readings in a row that brought nothing.
        ids: How many ids it holds.
        foreign: How many of them are taken to be nobody's here.
        audits: Asks that are owed to caution.
    """

    def __init__(self, *, there: bool = True) -> None:
        self.there = there
        self.reading = False
        self.read_at: float | None = None
        self.again = -inf
        self.failures = 0
        self.ids = 0
        self.foreign = 0
        self.audits = 0
        self._audit_after, self._since_audit = 1, 0
        self._ended = self._unlisted = 0.0
        self._lagging = 0.0
        self._confirmed = False
        self._doubtful: list[tuple[int, float]] = []

    @property
    def misled(self) -> bool:
        """Whether the list is of no use: there is none, it can't be read, or lags behind the tasks."""
        return not self.there or self.failures > 0 or self.lags

    @property
    def lags(self) -> bool:
        """Whether clips that tasks have named were not in it."""
        return self._lagging > 0.5

    @property
    def experienced(self) -> bool:
        """Whether enough tasks have ended to tell a foreign id."""
        return self._ended >= AUDITS / 2

    @property
    def untried(self) -> bool:
        """Whether no task has ended yet."""
        return self._ended == 0

    @property
    def doubt(self) -> float:
        """The probability that a task ends without its clip being listed."""
        if self.misled:
            return CERTAINTY
        return min(CERTAINTY, (self._unlisted + PRIOR * PRIOR_WEIGHT) / (self._ended + PRIOR_WEIGHT))

    def read(self, ids: int, asked_at: float, is_listed: Callable[[int], bool]) -> None:
        """It was read.

        Args:
            ids: How many ids it holds.
            asked_at: When it was asked for.
            is_listed: Whether the clip that a task has named is in it.
        """
        self.reading, self.failures, self.ids, self.read_at, self.again = False, 0, ids, asked_at, -inf
        due = [each for each in self._doubtful if asked_at >= each[1] + GRACE]
        for doubtful in due:
            self._doubtful.remove(doubtful)
            absent = not is_listed(doubtful[0])
            if not absent and asked_at > doubtful[1] + TIMELY:
                continue
            self._unlisted += absent
            self._lagging += (WEIGHT if self._confirmed else 1.0) * (absent - self._lagging)
            self._confirmed |= not absent

    def unread(self, now: float) -> None:
        """It could not be read."""
        self.reading, self.read_at, self.again = False, now, -inf
        self.failures += 1

    def ended(self, task: int, now: float, *, listed: bool, failed: bool, watched: bool) -> None:
        """A task has ended: was it in the list? Where somebody waits for each of them, some are audited."""
        self._ended += 1
        self._confirmed |= listed
        self._unlisted += failed
        if not listed and not self.misled:
            self.audits += 1  # seldom comes one alone
        if self.there and not (listed or failed):
            self._doubtful.append((task, now))
            if self.again < inf:
                self.again = now + GRACE
        self._since_audit += watched
        if self._since_audit >= self._audit_after:
            self.audits, self._since_audit = self.audits + 1, 0
            self._audit_after = min(AUDITS, 2 * self._audit_after)
        if self._ended > MEMORY:
            self._ended, self._unlisted = self._ended * 0.75, self._unlisted * 0.75
