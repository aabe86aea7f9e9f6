"""How long a task may go unasked, whatever is known of it."""

# ruff: noqa: S311 - chance is seeded here on purpose, and protects nothing
from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mountsea_async.config import PollPolicy
from mountsea_async.upload.bounds import BLIND_CAP, LONGEST, Bounds, backoff_delay, lone_delay
from mountsea_async.upload.seats import Seat
from mountsea_async.upload.window import Window

PLAIN = PollPolicy(strategy="backoff")


def plain(**settings: float) -> PollPolicy:
    return PollPolicy(strategy="backoff", **settings)


def waits(count: int, *, uniform: float = 0.0, **settings: float) -> list[float]:
    return [backoff_delay(plain(**settings), asks, uniform) for asks in range(count)]


# ------------------------------------------------------------------------------ the plain backoff
def test_the_waits_grow_by_the_factor_up_to_the_cap() -> None:
    assert waits(9) == pytest.approx([2, 3, 4.5, 6.75, 10.125, 15.1875, 22.78125, 30, 30])


def test_the_waits_follow_their_policy() -> None:
    assert waits(5, first=1, factor=2, cap=5) == pytest.approx([1, 2, 4, 5, 5])


def test_a_factor_of_one_keeps_the_wait() -> None:
    assert waits(4, first=3, factor=1) == pytest.approx([3, 3, 3, 3])


def test_a_first_wait_above_the_cap_is_cut_to_it() -> None:
    assert waits(2, first=60, cap=15) == pytest.approx([15, 15])


@given(st.floats(0, 1), st.integers(1, 40))
def test_jitter_adds_up_to_a_tenth_and_takes_nothing(uniform: float, count: int) -> None:
    pairs = zip(waits(count), waits(count, uniform=uniform), strict=True)
    assert all(low <= wait <= low * 1.1 + 1e-9 for low, wait in pairs)


@pytest.mark.parametrize("factor", [1.5, 10, 10.0, 2])
@pytest.mark.parametrize("asks", [64, 20_000, 10**9])
def test_a_task_that_stays_pending_for_days_is_still_asked_for(factor: float, asks: int) -> None:
    assert backoff_delay(plain(factor=factor), asks, 0.0) == pytest.approx(30)


@given(st.floats(0, 1), st.integers(0, 5000), st.floats(0, 1e9))
def test_every_wait_is_a_finite_number_above_zero(uniform: float, asks: int, age: float) -> None:
    for policy in (PLAIN, PollPolicy()):
        assert 0 < lone_delay(policy, asks, age, uniform) < math.inf


# ----------------------------------------------------------------- a task of which no list tells
def test_a_lone_task_is_asked_after_waits_that_grow_with_the_root_of_its_age() -> None:
    policy = PollPolicy(price=0.5, first=1.0, cap=10.0)
    assert [lone_delay(policy, 3, age, 0.5) for age in (0, 1, 4, 25, 64)] == pytest.approx([1, 1, 2, 5, 8])


def test_a_lone_tasks_wait_stays_below_the_cap() -> None:
    assert lone_delay(PollPolicy(), 3, 1e6, 0.5) == pytest.approx(10)


def test_a_lone_task_is_asked_less_often_where_requests_are_dear() -> None:
    cheap, dear = (lone_delay(PollPolicy(price=price), 3, 20.0, 0.5) for price in (0.2, 2.0))
    assert cheap < dear


def test_a_lone_task_waits_by_the_plain_backoff_where_that_is_set() -> None:
    assert lone_delay(PLAIN, 2, 1e6, 0.0) == pytest.approx(4.5)


# --------------------------------------------------------------------------- the tasks of a session
class Row:
    """Some tasks that were accepted at once, at 0, and their bounds."""

    def __init__(self, policy: PollPolicy, count: int = 3) -> None:
        self.window = Window()
        self.bounds = Bounds(policy, random.Random(0), self.window)
        self.seats = [self.window.add(task, 0.0) for task in range(count)]
        for seat in self.seats:
            self.bounds.bind(seat, 0.0)

    def asked(self, now: float) -> list[Seat]:
        """Everybody who must be asked by then; all answer that they are pending."""
        self.bounds.guide(now, guided=self.bounds.guided)
        asked = []
        while self.bounds.first() <= now:
            seat = self.bounds.pop()
            seat.asks, seat.asked = seat.asks + 1, now
            asked.append(seat)
            self.bounds.bind(seat, now)
        return asked


