"""Bodies and headers of the service as values: lenient where its contract is vague, strict where we rely on it.

Pure. The one cattrs converter of the project is made here, once, when it is first needed; cattrs is imported then.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Any, Protocol, TypeAlias, TypeGuard, TypeVar

from .. import redact
from ..models import ENDED, Clip, Persona, SessionAudio, Task, TaskStatus, VoxStem

T = TypeVar("T")
_T_co = TypeVar("_T_co", covariant=True)


MAX_ID = 1000
"""Characters of an id; the service's have 36."""
MAX_NUMBER = 10**15


class Malformed(ValueError):  # noqa: N818 - a verdict on a body, turned into an error by `protocol`
    """A body that lacks what we rely on. Never leaves `wire/`."""


Loads: TypeAlias = Callable[[bytes], Any]
"""Parses JSON; a `ValueError` of it is no verdict."""


class Reader(Protocol[_T_co]):
    """Reads the body of a 2xx answer, or raises `Malformed`. What it takes over as words is without the secrets."""

    def __call__(self, body: bytes, secrets: tuple[str, ...] = (), loads: Loads | None = None, /) -> _T_co: ...


# ---------------------------------------------------------------------------------------------- the converter
def is_id(value: Any) -> bool:
    """Whether a value can be an id: one that can be stored, shown and asked for."""
    return isinstance(value, str) and 0 < len(value) <= MAX_ID and value.isprintable() and not value.isspace()


def _id(value: Any, _: type) -> str:
    if is_id(value):
        return str(value)
    raise ValueError(f"an id was expected, not {type(value).__name__}")


def _text(value: Any, _: type) -> str | None:
    return value if isinstance(value, str) else None


def _flag(value: Any, _: type) -> bool | None:
    return value if isinstance(value, bool) else None


def is_number(value: Any) -> TypeGuard[float]:
    """Whether a value can be a number of seconds or credits: neither endless nor absurd."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < MAX_NUMBER


def _number(value: Any, _: type) -> float | None:
    return value if is_number(value) else None


def _words(value: Any, _: type) -> str:
    if isinstance(value, str) and value.strip():
        return value
    raise ValueError("a text was expected")


def _audio_ids(value: Any, _: type) -> SessionAudio:
    entries = value.get("audioIds")
    if not isinstance(entries, list):
        raise ValueError("audioIds is no list")  # noqa: TRY004 - cattrs collects ValueErrors
    ids = tuple(entry for entry in entries if is_id(entry))
    return SessionAudio(ids, unreadable=len(entries) - len(ids))


class _Structure(Protocol):
    def __call__(self, value: Any, kind: type[T], /) -> T: ...


@cache
def _structuring() -> _Structure:
    # Imported here: it takes a while, and nobody needs it before a task has ended.
    from cattrs import transform_error  # noqa: PLC0415
    from cattrs.errors import BaseValidationError  # noqa: PLC0415
    from cattrs.gen import make_dict_structure_fn, override  # noqa: PLC0415
    from cattrs.preconf.json import make_converter  # noqa: PLC0415

    converter = make_converter()
    # What may be absent is absent where it can't be read; what is required is relied on.
    converter.register_structure_hook(str, _words)
    converter.register_structure_hook(str | None, _text)
    converter.register_structure_hook(bool | None, _flag)
    converter.register_structure_hook(float | None, _number)
    for kind in (Clip, VoxStem, Persona):
        hook = make_dict_structure_fn(kind, converter, id=override(struct_hook=_id))
        converter.register_structure_hook(kind, hook)
    converter.register_structure_hook(SessionAudio, _audio_ids)

    def structure(value: Any, kind: type[T], /) -> T:
        try:
            return converter.structure(value, kind)
        except (BaseValidationError, ValueError) as error:
            raise Malformed("; ".join(transform_error(error))) from None

    return structure


def structured(value: dict[str, Any], kind: type[T]) -> T:
    """A JSON object as one of `models`' values.

    Raises:
        Malformed: It lacks what we rely on.
    """
    return _structuring()(value, kind)


# ------------------------------------------------------------------------------------------------------ bodies
_decode = json.JSONDecoder().raw_decode


def parsed(body: bytes, loads: Loads | None) -> Any:
    """The JSON value of a body.

    Raises:
        Malformed: It is no JSON.
    """
    try:
        if loads is not None:
            return loads(body)
        text = body.decode()
        value, end = _decode(text)
        if end == len(text):
            return value
    except (ValueError, RecursionError):
        pass
    # What is rare takes the long way: other encodings, space around it, and what only the lenient parser lets pass.
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise Malformed("its body is no JSON") from None


def _object(body: bytes, loads: Loads | None) -> dict[str, Any]:
    value = parsed(body, loads)
    if not isinstance(value, dict):
        raise Malformed(f"its body is a JSON {type(value).__name__}, not an object")
    return value


def _named_id(body: bytes, name: str, loads: Loads | None) -> str:
    fields = _object(body, loads)
    for holder in (fields, fields.get("data"), fields.get("result")):
        if isinstance(holder, dict) and is_id(found := holder.get(name)):
            return str(found)
    raise Malformed(f"it holds no {name}")


def task_id(body: bytes, _: tuple[str, ...] = (), loads: Loads | None = None, /) -> str:
    """The task's id; also from a body that was cut short after it.

    Raises:
        Malformed: There is none.
    """
    try:
        return _named_id(body, "taskId", loads)
    except Malformed:
        if (found := _cut_short_id(body.decode("utf-8", "replace"), "taskId")) is not None:
            return found
        raise


_MEMBER = re.compile(r'[\s,]*"([^"\\]*)"\s*:\s*')


def _cut_short_id(text: str, name: str) -> str | None:
    """The id among those members of a broken object that arrived whole."""
    opening = re.match(r"\s*\{", text)
    position = opening.end() if opening else len(text)
    while (member := _MEMBER.match(text, position)) is not None:
        try:
            value, position = json.JSONDecoder().raw_decode(text, member.end())
        except (ValueError, RecursionError):
            return None
        if member[1] == name and is_id(value):
            return str(value)
    return None


def session_id(body: bytes, _: tuple[str, ...] = (), loads: Loads | None = None, /) -> str:
    """The session's id.

    Raises:
        Malformed: There is none.
    """
    return _named_id(body, "sessionId", loads)


def task(asked: str) -> Reader[Task]:
    """A reader of the task with the id that was asked for."""

    def read(body: bytes, secrets: tuple[str, ...] = (), loads: Loads | None = None, /) -> Task:
        return _task(_object(body, loads), asked, secrets)

    return read


def _task(fields: dict[str, Any], asked: str, secrets: tuple[str, ...]) -> Task:
    inner = fields.get("data")
    if "status" not in fields and isinstance(inner, dict) and "taskId" in inner:
        fields = inner  # an envelope
    answered, status = fields.get("taskId"), fields.get("status")
    if not isinstance(status, str) or not status.strip():
        raise Malformed("it holds no status")
    if isinstance(answered, str) and answered and answered != asked:
        raise Malformed("it is about another task")
    status = status.strip().lower()
    if status not in ENDED:
        return Task(asked, status, raw=_raw(fields)) if status == TaskStatus.AWAITING else Task(asked, status)
    return Task(
        asked,
        status,
        data=_data(fields, status),
        raw=_raw(fields),
        created_at=_instant(fields.get("createdAt")),
        finished_at=_instant(fields.get("finishAt")),
        fail_code=_fail_code(fields.get("failCode"), secrets),
        fail_reason=_fail_reason(fields.get("failReason"), secrets),
    )


def _raw(fields: dict[str, Any]) -> Any:
    """What a task holds, under either of its names; None where it holds nothing."""
    return next((held for held in (fields.get("data"), fields.get("result")) if held not in (None, "", [], {})), None)


_MODEL = re.compile(r"chirp-custom:[0-9A-Za-z-]{8,64}")


def custom_model_id(task: Task) -> str | None:
    """The id of the custom model that a training's task holds, wherever it stands in what the task holds."""
    return _first_model(task.raw, depth=4)


