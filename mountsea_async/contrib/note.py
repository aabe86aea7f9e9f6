"""What a supervisor writes into the journal of a batch of its own, and what it tells of a batch. Pure values."""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import attrs
from attrs.validators import deep_mapping, ge, instance_of, optional

__all__ = ["BatchNote", "BatchState", "BatchSummary"]

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


_LATEST = 253_402_300_799.0
"""Wall time of the last second that a date can tell."""


def _a_time(note: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _LATEST:
        raise ValueError(f"{attribute.name} is no time")


def _as_state(value: str | None) -> BatchState | None:
    return None if value is None else BatchState(value)


@attrs.frozen(kw_only=True)
class BatchNote:
    """What the journal of a supervised batch says of it; all of it survives a kill.

    Attributes:
        created_at: When it was taken in; wall time in seconds, as all times here.
        items: How many entries it has.
        idempotency_key: The caller's own name for the request that made it.
        request: What two requests have in common if and only if they ask for the same.
        stop: Nothing more is to be submitted, and this word says why.
        retry_failed: Its next run is to send again what has failed.
        state: `finished` or `refused` once it was; None before.
        ended_at: When that was.
        session_id: The service's session, once it has ended.
        counts: How many items are in each state, once it has ended.
        error: Why it was refused, in words.
    """

    created_at: float = attrs.field(validator=_a_time)
    items: int = attrs.field(validator=[instance_of(int), ge(0)])
    request: str = attrs.field(validator=instance_of(str))
    idempotency_key: str | None = attrs.field(default=None, validator=optional(instance_of(str)))
    stop: str | None = attrs.field(default=None, validator=optional(instance_of(str)))
    retry_failed: bool = attrs.field(default=False, validator=instance_of(bool))
    state: BatchState | None = attrs.field(default=None, converter=_as_state)
    ended_at: float | None = attrs.field(default=None, validator=optional(_a_time))
    session_id: str | None = attrs.field(default=None, validator=optional(instance_of(str)))
    counts: Mapping[str, int] = attrs.field(
        factory=dict, validator=deep_mapping(instance_of(str), instance_of(int), instance_of(dict))
    )
    error: str | None = attrs.field(default=None, validator=optional(instance_of(str)))

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
        return note


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
