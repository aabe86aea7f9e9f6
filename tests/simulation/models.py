"""Worlds in which a custom model is trained: what they are like, and what must hold of the training in the end.

What may live here: what a model's world has besides a batch's.
"""

# ruff: noqa: S311 - chance is seeded here on purpose, and protects nothing
from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import attrs

from mountsea_async import (
    BatchFailed,
    BatchReport,
    DeadlineError,
    ItemState,
    MissingModelError,
    NoAccountError,
    TaskFailedError,
    UnknownOutcomeError,
)
from mountsea_async.testing import (
    Answer,
    Cut,
    Fault,
    Fixed,
    Hang,
    Outcome,
    Reshape,
    Truncate,
    Uniform,
    html,
    rate_limited,
)

from .plan import RETRY_AFTER, TASKLESS, Plan, draw, rate, urls
from .world import Run, World

_ON_CREATE: tuple[Callable[[random.Random], Fault], ...] = (
    lambda rng: Fault(Cut(after_work=True, graceful=rng.random() < 0.5), on="model_create", share=rate(rng, 0.4)),
    lambda rng: Fault(Cut(after_work=False, graceful=rng.random() < 0.5), on="model_create", share=rate(rng, 0.4)),
    lambda rng: Fault(Answer(rng.choice((500, 502, 504)), after_work=True), on="model_create", share=rate(rng, 0.4)),
    lambda rng: Fault(Answer(rng.choice((500, 503, 504))), on="model_create", share=rate(rng, 0.4)),
    lambda rng: Fault(rate_limited(rng.choice(RETRY_AFTER)), on="model_create", share=rate(rng, 0.4)),
    lambda rng: Fault(
        Hang(after_work=rng.random() < 0.5, seconds=rng.choice((3.0, 70.0, None))),
        on="model_create",
        share=rate(rng, 0.3),
    ),
    lambda rng: Fault(Truncate(rng.random()), on="model_create", share=rate(rng, 0.3)),
    lambda rng: Fault(html(rng.choice((200, 502)), after_work=rng.random() < 0.5), on="model_create", share=0.3),
    lambda rng: Fault(Reshape(rng.choice(TASKLESS)), on="model_create", share=rate(rng, 0.3)),
    lambda rng: Fault(Outcome(rng.choice(("failed", "timeout", "blank"))), on="model_create", share=rate(rng, 0.2)),
)


def _elsewhere(fault: Fault) -> Fault:
    """The same fault on the endpoint that takes its place."""
    match fault.on:
        case "item":
            return attrs.evolve(fault, on="model_upload")
        case "prepare":
            return attrs.evolve(fault, on="model_prepare")
    return fault


def draw_model(seed: int) -> Plan:
    """The world of a seed with a model: that of the batch, but for what only a model needs."""
    drawn, rng = draw(seed), random.Random(f"model {seed}")
    names = tuple(dict.fromkeys(drawn.urls))
    names += urls(6 + rng.choice((0, 0, 2, 6)))[len(names) :]
    faults = tuple(maker(rng) for maker in _ON_CREATE if rng.random() < 0.2)
    faults += tuple(map(_elsewhere, drawn.behaviour.faults))
    credit = None if drawn.behaviour.credits is None else rng.randint(0, len(names) + 120)
    return attrs.evolve(
        drawn,
        model=True,
        urls=names,
        behaviour=attrs.evolve(
            drawn.behaviour,
            faults=faults,
            training=rng.choice((Uniform(5, 20), Uniform(100, 200), Fixed(30))),
            credits=credit,
        ),
        keep_duplicates=False,
        on_unknown="resubmit" if drawn.on_unknown == "resubmit" else "continue",
        journal=True,
        deadline=drawn.deadline and max(10.0, drawn.deadline),  # less is too little to ask for each of them once
        incidents=tuple(incident for incident in drawn.incidents if incident.what not in ("foreign", "repeat")),
    )


# ------------------------------------------------------------------------------------------------ what must hold
def may_raise(world: World, run: Run) -> bool:
    """Whether a run may end so though nothing goes wrong any more: what went wrong before stays as it is, and a
    training takes its time, whatever the deadline."""
    if isinstance(run.error, NoAccountError) and any(session.account.lost for session in world.sessions()):
        return True
    return isinstance(
        run.error, BatchFailed | DeadlineError | MissingModelError | TaskFailedError | UnknownOutcomeError
    )


def judge_training(world: World) -> Iterator[str]:
    """No training is paid for twice, none is lost, and what is said of it is so."""
    yield from _trained_twice(world)
    for number, run in enumerate(world.runs):
        if run.report is not None and run.report.training is not None:
            yield from _told_wrongly(world, number, run.report)


def _trained_twice(world: World) -> Iterator[str]:
    plan, trainings = world.plan, world.ledger.trainings
    for session_id in {training.session_id for training in trainings}:
        ends = [training.ends for training in trainings if training.session_id == session_id]
        if len(ends) > 1 and not plan.retry_failed and plan.on_unknown != "resubmit":
            yield f"I1: the training of {session_id} was paid for {len(ends)} times"
        if ends.count("success") > 1 and plan.on_unknown != "resubmit":
            yield f"I1: the training of {session_id} has succeeded and was paid for again"


def _told_wrongly(world: World, number: int, report: BatchReport) -> Iterator[str]:
    told, run = report.training, world.runs[number]
    own = [training for training in world.ledger.trainings if training.session_id == report.session_id]
    if told is None:
        return
    if told.model is not None and told.model.id not in {training.model for training in own}:
        yield f"I3: run {number} names a model that there is not"
    if told.state is ItemState.SUCCEEDED and (told.model is None or not own):
        yield "I3: the training has succeeded, but nothing was trained"
    if run is not world.runs[-1] or run.how == "killed" or not own:
        return
    if told.state in (ItemState.NEW, ItemState.NOT_SUBMITTED):
        yield f"I1: the training is {told.state} ({told.reason}), but was paid for"
    if own[-1].ends == "success" and told.state is not ItemState.SUCCEEDED:
        yield f"I2: a model was trained, but its training is {told.state} ({told.reason}): {told.error}"
