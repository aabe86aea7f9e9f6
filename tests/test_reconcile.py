"""The final check: nothing is lost, and nothing is claimed without evidence."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mountsea_async.upload.reconcile import Reconciliation, reconcile

IDS = st.lists(st.sampled_from("abcdefgh"), max_size=10)


@pytest.mark.parametrize(
    ("held", "listed", "earlier", "expected"),
    [
        pytest.param([], [], [], Reconciliation(read=True), id="nothing at all"),
        pytest.param(["a", "b"], ["b", "a"], [], Reconciliation(read=True, matched=("a", "b")), id="agreement"),
        pytest.param(["a", "b"], ["a"], [], Reconciliation(read=True, matched=("a",), missing=("b",)),
                     id="not yet listed"),
        pytest.param(["a"], ["a", "x", "y"], [], Reconciliation(read=True, matched=("a",), unattributed=("x", "y")),
                     id="paid for, in nobody's hands"),
        pytest.param([], ["x"], [], Reconciliation(read=True, unattributed=("x",)), id="only an orphan"),
        pytest.param(["a", "a"], ["a"], [], Reconciliation(read=True, matched=("a",), duplicated=("a",)),
                     id="two items name one clip"),
        pytest.param(["a"], ["a", "a"], [], Reconciliation(read=True, matched=("a",), duplicated=("a",)),
                     id="the list repeats a clip"),
        pytest.param([], ["x", "x"], [], Reconciliation(read=True, unattributed=("x",), duplicated=("x",)),
                     id="the list repeats an orphan"),
        pytest.param(["b"], ["o", "b"], ["o"], Reconciliation(read=True, matched=("b",), earlier=("o",)),
                     id="an adopted session"),
        pytest.param(["b"], ["b"], ["o"], Reconciliation(read=True, matched=("b",), earlier=("o",)),
                     id="an adopted session that forgot a clip"),
        pytest.param(["o"], ["o"], ["o"], Reconciliation(read=True, matched=("o",)),
                     id="an item names a clip that was there before"),
        pytest.param(["a"], [], [], Reconciliation(read=True, missing=("a",)), id="an empty list"),
        pytest.param(["a"], None, ["o"], Reconciliation(earlier=("o",)), id="the list could not be read"),
        pytest.param(["a", "a"], None, [], Reconciliation(duplicated=("a",)), id="unread, yet two items name one clip"),
    ],
)  # fmt: skip
def test_the_verdict_on(
    held: list[str], listed: list[str] | None, earlier: list[str], expected: Reconciliation
) -> None:
    assert reconcile(held, listed, earlier) == expected


@pytest.mark.parametrize(
    ("held", "listed", "earlier", "consistent"),
    [
        (["a"], ["a"], [], True),
        (["a"], ["a", "o"], ["o"], True),
        ([], [], [], True),
        (["a"], None, [], False),
        (["a"], [], [], False),
        ([], ["x"], [], False),
        (["a", "a"], ["a"], [], False),
        (["a"], ["a", "a"], [], False),
    ],
)
def test_consistent_is_only_what_was_read_and_agrees(
    held: list[str], listed: list[str] | None, earlier: list[str], consistent: bool
) -> None:
    assert reconcile(held, listed, earlier).consistent is consistent


def test_nothing_is_consistent_before_the_check() -> None:
    assert not Reconciliation().consistent


@given(IDS, IDS, IDS)
def test_every_listed_id_is_in_exactly_one_place(held: list[str], listed: list[str], earlier: list[str]) -> None:
    verdict = reconcile(held, listed, earlier)
    for audio_id in listed:
        places = [verdict.matched, verdict.unattributed, verdict.earlier]
        assert sum(place.count(audio_id) for place in places) == 1


@given(IDS, IDS, IDS)
def test_every_clip_of_an_item_is_matched_or_missing_once(
    held: list[str], listed: list[str], earlier: list[str]
) -> None:
    verdict = reconcile(held, listed, earlier)
    assert sorted([*verdict.matched, *verdict.missing]) == sorted(set(held))
    assert set(verdict.matched) <= set(listed)
    assert not set(verdict.missing) & set(listed)


@given(IDS, IDS, IDS)
def test_nothing_is_claimed_that_neither_side_said(held: list[str], listed: list[str], earlier: list[str]) -> None:
    verdict = reconcile(held, listed, earlier)
    assert set(verdict.unattributed) <= set(listed) - set(held) - set(earlier)
    assert set(verdict.earlier) <= set(earlier)
    assert verdict.inferred == ()
    assert set(verdict.duplicated) == {i for i in {*held, *listed} if held.count(i) > 1 or listed.count(i) > 1}
    for place in (verdict.matched, verdict.missing, verdict.unattributed, verdict.duplicated, verdict.earlier):
        assert len(place) == len(set(place))


@given(IDS, IDS)
def test_order_is_kept(held: list[str], listed: list[str]) -> None:
    verdict = reconcile(held, listed)
    assert list(verdict.matched) == [i for i in dict.fromkeys(held) if i in listed]
    assert list(verdict.unattributed) == [i for i in dict.fromkeys(listed) if i not in held]


@given(IDS, IDS)
def test_a_list_that_could_not_be_read_proves_nothing(held: list[str], earlier: list[str]) -> None:
    verdict = reconcile(held, None, earlier)
    assert (verdict.read, verdict.consistent) == (False, False)
    assert (verdict.matched, verdict.missing, verdict.unattributed) == ((), (), ())


def test_iterables_that_can_be_read_once_are_enough() -> None:
    assert reconcile(["a"], iter(["a", "x"]), iter(["x"])) == Reconciliation(read=True, matched=("a",), earlier=("x",))
