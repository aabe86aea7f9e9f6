"""The event loop that is the network: stock aiohttp, client and server, on transports that exist in memory.

What may live here: the loop, its clock and its executor, and the four methods of asyncio that are replaced. The ends
of a connection are in `transport.py`, what can go wrong in `net.py`; processes and disks have modules of their own.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import itertools
import socket
from collections.abc import Callable
from typing import Any

import attrs

from .disk import Disk
from .net import Net
from .process import PROCESS, Process
from .transport import SimTransport

_BUSY = 400_000
"""So many callbacks without a step of the clock are a loop that never ends."""


class SimDeadlock(RuntimeError):  # noqa: N818 - a verdict on the world, as its tests name it
    """Nothing is scheduled any more: whoever waits, waits for ever."""


class SimTimeout(RuntimeError):  # noqa: N818 - as above
    """The world's time is up, or its clock has stopped."""


class _Selector:
    """Lets the clock jump to the next timer."""

    def __init__(self, loop: SimLoop) -> None:
        self._loop = loop

    def select(self, timeout: float | None) -> list[Any]:
        if timeout is None:
            raise SimDeadlock("nothing is scheduled: every task waits for what cannot happen")
        if timeout > 0:
            self._loop.jump()
        self._loop.check_pulse()
        return []

    def close(self) -> None: ...


class SimFuture(asyncio.Future):  # type: ignore[type-arg]
    """Hashed by its number: sets of futures are walked in the same order in every run."""

    def __init__(self, *, loop: SimLoop) -> None:
        super().__init__(loop=loop)
        self._number = next(loop.numbers)

    def __hash__(self) -> int:
        return self._number


class SimTask(asyncio.Task):  # type: ignore[type-arg]
    """As `SimFuture`; leftovers are looked for at the end of a run, not told of by the garbage collector."""

    def __init__(self, coro: Any, *, loop: SimLoop, **settings: Any) -> None:
        self._number = next(loop.numbers)
        super().__init__(coro, loop=loop, **settings)
        self._log_destroy_pending = False

    def __hash__(self) -> int:
        return self._number


