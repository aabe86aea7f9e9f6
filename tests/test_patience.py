"""How long to wait for what may never come."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mountsea_async.config import PollPolicy, RetryPolicy
from mountsea_async.upload.patience import Absence, outage_delay, stall_limit


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


def test_a_clip_is_likely_absent_after_the_limit_and_certainly_once_its_request_cannot_be_on_its_way() -> None:
    absence = Absence(100.0, lost=7, travel=75.0)
    absence.look(100.0, inf, 8)
    assert not absence.likely(119.0, 20.0)
    assert absence.likely(120.0, 20.0)
    for now in (130.0, 174.0, 176.0):
        absence.look(now, inf, 9)
    assert not absence.certain(193.0, 20.0)
    assert absence.certain(196.0, 20.0)


def test_what_is_pending_before_a_lost_upload_holds_its_clip_up() -> None:
    absence = Absence(100.0, lost=7, travel=0.0)
    absence.look(150.0, 6, 20)
    assert not absence.likely(160.0, 20.0)
    absence.look(200.0, 8, 20)
    assert absence.likely(200.0, 20.0)
    assert absence.certain(200.0, 20.0), "its request was answered: it can't find a queue any more"


def test_a_request_that_arrives_late_finds_the_queue_that_there_is_by_then() -> None:
    absence = Absence(100.0, lost=7, travel=75.0)
    absence.look(180.0, 30, 40)
    absence.look(300.0, 39, 60)
    assert absence.likely(300.0, 20.0)
    assert not absence.certain(310.0, 20.0)
    absence.look(310.0, 41, 60)
    assert absence.certain(320.0, 20.0)
