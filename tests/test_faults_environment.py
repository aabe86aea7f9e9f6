"""Faults of what surrounds the library: clocks, names, certificates, the caller's own code, the size of the input.

The rows are listed in `test_fault_matrix.py`; those that other modules show already are not repeated here.
"""

from __future__ import annotations

import asyncio
import errno
import itertools
import json
import logging
import os
import resource
import shutil
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from support.names import KEY, urls
from support.raw_server import Connection, RawServer

from mountsea_async import (
    BatchReport,
    ClientConfig,
    Event,
    InputError,
    ItemChanged,
    ItemState,
    MountseaClient,
    NotSentError,
    RetryPolicy,
    TransportError,
)
from mountsea_async.testing import Behaviour, Drip, Emulator, Fault, Fixed


def states(report: BatchReport) -> list[str]:
    return [item.state.value for item in report.items]


def jump(seconds: float) -> None:
    """The loop stands still for so long, as it does when somebody blocks it or the machine sleeps."""
    asyncio.get_running_loop().now += seconds  # type: ignore[attr-defined] # the tests' own loop


async def service(connection: Connection) -> None:
    """As much of the service as one upload needs."""
    while True:
        asked = await connection.request()
        if asked.line.startswith("POST"):
            await connection.answer("201 Created", b'{"taskId":"t-1"}')
        else:
            await connection.answer("200 OK", b'{"taskId":"t-1","status":"success","data":{"id":"c-1"}}')


def posts(server: RawServer) -> int:
    return sum(request.line.startswith("POST") for request in server.requests)


# ----------------------------------------------------------------------------------------------------------- clocks
@pytest.fixture
def jumping_wall_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wall clock that is set back and forth by hours, days and months all the time."""
    real, offsets = time.time, itertools.cycle((0, 3600, -3600, 86400.0 * 90, -86400.0 * 90, 0.5, -0.5))
    monkeypatch.setattr(time, "time", lambda: real() + next(offsets))


@pytest.mark.usefixtures("jumping_wall_clock")
async def test_a_wall_clock_that_jumps_changes_neither_waits_nor_outcomes(world) -> None:
    w = await world(Behaviour(durations=Fixed(30)))
    report = await w.client.upload_batch(urls(20), deadline=200)
    assert report.ok
    assert 30 <= report.stats.elapsed <= 60
    assert all(item.submitted_at <= item.ended_at for item in report.items)


@pytest.mark.usefixtures("jumping_wall_clock")
async def test_a_deadline_is_met_on_the_dot_whatever_the_wall_clock_says(world) -> None:
    w = await world(Behaviour(durations=Fixed(1000)))
    loop = asyncio.get_running_loop()
    began = loop.time()
    report = await w.client.upload_batch(urls(3), deadline=100)
    assert set(states(report)) == {"undetermined"}
    assert 100 <= loop.time() - began <= 111


async def test_a_machine_that_slept_finds_its_uploads_again_without_a_stampede(world) -> None:
    w = await world(Behaviour(durations=Fixed(30)))
    batch = asyncio.create_task(w.client.upload_batch(urls(100), concurrency=8))
    await asyncio.sleep(10)
    assert len(w.ledger.charges) == 100
    await w.emulator.__aexit__(None, None, None)  # every connection is dead by the time it wakes up
    jump(8 * 3600)
    await w.emulator.__aenter__()
    report = await batch
    assert report.ok
    assert w.ledger.peak_connections <= 8
    assert w.ledger.peak_in_flight <= 8
    assert w.ledger.paid_twice() == {}


async def test_requests_that_were_on_their_way_when_the_machine_fell_asleep_are_not_repeated(world) -> None:
    w = await world(Behaviour(durations=Fixed(30), latency=5))
    batch = asyncio.create_task(w.client.upload_batch(urls(20), concurrency=6))
    await asyncio.sleep(7)
    sent = [call.audio_url for call in w.ledger.calls if call.endpoint == "item"]
    assert 0 < len(sent) < 20
    await w.emulator.__aexit__(None, None, None)
    jump(8 * 3600)
    await w.emulator.__aenter__()
    report = await batch
    assert w.ledger.paid_twice() == {}
    assert [w.ledger.posts(url) for url in sent] == [1] * len(sent)
    assert w.ledger.lost(report.audio_ids) == ()
    assert {item.state for item in report.items if item.audio_url in sent} <= {ItemState.UNKNOWN, ItemState.SUCCEEDED}


# ------------------------------------------------------------------------------------------------------------ names
class Names(AbstractResolver):
    """Resolves as it is told to: each look-up takes the next answer, the last one stays."""

    def __init__(self, *answers: list[tuple[socket.AddressFamily, str]] | OSError) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.asked += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, OSError):
            raise answer
        return [
            ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=0)
            for family, address in answer
        ]

    async def close(self) -> None:
        pass


NXDOMAIN = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
V4, V6 = (socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")


async def upload_by_name(names: Names, port: int, **policy: int) -> str:
    """One upload to a host of that name. Returns the clip's id."""
    config = ClientConfig(allow_http=True, retry=RetryPolicy(**policy))
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=100, resolver=names)) as http,
        MountseaClient(KEY, base_url=f"http://api.example:{port}", http=http, config=config) as client,
    ):
        return (await client.upload(urls(1)[0])).id


