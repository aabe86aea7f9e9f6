"""The time that attempts have: one timer for all of them, and cancels that are told apart."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from mountsea_async.wire.alarm import LATE, Alarm


def now() -> float:
    return asyncio.get_running_loop().time()


def alarm() -> Alarm:
    return Alarm(asyncio.get_running_loop())


async def waits(keeper: Alarm, seconds: float, what: Callable[[], Awaitable[object]]) -> str:
    """As the transport does it."""
    wait = keeper.begin(seconds)
    try:
        await what()
    except asyncio.CancelledError:
        if keeper.end(wait):
            return f"late at {now():.1f}"
        raise
    keeper.end(wait)
    return f"answered at {now():.1f}"


def asleep(seconds: float) -> Callable[[], Awaitable[object]]:
    return lambda: asyncio.sleep(seconds)


async def test_who_waits_too_long_is_cancelled_and_may_go_on() -> None:
    keeper, began = alarm(), now()
    assert await waits(keeper, 30, asleep(100)) == f"late at {began + 30:.1f}"
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    await asyncio.sleep(1)


async def test_who_is_answered_in_time_is_left_alone() -> None:
    keeper, began = alarm(), now()
    assert await waits(keeper, 30, asleep(29)) == f"answered at {began + 29:.1f}"
    await asyncio.sleep(60)


async def test_each_has_a_time_of_its_own_whoever_began_first() -> None:
    keeper, began = alarm(), now()

    async def later() -> str:
        await asyncio.sleep(5)
        return await waits(keeper, 10, asleep(100))

    ended = await asyncio.gather(
        waits(keeper, 60, asleep(100)), waits(keeper, 30, asleep(100)), later(), waits(keeper, 60, asleep(59))
    )
    assert ended == [
        f"late at {began + 60:.1f}",
        f"late at {began + 30:.1f}",
        f"late at {began + 15:.1f}",
        f"answered at {began + 59:.1f}",
    ]


async def test_attempts_that_end_in_time_share_one_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    loop, made = asyncio.get_running_loop(), []
    call_at = loop.call_at

    def counted(when: float, callback: Callable[..., object], *arguments: Any, **settings: Any) -> asyncio.TimerHandle:
        if getattr(callback, "__self__", None) is keeper:
            made.append(when)
        return call_at(when, callback, *arguments, **settings)

    monkeypatch.setattr(loop, "call_at", counted)
    keeper = alarm()
    for _ in range(100):
        await waits(keeper, 30, asleep(0.1))
    assert len(made) == 1


async def test_nothing_is_scheduled_once_it_is_closed() -> None:
    keeper = alarm()
    wait = keeper.begin(30)
    keeper.end(wait)
    timer = keeper._timer
    assert timer is not None
    keeper.close()
    assert timer.cancelled()
    keeper.close()


async def test_a_cancel_from_elsewhere_is_nobodys_timeout() -> None:
    keeper = alarm()
    task = asyncio.create_task(waits(keeper, 30, asleep(100)))
    await asyncio.sleep(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("earlier", [True, False], ids=["cancel, then time", "time, then cancel"])
async def test_a_cancel_from_elsewhere_in_the_same_moment_leaves(*, earlier: bool) -> None:
    keeper, loop = alarm(), asyncio.get_running_loop()
    task = asyncio.create_task(waits(keeper, 30, asleep(100)))
    await asyncio.sleep(0)
    expire = keeper._expire

    def both(wait: Any) -> None:
        if earlier:
            task.cancel()
            expire(wait)
        else:
            expire(wait)
            task.cancel()

    keeper._expire = both  # type: ignore[method-assign]
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelling() == 1
    assert loop.time() > 0


async def test_a_task_that_was_being_cancelled_already_can_still_be_late() -> None:
    keeper = alarm()

    async def stubborn() -> str:
        try:
            await asyncio.sleep(100)
        except asyncio.CancelledError:
            return await waits(keeper, 5, asleep(100))  # cleaning up, say
        return "never"

    task = asyncio.create_task(stubborn())
    await asyncio.sleep(1)
    began = now()
    task.cancel()
    assert await task == f"late at {began + 5:.1f}"
    assert task.cancelling() == 1


async def test_an_answer_that_comes_in_the_same_turn_as_the_end_is_an_answer() -> None:
    keeper, loop, began = alarm(), asyncio.get_running_loop(), now()
    answer = loop.create_future()
    task = asyncio.create_task(waits(keeper, 30, lambda: answer))
    await asyncio.sleep(0)
    loop.call_at(began + 30 - 1e-7, answer.set_result, None)  # in the same turn before our timer, as what sockets bring
    assert await task == f"answered at {began + 30:.1f}"


async def test_a_loop_that_stood_still_gives_an_answer_time_to_be_read() -> None:
    keeper, loop, began = alarm(), asyncio.get_running_loop(), now()

    def stand_still() -> None:
        loop.now += 60  # type: ignore[attr-defined]

    loop.call_at(began + 20, stand_still)
    in_the_socket, none = await asyncio.gather(
        waits(keeper, 30, asleep(80.5)),  # read half a second after the loop goes on
        waits(keeper, 30, asleep(500)),
    )
    assert in_the_socket == f"answered at {began + 80.5:.1f}"
    assert none == f"late at {began + 80 + LATE:.1f}"


async def test_only_a_task_can_be_given_a_time() -> None:
    keeper, caught = alarm(), []

    def outside() -> None:
        with pytest.raises(RuntimeError, match="task") as error:
            keeper.begin(1)
        caught.append(error)

    asyncio.get_running_loop().call_soon(outside)
    await asyncio.sleep(0)
    assert caught
