"""The simulated network does to stock aiohttp what a real one does: the same errors, the same bytes written."""

# ruff: noqa: S311 - chance is seeded here on purpose, and protects nothing
from __future__ import annotations

import asyncio
import contextlib
import random
import sqlite3
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import attrs
import pytest
from aiohttp import web

from simulation.disk import Disk, DiskFaults
from simulation.net import CLEAR, Net, Weather
from simulation.network import SimDeadlock, SimLoop, SimTimeout
from simulation.patches import Ear, deterministic, quietly
from simulation.process import Process

ADDRESS = "http://10.0.0.1:80/"
BODY = b'{"audioUrl":"https://cdn.example.com/a.mp3"}'


@attrs.define
class Place:
    """A server that counts, and a loop to ask it in."""

    loop: SimLoop
    net: Net
    disk: Disk
    served: int = 0

    async def serve(self, request: web.Request) -> web.Response:
        await request.read()
        self.served += 1
        return web.json_response({"taskId": "t"}, status=201)


def within(work: Callable[[Place], Awaitable[Any]], weather: Weather = CLEAR, *, seed: int = 1) -> Any:
    """Runs a coroutine function in a network of its own."""
    disk = Disk(seed)
    net = Net(seed, weather)
    net.names["service.test"] = "10.0.0.1"
    place = Place(SimLoop(net, disk, limit=1e5), net, disk)

    async def main() -> Any:
        app = web.Application()
        app.router.add_route("*", "/", place.serve)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "10.0.0.1", 80).start()
        try:
            return await work(place)
        finally:
            await runner.cleanup()

    try:
        with deterministic(place.loop, disk, Ear(), portable=False):
            return place.loop.run_until_complete(main())
    finally:
        disk.remove()
        with quietly():
            for task in asyncio.all_tasks(place.loop):
                with contextlib.suppress(BaseException):
                    task.get_coro().close()
            place.loop.close()


@attrs.frozen
class Outcome:
    error: str | None
    written: int
    served: int


async def post(place: Place, url: str = ADDRESS, *, pause: float = 0.0) -> Outcome:
    """Posts once, after an answered one and a pause if there is to be one."""
    timeout = aiohttp.ClientTimeout(total=30, sock_connect=10)
    error = None
    connector = aiohttp.TCPConnector(resolver=aiohttp.ThreadedResolver(), keepalive_timeout=15)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as http:
        if pause:
            async with http.post(url, data=BODY) as answer:
                await answer.read()
            await asyncio.sleep(pause)
        before, tracker = place.served, aiohttp.UploadTracker()
        try:
            async with http.post(url, data=BODY, upload_tracker=tracker) as answer:
                await answer.read()
        except (aiohttp.ClientError, TimeoutError) as raised:
            error = type(raised).__name__
    await asyncio.sleep(100)
    return Outcome(error, tracker.bytes_written, place.served - before)


ALL = len(BODY)


@pytest.mark.parametrize(
    ("weather", "outcome"),
    [
        (Weather(), Outcome(None, ALL, 1)),
        (Weather(connect={"refuse": 1}), Outcome("ClientConnectorError", 0, 0)),
        (Weather(connect={"hang": 1}), Outcome("ConnectionTimeoutError", 0, 0)),
        (Weather(connect={"reset": 1}), Outcome("ClientOSError", ALL, 0)),
        (Weather(request={"reset": 1}), Outcome("ClientOSError", ALL, 0)),
        (Weather(request={"stall": 1}), Outcome("TimeoutError", ALL, 0)),
        (Weather(request={"deaf": 1}), Outcome("ServerDisconnectedError", ALL, 1)),
        (Weather(request={"split": 1}), Outcome(None, ALL, 1)),
        (Weather(response={"reset": 1}), Outcome("ClientOSError", ALL, 1)),
        (Weather(response={"stall": 1}), Outcome("TimeoutError", ALL, 1)),
        (Weather(response={"garble": 1}), Outcome("ClientResponseError", ALL, 1)),
        (Weather(response={"split": 1}), Outcome(None, ALL, 1)),
    ],
    ids=str,
)
def test_a_fault_looks_to_the_client_as_it_does_in_reality(weather: Weather, outcome: Outcome) -> None:
    found = within(post, weather)
    if outcome.error == "ClientResponseError":
        assert found.error in ("ClientResponseError", "ClientOSError", "ServerDisconnectedError")
        found = attrs.evolve(found, error=outcome.error)
    assert found == outcome


@pytest.mark.parametrize("kinds", [{"unknown": 1}, {"again": 1}])
def test_a_name_that_is_not_known_sends_nothing(kinds: dict[str, float]) -> None:
    outcome = within(lambda place: post(place, "http://service.test/"), Weather(lookup=kinds))
    assert outcome == Outcome("ClientConnectorDNSError", 0, 0)


def test_a_forgotten_keep_alive_connection_takes_the_request_and_breaks() -> None:
    outcome = within(lambda place: post(place, pause=6), Weather(stale=1.0))
    assert outcome == Outcome("ClientOSError", ALL, 0)


def test_a_request_that_the_kernel_takes_in_part_may_become_whole_or_never() -> None:
    outcomes = [within(post, Weather(request={"half": 1}), seed=seed) for seed in range(12)]
    assert {outcome.served for outcome in outcomes} == {0, 1}
    assert {outcome.written for outcome in outcomes} == {ALL}  # aiohttp counts what waits in the buffer as written


