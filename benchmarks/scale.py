"""What an item of a batch costs in memory, CPU, requests and descriptors, and how that grows with the batch.

    python -m benchmarks.scale [--quick] [--items 10 100 1000 10000] [--concurrency 32] [--json FILE]

Each size runs in a process of its own against an emulator in a third.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import select
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchmarks.setting import beside, median, resident, said, served, show, spread
from mountsea_async import ClientConfig, MountseaClient, PollPolicy
from mountsea_async.testing import Behaviour, Emulator, Uniform

SIZES = (10, 30, 100, 300, 1000, 3000, 10_000)
QUICK = (10, 300)
LONGEST = 300.0
"""Seconds that a batch may take."""


async def batch(base_url: str, items: int, concurrency: int) -> None:
    """One batch, and a line before and after it."""
    hurried = ClientConfig(poll=PollPolicy(strategy="backoff", first=0.6, factor=1.0, max_rate=1000.0))
    async with MountseaClient("emulator-key", base_url=base_url, config=hurried) as client:
        warm_up = [f"https://cdn.example.com/warm-up/{number}.mp3" for number in range(concurrency * 2)]
        await client.upload_batch(warm_up, concurrency=concurrency)
    urls = [f"https://cdn.example.com/audio/song-{number:06}.mp3" for number in range(items)]
    async with MountseaClient("emulator-key", base_url=base_url) as client:
        gc.collect()
        print(resident(), flush=True)
        began, cpu = time.perf_counter(), time.process_time()
        report = await client.upload_batch(urls, concurrency=concurrency)
        taken, cpu = time.perf_counter() - began, time.process_time() - cpu
    assert report.ok
    assert len(set(report.audio_ids)) == items
    requests = (report.stats.submits + report.stats.polls) / items
    print(json.dumps({"seconds": taken, "cpu": cpu * 1000 / items, "requests": requests}), flush=True)


def watched(base_url: str, items: int, concurrency: int) -> dict[str, float]:
    """One batch in a process of its own, looked at twenty times a second, from here: it shan't pay for that."""
    with beside("benchmarks.scale", "--concurrency", str(concurrency), "--one", base_url, str(items)) as process:
        assert process.stdout is not None
        memory = peak = int(said(process))
        files, until = 0, time.monotonic() + LONGEST
        while not select.select([process.stdout], [], [], 0.05)[0]:
            if time.monotonic() > until:
                process.kill()
            with suppress(FileNotFoundError):  # it may have ended
                peak = max(peak, resident(process.pid))
                files = max(files, len(list(Path(f"/proc/{process.pid}/fd").iterdir())))
        taken = json.loads(said(process))
    return {**taken, "bytes": (peak - memory) / items, "files": files}


def row(items: int, runs: Sequence[dict[str, float]]) -> dict[str, Any]:
    """One line of the table: the runs' medians."""

    def middle(name: str) -> float:
        return median([run[name] for run in runs])

    return {
        "items": items,
        "bytes an item": round(middle("bytes")),
        "peak open files": round(max(run["files"] for run in runs)),
        "seconds": round(middle("seconds"), 2),
        "CPU ms an item": round(middle("cpu"), 3),
        "spread of CPU": spread([run["cpu"] for run in runs]),
        "requests an item": round(middle("requests"), 2),
    }


async def serve() -> None:
    """The emulator, until it is ended."""
    async with Emulator(Behaviour(durations=Uniform(0.4, 0.8)), keep_calls=False) as emulator:
        print(emulator.base_url, flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


def measure(sizes: Sequence[int], concurrency: int, repeats: int) -> list[dict[str, Any]]:
    """All rows; the sizes in turn, again and again."""
    runs: dict[int, list[dict[str, float]]] = {items: [] for items in sizes}
    for _ in range(repeats):
        # An emulator of its own for each repeat, so that none works with the memories of all before it.
        with served("benchmarks.scale", "--serve") as base_url:
            for items in sizes:
                runs[items].append(watched(base_url, items, concurrency))
    return [row(items, taken) for items, taken in runs.items()]


def main() -> None:
    """Runs the sizes, prints the table and ends with an error where a bound doesn't hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few items and once, for a look")
    parser.add_argument("--items", type=int, nargs="+")
    parser.add_argument("--repeats", type=int)
    parser.add_argument("--concurrency", type=int, default=32)
    parser.add_argument("--limit", type=int, default=4096, help="bytes an item may cost from 1,000 items on")
    parser.add_argument("--json", help="write the figures to this file, too")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.serve:
        asyncio.run(serve())
        return
    if asked.one:
        asyncio.run(batch(asked.one[0], int(asked.one[1]), asked.concurrency))
        return
    repeats = asked.repeats or (1 if asked.quick else 3)
    rows = measure(asked.items or (QUICK if asked.quick else SIZES), asked.concurrency, repeats)
    method = (
        f"One batch a process, {asked.concurrency} requests in flight, emulator in another process, uploads of 0.4 to "
        "0.8 s; memory is the growth of the resident set over a warmed-up process, report included, seen from outside. "
        f"Medians of {repeats} interleaved repeats."
    )
    show("scale", method, rows, asked.json)
    heavy = [row for row in rows if row["items"] >= 1000 and row["bytes an item"] > asked.limit]
    wide = [row for row in rows if row["peak open files"] > asked.concurrency + 16]
    if heavy or wide:
        sys.exit(f"over the bounds: {heavy + wide}")


if __name__ == "__main__":
    main()
