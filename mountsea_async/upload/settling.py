"""The session's list of clips: reads it, and settles what it can tell of items that have no clip of their own.

An item whose request got no answer leaves a hole: a clip may appear in the list that no task has named. A hole is open
until its clip can be told from the others, or until it has stayed away for the settle time, counted from when all that
was accepted before it has ended: accounts work one after another. So long nothing is submitted, so that clips that
appear can be told apart; see `on_unknown` in `MountseaClient.upload_batch`. A request whose answer nobody
waited for any longer may still arrive later than that: until this can't be, a clip that appears may be its item's, but
nobody is held up for it.
Does I/O through the caller it is given; what it decides by is in `patience.py` and `reconcile.py`.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from math import inf
from typing import Literal, TypeAlias

from ..config import ClientConfig
from ..errors import APIError, MountseaError, UnknownOutcomeError
from ..models import SessionAudio, Task, TaskStatus
from ..wire.caller import Caller
from .batch import Item
from .events import ClipsListed, ItemSettled, Reconciled
from .fanout import Fanout
from .lifecycle import ItemState, Trigger
from .patience import TRAVEL, Absence, settle_limit
from .reconcile import Attribution
from .record import MAY_STILL_LAND

__all__ = ["OnUnknown", "Settling"]

logger = logging.getLogger("mountsea_async")

OnUnknown: TypeAlias = Literal["hold", "continue", "resubmit"]
"""What a session does after a request whose outcome isn't known."""

ASKED_AGAIN = 100
"""At most so many tasks are asked once more in the final check."""
HELD_AT_MOST = 300.0
"""Seconds for which a hole holds up the submits, at most: an upload before it may take for ever."""
RESUBMITS = 3
"""An item is sent again at most so often."""
_FIRST_LOOK, _LOOK = 2.0, 15.0
"""Seconds between two looks at the list while holes are open: the first, and at most."""
_CLOSE_LOOK = 5.0
"""The same in the final check, where somebody waits for it."""
LAG = 30.0
"""Seconds that the list may lag behind the items' own tasks in the final check."""
_FRESH = 1.0
"""Seconds for which a check need not be repeated if nothing has ended since."""


