"""When a pending task is asked for, and when we stop."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mountsea_async.config import PollPolicy
from mountsea_async.upload.polling import Delays, stall_limit


def waits(count: int, *, pending: int = 1, uniform: float = 0.0, **settings: float) -> list[float]:
    delays = Delays(PollPolicy(**settings))
    return [delays.next(pending, uniform) for _ in range(count)]


def test_the_waits_grow_by_the_factor_up_to_the_cap() -> None:
    assert waits(7) == pytest.approx([2, 3, 4.5, 6.75, 10.125, 15, 15])


def test_the_waits_follow_their_policy() -> None:
    assert waits(5, first=1, factor=2, cap=5) == pytest.approx([1, 2, 4, 5, 5])


def test_a_factor_of_one_keeps_the_wait() -> None:
    assert waits(4, first=3, factor=1) == pytest.approx([3, 3, 3, 3])


def test_a_first_wait_above_the_cap_is_cut_to_it() -> None:
    assert waits(2, first=60, cap=15) == pytest.approx([15, 15])


@given(st.floats(0, 1), st.integers(1, 40))
def test_jitter_adds_up_to_a_tenth_and_takes_nothing(uniform: float, count: int) -> None:
    plain, jittered = waits(count), waits(count, uniform=uniform)
    assert all(low <= wait <= low * 1.1 + 1e-9 for low, wait in zip(plain, jittered, strict=True))


@given(st.integers(1, 100_000), st.integers(2, 12), st.floats(0.5, 100))
def test_side_by_side_the_repeated_asks_stay_below_the_rate(pending: int, count: int, rate: float) -> None:
    repeated = waits(count, pending=pending, max_rate=rate)[1:]
    assert all(pending / wait <= rate * (1 + 1e-9) for wait in repeated)


def test_the_first_ask_does_not_wait_for_the_rate() -> None:
    assert waits(1, pending=100_000) == pytest.approx([2])


@pytest.mark.parametrize("factor", [1.5, 10, 10.0, 2])
def test_a_task_that_stays_pending_for_days_is_still_asked_for(factor: float) -> None:
    assert waits(20_000, factor=factor)[-1] == pytest.approx(15)


@given(st.floats(0, 1), st.integers(1, 5000))
def test_every_wait_is_a_finite_number(uniform: float, pending: int) -> None:
    assert all(0 <= wait < math.inf for wait in waits(30, uniform=uniform, pending=pending))


@pytest.mark.parametrize(
    ("ended", "span", "limit"),
    [
        pytest.param(0, 0.0, 600, id="nothing has ended"),
        pytest.param(0, 99999.0, 600, id="nothing has ended for long"),
        pytest.param(100, 1000.0, 600, id="quick items"),
        pytest.param(10, 1000.0, 600, id="six gaps make exactly the bound"),
        pytest.param(10, 5000.0, 3000, id="slow items: six of their gaps"),
        pytest.param(1, 700.0, 4200, id="one slow item"),
    ],
)
def test_the_stall_limit_is_six_mean_gaps_but_at_least_the_policys(ended: int, span: float, limit: float) -> None:
    assert stall_limit(PollPolicy(), ended, span) == pytest.approx(limit)


def test_a_longer_stall_may_be_set() -> None:
    assert stall_limit(PollPolicy(stall=7200), 10, 1000.0) == 7200
