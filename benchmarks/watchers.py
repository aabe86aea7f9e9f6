"""What it costs a batch to be watched: by nobody, by readers of its events, by readers who never read.

    python -m benchmarks.watchers [--quick] [--items 300] [--repeats 5] [--json FILE]

The application runs under uvicorn in a process of its own, the emulator in another, the readers are here.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from benchmarks.setting import beside, median, resident, said, served, show, spread
from mountsea_async.testing import Behaviour, Emulator, LogNormal

KEY = "emulator-key"
LONGEST = 300.0
"""Seconds that a batch may take."""
MANY, SILENT = 200, 50


async def emulate(seconds: float) -> None:
    """The emulator, whose uploads take so long in the median, until its standard input ends."""
    durations = LogNormal(seconds, 0.4)
    async with Emulator(Behaviour(durations=durations, latency=0.02), api_key=KEY, keep_calls=False) as one:
        print(one.base_url, flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


async def serve(base_url: str, folder: str) -> None:
    """The application, until its standard input ends."""
    import uvicorn  # noqa: PLC0415 - the other processes need neither
    from fastapi import FastAPI  # noqa: PLC0415

    from mountsea_async import MountseaClient  # noqa: PLC0415
    from mountsea_async.contrib.fastapi import mountsea_lifespan, mountsea_router  # noqa: PLC0415

    app = FastAPI(lifespan=mountsea_lifespan(folder, client=lambda: MountseaClient(KEY, base_url=base_url)))
    app.include_router(mountsea_router())
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
    running = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - it tells nobody
        await asyncio.sleep(0.01)
    print(f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    server.should_exit = True
    await running


@asynccontextmanager
async def reading(http: aiohttp.ClientSession, events: str, readers: int) -> AsyncIterator[list[asyncio.Task[int]]]:
    """So many who read events as they come; each gives how many there were."""

    async def read() -> int:
        async with http.get(events) as answer:
            return len([line async for line in answer.content if line.startswith(b"id: ")])

    tasks = [asyncio.create_task(read()) for _ in range(readers)]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()


async def batch(base_url: str, pid: int, items: int, readers: int, silent: int) -> dict[str, float]:
    """One batch, and what it took the application."""
    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=LONGEST)
    async with aiohttp.ClientSession(base_url, connector=connector, timeout=timeout) as http, AsyncExitStack() as stack:
        memory, cpu = resident(pid), processor(pid)
        body = {"urls": [f"https://cdn.example.com/audio/song-{number:06}.mp3" for number in range(items)]}
        async with http.post("/batches", json=body) as answer:
            made = await answer.json()
        tasks = await stack.enter_async_context(reading(http, made["links"]["events"], readers))
        for _ in range(silent):
            # Never read from: what was sent stays in the sockets, and then in the application, if it lets it.
            await stack.enter_async_context(http.get(made["links"]["events"], read_bufsize=1024))
        while (found := await summary(http, made["id"]))["state"] != "finished":  # noqa: ASYNC110 - over HTTP
            await asyncio.sleep(0.25)
        peak = resident(pid)
        told = set(await asyncio.gather(*tasks))
    assert found["counts"] == {"succeeded": items}, found
    assert len(told) == (readers > 0), told
    return {
        "seconds": seconds(found),
        "cpu": (processor(pid) - cpu) * 1000 / items,
        "bytes": float(peak - memory),
        "events": float(next(iter(told), 0)),
    }


async def summary(http: aiohttp.ClientSession, batch_id: str) -> dict[str, Any]:
    """The batch in a few words."""
    async with http.get("/batches", params={"limit": 1}) as answer:
        (found,) = (await answer.json())["batches"]
    assert found["id"] == batch_id
    kept: dict[str, Any] = found
    return kept


def seconds(found: dict[str, Any]) -> float:
    """How long a batch took, by the application's own clock."""
    from datetime import datetime  # noqa: PLC0415 - only here

    return (datetime.fromisoformat(found["ended_at"]) - datetime.fromisoformat(found["created_at"])).total_seconds()


def processor(pid: int) -> float:
    """Seconds of processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def row(who: str, runs: Sequence[dict[str, float]], alone: float) -> dict[str, Any]:
    """One line of the table: the runs' medians."""
    taken = [run["seconds"] for run in runs]
    return {
        "watched by": who,
        "seconds": round(median(taken), 2),
        "spread": spread(taken),
        "times unwatched": round(median(taken) / alone, 3),
        "CPU ms an item": round(median([run["cpu"] for run in runs]), 2),
        "grown by MB": round(median([run["bytes"] for run in runs]) / 1e6, 1),
        "events to each": round(median([run["events"] for run in runs])),
    }


def measure(items: int, repeats: int, upload: float) -> list[dict[str, Any]]:
    """All rows; the sides in turn, again and again, after a batch that nobody counts."""
    sides = {"nobody": (0, 0), "one reader": (1, 0), f"{MANY} readers": (MANY, 0)}
    sides[f"{SILENT} who never read"] = (0, SILENT)
    runs: dict[str, list[dict[str, float]]] = {who: [] for who in sides}
    with (
        tempfile.TemporaryDirectory() as folder,
        served("benchmarks.watchers", "--emulate", str(upload)) as service,
        beside("benchmarks.watchers", "--serve", service, folder) as process,
    ):
        base_url = said(process)
        asyncio.run(batch(base_url, process.pid, items, 1, 0))
        for _ in range(repeats):
            for who, (readers, silent) in sides.items():
                runs[who].append(asyncio.run(batch(base_url, process.pid, items, readers, silent)))
    alone = median([run["seconds"] for run in runs["nobody"]])
    return [row(who, taken, alone) for who, taken in runs.items()]


def main() -> None:
    """Runs the sides, prints the table and ends with an error where a bound doesn't hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few items and once, for a look")
    parser.add_argument("--items", type=int)
    parser.add_argument("--repeats", type=int)
    parser.add_argument("--json", help="write the figures to this file, too")
    parser.add_argument("--emulate", type=float, help=argparse.SUPPRESS)
    parser.add_argument("--serve", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.emulate:
        asyncio.run(emulate(asked.emulate))
        return
    if asked.serve:
        asyncio.run(serve(*asked.serve))
        return
    items, repeats = asked.items or (60 if asked.quick else 300), asked.repeats or (1 if asked.quick else 5)
    upload = 0.3 if asked.quick else 3.0
    rows = measure(items, repeats, upload)
    method = (
        f"Batches of {items} URLs posted to an application under uvicorn, uploads of {upload:g} s in the median "
        "(log-normal, sigma 0.4), 20 ms before each answer; application, emulator and readers in a process each. "
        f"Seconds by the application's clock; medians of {repeats} interleaved repeats."
    )
    show("watchers", method, rows, asked.json)
    if not asked.quick and rows[-1]["times unwatched"] > 1.05:
        sys.exit(f"readers who never read slow a batch: {rows[-1]}")


if __name__ == "__main__":
    main()
