"""A custom model's training, as the events have left it; and the model that comes of it. No I/O and no clock."""

from __future__ import annotations

from typing import Any

import attrs

from ..errors import MountseaError
from .events import TrainingChanged
from .lifecycle import ItemState, Trigger, advance

__all__ = ["FOUND", "MIN_CLIPS", "PRICE", "CustomModel", "Training", "TrainingReport"]

FOUND = "found"
"""The reason of an intent that an earlier request has carried out. An intent with a reason sends nothing."""
MIN_CLIPS = 6
"""A custom model is trained on so many clips at least."""
PRICE = 100
"""Credits that a training costs."""


@attrs.frozen
class CustomModel:
    """A model of your own, trained on the clips of one session.

    Attributes:
        id: `chirp-custom:<uuid>`, which `generate` takes as its `model`.
        name: Its name.
        session_id: The session that it was trained in; its training's task has the same id.
        clip_ids: The clips that it was trained on.
    """

    id: str
    name: str
    session_id: str
    clip_ids: tuple[str, ...] = ()


@attrs.frozen
class TrainingReport:
    """What became of a training.

    Attributes:
        name: The model's name.
        state: As an item's; `new` while it hasn't begun.
        reason: A short stable word where the state alone doesn't say why.
        clip_ids: The clips that it was to be trained on.
        task_id: The service's task, once it was accepted.
        model: The model.
        error: Why there is none.
        attempts: Requests that were begun for it.
    """

    name: str | None
    state: ItemState
    reason: str | None = None
    clip_ids: tuple[str, ...] = ()
    task_id: str | None = None
    model: CustomModel | None = None
    error: MountseaError | None = None
    attempts: int = 0

    def to_dict(self) -> dict[str, Any]:
        """The training as JSON-ready values."""
        return {
            "name": self.name,
            "state": self.state.value,
            "reason": self.reason,
            "clip_ids": list(self.clip_ids),
            "task_id": self.task_id,
            "model_id": self.model.id if self.model else None,
            "error": self.error.message if self.error else None,
            "attempts": self.attempts,
        }


@attrs.define
class Training:
    """The training of one session. Only `apply` changes it, but for its name.

    Attributes:
        open: Requests for it that may have been processed without our knowing.
        failed: Whether a training of the session has failed before.
    """

    name: str | None = None
    at_least: int = MIN_CLIPS
    state: ItemState = ItemState.NEW
    reason: str | None = None
    clip_ids: tuple[str, ...] = ()
    task_id: str | None = None
    model_id: str | None = None
    error: MountseaError | None = None
    attempts: int = 0
    open: int = 0
    failed: bool = False

    def apply(self, event: TrainingChanged) -> None:
        """Follows an event.

        Raises:
            IllegalTransition: The table of `lifecycle.py` doesn't know its transition.
        """
        self.state = advance(self.state, event.trigger)
        self.name = event.name
        self.clip_ids = event.clip_ids or self.clip_ids
        self.reason = event.reason
        self.task_id = event.task_id or self.task_id
        self.model_id = event.model_id or self.model_id
        self.error = event.error
        match event.trigger:
            case Trigger.INTEND:
                self.attempts += event.reason is None
                self.open += 1
            case Trigger.RELEASE | Trigger.REJECT:
                self.open -= 1
            case Trigger.ACCEPT:
                self.open = 0
            case Trigger.FAIL | Trigger.TIME_OUT:
                self.failed = True

    def report(self, session_id: str | None) -> TrainingReport:
        """The training as it stands."""
        model = None
        if self.model_id is not None:
            model = CustomModel(self.model_id, self.name or "", session_id or "", self.clip_ids)
        return TrainingReport(
            self.name, self.state, self.reason, self.clip_ids, self.task_id, model, self.error, self.attempts
        )