def test_by_the_plain_backoff_each_task_has_a_bound_of_its_own() -> None:
    row = Row(PLAIN)
    assert all(2.0 <= seat.bound <= 2.2 for seat in row.seats)
    assert row.asked(1.9) == []
    assert len(row.asked(2.2)) == 3
    assert all(2.2 + 3.0 <= seat.bound <= 2.2 + 3.3 for seat in row.seats)


def test_a_task_that_is_gone_is_not_asked_at_its_bound() -> None:
    row = Row(PLAIN)
    row.window.remove(1)
    assert [seat.task for seat in sorted(row.asked(3.0), key=lambda seat: seat.task)] == [0, 2]
    row.window.remove(0)
    row.window.remove(2)
    assert row.bounds.at() == math.inf


def test_where_the_list_guides_nobody_has_a_bound_but_the_sweep() -> None:
    row = Row(PollPolicy())
    assert all(seat.bound == math.inf for seat in row.seats)
    assert row.bounds.at() == LONGEST / 6
    assert row.asked(LONGEST - 1) == []
    assert len(row.asked(row.bounds.at())) == 3


def test_the_sweep_spares_who_was_asked_within_two_thirds_of_its_age() -> None:
    row = Row(PollPolicy())
    for seat, asked in zip(row.seats, (0.0, 9_000.0, 12_000.0), strict=True):
        seat.asked = asked
    assert [seat.task for seat in row.asked(15_000.0)] == [0]
    assert [seat.task for seat in row.asked(30_000.0)] == [1]  # the first was asked at half of its age
    assert [seat.task for seat in row.asked(36_000.0)] == [2]


def test_without_a_guide_a_task_waits_for_a_share_of_its_age_within_bounds() -> None:
    row = Row(PollPolicy())
    row.bounds.guide(100.0, guided=False)
    assert [seat.bound for seat in row.seats] == [160.0] * 3
    assert len(row.asked(160.0)) == 3
    assert [seat.bound for seat in row.seats] == [256.0] * 3
    late = Row(PollPolicy())
    late.bounds.guide(3_000.0, guided=False)
    assert late.bounds.at() == 3_000.0 + BLIND_CAP
    soon = Row(PollPolicy())
    soon.bounds.guide(0.0, guided=False)
    assert soon.bounds.at() == 2.0


def test_where_the_list_was_of_no_use_for_long_before_it_was_noticed_the_waits_began_with_the_asks() -> None:
    row = Row(PollPolicy())
    row.seats[0].asked = 90.0
    row.bounds.guide(100.0, guided=False, late=True)
    assert [seat.bound for seat in row.seats] == [90.0 * 1.6, 2.0, 2.0]
    assert len(row.asked(100.0)) == 2


def test_a_list_that_is_of_use_again_takes_the_bounds_away_but_not_of_those_that_are_due() -> None:
    row = Row(PollPolicy())
    row.bounds.guide(100.0, guided=False)
    row.bounds.guide(120.0, guided=True)
    assert [seat.bound for seat in row.seats] == [math.inf] * 3
    row.bounds.guide(130.0, guided=False)
    row.bounds.guide(210.0, guided=True)
    assert len(row.asked(210.0)) == 3


def test_who_got_no_answer_keeps_a_bound_of_its_own_that_grows() -> None:
    row, bounds = Row(PollPolicy()), []
    for failures in range(8):
        seat = row.seats[1]
        seat.held, seat.failures = True, failures
        row.bounds.bind(seat, 1_000.0)
        bounds.append(seat.bound - 1_000.0)
    assert bounds == sorted(bounds)
    assert 2.0 <= bounds[0] <= 2.2
    assert 30.0 <= bounds[-1] <= 33.0
    assert row.bounds.at() == LONGEST / 6  # the sweep's turn comes first here
    row.bounds.guide(1_001.0, guided=False)
    assert row.seats[1].bound == 1_000.0 + bounds[-1]
