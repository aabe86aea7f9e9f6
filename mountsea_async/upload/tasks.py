"""One task of the service, followed to its end. The batch's pollers and `TaskHandle` are the same loop.

Does I/O through the caller it is given.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Protocol, TypeAlias

import attrs

from ..config import PollPolicy
from ..errors import (
    DeadlineError,
    MissingClipError,
    MountseaError,
    NotFoundError,
    StalledError,
    TaskFailedError,
    TaskLostError,
    TaskTimedOutError,
)
from ..models import Clip, Task, TaskStatus
from ..wire.caller import Caller
from ..wire.pacing import NO_LANE, Lane
from .bounds import lone_delay
from .fields import check_deadline

__all__ = ["Follower", "Sighting", "TaskHandle", "check_success", "clip_of", "data_of", "raw_of"]

Sighting: TypeAlias = Task | MountseaError
_LOST_AFTER = 3
"""A task counts as lost only after this many 404s in a row, however long they took."""


def data_of(task: Task) -> object:
    """What a task holds, as far as it has a class: what an upload's success needs."""
    return task.data


def raw_of(task: Task) -> object:
    """What a task holds, whatever it is."""
    return task.raw


class Watch(Protocol):
    """Whoever follows tasks, and is told what each ask brought."""

    @property
    def asks(self) -> Lane:
        """Held for each ask."""

    def wait(self, key: int) -> Awaitable[None]:
        """Done when a task is to be asked."""

    def sighted(self, key: int, sighting: Sighting) -> None:
        """Told of a task as it is now, or of why it could not be had."""


@attrs.define
class Follower:
    """Asks for one task until it has ended. Knows no deadline: whoever runs it has one.

    An answer that isn't the task says nothing about it, so asking goes on. A success that doesn't hold what it should
    is asked for again for `PollPolicy.blank` seconds, then returned as it is.

    Attributes:
        caller: The door to the service.
        task_id: The task.
        policy: When to give up.
        watch: Says when to ask, and is told what each ask brought.
        key: What the task is to whoever watches.
        holds: Whether a success holds what it should.
        asked: How often it was asked, with or without an answer.
    """

    caller: Caller
    task_id: str
    policy: PollPolicy
    watch: Watch
    key: int = 0
    holds: Callable[[Task], object] = attrs.field(default=data_of, kw_only=True)
    asked: int = attrs.field(default=0, init=False)
    _blank_since: float | None = None
    _lost_since: float = 0.0
    _lost: int = 0

    async def run(self) -> Task:
        """The task, once it has ended.

        Raises:
            TaskLostError: The service has answered 404 for longer than `PollPolicy.not_found`.
        """
        while True:
            await self.watch.wait(self.key)
            if (task := await self.ask()) is not None and self.over(task):
                return task

    async def ask(self) -> Task | None:
        """Asks once. Returns the task as it is now, or None where no answer could be had.

        Raises:
            TaskLostError: As above.
        """
        try:
            task = await self.caller.glance(self.task_id, self.watch.asks)
        except MountseaError as error:
            self.asked += 1
            self.watch.sighted(self.key, error)
            self._note_absence(error)
            return None
        self.asked += 1
        self._lost = 0
        self.watch.sighted(self.key, task)
        return task

    def over(self, task: Task) -> bool:
        """Whether there is nothing more to be asked for."""
        if not task.ended:
            return False
        if task.status == TaskStatus.SUCCESS and not self.holds(task):
            now = asyncio.get_running_loop().time()
            self._blank_since = now if self._blank_since is None else self._blank_since
            return now - self._blank_since >= self.policy.blank
        return True

    def _note_absence(self, error: MountseaError) -> None:
        now = asyncio.get_running_loop().time()
        self._lost = self._lost + 1 if isinstance(error, NotFoundError) else 0
        if self._lost == 1:
            self._lost_since = now
        elif self._lost >= _LOST_AFTER and now - self._lost_since >= self.policy.not_found:
            raise TaskLostError(
                f"the service accepted task {self.task_id} but no longer knows it", task_id=self.task_id
            ) from None


def clip_of(task: Task) -> Clip:
    """The clip of an ended upload task.

    Raises:
        TaskFailedError: It failed.
        TaskTimedOutError: It timed out.
        MissingClipError: It succeeded, but holds no clip.
    """
    check_success(task)
    if task.clip is None:
        raise MissingClipError(f"task {task.task_id} succeeded, but names no clip", task_id=task.task_id)
    return task.clip


