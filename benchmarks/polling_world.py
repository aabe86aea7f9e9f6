"""One batch of the real client in a simulated network, and what it took: see `polling.py`, which makes tables of it.

What may live here: the worlds, the strategies that live in them, and what is measured. A seed is the same world for
every strategy: the service draws durations and failures as submits arrive, never as somebody asks.
"""

# ruff: noqa: S311 - chance is seeded here on purpose, and protects nothing
from __future__ import annotations

import asyncio
import gc
import math
import random
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Literal, TypeAlias

import attrs

from mountsea_async import BatchReport, ClientConfig, MountseaClient, PollPolicy
from mountsea_async.testing import Behaviour, Emulator, LogNormal
from mountsea_async.testing.ledger import Call, Recorder
from mountsea_async.testing.service import RefusedError, Service, Task
from tests.simulation.disk import Disk
from tests.simulation.net import Net, Weather
from tests.simulation.network import SimLoop
from tests.simulation.patches import KEY, Ear, deterministic
from tests.simulation.world import HOST, PORT
from tests.support.rate import most_within

ITEMS, CONCURRENCY, SIGMA, FAIL_SHARE = 100, 32, 0.8, 0.02
ONE_WAY = 0.05
"""Seconds that a request or an answer is on its way."""
LAG = 30.0
"""Seconds that a lagging list is behind."""
WRONGS = ("LAG", "MISSING", "FOREIGN", "ERROR")
"""What may be wrong with a list: it lags, lacks a tenth of the clips, holds some of others', or answers 500."""
Order: TypeAlias = Literal["fifo", "random"]


@attrs.frozen
class Cell:
    """One kind of world and who lives in it.

    Attributes:
        strategy: A key of `STRATEGIES`.
        m: The median of the durations in seconds.
        k: How many items the account runs at once; None for all.
        order: Which of the queued items starts next.
        wrong: What is wrong with the session's list; one of `WRONGS`, or nothing.
    """

    strategy: str
    m: int
    k: int | None
    order: Order = "fifo"
    wrong: str = ""

    @property
    def span(self) -> float:
        """About how many seconds the account needs for all of it."""
        if self.k is None:
            return self.m * math.exp(2.5 * SIGMA)
        return self.m * (math.exp(SIGMA**2 / 2) * ITEMS / self.k + math.exp(SIGMA))


@attrs.frozen
class Figures:
    """What was measured in one world.

    Attributes:
        requests: Polls of items and reads of the list, the one of the final check included, an item.
        lag: Seconds from a task's end to the client's event that says so, the mean of all items.
        seconds: How long the batch took.
        late: How much later than a perfect observer's it ended, as a share.
        most: The most requests, submits left out, in any one second.
        refused: Requests that were answered 429.
        unsettled: Items of which the client doesn't know the end.
    """

    requests: float
    lag: float
    seconds: float
    late: float
    most: int
    refused: int
    unsettled: int


# ------------------------------------------------------------------------------------------------------ who lives there
def policy(**settings: Any) -> PollPolicy:
    """A policy that never gives up a batch: how long silence may last is not what is measured here."""
    return PollPolicy(stall=1e5, **settings)


def backoff(**settings: Any) -> PollPolicy:
    """Waits that grow, whatever is known."""
    return policy(strategy="backoff", max_rate=1e6, **settings)


async def consume(client: MountseaClient, urls: Sequence[str]) -> BatchReport:
    """Somebody takes each item as it lands."""
    async with client.upload_session(concurrency=CONCURRENCY) as session:
        uploading = asyncio.create_task(session.upload_all(urls))
        async for _ in session.as_completed():
            pass
        await uploading
    return session.report


async def await_end(client: MountseaClient, urls: Sequence[str]) -> BatchReport:
    """Only the end matters."""
    return await client.upload_batch(urls, concurrency=CONCURRENCY)


_Life: TypeAlias = Callable[[MountseaClient, Sequence[str]], Coroutine[Any, Any, BatchReport]]
STRATEGIES: dict[str, tuple[Callable[[], PollPolicy], _Life]] = {
    "every 2 s": (lambda: backoff(first=2.0, factor=1.0, cap=2.0), consume),
    "documented": (lambda: backoff(first=2.0, factor=1.5, cap=30.0), consume),
    "stream": (policy, consume),
    "batch": (policy, await_end),
}


