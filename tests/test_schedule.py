"""The schedule of polls, whatever the service is like: whom it asks, how often, and that it comes to an end.

A service in miniature plays the other side: no network, no event loop, no clock but its own.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Sequence
from math import inf, log

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mountsea_async.config import PollPolicy
from mountsea_async.upload.bounds import BLIND_CAP, LONGEST, backoff_delay
from mountsea_async.upload.polling import LIST, Ask, Schedule

LISTS = ("right", "lags", "lacks ids", "holds foreign ids", "unreadable", "flaky")
SWEEP = LONGEST / 6


# ------------------------------------------------------------------------------------------------- a service in miniature
@attrs.frozen
class World:
    """A service and an account. The seed draws what is left open; two worlds alike are the same world.

    Attributes:
        items: How many uploads.
        median: Of their durations: seconds, lognormal.
        at_once: How many the account works on at once; None for all.
        fifo: Whether the oldest is worked on next; otherwise any.
        failing: The share that fails.
        listing: What the list of clips is like; one of `LISTS`.
        lag: Seconds that a lagging list is behind.
        words: Whether an answer tells who is being worked on.
        errors: The share of the answers that aren't the task.
        round_trip: Seconds, at least; up to twice as many.
        pause: Seconds between two submits.
        dropped: The share that nobody waits for until the end.
        seed: Chance.
    """

    items: int = 30
    median: float = 30.0
    at_once: int | None = 5
    fifo: bool = True
    failing: float = 0.02
    listing: str = "right"
    lag: float = 30.0
    words: bool = True
    errors: float = 0.0
    round_trip: float = 0.1
    pause: float = 0.01
    dropped: float = 0.0
    seed: int = 0


class Course:
    """What happens in a world, whoever asks."""

    def __init__(self, world: World) -> None:
        rng = random.Random(world.seed)
        names = range(world.items)
        durations = [rng.lognormvariate(log(world.median), 0.8) for _ in names]
        self.accepted = [number * world.pause + world.round_trip * rng.uniform(0.5, 1) for number in names]
        self.begun, self.ended = self._worked(world, durations, rng)
        span = max(self.ended)
        self.failed = [rng.random() < world.failing for _ in names]
        self.dropped = [rng.uniform(self.accepted[n], span) if rng.random() < world.dropped else inf for n in names]
        lacking = world.listing == "lacks ids"
        late = world.lag if world.listing == "lags" else 0.0
        listed = [inf if self.failed[n] or (lacking and rng.random() < 0.3) else self.ended[n] + late for n in names]
        self.listed = listed
        foreign = world.items if world.listing == "holds foreign ids" else 0
        self.foreign = [rng.uniform(-span / 2, span) for _ in range(foreign)]

    def _worked(self, world: World, durations: Sequence[float], rng: random.Random) -> tuple[list[float], list[float]]:
        begun, ended = [0.0] * world.items, [0.0] * world.items
        places = [0.0] * (world.at_once or world.items)
        queue = sorted(range(world.items), key=self.accepted.__getitem__)
        while queue:
            free = heapq.heappop(places)
            at = max(free, self.accepted[queue[0]])
            there = 1 if world.fifo else sum(self.accepted[number] <= at for number in queue)
            number = queue.pop(rng.randrange(there))
            begun[number], ended[number] = at, at + durations[number]
            heapq.heappush(places, ended[number])
        return begun, ended


@attrs.frozen
class Wait:
    """How long a task went unasked.

    Attributes:
        task: The task.
        since: When it was accepted, or the answer came.
        until: When it was asked.
        asks: How often it had been asked before.
        held: Whether that answer wasn't the task.
    """

    task: int
    since: float
    until: float
    asks: int
    held: bool

    @property
    def seconds(self) -> float:
        return self.until - self.since


class Life:
    """One batch in a world, driven as the event loop drives it: asks whoever is due, then sleeps until `wake_at` or
    until something is told.

    Attributes:
        decisions: Everything that was decided, with its time.
        found: When each task's end was known.
        waits: How long tasks went unasked.
        wakes: When the timer fired.
    """

    def __init__(
        self,
        world: World,
        policy: PollPolicy | None = None,
        *,
        stream: bool = True,
        allowed: float | None = None,
        name: Callable[[int], int] = lambda number: number,
    ) -> None:
        self.world, self.course = world, Course(world)
        self.policy = policy or PollPolicy()
        self.decisions: list[tuple[float, Ask]] = []
        self.found: dict[int, float] = {}
        self.waits: list[Wait] = []
        self.wakes: list[float] = []
        self.now = 0.0
        self._name, self._number = name, {name(number): number for number in range(world.items)}
        self._rng = random.Random(world.seed + 1)
        self._unaccepted = world.items
        self._schedule = Schedule(self.policy, random.Random(world.seed), lambda: self._unaccepted)
        self._schedule.stream, self._schedule.allowed = stream, allowed
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        self._told: dict[int, tuple[float, int, bool]] = {}
        self._asking: set[int] = set()
        self._reading = False
        self._ids: set[int] = set()
        self._live()

    def _at(self, at: float, event: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._events, (at, self._count, event))

    def _live(self) -> None:
        for number, at in enumerate(self.course.accepted):
            self._at(at + self.world.round_trip / 2, lambda number=number: self._accept(number))
        while self._unaccepted or self._told:
            self._serve()
            at = self._schedule.wake_at(self.now)
            assert at > self.now
            assert at < inf or self._told.keys() <= self._asking, "somebody is never asked again"
            if self._events and self._events[0][0] <= at:
                self.now, _, event = heapq.heappop(self._events)
                event()
            elif self._told or self._unaccepted:
                self.now = at
                self.wakes.append(at)
            assert len(self.wakes) < 200_000, "it does not come to an end"

    def _serve(self) -> None:
        while (ask := self._schedule.due(self.now)) is not None:
            self.decisions.append((self.now, ask))
            sent, way = self.now, self.world.round_trip * self._rng.uniform(0.5, 1)
            back = way + self.world.round_trip * self._rng.uniform(0.5, 1)
            if ask is LIST:
                assert not self._reading, "the list is being read already"
                self._reading = True
                self._at(sent + back, lambda sent=sent, at=sent + way: self._read(sent, at))
            else:
                number = self._number[ask]
                assert number in self._told, "it has ended, or nobody waits for it any more"
                assert number not in self._asking, "it is being asked already"
                self._asking.add(number)
                since, asks, held = self._told[number]
                self.waits.append(Wait(number, since, self.now, asks, held))
                self._at(sent + back, lambda number=number, at=sent + way: self._answer(number, at))

    # ------------------------------------------------------------------------------------------------ what is told
    def _accept(self, number: int) -> None:
        self._unaccepted -= 1
        self._told[number] = (self.now, 0, False)
        self._schedule.add(self._name(number), self.now)
        if self.course.dropped[number] < inf:
            self._at(max(self.now, self.course.dropped[number]), lambda: self._drop(number))

    def _drop(self, number: int) -> None:
        if self._told.pop(number, None) is not None:
            self._asking.discard(number)
            self._schedule.drop(self._name(number), self.now)

    def _read(self, sent: float, at: float) -> None:
        self._reading = False
        unreadable = {"unreadable": 1.0, "flaky": 0.5}.get(self.world.listing, 0.0)
        if self._rng.random() < unreadable:
            self._schedule.unread(self.now)
            return
        self._ids = {number for number, listed in enumerate(self.course.listed) if listed <= at}
        foreign = sum(appears <= at for appears in self.course.foreign)
        unexplained = len(self._ids - self.found.keys()) + foreign
        self._schedule.listed(
            unexplained, len(self._ids) + foreign, sent, self.now, lambda task: self._number[task] in self._ids
        )

    def _answer(self, number: int, at: float) -> None:
        if number not in self._asking:
            return  # nobody waits for it any more
        self._asking.discard(number)
        _, asks, _ = self._told[number]
        name, error = self._name(number), self._rng.random() < self.world.errors
        if not error and self.course.ended[number] <= at:
            del self._told[number]
            self.found[number] = self.now
            failed = self.course.failed[number]
            self._schedule.ended(name, self.now, listed=not failed and number in self._ids, failed=failed)
            return
        self._told[number] = (self.now, asks + 1, error)
        if error:
            self._schedule.unanswered(name, self.now)
        else:
            begun = self.course.begun[number] <= at if self.world.words else None
            self._schedule.pending(name, self.now, begun=begun)

    # ------------------------------------------------------------------------------------------------ what it took
    @property
    def asks(self) -> int:
        return len(self.waits)

    @property
    def readings(self) -> int:
        return len(self.decisions) - self.asks

    @property
    def lag(self) -> float:
        """Seconds from an end to the news of it, the mean."""
        return sum(at - self.course.ended[number] for number, at in self.found.items()) / len(self.found)


def most_within(times: Sequence[float], seconds: float) -> int:
    """The most of the times that lie within any span of so many seconds."""
    most = first = 0
    for last, at in enumerate(times):
        while times[first] <= at - seconds:
            first += 1
        most = max(most, last - first + 1)
    return most
