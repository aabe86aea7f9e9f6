"""What a supervisor writes into the journal of a batch of its own, and what it tells of a batch. Pure values."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import attrs

from ..errors import ClientStateError, MountseaError, UsageError

__all__ = [
    "BatchConflict",
    "BatchNotFound",
    "BatchNote",
    "BatchState",
    "BatchSummary",
    "Overloaded",
    "SupervisorClosed",
]

_KIND = "mountsea supervisor"


class BatchState(StrEnum):
    """How far a supervised batch is."""

    QUEUED = "queued"
    """On disk; its turn comes."""
    RUNNING = "running"
    WAITING = "waiting"
    """It can't go on for now; `error` says why. It is tried again, at the next start at the latest."""
    STOPPING = "stopping"
    """Nothing more is submitted; what was submitted is followed to its end."""
    FINISHED = "finished"
    """Its report is final, unless it is resumed."""
    REFUSED = "refused"
    """The service would not begin it; nothing was sent and nothing paid."""

    @property
    def final(self) -> bool:
        """Whether nothing more happens to the batch by itself."""
        return self in (BatchState.FINISHED, BatchState.REFUSED)


class Overloaded(MountseaError):  # noqa: N818 - named after the state
    """So many batches run and wait already that another one is not taken in. Nothing was written, nothing sent.

    Attributes:
        retry_after: Seconds after which asking again makes sense.
    """

    def __init__(self, message: str, *, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class BatchNotFound(MountseaError, LookupError):  # noqa: N818 - named after the state
    """There is no batch of that id; it may have been removed as `keep` says."""


class BatchConflict(UsageError):  # noqa: N818 - named after the state
    """The key of a batch came again with other inputs, or the batch is in a state in which that can't be done."""


class SupervisorClosed(ClientStateError):  # noqa: N818 - named after the state
    """The supervisor is shutting down, or isn't open: it takes in nothing."""


@attrs.frozen(kw_only=True)
class BatchNote:
    """What the journal of a supervised batch says of it; all of it survives a kill.

    Attributes:
        created_at: When it was taken in; wall time in seconds, as all times here.
        items: How many entries it has.
        idempotency_key: The caller's own name for the request that made it.
        request: What two requests have in common if and only if they ask for the same.
        stop: Nothing more is to be submitted, and this word says why.
        state: `finished` or `refused` once it was; None before.
        ended_at: When that was.
        session_id: The service's session, once it has ended.
        counts: How many items are in each state, once it has ended.
        error: Why it was refused, in words.
    """

    created_at: float
    items: int
    request: str
    idempotency_key: str | None = None
    stop: str | None = None
    state: BatchState | None = None
    ended_at: float | None = None
    session_id: str | None = None
    counts: Mapping[str, int] = attrs.field(factory=dict)
    error: str | None = None

    def encode(self) -> str:
        """As the text that `decode` reads."""
        return json.dumps({"kind": _KIND, **attrs.asdict(self)})

    @classmethod
    def decode(cls, text: str) -> BatchNote | None:
        """What a journal's note says; None where it is nobody's, or another program's.

        Raises:
            ValueError: It is damaged.
        """
        try:
            held = json.loads(text) if text else {}
        except RecursionError:
            raise ValueError("it is nested too deeply") from None
        if not isinstance(held, dict) or held.pop("kind", None) != _KIND:
            return None
        known = {field.name for field in attrs.fields(cls)}
        try:
            note = cls(**{name: value for name, value in held.items() if name in known})
        except TypeError as error:
            raise ValueError(str(error)) from None
        if not math.isfinite(note.created_at):
            raise ValueError("it has no date")
        return attrs.evolve(note, state=None if note.state is None else BatchState(note.state))


@attrs.frozen(kw_only=True)
class BatchSummary:
    """A supervised batch in a few words.

    Attributes:
        id: Its id, and the name of its journal.
        state: How far it is.
        created_at: When it was taken in; wall time in seconds.
        ended_at: When it ended.
        session_id: The service's session, once there is one.
        items: How many entries it has.
        counts: How many of them are in each state; empty where that would have to be looked up.
        stopped: Why nothing more is submitted, as in `BatchReport.stopped`, or the word that it was stopped with.
        error: Why it waits, or was refused.
        idempotency_key: The caller's own name for the request that made it.
    """

    id: str
    state: BatchState
    created_at: float
    ended_at: float | None = None
    session_id: str | None = None
    items: int = 0
    counts: Mapping[str, int] = attrs.field(factory=dict)
    stopped: str | None = None
    error: str | None = None
    idempotency_key: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The summary as JSON-ready values."""
        return attrs.asdict(self)
