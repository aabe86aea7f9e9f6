"""What the schedule goes by: how fast uploads end, how far the list is to be believed, and who is being worked on."""

from __future__ import annotations

import random
from itertools import pairwise
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mountsea_async.upload.belief import AUDITS, CERTAINTY, GRACE, PRIOR, TIMELY, Belief
from mountsea_async.upload.completions import SILENCE, Completions
from mountsea_async.upload.seats import Seat
from mountsea_async.upload.window import WIDTH, Window


# ----------------------------------------------------------------------------------- completions
def test_before_anything_has_ended_one_is_expected_within_the_time_that_has_passed() -> None:
    completions = Completions(0.5)
    completions.began = 100.0
    assert not completions.known
    assert [completions.speed(at) for at in (100.0, 104.0, 120.0)] == [1.0, 0.25, 0.05]


def test_the_speed_is_that_of_the_last_few_completions() -> None:
    completions = Completions(0.5)
    for number in range(1, 51):
        completions.note(10.0 * number, 1)
    assert completions.speed(500.0) == pytest.approx(0.1)
    for number in range(1, 11):
        completions.note(500.0 + number, 1)
    assert completions.speed(510.0) == pytest.approx(1.0)


def test_many_that_are_noted_at_once_count_from_the_time_before() -> None:
    completions = Completions(0.5)
    completions.note(10.0, 100)
    assert completions.speed(10.0) == 10.0
    completions.note(20.0, 50)
    assert completions.speed(20.0) == 5.0


def test_silence_slows_the_speed_down() -> None:
    completions = Completions(0.5)
    completions.note(10.0, 5)
    assert completions.speed(10.0) == pytest.approx(0.5)
    assert completions.speed(50.0) == pytest.approx(0.1)


def test_many_that_are_seen_at_once_do_not_make_an_endless_speed() -> None:
    completions = Completions(0.5)
    completions.note(10.0, 1000)
    assert completions.speed(10.0) <= 1000 / 0.5


def test_only_a_silence_that_is_long_for_the_pace_so_far_is_suspicious() -> None:
    nothing = Completions(0.5)
    assert not nothing.silent(3 * SILENCE)
    assert nothing.silent(5 * SILENCE)
    quick, slow = Completions(0.5), Completions(0.5)
    for number in range(1, 10):
        quick.note(number * 1.0, 1)
        slow.note(number * 10.0, 1)
    assert [quick.silent(9.0 + after) for after in (SILENCE - 1, SILENCE + 1)] == [False, True]
    assert [slow.silent(90.0 + after) for after in (SILENCE + 1, 1000.0)] == [False, True]


# ----------------------------------------------------------------------------------------- belief
def nobody(_: int) -> bool:
    return False


def everybody(_: int) -> bool:
    return True


def test_the_doubt_follows_the_share_that_ends_without_a_listed_clip() -> None:
    belief = Belief()
    assert belief.doubt == pytest.approx(PRIOR)
    for task in range(40):
        belief.ended(task, 1.0 * task, listed=True, failed=False, watched=False)
    assert belief.doubt < 0.05
    for task in range(40):
        belief.ended(task, 100.0 + task, listed=False, failed=True, watched=False)
    assert 0.4 < belief.doubt < 0.9


def test_a_list_that_cannot_be_read_misleads_until_it_can() -> None:
    belief = Belief()
    belief.read(0, 1.0, everybody)
    belief.unread(2.0)
    assert (belief.misled, belief.failures, belief.doubt) == (True, 1, CERTAINTY)
    belief.read(3, 3.0, everybody)
    assert (belief.misled, belief.failures, belief.ids) == (False, 0, 3)


def test_clips_that_tasks_have_named_and_the_list_does_not_hold_say_that_it_lags() -> None:
    belief = Belief()
    for task in (1, 2):
        belief.ended(task, 10.0, listed=False, failed=False, watched=False)
    assert belief.again == 10.0 + GRACE, "it is to be read again"
    belief.read(0, 10.0 + GRACE / 2, nobody)
    assert not belief.lags, "too early to tell"
    belief.read(0, 10.0 + GRACE, nobody)
    assert belief.lags
    assert belief.misled


def test_clips_that_appear_in_time_say_that_it_does_not_lag_any_more() -> None:
    belief = Belief()
    for task in range(4):
        belief.ended(task, 10.0, listed=False, failed=False, watched=False)
    belief.read(0, 20.0, nobody)
    assert belief.lags
    for task in range(4):
        belief.ended(task, 30.0, listed=False, failed=False, watched=False)
        belief.read(9, 40.0, everybody)
    assert not belief.lags


