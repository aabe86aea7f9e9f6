"""The final check: nothing is lost, and nothing is claimed without evidence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mountsea_async.models import Clip, UploadItem
from mountsea_async.upload import reconcile as room
from mountsea_async.upload.batch import Batch
from mountsea_async.upload.events import ClipsListed, Event, ItemChanged, ItemSettled, SessionOpened
from mountsea_async.upload.lifecycle import TABLE, ItemState, Trigger, advance
from mountsea_async.upload.reconcile import Attribution, Owner, Reconciliation, attribute


def reconcile(held: list[str], listed: list[str] | None, earlier: list[str] | None = None) -> Reconciliation:
    """The verdict on a list that was read once, where no item is left whose an id could be."""
    repeated = {i for i in listed or () if (listed or []).count(i) > 1}
    at = None if listed is None else dict.fromkeys(listed, 7)
    return room.reconcile(held, at, earlier=earlier or (), repeated=repeated)[0]


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


# -------------------------------------------------------------------------------------------------- elimination
@pytest.mark.parametrize(
    ("owners", "ids", "expected"),
    [
        pytest.param([], {}, Attribution(), id="nothing"),
        pytest.param([], {"x": 5}, Attribution(), id="an id that nobody may own"),
        pytest.param([Owner(0, 1)], {}, Attribution(due=frozenset({0})), id="an item whose clip is due"),
        pytest.param([Owner(0, 1)], {"x": 5}, Attribution({0: "x"}), id="one item, one id"),
        pytest.param([Owner(0, 6)], {"x": 5}, Attribution(due=frozenset({0})), id="listed before it was sent"),
        pytest.param([Owner(0, 1, 4)], {"x": 5}, Attribution(due=frozenset({0})), id="listed after it had settled"),
        pytest.param([Owner(0, 1, complete=True)], {"x": 5}, Attribution(), id="it has a clip of its own"),
        pytest.param([Owner(0, 1), Owner(1, 1, complete=True)], {"x": 5},
                     Attribution(candidates={0: ("x",)}, due=frozenset({0, 1})), id="or a second one of another item"),
        pytest.param([Owner(0, 1), Owner(1, 2)], {"x": 5},
                     Attribution(candidates={0: ("x",), 1: ("x",)}, due=frozenset({0, 1})), id="two items, one id"),
        pytest.param([Owner(0, 1), Owner(1, 2)], {"x": 5, "y": 5},
                     Attribution(candidates={0: ("x", "y"), 1: ("x", "y")}), id="two items, two ids"),
        pytest.param([Owner(0, 1)], {"x": 5, "y": 6}, Attribution(candidates={0: ("x", "y")}), id="one item, two ids"),
        pytest.param([Owner(0, 1, 6), Owner(1, 7)], {"x": 5, "y": 9}, Attribution({0: "x", 1: "y"}),
                     id="one settled before the other was sent"),
        pytest.param([Owner(0, 1, 6), Owner(1, 7)], {"y": 9},
                     Attribution({1: "y"}, due=frozenset({0})), id="one that stayed absent, one that landed"),
        pytest.param([Owner(0, 1), Owner(1, 7)], {"x": 5, "y": 9},
                     Attribution(candidates={0: ("x", "y"), 1: ("y",)}), id="windows that overlap"),
    ],
)  # fmt: skip
def test_an_id_is_attributed_only_if_nobody_else_is_left(
    owners: list[Owner], ids: dict[str, int], expected: Attribution
) -> None:
    assert attribute(owners, ids) == expected


TIMES = st.integers(0, 12)
OWNERS = st.lists(
    st.builds(
        lambda since, span, complete: (since, None if span is None else since + span, complete),
        TIMES,
        st.none() | st.integers(1, 8),
        st.booleans(),
    ),
    max_size=7,
).map(lambda windows: [Owner(n, since, until, complete) for n, (since, until, complete) in enumerate(windows)])
UNEXPLAINED = st.dictionaries(st.sampled_from("abcdefgh"), TIMES, max_size=8)


def may_own(owner: Owner, at: int) -> bool:
    return owner.since < at and (owner.until is None or at < owner.until)


@given(OWNERS, UNEXPLAINED)
def test_an_attribution_never_claims_more_than_the_evidence(owners: list[Owner], ids: dict[str, int]) -> None:
    told = attribute(owners, ids)
    for index, audio_id in told.inferred.items():
        assert [owner.index for owner in owners if may_own(owner, ids[audio_id])] == [index]
        assert [other for other, at in ids.items() if may_own(owners[index], at)] == [audio_id]
        assert not owners[index].complete
    assert len(set(told.inferred.values())) == len(told.inferred)


@given(OWNERS, UNEXPLAINED)
def test_candidates_are_all_that_it_may_be_and_nothing_else(owners: list[Owner], ids: dict[str, int]) -> None:
    told = attribute(owners, ids)
    for owner in owners:
        may = {audio_id for audio_id, at in ids.items() if may_own(owner, at)}
        if owner.index in told.inferred:
            assert owner.index not in told.candidates
        else:
            assert set(told.candidates.get(owner.index, ())) == (set() if owner.complete else may)


@given(OWNERS, UNEXPLAINED)
def test_an_item_of_which_nothing_may_be_its_own_is_due(owners: list[Owner], ids: dict[str, int]) -> None:
    due = attribute(owners, ids).due
    for owner in owners:
        if not any(may_own(owner, at) for at in ids.values()):
            assert owner.index in due
    if len(owners) > len(ids):
        assert due


# --------------------------------------------------------------------------------- any outcomes, any list of ids
ENDS = ["succeeded", "failed", "rejected", "timed_out", "lost", "blank", "undetermined", "not_submitted"]


@given(st.lists(st.sampled_from(ENDS), min_size=1, max_size=8), st.lists(st.sampled_from("abcdefghxyz"), max_size=10),
       st.lists(st.sampled_from("xyz"), max_size=2), st.booleans())  # fmt: skip
def test_every_id_and_every_item_lands_in_exactly_one_class(
    ends: list[str], listed: list[str], earlier: list[str], settled: bool
) -> None:
    report = lived(ends, listed, earlier, settled).report()
    verdict = report.reconciliation
    classes = [verdict.matched, verdict.inferred, verdict.unattributed, verdict.earlier]
    for audio_id in listed:
        assert sum(audio_id in each for each in classes) == 1
    groups = [report.succeeded, report.failed, report.unknown, report.not_submitted]
    assert sum(map(len, groups)) == len(ends)
    for item, end in zip(report.items, ends, strict=True):
        assert sum(item in group for group in groups) == 1
        assert (item.state == "succeeded") is (item.evidence == "task") is (end == "succeeded")
        assert (item.evidence is None) is (item.clip is None)
        if item.evidence == "elimination":
            assert item.clip_id in verdict.inferred
            assert item.clip_id not in item.candidates
        assert set(item.candidates) <= set(verdict.unattributed)
        if end in ("rejected", "not_submitted", "succeeded"):
            assert item.candidates == ()
    assert set(report.audio_ids) == {item.clip_id for item in report.items if item.clip} | set(verdict.unattributed)
    may_own_one = sum(end in ("failed", "timed_out", "lost", "blank", "undetermined") for end in ends)
    assert len(verdict.inferred) <= may_own_one
    if may_own_one > 1:
        assert verdict.inferred == ()


def lived(ends: list[str], listed: list[str], earlier: list[str], settled: bool) -> Batch:
    """A batch to which all this has happened."""
    batch = Batch()
    log: list[Event] = []

    def happen(kind: Callable[..., Event], **facts: Any) -> None:
        log.append(kind(seq=len(log), at=float(len(log)), **facts))
        batch.apply(log[-1])

    happen(SessionOpened, session_id="s", adopted=bool(earlier), earlier=tuple(earlier))
    for index, end in enumerate(ends):
        item = batch.put(UploadItem(f"https://cdn.example.com/{index}.mp3"))
        for trigger in WAYS[end]:
            clip = Clip("abcdefgh"[index]) if trigger is Trigger.SUCCEED else None
            task_id = f"t-{index}" if trigger is Trigger.ACCEPT else None
            happen(ItemChanged, index=index, key=None, trigger=trigger, previous=item.state,
                   state=advance(item.state, trigger), clip=clip, task_id=task_id)  # fmt: skip
    happen(ClipsListed, audio_ids=tuple(dict.fromkeys(listed)))
    for item in batch.items:
        if settled and item.open_requests and item.ended and item.clip is None:
            happen(ItemSettled, index=item.index, key=None)
    return batch


T = Trigger
WAYS = {
    "succeeded": (T.INTEND, T.ACCEPT, T.SUCCEED),
    "failed": (T.INTEND, T.ACCEPT, T.FAIL),
    "rejected": (T.INTEND, T.REJECT),
    "timed_out": (T.INTEND, T.RELEASE, T.INTEND, T.ACCEPT, T.TIME_OUT),
    "lost": (T.INTEND, T.LOSE),
    "blank": (T.INTEND, T.ACCEPT, T.BLANK),
    "undetermined": (T.INTEND, T.ACCEPT, T.ABANDON, T.RESUME, T.ABANDON),
    "not_submitted": (T.INTEND, T.RELEASE, T.SKIP),
}


# ------------------------------------------------------------------------------------------------- whole lives
@given(st.data())
def test_whatever_happens_to_an_item_its_open_requests_are_those_that_may_have_brought_a_clip(data: Any) -> None:
    batch, state, since = Batch(), ItemState.NEW, None
    batch.put(UploadItem("https://cdn.example.com/a.mp3"))
    (item,) = batch.items
    unproven = 0
    for seq in range(data.draw(st.integers(1, 14))):
        trigger = data.draw(st.sampled_from([t for s, t in TABLE if s is state] or [None]))
        if trigger is None:
            break
        if trigger is T.INTEND:
            unproven += 1
            since = seq if unproven == 1 else since
        elif trigger in (T.RELEASE, T.REJECT):
            unproven -= 1
        after = advance(state, trigger)
        clip = Clip("c") if trigger is T.SUCCEED else None
        batch.apply(ItemChanged(seq=seq, at=0.0, index=0, key=None, trigger=trigger, previous=state, state=after,
                                clip=clip))  # fmt: skip
        state = after
        assert (item.state, item.open_requests) == (state, unproven)
        assert batch.counts[state] == sum(batch.counts.values()) == 1
        if unproven:
            assert item.since == since


def after(*triggers: Trigger | None) -> Batch:
    """A batch of one item to which this has happened; None: it has settled."""
    batch = Batch()
    item = batch.put(UploadItem("https://cdn.example.com/a.mp3"))
    for seq, trigger in enumerate(triggers):
        if trigger is None:
            batch.apply(ItemSettled(seq=seq, at=0.0, index=0, key=None))
            continue
        batch.apply(ItemChanged(seq=seq, at=0.0, index=0, key=None, trigger=trigger, previous=item.state,
                                state=advance(item.state, trigger)))  # fmt: skip
    return batch


def test_a_request_that_cost_nothing_leaves_the_one_before_it_as_settled_as_it_was() -> None:
    (item,) = after(T.INTEND, T.LOSE, None, T.RETRY, T.INTEND, T.RELEASE, T.WITHHOLD).items
    assert (item.state, item.open_requests, item.until) == (ItemState.UNKNOWN, 1, 2)
    (item,) = after(T.INTEND, T.LOSE, None, T.RETRY, T.INTEND, T.LOSE).items
    assert (item.state, item.open_requests, item.until, item.since) == (ItemState.UNKNOWN, 2, None, 0)
