"""The gate of a client: who goes when, and what a "too many requests" does to all."""

from __future__ import annotations

import asyncio
import itertools
import math
import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.simulated_time import JumpingLoop

from mountsea_async.config import MAX_IN_FLIGHT
from mountsea_async.errors import ClientStateError, ConfigurationError
from mountsea_async.wire.pacing import Pace
from mountsea_async.wire.tempo import HINTLESS_CAP, START, Tempo, steepest


def dice(seed: int = 0) -> random.Random:
    return random.Random(seed)  # noqa: S311 - jitter


def pace_of(limit: int, **settings: float) -> Pace:
    return Pace(limit, rng=dice(7), **settings)  # type: ignore[arg-type]


def now() -> float:
    return asyncio.get_running_loop().time()


class Crowd:
    """Requests that pass a gate, each for a while, and what was seen of them."""

    def __init__(self, pace: Pace) -> None:
        self.pace = pace
        self.inside = 0
        self.most = 0
        self.entered: list[int] = []
        self.times: list[float] = []

    async def pass_through(self, number: int = 0, *, seconds: float = 1.0) -> None:
        async with self.pace.permit():
            self.inside += 1
            self.most = max(self.most, self.inside)
            self.entered.append(number)
            self.times.append(now())
            try:
                await asyncio.sleep(seconds)
                self.pace.accepted(self.times[-1])
            finally:
                self.inside -= 1

    async def send(self, count: int, *, seconds: float = 1.0) -> None:
        await asyncio.gather(*(self.pass_through(number, seconds=seconds) for number in range(count)))


@pytest.mark.parametrize("limit", [1, 3, 100])
async def test_never_more_than_the_limit_are_in_flight_and_all_get_through(limit: int) -> None:
    crowd = Crowd(pace_of(limit))
    await crowd.send(250)
    assert crowd.most == limit
    assert len(crowd.entered) == 250


async def test_first_come_first_served() -> None:
    crowd = Crowd(pace_of(2))
    await crowd.send(20)
    assert crowd.entered == list(range(20))


async def test_a_newcomer_does_not_overtake_those_who_wait() -> None:
    crowd = Crowd(pace_of(1))

    async def later() -> None:
        await asyncio.sleep(0.5)
        await crowd.pass_through(9)

    await asyncio.gather(crowd.send(3), later())
    assert crowd.entered == [0, 1, 2, 9]


async def test_a_request_that_fails_gives_its_place_back() -> None:
    pace = pace_of(1)
    for _ in range(3):
        with pytest.raises(ValueError, match="broken"):
            async with pace.permit():
                raise ValueError("broken")
    async with asyncio.timeout(1), pace.permit():
        pass


@pytest.mark.parametrize("limit", [0, -1, MAX_IN_FLIGHT + 1, 1.5, "3", None, True], ids=repr)
def test_a_limit_that_makes_no_sense_is_refused(limit: object) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Pace(limit)  # type: ignore[arg-type]
    assert repr(limit) in str(caught.value)


# ------------------------------------------------------------------------------------------------------ pauses
async def opens_after(pace: Pace) -> float:
    began = now()
    async with asyncio.timeout(100_000), pace.permit():
        return now() - began


@pytest.mark.parametrize(
    ("hint", "low", "high"),
    [
        pytest.param(7.0, 7, 7.7, id="seconds"),
        pytest.param(0.0, 0, 1, id="none at all"),
        pytest.param(120.0, 120, 132, id="as long as allowed"),
        pytest.param(1e9, 120, 132, id="longer than allowed"),
        pytest.param(None, 0.5, 1, id="no hint"),
    ],
)
async def test_after_a_refusal_nobody_goes_before_the_hint_is_over(hint: float | None, low: float, high: float) -> None:
    pace, crowd_began = pace_of(4), now()
    crowd = Crowd(pace)
    pace.refused(hint, now())
    await crowd.send(4)
    assert low <= crowd.times[0] - crowd_began <= high + 1e-6


