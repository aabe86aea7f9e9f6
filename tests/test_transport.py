"""One attempt over real sockets: every way in which it can fail, and what each proves."""

from __future__ import annotations

import asyncio
import gzip
import json
import shutil
import socket
import ssl
import subprocess
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.client_exceptions import UnixClientConnectorError
from aiohttp.client_reqrep import ConnectionKey
from support.names import KEY
from support.raw_server import Connection, RawServer, answer, unused_port
from yarl import URL

import mountsea_async
from mountsea_async.config import ClientConfig, Timeouts
from mountsea_async.errors import NotSentError
from mountsea_async.wire import decode, endpoints, transport
from mountsea_async.wire.endpoints import Request
from mountsea_async.wire.protocol import (
    Accepted,
    Cause,
    NotSent,
    Response,
    SendFailure,
    Unknown,
    classify_submit,
    transport_error,
)
from mountsea_async.wire.transport import Flight, Transport, pool_limit

ITEM = endpoints.submit_item("5e55-10n", "https://cdn.example.com/a.mp3")
POLL = endpoints.task_status("t-1")
PREPARE = endpoints.prepare_session()
CREATED = b'{"taskId":"t-1"}'
CONFIG = ClientConfig(timeouts=Timeouts(connect=10, submit=60, poll=30))


@asynccontextmanager
async def opened(
    url: str, *, http: aiohttp.ClientSession | None = None, config: ClientConfig = CONFIG, limit: int = 10
) -> AsyncIterator[Transport]:
    carrier = Transport(KEY, url, config, limit, http)
    await carrier.open()
    try:
        yield carrier
    finally:
        await carrier.close()


async def attempt(
    url: str, request: Request = ITEM, *, http: aiohttp.ClientSession | None = None, config: ClientConfig = CONFIG
) -> Response | SendFailure:
    async with opened(url, http=http, config=config) as carrier:
        result = await carrier.send(request)
    assert KEY not in repr(result)
    return result


# ---------------------------------------------------------------------------------------------- whole answers
async def created(connection: Connection) -> None:
    while True:
        await connection.request()
        await connection.answer("201 Created", CREATED)


async def test_a_whole_answer_is_a_response_with_its_status_body_and_the_headers_that_matter() -> None:
    async def busy(connection: Connection) -> None:
        await connection.request()
        await connection.answer("429 Slow Down", b"later", "Retry-After: 7", "Date: Wed, 21 Oct 2026 07:28:00 GMT")

    async with RawServer(busy) as server:
        result = await attempt(server.url)
    assert result == Response(429, b"later", "7", "Wed, 21 Oct 2026 07:28:00 GMT")


@pytest.mark.parametrize("status", [200, 201, 204, 301, 304, 400, 401, 404, 429, 500, 502, 503, 504, 599])
async def test_no_status_is_an_exception(status: int) -> None:
    async def say(connection: Connection) -> None:
        await connection.request()
        await connection.answer(f"{status} Whatever")

    async with RawServer(say) as server:
        result = await attempt(server.url)
    assert isinstance(result, Response)
    assert result.status == status


async def test_html_is_handed_over_as_it_is() -> None:
    async def html(connection: Connection) -> None:
        await connection.request()
        await connection.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>")

    async with RawServer(html) as server:
        assert await attempt(server.url, POLL) == Response(200, b"<html>", None, None)


