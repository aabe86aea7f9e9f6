"""The simulation's command line: many worlds with their totals, or one with everything that happened in it."""

# ruff: noqa: T201 - what it prints is what it is for
from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from typing import Literal, TypeVar

import attrs

from . import plan, sweep
from .models import draw_model
from .runs import live, live_naively
from .verdict import judge, last_report
from .world import World, inhabit

T = TypeVar("T")


@attrs.define
class Totals:
    """What many worlds came to."""

    model: bool = False
    worlds: int = 0
    runs: int = 0
    simulated: float = 0.0
    callbacks: int = 0
    charges: int = 0
    wall: float = 0.0
    states: Counter[str] = attrs.field(factory=Counter)
    hits: Counter[str] = attrs.field(factory=Counter)
    failures: dict[int, list[str]] = attrs.field(factory=dict)

    def add(self, world: World, complaints: list[str]) -> None:
        """Counts one in."""
        self.worlds += 1
        self.runs += len(world.runs)
        self.simulated += world.loop.time() - world.began
        self.callbacks += world.loop.callbacks
        self.charges += len(world.tasks())
        self.hits += world.net.hits + world.disk.hits
        self.hits.update(run.how for run in world.runs)
        if (report := last_report(world)) is not None:
            self.states.update(str(item.state) for item in report.items)
        if complaints:
            self.failures[world.plan.seed] = complaints

    def take_in(self, other: Totals) -> None:
        """Adds those of other worlds."""
        for name in ("worlds", "runs", "simulated", "callbacks", "charges"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.states += other.states
        self.hits += other.hits
        self.failures |= other.failures

    def lines(self) -> Iterable[str]:
        """For people."""
        yield (
            f"{self.worlds} worlds, {self.runs} runs, {self.simulated:.0f} simulated s, {self.callbacks} callbacks, "
            f"{self.charges} uploads paid for, in {self.wall:.1f} s"
        )
        yield "items: " + ", ".join(f"{count} {state}" for state, count in self.states.most_common())
        yield "hits: " + ", ".join(f"{what} {count}" for what, count in sorted(self.hits.items()))
        for seed, complaints in self.failures.items():
            yield f"seed {seed}: {complaints[0]}"
            yield from (f"          {complaint}" for complaint in complaints[1:4])
            yield f"          again: {again(seed, model=self.model)}"


def drawn(seed: int, *, model: bool = False) -> plan.Plan:
    """The world of a seed: that of a batch, or that of a custom model."""
    return draw_model(seed) if model else plan.draw(seed)


def again(seed: int, *, model: bool = False) -> str:
    """The command that lives a world again."""
    return f"python -m tests.simulation {'--model ' if model else ''}--seed {seed}"


def many(seeds: Iterable[int], *, model: bool = False) -> Totals:
    """Lives the worlds of many seeds."""
    totals, begun = Totals(model=model), time.perf_counter()
    for seed in seeds:
        world = inhabit(drawn(seed, model=model), live)
        totals.add(world, judge(world))
    totals.wall = time.perf_counter() - begun
    return totals


def side_by_side(work: Callable[[range], T], numbers: range, jobs: int) -> list[T]:
    """Shares numbers out among processes of the machine."""
    if jobs == 1:
        return [work(numbers)]
    with ProcessPoolExecutor(jobs, mp_context=get_context("fork")) as pool:
        return list(pool.map(work, (numbers[job::jobs] for job in range(jobs))))


def _cut_off(how: Literal["kill", "power", "cancel"], places: range) -> sweep.Swept:
    return sweep.cut_off(sweep.quiet(), how, places)


def sweep_all(jobs: int) -> int:
    """Kills, cuts the power of and cancels a batch at every callback; 1 if anything has gone wrong."""
    failed = False
    places = range(1, sweep.callbacks(sweep.quiet()) + 1)
    ways: tuple[Literal["kill", "power", "cancel"], ...] = ("kill", "power", "cancel")
    for how in ways:
        begun = time.perf_counter()
        parts = side_by_side(partial(_cut_off, how), places, jobs)
        items, unknown = sum(part.items for part in parts), sum(part.unknown for part in parts)
        oracles = sum((part.lost for part in parts), Counter())
        shares = ", ".join(f"{name} {100 * oracles[name] / items:.2f} %" for name in sweep.ORACLES)
        print(
            f"{how} at every one of {len(places)} callbacks: {100 * unknown / items:.2f} % end unknown ({shares}), "
            f"{sum(part.in_flight for part in parts)} submits were under way, {unknown} stayed unknown; "
            f"{time.perf_counter() - begun:.1f} s"
        )
        for part in parts:
            failed = failed or bool(part.complaints)
            print(
                *(f"{how} at {step}: {complaints[0]}" for step, complaints in part.complaints.items()), sep="\n", end=""
            )
    return int(failed)


def paid_twice_naively(seeds: Iterable[int]) -> list[int]:
    """The seeds in whose worlds an uploader that retries everything pays twice."""
    caught = []
    for seed in seeds:
        world = inhabit(plan.draw(seed), live_naively)
        intended = Counter(world.plan.urls)
        if any(times > intended[url] for url, times in world.ledger.paid_twice().items() if url in intended):
            caught.append(seed)
    return caught


def show(seed: int, *, trace: bool, model: bool) -> int:
    """One world with everything that happened in it."""
    log: list[str] | None = [] if trace else None
    drawn_up = drawn(seed, model=model)
    print(drawn_up)
    world = inhabit(drawn_up, live, log=log)
    print(*(log or ()), sep="\n")
    for number, run in enumerate(world.runs):
        counts = dict(Counter(f"{i.state}/{i.reason}" for i in run.report.items)) if run.report else None
        print(
            f"run {number}: {run.how} from {run.began - world.began:.1f} to {run.ended - world.began:.1f} s, "
            f"{run.steps} callbacks, {run.events} events, calm={run.calm}, {run.error!r}, {counts}, "
            f"{run.report and run.report.training}"
        )
    for task in world.tasks():
        lands = None if task.lands is None else round(task.lands - world.began, 1)
        print(f"  {task.audio_url} {task.task_id} -> {task.clip_id} {task.ends}, lands {lands}")
    print(*(f"  {training}" for training in world.ledger.trainings), sep="\n")
    print("trace", world.net.trace, dict(world.net.hits), dict(world.disk.hits))
    complaints = judge(world)
    print(*(complaints or ["all is well"]), sep="\n")
    return bool(complaints)


def main(arguments: Sequence[str]) -> int:
    """Does what the command line says; 1 if any world has gone wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, help="one world, told")
    parser.add_argument("--trace", action="store_true", help="with every event of it")
    parser.add_argument("--hash", action="store_true", help="only the hashes of the traces")
    parser.add_argument("--seeds", type=int, default=0, help="so many worlds")
    parser.add_argument("--start", type=int, default=0, help="the first of them")
    parser.add_argument("--model", action="store_true", help="those in which a custom model is trained")
    parser.add_argument("--naive", action="store_true", help="with the naive uploader in them")
    parser.add_argument("--sweep", action="store_true", help="one batch, cut off at every callback")
    parser.add_argument("--jobs", type=int, default=1, help="so many processes side by side")
    given = parser.parse_args(arguments)
    if given.sweep:
        return sweep_all(given.jobs)
    if given.hash:
        seeds = range(given.start, given.start + given.seeds) if given.seed is None else (given.seed,)
        print(*(inhabit(drawn(seed, model=given.model), live, portable=True).net.trace for seed in seeds), sep="\n")
        return 0
    if given.seed is not None:
        return show(given.seed, trace=given.trace, model=given.model)
    seeds = range(given.start, given.start + given.seeds)
    if given.naive:
        caught = paid_twice_naively(seeds)
        print(f"the naive uploader pays twice in {len(caught)} of {len(seeds)} worlds")
        return 0
    begun, totals = time.perf_counter(), Totals(model=given.model)
    for part in side_by_side(partial(many, model=given.model), seeds, given.jobs):
        totals.take_in(part)
    totals.wall = time.perf_counter() - begun
    print(*totals.lines(), sep="\n", file=sys.stdout)
    return bool(totals.failures)
