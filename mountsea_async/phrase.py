"""The phrase of a voice persona: waiting for it, and the half minute in which it may be handed in.

Does I/O through the caller it is given. The task is followed by the loop that follows every other; it is only asked
more often, since the half minute begins at the service.
"""

from __future__ import annotations

import asyncio
from typing import Final

import attrs

from .config import PollPolicy
from .errors import ClientStateError, MountseaError, PhraseExpiredError, StalledError, TaskError
from .models import Task, TaskStatus, VoicePhrase
from .upload.tasks import Follower, Sighting, check_success
from .wire import answers
from .wire.caller import Caller
from .wire.endpoints import Request
from .wire.pacing import NO_LANE

__all__ = ["Spoken", "Turn", "check_spoken", "listen"]

SECONDS: Final = 30.0
"""So long does the service wait for the phrase."""
_EVERY: Final = 1.0
"""Seconds between two asks for it."""
_TOO_LATE: Final = "VP_USER_TIMEOUT"


async def listen(caller: Caller, task_id: str, policy: PollPolicy) -> Turn:
    """Waits for the phrase.

    Args:
        caller: The door to the service.
        task_id: The voice persona's task.
        policy: When to give up.

    Raises:
        TaskFailedError: It failed before there was a phrase.
        PhraseExpiredError: The phrase came and went while the service could not be asked.
        StalledError: No new status was seen for `PollPolicy.stall`.
        TaskLostError: The service no longer knows the task.
        TaskError: It succeeded without a phrase.
    """
    stall = policy.stall
    try:
        async with asyncio.timeout(stall) as patience:
            watch = _Impatient(patience, stall)
            task = await _ForPhrase(caller, task_id, policy, watch).run()
    except TimeoutError:
        raise StalledError(f"task {task_id} has brought no phrase for {stall:.0f} s", task_id=task_id) from None
    if (phrase := _phrase_of(task)) is None:
        check_spoken(task)
        raise TaskError(f"task {task_id} succeeded without a phrase", task_id=task_id)
    return Turn(task_id, phrase, watch.silent_at + SECONDS, watch.answered_at + SECONDS)


@attrs.define
class Turn:
    """When a phrase may be handed in, and whether it was.

    Attributes:
        task_id: The voice persona's task.
        phrase: The phrase.
        surely_until: Loop time until which the service surely takes it.
        at_most_until: Loop time from which it surely doesn't.
        taken: Whether it was handed in, or may have been.
    """

    task_id: str
    phrase: VoicePhrase
    surely_until: float
    at_most_until: float
    taken: bool = False

    def check(self) -> None:
        """Makes sure that it may be handed in now.

        Raises:
            ClientStateError: It was handed in, or may have been.
            PhraseExpiredError: It would come too late.
        """
        if self.taken:
            raise ClientStateError(f"task {self.task_id}: its phrase was handed in already")
        if asyncio.get_running_loop().time() >= self.at_most_until:
            raise _expired(self.task_id, f"the {SECONDS:.0f} s to speak the phrase are over, so nothing was sent")


@attrs.frozen
class Spoken:
    """The spoken phrase on its way: it goes once, and not when it would come too late."""

    request: Request
    turn: Turn

    async def sending(self) -> Request:
        self.turn.check()
        self.turn.taken = True
        return self.request

    def not_accepted(self, error: MountseaError) -> None:
        self.turn.taken = False

    def cut(self, *, unsent: bool) -> None:
        self.turn.taken = not unsent


def check_spoken(task: Task, cause: MountseaError | None = None) -> None:
    """Makes sure that an ended task has succeeded.

    Raises:
        PhraseExpiredError: It failed since nobody spoke the phrase in time.
        TaskFailedError: It failed otherwise.
        TaskTimedOutError: It timed out.
    """
    words = f"{task.fail_code} {task.fail_reason}"
    if task.status != TaskStatus.SUCCESS and _TOO_LATE in words.upper():
        what = f"the service got no phrase within {SECONDS:.0f} s"
        raise _expired(task.task_id, what, task.fail_code, task.fail_reason) from cause
    check_success(task)


def _expired(
    task_id: str, what: str, fail_code: float | str | None = None, fail_reason: str | None = None
) -> PhraseExpiredError:
    return PhraseExpiredError(
        f"task {task_id}: {what}; begin again with client.voice_persona(...)",
        task_id=task_id,
        fail_code=fail_code,
        fail_reason=fail_reason,
    )


class _ForPhrase(Follower):
    """Follows a task until there is a phrase; one that is late is asked for again."""

    def over(self, task: Task) -> bool:
        return _phrase_of(task) is not None or super().over(task)


def _phrase_of(task: Task) -> VoicePhrase | None:
    return answers.phrase_of(task.raw) if task.status == TaskStatus.AWAITING else None


class _Impatient:
    """Says to ask about every second, and gives up when no new status was seen for too long.

    Attributes:
        silent_at: When the phrase can't have been there yet.
        answered_at: When the last ask was answered.
    """

    asks = NO_LANE

    def __init__(self, patience: asyncio.Timeout, stall: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._patience = patience
        self._stall = stall
        self._seen: set[str] = set()
        self._asked_at = self.silent_at = self.answered_at = self._loop.time()

    async def wait(self, _: int) -> None:
        await asyncio.sleep(_EVERY)
        self._asked_at = self._loop.time()

    def sighted(self, _: int, sighting: Sighting) -> None:
        if not isinstance(sighting, Task):
            return
        self.answered_at = self._loop.time()
        if sighting.status != TaskStatus.AWAITING:
            self.silent_at = self._asked_at
        if sighting.status not in self._seen:
            self._seen.add(sighting.status)
            self._patience.reschedule(self.answered_at + self._stall)