async def test_a_chunked_answer_is_put_together() -> None:
    async def chunked(connection: Connection) -> None:
        await connection.request()
        await connection.write(b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n")
        for byte in CREATED:
            await connection.write(b"1\r\n" + bytes([byte]) + b"\r\n")
        await connection.write(b"0\r\n\r\n")

    async with RawServer(chunked) as server:
        assert classify_submit(await attempt(server.url), decode.task_id) == Accepted("t-1")


async def test_an_answer_that_arrives_before_the_whole_request_was_read_is_still_the_answer() -> None:
    async def early(connection: Connection) -> None:
        await connection.answer("401 Unauthorized", b"no")
        await connection.hang()

    async with RawServer(early) as server:
        result = await attempt(server.url)
    assert isinstance(result, Response)
    assert result.status == 401


# ------------------------------------------------------------------------------------------ what is sent
async def test_a_paid_request_as_it_is_sent() -> None:
    async with RawServer(created) as server:
        await attempt(server.url)
    (sent,) = server.requests
    assert sent.line == "POST /suno/v2/audio/upload/session/item HTTP/1.1"
    assert sent.body == ITEM.body
    assert sent.header("Authorization") == f"Bearer {KEY}"
    assert sent.header("Accept") == "application/json"
    assert sent.header("Content-Type") == "application/json"
    agent = sent.header("User-Agent")
    assert agent is not None
    assert agent.startswith("mountsea-async/")
    assert f"aiohttp/{aiohttp.__version__}" in agent
    assert sent.header("Cookie") is None


async def test_a_request_without_body_sends_none() -> None:
    async with RawServer(created) as server:
        await attempt(server.url, PREPARE)
    (sent,) = server.requests
    assert sent.line == "POST /suno/v2/audio/upload/session HTTP/1.1"
    assert sent.body == b""
    assert sent.header("Content-Type") != "application/json"


async def test_a_quoted_id_reaches_the_server_as_it_was_quoted() -> None:
    async with RawServer(created) as server:
        await attempt(server.url, endpoints.task_status("a b/c?d&e=ü%2F+"))
    assert server.requests[0].line == "GET /suno/v2/status?taskId=a%20b%2Fc%3Fd%26e%3D%C3%BC%252F%2B HTTP/1.1"


async def test_a_base_url_with_a_path_keeps_it() -> None:
    async with RawServer(created) as server:
        await attempt(server.url + "/gateway/", POLL)
    assert server.requests[0].line == "GET /gateway/suno/v2/status?taskId=t-1 HTTP/1.1"


async def test_cookies_are_not_kept() -> None:
    async def cookie(connection: Connection) -> None:
        while True:
            await connection.request()
            await connection.answer("200 OK", b"{}", "Set-Cookie: a=b")

    async with RawServer(cookie) as server, opened(server.url) as carrier:
        await carrier.send(POLL)
        await carrier.send(POLL)
    assert [sent.header("Cookie") for sent in server.requests] == [None, None]


# ------------------------------------------------------------------------------- failures with nothing sent
class Resolver(AbstractResolver):
    def __init__(self, resolve: Callable[[], Awaitable[list[ResolveResult]]]) -> None:
        self._resolve = resolve

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return await self._resolve()

    async def close(self) -> None:
        pass


def assert_unsent(result: Response | SendFailure, cause: Cause, *, permanent: bool = False) -> None:
    assert isinstance(result, SendFailure)
    assert (result.cause, result.bytes_written, result.status) == (cause, 0, None)
    assert result.proves_unsent
    error = transport_error(result)
    assert isinstance(error, NotSentError)
    assert error.permanent is permanent
    assert isinstance(classify_submit(result, decode.task_id), NotSent)


async def test_a_refused_connection_proves_that_nothing_was_sent() -> None:
    assert_unsent(await attempt(f"http://127.0.0.1:{unused_port()}"), Cause.CONNECT)


async def test_a_name_that_does_not_resolve_proves_that_nothing_was_sent() -> None:
    async def fail() -> list[ResolveResult]:
        raise OSError(socket.EAI_NONAME, "Name or service not known")

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(resolver=Resolver(fail))) as http:
        assert_unsent(await attempt("http://nowhere.example", http=http), Cause.CONNECT)


async def test_a_name_that_resolves_too_slowly_proves_that_nothing_was_sent() -> None:
    async def hang() -> list[ResolveResult]:
        await asyncio.sleep(3600)
        return []

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(resolver=Resolver(hang))) as http:
        result = await attempt("http://nowhere.example", http=http)
    assert isinstance(result, SendFailure)
    assert result.cause in {Cause.CONNECT, Cause.TIMEOUT}
    assert result.proves_unsent


async def test_a_connection_that_is_not_accepted_in_time_proves_that_nothing_was_sent() -> None:
    async def mute(connection: Connection) -> None:
        await connection.hang()  # accepts, but never shakes hands

    async with RawServer(mute) as server:
        loop = asyncio.get_running_loop()
        began = loop.time()
        result = await attempt(server.url.replace("http:", "https:"))
        assert loop.time() - began <= CONFIG.timeouts.connect + 1
    assert_unsent(result, Cause.CONNECT)


async def test_tls_to_a_plain_server_proves_that_nothing_was_sent() -> None:
    async def plain(connection: Connection) -> None:
        await connection.write(answer("400 Bad Request", b"plain HTTP only"))

    async with RawServer(plain) as server:
        result = await attempt(server.url.replace("http:", "https:"))
    assert isinstance(result, SendFailure)
    assert result.cause in {Cause.TLS, Cause.CONNECT}
    assert result.proves_unsent
    assert isinstance(classify_submit(result, decode.task_id), NotSent)
    assert "not permitted" not in result.detail, "the number of an SSL error is none of the kernel's"


