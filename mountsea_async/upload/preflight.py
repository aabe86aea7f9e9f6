"""The opt-in preflight of a batch's URLs: each is asked for its first bytes, before anything is paid.

What an answer is worth is judged by pure functions; who asks is `wire/probe.py`. Nothing here is sent to the service.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import attrs

from .. import redact
from ..config import MAX_IN_FLIGHT, ClientConfig
from ..errors import ConfigurationError, InputProblem
from ..models import UploadItem
from ..wire.probe import Answer, Probe, Unanswered
from .fields import check_concurrency
from .inputs import Urls, check_audio_url, collect, is_public_address, refused

__all__ = ["PreflightItem", "PreflightReport", "judge", "length_of", "preflight"]

VERSION = 1
"""Of the form of `to_dict()`; grows when a field changes its meaning or goes."""
MAX_TIMEOUT = 600


# ------------------------------------------------------------------------------------------------------- report
@attrs.frozen
class PreflightItem:
    """What the preflight found at one URL.

    Attributes:
        index: The entry's place in the input, from 0.
        key: The caller's own name for it.
        audio_url: The URL, without its query (which may be a signature).
        problem: Why the service would hardly get an audio file from it, and the way out; None if it would.
        status: The HTTP status, where its host answered.
        content_type: The type that its host names, if any.
        length: Of the file, in bytes, where its host tells it.
        final_host: The host that it redirects to; None where it doesn't redirect.
    """

    index: int
    key: str | None
    audio_url: str
    problem: str | None = None
    status: int | None = None
    content_type: str | None = None
    length: int | None = None
    final_host: str | None = None

    @property
    def ok(self) -> bool:
        """Whether there is no problem."""
        return self.problem is None

    def to_dict(self) -> dict[str, Any]:
        """The item as JSON-ready values."""
        return {
            "index": self.index,
            "key": self.key,
            "audio_url": self.audio_url,
            "ok": self.ok,
            "problem": self.problem,
            "status": self.status,
            "content_type": self.content_type,
            "length": self.length,
            "final_host": self.final_host,
        }


@attrs.frozen
class PreflightReport:
    """What the preflight of a batch found: one `PreflightItem` for each entry of the input, in input order.

    It tells what this machine got. The service asks for itself, from elsewhere and later.

    Attributes:
        items: All entries.
    """

    items: tuple[PreflightItem, ...]

    @property
    def ok(self) -> bool:
        """Whether no entry has a problem."""
        return all(item.ok for item in self.items)

    @property
    def problems(self) -> tuple[InputProblem, ...]:
        """The entries that have one, in input order."""
        return tuple(InputProblem(item.index, item.audio_url, item.problem) for item in self.items if item.problem)

    def raise_for_problems(self) -> None:
        """Does nothing if every URL is fine.

        Raises:
            InputError: Some are not; `problems` names each.
        """
        if problems := self.problems:
            raise refused(list(problems), len(self.items))

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON-ready values."""
        return {"version": VERSION, "ok": self.ok, "items": [item.to_dict() for item in self.items]}


