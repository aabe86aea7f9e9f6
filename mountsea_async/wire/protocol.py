"""What an attempt means: answers as values or typed errors, and what became of a paid request.

Pure: no clock, no socket, no randomness. `wire/decode.py` reads bodies; `wire/transport.py` moves bytes.
Documentation: docs.mountsea.ai/api-reference/suno/uploadSession, .../uploadSessionItem, .../task, .../upload.
"""

from __future__ import annotations

import re
from contextlib import suppress
from enum import StrEnum
from typing import Final, Generic, TypeAlias

import attrs

from .. import redact
from ..errors import (
    APIError,
    AuthenticationError,
    BadRequestError,
    InsufficientCreditsError,
    MountseaError,
    NoAccountError,
    NoAnswerError,
    NotFoundError,
    NotSentError,
    RateLimitedError,
    ServerError,
    TransportError,
    UnexpectedAnswerError,
    UnknownOutcomeError,
)
from . import decode
from .decode import Malformed

REJECTED: Final = frozenset({400, 401, 402, 403, 404, 413, 415, 422, 429})
"""Statuses of a whole answer that prove a paid request was turned away; 503 only with its known text."""

# Compiled when a first refusal is read: nobody who imports the package should pay for it.
_NO_ACCOUNT = r"\bno\s+(?:\w+\s+)?available\s+(?:\w+\s+)?account|\bno\s+account\s+(?:is\s+)?available"
_NO_CREDITS = (
    r"insufficient[\s_-]{0,3}(?:\w+[\s_-]{0,3}){0,2}(?:credit|balance|fund)|(?:not\s+enough|out\s+of)\s+credit"
)


@attrs.frozen
class Response:
    """A whole answer.

    Attributes:
        status: The HTTP status line's code.
        body: All of it, within the request's `max_bytes`.
        retry_after: The header of that name, as sent.
        date: The header of that name, as sent; it is "now" for a `Retry-After` that is a date.
    """

    status: int
    body: bytes = attrs.field(repr=False)
    retry_after: str | None = None
    date: str | None = None


class Cause(StrEnum):
    """Why an attempt brought no whole answer."""

    CONNECT = "connect"
    CERTIFICATE = "certificate"
    TLS = "tls"
    TIMEOUT = "timeout"
    DISCONNECTED = "disconnected"
    MALFORMED = "malformed"
    TOO_LARGE = "too_large"
    CLIENT = "client"


@attrs.frozen
class SendFailure:
    """An attempt that brought no whole answer, and what proves how far it got.

    Attributes:
        cause: What went wrong.
        detail: The same in words; never holds the key.
        has_body: Whether the request had a body. Without one nothing can be proven.
        bytes_written: Body bytes that went to the kernel.
        attempts: How often the HTTP library began to send; more than one proves nothing.
        status: The status line's code, if one came before the failure.
        partial: What came of the answer's body.
    """

    cause: Cause
    detail: str
    has_body: bool
    bytes_written: int
    attempts: int
    status: int | None = None
    partial: bytes = attrs.field(default=b"", repr=False)

    @property
    def proves_unsent(self) -> bool:
        """Whether it is certain that the service has not seen the request's body."""
        return self.status is None and proves_unsent(self.has_body, self.bytes_written, self.attempts)


def proves_unsent(has_body: bool, bytes_written: int, attempts: int) -> bool:  # noqa: FBT001 - three facts, one proof
    """The only proof that a POST was never sent: a body, no byte of it written, one attempt at most."""
    return has_body and bytes_written == 0 and attempts <= 1


_BY_STATUS: Final[dict[int, type[APIError]]] = {
    401: AuthenticationError,
    402: InsufficientCreditsError,
    403: AuthenticationError,
    404: NotFoundError,
    429: RateLimitedError,
}
_WAY_OUT: Final[dict[type[APIError], str]] = {
    AuthenticationError: "the API key was refused: check MOUNTSEA_API_KEY",
    InsufficientCreditsError: "no credits left: top up and run again",
    NotFoundError: "the service doesn't know this id",
    RateLimitedError: "too many requests",
    NoAccountError: "no account is available at the moment: try again later",
    ServerError: "the service failed",
    BadRequestError: "the service refuses this request",
    UnexpectedAnswerError: "not an answer that the service documents",
}


def error_from(response: Response, secrets: tuple[str, ...] = ()) -> APIError:
    """The typed error of an answer that isn't a success.

    Args:
        response: A whole answer with a status outside 200 to 299.
        secrets: Strings that must not show up in the error.
    """
    said = redact.excerpt(response.body, secrets)
    kind = _kind(response)
    message = f"HTTP {response.status}: {_WAY_OUT[kind]}" + (f" ({said})" if said else "")
    hint = decode.retry_after_seconds(response.retry_after, response.date)
    return kind(message, status=response.status, excerpt=said, retry_after=hint)


def _kind(response: Response) -> type[APIError]:
    status, text = response.status, response.body[:4096].decode("utf-8", "replace")
    if 400 <= status < 600 and re.search(_NO_CREDITS, text, re.IGNORECASE):
        return InsufficientCreditsError
    if status == 503 and re.search(_NO_ACCOUNT, text, re.IGNORECASE):
        return NoAccountError
    if (kind := _BY_STATUS.get(status)) is not None:
        return kind
    if 500 <= status < 600:
        return ServerError
    return BadRequestError if 400 <= status < 500 else UnexpectedAnswerError