def check_success(task: Task) -> None:
    """Makes sure that an ended task has succeeded.

    Raises:
        TaskFailedError: It failed.
        TaskTimedOutError: It timed out.
    """
    if task.status == TaskStatus.SUCCESS:
        return
    timed_out = task.status == TaskStatus.TIMEOUT
    words = ": ".join(str(part) for part in (task.fail_code, task.fail_reason) if part is not None)
    raise (TaskTimedOutError if timed_out else TaskFailedError)(
        f"task {task.task_id} {'timed out' if timed_out else 'failed'}" + (f" ({words})" if words else ""),
        task_id=task.task_id,
        fail_code=task.fail_code,
        fail_reason=task.fail_reason,
    )


class TaskHandle:
    """A task of the service. Can be made anew from its id at any time: `client.task(task_id)`.

    `async for task in handle` yields the task as it changes: first as it is, then whenever its status is another one,
    last when it has ended. It raises what `wait` does.

    Attributes:
        task_id: The service's id of it.
    """

    def __init__(
        self,
        task_id: str,
        caller: Callable[[], Caller],
        policy: PollPolicy,
        rng: random.Random,
        *,
        holds: Callable[[Task], object] = raw_of,
    ) -> None:
        self.task_id = task_id
        self._holds = holds
        self._caller = caller
        self._policy = policy
        self._rng = rng

    def __repr__(self) -> str:
        return f"TaskHandle({self.task_id!r})"

    def __aiter__(self) -> AsyncIterator[Task]:
        return self._course(_Alone(self._policy, self._rng))

    async def status(self) -> Task:
        """The task as it is now.

        Raises:
            NotFoundError: The service doesn't know the id.
            MountseaError: No answer could be had; `task_id` is set.
        """
        return await self._caller().task(self.task_id)

    async def wait(self, *, deadline: float | None = None) -> Task:
        """The task once it has ended, whichever way: look at its `status`.

        Args:
            deadline: Seconds to wait at most. None: until its status stays the same for `PollPolicy.stall`.

        Raises:
            DeadlineError: The deadline passed; the task goes on, and so can you with the same id.
            StalledError: Its status stayed the same for too long.
            TaskLostError: The service doesn't know the id, or no longer.
            ConfigurationError: The deadline isn't above 0.
        """
        seconds = check_deadline(deadline)
        watch = _Alone(self._policy, self._rng)
        try:
            async with asyncio.timeout(seconds), aclosing(self._course(watch)) as course:
                return [task async for task in course][-1]
        except TimeoutError:
            raise DeadlineError(
                f"task {self.task_id} was still {watch.status or 'unanswered'} after {seconds:.0f} s",
                task_id=self.task_id,
            ) from None

    async def _course(self, watch: _Alone) -> AsyncGenerator[Task, None]:
        follower = Follower(self._caller(), self.task_id, self._policy, watch, holds=self._holds)
        over, told = False, None
        while not over:
            try:
                async with asyncio.timeout_at(watch.stalls_at):
                    await watch.wait(0)
                    task = await follower.ask()
            except TimeoutError:
                raise StalledError(
                    f"task {self.task_id} stayed {watch.status or 'unanswered'} for {self._policy.stall:.0f} s",
                    task_id=self.task_id,
                ) from None
            if task is None:
                continue
            over = follower.over(task)
            if over or (task.status != told and not task.ended):
                told = task.status
                yield task


class _Alone:
    """Says when to ask for a task that is followed by itself, and until when it must show a sign of life.

    Attributes:
        stalls_at: Loop time at which it has shown none for too long.
        status: The last that was seen of it.
    """

    asks = NO_LANE

    def __init__(self, policy: PollPolicy, rng: random.Random) -> None:
        self._loop = asyncio.get_running_loop()
        self._policy = policy
        self._rng = rng
        self._began = self._loop.time()
        self._asks = 0
        self._seen: set[str] = set()
        self.stalls_at = self._began + policy.stall
        self.status: str | None = None

    def wait(self, _: int) -> Awaitable[None]:
        age = self._loop.time() - self._began
        self._asks += 1
        return asyncio.sleep(lone_delay(self._policy, self._asks - 1, age, self._rng.random()))

    def sighted(self, _: int, sighting: Sighting) -> None:
        if not isinstance(sighting, Task):
            return
        self.status = sighting.status
        if sighting.status not in self._seen:  # one that it goes back and forth between is no progress
            self._seen.add(sighting.status)
            self.stalls_at = self._loop.time() + self._policy.stall