# ------------------------------------------------------------------------------------------------------ running
async def preflight(
    urls: Urls,
    config: ClientConfig,
    *,
    concurrency: int = 32,
    timeout: float = 5.0,  # noqa: ASYNC109 - of each URL, not of the call
    allow_private: bool = False,
) -> PreflightReport:
    """Asks the host of each URL for its first bytes, once, and judges what comes. Sends nothing to the service.

    Neither the key nor a cookie nor a client's certificate goes along. At most five redirects are followed. Nothing is
    connected to that the whole Internet can't reach, whatever a name or a redirect leads to; behind a proxy (as in
    `ClientConfig`) names are resolved by that, so only names and addresses that are private by their text are refused.

    Args:
        urls: What is to be uploaded: strings or `UploadItem`s, from any iterable or async iterable.
        config: The client's settings; its proxy and its trusted authorities are used.
        concurrency: URLs that are asked for at once, 1 to 100.
        timeout: Seconds that one URL may take, its redirects included; above 0, at most 600.
        allow_private: Let loopback and private addresses and all ports pass, for tests.

    Returns:
        What was found. A URL that stands in the batch more than once is asked for once.

    Raises:
        InputError: The batch is empty, or entries can't be uploaded whatever their hosts say; nobody was asked.
        ConfigurationError: A setting is out of its range; nobody was asked.
    """
    check_concurrency(concurrency, MAX_IN_FLIGHT)
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not 0 < timeout <= MAX_TIMEOUT:
        raise ConfigurationError(f"timeout={timeout!r}: give seconds above 0 and at most {MAX_TIMEOUT}")
    entries = await collect(urls, allow_private=allow_private)
    probe = Probe(
        config,
        connections=concurrency,
        seconds=timeout,
        check=partial(check_audio_url, allow_private=True) if allow_private else _problem_of,
        may_connect=(lambda _: True) if allow_private else is_public_address,
    )
    async with probe:
        found = await _ask_all(probe, dict.fromkeys(entry.audio_url for entry in entries), concurrency)
    return PreflightReport(tuple(_item(index, entry, found[entry.audio_url]) for index, entry in enumerate(entries)))


async def _ask_all(probe: Probe, urls: Iterable[str], concurrency: int) -> dict[str, Answer | Unanswered]:
    found: dict[str, Answer | Unanswered] = {}
    left = iter(urls)

    async def ask_on() -> None:
        for url in left:
            found[url] = await probe.ask(url)

    loop = asyncio.get_running_loop()
    asking = [loop.create_task(ask_on()) for _ in range(concurrency)]
    try:
        await asyncio.gather(*asking)
    finally:
        for task in asking:
            task.cancel()
        await asyncio.wait(asking)
    return found


def _problem_of(url: str) -> str | None:
    if problem := check_audio_url(url):
        return problem
    parts = urlsplit(url)
    if parts.port not in (None, 80, 443):
        return f"port {parts.port} isn't asked: only 80 and 443 are (allow_private lets it pass)"
    return None


# ------------------------------------------------------------------------------------------------------ verdict
def _item(index: int, entry: UploadItem, found: Answer | Unanswered) -> PreflightItem:
    shown, final = redact.shown_url(entry.audio_url), None
    if found.url != entry.audio_url:
        final = _host(found.url)
    if isinstance(found, Answer):
        problem = judge(found, entry.audio_url)
        status, told, length = found.status, _shown_type(found), length_of(found)
    else:
        problem, status, told, length = found.problem, None, None, None
    if problem and final is not None:
        problem = f"it redirects to {redact.shown_url(found.url)!r}: {problem}"
    return PreflightItem(index, entry.key, shown, problem, status, told, length, final)


def _host(url: str) -> str | None:
    try:
        return redact.shown_text(urlsplit(url).hostname or "") or None
    except ValueError:
        return None


def _shown_type(answer: Answer) -> str | None:
    return redact.shown_text(answer.content_type or "")[:100] or None


_RANGE = re.compile(r"bytes\s+(?:\*|\d+-\d+)/(\d{1,18})", re.ASCII | re.IGNORECASE)
_NUMBER = re.compile(r"\d{1,18}", re.ASCII)


def length_of(answer: Answer) -> int | None:
    """How many bytes the whole file has, as far as its host tells; None if it doesn't.

    Args:
        answer: To a request for its first bytes.
    """
    if answer.encoded:
        return None
    if answer.status in (206, 416):
        total = _RANGE.fullmatch((answer.content_range or "").strip())
        return int(total[1]) if total else None
    if not 200 <= answer.status < 300:
        return None
    if _NUMBER.fullmatch(told := (answer.content_length or "").strip()):
        return int(told)
    return len(answer.first) if answer.whole else None


def judge(answer: Answer, url: str) -> str | None:
    """Why the service would hardly get an audio file, and the way out; None if it would.

    Args:
        answer: What a host has answered to a request for the first bytes.
        url: The URL as it was handed in, which may have redirected.
    """
    if length_of(answer) == 0 or (answer.whole and not answer.first and 200 <= answer.status < 300):
        return "it is empty: there are 0 bytes"
    if not 200 <= answer.status < 300:
        return _status_problem(answer.status)
    return _type_problem(answer, url)


