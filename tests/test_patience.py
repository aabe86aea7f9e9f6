"""How long to wait for what may never come."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mountsea_async.config import PollPolicy, RetryPolicy
from mountsea_async.upload.patience import outage_delay, stall_limit


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


def test_submits_come_back_to_a_service_that_is_down_after_waits_that_double_up_to_the_cap() -> None:
    policy = RetryPolicy(base=1.0, cap=8.0)
    assert [outage_delay(policy, outages, 1.0) for outages in range(6)] == pytest.approx([1, 2, 4, 8, 8, 8])


@given(st.floats(0, 1), st.integers(0, 10**6))
def test_such_a_wait_is_from_half_to_a_whole_of_it(uniform: float, outages: int) -> None:
    wait, whole = (outage_delay(RetryPolicy(), outages, chance) for chance in (uniform, 1.0))
    assert whole / 2 <= wait <= whole <= RetryPolicy().cap
