"""One task of the service, followed to its end. The batch's pollers and `TaskHandle` are the same loop.

Does I/O through the caller it is given.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import TypeAlias

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
from .inputs import check_deadline
from .polling import Delays

__all__ = ["TaskHandle", "clip_of", "follow"]

Sighting: TypeAlias = Task | MountseaError
_LOST_AFTER = 3
"""A task counts as lost only after this many 404s in a row, however long they took."""


async def follow(
    caller: Caller,
    task_id: str,
    policy: PollPolicy,
    *,
    rng: random.Random,
    pending: Callable[[], int] = lambda: 1,
    sighted: Callable[[Sighting], None] = lambda _: None,
) -> Task:
    """Asks for a task until it has ended. Knows no deadline: whoever calls it has one.

    An answer that isn't the task says nothing about it, so asking goes on. A success without data is asked for
    again for `policy.blank` seconds, then returned as it is.

    Args:
        caller: The door to the service.
        task_id: The task.
        policy: When to ask.
        rng: Where jitter comes from.
        pending: How many tasks are being followed side by side.
        sighted: Told what each ask brought.

    Raises:
        TaskLostError: The service has answered 404 for longer than `policy.not_found`.
    """
    loop = asyncio.get_running_loop()
    delays = Delays(policy)
    blank_since: float | None = None
    lost_since, lost = 0.0, 0
    while True:
        await asyncio.sleep(delays.next(pending(), rng.random()))
        try:
            task = await caller.glance(task_id)
        except MountseaError as error:
            sighted(error)
            lost = lost + 1 if isinstance(error, NotFoundError) else 0
            if lost == 1:
                lost_since = loop.time()
            elif lost >= _LOST_AFTER and loop.time() - lost_since >= policy.not_found:
                raise TaskLostError(
                    f"the service accepted task {task_id} but no longer knows it", task_id=task_id
                ) from None
            continue
        lost = 0
        sighted(task)
        if not task.ended:
            continue
        if task.status == TaskStatus.SUCCESS and task.data is None:
            blank_since = loop.time() if blank_since is None else blank_since
            if loop.time() - blank_since < policy.blank:
                continue
        return task


def clip_of(task: Task) -> Clip:
    """The clip of an ended upload task.

    Raises:
        TaskFailedError: It failed.
        TaskTimedOutError: It timed out.
        MissingClipError: It succeeded, but holds no clip.
    """
    if task.status == TaskStatus.SUCCESS:
        if task.clip is None:
            raise MissingClipError(f"task {task.task_id} succeeded, but names no clip", task_id=task.task_id)
        return task.clip
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

    Attributes:
        task_id: The service's id of it.
    """

    def __init__(self, task_id: str, caller: Callable[[], Caller], policy: PollPolicy, rng: random.Random) -> None:
        self.task_id = task_id
        self._caller = caller
        self._policy = policy
        self._rng = rng

    def __repr__(self) -> str:
        return f"TaskHandle({self.task_id!r})"

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
        loop = asyncio.get_running_loop()
        give_up = _Stall(loop, self._policy.stall)
        try:
            async with asyncio.timeout(seconds), asyncio.timeout(self._policy.stall) as stall:
                give_up.scope = stall
                return await follow(self._caller(), self.task_id, self._policy, rng=self._rng, sighted=give_up.sighted)
        except TimeoutError:
            if give_up.scope is not None and give_up.scope.expired():
                raise StalledError(
                    f"task {self.task_id} stayed {give_up.status or 'unanswered'} for {self._policy.stall:.0f} s",
                    task_id=self.task_id,
                ) from None
            raise DeadlineError(
                f"task {self.task_id} was still {give_up.status or 'unanswered'} after {seconds:.0f} s",
                task_id=self.task_id,
            ) from None


class _Stall:
    """Moves a timeout on with each sign of life."""

    def __init__(self, loop: asyncio.AbstractEventLoop, limit: float) -> None:
        self._loop = loop
        self._limit = limit
        self.scope: asyncio.Timeout | None = None
        self.status: str | None = None

    def sighted(self, sighting: Sighting) -> None:
        if isinstance(sighting, Task) and sighting.status != self.status:
            self.status = sighting.status
            if self.scope is not None:
                self.scope.reschedule(self._loop.time() + self._limit)