def test_a_slow_request_is_served_after_the_client_has_gone() -> None:
    outcomes = [within(post, Weather(request={"slow": 1}), seed=seed) for seed in range(12)]
    assert any(outcome.error == "TimeoutError" and outcome.served for outcome in outcomes), outcomes


def test_the_clock_jumps_and_a_deadlock_is_told() -> None:
    async def wait(place: Place) -> float:
        await asyncio.sleep(90_000)
        return place.loop.time()

    assert within(wait) > 90_000
    with pytest.raises(SimDeadlock):
        within(lambda place: place.loop.create_future())


def test_a_world_without_an_end_is_given_up() -> None:
    async def wait(place: Place) -> None:
        await asyncio.sleep(2e5)

    async def spin(place: Place) -> None:
        while True:  # noqa: ASYNC110 - it is to go on for ever
            await asyncio.sleep(0)

    for work in (wait, spin):
        with pytest.raises(SimTimeout):
            within(work)


def test_nothing_of_a_killed_process_runs_any_more() -> None:
    ran: list[str] = []

    async def work() -> None:
        try:
            ran.append("begun")
            await asyncio.sleep(5)
            ran.append("went on")
        finally:
            ran.append("cleaned up")

    async def main(place: Place) -> None:
        process = Process("p", place.loop)
        process.start(work())
        await asyncio.sleep(1)
        process.kill()
        await asyncio.sleep(10)
        assert ran == ["begun"]
        with quietly():
            process.bury()

    within(main)


def test_a_kill_ends_its_connections_and_what_the_kernel_had_taken_arrives() -> None:
    async def main(place: Place) -> int:
        process = Process("p", place.loop)
        process.start(post(place))
        while not process.transports or not place.net.transports[1]._inbox:  # noqa: ASYNC110 - it is quick
            await asyncio.sleep(0.001)
        process.kill()
        await asyncio.sleep(5)
        assert not [end for end in place.net.transports if end.open]
        with quietly():
            process.bury()
        return place.served

    assert within(main) == 1


class Book:
    """A store of the simplest kind."""

    def __init__(self, disk: Disk) -> None:
        self.connection = sqlite3.connect(disk.path / "book", isolation_level=None)
        self.connection.execute("PRAGMA journal_mode = WAL")
        self.connection.execute("PRAGMA synchronous = FULL")
        self.connection.execute("CREATE TABLE IF NOT EXISTS line (word TEXT)")

    def write(self, word: str) -> None:
        self.connection.execute("BEGIN IMMEDIATE")
        self.connection.execute("INSERT INTO line VALUES (?)", (word,))
        try:
            self.connection.execute("COMMIT")
        except sqlite3.Error:
            self.connection.execute("ROLLBACK")
            raise

    def words(self) -> list[str]:
        return [word for (word,) in self.connection.execute("SELECT word FROM line")]

    def close(self) -> None:
        self.connection.close()


@pytest.mark.parametrize("power", [False, True])
@pytest.mark.parametrize("seed", range(12))
def test_what_was_committed_survives_and_what_was_being_written_may(power: bool, seed: int) -> None:
    async def main(place: Place) -> list[str]:
        disk, told = place.disk, []
        disk.delays = True
        disk.power_at = 4 if power else None
        process = Process("p", place.loop, kill_event=None if power else 4)
        book = Book(disk)
        process.stores.append(book)

        async def work() -> None:
            for number in range(6):
                await place.loop.run_in_executor(None, book.write, str(number))
                told.append(str(number))
                place.net.note("told", number)

        process.start(work())
        await process.died
        again = Book(disk)
        words = again.words()
        again.close()
        assert words[: len(told)] == told
        assert len(words) <= len(told) + 1
        with quietly():
            process.bury()
        return told

    assert len(within(main, seed=seed)) in (1, 2, 3)


def test_a_store_that_does_not_wait_for_its_disk_loses_what_it_had_committed() -> None:
    async def main(place: Place) -> list[str]:
        process = Process("p", place.loop, power=True)
        book = Book(place.disk)
        process.saved = place.disk.read()
        book.connection.execute("PRAGMA synchronous = NORMAL")
        process.stores.append(book)
        book.write("gone")
        process.kill()
        again = Book(place.disk)
        words = again.words()
        again.close()
        return words

    assert within(main) == []


@pytest.mark.parametrize(("faults", "words"), [(DiskFaults(full=1), "full"), (DiskFaults(eio=1), "I/O error")])
def test_a_failing_disk_fails_the_commit(faults: DiskFaults, words: str) -> None:
    async def main(place: Place) -> list[str]:
        book = Book(place.disk)
        place.disk.faults = faults
        with pytest.raises(sqlite3.OperationalError, match=words):
            await place.loop.run_in_executor(None, book.write, "a")
        place.disk.heal()
        await place.loop.run_in_executor(None, book.write, "b")
        found = book.words()
        book.close()
        return found

    assert within(main) == ["b"]


def test_latency_is_drawn_from_the_seed() -> None:
    traces = {within(traced, seed=seed) for seed in (1, 1, 2)}
    assert len(traces) == 2
    assert random.random() != random.random()  # the global source is as it was


async def traced(place: Place) -> str:
    await post(place)
    return place.net.trace
