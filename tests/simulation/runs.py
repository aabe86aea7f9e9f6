"""The runs of one batch in its world, one process after the other, and what happens around them.

What may live here: who does what when. What a world is made of is in `world.py`, what must hold in `verdict.py`.
"""

# ruff: noqa: S311 - chance is seeded here on purpose, and protects nothing
from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from typing import Any

import attrs

from mountsea_async import BatchReport, MountseaClient, MountseaError
from mountsea_async.upload.past import read_journal

from . import naive
from .net import CLEAR
from .patches import KEY
from .plan import Fate, Incident
from .process import Process
from .world import HOST, MOST_RUNS, PORT, RUN_BOUND, Run, World

END_BOUND = 90.0
"""Seconds that a run may take beyond its deadline, or after a cancel."""


@contextlib.asynccontextmanager
async def _surroundings(world: World) -> AsyncIterator[None]:
    """The service, and what happens around it until all is calm."""
    plan = world.plan
    async with world.service:
        jobs = [asyncio.create_task(_happen(world, incident)) for incident in plan.incidents]
        jobs.append(asyncio.create_task(_calm_down(world)))
        try:
            yield
        finally:
            for job in jobs:
                job.cancel()
            await asyncio.gather(*jobs, return_exceptions=True)


async def _calm_down(world: World) -> None:
    await asyncio.sleep(world.plan.calm_at)
    while world.net.down or world.service._runner is None:  # noqa: ASYNC110 - looking costs nothing here
        await asyncio.sleep(1)
    world.net.weather = attrs.evolve(CLEAR, latency=world.plan.weather.latency)
    for transport in world.net.transports:
        transport.stale_after = float("inf")
    world.service.clear_faults()
    world.service._service.key_revoked = False
    world.service._service.behaviour = attrs.evolve(world.service.behaviour, credits=None, rate_limit=None)
    world.disk.heal()
    world.net.note("calm")
    world.calm, world.calm_since = True, world.loop.time()


async def _happen(  # noqa: C901 - one line for each kind
    world: World, incident: Incident
) -> None:
    await asyncio.sleep(incident.at)
    service = world.service._service
    sessions = list(service.sessions.values())
    world.net.note("incident", incident.what)
    world.net.hits[incident.what] += 1
    match incident.what:
        case "revoke":
            service.key_revoked = not world.calm
        case "lose_account" if sessions:
            service.lose_account(sessions[-1].session_id)
        case "foreign" if sessions and not sessions[-1].account.lost:
            world.foreign = True
            service.upload("https://elsewhere.example.com/theirs.mp3", sessions[-1].session_id)
        case "repeat" if sessions and sessions[-1].landed:
            sessions[-1].landed.append(sessions[-1].landed[0])
        case "freeze":
            world.loop.freeze(incident.value)
        case "wall":
            world.loop.wall_offset += incident.value
        case "outage":
            world.net.down = True
            for transport in world.net.transports:
                if transport.client and transport.open:
                    transport.reset_both()
            await asyncio.sleep(incident.value)
            world.net.down = False
        case "restart":
            await world.service.__aexit__(None, None, None)
            await asyncio.sleep(incident.value)
            await world.service.__aenter__()


async def _batch(world: World, process: Process) -> BatchReport | None:
    plan = world.plan
    client = MountseaClient(KEY, base_url=f"http://{HOST}:{PORT}", config=plan.config)
    client._rng = random.Random(plan.seed + len(world.runs))
    process.clients.append(client)
    settings: dict[str, Any] = {
        "concurrency": plan.concurrency,
        "deadline": plan.deadline,
        "on_unknown": plan.on_unknown,
        "on_event": world.heard,
    }
    if plan.journal:
        settings["retry_failed"] = plan.retry_failed and world.landed
    async with client:
        if plan.from_journal and world.begun:
            return await client.resume_batch(world.path, **settings)
        if plan.journal:
            settings["journal"] = world.path
        if plan.model:
            await client.train_model(plan.urls, "v6Pro", **settings)
            return None  # the journal has it
        return await client.upload_batch(plan.urls, keep_duplicates=plan.keep_duplicates, **settings)


def bound(world: World) -> float:
    """Seconds that a run may take; a machine that stands still takes its time, too."""
    deadline = world.plan.deadline
    frozen = sum(incident.value for incident in world.plan.incidents if incident.what == "freeze")
    return frozen + (RUN_BOUND if deadline is None else deadline + END_BOUND)


