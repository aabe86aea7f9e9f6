"""What a rate limit leaves of a client's speed, and how often the client runs into it.

Many requests at once against a service that takes R a second, B of them at once. The share is what a perfect client
takes, who knows R and B, over what this one takes: (answered - B) / R and two round trips; where R is given to the
client, B isn't, and the perfect client is held to that. Lost is what was given up after six tries.

The strategies: `pace` is the library as it is; `pace, rate=R` is told the limit; `each backs off` waits up to 0.5 s
after a refusal, doubling to 20 s, every request for itself; `each its hint` waits for as long as its own refusal says.
`python -m benchmarks.rate_limit [--quick] [--json FILE]`
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import sys
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Literal

import attrs

from mountsea_async import ClientConfig, RetryPolicy
from mountsea_async.testing import Behaviour, Emulator, RateLimit
from mountsea_async.wire import endpoints
from mountsea_async.wire.caller import Caller
from mountsea_async.wire.pacing import Pace
from mountsea_async.wire.protocol import Response
from mountsea_async.wire.transport import Transport
from tests.simulation.net import Weather
from tests.simulation.patches import KEY
from tests.simulation.plan import Plan
from tests.simulation.world import HOST, PORT, World, inhabit

from .setting import served, show

TRIES = 6
Hints = Literal["seconds", "date", "none"]
_ALL: tuple[Hints, ...] = ("seconds", "date", "none")
Ask = Callable[[], Awaitable[bool]]
"""One request, however often it is sent; whether it was answered in the end."""


@attrs.frozen
class Cell:
    """What one row is measured under.

    Attributes:
        rate: Requests a second that the service takes; `burst`: at once.
        halves: Whether the limit halves after half of the requests.
        real: Whether it goes over loopback.
        trip: Seconds there and back, next to none over loopback; steady where the service takes only one at once, else
            up to a tenth off.
    """

    rate: int
    burst: int
    hints: Hints
    strategy: str
    requests: int
    halves: bool = False
    real: bool = False

    @property
    def trip(self) -> float:
        if self.real:
            return 0.0
        return 0.05 if self.rate >= 1000 else 0.1

    @property
    def at_once(self) -> int:
        return 100 if self.rate >= 1000 else 32

    @property
    def limit(self) -> RateLimit:
        return RateLimit(self.rate, self.burst, self.hints)

    def perfect(self, answered: int, halved_at: float | None) -> float:
        """Seconds that a perfect client takes for so many."""
        burst = 1 if "rate=" in self.strategy else self.burst
        left, seconds = answered - burst, 0.0
        rate = float(self.rate)
        if halved_at is not None:
            left, seconds, rate = left - int(rate * halved_at), halved_at, rate / 2
        by_limit = seconds + max(0, left) / rate + 2 * self.trip  # one of them for the connection
        return max(by_limit, answered * self.trip / self.at_once)


@attrs.frozen
class Outcome:
    """How it went: a share of R, refusals per request, requests that were given up."""

    share: float
    refusals: float
    lost: int


class _Counting(Transport):
    """Counts what the service refused."""

    refused = 0

    async def send(self, request: endpoints.Request, *rest: Any) -> Any:
        result = await super().send(request, *rest)
        if isinstance(result, Response) and result.status == 429:
            self.refused += 1
        return result


def asking(cell: Cell, transport: Transport, session: str, rng: random.Random) -> Ask:
    """A strategy, as something that sends one request."""
    if cell.strategy.startswith("pace"):
        pace = Pace(rate=cell.rate if "rate=" in cell.strategy else None, rng=rng)
        caller = Caller(transport, pace, RetryPolicy(), rng)

        async def paced() -> bool:
            await caller.task(session)
            return True

        return paced

    async def alone() -> bool:
        for row in range(TRIES):
            result = await transport.send(endpoints.task_status(session))
            if not isinstance(result, Response) or result.status != 429:
                return True
            if cell.strategy == "each its hint" and result.retry_after is not None:
                await asyncio.sleep(float(result.retry_after))
            else:
                await asyncio.sleep(rng.uniform(0, min(20.0, 0.5 * 2.0**row)))
        return False

    return alone


async def measure(
    cell: Cell, base_url: str, seed: int, on_half: Callable[[], None] | None = None
) -> tuple[Outcome, float]:
    """Sends all requests. Returns how it went, and the seconds that it took."""
    rng = random.Random(seed)  # noqa: S311 - jitter
    transport = _Counting(KEY, base_url, ClientConfig(allow_http=True), 100, None)
    await transport.open()
    try:
        prepared = await transport.send(endpoints.prepare_session())
        assert isinstance(prepared, Response)
        session = prepared.body.decode().split('"')[3]
        ask, left, done, lost = asking(cell, transport, session, rng), cell.requests, 0, 0
        loop = asyncio.get_running_loop()
        await asyncio.sleep(cell.burst / cell.rate)  # what that has taken is back
        began, halved_at = loop.time(), None

        async def work() -> None:
            nonlocal left, done, lost, halved_at
            while left:
                left -= 1
                if await ask():
                    done += 1
                else:
                    lost += 1
                if on_half is not None and halved_at is None and done >= cell.requests / 2:
                    halved_at = loop.time() - began
                    on_half()

        await asyncio.gather(*(work() for _ in range(cell.at_once)))
        seconds = loop.time() - began
    finally:
        await transport.close()
    share = cell.perfect(done, halved_at) / seconds
    return Outcome(share, transport.refused / cell.requests, lost), seconds


def simulated(cell: Cell, seed: int) -> Outcome:
    """One run on the simulated network."""
    one_way, wobble = cell.trip / 2, 0.0 if cell.burst == 1 else 0.1
    weather = Weather(latency=(one_way * (1 - wobble), one_way * (1 + wobble)))
    plan = Plan(seed=seed, urls=(), behaviour=Behaviour(rate_limit=cell.limit, seed=seed), weather=weather)
    outcomes = list[Outcome]()

    async def life(world: World) -> None:
        def halve() -> None:
            world.service.set_rate_limit(RateLimit(cell.rate / 2, cell.burst, cell.hints))

        async with world.service:
            outcome, _ = await measure(cell, f"http://{HOST}:{PORT}", seed, halve if cell.halves else None)
            outcomes.append(outcome)

    world = inhabit(plan, life)
    assert not world.problems, world.problems
    return outcomes[0]


# ------------------------------------------------------------------------------------------------------- real sockets
async def serve(limit: RateLimit) -> None:
    """An emulator in a process of its own; its first line is where it is."""
    async with Emulator(Behaviour(rate_limit=limit), api_key=KEY, keep_calls=False) as emulator:
        print(emulator.base_url, flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


def real(cell: Cell, seed: int) -> Outcome:
    """One run over loopback."""
    limit = (str(cell.rate), str(cell.burst), cell.hints)
    with served("benchmarks.rate_limit", "--serve", *limit) as base_url:
        return asyncio.run(measure(cell, base_url, seed))[0]


# --------------------------------------------------------------------------------------------------------- the table
def cells(*, quick: bool) -> Iterator[Cell]:
    """What is measured in the simulation."""
    sizes = ((2, 5), (10, 20), (50, 50), (200, 200), (1000, 1000), *((rate, 1) for rate in (2, 10, 50, 200, 1000)))
    for rate, burst in sizes if not quick else ((10, 20), (50, 50), (200, 1)):
        most = 6000 if burst == 1 else 60_000
        requests = min(1000, 20 * rate) if quick else max(1000, min(most, 60 * rate))
        for hints in _ALL[::2] if quick or burst == 1 else _ALL:
            yield Cell(rate, burst, hints, "pace", requests)
        yield Cell(rate, burst, "none", "pace, rate=R", min(requests, 12_000))
        if burst > 1 and rate <= 50:
            yield Cell(rate, burst, "none", "each backs off", 1000 if not quick else requests)
            yield Cell(rate, burst, "seconds", "each its hint", 1000 if not quick else requests)
    for rate, burst in ((2, 5), (10, 20), (50, 50), (200, 200)) if not quick else ((50, 50),):
        requests = 1000 if quick else max(1000, 60 * rate)
        for strategy, hints in (("pace", "seconds"), ("pace", "none"), ("each backs off", "none")):
            if strategy == "pace" or rate <= 50:
                yield Cell(rate, burst, hints, strategy, requests, halves=True)


def row(cell: Cell, where: str, outcomes: list[Outcome]) -> dict[str, Any]:
    """One line of the table: medians, and the worst share."""
    return {
        "where": where,
        "R": f"{cell.rate} halves" if cell.halves else str(cell.rate),
        "burst": cell.burst,
        "hints": cell.hints,
        "strategy": cell.strategy,
        "requests": cell.requests,
        "share of R": f"{statistics.median(outcome.share for outcome in outcomes):.3f}",
        "worst": f"{min(outcome.share for outcome in outcomes):.3f}",
        "refusals per request": f"{statistics.median(outcome.refusals for outcome in outcomes):.3f}",
        "lost": sum(outcome.lost for outcome in outcomes),
    }


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rate_limit", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer limits, fewer requests, once each")
    parser.add_argument("--json", help="write the figures to this file, too")
    parser.add_argument("--serve", nargs=3, metavar=("RATE", "BURST", "HINTS"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.serve:
        rate, burst, hints = asked.serve
        asyncio.run(serve(RateLimit(float(rate), int(burst), hints)))
        return
    repeats, rows = 1 if asked.quick else 3, []
    for cell in cells(quick=asked.quick):
        runs = repeats if cell.requests <= 3000 and cell.strategy.startswith("pace") else 1
        rows.append(row(cell, "simulated", [simulated(cell, seed) for seed in range(7, 7 + runs)]))
    for rate in (200,) if asked.quick else (200, 1000):
        for hints in ("none",) if asked.quick else ("seconds", "none"):
            cell = Cell(rate, rate, hints, "pace", 600 if asked.quick else 20 * rate, real=True)  # type: ignore[arg-type]
            rows.append(row(cell, "real sockets", [real(cell, 7)]))
    method = (
        "32 requests at once (100 at R = 1,000), a round trip of 0.1 s (0.05 s there, almost none on real sockets); "
        "simulated time where it says so; 60 s of the limit, 1,000 requests at least (6,000 at most where "
        "the burst is 1); medians of 3 runs of `pace` up to 3,000 requests, else one run"
    )
    show("Under a rate limit", method, rows, asked.json)


if __name__ == "__main__":
    main()
