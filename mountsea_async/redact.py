"""What may be shown: texts without the key, URLs without their query and without credentials.

Pure functions over strings, used wherever a text can reach a log, an error or a report.
"""

from __future__ import annotations

import re

__all__ = ["Secrets", "excerpt", "shown_text", "shown_url", "shown_value"]

EXCERPT = 200
_READ = EXCERPT * 20
_QUERY = re.compile(r"[?#]")
_CREDENTIALS = re.compile(r"(^|/)[^/@]*:[^/@]*@")
_URL = re.compile(r"https?://[^\s\"'<>]*", re.IGNORECASE)
_PARAMETERS = re.compile(r"[?&][\w.%~-]+=[^\s\"'<>]*")
"""What looks like a URL's query, whether or not a URL was seen before it."""
_BEARER = re.compile(r"(bearer|x-api-key)([\s:=\"']+)[^\s\"',;]+", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")


class Secrets(tuple[str, ...]):
    """Strings that must not appear anywhere, not even where a traceback shows local variables."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "Secrets(...)"


def _bare(url: str) -> str:
    """A URL, or what was meant as one, without query, fragment and credentials."""
    head = _QUERY.split(url, maxsplit=1)[0]
    scheme, slashes, rest = head.partition("//")
    if slashes:
        authority, slash, path = rest.partition("/")
        if "@" in authority:
            authority = "***@" + authority.rpartition("@")[2]
        head = f"{scheme}//{authority}{slash}{path}"
    return _CREDENTIALS.sub(r"\1***@", head)


def shown_url(url: str) -> str:
    """The URL as it may be shown: no query (it may be a signature), no fragment, no credentials.

    Args:
        url: Any text that was meant as a URL.

    Returns:
        At most 200 characters on one line.
    """
    return _CONTROL.sub("�", _bare(url))[:EXCERPT]


def shown_text(text: str, secrets: tuple[str, ...] = ()) -> str:
    """A foreign text on one line, without secrets and without the queries of the URLs in it.

    Args:
        text: For example a server's error message.
        secrets: Strings that must not appear.
    """
    text = text.replace("\\/", "/")  # JSON may escape slashes, and what is escaped hides from us
    for secret in secrets:
        if secret:
            text = text.replace(secret, "[redacted]")
    text = _BEARER.sub(r"\1\2[redacted]", text)
    text = _PARAMETERS.sub("", _URL.sub(lambda found: _bare(found[0]), text))
    return _CONTROL.sub(" ", text).strip()


def excerpt(body: bytes, secrets: tuple[str, ...] = ()) -> str:
    """The beginning of an answer, fit to be shown: at most 200 characters."""
    text = body[:_READ].decode("utf-8", "replace")
    if len(body) > _READ:
        text = _without_half(text, secrets)
    # Redaction comes before the last cut, so that no secret is cut in half by it and gets through.
    return shown_text(text, secrets)[:EXCERPT]


def _without_half(text: str, secrets: tuple[str, ...]) -> str:
    """The text without the half of a secret that a cut may have left at its end."""
    for secret in secrets:
        half = next((n for n in range(len(secret) - 1, 0, -1) if text.endswith(secret[:n])), 0)
        text = text[: len(text) - half]
    return text


def shown_value(value: object) -> str:
    """A wrong value as an error may show it: short, and without a URL's query, for fields do get mixed up."""
    try:
        return shown_text(repr(value))[:80]
    except ValueError:
        return "a number that huge"  # it has more digits than Python is willing to write down
