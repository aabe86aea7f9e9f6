"""When a failed call is sent again, and after which wait. The only importer of backoff.

A 429 never gets here: the gate in `pacing.py` owns it.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Generator
from typing import Any, TypeVar

import backoff

from ..config import RetryPolicy
from ..errors import (
    MountseaError,
    NoAccountError,
    NotSentError,
    ServerError,
    TransportError,
    UnexpectedAnswerError,
)

_F = TypeVar("_F", bound=Callable[..., Awaitable[Any]])

BUSY_FACTOR = 4.0
"""Waits are this much longer where all accounts are busy: an upload takes seconds, a connection milliseconds."""


TRANSIENT, THROTTLED = 14, 5
"""Tokens of the client's quota that a retry costs: after a failure, and where the service was only busy."""


def price(error: Exception) -> int:
    """Tokens that a retry after this error costs."""
    return THROTTLED if isinstance(error, NoAccountError) else TRANSIENT


def paid_is_final(error: Exception) -> bool:
    """Whether a paid request that failed so must not be sent again: only what proves non-delivery lets it."""
    if isinstance(error, NotSentError):
        return error.permanent
    return not isinstance(error, NoAccountError)


def free_is_final(error: Exception) -> bool:
    """Whether a request that costs nothing and failed so isn't worth another try."""
    if isinstance(error, TransportError):
        return error.permanent
    return not isinstance(error, NoAccountError | ServerError | UnexpectedAnswerError)


def full_jitter(policy: RetryPolicy, rng: random.Random) -> Generator[float, Exception, None]:
    """backoff's wait generator: is sent each error, yields the seconds to wait.

    A server's own hint wins over ours, with up to a tenth more so that waiters don't come back as one.
    """
    ceiling = policy.base
    error = yield 0.0  # backoff primes a generator with one send
    while True:
        factor = BUSY_FACTOR if isinstance(error, NoAccountError) else 1.0
        hint: float | None = getattr(error, "retry_after", None)
        if hint is not None:
            wait = min(hint, policy.max_retry_after) * (1 + rng.random() / 10)
        else:
            wait = rng.uniform(0, min(policy.cap, ceiling * factor))
        ceiling = min(policy.cap, ceiling * 2)
        error = yield wait


def retrying(
    policy: RetryPolicy,
    rng: random.Random,
    is_final: Callable[[Exception], bool],
    pay: Callable[[int], bool],
    on_retry: Callable[[float], None],
) -> Callable[[_F], _F]:
    """A decorator, to be applied once a client, that repeats an attempt by the policy.

    Args:
        policy: How often and after which waits.
        rng: Where jitter comes from.
        is_final: Tells the errors that end the call from those that are worth another try.
        pay: Takes so many tokens for a try that isn't the first; where it can't, the call ends.
        on_retry: Told each wait, in seconds, before it.
    """

    def ends(error: Exception) -> bool:
        return is_final(error) or not pay(price(error))

    async def note(details: Any) -> None:
        on_retry(details["wait"])

    return backoff.on_exception(
        full_jitter,  # type: ignore[arg-type]  # backoff sends the exception in, though its stubs say None
        MountseaError,
        max_tries=policy.max_tries,
        giveup=ends,
        jitter=None,
        logger=None,
        on_backoff=note,
        policy=policy,
        rng=rng,
    )
