"""What has happened in a session: the one place where events are made, and where everybody hears of them.

Holds the items and the events, tells the journal, logging, `on_event`, the client's observer and those who wait for an
item. Only the journal is awaited.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from ..errors import ClientStateError, JournalError
from ..models import Task, UploadItem
from .batch import Batch, Item
from .events import Event, ItemChanged, JournalFailed, Observer, SessionOpened, TrainingChanged
from .lifecycle import ItemState, Trigger, advance
from .log import EventLog
from .notices import notify
from .training import Training

if TYPE_CHECKING:
    from .journal import Journal

__all__ = ["MAY_STILL_LAND", "Record"]

logger = logging.getLogger("mountsea_async")


MAY_STILL_LAND = frozenset({ItemState.UNKNOWN, ItemState.FAILED, ItemState.TIMED_OUT})
"""Ends after which a clip may appear all the same."""
_SIGNS_OF_LIFE = frozenset(
    {Trigger.ACCEPT, Trigger.REJECT, Trigger.SUCCEED, Trigger.BLANK, Trigger.FAIL, Trigger.TIME_OUT}
)


class Record:
    """The items of a session and everything that happens to them. Made in the loop that they run in.

    Args:
        on_event: Called with each event; what it raises is logged and changes nothing.
        journal: Where the events become durable; None keeps them in memory.
        observe: Asked here and now for one more who is called with each event, in the same way.

    Attributes:
        batch: The items.
        log: The events.
        began: Loop time at which this run began.
        longest: Seconds that the slowest upload has taken so far, from its acceptance to its end; None before any.
        first_submit: Loop time at which the items that are in flight began.
        ended_before: How many uploads had ended by then.
        last_end: Loop time at which one ended last.
        last_life: Loop time of the service's last sign of life: it accepted an item, turned it away or ended it.
    """

    def __init__(
        self,
        on_event: Callable[[Event], object] | None,
        journal: Journal | None = None,
        observe: Observer | None = None,
    ) -> None:
        self._journal = journal
        self._loop = asyncio.get_running_loop()
        self._wall = time.time() - self._loop.time()
        self._watchers: dict[Item, list[asyncio.Future[None]]] = {}
        self._blamed: set[str] = set()
        self._journal_failed = False
        self._waiting_since: dict[Item, float] = {}
        self.longest: float | None = None
        self.ended_before = 0
        self.batch = Batch()
        self.log = EventLog()
        if journal is not None:
            journal.on_durable = self.log.kept
        self.began = self.first_submit = self.last_end = self.last_life = self.now()
        listeners = {"on_event": on_event, "observe": None if observe is None else self._asked(observe)}
        self._listeners = tuple((name, listener) for name, listener in listeners.items() if listener is not None)

    def now(self) -> float:
        """The time of the loop that the items run in."""
        return self._loop.time()

    def check_loop(self) -> None:
        """Raises `ClientStateError` in any event loop but the one that the items run in."""
        if asyncio.get_running_loop() is not self._loop:
            raise ClientStateError("the session was opened in another event loop: use it there, or open one here")

    def age(self, item: Item) -> float:
        """Seconds since an item was accepted, or since this run began: from run to run the wall clock may be set."""
        return self.now() - max((item.submitted_at or 0.0) - self._wall, self.began)

    def measure(self, item: Item, task: Task) -> None:
        """Keeps in mind how long an upload has taken: by its own word where it has one, since it may be asked late."""
        if item.submitted_at is None:
            return
        took = self.age(item)
        if task.created_at is not None and task.finished_at is not None:
            took = min(took, max(0.0, (task.finished_at - task.created_at).total_seconds()))
        self.longest = max(self.longest or 0.0, took)

    def wake_up(self) -> None:
        """The first of new items begins: silence is counted from here."""
        self.first_submit = self.last_life = self.now()
        self.ended_before = self.batch.uploads_ended

    def restore(self, events: Iterable[Event]) -> None:
        """Takes in what earlier runs have written. Nobody is told again."""
        accepted: dict[int, float] = {}
        for event in events:
            self.batch.apply(event)
            self.log.append(event)
            self.log.kept(1)
            match event:
                case SessionOpened():
                    accepted.clear()  # from one run to the next the wall clock may have been set
                case ItemChanged(trigger=Trigger.ACCEPT):
                    accepted[event.index] = event.at
                case ItemChanged(trigger=Trigger.SUCCEED) if event.index in accepted:
                    self.longest = max(self.longest or 0.0, event.at - accepted[event.index])

    async def durable(self) -> None:
        """Waits until everything that has happened so far would survive a kill.

        Raises:
            JournalError: The journal can't be written.
        """
        if self._journal is not None:
            await self._journal.flush()

    def waiting_since(self, item: Item) -> float:
        """Loop time from which on a clip of an item that has ended without one is awaited."""
        return self._waiting_since.get(item, self.began)

    def add(self, entry: UploadItem, *, keep_duplicates: bool) -> tuple[Item, Item | None]:
        """Takes in an entry. Returns its item, and the earlier one whose upload it shares, if it does."""
        if self._journal is not None:
            self._journal.check([entry])
        item, original = self.batch.add(entry, keep_duplicates=keep_duplicates)
        if self._journal is not None:
            self._journal.add(entry, item.index, item.duplicate_of, item.replaces)
        return item, original

    def emit(self, kind: Callable[..., Event], /, **fields: Any) -> None:
        """Makes an event happen: the items follow it, the log keeps it, whoever watches hears of it."""
        event = kind(seq=len(self.log), at=self.now() + self._wall, **fields)
        self.batch.apply(event)
        self.log.append(event)
        if self._journal is not None:
            self._journal.append(event)
        try:
            notify(event, self.batch)
        except Exception as error:  # noqa: BLE001 - such as a filter's: what has happened has happened
            self._loop.call_exception_handler({"message": "logging an event failed", "exception": error})
        for name, listener in self._listeners:
            # From the loop, never from in here: a callback may call the session, and what it raises stays outside.
            self._loop.call_soon(self._tell, name, listener, event)

    def _tell(self, name: str, listener: Callable[[Event], object], event: Event) -> None:
        try:
            answer = listener(event)
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - a watcher's fault is not the batch's
            self._blame(name, error, type(event).__name__)
            return
        if inspect.iscoroutine(answer):
            answer.close()
            words = f"{name} calls a plain function: for async code iterate session.events()"
            self._blame(name, TypeError(words), type(event).__name__)

    def _asked(self, observe: Observer) -> Callable[[Event], object] | None:
        """Who is to be called with each event; None where that can't be had: the session goes on without."""
        try:
            listener: object = observe()
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - as above
            self._blame("observe", error)
            return None
        if callable(listener):
            return listener
        if inspect.iscoroutine(listener):
            listener.close()
        self._blame("observe", TypeError(f"observe() gave {type(listener).__name__}, not a function of an event"))
        return None

    def _blame(self, name: str, error: BaseException, event: str | None = None) -> None:
        """Logs what a callback has raised; the first one where nobody can miss it, whatever logging is set up."""
        logger.error(f"{name}.failed", exc_info=error, extra={"event": event})
        if name not in self._blamed:
            self._blamed.add(name)
            said = f"{name} failed; what it raises from now on is only logged, to the logger mountsea_async"
            self._loop.call_exception_handler({"message": said, "exception": error})

    def journal_failed(self, error: JournalError) -> None:
        """The journal can't be written: everybody is told, once."""
        if not self._journal_failed:
            self._journal_failed = True
            self.emit(JournalFailed, error=error)

    def change(self, item: Item, trigger: Trigger, **facts: Any) -> None:
        """Takes an item, and those that share its upload, through one transition."""
        for each in (item, *item.twins):
            self.change_one(each, trigger, **facts)
        if item.ended:
            self.last_end = self.now()
            if item.state in MAY_STILL_LAND:
                self._waiting_since[item] = self.now()
        if trigger in _SIGNS_OF_LIFE:
            self.last_life = self.now()

    def change_training(self, trigger: Trigger, name: str, **facts: Any) -> None:
        """Takes the training of the session's model through one transition."""
        training = self.batch.training or Training()
        state = advance(training.state, trigger)
        self.emit(TrainingChanged, name=name, trigger=trigger, previous=training.state, state=state, **facts)

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