class Settling:
    """The list of one session.

    Args:
        caller: The door to the service.
        config: Settings of the client.
        fanout: The items.
        on_unknown: What to do after a request whose outcome isn't known.
        deadline_at: Loop time after which `ClientConfig.shutdown` more seconds may be used; None for no bound
            but the settle time.
    """

    def __init__(
        self,
        caller: Caller,
        config: ClientConfig,
        fanout: Fanout,
        on_unknown: OnUnknown,
        deadline_at: float | None,
    ) -> None:
        self._caller = caller
        self._config = config
        self._fanout = fanout
        self._record = fanout.record
        self._batch = fanout.batch
        self._on_unknown = on_unknown
        self._deadline_at = deadline_at
        self._holes: dict[Item, float] = {}
        self._absences: dict[Item, Absence] = {}
        self._limit = settle_limit(config.settle, None, 0)
        self._tending: asyncio.Task[None] | None = None
        self._one_at_a_time = asyncio.Lock()
        self._checked, self._checked_at = -1, 0.0
        self._checks: set[asyncio.Timeout] = set()
        self._stopped = False
        self._asked: set[Item] = set()

    # ------------------------------------------------------------------------------------------------ the holes
    def open_hole(self, item: Item) -> None:
        """A clip of this item may appear that nobody will name."""
        if self._stopped:
            return
        # What ends now tells whose the clips are that appear: it must be known soon.
        self._fanout.turns.stream()
        self._holes[item] = self._record.now()
        if self._on_unknown != "continue":
            self._fanout.submitter.hold()
        if self._tending is None:
            self._tending = asyncio.get_running_loop().create_task(self._tend())

    async def _tend(self) -> None:
        """Looks at the list while holes are open."""
        wait = _FIRST_LOOK
        try:
            while self._holes:
                await asyncio.sleep(wait)
                wait = min(_LOOK, wait * 1.5)
                await self.look()
                self._let_go()
        except Exception as crash:  # noqa: BLE001 - a bug of ours; the batch is told
            self._fanout.fail(crash)
        finally:
            self._tending = None

    async def glimpse(self) -> bool:
        """Reads the list once, without trying again: whoever asks comes back anyway."""
        return await self._look(self._glimpse)

    async def look(self) -> bool:
        """Reads the list, if need be again, and settles what it decides. Returns whether it could be read."""
        return await self._look(self._read)

    async def _look(self, read: Callable[[str, int], Awaitable[Task]]) -> bool:
        async with self._one_at_a_time:
            asked_at = self._record.now()
            listed = await self._heard(read)
            if listed is None:
                self._fanout.turns.unread()
                return False
            self._note(listed)
            self._fanout.turns.listed(asked_at)
            self._settle()
            return True

    async def _heard(self, read: Callable[[str, int], Awaitable[Task]]) -> SessionAudio | None:
        batch = self._batch
        try:
            task = await read(batch.session_id or "", len(batch.items) + len(batch.earlier))
        except MountseaError as error:
            logger.warning("reconcile.unread", extra={"session_id": batch.session_id, "error": error.message})
            self._fanout.heard(error)
            return None
        self._fanout.heard(task)
        return task.data if isinstance(task.data, SessionAudio) else None

    def _read(self, session_id: str, expected: int) -> Awaitable[Task]:
        return self._caller.task(session_id, audio_ids=expected)

    def _glimpse(self, session_id: str, expected: int) -> Awaitable[Task]:
        return self._caller.glance(session_id, self._fanout.turns.asks, audio_ids=expected)

    def _note(self, listed: SessionAudio) -> None:
        """Tells what a reading has brought. What was seen once stays seen, whatever a later one leaves out."""
        known = self._batch.listed
        new = tuple(i for i in dict.fromkeys(listed.audio_ids) if known is None or i not in known)
        repeated = tuple(i for i, count in Counter(listed.audio_ids).items() if count > 1)
        if known is None or new or self._batch.odd(repeated, listed.unreadable):
            if new and self._batch.unexplained < self._batch.unfinished:  # foreign ones are no sign of life
                self._record.last_life = self._record.now()
            self._record.emit(ClipsListed, audio_ids=new, repeated=repeated, unreadable=listed.unreadable)

    def _settle(self) -> None:
        """Closes the holes that this reading decides: nothing more is expected of them, or not any more."""
        open_ones = self._unsettled()
        for item in tuple(self._holes):
            if item not in open_ones:
                del self._holes[item]
        if open_ones:  # else most readings would compare thousands of items for nothing
            self._settle_these(open_ones)
        self._let_go()

    def _unsettled(self) -> dict[Item, None]:
        """Items without a clip of which one may still appear."""
        if not any(self._batch.counts[state] for state in MAY_STILL_LAND):
            return {}
        return {
            item: None
            for item in self._batch.uploads()
            if item.state in MAY_STILL_LAND and item.open_requests and item.until is None
        }

    def _settle_these(self, items: Iterable[Item]) -> None:
        now, first_pending = self._record.now(), self._measure()
        attribution = self._batch.verdict()[1]
        for item in items:
            absence = self._absence(item)
            absence.look(now, first_pending, len(self._record.log))
            told = item.state is ItemState.UNKNOWN and item.index not in attribution.due
            if told or absence.certain(now, self._limit):
                self._close(item, attribution)

    def _absence(self, item: Item) -> Absence:
        absence = self._absences.get(item)
        if absence is None or absence.lost != item.last:
            travel = TRAVEL if self._config.settle is None and _may_arrive(item) else 0.0
            absence = self._absences[item] = Absence(self._record.waiting_since(item), item.last, travel)
        return absence

    def _stays_away(self, item: Item) -> bool:
        """Whether nobody should wait for an item's clip any more."""
        return item in self._absences and self._absence(item).likely(self._record.now(), self._limit)

    def _close(self, item: Item, attribution: Attribution) -> None:
        self._record.emit(ItemSettled, index=item.index, key=item.key)
        self._holes.pop(item, None)
        self._absences.pop(item, None)
        if item.index not in attribution.inferred and item.index not in attribution.candidates:
            self._absent(item)

    def _measure(self) -> float:
        """Derives the settle time. Returns the event with which the oldest pending upload was about to be sent."""
        first, slowest = inf, self._record.longest
        for item in self._batch.uploads():
            if item.state is ItemState.SUBMITTED:
                first = min(first, item.since)
                slowest = max(slowest or 0.0, self._record.age(item))
        ended = self._batch.counts[ItemState.SUCCEEDED]
        self._limit = settle_limit(self._config.settle, slowest, ended)
        return first

    def _let_go(self) -> None:
        """Lets submits go on once the holes are closed, or have been open for so long that nobody should wait."""
        now = self._record.now()
        if all(now - opened >= HELD_AT_MOST or self._stays_away(item) for item, opened in self._holes.items()):
            self._fanout.submitter.let_go()

    def _absent(self, item: Item) -> None:
        """No clip of this item has appeared in all the time that it could have taken."""
        lost = item.state is ItemState.UNKNOWN and item.task_id is None
        if self._on_unknown == "resubmit" and lost and item.resubmits < RESUBMITS and self._fanout.stopped is None:
            self._fanout.submit_again(item)

    def submit_again(self, *, failed: bool) -> None:
        """Sends again, on the caller's word, what an earlier run has given up and of which no clip has appeared."""
        attribution = self._batch.verdict()[1]
        for item in tuple(self._batch.uploads()):
            if item.replaced or item.index in attribution.inferred or item.index in attribution.candidates:
                continue
            if failed and item.state in (ItemState.FAILED, ItemState.TIMED_OUT):
                self._fanout.submit_again(item)
            elif item.state is ItemState.UNKNOWN and item.until is not None:
                self._absent(item)

    # ------------------------------------------------------------------------------------------ the final check
    async def check(self, *, last: bool = False) -> None:
        """Compares the items with the list; again and again while clips are due that it doesn't hold yet.

        Args:
            last: Nothing is submitted after it.
        """
        loop = asyncio.get_running_loop()
        ended = self._batch.uploads_ended
        fresh = self._checked == ended and loop.time() - self._checked_at < _FRESH
        if not self._batch.items or (fresh and not self._holes):
            return
        late = self._deadline_at is not None and loop.time() >= self._deadline_at
        limit = None if self._deadline_at is None else max(self._deadline_at, loop.time()) + self._config.shutdown
        try:
            async with asyncio.timeout_at(limit) as scope:
                self._checks.add(scope)
                try:
                    await self._check(patient=not late)
                finally:
                    self._checks.discard(scope)
        except TimeoutError:
            logger.warning("reconcile.cut_short", extra={"session_id": self._batch.session_id})
        self._checked, self._checked_at = ended, loop.time()
        if self._record.log.closed:
            return
        if last and self._on_unknown != "resubmit":
            attribution = self._batch.verdict()[1]
            for item in tuple(filter(self._stays_away, self._holes)):
                self._close(item, attribution)
        self._tell()

    async def _check(self, *, patient: bool) -> None:
        began, wait = self._record.now(), 1.0
        patience = LAG if self._config.settle is None else self._config.settle
        while True:
            read = await self.look()
            await self._ask_again()
            lagging = self._record.now() - began < patience
            due = self._awaited() or (lagging and self._batch.verdict()[0].missing) if read else lagging
            if not patient or not due or self._fanout.busy:
                return
            await asyncio.sleep(wait)
            wait = min(_CLOSE_LOOK, wait * 2)

    def _awaited(self) -> bool:
        """Whether clips may still appear: of lost answers, and of uploads that the service has given up on."""
        sure = self._on_unknown == "resubmit"  # who is to be paid for again must be absent for certain
        if any(sure or not self._stays_away(item) for item in self._holes):
            return True
        timed_out = (item for item in self._batch.uploads() if item.state is ItemState.TIMED_OUT)
        return any(item.until is None and item.open_requests for item in timed_out)

    async def _ask_again(self) -> None:
        """Asks the tasks whose clip may be among the unexplained; some say `failed` first and `success` later."""
        attribution = self._batch.verdict()[1]
        for index in (*attribution.inferred, *attribution.candidates)[:ASKED_AGAIN]:
            item = self._batch.items[index]
            if item.task_id is None or item in self._asked or item.state not in MAY_STILL_LAND:
                continue
            self._asked.add(item)
            try:
                task = await self._caller.glance(item.task_id, self._fanout.turns.asks)
            except MountseaError:
                return  # whoever doesn't answer once isn't waited for a hundred times
            if task.status == TaskStatus.SUCCESS and task.clip is not None and item.state in MAY_STILL_LAND:
                logger.warning("task.changed_its_end", extra={"task_id": item.task_id, "was": item.state.value})
                self._record.measure(item, task)
                self._record.change(item, Trigger.SUCCEED, clip=task.clip, polls=1)

    def _tell(self) -> None:
        verdict = self._batch.verdict()[0]
        self._record.emit(
            Reconciled,
            consistent=verdict.consistent,
            matched=len(verdict.matched),
            missing=len(verdict.missing),
            unattributed=len(verdict.unattributed),
            inferred=len(verdict.inferred),
        )

    async def stop(self) -> None:
        """Ends what goes on here in other tasks: the session closes."""
        self._stopped = True
        await self._fanout.turns.stop()
        for scope in self._checks:
            with suppress(RuntimeError):  # it is ending by itself at this very moment
                scope.reschedule(0)
        if (tending := self._tending) is not None:
            tending.cancel()
            await asyncio.wait([tending])


def _may_arrive(item: Item) -> bool:
    """Whether an item's last request may still be on its way to the service."""
    if not isinstance(item.error, UnknownOutcomeError):
        return False
    cause = item.error.cause
    return not isinstance(cause, APIError) and getattr(cause, "may_arrive", True)
