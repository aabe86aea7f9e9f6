"""The emulator as a test holds it: a real HTTP server on loopback that stands for the service.

What may live here: starting and stopping, and the switches that a test turns. It starts no thread; `threaded`
does that for callers without a loop of their own.
"""

from __future__ import annotations

import asyncio
import ipaddress
import random
from typing import TYPE_CHECKING

import attrs
from aiohttp import web

from mountsea_async.testing.behaviour import Behaviour
from mountsea_async.testing.delivery import Delivery
from mountsea_async.testing.faults import Fault, RuleBook
from mountsea_async.testing.ledger import Ledger, Recorder
from mountsea_async.testing.routes import Door
from mountsea_async.testing.service import Service
from mountsea_async.testing.threaded import EmulatorThread

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

    from mountsea_async.testing.behaviour import RateLimit
    from mountsea_async.testing.routes import CountingServer

_SHUTDOWN = 5.0


def _loopback(host: str) -> str:
    if host == "localhost":
        return "127.0.0.1"  # one address, so that port 0 means one port
    try:
        if ipaddress.ip_address(host).is_loopback:
            return host
    except ValueError:
        pass
    raise ValueError(f"host must be a loopback address such as 127.0.0.1, got {host!r}: the emulator checks nobody")


class Emulator:
    """The service, emulated over real HTTP on loopback. May be constructed outside a loop.

    Use it with `async with` on the loop that the test runs on, or with `with emulator.in_thread()` anywhere.
    It may be entered again after it was left: its memory and its port stay, so leaving it makes an outage.

    Args:
        behaviour: how the service behaves; None: a healthy one.
        api_key: the key that it accepts, not empty.
        host: a loopback address, or `localhost`.
        port: 0 to 65535; 0: a free one.
        keep_calls: False, for very large runs, keeps the counts alone and leaves `ledger.calls` empty.

    Raises:
        ValueError: the host is not loopback, the port is out of range, or the key is empty.
    """

    def __init__(
        self,
        behaviour: Behaviour | None = None,
        *,
        api_key: str = "emulator-key",
        host: str = "127.0.0.1",
        port: int = 0,
        keep_calls: bool = True,
    ) -> None:
        if not api_key:
            raise ValueError("api_key must not be empty")
        if not 0 <= port <= 65535:
            raise ValueError(f"port must be between 0 and 65535, got {port!r}")
        self._behaviour = Behaviour() if behaviour is None else behaviour
        self._api_key, self._host, self._port = api_key, _loopback(host), port
        self._clock: Callable[[], float] | None = None
        rng = random.Random(self._behaviour.seed)  # noqa: S311 - reproducible on purpose, protects nothing
        self._service = Service(self._behaviour, rng, self._now)
        self._rules = RuleBook(self._behaviour.faults, rng)
        self._recorder = Recorder(keep_calls=keep_calls)
        self._ledger = Ledger(self._recorder, self._service)
        self._closing: asyncio.Event | None = None
        self._server: CountingServer | None = None
        self._runner: web.ServerRunner | None = None

    @property
    def behaviour(self) -> Behaviour:
        """How the service behaves."""
        return self._behaviour

    @property
    def api_key(self) -> str:
        """The key that it accepts."""
        return self._api_key

    @property
    def ledger(self) -> Ledger:
        """What it was asked, created and charged; may be questioned after the end too."""
        return self._ledger

    @property
    def base_url(self) -> str:
        """Where it listens, without a slash at the end.

        Raises:
            RuntimeError: it was never started, so the port is not known.
        """
        if not self._port:
            raise RuntimeError("The emulator has no address before it is started: enter it with `async with` first")
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}"

    def add_fault(self, fault: Fault) -> None:
        """Add a rule behind those that exist. At any time, from any thread."""
        self._rules.add(fault)

    def clear_faults(self) -> None:
        """Forget every rule. At any time, from any thread; requests that hang already go on hanging."""
        self._rules.clear()

    def set_rate_limit(self, limit: RateLimit | None) -> None:
        """Replace the rate limit; None: there is none. At any time; what is left in the bucket stays, if it fits."""
        self._service.behaviour = attrs.evolve(self._service.behaviour, rate_limit=limit)

    def revoke_key(self) -> None:
        """Answer everything with 401 from here on."""
        self._service.key_revoked = True

    def lose_account(self, session_id: str) -> None:
        """Break the account that a session is bound to, and with it every other session of that account.

        Raises:
            ValueError: there is no such session.
        """
        if session_id not in self._service.sessions:
            raise ValueError(f"There is no session {session_id!r}")
        self._service.lose_account(session_id)

    def in_thread(self) -> EmulatorThread:
        """Return a context manager that runs this emulator on a loop and thread of its own."""
        return EmulatorThread(self)

    def _now(self) -> float:
        return 0.0 if self._clock is None else self._clock()

    async def __aenter__(self) -> Self:
        if self._runner is not None:
            raise RuntimeError("The emulator is running already")
        self._clock = asyncio.get_running_loop().time
        self._service.wall()  # wall time counts from the first start
        self._closing = asyncio.Event()
        door = Door(self._service, self._rules, self._recorder, Delivery(self._service, self._closing), self._api_key)
        self._server = door.server
        self._runner = web.ServerRunner(door.server, shutdown_timeout=_SHUTDOWN)
        try:
            await self._runner.setup()
            site = web.TCPSite(self._runner, self._host, self._port)
            await site.start()
        except BaseException:
            await self._stop()
            raise
        self._port = site.port
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stop()

    async def _stop(self) -> None:
        if self._runner is None or self._closing is None or self._server is None:
            return
        runner, self._runner = self._runner, None
        # Whoever hangs, sleeps or drips wakes up here, so that stopping waits for nobody.
        self._closing.set()
        self._server.release()
        await runner.cleanup()
        await self._server.drop_all()
