"""The smallest server that answers as the service does, so that a client and not its server is what gets measured.

    python -m benchmarks.lean_server

A hand-written protocol in a process of its own: a server made of `aiohttp.web` takes longer for an answer than a client
for its request. It keeps no state and answers at once: a status is always `running`, an item always accepted.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import cast

from benchmarks.setting import served

__all__ = ["lean_server", "stay_on"]

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_HEAD = (
    b"HTTP/1.1 %s\r\nContent-Type: application/json; charset=utf-8\r\nDate: Sun, 01 Nov 2026 12:00:00 GMT\r\n"
    b"Content-Length: "
)
_OK, _CREATED = _HEAD % b"200 OK", _HEAD % b"201 Created"
_TASK = b'{"taskId":"%s","status":"running","createdAt":"2026-11-01T12:00:00.000Z","finishAt":null,"data":null}'
_ACCEPTED = b'{"taskId":"5e3c1b1e-8a54-4f5e-9d38-7c1f6ad0b7f1"}'


class _Answering(asyncio.Protocol):
    """One connection."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._unread = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but its class

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        data = self._unread + data
        while (end := data.find(b"\r\n\r\n")) >= 0:
            length = 0
            if data.startswith(b"POST"):
                found = _LENGTH.search(data, 0, end + 2)
                length = int(found[1]) if found else 0
            if len(data) < (whole := end + 4 + length):
                break
            self._transport.write(_answer(data))
            data = data[whole:]
        self._unread = data


def _answer(request: bytes) -> bytes:
    if request.startswith(b"POST"):
        return _CREATED + b"%d\r\n\r\n" % len(_ACCEPTED) + _ACCEPTED
    start = request.find(b"taskId=") + 7
    body = _TASK % request[start : request.find(b" ", start)]
    return _OK + b"%d\r\n\r\n" % len(body) + body


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Answering, "127.0.0.1", 0, backlog=1024)
    async with server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await loop.run_in_executor(None, sys.stdin.read)


def stay_on(core: int) -> None:
    """Keeps this process on one of the cores that it may use, where the system lets it."""
    if hasattr(os, "sched_setaffinity") and len(cores := sorted(os.sched_getaffinity(0))) > core:
        os.sched_setaffinity(0, {cores[core]})


@contextmanager
def lean_server() -> Iterator[str]:
    """The address of a server in another process. Call it before `stay_on`: a child inherits the core."""
    with served("benchmarks.lean_server") as port:
        yield f"http://127.0.0.1:{port}"


def main() -> None:
    """Serves until its standard input is closed."""
    stay_on(1)
    if find_spec("uvloop") is None:
        asyncio.run(_serve())
    else:
        import uvloop  # noqa: PLC0415 - not required

        uvloop.run(_serve())


if __name__ == "__main__":
    main()
