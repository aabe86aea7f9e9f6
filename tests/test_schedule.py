"""The schedule of polls, whatever the service is like: whom it asks, how often, and that it comes to an end.

A service in miniature plays the other side: no network, no event loop, no clock but its own.
"""

# ruff: noqa: S311 - chance is seeded here on purpose, and protects nothing
from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Sequence
from math import inf, log

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.rate import most_within

from mountsea_async.config import PollPolicy
from mountsea_async.upload.bounds import BLIND_CAP, LONGEST, backoff_delay
from mountsea_async.upload.polling import LIST, Ask, Schedule

LISTS = ("right", "lags", "lacks ids", "holds foreign ids", "unreadable", "flaky")
SWEEP = LONGEST / 6


# ----------------------------------------------------------------------------- a service in miniature
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
        wrong: The share of the ids that a list lacks, or that it holds of others.
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
    wrong: float = 0.1
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
        listed = [
            inf if self.failed[n] or (lacking and rng.random() < world.wrong) else self.ended[n] + late for n in names
        ]
        self.listed = listed
        foreign = round(world.items * world.wrong) if world.listing == "holds foreign ids" else 0
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


# -------------------------------------------------------------------------------- whatever the world
worlds = st.builds(
    World,
    items=st.integers(1, 40),
    median=st.sampled_from([0.5, 3.0, 30.0, 200.0]),
    at_once=st.sampled_from([1, 3, None]),
    fifo=st.booleans(),
    failing=st.sampled_from([0.0, 0.02, 0.5, 1.0]),
    listing=st.sampled_from(LISTS),
    lag=st.sampled_from([1.0, 30.0, 1000.0]),
    wrong=st.sampled_from([0.1, 1.0]),
    words=st.booleans(),
    errors=st.sampled_from([0.0, 0.1, 0.5]),
    round_trip=st.sampled_from([0.001, 0.1, 3.0]),
    pause=st.sampled_from([0.001, 0.1, 5.0]),
    dropped=st.sampled_from([0.0, 0.2]),
    seed=st.integers(0, 2**16),
)
policies = st.builds(
    PollPolicy,
    price=st.sampled_from([0.1, 0.7, 5.0]),
    first=st.sampled_from([None, 0.5, 3.0]),
    cap=st.sampled_from([None, 5.0, 20.0]),
    max_rate=st.sampled_from([None, None, 1.0, 5.0]),
)
plain_policies = st.builds(
    PollPolicy,
    strategy=st.just("backoff"),
    first=st.sampled_from([None, 0.5, 3.0]),
    factor=st.sampled_from([1.0, 1.5, 3.0]),
    cap=st.sampled_from([None, 5.0]),
    max_rate=st.sampled_from([None, 1.0, 5.0]),
)
allowances = st.sampled_from([None, None, 0.5, 3.0])
check = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def rate(life: Life, allowed: float | None) -> float:
    """Polls a second, at most."""
    most = life.policy.max_rate or max(20.0, life.world.items / 5)
    return most if allowed is None else min(most, allowed)


def queueing(life: Life, allowed: float | None) -> float:
    """Seconds that somebody who is due may have to wait because the rate lets others go first."""
    return 5.0 + 2.5 * life.world.items / rate(life, allowed)


def is_at_its_longest(life: Life, wait: Wait) -> float:
    """Seconds that a task may go unasked by the learned schedule, whatever the list is like."""
    age = wait.since - life.course.accepted[wait.task]
    return max(LONGEST, 2 * age) + SWEEP


@settings(check, max_examples=120)
@given(worlds, policies, st.booleans(), allowances)
def test_every_task_is_asked_to_its_end_and_nobody_twice_at_a_time_or_afterwards(
    world: World, policy: PollPolicy, stream: bool, allowed: float | None
) -> None:
    # The life itself asserts that only who is pending is asked, and that the next moment to ask lies ahead.
    life = Life(world, policy, stream=stream, allowed=allowed)
    dropped = {number for number, at in enumerate(life.course.dropped) if at < inf}
    assert life.found.keys() | dropped == set(range(world.items))
    assert len(life.decisions) <= 40 * world.items + 2 * life.now / policy.bounds[0] + 50
    assert len(life.wakes) <= 10 * len(life.decisions) + 5 * life.now + 100
    assert most_within(life.wakes, 1.0) <= 60

    limit = rate(life, allowed)
    times = [at for at, _ in life.decisions]
    assert most_within(times, 1.0) <= max(1.0, limit)
    assert most_within(times, 10.0) <= max(1.0, 10 * limit)

    for wait in life.waits:
        longest = is_at_its_longest(life, wait)
        if wait.held:
            trouble = attrs.evolve(policy, first=2 * policy.bounds[0], cap=3 * policy.bounds[1])
            longest = backoff_delay(trouble, wait.asks, 1.0) + 10.0
        assert wait.seconds <= longest + queueing(life, allowed) + 2 * world.round_trip


