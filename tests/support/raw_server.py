"""A server below HTTP: what it does with each connection is a small coroutine, so that every fault can be real."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import TracebackType
from typing import Self


class Received:
    """One request as it came over the wire."""

    def __init__(self, head: bytes, body: bytes) -> None:
        lines = head.decode("latin-1").split("\r\n")
        self.line = lines[0]
        self.fields = [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines[1:])]
        self.body = body

    def all(self, name: str) -> list[str]:
        """Every value of a header."""
        return [value for each, value in self.fields if each == name.lower()]

    def header(self, name: str) -> str | None:
        """The only value of a header, if there is one."""
        values = self.all(name)
        assert len(values) <= 1, f"{name} was sent {len(values)} times"
        return values[0] if values else None


class Connection:
    """One accepted connection, as its behaviour sees it."""

    def __init__(self, server: RawServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.server = server
        self._reader = reader
        self._writer = writer

    async def request(self) -> Received:
        """Reads one whole request and records it."""
        head = (await self._reader.readuntil(b"\r\n\r\n"))[:-4]
        received = Received(head, b"")
        received.body = await self._reader.readexactly(int(received.header("content-length") or 0))
        self.server.requests.append(received)
        return received

    async def write(self, data: bytes) -> None:
        """Sends bytes as they are."""
        self._writer.write(data)
        await self._writer.drain()

    async def answer(self, status: str = "201 Created", body: bytes = b"", *headers: str) -> None:
        """Sends a well-formed answer."""
        await self.write(answer(status, body, *headers))

    def reset(self) -> None:
        """Ends the connection with RST instead of FIN."""
        raw = self._writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    async def hang(self) -> None:
        """Does nothing until the client has gone."""
        while await self._reader.read(65536):
            pass


Behaviour = Callable[[Connection], Awaitable[None]]


def answer(status: str = "201 Created", body: bytes = b"", *headers: str) -> bytes:
    """A well-formed answer's bytes."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Content-Type: application/json", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class RawServer:
    """Listens on loopback; the nth connection gets the nth behaviour, later ones the last.

    Attributes:
        requests: Every request that was read, in order.
        connections: How many connections were accepted.
    """

    def __init__(self, *behaviours: Behaviour, tls: ssl.SSLContext | None = None) -> None:
        self._behaviours = behaviours
        self._tls = tls
        self._handlers: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.requests: list[Received] = []
        self.connections = 0
        self.faults: list[BaseException] = []
        self.port = 0

    @property
    def url(self) -> str:
        return f"http{'s' if self._tls else ''}://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for handler in self._handlers:
            handler.cancel()
        if self._handlers:
            await asyncio.wait(self._handlers)
        await self._server.wait_closed()
        assert not self.faults, self.faults

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handler = asyncio.current_task()
        assert handler is not None
        self._handlers.add(handler)
        behaviour = self._behaviours[min(self.connections, len(self._behaviours) - 1)]
        self.connections += 1
        try:
            with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await behaviour(Connection(self, reader, writer))
        except Exception as fault:  # noqa: BLE001 - a behaviour that is wrong must fail its test
            self.faults.append(fault)
        finally:
            self._handlers.discard(handler)
            writer.close()
            with suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()


def unused_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
