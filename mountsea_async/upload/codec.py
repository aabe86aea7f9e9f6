"""Events as rows of the journal, and back. Pure.

An event's `seq`, `at` and `index` have columns of their own; everything else is one JSON object, without the fields
that are None. What a later version has added to it is not looked at.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import Any, Final, Union, get_args, get_origin, get_type_hints

import attrs

from .. import errors
from ..errors import InputProblem, JournalError, MountseaError, rebuild
from . import events
from .events import Event
from .store import EventRow

__all__ = ["KINDS", "decode", "encode"]

KINDS: Final[dict[str, type[Event]]] = {
    "session_planned": events.SessionPlanned,
    "session_opened": events.SessionOpened,
    "item_changed": events.ItemChanged,
    "training_changed": events.TrainingChanged,
    "item_settled": events.ItemSettled,
    "paused": events.Paused,
    "submits_stopped": events.SubmitsStopped,
    "clips_listed": events.ClipsListed,
    "reconciled": events.Reconciled,
    "journal_failed": events.JournalFailed,
    "session_closed": events.SessionClosed,
}
"""The word for each class of event. Words stand in files: they never change."""
_WORDS: Final = {kind: word for word, kind in KINDS.items()}
_NO_VALUE: Final = (None, attrs.NOTHING)
_ENCODER: Final = json.JSONEncoder(separators=(",", ":"), default=lambda value: type(value).__name__)
_ATOMS: Final = frozenset({str, int, float, bool, NoneType})
_COLUMNS: Final = frozenset({"seq", "at", "index"})
_ERROR_PARTS: Final[dict[str, Any]] = {"cause": MountseaError | None, "problems": tuple[InputProblem, ...]}
"""Those attributes of errors that are more than JSON values."""


def encode(event: Event) -> EventRow:
    """The row of an event."""
    data = {name: value for name, value in _plain(event).items() if name not in _COLUMNS}
    return EventRow(event.seq, event.at, _WORDS[type(event)], getattr(event, "index", None), _ENCODER.encode(data))


def decode(row: EventRow, path: str = "") -> Event:
    """The event of a row.

    Args:
        row: As `encode` made it, in this version or an earlier one.
        path: The journal that it comes from, for the error.

    Raises:
        JournalError: The row is of no kind that is known, or damaged.
    """
    try:
        kind = KINDS[row.kind]
    except KeyError:
        raise _unreadable(row, path, f"its kind {row.kind!r} is unknown to this version") from None
    try:
        data = json.loads(row.data)
        if not isinstance(data, dict):
            raise TypeError("its data is no JSON object")  # noqa: TRY301 - one place words it
        data |= {"seq": row.seq, "at": row.at} | ({} if row.index is None else {"index": row.index})
        event: Event = _built(kind, data)
    except (ValueError, TypeError, LookupError, RecursionError) as error:
        raise _unreadable(row, path, str(error)) from error
    return event


def _unreadable(row: EventRow, path: str, reason: str) -> JournalError:
    return JournalError(f"journal {path}: event {row.seq} can't be read: {reason}".replace("  ", " "), path=path)


# -------------------------------------------------------------------------------------------------------- writing
def _plain(value: Any) -> Any:
    """A value in terms of JSON; what JSON can't hold is left to the encoder."""
    if type(value) in _ATOMS:
        return value
    if isinstance(value, MountseaError):
        return _plain_error(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, tuple | list):
        return [_plain(each) for each in value]
    if attrs.has(type(value)):
        fields = ((field, getattr(value, field.name)) for field in attrs.fields(type(value)))
        # A field that is None is left out, unless its absence would mean something else.
        return {
            field.name: _plain(held) for field, held in fields if held is not None or field.default not in _NO_VALUE
        }
    return value


def _plain_error(error: MountseaError) -> dict[str, Any]:
    # None stays: nothing else says which attributes this class has.
    parts = {name: _plain(value) for name, value in error.__dict__.items() if (name, value) != ("task_id", None)}
    return {"type": type(error).__name__} | parts


# -------------------------------------------------------------------------------------------------------- reading
_Reader = Callable[[Any], Any]


@cache
def _readers(kind: Any) -> tuple[tuple[str, bool, _Reader], ...]:
    """Of each field: its name, whether it may be missing without having a default, and what reads it."""
    hints = get_type_hints(kind)
    return tuple(
        (
            field.name,
            NoneType in get_args(hints[field.name]) and field.default is attrs.NOTHING,
            _reader(hints[field.name]),
        )
        for field in attrs.fields(kind)
    )


def _built(kind: Any, data: dict[str, Any]) -> Any:
    values = {}
    for name, nullable, read in _readers(kind):
        if name in data:
            values[name] = read(data[name])
        elif nullable:
            values[name] = None
    return kind(**values)  # a TypeError names what is missing


def _reader(hint: Any) -> _Reader:
    """What checks a JSON value against an annotation and makes the annotated value of it."""
    if get_origin(hint) in (Union, UnionType):
        (only,) = (each for each in get_args(hint) if each is not NoneType)
        inner = _reader(only)
        return lambda value: None if value is None else inner(value)
    if get_origin(hint) is tuple:
        each = _reader(get_args(hint)[0])
        return lambda value: tuple(each(entry) for entry in _checked(list, value))
    if issubclass(hint, Enum):
        members: type[Enum] = hint
        return members
    if issubclass(hint, MountseaError):
        return _error
    if attrs.has(hint):
        return lambda value: _built(hint, _checked(dict, value))
    if hint is float:
        return lambda value: float(value if type(value) is int else _checked(float, value))
    return lambda value: _checked(hint, value)


def _checked(kind: type[Any], value: Any) -> Any:
    if type(value) is not kind:  # a bool is no int here
        raise TypeError(f"a JSON {kind.__name__} was expected, not {type(value).__name__}")
    return value


def _error(value: Any) -> MountseaError:
    fields = {"task_id": None} | _checked(dict, value)
    message = _checked(str, fields["message"])
    named = getattr(errors, str(fields.pop("type", "")), None)
    kind = named if isinstance(named, type) and issubclass(named, MountseaError) else MountseaError
    for name in fields.keys() & _ERROR_PARTS.keys():
        fields[name] = _error_part(name)(fields[name])
    return rebuild(kind, message, fields)


@cache
def _error_part(name: str) -> _Reader:
    return _reader(_ERROR_PARTS[name])
