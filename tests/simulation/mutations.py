"""Bugs that could be in the uploader, put there one at a time: a simulator that does not find them proves nothing.

What may live here: patches of the library, each of which makes one mistake, and the search for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import Any
from unittest import mock

import attrs

from mountsea_async.upload import batch, creating, fanout, settling, submitting
from mountsea_async.upload.lifecycle import ItemState, Trigger
from mountsea_async.wire import endpoints, protocol, transport

from . import plan, sweep
from .models import draw_model
from .runs import live
from .verdict import judge
from .world import inhabit

Mutation = Callable[[], AbstractContextManager[Any]]


def intent_after_the_answer() -> AbstractContextManager[Any]:
    """The request goes out without waiting for the intent to be durable."""

    async def sending(self: Any) -> Any:
        if self.submitter.stopped:
            raise submitting._Stopped
        if not self.submitter.gate.admits(self.item):
            raise submitting._Held
        self.record.change(self.item, Trigger.INTEND)
        self.submitter.submits += 1
        self.began = self.record.now()
        return endpoints.submit_item(self.record.batch.session_id or "", self.item.audio_url)

    return mock.patch.object(submitting._Submission, "sending", sending)


def intent_is_new() -> AbstractContextManager[Any]:
    """A run that resumes takes an intent without an answer for a request that was never made."""
    resume = fanout.Fanout.resume

    def resumed(self: Any, **settings: Any) -> None:
        for item in tuple(self.batch.uploads()):
            if item.state is ItemState.SUBMITTING:
                self.record.change(item, Trigger.RELEASE)
        resume(self, **settings)

    return mock.patch.object(fanout.Fanout, "resume", resumed)


def disconnected_is_unsent() -> AbstractContextManager[Any]:
    """A connection that ended without an answer is taken for a request that was not sent."""
    failure = transport._failure

    def failed(cause: Any, detail: str, flight: Any, tracker: Any, *rest: Any) -> Any:
        made = failure(cause, detail, flight, tracker, *rest)
        if tracker is not None and "ServerDisconnectedError" in detail:
            return attrs.evolve(made, has_body=True, bytes_written=0, attempts=1)
        return made

    return mock.patch.object(transport, "_failure", failed)


def gateway_timeout_is_free() -> AbstractContextManager[Any]:
    """A 504 is taken for a refusal that costs nothing."""
    return mock.patch.object(protocol, "REJECTED", protocol.REJECTED | {504})


def no_settle_time() -> AbstractContextManager[Any]:
    """A clip that is not there at once is taken for one that will not come."""
    return mock.patch.object(settling, "settle_limit", return_value=0.0)


def orphans_forgotten() -> AbstractContextManager[Any]:
    """Clips that nobody claims are not reported."""
    reconcile = batch.reconcile  # type: ignore[attr-defined]

    def forgetful(*arguments: Any, **settings: Any) -> Any:
        verdict, attribution = reconcile(*arguments, **settings)
        return attrs.evolve(verdict, unattributed=()), attribution

    return mock.patch.object(batch, "reconcile", forgetful)


def training_intent_after_the_answer() -> AbstractContextManager[Any]:
    """The request for a training goes out without waiting for its intent to be durable."""

    async def sending(self: Any) -> Any:
        self.record.change_training(Trigger.INTEND, self.name, clip_ids=self.clip_ids)
        return self.request

    return mock.patch.object(creating._Creation, "sending", sending)


def lost_training_is_sent_again() -> AbstractContextManager[Any]:
    """A training of which no answer came is taken for one that was never asked for."""

    async def never(_: Any) -> bool:
        return False

    begun = creating.Creator.begun

    async def careless(self: Any, *arguments: Any, resubmit: bool) -> bool:
        return await begun(self, *arguments, resubmit=True)

    patches = ExitStack()
    patches.enter_context(mock.patch.object(creating.Creator, "_found", never))
    patches.enter_context(mock.patch.object(creating.Creator, "begun", careless))
    return patches


MUTATIONS: Sequence[Mutation] = (
    training_intent_after_the_answer,
    lost_training_is_sent_again,
    intent_after_the_answer,
    intent_is_new,
    disconnected_is_unsent,
    gateway_timeout_is_free,
    no_settle_time,
    orphans_forgotten,
)


def _by_seed() -> Iterator[tuple[int, list[str]]]:
    for seed in range(200):
        yield seed, judge(inhabit(plan.draw(seed), live))


def _by_kill() -> Iterator[tuple[int, list[str]]]:
    quiet = sweep.quiet()
    for step in range(1, sweep.callbacks(quiet), 17):
        yield step, sweep.cut_off(quiet, "kill", [step]).complaints.get(step, [])


def _by_patience() -> Iterator[tuple[int, list[str]]]:
    for seed in range(20):
        yield seed, sweep.share_of_unknown([sweep.patient(seed)]).complaints.get(seed, [])


def _by_model() -> Iterator[tuple[int, list[str]]]:
    for seed in range(200):
        yield seed, judge(inhabit(draw_model(seed), live))


SEARCHES: dict[str, Callable[[], Iterator[tuple[int, list[str]]]]] = {
    "seed": _by_seed,
    "kill": _by_kill,
    "patience": _by_patience,
    "model": _by_model,
}


def finds(search: str, mutation: Mutation) -> str | None:
    """The first thing that a search says about a mistake; None if it doesn't notice.

    Args:
        search: A key of `SEARCHES`.
        mutation: The mistake.
    """
    with mutation():
        for number, complaints in SEARCHES[search]():
            if complaints:
                return f"{search} {number}: {complaints[0]}"
    return None
