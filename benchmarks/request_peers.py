"""The clients whose requests are measured against each other: the library, a bare aiohttp loop, and its peers.

Each opens what it needs and gives two functions, which send one request each. No measuring here.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from importlib.util import find_spec
from typing import Any, TypeAlias

import aiohttp
import attrs

from mountsea_async import ClientConfig, MountseaClient, Pace, RetryPolicy
from mountsea_async.wire import decode, endpoints
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
    """The library: the status of a task, and the paid request as a batch makes it, less the batch's own records."""
    config = ClientConfig(json_loads=json_loads)
    pace = Pace(min(at_once, MOST_SOCKETS))
    client = await stack.enter_async_context(MountseaClient(KEY, base_url=url, config=config, pace=pace))
    transport = Transport(KEY, url, config, pace.limit, None)
    await transport.open()
    stack.push_async_callback(transport.close)
    caller = Caller(transport, pace, RetryPolicy(), random.Random(1), json_loads)  # noqa: S311 - jitter

    async def status(number: int) -> object:
        return await client.task(TASKS[number % 500]).status()

    async def item(number: int) -> object:
        return await caller.submit(Unwatched(endpoints.submit_item(SESSION, SONGS[number % 500])), decode.task_id)

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
        environment: Variables that its process gets besides.
    """

    name: str
    open: Callable[[AsyncExitStack, str, int], Awaitable[Opened]]
    needs: tuple[str, ...] = ()
    share: float = 1.0
    environment: Mapping[str, str] = {}

    @property
    def missing(self) -> list[str]:
        """What it needs that isn't installed."""
        return [name for name in self.needs if find_spec(name) is None]


BARE, OURS = "bare aiohttp loop", "mountsea-async"
PEERS = (
    Peer(BARE, bare),
    Peer("bare aiohttp loop, blocks mapped anew", bare, environment={"MALLOC_MMAP_THRESHOLD_": str(128 << 10)}),
    Peer(OURS, ours),
    Peer("mountsea-async, orjson", ours_with_orjson, ("orjson",)),
    Peer("bare aiohttp loop, uvloop", bare, ("uvloop",)),
    Peer("mountsea-async, uvloop", ours, ("uvloop",)),
    Peer("mountsea-async, uvloop and orjson", ours_with_orjson, ("uvloop", "orjson")),
    Peer("requests, threads", requests_client, ("requests",), 0.25),
    Peer("httpx", httpx_client, ("httpx",), 0.15),
    Peer("openai-python", openai_client, ("openai",), 0.15),
)
