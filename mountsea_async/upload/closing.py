"""The clock of a session: ends what would not end by itself, at the caller's deadline or when all has gone silent.

Does no I/O of its own; what it decides by is in `patience.py`.
"""

from __future__ import annotations

import asyncio
import logging

from ..config import ClientConfig
from .fanout import Fanout
from .patience import REFUSED_PATIENCE, SETTLE_MOST, stall_limit

__all__ = ["watch"]

logger = logging.getLogger("mountsea_async")

_LOOK = 30.0
"""Seconds between two looks at the clock, at most."""

_LATE = 5.0
"""A look that comes so many seconds late says that the loop stood still."""


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
        end_at = record.last_life + stall_limit(config.poll, fanout.batch.uploads_ended - record.ended_before, span)
        reason = "rate_limited" if fanout.refused() else fanout.outage or "stalled"
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
            logger.warning("loop.stalled", extra={"seconds": round(late, 1)})
    # Whoever reads events inside the session's block keeps it from being left: by now it must let go.
    await asyncio.sleep((SETTLE_MOST if config.settle is None else config.settle) + config.shutdown)
    record.log.release()
