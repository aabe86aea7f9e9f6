"""`MountseaClient`: one method an endpoint, `upload_batch` on top."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from .config import MAX_IN_FLIGHT, ClientConfig
from .environment import checked_base_url, checked_key
from .errors import ClientStateError, ConfigurationError, InputError
from .models import Clip
from .upload.events import Event
from .upload.inputs import Urls, check_concurrency, check_entries, check_journal, check_path, encode_payload
from .upload.report import BatchReport
from .upload.run import JournalSettings
from .upload.session import UploadSession
from .upload.settling import OnUnknown
from .upload.tasks import TaskHandle, clip_of
from .wire import endpoints
from .wire.caller import Caller, Unwatched
from .wire.endpoints import Request
from .wire.pacing import Pace
from .wire.transport import Transport, pool_limit

if TYPE_CHECKING:
    import aiohttp

__all__ = ["MountseaClient"]


class MountseaClient:
    """A client of Mountsea's Suno upload service.

    Use it as `async with MountseaClient() as client`. It may be constructed anywhere; it is used in the event loop
    in which it was entered. One client serves any number of coroutines and batches at once.

    Args:
        api_key: The key. None: the environment's `MOUNTSEA_API_KEY`.
        base_url: Where the service is. None: the environment's `MOUNTSEA_BASE_URL`, or https://api.mountsea.ai.
        http: An `aiohttp.ClientSession` to borrow; it is never closed, and its redirects, middlewares and
            `raise_for_status` are not used. Its pool must hold the concurrency of the batches.
        config: Timeouts, retries, polling and the like.
        pace: Clients with the same key can share one, so that a "too many requests" to one pauses all.

    Raises:
        ConfigurationError: No key, a key that can't be sent, a base URL that isn't one, plain http to another
            machine.
    """

    def __init__(
        self,
        api_key: str | None = None,
        *,
        base_url: str | None = None,
        http: aiohttp.ClientSession | None = None,
        config: ClientConfig | None = None,
        pace: Pace | None = None,
    ) -> None:
        self._config = config or ClientConfig()
        self._api_key = checked_key(api_key)
        self._base_url = checked_base_url(base_url, allow_http=self._config.allow_http)
        self._http = http
        self._rng = random.Random()  # noqa: S311 - jitter
        self._pace = pace
        self._caller: Caller | None = None
        self._transport: Transport | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False

    def __repr__(self) -> str:
        return f"MountseaClient(base_url={self._base_url!r})"

    async def __aenter__(self) -> Self:
        """Opens the client in the running event loop.

        Raises:
            ClientStateError: It is open already.
            ConfigurationError: The borrowed session has no room for a request.
        """
        if self._caller is not None:
            raise ClientStateError("this client is open already: enter it once and share it")
        config = self._config
        pace = self._pace or Pace(
            self._room(), rate=config.rate, max_retry_after=config.retry.max_retry_after, rng=self._rng
        )
        if pace.limit > self._room():
            raise ConfigurationError(
                f"the borrowed session's pool holds {self._room()} connections, fewer than the pace's {pace.limit}: "
                f"raise the limit of its connector, or give Pace(limit={self._room()})"
            )
        self._transport = Transport(self._api_key, self._base_url, self._config, pace.limit, self._http)
        await self._transport.open()
        self._loop = asyncio.get_running_loop()
        self._caller = Caller(self._transport, pace, config.retry, self._rng, config.json_loads)
        self._closed = False
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes the connections that the client opened. A borrowed session stays open."""
        self._caller, self._closed = None, True
        if self._transport is not None:
            await self._transport.close()

    def _room(self) -> int:
        return MAX_IN_FLIGHT if self._http is None else int(min(MAX_IN_FLIGHT, pool_limit(self._http)))

    def _open_caller(self) -> Caller:
        if self._caller is None:
            state = "is closed" if self._closed else "isn't open yet"
            raise ClientStateError(f"the client {state}: use it inside `async with MountseaClient() as client:`")
        if asyncio.get_running_loop() is not self._loop:
            raise ClientStateError(
                "the client was opened in another event loop: open one client in each loop, and not before it runs"
            )
        return self._caller

    # -------------------------------------------------------------------------------------------------- batches
    async def upload_batch(
        self,
        urls: Urls,
        *,
        concurrency: int = 32,
        deadline: float | None = None,
        on_event: Callable[[Event], object] | None = None,
        session_id: str | None = None,
        keep_duplicates: bool = False,
        allow_private: bool = False,
        on_unknown: OnUnknown = "hold",
        journal: str | os.PathLike[str] | None = None,
        retry_failed: bool = False,
        accept_new_key: bool = False,
    ) -> BatchReport:
        """Uploads URLs to one account, in parallel, and waits for all of them. The whole job in one call.

        Nothing is ever paid for twice by itself: a request whose outcome isn't known is not repeated, its item ends
        `unknown`. What becomes of single items is data, in the report; see `BatchReport.raise_for_failures()`.

        Follows docs.mountsea.ai/api-reference/suno/uploadSession.

        Args:
            urls: Strings or `UploadItem`s, from any iterable or async iterable; read to its end before anything is
                sent. Public http or https URLs that the service can download from.
            concurrency: Requests in flight at once, submits and polls together (1 to 100). A sixteenth of them,
                at least one, is kept for polls; with 1, a submit and a poll may be in flight.
            deadline: Seconds from now. Then nothing more is submitted or asked; None: until all have ended, or
                nothing has shown a sign of life for `PollPolicy.stall`.
            on_event: A plain function, called with each event in the event loop; must not block. What it raises is
                logged.
            session_id: Upload to an existing session instead of preparing one.
            keep_duplicates: Upload a URL as often as it stands in `urls`, instead of once.
            allow_private: Let loopback and private addresses pass, for tests.
            on_unknown: What to do after a request whose outcome isn't known; it is never sent again by itself. "hold":
                submits pause until it is settled, 300 s at most, then go one at a time until eight in a row were
                accepted, so that clips which appear in the session's list can be told apart. "continue": go on at
                full speed. "resubmit": as "hold", and what has stayed absent for the settle time
                (`ClientConfig.settle`) is sent again, which may pay for it twice; the report counts that in
                `resubmits`.
            journal: The path of a file in which everything is written down before it is relied on. Called again with
                the same path and the same URLs, the batch goes on where it stopped, whatever ended the first run. It
                holds the URLs with their queries, so only its owner can read it. None keeps the batch in memory.
            retry_failed: Where the journal holds items that have failed in an earlier run, send them again.
            accept_new_key: Let another key, or another base URL, go on with the journal.

        Returns:
            The report, one item for each entry, in input order.

        Raises:
            UsageError: The input, a setting or the client's state is at fault; nothing was sent.
            JournalBusy: Another process, or another batch of this one, works on the journal; nothing was sent.
            JournalMismatch: The journal belongs to other inputs or another key, or is none; nothing was sent.
            JournalError: The journal can't be read or made; nothing was sent. If it fails later, submitting stops and
                the report's `journal_error` says why.
            AuthenticationError: The key was refused for the session; nothing was paid.
            InsufficientCreditsError: No credits for the session; nothing was paid.
            APIError: The service would not prepare a session; nothing was paid.
            TransportError: The service could not be reached; nothing was paid.
            NotSubmittedError: The deadline passed before there was a session; nothing was paid.
        """
        session = self.upload_session(
            session_id=session_id,
            concurrency=concurrency,
            deadline=deadline,
            on_event=on_event,
            keep_duplicates=keep_duplicates,
            allow_private=allow_private,
            on_unknown=on_unknown,
            journal=journal,
            retry_failed=retry_failed,
            accept_new_key=accept_new_key,
        )
        self._open_caller()
        # An iterator lets go of the entries once they were read: with thousands of them that counts.
        entries = iter(await session.read_first(urls))
        async with session:
            await session.run(entries)
        return session.report

    async def resume_batch(
        self,
        journal: str | os.PathLike[str],
        *,
        concurrency: int = 32,
        deadline: float | None = None,
        on_event: Callable[[Event], object] | None = None,
        on_unknown: OnUnknown = "hold",
        retry_failed: bool = False,
        accept_new_key: bool = False,
    ) -> BatchReport:
        """Goes on with a batch where its journal says that it stopped; the inputs come from the journal.

        What has ended well isn't asked for again, what was accepted is followed to its end, what was never sent is
        sent; a request whose answer nobody has seen is not repeated.

        Follows docs.mountsea.ai/api-reference/suno/uploadSession.

        Args:
            journal: The path that `upload_batch` or `upload_session` was given.
            concurrency: As in `upload_batch`, and so are the rest.
            deadline: Seconds from now.
            on_event: Called with each event from now on.
            on_unknown: What to do after a request whose outcome isn't known.
            retry_failed: Send items that have failed again.
            accept_new_key: Let another key go on with the journal.

        Raises:
            JournalBusy: Somebody else works on it.
            JournalMismatch: It belongs to another key or another service, or is no journal.
            JournalError: It doesn't exist, can't be read or can't be written, or holds nothing to upload.
            APIError: The service refuses the session.
            TransportError: The service could not be reached.
        """
        session = self.upload_session(
            concurrency=concurrency,
            deadline=deadline,
            on_event=on_event,
            on_unknown=on_unknown,
            journal=journal,
            retry_failed=retry_failed,
            accept_new_key=accept_new_key,
        )
        self._open_caller()
        await session.read_first(None)
        async with session:
            await session.run()
        return session.report

    def upload_session(
        self,
        session_id: str | None = None,
        *,
        concurrency: int = 32,
        deadline: float | None = None,
        on_event: Callable[[Event], object] | None = None,
        keep_duplicates: bool = False,
        allow_private: bool = False,
        on_unknown: OnUnknown = "hold",
        journal: str | os.PathLike[str] | None = None,
        retry_failed: bool = False,
        accept_new_key: bool = False,
    ) -> UploadSession:
        """A batch upload session to be entered with `async with`, for those who add URLs as they come.

        Follows docs.mountsea.ai/api-reference/suno/uploadSession and .../uploadSessionItem.

        Args:
            session_id: An existing session to adopt. None prepares a new one.
            concurrency: As in `upload_batch`, and so are the rest.
            deadline: Seconds from entering the session.
            on_event: Called with each event.
            keep_duplicates: Upload a URL as often as it is handed in.
            allow_private: Let loopback and private addresses pass, for tests.
            on_unknown: As in `upload_batch`.
            journal: As in `upload_batch`, but the URLs may be any: entering the session goes on with what the journal
                holds, and a URL of it that is handed in again shares its earlier upload.
            retry_failed: As in `upload_batch`.
            accept_new_key: As in `upload_batch`.

        Raises:
            ConfigurationError: A setting is out of its range.
            ClientStateError: The client isn't open.
        """
        limit = MAX_IN_FLIGHT if self._http is None else pool_limit(self._http)
        if isinstance(concurrency, int) and concurrency > limit < MAX_IN_FLIGHT:
            raise ConfigurationError(
                f"concurrency={concurrency}: the borrowed session's pool holds {limit:.0f} connections; raise the "
                "limit of its connector, or lower the concurrency"
            )
        return UploadSession(
            self._open_caller,
            self._config,
            rng=self._rng,
            concurrency=check_concurrency(concurrency, MAX_IN_FLIGHT),
            session_id=session_id,
            deadline=deadline,
            on_event=on_event,
            keep_duplicates=keep_duplicates,
            allow_private=allow_private,
            on_unknown=on_unknown,
            journal=_journal_settings(journal, retry_failed=retry_failed, accept_new_key=accept_new_key),
        )

    # ------------------------------------------------------------------------------------------------ single tasks
    async def upload(self, audio_url: str, *, deadline: float | None = None, allow_private: bool = False) -> Clip:
        """Uploads one URL by itself. The account may differ from call to call: clips that are to be used together
        belong in one `upload_batch` or `upload_session`.

        Follows docs.mountsea.ai/api-reference/suno/upload.

        Args:
            audio_url: A public http or https URL.
            deadline: Seconds to wait for the clip, once it was accepted.
            allow_private: Let loopback and private addresses pass, for tests.

        Raises:
            InputError: The URL can't be uploaded; nothing was sent.
            TaskFailedError: The service failed the upload, or (`TaskTimedOutError`) let it time out.
            TaskPendingError: We stopped asking before it had ended; carries the `task_id`.
            MissingClipError: It succeeded without naming its clip.
            APIError: The service turned it away.
            NotSentError: The service could not be reached; nothing was paid.
            UnknownOutcomeError: It may or may not have been accepted.
        """
        handle = await self.submit_upload(audio_url, allow_private=allow_private)
        return clip_of(await handle.wait(deadline=deadline))

    async def submit_upload(self, audio_url: str, *, allow_private: bool = False) -> TaskHandle:
        """Submits one URL by itself, as `upload` does, and doesn't wait for its clip.

        Follows docs.mountsea.ai/api-reference/suno/upload.

        Args:
            audio_url: A public http or https URL.
            allow_private: Let loopback and private addresses pass, for tests.

        Returns:
            The handle of its task; when that has ended with `success`, its `clip` is there.

        Raises:
            InputError: The URL can't be uploaded; nothing was sent.
            APIError: The service turned it away.
            NotSentError: The service could not be reached; nothing was paid.
            UnknownOutcomeError: It may or may not have been accepted.
        """
        (item,) = check_entries([audio_url], allow_private=allow_private)
        return await self._submit(endpoints.upload_audio(item.audio_url))

    async def submit(self, path: str, payload: Mapping[str, Any]) -> TaskHandle:
        """Calls an asynchronous endpoint that has no method of its own here: one that answers with a `taskId`.

        It may cost credits, so it is sent again only where it provably was not processed.

        Args:
            path: The endpoint below the base URL, such as `/suno/v2/lyrics`.
            payload: The body, as values that JSON has. Send the fields only that the endpoint's page names.

        Raises:
            InputError: The path or the payload can't be sent; nothing was.
            APIError: The service turned it away.
            NotSentError: The service could not be reached; nothing was paid.
            UnknownOutcomeError: It may or may not have been accepted.
        """
        return await self._submit(endpoints.submit(check_path(path), encode_payload(payload)))

    async def _submit(self, request: Request) -> TaskHandle:
        return self.task(await self._open_caller().submit(Unwatched(request)))

    def task(self, task_id: str) -> TaskHandle:
        """A handle on a task, from its id. Asks nothing yet.

        Args:
            task_id: A task's id, or a session's.

        Raises:
            InputError: It isn't an id.
        """
        if not isinstance(task_id, str) or not task_id.strip() or not task_id.isprintable():
            raise InputError(f"task_id={task_id!r}: give the id that the service answered with")
        return TaskHandle(task_id.strip(), self._open_caller, self._config.poll, self._rng)


def _journal_settings(
    journal: str | os.PathLike[str] | None, *, retry_failed: bool, accept_new_key: bool
) -> JournalSettings | None:
    if journal is not None:
        return JournalSettings(path=check_journal(journal), retry_failed=retry_failed, accept_new_key=accept_new_key)
    for name, wanted in (("retry_failed", retry_failed), ("accept_new_key", accept_new_key)):
        if wanted:
            raise ConfigurationError(f"{name}=True speaks of an earlier run: give its journal=, or leave it out")
    return None
