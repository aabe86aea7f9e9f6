"""What is going on in a session, as far as is known: what each decision of a moment is made from.

Pure: is told times. What is worked out from it costs more than a decision may, so that it is worked out once a moment.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf

from ..config import PollPolicy
from .belief import Belief
from .completions import Completions
from .window import Window

__all__ = ["SPACING", "Situation"]

POLLS_A_SECOND, ALL_WITHIN = 20.0, 5.0
"""Polls a second where nothing was set; more where so few would not reach the whole batch within so many seconds."""
SPACING = 1.15
"""Asks are so much farther apart than the rate says: on their way they draw nearer."""
LAST_TENTH = 0.1
LAST_FEW = 0.02
AHEAD = 2.0
"""The clips that the list shows take a while to be asked for, one after another: this is begun so many times as long
before the batch ends."""
END_MATTERS = 6.0
"""How many times dearer a request is where only the end of the batch matters, until the last few."""
LEISURE = 10.0
"""Seconds an upload: for the last few of a batch that takes less, a request is cheaper, in proportion, and dearer where
it takes more: how late the end is counts by how long it took, and a request by how many uploads there are."""
STRANGERS, WARY = 3, 2.0
"""From so many ids on that are nobody's here a request is so many times dearer: more will be looked for in vain."""
HASTE, AT_ONCE = 0.01, 0.1
"""The share of a batch's age that is wait enough for its end, and the least seconds of it."""


class Situation:
    """What is known of one session.

    Args:
        policy: The one price, bounds, and the strategy.
        more: Tells how many uploads are still to be accepted.
        lists: Whether there is a list of clips.

    Attributes:
        policy: As above.
        more: As above.
        plain: Whether nothing is to be learned, by the policy.
        first: The shortest wait while lag matters, and between two readings of the list; `cap` is the longest.
        stream: Whether items are consumed as they land; otherwise only the end of the batch matters.
        allowed: Requests a second that the service lets polls make; None while it lets them make any.
        window: The pending tasks.
        belief: What the list has told.
        completions: How fast uploads end.
        accepted: How many uploads were accepted.
        in_flight: How many tasks are being asked.
        heard_at: When an answer came.
        grown_at: When the list grew.
        to_go: Seconds until lag begins to count, as it looked when the list was read.
        ends_at: When the batch ends, as it looked then.
        looked_at: When `look` was called last; minus infinity where something has changed since.
        moment: Another number whenever time has passed or something has changed.
        speed: Completions a second.
        fresh: Completions that are to be expected since the list was read.
        misled: Whether the list is of no use.

    Worked out by `look`:
        few: Whether there is too little to ask for to read a list.
        eager: Whether lag matters.
        price: Seconds of lag that a request is worth.
        shortest: Seconds that are the shortest wait.
    """

    def __init__(self, policy: PollPolicy, more: Callable[[], int], *, lists: bool = True) -> None:
        self.policy = policy
        self.more = more
        self.plain = policy.strategy == "backoff"
        self.stream = True
        self.allowed: float | None = None
        self.window = Window()
        self.belief = Belief(there=lists)
        self.first, self.cap = policy.bounds
        self.shortest = self.first
        self.completions = Completions(self.first / 2)
        self.accepted = self.in_flight = 0
        self.heard_at = self.grown_at = -inf
        self.to_go, self.ends_at = 0.0, inf
        self.speed, self.fresh = 1.0, 0.0
        self.few = self.misled = False
        self.eager = True
        self.price = policy.price
        self.looked_at = -inf
        self.moment = 0

    def advance(self, now: float) -> None:
        """Lets time pass; to be called before anything changes."""
        self.looked_at = -inf
        self.moment += 1
        until = now
        self.misled = self.plain or self.belief.misled
        if self.misled:
            # Where nothing is told unasked, silence tells nothing.
            until = max(self.heard_at, self.completions.began + 1.0)
        self.speed = self.completions.speed(until)
        read_at = self.belief.read_at
        self.fresh = 0.0 if read_at is None else self.speed * (now - read_at)
        self.window.advance(now, self.fresh)

    def look(self, now: float) -> None:
        """Works out what each decision of this moment needs."""
        if now == self.looked_at:
            return
        self.advance(now)
        self.looked_at = now
        more = self.more()
        self.few = not more and len(self.window) <= 2
        price = self.policy.price
        if self.belief.foreign >= STRANGERS:
            price *= WARY
        if self.stream:
            self.eager, self.price, self.shortest = True, price, self.first
            return
        whole, left = self.accepted + more, self._left(more)
        # What the list shows is asked for in time: at the end all of it would have to wait for its turn.
        backlog = self.window.outstanding * SPACING / self.rate()
        ending = left <= max(2.0, LAST_TENTH * whole) or now + AHEAD * backlog >= self.ends_at
        self.eager = ending or self.misled or self.completions.silent(now)
        age = now - self.completions.began
        last = not more and left <= max(2.0, LAST_FEW * whole)
        self.price = price * (min(END_MATTERS, age / (LEISURE * whole)) if last else END_MATTERS)
        self.shortest = min(self.first, max(AT_ONCE, HASTE * age))

    def foresee(self, now: float) -> None:
        """The list was read: when will the end come?"""
        # As it looks now: the speed falls with each second of silence, and the moment to look would never come.
        more, speed = self.more(), self.completions.speed(now)
        left = self._left(more)
        self.to_go = (left - max(2.0, LAST_TENTH * (self.accepted + more))) / speed
        self.ends_at = now + left / speed

    def _left(self, more: int) -> int:
        """Uploads that have not ended, as far as the list tells."""
        return len(self.window) + more - self.window.outstanding - self.belief.foreign

    def rate(self) -> float:
        """Polls a second, at most."""
        rate = self.policy.max_rate or max(POLLS_A_SECOND, self.accepted / ALL_WITHIN)
        return rate if self.allowed is None else min(rate, self.allowed)
