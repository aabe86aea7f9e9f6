"""The gate that all requests of a client pass: who waits, and who is woken when.

Knows nothing of HTTP: it is told what was accepted and what was refused. When a request may go is decided in
`tempo.py`. Clients that share a key can share one `Pace`; nothing is global to the process.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any, TypeAlias

import attrs

from ..config import MAX_IN_FLIGHT
from ..errors import ClientStateError, ConfigurationError
from .tempo import Tempo

Listener: TypeAlias = Callable[[float], None]
Lane: TypeAlias = AbstractAsyncContextManager[Any]
"""Something to be held for one attempt."""
NO_LANE: Lane = nullcontext()


class Pace:
    """Admits requests, at a rate and in numbers that the service takes, and pauses all of them when it says "too many".

    Until the first refusal nothing bounds the rate, and what is accepted lets more go at once, up to the limit. From
    then on the rate is learned: what was accepted between two refusals, over the time, is what the service allows.
    After a while without a refusal a little more is tried; where it was much faster before, more often.

    First come first served among submits and among the rest; where both wait, they take turns.

    Args:
        limit: Requests in flight at once, at most (1 to 100).
        rate: Requests a second that the key may send, if you know it. Then they go at this rate from the start, one
            at a time and evenly, never faster, and slower if the service refuses all the same. None learns it.
        max_retry_after: A longer hint of the service is cut to this many seconds.
        rng: Where jitter comes from.

    Raises:
        ConfigurationError: The limit or the rate makes no sense.
    """

    def __init__(
        self,
        limit: int = MAX_IN_FLIGHT,
        *,
        rate: float | None = None,
        max_retry_after: float = 120.0,
        rng: random.Random | None = None,
    ) -> None:
        if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= MAX_IN_FLIGHT:
            raise ConfigurationError(f"Pace(limit={limit!r}): give a whole number from 1 to {MAX_IN_FLIGHT}")
        if rate is not None and (
            isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 < rate < math.inf
        ):
            raise ConfigurationError(f"Pace(rate={rate!r}): give requests a second, more than 0, or None")
        self.limit = limit
        chance = rng or random.Random()  # noqa: S311 - jitter
        self._tempo = Tempo(limit, rate=rate, max_retry_after=max_retry_after, rng=chance)
        self._submits: deque[asyncio.Future[None]] = deque()
        self._others: deque[asyncio.Future[None]] = deque()
        self._submit_next = True
        self._timer: asyncio.TimerHandle | None = None
        self._listeners: list[Listener] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._permits: tuple[Lane, Lane] = (_Permit(self, paid=False), _Permit(self, paid=True))

    @property
    def rate(self) -> float | None:
        """Requests a second that go at the moment; None while nothing bounds them."""
        return self._tempo.rate

    def permit(self, *, paid: bool = False) -> Lane:
        """Waits for its turn and holds one place in flight; for one attempt, never over a sleep.

        Args:
            paid: It is a submit: those and all others take turns.
        """
        return self._permits[paid]

    async def enter(self, *, paid: bool = False) -> None:
        """What entering a permit does; `leave` must follow, whatever comes."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._move_to(loop)
        # Nobody overtakes those who wait.
        if self._others or self._submits or self._tempo.admit(loop.time()):
            await self._wait(loop, self._submits if paid else self._others)

    def leave(self) -> None:
        """Gives the place in flight back."""
        self._tempo.back()
        if self._others or self._submits:
            self._admit()

    def accepted(self, sent_at: float | None = None) -> None:
        """The service has answered a request with anything but "too many requests": the pause is over.

        Args:
            sent_at: Loop time at which it was sent.
        """
        self._tempo.accepted(sent_at)
        if self._others or self._submits:
            self._admit()

    def refused(self, retry_after: float | None, sent_at: float) -> None:
        """The service has answered "too many requests": nobody goes until the pause is over.

        Args:
            retry_after: Seconds that the service asks for, if it does.
            sent_at: Loop time at which the refused request was sent. One that was on its way before the last pause
                began tells nothing new.
        """
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._move_to(loop)
        pause = self._tempo.refused(loop.time(), sent_at, retry_after)
        if pause is None:
            return
        if self._others or self._submits:
            self._admit()
        for listener in tuple(self._listeners):
            listener(pause)

    def refused_for(self) -> float:
        """Seconds since when the service has done nothing but refuse; 0 after an accepted request."""
        since = self._tempo.refused_since
        return 0.0 if since is None else asyncio.get_running_loop().time() - since

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Tells of each pause, in seconds. Returns what ends it."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def _move_to(self, loop: asyncio.AbstractEventLoop) -> None:
        """What waited or flew in a loop that is gone is gone with it; its pause isn't."""
        if self._loop is not None and self._loop.is_running():
            raise ClientStateError("this Pace is in use in another event loop: give each loop one of its own")
        if self._loop is not None:
            self._tempo.shift(loop.time() - self._loop.time())
        self._loop, self._timer = loop, None
        self._submits.clear()
        self._others.clear()

    async def _wait(self, loop: asyncio.AbstractEventLoop, queue: deque[asyncio.Future[None]]) -> None:
        turn: asyncio.Future[None] = loop.create_future()
        queue.append(turn)
        if self._timer is None:
            self._admit()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # admitted and cancelled in the same moment: hand it on
                self._tempo.back(unsent=True)
                self._admit()
            elif turn in queue:  # or passed over already, cancelled as it was
                queue.remove(turn)
            raise

    def _admit(self) -> None:
        """Lets go who may, and has itself called when the next one may."""
        loop = self._loop
        if loop is None:
            return
        while queue := self._next():
            again = self._tempo.admit(loop.time())
            if again:
                if again < math.inf:
                    self._set_timer(loop, again)
                return
            queue.popleft().set_result(None)
            self._submit_next = queue is self._others

    def _next(self) -> deque[asyncio.Future[None]] | None:
        """The queue whose turn it is, with somebody in front who still waits."""
        for queue in (self._submits, self._others) if self._submit_next else (self._others, self._submits):
            while queue and queue[0].done():
                queue.popleft()
            if queue:
                return queue
        return None

    def _set_timer(self, loop: asyncio.AbstractEventLoop, when: float) -> None:
        if self._timer is not None:
            if self._timer.when() == when:
                return
            self._timer.cancel()
        self._timer = loop.call_at(when, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._admit()


class _Permit:
    """Entered and left by any number at once: it holds nothing of its own."""

    def __init__(self, pace: Pace, *, paid: bool) -> None:
        self._pace, self._paid = pace, paid

    def __aenter__(self) -> Coroutine[Any, Any, None]:
        return self._pace.enter(paid=self._paid)

    async def __aexit__(self, *_: object) -> None:
        self._pace.leave()


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
