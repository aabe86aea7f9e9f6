"""What a scheduling decision costs: the CPU of the schedule alone, with up to 20,000 tasks pending.

    python -m benchmarks.decisions [--quick] [--json FILE]

A decision is whom to ask, or that it is nobody yet; what it costs to be told what came of the asks, and when to look
again, is counted in. The service is a few lines in here, time is made up, and as many uploads come as end, so that the
number of pending tasks stays.
"""

from __future__ import annotations

import argparse
import gc
import heapq
import itertools
import random
import time
from collections import deque
from typing import Any

import attrs

from mountsea_async.config import PollPolicy
from mountsea_async.upload.polling import LIST, Schedule

from .setting import median, show, spread

PENDING = (100, 1_000, 5_000, 20_000)
SECONDS, ROUND_TRIP = 30.0, 0.1
"""The mean duration of an upload, and how long an answer takes."""
MOST, JUDGED = 20.0, 5_000
"""Microseconds that a decision may take with so many tasks pending."""


@attrs.frozen
class Case:
    """One kind of session.

    Attributes:
        pending: How many tasks are pending.
        at_once: How many of them the account works on at once; None for all.
        misled: Whether the list can't be read.
    """

    pending: int
    at_once: int | None
    misled: bool


class Session:
    """A session of which decisions are asked, and a service that works on its oldest uploads."""

    def __init__(self, case: Case) -> None:
        self._case = case
        self._rng = random.Random(1)  # noqa: S311 - it protects nothing
        self._schedule = Schedule(PollPolicy(), self._rng)
        self._now = 0.0
        self._accepted = self._begun = 0
        self._running: list[tuple[float, int]] = []
        self._ended: set[int] = set()
        self._listed: set[int] = set()
        self._answers: deque[tuple[float, int | None]] = deque()
        for _ in range(case.pending):
            self._accept()

    def _accept(self) -> None:
        self._schedule.add(self._accepted, self._now)
        self._accepted += 1

    def _work(self) -> None:
        """Ends and begins what is to end and begin until now."""
        places = self._case.at_once or self._accepted
        while True:
            while self._begun < self._accepted and len(self._running) < places:
                heapq.heappush(self._running, (self._now + self._rng.expovariate(1 / SECONDS), self._begun))
                self._begun += 1
            if not self._running or self._running[0][0] > self._now:
                return
            self._ended.add(heapq.heappop(self._running)[1])

    def _tell(self, task: int | None) -> bool:
        """Tells the schedule of an answer; whether it was a task that has ended."""
        schedule, now = self._schedule, self._now
        if task is None:
            if self._case.misled:
                schedule.unread(now)
            else:
                self._listed = set(self._ended)
                schedule.listed(len(self._listed), len(self._listed), now - ROUND_TRIP, now, self._listed.__contains__)
        elif task in self._ended:
            self._ended.remove(task)
            schedule.ended(task, now, listed=task in self._listed, failed=False)
            self._listed.discard(task)
            return True
        else:
            schedule.pending(task, now, begun=task < self._begun)
        return False

    def live(self, seconds: float) -> tuple[int, float]:
        """How many decisions were made while the session lived for so long, and their CPU in microseconds each."""
        until, made, spent, clock = self._now + seconds, 0, 0.0, time.process_time
        while self._now < until:
            self._work()
            ended = asked = 0
            began = clock()
            while self._answers and self._answers[0][0] <= self._now:
                ended += self._tell(self._answers.popleft()[1])
            while (ask := self._schedule.due(self._now)) is not None:
                self._answers.append((self._now + ROUND_TRIP, None if ask is LIST else ask))
                asked += 1
            wake = self._schedule.wake_at(self._now)
            spent += clock() - began
            made += asked or 1
            for _ in range(ended):
                self._accept()
            self._now = min(wake, self._answers[0][0]) if self._answers else wake
        return made, spent / made * 1e6


def rows(*, quick: bool) -> list[dict[str, Any]]:
    """A line for each case."""
    cases = [Case(*each) for each in itertools.product(PENDING, (5, None), (False, True))]
    found: dict[Case, list[float]] = {case: [] for case in cases}
    counts: dict[Case, int] = {}
    gc.disable()
    for _ in range(2 if quick else 7):
        for case in cases:
            session = Session(case)
            # What comes first is dearer and rare: everybody is taken in, and the list's failing is noticed.
            session.live(5.0)
            counts[case], each = session.live(6.0 if quick else 20.0)
            found[case].append(each)
            gc.collect()
    gc.enable()
    return [
        {
            "pending": case.pending,
            "K": case.at_once or "all",
            "list": "unreadable" if case.misled else "right",
            "decisions": counts[case],
            "us a decision": round(median(figures), 1),
            "spread": spread(figures),
            "target": f"at most {MOST:g}" if case.pending == JUDGED else "",
            "verdict": ("met" if median(figures) <= MOST else "not met") if case.pending == JUDGED else "",
        }
        for case, figures in found.items()
    ]


def main() -> None:
    """Measures and prints the table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.decisions",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="fewer and shorter sessions")
    parser.add_argument("--json", help="write the figures to this file, too")
    asked = parser.parse_args()
    method = (
        "CPU of the schedule alone for each decision: whom to ask, told what came, when to look again.\n"
        f"Made-up time, uploads of {SECONDS:g} s in the mean, K at once, the oldest first; whoever ends is replaced.\n"
        "Medians of interleaved sessions, of which the first five seconds aren't counted."
    )
    show("decisions", method, rows(quick=asked.quick), asked.json)


if __name__ == "__main__":
    main()
