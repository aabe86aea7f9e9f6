"""When to ask: whole batches of the real client in a simulated network, against every 2 s and the documented backoff.

    python -m benchmarks.polling [--quick] [--json FILE]
    python -m benchmarks.polling --only stream --m 30 --k 5 --order fifo --seeds 3
    python -m benchmarks.polling --wrong LAG MISSING FOREIGN ERROR --m 30

Time is simulated; no figure depends on the machine.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, TypeAlias

import attrs

from .polling_world import FAIL_SHARE, ITEMS, ONE_WAY, SIGMA, STRATEGIES, WRONGS, Cell, Figures, Order, live
from .setting import median, show

MEDIANS = (8, 30, 90)
OURS = ("stream", "batch")
_Found: TypeAlias = dict[Cell, list[Figures]]


def chosen(asked: argparse.Namespace) -> list[tuple[Cell, int]]:
    """The cells that are asked for, each with the number of its seeds."""
    cells = [
        Cell(name, m, k, order, wrong)
        for wrong, order, m, k, name in itertools.product(asked.wrong, asked.order, asked.m, asked.k, asked.only)
        if k or order == "fifo"  # where nobody waits there is no order
    ]
    cells = [cell for cell in cells if needed(cell, quick=asked.quick)]
    return [(cell, min(asked.seeds, most_seeds(cell))) for cell in cells]


def most_seeds(cell: Cell) -> int:
    """How often a cell is lived at most: what no target is measured by, and takes long, is there for a look."""
    if cell.strategy == "documented" and cell.order == "random":
        return 2
    return 1 if long(cell, 20_000) else 1000


def needed(cell: Cell, *, quick: bool) -> bool:
    """Whether a cell says something that is worth its time."""
    if cell.strategy == "every 2 s":
        return cell.order == "fifo" and not long(cell, 6_000 if quick else 70_000)
    return not quick or cell.order == "fifo" or cell.strategy in OURS


def long(cell: Cell, requests: int) -> bool:
    """Whether it takes more than so many requests: by asking every 2 s the longest world takes 300,000."""
    return cell.strategy == "every 2 s" and ITEMS * cell.span / 4.2 > requests


def lived(cells: Sequence[tuple[Cell, int]], jobs: int) -> _Found:
    """Every cell under every seed."""
    work = [(cell, seed) for cell, seeds in cells for seed in range(seeds)]
    # The longest first, so that no process ends with one of them while the others have nothing left to do.
    work.sort(key=lambda each: (each[0].strategy in OURS, each[0].strategy != "every 2 s", -each[0].span))
    found: _Found = {cell: [] for cell, _ in cells}
    if jobs == 1:
        figures: Iterable[Figures] = map(live, *zip(*work, strict=True))
    else:
        with ProcessPoolExecutor(jobs) as pool:
            figures = list(pool.map(live, *zip(*work, strict=True)))
    for (cell, _), each in zip(work, figures, strict=True):
        found[cell].append(each)
    return found


# ----------------------------------------------------------------------------------------------------------- the tables
def row(cell: Cell, figures: Sequence[Figures]) -> dict[str, Any]:
    """One line of the table of worlds."""
    requests, lags, late = ([getattr(each, name) for each in figures] for name in ("requests", "lag", "late"))
    return {
        "strategy": cell.strategy,
        "m": cell.m,
        "K": cell.k or "all",
        "order": cell.order,
        "list": cell.wrong.lower() or "right",
        "requests an item": round(median(requests), 2),
        "from-to": between(requests, "{:.1f}"),
        "lag s": round(median(lags), 1),
        "lag from-to": between(lags, "{:.1f}"),
        "end late": f"{median(late):.1%}",
        "late from-to": between(late, "{:.1%}"),
        "most in 1 s": max(each.most for each in figures),
        "429": sum(each.refused for each in figures),
        "unsettled": sum(each.unsettled for each in figures),
        "seeds": len(figures),
    }


def between(values: Sequence[float], form: str) -> str:
    """The least and the most."""
    return f"{form.format(min(values))}-{form.format(max(values))}"


@attrs.frozen
class Target:
    """What is to be reached, in the geometric mean over the medians of the durations.

    Attributes:
        strategy: Whose figure it is.
        places: The worlds: how many items the account runs at once.
        order: Which of the queued items starts next.
        name: A field of `Figures`.
        most: What it may be.
        ratio: Whether it is that many times the documented backoff's figure under the same seed.
        least_m: Worlds of shorter durations don't count.
    """

    strategy: str
    places: tuple[int | None, ...]
    order: Order
    name: str
    most: float
    ratio: bool = False
    least_m: int = 0


QUEUES: tuple[int | None, ...] = (1, 5)
TARGETS = (
    Target("stream", QUEUES, "fifo", "requests", 0.35, ratio=True),
    Target("stream", QUEUES, "fifo", "lag", 0.25, ratio=True),
    Target("stream", (None,), "fifo", "requests", 1.0, ratio=True),
    Target("stream", (None,), "fifo", "lag", 0.6, ratio=True),
    Target("batch", QUEUES, "fifo", "late", 0.013),
    Target("batch", QUEUES, "fifo", "requests", 2.2),
    Target("batch", (None,), "fifo", "late", 0.03, least_m=30),
    Target("batch", (None,), "fifo", "requests", 3.1, least_m=30),
    Target("batch", QUEUES, "random", "late", 0.015),
    Target("batch", QUEUES, "random", "requests", 3.2),
)
WORDS = {"requests": "requests an item", "lag": "lag", "late": "end after the perfect observer's"}
MOST_IN_A_SECOND = 20
ONE_LOOK = 5.0
"""Seconds between two looks of the final check at a list that holds too little: an end is no more precise than that."""
SAID = {
    False: "Medians over seeds, ratios seed by seed; then geometric means over m and K.",
    True: "Medians over seeds of the ratios to the documented backoff, which reads the list in the final check alone.",
}


def reached(target: Target, found: _Found, medians: Sequence[int]) -> float | None:
    """The geometric mean of the cells' medians; None where a world is missing."""
    values = []
    for k, m in itertools.product(target.places, medians):
        if m < target.least_m:
            continue
        cell = Cell(target.strategy, m, k, target.order)
        mine, theirs = found.get(cell), found.get(attrs.evolve(cell, strategy="documented"))
        if mine is None or (theirs is None and target.ratio):
            return None
        figures = [getattr(each, target.name) for each in mine]
        if target.ratio and theirs is not None:
            figures = ratios(mine, theirs, target.name)
        values.append(max(median(figures), 1e-6))
    return math.exp(sum(map(math.log, values)) / len(values)) if values else None