class SimLoop(asyncio.BaseEventLoop):
    """An event loop without a selector, without threads and without waiting.

    Args:
        net: What its connections run over.
        disk: What its executor calls work on.
        limit: Seconds of simulated time after which the world is given up.
    """

    def __init__(self, net: Net, disk: Disk, *, limit: float = 1e6) -> None:
        super().__init__()
        self._now = 1000.0
        self._clock_resolution = 1e-9
        self._selector = _Selector(self)
        self._limit = self._now + limit
        self._mark = 0
        self.net, net.loop = net, self
        self.disk = disk
        self.numbers = itertools.count()
        self.callbacks = 0
        self.complaints: list[dict[str, Any]] = []
        self.wall_offset = 1_793_520_000.0
        self._free_port = 49152
        self.set_task_factory(self._make_task)
        self.set_exception_handler(lambda _, context: self.complaints.append(context))

    # ------------------------------------------------------------------------------------------------ the clock
    def time(self) -> float:
        return self._now

    def wall(self) -> float:
        """What a clock on the wall shows; it may be set forward and back."""
        return self._now + self.wall_offset

    def jump(self) -> None:
        """Nothing is left to do now: on to the next timer."""
        self._now = max(self._now, self._scheduled[0]._when)  # type: ignore[attr-defined]
        if self._now > self._limit:
            raise SimTimeout(f"the world has not come to its end within {self._limit - 1000:.0f} s")
        self._mark = self.callbacks

    def check_pulse(self) -> None:
        """Ends a world whose clock has stopped."""
        if self.callbacks - self._mark > _BUSY:
            raise SimTimeout(f"{_BUSY} callbacks while the clock stood still")

    def freeze(self, seconds: float) -> None:
        """The machine stands still: all timers are late."""
        self._now += seconds

    def _process_events(self, event_list: Any) -> None: ...

    def _write_to_self(self) -> None: ...

    # ---------------------------------------------------------------------------------- tasks and their processes
    def create_future(self) -> Any:
        return SimFuture(loop=self)

    @staticmethod
    def _make_task(loop: Any, coro: Any, **settings: Any) -> Any:
        context: contextvars.Context | None = settings.get("context")
        process = PROCESS.get() if context is None else context.get(PROCESS)
        task: asyncio.Task[Any] = SimTask(coro, loop=loop, **settings)
        if process is not None:
            process.tasks.append(task)
        return task

    def _guarded(self, process: Process, callback: Callable[..., object], *arguments: Any) -> None:
        if process.may_run():
            callback(*arguments)

    def _tagged(self, callback: Callable[..., object], context: contextvars.Context | None) -> Callable[..., object]:
        self.callbacks += 1
        process = PROCESS.get() if context is None else context.get(PROCESS)
        return callback if process is None else functools.partial(self._guarded, process, callback)

    def call_soon(  # type: ignore[override]
        self, callback: Any, *arguments: Any, context: Any = None
    ) -> Any:
        return super().call_soon(self._tagged(callback, context), *arguments, context=context)

    def call_soon_threadsafe(  # type: ignore[override]
        self, callback: Any, *arguments: Any, context: Any = None
    ) -> Any:
        return self.call_soon(callback, *arguments, context=context)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Any, *arguments: Any, context: Any = None
    ) -> Any:
        return super().call_at(when, self._tagged(callback, context), *arguments, context=context)

    # --------------------------------------------------------------------------------------------- the executor
    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Callable[..., Any], *arguments: Any
    ) -> asyncio.Future[Any]:
        """Blocking work: done later, in one piece, and heard of later still."""
        future: asyncio.Future[Any] = self.create_future()
        starts, takes = self.disk.schedule(executor, self._now)
        self.call_at(starts, self._work, future, func, arguments, takes)
        return future

    def _work(
        self, future: asyncio.Future[Any], func: Callable[..., Any], arguments: tuple[Any, ...], takes: float
    ) -> None:
        process = PROCESS.get()
        if future.cancelled() and not self.disk.begun_already():
            return
        result: Any = None
        error: Exception | None = None
        try:
            result = self.disk.run(process, func, arguments)
        except Exception as raised:  # noqa: BLE001 - whatever it is belongs to whoever waits for it
            error = raised
        self.net.note("disk", getattr(func, "__name__", "?"), type(error).__name__ if error else "")
        if process is not None and process.dead:
            return  # the power went in the middle of it
        self.call_later(takes, self._hand_over, future, result, error)

    @staticmethod
    def _hand_over(future: asyncio.Future[Any], result: Any, error: Exception | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)

    # ----------------------------------------------------------------- the network: four public asyncio methods
    async def getaddrinfo(
        self,
        host: Any,
        port: Any,
        *,
        family: int = 0,
        type: int = 0,  # noqa: A002 - its name in asyncio
        proto: int = 0,
        flags: int = 0,
    ) -> Any:
        kind = self.net.fault("lookup", self.net.rng)
        # A resolver gives up on servers that keep silent; until then all who ask for the name wait together.
        await asyncio.sleep(45.0 if kind == "hang" else self.net.latency())
        self.net.note("lookup", host, kind)
        if kind in ("again", "hang"):
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        if kind == "unknown" or host not in self.net.names:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (self.net.names[host], port))]

    async def sock_connect(self, sock: socket.socket, address: Any) -> None:
        process = PROCESS.get()
        if process is not None:
            process.sockets.add(sock)
        kind = self.net.fault("connect", self.net.rng)
        delay = {"hang": 1e9, "slow": self.net.rng.uniform(1, 12)}.get(kind or "", self.net.latency())
        await asyncio.sleep(delay)
        self.net.note("connect", kind)
        if kind == "refuse" or self.net.down or address[:2] not in self.net.listeners:
            raise ConnectionRefusedError(111, "Connection refused")
        self.net.half_open[sock.fileno()] = (address[0], address[1])
        if kind == "reset":
            self.net.half_open[-sock.fileno()] = (address[0], address[1])

    async def create_connection(  # type: ignore[override]
        self, protocol_factory: Callable[[], Any], *_: Any, sock: socket.socket, **__: Any
    ) -> Any:
        number = sock.fileno()
        address = self.net.half_open.pop(number)
        doomed = self.net.half_open.pop(-number, None) is not None
        sock.close()  # it was a token: no byte of the world's goes through the kernel
        process = PROCESS.get()
        if process is not None:
            process.sockets.discard(sock)
        if address not in self.net.listeners:
            raise ConnectionResetError(104, "Connection reset by peer")
        near, far = self._connect(address, process)
        protocol = protocol_factory()
        near.set_protocol(protocol)
        protocol.connection_made(near)
        far.set_protocol(far.context.run(self.net.listeners[address][0]))
        self.call_soon(far.protocol.connection_made, far, context=far.context)
        self._doom(near, far, doomed)
        return near, protocol

    def _connect(self, address: tuple[str, int], process: Process | None) -> tuple[SimTransport, SimTransport]:
        net = self.net
        net.connections += 1
        seed = net.rng.getrandbits(64)
        here = ("127.0.0.9", 40000 + net.connections)
        near = SimTransport(net, here, address, contextvars.copy_context(), seed, number=net.connections)
        far = SimTransport(net, address, here, net.listeners[address][1], seed + 1, number=-net.connections)
        near.peer, far.peer, near.process = far, near, process
        net.transports += near, far
        if process is not None:
            process.transports.append(near)
        return near, far

    def _doom(self, near: SimTransport, far: SimTransport, reset: bool) -> None:
        """What will become of a new connection by itself."""
        net, rng = self.net, near.rng
        if reset:
            near.reset_both()
        if rng.random() < net.weather.stale:
            near.stale_after = rng.uniform(0.3, 4)
        if rng.random() < net.weather.closing:
            net.hits["closing"] += 1
            self.call_later(rng.uniform(0.01, 8), far.close, context=far.context)

    async def create_server(self, protocol_factory: Any, host: Any = None, port: Any = None, **_: Any) -> Any:
        if not port:
            port, self._free_port = self._free_port, self._free_port + 1
        if (host, port) in self.net.listeners:
            raise OSError(98, "Address already in use")
        self.net.listeners[host, port] = protocol_factory, contextvars.copy_context()
        return _Server(self.net, (host, port))


@attrs.frozen
class _Listener:
    address: tuple[str, int]

    def getsockname(self) -> tuple[str, int]:
        return self.address


class _Server:
    def __init__(self, net: Net, address: tuple[str, int]) -> None:
        self._net, self._address = net, address
        self.sockets: tuple[_Listener, ...] = (_Listener(address),)

    def close(self) -> None:
        self._net.listeners.pop(self._address, None)
        self.sockets = ()

    async def wait_closed(self) -> None: ...
