"""The session manager: prepares a batch upload session, fans out, watches the clock, reconciles, reports.

Documentation: docs.mountsea.ai/api-reference/suno/uploadSession, .../uploadSessionItem, .../task.
"""

from __future__ import annotations

import asyncio
import inspect
import random
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Self

from ..config import ClientConfig
from ..errors import ClientStateError, ConfigurationError, InputError, MountseaError, NotSubmittedError
from ..models import Clip, SessionAudio, UploadItem
from ..wire.caller import Caller
from .batch import Item
from .closing import FinalCheck, watch
from .events import Event, ItemChanged, SessionClosed, SessionOpened
from .fanout import Fanout
from .inputs import Urls, check_deadline, check_entries, collect, warn_of_duplicates
from .lifecycle import ENDS, ItemState
from .record import Record
from .report import BatchReport, ItemReport, Stats
from .tasks import TaskHandle

__all__ = ["UploadSession"]


ADOPTED_AT_MOST = 100_000
"""Clips that an adopted session may hold: so long an answer is read."""


class UploadSession:
    """A batch upload session: everything uploaded through it lands on one account.

    Made by `MountseaClient.upload_session()`, whose docstring has the arguments. Enter it with `async with`;
    leaving it waits for what is in flight and checks it against the session's own list. Leaving it by an exception
    stops submitting and gives requests on their way `ClientConfig.shutdown` seconds for their answers.
    """

    _check: FinalCheck  # these two are there once it was entered
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
    ) -> None:
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
        loop = asyncio.get_running_loop()
        self._owner = asyncio.current_task()
        self._begin(loop.time())
        adopted = self._session_id is not None
        try:
            async with asyncio.timeout_at(self._deadline_at):
                self._session_id, earlier = await self._prepare(caller)
        except TimeoutError:
            raise NotSubmittedError("the deadline passed before there was a session", reason="deadline") from None
        record = Record(self._on_event)
        self._fanout = Fanout(caller, self._config, rng=self._rng, concurrency=self._concurrency, record=record)
        self._unlisten = caller.pace.listen(self._fanout.paused)
        record.emit(SessionOpened, session_id=self._session_id, adopted=adopted)
        self._check = FinalCheck(caller, self._config, self._fanout, self._session_id, earlier, self._deadline_at)
        self._watchdog = loop.create_task(watch(self._fanout, self._config, self._deadline_at))
        return self

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
        return await self._read(urls)

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
        await fanout.drain()
        self._leaving = True
        self._watchdog.cancel()
        await self._check.run()

    async def _wind_down(self, fanout: Fanout) -> None:
        self._leaving = True
        await fanout.wind_down("cancelled", self._config.shutdown)

    async def _close(self, fanout: Fanout) -> None:
        self._unlisten()
        self._watchdog.cancel()
        fanout.settle()
        self._check.stop()
        self._elapsed = fanout.record.now() - (self._begun or 0.0)
        fanout.record.emit(SessionClosed)
        fanout.record.log.close()
        await asyncio.wait([self._watchdog])
        await asyncio.sleep(0)  # lets `on_event` hear of the last events

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
        items = fanout.start(self.session_id, await self._collect(urls), keep_duplicates=self._keep_duplicates)
        try:
            await asyncio.shield(asyncio.gather(*fanout.tasks_of(items), return_exceptions=True))
        except asyncio.CancelledError:
            fanout.withdraw(items)
            raise
        if fanout.crash is not None:
            raise fanout.crash
        if not self._leaving:
            await self._check.run()
        return self.report

    async def _collect(self, urls: Urls) -> tuple[UploadItem, ...]:
        fanout = self._live_fanout()
        self._adding += 1
        try:
            entries = await self._read(urls)
            self._live_fanout()  # it may have been left meanwhile
        finally:
            self._adding -= 1
            fanout.record.log.wake()
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
        return fanout.start(self.session_id, entries, keep_duplicates=self._keep_duplicates)[0]

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
                yield fanout.batch.items[event.index].report()

    def _idle(self, fanout: Fanout) -> bool:
        return not self._adding and not fanout.batch.unfinished

    @property
    def report(self) -> BatchReport:
        """The session as it stands: at any time, after a cancel too."""
        fanout = self._fanout
        if fanout is None:
            return BatchReport(self._session_id, ())
        elapsed = fanout.record.now() - (self._begun or 0.0) if self._elapsed is None else self._elapsed
        return BatchReport(
            session_id=self._session_id,
            items=fanout.batch.reports(),
            reconciliation=self._check.verdict,
            stats=Stats(elapsed, fanout.submits, fanout.polls, fanout.poll_errors, fanout.pauses),
            stopped=fanout.stopped if fanout.batch.counts[ItemState.NOT_SUBMITTED] else None,
        )
