"""One batch of a supervisor, in this process: how far it is, who runs it, who waits to hear of it."""

from __future__ import annotations

import asyncio
from pathlib import Path

from ..upload.session import UploadSession
from .note import BatchNote, BatchState, BatchSummary

__all__ = ["Supervised"]


class Supervised:
    """A batch that a supervisor keeps.

    Args:
        batch_id: Its id.
        path: Its journal.
        note: What the journal says of it.

    Attributes:
        session: The session, while it is open.
        task: What sees it through, while somebody does.
        error: Why it can't go on for now.
        orders: Held by whoever changes what is to become of it.
        resuming: Whether it is about to be begun again.
        removed: Whether its journal was removed.
        changes: How often it has changed.
    """

    def __init__(self, batch_id: str, path: Path, note: BatchNote) -> None:
        self.id = batch_id
        self.path = path
        self.note = note
        self.session: UploadSession | None = None
        self.task: asyncio.Task[None] | None = None
        self.error: str | None = None
        self.orders = asyncio.Lock()
        self.resuming = self.removed = False
        self.changes = 0
        self._waiters: list[asyncio.Future[None]] = []

    def __repr__(self) -> str:
        return f"Supervised({self.id!r}, {self.state})"

    @property
    def state(self) -> BatchState:
        """How far it is."""
        if self.note.state is not None:
            return self.note.state
        if self.session is not None:
            return BatchState.RUNNING if self.note.stop is None else BatchState.STOPPING
        return BatchState.QUEUED if self.error is None else BatchState.WAITING

    @property
    def over(self) -> bool:
        """Whether it has ended, and that is written down as far as it can be."""
        return self.state.final and (self.task is None or self.task.done())

    def seen_through_by(self, task: asyncio.Task[None]) -> None:
        """Gives it to a task that runs it to its end."""
        self.task = task
        task.add_done_callback(lambda _: self.poke())

    def summary(self) -> BatchSummary:
        """It in a few words, as it stands."""
        note, session = self.note, self.session
        counts = note.counts if session is None else {state.value: n for state, n in session.counts.items()}
        return BatchSummary(
            id=self.id,
            state=self.state,
            created_at=note.created_at,
            ended_at=note.ended_at,
            session_id=note.session_id if session is None else session.session_id,
            items=note.items,
            counts=counts,
            stopped=note.stop,
            error=note.error or self.error,
            idempotency_key=note.idempotency_key,
        )

    def poke(self) -> None:
        """Something about it has changed: whoever waits looks again."""
        self.changes += 1
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def changed(self) -> None:
        """Waits until something about it changes."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            await waiter
        finally:
            if waiter in self._waiters:
                self._waiters.remove(waiter)
