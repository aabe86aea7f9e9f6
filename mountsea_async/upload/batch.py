"""The items of a session, as the events have left them: a projection that only `apply` changes.

No I/O and no clock.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import attrs

from ..errors import JournalError, MountseaError
from ..models import Clip, UploadItem
from ..redact import shown_url
from .events import (
    ClipsListed,
    Event,
    ItemChanged,
    ItemSettled,
    Paused,
    SessionOpened,
    SessionPlanned,
    SubmitsStopped,
    TrainingChanged,
)
from .lifecycle import ENDS, ItemState, Trigger, advance
from .reconcile import Attribution, Owner, Reconciliation, reconcile
from .report import BatchReport, ItemReport, Stats, utc
from .training import Training

__all__ = ["Batch", "Item"]


@attrs.define(eq=False)
class Item:
    """One entry of the input. Only `Batch.apply` changes what follows `twins`.

    Attributes:
        last: The event that changed its state last.
        open_requests: Requests for it of which a clip may come, or may have come.
        since: The event with which the first of them was about to be sent.
        until: The event with which they settled.
        before: The same, before the request that is under way.
    """

    index: int
    key: str | None
    audio_url: str = attrs.field(repr=False)
    metadata: Mapping[str, Any] = attrs.field(repr=False)
    duplicate_of: int | None = None
    replaces: int | None = None
    replaced: bool = False
    twins: list[Item] = attrs.field(factory=list, repr=False)
    state: ItemState = ItemState.NEW
    reason: str | None = None
    task_id: str | None = None
    clip: Clip | None = None
    error: MountseaError | None = None
    attempts: int = 0
    polls: int | None = None
    submitted_at: float | None = None
    ended_at: float | None = None
    resubmits: int = 0
    last: int = -1
    open_requests: int = 0
    since: int = -1
    until: int | None = None
    before: int | None = None

    @property
    def upload(self) -> bool:
        """Whether it is an upload of its own, not a repetition that shares an earlier one's."""
        return self.duplicate_of is None

    @property
    def ended(self) -> bool:
        """Whether this run does nothing more for it."""
        return self.state in ENDS

    def report(self, verdict: Attribution | None = None) -> ItemReport:
        """The item as it stands, with what the session's list says of it."""
        clip, reason = self.clip, self.reason
        candidates: tuple[str, ...] = ()
        if clip is None and verdict is not None:
            owner = self.index if self.duplicate_of is None else self.duplicate_of
            # The task of one that has not ended will tell; until then all of them may be any clip that has landed.
            candidates = verdict.candidates.get(owner, ()) if self.ended else ()
            inferred = verdict.inferred.get(owner)
            clip = Clip(inferred) if inferred is not None else None
            reason = reason or self._without_clip(landed=clip is not None, candidates=bool(candidates))
        return ItemReport(
            index=self.index,
            key=self.key,
            audio_url=shown_url(self.audio_url),
            state=self.state,
            reason=reason,
            evidence=None if clip is None else "task" if self.clip else "elimination",
            candidates=candidates,
            task_id=self.task_id,
            clip=clip,
            error=self.error,
            attempts=self.attempts,
            polls=self.polls,
            resubmits=self.resubmits,
            duplicate_of=self.duplicate_of,
            metadata=self.metadata,
            submitted_at=utc(self.submitted_at),
            ended_at=utc(self.ended_at),
        )

    def _without_clip(self, *, landed: bool, candidates: bool) -> str | None:
        """The word for an item that its own task has given no clip."""
        if self.state in (ItemState.FAILED, ItemState.TIMED_OUT):
            return "late" if landed else None
        if self.state is not ItemState.UNKNOWN or landed:
            return None
        return "ambiguous" if candidates else "absent" if self.until is not None else None