async def test_a_pause_holds_those_who_waited_already_and_those_who_come_later() -> None:
    pace = pace_of(1)
    crowd, began = Crowd(pace), now()

    async def refuse() -> None:
        async with pace.permit():
            await asyncio.sleep(1)
            pace.refused(10.0, began)

    async def late(after: float) -> None:
        await asyncio.sleep(after)
        await crowd.pass_through()

    await asyncio.gather(refuse(), late(0.5), late(5), late(10.9))
    assert min(crowd.times) - began >= 11


async def test_the_cap_of_a_hint_can_be_set() -> None:
    pace = pace_of(1, max_retry_after=5)
    pace.refused(3600.0, now())
    assert 5 <= await opens_after(pace) <= 5.5


async def test_waiters_of_different_clients_do_not_come_back_as_one() -> None:
    waits = set()
    for seed in range(8):
        pace = Pace(1, rng=dice(seed))
        pace.refused(10.0, now())
        waits.add(round(await opens_after(pace), 6))
    assert len(waits) > 4


async def test_refusals_without_a_hint_make_the_pauses_grow_up_to_a_cap() -> None:
    pace = pace_of(1)
    waits = []
    for _ in range(9):
        pace.refused(None, now())
        waits.append(await opens_after(pace))
    for number, wait in enumerate(waits):
        ceiling = min(HINTLESS_CAP, 2.0**number)
        assert ceiling / 2 <= wait <= ceiling + 1e-6


async def test_an_accepted_request_ends_the_growth() -> None:
    pace = pace_of(1)
    for _ in range(6):
        pace.refused(None, now())
        await opens_after(pace)
    pace.accepted()
    pace.refused(None, now())
    assert await opens_after(pace) <= 1 + 1e-6


async def test_late_refusals_of_the_same_wave_neither_prolong_nor_escalate() -> None:
    pace, began = pace_of(10), now()
    pace.refused(None, began)
    await asyncio.sleep(0.1)
    for _ in range(9):
        pace.refused(None, began)
    assert await opens_after(pace) <= 0.9 + 1e-6
    pace.refused(None, now())
    assert await opens_after(pace) <= 2 + 1e-6, "the second wave is the second step, not the eleventh"


async def test_late_refusals_that_name_the_same_moment_do_not_prolong() -> None:
    pace, began = pace_of(10), now()
    pace.refused(7.0, began)
    await asyncio.sleep(3)
    for _ in range(9):
        pace.refused(4.0, began)
    assert 4 <= await opens_after(pace) <= 4.7 + 1e-6


async def test_a_shorter_hint_does_not_open_the_gate_sooner() -> None:
    pace, began = pace_of(2), now()
    pace.refused(60.0, began)
    pace.refused(1.0, began)
    assert await opens_after(pace) >= 60


async def test_a_longer_hint_keeps_the_gate_closed_for_those_who_wait_already() -> None:
    pace, began = pace_of(2), now()
    pace.refused(5.0, began)
    waiting = asyncio.create_task(opens_after(pace))
    await asyncio.sleep(1)
    pace.refused(60.0, began)
    assert await waiting >= 61


async def test_a_service_that_wants_to_be_asked_at_once_again_and_again_is_not_hammered() -> None:
    pace, began, asked = pace_of(1), now(), 0
    while now() - began < 30:
        async with pace.permit():
            sent_at = now()
            await asyncio.sleep(0.05)
            asked += 1
        pace.refused(0.0, sent_at)
    assert asked < 100, "slower and slower"


# ------------------------------------------------------------------------------------------------------ window
async def at_once(pace: Pace, count: int = 200) -> int:
    """How many go at once when nobody is answered."""
    holders = [asyncio.create_task(_hold(pace)) for _ in range(count)]
    await asyncio.sleep(1000)
    inside = pace._tempo.in_flight
    for holder in holders:
        holder.cancel()
    await asyncio.wait(holders)
    return inside