def _first_model(value: Any, depth: int) -> str | None:
    if isinstance(value, str):
        return value if _MODEL.fullmatch(value) else None
    if depth == 0 or not isinstance(value, dict | list):
        return None
    held = value.values() if isinstance(value, dict) else value
    return next((found for each in held if (found := _first_model(each, depth - 1)) is not None), None)


def _is_result(value: Any) -> bool:
    # No id, no clip: "success with empty data" is a state that the poller knows how to wait out.
    if isinstance(value, dict):
        return "audioIds" in value or value.get("id") not in (None, "")
    return isinstance(value, list) and any(isinstance(entry, dict) and "id" in entry for entry in value)


def _data(fields: dict[str, Any], status: str) -> Clip | SessionAudio | tuple[Clip, ...] | None:
    value = next((held for held in (fields.get("data"), fields.get("result")) if _is_result(held)), None)
    structure = _structuring()
    try:
        if isinstance(value, list):
            return tuple(structure(entry, Clip) for entry in value if isinstance(entry, dict)) or None
        if isinstance(value, dict):
            return structure(value, SessionAudio) if "audioIds" in value else structure(value, Clip)
        return None
    except Malformed:
        if status == TaskStatus.SUCCESS:
            raise
        return None  # what a failure holds besides is of no use to anybody


def _instant(value: Any) -> datetime | None:
    if not isinstance(value, str):
        return None
    try:
        instant = datetime.fromisoformat(value)
    except ValueError:
        return None
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def _fail_code(value: Any, secrets: tuple[str, ...]) -> int | float | str | None:
    if isinstance(value, str):
        return redact.shown_text(value, secrets)[:80] or None
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _fail_reason(value: Any, secrets: tuple[str, ...]) -> str | None:
    if isinstance(value, list):
        value = "; ".join(part for part in value if isinstance(part, str))
    return (redact.shown_text(value, secrets)[:500] or None) if isinstance(value, str) else None


# ----------------------------------------------------------------------------------------------------- headers
_SECONDS = re.compile(r"\s*(\d+(?:\.\d+)?)\s*", re.ASCII)


def retry_after_seconds(value: str | None, date: str | None) -> float | None:
    """Seconds that a `Retry-After` header asks for.

    Args:
        value: The header: seconds or an HTTP date.
        date: The same answer's `Date`: the server's clock is the one that the date was written by.

    Returns:
        At least 0; None where there is no hint that can be read.
    """
    if value is None:
        return None
    if match := _SECONDS.fullmatch(value):
        return float(match[1])
    try:
        until, now = _http_date(value), _http_date(date or "")
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return max(0.0, (until - now).total_seconds())


def _http_date(value: str) -> datetime:
    moment = parsedate_to_datetime(value)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
