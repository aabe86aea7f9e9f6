"""What has happened in a session: the one place where events are made, and where everybody hears of them.

Holds the items and the log, tells `on_event` and those who wait for an item. Does no I/O.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from collections.abc import Callable
from typing import Any

from ..errors import ClientStateError
from .batch import Batch, EventLog, Item
from .events import Event, ItemChanged
from .lifecycle import Trigger, advance

__all__ = ["Record"]

logger = logging.getLogger("mountsea_async")


_SIGNS_OF_LIFE = frozenset(
    {Trigger.ACCEPT, Trigger.REJECT, Trigger.SUCCEED, Trigger.BLANK, Trigger.FAIL, Trigger.TIME_OUT}
)


class Record:
    """The items of a session and everything that happens to them. Made in the loop that they run in.

    Args:
        on_event: Called with each event; what it raises is logged and changes nothing.

    Attributes:
        batch: The items.
        log: The events.
        first_submit: Loop time at which the items that are in flight began.
        last_end: Loop time at which one ended last.
        last_life: Loop time of the service's last sign of life: it accepted an item, turned it away or ended it.
    """

    def __init__(self, on_event: Callable[[Event], object] | None) -> None:
        self._on_event = on_event
        self._loop = asyncio.get_running_loop()
        self._wall = time.time() - self._loop.time()
        self._watchers: dict[Item, list[asyncio.Future[None]]] = {}
        self._blamed = False
        self.batch = Batch()
        self.log = EventLog()
        self.first_submit = self.last_end = self.last_life = self.now()

    def now(self) -> float:
        """The time of the loop that the items run in."""
        return self._loop.time()

    def check_loop(self) -> None:
        """Raises `ClientStateError` in any event loop but the one that the items run in."""
        if asyncio.get_running_loop() is not self._loop:
            raise ClientStateError("the session was opened in another event loop: use it there, or open one here")

    def wake_up(self) -> None:
        """The first of new items begins: silence is counted from here."""
        self.first_submit = self.last_life = self.now()

    def emit(self, kind: Callable[..., Event], **fields: Any) -> None:
        """Makes an event happen: the items follow it, the log keeps it, the callback hears of it."""
        event = kind(seq=len(self.log), at=self.now() + self._wall, **fields)
        self.batch.apply(event)
        self.log.append(event)
        if self._on_event is not None:
            # From the loop, never from in here: a callback may call the session, and what it raises stays outside.
            self._loop.call_soon(self._tell, self._on_event, event)

    def _tell(self, on_event: Callable[[Event], object], event: Event) -> None:
        try:
            answer = on_event(event)
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - a watcher's fault is not the batch's
            self._blame(error, event)
            return
        if inspect.iscoroutine(answer):
            answer.close()
            self._blame(TypeError("on_event is a plain function: for async code iterate session.events()"), event)

    def _blame(self, error: BaseException, event: Event) -> None:
        """Logs what a callback has raised; the first one where nobody can miss it, whatever logging is set up."""
        logger.error("on_event.failed", exc_info=error, extra={"event": type(event).__name__})
        if not self._blamed:
            self._blamed = True
            said = "on_event failed; what it raises from now on is only logged, to the logger mountsea_async"
            self._loop.call_exception_handler({"message": said, "exception": error})

    def change(self, item: Item, trigger: Trigger, **facts: Any) -> None:
        """Takes an item, and those that share its upload, through one transition."""
        for each in (item, *item.twins):
            self.change_one(each, trigger, **facts)
        if item.ended:
            self.last_end = self.now()
        if trigger in _SIGNS_OF_LIFE:
            self.last_life = self.now()

    def change_one(self, item: Item, trigger: Trigger, **facts: Any) -> None:
        """Takes one item through one transition."""
        state = advance(item.state, trigger)
        self.emit(
            ItemChanged, index=item.index, key=item.key, trigger=trigger, previous=item.state, state=state, **facts
        )
        for watcher in self._watchers.pop(item, ()):
            if not watcher.done():
                watcher.set_result(None)

    async def until(self, item: Item, reached: Callable[[], bool]) -> None:
        """Waits until an item's change has made `reached` true."""
        while not reached():
            watcher: asyncio.Future[None] = self._loop.create_future()
            self._watchers.setdefault(item, []).append(watcher)
            await watcher