_WHILE_ANSWERING: Final = frozenset({Cause.TIMEOUT, Cause.DISCONNECTED, Cause.MALFORMED, Cause.TOO_LARGE})
_ENDED: Final = frozenset({Cause.DISCONNECTED, Cause.MALFORMED, Cause.TOO_LARGE})
_PERMANENT: Final = frozenset({Cause.CERTIFICATE, Cause.CLIENT})


def transport_error(failure: SendFailure) -> TransportError | UnexpectedAnswerError:
    """The typed error of an attempt that brought no whole answer."""
    permanent = failure.cause in _PERMANENT
    if failure.proves_unsent:
        return NotSentError(f"the request was not sent: {failure.detail}", permanent=permanent)
    if failure.cause is Cause.TOO_LARGE and failure.status is not None:
        return UnexpectedAnswerError(f"HTTP {failure.status}: {failure.detail}", status=failure.status)
    what = "no whole answer" if failure.cause in _WHILE_ANSWERING else "the service can't be reached"
    may_arrive = failure.status is None and failure.cause not in _ENDED
    return NoAnswerError(f"{what}: {failure.detail}", permanent=permanent, may_arrive=may_arrive)


def decipher(
    result: Response | SendFailure,
    read: decode.Reader[decode.T],
    secrets: tuple[str, ...] = (),
    loads: decode.Loads | None = None,
) -> decode.T:
    """What an attempt brought, as a model.

    Args:
        result: What the transport handed over.
        read: Reads the body of a 2xx answer.
        secrets: Strings that must not show up in an error.
        loads: A faster parser than `json`'s own.

    Raises:
        APIError: The service answered with something else.
        TransportError: No whole answer came.
    """
    if isinstance(result, SendFailure):
        raise transport_error(result)
    if not 200 <= result.status < 300:
        raise error_from(result, secrets)
    try:
        return read(result.body, secrets, loads)
    except Malformed as fault:
        raise _unreadable(result, fault, secrets) from None


def _unreadable(response: Response, fault: Malformed, secrets: tuple[str, ...]) -> UnexpectedAnswerError:
    said = redact.excerpt(response.body, secrets)
    return UnexpectedAnswerError(
        f"HTTP {response.status}, but {fault} ({said or 'empty answer'})",
        status=response.status,
        excerpt=said,
    )


@attrs.frozen
class Accepted(Generic[decode.T]):
    """A 2xx answer that holds what the endpoint answers with: a well-formed task id, mostly."""

    value: decode.T


@attrs.frozen
class Rejected:
    """A whole answer that proves the request was turned away; not charged, as far as can be told."""

    error: APIError


@attrs.frozen
class NotSent:
    """No byte of the body left; may be sent again."""

    error: NotSentError


@attrs.frozen
class Unknown:
    """Everything else: it may have been processed and charged, so it is never sent again by itself."""

    error: UnknownOutcomeError


SubmitOutcome: TypeAlias = Accepted[decode.T] | Rejected | NotSent | Unknown


def classify_submit(
    result: Response | SendFailure,
    read: decode.Reader[decode.T],
    secrets: tuple[str, ...] = (),
    loads: decode.Loads | None = None,
) -> SubmitOutcome[decode.T]:
    """The outcome class of a paid request, from what came back and from nothing else.

    Args:
        result: A whole answer, or a failure with its proofs.
        read: Reads the body of a 2xx answer.
        secrets: Strings that must not show up in an error.
        loads: A faster parser than `json`'s own.
    """
    if isinstance(result, SendFailure):
        return _classify_failure(result, read)
    if 200 <= result.status < 300:
        try:
            return Accepted(read(result.body, secrets, loads))
        except Malformed as fault:
            return _unknown(_unreadable(result, fault, secrets))
    error = error_from(result, secrets)
    if result.status in REJECTED or isinstance(error, NoAccountError):
        return Rejected(error)
    return _unknown(error)


def _classify_failure(failure: SendFailure, read: decode.Reader[decode.T]) -> SubmitOutcome[decode.T]:
    error = transport_error(failure)
    if isinstance(error, NotSentError):
        return NotSent(error)
    if failure.status is not None and 200 <= failure.status < 300:
        with suppress(Malformed):  # cut short, but a task id that arrived whole is as good as any
            return Accepted(read(failure.partial))
    return _unknown(error)


def _unknown(cause: MountseaError) -> Unknown:
    return Unknown(UnknownOutcomeError(f"may or may not have been processed: {cause.message}", cause=cause))


def stops_submits(error: MountseaError | None) -> str | None:
    """Whether a refusal concerns every further submit, and the word for it.

    Returns:
        `unauthorized`, `credits`, `session_gone`, `no_account` or `unreachable`; None if it concerns only its
        own item.
    """
    cause = error.cause if isinstance(error, UnknownOutcomeError) else error
    for kind, word in _STOPS:
        if isinstance(cause, kind):
            return word
    return None


_STOPS: Final[tuple[tuple[type[MountseaError], str], ...]] = (
    (AuthenticationError, "unauthorized"),
    (InsufficientCreditsError, "credits"),
    (NotFoundError, "session_gone"),
    (RateLimitedError, "rate_limited"),
    (NoAccountError, "no_account"),
    (NotSentError, "unreachable"),
)