def ratios(mine: Sequence[Figures], theirs: Sequence[Figures], name: str) -> list[float]:
    """How many times the figure of others is one's own, seed by seed."""
    return [getattr(one, name) / getattr(other, name) for one, other in zip(mine, theirs, strict=True)]


def summary(found: _Found, medians: Sequence[int]) -> list[dict[str, Any]]:
    """A line for each target of which all worlds were lived."""
    rows = []
    for target in TARGETS:
        if (value := reached(target, found, medians)) is None:
            continue
        what = WORDS[target.name] + (", ratio to documented" if target.ratio else "")
        places = ", ".join(str(k or "all") for k in target.places)
        form = "{:.2%}" if target.name == "late" else "{:.2f}"
        over = ", ".join(str(m) for m in medians if m >= target.least_m)
        rows.append(verdict(target.strategy, over, places, target.order, what, value, target.most, form))
    if ours := [each.most for cell, figures in found.items() if cell.strategy in OURS for each in figures]:
        what = "most requests in any one second"
        rows.append(verdict("both", "any", "any", "any", what, max(ours), MOST_IN_A_SECOND, "{}"))
    return rows


def verdict(
    mode: str, medians: str, places: str, order: str, figure: str, value: float, most: float, form: str
) -> dict[str, Any]:
    """One line of the table of targets."""
    return {
        "mode": mode,
        "m": medians,
        "K": places,
        "order": order,
        "figure": figure,
        "value": form.format(value),
        "target": "at most " + form.format(most),
        "verdict": "met" if value <= most else "not met",
    }


