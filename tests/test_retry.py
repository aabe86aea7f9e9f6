"""What is sent again, and after which waits."""

from __future__ import annotations

import asyncio
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mountsea_async.config import RetryPolicy
from mountsea_async.errors import (
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
    UnexpectedAnswerError,
    UnknownOutcomeError,
)
from mountsea_async.wire.retry import (
    BUSY_FACTOR,
    THROTTLED,
    TRANSIENT,
    free_is_final,
    full_jitter,
    paid_is_final,
    retrying,
)


def dice(seed: int = 0) -> random.Random:
    return random.Random(seed)  # noqa: S311 - jitter


UNSENT = NotSentError("no connection")
BUSY = NoAccountError("busy", status=503)
FAILURES = [
    (UNSENT, True, True),
    (BUSY, True, True),
    (NotSentError("certificate", permanent=True), False, False),
    (UnknownOutcomeError("?", cause=UNSENT), False, False),
    (UnknownOutcomeError("?", cause=BUSY), False, False),
    (NoAnswerError("cut"), False, True),
    (NoAnswerError("session closed", permanent=True), False, False),
    (ServerError("500", status=500), False, True),
    (UnexpectedAnswerError("200", status=200), False, True),
    (BadRequestError("400", status=400), False, False),
    (AuthenticationError("401", status=401), False, False),
    (InsufficientCreditsError("402", status=402), False, False),
    (NotFoundError("404", status=404), False, False),
    (RateLimitedError("429", status=429), False, False),
]


def free_of_charge(tokens: int) -> bool:
    return True


def name(value: object) -> str:
    return type(value).__name__ if isinstance(value, Exception) else str(value)


@pytest.mark.parametrize(("error", "paid", "free"), FAILURES, ids=name)
def test_what_may_be_sent_again(error: MountseaError, paid: bool, free: bool) -> None:
    assert paid_is_final(error) is not paid
    assert free_is_final(error) is not free


# ------------------------------------------------------------------------------------------------------- waits
def waits(error: MountseaError, count: int, seed: int = 0, **settings: float) -> list[float]:
    generator = full_jitter(RetryPolicy(**settings), dice(seed))  # type: ignore[arg-type]
    next(generator)
    return [generator.send(error) for _ in range(count)]


@given(st.integers(0, 10_000))
def test_each_wait_is_drawn_from_zero_to_a_ceiling_that_doubles_up_to_the_cap(seed: int) -> None:
    for number, wait in enumerate(waits(UNSENT, 10, seed)):
        assert 0 <= wait <= min(20, 0.5 * 2**number)


def test_the_jitter_is_full_the_whole_range_is_used() -> None:
    drawn = [waits(UNSENT, 1, seed)[0] for seed in range(300)]
    assert min(drawn) < 0.05
    assert max(drawn) > 0.45


@given(st.integers(0, 10_000))
def test_waits_for_a_busy_account_are_longer_and_have_the_same_cap(seed: int) -> None:
    for number, wait in enumerate(waits(BUSY, 10, seed)):
        assert 0 <= wait <= min(20, 0.5 * BUSY_FACTOR * 2**number)


@given(st.integers(0, 10_000), st.floats(0, 120))
def test_a_hint_of_the_service_is_kept_to_with_up_to_a_tenth_more(seed: int, hint: float) -> None:
    (wait,) = waits(NoAccountError("busy", status=503, retry_after=hint), 1, seed)
    assert hint <= wait <= hint * 1.1 + 1e-9


def test_a_hint_beyond_reason_is_cut() -> None:
    (wait,) = waits(NoAccountError("busy", status=503, retry_after=1e9), 1)
    assert 120 <= wait <= 132
    (wait,) = waits(NoAccountError("busy", status=503, retry_after=1e9), 1, max_retry_after=3)
    assert 3 <= wait <= 3.3


def test_no_base_means_no_wait() -> None:
    assert waits(UNSENT, 3, base=0) == [0, 0, 0]


# ------------------------------------------------------------------------------------------------------- tries
@pytest.mark.parametrize("tries", [1, 2, 5, 20])
async def test_tries_are_counted_with_the_first(tries: int) -> None:
    calls, told = 0, list[float]()

    async def fail() -> None:
        nonlocal calls
        calls += 1
        raise UNSENT

    again = retrying(RetryPolicy(max_tries=tries), dice(0), paid_is_final, free_of_charge, told.append)(fail)
    with pytest.raises(NotSentError):
        await again()
    assert (calls, len(told)) == (tries, tries - 1)


@pytest.mark.parametrize(("error", "paid", "free"), FAILURES, ids=name)
async def test_what_is_final_is_tried_once(error: MountseaError, paid: bool, free: bool) -> None:
    for is_final, repeats in ((paid_is_final, paid), (free_is_final, free)):
        calls = 0

        async def fail() -> None:
            nonlocal calls
            calls += 1
            raise error

        with pytest.raises(type(error)) as caught:
            await retrying(RetryPolicy(max_tries=3), dice(0), is_final, free_of_charge, lambda _: None)(fail)()
        assert caught.value is error
        assert calls == (3 if repeats else 1)


async def test_what_succeeds_in_the_end_is_a_success() -> None:
    script: list[MountseaError | str] = [UNSENT, BUSY, "fine"]

    async def answer() -> str:
        step = script.pop(0)
        if isinstance(step, MountseaError):
            raise step
        return step

    again = retrying(RetryPolicy(), dice(0), paid_is_final, free_of_charge, lambda _: None)(answer)
    assert await again() == "fine"


@pytest.mark.parametrize("error", [ValueError("a bug"), TimeoutError(), KeyError("x")], ids=name)
async def test_an_error_that_is_not_ours_is_never_tried_again(error: Exception) -> None:
    calls = 0

    async def fail() -> None:
        nonlocal calls
        calls += 1
        raise error

    with pytest.raises(type(error)):
        await retrying(RetryPolicy(), dice(0), free_is_final, free_of_charge, lambda _: None)(fail)()
    assert calls == 1


async def test_calls_side_by_side_count_their_own_tries() -> None:
    calls: dict[str, int] = {}

    async def fail(who: str) -> None:
        calls[who] = calls.get(who, 0) + 1
        raise UNSENT

    again = retrying(RetryPolicy(max_tries=4), dice(0), paid_is_final, free_of_charge, lambda _: None)(fail)
    results = await asyncio.gather(again("a"), again("b"), return_exceptions=True)
    assert [type(result) for result in results] == [NotSentError, NotSentError]
    assert calls == {"a": 4, "b": 4}


async def test_a_wait_can_be_cancelled() -> None:
    async def fail() -> None:
        raise NoAccountError("busy", status=503, retry_after=100)

    waiting = asyncio.create_task(
        retrying(RetryPolicy(), dice(0), paid_is_final, free_of_charge, lambda _: None)(fail)()
    )
    await asyncio.sleep(1)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_a_retry_that_cannot_be_paid_for_is_not_made() -> None:
    asked, calls = list[int](), 0

    def pay(tokens: int) -> bool:
        asked.append(tokens)
        return len(asked) < 3

    async def fail() -> None:
        nonlocal calls
        calls += 1
        raise UNSENT if calls == 1 else BUSY

    with pytest.raises(NoAccountError):
        await retrying(RetryPolicy(max_tries=20), dice(0), paid_is_final, pay, lambda _: None)(fail)()
    assert asked == [TRANSIENT, THROTTLED, THROTTLED]
    assert calls == 3
