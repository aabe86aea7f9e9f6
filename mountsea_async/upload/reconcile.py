"""The final check: what the items say they brought, against what the session says it holds.

Pure. The items' own tasks are the truth; the session's list is the cross-check that finds what was paid for
and isn't in anybody's hands.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import attrs

__all__ = ["Reconciliation", "reconcile"]


@attrs.frozen
class Reconciliation:
    """The verdict. Every id that the session listed is in exactly one of `matched`, `unattributed`, `earlier`.

    Attributes:
        read: Whether the session's list could be read; if not, there is nothing to compare.
        matched: Clips of items that the list holds too.
        missing: Clips of items that the list doesn't hold (yet); the items keep them.
        unattributed: Ids of the list that no item's task has named: paid for, or somebody else's.
        duplicated: Ids that the list repeats, or that two items' tasks have named.
        inferred: Ids attributed by elimination.
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


def reconcile(
    clip_ids: Sequence[str], audio_ids: Iterable[str] | None, earlier: Iterable[str] = (), *, unreadable: int = 0
) -> Reconciliation:
    """Compares the items with the session.

    Args:
        clip_ids: The clip each succeeded item's own task named, in input order; entries of the input that share
            an upload count once.
        audio_ids: The session's list as read; None if it couldn't be.
        earlier: Ids that the session held before anything was submitted to it.
        unreadable: How many entries of the list were no ids.
    """
    held = dict.fromkeys(clip_ids)
    named_twice = {clip_id for clip_id, count in Counter(clip_ids).items() if count > 1}
    if audio_ids is None:
        return Reconciliation(
            duplicated=tuple(clip_id for clip_id in held if clip_id in named_twice),
            earlier=tuple(dict.fromkeys(earlier)),
        )
    counts = Counter(audio_ids)
    before = dict.fromkeys(earlier)
    listed_twice = {audio_id for audio_id, count in counts.items() if count > 1}
    return Reconciliation(
        read=True,
        matched=tuple(clip_id for clip_id in held if clip_id in counts),
        missing=tuple(clip_id for clip_id in held if clip_id not in counts),
        unattributed=tuple(audio_id for audio_id in counts if audio_id not in held and audio_id not in before),
        duplicated=tuple(i for i in dict.fromkeys([*held, *counts]) if i in named_twice or i in listed_twice),
        earlier=tuple(audio_id for audio_id in before if audio_id not in held),
        unreadable=unreadable,
    )
