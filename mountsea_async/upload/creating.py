"""Getting a training accepted: one paid request, and never a second one by itself.

The session's task is `ready` before the request and says little: where the request's answer was lost, it shows by
leaving that state that it was accepted; staying there proves nothing, since a queue may look the same. So it is not
sent again but on the caller's word. Who follows the training to its end is `trainer.py`.
Does I/O through the caller it is given.
Documentation: docs.mountsea.ai/api-reference/suno/customModelCreate.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import attrs

from ..errors import JournalError, MountseaError, NotSubmittedError, UnknownOutcomeError
from ..models import DOCUMENTED, TaskStatus
from ..wire import decode, endpoints, protocol
from ..wire.caller import Caller
from ..wire.endpoints import Request
from . import reasons
from .lifecycle import ItemState, Trigger
from .patience import TRAVEL
from .record import Record
from .training import FOUND, Training

__all__ = ["Creator"]

logger = logging.getLogger("mountsea_async")

_FIRST_LOOK, _LOOK = 1.0, 5.0
"""Seconds between two looks at the task of a request whose answer was lost: the first, and at most."""
_IDLE_AFTER_FAILURE = frozenset({TaskStatus.READY, TaskStatus.FAILED, TaskStatus.TIMEOUT})
"""What a session's task shows while nothing is going on, where an earlier training may have failed."""