async def test_a_handshake_that_is_cut_proves_that_nothing_was_sent() -> None:
    async def cut(connection: Connection) -> None:
        connection.reset()

    async with RawServer(cut) as server:
        result = await attempt(server.url.replace("http:", "https:"))
    assert isinstance(result, SendFailure)
    assert result.proves_unsent
    error = transport_error(result)
    assert isinstance(error, NotSentError)
    assert not error.permanent


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate and its key, in one file."""
    command = shutil.which("openssl")
    if command is None:
        pytest.skip("there is no openssl command to make a certificate with")
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    arguments = [
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=localhost",
    ]
    arguments += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", f"{path}.key", "-out", f"{path}.crt"]
    subprocess.run([command, *arguments], check=True, capture_output=True)
    path.write_bytes(Path(f"{path}.key").read_bytes() + Path(f"{path}.crt").read_bytes())
    return path


def serving(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


async def test_a_certificate_that_does_not_hold_is_permanent_and_proves_that_nothing_was_sent(
    certificate: Path,
) -> None:
    async with RawServer(created, tls=serving(certificate)) as server:
        result = await attempt(server.url)
    assert server.requests == []
    assert_unsent(result, Cause.CERTIFICATE, permanent=True)


async def test_a_certificate_that_the_caller_trusts_is_accepted(certificate: Path) -> None:
    trusting = ssl.create_default_context(cafile=str(certificate))
    async with RawServer(created, tls=serving(certificate)) as server:
        result = await attempt(server.url, config=ClientConfig(ssl_context=trusting))
    assert classify_submit(result, decode.task_id) == Accepted("t-1")


async def test_an_attempt_on_a_closed_session_is_refused_for_good_and_does_not_crash() -> None:
    http = aiohttp.ClientSession()
    await http.close()
    async with RawServer(created) as server:
        assert_unsent(await attempt(server.url, http=http), Cause.CLIENT, permanent=True)
    assert server.connections == 0


# ---------------------------------------------------------------------- failures after something was sent
async def reset_at_once(connection: Connection) -> None:
    connection.reset()


async def reset_after_reading(connection: Connection) -> None:
    await connection.request()
    connection.reset()


async def finish(connection: Connection) -> None:
    await connection.request()


async def silence(connection: Connection) -> None:
    await connection.request()
    await connection.hang()


def says(*parts: bytes) -> Callable[[Connection], Awaitable[None]]:
    async def behave(connection: Connection) -> None:
        await connection.request()
        for part in parts:
            await connection.write(part)

    return behave


def drips(part: bytes, every: float, *, head: bytes = b"") -> Callable[[Connection], Awaitable[None]]:
    async def behave(connection: Connection) -> None:
        await connection.request()
        await connection.write(head)
        while True:
            await asyncio.sleep(every)
            await connection.write(part)

    return behave


HEAD = b"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\n"
GZIPPED = gzip.compress(CREATED)
AFTER_SENDING = [
    pytest.param(reset_at_once, Cause.DISCONNECTED, None, id="reset right after accept"),
    pytest.param(reset_after_reading, Cause.DISCONNECTED, None, id="reset after reading"),
    pytest.param(finish, Cause.DISCONNECTED, None, id="FIN without an answer"),
    pytest.param(silence, Cause.TIMEOUT, None, id="no answer in time"),
    pytest.param(says(b"HTTP/1.1 2"), Cause.DISCONNECTED, None, id="FIN in the status line"),
    pytest.param(says(HEAD), Cause.DISCONNECTED, None, id="FIN in the headers"),
    pytest.param(says(HEAD + b"Content-Length: 99\r\n\r\n"), Cause.MALFORMED, 201, id="no body though announced"),
    pytest.param(says(HEAD + b"Content-Length: 99\r\n\r\n{"), Cause.MALFORMED, 201, id="shorter than announced"),
    pytest.param(says(HEAD + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\n{}\r\n"), Cause.MALFORMED, None, id="bad chunk"),
    pytest.param(
        says(HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n"), Cause.MALFORMED, 201, id="chunks never end"
    ),
    pytest.param(says(b"HELLO WORLD\r\n\r\n"), Cause.MALFORMED, None, id="bad status line"),
    pytest.param(says(b"220 mail.example ESMTP\r\n"), Cause.MALFORMED, None, id="another protocol"),
    pytest.param(says(HEAD + b"X: " + b"x" * 20_000 + b"\r\n\r\n"), Cause.MALFORMED, None, id="oversized header"),
    pytest.param(
        says(HEAD + b"".join(b"X-%d: y\r\n" % n for n in range(5000)) + b"\r\n"),
        Cause.MALFORMED,
        None,
        id="endless headers",
    ),
    pytest.param(
        says(HEAD + b"Content-Encoding: gzip\r\nContent-Length: 20\r\n\r\n" + b"not gzip at all....."),
        Cause.MALFORMED,
        201,
        id="broken gzip",
    ),
    pytest.param(drips(b"X: y\r\n", 1, head=HEAD), Cause.TIMEOUT, None, id="headers drip"),
    pytest.param(drips(b" ", 1, head=HEAD + b"Content-Length: 9999\r\n\r\n"), Cause.TIMEOUT, 201, id="body drips"),
]


@pytest.mark.parametrize(("behaviour", "cause", "status"), AFTER_SENDING)
async def test_a_failure_after_a_byte_was_sent_leaves_the_outcome_of_a_paid_request_unknown(
    behaviour: Callable[[Connection], Awaitable[None]], cause: Cause, status: int | None
) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with RawServer(behaviour) as server:
        result = await attempt(server.url)
        assert loop.time() - began <= CONFIG.timeouts.submit + 2
    assert server.connections == 1, "a paid request is sent once"
    assert isinstance(result, SendFailure)
    assert result.cause is cause
    if status is not None:
        assert result.status == status
    assert not result.proves_unsent
    assert ITEM.body is not None
    assert result.bytes_written == len(ITEM.body)
    assert isinstance(classify_submit(result, decode.task_id), Unknown)


@pytest.mark.parametrize(("behaviour", "cause", "status"), AFTER_SENDING)
async def test_the_same_failures_of_a_request_that_costs_nothing_are_no_exception_either(
    behaviour: Callable[[Connection], Awaitable[None]], cause: Cause, status: int | None
) -> None:
    async with RawServer(behaviour) as server:
        result = await attempt(server.url, POLL)
    assert isinstance(result, SendFailure)
    assert not result.proves_unsent


@pytest.mark.parametrize(
    "tail", [b'{"taskId":"t-1",', b'{"taskId":"t-1","note":"abc'], ids=["after the comma", "in another field"]
)
@pytest.mark.parametrize("pause", [0, 1], ids=["at once", "a second later"])
@pytest.mark.parametrize(
    "framing", [b"Content-Length: 99\r\n\r\n%b", b"Transfer-Encoding: chunked\r\n\r\n63\r\n%b"], ids=["length", "chunk"]
)
async def test_a_task_id_that_arrived_whole_before_the_connection_broke_is_not_lost(
    tail: bytes, pause: float, framing: bytes
) -> None:
    async def cut_short(connection: Connection) -> None:
        await connection.request()
        await connection.write(HEAD + framing % tail)
        if pause:
            await asyncio.sleep(pause)

    async with RawServer(cut_short) as server:
        assert classify_submit(await attempt(server.url), decode.task_id) == Accepted("t-1")


async def test_a_stale_connection_that_is_reset_on_reuse_leaves_the_outcome_unknown() -> None:
    reused: asyncio.Event = asyncio.Event()

    async def stale(connection: Connection) -> None:
        await connection.request()
        await connection.answer("201 Created", CREATED)
        await reused.wait()
        connection.reset()

    async with RawServer(stale, created) as server, opened(server.url) as carrier:
        assert classify_submit(await carrier.send(ITEM), decode.task_id) == Accepted("t-1")
        asyncio.get_running_loop().call_later(0.5, reused.set)
        sending = asyncio.create_task(carrier.send(ITEM))
        result = await sending
    assert server.connections == 1
    assert isinstance(result, SendFailure)
    assert not result.proves_unsent
    assert isinstance(classify_submit(result, decode.task_id), Unknown)


async def test_an_idle_connection_is_not_used_again_after_a_few_seconds() -> None:
    async with RawServer(created) as server, opened(server.url) as carrier:
        await carrier.send(ITEM)
        await carrier.send(ITEM)
        assert server.connections == 1
        assert transport.KEEP_ALIVE < 10


# ---------------------------------------------------------------------------------------------- size and time
def bomb(size: int) -> bytes:
    squeezed = zlib.compressobj(9, wbits=31)
    return b"".join([*(squeezed.compress(bytes(1 << 20)) for _ in range(size >> 20)), squeezed.flush()])


async def endless(connection: Connection) -> None:
    await connection.request()
    await connection.write(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
    while True:
        await connection.write(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")


@pytest.mark.parametrize("request_", [ITEM, POLL], ids=["paid", "free"])
@pytest.mark.parametrize(
    "behaviour",
    [
        pytest.param(endless, id="endless chunks"),
        pytest.param(says(answer("201 Created", b"x" * ((1 << 20) + 1))), id="a byte too long"),
        pytest.param(says(answer("201 Created", bomb(64 << 20), "Content-Encoding: gzip")), id="gzip bomb"),
    ],
)
async def test_an_answer_is_read_up_to_its_cap(
    behaviour: Callable[[Connection], Awaitable[None]], request_: Request
) -> None:
    async with RawServer(behaviour) as server:
        result = await attempt(server.url, request_)
    assert isinstance(result, SendFailure)
    assert (result.cause, result.status) == (Cause.TOO_LARGE, 201)
    assert len(result.partial) <= 2 << 20


async def test_an_answer_of_exactly_the_cap_is_read() -> None:
    async with RawServer(says(answer("200 OK", b"x" * (1 << 20)))) as server:
        result = await attempt(server.url, POLL)
    assert isinstance(result, Response)
    assert len(result.body) == 1 << 20


async def test_an_answer_that_wants_another_protocol_gives_its_connection_back() -> None:
    async def switch(connection: Connection) -> None:
        await connection.request()
        await connection.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")
        await connection.hang()

    connector = aiohttp.TCPConnector(limit=1)
    async with (
        RawServer(switch, created) as server,
        aiohttp.ClientSession(connector=connector) as http,
        opened(server.url, http=http) as carrier,
    ):
        assert await carrier.send(POLL) == Response(101, b"", None, None)
        assert classify_submit(await carrier.send(ITEM), decode.task_id) == Accepted("t-1")


async def test_a_session_status_may_be_longer() -> None:
    body = json.dumps({"status": "success", "data": {"audioIds": ["x" * 36] * 50_000}}).encode()
    assert len(body) > 1 << 20
    async with RawServer(says(answer("200 OK", body))) as server:
        result = await attempt(server.url, endpoints.task_status("s", audio_ids=50_000))
    assert result == Response(200, body, None, None)


async def test_a_gzipped_answer_is_read_though_none_was_asked_for() -> None:
    async with RawServer(says(answer("201 Created", GZIPPED, "Content-Encoding: gzip"))) as server:
        assert classify_submit(await attempt(server.url), decode.task_id) == Accepted("t-1")


@pytest.mark.parametrize(("request_", "seconds"), [(ITEM, 60), (POLL, 30), (PREPARE, 30)], ids=["paid", "poll", "free"])
async def test_each_request_ends_within_its_time(request_: Request, seconds: float) -> None:
    loop = asyncio.get_running_loop()
    async with RawServer(silence) as server:
        began = loop.time()
        result = await attempt(server.url, request_)
        assert seconds - 1 <= loop.time() - began <= seconds + 2
    assert isinstance(result, SendFailure)
    assert result.cause is Cause.TIMEOUT


# -------------------------------------------------------------------------------------------------- redirects
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("where", ["same", "other"])
@pytest.mark.parametrize("request_", [ITEM, POLL, PREPARE], ids=["paid", "poll", "prepare"])
async def test_a_redirect_is_not_followed_and_the_key_goes_nowhere_else(
    status: int, where: str, request_: Request
) -> None:
    async with RawServer(created) as other:

        async def redirect(connection: Connection) -> None:
            while True:
                await connection.request()
                target = f"{other.url if where == 'other' else ''}/elsewhere"
                await connection.answer(f"{status} Moved", b"", f"Location: {target}")

        async with RawServer(redirect) as server:
            result = await attempt(server.url, request_)
    assert len(server.requests) == 1
    assert other.connections == 0
    assert isinstance(result, Response)
    assert result.status == status
    assert isinstance(classify_submit(result, decode.task_id), Unknown)


# ----------------------------------------------------------------------------------------------------- cancel
async def cancelled_flight(
    carrier: Transport, when: Callable[[], Awaitable[object]], request: Request = ITEM
) -> Flight:
    flight = Flight()
    sending = asyncio.create_task(carrier.send(request, flight))
    await when()
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    return flight


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - what the server has seen is no event of ours
        await asyncio.sleep(0.01)


async def test_a_cancel_before_the_request_begins_proves_that_nothing_was_sent() -> None:
    async with RawServer(created) as server, opened(server.url) as carrier:
        flight = await cancelled_flight(carrier, lambda: asyncio.sleep(0))
        assert server.requests == []
    assert flight.proves_unsent


async def test_a_cancel_while_connecting_proves_that_nothing_was_sent() -> None:
    async def mute(connection: Connection) -> None:
        await connection.hang()

    async with RawServer(mute) as server, opened(server.url.replace("http:", "https:")) as carrier:
        flight = await cancelled_flight(carrier, lambda: until(lambda: server.connections == 1))
    assert flight.proves_unsent


async def test_a_cancel_while_waiting_for_a_place_in_the_pool_proves_that_nothing_was_sent() -> None:
    connector = aiohttp.TCPConnector(limit=1)
    async with (
        RawServer(silence) as server,
        aiohttp.ClientSession(connector=connector) as http,
        opened(server.url, http=http) as carrier,
    ):
        first = asyncio.create_task(carrier.send(POLL))
        await until(lambda: len(server.requests) == 1)
        flight = await cancelled_flight(carrier, lambda: asyncio.sleep(1))
        first.cancel()
        await asyncio.wait([first])
    assert flight.proves_unsent
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "behaviour",
    [
        pytest.param(silence, id="no answer yet"),
        pytest.param(drips(b" ", 1, head=HEAD + b"Content-Length: 9999\r\n\r\n"), id="answer begun"),
    ],
)
async def test_a_cancel_after_the_request_was_sent_proves_nothing(
    behaviour: Callable[[Connection], Awaitable[None]],
) -> None:
    async with RawServer(behaviour) as server, opened(server.url) as carrier:
        flight = await cancelled_flight(carrier, lambda: until(lambda: len(server.requests) == 1))
    assert not flight.proves_unsent
    assert flight.bytes_written > 0


async def test_a_cancelled_request_without_body_proves_nothing() -> None:
    async with RawServer(silence) as server, opened(server.url) as carrier:
        flight = await cancelled_flight(carrier, lambda: until(lambda: len(server.requests) == 1), PREPARE)
    assert not flight.proves_unsent


@pytest.mark.parametrize("turns", range(14))
async def test_a_cancel_at_any_turn_of_the_loop_never_calls_unsent_what_the_server_has_read(turns: int) -> None:
    async def tick() -> None:
        for _ in range(turns):
            await asyncio.sleep(0)

    async with RawServer(silence) as server, opened(server.url) as carrier:
        flight = await cancelled_flight(carrier, tick)
        await asyncio.sleep(1)
        assert not (flight.proves_unsent and server.requests)


async def test_a_connection_whose_request_was_cancelled_is_not_used_again() -> None:
    async def late(connection: Connection) -> None:
        await connection.request()
        await asyncio.sleep(5)
        await connection.answer("201 Created", b'{"taskId":"of the first"}')
        await connection.hang()

    async with RawServer(late, created) as server, opened(server.url) as carrier:
        await cancelled_flight(carrier, lambda: until(lambda: len(server.requests) == 1))
        assert classify_submit(await carrier.send(ITEM), decode.task_id) == Accepted("t-1")


# ------------------------------------------------------------------------------------------ borrowed sessions
async def refuse(connection: Connection) -> None:
    while True:
        await connection.request()
        await connection.answer("500 Oops", b"{}")


async def test_a_borrowed_session_that_raises_for_status_is_classified_all_the_same() -> None:
    async with RawServer(refuse) as server, aiohttp.ClientSession(raise_for_status=True) as http:
        result = await attempt(server.url, http=http)
        assert not http.closed
    assert isinstance(result, Response)
    assert isinstance(classify_submit(result, decode.task_id), Unknown)


async def test_a_borrowed_sessions_middleware_neither_retries_nor_sees_the_key() -> None:
    seen: list[str] = []

    async def persistent(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        seen.append(str(request.headers))
        for _ in range(2):
            await handler(request)
        return await handler(request)

    async with RawServer(refuse) as server, aiohttp.ClientSession(middlewares=(persistent,)) as http:
        result = await attempt(server.url, http=http)
    assert isinstance(result, Response)
    assert len(server.requests) == 1
    assert seen == []


async def test_a_borrowed_sessions_headers_do_not_replace_ours() -> None:
    headers = {
        "Authorization": "Bearer of-someone-else",
        "User-Agent": "theirs",
        "Content-Type": "text/plain",
        "Accept-Encoding": "gzip",
        "X-Trace": "1",
    }
    async with RawServer(created) as server, aiohttp.ClientSession(headers=headers) as http:
        await attempt(server.url, http=http)
        assert KEY not in repr(http.headers)
    (sent,) = server.requests
    assert sent.header("Authorization") == f"Bearer {KEY}"
    assert sent.header("Content-Type") == "application/json"
    assert (sent.header("User-Agent") or "").startswith("mountsea-async/")
    assert sent.header("X-Trace") == "1"


async def test_a_borrowed_sessions_base_url_is_not_where_our_requests_go() -> None:
    async with (
        RawServer(created) as theirs,
        RawServer(created) as ours,
        aiohttp.ClientSession(base_url=theirs.url) as http,
    ):
        assert classify_submit(await attempt(ours.url, http=http), decode.task_id) == Accepted("t-1")
    assert (theirs.connections, ours.connections) == (0, 1)


async def test_a_borrowed_session_with_credentials_of_its_own_sends_nothing_and_says_so() -> None:
    with pytest.warns(DeprecationWarning, match="auth"):
        http = aiohttp.ClientSession(auth=aiohttp.BasicAuth("user", "5wordfish"))
    async with RawServer(created) as server, http:
        result = await attempt(server.url, http=http)
    assert server.requests == []
    assert_unsent(result, Cause.CLIENT, permanent=True)
    assert isinstance(result, SendFailure)
    assert "5wordfish" not in result.detail


async def test_a_borrowed_session_is_not_closed() -> None:
    async with RawServer(created) as server, aiohttp.ClientSession() as http:
        await attempt(server.url, http=http)
        assert not http.closed
        assert classify_submit(await attempt(server.url, http=http), decode.task_id) == Accepted("t-1")


async def test_a_borrowed_sessions_short_timeout_does_not_cut_a_paid_request() -> None:
    async def slow(connection: Connection) -> None:
        await connection.request()
        await asyncio.sleep(50)
        await connection.answer("201 Created", CREATED)

    short = aiohttp.ClientTimeout(total=1, sock_read=1)
    async with RawServer(slow) as server, aiohttp.ClientSession(timeout=short) as http:
        assert classify_submit(await attempt(server.url, http=http), decode.task_id) == Accepted("t-1")


@pytest.mark.parametrize(
    ("limit", "per_host", "room"), [(100, 0, 100), (0, 0, float("inf")), (10, 4, 4), (4, 10, 4), (0, 7, 7)]
)
async def test_the_room_of_a_borrowed_session_is_the_smaller_of_its_limits(
    limit: int, per_host: int, room: float
) -> None:
    connector = aiohttp.TCPConnector(limit=limit, limit_per_host=per_host)
    async with aiohttp.ClientSession(connector=connector) as http:
        assert pool_limit(http) == room


# ------------------------------------------------------------------------------------------------------ proxies
async def test_a_proxy_that_refuses_proves_that_nothing_was_sent_and_its_password_is_not_shown(
    certificate: Path,
) -> None:
    async def deny(connection: Connection) -> None:
        await connection.request()
        await connection.answer("407 Proxy Authentication Required", b"no")

    async with RawServer(deny) as proxy:
        config = ClientConfig(proxy=f"http://user:5wordfish@127.0.0.1:{proxy.port}")
        result = await attempt("https://api.example.com", config=config)
    assert isinstance(result, SendFailure)
    assert result.proves_unsent
    assert "5wordfish" not in result.detail
    assert [sent.line for sent in proxy.requests] == ["CONNECT api.example.com:443 HTTP/1.1"]
    assert KEY not in repr(proxy.requests[0].fields)


@pytest.mark.parametrize(
    "proxy",
    [
        "http://user:5wordfish@127.0.0.1:1",
        "http://user:5wordfish@[bad",
        "http://user:5word fish@127.0.0.1:1",
        "http://user:5wordfish@127.0.0.1:99999",
        "socks5://user:5wordfish@127.0.0.1:1",
        "user:5wordfish@127.0.0.1:1",
    ],
)
@pytest.mark.parametrize("request_", [ITEM, POLL], ids=["paid", "free"])
async def test_a_proxy_that_cant_be_used_does_not_show_its_password(proxy: str, request_: Request) -> None:
    async with aiohttp.ClientSession(proxy=proxy) as http:  # of our own settings, some of these are refused
        result = await attempt("http://127.0.0.1:1", request_, http=http)
    assert isinstance(result, SendFailure)
    assert "5word" not in repr(result)


# ----------------------------------------------------------------------------------------- no error left unmapped
def subclasses(of: type[BaseException]) -> set[type[BaseException]]:
    found = set(of.__subclasses__())
    return found.union(*(subclasses(each) for each in found)) if found else found


def an(kind: type[BaseException]) -> Exception:
    """An instance, however its constructor looks."""
    key = ConnectionKey("h.example", 443, True, True, None, None, None)
    info = aiohttp.RequestInfo(URL("https://h.example"), "POST", {"Authorization": KEY}, URL("https://h.example"))  # type: ignore[arg-type]
    if issubclass(kind, aiohttp.ClientResponseError):
        return kind(info, (), status=400, message="bad")
    if issubclass(kind, aiohttp.ClientConnectorCertificateError):
        return kind(key, ssl.CertificateError("self-signed"))  # type: ignore[arg-type]
    if issubclass(kind, UnixClientConnectorError):
        return kind("/run/x.sock", key, OSError(2, "gone"))
    if issubclass(kind, aiohttp.ClientConnectorError):
        return kind(key, OSError(111, "refused"))
    if issubclass(kind, aiohttp.ServerFingerprintMismatch):
        return kind(b"a", b"b", "h.example", 443)
    if issubclass(kind, aiohttp.InvalidURL):
        return kind("http://")
    instance = kind("broken")
    assert isinstance(instance, Exception)
    return instance


ALL = sorted((kind for kind in subclasses(aiohttp.ClientError) if kind.__module__.startswith("aiohttp.")), key=str)


def test_the_list_of_errors_holds_every_public_one_of_the_http_library() -> None:
    assert len(ALL) >= 20
    public = {
        each
        for each in vars(aiohttp).values()
        if isinstance(each, type) and issubclass(each, aiohttp.ClientError) and each is not aiohttp.ClientError
    }
    assert public <= set(ALL)


class Raising:
    """A session that fails as it is told to, in place of `aiohttp.ClientSession`."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    async def request(self, *_: object, **__: object) -> object:
        raise self._error


