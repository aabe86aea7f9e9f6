"""What the preflight connects to: nothing that the whole Internet can't reach, by whatever way it is led there."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest
from support.raw_server import Connection, RawServer

from mountsea_async import ClientConfig, PreflightItem
from mountsea_async.upload.preflight import preflight

PUBLIC, OTHER = "93.184.215.14", "151.101.1.1"


class Internet:
    """Names and public addresses, all of which lead to servers of this machine.

    Attributes:
        names: What each name means; each time it is asked for the next, the last for ever.
        ports: Where the host with an address listens in truth.
        connected: The addresses that were connected to, in order.
    """

    def __init__(self) -> None:
        self.names: dict[str, list[tuple[str, ...]]] = {}
        self.ports: dict[str, int] = {}
        self.connected: list[str] = []

    def resolve(self, host: Any, port: Any, *_: Any, **__: Any) -> list[tuple[Any, ...]]:
        meanings = self.names.get(host)
        if meanings is None:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        addresses = meanings.pop(0) if len(meanings) > 1 else meanings[0]
        return [
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (address, port, 0, 0))
            if ":" in address
            else (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
            for address in addresses
        ]


@pytest.fixture
def internet(monkeypatch: pytest.MonkeyPatch) -> Internet:
    made = Internet()
    connect = asyncio.SelectorEventLoop.sock_connect

    async def sock_connect(loop: asyncio.SelectorEventLoop, sock: socket.socket, address: Any) -> None:
        made.connected.append(address[0])
        if (port := made.ports.get(address[0])) is None:
            raise ConnectionRefusedError(111, "Connection refused")
        await connect(loop, sock, ("127.0.0.1", port))

    monkeypatch.setattr(asyncio.SelectorEventLoop, "sock_connect", sock_connect)
    monkeypatch.setattr(socket, "getaddrinfo", made.resolve)
    return made


async def fine(connection: Connection) -> None:
    await connection.request()
    await connection.write(b"HTTP/1.1 200 OK\r\nContent-Type: audio/mpeg\r\nContent-Length: 3\r\n\r\nID3")


def leading_to(url: str) -> Any:
    async def behaviour(connection: Connection) -> None:
        await connection.request()
        await connection.write(f"HTTP/1.1 302 Found\r\nLocation: {url}\r\nContent-Length: 0\r\n\r\n".encode())

    return behaviour


async def check(url: str, **settings: Any) -> PreflightItem:
    report = await preflight([url], settings.pop("config", ClientConfig()), **settings)
    return report.items[0]


async def test_a_public_name_is_asked(internet: Internet) -> None:
    async with RawServer(fine) as server:
        internet.names["cdn.example.com"], internet.ports[PUBLIC] = [(PUBLIC,)], server.port
        item = await check("http://cdn.example.com/a.mp3")
    assert item.ok, item.problem
    assert internet.connected == [PUBLIC]


PRIVATE = [
    "127.0.0.1",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.0.1",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",  # noqa: S104 - an address like others, here
    "224.0.0.1",
    "255.255.255.255",
    "::1",
    "::",
    "::ffff:127.0.0.1",
    "::ffff:0:127.0.0.1",
    "::127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::7f00:1",
    "2002:7f00:1::",
    "fe80::1",
    "fec0::1",
    "fd00::1",
    "ff02::1",
]


@pytest.mark.parametrize("address", PRIVATE)
async def test_a_public_name_with_a_private_address_is_not_connected_to(internet: Internet, address: str) -> None:
    internet.names["cdn.example.com"] = [(address,)]
    item = await check("http://cdn.example.com/a.mp3?sig=SECRET")
    assert internet.connected == []
    assert f"can't reach 'cdn.example.com': its address {address}" in (item.problem or "")
    assert "SECRET" not in repr(item)


async def test_a_name_with_several_private_addresses_is_not_connected_to(internet: Internet) -> None:
    internet.names["cdn.example.com"] = [("10.0.0.1", "127.0.0.1", "::1")]
    item = await check("http://cdn.example.com/a.mp3")
    assert internet.connected == []
    assert "a loopback, private or local one" in (item.problem or "")


async def test_of_a_name_with_both_the_public_address_alone_is_connected_to(internet: Internet) -> None:
    async with RawServer(fine) as server:
        internet.names["cdn.example.com"], internet.ports[PUBLIC] = [("127.0.0.1", PUBLIC)], server.port
        internet.ports["127.0.0.1"] = server.port
        assert (await check("http://cdn.example.com/a.mp3")).ok
    assert internet.connected == [PUBLIC]


LITERALS = [
    "http://127.0.0.1/",
    "http://127.1/",
    "http://0x7f000001/",
    "http://2130706433/",
    "http://0177.0.0.1/",
    "http://[::1]/",
    "http://[::ffff:127.0.0.1]/",
    "http://[::ffff:7f00:1]/",
    "http://[64:ff9b::7f00:1]/",
    "http://[64:ff9b:1::7f00:1]/",
    "http://[fec0::1]/",
    "http://[fe80::1%25eth0]/",
    "http://169.254.169.254/latest/meta-data/",
    "http://localhost/",
    "http://metadata.google.internal/",
    "https://127.0.0.1/",
]


@pytest.mark.parametrize("location", LITERALS)
async def test_a_redirect_to_a_private_address_is_not_followed(internet: Internet, location: str) -> None:
    # Spellings that reach the resolver all mean this machine, as they do to the real one.
    for spelling in ("127.1", "0x7f000001", "2130706433", "0177.0.0.1", "localhost", "metadata.google.internal"):
        internet.names[spelling] = [("127.0.0.1",)]
    async with RawServer(leading_to(location), fine) as server:
        internet.names["cdn.example.com"], internet.ports[PUBLIC] = [(PUBLIC,)], server.port
        item = await check("http://cdn.example.com/a.mp3")
    assert internet.connected == [PUBLIC]
    assert "it redirects to" in (item.problem or "")
    assert "local" in (item.problem or "")


async def test_a_redirect_to_a_name_with_a_private_address_is_not_followed(internet: Internet) -> None:
    async with RawServer(leading_to("http://inner.example.com/a.mp3"), fine) as server:
        internet.names["cdn.example.com"], internet.ports[PUBLIC] = [(PUBLIC,)], server.port
        internet.names["inner.example.com"] = [("127.0.0.1",)]
        item = await check("http://cdn.example.com/a.mp3")
    assert internet.connected == [PUBLIC]
    assert item.final_host == "inner.example.com"
    assert not item.ok


async def test_a_name_that_changes_its_meaning_is_judged_by_what_it_means_when_it_is_connected_to(
    internet: Internet,
) -> None:
    async with RawServer(leading_to("https://rebind.example.com/b.mp3"), fine) as server:
        internet.names["rebind.example.com"], internet.ports[PUBLIC] = [(PUBLIC,), ("127.0.0.1",)], server.port
        item = await check("http://rebind.example.com/a.mp3")
    assert internet.connected == [PUBLIC]
    assert "its address 127.0.0.1" in (item.problem or "")


async def test_a_redirect_to_another_public_name_is_followed(internet: Internet) -> None:
    async with RawServer(leading_to("http://edge.example.net/b.mp3")) as here, RawServer(fine) as there:
        internet.names |= {"cdn.example.com": [(PUBLIC,)], "edge.example.net": [(OTHER,)]}
        internet.ports |= {PUBLIC: here.port, OTHER: there.port}
        item = await check("http://cdn.example.com/a.mp3")
    assert (item.ok, item.final_host) == (True, "edge.example.net")
    assert internet.connected == [PUBLIC, OTHER]


@pytest.mark.parametrize("url", ["http://cdn.example.com:8080/a.mp3", "http://cdn.example.com:22/"])
async def test_other_ports_are_not_connected_to(internet: Internet, url: str) -> None:
    internet.names["cdn.example.com"] = [(PUBLIC,)]
    assert "only 80 and 443" in ((await check(url)).problem or "")
    assert internet.connected == []


async def test_a_redirect_to_another_port_is_not_followed(internet: Internet) -> None:
    async with RawServer(leading_to("http://cdn.example.com:6379/"), fine) as server:
        internet.names["cdn.example.com"], internet.ports[PUBLIC] = [(PUBLIC,)], server.port
        assert "port 6379 isn't asked" in ((await check("http://cdn.example.com/a.mp3")).problem or "")
    assert internet.connected == [PUBLIC]


async def test_a_name_without_an_address_is_a_problem_in_plain_words(internet: Internet) -> None:
    item = await check("http://nowhere.example.com/a.mp3")
    assert item.problem == "no address is known for 'nowhere.example.com': check the host's name"


async def test_private_addresses_and_other_ports_pass_where_the_caller_says_so(internet: Internet) -> None:
    async with RawServer(fine) as server:
        internet.names["cdn.example.com"], internet.ports["127.0.0.1"] = [("127.0.0.1",)], server.port
        assert (await check("http://cdn.example.com:8080/a.mp3", allow_private=True)).ok
    assert internet.connected == ["127.0.0.1"]


@pytest.mark.parametrize("location", LITERALS)
async def test_behind_a_proxy_what_is_private_by_its_text_is_not_asked_for(internet: Internet, location: str) -> None:
    async with RawServer(leading_to(location), fine) as proxy:
        internet.ports["127.0.0.1"] = proxy.port
        config = ClientConfig(proxy=f"http://127.0.0.1:{proxy.port}")
        item = await check("http://cdn.example.com/a.mp3", config=config)
    assert [request.line for request in proxy.requests] == ["GET http://cdn.example.com/a.mp3 HTTP/1.1"]
    assert not item.ok
