"""What became of a batch: `BatchReport` and its `ItemReport`s, and the error that carries them.

Pure values, computed from the items as they stand; good while the batch runs, too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal

import attrs

from ..errors import InputError, JournalError, MountseaError
from ..models import NO_METADATA, Clip
from .lifecycle import ENDS, ItemState
from .reconcile import Reconciliation
from .training import TrainingReport

__all__ = ["BatchFailed", "BatchReport", "ItemReport", "Stats"]

VERSION = 1
"""Of the form of `to_dict()`; grows when a field changes its meaning or goes."""
_LISTED = 5


@attrs.frozen
class ItemReport:
    """What became of one entry of the input.

    Attributes:
        index: Its place in the input, from 0.
        key: The caller's own name for it.
        audio_url: The URL, without its query (which may be a signature).
        state: What became of it.
        reason: A short stable word where the state alone doesn't say why: `rejected`, `success_without_clip`,
            `duplicate_clip`, `deadline`, `stalled`, `cancelled`, `interrupted`, `task_lost`, `ambiguous` (one of
            the candidates may be its own), `absent` (no clip of it has appeared), `late` (a clip appeared though
            its task had ended without), or the reason of a stop.
        evidence: What `clip` rests on: `task`, the item's own; `elimination`, when no other item is left whose it
            could be, and the state stays what it is; None without a clip.
        candidates: Clip ids that may be its own, where that can't be told.
        task_id: The service's task, once it was accepted.
        clip: The clip.
        error: Why there is no clip.
        attempts: Requests that were begun for it.
        polls: How often its task was asked for, all runs of a journal together, up to the last end that was seen; what
            a run that was killed had asked is not counted. None if none was followed.
        resubmits: How often it was sent again on the caller's word (`on_unknown="resubmit"`, `retry_failed`), though
            an earlier request may have been paid for.
        duplicate_of: The index of an earlier entry with the same URL, whose upload it shares.
        metadata: As handed in.
        submitted_at: When the service had accepted it (UTC).
        ended_at: When its end was seen (UTC).
    """

    index: int
    key: str | None
    audio_url: str
    state: ItemState
    reason: str | None = None
    evidence: Literal["task", "elimination"] | None = None
    candidates: tuple[str, ...] = ()
    task_id: str | None = None
    clip: Clip | None = None
    error: MountseaError | None = None
    attempts: int = 0
    polls: int | None = None
    resubmits: int = 0
    duplicate_of: int | None = None
    metadata: Mapping[str, Any] = attrs.field(default=NO_METADATA, repr=False, hash=False)
    submitted_at: datetime | None = None
    ended_at: datetime | None = None

    @property
    def clip_id(self) -> str | None:
        """The clip's id, where there is one."""
        return self.clip.id if self.clip else None

    def to_dict(self) -> dict[str, Any]:
        """The item as JSON-ready values; `metadata` goes in as it was handed in."""
        return {
            "index": self.index,
            "key": self.key,
            "audio_url": self.audio_url,
            "state": self.state.value,
            "reason": self.reason,
            "task_id": self.task_id,
            "clip_id": self.clip_id,
            "evidence": self.evidence,
            "candidates": list(self.candidates),
            "error": self.error.message if self.error else None,
            "attempts": self.attempts,
            "polls": self.polls,
            "resubmits": self.resubmits,
            "metadata": dict(self.metadata),
            "duplicate_of": self.duplicate_of,
            "submitted_at": _iso(self.submitted_at),
            "ended_at": _iso(self.ended_at),
        }


@attrs.frozen
class Stats:
    """What the batch took; where a journal was resumed, what this run took.

    Attributes:
        elapsed: Seconds from opening the session.
        submits: Paid requests that were begun.
        polls: Times that items' tasks were asked for.
        poll_errors: How many of these brought no task.
        pauses: Times that the service's "too many requests" paused the client.
    """

    elapsed: float = 0.0
    submits: int = 0
    polls: int = 0
    poll_errors: int = 0
    pauses: int = 0


