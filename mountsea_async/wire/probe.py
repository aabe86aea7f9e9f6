"""Asks foreign hosts for the first bytes of a URL: without our key, cookies or anybody's credentials, and over no
connection that the caller's guard forbids.

What an answer is worth is not decided here. No aiohttp error leaves this module, and a URL's query never does in words.
"""

from __future__ import annotations

import asyncio
import os
import platform
import socket
import ssl
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self
from urllib.parse import urljoin

import aiohttp
import attrs
from aiohttp import hdrs
from yarl import URL

from .. import __version__, redact
from ..config import ClientConfig
from .transport import KEEP_ALIVE, environment_proxy

__all__ = ["FIRST", "HOPS", "Answer", "Probe", "Unanswered"]

FIRST = 64
"""Bytes that are asked for and looked at: every audio format shows itself in fewer."""
HOPS = 5
"""Redirects that are followed."""
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_BUFFER = 1 << 12
_HEADERS = {
    hdrs.ACCEPT: "*/*",
    hdrs.ACCEPT_ENCODING: "identity",
    hdrs.RANGE: f"bytes=0-{FIRST - 1}",
    hdrs.USER_AGENT: f"mountsea-async/{__version__} Python/{platform.python_version()}",
}


@attrs.frozen
class Answer:
    """How a host answered.

    Attributes:
        url: The URL that was asked last: another one than the first if it redirected.
        status: The HTTP status.
        content_type: As the header says, like the next two.
        content_length: Of this answer, so of a part where a part was sent.
        content_range: Which part was sent, and of how much.
        encoded: Whether what was sent is compressed.
        first: At most the first `FIRST` bytes of what was sent.
        whole: Whether that is all of it.
    """

    url: str = attrs.field(repr=False)
    status: int
    content_type: str | None = None
    content_length: str | None = None
    content_range: str | None = None
    encoded: bool = False
    first: bytes = b""
    whole: bool = False


@attrs.frozen
class Unanswered:
    """Why no host answered, or was asked.

    Attributes:
        url: The URL that was, or should have been, asked last.
        problem: Why, in words, and what can be done.
    """

    url: str = attrs.field(repr=False)
    problem: str


class _ForbiddenError(OSError):
    """The guard forbids this address. The text is always the same, so that a name with several such ends in one."""

    def __init__(self, address: str) -> None:
        super().__init__("the guard forbids this address")
        self.address = address


class Probe:
    """Asks for URLs, over connections of its own.

    Without a proxy every connection is shown to `may_connect` with the address that it is about to go to, after names
    were resolved, so that neither a redirect nor a name that means another address a moment later gets past it. A proxy
    resolves names itself: then only `check` holds, which sees the text of each URL.

    Args:
        config: Its proxy, or that of the environment where `trust_env` says so, and the authorities of its
            `ssl_context` are used. A client's certificate is not: these are other people's hosts.
        connections: How many may be open.
        seconds: How long one URL may take, its redirects included.
        check: What is wrong with a URL that is about to be asked, in words.
        may_connect: Whether an address may be connected to.
    """

    def __init__(
        self,
        config: ClientConfig,
        *,
        connections: int,
        seconds: float,
        check: Callable[[str], str | None],
        may_connect: Callable[[str], bool],
    ) -> None:
        self._config = config
        self._connections = connections
        self._seconds = seconds
        self._check = check
        self._may_connect = may_connect
        self._direct: aiohttp.ClientSession | None = None
        self._proxied: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._direct, self._proxied = self._session(self._guarded), self._session(None)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for session in (self._direct, self._proxied):
            if session is not None:
                await session.close()

    def _session(self, guard: Callable[[Any], socket.socket] | None) -> aiohttp.ClientSession:
        theirs = self._config.ssl_context
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=self._connections,
                keepalive_timeout=KEEP_ALIVE,
                ssl=True if theirs is None else _trusting(theirs),
                socket_factory=guard,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,  # what was compressed all the same stays so, and can't explode
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),  # the whole of it is timed by `ask`
            read_bufsize=_BUFFER,
        )

    def _guarded(self, info: tuple[Any, ...]) -> socket.socket:
        family, kind, protocol, _, address = info
        if family not in (socket.AF_INET, socket.AF_INET6) or not self._may_connect(address[0]):
            raise _ForbiddenError(str(address[0]))
        return socket.socket(family, kind, protocol)

    async def ask(self, url: str) -> Answer | Unanswered:
        """Asks for the first bytes of a URL, once, and follows its redirects.

        Args:
            url: An http or https URL.

        Returns:
            The last answer, whatever its status; or why there is none.
        """
        at = url
        try:
            async with asyncio.timeout(self._seconds):
                for _ in range(HOPS + 1):
                    if problem := self._check(at):
                        return Unanswered(at, problem)
                    answer = await self._ask_once(at)
                    if not isinstance(answer, str):
                        return answer
                    at = answer
            return Unanswered(at, f"its redirects don't end: {HOPS} are followed")
        except TimeoutError:
            return Unanswered(at, f"its host doesn't answer within {self._seconds:g} seconds")
        except Exception as error:  # noqa: BLE001 - whatever aiohttp, ssl or the kernel raise, none of it may leave
            return Unanswered(at, redact.shown_text(_in_words(error)))

    async def _ask_once(self, at: str) -> Answer | Unanswered | str:
        """The answer, or the URL that it redirects to; or that this is none."""
        proxy = self._config.proxy or (environment_proxy(at) if self._config.trust_env else None)
        http = self._direct if proxy is None else self._proxied
        if http is None:
            raise RuntimeError("the probe was not opened")
        response = await http.get(_parsed(at), headers=_HEADERS, allow_redirects=False, proxy=proxy)
        try:
            told = response.headers
            if response.status in _REDIRECTS and (location := told.get(hdrs.LOCATION)):
                return _joined(at, location) or Unanswered(at, "its host redirects to what is no URL")
            first = await _beginning(response.content)
            return Answer(
                at,
                response.status,
                told.get(hdrs.CONTENT_TYPE),
                told.get(hdrs.CONTENT_LENGTH),
                told.get(hdrs.CONTENT_RANGE),
                told.get(hdrs.CONTENT_ENCODING, "identity").strip().lower() != "identity",
                first[:FIRST],
                response.content.at_eof() and len(first) <= FIRST,
            )
        finally:
            response.close()  # no connection is drained: what else it sends may have no end


