"""CPU that a request costs the client's process, beside a bare aiohttp loop and other clients.

    python -m benchmarks.request_cost [--quick] [--json FILE]

Peers are the extra `bench`, uvloop and orjson the extra `speed`; what isn't installed is left out and said so.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import random
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any, TypeAlias

import aiohttp
import attrs

from benchmarks.lean_server import lean_server, stay_on
from benchmarks.setting import median, show, spread
from mountsea_async import ClientConfig, MountseaClient, Pace, RetryPolicy
from mountsea_async.wire import protocol
from mountsea_async.wire.caller import Caller, Unwatched
from mountsea_async.wire.transport import Transport

KEY = "benchmark-key"
TASKS = [f"{number:08x}-8a54-4f5e-9d38-7c1f6ad0b7f1" for number in range(500)]
SONGS = [f"https://cdn.example.com/audio/song-{number:06}.mp3" for number in range(500)]
SESSION = "0b0d8a3e-2f6a-4a3f-8a15-6f1d8e2c9b11"
HEADERS = {
    "Authorization": f"Bearer {KEY}",
    "Accept": "application/json",
    "Accept-Encoding": "identity",
    "User-Agent": "mountsea-async/0 aiohttp/3 Python/3",
}
STATUS, ITEM = "/suno/v2/status?taskId=", "/suno/v2/audio/upload/session/item"
MOST_SOCKETS = 100
MOST_THREADS = 64

Ask: TypeAlias = Callable[[int], Awaitable[object]]
"""Sends one request, the one with this number, and reads its answer."""
Opened: TypeAlias = tuple[Ask, Ask]
"""Asks for a status, and posts an item."""


# ------------------------------------------------------------------------------------------------------------ peers
async def bare(stack: AsyncExitStack, url: str, at_once: int) -> Opened:
    """What a user writes who wants nothing but the answer."""
    limit = min(at_once, MOST_SOCKETS)
    http = await stack.enter_async_context(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=limit)))
    with_body = {**HEADERS, "Content-Type": "application/json"}

    async def status(number: int) -> object:
        async with http.get(f"{url}{STATUS}{TASKS[number % 500]}", headers=HEADERS) as response:
            return json.loads(await response.read())

    async def item(number: int) -> object:
        body = json.dumps({"sessionId": SESSION, "audioUrl": SONGS[number % 500]}).encode()
        async with http.post(url + ITEM, data=body, headers=with_body) as response:
            return json.loads(await response.read())

    return status, item


async def ours(
    stack: AsyncExitStack, url: str, at_once: int, json_loads: Callable[[bytes], Any] | None = None
) -> Opened:
    """The library: `client.status`, and the paid request as a batch makes it, less the batch's own records."""
    config = ClientConfig(json_loads=json_loads)
    pace = Pace(min(at_once, MOST_SOCKETS))
    client = await stack.enter_async_context(MountseaClient(KEY, base_url=url, config=config, pace=pace))
    transport = Transport(KEY, url, config, pace.limit, None)
    await transport.open()
    stack.push_async_callback(transport.close)
    caller = Caller(transport, pace, RetryPolicy(), random.Random(1), json_loads)  # noqa: S311 - jitter

    async def status(number: int) -> object:
        return await client.status(TASKS[number % 500])

    async def item(number: int) -> object:
        return await caller.submit(Unwatched(protocol.submit_item(SESSION, SONGS[number % 500])))

    return status, item


async def ours_with_orjson(stack: AsyncExitStack, url: str, at_once: int) -> Opened:
    """The library, with a faster parser."""
    import orjson  # noqa: PLC0415 - a peer

    return await ours(stack, url, at_once, orjson.loads)


async def httpx_client(stack: AsyncExitStack, url: str, at_once: int) -> Opened:
    """One `httpx.AsyncClient`, with as many connections as the others."""
    import httpx  # noqa: PLC0415 - a peer

    limits = httpx.Limits(max_connections=min(at_once, MOST_SOCKETS), max_keepalive_connections=MOST_SOCKETS)
    timeout = httpx.Timeout(60, pool=None)
    http = await stack.enter_async_context(httpx.AsyncClient(headers=HEADERS, limits=limits, timeout=timeout))

    async def status(number: int) -> object:
        return (await http.get(f"{url}{STATUS}{TASKS[number % 500]}")).json()

    async def item(number: int) -> object:
        return (await http.post(url + ITEM, json={"sessionId": SESSION, "audioUrl": SONGS[number % 500]})).json()

    return status, item