async def test_a_name_that_is_unknown_for_a_while_is_looked_up_again_and_paid_for_once() -> None:
    names = Names(NXDOMAIN, NXDOMAIN, NXDOMAIN, [V4])
    async with RawServer(service) as server:
        assert await upload_by_name(names, server.port) == "c-1"
        assert names.asked >= 4
        assert posts(server) == 1


async def test_a_name_that_stays_unknown_ends_with_nothing_sent() -> None:
    names = Names(NXDOMAIN)
    with pytest.raises(NotSentError, match=r"no address is known for api\.example"):
        await upload_by_name(names, 80, max_tries=3)
    assert names.asked == 3


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6 loopback")
@pytest.mark.parametrize("dead", ["refuses", "is silent"])
async def test_a_dead_ipv6_does_not_keep_an_upload_from_going_over_ipv4(dead: str) -> None:
    async with RawServer(service) as server:
        with socket.socket(socket.AF_INET6) as six, socket.socket(socket.AF_INET6) as filler:
            if dead == "is silent":
                six.bind(("::1", server.port))
                six.listen(0)
                filler.setblocking(False)
                assert filler.connect_ex(six.getsockname()) in (0, errno.EINPROGRESS)
            loop = asyncio.get_running_loop()
            began = loop.time()
            assert await upload_by_name(Names([V6, V4]), server.port) == "c-1"
            assert loop.time() - began < 10, "the connect timeout was not needed"
        assert posts(server) == 1


# ------------------------------------------------------------------------------------------------------ certificates
CA = """[ca]
default_ca = d
[d]
database = {folder}/index.txt
new_certs_dir = {folder}
rand_serial = yes
policy = p
default_md = sha256
[p]
commonName = supplied
[v3]
subjectAltName = {names}
"""


@pytest.fixture(scope="module")
def certify(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., ssl.SSLContext]:
    """Makes a server's context with a certificate that signs itself; the client's is made from its `.pem`."""
    command = shutil.which("openssl")
    if command is None:
        pytest.skip("there is no openssl command to make a certificate with")

    def run(*arguments: str) -> None:
        subprocess.run([command, *arguments], check=True, capture_output=True)

    def make(names: str = "IP:127.0.0.1", since: int = 2020, until: int = 2099) -> tuple[ssl.SSLContext, ClientConfig]:
        folder = tmp_path_factory.mktemp("tls")
        (folder / "index.txt").touch()
        (folder / "ca.cnf").write_text(CA.format(folder=folder, names=names))
        key, request, made = (str(folder / name) for name in ("key.pem", "request.pem", "made.pem"))
        curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
        run("req", "-new", *curve, "-nodes", "-subj", "/CN=localhost", "-keyout", key, "-out", request)
        dates = ["-startdate", f"{since}0101000000Z", "-enddate", f"{until}0101000000Z"]
        signing = ["-batch", "-selfsign", "-keyfile", key, "-extensions", "v3", "-notext"]
        run("ca", "-config", str(folder / "ca.cnf"), *signing, *dates, "-in", request, "-out", made)
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.load_cert_chain(made, key)
        return server, ClientConfig(ssl_context=ssl.create_default_context(cafile=made))

    return make


