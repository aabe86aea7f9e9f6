"""A session whose clips a custom model is trained on: everything that an upload session does, and `train`.

Documentation: docs.mountsea.ai/api-reference/suno/customModel, .../customModelUpload, .../customModelCreate.
"""

from __future__ import annotations

from collections.abc import Iterable
from types import TracebackType

from ..errors import ClientStateError, InputError
from ..models import UploadItem
from ..wire import decode
from .fields import check_clip_ids, check_name
from .inputs import Urls
from .lifecycle import ItemState
from .report import BatchFailed
from .session import UploadSession
from .tasks import TaskHandle
from .trainer import Trainer
from .training import MIN_CLIPS, CustomModel, Training

__all__ = ["CustomModelSession"]


class CustomModelSession(UploadSession):
    """A custom model session: what is uploaded through it lands on one account of its own kind, to train on.

    Made by `MountseaClient.custom_model_session()`, whose docstring has the arguments. It is an `UploadSession`, but
    for this: the service lists nothing of it, so a request whose outcome isn't known stays `unknown` for good, and
    there is nothing to reconcile with. An upload that has failed may be handed in again.
    """

    _trainer: Trainer | None = None

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._trainer is not None:
            await self._trainer.leave(cancel=error is not None)
        await super().__aexit__(kind, error, trace)

    async def read_first(self, urls: Urls | None) -> tuple[UploadItem, ...]:
        """As an upload session's, and makes sure that the entries are enough for the model."""
        entries = await super().read_first(urls)
        if urls is not None and self._plan.model is not None:
            different, at_least = len({entry.audio_url for entry in entries}), self._plan.model[1]
            if different < at_least:
                raise InputError(
                    f"{different} different URLs: a custom model needs at least {at_least}, so nothing was sent"
                )
        return entries

    async def train(self, name: str | None = None, clip_ids: Iterable[str] | None = None) -> CustomModel:
        """Trains the model and waits for it: two to three minutes, 100 credits. A session trains one model.

        Like every paid request it is sent once. Where its answer is lost, the session's own task is watched, which
        shows whether it was accepted. Called again after an end that was none (a deadline, a cancel), it goes on with
        the training that there is; after a training that failed, it trains anew in the same session.

        Follows docs.mountsea.ai/api-reference/suno/customModelCreate.

        Args:
            name: The model's name, of 1 to 100 characters. None: the one that the session was opened with.
            clip_ids: At least six clips of this session. None: all that were uploaded through it; what is in flight is
                waited for.

        Returns:
            The model; its `id` goes into `generate` as `model`.

        Raises:
            InputError: Fewer than six clips, a clip twice, a name that is none; nothing was sent.
            BatchFailed: Fewer uploads have succeeded than six, or than `at_least`; its `report` says what became of
                each, and nothing was trained.
            ClientStateError: The session isn't open, trains already, or has trained another model.
            TaskFailedError: The training failed (or, `TaskTimedOutError`, timed out): call `train` again.
            TaskPendingError: The deadline passed, or nothing moved for `PollPolicy.stall`; the training goes on.
            MissingModelError: It succeeded without naming its model.
            APIError: The service turned it away; nothing was paid.
            NotSentError: The service could not be reached; nothing was paid.
            NotSubmittedError: The deadline passed before it was accepted; nothing was paid.
            UnknownOutcomeError: It may or may not have been accepted, and the session's task doesn't tell. Only
                `on_unknown="resubmit"` sends it again.
            JournalError: The journal can't be written, so nothing was sent.
        """
        run = self._live()
        training = self._training()
        name = check_name(training.name if name is None else name)
        given = training.clip_ids or None  # those that it was begun with
        if clip_ids is not None:
            given = check_clip_ids(clip_ids, least=MIN_CLIPS)
        if given is None:
            await run.see_through(run.record.batch.items)
            given = tuple(dict.fromkeys(item.clip.id for item in run.record.batch.items if item.clip))
            if len(given) < training.at_least:
                raise BatchFailed(self.report)
        return await self._own_trainer().train(name, given, resubmit=self._plan.on_unknown == "resubmit")

    async def finish_training(self) -> CustomModel | None:
        """Has the training that was planned come to its end, in this run of the session or in an earlier one.

        Returns:
            The model; None where none was planned.

        Raises:
            TaskFailedError: It has failed in an earlier run, and the session wasn't opened with `retry_failed`.
            MountseaError: What `train` raises.
        """
        batch = self._entered().record.batch
        if batch.training is None or batch.training.name is None:
            return None
        settings, error = self._plan.journal, batch.training.error
        failed = batch.training.state in (ItemState.FAILED, ItemState.TIMED_OUT)
        if failed and error is not None and not (settings is not None and settings.retry_failed):
            raise error
        return await self.train()

    def _training(self) -> Training:
        training = self._entered().record.batch.training
        if training is None:
            raise ClientStateError("this is a batch upload session: open one with client.custom_model_session()")
        return training

    def _own_trainer(self) -> Trainer:
        run = self._live()
        if self._trainer is None:
            self._trainer = Trainer(
                self._get_caller(), self._plan.config, run.record, self._training_task, self._deadline_at
            )
        return self._trainer

    def _training_task(self, task_id: str) -> TaskHandle:
        plan = self._plan
        return TaskHandle(task_id, self._get_caller, plan.config.poll, plan.rng, holds=decode.custom_model_id)
