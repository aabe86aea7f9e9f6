"""What an item of a batch costs in memory, CPU, requests and descriptors, and how that grows with the batch.

    python -m benchmarks.scale [--quick] [--items 10 100 1000 10000] [--concurrency 32] [--json FILE]

Each size runs in a process of its own against an emulator in a third.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.setting import median, resident, show, spread
from mountsea_async import MountseaClient
from mountsea_async.testing import Behaviour, Emulator, Uniform

SIZES = (10, 30, 100, 300, 1000, 3000, 10_000)
QUICK = (10, 100, 1000)
ME = (sys.executable, "-m", "benchmarks.scale")


def descriptors() -> int:
    """Files and sockets that this process holds open."""
    return len(list(Path("/proc/self/fd").iterdir()))


async def batch(base_url: str, items: int, concurrency: int) -> dict[str, float]:
    """One batch, watched twenty times a second."""
    urls = [f"https://cdn.example.com/audio/song-{number:06}.mp3" for number in range(items)]
    async with MountseaClient("emulator-key", base_url=base_url) as client:
        await client.upload_batch(
            [f"https://cdn.example.com/warm-up/{number}.mp3" for number in range(concurrency * 2)]
        )
        gc.collect()
        memory = peak = resident()
        open_files = descriptors()
        began, cpu = time.perf_counter(), time.process_time()
        running = asyncio.create_task(client.upload_batch(urls, concurrency=concurrency))
        while not running.done():
            await asyncio.wait([running], timeout=0.05)
            peak, open_files = max(peak, resident()), max(open_files, descriptors())
        report = running.result()
        taken, cpu = time.perf_counter() - began, time.process_time() - cpu
    assert report.ok
    assert len(set(report.audio_ids)) == items
    return {
        "bytes": (peak - memory) / items,
        "files": open_files,
        "seconds": taken,
        "cpu": cpu * 1000 / items,
        "requests": (report.stats.submits + report.stats.polls) / items,
    }


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
        with subprocess.Popen([*ME, "--serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            base_url = server.stdout.readline().strip()
            try:
                for items in sizes:
                    command = [*ME, "--concurrency", str(concurrency), "--one", base_url, str(items)]
                    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=300)
                    runs[items].append(json.loads(done.stdout))
            finally:
                server.communicate()
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
        print(json.dumps(asyncio.run(batch(asked.one[0], int(asked.one[1]), asked.concurrency))))
        return
    repeats = asked.repeats or (1 if asked.quick else 3)
    rows = measure(asked.items or (QUICK if asked.quick else SIZES), asked.concurrency, repeats)
    method = (
        f"One batch a process, {asked.concurrency} requests in flight, emulator in another process, uploads of 0.4 to "
        "0.8 s; memory is the growth of the resident set over a warmed-up client, report included. Medians of "
        f"{repeats} interleaved repeats."
    )
    show("scale", method, rows, asked.json)
    heavy = [row for row in rows if row["items"] >= 1000 and row["bytes an item"] > asked.limit]
    wide = [row for row in rows if row["peak open files"] > asked.concurrency + 16]
    if heavy or wide:
        sys.exit(f"over the bounds: {heavy + wide}")


if __name__ == "__main__":
    main()