# ---------------------------------------------------------------------------------------------------------- the service
class _Misled(Service):
    """A service whose list of a session's clips is wrong.

    Attributes:
        wrong: In which way.
        foreign: When ids appear that belong to nobody here, in seconds from the session's beginning.
    """

    wrong = ""
    foreign: tuple[float, ...] = ()

    def status(self, task_id: str) -> dict[str, Any]:
        """The JSON of a task, or of a session with its wrong list."""
        answer = super().status(task_id)
        if (session := self.sessions.get(task_id.lower())) is None:
            return answer
        if self.wrong == "ERROR":
            raise RefusedError(500, "Internal server error")
        listed = answer[self.behaviour.result_field]
        if self.wrong == "MISSING":
            listed["audioIds"] = [clip_id for clip_id in listed["audioIds"] if int(clip_id[:6], 16) % 10]
        age = self.clock() - session.created
        strangers = sum(at <= age for at in self.foreign)
        listed["audioIds"] += [f"{number:08}-0000-4000-8000-000000000000" for number in range(strangers)]
        return answer


class _Times(Recorder):
    """Keeps of all requests but submits when they came, and nothing else."""

    def __init__(self) -> None:
        super().__init__(keep_calls=False)
        self.asked: list[float] = []

    def arrived(self, call: Call) -> int:
        """Note a request."""
        if call.endpoint == "status":
            self.asked.append(call.at)
        return super().arrived(call)


class _Emulator(Emulator):
    """The emulator, with a list that may be wrong."""

    def __init__(self, cell: Cell, seed: int) -> None:
        behaviour = Behaviour(
            durations=LogNormal(cell.m, SIGMA),
            parallel=cell.k,
            order=cell.order,
            fail_share=FAIL_SHARE,
            append_lag=LAG if cell.wrong == "LAG" else 0.0,
            accounts=1,
            seed=seed,
        )
        super().__init__(behaviour, api_key=KEY, port=PORT)
        self._recorder = self.times = _Times()
        self._service = service = _Misled(behaviour, random.Random(seed), self._now)
        service.wrong = cell.wrong
        if cell.wrong == "FOREIGN":
            draw = random.Random(f"foreign {seed}")
            service.foreign = tuple(sorted(draw.uniform(0, cell.span) for _ in range(ITEMS // 10)))

    @property
    def tasks(self) -> dict[str, Task]:
        """Every task with its whole course."""
        return self._service.tasks


class _Quiet(Net):
    """A network that keeps no trace."""

    def note(self, *what: object) -> None: ...


# ------------------------------------------------------------------------------------------------------------ one world
def live(cell: Cell, seed: int) -> Figures:
    """One batch in a world of its own."""
    net, disk = _Quiet(seed, Weather(latency=(ONE_WAY, ONE_WAY))), Disk(seed)
    net.names[HOST] = "127.0.0.1"
    loop = SimLoop(net, disk, limit=10 * cell.span + 1e4)
    collects = gc.isenabled()
    gc.disable()
    try:
        with deterministic(loop, disk, Ear(), portable=False):
            return loop.run_until_complete(_live(cell, seed, loop))
    except Exception as error:
        error.add_note(f"in {cell}, seed {seed}")
        raise
    finally:
        loop.close()
        disk.remove()
        gc.collect()
        if collects:
            gc.enable()


async def _live(cell: Cell, seed: int, loop: SimLoop) -> Figures:
    make_policy, life = STRATEGIES[cell.strategy]
    urls = [f"https://cdn.example.com/audio/{number}.mp3" for number in range(ITEMS)]
    config = ClientConfig(poll=make_policy(), allow_http=True)
    async with _Emulator(cell, seed) as emulator:
        client = MountseaClient(KEY, base_url=f"http://{HOST}:{PORT}", config=config)
        client._rng = random.Random(seed)  # noqa: SLF001 - its jitter is part of the world
        async with client:
            began = loop.time()
            report = await life(client, urls)
            ended = loop.time()
    return measured(emulator, report, began, ended, loop.wall_offset)


def measured(emulator: _Emulator, report: BatchReport, began: float, ended: float, wall: float) -> Figures:
    """The figures of a batch that has ended.

    Args:
        emulator: The service, which knows when everything has happened.
        report: What the client says.
        began: Loop time at which the batch began.
        ended: Loop time at which it had ended.
        wall: Seconds by which the clock on the wall is ahead of the loop's.
    """
    tasks, asked = emulator.tasks, emulator.times.asked
    assert len(tasks) == len(report.items) == ITEMS
    lags = [
        item.ended_at.timestamp() - wall - tasks[item.task_id].finishes
        for item in report.items
        if item.task_id is not None and item.ended_at is not None
    ]
    # The perfect observer needs to look once, at the right moment.
    perfect = max(task.finishes for task in tasks.values()) + 2 * ONE_WAY - began
    return Figures(
        requests=len(asked) / ITEMS,
        lag=sum(lags) / len(lags),
        seconds=ended - began,
        late=(ended - began) / perfect - 1,
        most=most_within(asked, 1.0),
        refused=sum(count for (_, status), count in emulator.times.answers.items() if status == 429),
        unsettled=len(report.unknown) + len(report.not_submitted),
    )
