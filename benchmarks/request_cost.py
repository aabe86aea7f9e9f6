"""CPU that a request costs the client's process, beside a bare aiohttp loop and other clients.

    python -m benchmarks.request_cost [--quick] [--json FILE]

Peers are the extra `bench`, uvloop and orjson the extra `speed`; what isn't installed is left out and said so.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack
from importlib.metadata import version
from typing import Any

import attrs

from benchmarks.lean_server import lean_server, stay_on
from benchmarks.request_peers import BARE, OURS, PEERS, Ask, Peer
from benchmarks.setting import beside, median, said, show, spread

ME = "benchmarks.request_cost"


class Bench:
    """A peer with its client and event loop, open for one kind of request and so many at once."""

    def __init__(self, peer: Peer, url: str, at_once: int, kind: str) -> None:
        self.peer, self._at_once = peer, at_once
        self._runner = asyncio.Runner(loop_factory=_loop_factory(peer))
        self._stack = AsyncExitStack()
        self._ask = self._runner.run(self._open(url, kind))

    async def _open(self, url: str, kind: str) -> Ask:
        status, item = await self.peer.open(self._stack, url, self._at_once)
        return status if kind == "status" else item

    def measure(self, count: int) -> float:
        """Microseconds of this process's CPU for each of `count` requests, after a round that opens connections."""
        return self._runner.run(self._measure(count)) / count * 1e6

    async def _measure(self, count: int) -> float:
        await self._send(self._at_once)
        gc.collect()
        began = time.process_time()
        await self._send(count)
        return time.process_time() - began

    async def _send(self, count: int) -> None:
        numbers = iter(range(count))
        await asyncio.gather(*(self._work(numbers) for _ in range(self._at_once)))

    async def _work(self, numbers: Iterator[int]) -> None:
        ask = self._ask
        for number in numbers:
            await ask(number)

    def close(self) -> None:
        """Ends its client and its loop."""
        self._runner.run(self._stack.aclose())
        self._runner.close()


def _loop_factory(peer: Peer) -> Callable[[], asyncio.AbstractEventLoop] | None:
    if "uvloop" not in peer.needs:
        return None
    import uvloop  # noqa: PLC0415 - a peer

    return uvloop.new_event_loop


def measure_as_asked(name: str, url: str) -> None:
    """Measures one peer, in this process, as often as a line of standard input asks for it."""
    bytes(1 << 20)  # see METHOD: all begin with a malloc that keeps its blocks
    peer = next(peer for peer in PEERS if peer.name == name)
    bench, opened = None, ("", "")
    for line in sys.stdin:
        kind, at_once, count = line.split()
        if bench is None or opened != (kind, at_once):
            if bench is not None:
                bench.close()
            bench, opened = Bench(peer, url, int(at_once), kind), (kind, at_once)
        print(bench.measure(int(count)), flush=True)
    if bench is not None:
        bench.close()


@attrs.frozen
class Beside:
    """A peer in a process of its own: none pays for what another has imported, nor gains by what it has allocated."""

    peer: Peer
    process: subprocess.Popen[str]

    def measure(self, kind: str, at_once: int, count: int) -> float:
        """See `Bench.measure`; the dear ones get fewer requests."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{kind} {at_once} {max(at_once, int(count * self.peer.share))}\n")
        self.process.stdin.flush()
        return float(said(self.process))


def _ratios(taken: Sequence[float], base: Sequence[float]) -> list[float]:
    return [own / other for own, other in zip(taken, base, strict=True)]


def compare(peers: list[Beside], kind: str, at_once: int, count: int, repeats: int) -> list[dict[str, Any]]:
    """All peers in turn, again and again, each time beginning with another."""
    taken: dict[str, list[float]] = {each.peer.name: [] for each in peers}
    for repeat in range(repeats):
        first = repeat % len(peers)
        for each in peers[first:] + peers[:first]:
            taken[each.peer.name].append(each.measure(kind, at_once, count))
    rows = []
    for name, own in taken.items():
        ratios = _ratios(own, taken[BARE])
        rows.append(
            {
                "request": kind,
                "at once": at_once,
                "client": name,
                "CPU µs": round(median(own)),
                "spread": spread(own),
                "ratio to bare": round(median(ratios), 2),
                "spread of the ratio": spread(ratios),
                "ratio to ours": round(median(_ratios(own, taken[OURS])), 2),
            }
        )
    return rows


METHOD = (
    "Requests over loopback to a hand-written protocol server on another core, small JSON both ways; each client in "
    "a process of its own, as many sockets as requests at once, at most 100. A status is a GET, an item the paid "
    "POST. The bare loop: one ClientSession, the same headers, `read()`, `json.loads`, nothing else; in a small "
    "program glibc maps asyncio's read buffers anew each time (`blocks mapped anew`), which the library sees to by "
    "itself and the other rows are spared. CPU is `process_time` of the client's process; {repeats} interleaved "
    "repeats at 64, {fewer} at the others; medians; a ratio is the median of the ratios."
)


def main() -> None:
    """Measures, and prints one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small counts at 64 at once, for a look")
    parser.add_argument("--repeats", type=int, help="how often each is measured at 64 at once")
    parser.add_argument("--only", nargs="+", metavar="WORD", help="peers whose name holds one of these words")
    parser.add_argument("--json")
    parser.add_argument("--measure", nargs=2, metavar=("PEER", "URL"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.measure:
        measure_as_asked(*asked.measure)
        return
    repeats = asked.repeats or (3 if asked.quick else 15)
    fewer, count = (1, 400) if asked.quick else (max(3, repeats // 3), 3000)
    words = asked.only or [""]
    wanted = [peer for peer in PEERS if peer.name in (BARE, OURS) or any(word in peer.name for word in words)]
    peers = [peer for peer in wanted if not peer.missing]
    rows = []
    with lean_server() as url, ExitStack() as stack:
        stay_on(0)
        processes = [
            Beside(peer, stack.enter_context(beside(ME, "--measure", peer.name, url, **peer.environment)))
            for peer in peers
        ]
        plan = [("status", 64, repeats), ("item", 64, repeats), ("status", 32, fewer), ("status", 512, fewer)]
        for kind, at_once, times in plan[:2] if asked.quick else plan:
            rows += compare(processes, kind, at_once, count, times)
    names = sorted({name for peer in peers for name in peer.needs})
    told = " Versions: " + ", ".join(f"{name} {version(name)}" for name in names) + "." if names else ""
    for peer in wanted:
        if peer.missing:
            told += f" Left out: {peer.name} ({', '.join(peer.missing)} not installed)."
    show("request_cost", METHOD.format(repeats=repeats, fewer=fewer) + told, rows, asked.json)


if __name__ == "__main__":
    main()
