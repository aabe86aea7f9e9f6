"""The items on their way: one coroutine an item submits it under the semaphore and then polls its task.

Owns every item task and ends every one of them. What it does not know: where the session came from, deadlines,
and the final check; these are `session.py`'s.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import attrs

from ..config import ClientConfig
from ..errors import (
    AuthenticationError,
    MissingClipError,
    MountseaError,
    TaskFailedError,
    TaskLostError,
    TaskTimedOutError,
    UnknownOutcomeError,
)
from ..models import Task, UploadItem
from ..wire import protocol
from ..wire.caller import Caller
from ..wire.pacing import Shares
from ..wire.protocol import Request
from . import reasons
from .batch import Batch, EventLog, Item
from .events import Event, ItemChanged, Paused, SubmitsStopped
from .lifecycle import ItemState, Trigger, advance, path_to
from .polling import Delays
from .tasks import Follower, Sighting, clip_of

__all__ = ["Fanout"]

logger = logging.getLogger("mountsea_async")


class _Stopped(Exception):  # noqa: N818 - ends a call; not an error
    """Nothing more is to be submitted. Never leaves this module."""


class Fanout:
    """Runs the items of one session.

    Args:
        caller: The door to the service.
        config: Settings of the client.
        rng: Where jitter comes from.
        concurrency: Requests in flight at once, as `Shares` divides them.
        on_event: Called with each event; what it raises is logged and changes nothing.
    """

    def __init__(
        self,
        caller: Caller,
        config: ClientConfig,
        *,
        rng: random.Random,
        concurrency: int,
        on_event: Callable[[Event], object] | None,
    ) -> None:
        self._caller = caller
        self._config = config
        self._rng = rng
        shares = Shares(concurrency)
        self._submits, self.asks = shares.submits, shares.polls
        self._on_event = on_event
        self._loop = asyncio.get_running_loop()
        self._wall = time.time() - self._loop.time()
        self._tasks: dict[Item, asyncio.Task[None]] = {}
        self._watchers: dict[Item, list[asyncio.Future[None]]] = {}
        self.batch = Batch()
        self.log = EventLog()
        self.crash: BaseException | None = None
        self.stopped: str | None = None
        self._stop_error: MountseaError | None = None
        self._winding: str | None = None
        self.submits = self.polls = self.poll_errors = self.pauses = 0
        self.first_submit = self.last_end = self.last_life = self._loop.time()
        self.refused_since: float | None = None

    def now(self) -> float:
        """The time of the loop that the items run in."""
        return self._loop.time()

    # ------------------------------------------------------------------------------------------------- events
    def emit(self, kind: Callable[..., Event], **fields: Any) -> None:
        """Makes an event happen: the items follow it, the log keeps it, the callback hears of it."""
        event = kind(seq=len(self.log), at=self._loop.time() + self._wall, **fields)
        self.batch.apply(event)
        self.log.append(event)
        if self._on_event is not None:
            try:
                self._on_event(event)
            except Exception:  # a watcher's fault is not the batch's
                logger.exception("on_event.failed", extra={"event": type(event).__name__})

    def change(self, item: Item, trigger: Trigger, **facts: Any) -> None:
        """Takes an item, and those that share its upload, through one transition."""
        for each in (item, *item.twins):
            self._change_one(each, trigger, **facts)
        now = self._loop.time()
        if item.ended:
            self.last_end = self.last_life = now
        elif trigger is Trigger.ACCEPT:
            self.last_life = now

    def _change_one(self, item: Item, trigger: Trigger, **facts: Any) -> None:
        state = advance(item.state, trigger)
        self.emit(
            ItemChanged,
            index=item.index,
            key=item.key,
            trigger=trigger,
            previous=item.state,
            state=state,
            **facts,
        )
        for watcher in self._watchers.pop(item, ()):
            if not watcher.done():
                watcher.set_result(None)

    def paused(self, seconds: float) -> None:
        """The gate has closed for so long."""
        self.pauses += 1
        self.emit(Paused, seconds=seconds)

    async def until(self, item: Item, reached: Callable[[], bool]) -> None:
        """Waits until an item's change has made `reached` true."""
        while not reached():
            watcher: asyncio.Future[None] = self._loop.create_future()
            self._watchers.setdefault(item, []).append(watcher)
            await watcher

    # ------------------------------------------------------------------------------------------------ starting
    def start(self, session_id: str, entries: Iterable[UploadItem], *, keep_duplicates: bool) -> list[Item]:
        """Puts entries in flight. Returns their items, in order."""
        if not self.batch.unfinished:
            self.first_submit = self.last_life = self._loop.time()
        return [self._start(session_id, entry, keep_duplicates=keep_duplicates) for entry in entries]

    def _start(self, session_id: str, entry: UploadItem, *, keep_duplicates: bool) -> Item:
        item, original = self.batch.add(entry, keep_duplicates=keep_duplicates)
        if original is not None:
            self._join(item, original)
        elif self.stopped is not None:
            self.skip(item)
        else:
            self._tasks[item] = self._loop.create_task(self._run(session_id, item))
        return item

    def _join(self, item: Item, original: Item) -> None:
        """Takes a duplicate to where the upload that it shares has got."""
        path = path_to(original.state)
        for trigger in path[:-1]:
            self._change_one(item, trigger)
        if path:
            facts = {"task_id": original.task_id, "clip": original.clip, "error": original.error}
            self._change_one(item, path[-1], reason=original.reason, **facts)

    def tasks_of(self, items: Iterable[Item]) -> list[asyncio.Task[None]]:
        """The tasks that items wait for: their own, or that of the upload they share."""
        originals = (item if item.duplicate_of is None else self.batch.items[item.duplicate_of] for item in items)
        return [self._tasks[original] for original in originals if original in self._tasks]

    # ------------------------------------------------------------------------------------------- one item's way
    async def _run(self, session_id: str, item: Item) -> None:
        try:
            if await self._submit(session_id, item):
                await self._poll(item)
        except Exception as crash:
            # A bug of ours: nothing is guessed from here on, and whoever waits for the items is told.
            self.crash = self.crash or crash
            self.stop("stopped")
            logger.exception("item.crashed", extra={"index": item.index})
        finally:
            self._tasks.pop(item, None)

    async def _submit(self, session_id: str, item: Item) -> bool:
        """Returns whether there is a task to poll."""
        try:
            task_id = await self._caller.submit(_Submission(self, session_id, item), self._submits)
        except _Stopped:
            return False
        except UnknownOutcomeError as error:
            self.change(item, Trigger.LOSE, error=error)
            self._stop_if_it_concerns_all(error)
            return False
        except MountseaError as error:
            self._turned_away(item, error)
            return False
        self.change(item, Trigger.ACCEPT, task_id=task_id)
        if self._winding is not None:
            self._abandon(item)
        return self._winding is None

    def _turned_away(self, item: Item, error: MountseaError) -> None:
        if protocol.stops_submits(error) is None:
            self.change(item, Trigger.REJECT, reason="rejected", error=error)
            return
        self._stop_if_it_concerns_all(error)
        if item.state is ItemState.SUBMITTING:
            self.change(item, Trigger.RELEASE)
        if item.state is ItemState.NEW:
            self.skip(item)

    def _stop_if_it_concerns_all(self, error: MountseaError) -> None:
        if (word := protocol.stops_submits(error)) is not None:
            self.stop(word, error)

    async def _poll(self, item: Item) -> None:
        delays = Delays(self._config.poll)
        try:
            clip = clip_of(await Follower(self._caller, item.task_id or "", delays, self._rng, self).run())
        except TaskLostError as error:
            self.change(item, Trigger.ABANDON, reason="task_lost", error=error)
        except MissingClipError as error:
            self.change(item, Trigger.BLANK, reason="success_without_clip", error=error)
        except TaskTimedOutError as error:
            self.change(item, Trigger.TIME_OUT, error=error)
        except TaskFailedError as error:
            self.change(item, Trigger.FAIL, error=error)
        else:
            self.change(item, Trigger.SUCCEED, clip=clip)

    def pending(self) -> int:
        """How many items are being polled."""
        return self.batch.counts[ItemState.SUBMITTED]

    def sighted(self, sighting: Sighting) -> None:
        """What one poll brought."""
        self.polls += 1
        if isinstance(sighting, Task):
            self.refused_since = None
            return
        self.poll_errors += 1
        if isinstance(sighting, AuthenticationError):
            self.refused_since = self.refused_since or self._loop.time()

    # ------------------------------------------------------------------------------------------------ stopping
    def stop(self, reason: str, error: MountseaError | None = None) -> None:
        """No more submits; what was submitted goes on. What was never sent ends here."""
        if self.stopped is not None:
            return
        self.stopped, self._stop_error = reason, error
        self.emit(SubmitsStopped, reason=reason, error=error)
        for item, task in list(self._tasks.items()):
            if item.state is ItemState.NEW:
                self.skip(item)
                task.cancel()

    def withdraw(self, items: Sequence[Item]) -> None:
        """Takes back what its caller no longer wants and what was not sent yet."""
        for item in items:
            if item.state is ItemState.NEW and item in self._tasks:
                self.skip(item, "cancelled")
                self._tasks[item].cancel()

    def skip(self, item: Item, reason: str | None = None) -> None:
        """Ends an item that was never accepted, for a reason of its own or for that of the stop."""
        why, cause = (reason, None) if reason else (self.stopped or "stopped", self._stop_error)
        self.change(item, Trigger.SKIP, reason=why, error=reasons.not_submitted(why, cause))

    def _abandon(self, item: Item) -> None:
        reason = self._winding or "cancelled"
        self.change(item, Trigger.ABANDON, reason=reason, error=reasons.still_pending(reason, item.task_id or ""))

    def cut(self, item: Item, *, unsent: bool) -> None:
        """A submit was cancelled on its way."""
        if unsent:
            self.change(item, Trigger.RELEASE)
            self.skip(item, self._winding or "cancelled")
            return
        reason = self._winding or "cancelled"
        self.change(item, Trigger.LOSE, reason=reason, error=reasons.cut_short(reason))

    async def wind_down(self, reason: str, grace: float) -> None:
        """Ends everything: no more submits and polls; sent requests get `grace` seconds for their answers.

        A cancel in the meantime cuts the grace short.
        """
        self._winding = self._winding or reason
        self.stop(reason)
        for item, task in list(self._tasks.items()):
            if item.state is ItemState.SUBMITTED:
                self._abandon(item)
                task.cancel()
        try:
            if self._tasks:
                await asyncio.wait(self._tasks.values(), timeout=grace)
        finally:
            for task in self._tasks.values():
                task.cancel()
            await self.drain()

    async def drain(self) -> None:
        """Waits until no item is in flight. A cancel is let through only then: by that time all are ending."""
        cancelled = False
        while pending := [task for task in self._tasks.values() if not task.done()]:
            try:
                await asyncio.wait(pending)
            except asyncio.CancelledError:
                if self._winding is None:
                    raise
                cancelled = True
        if cancelled:
            raise asyncio.CancelledError


@attrs.frozen
class _Submission:
    """One item's ear at the caller: turns what happens to its request into transitions."""

    fanout: Fanout
    session_id: str
    item: Item

    async def sending(self) -> Request:
        if self.fanout.stopped is not None:
            raise _Stopped
        self.fanout.change(self.item, Trigger.INTEND)
        self.fanout.submits += 1
        return protocol.submit_item(self.session_id, self.item.audio_url)

    def not_accepted(self, error: MountseaError) -> None:
        self.fanout.change(self.item, Trigger.RELEASE, error=error)
        if self.fanout.stopped is not None:
            self.fanout.skip(self.item)
            raise _Stopped

    def cut(self, *, unsent: bool) -> None:
        self.fanout.cut(self.item, unsent=unsent)
