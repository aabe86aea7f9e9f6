"""One attempt over aiohttp: bytes out, bytes in, capped, no redirects. What talks to the service is here alone.

No aiohttp error and no key ever leaves this module: an attempt ends in a `Response` or a `SendFailure`.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import platform
import socket
import ssl
from functools import lru_cache
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import attrs
from aiohttp import hdrs
from multidict import CIMultiDict
from yarl import URL

from .. import __version__, redact
from ..config import ClientConfig
from .alarm import Alarm
from .endpoints import Request
from .protocol import Cause, Response, SendFailure, proves_unsent

KEEP_ALIVE = 4.0
"""Seconds an idle connection is kept: short, since a stale one makes a paid request's outcome unknown."""
_CHUNK = 1 << 16
_MORE_THAN_A_READ = 1 << 19
_URLS = 512
"""Addresses that are kept ready: tasks that are asked for again and again."""


@attrs.define
class Flight:
    """How far an attempt got; written by the transport, read by whoever had to cut the attempt short."""

    has_body: bool = False
    bytes_written: int = 0
    attempts: int = 0

    @property
    def proves_unsent(self) -> bool:
        """Whether it is certain that the service has not seen the request's body."""
        return proves_unsent(self.has_body, self.bytes_written, self.attempts)


class Transport:
    """Sends requests to one service with one key, over its own connections or a borrowed session's."""

    def __init__(
        self,
        api_key: str,
        base_url: str,
        config: ClientConfig,
        limit: int,
        http: aiohttp.ClientSession | None,
        *,
        balance_url: str | None = None,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self._balance_url = (balance_url or base_url).rstrip("/")
        self._config = config
        self._limit = limit
        self._borrowed = http
        self._http = http
        self.secrets = redact.Secrets((api_key,))
        user_agent = f"mountsea-async/{__version__} aiohttp/{aiohttp.__version__} "
        # Never as a session's defaults: those are sent to a proxy, too.
        self._headers = CIMultiDict(
            {
                hdrs.AUTHORIZATION: f"Bearer {api_key}",
                hdrs.ACCEPT: "application/json",
                hdrs.ACCEPT_ENCODING: "identity",  # answers are small, and what isn't compressed can't explode
                hdrs.USER_AGENT: user_agent + f"Python/{platform.python_version()}",
            }
        )
        self._headers_of_balance = CIMultiDict({**self._headers, "X-API-Key": api_key})
        del self._headers_of_balance[hdrs.AUTHORIZATION]
        self._headers_with_body = CIMultiDict({**self._headers, hdrs.CONTENT_TYPE: "application/json"})
        # The whole attempt is timed by `Alarm`.
        self._timeout = aiohttp.ClientTimeout(total=None, sock_connect=config.timeouts.connect)
        self._seconds, self._paid_seconds = config.timeouts.poll, config.timeouts.submit
        self._alarm: Alarm | None = None
        self._url = lru_cache(_URLS)(self._joined)

    def __repr__(self) -> str:
        return f"Transport({self.base_url})"

    def fingerprint(self, salt: str) -> str:
        """What tells this key from another without telling it."""
        return hashlib.pbkdf2_hmac("sha256", self.secrets[0].encode(), salt.encode(), 2000, 16).hex()

    async def open(self) -> None:
        """Makes the connection pool. Must run in the event loop that sends."""
        _keep_blocks()
        self._alarm = Alarm(asyncio.get_running_loop())
        if self._borrowed is not None:
            return
        config = self._config
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=self._limit, keepalive_timeout=KEEP_ALIVE, ssl=config.ssl_context or True
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            # aiohttp's own trust_env would read ~/.netrc, too, and refuse the key beside what it finds there.
            proxy=config.proxy or (environment_proxy(self.base_url) if config.trust_env else None),
            trace_configs=list(config.trace_configs),
        )

    async def close(self) -> None:
        """Closes what was opened here; a borrowed session stays open."""
        if self._alarm is not None:
            self._alarm.close()
        if self._borrowed is None and self._http is not None:
            await self._http.close()

    async def send(self, request: Request, flight: Flight | None = None) -> Response | SendFailure:
        """One attempt.

        Args:
            request: What to send.
            flight: Filled in as the attempt goes on, for the case that it is cancelled.

        Returns:
            The whole answer, whatever its status; or why none came and how far the request got.
        """
        http, alarm = self._http, self._alarm
        if http is None or alarm is None:
            raise RuntimeError("the transport was not opened")
        paid, body = request.paid, request.body
        flight = flight or Flight()
        flight.has_body = body is not None
        tracker = aiohttp.UploadTracker() if paid else None
        response: aiohttp.ClientResponse | None = None
        parts: list[bytes] = []
        size = 0
        url, headers = self._addressed(request)
        wait = alarm.begin(self._paid_seconds if paid else self._seconds)
        try:
            response = await http.request(
                request.method,
                url,
                data=body,
                headers=headers,
                timeout=self._timeout,
                allow_redirects=False,
                raise_for_status=False,
                middlewares=(),
                upload_tracker=tracker,
            )
            content = response.content
            while not content.at_eof():  # a small answer has come with its headers, so there is one turn at most
                part = content.read_nowait() if content.is_eof() else await content.read(_CHUNK)
                parts.append(part)
                size += len(part)
                if size > request.max_bytes:
                    break
        except asyncio.CancelledError as error:
            if alarm.end(wait):
                return self._failed(TimeoutError(), flight, tracker, response, parts)
            _record(flight, tracker)
            _close(response)
            cancelled = asyncio.CancelledError(*error.args)
        except Exception as error:  # noqa: BLE001 - whatever aiohttp, ssl or the kernel raise, none of it may leave
            alarm.end(wait)
            return self._failed(error, flight, tracker, response, parts)
        else:
            alarm.end(wait)
            if not response.closed:  # too long, or no end of it is known
                response.close()
            if size > request.max_bytes:
                detail = f"more than {request.max_bytes} bytes"
                return _failure(Cause.TOO_LARGE, detail, flight, tracker, response.status)
            told = response.headers
            return Response(response.status, b"".join(parts), told.get(hdrs.RETRY_AFTER), told.get(hdrs.DATE))
        # A new one, out here: aiohttp's frames hold the headers, and tools that show a traceback's variables exist.
        raise cancelled

    def _addressed(self, request: Request) -> tuple[URL, CIMultiDict[str]]:
        if request.balance:
            return URL(self._balance_url + request.target, encoded=True), self._headers_of_balance
        return self._url(request.target), self._headers if request.body is None else self._headers_with_body

    def _joined(self, target: str) -> URL:
        return URL(self.base_url + target, encoded=True)

    def _failed(
        self,
        error: Exception,
        flight: Flight,
        tracker: aiohttp.UploadTracker | None,
        response: aiohttp.ClientResponse | None,
        parts: list[bytes],
    ) -> SendFailure:
        """Lets go of the connection, and says what an attempt that was cut short proves."""
        _close(response)
        status = None if response is None else response.status
        cause = _cause(error)
        detail = redact.shown_text(_describe(cause, error), self.secrets)
        return _failure(cause, detail, flight, tracker, status, b"".join(parts))


