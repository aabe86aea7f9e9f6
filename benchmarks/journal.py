"""What a journal costs: durable records a second, and the wall time of a batch with a journal against one without.

    python -m benchmarks.journal [--quick] [--json FILE]

Both sides of a ratio run in turn, in one process; the emulator has another. The files are on a real disk.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import attrs

from benchmarks.setting import filesystem, median, served, show, spread
from mountsea_async import ClientConfig, MountseaClient, PollPolicy
from mountsea_async.testing import Behaviour, Emulator, Uniform
from mountsea_async.upload.events import ItemChanged
from mountsea_async.upload.journal import Journal
from mountsea_async.upload.lifecycle import ItemState, Trigger
from mountsea_async.upload.past import Binding

LATENCY = 0.02
"""Seconds before each of the emulator's answers."""
POLL = PollPolicy(strategy="backoff", first=1.0, factor=1.0, cap=1.0, max_rate=1000.0)
"""The same for every batch: what the learned schedule finds, and how soon, varies more than a journal costs."""
IN_MEMORY = frozenset({"tmpfs", "ramfs"})


@attrs.frozen
class Sizes:
    """How much is measured.

    Attributes:
        alone: Records with a commit each.
        grouped: Records of which many wait together.
        waiting: How many wait.
        repeats: How often each is measured.
        batches: Items, shortest and longest upload in seconds, repeats, and whether the bound is to hold.
    """

    alone: int
    grouped: int
    waiting: int
    repeats: int
    batches: tuple[tuple[int, float, float, int, bool], ...]


FULL = Sizes(1_000, 30_000, 256, 11, ((1000, 0.4, 0.8, 11, False), (300, 3.0, 4.5, 3, True)))
QUICK = Sizes(300, 10_000, 256, 3, ((100, 0.4, 0.8, 1, False), (50, 1.5, 2.0, 1, False)))


@attrs.frozen
class Taken:
    """One measurement: seconds by the clock, and seconds of CPU of all threads."""

    wall: float
    cpu: float


Measurement: TypeAlias = Callable[[Path], Coroutine[Any, Any, Taken]]


@contextmanager
def measured(into: list[Taken]) -> Iterator[None]:
    """Times what is done inside, free of the garbage of what was done before."""
    gc.collect()
    wall, cpu = time.perf_counter(), time.process_time()
    yield
    into.append(Taken(time.perf_counter() - wall, time.process_time() - cpu))


# ---------------------------------------------------------------------------------------------------------- records
def syncs(folder: Path, count: int) -> list[float]:
    """What the disk itself takes to make 4 KiB durable, in seconds, again and again."""
    taken = []
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        for _ in range(count):
            began = time.perf_counter()
            file.write(bytes(4096))
            os.fsync(file.fileno())
            taken.append(time.perf_counter() - began)
    return taken


async def records(folder: Path, count: int, waiting: int) -> Taken:
    """Appends records, each awaited by one of `waiting` coroutines until it is durable."""
    binding = Binding("https://api.example.com", lambda salt: salt)
    journal, _ = await Journal.open(folder / "records.journal", binding, None, keep_duplicates=False)
    numbers = iter(range(count))

    async def write() -> None:
        for number in numbers:
            journal.append(_accepted(number))
            await journal.flush()

    taken: list[Taken] = []
    try:
        with measured(taken):
            await asyncio.gather(*(write() for _ in range(waiting)))
    finally:
        await journal.close()
    return taken[0]


def _accepted(number: int) -> ItemChanged:
    return ItemChanged(
        seq=number,
        at=time.time(),
        index=number,
        key=None,
        trigger=Trigger.ACCEPT,
        previous=ItemState.SUBMITTING,
        state=ItemState.SUBMITTED,
        task_id=f"{number:032x}",
    )