def test_a_clip_that_is_missing_once_owes_a_check_but_proves_no_lag() -> None:
    belief = Belief()
    belief.ended(0, 5.0, listed=True, failed=False, watched=False)
    before = belief.audits
    belief.ended(1, 10.0, listed=False, failed=False, watched=False)
    belief.read(0, 20.0, nobody)
    assert not belief.lags
    assert belief.audits > before


def test_a_clip_that_is_missing_before_any_was_found_in_the_list_says_that_it_lags() -> None:
    belief = Belief()
    belief.ended(1, 10.0, listed=False, failed=False, watched=False)
    belief.read(0, 20.0, nobody)
    assert belief.lags


def test_a_clip_that_the_list_holds_long_after_it_was_named_does_not_say_that_it_is_in_time() -> None:
    belief = Belief()
    belief.ended(1, 10.0, listed=False, failed=False, watched=False)
    belief.read(0, 20.0, nobody)
    for task in range(10):
        belief.ended(task, 100.0 * task, listed=False, failed=False, watched=False)
        belief.read(9, 100.0 * task + 2 * TIMELY, everybody)
    assert belief.lags


def test_checks_are_owed_less_and_less_often() -> None:
    belief, owed = Belief(), []
    for task in range(200):
        before = belief.audits
        belief.ended(task, 1.0 * task, listed=True, failed=False, watched=True)
        if belief.audits > before:
            owed.append(task)
    gaps = [later - earlier for earlier, later in pairwise(owed)]
    assert gaps == sorted(gaps)
    assert gaps[-1] == AUDITS


# ----------------------------------------------------------------------------------------- window
def window_of(count: int, width: float = WIDTH, at: float = 0.0) -> tuple[Window, list[Seat]]:
    window = Window()
    window.width = width
    window.advance(at, 0.0)
    seats = [window.add(task, at) for task in range(count)]
    window.fill(at)
    return window, seats


def inside(window: Window) -> list[int]:
    return [seat.task for seat in window if seat.inside]


def test_the_window_holds_the_oldest_and_as_many_more_as_there_are_clips_to_be_found() -> None:
    window, _ = window_of(10, 3.0)
    assert inside(window) == [0, 1, 2]
    window.outstanding = 2
    window.fill(0.0)
    assert inside(window) == [0, 1, 2, 3, 4]
    window.remove(1)
    window.fill(0.0)
    assert inside(window) == [0, 2, 3, 4, 5]


def test_a_window_that_is_far_too_large_lets_the_youngest_out_and_in_again_later() -> None:
    window, _ = window_of(20, 16.0)
    window.width = 4.0
    window.shrink()
    assert inside(window) == [0, 1, 2, 3]
    window.width = 6.0
    window.fill(0.0)
    assert inside(window) == [0, 1, 2, 3, 4, 5]


def test_who_is_being_asked_is_not_let_out() -> None:
    window, seats = window_of(20, 16.0)
    seats[15].asking = True
    window.width = 2.0
    window.shrink()
    assert inside(window) == [0, 1, 15]


def test_who_has_been_unseen_for_longest_comes_first() -> None:
    window, seats = window_of(4)
    window.advance(10.0, 0.0)
    for task in (0, 2, 1):
        window.seen_pending(seats[task], 10.0 + task)
    assert window.top() is seats[3]
    seats[3].asking = True
    assert window.top() is seats[0]


@given(st.integers(1, 30), st.integers(1, 30), st.randoms(use_true_random=False))
def test_the_chances_of_all_sum_up_to_the_clips_to_be_found(count: int, clips: int, rng: random.Random) -> None:
    window, seats = window_of(count)
    for seat in seats:
        window.seen_pending(seat, rng.uniform(0.0, 9.0))
    window.advance(10.0, 0.0)
    window.outstanding = min(clips, count)
    window.fill(10.0)
    chances = [window.chance(seat, 10.0, 0.0) for seat in seats]
    assert all(0 <= chance <= 1 for chance in chances)
    assert sum(chances) <= window.outstanding + 1e-6
    if max(chances) < 1:
        assert sum(chances) == pytest.approx(window.outstanding)