async def openai_client(stack: AsyncExitStack, url: str, at_once: int) -> Opened:
    """openai-python's own client as it comes, retries and models and all, pointed at this server."""
    import openai  # noqa: PLC0415 - a peer

    del at_once  # it brings limits of its own
    client = await stack.enter_async_context(openai.AsyncOpenAI(api_key=KEY, base_url=url))

    class Status(openai.BaseModel):
        taskId: str  # noqa: N815 - the service's name
        status: str | None = None
        createdAt: str | None = None  # noqa: N815 - the service's name

    async def status(number: int) -> object:
        return await client.get(STATUS + TASKS[number % 500], cast_to=Status)

    async def item(number: int) -> object:
        return await client.post(ITEM, body={"sessionId": SESSION, "audioUrl": SONGS[number % 500]}, cast_to=Status)

    return status, item


async def requests_client(stack: AsyncExitStack, url: str, at_once: int) -> Opened:
    """`requests` in threads, one session among them."""
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - a peer

    import requests  # noqa: PLC0415 - a peer

    threads = min(at_once, MOST_THREADS)
    http = stack.enter_context(requests.Session())
    http.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=threads))
    http.headers.update(HEADERS)
    pool = stack.enter_context(ThreadPoolExecutor(threads))
    loop = asyncio.get_running_loop()

    def get(number: int) -> object:
        return http.get(f"{url}{STATUS}{TASKS[number % 500]}", timeout=60).json()

    def post(number: int) -> object:
        return http.post(url + ITEM, json={"sessionId": SESSION, "audioUrl": SONGS[number % 500]}, timeout=60).json()

    return lambda number: loop.run_in_executor(pool, get, number), lambda number: loop.run_in_executor(
        pool, post, number
    )


@attrs.frozen
class Peer:
    """One way to send requests.

    Attributes:
        name: What the table calls it.
        open: Makes its client.
        needs: Packages beside the library's own.
        share: Requests that it is measured with, as a share of the others': the dear ones get fewer.
    """

    name: str
    open: Callable[[AsyncExitStack, str, int], Awaitable[Opened]]
    needs: tuple[str, ...] = ()
    share: float = 1.0

    @property
    def missing(self) -> list[str]:
        """What it needs that isn't installed."""
        return [name for name in self.needs if find_spec(name) is None]


BARE, OURS = "bare aiohttp loop", "mountsea-async"
PEERS = (
    Peer(BARE, bare),
    Peer(OURS, ours),
    Peer("mountsea-async, orjson", ours_with_orjson, ("orjson",)),
    Peer("bare aiohttp loop, uvloop", bare, ("uvloop",)),
    Peer("mountsea-async, uvloop", ours, ("uvloop",)),
    Peer("mountsea-async, uvloop and orjson", ours_with_orjson, ("uvloop", "orjson")),
    Peer("requests, threads", requests_client, ("requests",), 0.25),
    Peer("httpx", httpx_client, ("httpx",), 0.15),
    Peer("openai-python", openai_client, ("openai",), 0.15),
)


# -------------------------------------------------------------------------------------------------------- measuring
class Bench:
    """A peer with its client and event loop, open for as long as it is measured."""

    def __init__(self, peer: Peer, url: str, at_once: int, kind: str) -> None:
        self.peer, self._at_once = peer, at_once
        self._runner = asyncio.Runner(loop_factory=_loop_factory(peer))
        self._stack = AsyncExitStack()
        self._ask = self._runner.run(self._open(url, kind))
        self.taken: list[float] = []

    async def _open(self, url: str, kind: str) -> Ask:
        status, item = await self.peer.open(self._stack, url, self._at_once)
        return status if kind == "status" else item

    def measure(self, count: int) -> None:
        """Microseconds of this process's CPU for each of `count` requests, after a round that opens connections."""
        self.taken.append(self._runner.run(self._measure(count)) / count * 1e6)

    async def _measure(self, count: int) -> float:
        await self._send(self._at_once)
        gc.collect()
        began = time.process_time()
        await self._send(count)
        return time.process_time() - began

    async def _send(self, count: int) -> None:
        numbers = iter(range(count))
        await asyncio.gather(*(self._work(numbers) for _ in range(self._at_once)))

    async def _work(self, numbers: Iterator[int]) -> None:
        ask = self._ask
        for number in numbers:
            await ask(number)

    def close(self) -> None:
        """Ends its client and its loop."""
        self._runner.run(self._stack.aclose())
        self._runner.close()