class Batch:
    """All items of a session, how many are in each state, and what the session's list has brought.

    Attributes:
        requests: Requests that were paid for, or may have been.
    """

    def __init__(self) -> None:
        self.items: list[Item] = []
        self.counts: Counter[ItemState] = Counter()
        self.uploads_ended = 0
        self.requests = 0
        self.kind: str | None = None
        self.training: Training | None = None
        self.session_id: str | None = None
        self.adopted = False
        self.earlier: tuple[str, ...] = ()
        self.listed: dict[str, int] | None = None
        self.stopped: str | None = None
        self.stop_error: MountseaError | None = None
        self.pauses = 0
        self._unexplained: set[str] = set()
        self._ahead: set[str] = set()
        self._repeated: dict[str, None] = {}
        self._unreadable = 0
        self._by_url: dict[str, Item] = {}
        self._by_key: dict[str, Item] = {}
        self._events = 0
        self._verdict: tuple[int, Reconciliation, Attribution] | None = None

    def add(self, entry: UploadItem, *, keep_duplicates: bool) -> tuple[Item, Item | None]:
        """Takes in one entry.

        Returns:
            The item, and the earlier item whose upload it shares, if it does.
        """
        original = None if keep_duplicates else self._by_url.get(entry.audio_url) or self._signed_anew(entry)
        if original is not None and original.state in _REPEATABLE:
            return self.put(entry, replaces=original), None
        return self.put(entry, original), original

    def _signed_anew(self, entry: UploadItem) -> Item | None:
        """The earlier item of the same key and the same URL, but for its query."""
        item = self._by_key.get(entry.key) if entry.key is not None else None
        return item if item is not None and shown_url(item.audio_url) == shown_url(entry.audio_url) else None

    def put(self, entry: UploadItem, original: Item | None = None, *, replaces: Item | None = None) -> Item:
        """Takes in one entry whose place is known: an upload of its own, or one that shares that of `original`; it may
        have been handed in again for one that was not uploaded."""
        item = Item(len(self.items), entry.key, entry.audio_url, entry.metadata)
        if replaces is not None:
            item.replaces, replaces.replaced = replaces.index, True
        if original is None:
            self._by_url[entry.audio_url] = item
            if entry.key is not None:
                self._by_key[entry.key] = item
        else:
            item.duplicate_of = original.index
            original.twins.append(item)
        self.items.append(item)
        self.counts[item.state] += 1
        return item

    def uploads(self) -> Iterator[Item]:
        """The items that are uploads of their own."""
        return (item for item in self.items if item.upload)

    @property
    def unfinished(self) -> int:
        """Items that have not come to an end."""
        return len(self.items) - sum(self.counts[state] for state in ENDS)

    @property
    def unexplained(self) -> int:
        """Ids of the session's list that no item's task has named, and that were not there before the batch."""
        return len(self._unexplained)

    def odd(self, repeated: Iterable[str], unreadable: int) -> bool:
        """Whether these oddities of the session's list are new."""
        return unreadable != self._unreadable or any(audio_id not in self._repeated for audio_id in repeated)

    def verdict(self) -> tuple[Reconciliation, Attribution]:
        """What the session's list says of the items as they stand."""
        if self._verdict is None or self._verdict[0] != self._events:
            verdict, attribution = reconcile(
                [item.clip.id for item in self.uploads() if item.clip],
                self.listed,
                earlier=self.earlier,
                owners=self._owners(),
                repeated=self._repeated,
                unreadable=self._unreadable,
            )
            self._verdict = self._events, verdict, attribution
        return self._verdict[1:]

    def _owners(self) -> Iterator[Owner]:
        for item in self.uploads():
            # Of a succeeded item's requests one has brought its clip; another may have brought one, too.
            if item.open_requests > (item.clip is not None):
                yield Owner(
                    item.index,
                    item.since,
                    item.until,
                    complete=item.clip is not None,
                    pending=item.state in _PENDING,
                )

    def report(self, stats: Stats | None = None, journal_error: JournalError | None = None) -> BatchReport:
        """The batch as it stands; items whose tasks have named the same clip are marked.

        Args:
            stats: What the run took; None: as far as the events tell.
            journal_error: Why the journal could not be written.
        """
        verdict, attribution = self.verdict()
        named = Counter(item.clip.id for item in self.uploads() if item.clip)
        return BatchReport(
            session_id=self.session_id,
            items=tuple(
                attrs.evolve(item.report(attribution), reason="duplicate_clip")
                if item.clip and named[item.clip.id] > 1
                else item.report(attribution)
                for item in self.items
            ),
            reconciliation=verdict,
            stats=stats or Stats(submits=sum(item.attempts for item in self.uploads()), pauses=self.pauses),
            stopped=self.stopped if self._held_back() else None,
            journal_error=journal_error,
            training=None if self.training is None else self.training.report(self.session_id),
        )

    def _held_back(self) -> bool:
        """Whether the stop has kept anything from being sent, for the first time or again."""
        return self.counts[ItemState.NOT_SUBMITTED] > 0 or any(
            item.state is ItemState.UNKNOWN and item.resubmits and item.reason == self.stopped for item in self.items
        )

    def apply(self, event: Event) -> None:
        """The one function that changes an item, and all else that the events tell.

        Raises:
            IllegalTransition: The table of `lifecycle.py` doesn't know the event's transition.
        """
        self._events += 1
        match event:
            case ItemChanged():
                self._change(self.items[event.index], event)
            case ItemSettled():
                self.items[event.index].until = event.seq
            case ClipsListed():
                self._note_listed(event)
                self._repeated |= dict.fromkeys(event.repeated)
                self._unreadable = event.unreadable
            case SessionPlanned():
                self.kind, self.training = event.kind, Training(event.name, event.at_least)
            case TrainingChanged() if self.training is not None:
                self.training.apply(event)
            case SessionOpened():
                self.session_id, self.adopted, self.earlier = event.session_id, event.adopted, event.earlier
                self._ahead.update(event.earlier)
                self.stopped = self.stop_error = None
            case SubmitsStopped():
                self.stopped, self.stop_error = event.reason, event.error
            case Paused():
                self.pauses += 1

    def _note_listed(self, event: ClipsListed) -> None:
        self.listed = {} if self.listed is None else self.listed
        for audio_id in event.audio_ids:
            if audio_id not in self.listed:
                self.listed[audio_id] = event.seq
                if audio_id in self._ahead:
                    self._ahead.remove(audio_id)
                else:
                    self._unexplained.add(audio_id)

    def _note_named(self, audio_id: str) -> None:
        if self.listed is None or audio_id not in self.listed:
            self._ahead.add(audio_id)
        self._unexplained.discard(audio_id)

    def _change(self, item: Item, event: ItemChanged) -> None:
        state = advance(item.state, event.trigger)
        self.counts[item.state] -= 1
        self.counts[state] += 1
        item.state = state
        item.last = event.seq
        item.reason = event.reason or item.reason
        item.task_id = event.task_id or item.task_id
        item.clip = event.clip or item.clip
        if event.clip is not None:
            self._note_named(event.clip.id)
        item.error = event.error
        if event.polls is not None:
            item.polls = (item.polls or 0) + event.polls
        self._count_requests(item, event)
        if state is ItemState.SUBMITTING:
            item.attempts += 1
        elif event.trigger is Trigger.ACCEPT:
            item.submitted_at = event.at
        elif state in ENDS:
            item.ended_at = event.at
            self.uploads_ended += item.upload and event.previous not in ENDS

    def _count_requests(self, item: Item, event: ItemChanged) -> None:
        """Keeps in mind which requests of an item may have brought a clip."""
        match event.trigger:
            case Trigger.INTEND:
                if not item.open_requests:
                    item.since = event.seq
                item.open_requests += 1
                self.requests += item.upload
                item.before, item.until = item.until, None
            case Trigger.RELEASE | Trigger.REJECT:
                item.open_requests -= 1
                self.requests -= item.upload
                item.until = item.before
            case Trigger.SUCCEED:
                item.reason = None
            case Trigger.RESUME:
                item.reason = item.ended_at = None
            case Trigger.RETRY:
                item.reason = item.ended_at = None
                item.resubmits += 1


_PENDING = frozenset({ItemState.SUBMITTING, ItemState.SUBMITTED, ItemState.UNDETERMINED})
_REPEATABLE = frozenset({ItemState.FAILED, ItemState.NOT_SUBMITTED})
"""Ends after which the same URL, handed in again by the caller, is a new upload; a timed out one may still land."""
