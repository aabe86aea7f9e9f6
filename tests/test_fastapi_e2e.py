"""The application of the README under uvicorn, the emulator behind it: posted to, watched, ended, started again."""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import time
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from support.names import KEY, urls
from support.server import BOUND, Server, until

from mountsea_async.testing import Behaviour, Emulator, Uniform

pytestmark = pytest.mark.e2e

README = Path(__file__).parents[1] / "README.md"
EXAMPLE = next(
    found
    for found in re.findall(r"^```python\n(.*?)^```", README.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    if "mountsea_router" in found
)
BASIC = "Basic " + b64encode(b"me:let me in").decode()
FULL = int(os.environ.get("SIMULATION_EVERY", "6")) == 1  # as `.ci/run --full` sets it
RESTARTS = 20 if FULL else 1
READERS, WATCHED = (200, 300) if FULL else (40, 100)
SILENT = 60.0 if FULL else 0.0


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator(Behaviour(durations=Uniform(0.2, 0.8), latency=0.01), api_key=KEY).in_thread() as emulator:
        yield emulator


@pytest.fixture
def server(emulator: Emulator, tmp_path: Path) -> Iterator[Server]:
    (tmp_path / "example.py").write_text(EXAMPLE, encoding="utf-8")
    ours = {"MOUNTSEA_API_KEY": KEY, "MOUNTSEA_BASE_URL": emulator.base_url}
    with Server("example:app", tmp_path, {"Authorization": BASIC}, **ours) as server:
        yield server
    assert KEY not in server.log.read_text()


def curl(server: Server, *arguments: str) -> str:
    found = shutil.which("curl")
    if found is None:
        assert "CI" not in os.environ, "curl is missing"
        pytest.skip("needs curl")
    command = [found, "-sS", "--fail", "--max-time", "120", "-u", "me:let me in", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=150, check=False)
    assert done.returncode == 0, done.stderr
    assert KEY not in done.stdout
    return done.stdout


def messages(stream: str) -> list[dict[str, str]]:
    """What stands in an event stream."""
    blocks = [block.splitlines() for block in stream.split("\n\n") if block.strip()]
    return [dict(line.split(": ", 1) for line in block if not line.startswith(":")) for block in blocks]


def test_the_example_is_short() -> None:
    assert len([line for line in EXAMPLE.splitlines() if line.strip()]) <= 40


def test_300_urls_are_posted_watched_to_their_end_and_paid_for_once(emulator: Emulator, server: Server) -> None:
    songs = urls(300)
    post = [
        *("-H", "Idempotency-Key: album-7", "-H", "Content-Type: application/json"),
        *("-d", json.dumps({"urls": songs}), f"{server.url}/batches"),
    ]
    made = json.loads(curl(server, *post))
    seen = messages(curl(server, "-N", server.url + made["links"]["events"]))
    again = json.loads(curl(server, *post))
    report = json.loads(curl(server, server.url + made["links"]["self"]))["report"]
    numbered = [message for message in seen if "id" in message]
    assert [int(message["id"]) for message in numbered] == list(range(len(numbered)))
    assert json.loads(seen[-1]["data"])["counts"] == {"succeeded": 300}
    assert again["id"] == made["id"]
    assert report["ok"]
    assert len(report["audio_ids"]) == 300
    assert [emulator.ledger.posts(song) for song in songs] == [1] * 300


def test_a_few_urls_are_uploaded_while_the_caller_waits(emulator: Emulator, server: Server) -> None:
    clips = server.ask("POST", "/clips", urls(3))
    assert set(clips) == {charge.clip_id for charge in emulator.ledger.charges}


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGKILL])
def test_ended_in_mid_batch_and_started_again_it_finishes_and_pays_for_nothing_twice(
    emulator: Emulator, server: Server, ending: signal.Signals
) -> None:
    rng = random.Random(7)  # noqa: S311 - a moment
    for number in range(RESTARTS):
        songs = urls(60, stem=f"round-{number}")
        charged = len(emulator.ledger.charges)
        made = server.ask("POST", "/batches", {"urls": songs})
        moment = charged + rng.randrange(61)
        until(lambda moment=moment: len(emulator.ledger.charges) >= moment, "its moment")  # type: ignore[misc]
        code = server.end(ending)
        assert code in ((0, -signal.SIGTERM) if ending is signal.SIGTERM else (-signal.SIGKILL,))
        server.start()
        report = server.finished(made)["report"]
        assert emulator.ledger.paid_twice() == {}
        paid = {charge.audio_url: charge.clip_id for charge in emulator.ledger.charges if charge.audio_url in songs}
        assert set(paid.values()) <= set(report["audio_ids"])  # whatever was paid for is in the caller's hands
        if ending is signal.SIGTERM:
            assert report["ok"], report["counts"]


