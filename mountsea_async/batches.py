"""Many uploads to one account: the batch in one call, and sessions for those who add URLs as they come."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress

from .config import MAX_IN_FLIGHT
from .connection import Connection
from .errors import ConfigurationError, MountseaError
from .upload.budget import check_budget
from .upload.custom import CustomModelSession
from .upload.events import Event
from .upload.fields import check_concurrency
from .upload.inputs import Urls, check_journal, collect
from .upload.plan import JournalSettings
from .upload.report import BatchReport
from .upload.session import UploadSession
from .upload.settling import OnUnknown
from .wire.transport import pool_limit

__all__ = ["Batches", "journal_settings"]


class Batches(Connection):
    """The calls of a client that upload many files to one account."""

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
        max_credits: float | None = None,
        price_per_item: float | None = None,
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
            max_credits: Credits that the batch may cost, all runs of its journal together. A batch that would cost
                more is refused before anything is paid; while it runs no request is begun that would exceed it, and
                what is left is `not_submitted` with the reason `budget`. `await client.credits()` is what there is.
            price_per_item: Credits that an upload costs; the service tells no prices, so it goes with `max_credits`.

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
            max_credits=max_credits,
            price_per_item=price_per_item,
        )
        self._open_caller()
        # An iterator lets go of the entries once they were read: with thousands of them that counts.
        entries = iter(await session.read_first(urls))
        async with session:
            await session.run(entries)
        return session.report

    async def plan_batch(
        self,
        urls: Urls,
        *,
        journal: str | os.PathLike[str],
        keep_duplicates: bool = False,
        allow_private: bool = False,
        note: str = "",
    ) -> None:
        """Writes a batch down in a journal without beginning it: `resume_batch` uploads it, whenever and wherever.

        When this returns the batch is on disk. Nothing is sent, and nothing is paid.

        For docs.mountsea.ai/api-reference/suno/uploadSession.

        Args:
            urls: As in `upload_batch`, and so are the rest.
            journal: The path of a file that isn't there yet, or is empty.
            keep_duplicates: Upload a URL as often as it stands in `urls`.
            allow_private: Let loopback and private addresses pass, for tests.
            note: A text of yours that the journal keeps; the library never reads it.

        Raises:
            InputError: The batch is empty, or entries can't be uploaded, or their metadata can't be written.
            JournalMismatch: The file is another batch's journal, or none.
            JournalError: It can't be written.
        """
        from .upload.past import Binding  # noqa: PLC0415 - most clients keep no journal, and sqlite3 takes long to import
        from .upload.planned import write_plan  # noqa: PLC0415 - as above

        path, caller = check_journal(journal), self._open_caller()
        entries = await collect(urls, allow_private=allow_private)
        binding = Binding(caller.base_url, caller.fingerprint)
        await asyncio.to_thread(write_plan, path, binding, entries, keep_duplicates=keep_duplicates, note=note)

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
        sent; a request whose answer nobody has seen is not repeated. The journal of a `train_model` goes on to its
        model, and `report.training` says what became of it.

        Follows docs.mountsea.ai/api-reference/suno/uploadSession and .../customModel.

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
        session = self.resume_session(
            journal,
            concurrency=concurrency,
            deadline=deadline,
            on_event=on_event,
            on_unknown=on_unknown,
            retry_failed=retry_failed,
            accept_new_key=accept_new_key,
        )
        self._open_caller()
        await session.read_first(None)
        async with session:
            await session.run()
            with suppress(MountseaError):  # the report has it
                await session.finish_training()
        return session.report

    def resume_session(
        self,
        journal: str | os.PathLike[str],
        *,
        concurrency: int = 32,
        deadline: float | None = None,
        on_event: Callable[[Event], object] | None = None,
        on_unknown: OnUnknown = "hold",
        retry_failed: bool = False,
        accept_new_key: bool = False,
    ) -> CustomModelSession:
        """The session that `resume_batch` runs, whatever kind its journal is of, to be entered with `async with`.

        Args:
            journal: As in `resume_batch`, and so are the rest.
            concurrency: Requests in flight at once.
            deadline: Seconds from entering the session.
            on_event: Called with each event from now on.
            on_unknown: What to do after a request whose outcome isn't known.
            retry_failed: Send items that have failed again.
            accept_new_key: Let another key go on with the journal.

        Returns:
            A session that can do what either kind can; its `train` is for a custom model's journal only.
        """
        return CustomModelSession(
            self._open_caller,
            self._config,
            rng=self._rng,
            concurrency=self._checked_concurrency(concurrency),
            deadline=deadline,
            on_event=on_event,
            on_unknown=on_unknown,
            journal=journal_settings(journal, retry_failed=retry_failed, accept_new_key=accept_new_key),
            kind=None,
            observe=self._observe,
        )

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
        max_credits: float | None = None,
        price_per_item: float | None = None,
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
            max_credits: As in `upload_batch`.
            price_per_item: As in `upload_batch`.

        Raises:
            ConfigurationError: A setting is out of its range.
            ClientStateError: The client isn't open.
        """
        return UploadSession(
            self._open_caller,
            self._config,
            rng=self._rng,
            concurrency=self._checked_concurrency(concurrency),
            session_id=session_id,
            deadline=deadline,
            on_event=on_event,
            keep_duplicates=keep_duplicates,
            allow_private=allow_private,
            on_unknown=on_unknown,
            journal=journal_settings(journal, retry_failed=retry_failed, accept_new_key=accept_new_key),
            budget=check_budget(max_credits, price_per_item),
            observe=self._observe,
        )

    def _checked_concurrency(self, concurrency: int) -> int:
        limit = MAX_IN_FLIGHT if self._http is None else pool_limit(self._http)
        if isinstance(concurrency, int) and concurrency > limit < MAX_IN_FLIGHT:
            raise ConfigurationError(
                f"concurrency={concurrency}: the borrowed session's pool holds {limit:.0f} connections; raise the "
                "limit of its connector, or lower the concurrency"
            )
        return check_concurrency(concurrency, MAX_IN_FLIGHT)


def journal_settings(
    journal: str | os.PathLike[str] | None, *, retry_failed: bool, accept_new_key: bool
) -> JournalSettings | None:
    """How a session keeps its journal; None where it keeps none.

    Raises:
        ConfigurationError: A setting speaks of an earlier run, but there is no journal of one.
    """
    if journal is not None:
        return JournalSettings(path=check_journal(journal), retry_failed=retry_failed, accept_new_key=accept_new_key)
    for name, wanted in (("retry_failed", retry_failed), ("accept_new_key", accept_new_key)):
        if wanted:
            raise ConfigurationError(f"{name}=True speaks of an earlier run: give its journal=, or leave it out")
    return None