def wrongs(found: _Found) -> list[dict[str, Any]]:
    """What each wrong list costs beside the documented backoff in the same worlds."""
    rows = []
    for cell, figures in found.items():
        other = found.get(attrs.evolve(cell, strategy="documented"))
        if not cell.wrong or other is None or cell.strategy not in OURS:
            continue
        requests, lag = median(ratios(figures, other, "requests")), median(ratios(figures, other, "lag"))
        later = median([one.seconds - theirs.seconds for one, theirs in zip(figures, other, strict=True)])
        # In a batch nobody waits for an item: its end is what may not come later.
        good = requests <= 1 and (later <= ONE_LOOK if cell.strategy == "batch" else lag <= 1)
        rows.append(
            {
                "mode": cell.strategy,
                "m": cell.m,
                "K": cell.k or "all",
                "order": cell.order,
                "list": cell.wrong.lower(),
                "requests, ratio": f"{requests:.2f}",
                "lag, ratio": f"{lag:.2f}",
                "end later by s": f"{later:+.1f}",
                "no worse than documented": "yes" if good else "no",
            }
        )
    return rows


def understood() -> argparse.Namespace:
    """The command line."""
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="python -m benchmarks.polling", description=__doc__, formatter_class=form)
    parser.add_argument("--quick", action="store_true", help="two seeds of the shorter worlds")
    parser.add_argument("--json", help="write the figures to this file, too")
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1), help="processes")
    parser.add_argument("--only", nargs="+", choices=tuple(STRATEGIES), default=list(STRATEGIES))
    parser.add_argument("--m", type=int, nargs="+", help="medians of the durations in seconds")
    parser.add_argument("--k", nargs="+", type=places, default=[1, 5, None], help="how many the account runs at once")
    parser.add_argument("--order", nargs="+", choices=("fifo", "random"))
    parser.add_argument("--seeds", type=int, help="worlds of each kind")
    parser.add_argument("--wrong", nargs="+", choices=WRONGS, default=[""], help="what is wrong with the list")
    asked = parser.parse_args()
    asked.misled = asked.wrong != [""]
    asked.seeds = asked.seeds or (2 if asked.quick else 8)
    asked.m = asked.m or ([8, 30] if asked.quick else list(MEDIANS))
    asked.order = asked.order or (["fifo"] if asked.misled else ["fifo", "random"])
    if asked.misled:
        asked.only = [name for name in asked.only if name != "every 2 s"]
    return asked


def places(word: str) -> int | None:
    """How many items an account runs at once."""
    return None if word == "all" else int(word)


def main() -> None:
    """Lives the worlds and prints the tables."""
    asked = understood()
    if not (cells := chosen(asked)):
        raise SystemExit(
            "no world is left: every 2 s is lived first come first served alone, and not where it takes long"
        )
    found = lived(cells, asked.jobs)
    method = (
        f"{ITEMS} items at once, durations lognormal with median m s and sigma {SIGMA}, {FAIL_SHARE:.0%} fail, round\n"
        f"trip {2 * ONE_WAY:g} s, the account runs K at once; simulated time; medians over seeds, the same for each\n"
        "strategy. Requests are polls and reads of the list, the final check's included; lag runs from a task's end\n"
        "to the event that says so; the perfect observer looks once, at the right moment."
    )
    show("polling", method, [row(cell, figures) for cell, figures in found.items()], asked.json)
    verdicts = wrongs(found) if asked.misled else summary(found, asked.m)
    if verdicts:
        show("polling: wrong lists" if asked.misled else "polling: targets", SAID[asked.misled], verdicts, None)
    if asked.json:
        path = Path(asked.json)
        whole = json.loads(path.read_text(encoding="utf-8"))
        path.write_text(json.dumps({**whole, "targets": verdicts}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
