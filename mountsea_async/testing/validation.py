"""What the service demands of a request body and query, and how it words a refusal.

What may live here: pure checks; a request's bytes in, its fields or an `InvalidError` out.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

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


def _is_url(value: object) -> bool:
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


_RULES: Mapping[str, tuple[Callable[[object], bool], str]] = {
    "audioUrl": (_is_url, "audioUrl must be a URL address"),
    "sessionId": (_is_uuid, "sessionId must be a UUID"),
}


def lenient(body: bytes) -> dict[str, Any]:
    """Return the fields of a JSON object; anything else: no fields."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def fields(body: bytes, content_type: str, names: Sequence[str]) -> dict[str, str]:
    """Return the named fields of a body, each checked; every one is required and no other is allowed.

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
    messages = [f"property {name} should not exist" for name in value if name not in names]
    for name in names:
        holds, message = _RULES[name]
        if not holds(value.get(name)):
            messages.append(message)
    if messages:
        raise InvalidError(messages)
    return {name: value[name] for name in names}


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
