"""What happened in a batch, as small frozen values: the one stream that feeds everything that watches.

Only values live here. `seq` counts from 0 within a session; `at` is wall time in seconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import attrs

from ..errors import JournalError, MountseaError
from ..models import Clip
from .lifecycle import ItemState, Trigger

__all__ = [
    "ClipsListed",
    "Event",
    "ItemChanged",
    "ItemSettled",
    "JournalFailed",
    "Observer",
    "Paused",
    "Reconciled",
    "SessionClosed",
    "SessionOpened",
    "SessionPlanned",
    "SubmitsStopped",
    "TrainingChanged",
]


@attrs.frozen
class SessionPlanned:
    """What the session is for, where it is more than a batch of uploads. The first event of such a session.

    Attributes:
        kind: `custom_model`.
        name: The name of the model that is to be trained, where it was said beforehand.
        at_least: On so many clips at least.
    """

    seq: int
    at: float
    kind: str
    name: str | None = None
    at_least: int = 6


@attrs.frozen
class SessionOpened:
    """The session is bound to an account; or, in a run that resumes a journal, goes on.

    Attributes:
        session_id: The service's id of it.
        adopted: Whether it existed before the batch.
        earlier: The clips that it held before the batch.
    """

    seq: int
    at: float
    session_id: str
    adopted: bool
    earlier: tuple[str, ...] = ()


@attrs.frozen
class ItemChanged:
    """An item's state changed. The fields besides the states hold what this change brought.

    Attributes:
        index: The item's place in the input, from 0.
        key: The caller's own name for it.
        trigger: What happened.
        previous: The state before.
        state: The state now.
        reason: A short stable word, where the state needs one.
        task_id: The service's task.
        clip: The clip, on success.
        error: The error, where there is one.
        polls: On an end: how often the item's task was asked for since it was last begun to be followed.
    """

    seq: int
    at: float
    index: int
    key: str | None
    trigger: Trigger
    previous: ItemState
    state: ItemState
    reason: str | None = None
    task_id: str | None = None
    clip: Clip | None = None
    error: MountseaError | None = None
    polls: int | None = None


@attrs.frozen
class TrainingChanged:
    """The state of a custom model's training changed. It goes the way that an item goes.

    Attributes:
        name: The model's name.
        trigger: What happened.
        previous: The state before.
        state: The state now.
        clip_ids: The clips that it is trained on, when that is about to be asked for.
        reason: A short stable word, where the state needs one.
        task_id: The service's task, which is the session's own.
        model_id: The model's id, on success.
        error: The error, where there is one.
    """

    seq: int
    at: float
    name: str
    trigger: Trigger
    previous: ItemState
    state: ItemState
    clip_ids: tuple[str, ...] = ()
    reason: str | None = None
    task_id: str | None = None
    model_id: str | None = None
    error: MountseaError | None = None


@attrs.frozen
class Paused:
    """The service said "too many requests": nothing is sent for so long.

    Attributes:
        seconds: How long.
    """

    seq: int
    at: float
    seconds: float


@attrs.frozen
class SubmitsStopped:
    """Nothing more is submitted; what was submitted goes on.

    Attributes:
        reason: A short stable word, as in `NotSubmittedError.reason`.
        error: The refusal that it follows, where there was one.
    """

    seq: int
    at: float
    reason: str
    error: MountseaError | None = None


@attrs.frozen
class ClipsListed:
    """The session's list of clips was read for the first time, or held something new.

    Attributes:
        audio_ids: The ids that no reading before had brought, in the list's order.
        repeated: Ids that the list held more than once.
        unreadable: How many of its entries were no ids.
    """

    seq: int
    at: float
    audio_ids: tuple[str, ...] = ()
    repeated: tuple[str, ...] = ()
    unreadable: int = 0


@attrs.frozen
class ItemSettled:
    """Of an item that ended without a clip none is expected any more: what could appear has appeared.

    Attributes:
        index: The item's place in the input, from 0.
        key: The caller's own name for it.
    """

    seq: int
    at: float
    index: int
    key: str | None


@attrs.frozen
class Reconciled:
    """The session's list of clips was compared with the items.

    Attributes:
        consistent: Whether they agree.
        matched: How many clips are in both.
        missing: How many of the items' clips are not in the list.
        unattributed: How many ids of the list belong to no item.
        inferred: How many belong to an item by elimination.
    """

    seq: int
    at: float
    consistent: bool
    matched: int
    missing: int
    unattributed: int
    inferred: int = 0


@attrs.frozen
class JournalFailed:
    """The journal can't be written: nothing more is submitted; what was submitted goes on in memory.

    Attributes:
        error: Why.
    """

    seq: int
    at: float
    error: JournalError


@attrs.frozen
class SessionClosed:
    """The last event: nothing of this session is running any more."""

    seq: int
    at: float


Event: TypeAlias = (
    SessionPlanned
    | SessionOpened
    | ItemChanged
    | TrainingChanged
    | ItemSettled
    | Paused
    | SubmitsStopped
    | ClipsListed
    | Reconciled
    | JournalFailed
    | SessionClosed
)

Observer: TypeAlias = Callable[[], Callable[[Event], object]]
"""Called when a session begins; what it gives is called with each event of that session."""
