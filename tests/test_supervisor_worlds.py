"""Random lives of a supervisor: batches taken in, stopped, resumed, restarted, watched, in any order."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from pathlib import Path

import pytest
from support.names import KEY, urls

from mountsea_async import BatchConflict, ClientConfig, MountseaClient, PollPolicy
from mountsea_async.contrib.note import BatchState, BatchSummary
from mountsea_async.contrib.supervisor import Supervisor
from mountsea_async.testing import Answer, Behaviour, Emulator, Fault, Uniform

QUICK = ClientConfig(poll=PollPolicy(first=0.5, cap=1.0), settle=1.0, shutdown=2.0)
BATCHES = 3


class Life:
    """One supervised folder over several starts.

    Args:
        emulator: The service.
        folder: The folder.
        rng: Chooses what happens.
    """

    def __init__(self, emulator: Emulator, folder: Path, rng: random.Random) -> None:
        self.emulator = emulator
        self.folder = folder
        self.rng = rng
        self.songs = [urls(rng.randrange(1, 25), stem=f"batch-{number}") for number in range(BATCHES)]
        self.ids: dict[int, str] = {}
        self.seen: dict[str, list[int]] = {}

    async def start(self, *, steps: int) -> None:
        """Opens a supervisor, lets things happen, closes it."""
        client = MountseaClient(KEY, base_url=self.emulator.base_url, config=QUICK)
        async with client, Supervisor(client, self.folder, at_once=2, concurrency=self.rng.choice((1, 4, 32))) as one:
            readers = [asyncio.create_task(self.watch(one, batch_id)) for batch_id in self.ids.values()]
            for _ in range(steps):
                await self.step(one, readers)
            if not steps:
                for batch_id in self.ids.values():
                    await one.wait(batch_id)
                    with suppress(BatchConflict):
                        await one.resume(batch_id)
                    await one.wait(batch_id)
        await asyncio.gather(*readers)

    async def step(self, supervisor: Supervisor, readers: list[asyncio.Task[None]]) -> None:
        """One thing happens."""
        batch_id = self.rng.choice(list(self.ids.values()) or ["nobody"])
        match self.rng.choice(("create", "create", "stop", "resume", "wait", "wait", "leave")):
            case "create":
                number = self.rng.randrange(BATCHES)
                made, new = await supervisor.create(self.songs[number], idempotency_key=f"key-{number}")
                assert self.ids.setdefault(number, made.id) == made.id
                if new:
                    readers.append(asyncio.create_task(self.watch(supervisor, made.id)))
            case "stop" if self.ids:
                await supervisor.stop(batch_id)
            case "resume" if self.ids:
                with suppress(BatchConflict):
                    await supervisor.resume(batch_id)
            case "leave" if self.ids:
                order = asyncio.ensure_future(supervisor.stop(batch_id))
                await asyncio.sleep(self.rng.random() * 0.01)
                order.cancel()
                await asyncio.wait([order])
            case _:
                await asyncio.sleep(self.rng.uniform(0, 6))

    async def watch(self, supervisor: Supervisor, batch_id: str) -> None:
        """Reads on where the last reader stopped."""
        seen = self.seen.setdefault(batch_id, [])
        async for told in supervisor.watch(batch_id, after=seen[-1] if seen else -1):
            if not isinstance(told, BatchSummary):
                seen.append(told.seq)


@pytest.mark.parametrize("seed", range(40))
async def test_whatever_happens_every_song_is_paid_for_once_and_every_event_told_once(
    tmp_path: Path, seed: int
) -> None:
    rng = random.Random(seed)  # noqa: S311 - a world
    faults = (
        Fault(Answer(503, None), on="prepare", share=0.2, times=5),
        Fault(Answer(500, None), on="status", share=0.05),
    )
    behaviour = Behaviour(durations=Uniform(0.5, 8), latency=0.1, seed=seed, faults=faults)
    async with Emulator(behaviour, api_key=KEY) as emulator, asyncio.timeout(36_000):
        life = Life(emulator, tmp_path, rng)
        for _ in range(rng.randrange(1, 5)):
            await life.start(steps=rng.randrange(1, 8))
        emulator.clear_faults()
        await life.start(steps=0)
        client = MountseaClient(KEY, base_url=emulator.base_url)
        async with client, Supervisor(client, tmp_path) as supervisor:
            for number, batch_id in life.ids.items():
                report = await supervisor.report(batch_id)
                assert supervisor.summary(batch_id).state is BatchState.FINISHED
                assert report.ok, report.counts
                assert len(report.items) == len(life.songs[number])
                await life.watch(supervisor, batch_id)  # what a resume has brought after the readers had left
                seen = life.seen[batch_id]
                assert seen == list(range(len(seen)))
                assert len(seen) > 3 * len(report.items)
    assert emulator.ledger.paid_twice() == {}
    assert len(emulator.ledger.charges) == sum(len(life.songs[number]) for number in life.ids)
