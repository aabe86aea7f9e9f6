"""One end of a simulated connection, the kernel behind it, and what can go wrong with a write.

What may live here: what asyncio's own socket transport does, done on bytes in memory. It draws faults from the
connection's own source of chance, so that one connection's fate does not hang on another's.
"""

# ruff: noqa: S311 - chance is seeded here on purpose, and protects nothing
from __future__ import annotations

import asyncio
import contextvars
import itertools
import random
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .net import Net
    from .process import Process

_HIGH_WATER, _LOW_WATER = 1 << 16, 1 << 14


class _End:
    """What arrives after the last byte: a FIN in order, or a reset."""

    def __init__(self, *, reset: bool) -> None:
        self.reset = reset


_FIN, _RST = _End(reset=False), _End(reset=True)


class SimTransport(asyncio.Transport):
    """One end of a connection, and the kernel behind it.

    What `write` hands over is either taken by the kernel, and then on its way whatever becomes of this end, or it
    stays in the buffer that `get_write_buffer_size` tells of. Bytes arrive in order.
    """

    def __init__(
        self,
        net: Net,
        here: tuple[str, int],
        there: tuple[str, int],
        context: contextvars.Context,
        seed: int,
        *,
        number: int,
    ) -> None:
        super().__init__({"peername": there, "sockname": here})
        self.net, self.loop, self.context, self.number = net, net.loop, context, number
        self.rng = random.Random(seed)
        self.client = number > 0
        self.peer: SimTransport
        self.process: Process | None = None
        self.protocol: Any = None
        self.stale_after = float("inf")
        self._inbox: deque[bytes | _End] = deque()
        self._due = 0
        self._next_at = 0.0
        self._used_at = self.loop.time()
        self._buffer = bytearray()
        self._blocked = False
        self._void = False
        self._closing = False
        self._lost = False
        self._gone = False
        self._reading = True
        self._writing_paused = False

    # ------------------------------------------------------------------------------ what a transport can be asked
    def set_protocol(self, protocol: Any) -> None:
        self.protocol = protocol

    def get_protocol(self) -> Any:
        return self.protocol

    def is_closing(self) -> bool:
        return self._closing

    @property
    def open(self) -> bool:
        """Whether somebody holds this end: what is closing already belongs to the kernel alone."""
        return not self._gone and not self._closing

    def get_write_buffer_size(self) -> int:
        return len(self._buffer)

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return _LOW_WATER, _HIGH_WATER

    def set_write_buffer_limits(self, high: Any = None, low: Any = None) -> None: ...

    def is_reading(self) -> bool:
        return self._reading and not self._closing

    def pause_reading(self) -> None:
        self._reading = False

    def resume_reading(self) -> None:
        if not self._reading:
            self._reading = True
            self.loop.call_soon(self._read, context=self.context)

    def can_write_eof(self) -> bool:
        return False

    def write(self, data: Any) -> None:
        if self._lost or not data:
            return
        data = bytes(data)
        self.net.note("write", self.number, len(data), data[:24])
        if not self._buffer and not self._blocked:
            data = data[self._hand_to_kernel(data) :]
            if not data or self._lost:
                return
        self._buffer += data
        if len(self._buffer) > _HIGH_WATER and not self._writing_paused:
            self._writing_paused = True
            self.protocol.pause_writing()

    def close(self) -> None:
        if self._closing:
            return
        self._closing = True
        if not self._buffer:
            self._lose(None)

    def abort(self) -> None:
        self._give_up(None, reset=True)

    # ----------------------------------------------------------------------------------------- going out: faults
    def _hand_to_kernel(self, data: bytes) -> int:
        """How many bytes the kernel takes. What becomes of them is the fault's business."""
        now, idle = self.loop.time(), self.loop.time() - self._used_at
        self._used_at = self.peer._used_at = now
        if self.client and idle > self.stale_after:
            self.net.hits["stale"] += 1
            self.reset_both()
            return len(data)
        if self._void:
            return len(data)
        kind = self.net.fault("request" if self.client else "response", self.rng)
        fault = _FAULTS.get(kind or "")
        if fault is None:
            self.send(data)
            return len(data)
        return fault(self, data)

    def send(self, data: bytes | _End, delay: float = 0.0) -> None:
        """Puts something on its way to the other end, behind what is on its way already."""
        latency = self.rng.uniform(*self.net.weather.latency)
        if self._void and isinstance(data, bytes):
            return
        self._next_at = max(self.loop.time() + latency + delay, self._next_at)
        self.peer._inbox.append(data)
        self.loop.call_at(self._next_at, self.peer._arrive, context=self.peer.context)

    def swallow(self) -> None:
        """From here on the network forgets what goes this way."""
        self._void = True

    def reset_both(self, delay: float = 0.0) -> None:
        """Something in between breaks the connection; what it has not delivered is lost."""
        for end in (self, self.peer):
            end._void = True
            wait = delay + self.rng.uniform(*self.net.weather.latency)
            broken = ConnectionResetError(104, "Connection reset by peer")
            self.loop.call_later(wait, end._give_up, broken, context=end.context)

    def block(self, seconds: float | None = None) -> None:
        """The kernel takes nothing more for so long; None: never again."""
        self._blocked = True
        if seconds is not None:
            self.loop.call_later(seconds, self._unblock, context=self.context)

    def _unblock(self) -> None:
        self._blocked = False
        if self._lost or not self._buffer:
            return
        data = bytes(self._buffer)
        self._buffer.clear()
        self.net.note("flush", self.number, len(data))
        self.send(data)
        if self._writing_paused:
            self._writing_paused = False
            self.protocol.resume_writing()
        if self._closing:
            self._lose(None)

    # ------------------------------------------------------------------------------------------------- coming in
    def _arrive(self) -> None:
        self._due += 1
        self._read()

    def _read(self) -> None:
        while self._due and self._reading and self._inbox:
            self._due -= 1
            item = self._inbox.popleft()
            if self._lost:
                if isinstance(item, bytes) and not self._void:
                    self._void = True
                    self.send(_RST)  # nobody reads here any more
                return
            if isinstance(item, bytes):
                self._used_at = self.loop.time()
                self.net.note("read", self.number, len(item))
                if not self._closing:
                    self.protocol.data_received(item)
            elif item.reset:
                self._give_up(ConnectionResetError(104, "Connection reset by peer"))
            else:
                self.net.note("eof", self.number)
                if not self._closing and not self.protocol.eof_received():
                    self.close()

    # ---------------------------------------------------------------------------------------------------- ending
    def _lose(self, error: Exception | None, *, reset: bool = False) -> None:
        if not self._lost:
            self._lost = self._closing = True
            self.loop.call_soon(self._end, error, reset, context=self.context)

    def _give_up(self, error: Exception | None, *, reset: bool = False) -> None:
        self._buffer.clear()
        self._closing = True
        self._lose(error, reset=reset)

    def _end(self, error: Exception | None, reset: bool) -> None:
        self._gone = True
        self.net.note("end", self.number, type(error).__name__ if error else "")
        self.protocol.connection_lost(error)
        if error is None:
            self.send(_RST if reset else _FIN)

    def vanish(self) -> None:
        """The process was killed: its kernel ends the connection; what it had taken goes out before."""
        if not self._gone:
            was_lost, self._lost, self._closing, self._gone = self._lost, True, True, True
            self._buffer.clear()
            if not was_lost or not self.peer._lost:
                self.send(_RST if self._inbox or self.rng.random() < 0.5 else _FIN)