@pytest.mark.parametrize(
    "kind", [*ALL, aiohttp.ClientError, OSError, TimeoutError, ssl.SSLError, ValueError, RuntimeError, UnicodeError]
)
@pytest.mark.parametrize("request_", [ITEM, POLL], ids=["paid", "free"])
async def test_every_error_of_the_http_library_becomes_a_failure(kind: type[BaseException], request_: Request) -> None:
    result = await attempt("http://127.0.0.1:1", request_, http=Raising(an(kind)))  # type: ignore[arg-type]
    assert isinstance(result, SendFailure)
    assert result.cause in set(Cause)
    assert result.status is None, "the status of an exception is no answer"
    assert result.detail
    assert KEY not in result.detail


@pytest.mark.parametrize(
    ("kind", "cause"),
    [
        (aiohttp.ClientConnectorCertificateError, Cause.CERTIFICATE),
        (aiohttp.ServerFingerprintMismatch, Cause.CERTIFICATE),
        (aiohttp.ClientConnectorSSLError, Cause.TLS),
        (aiohttp.ClientConnectorDNSError, Cause.CONNECT),
        (aiohttp.ClientProxyConnectionError, Cause.CONNECT),
        (UnixClientConnectorError, Cause.CONNECT),
        (aiohttp.ConnectionTimeoutError, Cause.CONNECT),
        (aiohttp.SocketTimeoutError, Cause.TIMEOUT),
        (TimeoutError, Cause.TIMEOUT),
        (aiohttp.ServerDisconnectedError, Cause.DISCONNECTED),
        (aiohttp.ClientOSError, Cause.DISCONNECTED),
        (ConnectionResetError, Cause.DISCONNECTED),
        (aiohttp.ClientPayloadError, Cause.MALFORMED),
        (aiohttp.ClientResponseError, Cause.MALFORMED),
        (aiohttp.InvalidURL, Cause.CLIENT),
        (RuntimeError, Cause.CLIENT),
    ],
)
async def test_what_an_error_of_the_http_library_means(kind: type[BaseException], cause: Cause) -> None:
    result = await attempt("http://127.0.0.1:1", http=Raising(an(kind)))  # type: ignore[arg-type]
    assert isinstance(result, SendFailure)
    assert result.cause is cause