def _keep_blocks() -> None:
    """Spares each read three trips to the kernel.

    asyncio reads into a new block of 256 KiB each time. glibc maps, cuts and unmaps it, which takes another fifth
    of a request's CPU, until the process has freed a larger one: from then on it keeps them. Other allocators and
    loops don't care.
    """
    bytes(_MORE_THAN_A_READ)


def _close(response: aiohttp.ClientResponse | None) -> None:
    if response is not None:
        response.close()


def _record(flight: Flight, tracker: aiohttp.UploadTracker | None) -> None:
    if tracker is None:
        # Nobody watched how much was written, so nothing may be concluded.
        flight.has_body = False
    else:
        flight.bytes_written, flight.attempts = tracker.bytes_written, tracker.attempts


def _failure(
    cause: Cause,
    detail: str,
    flight: Flight,
    tracker: aiohttp.UploadTracker | None,
    status: int | None,
    partial: bytes = b"",
) -> SendFailure:
    _record(flight, tracker)
    return SendFailure(cause, detail, flight.has_body, flight.bytes_written, flight.attempts, status, partial)


def _cause(error: Exception) -> Cause:
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ServerFingerprintMismatch):
        return Cause.CERTIFICATE
    if isinstance(error, aiohttp.ClientSSLError | ssl.SSLError):
        return Cause.TLS
    if isinstance(
        error,
        aiohttp.ConnectionTimeoutError | aiohttp.ClientConnectorError | aiohttp.ClientProxyConnectionError,
    ):
        return Cause.CONNECT
    if isinstance(error, TimeoutError):
        return Cause.TIMEOUT
    if isinstance(error, aiohttp.ClientPayloadError | aiohttp.ClientResponseError):
        return Cause.MALFORMED
    if isinstance(error, aiohttp.ClientConnectionError | OSError):
        return Cause.DISCONNECTED
    return Cause.CLIENT


_IN_WORDS = {
    Cause.CERTIFICATE: "the server's certificate doesn't hold",
    Cause.TLS: "the TLS handshake failed",
    Cause.CONNECT: "no connection",
    Cause.TIMEOUT: "no answer in time",
    Cause.MALFORMED: "the answer was cut short or is no HTTP",
    Cause.DISCONNECTED: "the connection broke",
    Cause.CLIENT: "the HTTP client refused",
}


def _describe(cause: Cause, error: Exception) -> str:
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return f"no address is known for {error.host}"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f"{_IN_WORDS[cause]} ({error.host}: {error.certificate_error})"
    if isinstance(error, aiohttp.ClientConnectorError):
        where = f"{_IN_WORDS[cause]} ({type(error).__name__}, {error.host}:{error.port}"
        # Errors of TLS and of name look-up have numbers of their own, which the kernel's table would misread.
        number = None if isinstance(error.os_error, ssl.SSLError | socket.gaierror) else error.os_error.errno
        return f"{where}: {os.strerror(number)})" if number else f"{where})"
    # Other texts of aiohttp hold URLs, and the repr of some the request's headers: the kind of error says enough.
    return f"{_IN_WORDS[cause]} ({type(error).__name__})"


def environment_proxy(base_url: str) -> str | None:
    """The proxy that the environment names for an address, with the exceptions that it names."""
    parts = urlsplit(base_url)
    if parts.hostname and proxy_bypass(parts.hostname):
        return None
    return getproxies().get(parts.scheme)


def pool_limit(http: aiohttp.ClientSession) -> float:
    """How many connections to one host a borrowed session allows; infinity if it sets no limit."""
    connector = http.connector
    if connector is None:
        return 0
    limits = [limit for limit in (connector.limit, connector.limit_per_host) if limit]
    return min(limits, default=float("inf"))