_STATUSES = {
    401: "its host wants a login (401): give a URL that needs none, such as a presigned one",
    403: "its host refuses it (403): a signature may have expired, or be for another request than GET; make a new URL",
    404: "its host has no such file (404): check the path",
    407: "the proxy wants a login (407): give its URL with credentials",
    410: "its host has the file no more (410)",
    416: "its host can't send its beginning (416): the file may be empty",
    429: "its host is asked too often (429): try again later, or with less concurrency",
}


def _status_problem(status: int) -> str:
    if status in _STATUSES:
        return _STATUSES[status]
    if 300 <= status < 400:
        return f"its host redirects without saying where to ({status})"
    if status >= 500:
        return f"its host, or a gateway before it, is out of order ({status}): try again later"
    return f"its host refuses it ({status})"


_GENERIC = frozenset(
    {
        "",
        "application/octet-stream",
        "binary/octet-stream",
        "application/binary",
        "application/download",
        "application/force-download",
        "application/x-download",
    }
)
_AUDIO = frozenset({"video/mp4", "application/ogg"})
_PLAYLISTS = frozenset(
    {"audio/mpegurl", "audio/x-mpegurl", "audio/x-scpls", "application/vnd.apple.mpegurl", "application/x-mpegurl"}
)
_PAGES = frozenset({"text/html", "application/xhtml+xml"})
_NAMED_AUDIO = re.compile(
    r".+\.(?:aac|ac3|aifc?|aiff|alac|amr|caf|flac|m4[ab]|mka|mp[234]|mpga|og[ag]|opus|wave?|weba|wma)", re.IGNORECASE
)


def _type_problem(answer: Answer, url: str) -> str | None:
    kind = (answer.content_type or "").partition(";")[0].strip().lower()
    first = b"" if answer.encoded else answer.first
    if kind in _PAGES or _is_page(first):
        return "it is a web page, not an audio file: give the address of the file itself"
    if kind in _PLAYLISTS:
        return f"it is a playlist ({kind}), not an audio file: give the address of the file itself"
    if kind.startswith("audio/") or kind in _AUDIO:
        return None
    if kind not in _GENERIC:
        return f"its type is {redact.shown_text(kind)[:100]!r}, not an audio file's: check what its host serves there"
    if _named_audio(url) or _named_audio(answer.url) or _is_audio(first):
        return None
    named = f"its type is {kind!r}" if kind else "its host names no type"
    return f"nothing shows that it is an audio file: {named}, and neither its name nor its beginning tells more"


def _named_audio(url: str) -> bool:
    return _NAMED_AUDIO.fullmatch(urlsplit(url).path.rpartition("/")[2]) is not None


def _is_page(first: bytes) -> bool:
    return first.removeprefix(b"\xef\xbb\xbf").lstrip().lower().startswith((b"<!doctype html", b"<html", b"<head"))


def _is_audio(first: bytes) -> bool:
    """Whether a file begins as one of the known audio formats does."""
    if first.startswith((b"ID3", b"fLaC", b"OggS")) or first[4:8] == b"ftyp":
        return True
    if first[8:12] == b"WAVE":
        return first.startswith((b"RIFF", b"RF64", b"BW64"))
    if first.startswith(b"FORM"):
        return first[8:12] in (b"AIFF", b"AIFC")
    return _is_frame(first)


def _is_frame(first: bytes) -> bool:
    """Whether a file begins with a frame of MPEG audio, layer II or III, or of AAC. Layer I would be a byte order mark,
    too, and nobody uses it."""
    if len(first) < 3 or first[0] != 0xFF or first[1] & 0xE0 != 0xE0:
        return False
    version, layer = first[1] >> 3 & 3, first[1] >> 1 & 3
    if layer == 0:
        return version >= 2 and first[2] >> 2 & 15 < 13
    return version != 1 and layer != 3 and first[2] >> 4 not in (0, 15) and first[2] >> 2 & 3 != 3
