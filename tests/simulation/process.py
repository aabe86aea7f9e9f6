"""Processes that can be killed or cancelled between any two callbacks.

What may live here: whose callbacks run and whose don't, and what the kernel does when a process is gone. What its
disk keeps is in `disk.py`.
"""

from __future__ import annotations

import asyncio
import contextvars
import socket
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .network import SimLoop
    from .transport import SimTransport

PROCESS: contextvars.ContextVar[Process | None] = contextvars.ContextVar("PROCESS", default=None)


class Process:
    """A process: what is called from its context ends with it.

    Args:
        name: For messages.
        loop: The world.
        kill_at: It is killed instead of its callback of this number.
        cancel_at: Its main task is cancelled before its callback of this number.
        kill_event: It is killed after the world's note of this number about it, before its next callback.
        cancel_event: The same for a cancel.
        cancel_again: A second cancel comes so many callbacks after the first.
        power: A kill is a power cut.
    """

    def __init__(
        self,
        name: str,
        loop: SimLoop,
        *,
        kill_at: int | None = None,
        cancel_at: int | None = None,
        kill_event: int | None = None,
        cancel_event: int | None = None,
        cancel_again: int | None = None,
        power: bool = False,
    ) -> None:
        self.name, self.loop = name, loop
        self.kill_at, self.cancel_at = kill_at, cancel_at
        self.kill_event, self.cancel_event = kill_event, cancel_event
        self.cancel_again = cancel_again
        self.power = power
        self.steps = self.events = 0
        self.dead = False
        self.tasks: list[asyncio.Task[Any]] = []
        self.transports: list[SimTransport] = []
        self.sockets: set[socket.socket] = set()
        self.stores: list[Any] = []
        self.clients: list[Any] = []
        self.main: asyncio.Task[Any] | None = None
        self.died: asyncio.Future[None] = loop.create_future()
        self.saved = loop.disk.read() if power else {}

    def start(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Runs a coroutine as this process."""
        context = contextvars.copy_context()
        context.run(PROCESS.set, self)
        self.main = self.loop.create_task(work, context=context)
        return self.main

    def noted(self) -> None:
        """Something that can be seen from outside has happened in it."""
        self.events += 1
        if self.events == self.kill_event:
            self.kill_at = self.steps + 1
        elif self.events == self.cancel_event:
            self.cancel_at = self.steps + 1

    def may_run(self) -> bool:
        """Counts a callback; tells whether it runs."""
        if self.dead:
            return False
        self.steps += 1
        if self.kill_at is not None and self.steps >= self.kill_at:
            self.kill()
            return False
        if self.cancel_at is not None and self.steps >= self.cancel_at and self.main is not None:
            self.cancel_at = None if self.cancel_again is None else self.steps + self.cancel_again
            self.cancel_again = None
            self.main.cancel()
        return True

    def kill(self) -> None:
        """SIGKILL: nothing of it runs any more, no `finally` either; the kernel closes what it had open."""
        if self.dead:
            return
        self.dead = True
        self.loop.net.note("kill", self.name)
        self.loop.disk.crash(self.stores, self.saved if self.power else None)
        for transport in self.transports:
            transport.vanish()
        for sock in self.sockets:
            sock.close()
        if not self.died.done():
            self.died.set_result(None)

    def leftovers(self) -> list[str]:
        """What a process that has ended of itself still has running or open."""
        tasks = [f"task {task!r}" for task in self.tasks if not task.done()]
        return tasks + [f"connection {transport.number}" for transport in self.transports if transport.open]

    def bury(self) -> None:
        """After the verdict: unwinds what it left suspended, so that nothing is told of when it is collected."""
        for client in self.clients:
            _forget(client)
        for task in self.tasks:
            work = task.get_coro()
            if task.done() or not hasattr(work, "close"):
                continue
            for _ in range(20):
                try:
                    work.close()
                except BaseException:  # noqa: BLE001, S112 - it may say what it likes: it is dead
                    continue
                break
        self.tasks.clear()
        self.transports.clear()


def _forget(client: Any) -> None:
    """Makes a dead client's connection pool and session look closed to the garbage collector."""
    http: Any = getattr(getattr(client, "_transport", None), "_http", None)
    connector = getattr(http, "_connector", None)
    if connector is not None:
        connector._closed = True
        connector._conns.clear()
        connector._acquired.clear()
        http._connector = None
