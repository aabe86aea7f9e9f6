"""Getting an item accepted: one paid request, and another only if every one before provably cost nothing.

Decides when all submits have to wait or to stop. Owns no task; who runs the items and ends them is `fanout.py`.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Protocol

import attrs

from ..config import ClientConfig
from ..errors import JournalError, MountseaError, NoAccountError, NotSentError, UnknownOutcomeError
from ..wire import decode, protocol
from ..wire.caller import Caller
from ..wire.endpoints import Request
from ..wire.pacing import Lane
from . import reasons
from .batch import Item
from .budget import Budget
from .gate import SubmitGate
from .lifecycle import ItemState, Trigger
from .patience import outage_delay
from .record import Record

__all__ = ["Submitter"]

LOST_IN_A_ROW = 8
"""So many submits without a clear answer stop the rest, if they began when the first of them was lost already:
each may cost credits for nothing. What was in flight together and is lost together counts as one accident."""
IN_A_ROW = 8
"""So many submits in a row must be accepted after a hold before they go side by side again."""
ACCOUNT_PATIENCE = 120.0
"""So many seconds may the session's account be unavailable: it can't be replaced."""


class _Stopped(Exception):  # noqa: N818 - ends a call; not an error
    """Nothing more is to be submitted. Never leaves this module."""


class _Held(Exception):  # noqa: N818 - as above
    """Submits were held up since this one's turn came. Never leaves this module."""


class Owner(Protocol):
    """Whoever runs the items, and is told what concerns more than one of them."""

    def stop(self, reason: str, error: MountseaError | None = None) -> None:
        """Nothing more is to be submitted."""

    def skip(self, item: Item, reason: str | None = None) -> None:
        """An item was never accepted, and won't be."""

    def wanted(self, item: Item) -> bool:
        """Whether anybody still wants an item to be sent."""

    def cut(self, item: Item, *, unsent: bool) -> None:
        """An item's request was cancelled on its way."""


