"""What a batch came to, in words that terminal, page and report share. Pure; they speak of no flag and no command."""

from __future__ import annotations

from typing import Final

from .lifecycle import ItemState
from .reconcile import Reconciliation

__all__ = ["LABELS", "crosscheck", "duration", "many"]

LABELS: Final = {
    ItemState.NEW: "waiting",
    ItemState.SUBMITTING: "submitting",
    ItemState.SUBMITTED: "in progress",
    ItemState.SUCCEEDED: "succeeded",
    ItemState.FAILED: "failed",
    ItemState.TIMED_OUT: "timed out",
    ItemState.UNKNOWN: "unknown",
    ItemState.UNDETERMINED: "undetermined",
    ItemState.NOT_SUBMITTED: "not submitted",
}
"""The states in the order in which they are shown."""


def duration(seconds: float) -> str:
    """Seconds as people say them: `8.2 s`, `3 min 20 s`, `1 h 05 min`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def many(count: int, one: str, more: str | None = None) -> str:
    """A number of things: `1 clip`, `1,200 clips`."""
    return f"{count:,} {one if count == 1 else more or one + 's'}"


def crosscheck(verdict: Reconciliation) -> str:
    """What the session's own list of clips says of the items."""
    if not verdict.read:
        return "its list of clips was not read, so nothing was cross-checked"
    if verdict.consistent:
        words = "its list holds these clips and no other" if verdict.matched else "its list holds no clips of this run"
    else:
        odd = [
            (len(verdict.missing), "clip of ours is not in its list (yet)", "clips of ours are not in its list (yet)"),
            (len(verdict.unattributed), "clip in its list belongs to no item", "clips in its list belong to no item"),
            (len(verdict.duplicated), "clip is named twice", "clips are named twice"),
            (verdict.unreadable, "entry of its list is no id", "entries of its list are no ids"),
        ]
        words = "; ".join(many(count, one, more) for count, one, more in odd if count)
    if verdict.earlier:
        words += f"; {many(len(verdict.earlier), 'clip was', 'clips were')} there before"
    return words
