"""What a world will be like, drawn from its seed before it begins.

What may live here: frozen values, and how they are drawn. Swarm style: each seed has a few kinds of faults, at rates
of its own, since a world with all of them at once hides what each alone would show. Nothing here acts.
"""

# ruff: noqa: S311 - chance is seeded here on purpose, and protects nothing
from __future__ import annotations

import random
from collections.abc import Callable
from typing import Literal

import attrs

from mountsea_async import ClientConfig, PollPolicy, RetryPolicy, Timeouts
from mountsea_async.testing import (
    Answer,
    Behaviour,
    Cut,
    Drip,
    Fault,
    Fixed,
    Hang,
    LogNormal,
    Outcome,
    RateLimit,
    Reshape,
    Truncate,
    Uniform,
    html,
    no_account,
    rate_limited,
    redirect,
)

from .disk import HEALTHY, DiskFaults
from .net import CLEAR, REQUEST_FAULTS, RESPONSE_FAULTS, Weather


@attrs.frozen
class Fate:
    """What is done to one run of the batch.

    Attributes:
        how: `kill`: SIGKILL; `power`: the machine goes, and what its disk has not got; `cancel`.
        event: After its event of this number: a write, an arrival, a connection, a call of the disk.
        step: Or at its callback of this number.
        rest: Seconds until the next run.
        twice: A second cancel comes so many callbacks after the first.
    """

    how: Literal["kill", "power", "cancel"]
    event: int | None = None
    step: int | None = None
    rest: float = 1.0
    twice: int | None = None


@attrs.frozen
class Incident:
    """Something that happens once, so many seconds after the start."""

    at: float
    what: str
    value: float = 0.0


@attrs.frozen(kw_only=True)
class Plan:
    """A world.

    Attributes:
        seed: Of everything that is drawn while it goes on.
        calm_at: Seconds after which nothing goes wrong any more.
        fates: Of the first runs; later ones are left alone.
        torn_at: The power goes in the middle of the disk's call of this number.
        journal: Whether the batch has one; without it nothing is killed.
        from_journal: Whether later runs take the inputs from the journal.
        retry_failed: Whether the last runs send again what has failed.
        again: How many more runs there are once all has ended and landed.
        strict: Nothing may be paid for twice, whatever the caller has allowed.
        model: The batch is one that a custom model is trained on.
    """

    seed: int
    urls: tuple[str, ...]
    behaviour: Behaviour = attrs.field(factory=Behaviour)
    config: ClientConfig = attrs.field(factory=ClientConfig)
    keep_duplicates: bool = False
    concurrency: int = 32
    deadline: float | None = None
    on_unknown: str = "hold"
    weather: Weather = CLEAR
    disk: DiskFaults = HEALTHY
    disk_delays: bool = True
    torn_at: int | None = None
    fates: tuple[Fate, ...] = ()
    incidents: tuple[Incident, ...] = ()
    calm_at: float = 0.0
    journal: bool = True
    from_journal: bool = False
    retry_failed: bool = False
    again: int = 2
    strict: bool = False
    model: bool = False


def urls(count: int) -> tuple[str, ...]:
    """Made-up addresses."""
    return tuple(f"https://cdn.example.com/song-{number:03}.mp3" for number in range(count))


def rate(rng: random.Random, mean: float) -> float:
    """How often a fault happens, as a share of the requests: mostly seldom."""
    return min(0.5, rng.expovariate(1 / mean))


def _some(rng: random.Random, kinds: tuple[str, ...], mean: float) -> dict[str, float]:
    chosen = [kind for kind in kinds if rng.random() < 0.4]
    return {kind: rate(rng, mean) for kind in chosen}


def _weather(rng: random.Random) -> Weather:
    if rng.random() < 0.3:
        return CLEAR
    least = rng.choice((0.001, 0.01, 0.1))
    return Weather(
        lookup=_some(rng, ("unknown", "again", "hang"), 0.05),
        connect=_some(rng, ("refuse", "hang", "slow", "reset"), 0.06),
        request=_some(rng, REQUEST_FAULTS, 0.025),
        response=_some(rng, RESPONSE_FAULTS, 0.025),
        stale=rng.choice((0.0, 0.0, 0.5)) * rng.random(),
        closing=rng.choice((0.0, 0.0, 0.4)) * rng.random(),
        latency=(least, least * rng.uniform(2, 10)),
    )


