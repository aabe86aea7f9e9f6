"""What a scheduling decision costs: CPU of the schedule alone, with up to 20,000 tasks pending.

    python -m benchmarks.decisions [--quick] [--json FILE]

A decision is whom to ask (`due`), being told what came, and when to come back (`wake_at`). The service is a few lines
that answer at once; time is made up.
"""

from __future__ import annotations

import argparse
import gc
import random
import sys
import time
from collections.abc import Sequence
from itertools import product

import attrs

from mountsea_async.config import PollPolicy
from mountsea_async.upload.polling import LIST, Schedule

from .setting import median, show, spread

PENDING = (100, 1_000, 5_000, 20_000)
MEDIAN_SECONDS = 30.0
MOST, AT = 20.0, 5_000
"""Microseconds that a decision may cost with so many tasks pending."""
LISTS = ("right", "unreadable")


@attrs.frozen
class Size:
    """How much is measured.

    Attributes:
        decisions: In each repeat, at least.
        repeats: How often each case is lived, in turn with the others.
    """

    decisions: int
    repeats: int


FULL, QUICK = Size(20_000, 7), Size(2_000, 3)


@attrs.frozen
class Case:
    """One kind of session.

    Attributes:
        pending: How many tasks are pending, all the time: whoever ends is replaced.
        at_once: How many of them the account works on at once; None for all.
        listing: Whether the list is right or can't be read.
    """

    pending: int
    at_once: int | None
    listing: str


class Session:
    """A session whose tasks are worked on in the order of their acceptance, and as many come as end."""

    def __init__(self, case: Case, seed: int) -> None:
        self._case = case
        self._rng = random.Random(seed)  # noqa: S311 - protects nothing
        self._schedule = Schedule(PollPolicy(max_rate=1e4), self._rng)
        self._tasks = self._listed = 0
        self._working: dict[int, float] = {}
        self._found: set[int] = set()
        self._waiting = 0
        for _ in range(case.pending):
            self._accept(0.0)

    def _accept(self, now: float) -> None:
        self._schedule.add(self._tasks, now)
        self._tasks += 1
        self._begin(now)

    def _begin(self, now: float) -> None:
        while self._waiting < self._tasks and len(self._working) < (self._case.at_once or self._case.pending):
            self._working[self._waiting] = now + self._rng.expovariate(1 / MEDIAN_SECONDS)
            self._waiting += 1

    def _told(self, task: int, now: float) -> None:
        ends = self._working.get(task)
        if ends is None or ends > now:
            self._schedule.pending(task, now, begun=ends is not None)
            return
        del self._working[task]
        self._schedule.ended(task, now, listed=self._case.listing == "right" and self._listed_at >= ends, failed=False)
        self._accept(now)

    _listed_at = 0.0

    def live(self, decisions: int) -> float:
        """Microseconds of CPU a decision."""
        now, made, spent = 0.0, 0, 0.0
        clock = time.process_time
        while made < decisions:
            began = clock()
            ask = self._schedule.due(now)
            spent += clock() - began
            made += 1
        return spent / made * 1e6
