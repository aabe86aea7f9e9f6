"""The preflight of a batch's URLs, over real sockets of this machine: what it asks, what it makes of the answers."""

from __future__ import annotations

import asyncio
import json
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from support.names import KEY
from support.raw_server import Connection, RawServer, unused_port

from mountsea_async import ClientConfig, ConfigurationError, InputError, PreflightItem, PreflightReport, UploadItem
from mountsea_async.upload.preflight import judge, length_of, preflight
from mountsea_async.wire.probe import FIRST, HOPS, Answer

CONFIG = ClientConfig()
SECRET = "X-Amz-Signature=SECRETSIGNATURE"
MP3 = b"ID3\x04" + bytes(996)
URL = "https://cdn.example.com/song"


async def check(*urls: str | UploadItem, config: ClientConfig = CONFIG, **settings: Any) -> PreflightReport:
    report = await preflight(urls, config, allow_private=True, **settings)
    assert "SECRET" not in repr(report) + json.dumps(report.to_dict())
    return report


async def check_one(url: str, config: ClientConfig = CONFIG, **settings: Any) -> PreflightItem:
    (item,) = (await check(url, config=config, **settings)).items
    return item


# ------------------------------------------------------------------------------------------------------ verdict
AUDIO = {
    "ID3": b"ID3\x03\x00",
    "WAV": b"RIFF\x24\x08\x00\x00WAVEfmt ",
    "FLAC": b"fLaC\x00\x00",
    "Ogg": b"OggS\x00\x02",
    "MP4": b"\x00\x00\x00\x20ftypM4A ",
    "MP3": b"\xff\xfb\x90\x64",
    "AAC": b"\xff\xf1\x50\x80",
    "AIFF": b"FORM\x00\x00\x10\x00AIFFCOMM",
}
NO_AUDIO = {
    "nothing known": b"\x00\x01\x02\x03\x04\x05\x06\x07\x08",
    "a picture in RIFF": b"RIFF\x24\x08\x00\x00WEBPVP8 ",
    "a byte order mark": b"\xff\xfeh\x00e\x00l\x00",
    "PDF": b"%PDF-1.7",
    "half a frame": b"\xff\xfb",
}


@pytest.mark.parametrize("kind", ["audio/mpeg", "audio/x-wav", "AUDIO/MPEG; rate=1", "video/mp4", "application/ogg"])
def test_an_audio_type_is_fine(kind: str) -> None:
    assert judge(Answer(URL, 206, kind, first=b"\x00"), URL) is None


@pytest.mark.parametrize("kind", [None, "", "application/octet-stream", "binary/octet-stream; x=y"])
class TestATypeThatSaysNothing:
    @pytest.mark.parametrize("first", AUDIO.values(), ids=AUDIO)
    def test_is_fine_where_the_file_begins_as_audio(self, kind: str | None, first: bytes) -> None:
        assert judge(Answer(URL, 206, kind, first=first), URL) is None

    @pytest.mark.parametrize("name", ["/a.mp3", "/b/c.FLAC", "/x.tar.wav?v=1.zip", "/%20.m4a"])
    def test_is_fine_where_the_path_has_an_audio_suffix(self, kind: str | None, name: str) -> None:
        url = "https://cdn.example.com" + name
        assert judge(Answer(url, 200, kind, first=b"\x00"), url) is None
        assert judge(Answer(url, 200, kind, first=b"\x00"), URL) is None  # redirected to it
        assert judge(Answer(URL, 200, kind, first=b"\x00"), url) is None  # redirected away from it

    @pytest.mark.parametrize("first", NO_AUDIO.values(), ids=NO_AUDIO)
    def test_is_a_problem_where_nothing_else_speaks_for_audio(self, kind: str | None, first: bytes) -> None:
        url = "https://mp3.example.com/a.mp3/download?name=.mp3"
        assert "nothing shows that it is an audio file" in (judge(Answer(url, 200, kind, first=first), url) or "")

    def test_is_a_problem_where_a_web_page_begins(self, kind: str | None) -> None:
        page = Answer(URL, 200, kind, first=b"\xef\xbb\xbf\n <!DOCTYPE html><html>")
        assert "a web page" in (judge(page, URL + ".mp3") or "")

    def test_is_a_problem_where_the_beginning_is_compressed_and_so_says_nothing(self, kind: str | None) -> None:
        assert judge(Answer(URL, 200, kind, encoded=True, first=b"ID3\x03"), URL) is not None


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("text/html; charset=utf-8", "a web page"),
        ("application/xhtml+xml", "a web page"),
        ("audio/x-mpegurl", "a playlist"),
        ("text/plain", "'text/plain'"),
        ("application/json", "'application/json'"),
        ("image/png", "'image/png'"),
        ("audiobook/mpeg", "'audiobook/mpeg'"),
    ],
)
def test_another_type_is_a_problem_whatever_the_file_is_called(kind: str, words: str) -> None:
    assert words in (judge(Answer(URL, 206, kind, first=MP3[:64]), URL + ".mp3") or "")