# ------------------------------------------------------------------------------------------------------ secrets
async def test_the_transport_does_not_show_the_key() -> None:
    async with opened("http://127.0.0.1:1") as carrier:
        assert KEY not in repr(carrier)
        assert KEY not in str(carrier)


async def test_a_transport_that_was_not_opened_says_so() -> None:
    carrier = Transport(KEY, "http://127.0.0.1:1", CONFIG, 1, None)
    with pytest.raises(RuntimeError, match="opened"):
        await carrier.send(POLL)


async def test_a_request_that_took_too_long_leaves_its_task_as_it_was() -> None:
    async with RawServer(silence, created) as server, opened(server.url) as carrier:
        result = await carrier.send(ITEM)
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0
        assert isinstance(result, SendFailure)
        assert result.cause is Cause.TIMEOUT
        assert classify_submit(await carrier.send(ITEM), decode.task_id) == Accepted("t-1")


async def test_a_cancel_in_the_moment_of_the_timeout_is_a_cancel() -> None:
    loop = asyncio.get_running_loop()
    async with RawServer(silence) as server, opened(server.url) as carrier:
        sending = asyncio.create_task(carrier.send(ITEM))
        await until(lambda: len(server.requests) == 1)
        alarm = carrier._alarm
        assert alarm is not None
        loop.call_at(alarm._rings_at, lambda: loop.call_soon(sending.cancel))
        with pytest.raises(asyncio.CancelledError):
            await sending
    assert sending.cancelled()


async def test_closing_leaves_no_connection_open() -> None:
    closed = asyncio.Event()

    async def watched(connection: Connection) -> None:
        await connection.request()
        await connection.answer("200 OK", b"{}")
        await connection.hang()
        closed.set()

    async with RawServer(watched) as server:
        async with opened(server.url) as carrier:
            await carrier.send(POLL)
            assert not closed.is_set()
        await asyncio.wait_for(closed.wait(), 5)


def test_the_user_agent_is_of_this_version() -> None:
    carrier = Transport(KEY, "http://127.0.0.1:1", CONFIG, 1, None)
    assert f"mountsea-async/{mountsea_async.__version__}" in carrier._headers["User-Agent"]
