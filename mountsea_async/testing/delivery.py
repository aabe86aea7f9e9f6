"""How a reply reaches the wire, or fails to: whole, in part, byte by byte, late or never.

What may live here: everything that touches a connection. What the reply says was decided elsewhere.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from typing import TYPE_CHECKING

from aiohttp import web

from mountsea_async.testing.operations import http_date, phrase

if TYPE_CHECKING:
    from mountsea_async.testing.operations import Reply
    from mountsea_async.testing.service import Service

# Linger on, for no time: closing sends a reset and forgets what was not sent.
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Delivery:
    """Sends the replies of one emulator while it is open.

    Args:
        service: tells the wall time for the `Date` header.
        closing: set when the emulator stops; every wait here ends then.
    """

    def __init__(self, service: Service, closing: asyncio.Event) -> None:
        self._service, self._closing = service, closing

    @property
    def closed(self) -> bool:
        """Whether the emulator is stopping."""
        return self._closing.is_set()

    async def pause(self, seconds: float | None, gone: asyncio.Event | None = None) -> None:
        """Wait so long, or until the emulator stops; given `gone`, until that is set (stopping sets it)."""
        if seconds == 0:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await (gone or self._closing).wait()

    def whole(self, reply: Reply) -> web.Response:
        """Return the reply as a response, with the emulated `Date`: a seed reproduces the bytes."""
        headers = {"Date": http_date(self._service.wall()), **reply.headers}
        return web.Response(status=reply.status, reason=phrase(reply.status), body=reply.body, headers=headers)

    def cut(self, request: web.BaseRequest, *, graceful: bool) -> web.Response:
        """Break the connection; the response returned goes nowhere."""
        transport = request.transport
        if transport is not None and graceful:
            transport.close()
        elif transport is not None:
            # A simulated transport has no socket, and aborting is all that it takes there.
            if (sock := transport.get_extra_info("socket")) is not None:
                with contextlib.suppress(OSError):
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            transport.abort()
        return web.Response()

    def truncated(self, request: web.BaseRequest, reply: Reply, keep: float) -> web.Response:
        """Announce the whole body, send a part of it and close."""
        if (transport := request.transport) is not None:
            transport.write(self._head(reply) + reply.body[: int(len(reply.body) * keep)])
            transport.close()
        return web.Response()

    async def dripped(
        self, request: web.BaseRequest, reply: Reply, seconds_per_byte: float, gone: asyncio.Event
    ) -> web.Response:
        """Send the head, then the body byte by byte, and close."""
        transport = request.transport
        if transport is None:
            return web.Response()
        transport.write(self._head(reply))
        for number in range(len(reply.body)):
            await self.pause(seconds_per_byte, gone)
            if gone.is_set() or transport.is_closing():
                break
            transport.write(reply.body[number : number + 1])
        transport.close()
        return web.Response()

    def _head(self, reply: Reply) -> bytes:
        """Return a head that promises the whole body, by hand: the framework would keep the promise."""
        headers = {"Date": http_date(self._service.wall()), **reply.headers}
        headers |= {"Content-Length": str(len(reply.body)), "Connection": "close"}
        lines = [
            f"HTTP/1.1 {reply.status} {phrase(reply.status)}",
            *(f"{name}: {text}" for name, text in headers.items()),
        ]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")