BAD_CERTIFICATES = {
    "expired": ({"until": 2021}, "expired"),
    "not yet valid": ({"since": 2098}, "not yet valid"),
    "for another address": ({"names": "IP:127.0.0.9"}, "IP address mismatch"),
    "for a name": ({"names": "DNS:api.example.com"}, "127.0.0.1"),
}


@pytest.mark.parametrize(("settings", "says"), BAD_CERTIFICATES.values(), ids=BAD_CERTIFICATES)
async def test_a_bad_certificate_ends_the_upload_at_once_and_nothing_is_sent(certify, settings, says: str) -> None:
    context, config = certify(**settings)
    async with RawServer(service, tls=context) as server:
        async with MountseaClient(KEY, base_url=server.url, config=config) as client:
            with pytest.raises(NotSentError, match=says) as caught:
                await client.upload(urls(1)[0])
            assert caught.value.permanent
            with pytest.raises(TransportError, match=says) as caught_by_batch:
                await client.upload_batch(urls(3))
            assert caught_by_batch.value.permanent
        assert server.requests == []
        assert server.connections <= 2, "one try each"


def through(backend: RawServer) -> Callable[[Connection], Awaitable[None]]:
    """A wire that passes everything on to another server."""

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()

    async def behave(connection: Connection) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", backend.port)
        try:
            await asyncio.gather(pump(connection._reader, writer), pump(reader, connection._writer))
        finally:
            writer.close()

    return behave


async def test_a_handshake_that_is_cut_is_tried_again_and_paid_for_once(certify) -> None:
    async def cut(connection: Connection) -> None:
        await connection._reader.read(64)
        connection.reset()

    context, config = certify()
    async with RawServer(service, tls=context) as backend:
        async with RawServer(cut, cut, cut, through(backend)) as wire:
            address = f"https://127.0.0.1:{wire.port}"
            async with MountseaClient(KEY, base_url=address, config=config) as client:
                assert (await client.upload(urls(1)[0])).id == "c-1"
            assert wire.connections == 4
        assert posts(backend) == 1


async def test_a_server_that_speaks_no_tls_is_never_spoken_to_in_the_clear() -> None:
    heard: list[bytes] = []

    async def plain(connection: Connection) -> None:
        heard.append(await connection._reader.read(65536))
        await connection.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

    async with RawServer(plain) as server:
        address = server.url.replace("http:", "https:")
        async with MountseaClient(KEY, base_url=address, config=ClientConfig(retry=RetryPolicy(max_tries=3))) as client:
            with pytest.raises(NotSentError):
                await client.upload(urls(1)[0])
    assert heard
    assert all(first.startswith(b"\x16\x03") for first in heard), "nothing but TLS"
    assert not any(KEY.encode() in data or b"POST" in data for data in heard)


async def test_answers_that_drip_are_cut_off_and_only_polls_are_asked_again(world) -> None:
    faults = (
        Fault(Drip(10), on="item", url="*-00001.mp3"),
        Fault(Drip(10), on="status", nth=frozenset({1, 2, 3})),
    )
    w = await world(Behaviour(durations=Fixed(1), faults=faults))
    report = await w.client.upload_batch(urls(3))
    assert states(report) == ["succeeded", "unknown", "succeeded"]
    assert w.ledger.posts(urls(3)[1]) == 1
    assert report.stats.poll_errors >= 2
    assert w.ledger.lost(report.audio_ids) == ()


# ---------------------------------------------------------------------------------------------------- the input
async def test_a_batch_of_none_is_an_error_and_a_batch_of_one_is_a_batch(world) -> None:
    w = await world(Behaviour(durations=Fixed(1)))
    with pytest.raises(InputError, match="empty"):
        await w.client.upload_batch([])
    assert w.ledger.calls == ()
    report = await w.client.upload_batch(urls(1))
    assert report.ok
    assert w.ledger.requests("item") == 1


def ended(process: subprocess.Popen[bytes]) -> tuple[int, resource.struct_rusage]:
    """How a process has ended, and what it took."""
    end = time.monotonic() + 150
    while time.monotonic() < end:
        pid, status, used = os.wait4(process.pid, os.WNOHANG)
        if pid:
            return status, used
        time.sleep(0.05)
    process.kill()
    process.wait()
    raise AssertionError("it did not end")