def _loop_factory(peer: Peer) -> Callable[[], asyncio.AbstractEventLoop] | None:
    if "uvloop" not in peer.needs:
        return None
    import uvloop  # noqa: PLC0415 - a peer

    return uvloop.new_event_loop


def _ratios(taken: Sequence[float], base: Sequence[float]) -> list[float]:
    return [own / other for own, other in zip(taken, base, strict=True)]


def compare(url: str, peers: list[Peer], kind: str, at_once: int, count: int, repeats: int) -> list[dict[str, Any]]:
    """All peers in turn, again and again, each time beginning with another."""
    benches = [Bench(peer, url, at_once, kind) for peer in peers]
    gc.collect()
    gc.freeze()  # what the dearest peer has imported must not slow down the others' collections
    for repeat in range(repeats):
        first = repeat % len(benches)
        for bench in benches[first:] + benches[:first]:
            bench.measure(max(at_once, int(count * bench.peer.share)))
    for bench in benches:
        bench.close()
    gc.unfreeze()
    taken = {bench.peer.name: bench.taken for bench in benches}
    rows = []
    for bench in benches:
        ratios = _ratios(bench.taken, taken[BARE])
        rows.append(
            {
                "request": kind,
                "at once": at_once,
                "client": bench.peer.name,
                "CPU µs": round(median(bench.taken)),
                "spread": spread(bench.taken),
                "ratio to bare": round(median(ratios), 2),
                "spread of the ratio": spread(ratios),
                "ratio to ours": round(median(_ratios(bench.taken, taken[OURS])), 2),
            }
        )
    return rows


METHOD = (
    "Requests over loopback to a hand-written protocol server in another process on another core, small JSON both"
    " ways: statuses of 500 tasks in turn (GET), items with a URL each (POST). N tasks send N at once, each one "
    "request after the other; pools hold as many connections, at most 100, but for openai-python's, which is as "
    "it comes, and `requests` has at most 64 threads. With 512 at once the library's own gate lets 100 through. "
    "The bare loop: one ClientSession, the same headers, `read()`, `json.loads`, nothing else. The library's "
    "status is `client.status`; its item is the paid request as a batch makes it. CPU is `process_time` of the "
    "client's process, after a round that opens the connections and a collection of garbage; {repeats} "
    "interleaved repeats at 64, {fewer} at the others; medians; a ratio is the median of the repeats' ratios."
)


def main() -> None:
    """Measures, and prints one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small counts at 64 at once, for a look")
    parser.add_argument("--repeats", type=int, help="how often each is measured at 64 at once")
    parser.add_argument("--only", nargs="+", metavar="WORD", help="peers whose name holds one of these words")
    parser.add_argument("--json")
    asked = parser.parse_args()
    repeats = asked.repeats or (3 if asked.quick else 15)
    fewer, count = (1, 400) if asked.quick else (max(3, repeats // 3), 3000)
    words = asked.only or [""]
    wanted = [peer for peer in PEERS if peer.name in (BARE, OURS) or any(word in peer.name for word in words)]
    peers = [peer for peer in wanted if not peer.missing]
    rows = []
    with lean_server() as url:
        stay_on(0)
        plan = [("status", 64, repeats), ("item", 64, repeats), ("status", 32, fewer), ("status", 512, fewer)]
        for kind, at_once, times in plan[:2] if asked.quick else plan:
            rows += compare(url, peers, kind, at_once, count, times)
    names = sorted({name for peer in peers for name in peer.needs})
    told = " Versions: " + ", ".join(f"{name} {version(name)}" for name in names) + "." if names else ""
    for peer in wanted:
        if peer.missing:
            told += f" Left out: {peer.name} ({', '.join(peer.missing)} not installed)."
    show("request_cost", METHOD.format(repeats=repeats, fewer=fewer) + told, rows, asked.json)


if __name__ == "__main__":
    main()