@given(st.integers(2, 12), st.integers(1, 5), st.randoms(use_true_random=False))
def test_the_expected_lag_is_the_chance_summed_up_over_time(count: int, clips: int, rng: random.Random) -> None:
    window, seats = window_of(count)
    window.advance(5.0, 0.0)
    window.outstanding = min(clips, count - 1)
    window.fill(5.0)
    lags = dict.fromkeys(range(count), 0.0)
    now, step = 5.0, 0.01
    for _ in range(500):
        for seat in seats:
            lags[seat.task] += step * window.chance(seat, now + step / 2, 0.0)
        now += step
        if rng.random() < 0.02:
            window.advance(now, 0.0)
            seen = rng.choice(seats)
            window.seen_pending(seen, now)
            lags[seen.task] = 0.0
    window.advance(now, 0.0)
    if all(window.chance(seat, now, 0.0) < 0.9 for seat in seats):
        for seat in seats:
            assert window.lag(seat) == pytest.approx(lags[seat.task], rel=0.05, abs=0.05)


def test_more_ends_than_expected_among_the_young_widen_the_window_and_among_the_old_narrow_it() -> None:
    def learned(task: int, *, ended: bool, expected: float) -> float:
        window, seats = window_of(20, 10.0)
        seats[task].expected = expected
        window.learn(seats[task], ended=ended)
        return window.width

    assert learned(9, ended=True, expected=0.2) > 10.0
    assert learned(0, ended=True, expected=0.2) < 10.0
    assert learned(9, ended=False, expected=0.8) < 10.0
    assert learned(0, ended=False, expected=0.8) > 10.0


def test_the_width_stays_from_one_to_all() -> None:
    window, _ = window_of(20, 10.0)
    for _ in range(50):
        window.widen(0.5)
    assert window.width == 1.0
    for _ in range(50):
        window.widen(2.0)
    assert window.width == 20.0


def test_a_list_that_promises_more_than_is_found_is_believed_less() -> None:
    window, seats = window_of(10)
    window.advance(10.0, 0.0)
    window.outstanding = 2
    before = window.chance(seats[0], 10.0, 0.0)
    for _ in range(20):
        seats[1].listed = seats[1].expected = 0.8
        window.learn(seats[1], ended=False)
    assert window.chance(seats[0], 10.0, 0.0) < before / 2


def test_who_is_being_worked_on_by_the_services_word_is_asked_before_those_that_wait() -> None:
    window, seats = window_of(6)
    window.advance(1.0, 0.0)
    window.seen_pending(seats[4], 1.0, begun=True)
    for task in (0, 1):
        window.seen_pending(seats[task], 1.0, begun=False)
    assert window.worker(2.0) is None, "there is no clip to be found"
    window.advance(2.0, 0.0)
    window.outstanding = 1
    found = window.worker(2.0)
    assert found is not None
    assert found[0] is seats[4]
    assert 0 < found[1] <= 1
    assert window.worker(0.5) is None, "it was seen after the list had grown"


def test_a_lone_end_was_nobodys_who_still_waited_by_the_services_word() -> None:
    window, seats = window_of(3)
    window.advance(1.0, 0.0)
    window.seen_pending(seats[0], 1.0, begun=True)
    window.seen_pending(seats[1], 1.0, begun=False)
    window.completed(5.0, 1)
    assert [seat.since for seat in seats] == [1.0, 5.0, 0.0]
    assert all(seat.bound == inf for seat in seats)


def test_instead_of_one_that_has_ended_the_oldest_that_waited_is_probably_worked_on() -> None:
    window, seats = window_of(6)
    window.advance(1.0, 0.0)
    for task in (0, 2):
        window.seen_pending(seats[task], 1.0, begun=True)
    assert window.successor() is None, "nobody has ended"
    window.advance(2.0, 0.0)
    window.remove(0)
    assert window.successor() is seats[1]
    window.tried()
    window.seen_pending(seats[1], 2.0, begun=False)
    assert window.successor() is seats[3]
    window.tried()
    window.seen_pending(seats[3], 2.0, begun=True)
    assert (window.successor(), window.vacant) == (None, 0)


def test_the_search_for_who_is_worked_on_next_ends_after_some() -> None:
    window, seats = window_of(40)
    window.advance(1.0, 0.0)
    window.seen_pending(seats[0], 1.0, begun=True)
    window.advance(2.0, 0.0)
    window.remove(0)
    asked = 0
    while (seat := window.successor()) is not None:
        asked += 1
        window.tried()
        window.seen_pending(seat, 2.0, begun=False)
    assert asked == 8
