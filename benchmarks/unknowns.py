"""What it costs, in time and in certainty, to hold up submits after a request whose outcome isn't known.

Lives whole batches in the simulated network of the tests, where answers get lost, and counts the items that end
`unknown` without a clip: beside what the session's final list alone would tell, and beside what somebody would know who
can tell whose each listed clip is. Time is simulated; nothing here depends on the machine.
"""

from __future__ import annotations

import argparse
import statistics

import attrs

from mountsea_async.testing import Cut, Fault
from tests.simulation import sweep
from tests.simulation.runs import live
from tests.simulation.world import World, inhabit

from .setting import show

POLICIES = ("continue", "hold")
WORLDS = (
    (0.1, 4, 30, 30),
    (0.1, 8, 30, 30),
    (0.1, 32, 30, 30),
    (0.1, 8, 200, 8),
    (0.01, 8, 200, 12),
    (0.01, 32, 200, 12),
)
"""Share of lost answers (half of them processed), concurrency, items, batches."""


def lived(share: float, concurrency: int, items: int, seed: int, policy: str) -> World:
    """One batch, in a world that loses answers."""
    plan = sweep.lossy(seed, items, on_unknown=policy)
    faults = (Fault(Cut(after_work=True), share=share / 2), Fault(Cut(after_work=False), share=share / 2))
    behaviour = attrs.evolve(plan.behaviour, faults=faults)
    return inhabit(attrs.evolve(plan, behaviour=behaviour, concurrency=concurrency), live)


def row(share: float, concurrency: int, items: int, batches: int, policy: str) -> dict[str, str]:
    """One line of the table."""
    worlds = [lived(share, concurrency, items, seed, policy) for seed in range(batches)]
    total = items * batches
    seconds = statistics.median(world.runs[0].ended - world.runs[0].began for world in worlds)
    return {
        "answers lost": f"{share:.0%}",
        "concurrency": str(concurrency),
        "items": str(items),
        "on_unknown": policy,
        "unknown, no clip": f"{sum(map(sweep.unresolved, worlds)) / total:.2%}",
        "list alone": f"{sum(map(sweep.by_list_alone, worlds)) / total:.2%}",
        "clairvoyant": f"{sum(map(sweep.by_clairvoyance, worlds)) / total:.2%}",
        "seconds": f"{seconds:.0f}",
    }


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.unknowns", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few batches")
    parser.add_argument("--json", help="write the figures to this file, too")
    asked = parser.parse_args()
    rows = [
        row(share, concurrency, items, 2 if asked.quick else batches, policy)
        for share, concurrency, items, batches in WORLDS
        for policy in POLICIES
    ]
    method = "whole batches on the simulated network, uploads of 2 to 20 s side by side; medians of simulated seconds"
    show("After a request whose outcome isn't known", method, rows, asked.json)


if __name__ == "__main__":
    main()
