"""The session manager: prepares a batch upload session, fans out, watches the clock, reconciles, reports.

Documentation: docs.mountsea.ai/api-reference/suno/uploadSession, .../uploadSessionItem, .../task.
"""

from __future__ import annotations

import asyncio
import inspect
import random
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, get_args

import attrs

from ..config import ClientConfig
from ..errors import (
    ClientStateError,
    ConfigurationError,
    InputError,
    JournalError,
    MountseaError,
    NotSubmittedError,
)
from ..models import Clip, SessionAudio, UploadItem
from ..wire.caller import Caller
from .batch import Item
from .closing import watch
from .events import Event, ItemChanged, SessionClosed, SessionOpened
from .fanout import Fanout
from .inputs import Urls, check_deadline, check_entries, collect, warn_of_duplicates
from .lifecycle import ENDS
from .record import Record
from .report import BatchReport, ItemReport, Stats
from .settling import OnUnknown, Settling
from .tasks import TaskHandle

if TYPE_CHECKING:
    from .journal import Journal, Past

__all__ = ["JournalSettings", "UploadSession"]


@attrs.frozen(kw_only=True)
class JournalSettings:
    """How a session keeps its journal.

    Attributes:
        path: The file.
        accept_new_key: Whether another key may go on with it.
        retry_failed: Whether items that have failed in an earlier run are sent again.
    """

    path: Path
    accept_new_key: bool = False
    retry_failed: bool = False


ADOPTED_AT_MOST = 100_000
"""Clips that an adopted session may hold: so long an answer is read."""