@attrs.frozen
class BatchReport:
    """What became of a batch: one `ItemReport` for each entry of the input, in input order.

    Attributes:
        session_id: The session, whose clips are all on one account.
        items: All entries.
        reconciliation: The items against the session's own list.
        stats: What it took.
        stopped: Why submitting stopped before the last item, as in `NotSubmittedError.reason`; None if it didn't.
        journal_error: Why the journal could not be written; what happened from then on is in this report alone.
        training: The training of the session's custom model; None in a batch upload session.
    """

    session_id: str | None
    items: tuple[ItemReport, ...]
    reconciliation: Reconciliation = attrs.field(factory=Reconciliation)
    stats: Stats = attrs.field(factory=Stats)
    stopped: str | None = None
    journal_error: JournalError | None = None
    training: TrainingReport | None = None

    def _in(self, *states: ItemState) -> tuple[ItemReport, ...]:
        return tuple(item for item in self.items if item.state in states)

    @property
    def succeeded(self) -> tuple[ItemReport, ...]:
        """Items whose own task named their clip."""
        return self._in(ItemState.SUCCEEDED)

    @property
    def failed(self) -> tuple[ItemReport, ...]:
        """Items that the service turned away, failed, or let time out."""
        return self._in(ItemState.FAILED, ItemState.TIMED_OUT)

    @property
    def unknown(self) -> tuple[ItemReport, ...]:
        """Items that may have been paid for without our knowing, and items still pending when we stopped."""
        return self._in(ItemState.UNKNOWN, ItemState.UNDETERMINED)

    @property
    def not_submitted(self) -> tuple[ItemReport, ...]:
        """Items that were never accepted and cost nothing."""
        return self._in(ItemState.NOT_SUBMITTED)

    @property
    def audio_ids(self) -> tuple[str, ...]:
        """Every clip that the batch has put on the account: the items' in input order, each once, then the
        unattributed. What an adopted session held before is in `reconciliation.earlier`."""
        ids = [item.clip.id for item in self.items if item.clip]
        return tuple(dict.fromkeys([*ids, *self.reconciliation.unattributed]))

    def clip_groups(self, size: int = 4) -> tuple[tuple[str, ...], ...]:
        """The clips in groups that the calls accept which use several together: a playlist takes one to four.

        Args:
            size: Clips in a group, 1 or more; the last may have fewer.

        Raises:
            InputError: The size is no whole number from 1.
        """
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise InputError(f"size={size!r}: give a whole number from 1")
        ids = self.audio_ids
        return tuple(ids[begin : begin + size] for begin in range(0, len(ids), size))

    @property
    def ok(self) -> bool:
        """Whether every item succeeded and the session's list holds no clip that nobody claims."""
        return len(self.succeeded) == len(self.items) and not self.reconciliation.unattributed

    @property
    def finished(self) -> bool:
        """Whether every item has come to an end."""
        return all(item.state in ENDS for item in self.items)

    @property
    def counts(self) -> dict[ItemState, int]:
        """How many items are in each state that occurs."""
        return dict(Counter(item.state for item in self.items))

    def raise_for_failures(self) -> None:
        """Turns outcomes into an exception, for callers who want all or nothing.

        Raises:
            BatchFailed: Not every item succeeded, or clips are unattributed; carries this report.
        """
        if not self.ok:
            raise BatchFailed(self)

    def to_html(self, title: str | None = None) -> str:
        """The report as one self-contained HTML document: timeline, durations, outcomes, reconciliation, items.

        Args:
            title: Its heading; None: "Batch upload".
        """
        from .view import document  # noqa: PLC0415 - few look at it

        return document(self, title=title)

    def _repr_html_(self) -> str:
        """The report in a notebook."""
        from .view import fragment  # noqa: PLC0415 - as above

        return fragment(self)

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON-ready values; what `mountsea upload --format json` prints."""
        verdict = self.reconciliation
        return {
            "version": VERSION,
            "session_id": self.session_id,
            "ok": self.ok,
            "stopped": self.stopped,
            "journal_error": self.journal_error.message if self.journal_error else None,
            "counts": {state.value: count for state, count in self.counts.items()},
            "audio_ids": list(self.audio_ids),
            "items": [item.to_dict() for item in self.items],
            "reconciliation": {
                "consistent": verdict.consistent,
                "read": verdict.read,
                "matched": list(verdict.matched),
                "missing": list(verdict.missing),
                "unattributed": list(verdict.unattributed),
                "duplicated": list(verdict.duplicated),
                "inferred": list(verdict.inferred),
                "earlier": list(verdict.earlier),
                "unreadable": verdict.unreadable,
            },
            "stats": attrs.asdict(self.stats),
        } | ({} if self.training is None else {"training": self.training.to_dict()})


class BatchFailed(MountseaError):  # noqa: N818 - the public name
    """Not every item of the batch succeeded.

    Attributes:
        report: What became of each item.
    """

    def __init__(self, report: BatchReport) -> None:
        bad = [item for item in report.items if item.state is not ItemState.SUCCEEDED]
        lines = [f"item {i.index} ({i.audio_url}) {i.state.value}: {i.error or i.reason or ''}" for i in bad[:_LISTED]]
        if len(bad) > _LISTED:
            lines.append(f"and {len(bad) - _LISTED} more")
        if extra := len(report.reconciliation.unattributed):
            lines.append(f"{extra} clip(s) of session {report.session_id} belong to no item")
        total = len(report.items)
        super().__init__(f"{total - len(bad)} of {total} items succeeded\n  " + "\n  ".join(lines))
        self.report = report


def utc(at: float | None) -> datetime | None:
    """Seconds since the epoch as a UTC time."""
    return None if at is None else datetime.fromtimestamp(at, UTC)


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