@settings(check, max_examples=50)
@given(worlds, st.booleans(), allowances)
def test_without_a_list_nobody_is_unasked_for_longer_than_the_cap_of_the_blind(
    world: World, stream: bool, allowed: float | None
) -> None:
    life = Life(attrs.evolve(world, listing="unreadable", items=world.items + 2), stream=stream, allowed=allowed)
    for wait in life.waits:
        age = wait.since - life.course.accepted[wait.task]
        # Where so few are left that no list would be read, a wait begins anew that grows with the root of the age.
        longest = BLIND_CAP + 6 * age**0.5 + 10.0
        assert wait.seconds <= longest + queueing(life, allowed)


@settings(check, max_examples=50)
@given(worlds, plain_policies, st.booleans(), allowances)
def test_the_plain_backoff_waits_as_documented_and_never_reads_the_list(
    world: World, policy: PollPolicy, stream: bool, allowed: float | None
) -> None:
    life = Life(world, policy, stream=stream, allowed=allowed)
    assert life.readings == 0
    for wait in life.waits:
        assert wait.seconds >= backoff_delay(policy, wait.asks, 0.0) - 1e-6
        assert wait.seconds <= backoff_delay(policy, wait.asks, 1.0) + queueing(life, allowed)


@settings(check, max_examples=30)
@given(worlds, policies, st.integers(1, 2), st.booleans())
def test_for_one_or_two_tasks_no_list_is_read(world: World, policy: PollPolicy, items: int, stream: bool) -> None:
    life = Life(attrs.evolve(world, items=items, pause=0.0), policy, stream=stream)
    after_all = [ask for at, ask in life.decisions if at >= max(life.course.accepted) + world.round_trip]
    assert LIST not in after_all


@settings(check, max_examples=30)
@given(worlds, policies, st.booleans())
def test_the_same_world_is_met_with_the_same_decisions(world: World, policy: PollPolicy, stream: bool) -> None:
    once, again = Life(world, policy, stream=stream), Life(world, policy, stream=stream)
    assert once.decisions == again.decisions
    assert once.wakes == again.wakes
    # What the tasks are called, and so where they lie in a set, is nothing to go by either.
    names = {number: random.Random(number).getrandbits(60) for number in range(world.items)}
    renamed = Life(world, policy, stream=stream, name=names.__getitem__)
    assert renamed.decisions == [(at, ask if ask is LIST else names[ask]) for at, ask in once.decisions]


# ----------------------------------------------------------------------- worlds as they probably are
SEEDS = range(4)


def lived(world: World, *, stream: bool = True, **policy: float | str) -> list[Life]:
    """A world under some seeds."""
    made = PollPolicy(**policy)  # type: ignore[arg-type]
    return [Life(attrs.evolve(world, seed=seed), made, stream=stream) for seed in SEEDS]


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


@pytest.mark.parametrize("at_once", [1, 5, None])
def test_who_takes_items_as_they_land_hears_of_them_sooner_than_who_waits_for_the_end(at_once: int | None) -> None:
    world = World(items=60, at_once=at_once)
    streams, batches = lived(world), lived(world, stream=False)
    assert mean([life.lag for life in streams]) < 0.5 * mean([life.lag for life in batches])
    assert mean([len(life.decisions) for life in streams]) > mean([len(life.decisions) for life in batches])


@pytest.mark.parametrize(("at_once", "most"), [(1, 1.5), (5, 1.8), (None, 2.6)])
def test_where_only_the_end_matters_a_task_is_asked_about_once(at_once: int | None, most: float) -> None:
    lives = lived(World(items=100, at_once=at_once), stream=False)
    assert mean([life.asks / life.world.items for life in lives]) <= most