# ----------------------------------------------------------------------------------------------- what can go wrong
def _broken(end: SimTransport, data: bytes) -> int:
    """The kernel knows already that the connection is gone: it takes nothing."""
    end.peer.swallow()
    end._give_up(BrokenPipeError(32, "Broken pipe"))
    end.loop.call_later(0.01, end.peer._give_up, ConnectionResetError(104, "reset"), context=end.peer.context)
    return 0


def _reset(end: SimTransport, data: bytes) -> int:
    """Taken, never delivered, and both ends are told."""
    end.reset_both()
    return len(data)


def _stall(end: SimTransport, data: bytes) -> int:
    """Taken, never delivered, and nobody is told."""
    end.swallow()
    return len(data)


def _slow(end: SimTransport, data: bytes) -> int:
    """Delivered long after, perhaps when nobody waits any more."""
    end.send(data, end.rng.choice((1.0, 8.0, 40.0, 75.0)) * end.rng.random())
    return len(data)


def _half(end: SimTransport, data: bytes) -> int:
    """The kernel takes a part; the rest follows later, never, or the connection breaks."""
    taken = max(1, int(len(data) * end.rng.random()))
    end.send(data[:taken])
    match end.rng.randrange(3):
        case 0:
            end.block(end.rng.uniform(0.1, 20))
        case way:
            end.block()
            # A kernel gives up on bytes that nobody takes, if late.
            wait = end.rng.uniform(0.1, 20) if way == 1 else 900.0
            broken = TimeoutError(110, "Connection timed out")
            end.loop.call_later(wait, end._give_up, broken, context=end.context)
    return taken


def _deaf(end: SimTransport, data: bytes) -> int:
    """Delivered, but the other end has said FIN: its answer has no way back."""
    end.send(data)
    end.peer.swallow()
    end.peer.send(_FIN)
    return len(data)


def _truncate(end: SimTransport, data: bytes) -> int:
    """A part arrives, then the end of the stream."""
    end.send(data[: int(len(data) * end.rng.random())])
    end.swallow()
    end.send(_FIN if end.rng.random() < 0.5 else _RST)
    return len(data)


def _split(end: SimTransport, data: bytes) -> int:
    """Arrives in pieces."""
    cuts = sorted(end.rng.randrange(len(data)) for _ in range(end.rng.randint(1, 4)))
    for start, stop in itertools.pairwise((0, *cuts, len(data))):
        if start < stop:
            end.send(data[start:stop], end.rng.random())
    return len(data)


def _garble(end: SimTransport, data: bytes) -> int:
    """Arrives as something that is no HTTP."""
    end.send(end.rng.choice((b"HTTP/1.1 2O1 Created\r\n\r\n", b"\x16\x03\x01\x02\x00\x01", b"SSH-2.0-x\r\n")) + data)
    return len(data)


_FAULTS: dict[str, Callable[[SimTransport, bytes], int]] = {
    "broken": _broken,
    "reset": _reset,
    "stall": _stall,
    "slow": _slow,
    "half": _half,
    "deaf": _deaf,
    "truncate": _truncate,
    "split": _split,
    "garble": _garble,
}
