"""One quiet batch, cut off at every single callback and gone on with; and the oracles that our verdicts stand beside.

What may live here: the batch of the sweeps, and what can be known about a submit whose answer was lost.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Literal

import attrs

from mountsea_async import ClientConfig, ItemState
from mountsea_async.testing import Answer, Behaviour, Cut, Fault, Fixed, Uniform

from .plan import Fate, Plan, urls
from .runs import live
from .verdict import judge, last_report
from .world import World, inhabit

ITEMS = 30


def quiet(items: int = ITEMS, *, concurrency: int = 8, behaviour: Behaviour | None = None, seed: int = 1) -> Plan:
    """A batch that nothing happens to."""
    return Plan(
        seed=seed,
        urls=urls(items),
        behaviour=behaviour or Behaviour(durations=Uniform(0.5, 3), seed=seed),
        config=ClientConfig(allow_http=True),
        concurrency=concurrency,
        again=1,
    )


def training() -> Plan:
    """Eight uploads and a training that nothing happens to."""
    return attrs.evolve(quiet(8, concurrency=3), model=True, on_unknown="continue")


def callbacks(plan: Plan) -> int:
    """How many callbacks the batch has when nothing happens to it."""
    return inhabit(plan, live).runs[0].steps


@attrs.define
class Swept:
    """What a sweep came to.

    Attributes:
        places: At how many callbacks the batch was cut off.
        unknown: Items that ended `unknown` without a clip, in all; `worst`: in one world.
        in_flight: Submits that were under way when the batch was cut off, in all.
        lost: What stays unknown to each oracle.
    """

    places: int = 0
    items: int = 0
    unknown: int = 0
    worst: int = 0
    charges: int = 0
    in_flight: int = 0
    by_elimination: int = 0
    lost: Counter[str] = attrs.field(factory=Counter)
    complaints: dict[int, list[str]] = attrs.field(factory=dict)


def cut_off(plan: Plan, how: Literal["kill", "power", "cancel"], places: Iterable[int]) -> Swept:
    """Cuts the batch off at each of these callbacks, then goes on with it.

    Args:
        plan: The batch.
        how: A SIGKILL, a power cut or a cancel.
        places: Numbers of callbacks.
    """
    swept = Swept()
    for step in places:
        world = inhabit(attrs.evolve(plan, fates=(Fate(how, step=step),)), live)
        swept.places += 1
        swept.charges += len(world.tasks())
        if complaints := [*judge(world), *_more_unknown_than_sent(world)]:
            swept.complaints[step] = complaints
        if (report := last_report(world)) is None:
            continue
        unknown = unresolved(world)
        swept.items += len(report.items)
        swept.unknown += unknown
        swept.worst = max(swept.worst, unknown)
        swept.in_flight += in_flight(world)
        swept.by_elimination += sum(item.evidence == "elimination" for item in report.items)
        for name, oracle in ORACLES.items():
            swept.lost[name] += oracle(world)
    return swept


def in_flight(world: World) -> int:
    """Submits under way when the batch was cut off: with an intent, and without an answer that is durable."""
    report = world.runs[0].report
    states = (ItemState.SUBMITTING, ItemState.UNKNOWN)
    return sum(item.state in states for item in report.items) if report else 0


def _more_unknown_than_sent(world: World) -> Iterable[str]:
    """At a kill at most the requests in flight can become unknown."""
    if unresolved(world) > min(in_flight(world), world.plan.concurrency):
        yield f"{unresolved(world)} items ended unknown, {in_flight(world)} submits were under way when it was cut off"


# ---------------------------------------------------------------------------------------------------------- oracles
def unresolved(world: World) -> int:
    """Items that have ended unknown and without a clip."""
    report = last_report(world)
    return sum(item.state is ItemState.UNKNOWN and item.clip is None for item in report.items) if report else 0


def _without_answer(world: World) -> list[int]:
    """The items that were sent and whose task nobody has heard of."""
    report = last_report(world)
    items = report.items if report else ()
    return [item.index for item in items if item.attempts and item.task_id is None and item.state is ItemState.UNKNOWN]


def by_list_alone(world: World) -> int:
    """How many stay unknown to somebody who sees the session's final list, and which submits got no answer."""
    report = last_report(world)
    open_items = _without_answer(world)
    if report is None:
        return 0
    known = {task.clip_id for task in world.tasks() if any(item.task_id == task.task_id for item in report.items)}
    unexplained = [task.clip_id for task in world.tasks() if task.lands is not None and task.clip_id not in known]
    return 0 if len(open_items) == len(unexplained) == 1 else len(open_items)


def by_clairvoyance(world: World) -> int:
    """How many stay unknown to somebody who knows whose each listed id is."""
    landed = {task.audio_url for task in world.tasks() if task.lands is not None}
    return sum(world.plan.urls[index] not in landed for index in _without_answer(world))


ORACLES = {"audioIds alone": by_list_alone, "clairvoyant": by_clairvoyance}


def lossy(seed: int, items: int = ITEMS, *, on_unknown: str = "hold") -> Plan:
    """A tenth of the submits lose their answer; half of those were processed."""
    faults = (Fault(Cut(after_work=True), share=0.05), Fault(Cut(after_work=False), share=0.05 / 0.95))
    behaviour = Behaviour(durations=Uniform(2, 20), seed=seed, faults=faults)
    # Nothing calms down before the end: what is lost, is lost throughout.
    return attrs.evolve(quiet(items, behaviour=behaviour, seed=seed), calm_at=1e5, on_unknown=on_unknown)


def patient(seed: int) -> Plan:
    """Answers get lost, all uploads take the same time, and what stays absent may be sent again.

    A clip that stays away for the settle time will not come then, so not one may be paid for twice.
    """
    drawn = lossy(seed, on_unknown="resubmit")
    faults = (*drawn.behaviour.faults, Fault(Answer(504, after_work=True), share=0.03))
    behaviour = attrs.evolve(drawn.behaviour, durations=Fixed(8), faults=faults)
    return attrs.evolve(drawn, behaviour=behaviour, strict=True)


def share_of_unknown(plans: Sequence[Plan]) -> Swept:
    """Lives worlds in which answers get lost, and counts what stays unknown."""
    swept = Swept()
    for plan in plans:
        world = inhabit(plan, live)
        swept.places += 1
        swept.items += len(plan.urls)
        swept.charges += len(world.tasks())
        swept.unknown += unresolved(world)
        swept.worst = max(swept.worst, unresolved(world))
        if (report := last_report(world)) is not None:
            swept.by_elimination += sum(item.evidence == "elimination" for item in report.items)
        if complaints := judge(world):
            swept.complaints[plan.seed] = complaints
        for name, oracle in ORACLES.items():
            swept.lost[name] += oracle(world)
    return swept