async def _beginning(content: aiohttp.StreamReader) -> bytes:
    """The first bytes, and one more where there are more."""
    first = b""
    while len(first) <= FIRST and (part := await content.read(FIRST + 1 - len(first))):
        first += part
    return first


def _parsed(url: str) -> URL:
    """The URL as it stands, since a signature may rest on its spelling; quoted where it could not be sent so."""
    return URL(url, encoded=url.isascii() and url.isprintable() and " " not in url)


def _joined(at: str, location: str) -> str | None:
    try:
        return str(_parsed(urljoin(at, location)))
    except ValueError:
        return None


def _trusting(theirs: ssl.SSLContext) -> ssl.SSLContext:
    """A context that trusts whom another one trusts, and the system's authorities, and shows no certificate."""
    context = ssl.create_default_context()
    for authority in theirs.get_ca_certs(binary_form=True):
        context.load_verify_locations(cadata=authority)
    return context


def _in_words(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return f"the proxy refuses to connect to its host ({error.status})"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return f"no address is known for {error.host!r}: check the host's name"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        reason = getattr(error.certificate_error, "verify_message", None) or "it can't be verified"
        return f"the certificate of {error.host!r} doesn't hold: {reason}"
    if isinstance(error, aiohttp.ClientSSLError | ssl.SSLError):
        return "its host doesn't speak TLS as we do: check the scheme and the port"
    if isinstance(error, aiohttp.ClientConnectorError):
        return _unconnected(error)
    if isinstance(error, aiohttp.ClientPayloadError | aiohttp.ClientResponseError):
        return "its host's answer was cut short or is no HTTP"
    if isinstance(error, aiohttp.ClientConnectionError | OSError):
        return "its host broke the connection off before it had answered"
    if isinstance(error, aiohttp.InvalidURL):
        return "its host is spelled in a way that isn't asked for: write the name, or the address in full"
    return f"it can't be asked for ({type(error).__name__})"


def _unconnected(error: aiohttp.ClientConnectorError) -> str:
    reason = error.os_error
    if isinstance(reason, _ForbiddenError):
        return (
            f"the service can't reach {error.host!r}: its address {reason.address} is a loopback, private or local one "
            "(allow_private lets it pass)"
        )
    who = "the proxy" if isinstance(error, aiohttp.ClientProxyConnectionError) else "its host"
    # Errors of TLS and of name look-up have numbers of their own, which the kernel's table would misread.
    number = None if isinstance(reason, ssl.SSLError | socket.gaierror) else reason.errno
    why = f": {os.strerror(number)}" if number else ""
    return f"{who} takes no connection ({error.host}:{error.port}{why})"
