"""The gate that all requests of a client pass: how many are in flight, and when nobody may go.

Knows nothing of HTTP: it is told what was accepted and what was refused. Clients that share a key can share
one `Pace`; nothing is global to the process.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import Any, TypeAlias

import attrs

from ..config import MAX_IN_FLIGHT
from ..errors import ClientStateError, ConfigurationError

HINTLESS = 1.0
"""The first pause after a refusal without a hint; it doubles up to `HINTLESS_CAP` while refusals go on."""
HINTLESS_CAP = 20.0
FORGOTTEN = 300.0
"""Seconds after a pause in which nobody has asked: the next refusal is the first of its kind again."""
DISBELIEF = 0.05
"""The shortest pause, doubled with each refusal in a row, whatever the hint."""

Listener: TypeAlias = Callable[[float], None]
Lane: TypeAlias = AbstractAsyncContextManager[Any]
"""Something to be held for one attempt."""
NO_LANE: Lane = nullcontext()


class Pace:
    """Admits requests, first come first served, and pauses all of them when the service says "too many".

    After a refusal fewer go at once: the number is halved, then grows by one with each accepted request up to
    half of what it was, and slowly beyond.

    Args:
        limit: Requests in flight at once, at most (1 to 100).
        max_retry_after: A longer hint of the service is cut to this many seconds.
        rng: Where jitter comes from.
    """

    def __init__(
        self, limit: int = MAX_IN_FLIGHT, *, max_retry_after: float = 120.0, rng: random.Random | None = None
    ) -> None:
        if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= MAX_IN_FLIGHT:
            raise ConfigurationError(f"Pace(limit={limit!r}): give a whole number from 1 to {MAX_IN_FLIGHT}")
        self.limit = limit
        self._max_retry_after = max_retry_after
        self._rng = rng or random.Random()  # noqa: S311 - jitter
        self._window = float(limit)
        self._settled = float(limit)
        self._in_flight = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._open_at = 0.0
        self._refusals = 0
        self._refused_since: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._listeners: list[Listener] = []
        self._loop: asyncio.AbstractEventLoop | None = None

    @asynccontextmanager
    async def permit(self) -> AsyncIterator[None]:
        """Waits for its turn and holds one place in flight; for one attempt, never over a sleep."""
        await self._enter()
        try:
            yield
        finally:
            self._in_flight -= 1
            self._admit()

    def accepted(self) -> None:
        """The service has answered a request with anything but "too many requests": the pause is over."""
        self._refusals, self._refused_since = 0, None
        if self._window < self.limit:
            self._window += 1 if self._window < self._settled else 1 / self._window
            self._admit()

    def refused(self, retry_after: float | None, sent_at: float) -> None:
        """The service has answered "too many requests": nobody goes until the pause is over.

        Args:
            retry_after: Seconds that the service asks for, if it does.
            sent_at: Loop time at which the refused request was admitted. One that was on its way before the
                last pause began tells nothing new.
        """
        loop = self._running_loop()
        now = loop.time()
        if self._refused_since is None or sent_at - self._open_at > FORGOTTEN:
            self._refused_since = now
        fresh = sent_at >= self._open_at
        if fresh:
            self._refusals += 1
            self._settled = max(1.0, self._window / 2)
            self._window = max(1.0, self._window / 2) if self._refusals == 1 else 1.0
        if retry_after is not None:
            pause = min(retry_after, self._max_retry_after) * (1 + self._rng.random() / 10)
            # Whoever says "at once" and refuses again and again isn't believed for ever.
            pause = max(pause, min(HINTLESS_CAP, DISBELIEF * 2.0 ** min(self._refusals, 20)))
        elif fresh:
            ceiling = min(HINTLESS_CAP, HINTLESS * 2.0 ** min(self._refusals - 1, 20))
            pause = ceiling * self._rng.uniform(0.5, 1)
        else:
            return
        if now + pause > self._open_at:
            self._open_at = now + pause
            self._set_timer(loop)
            for listener in tuple(self._listeners):
                listener(pause)

    def refused_for(self) -> float:
        """Seconds since when the service has done nothing but refuse; 0 after an accepted request."""
        return 0.0 if self._refused_since is None else asyncio.get_running_loop().time() - self._refused_since

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Tells of each pause, in seconds. Returns what ends it."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        """The loop that runs now. What waited or flew in one that is gone is gone with it; its pause isn't."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            if self._loop is not None and self._loop.is_running():
                raise ClientStateError("this Pace is in use in another event loop: give each loop one of its own")
            if self._loop is not None:
                self._open_at = loop.time() + max(0.0, self._open_at - self._loop.time())
            self._loop, self._timer, self._refused_since, self._in_flight = loop, None, None, 0
            self._waiting.clear()
        return loop

    async def _enter(self) -> None:
        loop = self._running_loop()
        if not self._waiting and self._in_flight < int(self._window) and loop.time() >= self._open_at:
            self._in_flight += 1
            return
        turn: asyncio.Future[None] = loop.create_future()
        self._waiting.append(turn)
        self._set_timer(loop)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # admitted and cancelled in the same moment: hand it on
                self._in_flight -= 1
                self._admit()
            elif turn in self._waiting:  # or passed over already, cancelled as it was
                self._waiting.remove(turn)
            raise

    def _admit(self) -> None:
        if not self._waiting:
            return
        loop = asyncio.get_running_loop()
        if loop.time() < self._open_at:
            self._set_timer(loop)
            return
        while self._waiting and self._in_flight < int(self._window):
            turn = self._waiting.popleft()
            if not turn.done():
                self._in_flight += 1
                turn.set_result(None)

    def _set_timer(self, loop: asyncio.AbstractEventLoop) -> None:
        """One timer opens the gate; it is set anew only when it would fire at the wrong time."""
        if not self._waiting or loop.time() >= self._open_at:
            return
        if self._timer is not None:
            if self._timer.when() == self._open_at and not self._timer.cancelled():
                return
            self._timer.cancel()
        self._timer = loop.call_at(self._open_at, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._admit()


class Quota:
    """What bounds the retries of a client, whoever makes them: each takes tokens, and success brings them back.

    An outage then costs some dozens of requests, however many coroutines meet it.

    Args:
        tokens: How many there are.
    """

    def __init__(self, tokens: int = 500) -> None:
        self._most = self.left = tokens

    def take(self, tokens: int) -> bool:
        """Pays for a retry. Returns whether there was enough left."""
        if tokens > self.left:
            return False
        self.left -= tokens
        return True

    def give(self, tokens: int) -> None:
        """A request has succeeded."""
        self.left = min(self._most, self.left + tokens)


POLLS_SHARE = 16


class Shares:
    """How a session divides its requests in flight: submits and polls together stay within the concurrency.

    Submits may take all of it but a sixteenth, at least one, that is kept for polls: submits that hang must not
    silence them. Thousands may wait to submit; only as many as can fly stand in the queue that polls stand in too.

    Attributes:
        submits: To be held for one attempt of a submit.
        polls: To be held for one ask.
    """

    def __init__(self, concurrency: int) -> None:
        kept = max(1, concurrency // POLLS_SHARE)
        room = asyncio.Semaphore(max(concurrency, 1 + kept))
        self.submits: Lane = _Both(asyncio.Semaphore(max(1, concurrency - kept)), room)
        self.polls: Lane = room


@attrs.frozen
class _Both:
    """Two semaphores held together: items wait their turn at the first, requests at the second."""

    turn: asyncio.Semaphore
    room: asyncio.Semaphore

    async def __aenter__(self) -> None:
        await self.turn.acquire()
        try:
            await self.room.acquire()
        except BaseException:
            self.turn.release()
            raise

    async def __aexit__(self, *_: object) -> None:
        self.room.release()
        self.turn.release()
