"""What it costs a batch that it can be watched: the hooks for logging and telemetry while nobody uses them, and when.

    python -m benchmarks.hooks [--quick] [--items 300] [--repeats 9] [--json FILE]

Ends with an error where the hooks alone take 2 % of the batch's CPU or more.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any
from unittest import mock

from benchmarks.setting import median, served, show, spread
from mountsea_async import ClientConfig, Event, ItemChanged, ItemState, MountseaClient, PollPolicy, UploadItem
from mountsea_async.upload.events import Observer
from mountsea_async.upload.lifecycle import Trigger
from mountsea_async.upload.record import Record

BOUND = 0.02
"""The share of a batch's CPU below which the hooks alone must stay."""
ROUNDS, ITEMS = 31, 2000
"""Differences that are taken, and the items that each is taken over."""
WAY = (
    (Trigger.INTEND, ItemState.NEW, ItemState.SUBMITTING),
    (Trigger.ACCEPT, ItemState.SUBMITTING, ItemState.SUBMITTED),
    (Trigger.SUCCEED, ItemState.SUBMITTED, ItemState.SUCCEEDED),
)
HASTY = ClientConfig(poll=PollPolicy(strategy="backoff", first=0.6, factor=1.0, max_rate=1000.0))
"""Of two batches each asks about as often as the other."""


def bare(self: Record, kind: Callable[..., Event], /, **fields: Any) -> None:
    """`Record.emit` without what tells logging and those who watch: all else must be as it is there."""
    event = kind(seq=len(self.log), at=self.now() + self._wall, **fields)
    self.batch.apply(event)
    self.log.append(event)
    if self._journal is not None:
        self._journal.append(event)


# ---------------------------------------------------------------------------------------------- the hooks alone
def _run_through(emit: Callable[..., None]) -> float:
    """Microseconds of CPU that an item's events take, from its request to its clip."""
    record = Record(None)
    for number in range(ITEMS):
        record.add(UploadItem(f"https://cdn.example.com/{number}.mp3"), keep_duplicates=False)
    gc.collect()
    gc.disable()
    began = time.process_time()
    for index in range(ITEMS):
        for trigger, previous, state in WAY:
            emit(record, ItemChanged, index=index, key=None, trigger=trigger, previous=previous, state=state)
    taken = time.process_time() - began
    gc.enable()
    return taken / ITEMS * 1e6


async def alone() -> list[float]:
    """Microseconds that the hooks take of each item: its events made with them and without."""
    return [-_run_through(bare) + _run_through(Record.emit) for _ in range(ROUNDS)]


# -------------------------------------------------------------------------------------------------- whole batches
async def batch(base_url: str, urls: Sequence[str], observe: Observer | None) -> float:
    """Microseconds of this process's CPU for each item of a batch."""
    async with MountseaClient("emulator-key", base_url=base_url, config=HASTY, observe=observe) as client:
        gc.collect()
        began = time.process_time()
        report = await client.upload_batch(urls)
        await asyncio.sleep(0)
        taken = time.process_time() - began
    assert report.ok
    return taken / len(urls) * 1e6


@contextmanager
def _without() -> Iterator[None]:
    with mock.patch.object(Record, "emit", bare):
        yield


def _without_sdk() -> Observer:
    from mountsea_async.contrib.opentelemetry import Telemetry  # noqa: PLC0415 - an extra

    return Telemetry()


def _in_memory() -> Observer:
    from opentelemetry.sdk.metrics import MeterProvider  # noqa: PLC0415 - the user's choice
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor  # noqa: PLC0415
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter  # noqa: PLC0415

    from mountsea_async.contrib.opentelemetry import Telemetry  # noqa: PLC0415

    spans = TracerProvider()
    spans.add_span_processor(SimpleSpanProcessor(InMemorySpanExporter()))
    return Telemetry(tracer_provider=spans, meter_provider=MeterProvider([InMemoryMetricReader()]))


def variants() -> dict[str, Callable[[], Observer | None]]:
    """What can be measured here, by name: each makes an observer."""
    found: dict[str, Callable[[], Observer | None]] = {"without the hooks": lambda: None, "as it is": lambda: None}
    if find_spec("opentelemetry") is None:
        return found
    found["Telemetry, no SDK"] = _without_sdk
    if find_spec("opentelemetry.sdk") is not None:
        found["Telemetry, SDK in memory"] = _in_memory
    return found


def compare(base_url: str, urls: Sequence[str], repeats: int) -> dict[str, list[float]]:
    """All variants in turn, again and again, each time beginning with another."""
    makers = variants()
    names = list(makers)
    taken: dict[str, list[float]] = {name: [] for name in names}
    for repeat in range(-1, repeats):
        first = max(0, repeat) % len(names)
        for name in names[first:] + names[:first]:
            observe = makers[name]()
            if name == "without the hooks":
                with _without():
                    cost = asyncio.run(batch(base_url, urls, observe))
            else:
                cost = asyncio.run(batch(base_url, urls, observe))
            if repeat >= 0:  # the round before warms up
                taken[name].append(cost)
    return taken


def rows_of(taken: dict[str, list[float]], hooks: list[float]) -> list[dict[str, Any]]:
    """The table: what each costs, and how much more that is than a batch without the hooks."""
    base = taken["without the hooks"]
    rows = [
        {
            "what": name,
            "CPU µs an item": round(median(costs), 1),
            "spread": spread(costs),
            "more": f"{median([cost / other for cost, other in zip(costs, base, strict=True)]) - 1:+.1%}",
        }
        for name, costs in taken.items()
    ]
    alone_row = {
        "what": "the hooks by themselves",
        "CPU µs an item": round(median(hooks), 2),
        "spread": f"{min(hooks):.1f} to {max(hooks):.1f} µs",
        "more": f"{median(hooks) / median(base):+.2%}",
    }
    return [*rows, alone_row]


def main() -> None:
    """Measures, prints the table and ends with an error where the bound doesn't hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few items and repeats, for a look")
    parser.add_argument("--items", type=int)
    parser.add_argument("--repeats", type=int)
    parser.add_argument("--json", help="write the figures to this file, too")
    asked = parser.parse_args()
    items, repeats = asked.items or (100 if asked.quick else 300), asked.repeats or (2 if asked.quick else 9)
    urls = [f"https://cdn.example.com/audio/song-{number:06}.mp3" for number in range(items)]
    hooks = asyncio.run(alone())
    with served("benchmarks.scale", "--serve") as base_url:
        taken = compare(base_url, urls, repeats)
    api = f" opentelemetry-api {version('opentelemetry-api')}." if find_spec("opentelemetry") else ""
    method = (
        f"Batches of {items} items, 32 requests in flight, emulator in another process, uploads of 0.4 to 0.8 s, asked "
        f"for every 0.6 s; logging not set up. Medians of {repeats} interleaved repeats, of each repeat's own ratio "
        f"too. By themselves: the three events of an item, with the hooks and without, median of {ROUNDS} differences "
        f"over {ITEMS} items each.{api}"
    )
    show("hooks", method, rows_of(taken, hooks), asked.json)
    share = median(hooks) / median(taken["without the hooks"])
    if share >= BOUND:
        sys.exit(f"over the bound: the hooks alone take {share:.1%} of a batch's CPU, {BOUND:.0%} is allowed")


if __name__ == "__main__":
    main()
