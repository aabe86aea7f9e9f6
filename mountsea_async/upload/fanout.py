"""The items on their way: one coroutine an item submits it under the semaphore and then polls its task.

Owns every item task and ends every one of them. What it does not know: where the session came from, which is
`run.py`'s, deadlines, which are `closing.py`'s, and what the session's list says, which is `settling.py`'s.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

from ..config import ClientConfig
from ..errors import (
    AuthenticationError,
    JournalError,
    MissingClipError,
    MountseaError,
    TaskFailedError,
    TaskLostError,
    TaskTimedOutError,
)
from ..models import Task, UploadItem
from ..wire import protocol
from ..wire.caller import Caller
from ..wire.pacing import Shares
from . import reasons
from .batch import Item
from .budget import Budget
from .events import Paused, SubmitsStopped
from .kinds import UPLOAD, SessionKind
from .lifecycle import ItemState, Trigger, path_to
from .record import Record
from .submitting import Submitter
from .tasks import Follower, Sighting, clip_of
from .turns import Turns

__all__ = ["Fanout"]

logger = logging.getLogger("mountsea_async")


class Fanout:
    """Runs the items of one session.

    Args:
        caller: The door to the service.
        config: Settings of the client.
        rng: Where jitter comes from.
        concurrency: Requests in flight at once, as `Shares` divides them.
        record: The items and everything that happens to them.
        kind: The kind of session that they are uploaded to.
        budget: What may be spent; None for no bound.
    """

    def __init__(
        self,
        caller: Caller,
        config: ClientConfig,
        *,
        rng: random.Random,
        concurrency: int,
        record: Record,
        kind: SessionKind = UPLOAD,
        budget: Budget | None = None,
    ) -> None:
        self._caller = caller
        self._config = config
        shares = Shares(concurrency)
        self._tasks: dict[Item, asyncio.Task[None]] = {}
        self._followers: dict[Item, Follower] = {}
        self._unwanted: set[Item] = set()
        self.record = record
        self.batch = record.batch
        self.submitter = Submitter(
            caller,
            config,
            rng=rng,
            lane=shares.submits,
            record=record,
            owner=self,
            item_request=kind.item,
            budget=budget,
        )
        self.turns = Turns(
            config.poll,
            rng,
            pace=caller.pace,
            batch=record.batch,
            asks=shares.polls,
            heard=self.heard,
            failed=self.fail,
            lists=kind.lists,
        )
        self.crash: BaseException | None = None
        self._winding: str | None = None
        self._cut = False
        self.polls = self.poll_errors = self.pauses = 0
        self.key_refused_since: float | None = None

    @property
    def stopped(self) -> str | None:
        """Why nothing more is submitted; None while it is."""
        return self.batch.stopped

    @property
    def outage(self) -> str | None:
        """The word for why no submit gets through at the moment; None if it does."""
        return protocol.stops_submits(self.submitter.hindrance)

    @property
    def busy(self) -> bool:
        """Whether anything is on its way."""
        return any(not task.done() for task in self._tasks.values())

    # ------------------------------------------------------------------------------------------------ starting
    def start(self, entries: Iterable[UploadItem], *, keep_duplicates: bool) -> list[Item]:
        """Puts entries in flight. Returns their items, in order."""
        if not self.batch.unfinished:
            self.record.wake_up()
        return [self._start(entry, keep_duplicates=keep_duplicates) for entry in entries]

    def _start(self, entry: UploadItem, *, keep_duplicates: bool) -> Item:
        item, original = self.record.add(entry, keep_duplicates=keep_duplicates)
        if original is not None:
            self._join(item, original)
        else:
            self._launch(item)
        return item

    def _launch(self, item: Item) -> None:
        if self.stopped is not None and item.state is ItemState.NEW:
            self.skip(item)
        else:
            self._tasks[item] = asyncio.get_running_loop().create_task(self._run(item))

    def _join(self, item: Item, original: Item) -> None:
        """Takes a duplicate to where the upload that it shares has got."""
        path = path_to(original.state)
        for trigger in path[:-1]:
            self.record.change_one(item, trigger)
        if path:
            facts = {name: getattr(original, name) for name in ("task_id", "clip", "error", "polls")}
            self.record.change_one(item, path[-1], reason=original.reason, **facts)

    def resume(self) -> None:
        """Goes on with items of an earlier run, wherever it left them. What has ended stays as it is."""
        self.record.wake_up()
        self.turns.read_soon()
        for item in tuple(self.batch.uploads()):
            state = item.state
            if state is ItemState.SUBMITTING:
                self.record.change(item, Trigger.LOSE, reason="interrupted", error=reasons.cut_short("interrupted"))
            elif state is ItemState.UNDETERMINED or (state is ItemState.NOT_SUBMITTED and not item.replaced):
                self.record.change(item, Trigger.RESUME)
            if item.state is ItemState.UNKNOWN and item.open_requests and item.until is None:
                self.submitter.on_hole(item)
            elif not item.ended and item not in self._tasks:
                self._launch(item)

    def submit_again(self, item: Item) -> None:
        """Sends an item a second time, on the caller's word."""
        self.record.change(item, Trigger.RETRY)
        self._launch(item)

    def tasks_of(self, items: Iterable[Item]) -> list[asyncio.Task[None]]:
        """The tasks that items wait for: their own, or that of the upload they share."""
        tasks = (self._tasks.get(self._original(item)) for item in items)
        return [task for task in tasks if task is not None and not task.done()]

    def _original(self, item: Item) -> Item:
        return item if item.duplicate_of is None else self.batch.items[item.duplicate_of]

    # ------------------------------------------------------------------------------------------- one item's way
    async def _run(self, item: Item) -> None:
        try:
            old = item.state is ItemState.SUBMITTED
            if old or await self._accepted(item, await self.submitter.submit(item)):
                await self._poll(item, old=old)
        except Exception as crash:  # noqa: BLE001 - as `fail` says
            self.fail(crash)
        except asyncio.CancelledError:
            self._let_go(item)  # by us it has ended already; but others may cancel every task there is
            raise
        finally:
            self._tasks.pop(item, None)

    async def _accepted(self, item: Item, task_id: str | None) -> bool:
        """Returns whether there is a task to poll."""
        if task_id is None:
            return False
        self.record.change(item, Trigger.ACCEPT, task_id=task_id)
        if self._winding is not None:
            self._abandon(item)
            return False
        # It was paid for: where the journal can't be written it is followed all the same.
        with suppress(JournalError):
            await self.record.durable()
        return True

    async def _poll(self, item: Item, *, old: bool) -> None:
        self.turns.begin(item, old=old)
        follower = Follower(self._caller, item.task_id or "", self._config.poll, self.turns, item.index)
        self._followers[item] = follower
        task = None
        try:
            task = await follower.run()
            clip = clip_of(task)
        except TaskLostError as error:
            self._end(item, Trigger.ABANDON, reason="task_lost", error=error)
        except MissingClipError as error:
            self._end(item, Trigger.BLANK, reason="success_without_clip", error=error)
            self.submitter.on_hole(item)
        except TaskTimedOutError as error:
            self._end(item, Trigger.TIME_OUT, error=error)
        except TaskFailedError as error:
            self._end(item, Trigger.FAIL, error=error)
        else:
            self.record.measure(item, task)
            self._end(item, Trigger.SUCCEED, clip=clip)
        finally:
            del self._followers[item]
            self.turns.end(item, task)

    def _end(self, item: Item, trigger: Trigger, **facts: Any) -> None:
        # A cancel can get lost on its way through the HTTP library: whoever was abandoned has ended.
        if not item.ended:
            self.record.change(item, trigger, polls=self._followers[item].asked, **facts)

    def paused(self, seconds: float) -> None:
        """The gate has closed for so long."""
        self.pauses += 1
        self.record.emit(Paused, seconds=seconds)

    def refused(self) -> bool:
        """Whether the service does nothing but answer "too many requests"."""
        return self._caller.pace.refused_for() > 0

    def heard(self, sighting: Sighting) -> None:
        """What one poll brought, of a task or of the session."""
        self.polls += 1
        if isinstance(sighting, Task):
            self.key_refused_since = None
            return
        self.poll_errors += 1
        if isinstance(sighting, AuthenticationError):
            self.key_refused_since = self.key_refused_since or self.record.now()

    # ------------------------------------------------------------------------------------------------ stopping
    def stop(self, reason: str, error: MountseaError | None = None) -> None:
        """No more submits; what was submitted goes on. What was never sent ends here."""
        if self.stopped is not None:
            return
        self.record.emit(SubmitsStopped, reason=reason, error=error)
        for item, task in list(self._tasks.items()):
            if item.state is ItemState.NEW:
                self.skip(item)
                task.cancel()

    def fail(self, crash: Exception) -> None:
        """A bug of ours: nothing is guessed from here on, and whoever waits for the items is told."""
        self.crash = self.crash or crash
        self.stop("stopped")
        logger.error("session.crashed", exc_info=crash)

    def withdraw(self, items: Sequence[Item]) -> None:
        """Takes back what its callers no longer want and what was not sent yet; shared uploads when none wants them."""
        self._unwanted.update(items)
        for item in items:
            original = self._original(item)
            if original in self._tasks and original.state is ItemState.NEW and not self.wanted(original):
                self.skip(original, "cancelled")
                self._tasks[original].cancel()

    def wanted(self, item: Item) -> bool:
        """Whether anybody still wants an upload."""
        return not self._unwanted or not self._unwanted.issuperset((item, *item.twins))

    def skip(self, item: Item, reason: str | None = None) -> None:
        """Ends an item that was never accepted, for a reason of its own or for that of the stop."""
        why, cause = (reason, None) if reason else (self.stopped or "stopped", self.batch.stop_error)
        if item.open_requests:
            self.record.change(item, Trigger.WITHHOLD, reason=why, error=reasons.withheld(why, cause))
        else:
            self.record.change(item, Trigger.SKIP, reason=why, error=reasons.not_submitted(why, cause))

    def _abandon(self, item: Item) -> None:
        reason, follower = self._winding or "cancelled", self._followers.get(item)
        polls = None if follower is None else follower.asked
        pending = reasons.still_pending(reason, item.task_id or "")
        self.record.change(item, Trigger.ABANDON, reason=reason, error=pending, polls=polls)

    def cut(self, item: Item, *, unsent: bool) -> None:
        """A submit was cancelled on its way."""
        if unsent:
            self.record.change(item, Trigger.RELEASE)
            self.skip(item, self._winding or "cancelled")
            return
        reason = self._winding or "cancelled"
        self.record.change(item, Trigger.LOSE, reason=reason, error=reasons.cut_short(reason))

    async def wind_down(self, reason: str, grace: float) -> None:
        """Ends everything: no more submits and polls; sent requests get `grace` seconds for their answers.

        A cancel in the meantime cuts the grace short.
        """
        self._winding = self._winding or reason
        self.stop(reason, self.submitter.hindrance or self._caller.refusal)
        for item, task in list(self._tasks.items()):
            if item.state is ItemState.SUBMITTED:
                self._abandon(item)
                task.cancel()
        try:
            if self._tasks:
                await asyncio.wait(self._tasks.values(), timeout=grace)
        finally:
            self._cut = True
            for task in self._tasks.values():
                task.cancel()
            await self.drain()

    def settle(self) -> None:
        """Ends what has not ended though nothing of it is running any more: somebody else cancelled its task."""
        for item in self.batch.uploads():
            self._let_go(item)

    def _let_go(self, item: Item) -> None:
        if item.state is ItemState.NEW:
            self.skip(item, self.stopped or "cancelled")
        elif item.state is ItemState.SUBMITTED:
            self._abandon(item)

    async def drain(self) -> None:
        """Waits until no item is in flight. A cancel is let through only then: by that time all are ending."""
        cancelled = False
        while pending := [task for task in self._tasks.values() if not task.done()]:
            try:
                await asyncio.wait(pending)
            except asyncio.CancelledError:
                if not self._cut:
                    raise
                cancelled = True
        if cancelled:
            raise asyncio.CancelledError
