"""Trains the custom model of a session, and follows the session's own task to its end.

What becomes of the one paid request is `creating.py`'s.
Documentation: docs.mountsea.ai/api-reference/suno/customModelCreate and .../task.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from ..config import ClientConfig
from ..errors import (
    ClientStateError,
    MissingModelError,
    MountseaError,
    TaskFailedError,
    TaskLostError,
    TaskPendingError,
    TaskTimedOutError,
)
from ..models import Task
from ..wire import decode
from ..wire.caller import Caller
from . import reasons
from .creating import Creator
from .lifecycle import ItemState, Trigger
from .record import Record
from .tasks import TaskHandle, check_success
from .training import CustomModel, Training

__all__ = ["Trainer"]


class Trainer:
    """Trains the model of one session.

    Args:
        caller: The door to the service.
        config: Settings of the client.
        record: The session, and everything that happens to it.
        follow: Makes the handle of the session's task.
        deadline_at: Loop time at which to stop; None for no deadline.

    Raises:
        ClientStateError: The session isn't one for a custom model.
    """

    def __init__(
        self,
        caller: Caller,
        config: ClientConfig,
        record: Record,
        follow: Callable[[str], TaskHandle],
        deadline_at: float | None,
    ) -> None:
        if record.batch.training is None:
            raise ClientStateError("this is a batch upload session: open one with client.custom_model_session()")
        self._config = config
        self._record = record
        self._training: Training = record.batch.training
        self._follow = follow
        self._deadline_at = deadline_at
        self._creator = Creator(caller, record, self._training)
        self._going: asyncio.Task[None] | None = None

    @property
    def _session_id(self) -> str:
        return self._record.batch.session_id or ""

    async def train(self, name: str, clip_ids: tuple[str, ...], *, resubmit: bool) -> CustomModel:
        """Trains on clips, or goes on with a training that has begun. `CustomModelSession.train` says the rest."""
        if self._going is not None:
            raise ClientStateError("this session's model is being trained already: await that call")
        if self._training.state is not ItemState.SUCCEEDED:
            self._in_time()
            self._creator.ending = None
            self._going = asyncio.get_running_loop().create_task(self._train(name, clip_ids, resubmit=resubmit))
            try:
                await self._see_through(self._going)
            finally:
                self._going = None
        model = self._training.report(self._session_id).model
        if model is None or model.name != name:
            raise ClientStateError(f"this session has trained {self._training.name!r} already: open another one")
        return model

    def _in_time(self) -> None:
        """Makes sure that a call begins before the deadline."""
        if self._deadline_at is None or asyncio.get_running_loop().time() < self._deadline_at:
            return
        if self._training.state is ItemState.UNDETERMINED:
            raise reasons.still_pending("deadline", self._session_id)
        raise reasons.not_submitted("deadline", None)

    async def _see_through(self, going: asyncio.Task[None]) -> None:
        """A cancel, or the deadline, gives a request on its way `ClientConfig.shutdown` seconds for its answer."""
        reason = "deadline"
        try:
            async with asyncio.timeout_at(self._deadline_at):
                await asyncio.shield(going)
                return
        except TimeoutError:
            if going.done():
                raise
        except asyncio.CancelledError:
            reason = "cancelled"
            current = asyncio.current_task()
            if current is None or current.cancelling():
                raise  # else the session was left, and only what went on in it was cancelled
        finally:
            await self._end(going, reason)
        if self._training.state is not ItemState.SUCCEEDED:
            raise self._training.error or reasons.not_submitted(reason, None)

    async def _end(self, going: asyncio.Task[None], reason: str) -> None:
        self._creator.ending = reason
        try:
            if self._creator.flying and not going.done():
                await asyncio.wait([going], timeout=self._config.shutdown)
        finally:
            while not going.done():
                going.cancel(reason)
                await asyncio.wait([going], timeout=1.0)
            if not going.cancelled():
                going.exception()  # it was told to whoever awaited it, or is in the training's own error

    async def leave(self, *, cancel: bool) -> None:
        """The session is left: what goes on is waited for, or ended."""
        if (going := self._going) is None:
            return
        if not cancel:
            await asyncio.wait([going])
        await self._end(going, "cancelled")

    # ---------------------------------------------------------------------------------------------- one training
    async def _train(self, name: str, clip_ids: tuple[str, ...], *, resubmit: bool) -> None:
        try:
            begun = await self._creator.begun(name, clip_ids, resubmit=resubmit)
            await self._to_its_end(name, look=begun)
        except asyncio.CancelledError as cut:
            self._let_go(name, str(cut.args[0]) if cut.args else "cancelled")
            raise

    def _change(self, trigger: Trigger, name: str, **facts: Any) -> None:
        self._record.change_training(trigger, name, **facts)

    def _let_go(self, name: str, reason: str) -> None:
        """Ends what was given up half way."""
        match self._training.state:
            case ItemState.NEW:
                self._creator.skip(name, reason, reasons.not_submitted(reason, None))
            case ItemState.SUBMITTING:
                self._change(Trigger.LOSE, name, reason=reason, error=reasons.cut_short(reason))
            case ItemState.SUBMITTED:
                pending = reasons.still_pending(reason, self._session_id)
                self._change(Trigger.ABANDON, name, reason=reason, error=pending)

    async def _to_its_end(self, name: str, *, look: bool) -> None:
        """Follows the task.

        Args:
            name: The model's name.
            look: It may have ended long ago.
        """
        handle = self._follow(self._training.task_id or self._session_id)
        try:
            task = await self._done(handle) if look else None
            task = task or await handle.wait()
            model_id = _model_of(task)
        except (TaskLostError, TaskPendingError) as error:
            word = "task_lost" if isinstance(error, TaskLostError) else "stalled"
            self._change(Trigger.ABANDON, name, reason=word, error=error)
            raise
        except MissingModelError as error:
            self._change(Trigger.BLANK, name, reason="success_without_model", error=error)
            raise
        except TaskFailedError as error:
            trigger = Trigger.TIME_OUT if isinstance(error, TaskTimedOutError) else Trigger.FAIL
            self._change(trigger, name, error=error)
            raise
        else:
            self._change(Trigger.SUCCEED, name, model_id=model_id)
        finally:
            await self._creator.durable()

    async def _done(self, handle: TaskHandle) -> Task | None:
        """The task, if one look shows that it holds its model."""
        with suppress(MountseaError):
            task = await handle.status()
            return task if decode.custom_model_id(task) else None
        return None


def _model_of(task: Task) -> str:
    check_success(task)
    if (model_id := decode.custom_model_id(task)) is None:
        raise MissingModelError(f"task {task.task_id} succeeded, but names no model", task_id=task.task_id)
    return model_id