class UploadSession:
    """A batch upload session: everything uploaded through it lands on one account.

    Made by `MountseaClient.upload_session()`, whose docstring has the arguments. Enter it with `async with`;
    leaving it waits for what is in flight and checks it against the session's own list. Leaving it by an exception
    stops submitting and gives requests on their way `ClientConfig.shutdown` seconds for their answers.
    """

    _settling: Settling  # these two are there once it was entered
    _watchdog: asyncio.Task[None]

    def __init__(
        self,
        caller: Callable[[], Caller],
        config: ClientConfig,
        *,
        rng: random.Random,
        concurrency: int,
        session_id: str | None = None,
        deadline: float | None = None,
        on_event: Callable[[Event], object] | None = None,
        keep_duplicates: bool = False,
        allow_private: bool = False,
        on_unknown: OnUnknown = "hold",
        journal: JournalSettings | None = None,
    ) -> None:
        if on_unknown not in get_args(OnUnknown):
            raise ConfigurationError(f"on_unknown={on_unknown!r}: give one of {', '.join(get_args(OnUnknown))}")
        if on_event is not None and (not callable(on_event) or inspect.iscoroutinefunction(on_event)):
            raise ConfigurationError("on_event: give a plain function; for async code iterate session.events()")
        if session_id is not None and (not isinstance(session_id, str) or not session_id.strip()):
            raise ConfigurationError(f"session_id={session_id!r}: give an id, or None for a new session")
        self._get_caller = caller
        self._config = config
        self._rng = rng
        self._concurrency = concurrency
        self._session_id = session_id
        self._seconds = check_deadline(deadline)
        self._on_event = on_event
        self._keep_duplicates = keep_duplicates
        self._allow_private = allow_private
        self._on_unknown: OnUnknown = on_unknown
        self._journal_settings = journal
        self._journal: Journal | None = None
        self._inputs: tuple[UploadItem, ...] | None = None
        self._fanout: Fanout | None = None
        self._owner: asyncio.Task[object] | None = None
        self._adding = 0
        self._leaving = False
        self._begun: float | None = None
        self._elapsed: float | None = None
        self._deadline_at: float | None = None
        self._unlisten: Callable[[], None] = lambda: None

    def __repr__(self) -> str:
        items = len(self._fanout.batch.items) if self._fanout else 0
        return f"UploadSession(session_id={self._session_id!r}, items={items})"

    async def __aenter__(self) -> Self:
        """Prepares the session, or looks up the one that is adopted.

        Raises:
            APIError: The service refuses: the key, the credits, no account, an unknown `session_id`.
            TransportError: The service could not be reached.
            NotSubmittedError: The deadline passed before there was a session.
        """
        if self._owner is not None:
            raise ClientStateError("a session is entered once: make another with client.upload_session()")
        caller = self._get_caller()
        self._owner = asyncio.current_task()
        self._begin(asyncio.get_running_loop().time())
        try:
            async with asyncio.timeout_at(self._deadline_at):
                await self._open(caller)
        except BaseException as error:
            await self._let_go_of_journal()
            if isinstance(error, TimeoutError):
                late = "the deadline passed before there was a session"
                raise NotSubmittedError(late, reason="deadline") from None
            raise
        return self

    async def _open(self, caller: Caller) -> None:
        """Puts together what a session is made of, and goes on with what a journal holds."""
        past = await self._open_journal(caller)
        record = Record(self._on_event, self._journal)
        if past is not None:
            past.put_into(record.batch)
            record.restore(past.events)
        batch = record.batch
        if batch.session_id is None:
            session_id, earlier = await self._prepare(caller)
            adopted = self._session_id is not None
        else:
            session_id, earlier, adopted = batch.session_id, batch.earlier, batch.adopted
        refused = batch.stopped
        fanout = Fanout(caller, self._config, rng=self._rng, concurrency=self._concurrency, record=record)
        self._settling = Settling(caller, self._config, fanout, self._on_unknown, self._deadline_at)
        fanout.submitter.on_hole = self._settling.open_hole
        self._session_id, self._fanout = session_id, fanout
        self._unlisten = caller.pace.listen(fanout.paused)
        if self._journal is not None:
            self._journal.on_failure = self._on_journal_failure
        record.emit(SessionOpened, session_id=session_id, adopted=adopted, earlier=earlier)
        if past is not None:
            await self._resume(fanout, refused)
        self._inputs = None
        self._watchdog = asyncio.get_running_loop().create_task(watch(fanout, self._config, self._deadline_at))

    async def _open_journal(self, caller: Caller) -> Past | None:
        if self._journal_settings is None:
            return None
        # Most batches keep no journal, and sqlite3 takes a while to import.
        from .journal import Binding, Journal  # noqa: PLC0415

        settings = self._journal_settings
        binding = Binding(caller.base_url, caller.fingerprint, settings.accept_new_key)
        self._journal, past = await Journal.open(
            settings.path, binding, self._inputs, keep_duplicates=self._keep_duplicates
        )
        return past

    async def _resume(self, fanout: Fanout, refused: str | None) -> None:
        settings = self._journal_settings
        again = settings is not None and settings.retry_failed and await self._settling.look()
        # Nothing is awaited from here on: what is put in flight has an owner before it can be cancelled.
        if refused is not None:
            # Whatever stopped the last run: one request finds out whether it still holds.
            fanout.submitter.gate.narrow()
        fanout.resume(keep_duplicates=self._keep_duplicates)
        if again:
            self._settling.retry_failed(keep_duplicates=self._keep_duplicates)

    def _on_journal_failure(self, error: JournalError) -> None:
        fanout = self._open_fanout()
        fanout.record.journal_failed(error)
        fanout.stop("journal", error)

    def _begin(self, now: float) -> None:
        if self._begun is None:
            self._begun, self._deadline_at = now, None if self._seconds is None else now + self._seconds

    async def read_first(self, urls: Urls) -> tuple[UploadItem, ...]:
        """Reads and checks a batch before there is a session; the deadline counts from here.

        Raises:
            InputError: The batch is empty, or entries can't be uploaded; nothing was sent.
            NotSubmittedError: The deadline passed before the batch was read to its end.
        """
        self._begin(asyncio.get_running_loop().time())
        entries = await self._read(urls)
        if self._journal_settings is not None:
            self._inputs = entries
            if not self._keep_duplicates:
                warn_of_duplicates(entries)
        return entries

    async def _read(self, urls: Urls) -> tuple[UploadItem, ...]:
        try:
            async with asyncio.timeout_at(self._deadline_at):
                return await collect(urls, allow_private=self._allow_private)
        except TimeoutError:
            if self._deadline_at is None or asyncio.get_running_loop().time() < self._deadline_at:
                raise  # the source's own
            raise NotSubmittedError("the deadline passed before all URLs were read", reason="deadline") from None

    async def _prepare(self, caller: Caller) -> tuple[str, tuple[str, ...]]:
        """The session's id, and the clips that it holds already."""
        if self._session_id is None:
            return await caller.prepare_session(), ()
        task = await caller.task(self._session_id, audio_ids=ADOPTED_AT_MOST)
        if not isinstance(task.data, SessionAudio):
            raise InputError(f"session_id={self._session_id!r} is a task, but no upload session")
        return self._session_id, task.data.audio_ids

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        fanout = self._open_fanout()
        try:
            if error is None:
                await self._finish(fanout)
        except asyncio.CancelledError:
            await self._wind_down(fanout)
            raise
        else:
            if error is not None:
                await self._wind_down(fanout)
        finally:
            await self._close(fanout)
        if error is None and fanout.crash is not None:
            raise fanout.crash

    async def _finish(self, fanout: Fanout) -> None:
        await asyncio.sleep(0)  # lets an upload that was just made a task begin
        while True:
            await fanout.drain()
            self._leaving = True
            await self._call_off_watch()
            await self._settling.check()
            if not fanout.busy:
                return
            # Something is sent again, on the caller's word.
            self._watchdog = asyncio.get_running_loop().create_task(watch(fanout, self._config, self._deadline_at))

    async def _call_off_watch(self) -> None:
        self._watchdog.cancel()
        await asyncio.wait([self._watchdog])

    async def _wind_down(self, fanout: Fanout) -> None:
        self._leaving = True
        await fanout.wind_down("cancelled", self._config.shutdown)

    async def _close(self, fanout: Fanout) -> None:
        self._unlisten()
        self._watchdog.cancel()
        fanout.settle()
        await self._settling.stop()
        self._elapsed = fanout.record.now() - (self._begun or 0.0)
        fanout.record.emit(SessionClosed)
        fanout.record.log.close()
        await asyncio.wait([self._watchdog])
        await self._let_go_of_journal()
        await asyncio.sleep(0)  # lets `on_event` hear of the last events

    async def _let_go_of_journal(self) -> None:
        """Writes what is left, whatever happens meanwhile: a cancel is let through afterwards."""
        if self._journal is None:
            return
        closing = asyncio.get_running_loop().create_task(self._journal.close())
        cancelled = False
        while not closing.done():
            try:
                await asyncio.wait([closing])
            except asyncio.CancelledError:
                cancelled = True
        if cancelled:
            raise asyncio.CancelledError
        closing.result()

    def _open_fanout(self) -> Fanout:
        if self._fanout is None:
            raise ClientStateError("the session isn't open: use it inside `async with client.upload_session()`")
        return self._fanout

    def _live_fanout(self) -> Fanout:
        fanout = self._open_fanout()
        if self._leaving:
            raise ClientStateError("the session is closed: open another, or adopt it with session_id=")
        fanout.record.check_loop()
        return fanout

    @property
    def session_id(self) -> str:
        """The service's id of the session.

        Raises:
            ClientStateError: The session isn't open yet.
        """
        self._open_fanout()
        assert self._session_id is not None  # noqa: S101 - set before the fan-out
        return self._session_id

    async def submit(self, entry: str | UploadItem) -> TaskHandle:
        """Submits one URL and returns as soon as the service has accepted it. The session polls it anyway.

        Args:
            entry: The URL, or an `UploadItem`.

        Returns:
            The task, which can also be asked for by itself.

        Raises:
            InputError: The URL can't be uploaded; nothing was sent.
            APIError: The service turned it away.
            UnknownOutcomeError: It may or may not have been accepted.
            NotSubmittedError: Submitting was stopped before its turn.
        """
        item = self._put(entry)
        await self._until(item, lambda: item.task_id is not None or item.ended)
        if item.task_id is None:
            raise item.error or MountseaError(f"item {item.index} ended {item.state}")
        return TaskHandle(item.task_id, self._get_caller, self._config.poll, self._rng)

    async def upload(self, entry: str | UploadItem) -> Clip:
        """Uploads one URL and waits for its clip. A cancel takes it back if it was not sent yet; else it goes on.

        A URL handed in again shares its earlier upload, unless that failed or was never submitted.

        Args:
            entry: The URL, or an `UploadItem`.

        Raises:
            InputError: The URL can't be uploaded; nothing was sent.
            TaskFailedError: The service failed the upload, or (`TaskTimedOutError`) let it time out.
            TaskPendingError: We stopped asking before it had ended; carries the `task_id`.
            MissingClipError: It succeeded without naming its clip.
            APIError: The service turned it away.
            UnknownOutcomeError: It may or may not have been accepted.
            NotSubmittedError: Submitting was stopped before its turn.
        """
        item = self._put(entry)
        await self._until(item, lambda: item.ended)
        if item.clip is None:
            raise item.error or MountseaError(f"item {item.index} ended {item.state}")
        return item.clip

    async def upload_all(self, urls: Urls) -> BatchReport:
        """Uploads many URLs in parallel and waits for all of them.

        Args:
            urls: Strings or `UploadItem`s, from any iterable or async iterable.

        Returns:
            The report of the whole session, whatever was put in flight before included. Failures are data.

        Raises:
            InputError: The batch is empty, or entries can't be uploaded; nothing of it was sent.
        """
        fanout = self._live_fanout()
        items = fanout.start(await self._collect(urls), keep_duplicates=self._keep_duplicates)
        await self._see_through(fanout, items)
        return self.report

    async def run(self, entries: Iterable[UploadItem] = ()) -> None:
        """Uploads what the journal holds, or the entries where there is none, and waits for all of it."""
        if self._journal is None:
            await self.upload_all(entries)
            return
        fanout = self._live_fanout()
        await self._see_through(fanout, fanout.batch.items)

    async def _see_through(self, fanout: Fanout, items: Sequence[Item]) -> None:
        """Waits for items, and for what the session's list says of them; what is sent again is waited for, too."""
        try:
            while True:
                await asyncio.shield(asyncio.gather(*fanout.tasks_of(items), return_exceptions=True))
                if self._leaving or fanout.crash is not None:
                    break
                await self._settling.check()
                if not fanout.tasks_of(items):
                    break
        except asyncio.CancelledError:
            fanout.withdraw(items)
            raise
        if fanout.crash is not None:
            raise fanout.crash

    async def _collect(self, urls: Urls) -> tuple[UploadItem, ...]:
        fanout = self._live_fanout()
        self._adding += 1
        try:
            entries = await self._read(urls)
            self._live_fanout()  # it may have been left meanwhile
        finally:
            self._adding -= 1
            fanout.record.log.wake()
        if self._journal is not None:
            self._journal.check(entries)
        if not self._keep_duplicates:
            warn_of_duplicates(entries)
        return entries

    def stop_submitting(self, reason: str = "stopped") -> None:
        """No more submits from here on; what was submitted goes on to its end.

        Args:
            reason: A short word for the report.
        """
        self._live_fanout().stop(reason)

    def _put(self, entry: str | UploadItem) -> Item:
        fanout = self._live_fanout()
        entries = check_entries([entry], allow_private=self._allow_private)
        if self._journal is not None:
            self._journal.check(entries)
        return fanout.start(entries, keep_duplicates=self._keep_duplicates)[0]

    async def _until(self, item: Item, reached: Callable[[], bool]) -> None:
        fanout = self._open_fanout()
        try:
            await fanout.record.until(item, reached)
        except asyncio.CancelledError:
            fanout.withdraw([item])
            raise

    async def events(self) -> AsyncIterator[Event]:
        """Every event of the session, from the first on; any number of readers, whenever they come.

        Ends when the session has closed, so await its reader outside the session's block, not inside. In the task
        that opened the session, which can't close it meanwhile, it ends when nothing is in flight.
        """
        fanout = self._open_fanout()
        owner = asyncio.current_task() is self._owner
        await asyncio.sleep(0)  # lets an `upload_all` that was just made a task begin
        async for event in fanout.record.log.read(lambda: owner and self._idle(fanout)):
            yield event

    async def as_completed(self) -> AsyncIterator[ItemReport]:
        """The items in the order in which they end, those that have ended before included.

        Ends when nothing is in flight.
        """
        fanout = self._open_fanout()
        await asyncio.sleep(0)  # as above
        async for event in fanout.record.log.read(lambda: self._idle(fanout)):
            if isinstance(event, ItemChanged) and event.state in ENDS:
                item = fanout.batch.items[event.index]
                if item.last == event.seq:  # it may have been sent again since
                    yield item.report(fanout.batch.verdict()[1])

    def _idle(self, fanout: Fanout) -> bool:
        return not self._adding and not fanout.batch.unfinished

    @property
    def report(self) -> BatchReport:
        """The session as it stands: at any time, after a cancel too."""
        fanout = self._fanout
        if fanout is None:
            return BatchReport(self._session_id, ())
        elapsed = fanout.record.now() - (self._begun or 0.0) if self._elapsed is None else self._elapsed
        stats = Stats(elapsed, fanout.submitter.submits, fanout.polls, fanout.poll_errors, fanout.pauses)
        return fanout.batch.report(stats, None if self._journal is None else self._journal.failure)
