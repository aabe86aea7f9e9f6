"""What an item of a batch costs in memory and descriptors, and how that grows with the batch.

    python -m benchmarks.scale [--items 10 100 1000 10000] [--concurrency 32] [--json FILE]

Each size runs in a process of its own against an emulator in a third.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.setting import show
from mountsea_async import MountseaClient
from mountsea_async.testing import Behaviour, Emulator, Uniform

PAGE = os.sysconf("SC_PAGE_SIZE")


def resident() -> int:
    """Bytes of memory that this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


def descriptors() -> int:
    """Files and sockets that this process holds open."""
    return len(list(Path("/proc/self/fd").iterdir()))


async def batch(base_url: str, items: int, concurrency: int) -> dict[str, Any]:
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
        "items": items,
        "bytes an item": round((peak - memory) / items),
        "peak open files": open_files,
        "seconds": round(taken, 2),
        "CPU ms an item": round(cpu * 1000 / items, 2),
        "requests an item": round((report.stats.submits + report.stats.polls) / items, 2),
    }


async def serve() -> None:
    """The emulator, until it is ended."""
    async with Emulator(Behaviour(durations=Uniform(0.4, 0.8)), keep_calls=False) as emulator:
        print(emulator.base_url, flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


def main() -> None:
    """Runs the sizes one after another and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, nargs="+", default=[10, 100, 1000, 10_000])
    parser.add_argument("--concurrency", type=int, default=32)
    parser.add_argument("--limit", type=int, default=4096, help="bytes an item may cost from 1,000 items on")
    parser.add_argument("--json")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.serve:
        asyncio.run(serve())
        return
    if asked.one:
        print(json.dumps(asyncio.run(batch(asked.one[0], int(asked.one[1]), asked.concurrency))))
        return
    me = [sys.executable, "-m", "benchmarks.scale"]
    rows = []
    with subprocess.Popen([*me, "--serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        base_url = server.stdout.readline().strip()
        try:
            for items in asked.items:
                command = [*me, "--concurrency", str(asked.concurrency), "--one", base_url, str(items)]
                done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=300)
                rows.append(json.loads(done.stdout))
        finally:
            server.communicate()
    method = (
        f"One batch a process, {asked.concurrency} requests in flight, emulator in another process, tasks of 0.4 to "
        "0.8 s; memory is the growth of the resident set over a warmed-up client, report included."
    )
    show("scale", method, rows, asked.json)
    heavy = [row for row in rows if row["items"] >= 1000 and row["bytes an item"] > asked.limit]
    wide = [row for row in rows if row["peak open files"] > asked.concurrency + 16]
    if heavy or wide:
        sys.exit(f"over the bounds: {heavy + wide}")


if __name__ == "__main__":
    main()
