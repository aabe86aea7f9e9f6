"""A cancel, at any moment: it comes out in bounded time and leaves no task, no connection, no warning behind."""

from __future__ import annotations

import asyncio
import gc

import pytest
from support.names import KEY, urls

from mountsea_async import ItemState, MountseaClient, UploadSession
from mountsea_async.testing import Behaviour, Emulator, Fault, Fixed, Hang, rate_limited

MOMENTS = [round(0.05 + 0.47 * number, 2) for number in range(20)]
SLOW = Behaviour(durations=Fixed(4), latency=0.3, append_lag=2, faults=(Fault(rate_limited(1), nth=9),))


def ours() -> set[asyncio.Task[object]]:
    """The tasks of this loop but for those in which the emulator serves its connections."""
    return {task for task in asyncio.all_tasks() if "RequestHandler" not in repr(task.get_coro())}


@pytest.mark.parametrize("moment", MOMENTS)
async def test_cancelling_a_batch_leaves_nothing_behind(moment: float) -> None:
    loop = asyncio.get_running_loop()
    async with Emulator(SLOW, api_key=KEY) as emulator:
        before = ours()
        async with MountseaClient(KEY, base_url=emulator.base_url) as client:
            batch = asyncio.create_task(client.upload_batch(urls(30), concurrency=4))
            await asyncio.sleep(moment)
            assert not batch.done(), "the moment comes too late to show anything"
            batch.cancel()
            began = loop.time()
            with pytest.raises(asyncio.CancelledError):
                await batch
            assert loop.time() - began <= 11
            assert ours() - before == set()
        await asyncio.sleep(1)
        assert emulator.ledger.open_connections == 0
        assert emulator.ledger.paid_twice() == {}
    gc.collect()


@pytest.mark.parametrize("moment", MOMENTS[::3])
async def test_after_a_cancel_the_report_accounts_for_every_paid_item(moment: float) -> None:
    async with Emulator(SLOW, api_key=KEY) as emulator, MountseaClient(KEY, base_url=emulator.base_url) as client:
        session = client.upload_session(concurrency=4)

        async def run() -> None:
            async with session:
                await session.upload_all(urls(30))

        batch = asyncio.create_task(run())
        await asyncio.sleep(moment)
        batch.cancel()
        await asyncio.wait([batch])
        report = session.report
        assert report.finished
        paid = {charge.task_id for charge in emulator.ledger.charges}
        assert {item.task_id for item in report.items if item.task_id} == paid


async def cancelled_after_a_second(session: UploadSession) -> None:
    """Runs three uploads, cancels the whole after one second and waits for the end."""

    async def run() -> None:
        async with session:
            await session.upload_all(urls(3))

    batch = asyncio.create_task(run())
    await asyncio.sleep(1)
    batch.cancel()
    await asyncio.wait([batch])


async def test_requests_on_their_way_get_their_answer_within_the_grace(world) -> None:
    w = await world(Behaviour(durations=Fixed(60), faults=(Fault(Hang(seconds=6)),)))
    session = w.client.upload_session()
    await cancelled_after_a_second(session)
    assert {item.state for item in session.report.items} == {ItemState.UNDETERMINED}
    assert {item.task_id for item in session.report.items} == {charge.task_id for charge in w.ledger.charges}


async def test_a_request_without_an_answer_is_unknown_after_the_grace(world) -> None:
    w = await world(Behaviour(durations=Fixed(60), faults=(Fault(Hang(after_work=True)),)))
    loop = asyncio.get_running_loop()
    session = w.client.upload_session()
    began = loop.time()
    await cancelled_after_a_second(session)
    assert loop.time() - began == pytest.approx(11, abs=1)
    assert {item.state for item in session.report.items} == {ItemState.UNKNOWN}


async def test_a_second_cancel_cuts_the_grace_short(world) -> None:
    w = await world(Behaviour(faults=(Fault(Hang(after_work=True)),)))
    loop = asyncio.get_running_loop()
    batch = asyncio.create_task(w.client.upload_batch(urls(3)))
    await asyncio.sleep(1)
    began = loop.time()
    batch.cancel()
    await asyncio.sleep(2)
    batch.cancel()
    await asyncio.wait([batch])
    assert batch.cancelled()
    assert loop.time() - began < 3


async def test_a_timeout_around_a_batch_is_a_timeout(world) -> None:
    w = await world(Behaviour(durations=Fixed(500)))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(30):
            await w.client.upload_batch(urls(3))


async def test_a_cancel_while_the_session_is_prepared_costs_nothing(world) -> None:
    w = await world(Behaviour(latency=5))
    batch = asyncio.create_task(w.client.upload_batch(urls(3)))
    await asyncio.sleep(1)
    batch.cancel()
    await asyncio.wait([batch])
    assert batch.cancelled()
    assert w.ledger.charges == ()


async def test_two_batches_of_one_client_do_not_disturb_each_other(world) -> None:
    w = await world(Behaviour(durations=Fixed(20)))
    doomed = asyncio.create_task(w.client.upload_batch(urls(10, stem="doomed")))
    spared = asyncio.create_task(w.client.upload_batch(urls(10, stem="spared")))
    await asyncio.sleep(3)
    doomed.cancel()
    assert (await spared).ok
    assert doomed.cancelled()