def beside_the_backoff(world: World) -> tuple[float, float]:
    """Requests and lag, as shares of what the plain backoff takes."""
    (requests, lag), (most, longest) = (
        (mean([len(life.decisions) for life in lives]), mean([life.lag for life in lives]))
        for lives in (lived(world), lived(world, strategy="backoff"))
    )
    return requests / most, lag / longest


@pytest.mark.parametrize("at_once", [1, 5])
def test_a_list_that_is_right_spares_most_of_the_backoffs_asks_and_lag(at_once: int) -> None:
    requests, lag = beside_the_backoff(World(items=60, at_once=at_once))
    assert requests <= 0.6
    assert lag <= 0.3


@pytest.mark.parametrize("listing", LISTS[1:])
@pytest.mark.parametrize("at_once", [1, 5])
def test_a_list_that_is_wrong_costs_fewer_asks_and_less_lag_than_the_backoff(listing: str, at_once: int) -> None:
    requests, lag = beside_the_backoff(World(items=60, at_once=at_once, listing=listing))
    assert requests <= 1
    assert lag <= 1


@pytest.mark.parametrize(("median", "at_once"), [(0.6, 8), (10.0, None), (3.0, None)])
def test_a_large_batch_whose_end_alone_matters_is_asked_for_in_time(median: float, at_once: int | None) -> None:
    world = World(items=500, median=median, at_once=at_once, failing=0.0, round_trip=0.02, pause=0.001)
    for life in lived(world, stream=False):
        assert max(life.found.values()) <= 1.02 * max(life.course.ended)


def test_a_dearer_request_is_made_less_often() -> None:
    cheap, dear = (lived(World(items=40), price=price) for price in (0.2, 5.0))
    assert mean([len(life.decisions) for life in dear]) < 0.7 * mean([len(life.decisions) for life in cheap])
    assert mean([life.lag for life in dear]) > mean([life.lag for life in cheap])


def test_the_last_of_a_batch_is_found_though_the_list_never_shows_it() -> None:
    for life in lived(World(items=20, failing=1.0)):
        assert len(life.found) == 20
        assert all(at - life.course.ended[number] <= 180 for number, at in life.found.items())


def test_of_two_that_are_left_the_younger_is_not_forgotten_because_the_older_were_worked_on_first() -> None:
    world = World(
        items=80, median=300, at_once=3, listing="unreadable", words=False, round_trip=0.001, pause=5, seed=743
    )
    life = Life(world, stream=False)
    late = [at - life.course.ended[number] for number, at in life.found.items()]
    assert max(late) <= BLIND_CAP + 10


def test_one_that_got_no_answer_is_not_starved_by_those_that_have_rather_ended() -> None:
    world = World(items=80, at_once=1, failing=0.5, fifo=False, listing="lags", errors=0.1, pause=0.1, seed=973)
    life = Life(world, allowed=0.5)
    assert max(wait.seconds for wait in life.waits if wait.held) <= 30 * 1.1 + 2.5 * 80 / 0.5


def test_a_list_that_is_readable_every_other_time_does_not_put_a_task_off_for_ever() -> None:
    world = World(
        items=80, median=300, at_once=3, failing=0.5, listing="flaky", words=False, round_trip=3, pause=5, seed=584
    )
    life = Life(world)
    assert all(wait.seconds <= is_at_its_longest(life, wait) + 2 * queueing(life, None) for wait in life.waits)


def test_with_nobody_to_ask_there_is_nothing_to_wake_for() -> None:
    schedule = Schedule(PollPolicy(), random.Random(0))
    assert schedule.wake_at(0.0) == inf
    assert schedule.due(0.0) is None
    schedule.add(7, 1.0)
    assert 7 in schedule
    assert 1.0 < schedule.wake_at(1.0) < 10.0
    schedule.drop(7, 2.0)
    assert (len(schedule), schedule.wake_at(2.0)) == (0, inf)


def test_a_list_that_may_hold_something_already_is_read_at_once() -> None:
    schedule = Schedule(PollPolicy(), random.Random(0))
    for task in range(5):
        schedule.add(task, 10.0)
    assert schedule.due(10.0) is None
    schedule.read_soon()
    assert schedule.due(10.0) is LIST
    assert schedule.due(10.1) is None, "once is enough"
