"""What the service demands of a request body and query, and how it words a refusal.

What may live here: pure checks; a request's bytes in, its fields or an `InvalidError` out.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Sequence

Check: TypeAlias = Callable[[object], bool]
Rule: TypeAlias = tuple[Check, str]

_MOST = sys.float_info.max
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_NOT_IN_URLS = re.compile(r"[\x00-\x20\x7f<>\"{}|\\^`]")


class InvalidError(Exception):
    """A request that breaks the rules.

    Args:
        messages: one sentence for each broken rule.
        listed: whether the service lists them; a body that cannot be read at all is one plain sentence.
    """

    def __init__(self, messages: Sequence[str], *, listed: bool = True) -> None:
        super().__init__("; ".join(messages))
        self.messages, self.listed = tuple(messages), listed


def is_url(value: object) -> bool:
    """Tell whether a value is a web address."""
    if not isinstance(value, str) or _NOT_IN_URLS.search(value):
        return False
    try:
        parts = urlsplit(value)
        _ = parts.port  # parsed only when asked for
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)


def _is_uuid(value: object) -> bool:
    return isinstance(value, str) and _UUID.fullmatch(value) is not None


def is_text(value: object) -> bool:
    """Tell whether a value is a string."""
    return isinstance(value, str)


def is_number(value: object) -> bool:
    """Tell whether a value is a number that can be reckoned with."""
    return isinstance(value, int | float) and not isinstance(value, bool) and -_MOST <= value <= _MOST


def is_moment(value: object) -> bool:
    """Tell whether a value is a number of seconds from the beginning."""
    return isinstance(value, int | float) and is_number(value) and value >= 0


def is_flag(value: object) -> bool:
    """Tell whether a value is true or false."""
    return isinstance(value, bool)


def _is_name(value: object) -> bool:
    return isinstance(value, str) and value != ""


def one_of(words: Collection[str]) -> Check:
    """Return a check for one of these strings."""
    return lambda value: isinstance(value, str) and value in words


def texts(low: int, high: float = math.inf, *, distinct: bool = False) -> Check:
    """Return a check for a list of so many strings."""

    def check(value: object) -> bool:
        if not isinstance(value, list) or not low <= len(value) <= high or not all(map(is_text, value)):
            return False
        return not distinct or len(set(value)) == len(value)

    return check


def shape(required: Mapping[str, Check], optional: Mapping[str, Check] | None = None) -> Check:
    """Return a check for an object with these fields and no others."""
    every = {**required, **(optional or {})}

    def check(value: object) -> bool:
        if not isinstance(value, dict) or not value.keys() >= required.keys() or not value.keys() <= every.keys():
            return False
        return all(every[name](item) for name, item in value.items())

    return check


_LANGUAGES = ("zh", "en", "ja", "ko", "es", "fr", "de", "pt", "ru", "hi")
_RULES: Mapping[str, Rule] = {
    "audioUrl": (is_url, "audioUrl must be a URL address"),
    "audio_url": (is_url, "audio_url must be a URL address"),
    "voice_audio_url": (is_url, "voice_audio_url must be a URL address"),
    "verification_audio_url": (is_url, "verification_audio_url must be a URL address"),
    "sessionId": (_is_uuid, "sessionId must be a UUID"),
    "taskId": (_is_uuid, "taskId must be a UUID"),
    "clipIds": (texts(6, distinct=True), "clipIds must contain at least 6 different strings"),
    "clip_ids": (texts(1, 4), "clip_ids must contain 1 to 4 strings"),
    "name": (_is_name, "name should not be empty"),
    "language": (one_of(_LANGUAGES), f"language must be one of the following values: {', '.join(_LANGUAGES)}"),
    "vocal_start_s": (is_moment, "vocal_start_s must be a number of at least 0"),
    "vocal_end_s": (is_moment, "vocal_end_s must be a number of at least 0"),
    "is_public": (is_flag, "is_public must be a boolean value"),
    **{
        name: (is_text, f"{name} must be a string")
        for name in ("clip_id", "description", "user_input_styles", "persona_type", "vox_audio_id", "image_s3_id")
    },
}


def lenient(body: bytes) -> dict[str, Any]:
    """Return the fields of a JSON object; anything else: no fields."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def fields(
    body: bytes,
    content_type: str,
    required: Sequence[str],
    optional: Sequence[str] = (),
    rules: Mapping[str, Rule] = _RULES,
) -> dict[str, Any]:
    """Return the named fields of a body, each checked; no other is allowed.

    Args:
        body: the bytes.
        content_type: without parameters, lower case.
        required: the fields that must be there.
        optional: those that may.
        rules: what each must be.

    Raises:
        InvalidError: malformed JSON, a field missing, wrong or not expected.
    """
    value: object = {}
    # The framework parses JSON only when told that it is; any other body counts as empty.
    if body and content_type == "application/json":
        try:
            value = json.loads(body)
        except (ValueError, RecursionError):
            raise InvalidError(["The body is not valid JSON"], listed=False) from None
    if not isinstance(value, dict):
        raise InvalidError(["The body must be a JSON object"], listed=False)
    known = (*required, *optional)
    messages = [f"property {name} should not exist" for name in value if name not in known]
    for name in known:
        holds, message = rules[name]
        if (name in required or name in value) and not holds(value.get(name)):
            messages.append(message)
    if messages:
        raise InvalidError(messages)
    return value


def task_id(values: Sequence[str]) -> str:
    """Return the one task id of a query.

    Raises:
        InvalidError: none, an empty one, or several.
    """
    if len(values) > 1:
        raise InvalidError(["taskId must be a string"])
    if not values or not values[0]:
        raise InvalidError(["taskId should not be empty"])
    return values[0]
