"""One run of a session, from opening it to letting go of everything: what a `UploadSession` is made of.

Puts the rooms together: record and journal, fan-out, settling, the clock. Public calls are in `session.py`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ClientStateError, InputError, JournalError, JournalMismatch
from ..models import SessionAudio, UploadItem
from ..wire import decode
from ..wire.caller import Caller
from .batch import Batch, Item
from .closing import watch
from .events import Event, SessionClosed, SessionOpened, SessionPlanned
from .fanout import Fanout
from .kinds import CUSTOM_MODEL, UPLOAD, SessionKind
from .plan import Plan
from .record import Record
from .report import BatchReport, Stats
from .settling import Settling
from .unbroken import to_the_end
from .unlisted import Unlisted

if TYPE_CHECKING:
    from .journal import Journal
    from .past import Past

__all__ = ["Run"]

ADOPTED_AT_MOST = 100_000
"""Clips that an adopted session may hold: so long an answer is read."""


class Run:
    """What goes on in a session between entering and leaving it.

    Args:
        caller: The door to the service.
        plan: How it is to be run.
        begun: Loop time from which it counts.
        deadline_at: Loop time at which it is to stop; None for no deadline.

    Attributes:
        leaving: Whether it takes in nothing more.
    """

    record: Record  # these six are there once it was opened
    fanout: Fanout
    settling: Settling | Unlisted
    kind: SessionKind
    session_id: str
    _watchdog: asyncio.Task[None]

    def __init__(self, caller: Caller, plan: Plan, begun: float, deadline_at: float | None) -> None:
        self._caller = caller
        self._plan = plan
        self._begun = begun
        self._deadline_at = deadline_at
        self._journal: Journal | None = None
        self._elapsed: float | None = None
        self._unlisten: Callable[[], None] = lambda: None
        self._opened = False
        self.leaving = False

    # -------------------------------------------------------------------------------------------------- opening
    async def open(self, inputs: Sequence[UploadItem] | None) -> None:
        """Prepares the session, or goes on with the one that the journal holds.

        Args:
            inputs: The entries of a batch that keeps a journal; None: whatever the journal holds.

        Raises:
            InputError, JournalError: As `MountseaClient.upload_batch` says.
            APIError, TransportError: There is no session.
        """
        try:
            past = await self._open_journal(inputs)
            self.record = record = Record(self._plan.on_event, self._journal, self._plan.observe)
            if past is not None:
                self._restore(past)
            elif self._plan.kind is CUSTOM_MODEL:
                record.emit(SessionPlanned, kind=CUSTOM_MODEL.word, **self._plan.planned())
            self.kind = self._checked_kind(record.batch)
            refused = record.batch.stopped
            await self._open_session(record.batch)
            await self._go_on(resumed=past is not None, refused=refused)
        except BaseException:
            self._unlisten()
            if self._opened:
                self.record.emit(SessionClosed)  # whoever heard of its beginning hears of its end
            await self._let_go_of_journal()
            raise
        self._watchdog = self._watch()

    def _checked_kind(self, batch: Batch) -> SessionKind:
        """The kind of session that it is, by the journal where there is one.

        Raises:
            JournalMismatch: The journal is that of another kind, or of another model.
        """
        plan, path = self._plan, str(self._plan.journal.path) if self._plan.journal else ""
        held = CUSTOM_MODEL if batch.kind == CUSTOM_MODEL.word else UPLOAD
        if plan.kind not in (None, held):
            words = "a custom model: use train_model or custom_model_session"
            words = words if held is CUSTOM_MODEL else "a batch upload: use upload_batch or upload_session"
            raise JournalMismatch(f"journal {path} is that of {words}, or name another journal", path=path)
        name = None if batch.training is None else batch.training.name
        if name is not None and plan.model is not None and name != plan.model[0]:
            said = f"journal {path} is that of model {name!r}, not {plan.model[0]!r}: name another journal"
            raise JournalMismatch(said, path=path)
        return held

    def _restore(self, past: Past) -> None:
        from .past import undamaged  # noqa: PLC0415 - as below

        settings = self._plan.journal
        with undamaged(settings.path if settings is not None else Path()):
            past.put_into(self.record.batch)
            self.record.restore(past.events)

    async def _open_journal(self, inputs: Sequence[UploadItem] | None) -> Past | None:
        settings = self._plan.journal
        if settings is None:
            return None
        # Most batches keep no journal, and sqlite3 takes a while to import.
        from .journal import Journal  # noqa: PLC0415
        from .past import Binding  # noqa: PLC0415

        binding = Binding(self._caller.base_url, self._caller.fingerprint, settings.accept_new_key)
        self._journal, past = await Journal.open(
            settings.path,
            binding,
            inputs,
            keep_duplicates=self._plan.keep_duplicates,
            must_exist=settings.must_exist,
            opening=self._opening(),
        )
        self._journal.on_failure = self._on_journal_failure
        return past

    def _opening(self) -> tuple[Event, ...]:
        """What a new journal begins with: whoever goes on with it must know from its first byte what it is for."""
        if self._plan.kind is not CUSTOM_MODEL:
            return ()
        return (SessionPlanned(0, time.time(), CUSTOM_MODEL.word, **self._plan.planned()),)

    def _on_journal_failure(self, error: JournalError) -> None:
        self.record.journal_failed(error)
        self.fanout.stop("journal", error)

    async def _open_session(self, batch: Batch) -> None:
        plan, known = self._plan, batch.session_id
        if known is not None and plan.session_id not in (None, known):
            path = str(plan.journal.path) if plan.journal else ""
            raise JournalMismatch(
                f"journal {path} belongs to session {known}, not {plan.session_id}: leave session_id out, or name "
                "another journal",
                path=path,
            )
        if known is None:
            self.session_id, earlier = await self._prepare()
            adopted = plan.session_id is not None
        else:
            self.session_id, earlier, adopted = known, batch.earlier, batch.adopted
        self.fanout = Fanout(
            self._caller,
            plan.config,
            rng=plan.rng,
            concurrency=plan.concurrency,
            record=self.record,
            kind=self.kind,
            budget=plan.budget,
        )
        if self.kind.lists:
            self.settling = Settling(self._caller, plan.config, self.fanout, plan.on_unknown, self._deadline_at)
        else:
            self.settling = Unlisted(self.fanout, plan.on_unknown)
        self.fanout.submitter.on_hole = self.settling.open_hole
        self.fanout.turns.read = self.settling.glimpse
        if plan.on_event is not None or self._deadline_at is not None:
            self.fanout.turns.stream()  # at a deadline nothing that has landed should be unknown
        self._unlisten = self._caller.pace.listen(self.fanout.paused)
        self.record.emit(SessionOpened, session_id=self.session_id, adopted=adopted, earlier=earlier)
        self._opened = True

    async def _prepare(self) -> tuple[str, tuple[str, ...]]:
        """The session's id, and the clips that it holds already."""
        session_id = self._plan.session_id
        if session_id is None:
            return await self._caller.ask(self.kind.prepare(), decode.session_id), ()
        if not self.kind.lists:
            return session_id, ()
        task = await self._caller.task(session_id, audio_ids=ADOPTED_AT_MOST)
        if not isinstance(task.data, SessionAudio):
            raise InputError(f"session_id={session_id!r} is a task, but no upload session")
        return session_id, task.data.audio_ids

    async def _go_on(self, *, resumed: bool, refused: str | None) -> None:
        settings = self._plan.journal
        if not resumed or settings is None:
            return
        read = (settings.retry_failed or self._plan.on_unknown == "resubmit") and await self.settling.look()
        # Nothing is awaited from here on: what is put in flight has an owner before it can be cancelled.
        if refused is not None:
            # Whatever stopped the last run: one request finds out whether it still holds.
            self.fanout.submitter.gate.narrow()
        self.fanout.resume()
        if read:
            self.settling.submit_again(failed=settings.retry_failed)

    # -------------------------------------------------------------------------------------------------- running
    def check(self, entries: Sequence[UploadItem]) -> None:
        """Makes sure that the journal can hold entries, and that they can be paid for.

        Raises:
            InputError: It can't, or they can't.
        """
        if self._journal is not None:
            self._journal.check(entries)
        if self._plan.budget is not None:
            self._plan.budget.check(self._plan.uploads_in(entries), self.record.batch.requests)

    async def annotate(self, note: str) -> None:
        """Puts another note in the place of the journal's; durable when it returns, and so is all before it."""
        if self._journal is not None:
            await self._journal.flush()
            if self.leaving:
                raise ClientStateError("the session is closed: its journal takes in nothing more")
            await self._journal.annotate(note)

    def start(self, entries: Sequence[UploadItem]) -> list[Item]:
        """Puts entries in flight."""
        return self.fanout.start(entries, keep_duplicates=self._plan.keep_duplicates)

    def consumed(self) -> None:
        """Somebody reads the items as they land. Who comes after the first of them has ended reads of the past."""
        if not self.record.batch.uploads_ended:
            self.fanout.turns.stream()

    async def see_through(self, items: Sequence[Item]) -> None:
        """Waits for items, and for what the session's list says of them; what is sent again is waited for, too."""
        fanout = self.fanout
        try:
            while True:
                await asyncio.shield(asyncio.gather(*fanout.tasks_of(items), return_exceptions=True))
                if self.leaving or fanout.crash is not None:
                    break
                await self.settling.check()
                if not fanout.tasks_of(items):
                    break
        except asyncio.CancelledError:
            fanout.withdraw(items)
            raise
        if fanout.crash is not None:
            raise fanout.crash

    def report(self) -> BatchReport:
        """The run as it stands."""
        fanout = self.fanout
        elapsed = self.record.now() - self._begun if self._elapsed is None else self._elapsed
        stats = Stats(elapsed, fanout.submitter.submits, fanout.polls, fanout.poll_errors, fanout.pauses)
        return self.record.batch.report(stats, None if self._journal is None else self._journal.failure)

    # --------------------------------------------------------------------------------------------------- ending
    async def finish(self) -> None:
        """Waits for everything, and checks it against the session's list."""
        await asyncio.sleep(0)  # lets an upload that was just made a task begin
        while True:
            await self.fanout.drain()
            self.leaving = True
            self._watchdog.cancel()
            await asyncio.wait([self._watchdog])
            await self.settling.check(last=True)
            if not self.fanout.busy:
                return
            self._watchdog = self._watch()  # something is sent again, on the caller's word

    def _watch(self) -> asyncio.Task[None]:
        return asyncio.get_running_loop().create_task(watch(self.fanout, self._plan.config, self._deadline_at))

    async def wind_down(self) -> None:
        """Stops everything; requests on their way get `ClientConfig.shutdown` seconds for their answers."""
        self.leaving = True
        await self.fanout.wind_down("cancelled", self._plan.config.shutdown)

    async def close(self) -> None:
        """Lets go of everything, whatever happens meanwhile: a cancel is let through afterwards."""
        self._unlisten()
        self._watchdog.cancel()
        self.fanout.settle()
        try:
            await to_the_end(self._close())
        finally:  # even where a host has cancelled that task before its first step
            if self._journal is not None:
                self._journal.let_go()
            self.record.log.settle()

    async def _close(self) -> None:
        try:
            await self.settling.stop()
            await asyncio.wait([self._watchdog])
        finally:  # a host may cancel whatever task it finds, this one too
            self._elapsed = self.record.now() - self._begun
            self.record.emit(SessionClosed)
            self.record.log.close()
            if self._journal is not None:
                await self._journal.close()
        await asyncio.sleep(0)  # lets `on_event` hear of the last events

    async def _let_go_of_journal(self) -> None:
        if self._journal is not None:
            await to_the_end(self._journal.close())