RETRY_AFTER = ("1", "7", "0", "-3", "soon", "1e9", "600", None, "Sun, 01 Nov 2026 08:00:30 GMT", "")
_SHAPES = (
    {"status": "dreaming"},
    {"data": None},
    {"data": {"id": 7}},
    {"data": {"audioIds": None}},
    {"createdAt": None, "note": "x" * 500},
    {"status": None},
)
TASKLESS = ({"taskId": None}, {"taskId": 7}, {"taskId": ""}, {"taskId": None, "data": {"taskId": "t"}})

_ON_ITEMS: tuple[Callable[[random.Random], Fault], ...] = (
    lambda rng: Fault(Answer(rng.choice((500, 502, 504)), after_work=True), share=rate(rng, 0.06)),
    lambda rng: Fault(Answer(rng.choice((500, 502, 503, 504))), share=rate(rng, 0.06)),
    lambda rng: Fault(html(rng.choice((200, 502)), after_work=rng.random() < 0.5), share=rate(rng, 0.06)),
    lambda rng: Fault(rate_limited(rng.choice(RETRY_AFTER)), share=rate(rng, 0.1)),
    lambda rng: Fault(no_account(), share=rate(rng, 0.08)),
    lambda rng: Fault(Answer(rng.choice((400, 409, 415))), share=rate(rng, 0.05)),
    lambda rng: Fault(Truncate(rng.random()), share=rate(rng, 0.08)),
    lambda rng: Fault(Drip(rng.choice((0.01, 0.4, 5.0))), share=rate(rng, 0.05)),
    lambda rng: Fault(
        Hang(after_work=rng.random() < 0.5, seconds=rng.choice((3.0, 70.0, None))), share=rate(rng, 0.05)
    ),
    lambda rng: Fault(Cut(after_work=True, graceful=rng.random() < 0.5), share=rate(rng, 0.1)),
    lambda rng: Fault(Cut(after_work=False, graceful=rng.random() < 0.5), share=rate(rng, 0.1)),
    lambda rng: Fault(
        redirect("/suno/v2/audio/upload/session/item", rng.choice((301, 303, 307, 308))), share=rate(rng, 0.05)
    ),
    lambda rng: Fault(Reshape(rng.choice(TASKLESS)), share=rate(rng, 0.06)),
    lambda rng: Fault(Outcome("failed"), share=rate(rng, 0.1)),
    lambda rng: Fault(Outcome("timeout"), share=rate(rng, 0.08)),
    lambda rng: Fault(Outcome("late", late_after=rng.choice((0.5, 12.0, 90.0))), share=rate(rng, 0.1)),
    lambda rng: Fault(Outcome("blank"), share=rate(rng, 0.08)),
)
_ON_POLLS: tuple[Callable[[random.Random], Fault], ...] = (
    lambda rng: Fault(Answer(rng.choice((404, 500, 502, 504))), on="status", share=rate(rng, 0.1)),
    lambda rng: Fault(html(rng.choice((200, 502))), on="status", share=rate(rng, 0.1)),
    lambda rng: Fault(rate_limited(rng.choice(RETRY_AFTER)), on="status", share=rate(rng, 0.05)),
    lambda rng: Fault(Reshape(rng.choice(_SHAPES)), on="status", share=rate(rng, 0.08)),
    lambda rng: Fault(Truncate(rng.random()), on="status", share=rate(rng, 0.08)),
    lambda rng: Fault(Hang(seconds=rng.choice((3.0, None))), on="status", share=rate(rng, 0.03)),
    lambda rng: Fault(Cut(), on="status", share=rate(rng, 0.1)),
)
_ON_PREPARE: tuple[Callable[[random.Random], Fault], ...] = (
    lambda rng: Fault(
        Answer(rng.choice((500, 502)), after_work=rng.random() < 0.5), on="prepare", share=rate(rng, 0.3)
    ),
    lambda rng: Fault(Cut(after_work=rng.random() < 0.5), on="prepare", share=rate(rng, 0.3)),
)


def _faults(rng: random.Random) -> tuple[Fault, ...]:
    if rng.random() < 0.2:
        return ()
    share = rng.choice((0.1, 0.25, 0.5))
    makers = (*_ON_ITEMS, *_ON_POLLS, *_ON_PREPARE)
    return tuple(maker(rng) for maker in makers if rng.random() < share)