async def run_once(world: World, fate: Fate | None = None) -> Run:
    """One run of the batch, as a process of its own.

    Args:
        world: The world.
        fate: What is done to it; None: nothing.
    """
    plan, loop = world.plan, world.loop
    fate = fate or Fate("kill")
    killed, cancelled = fate.how in ("kill", "power"), fate.how == "cancel"
    process = Process(
        f"run {len(world.runs)}",
        loop,
        kill_at=fate.step if killed else None,
        kill_event=fate.event if killed else None,
        cancel_at=fate.step if cancelled else None,
        cancel_event=fate.event if cancelled else None,
        cancel_again=fate.twice if cancelled else None,
        power=fate.how == "power",
    )
    world.processes.append(process)
    run = Run("ended", world.calm, loop.time())
    world.runs.append(run)
    main = process.start(_batch(world, process))
    done, _ = await asyncio.wait({main, process.died}, timeout=bound(world), return_when=asyncio.FIRST_COMPLETED)
    run.ended, run.steps, run.events = loop.time(), process.steps, process.events
    if process.dead:
        run.how = "killed"
    elif not done:
        run.how = "hung"
        process.kill()
    else:
        await asyncio.sleep(0.5)
        run.leftovers = tuple(process.leftovers())
        _take(run, main)
    if run.report is None and plan.journal and world.path.exists():
        with contextlib.suppress(MountseaError):
            found = read_journal(world.path)
            run.report = found if found.items else None  # a journal that holds nothing yet says nothing
    return run


def _take(run: Run, main: asyncio.Task[BatchReport | None]) -> None:
    if main.cancelled():
        run.how = "cancelled"
    elif (error := main.exception()) is not None:
        run.how, run.error = "raised", error
    else:
        run.report = main.result()


async def live(world: World) -> None:
    """The batch: run after run, until one has ended by itself when nothing went wrong any more; then some more."""
    async with _surroundings(world):
        for fate in (*world.plan.fates, *(None,) * MOST_RUNS):
            began_calm = world.calm
            run = await run_once(world, None if began_calm else fate)
            if run.how == "hung" or (run.error is not None and not isinstance(run.error, MountseaError)):
                return
            if began_calm and run.how in ("ended", "raised"):
                break
            if run.how in ("ended", "raised") and not world.plan.journal:
                break
            if run.how == "ended" and not world.calm:
                await asyncio.sleep(max(0.0, world.began + world.plan.calm_at - world.loop.time()))
            await asyncio.sleep(fate.rest if fate else 5.0)
        if world.plan.journal:
            world.landed = True
            paid = -1
            while paid < world.paid:  # until a run has nothing more to pay for
                await _let_land(world)
                paid = world.paid
                for _ in range(world.plan.again):
                    await run_once(world)
            await asyncio.sleep(10)
        if open_ends := [end.number for end in world.net.transports if end.client and end.open]:
            world.problems.append(f"connections left open: {open_ends}")
        _look_for_secrets(world)


async def _let_land(world: World) -> None:
    """Waits until what is on its way to the service has arrived and every clip that will land has landed."""
    await asyncio.sleep(200)
    ends = [max(task.finishes, task.lands or 0.0) for task in world.tasks()]
    await asyncio.sleep(max(0.0, max(ends, default=0.0) - world.loop.time()) + 1)


def _look_for_secrets(world: World) -> None:
    for name, content in world.disk.read().items():
        if KEY.encode() in content:
            world.secrets.append(name)


async def live_naively(world: World) -> None:
    """The same world, inhabited by an uploader that retries everything."""
    async with _surroundings(world):
        for fate in (*world.plan.fates, *(None,) * 4):
            fate = fate or Fate("kill")  # noqa: PLW2901 - nothing is done to it
            process = Process("naive", world.loop, kill_event=fate.event)
            world.processes.append(process)
            work = naive.upload(f"http://{HOST}:{PORT}", KEY, world.plan.urls, world.kept)
            main = process.start(work)
            await asyncio.wait({main, process.died}, timeout=RUN_BOUND, return_when=asyncio.FIRST_COMPLETED)
            if main.done():
                main.exception()
                if set(world.plan.urls) <= world.kept.keys():
                    break
            process.kill()
            await asyncio.sleep(fate.rest)
        await asyncio.sleep(200)
