"""The final check: what the items say they brought, against what the session says it holds.

Pure. The items' own tasks are the truth; the session's list is the cross-check that finds what was paid for and
isn't in anybody's hands. Order is told in numbers of events, not in times: no clock can lie about it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence

import attrs

__all__ = ["Attribution", "Owner", "Reconciliation", "attribute", "reconcile"]


@attrs.frozen
class Owner:
    """An item of which a clip may exist that its own task has not named.

    Attributes:
        index: The item.
        since: The event with which its first unproven request was about to be sent: no id listed before is its.
        until: The event with which it settled: no id listed later is its. None: it may still land.
        complete: It has its own clip; another one may have come of an earlier request.
        pending: Its own task will tell, so nothing is concluded for it.
    """

    index: int
    since: int
    until: int | None = None
    complete: bool = False
    pending: bool = False


@attrs.frozen
class Attribution:
    """Whose an unexplained id may be.

    Attributes:
        inferred: Items to which exactly one id is left, and to the id no other item.
        candidates: For the other items that may own an id: the ids that it may be.
        due: Items of which an id may be missing: fewer ids are left than there are items that they may belong to.
    """

    inferred: Mapping[int, str] = attrs.field(factory=dict)
    candidates: Mapping[int, tuple[str, ...]] = attrs.field(factory=dict)
    due: frozenset[int] = frozenset()


@attrs.frozen
class Reconciliation:
    """The verdict. Every id that the session listed is in exactly one of `matched`, `inferred`, `unattributed`,
    `earlier`.

    Attributes:
        read: Whether the session's list could be read; if not, there is nothing to compare.
        matched: Clips of items that the list holds too.
        missing: Clips of items that the list doesn't hold (yet); the items keep them.
        unattributed: Ids of the list that no item's task has named: paid for, or somebody else's.
        duplicated: Ids that the list repeats, or that two items' tasks have named.
        inferred: Ids attributed by elimination: no other item is left whose they could be.
        earlier: Ids that an adopted session held before.
        unreadable: How many entries of the list were no ids.
    """

    read: bool = False
    matched: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    unattributed: tuple[str, ...] = ()
    duplicated: tuple[str, ...] = ()
    inferred: tuple[str, ...] = ()
    earlier: tuple[str, ...] = ()
    unreadable: int = 0

    @property
    def consistent(self) -> bool:
        """Whether the list was read and holds the items' clips, each once, and nothing else."""
        return self.read and not (self.missing or self.unattributed or self.duplicated or self.unreadable)


def attribute(owners: Iterable[Owner], unexplained: Mapping[str, int]) -> Attribution:
    """Attributes ids that nobody claims, as far as the order of events allows and no further.

    Items and ids that may belong together form groups; a group of one item and one id is an attribution.

    Args:
        owners: The items that may own one.
        unexplained: The ids, each with the event that listed it first.
    """
    ids = sorted(unexplained, key=unexplained.__getitem__)
    times = [unexplained[audio_id] for audio_id in ids]
    spans = []
    for owner in owners:
        low = bisect_right(times, owner.since)
        high = len(times) if owner.until is None else bisect_left(times, owner.until)
        spans.append((low, max(low, high), owner))
    inferred: dict[int, str] = {}
    candidates: dict[int, tuple[str, ...]] = {}
    due: set[int] = set()
    shared: dict[tuple[int, int], tuple[str, ...]] = {}
    for group in _groups(spans):
        begin, end = min(low for low, _, _ in group), max(high for _, high, _ in group)
        if end - begin < len(group):
            due.update(owner.index for _, _, owner in group)
        last = group[0][2]
        if len(group) == end - begin == 1 and not last.complete and not last.pending:
            inferred[last.index] = ids[begin]
            continue
        for low, high, owner in group:
            if high > low and not owner.complete:
                candidates[owner.index] = shared.setdefault((low, high), tuple(ids[low:high]))
    return Attribution(inferred, candidates, frozenset(due))


def _groups(spans: list[tuple[int, int, Owner]]) -> Iterable[list[tuple[int, int, Owner]]]:
    """The spans in groups that overlap; an empty span is a group of its own."""
    group: list[tuple[int, int, Owner]] = []
    end = 0
    for span in sorted(spans, key=lambda span: span[:2]):
        if span[0] == span[1]:
            yield [span]
            continue
        if group and span[0] >= end:
            yield group
            group = []
        end = max(end, span[1]) if group else span[1]
        group.append(span)
    if group:
        yield group


def reconcile(
    clip_ids: Sequence[str],
    listed: Mapping[str, int] | None,
    *,
    earlier: Iterable[str] = (),
    owners: Iterable[Owner] = (),
    repeated: Collection[str] = (),
    unreadable: int = 0,
) -> tuple[Reconciliation, Attribution]:
    """Compares the items with the session.

    Args:
        clip_ids: The clip each succeeded item's own task named, in input order; entries of the input that share
            an upload count once.
        listed: Every id that a reading of the session's list has brought, with the event that did; None if none
            could be read.
        earlier: Ids that the session held before anything was submitted to it.
        owners: The items that may own what nobody claims.
        repeated: Ids that the list held more than once.
        unreadable: How many entries of the list were no ids.
    """
    held = dict.fromkeys(clip_ids)
    before = tuple(audio_id for audio_id in dict.fromkeys(earlier) if audio_id not in held)
    named_twice = {clip_id for clip_id, count in Counter(clip_ids).items() if count > 1}
    if listed is None:
        duplicated = tuple(clip_id for clip_id in held if clip_id in named_twice)
        return Reconciliation(duplicated=duplicated, earlier=before), attribute(owners, {})
    known = set(before)
    unexplained = {audio_id: at for audio_id, at in listed.items() if audio_id not in held and audio_id not in known}
    attribution = attribute(owners, unexplained)
    inferred = set(attribution.inferred.values())
    verdict = Reconciliation(
        read=True,
        matched=tuple(clip_id for clip_id in held if clip_id in listed),
        missing=tuple(clip_id for clip_id in held if clip_id not in listed),
        unattributed=tuple(audio_id for audio_id in unexplained if audio_id not in inferred),
        duplicated=tuple(i for i in dict.fromkeys([*held, *listed]) if i in named_twice or i in repeated),
        inferred=tuple(audio_id for audio_id in unexplained if audio_id in inferred),
        earlier=before,
        unreadable=unreadable,
    )
    return verdict, attribution
