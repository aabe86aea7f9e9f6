"""The gate of a client: who goes when, and what a "too many requests" does to all."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

import pytest
from support.simulated_time import JumpingLoop

from mountsea_async.config import MAX_IN_FLIGHT
from mountsea_async.errors import ClientStateError, ConfigurationError
from mountsea_async.wire.pacing import HINTLESS_CAP, Pace


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
    assert all(low <= moment - crowd_began <= high + 2.001 for moment in crowd.times)
    assert crowd.times[0] - crowd_began <= high + 1e-6


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
async def wave(pace: Pace, count: int = 40) -> int:
    crowd = Crowd(pace)
    await crowd.send(count)
    return crowd.most


async def test_after_a_refusal_half_as_many_go_at_once() -> None:
    pace = pace_of(8)
    pace.refused(1.0, now())
    assert await wave(pace) == 4


async def test_one_wave_of_refusals_halves_once() -> None:
    pace, began = pace_of(8), now()
    for _ in range(8):
        pace.refused(1.0, began)
    assert await wave(pace) == 4


async def test_a_second_wave_leaves_one_at_a_time() -> None:
    pace = pace_of(8)
    for _ in range(2):
        pace.refused(1.0, now())
        await opens_after(pace)
    assert await wave(pace) == 1


async def test_what_is_accepted_lets_the_number_recover_to_the_limit_and_no_further() -> None:
    pace = pace_of(8)
    pace.refused(1.0, now())
    await opens_after(pace)
    before = await wave(pace)
    pace.accepted()
    for _ in range(200):
        pace.accepted()
    assert before == 4
    assert await wave(pace) == 8


async def test_recovery_is_slow_beyond_half_of_what_was_too_much() -> None:
    pace = pace_of(100)
    pace.refused(1.0, now())
    await opens_after(pace)
    for _ in range(10):
        pace.accepted()
    assert await wave(pace, 200) <= 60


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
    assert await wave(pace, 3) == 1


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
    assert await wave(pace, 10) == 2


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
