"""`SubmitGate`: all go, one goes, or none; first come first served, and nobody waits for one who has left."""

from __future__ import annotations

import asyncio

import pytest

from mountsea_async.upload.batch import Item
from mountsea_async.upload.gate import SubmitGate


def item(index: int) -> Item:
    return Item(index, None, f"https://cdn.example.com/{index}.mp3", {})


class Queue:
    """Items that wait at a gate, and those that were let through, in order."""

    def __init__(self, gate: SubmitGate, count: int) -> None:
        self.gate = gate
        self.items = [item(index) for index in range(count)]
        self.gone: list[int] = []
        self.tasks = [asyncio.get_running_loop().create_task(self._go(each)) for each in self.items]

    async def _go(self, each: Item) -> None:
        await self.gate.turn(each)
        self.gone.append(each.index)

    async def end(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.wait(self.tasks)


async def turns(count: int = 10) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_everybody_goes_through_a_wide_gate_at_once() -> None:
    queue = Queue(SubmitGate(), 5)
    await turns(1)
    assert queue.gone == [0, 1, 2, 3, 4]


async def test_nobody_goes_through_a_closed_gate_until_it_is_widened() -> None:
    gate = SubmitGate()
    gate.close()
    queue = Queue(gate, 3)
    await asyncio.sleep(1000)
    assert (queue.gone, gate.closed, gate.wide) == ([], True, False)
    gate.widen()
    await turns()
    assert queue.gone == [0, 1, 2]


async def test_one_at_a_time_goes_through_a_narrow_gate_first_come_first_served() -> None:
    gate = SubmitGate()
    gate.narrow()
    queue = Queue(gate, 4)
    for count in range(1, 5):
        await turns()
        assert queue.gone == list(range(count))
        gate.leave(queue.items[count - 1])
    assert not gate.wide
    assert not gate.closed


async def test_only_the_probe_is_admitted() -> None:
    gate = SubmitGate()
    gate.narrow()
    queue = Queue(gate, 2)
    await turns()
    assert [gate.admits(each) for each in queue.items] == [True, False]
    gate.close()
    assert not gate.admits(queue.items[0]), "things have changed since its turn came"
    gate.widen()
    assert gate.admits(queue.items[1])
    await queue.end()


async def test_whoever_waited_goes_before_whoever_comes_after_a_probe() -> None:
    gate = SubmitGate()
    gate.narrow()
    queue = Queue(gate, 2)
    await turns()
    gate.leave(queue.items[0])
    late = item(9)
    coming = asyncio.get_running_loop().create_task(gate.turn(late))
    await turns()
    assert queue.gone == [0, 1]
    assert not coming.done()
    gate.leave(queue.items[1])
    await coming


async def test_nobody_goes_through_a_narrow_gate_before_its_time() -> None:
    loop = asyncio.get_running_loop()
    gate = SubmitGate()
    queue = Queue(gate, 0)
    gate.narrow(after=30)
    began = loop.time()
    first, second = item(0), item(1)
    await gate.turn(first)
    assert loop.time() == pytest.approx(began + 30)
    gate.narrow(after=5)
    waiting = loop.create_task(gate.turn(second))
    await asyncio.sleep(4)
    assert not waiting.done()
    await waiting
    assert queue.gone == []


async def test_a_later_time_takes_the_place_of_an_earlier_one() -> None:
    loop = asyncio.get_running_loop()
    gate = SubmitGate()
    began = loop.time()
    gate.narrow(after=5)
    waiting = loop.create_task(gate.turn(item(0)))
    await turns()
    gate.narrow(after=60)
    await waiting
    assert loop.time() == pytest.approx(began + 60)


async def test_a_waiter_that_is_cancelled_holds_up_nobody() -> None:
    gate = SubmitGate()
    gate.narrow()
    queue = Queue(gate, 3)
    await turns()
    queue.tasks[1].cancel()
    await turns()
    gate.leave(queue.items[0])
    await turns()
    assert queue.gone == [0, 2]


@pytest.mark.parametrize("head_start", [0, 1, 2, 3])
async def test_a_probe_that_is_cancelled_in_the_moment_of_its_turn_hands_it_on(head_start: int) -> None:
    gate = SubmitGate()
    gate.close()
    queue = Queue(gate, 3)
    await turns()
    gate.narrow()
    await turns(head_start)
    queue.tasks[0].cancel()
    await turns()
    if queue.gone == [0]:  # it had gone already
        gate.leave(queue.items[0])
        await turns()
    assert queue.gone[-1] == 1
    assert not queue.tasks[2].done()
    await queue.end()


async def test_a_gate_that_narrows_again_at_once_still_lets_somebody_go() -> None:
    gate = SubmitGate()
    gate.close()
    queue = Queue(gate, 3)
    await turns()
    for _ in range(5):
        gate.narrow()
    await turns()
    assert len(queue.gone) == 1
    gate.leave(queue.items[queue.gone[0]])
    await turns()
    assert len(queue.gone) == 2
    await queue.end()


async def test_a_gate_that_closes_in_the_moment_of_a_turn_lets_nobody_through() -> None:
    gate = SubmitGate()
    gate.close()
    queue = Queue(gate, 3)
    await turns()
    gate.widen()
    gate.close()
    await turns()
    assert queue.gone == []
    gate.narrow()
    await turns()
    assert len(queue.gone) == 1
    gate.widen()
    await turns()
    assert sorted(queue.gone) == [0, 1, 2]


async def test_a_closed_gate_stays_closed_when_the_time_of_an_earlier_narrowing_comes() -> None:
    gate = SubmitGate()
    gate.narrow(after=5)
    queue = Queue(gate, 2)
    await turns()
    gate.close()
    await asyncio.sleep(60)
    assert queue.gone == []
    await queue.end()


async def test_leaving_without_having_had_a_turn_changes_nothing() -> None:
    gate = SubmitGate()
    gate.narrow()
    queue = Queue(gate, 2)
    await turns()
    gate.leave(queue.items[1])
    gate.leave(item(7))
    await turns()
    assert queue.gone == [0]
    await queue.end()
