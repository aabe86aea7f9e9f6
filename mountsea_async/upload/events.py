"""What happened in a batch, as small frozen values: the one stream that feeds everything that watches.

Only values live here. `seq` counts from 0 within a session; `at` is wall time in seconds since the epoch.
"""

from __future__ import annotations

from typing import TypeAlias

import attrs

from ..errors import MountseaError
from ..models import Clip
from .lifecycle import ItemState, Trigger

__all__ = ["Event", "ItemChanged", "Paused", "Reconciled", "SessionClosed", "SessionOpened", "SubmitsStopped"]


@attrs.frozen
class SessionOpened:
    """The session is bound to an account.

    Attributes:
        session_id: The service's id of it.
        adopted: Whether it existed before.
    """

    seq: int
    at: float
    session_id: str
    adopted: bool


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
class Reconciled:
    """The session's list of clips was compared with the items.

    Attributes:
        consistent: Whether they agree.
        matched: How many clips are in both.
        missing: How many of the items' clips are not in the list.
        unattributed: How many ids of the list belong to no item.
    """

    seq: int
    at: float
    consistent: bool
    matched: int
    missing: int
    unattributed: int


@attrs.frozen
class SessionClosed:
    """The last event: nothing of this session is running any more."""

    seq: int
    at: float


Event: TypeAlias = SessionOpened | ItemChanged | Paused | SubmitsStopped | Reconciled | SessionClosed