def test_a_web_page_that_calls_itself_audio_is_a_problem() -> None:
    assert "a web page" in (judge(Answer(URL, 200, "audio/mpeg", first=b"<html><body>Gone"), URL) or "")


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (400, "(400)"),
        (401, "login (401)"),
        (403, "a signature may have expired"),
        (404, "no such file (404)"),
        (410, "no more (410)"),
        (416, "(416)"),
        (429, "too often (429)"),
        (500, "out of order (500)"),
        (503, "try again later"),
        (300, "without saying where to (300)"),
    ],
)
def test_a_status_that_is_no_success_is_named_with_the_way_out(status: int, words: str) -> None:
    assert words in (judge(Answer(URL, status, "audio/mpeg", first=MP3[:64]), URL) or "")


@pytest.mark.parametrize(
    ("answer", "length"),
    [
        (Answer(URL, 206, content_length="64", content_range="bytes 0-63/1000"), 1000),
        (Answer(URL, 206, content_length="64", content_range="bytes 0-63/*"), None),
        (Answer(URL, 206, content_length="64"), None),
        (Answer(URL, 206, content_range="pages 0-63/1000"), None),
        (Answer(URL, 200, content_length="1000", content_range="bytes 0-63/7"), 1000),
        (Answer(URL, 200, content_length="-1"), None),
        (Answer(URL, 200, content_length="9" * 5000), None),
        (Answer(URL, 200), None),
        (Answer(URL, 200, first=b"abc", whole=True), 3),
        (Answer(URL, 200, content_length="20", encoded=True), None),
        (Answer(URL, 416, content_range="bytes */0"), 0),
        (Answer(URL, 404, content_length="20"), None),
    ],
)
def test_the_length_is_that_of_the_whole_file(answer: Answer, length: int | None) -> None:
    assert length_of(answer) == length


@pytest.mark.parametrize(
    "answer",
    [
        Answer(URL, 200, "audio/mpeg", content_length="0", whole=True),
        Answer(URL, 200, "audio/mpeg", whole=True),
        Answer(URL, 204, whole=True),
        Answer(URL, 206, "audio/mpeg", whole=True),
        Answer(URL, 416, content_range="bytes */0"),
    ],
)
def test_an_empty_file_is_a_problem(answer: Answer) -> None:
    assert "0 bytes" in (judge(answer, URL) or "")


texts = st.none() | st.text(max_size=40)


@given(st.builds(Answer, st.just(URL), st.integers(100, 599), texts, texts, texts, st.booleans(), st.binary()))
def test_no_answer_is_too_strange_to_be_judged(answer: Answer) -> None:
    judge(answer, URL)
    length_of(answer)


