"""500 URLs end to end, over real sockets: this library beside the script that one would write instead.

    python -m benchmarks.batch [--quick] [--json FILE]

A world is how long uploads take, how many an account runs at once, the rate limit and what goes wrong. Every run has
an emulator of its own in a process of its own, and so has the one who is measured. The emulator's ledger says what was
asked, refused and paid; what the best possible client would take is computed from the same list of durations.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import heapq
import json
import math
import random
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from statistics import NormalDist
from typing import Any

import attrs

from benchmarks.gather_script import upload_all
from benchmarks.setting import median, resident, show, spread
from mountsea_async import MountseaClient
from mountsea_async.testing import Behaviour, Cut, Emulator, Fault, RateLimit, no_account

KEY = "emulator-key"
CONCURRENCY = 32
LATENCY = 0.02
"""Seconds before each of the emulator's answers."""
SIGMA = 0.4
"""How widely the durations are spread: that of their logarithm."""
LIMIT = 300.0
"""Seconds after which a run is given up."""
MOST = 1.02
"""How many times the best possible time a batch may take."""


@attrs.frozen
class World:
    """What a batch meets.

    Attributes:
        name: As the table calls it.
        typical: Half of the uploads take fewer seconds once the account works on them.
        parallel: How many uploads the account runs at once; None: all.
        rate: Requests a second that the service takes; the burst is as large. None: any number.
        faults: Whether some submits are turned away and two accepted ones are never answered.
        repeats: How often each side runs.
    """

    name: str
    typical: float
    parallel: int | None = None
    rate: int | None = None
    faults: bool = False
    repeats: int = 3

    def durations(self, items: int, seed: int) -> tuple[float, ...]:
        """How long each upload takes, in the order in which they are accepted."""
        # Quantiles in random order: the longest upload, which many a batch waits for, is the same in every run.
        normal = NormalDist()
        drawn = [self.typical * math.exp(SIGMA * normal.inv_cdf((number + 0.5) / items)) for number in range(items)]
        random.Random(seed).shuffle(drawn)  # noqa: S311 - reproducible on purpose
        return tuple(drawn)

    def behaviour(self, items: int, seed: int) -> Behaviour:
        """The same as the emulator's setting."""
        broken = (
            Fault(Cut(after_work=True), nth={items // 4, items * 3 // 4}),
            Fault(no_account(), every=max(2, items // 10)),
        )
        return Behaviour(
            durations=Listed(self.durations(items, seed)),
            parallel=self.parallel,
            latency=LATENCY,
            rate_limit=None if self.rate is None else RateLimit(self.rate, self.rate),
            faults=broken if self.faults else (),
        )


FULL = (
    World("all at once", 10.0),
    World("8 at once", 0.6, parallel=8),
    World("50 requests a second", 8.0, rate=50),
    World("two answers lost", 3.0, faults=True),
)
QUICK = (
    World("all at once", 0.5, repeats=1),
    World("8 at once", 0.1, parallel=8, repeats=1),
    World("50 requests a second", 0.5, rate=50, repeats=1),
)


@attrs.define
class Listed:
    """Durations in a fixed order, from the start again where there are more uploads than durations."""

    seconds: Sequence[float]
    drawn: int = 0

    def draw(self, _rng: random.Random, /) -> float:
        """Return the next one."""
        self.drawn += 1
        return self.seconds[(self.drawn - 1) % len(self.seconds)]


def best_possible(
    durations: Sequence[float], *, parallel: int | None, rate: float | None, concurrency: int, latency: float
) -> float:
    """Seconds that no client can stay below, if it prepares a session, submits all and asks for each once it has ended.

    The bucket of the rate limit holds as much as flows in a second; answers take `latency`, so at most `concurrency`
    requests go in each span of it.
    """

    def admitted(number: int) -> float:
        return 0.0 if rate is None else max(0.0, (number + 1 - rate) / rate)

    busy: list[float] = []
    last = 0.0
    for number, seconds in enumerate(durations):
        starts = max(latency * (1 + number // concurrency), admitted(1 + number))
        if parallel is not None:
            if len(busy) == parallel:
                starts = max(starts, heapq.heappop(busy))
            heapq.heappush(busy, starts + seconds)
        last = max(last, starts + seconds)
    return max(last, admitted(2 * len(durations))) + latency


# -------------------------------------------------------------------------------------------- in the emulator's process
async def serve(behaviour: Behaviour) -> None:
    """Says where it listens; told which clips somebody has in hand, says what the ledger knows, and ends."""
    loop = asyncio.get_running_loop()
    async with Emulator(behaviour, api_key=KEY, keep_calls=False) as emulator:
        print(emulator.base_url, flush=True)
        known = await loop.run_in_executor(None, sys.stdin.readline)
        if not known:
            return
        ledger = emulator.ledger
        while len(ledger.clip_ids()) < len(ledger.charges):  # noqa: ASYNC110 - clips land by the clock alone
            await asyncio.sleep(0.1)
        answers = ledger.counts
        told = {
            "requests": ledger.requests(),
            "refusals": sum(count for (_, status), count in answers.items() if status == 429),
            "paid twice": len(ledger.paid_twice()),
            "clips lost": len(ledger.lost(json.loads(known))),
            "uploads": len({charge.audio_url for charge in ledger.charges}),
        }
        print(json.dumps(told), flush=True)


# ---------------------------------------------------------------------------------------------- in the process measured
async def by_us(base_url: str, urls: list[str]) -> list[str]:
    """The ids of all clips that the report names."""
    async with MountseaClient(KEY, base_url=base_url) as client:
        report = await client.upload_batch(urls, concurrency=CONCURRENCY)
    return list(report.audio_ids)


async def by_gather(base_url: str, urls: list[str]) -> list[str]:
    """The ids of the clips that the script comes back with."""
    return [clip for clip in await upload_all(base_url, KEY, urls, CONCURRENCY) if clip is not None]


WHO: Mapping[str, Callable[[str, list[str]], Awaitable[list[str]]]] = {
    "mountsea_async": by_us,
    "gather script": by_gather,
}


async def run(who: str, base_url: str, items: int) -> dict[str, Any]:
    """One run, its memory watched five times a second."""
    urls = [f"https://cdn.example.com/audio/song-{number:06}.mp3" for number in range(items)]
    gc.collect()
    before = peak = resident()
    wall, cpu = time.perf_counter(), time.process_time()
    running = asyncio.ensure_future(WHO[who](base_url, urls))
    while not running.done():
        await asyncio.wait([running], timeout=0.2)
        peak = max(peak, resident())
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return {"wall": wall, "cpu": cpu, "memory": peak - before, "clips": running.result()}


# -------------------------------------------------------------------------------------------------- in the main process
@asynccontextmanager
async def child(*arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """This module in a process of its own, ended when it is left."""
    pipe = asyncio.subprocess.PIPE
    command = [sys.executable, "-m", "benchmarks.batch", *arguments]
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, limit=2**22)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def said(process: asyncio.subprocess.Process) -> str:
    """The next line that a child prints."""
    assert process.stdout is not None
    line = await process.stdout.readline()
    if not line:
        sys.exit("a child process ended before it had said all")
    return line.decode().strip()


async def measured(world: World, who: str, items: int, seed: int, *, quick: bool) -> dict[str, Any]:
    """One run and what its emulator's ledger says of it."""
    flags = ["--quick"] if quick else []
    async with (
        asyncio.timeout(LIMIT),
        child(*flags, "--serve", world.name, str(items), str(seed)) as server,
    ):
        base_url = await said(server)
        async with child("--run", who, base_url, str(items)) as runner:
            taken = json.loads(await said(runner))
        assert server.stdin is not None
        server.stdin.write(json.dumps(taken["clips"]).encode() + b"\n")
        return {**taken, **json.loads(await said(server))}


async def lane(world: World, items: int, after: float, *, quick: bool) -> list[dict[str, Any]]:
    """A world's runs, one after another, the sides in turn."""
    await asyncio.sleep(after)
    taken: dict[str, list[dict[str, Any]]] = {who: [] for who in WHO}
    ratios: dict[str, list[float]] = {who: [] for who in WHO}
    best = []
    for seed in range(world.repeats):
        best.append(
            best_possible(
                world.durations(items, seed),
                parallel=world.parallel,
                rate=world.rate,
                concurrency=CONCURRENCY,
                latency=LATENCY,
            )
        )
        for who in list(WHO)[:: -1 if seed % 2 else 1]:
            one = await measured(world, who, items, seed, quick=quick)
            taken[who].append(one)
            ratios[who].append(one["wall"] / best[-1])
    return [row(world, who, items, taken[who], ratios[who], median(best)) for who in WHO]


def row(
    world: World, who: str, items: int, runs: Sequence[Mapping[str, Any]], ratios: Sequence[float], best: float
) -> dict[str, Any]:
    """One line of the table."""

    def middle(name: str) -> float:
        return median([float(each[name]) for each in runs])

    def mean(name: str) -> float:
        return round(sum(float(each[name]) for each in runs) / len(runs), 1)

    # What a lost answer costs in waiting for certainty isn't in the best possible time.
    judged = who == "mountsea_async" and not world.faults
    return {
        "world": world.name,
        "who": who,
        "items": items,
        "runs": len(runs),
        "best possible s": round(best, 1),
        "wall s": round(middle("wall"), 1),
        "times the best": round(median(ratios), 3),
        "spread": spread(ratios),
        "target": f"at most {MOST}" if judged else "",
        "verdict": ("met" if median(ratios) <= MOST else "not met") if judged else "",
        "requests an item": round(middle("requests") / items, 1),
        "refusals": mean("refusals"),
        "CPU ms an item": round(middle("cpu") * 1000 / items, 2),
        "peak MB": round(middle("memory") / 1e6, 1),
        "paid twice": mean("paid twice"),
        "clips lost": mean("clips lost"),
        "not uploaded": round(items - mean("uploads"), 1),
    }


async def measure(worlds: Sequence[World], items: int, *, quick: bool) -> list[dict[str, Any]]:
    """All rows. The worlds are lived side by side, since a run mostly waits; they begin one after another."""
    lanes = (lane(world, items, 1.5 * number, quick=quick) for number, world in enumerate(worlds))
    return [row for rows in await asyncio.gather(*lanes) for row in rows]


def main() -> None:
    """Prints the table, and ends with an error where this library has paid twice or lost a clip."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few and short uploads, for a look")
    parser.add_argument("--only", nargs="+", metavar="WORLD", help="not all worlds")
    parser.add_argument("--json", help="write the figures to this file, too")
    parser.add_argument("--serve", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--run", nargs=3, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    worlds = {world.name: world for world in (QUICK if asked.quick else FULL)}
    if asked.serve:
        name, count, seed = asked.serve
        asyncio.run(serve(worlds[name].behaviour(int(count), int(seed))))
        return
    if asked.run:
        who, base_url, count = asked.run
        print(json.dumps(asyncio.run(run(who, base_url, int(count)))))
        return
    items = 100 if asked.quick else 500
    chosen = [world for world in worlds.values() if not asked.only or world.name in asked.only]
    if not chosen:
        parser.error(f"the worlds are: {', '.join(worlds)}")
    rows = asyncio.run(measure(chosen, items, quick=asked.quick))
    show("batch", method(chosen, items), rows, asked.json)
    harmed = [row for row in rows if row["who"] == "mountsea_async" and (row["paid twice"] or row["clips lost"])]
    if harmed:
        sys.exit(f"paid twice, or lost a clip: {harmed}")


def method(worlds: Sequence[World], items: int) -> str:
    """How it was done."""
    lengths = ", ".join(f"{world.typical:g} s ({world.name})" for world in worlds)
    return (
        f"{items} URLs to one session, {CONCURRENCY} requests in flight, {LATENCY * 1000:.0f} ms before each answer; "
        f"uploads take, in the median, {lengths}, log-normal with a sigma of {SIGMA}. Each run has a fresh interpreter "
        "and an emulator in another, the sides in turn, the worlds side by side; medians, means of what is counted. "
        "The best possible time is that of a client which is told of each upload's end, from the same durations."
    )


if __name__ == "__main__":
    main()