def _behaviour(rng: random.Random, items: int) -> Behaviour:
    return Behaviour(
        durations=rng.choice((Uniform(0.5, 10), Uniform(10, 60), LogNormal(12, 0.5), LogNormal(30, 1.0), Fixed(3))),
        parallel=rng.choice((None, None, 1, 3, 8)),
        latency=rng.choice((0.0, 0.0, 0.05, 1.5)),
        append_lag=rng.choice((0.0, 0.0, 1.0, 15.0)),
        late_after=rng.choice((None, None, 30.0)),
        fail_share=rng.choice((0.0, 0.0, 0.1)),
        timeout_share=rng.choice((0.0, 0.0, 0.1)),
        vocabulary=rng.choice(("current", "older")),
        upper_case=rng.random() < 0.2,
        result_field=rng.choice(("data", "result")),
        rate_limit=RateLimit(rng.choice((2.0, 10.0)), rng.choice((1, 10)), rng.choice(("seconds", "date", "none")))
        if rng.random() < 0.15
        else None,
        credits=rng.randint(0, items) if rng.random() < 0.08 else None,
        accounts=rng.randint(1, 3),
        seed=rng.getrandbits(32),
        faults=_faults(rng),
    )


_INCIDENTS = ("revoke", "lose_account", "foreign", "repeat", "freeze", "wall", "outage", "restart")


def _incidents(rng: random.Random, span: float) -> tuple[Incident, ...]:
    chosen = [what for what in _INCIDENTS if rng.random() < 0.07]
    values = {"freeze": (5, 120), "wall": (-90_000, 90_000), "outage": (1, 90), "restart": (0.5, 30)}
    return tuple(Incident(rng.uniform(0.05, span), what, rng.uniform(*values.get(what, (0, 1)))) for what in chosen)


def _fates(rng: random.Random, items: int) -> tuple[Fate, ...]:
    if rng.random() < 0.4:
        return ()
    ways: tuple[Literal["kill", "power", "cancel"], ...] = rng.choice(
        (("kill",), ("cancel",), ("power",), ("kill", "cancel", "power"))
    )
    return tuple(
        Fate(
            rng.choice(ways),
            event=1 + int(rng.random() ** 2 * 40 * items),
            rest=rng.choice((0.1, 2.0, 60.0)),
        )
        for _ in range(rng.randint(1, 4))
    )


def _config(rng: random.Random) -> ClientConfig:
    return ClientConfig(
        timeouts=Timeouts(submit=rng.choice((60.0, 60.0, 15.0)), poll=rng.choice((30.0, 10.0))),
        retry=RetryPolicy(max_tries=rng.choice((8, 3))),
        poll=PollPolicy(first=rng.choice((2.0, 0.2)), cap=rng.choice((15.0, 5.0))),
        allow_http=True,
    )


def draw(seed: int) -> Plan:
    """The world of a seed."""
    rng, extra = random.Random(seed), random.Random(f"extra {seed}")  # what was added later leaves the rest as it was
    items = rng.choice((1, 2, rng.randint(3, 10), rng.randint(5, 30)))
    names = list(urls(items))
    if rng.random() < 0.15 and items > 2:
        names += rng.choices(names, k=rng.randint(1, 3))
        rng.shuffle(names)
    span = rng.choice((20.0, 60.0, 200.0))
    journal = rng.random() < 0.93
    return Plan(
        seed=seed,
        urls=tuple(names),
        behaviour=_behaviour(rng, items),
        config=_config(rng),
        keep_duplicates=rng.random() < 0.3,
        concurrency=rng.choice((1, 2, 4, 8, 32)),
        deadline=rng.choice((None, None, None, rng.uniform(1, 30), rng.uniform(30, 300))),
        on_unknown=rng.choice(("hold", "hold", "hold", "continue", "resubmit")),
        weather=_weather(rng),
        disk=DiskFaults(
            slow=rng.choice((0.0, 0.0, 0.1)),
            full=rng.choice((0.0, 0.0, 0.0, 0.05)),
            eio=rng.choice((0.0, 0.0, 0.0, 0.05)),
            spell=rng.choice((1, 3, 30)),
        ),
        torn_at=rng.randint(2, 4 + 3 * items) if journal and rng.random() < 0.2 else None,
        fates=tuple(
            attrs.evolve(fate, twice=extra.choice((None, None, 1, 20)))
            for fate in (_fates(rng, items) if journal else ())
        ),
        incidents=_incidents(rng, span),
        calm_at=span * rng.uniform(0.5, 3),
        journal=journal,
        from_journal=extra.random() < 0.5,
        retry_failed=extra.random() < 0.15,
    )