# ------------------------------------------------------------------------------------------------------ answers
class Host:
    """A file host: serves ranges where it is told to, and remembers the requests."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.base = ""

    async def serve(self, request: web.Request) -> web.StreamResponse:
        self.requests.append((request.raw_path, {name.lower(): value for name, value in request.headers.items()}))
        name = request.match_info["name"]
        if name.isdigit():
            return web.Response(status=int(name))
        if name == "page.mp3":
            return web.Response(text="<html>", content_type="text/html")
        if name == "whole.wav":
            return web.Response(body=AUDIO["WAV"], content_type="audio/wav")
        if name == "empty.mp3":
            return web.Response(status=416, headers={"Content-Range": "bytes */0"})
        part = MP3[request.http_range]
        told = f"bytes 0-{len(part) - 1}/{len(MP3)}"
        return web.Response(status=206, body=part, headers={"Content-Range": told, "Content-Type": "audio/mpeg"})


@pytest.fixture
async def host() -> AsyncIterator[Host]:
    host = Host()
    app = web.Application()
    app.router.add_get("/{name:.*}", host.serve)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host.base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield host
    await runner.cleanup()


async def test_a_report_has_an_item_for_each_entry_in_input_order(host: Host) -> None:
    names = ["a.mp3", "404", "whole.wav", "page.mp3", "empty.mp3", "503"]
    entries = [UploadItem(f"{host.base}/{name}?{SECRET}", key=f"k-{name}") for name in names]
    report = await check(*entries)
    assert [item.index for item in report.items] == list(range(6))
    assert [item.key for item in report.items] == [f"k-{name}" for name in names]
    assert [item.audio_url for item in report.items] == [f"{host.base}/{name}" for name in names]
    assert [item.ok for item in report.items] == [True, False, True, False, False, False]
    assert [item.status for item in report.items] == [206, 404, 200, 200, 416, 503]
    assert [item.length for item in report.items] == [1000, None, len(AUDIO["WAV"]), 6, 0, None]
    assert report.items[3].content_type == "text/html; charset=utf-8"
    assert all(item.final_host is None for item in report.items)


async def test_problems_are_named_and_raised_as_those_of_other_input(host: Host) -> None:
    report = await check(f"{host.base}/a.mp3", f"{host.base}/403?{SECRET}")
    assert not report.ok
    (problem,) = report.problems
    assert (problem.index, problem.value) == (1, f"{host.base}/403")
    with pytest.raises(InputError, match=r"1 of 2 entries.*nothing was sent(?s:.*)entry 1 .*\(403\)") as raised:
        report.raise_for_problems()
    assert raised.value.problems == report.problems
    assert report.to_dict()["version"] == 1
    assert [item["ok"] for item in report.to_dict()["items"]] == [True, False]


async def test_a_report_without_problems_raises_nothing(host: Host) -> None:
    report = await check(f"{host.base}/a.mp3")
    report.raise_for_problems()
    assert (report.ok, report.problems) == (True, ())


async def test_a_url_that_stands_there_twice_is_asked_once(host: Host) -> None:
    report = await check(*[f"{host.base}/a.mp3", f"{host.base}/404"] * 3)
    assert sorted(path for path, _ in host.requests) == ["/404", "/a.mp3"]
    assert [item.ok for item in report.items] == [True, False] * 3


async def test_a_few_bytes_are_asked_for_and_nobodys_credentials_go_along(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password 5wordfish\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("MOUNTSEA_API_KEY", KEY)
    await check(f"{host.base}/a.mp3", config=ClientConfig(trust_env=True))
    ((_, headers),) = host.requests
    assert headers["range"] == f"bytes=0-{FIRST - 1}"
    assert headers["accept-encoding"] == "identity"
    assert set(headers) == {"host", "range", "accept", "accept-encoding", "user-agent"}
    assert KEY not in str(headers)


async def test_a_signature_is_sent_as_it_is_spelled(host: Host) -> None:
    target = "/a%2fb/%7Esong.mp3?sig=a+b%2Bc%20d/e=&x=%zz&empty"
    assert (await check_one(host.base + target)).ok
    assert [path for path, _ in host.requests] == [target]


async def test_what_no_request_line_can_hold_is_quoted(host: Host) -> None:
    assert (await check_one(f"{host.base}/müsik.mp3#part")).ok
    assert [path for path, _ in host.requests] == ["/m%C3%BCsik.mp3"]


# ------------------------------------------------------------------------------------------------- raw answers
Behaviour = Callable[[Connection], Awaitable[None]]


def sending(head: str, body: bytes = b"") -> Behaviour:
    async def behaviour(connection: Connection) -> None:
        await connection.request()
        await connection.write(head.replace("\n", "\r\n").encode("latin-1") + b"\r\n\r\n" + body)

    return behaviour


def redirecting(to: str, status: int = 302, *headers: str) -> Behaviour:
    lines = [f"HTTP/1.1 {status} Moved", f"Location: {to}", "Content-Length: 0", *headers]
    return sending("\n".join(lines))


FINE = sending("HTTP/1.1 200 OK\nContent-Type: audio/mpeg\nContent-Length: 5", b"ID3\x03\x00")


async def test_a_host_that_ignores_the_range_costs_no_more_than_a_few_buffers() -> None:
    sent = 0

    async def endless(connection: Connection) -> None:
        nonlocal sent
        await connection.request()
        await connection.write(b"HTTP/1.1 200 OK\r\nContent-Type: audio/wav\r\nContent-Length: 3000000000\r\n\r\n")
        while sent < 3_000_000_000:
            await connection.write(bytes(1 << 16))
            sent += 1 << 16

    async with RawServer(endless) as server:
        item = await check_one(f"{server.url}/a.wav")
    assert (item.ok, item.length) == (True, 3_000_000_000)
    assert sent < 100_000_000


async def test_what_comes_compressed_is_not_unpacked() -> None:
    # It says gzip and isn't: whoever unpacked it would fail.
    lying = sending("HTTP/1.1 200 OK\nContent-Type: audio/wav\nContent-Encoding: gzip\nContent-Length: 9", b"not gzip!")
    async with RawServer(lying) as server:
        item = await check_one(f"{server.url}/a.wav")
    assert (item.ok, item.length) == (True, None)


async def test_an_answer_without_a_length_is_read_to_the_bound_only() -> None:
    async def unbounded(connection: Connection) -> None:
        await connection.request()
        await connection.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            await connection.write(b"4\r\nID3\x03\r\n")
            await asyncio.sleep(0)

    async with RawServer(unbounded) as server:
        item = await check_one(f"{server.url}/song")
    assert (item.ok, item.length) == (True, None)


async def silence(connection: Connection) -> None:
    await connection.hang()


async def trickle(connection: Connection) -> None:
    await connection.request()
    for byte in b"HTTP/1.1 200 OK\r\nX: " + b"a" * 10_000:
        await connection.write(bytes([byte]))
        await asyncio.sleep(1)


async def trickled_body(connection: Connection) -> None:
    await connection.request()
    await connection.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
    await trickle(connection)


async def trickled_redirects(connection: Connection) -> None:
    await connection.request()
    await asyncio.sleep(2)
    await connection.write(b"HTTP/1.1 302 Found\r\nLocation: /again\r\nContent-Length: 0\r\n\r\n")


@pytest.mark.parametrize("slow", [silence, trickle, trickled_body, trickled_redirects])
async def test_a_host_that_is_too_slow_is_given_up(slow: Behaviour) -> None:
    async with RawServer(slow) as server:
        item = await check_one(f"{server.url}/a.mp3?{SECRET}")
        assert "its host doesn't answer within 5 seconds" in (item.problem or "")
        assert "within 0.25 seconds" in ((await check_one(f"{server.url}/a.mp3", timeout=0.25)).problem or "")


async def reset(connection: Connection) -> None:
    await connection.request()
    connection.reset()


async def leave(connection: Connection) -> None:
    await connection.request()


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        (reset, "broke the connection off"),
        (leave, "broke the connection off"),
        (sending("SSH-2.0-OpenSSH_9.6"), "cut short or is no HTTP"),
        (sending("HTTP/1.1 200 OK\nContent-Length: 60", b"ID3"), "cut short or is no HTTP"),
        (sending("HTTP/1.1 200 OK\n" + "\n".join(f"X-{n}: {'a' * 9000}" for n in range(3))), "no HTTP"),
    ],
)
async def test_a_broken_answer_is_a_problem_in_plain_words(behaviour: Behaviour, words: str) -> None:
    async with RawServer(behaviour) as server:
        item = await check_one(f"{server.url}/a.mp3?{SECRET}")
    assert words in (item.problem or "")
    assert "Error" not in (item.problem or "")


async def test_a_host_that_takes_no_connection_is_a_problem_in_plain_words() -> None:
    port = unused_port()
    item = await check_one(f"http://127.0.0.1:{port}/a.mp3?{SECRET}")
    assert item.problem == f"its host takes no connection (127.0.0.1:{port}: Connection refused)"
    assert item.status is None


async def test_an_address_that_is_spelled_oddly_is_a_problem_in_plain_words() -> None:
    assert "spelled" in ((await check_one("http://127.1:9/a.mp3")).problem or "")


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    command = shutil.which("openssl")
    if command is None:
        pytest.skip("there is no openssl command to make a certificate with")
    made = tmp_path / "pair.pem"
    options = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1"
    subprocess.run(
        [command, *options.split(), "-keyout", str(made), "-out", str(tmp_path / "cert.pem")],
        check=True,
        capture_output=True,
    )
    made.write_text(made.read_text() + (tmp_path / "cert.pem").read_text())
    return made


def serving(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


async def test_a_certificate_that_doesnt_hold_is_a_problem(certificate: Path) -> None:
    async with RawServer(FINE, tls=serving(certificate)) as server:
        item = await check_one(f"{server.url}/a.mp3?{SECRET}")
    assert "the certificate of '127.0.0.1' doesn't hold: self-signed certificate" in (item.problem or "")
    assert server.requests == []


async def test_authorities_of_the_config_are_trusted_and_its_certificate_is_not_shown(certificate: Path) -> None:
    asked: list[object] = []

    async def peer(connection: Connection) -> None:
        asked.append(connection._writer.get_extra_info("peercert"))
        await FINE(connection)

    mine = ssl.create_default_context(cafile=str(certificate))
    mine.load_cert_chain(certificate)
    tls = serving(certificate)
    tls.verify_mode = ssl.CERT_OPTIONAL
    tls.load_verify_locations(certificate)
    async with RawServer(peer, tls=tls) as server:
        item = await check_one(f"{server.url}/a.mp3", ClientConfig(ssl_context=mine))
    assert item.ok, item.problem
    assert asked == [None]


async def test_https_to_a_host_that_speaks_none_is_a_problem() -> None:
    async def plain(connection: Connection) -> None:
        await connection.answer("400 Bad Request")

    async with RawServer(plain) as server:
        item = await check_one(f"https://127.0.0.1:{server.port}/a.mp3?{SECRET}")
    assert "its host doesn't speak TLS as we do" in (item.problem or "")


# ---------------------------------------------------------------------------------------------------- redirects
async def test_a_redirect_is_followed_and_its_host_is_named() -> None:
    async with RawServer(FINE) as there, RawServer(redirecting(f"{there.url}/b?{SECRET}", 307)) as here:
        item = await check_one(f"{here.url}/a.mp3")
    assert (item.ok, item.status, item.final_host) == (True, 200, "127.0.0.1")
    assert there.requests[-1].line == f"GET /b?{SECRET} HTTP/1.1"


@pytest.mark.parametrize("location", ["b.mp3", "/x/b.mp3", "//127.0.0.1:{port}/x/b.mp3", "?b.mp3", "b c.mp3", "bä.mp3"])
async def test_a_redirect_may_be_relative_and_unquoted(location: str) -> None:
    async with RawServer(FINE) as server:
        server._behaviours = (redirecting(location.format(port=server.port)), FINE)
        assert (await check_one(f"{server.url}/x/a.mp3")).ok
    assert len(server.requests) == 2


async def test_five_redirects_are_followed_and_a_sixth_is_not() -> None:
    steps = [redirecting(f"/{step}") for step in range(HOPS)]
    async with RawServer(*steps, FINE) as server:
        assert (await check_one(f"{server.url}/a.mp3")).ok
    async with RawServer(*steps, redirecting(f"/end?{SECRET}"), FINE) as server:
        item = await check_one(f"{server.url}/a.mp3")
    assert "its redirects don't end" in (item.problem or "")
    assert len(server.requests) == HOPS + 1


@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("ftp://127.0.0.1/a.mp3", "http:// or https://"),
        ("file:///etc/passwd", "http:// or https://"),
        ("http://me:SECRET@127.0.0.1/a.mp3", "it holds credentials"),
        ("http://127.0.0.1:0/a.mp3", "port 0"),
        ("http://[::1/a.mp3", "its host redirects to what is no URL"),
    ],
)
async def test_a_redirect_to_what_cant_be_asked_is_a_problem(location: str, words: str) -> None:
    async with RawServer(redirecting(location), FINE) as server:
        item = await check_one(f"{server.url}/a.mp3")
    assert words in (item.problem or "")
    assert not item.ok
    assert len(server.requests) == 1


async def test_a_problem_behind_a_redirect_names_where_it_led() -> None:
    async with RawServer(redirecting(f"/expired?{SECRET}"), sending("HTTP/1.1 403 No\nContent-Length: 0")) as server:
        item = await check_one(f"{server.url}/a.mp3")
    assert f"it redirects to '{server.url}/expired': its host refuses it (403)" in (item.problem or "")


async def test_a_redirect_to_nowhere_is_a_problem() -> None:
    async with RawServer(sending("HTTP/1.1 302 Found\nContent-Length: 0")) as server:
        assert "without saying where to (302)" in ((await check_one(f"{server.url}/a.mp3")).problem or "")


async def test_a_cookie_is_not_sent_back() -> None:
    async with RawServer(redirecting("/b", 302, "Set-Cookie: id=7; Path=/"), FINE) as server:
        assert (await check_one(f"{server.url}/a.mp3")).ok
    assert [request.all("cookie") for request in server.requests] == [[], []]


# ------------------------------------------------------------------------------------------------------ proxies
async def test_a_proxy_of_the_config_is_used() -> None:
    async with RawServer(FINE) as proxy:
        config = ClientConfig(proxy=f"http://user:5wordfish@127.0.0.1:{proxy.port}")
        report = await preflight(["http://cdn.example.com/a.mp3"], config)
    assert report.ok
    (request,) = proxy.requests
    assert request.line == "GET http://cdn.example.com/a.mp3 HTTP/1.1"


async def test_the_environments_proxy_is_used_where_the_config_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    async with RawServer(FINE) as proxy, RawServer(FINE) as direct:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        await check_one(f"{direct.url}/a.mp3")
        assert (proxy.connections, direct.connections) == (0, 1)
        await check_one(f"{direct.url}/a.mp3", ClientConfig(trust_env=True))
        assert (proxy.connections, direct.connections) == (1, 1)
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        await check_one(f"{direct.url}/a.mp3", ClientConfig(trust_env=True))
        assert (proxy.connections, direct.connections) == (1, 2)


async def test_a_proxy_that_refuses_or_is_away_is_named_without_its_password() -> None:
    deny = sending("HTTP/1.1 403 Forbidden\nContent-Length: 0")
    async with RawServer(deny) as proxy:
        config = ClientConfig(proxy=f"http://user:SECRET@127.0.0.1:{proxy.port}")
        item = await check_one("https://cdn.example.com/a.mp3", config)
    assert item.problem == "the proxy refuses to connect to its host (403)"
    item = await check_one("https://cdn.example.com/a.mp3", config)
    assert "the proxy takes no connection" in (item.problem or "")


# ----------------------------------------------------------------------------------------------------- settings
@pytest.mark.parametrize(
    "wrong",
    [{"concurrency": 0}, {"concurrency": 101}, {"concurrency": True}]
    + [{"timeout": value} for value in (0, -1, 601, float("nan"), float("inf"), "5", True, None)],
)
async def test_a_setting_out_of_its_range_is_refused(wrong: dict[str, Any]) -> None:
    async with RawServer(FINE) as server:
        with pytest.raises(ConfigurationError, match=f"{next(iter(wrong))}="):
            await check(f"{server.url}/a.mp3", **wrong)
    assert server.connections == 0


async def test_entries_that_cant_be_uploaded_are_refused_before_anybody_is_asked() -> None:
    async with RawServer(FINE) as server:
        with pytest.raises(InputError, match="2 of 3 entries") as raised:
            await check(f"{server.url}/a.mp3", "ftp://example.com/b.mp3", f"http://u:p@127.0.0.1/?{SECRET}")
        with pytest.raises(InputError, match="is empty"):
            await check()
    assert [problem.index for problem in raised.value.problems] == [1, 2]
    assert server.connections == 0


async def test_no_more_urls_are_asked_for_at_once_than_was_said() -> None:
    at_once = most = 0

    async def busy(connection: Connection) -> None:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(1)
        at_once -= 1
        await FINE(connection)

    async with RawServer(busy) as server:
        report = await check(*[f"{server.url}/{number}.mp3" for number in range(10)], concurrency=3)
    assert report.ok
    assert most == 3


async def test_waiting_for_a_turn_takes_none_of_a_urls_time() -> None:
    async def slow(connection: Connection) -> None:
        await connection.request()
        await asyncio.sleep(4)
        await connection.answer("200 OK", b"ID3", "X: y")

    async with RawServer(slow) as server:
        report = await check(*[f"{server.url}/{number}.mp3" for number in range(4)], concurrency=1)
    assert [item.status for item in report.items] == [200] * 4


async def test_a_cancel_leaves_nothing_behind() -> None:
    waiting, gone = asyncio.Semaphore(0), asyncio.Semaphore(0)

    async def hang(connection: Connection) -> None:
        await connection.request()
        waiting.release()
        await connection.hang()
        gone.release()

    async with RawServer(hang) as server:
        before = asyncio.all_tasks()
        work = asyncio.create_task(check(*[f"{server.url}/{number}.mp3" for number in range(5)], concurrency=3))
        for _ in range(3):
            await waiting.acquire()
        handlers = set(server._handlers)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
        assert asyncio.all_tasks() - before - handlers == set()
        for _ in range(3):
            await gone.acquire()
        assert server.connections == 3