class Creator:
    """Has one session's training begun.

    Args:
        caller: The door to the service.
        record: The session, and everything that happens to it.
        training: The training, as the events have left it.

    Attributes:
        flying: Whether a request is under way.
        ending: Why nothing more is sent; None while it may be.
    """

    def __init__(self, caller: Caller, record: Record, training: Training) -> None:
        self._caller = caller
        self._record = record
        self._batch = record.batch
        self._training = training
        self.flying = False
        self.ending: str | None = None

    @property
    def _session_id(self) -> str:
        return self._batch.session_id or ""

    def _change(self, trigger: Trigger, name: str, **facts: Any) -> None:
        self._record.change_training(trigger, name, **facts)

    async def begun(self, name: str, clip_ids: tuple[str, ...], *, resubmit: bool) -> bool:
        """Has it begun, unless it has already. Returns whether it had: then it may have ended long ago.

        Args:
            name: The model's name.
            clip_ids: What it is to be trained on.
            resubmit: Whether to send it again where it isn't known whether it was accepted.

        Raises:
            UnknownOutcomeError: That isn't known, and it is not to be sent again.
            MountseaError: It was turned away, or could not be sent.
        """
        if await self._picked_up(name, clip_ids, resubmit=resubmit):
            return True
        await self._create(name, clip_ids, resubmit=resubmit)
        return False

    async def _picked_up(self, name: str, clip_ids: tuple[str, ...], *, resubmit: bool) -> bool:
        """Goes on where an earlier call, or an earlier run, has stopped. Returns whether the service has accepted it.

        Raises:
            UnknownOutcomeError: It isn't known, and the caller hasn't said that it is to be sent again.
        """
        training = self._training
        match training.state:
            case ItemState.SUBMITTING:
                self._change(Trigger.LOSE, name, reason="interrupted", error=reasons.cut_short("interrupted"))
            case ItemState.UNDETERMINED | ItemState.NOT_SUBMITTED:
                self._change(Trigger.RESUME, name)
            case ItemState.FAILED | ItemState.TIMED_OUT:
                self._change(Trigger.RETRY, name)
        if training.state is ItemState.UNKNOWN or (training.state is ItemState.NEW and training.open):
            return await self._settled(name, clip_ids, resubmit=resubmit)
        if training.state is ItemState.NEW and self._batch.adopted and not training.attempts:
            task = await self._caller.task(self._session_id)
            if task.status in DOCUMENTED - _IDLE_AFTER_FAILURE:
                self._note_found(name, clip_ids)
        return training.state is ItemState.SUBMITTED

    def _note_found(self, name: str, clip_ids: tuple[str, ...]) -> None:
        self._change(Trigger.INTEND, name, clip_ids=clip_ids, reason=FOUND)
        self._change(Trigger.ACCEPT, name, task_id=self._session_id)

    async def _settled(self, name: str, clip_ids: tuple[str, ...], *, resubmit: bool) -> bool:
        """Settles a training of which it isn't known whether it was accepted. Returns whether it was."""
        training = self._training
        lost = training.error or reasons.cut_short("interrupted")
        if training.state is ItemState.UNKNOWN:
            self._change(Trigger.RETRY, name)
        if not training.open or await self._found():  # not open: it has succeeded, without naming its model
            self._note_found(name, clip_ids)
            await self.durable()
            return True
        if not resubmit:
            self._change(Trigger.WITHHOLD, name, reason="no_answer", error=lost)
            await self.durable()
            raise lost
        return False

    async def _found(self) -> bool:
        """Whether a request whose answer was lost turns out to be under way, as long as it may arrive."""
        loop = asyncio.get_running_loop()
        idle = _IDLE_AFTER_FAILURE if self._training.failed or self._batch.adopted else frozenset({TaskStatus.READY})
        until, wait = loop.time() + TRAVEL, _FIRST_LOOK
        while True:
            asked_at = loop.time()
            try:
                task = await self._caller.task(self._session_id)
            except MountseaError as error:
                logger.warning("training.unread", extra={"task_id": self._session_id, "error": error.message})
            else:
                if task.status in DOCUMENTED - idle:  # any other word may mean anything
                    return True
            if asked_at >= until:
                return False
            await asyncio.sleep(min(wait, until - asked_at))
            wait = min(_LOOK, wait * 1.5)

    async def _create(self, name: str, clip_ids: tuple[str, ...], *, resubmit: bool) -> None:
        request = endpoints.create_custom_model(self._session_id, clip_ids, name)
        self.flying = True
        try:
            task_id = await self._caller.submit(_Creation(self, self._record, name, clip_ids, request), decode.task_id)
        except UnknownOutcomeError as error:
            self.flying = False
            self._change(Trigger.LOSE, name, reason="no_answer", error=error)
            await self.durable()
            if not await self._settled(name, clip_ids, resubmit=resubmit):
                await self._create(name, clip_ids, resubmit=False)
            return
        except MountseaError as error:
            self._turned_away(name, error)
            raise
        finally:
            self.flying = False
        if task_id != self._session_id:  # documented to be the same
            logger.warning("training.other_task", extra={"task_id": task_id, "session_id": self._session_id})
        self._change(Trigger.ACCEPT, name, task_id=self._session_id)
        await self.durable()

    def _turned_away(self, name: str, error: MountseaError) -> None:
        """It cost nothing, and may be asked for again once what was wrong is mended."""
        if self._training.state is ItemState.SUBMITTING:
            self._change(Trigger.RELEASE, name)
        word = protocol.stops_submits(error) or "rejected"
        if isinstance(error, JournalError | NotSubmittedError):
            word = "journal" if isinstance(error, JournalError) else error.reason
        self.skip(name, word, error)

    def skip(self, name: str, reason: str, error: MountseaError) -> None:
        """It isn't sent: what came of an earlier request is as it was."""
        if self._training.open:
            refusal = None if isinstance(error, NotSubmittedError) else error  # else the reason says it
            self._change(Trigger.WITHHOLD, name, reason=reason, error=reasons.withheld(reason, refusal))
        elif self._training.failed:
            self._change(Trigger.INTEND, name, reason=reason)
            self._change(Trigger.REJECT, name, reason=reason, error=error)
        else:
            self._change(Trigger.SKIP, name, reason=reason, error=error)

    async def durable(self) -> None:
        try:
            await self._record.durable()
        except JournalError:
            logger.warning("training.not_durable", extra={"task_id": self._session_id})  # the report says so, too


@attrs.frozen
class _Creation:
    """The training's ear at the caller: turns what happens to its request into transitions."""

    creator: Creator
    record: Record
    name: str
    clip_ids: tuple[str, ...]
    request: Request

    async def sending(self) -> Request:
        self._go_on()
        self.record.change_training(Trigger.INTEND, self.name, clip_ids=self.clip_ids)
        await self.record.durable()
        self._go_on()  # meanwhile it may have been ended
        return self.request

    def _go_on(self) -> None:
        if self.creator.ending is not None:
            raise reasons.not_submitted(self.creator.ending, None)

    def not_accepted(self, error: MountseaError) -> None:
        self.record.change_training(Trigger.RELEASE, self.name, error=error)

    def cut(self, *, unsent: bool) -> None:
        if unsent:
            self.record.change_training(Trigger.RELEASE, self.name)
