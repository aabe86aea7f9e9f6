"""One world: the service, the network, the clock and the disk of one seed, and what is recorded of its runs.

What may live here: how a world begins and ends. What it is like is in `plan.py`, what goes on in it in `runs.py`,
what must hold in the end in `verdict.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs

from mountsea_async import BatchReport, DuplicateURLWarning
from mountsea_async.testing import Emulator
from mountsea_async.upload.events import Event, ItemChanged, ItemSettled

from .disk import Disk
from .net import Net
from .network import SimDeadlock, SimLoop, SimTimeout
from .patches import KEY, Ear, collect, deterministic, quietly
from .plan import Plan
from .process import Process

HOST, PORT = "service.test", 8080
RUN_BOUND = 4 * 3600.0
"""No run without a deadline may take longer."""
MOST_RUNS = 40

_start_emulator = Emulator.__init__  # as it is now: tests may watch over emulators, one call after the other


class _Service(Emulator):
    """The emulator, out of sight of those who would check each of its requests."""

    def __init__(self, *settings: Any, **named: Any) -> None:
        _start_emulator(self, *settings, **named)


@attrs.define
class Run:
    """One run of the batch.

    Attributes:
        how: `ended`, `raised`, `killed`, `cancelled`, or `hung`.
        calm: Whether nothing could go wrong any more when it began.
        report: What it reported, or what its journal holds where it could not.
        steps: How many callbacks it had; `events`: how much of it could be seen from outside.
    """

    how: str
    calm: bool
    began: float
    ended: float = 0.0
    report: BatchReport | None = None
    error: BaseException | None = None
    steps: int = 0
    events: int = 0
    leftovers: tuple[str, ...] = ()


@attrs.define
class World:
    """A world that is going on, or has ended."""

    plan: Plan
    loop: SimLoop
    net: Net
    disk: Disk
    service: Emulator
    runs: list[Run] = attrs.field(factory=list)
    problems: list[str] = attrs.field(factory=list)
    secrets: list[str] = attrs.field(factory=list)
    foreign: bool = False
    calm: bool = False
    calm_since: float | None = None
    landed: bool = False
    began: float = 0.0
    settled: dict[int, float] = attrs.field(factory=dict)
    kept: dict[str, Any] = attrs.field(factory=dict)
    processes: list[Process] = attrs.field(factory=list)

    @property
    def path(self) -> Path:
        """The journal."""
        return self.disk.path / "batch.journal"

    @property
    def begun(self) -> bool:
        """Whether there is a journal to go on with."""
        return self.plan.journal and any(run.report is not None for run in self.runs)

    @property
    def ledger(self) -> Any:
        """What the service knows."""
        return self.service.ledger

    def heard(self, event: Event) -> None:
        """Told of each event of each run."""
        if isinstance(event, ItemSettled):
            self.settled[event.index] = self.loop.time()
        elif isinstance(event, ItemChanged) and event.trigger == "intend":
            self.settled.pop(event.index, None)

    def sessions(self) -> list[Any]:
        """Every session of the service."""
        return list(self.service._service.sessions.values())

    @property
    def paid(self) -> int:
        """How many requests were paid for."""
        return len(self.tasks()) + len(self.ledger.trainings)

    def tasks(self) -> list[Any]:
        """Every task of the service, with the whole course of it."""
        return list(self.service._service.tasks.values())


def inhabit(
    plan: Plan,
    life: Callable[[World], Any],
    *,
    log: list[str] | None = None,
    portable: bool = False,
    keep_calls: bool = False,
) -> World:
    """Makes a world, lets it go on until `life` has ended, and ends it.

    Args:
        plan: What it is like.
        life: A coroutine function of the world.
        log: Gets every line of the trace.
        portable: The same on every version of Python, down to the order of what happens in one moment.
        keep_calls: Keep every request in the service's ledger.
    """
    net, disk = Net(plan.seed, plan.weather), Disk(plan.seed + 1)
    net.names[HOST], net.log = "127.0.0.1", log
    disk.faults, disk.delays, disk.power_at = plan.disk, plan.disk_delays, plan.torn_at
    loop, ear = SimLoop(net, disk, limit=MOST_RUNS * RUN_BOUND), Ear()
    service = _Service(plan.behaviour, api_key=KEY, port=PORT, keep_calls=keep_calls)
    world = World(plan, loop, net, disk, service, began=loop.time())
    collects = gc.isenabled()
    gc.disable()
    try:
        with warnings.catch_warnings(), deterministic(loop, disk, ear, portable=portable):
            # Here and not around a call in a run: what a killed run had entered is left when it is buried.
            warnings.simplefilter("ignore", DuplicateURLWarning)
            try:
                loop.run_until_complete(life(world))
            except (SimDeadlock, SimTimeout) as verdict:
                world.problems.append(f"I4: {type(verdict).__name__}: {verdict}")
            world.secrets += ear.told
            _end(world)
    finally:
        disk.remove()
        if collects:
            gc.enable()
    return world


def _end(world: World) -> None:
    world.loop.set_exception_handler(lambda *_: None)
    with quietly():
        for process in world.processes:
            process.bury()
        for task in asyncio.all_tasks(world.loop):
            with contextlib.suppress(BaseException):
                task.get_coro().close()
        world.loop._ready.clear()  # type: ignore[attr-defined]
        world.loop._scheduled.clear()  # type: ignore[attr-defined]
        world.loop.close()
        world.processes.clear()
        collect()
