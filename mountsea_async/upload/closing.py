"""How a session comes to its end: the clock that ends what would not end by itself, and the final check.

Does I/O through the caller it is given; what it decides by is in `polling.py` and `reconcile.py`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from ..config import ClientConfig
from ..errors import MountseaError
from ..models import SessionAudio
from ..wire.caller import Caller
from .events import Reconciled
from .fanout import Fanout
from .lifecycle import ItemState
from .polling import REFUSED_PATIENCE, stall_limit
from .reconcile import Reconciliation, reconcile

__all__ = ["FinalCheck", "watch"]

logger = logging.getLogger("mountsea_async")

_LOOK = 30.0
"""Seconds between two looks at the clock, at most."""

_LATE = 5.0
"""A look that comes so many seconds late says that the loop stood still."""
_FRESH = 1.0
"""Seconds for which a check need not be repeated if nothing has ended since."""


async def watch(fanout: Fanout, config: ClientConfig, deadline_at: float | None) -> None:
    """Ends the items at the caller's deadline, or when all has gone silent. Cancelled when the session is left.

    Args:
        fanout: The items on their way.
        config: Settings of the client.
        deadline_at: Loop time; None for no deadline.
    """
    record = fanout.record
    while True:
        now = record.now()
        if not fanout.batch.unfinished:
            record.last_life = now
        span = record.last_end - record.first_submit
        end_at = record.last_life + stall_limit(config.poll, fanout.batch.uploads_ended, span)
        reason = "rate_limited" if fanout.refused() else "stalled"
        if fanout.key_refused_since is not None and fanout.key_refused_since + REFUSED_PATIENCE < end_at:
            end_at, reason = fanout.key_refused_since + REFUSED_PATIENCE, "unauthorized"
        if deadline_at is not None and deadline_at <= end_at:
            end_at, reason = deadline_at, "deadline"
        if now >= end_at:
            await fanout.wind_down(reason, config.shutdown)
            break
        wait = min(_LOOK, end_at - now)
        await asyncio.sleep(wait)
        if (late := record.now() - now - wait) > _LATE:
            # The loop was blocked or the machine asleep: nobody could have seen a sign of life.
            record.last_life += late
    # Whoever reads events inside the session's block keeps it from being left: by now it must let go.
    await asyncio.sleep(config.settle + config.shutdown)
    record.log.release()


class FinalCheck:
    """Compares the items with the session's own list.

    Args:
        caller: The door to the service.
        config: Settings of the client.
        fanout: The items.
        session_id: The session.
        earlier: Ids that the session held before anything was submitted to it.
        deadline_at: Loop time after which `ClientConfig.shutdown` more seconds may be used; None for no bound
            but the settle time.
    """

    def __init__(
        self,
        caller: Caller,
        config: ClientConfig,
        fanout: Fanout,
        session_id: str,
        earlier: Sequence[str],
        deadline_at: float | None,
    ) -> None:
        self._caller = caller
        self._config = config
        self._fanout = fanout
        self._session_id = session_id
        self._earlier = earlier
        self._deadline_at = deadline_at
        self._checked, self._checked_at = -1, 0.0
        self._one_at_a_time = asyncio.Lock()
        self._scope: asyncio.Timeout | None = None
        self._seen: dict[str, None] = {}
        self._read_once = False
        self._unreadable = 0
        self.verdict = Reconciliation(earlier=tuple(earlier))

    async def run(self) -> None:
        """Reads the list, again and again while clips are due that it doesn't hold yet."""
        async with self._one_at_a_time:
            await self._run()

    def stop(self) -> None:
        """Ends a check that goes on in another task: the session closes."""
        if self._scope is not None:
            self._scope.reschedule(0)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        ended = self._fanout.batch.uploads_ended
        fresh = self._checked == ended and loop.time() - self._checked_at < _FRESH
        if not self._fanout.batch.items or fresh:
            return
        late = self._deadline_at is not None and loop.time() >= self._deadline_at
        give_up = loop.time() + (0.0 if late else self._config.settle)
        limit = None if self._deadline_at is None else max(self._deadline_at, loop.time()) + self._config.shutdown
        wait = 1.0
        try:
            async with asyncio.timeout_at(limit) as self._scope:
                while not await self._compare() and loop.time() < give_up:
                    await asyncio.sleep(min(wait, max(0.0, give_up - loop.time())))
                    wait *= 2
        except TimeoutError:
            logger.warning("reconcile.cut_short", extra={"session_id": self._session_id})
        finally:
            self._scope = None
        self._checked, self._checked_at = ended, loop.time()
        if self._fanout.record.log.closed:
            return
        self._fanout.record.emit(
            Reconciled,
            consistent=self.verdict.consistent,
            matched=len(self.verdict.matched),
            missing=len(self.verdict.missing),
            unattributed=len(self.verdict.unattributed),
        )

    async def _compare(self) -> bool:
        """One reading. Returns whether nothing is due any more."""
        uploads = [item for item in self._fanout.batch.items if item.duplicate_of is None]
        listed = await self._read(len(uploads) + len(self._earlier))
        # What was seen once stays seen, whatever a later reading leaves out.
        vanished = self._seen.keys() - set(listed)
        audio_ids = [*listed, *(audio_id for audio_id in self._seen if audio_id in vanished)]
        self._seen |= dict.fromkeys(listed)
        clip_ids = [item.clip.id for item in uploads if item.clip]
        self.verdict = reconcile(
            clip_ids, audio_ids if self._read_once else None, self._earlier, unreadable=self._unreadable
        )
        unknown = sum(item.state is ItemState.UNKNOWN for item in uploads)
        return not (self.verdict.missing or len(self.verdict.unattributed) < unknown)

    async def _read(self, expected: int) -> tuple[str, ...]:
        try:
            task = await self._caller.task(self._session_id, audio_ids=expected)
        except MountseaError as error:
            logger.warning("reconcile.unread", extra={"session_id": self._session_id, "error": error.message})
            return ()
        if not isinstance(task.data, SessionAudio):
            return ()
        self._read_once, self._unreadable = True, task.data.unreadable
        return task.data.audio_ids
