"""The table of an item's transitions: each edge, each edge that isn't there, and the ways through it."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest

from mountsea_async.upload.lifecycle import (
    ENDS,
    TABLE,
    IllegalTransition,
    ItemState,
    Trigger,
    advance,
    diagram,
    path_to,
)

S, T = ItemState, Trigger
EDGES = {
    (S.NEW, T.INTEND): S.SUBMITTING,
    (S.NEW, T.SKIP): S.NOT_SUBMITTED,
    (S.NEW, T.WITHHOLD): S.UNKNOWN,
    (S.SUBMITTING, T.RELEASE): S.NEW,
    (S.SUBMITTING, T.ACCEPT): S.SUBMITTED,
    (S.SUBMITTING, T.REJECT): S.FAILED,
    (S.SUBMITTING, T.LOSE): S.UNKNOWN,
    (S.SUBMITTED, T.SUCCEED): S.SUCCEEDED,
    (S.SUBMITTED, T.BLANK): S.UNKNOWN,
    (S.SUBMITTED, T.FAIL): S.FAILED,
    (S.SUBMITTED, T.TIME_OUT): S.TIMED_OUT,
    (S.SUBMITTED, T.ABANDON): S.UNDETERMINED,
    (S.NOT_SUBMITTED, T.RESUME): S.NEW,
    (S.UNDETERMINED, T.RESUME): S.SUBMITTED,
    (S.UNKNOWN, T.SUCCEED): S.SUCCEEDED,
    (S.FAILED, T.SUCCEED): S.SUCCEEDED,
    (S.TIMED_OUT, T.SUCCEED): S.SUCCEEDED,
    (S.UNKNOWN, T.RETRY): S.NEW,
    (S.FAILED, T.RETRY): S.NEW,
    (S.TIMED_OUT, T.RETRY): S.NEW,
}
NON_EDGES = [pair for pair in product(S, T) if pair not in EDGES]


def name(value: object) -> str:
    return str(getattr(value, "value", value))


@pytest.mark.parametrize(("state", "trigger"), EDGES, ids=name)
def test_an_edge_leads_where_it_should(state: ItemState, trigger: Trigger) -> None:
    assert advance(state, trigger) is EDGES[state, trigger]


@pytest.mark.parametrize(("state", "trigger"), NON_EDGES, ids=name)
def test_what_is_no_edge_is_a_bug_and_says_which(state: ItemState, trigger: Trigger) -> None:
    with pytest.raises(IllegalTransition, match=f"{trigger} in state {state}"):
        advance(state, trigger)


@pytest.mark.parametrize("pair", TABLE, ids=lambda pair: f"{pair[0]}-{pair[1]}")
def test_no_edge_is_in_the_table_that_this_file_does_not_know(pair: tuple[ItemState, Trigger]) -> None:
    assert pair in EDGES


def test_an_end_is_left_only_by_a_later_run_on_the_callers_word_or_for_a_success() -> None:
    for state in S:
        leaving = {trigger for start, trigger in TABLE if start is state}
        assert (leaving <= {T.RESUME, T.RETRY, T.SUCCEED}) is (state in ENDS)


def test_what_may_have_been_paid_for_is_sent_again_only_on_the_callers_word() -> None:
    assert {start for (start, trigger) in TABLE if trigger is T.RESUME} == {S.NOT_SUBMITTED, S.UNDETERMINED}
    assert not any(after is S.NEW for (start, trigger), after in TABLE.items() if start in ENDS - {S.NOT_SUBMITTED}
                   and trigger is not T.RETRY)  # fmt: skip


def test_the_readmes_diagram_is_drawn_from_the_table() -> None:
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    assert f"```mermaid\n{diagram()}```\n" in readme
    assert all(f"{start} --> {after}: {trigger}\n" in diagram() for (start, trigger), after in TABLE.items())


def test_nothing_is_sent_again_after_its_outcome_became_unknown() -> None:
    for state in (S.UNKNOWN, S.SUBMITTED, S.UNDETERMINED, S.SUCCEEDED, S.FAILED, S.TIMED_OUT):
        with pytest.raises(IllegalTransition):
            advance(state, T.INTEND)


def test_success_comes_only_from_the_items_own_accepted_task() -> None:
    assert {trigger for (_, trigger), after in TABLE.items() if after is S.SUCCEEDED} == {T.SUCCEED}
    assert [start for (start, _), after in TABLE.items() if after is S.SUBMITTED] == [S.SUBMITTING, S.UNDETERMINED]


@pytest.mark.parametrize("goal", S, ids=name)
def test_a_path_leads_from_new_to_its_goal(goal: ItemState) -> None:
    state = S.NEW
    for trigger in path_to(goal):
        state = advance(state, trigger)
    assert state is goal


@pytest.mark.parametrize(
    ("goal", "length"),
    [
        (S.NEW, 0),
        (S.SUBMITTING, 1),
        (S.NOT_SUBMITTED, 1),
        (S.SUBMITTED, 2),
        (S.UNKNOWN, 2),
        (S.FAILED, 2),
        (S.SUCCEEDED, 3),
        (S.TIMED_OUT, 3),
        (S.UNDETERMINED, 3),
    ],
    ids=name,
)
def test_a_path_is_the_shortest(goal: ItemState, length: int) -> None:
    assert len(path_to(goal)) == length
