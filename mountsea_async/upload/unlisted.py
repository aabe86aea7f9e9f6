"""A session of which the service lists nothing: what `settling.py` does for one that is listed, without a list.

Of an item whose request got no answer nothing will ever tell: it stays unknown, and nobody is held up for it.
"""

from __future__ import annotations

from .batch import Item
from .fanout import Fanout
from .lifecycle import ItemState
from .settling import RESUBMITS, OnUnknown

__all__ = ["Unlisted"]


class Unlisted:
    """Stands where `Settling` stands.

    Args:
        fanout: The items.
        on_unknown: What to do after a request whose outcome isn't known: "resubmit" sends it again, anything else
            leaves it.
    """

    def __init__(self, fanout: Fanout, on_unknown: OnUnknown) -> None:
        self._fanout = fanout
        self._resubmit = on_unknown == "resubmit"

    def open_hole(self, item: Item) -> None:
        """A clip of this item may exist that nobody will name."""

    async def glimpse(self) -> bool:
        """There is no list to be read."""
        return False

    async def look(self) -> bool:
        """Whether as much is known as can be: always."""
        return True

    def submit_again(self, *, failed: bool) -> None:
        """Sends again, on the caller's word, what an earlier run has given up."""
        for item in tuple(self._fanout.batch.uploads()):
            if failed and not item.replaced and item.state in (ItemState.FAILED, ItemState.TIMED_OUT):
                self._fanout.submit_again(item)
        self._lost_ones_again()

    def _lost_ones_again(self) -> None:
        if not self._resubmit or self._fanout.stopped is not None:
            return
        for item in tuple(self._fanout.batch.uploads()):
            lost = item.state is ItemState.UNKNOWN and item.task_id is None
            if lost and not item.replaced and item.resubmits < RESUBMITS:
                self._fanout.submit_again(item)

    async def check(self, *, last: bool = False) -> None:
        """There is nothing to compare the items with; what was lost is sent again where the caller has said so."""
        self._lost_ones_again()

    async def stop(self) -> None:
        """Ends what goes on in other tasks: the session closes."""
        await self._fanout.turns.stop()