async def _hold(pace: Pace) -> None:
    async with pace.permit():
        await asyncio.Event().wait()


async def test_it_begins_with_a_few_at_once_and_each_accepted_request_lets_one_more_go() -> None:
    pace = pace_of(100)
    assert await at_once(pace) == START
    for accepted in range(1, 40):
        pace.accepted(now())
        if accepted % 13 == 0:
            assert await at_once(pace) == START + accepted


async def test_what_is_accepted_raises_the_number_to_the_limit_and_no_further() -> None:
    pace = pace_of(20)
    for _ in range(100):
        pace.accepted(now())
    assert await at_once(pace) == 20


async def test_after_a_wave_of_refusals_few_go_at_once_and_each_accepted_request_lets_one_more_go() -> None:
    pace, began = pace_of(8), now()
    for _ in range(8):
        pace.refused(1.0, began)
    assert await at_once(pace) == 1
    for _ in range(3):
        pace.accepted(now())
    assert await at_once(pace) == 4


async def test_a_second_wave_leaves_one_at_a_time() -> None:
    pace = pace_of(8)
    for _ in range(2):
        pace.refused(1.0, now())
        await opens_after(pace)
    assert await at_once(pace) == 1


async def test_somebody_can_always_go() -> None:
    pace = pace_of(1)
    for _ in range(20):
        pace.refused(0.5, now())
        await opens_after(pace)


# ------------------------------------------------------------------------------------------------------ cancel
async def test_a_cancelled_waiter_leaves_the_queue_and_costs_nobody_a_place() -> None:
    pace = pace_of(1)
    crowd = Crowd(pace)
    holder = asyncio.create_task(crowd.pass_through(0))
    waiters = [asyncio.create_task(crowd.pass_through(number)) for number in range(1, 6)]
    await asyncio.sleep(0.5)
    for waiter in waiters[1:4]:
        waiter.cancel()
    await asyncio.wait([holder, *waiters])
    assert crowd.entered == [0, 1, 5]
    assert await at_once(pace, 3) == 1


async def test_who_is_cancelled_in_the_moment_of_admission_hands_the_turn_on() -> None:
    pace = pace_of(1)
    crowd = Crowd(pace)
    gate = pace.permit()
    await gate.__aenter__()
    first, second = (asyncio.create_task(crowd.pass_through(number)) for number in (1, 2))
    await asyncio.sleep(0)
    await gate.__aexit__(None, None, None)
    first.cancel()
    async with asyncio.timeout(10):
        await asyncio.wait([first, second])
    assert first.cancelled()
    assert crowd.entered == [2]


async def test_cancels_during_a_pause_leak_nothing() -> None:
    pace = pace_of(2)
    pace.refused(30.0, now())
    waiters = [asyncio.create_task(opens_after(pace)) for _ in range(10)]
    await asyncio.sleep(1)
    for waiter in waiters:
        waiter.cancel()
    await asyncio.wait(waiters)
    assert 29 <= await opens_after(pace) <= 32
    pace.accepted()
    pace.accepted()
    assert await at_once(pace, 10) == 2


@pytest.mark.parametrize("seed", range(20))
async def test_whatever_is_cancelled_when_every_place_comes_back(seed: int) -> None:
    chance, pace = dice(seed), pace_of(3)
    crowd = Crowd(pace)
    tasks = [asyncio.create_task(crowd.pass_through(number, seconds=chance.random())) for number in range(30)]
    for task in tasks:
        asyncio.get_running_loop().call_later(chance.random() * 5, task.cancel if chance.random() < 0.5 else int)
    async with asyncio.timeout(100):
        await asyncio.wait(tasks)
    assert crowd.most <= 3
    fresh = Crowd(pace)
    async with asyncio.timeout(100):
        await fresh.send(9)
    assert fresh.most == 3