PER_ITEM = 8 << 10
"""Bytes of memory that an item of a huge batch may cost, its report included."""


@pytest.mark.e2e
def test_a_hundred_thousand_urls_are_held_in_bounded_memory(tmp_path: Path) -> None:
    count = 100_000
    (tmp_path / "urls.txt").write_text("\n".join(urls(count)), encoding="utf-8")
    emulator = Emulator(Behaviour(durations=Fixed(0.01), credits=50), api_key=KEY, keep_calls=False)
    with emulator.in_thread(), (tmp_path / "out.jsonl").open("wb") as out, (tmp_path / "err").open("wb") as err:
        process = subprocess.Popen(
            [sys.executable, "-m", "mountsea_async.cli", "upload", "urls.txt", "--format", "jsonl"],
            env={
                **os.environ,
                "MOUNTSEA_API_KEY": KEY,
                "MOUNTSEA_BASE_URL": emulator.base_url,
                "XDG_STATE_HOME": str(tmp_path),
            },
            cwd=tmp_path,
            stdout=out,
            stderr=err,
        )
        status, used = ended(process)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 4, (tmp_path / "err").read_text()
        assert len(emulator.ledger.charges) == 50
        assert emulator.ledger.paid_twice() == {}
    lines = (tmp_path / "out.jsonl").read_text().splitlines()
    ends = [json.loads(line)["state"] for line in lines]
    assert len(ends) == count
    assert (ends.count("succeeded"), ends.count("not_submitted")) == (50, count - 50)
    assert used.ru_maxrss * 1024 < (100 << 20) + count * PER_ITEM


# ---------------------------------------------------------------------------------------------- the caller's own code
async def test_a_callback_that_raises_at_every_event_changes_no_items_state(world) -> None:
    behaviour = Behaviour(durations=Fixed(5), fail_share=0.3, timeout_share=0.2, seed=11)
    quiet = await world(behaviour)
    expected = states(await quiet.client.upload_batch(urls(40), concurrency=1))
    loud = await world(behaviour)
    heard = 0

    def broken(event: Event) -> None:
        nonlocal heard
        heard += 1
        raise RuntimeError("my own fault")

    report = await loud.client.upload_batch(urls(40), concurrency=1, on_event=broken)
    assert states(report) == expected
    assert len(set(expected)) == 3
    assert heard > 100
    assert loud.ledger.paid_twice() == {}


async def test_a_callback_that_blocks_the_loop_changes_no_outcome_and_is_told(
    world, caplog: pytest.LogCaptureFixture
) -> None:
    w = await world(Behaviour(durations=Fixed(60)))

    def blocks(event: Event) -> None:
        if isinstance(event, ItemChanged) and event.state is ItemState.SUBMITTED:
            jump(40)

    with caplog.at_level(logging.WARNING, logger="mountsea_async"):
        report = await w.client.upload_batch(urls(3), concurrency=1, on_event=blocks)
    assert report.ok
    assert w.ledger.paid_twice() == {}
    assert [record for record in caplog.records if "loop" in record.message]


# ------------------------------------------------------------------------------------------------- a blocked loop
def answering_before_a_block(seconds: float, *, on: str) -> Callable[[Connection], Awaitable[None]]:
    """The service; once, its answer is in the client's socket when the loop is blocked for so long."""
    blocked = False

    async def behave(connection: Connection) -> None:
        nonlocal blocked
        while True:
            asked = await connection.request()
            if asked.line.startswith("POST"):
                await connection.answer("201 Created", b'{"taskId":"t-1"}')
            else:
                await connection.answer("200 OK", b'{"taskId":"t-1","status":"success","data":{"id":"c-1"}}')
            if asked.line.startswith(on) and not blocked:
                blocked = True
                jump(seconds)

    return behave


@pytest.mark.parametrize("on", ["POST", "GET"])
async def test_an_answer_that_came_while_the_loop_was_blocked_counts_though_its_timer_is_late(on: str) -> None:
    async with RawServer(answering_before_a_block(70, on=on)) as server:
        async with MountseaClient(KEY, base_url=server.url) as client:
            assert (await client.upload(urls(1)[0])).id == "c-1"
        assert posts(server) == 1