def test_a_server_that_is_told_to_end_does_not_wait_for_its_watchers(emulator: Emulator, server: Server) -> None:
    made = server.ask("POST", "/batches", {"urls": urls(60)})
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as watcher:
        watcher.sendall(request("GET", made["links"]["events"]))
        assert watcher.recv(1024).startswith(b"HTTP/1.1 200")
        until(lambda: emulator.ledger.charges, "something is charged")
        assert server.end(signal.SIGTERM) in (0, -signal.SIGTERM)
        while watcher.recv(65536):
            pass
    charged = len(emulator.ledger.charges)
    server.start()
    assert server.finished(made)["counts"] == {"succeeded": 60}
    assert charged < 60


def request(method: str, path: str, body: bytes = b"") -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: {BASIC}\r\nContent-Length: {len(body)}\r\n"
    return (head + "Content-Type: application/json\r\n\r\n").encode() + body


def test_a_caller_who_leaves_at_once_has_his_batch_all_the_same(emulator: Emulator, server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as caller:
        caller.sendall(request("POST", "/batches", json.dumps({"urls": urls(30)}).encode()))
    (made,) = until(lambda: server.ask("GET", "/batches")["batches"], "it was taken in")
    assert server.finished(made)["counts"] == {"succeeded": 30}
    assert emulator.ledger.paid_twice() == {}


def memory(server: Server) -> int:
    """Bytes of memory that the server holds."""
    status = Path(f"/proc/{server.pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found
    return int(found[1]) * 1024


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")
def test_readers_who_read_nothing_neither_hold_up_a_batch_nor_make_memory_grow(
    emulator: Emulator, server: Server
) -> None:
    quiet = server.ask("POST", "/batches", {"urls": urls(500, stem="quiet")})
    assert server.finished(quiet)["counts"] == {"succeeded": 500}
    before = memory(server)
    watched = server.ask("POST", "/batches", {"urls": urls(500, stem="watched")})
    silent, begun = [], time.monotonic()
    try:
        for _ in range(100):  # what is sent to one of them is about half a megabyte
            reader = socket.socket()
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            reader.connect(("127.0.0.1", server.port))
            reader.sendall(request("GET", watched["links"]["events"]))
            silent.append(reader)
        assert server.finished(watched)["counts"] == {"succeeded": 500}
        until(lambda: time.monotonic() >= begun + SILENT, "so long did they read nothing", 2 * BOUND)
        grown = memory(server) - before
    finally:
        for reader in silent:
            reader.close()
    assert grown < 25_000_000
    assert server.ask("GET", "/batches")["batches"]


async def test_every_one_of_many_readers_is_told_every_event_once_and_in_order(
    emulator: Emulator, server: Server
) -> None:
    made = await asyncio.to_thread(server.ask, "POST", "/batches", {"urls": urls(WATCHED)})
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(server.url, connector=connector, headers={"Authorization": BASIC}) as http:

        async def read() -> list[int]:
            async with http.get(made["links"]["events"]) as answer:
                return [int(line[4:]) async for line in answer.content if line.startswith(b"id: ")]

        seen = await asyncio.gather(*(read() for _ in range(READERS)))
    whole: dict[str, Any] = await asyncio.to_thread(server.finished, made)
    assert whole["counts"] == {"succeeded": WATCHED}
    assert len(seen[0]) > 3 * WATCHED
    assert seen == [list(range(len(seen[0])))] * READERS
