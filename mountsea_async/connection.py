"""A client's connection: its key and addresses, opened in one event loop, and what every call goes through."""

from __future__ import annotations

import asyncio
import inspect
import random
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Self

from .config import MAX_IN_FLIGHT, ClientConfig
from .environment import checked_balance_url, checked_base_url, checked_key
from .errors import ClientStateError, ConfigurationError, InputError
from .models import Task
from .upload.events import Observer
from .upload.tasks import TaskHandle, raw_of
from .wire import decode
from .wire.caller import Caller, Unwatched
from .wire.endpoints import Request
from .wire.pacing import Pace
from .wire.transport import Transport, pool_limit

if TYPE_CHECKING:
    import aiohttp

__all__ = ["Connection"]


class Connection:
    """A client's connection, opened and closed. `MountseaClient` says what the arguments are."""

    def __init__(
        self,
        api_key: str | None = None,
        *,
        base_url: str | None = None,
        balance_url: str | None = None,
        http: aiohttp.ClientSession | None = None,
        config: ClientConfig | None = None,
        pace: Pace | None = None,
        observe: Observer | None = None,
    ) -> None:
        self._config = config or ClientConfig()
        if http is not None and self._config.trace_configs:
            raise ConfigurationError(
                "trace_configs go into a session that the client opens itself: give them to the one that is borrowed, "
                "aiohttp.ClientSession(trace_configs=...)"
            )
        if observe is not None and (not callable(observe) or inspect.iscoroutinefunction(observe)):
            raise ConfigurationError("observe: give a plain function without arguments, or None")
        self._api_key = checked_key(api_key)
        self._base_url = checked_base_url(base_url, allow_http=self._config.allow_http)
        self._balance_url = checked_balance_url(
            balance_url, base_url=self._base_url, allow_http=self._config.allow_http
        )
        self._http = http
        self._rng = random.Random()  # noqa: S311 - jitter
        self._pace = pace
        self._observe = observe
        self._caller: Caller | None = None
        self._transport: Transport | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False

    def __repr__(self) -> str:
        return f"{type(self).__name__}(base_url={self._base_url!r})"

    async def __aenter__(self) -> Self:
        """Opens the client in the running event loop.

        Raises:
            ClientStateError: It is open already.
            ConfigurationError: The borrowed session has no room for a request.
        """
        if self._caller is not None:
            raise ClientStateError("this client is open already: enter it once and share it")
        config = self._config
        pace = self._pace or Pace(
            self._room(), rate=config.rate, max_retry_after=config.retry.max_retry_after, rng=self._rng
        )
        if pace.limit > self._room():
            raise ConfigurationError(
                f"the borrowed session's pool holds {self._room()} connections, fewer than the pace's {pace.limit}: "
                f"raise the limit of its connector, or give Pace(limit={self._room()})"
            )
        self._transport = Transport(
            self._api_key, self._base_url, self._config, pace.limit, self._http, balance_url=self._balance_url
        )
        await self._transport.open()
        self._loop = asyncio.get_running_loop()
        self._caller = Caller(self._transport, pace, config.retry, self._rng, config.json_loads)
        self._closed = False
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes the connections that the client opened. A borrowed session stays open."""
        self._caller, self._closed = None, True
        if self._transport is not None:
            await self._transport.close()

    def _room(self) -> int:
        return MAX_IN_FLIGHT if self._http is None else int(min(MAX_IN_FLIGHT, pool_limit(self._http)))

    def _open_caller(self) -> Caller:
        if self._caller is None:
            state = "is closed" if self._closed else "isn't open yet"
            raise ClientStateError(f"the client {state}: use it inside `async with MountseaClient() as client:`")
        if asyncio.get_running_loop() is not self._loop:
            raise ClientStateError(
                "the client was opened in another event loop: open one client in each loop, and not before it runs"
            )
        return self._caller

    async def _submit(self, request: Request, holds: Callable[[Task], object] = raw_of) -> TaskHandle:
        task_id = await self._open_caller().submit(Unwatched(request), decode.task_id)
        return TaskHandle(task_id, self._open_caller, self._config.poll, self._rng, holds=holds)

    def task(self, task_id: str) -> TaskHandle:
        """A handle on a task, from its id. Asks nothing yet.

        Args:
            task_id: A task's id, or a session's.

        Raises:
            InputError: It isn't an id.
        """
        if not isinstance(task_id, str) or not task_id.strip() or not task_id.isprintable():
            raise InputError(f"task_id={task_id!r}: give the id that the service answered with")
        return TaskHandle(task_id.strip(), self._open_caller, self._config.poll, self._rng)