# --------------------------------------------------------------------------------------- patience and listeners
async def test_it_is_known_for_how_long_nothing_but_refusals_came() -> None:
    pace = pace_of(1)
    assert pace.refused_for() == 0
    pace.refused(1.0, now())
    await asyncio.sleep(100)
    pace.refused(1.0, now())
    assert pace.refused_for() == pytest.approx(100)
    pace.accepted()
    assert pace.refused_for() == 0


async def test_a_listener_hears_of_each_pause_until_it_ends_that() -> None:
    pace, heard = pace_of(1), list[float]()
    unlisten = pace.listen(heard.append)
    pace.refused(7.0, now())
    assert len(heard) == 1
    assert 7 <= heard[0] <= 7.7
    unlisten()
    await opens_after(pace)
    pace.refused(7.0, now())
    assert len(heard) == 1


def run(main: Callable[[], Awaitable[float]]) -> float:
    async def body() -> float:
        return await main()

    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        return runner.run(body())


def test_a_pause_that_began_in_a_loop_that_is_gone_ends_in_the_next_one() -> None:
    pace = pace_of(1)

    async def interrupted() -> float:
        pace.refused(60.0, now())
        waiter = asyncio.create_task(opens_after(pace))
        await asyncio.sleep(1)
        waiter.cancel()
        await asyncio.wait([waiter])
        return 0.0

    run(interrupted)
    assert run(lambda: asyncio.wait_for(opens_after(pace), 1000)) <= 66


# --------------------------------------------------------------------------------------------- cancels in passing
async def test_a_waiter_that_is_cancelled_as_its_turn_comes_is_cancelled_and_nothing_else() -> None:
    pace, release = pace_of(1), asyncio.Event()

    async def hold() -> None:
        async with pace.permit():
            await release.wait()

    async def wait() -> None:
        async with pace.permit():
            pass

    holder = asyncio.create_task(hold())
    await asyncio.sleep(0)
    waiter = asyncio.create_task(wait())
    await asyncio.sleep(0)
    release.set()
    waiter.cancel()
    await asyncio.wait([holder, waiter])
    assert waiter.cancelled()
    await asyncio.wait_for(wait(), 1)


async def test_a_pace_in_use_in_one_loop_is_refused_in_another() -> None:
    pace = pace_of(2)

    async def use() -> None:
        async with pace.permit():
            pass

    await use()

    def elsewhere() -> None:
        with pytest.raises(ClientStateError, match="another event loop"):
            asyncio.run(use())

    await asyncio.get_running_loop().run_in_executor(None, elsewhere)
    await use()


async def test_a_refusal_long_after_the_last_one_is_the_first_again() -> None:
    pace = pace_of(1)
    pace.refused(1.0, now())
    await asyncio.sleep(1000)
    pace.refused(1.0, now())
    assert pace.refused_for() == 0


# ------------------------------------------------------------------------------------------------- a learned rate
class Limiter:
    """A service that takes `rate` requests a second, `burst` of them at once, and says how long to wait, or doesn't.

    Args:
        counts_all: Whether what it refuses counts, too.
        places: It refuses what comes while so many are in work, instead.
    """

    def __init__(
        self, rate: float, burst: int, *, hint: bool = True, counts_all: bool = False, places: int = 0
    ) -> None:
        self.rate, self.burst, self.hint, self.counts_all, self.places = rate, burst, hint, counts_all, places
        self.tokens, self.at, self.inside = float(burst), now(), 0
        self.accepted: list[float] = []
        self.refused: list[float] = []

    async def ask(self, trip: float) -> float | None:
        """0 if it is taken, else a hint or None."""
        await asyncio.sleep(trip / 2)
        taken = self._take()
        (self.accepted if taken else self.refused).append(now())
        self.inside += taken
        await asyncio.sleep(trip / 2)
        self.inside -= taken
        return 0.0 if taken else 1.0 if self.hint else None

    def _take(self) -> bool:
        if self.places:
            return self.inside < self.places
        self.tokens = min(self.burst, self.tokens + (now() - self.at) * self.rate)
        self.at = now()
        taken = self.tokens >= 1 - 1e-9
        if taken or self.counts_all:
            self.tokens = max(-float(self.burst), self.tokens - 1)
        return taken


