"""What may be shown: texts without the key, URLs without their query and without credentials.

Pure functions over strings, used wherever a text can reach a log, an error or a report.
"""

from __future__ import annotations

import re

__all__ = ["excerpt", "shown_text", "shown_url"]

EXCERPT = 200
_URL = re.compile(r"(https?://)([^\s\"'<>?#]*)([?#][^\s\"'<>]*)?", re.IGNORECASE)
_BEARER = re.compile(r"(bearer|x-api-key)([\s:=\"']+)[^\s\"',;]+", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


def _shorten(match: re.Match[str]) -> str:
    scheme, rest = match[1], match[2]
    authority, slash, path = rest.partition("/")
    if "@" in authority:
        authority = "***@" + authority.rpartition("@")[2]
    return f"{scheme}{authority}{slash}{path}"


def shown_url(url: str) -> str:
    """The URL as it may be shown: no query (it may be a signature), no fragment, no credentials.

    Args:
        url: Any text that was meant as a URL.

    Returns:
        At most 200 characters on one line.
    """
    return _CONTROL.sub("�", _URL.sub(_shorten, url, count=1) if _URL.match(url) else url)[:EXCERPT]


def shown_text(text: str, secrets: tuple[str, ...] = ()) -> str:
    """A foreign text on one line, without secrets and without the queries of the URLs in it.

    Args:
        text: For example a server's error message.
        secrets: Strings that must not appear.
    """
    for secret in secrets:
        if secret:
            text = text.replace(secret, "[redacted]")
    text = _BEARER.sub(r"\1\2[redacted]", text)
    return _CONTROL.sub(" ", _URL.sub(_shorten, text)).strip()


def excerpt(body: bytes, secrets: tuple[str, ...] = ()) -> str:
    """The beginning of an answer, fit to be shown: at most 200 characters."""
    # Redaction comes before the cut, so that a secret across the cut doesn't leave its first half behind.
    return shown_text(body[: EXCERPT * 20].decode("utf-8", "replace"), secrets)[:EXCERPT]
