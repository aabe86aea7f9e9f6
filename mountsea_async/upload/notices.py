"""What logging hears of a session: one name a record, and what it is about in its `extra`.

No URL and no text stands there that wasn't made fit to be shown before. Called at each event, so what nobody has asked
for costs a look at the logger's level.
"""

from __future__ import annotations

import logging
from typing import Any

from .batch import Batch
from .events import (
    Event,
    ItemChanged,
    Paused,
    Reconciled,
    SessionClosed,
    SessionOpened,
    SubmitsStopped,
    TrainingChanged,
)
from .lifecycle import ENDS, ItemState

__all__ = ["notify"]

logger = logging.getLogger("mountsea_async")

_BY_THE_CALLER = frozenset({"stopped", "cancelled"})
"""Reasons of a stop that nobody needs to be warned of: it was asked for."""


def notify(event: Event, batch: Batch) -> None:
    """Logs an event that people wait for.

    Args:
        event: What has just happened.
        batch: The items, which have followed it already.
    """
    match event:
        case ItemChanged():
            if event.state in ENDS:
                _item_ended(event, batch)
        case SessionOpened():
            _say(logging.INFO, "batch.opened", batch, adopted=event.adopted, items=len(batch.items))
        case Paused():
            _say(logging.INFO, "batch.paused", batch, seconds=round(event.seconds, 3))
        case SubmitsStopped():
            level = logging.INFO if event.reason in _BY_THE_CALLER else logging.WARNING
            error = None if event.error is None else event.error.message
            _say(level, "batch.stopped", batch, reason=event.reason, error=error)
        case TrainingChanged():
            if event.state in ENDS:
                _training_ended(event, batch)
        case Reconciled():
            found = {"matched": event.matched, "missing": event.missing, "unattributed": event.unattributed}
            level = logging.INFO if event.consistent else logging.WARNING
            _say(level, "batch.reconciled", batch, consistent=event.consistent, inferred=event.inferred, **found)
        case SessionClosed():
            counts = {state.value: count for state, count in batch.counts.items() if count}
            _say(logging.INFO, "batch.closed", batch, items=len(batch.items), counts=counts)


def _item_ended(event: ItemChanged, batch: Batch) -> None:
    level = logging.DEBUG if event.state is ItemState.SUCCEEDED else logging.INFO
    if not logger.isEnabledFor(level):
        return
    item = batch.items[event.index]
    _say(
        level,
        "item.ended",
        batch,
        index=item.index,
        key=item.key,
        state=item.state.value,
        reason=item.reason,
        task_id=item.task_id,
        clip_id=None if item.clip is None else item.clip.id,
        error=None if item.error is None else item.error.message,
        attempts=item.attempts,
        polls=item.polls,
    )


def _training_ended(event: TrainingChanged, batch: Batch) -> None:
    level = logging.DEBUG if event.state is ItemState.SUCCEEDED else logging.INFO
    error = None if event.error is None else event.error.message
    found = {"model": event.name, "model_id": event.model_id, "state": event.state.value}
    _say(level, "training.ended", batch, reason=event.reason, error=error, **found)


def _say(level: int, name: str, batch: Batch, **facts: Any) -> None:
    if logger.isEnabledFor(level):
        logger.log(level, name, extra={"session_id": batch.session_id, **facts})