async def work(pace: Pace, service: Limiter, count: int, *, at_once: int = 32, trip: float = 0.1) -> float:
    """So many requests, each until it is taken. Returns the seconds that it took."""
    left, began = count, now()

    async def worker() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            while True:
                async with pace.permit():
                    sent_at = now()
                    answer = await service.ask(trip)
                if answer == 0:
                    pace.accepted(sent_at)
                    break
                pace.refused(answer, sent_at)

    await asyncio.gather(*(worker() for _ in range(at_once)))
    return now() - began


@pytest.mark.parametrize("hint", [True, False], ids=["hints", "no hints"])
@pytest.mark.parametrize(("rate", "burst"), [(2, 5), (10, 20), (50, 50), (200, 200)])
async def test_an_unknown_limit_is_found_and_kept(rate: int, burst: int, hint: bool) -> None:
    service, count = Limiter(rate, burst, hint=hint), max(400, 20 * rate)
    seconds = await work(pace_of(100), service, count)
    assert len(service.accepted) == count
    assert ((count - burst) / rate + 0.1) / seconds > 0.95
    assert len(service.refused) < 60


async def test_nothing_bounds_the_rate_before_the_first_refusal() -> None:
    pace = pace_of(100)
    service = Limiter(1e6, 10**6)
    assert await work(pace, service, 2000, at_once=50) < 2000 * 0.1 / 50 + 0.5
    assert pace.rate is None


@pytest.mark.parametrize("rate", [2, 10, 50, 200])
async def test_a_known_limit_is_kept_from_the_start_without_a_refusal(rate: int) -> None:
    pace = pace_of(100, rate=rate)
    service = Limiter(rate, 1)
    seconds = await work(pace, service, 10 * rate)
    assert service.refused == []
    assert seconds < 10 * 1.02 + 0.1
    assert pace.rate == pytest.approx(rate, rel=0.01)


async def test_a_known_limit_that_is_too_high_is_learned_downwards_and_never_exceeded() -> None:
    pace = pace_of(100, rate=40)
    service = Limiter(20, 5)
    seconds = await work(pace, service, 1200)
    assert len(service.refused) < 80
    assert 1200 / 20 / seconds > 0.4
    gaps = [late - early for early, late in zip(service.accepted[::41], service.accepted[41::41], strict=False)]
    assert min(gaps, default=1) > 0.99, "40 a second at most, whatever the service takes"


@pytest.mark.parametrize("burst", [5, 60])
async def test_a_known_limit_is_kept_evenly_after_refusals_too(burst: int) -> None:
    service = Limiter(8, burst)
    await work(pace_of(100, rate=10), service, 600)
    assert service.refused
    arrived = sorted(service.accepted + service.refused)
    assert min(late - early for early, late in itertools.pairwise(arrived)) > 0.099


@pytest.mark.parametrize("rate", [0, -1, float("inf"), float("nan"), True, "3"], ids=repr)
def test_a_rate_that_makes_no_sense_is_refused(rate: object) -> None:
    with pytest.raises(ConfigurationError, match="rate"):
        Pace(rate=rate)  # type: ignore[arg-type]


async def test_a_single_refusal_is_forgotten_in_the_end() -> None:
    pace = pace_of(100)
    pace.refused(1.0, now())
    await work(pace, Limiter(1e6, 10**6), 2000)
    assert pace.rate is None or pace.rate > 250, "as fast as 32 at once can be, and nearly nobody waits for it"


async def test_a_limit_that_halves_and_one_that_doubles_are_followed() -> None:
    pace, service = pace_of(100), Limiter(50, 20)
    await work(pace, service, 1000)
    service.rate = 25
    seconds = await work(pace, service, 1000)
    assert 1000 / 25 / seconds > 0.9
    service.rate = 50
    await work(pace, service, 1000)
    assert 500 / 50 / await work(pace, service, 500) > 0.9


