"""The network between the two ends of a connection: names, listeners, latency and the weather.

What may live here: what can go wrong and how likely, and the trace of what has happened. How a fault feels at a
connection is in `transport.py`.
"""

# ruff: noqa: S311 - chance is seeded here on purpose, and protects nothing
from __future__ import annotations

import asyncio
import contextvars
import hashlib
import random
from collections import Counter
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import attrs

from .process import PROCESS

if TYPE_CHECKING:
    from .network import SimLoop
    from .transport import SimTransport

REQUEST_FAULTS = ("broken", "reset", "stall", "slow", "half", "deaf", "split")
RESPONSE_FAULTS = ("reset", "stall", "slow", "truncate", "split", "garble")


@attrs.frozen
class Weather:
    """What can go wrong on the network, as probabilities.

    Attributes:
        lookup: For each name look-up: `unknown`, `again`, `hang`.
        connect: For each connection: `refuse`, `hang`, `slow`, `reset` (right after it was accepted).
        request: For each write of a client, one of `REQUEST_FAULTS`.
        response: For each write of a server, one of `RESPONSE_FAULTS`.
        stale: For each connection: forgotten by the network after a short silence.
        closing: For each connection: the server closes it at some moment.
        latency: Seconds one way, the least and the most.
    """

    lookup: Mapping[str, float] = attrs.field(factory=dict)
    connect: Mapping[str, float] = attrs.field(factory=dict)
    request: Mapping[str, float] = attrs.field(factory=dict)
    response: Mapping[str, float] = attrs.field(factory=dict)
    stale: float = 0.0
    closing: float = 0.0
    latency: tuple[float, float] = (0.005, 0.05)


CLEAR = Weather()


def drawn(rng: random.Random, kinds: Mapping[str, float]) -> str | None:
    """Which of several kinds it is; the same number of draws whatever comes out."""
    roll = rng.random()
    for kind, share in kinds.items():
        if roll < share:
            return kind
        roll -= share
    return None


class Net:
    """Names, listeners and the weather between them.

    Args:
        seed: Where every delay and fault comes from.
        weather: What can go wrong; may be replaced at any time.
    """

    def __init__(self, seed: int, weather: Weather = CLEAR) -> None:
        self.rng = random.Random(seed)
        self.weather = weather
        self.names: dict[str, str] = {}
        self.listeners: dict[tuple[str, int], tuple[Callable[[], asyncio.BaseProtocol], contextvars.Context]] = {}
        self.down = False
        self.hits: Counter[str] = Counter()
        self.connections = 0
        self.half_open: dict[int, tuple[str, int]] = {}
        self.transports: list[SimTransport] = []
        self._digest = hashlib.sha256()
        self.log: list[str] | None = None
        self.loop: SimLoop

    def latency(self) -> float:
        """Seconds for one trip outside any connection."""
        return self.rng.uniform(*self.weather.latency)

    def fault(self, point: str, rng: random.Random) -> str | None:
        """What goes wrong at this point, if anything."""
        kind = drawn(rng, getattr(self.weather, point))
        if kind is not None:
            self.hits[f"{point}:{kind}"] += 1
        return kind

    def note(self, *what: object) -> None:
        """Adds to the trace; two runs of a world are the same if their traces are."""
        line = repr((round(self.loop.time(), 6), *what))
        self._digest.update(line.encode())
        if self.log is not None:
            self.log.append(line)
        if (process := PROCESS.get()) is not None:
            process.noted()

    @property
    def trace(self) -> str:
        """A hash of everything that has happened."""
        return self._digest.hexdigest()[:16]
