"""A storm of refusals: the limit falls in the middle of a batch and comes back. Real client, simulated network."""

from __future__ import annotations

import asyncio
from typing import Any

import attrs
import pytest
from simulation.patches import KEY
from simulation.plan import Plan, urls
from simulation.world import HOST, PORT, World, inhabit

from mountsea_async import BatchReport, ClientConfig, MountseaClient
from mountsea_async.testing import Behaviour, RateLimit, Uniform

FALLS, RETURNS = 2.0, 42.0


@attrs.define
class Seen:
    """What went over the network, as the service saw it: seconds since the start, and whether it was refused."""

    report: BatchReport
    calls: list[tuple[float, bool]]

    def accepted(self, since: float, until: float) -> float:
        """Accepted requests a second."""
        return sum(since <= at < until and not refused for at, refused in self.calls) / (until - since)

    @property
    def refused(self) -> int:
        """How many in all."""
        return sum(refused for _, refused in self.calls)


def storm(seed: int, hint: Any, *, items: int = 600, settings: dict[str, Any] | None = None) -> Seen:
    """A batch during which the limit falls from 200 a second to 5, and comes back."""
    behaviour = Behaviour(durations=Uniform(2, 20), rate_limit=RateLimit(200, 50, hint), seed=seed)
    plan = Plan(seed=seed, urls=urls(items), behaviour=behaviour, config=ClientConfig(allow_http=True), journal=False)
    reports = list[BatchReport]()

    async def weather(world: World) -> None:
        await asyncio.sleep(FALLS)
        world.service.set_rate_limit(RateLimit(5, 5, hint))
        await asyncio.sleep(RETURNS - FALLS)
        world.service.set_rate_limit(RateLimit(200, 50, hint))

    async def life(world: World) -> None:
        async with world.service:
            client = MountseaClient(KEY, base_url=f"http://{HOST}:{PORT}", config=plan.config)
            client._rng.seed(seed)
            async with client:
                changing = asyncio.create_task(weather(world))
                reports.append(await client.upload_batch(plan.urls, **(settings or {})))
                await changing

    world = inhabit(plan, life, keep_calls=True)
    assert world.problems == []
    return Seen(reports[0], [(call.at - world.began, call.status == 429) for call in world.ledger.calls])


@pytest.mark.parametrize("hint", ["seconds", "none"])
@pytest.mark.parametrize("seed", range(3))
def test_a_storm_costs_no_item_and_few_refusals(seed: int, hint: str) -> None:
    seen = storm(seed, hint)
    assert [item.state.value for item in seen.report.items] == ["succeeded"] * 600
    assert seen.refused < 30
    assert 3.5 <= seen.accepted(FALLS + 10, RETURNS) <= 5.5
    fastest = max(seen.accepted(RETURNS + after, RETURNS + after + 2) for after in range(9))
    assert fastest >= 30, "within ten seconds; the rest of the batch is too small to fill 200 a second for long"