async def test_a_limiter_that_counts_what_it_refuses_is_not_fed_with_refusals() -> None:
    service = Limiter(20, 20, counts_all=True)
    seconds = await work(pace_of(100), service, 1000)
    assert len(service.refused) < 100
    assert 50 / seconds > 0.7


@pytest.mark.parametrize("places", [1, 5, 20])
async def test_a_service_that_limits_how_many_are_in_work_is_not_reduced_to_a_crawl(places: int) -> None:
    service = Limiter(1, 1, places=places)
    seconds = await work(pace_of(100), service, 100 * places)
    assert len(service.refused) < 20 + 0.05 * 100 * places
    assert 100 * 0.1 / seconds > 0.25


async def test_two_clients_on_one_pace_share_one_rate() -> None:
    pace, service = pace_of(100), Limiter(20, 20)
    first, second = await asyncio.gather(work(pace, service, 400), work(pace, service, 400))
    assert len(service.refused) < 60
    assert max(first, second) < 1.1 * 800 / 20
    assert abs(first - second) < 0.2 * first


@pytest.mark.parametrize("favoured", [False, True])
async def test_neither_submits_nor_others_starve_while_the_other_kind_waits_in_thousands(favoured: bool) -> None:
    pace, went = pace_of(4, rate=10.0), list[bool]()

    async def ask(paid: bool) -> None:
        async with pace.permit(paid=paid):
            went.append(paid)

    crowd = [asyncio.create_task(ask(favoured)) for _ in range(2000)]
    await asyncio.sleep(1)
    went.clear()
    few = [asyncio.create_task(ask(not favoured)) for _ in range(50)]
    await asyncio.sleep(10)
    assert 45 <= went.count(not favoured) <= 50
    assert went.count(favoured) >= 45
    for task in crowd + few:
        task.cancel()
    await asyncio.wait(crowd + few)


async def test_a_hint_that_is_a_lie_delays_but_does_not_stop() -> None:
    pace, service = pace_of(100, max_retry_after=3), Limiter(50, 10)
    for _ in range(3):
        pace.refused(1e9, now())
        await opens_after(pace)
    assert 500 / 50 / await work(pace, service, 500) > 0.3


@pytest.mark.parametrize("rate", [50, 200])
@pytest.mark.parametrize("hint", [True, False], ids=["hints", "no hints"])
async def test_a_limiter_that_takes_one_at_a_time_is_not_reduced_to_a_crawl(rate: int, hint: bool) -> None:
    service = Limiter(rate, 1, hint=hint)
    seconds = await work(pace_of(100), service, 15 * rate)
    assert 15 / seconds > 0.5
    assert len(service.refused) < 0.05 * 15 * rate


# ------------------------------------------------------------------------------------------- what decides, by itself
def lived(limit: int, rate: float | None, steps: list[tuple[int, float, float]]) -> tuple[Tempo, list[tuple[Any, ...]]]:
    """A tempo that is told a course of things, and all that it answered."""
    tempo = Tempo(limit, rate=rate, max_retry_after=60, rng=dice(3))
    clock, said, flying = 0.0, list[tuple[Any, ...]](), list[float]()
    for kind, wait, hint in steps:
        clock += wait
        if kind == 0 or not flying:
            again = tempo.admit(clock)
            said.append(("admit", clock, again))
            assert again == 0 or again > clock
            if not again:
                flying.append(clock)
            continue
        sent_at = flying.pop(0)
        tempo.back()
        if kind == 1:
            tempo.accepted(sent_at)
        else:
            said.append(("refused", clock, tempo.refused(clock, sent_at, None if hint < 0 else hint)))
        assert 1 <= tempo.window <= limit
        assert tempo.rate is None or tempo.rate > 0
        assert tempo.open_at <= clock + 66
        assert tempo.in_flight == len(flying) <= limit
    return tempo, said


