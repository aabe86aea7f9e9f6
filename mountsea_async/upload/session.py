"""The session manager: prepares a batch upload session, fans out, watches the clock, reconciles, reports.

Documentation: docs.mountsea.ai/api-reference/suno/uploadSession, .../uploadSessionItem, .../task.
"""

from __future__ import annotations

import asyncio
import inspect
import random
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Self, get_args

import attrs

from ..config import ClientConfig
from ..errors import ClientStateError, ConfigurationError, JournalError, MountseaError, NotSubmittedError
from ..models import Clip, UploadItem
from ..wire.caller import Caller
from .batch import Item
from .budget import Budget
from .events import Event, Observer
from .fields import check_deadline
from .inputs import Urls, check_entries, collect, warn_of_duplicates
from .kinds import UPLOAD, SessionKind
from .plan import JournalSettings, Plan
from .reading import SessionReading
from .report import BatchReport
from .run import Run
from .settling import OnUnknown
from .tasks import TaskHandle, data_of

__all__ = ["UploadSession"]


class UploadSession(SessionReading):
    """A batch upload session: everything uploaded through it lands on one account.

    Made by `MountseaClient.upload_session()`, whose docstring has the arguments. Enter it with `async with`;
    leaving it waits for what is in flight and checks it against the session's own list. Leaving it by an exception
    stops submitting and gives requests on their way `ClientConfig.shutdown` seconds for their answers.
    """

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
        budget: Budget | None = None,
        kind: SessionKind | None = UPLOAD,
        model: tuple[str, int] | None = None,
        observe: Observer | None = None,
    ) -> None:
        if on_unknown not in get_args(OnUnknown):
            raise ConfigurationError(f"on_unknown={on_unknown!r}: give one of {', '.join(get_args(OnUnknown))}")
        if on_event is not None and (not callable(on_event) or inspect.iscoroutinefunction(on_event)):
            raise ConfigurationError("on_event: give a plain function; for async code iterate session.events()")
        if session_id is not None and (not isinstance(session_id, str) or not session_id.strip()):
            raise ConfigurationError(f"session_id={session_id!r}: give an id, or None for a new session")
        self._get_caller = caller
        self._plan = Plan(
            config=config,
            rng=rng,
            concurrency=concurrency,
            session_id=session_id,
            on_event=on_event,
            keep_duplicates=keep_duplicates,
            on_unknown=on_unknown,
            journal=journal,
            kind=kind,
            model=model,
            budget=budget,
            observe=observe,
        )
        self._allow_private = allow_private
        self._seconds = check_deadline(deadline)
        self._begun: float | None = None
        self._deadline_at: float | None = None
        self._inputs: tuple[UploadItem, ...] | None = None
        self._owner: asyncio.Task[object] | None = None
        self._run: Run | None = None
        self._adding = 0

    def __repr__(self) -> str:
        name = type(self).__name__
        if self._run is None:
            return f"{name}(session_id={self._plan.session_id!r}, items=0)"
        return f"{name}(session_id={self._run.session_id!r}, items={len(self._run.record.batch.items)})"

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
        run = Run(caller, self._plan, self._begin(), self._deadline_at)
        try:
            async with asyncio.timeout_at(self._deadline_at):
                await run.open(self._inputs)
        except TimeoutError:
            raise NotSubmittedError("the deadline passed before there was a session", reason="deadline") from None
        self._run, self._inputs = run, None
        return self

    def _begin(self) -> float:
        """Loop time from which the deadline counts."""
        if self._begun is None:
            self._begun = asyncio.get_running_loop().time()
            self._deadline_at = None if self._seconds is None else self._begun + self._seconds
        return self._begun

    async def read_first(self, urls: Urls | None) -> tuple[UploadItem, ...]:
        """Reads and checks a batch before there is a session; the deadline counts from here.

        Args:
            urls: The batch; None: the one that the journal holds, which must be there.

        Raises:
            InputError: The batch is empty, or entries can't be uploaded; nothing was sent.
            JournalError: There is no such journal.
            NotSubmittedError: The deadline passed before the batch was read to its end.
        """
        self._begin()
        if urls is None:
            await self._expect_journal()
            return ()
        entries = await self._read(urls)
        if self._plan.budget is not None:
            self._plan.budget.check(self._plan.uploads_in(entries))
        if self._plan.journal is not None:
            self._inputs = entries
            if not self._plan.keep_duplicates:
                warn_of_duplicates(entries)
        return entries

    async def _expect_journal(self) -> None:
        settings = self._plan.journal
        if settings is None or not await asyncio.to_thread(settings.path.is_file):
            path = "" if settings is None else str(settings.path)
            raise JournalError(f"journal {path} doesn't exist: upload_batch(urls, journal=...) makes it", path=path)
        self._plan = attrs.evolve(self._plan, journal=attrs.evolve(settings, must_exist=True))

    async def _read(self, urls: Urls) -> tuple[UploadItem, ...]:
        try:
            async with asyncio.timeout_at(self._deadline_at):
                return await collect(urls, allow_private=self._allow_private)
        except TimeoutError:
            if self._deadline_at is None or asyncio.get_running_loop().time() < self._deadline_at:
                raise  # the source's own
            raise NotSubmittedError("the deadline passed before all URLs were read", reason="deadline") from None

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        run = self._entered()
        try:
            if error is None:
                await run.finish()
        except BaseException:
            await run.wind_down()
            raise
        else:
            if error is not None:
                await run.wind_down()
        finally:
            await run.close()
        if error is None and run.fanout.crash is not None:
            raise run.fanout.crash

    def _live(self) -> Run:
        run = self._entered()
        if run.leaving:
            raise ClientStateError("the session is closed: open another, or adopt it with session_id=")
        run.record.check_loop()
        return run

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
        return TaskHandle(item.task_id, self._get_caller, self._plan.config.poll, self._plan.rng, holds=data_of)

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
        self._entered().fanout.turns.stream()  # this very clip is waited for
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
        run = self._live()
        await run.see_through(run.start(await self._collect(urls)))
        return self.report

    async def run(self, entries: Iterable[UploadItem] = ()) -> None:
        """Uploads what the journal holds, or the entries where there is none, and waits for all of it."""
        run = self._live()
        if self._plan.journal is None:
            await self.upload_all(entries)
        else:
            await run.see_through(run.record.batch.items)

    async def _collect(self, urls: Urls) -> tuple[UploadItem, ...]:
        run = self._live()
        self._adding += 1
        try:
            entries = await self._read(urls)
            self._live()  # it may have been left meanwhile
        finally:
            self._adding -= 1
            run.record.log.wake()
        run.check(entries)
        if not self._plan.keep_duplicates:
            warn_of_duplicates(entries)
        return entries

    def stop_submitting(self, reason: str = "stopped") -> None:
        """No more submits from here on; what was submitted goes on to its end.

        Args:
            reason: A short word for the report.
        """
        self._live().fanout.stop(reason)

    def _put(self, entry: str | UploadItem) -> Item:
        run = self._live()
        entries = check_entries([entry], allow_private=self._allow_private)
        run.check(entries)
        return run.start(entries)[0]

    async def _until(self, item: Item, reached: Callable[[], bool]) -> None:
        run = self._entered()
        try:
            await run.record.until(item, reached)
        except asyncio.CancelledError:
            run.fanout.withdraw([item])
            raise

    async def annotate(self, note: str) -> None:
        """Writes a note into the journal, in the place of the one before; it is on disk when this returns.

        Args:
            note: Any text; the library itself never reads it.

        Raises:
            JournalError: It can't be written.
        """
        await self._live().annotate(note)
