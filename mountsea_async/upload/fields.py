"""What a caller hands in besides uploads: fields of other endpoints, names, ids and numbers, each checked before
anything is sent.

Pure.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import ConfigurationError, InputError
from ..redact import shown_text, shown_value

__all__ = [
    "check_clip_ids",
    "check_concurrency",
    "check_deadline",
    "check_id",
    "check_name",
    "check_path",
    "encode_payload",
]

MAX_PAYLOAD = 32_768
"""Bytes of a body: it must fit into one write, or a cancel could cut it in half."""
MAX_ID = 1000
"""Characters of an id; the service's have 36."""

# ------------------------------------------------------------------------------------------------- other endpoints
_PATH = re.compile(r"/[A-Za-z0-9._~!$&'()*+,;=:@/-]*", re.ASCII)


def check_path(path: Any) -> str:
    """The path of an endpoint.

    Raises:
        InputError: It isn't one.
    """
    steps = path.split("/") if isinstance(path, str) else []
    if not steps or not _PATH.fullmatch(path) or ".." in steps or path.startswith("//"):
        raise InputError(f"path={shown_value(path)}: give what follows the base URL, like '/suno/v2/lyrics'")
    return str(path)


def encode_payload(payload: Any) -> bytes:
    """The body of a call.

    Raises:
        InputError: It isn't a mapping of values that JSON has, or too long.
    """
    if not isinstance(payload, Mapping):
        raise InputError(f"payload: give a mapping of the endpoint's fields, not {type(payload).__name__}")
    try:
        body = json.dumps(dict(payload), separators=(",", ":"), allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"payload: this can't be written as JSON ({error})") from None
    if len(body) > MAX_PAYLOAD:
        raise InputError(f"payload: {len(body)} bytes as JSON, at most {MAX_PAYLOAD} can be sent")
    return body


# ------------------------------------------------------------------------------------------------ clips and names
MAX_NAME = 100
"""Characters of a name; the service tells no bound."""


def check_name(name: Any, field: str = "name") -> str:
    """A name that somebody gives to a thing of theirs.

    Raises:
        InputError: It is no text, empty, or longer than `MAX_NAME`.
    """
    if not isinstance(name, str) or not name.strip():
        raise InputError(f"{field}={shown_value(name)}: give a name, of 1 to {MAX_NAME} characters")
    if len(name) > MAX_NAME or not name.isprintable():
        shown = shown_text(name)[:40]
        raise InputError(f"{field}={shown!r}: give a name of 1 to {MAX_NAME} characters, without control characters")
    return name


def check_id(value: Any, field: str) -> str:
    """An id of the service.

    Raises:
        InputError: It is none.
    """
    if not isinstance(value, str) or not value.strip() or not value.isprintable() or len(value) > MAX_ID:
        raise InputError(f"{field}={shown_value(value)}: give an id that the service answered with")
    return value


def check_clip_ids(
    clip_ids: Any, *, least: int = 1, most: int | None = None, field: str = "clip_ids", whose: str | None = None
) -> tuple[str, ...]:
    """Clips that are to be used together.

    Args:
        clip_ids: Their ids.
        least: So many at least.
        most: So many at most; None for no bound.
        field: What the caller calls them.
        whose: Where they come from, for the error, if not from the caller.

    Raises:
        InputError: Too few, too many, one twice, or something that is no id.
    """
    if isinstance(clip_ids, str | bytes) or not isinstance(clip_ids, Iterable):
        raise InputError(f"{field}: give a list of clip ids, not one {type(clip_ids).__name__}")
    ids = tuple(check_id(clip_id, field) for clip_id in clip_ids)
    if len(set(ids)) < len(ids):
        twice = next(clip_id for clip_id in ids if ids.count(clip_id) > 1)
        raise InputError(f"{field}: {twice!r} is in it more than once: give each clip once")
    if not least <= len(ids) <= (len(ids) if most is None else most):
        bounds = f"at least {least}" if most is None else f"{least} to {most}"
        held = f"{whose} {len(ids)} clips" if whose else f"{field} has {len(ids)} clips"
        raise InputError(f"{held}: {bounds} are needed, all of one account")
    return ids


# ------------------------------------------------------------------------------------------------------ numbers
def check_concurrency(concurrency: Any, ceiling: float) -> int:
    """How many submits may be in flight.

    Args:
        concurrency: From 1 to `ceiling`.
        ceiling: Requests that the client has room for.

    Raises:
        ConfigurationError: It isn't a whole number in that range.
    """
    if isinstance(concurrency, bool) or not isinstance(concurrency, int) or not 1 <= concurrency <= ceiling:
        raise ConfigurationError(f"concurrency={concurrency!r}: give a whole number from 1 to {ceiling:.0f}")
    return concurrency


MAX_DEADLINE = 10**9


def check_deadline(deadline: Any) -> float | None:
    """Seconds from now at which to stop.

    Raises:
        ConfigurationError: It isn't a number above 0.
    """
    if deadline is None:
        return None
    if isinstance(deadline, bool) or not isinstance(deadline, int | float) or not 0 < deadline <= MAX_DEADLINE:
        # An integer can have more digits than Python is willing to write down.
        huge = isinstance(deadline, int) and abs(deadline) > MAX_DEADLINE
        shown = "a number that huge" if huge else repr(deadline)
        raise ConfigurationError(f"deadline={shown}: give seconds above 0, or None for no deadline")
    return float(deadline)