COURSES = st.lists(
    st.tuples(
        st.sampled_from([0, 0, 0, 1, 1, 2]),
        st.one_of(st.just(0.0), st.floats(0, 0.2), st.floats(0, 400)),
        st.one_of(st.just(-1.0), st.just(0.0), st.floats(0, 1e6)),
    ),
    max_size=200,
)
RATES = st.one_of(st.none(), st.floats(0.1, 1000))


@given(limit=st.integers(1, 100), rate=RATES, steps=COURSES)
def test_whatever_comes_the_same_course_has_the_same_decisions(
    limit: int, rate: float | None, steps: list[tuple[int, float, float]]
) -> None:
    assert lived(limit, rate, steps)[1] == lived(limit, rate, steps)[1]


@given(limit=st.integers(1, 100), rate=RATES, steps=COURSES)
def test_whatever_came_somebody_goes_within_bounded_time(
    limit: int, rate: float | None, steps: list[tuple[int, float, float]]
) -> None:
    tempo, _ = lived(limit, rate, steps)
    clock = sum(wait for _, wait, _ in steps)
    for _ in range(tempo.in_flight):
        tempo.back()
    for _ in range(1000):
        again = tempo.admit(clock)
        if not again:
            return
        assert clock < again < 1e9
        clock = again
    pytest.fail("nobody ever goes")


@given(rate=st.floats(0.5, 500), waits=st.lists(st.floats(0, 3), min_size=5, max_size=200))
def test_a_given_rate_is_never_exceeded_over_any_stretch(rate: float, waits: list[float]) -> None:
    tempo, clock, went = Tempo(100, rate=rate, max_retry_after=60, rng=dice()), 0.0, list[float]()
    for wait in waits:
        clock += wait
        while (again := tempo.admit(clock)) and again < math.inf:
            clock = again
        if not again:
            went.append(clock)
            tempo.back()
            tempo.accepted(clock)
    for first, begin in enumerate(went):
        for last in range(first, len(went)):
            assert last - first + 1 <= 1 + rate * (went[last] - begin) + 1e-6


@given(rate=st.floats(0.5, 500), late=st.lists(st.floats(0, 0.02), min_size=50, max_size=100))
def test_timers_that_fire_late_cost_nothing_of_the_rate(rate: float, late: list[float]) -> None:
    tempo, clock = Tempo(100, rate=rate, max_retry_after=60, rng=dice()), 0.0
    for lateness in late:
        while again := tempo.admit(clock):
            clock = again + lateness
        tempo.back()
    least = (len(late) - 1) / (tempo.rate or 0)
    assert least <= clock + 1e-6 <= least + 0.05


def test_a_machine_that_sleeps_while_somebody_waits_does_not_break_the_rate() -> None:
    tempo = Tempo(100, rate=None, max_retry_after=60, rng=dice())
    assert tempo.admit(0.0) == 0
    tempo.back()
    tempo.refused(0.1, 0.0, 1.0)
    assert tempo.admit(1.5) == 0
    tempo.back()
    tempo.accepted(1.5)
    assert 1.5 < tempo.admit(1.5) < 10
    assert tempo.admit(1e7) == 0


def test_what_a_bucket_gave_before_it_was_empty_tells_its_rate() -> None:
    times = [number / 10 for number in range(100)]
    assert steepest(10.0, reversed(times), 1.0, 0.0) == pytest.approx(10, rel=0.006), "half a request less: chance"
    burst = [*[0.0] * 20, *(number / 10 for number in range(100))]
    assert steepest(10.0, reversed(burst), 21.0, 0.0) == pytest.approx(10, rel=0.006)
    assert steepest(10.0, [], 5.0, 0.0) == 0
    assert steepest(10.0, [10.1, *reversed(times)], 1.0, 0.0) < 10, "what was sent later doesn't count"
