"""The pollers' turns: wakes whoever the schedule says is to be asked, and has the session's list read when it says so.

One timer and one reader a session, however many items. What it decides by is in `polling.py`, which is pure.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from math import inf

from ..config import PollPolicy
from ..models import Task, TaskStatus
from ..wire.pacing import Lane, Pace
from .batch import Batch, Item
from .lifecycle import ItemState
from .polling import LIST, Schedule
from .tasks import Sighting

__all__ = ["Turns"]

_SHARE, _ALONE = 0.5, 0.9
"""The share of the client's learned rate that polls may take while submits need it, too, and when they don't."""
_SOON = 1e-3
_NOT_BEGUN = frozenset({TaskStatus.QUEUED, TaskStatus.READY})


class Turns:
    """The polls of one session. Made in the loop that they run in.

    Args:
        policy: When tasks are asked for.
        rng: Where jitter comes from.
        pace: The gate that the asks will pass.
        batch: The items.
        asks: To be held for each ask.
        heard: Told what each ask brought.
        failed: Told of a bug of ours.
        lists: Whether the session has a list of clips.

    Attributes:
        read: Reads the session's list and tells `listed` or `unread` of it.
    """

    def __init__(
        self,
        policy: PollPolicy,
        rng: random.Random,
        *,
        pace: Pace,
        batch: Batch,
        asks: Lane,
        heard: Callable[[Sighting], None],
        failed: Callable[[Exception], None],
        lists: bool = True,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._schedule = Schedule(policy, rng, self._more, lists=lists)
        self._schedule.stream = False
        self._pace = pace
        self._batch = batch
        self.asks = asks
        self._heard = heard
        self._failed = failed
        self.read: Callable[[], Awaitable[object]] = _nothing
        self._turns: list[asyncio.Future[None] | None] = []
        self._timer: asyncio.TimerHandle | None = None
        self._serving: asyncio.Handle | None = None
        self._reader: asyncio.Task[None] | None = None
        self._called: asyncio.Event = asyncio.Event()

    def _more(self) -> int:
        counts = self._batch.counts
        return counts[ItemState.NEW] + counts[ItemState.SUBMITTING]

    def stream(self) -> None:
        """Somebody wants to hear of each item as it lands, not only of the end."""
        self._schedule.stream = True
        self._serve_soon()

    def read_soon(self) -> None:
        """Uploads of an earlier run are followed: the list may hold their clips already."""
        self._schedule.read_soon()

    # ------------------------------------------------------------------------------------------------- the items
    def begin(self, item: Item, *, old: bool) -> None:
        """An item's task is to be asked for from here on.

        Args:
            item: The item.
            old: It was accepted in an earlier run.
        """
        # A list, not a dict: thousands of items may be pending, and each byte counts.
        self._turns += [None] * (item.index + 1 - len(self._turns))
        self._schedule.add(item.index, self._loop.time(), old=old)
        self._serve_soon()

    def end(self, item: Item, task: Task | None) -> None:
        """An item's task isn't asked for any more.

        Args:
            item: The item.
            task: The task, if it has ended.
        """
        self._turns[item.index] = None
        if item.index not in self._schedule:
            return
        now, clip = self._loop.time(), None if task is None else task.clip
        if task is None:
            self._schedule.drop(item.index, now)
        else:
            listed = clip is not None and clip.id in (self._batch.listed or ())
            self._schedule.ended(item.index, now, listed=listed, failed=clip is None)
        self._serve_soon()

    def wait(self, index: int) -> asyncio.Future[None]:
        """Done when an item's task is to be asked. No coroutine, as above."""
        turn = self._turns[index] = self._loop.create_future()
        return turn

    def sighted(self, index: int, sighting: Sighting) -> None:
        """What an ask has brought. A task that has ended is told of by `end`."""
        self._heard(sighting)
        now = self._loop.time()
        if index not in self._schedule:
            return
        if not isinstance(sighting, Task):
            self._schedule.unanswered(index, now)
        elif not sighting.ended:
            self._schedule.pending(index, now, begun=sighting.status not in _NOT_BEGUN)
        elif sighting.status == TaskStatus.SUCCESS and sighting.data is None:
            self._schedule.unanswered(index, now)  # it may name its clip yet
        self._serve_soon()

    # -------------------------------------------------------------------------------------------------- the list
    def listed(self, asked_at: float) -> None:
        """The list was read, and the batch knows what it holds."""
        batch = self._batch
        ids = batch.listed or {}

        def is_listed(index: int) -> bool:
            clip = batch.items[index].clip
            return clip is not None and clip.id in ids

        self._schedule.listed(batch.unexplained, len(ids), asked_at, self._loop.time(), is_listed)
        self._serve_soon()

    def unread(self) -> None:
        """The list could not be read."""
        self._schedule.unread(self._loop.time())
        self._serve_soon()

    async def _read_on(self) -> None:
        try:
            while True:
                await self._called.wait()
                self._called.clear()
                await self.read()
        except Exception as crash:  # noqa: BLE001 - a bug of ours; the batch is told
            self._failed(crash)

    # ----------------------------------------------------------------------------------------------- the schedule
    def _serve_soon(self) -> None:
        """From the loop, never from in here: whoever was just told of waits for its turn again only afterwards."""
        if self._serving is None:
            self._serving = self._loop.call_soon(self._serve)

    def _serve(self) -> None:
        self._serving = None
        schedule, now = self._schedule, self._loop.time()
        rate = self._pace.rate
        schedule.allowed = None if rate is None else rate * (_SHARE if self._more() else _ALONE)
        while (ask := schedule.due(now)) is not None:
            if ask is LIST:
                self._called.set()
                if self._reader is None or self._reader.done():
                    self._reader = self._loop.create_task(self._read_on())
            elif (turn := self._turns[ask]) is not None and not turn.done():
                self._turns[ask] = None
                turn.set_result(None)
            else:  # it is being cancelled
                schedule.drop(ask, now)
        self._wake(schedule.wake_at(now))

    def _wake(self, at: float) -> None:
        """One timer; one that fires too early does no harm."""
        if self._timer is not None:
            if self._loop.time() < self._timer.when() <= at + _SOON:
                return
            self._timer.cancel()
            self._timer = None
        if at < inf:
            self._timer = self._loop.call_at(at, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._serve()

    async def stop(self) -> None:
        """Nobody is woken any more."""
        for handle in (self._timer, self._serving):
            if handle is not None:
                handle.cancel()
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.wait([self._reader])


async def _nothing() -> None: ...
