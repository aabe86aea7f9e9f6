"""What a caller hands in, checked before anything is sent: every entry at fault is named, with the way out.

Pure: parses URLs, resolves nothing.
"""

from __future__ import annotations

import ipaddress
import os
import re
import socket
import sys
import unicodedata
import warnings
from collections.abc import AsyncIterable, Iterable
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import SplitResult, urlsplit

from .. import redact
from ..errors import ConfigurationError, InputError, InputProblem
from ..models import UploadItem

__all__ = [
    "DuplicateURLWarning",
    "Urls",
    "check_audio_url",
    "check_entries",
    "check_journal",
    "collect",
    "is_public_address",
    "refused",
    "warn_of_duplicates",
]

Urls: TypeAlias = Iterable[str | UploadItem] | AsyncIterable[str | UploadItem]

MAX_URL = 8000
"""Longer ones are refused: a request's body must fit into one write, or a cancel could cut it in half."""
_LISTED = 5
_PRIVATE_NAMES = ("localhost", "local", "internal", "lan", "home.arpa", "localdomain", "intranet")
_UNSAFE = re.compile(r"[\x00-\x20\x7f-\xa0\u2028\u2029\ud800-\udfff\\<>\"`{}|^]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_NUMERIC_HOST = re.compile(r"(?:0x[0-9a-f]*|\d+)(?:\.(?:0x[0-9a-f]*|\d+))*\.?", re.ASCII)
_HOST_NAME = re.compile(r"(?!-)[\w-]{1,63}(?<!-)(?:\.(?!-)[\w-]{1,63}(?<!-))*\.?")


class DuplicateURLWarning(UserWarning):
    """The same URL stands in a batch more than once; it is uploaded once, and its entries share the clip."""


async def collect(urls: Urls, *, allow_private: bool = False) -> tuple[UploadItem, ...]:
    """All entries of a batch, checked.

    Args:
        urls: Strings or `UploadItem`s, from any iterable or async iterable. It is read to its end first: a batch
            is refused as a whole, before anything is paid.
        allow_private: Let loopback and private addresses pass.

    Raises:
        InputError: The batch is empty, or entries can't be uploaded; names each.
    """
    if isinstance(urls, str | bytes | UploadItem):
        raise InputError(f"a batch is a list of URLs, not one {type(urls).__name__}: write [url]")
    if isinstance(urls, AsyncIterable):
        entries = [entry async for entry in urls]
    elif isinstance(urls, Iterable):
        entries = list(urls)
    else:
        raise InputError(f"a batch is an iterable of URLs, not {type(urls).__name__}")
    if not entries:
        raise InputError("the batch is empty: give at least one URL")
    return check_entries(entries, allow_private=allow_private)


def check_entries(entries: list[Any], *, allow_private: bool) -> tuple[UploadItem, ...]:
    """Entries as `UploadItem`s.

    Raises:
        InputError: Entries can't be uploaded; names each.
    """
    items: list[UploadItem] = []
    problems: list[InputProblem] = []
    keys: dict[str, int] = {}
    for index, entry in enumerate(entries):
        item = entry if isinstance(entry, UploadItem) else UploadItem(entry)
        problem = check_audio_url(item.audio_url, allow_private=allow_private) or _key_problem(item.key, index, keys)
        if problem:
            problems.append(InputProblem(index, _shown(item.audio_url), problem))
        items.append(item)
    if problems:
        raise refused(problems, len(items))
    return tuple(items)


def _key_problem(key: Any, index: int, keys: dict[str, int]) -> str | None:
    if key is None:
        return None
    if not isinstance(key, str) or not key:
        return f"key {key!r} is no text: give a non-empty string, or none"
    if _SURROGATE.search(key):
        return f"key {key!r} holds half a character: give a whole text"
    if (first := keys.setdefault(key, index)) != index:
        return f"key {key!r} is already that of entry {first}: keys name one entry each"
    return None


def _shown(value: Any) -> str:
    return redact.shown_url(value) if isinstance(value, str) else redact.shown_text(repr(value))[:80]


def refused(problems: list[InputProblem], total: int) -> InputError:
    """The error of a batch with entries that can't be uploaded."""
    lines = [f"entry {p.index} ({p.value!r}): {p.problem}" for p in problems[:_LISTED]]
    if len(problems) > _LISTED:
        lines.append(f"and {len(problems) - _LISTED} more; see .problems")
    message = f"{len(problems)} of {total} entries can't be uploaded, so nothing was sent:\n  " + "\n  ".join(lines)
    return InputError(message, problems=problems)


def warn_of_duplicates(entries: tuple[UploadItem, ...]) -> None:
    """Warns if URLs stand in a batch more than once."""
    extra = len(entries) - len({entry.audio_url for entry in entries})
    if extra:
        warnings.warn(
            f"{extra} of {len(entries)} entries repeat a URL of this batch: each URL is uploaded once and its entries "
            "share the clip (keep_duplicates=True uploads each)",
            DuplicateURLWarning,
            stacklevel=_depth_of_caller(),
        )


def _depth_of_caller() -> int:
    """How far up the stack the code outside of this library is: whose line a warning should show."""
    depth, frame = 1, sys._getframe(1)  # noqa: SLF001 - what `warnings` itself does
    package = frame.f_globals["__name__"].partition(".")[0]
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == package:
        depth, frame = depth + 1, frame.f_back
    return depth - 1


def check_journal(journal: str | os.PathLike[str]) -> Path:
    """The path of a journal, checked for what can be checked without touching it.

    Raises:
        ConfigurationError: It is no path.
    """
    try:
        path = Path(journal)
    except TypeError:
        raise ConfigurationError(f"journal={journal!r}: give the path of a file") from None
    if not path.name:
        raise ConfigurationError(f"journal={str(journal)!r}: give the path of a file")
    return path


# --------------------------------------------------------------------------------------------------------- URLs
def check_audio_url(url: Any, *, allow_private: bool = False) -> str | None:
    """What is wrong with a URL that the service should download from.

    Args:
        url: The URL.
        allow_private: Let loopback and private addresses pass.

    Returns:
        The problem and the way out, in words; None if there is none.
    """
    if not isinstance(url, str):
        return f"a URL is a string, not {type(url).__name__}"
    if not url:
        return "it is empty"
    if len(url.encode("utf-8", "surrogatepass")) > MAX_URL:
        return f"it has {len(url)} characters: at most {MAX_URL} can be sent, fewer outside of ASCII"
    if found := _UNSAFE.search(url):
        return f"it holds {_named(found[0])} at position {found.start()}: percent-encode it"
    try:
        parts = urlsplit(url)
    except ValueError:
        return "it is no URL: its host can't be read"
    try:
        port = parts.port
    except ValueError:
        return "its port is no number from 1 to 65535"
    if parts.scheme not in ("http", "https"):
        return "it doesn't begin with http:// or https://: the service downloads over these only"
    if parts.username is not None or parts.password is not None:
        return "it holds credentials: use a presigned URL instead"
    if port == 0:
        return "port 0 doesn't exist"
    return _host_problem(parts, allow_private=allow_private)


def _named(character: str) -> str:
    return "a space" if character == " " else f"the character {character!r}"


def _host_problem(parts: SplitResult, *, allow_private: bool) -> str | None:
    if not parts.hostname:
        return "it has no host"
    # As a resolver would read it: full-width letters, circled digits and ideographic dots are spellings, too.
    host = unicodedata.normalize("NFKC", parts.hostname).replace("\u3002", ".").lower()
    if _NUMERIC_HOST.fullmatch(host) or ":" in host:
        address = _address(host)
        if address is None:
            return f"{host!r} is no address"
        private = not _is_public(address)
    else:
        if not _HOST_NAME.fullmatch(host):
            return f"{host!r} is no host name"
        name = host.rstrip(".")
        private = "." not in name or any(name == zone or name.endswith("." + zone) for zone in _PRIVATE_NAMES)
    if private and not allow_private:
        return f"the service can't reach {host!r}: a loopback, private or local address (allow_private lets it pass)"
    return None


_Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address


def _address(host: str) -> _Address | None:
    """The address that a literal host means; shorthand such as `127.1` or `0x7f000001` is an address, too."""
    try:
        if ":" in host:
            return ipaddress.IPv6Address(host.partition("%")[0])
        return ipaddress.IPv4Address(socket.inet_aton(host.rstrip(".")))
    except (ValueError, OSError):
        return None


def is_public_address(host: str) -> bool:
    """Whether the whole Internet can reach a literal address, as far as its form tells.

    Args:
        host: The address, in any spelling.
    """
    address = _address(host)
    return address is not None and _is_public(address)


_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
_IPV4_COMPATIBLE = ipaddress.IPv6Network("::/96")


def _is_public(address: _Address) -> bool:
    """Whether the whole Internet can reach an address; one that carries another is no more public than that."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.sixtofour is not None or address in _IPV4_COMPATIBLE:
            return False  # both forms are long out of use, and Python's versions judge them differently
        if address.ipv4_mapped is not None:
            return _is_public(address.ipv4_mapped)
        if address in _NAT64:
            return _is_public(ipaddress.IPv4Address(address.packed[12:]))
        if address not in _GLOBAL_UNICAST:
            return False
    return address.is_global and not address.is_multicast