# ---------------------------------------------------------------------------------------------------------- batches
async def serve(shortest: float, longest: float) -> None:
    """The emulator, until it is ended."""
    behaviour = Behaviour(durations=Uniform(shortest, longest), latency=LATENCY)
    async with Emulator(behaviour, keep_calls=False) as emulator:
        print(emulator.base_url, flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


async def batch(client: MountseaClient, items: int, journal: Path | None) -> Taken:
    """One batch, from the call to its report."""
    urls = [f"https://cdn.example.com/audio/song-{number:06}.mp3" for number in range(items)]
    taken: list[Taken] = []
    with measured(taken):
        report = await client.upload_batch(urls, journal=journal)
    assert report.ok
    assert len(set(report.audio_ids)) == items
    return taken[0]


# ------------------------------------------------------------------------------------------------------ comparisons
async def in_turn(folder: Path, repeats: int, one: Measurement, other: Measurement) -> list[tuple[Taken, Taken]]:
    """Measures two things side by side, each in a folder of its own; every second time the other goes first."""

    async def take(measurement: Measurement) -> Taken:
        with tempfile.TemporaryDirectory(dir=folder) as own:
            return await measurement(Path(own))

    pairs = []
    for repeat in range(repeats):
        if repeat % 2:
            second = await take(other)
            first = await take(one)
        else:
            first = await take(one)
            second = await take(other)
        pairs.append((first, second))
    return pairs


async def compare_records(folder: Path, sizes: Sizes) -> list[dict[str, Any]]:
    """Group commit against one commit a record; the bound is ten times."""
    pairs = await in_turn(
        folder,
        sizes.repeats,
        lambda own: records(own, sizes.alone, 1),
        lambda own: records(own, sizes.grouped, sizes.waiting),
    )
    alone, grouped = ([sizes.alone / a.wall for a, _ in pairs], [sizes.grouped / b.wall for _, b in pairs])
    ratios = [b / a for a, b in zip(alone, grouped, strict=True)]
    return [
        _row("records, a commit each", sizes.alone, f"{median(alone):,.0f} a second", alone, [a for a, _ in pairs]),
        _row(
            f"records, {sizes.waiting} waiting",
            sizes.grouped,
            f"{median(grouped):,.0f} a second",
            grouped,
            [b for _, b in pairs],
        )
        | _judged(ratios, least=10.0),
    ]


async def compare_batches(
    folder: Path, items: int, span: tuple[float, float], repeats: int, *, bound: bool
) -> list[dict[str, Any]]:
    """A batch with a journal against one without; where the bound counts it is 1.05."""
    with served("benchmarks.journal", "--serve", *map(str, span)) as base_url:
        async with MountseaClient("emulator-key", base_url=base_url, config=ClientConfig(poll=POLL)) as client:
            with tempfile.TemporaryDirectory(dir=folder) as own:
                await batch(client, 64, Path(own) / "warm-up.journal")
            pairs = await in_turn(
                folder,
                repeats,
                lambda own: batch(client, items, None),
                lambda own: batch(client, items, own / "batch.journal"),
            )
    rows = []
    for word, taken in (("without", [a for a, _ in pairs]), ("with", [b for _, b in pairs])):
        walls = [each.wall for each in taken]
        what = f"batch {word} a journal, uploads of {span[0]:g} to {span[1]:g} s"
        rows.append(_row(what, items, f"{median(walls):.2f} s", walls, taken))
    rows[1] |= _judged([b.wall / a.wall for a, b in pairs], most=1.05 if bound else None)
    return rows


def _row(what: str, count: int, middle: str, values: Sequence[float], taken: Sequence[Taken]) -> dict[str, Any]:
    return {
        "what": what,
        "count": count,
        "median": middle,
        "spread": spread(values),
        "CPU ms each": round(median([each.cpu for each in taken]) * 1000 / count, 3),
        "ratio": "",
        "bound": "",
        "holds": "",
    }


def _judged(ratios: Sequence[float], *, least: float | None = None, most: float | None = None) -> dict[str, Any]:
    ratio = median(ratios)
    row: dict[str, Any] = {"ratio": round(ratio, 3)}
    if least is not None:
        row |= {"bound": f"at least {least:g}", "holds": ratio >= least}
    if most is not None:
        row |= {"bound": f"at most {most:g}", "holds": ratio <= most}
    return row


# -------------------------------------------------------------------------------------------------------------- main
def disk() -> Path:
    """A folder for temporary files that isn't in memory: the system's own, or else that of this tree."""
    for folder in (Path(tempfile.gettempdir()), Path(__file__).resolve().parents[2]):
        if filesystem(folder).split()[0] not in IN_MEMORY:
            return folder
    sys.exit("the temporary folder is in memory, where nothing is durable: name one on a disk with TMPDIR")


async def measure(sizes: Sizes) -> tuple[list[dict[str, Any]], str]:
    """All rows, and on which filesystem they were taken."""
    folder = disk()
    taken = syncs(folder, 200)
    rows = await compare_records(folder, sizes)
    for items, shortest, longest, repeats, bound in sizes.batches:
        rows += await compare_batches(folder, items, (shortest, longest), repeats, bound=bound)
    taken += syncs(folder, 200)
    return rows, f"{filesystem(folder)}, where a sync of 4 KiB by itself takes {median(taken) * 1000:.2f} ms"


def main() -> None:
    """Measures, prints the table and ends with an error where a bound doesn't hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small counts, for a look")
    parser.add_argument("--json")
    parser.add_argument("--serve", nargs=2, type=float, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.serve:
        asyncio.run(serve(*asked.serve))
        return
    sizes = QUICK if asked.quick else FULL
    rows, where = asyncio.run(measure(sizes))
    repeats = [str(each[3]) for each in sizes.batches]
    method = (
        f"Records through the library's journal (SQLite, WAL, synchronous=FULL), awaited one by one and by "
        f"{sizes.waiting} coroutines, {sizes.repeats} pairs in turn. Whole batches, 32 requests in flight, emulator in "
        f"another process, {LATENCY * 1000:.0f} ms before each answer, each task asked every second, "
        f"{' and '.join(repeats)} pairs in turn. Medians; a ratio is the median of the pairs' ratios. Disk: {where}."
    )
    show("journal", method, rows, asked.json)
    if broken := [row for row in rows if row["holds"] is False]:
        sys.exit(f"over the bounds: {json.dumps(broken)}")


if __name__ == "__main__":
    main()