class Submitter:
    """Submits the items of one session.

    Args:
        caller: The door to the service.
        config: Settings of the client.
        rng: Where jitter comes from.
        lane: To be held for one attempt.
        record: The items and everything that happens to them.
        owner: Runs the items.
        item_request: Makes the request that uploads a URL, from the session's id and the URL.
        budget: What may be spent; None for no bound.

    Attributes:
        gate: Whether submits may go.
        on_hole: Told of each item of which a clip may appear that no task will name.
        submits: Requests that were begun.
    """

    def __init__(
        self,
        caller: Caller,
        config: ClientConfig,
        *,
        rng: random.Random,
        lane: Lane,
        record: Record,
        owner: Owner,
        item_request: Callable[[str, str], Request],
        budget: Budget | None,
    ) -> None:
        self.item_request = item_request
        self._budget = budget
        self._caller = caller
        self._config = config
        self._rng = rng
        self._lane = lane
        self._record = record
        self._owner = owner
        self.gate = SubmitGate()
        self.on_hole: Callable[[Item], None] = lambda item: None
        self.submits = 0
        self._lost_since: float | None = None
        self._lost = 0
        self._outage_since = 0.0
        self._outages = 0
        self._to_prove = 0
        self.hindrance: MountseaError | None = None

    @property
    def stopped(self) -> bool:
        """Whether nothing more is to be submitted."""
        return self._record.batch.stopped is not None

    def affords_one(self) -> bool:
        """Whether one more request stays within the budget."""
        return self._budget is None or self._budget.affords(self._record.batch.requests + 1)

    async def submit(self, item: Item) -> str | None:
        """Submits an item. Returns its task's id; None if it has ended, or is to be left as it is."""
        submission = _Submission(self, self._record, self._owner, item)
        while True:
            await self.gate.turn(item)
            try:
                task_id = await self._caller.submit(submission, decode.task_id, self._lane)
            except _Held:
                continue
            except _Stopped:
                return None
            except UnknownOutcomeError as error:
                self._lose(item, submission.began, error)
                return None
            except MountseaError as error:
                if self._wait_for_service(error):
                    continue
                self._turned_away(item, error)
                return None
            finally:
                self.gate.leave(item)
            self._accepted()
            return task_id

    def hold(self) -> None:
        """Nothing is submitted until `let_go`; then one at a time, until so many in a row were accepted."""
        self.gate.close()
        self._to_prove = IN_A_ROW

    def let_go(self) -> None:
        """What held up the submits has settled."""
        if self.gate.closed:
            self.gate.narrow()

    def _accepted(self) -> None:
        self._lost_since, self._lost = None, 0
        self.hindrance, self._outages = None, 0
        self._to_prove = max(0, self._to_prove - 1)
        if not self.gate.closed and not self._to_prove:
            self.gate.widen()

    def _lose(self, item: Item, began: float, error: UnknownOutcomeError) -> None:
        self._record.change(item, Trigger.LOSE, error=error)
        self._stop_if_it_concerns_all(error)
        if self._lost_since is None:
            self._lost_since, self._lost = self._record.now(), 1
        else:
            self._lost += began > self._lost_since
        if self._lost >= LOST_IN_A_ROW:
            self._owner.stop("no_answers", error)
        self.on_hole(item)

    def _wait_for_service(self, error: MountseaError) -> bool:
        """Whether submits are to go on one at a time: the service can't be reached, or has no account just now."""
        if not isinstance(error, NotSentError | NoAccountError) or getattr(error, "permanent", False):
            return False
        now, patience = self._record.now(), self._config.retry.patience
        if isinstance(error, NoAccountError):
            patience = min(patience, ACCOUNT_PATIENCE)
        if self.hindrance is None:
            self._outage_since = now
        self.hindrance = error
        if self.stopped or now - self._outage_since >= patience:
            return False
        self._outages += 1
        if not self.gate.closed:
            self.gate.narrow(outage_delay(self._config.retry, self._outages, self._rng.random()))
        return True

    def _turned_away(self, item: Item, error: MountseaError) -> None:
        if not self._stop_if_it_concerns_all(error):
            if item.open_requests > 1:  # this one cost nothing, but what came of an earlier one isn't known
                self._record.change(item, Trigger.RELEASE)
                withheld = reasons.withheld("rejected", error)
                self._record.change(item, Trigger.WITHHOLD, reason="rejected", error=withheld)
            else:
                self._record.change(item, Trigger.REJECT, reason="rejected", error=error)
            return
        if item.state is ItemState.SUBMITTING:
            self._record.change(item, Trigger.RELEASE)
        if item.state is ItemState.NEW:
            self._owner.skip(item)

    def _stop_if_it_concerns_all(self, error: MountseaError) -> bool:
        """Returns whether it did."""
        if (word := protocol.stops_submits(error)) is not None:
            self._owner.stop(word, error)
        return word is not None


@attrs.define
class _Submission:
    """One item's ear at the caller: turns what happens to its request into transitions."""

    submitter: Submitter
    record: Record
    owner: Owner
    item: Item
    began: float = 0.0

    async def sending(self) -> Request:
        if self.submitter.stopped or not self.owner.wanted(self.item):
            self._end()
            raise _Stopped
        if not self.submitter.gate.admits(self.item):
            raise _Held
        if not self.submitter.affords_one():
            self.owner.stop("budget")
            self._end()
            raise _Stopped
        self.record.change(self.item, Trigger.INTEND)
        try:
            await self.record.durable()
        except JournalError as error:
            self.owner.stop("journal", error)
        if self.record.batch.stopped is not None or not self.owner.wanted(self.item):  # meanwhile; nothing was sent
            self._release()
        if not self.submitter.gate.admits(self.item):
            self.record.change(self.item, Trigger.RELEASE)
            raise _Held
        self.submitter.submits += 1
        self.began = self.record.now()
        return self.submitter.item_request(self.record.batch.session_id or "", self.item.audio_url)

    def not_accepted(self, error: MountseaError) -> None:
        self._release(error)

    def _release(self, error: MountseaError | None = None) -> None:
        self.record.change(self.item, Trigger.RELEASE, error=error)
        if self.submitter.stopped or not self.owner.wanted(self.item):
            self._end()
            raise _Stopped

    def _end(self) -> None:
        if self.item.state is ItemState.NEW:
            self.owner.skip(self.item, None if self.submitter.stopped else "cancelled")

    def cut(self, *, unsent: bool) -> None:
        self.owner.cut(self.item, unsent=unsent)
