"""Faults of the paid request and of the session it belongs to: what is sent again, what never, and what is told.

The rows are listed in `test_fault_matrix.py`; those that other modules show already are not repeated here.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from support.names import KEY, urls
from support.raw_server import Connection, RawServer

from mountsea_async import (
    BatchReport,
    ClientConfig,
    InsufficientCreditsError,
    ItemState,
    MountseaClient,
    NotSentError,
    RateLimitedError,
    RetryPolicy,
    Timeouts,
    UnknownOutcomeError,
)
from mountsea_async.testing import (
    Answer,
    Behaviour,
    Cut,
    Emulator,
    Fault,
    Fixed,
    Hang,
    html,
    out_of_credits,
    rate_limited,
    redirect,
    unauthorized,
)
from mountsea_async.upload.inputs import MAX_URL
from mountsea_async.wire import decode, endpoints
from mountsea_async.wire.protocol import Cause, SendFailure, Unknown, classify_submit
from mountsea_async.wire.transport import KEEP_ALIVE, Transport


def states(report: BatchReport) -> list[str]:
    return [item.state.value for item in report.items]


# ------------------------------------------------------------------------------------------------ never delivered
class Listener:
    """A listening socket that nobody accepts from: the kernel alone answers for it."""

    def __init__(self, *, backlog: int, receive_buffer: int | None = None) -> None:
        self.socket = socket.socket()
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.listen(backlog)
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"

    def received(self) -> list[bytes]:
        """What each connection that got through has sent."""
        self.socket.setblocking(False)
        taken: list[bytes] = []
        with ExitStack() as stack:
            while True:
                try:
                    connection = stack.enter_context(self.socket.accept()[0])
                except BlockingIOError:
                    return taken
                connection.setblocking(False)
                try:
                    taken.append(connection.recv(65536))
                except (BlockingIOError, ConnectionError):
                    taken.append(b"")


@contextmanager
def full() -> Iterator[Listener]:
    """A server whose queue of new connections is full: it neither refuses nor answers."""
    with ExitStack() as stack:
        listener = Listener(backlog=0)
        stack.enter_context(listener.socket)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.socket.getsockname())
        yield listener


async def test_a_server_that_takes_no_connections_is_tried_again_and_never_sent_anything() -> None:
    with full() as server:
        loop = asyncio.get_running_loop()
        began = loop.time()
        config = ClientConfig(timeouts=Timeouts(connect=10), retry=RetryPolicy(max_tries=3))
        async with MountseaClient(KEY, base_url=server.url, config=config) as client:
            with pytest.raises(NotSentError) as caught:
                await client.upload(urls(1)[0])
        assert not caught.value.permanent
        assert loop.time() - began >= 30, "each try has waited for a connection"
        assert all(data == b"" for data in server.received())


@asynccontextmanager
async def narrow(server: Listener) -> Any:
    """A transport whose connections hold little: a long request doesn't fit into the kernel's buffers."""

    def make(address: Any) -> socket.socket:
        made = socket.socket(*address[:3])
        made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
        return made

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(socket_factory=make)) as http:
        carrier = Transport(KEY, server.url, ClientConfig(), 1, http)
        await carrier.open()
        yield carrier


@pytest.mark.parametrize("length", [30, MAX_URL], ids=["short", "as long as allowed"])
async def test_a_request_that_nobody_reads_counts_as_sent_however_little_of_it_has_arrived(length: int) -> None:
    request = endpoints.submit_item("5e55-10n", "https://cdn.example.com/".ljust(length, "a"))
    server = Listener(backlog=5, receive_buffer=1)
    with server.socket:
        async with narrow(server) as carrier:
            result = await carrier.send(request)
        (arrived,) = server.received()
        assert isinstance(result, SendFailure)
        assert result.cause is Cause.TIMEOUT
        assert not result.proves_unsent
        assert isinstance(classify_submit(result, decode.task_id), Unknown)
        assert arrived
        if length == MAX_URL:
            assert len(arrived) < length, "it stalled half way"


# ------------------------------------------------------------------------------------------------- no answer came
async def test_a_request_without_an_answer_gives_its_place_back_to_the_next(world) -> None:
    w = await world(Behaviour(durations=Fixed(5), faults=(Fault(Hang(after_work=True), nth=1),)))
    report = await w.client.upload_batch(urls(5), concurrency=1)
    assert states(report) == ["unknown", *["succeeded"] * 4]
    assert w.ledger.posts(urls(5)[0]) == 1
    first, second, *_ = (call.at for call in w.ledger.calls if call.endpoint == "item")
    assert second - first >= 60


async def test_a_lost_answer_is_settled_by_the_sessions_list_and_not_by_a_second_request(world) -> None:
    w = await world(Behaviour(durations=Fixed(5), faults=(Fault(Cut(after_work=True), url="*-00001.mp3"),)))
    report = await w.client.upload_batch(urls(3))
    lost = report.items[1]
    assert w.ledger.posts(urls(3)[1]) == 1
    assert isinstance(lost.error, UnknownOutcomeError)
    (paid,) = [charge for charge in w.ledger.charges if charge.audio_url == urls(3)[1]]
    assert paid.clip_id in report.audio_ids
    assert (lost.state, lost.clip_id, lost.evidence) == (ItemState.UNKNOWN, paid.clip_id, "elimination")
    assert report.reconciliation.inferred == (paid.clip_id,)


async def test_a_connection_that_has_idled_for_longer_than_keep_alive_is_not_used_again(
    world, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aiohttp.connector.monotonic", asyncio.get_running_loop().time)
    opened = 0

    async def serve(connection: Connection) -> None:
        nonlocal opened
        opened += 1
        while True:
            await connection.request()
            await connection.answer("201 Created", b'{"taskId":"t-1"}')

    async with RawServer(serve) as server:
        carrier = Transport(KEY, server.url, ClientConfig(), 5, None)
        await carrier.open()
        request = endpoints.submit_item("5e55-10n", "https://cdn.example.com/a.mp3")
        for wait, connections in ((KEEP_ALIVE / 2, 1), (KEEP_ALIVE * 2, 2), (60, 3)):
            await carrier.send(request)
            assert opened == connections - (connections > 1)
            await asyncio.sleep(wait)
            await carrier.send(request)
            assert opened == connections
        await carrier.close()


# ------------------------------------------------------------------------------------------------ too many requests
async def test_a_429_holds_every_coroutine_of_the_client_back_for_as_long_as_it_says(world) -> None:
    w = await world(Behaviour(durations=Fixed(1), latency=0.5, faults=(Fault(rate_limited(7), nth=20),)))
    one, other = (asyncio.create_task(w.client.upload_batch(urls(40, stem=stem))) for stem in ("one", "other"))
    assert (await one).ok
    assert (await other).ok
    (refused,) = [call for call in w.ledger.calls if call.status == 429]
    told = refused.at + 0.5
    assert not [call.at for call in w.ledger.calls if told < call.at < told + 7]
    assert [call.at for call in w.ledger.calls if call.at >= told + 7]
    assert w.ledger.paid_twice() == {}
    assert w.ledger.posts(refused.audio_url) == 2
    (item,) = [i for report in (await one, await other) for i in report.items if i.audio_url == refused.audio_url]
    assert (item.state, item.attempts) == (ItemState.SUCCEEDED, 2)


HINTS = {
    "a date": ("Sun, 01 Feb 2026 00:10:00 GMT", "Sun, 01 Feb 2026 00:09:15 GMT", 45, 50),
    "a date in the past": ("Sun, 01 Feb 2026 00:10:00 GMT", "Sun, 01 Feb 2026 00:20:00 GMT", 0, 5),
    "a date that is far off": ("Mon, 01 Feb 2027 00:00:00 GMT", "Sun, 01 Feb 2026 00:00:00 GMT", 120, 133),
    "a day": ("86400", None, 120, 133),
    "a negative number": ("-30", None, 0, 5),
    "no number": ("soon", None, 0, 5),
    "nothing": ("", None, 0, 5),
}


@pytest.mark.parametrize(("hint", "date", "low", "high"), HINTS.values(), ids=HINTS)
async def test_a_hint_of_any_form_becomes_a_wait_within_bounds(
    world, hint: str, date: str | None, low: float, high: float
) -> None:
    headers = {"Retry-After": hint} | ({"Date": date} if date else {})
    w = await world(Behaviour(durations=Fixed(1), faults=(Fault(Answer(429, headers=headers), nth=1),)))
    report = await w.client.upload_batch(urls(3), concurrency=1)
    assert report.ok
    first, second, *_ = (call.at for call in w.ledger.calls if call.endpoint == "item")
    assert low <= second - first <= high
    assert w.ledger.paid_twice() == {}


async def test_a_hint_beyond_the_deadline_is_in_the_error_of_what_could_not_be_submitted(world) -> None:
    w = await world(Behaviour(durations=Fixed(1), faults=(Fault(rate_limited(3600)),)))
    report = await w.client.upload_batch(urls(3), deadline=60)
    assert set(states(report)) == {"not_submitted"}
    assert report.stats.elapsed <= 75
    assert w.ledger.charges == ()
    for item in report.items:
        cause = item.error.cause
        assert isinstance(cause, RateLimitedError)
        assert cause.retry_after == 3600


async def test_an_hour_of_429_ends_within_the_deadline_with_nothing_submitted(world) -> None:
    w = await world(Behaviour(durations=Fixed(1), faults=(Fault(rate_limited(1)),)))
    report = await w.client.upload_batch(urls(50), deadline=300)
    assert set(states(report)) == {"not_submitted"}
    assert report.stats.elapsed <= 315
    assert w.ledger.charges == ()
    assert w.ledger.requests("item") < 300, "slower and slower, and one at a time"


@pytest.mark.e2e
def test_the_exit_code_says_that_a_service_which_only_refuses_left_the_rest_undone(tmp_path: Path) -> None:
    with Emulator(Behaviour(faults=(Fault(rate_limited(1)),)), api_key=KEY).in_thread() as emulator:
        done = subprocess.run(
            [sys.executable, "-m", "mountsea_async.cli", "upload", *urls(3), "--deadline", "1.5", "--format", "json"],
            env={
                **os.environ,
                "MOUNTSEA_API_KEY": KEY,
                "MOUNTSEA_BASE_URL": emulator.base_url,
                "XDG_STATE_HOME": str(tmp_path),
            },
            cwd=tmp_path,
            capture_output=True,
            timeout=40,
            check=False,
        )
        assert emulator.ledger.charges == ()
    assert done.returncode == 5, done.stderr
    assert {item["state"] for item in json.loads(done.stdout)["items"]} == {"not_submitted"}


# ---------------------------------------------------------------------------------------- answers that are no answers
async def test_the_page_of_a_gateway_is_kept_as_a_short_excerpt_without_the_key(world) -> None:
    page = f"<html><body>Bad gateway for Bearer {KEY} at https://cdn.example.com/a.mp3?sig=5ecre7 {'x' * 900}</body>"
    for status in (200, 502):
        w = await world(Behaviour(durations=Fixed(1), faults=(Fault(Answer(status, page), nth=1),)))
        report = await w.client.upload_batch(urls(1))
        (item,) = report.items
        assert item.state is ItemState.UNKNOWN
        assert item.error.status == status
        assert "Bad gateway" in item.error.excerpt
        assert len(item.error.excerpt) <= 200
        said = repr(report) + str(item.error) + json.dumps(report.to_dict())
        assert KEY not in said
        assert "5ecre7" not in said


# -------------------------------------------------------------------------------- refusals that concern every item
@pytest.mark.parametrize(
    ("effect", "word"),
    [(unauthorized(), "unauthorized"), (Answer(403), "unauthorized"), (out_of_credits(), "credits")],
    ids=["401", "403", "402"],
)
async def test_no_submit_begins_once_one_was_refused_for_the_key_or_the_credits(world, effect: Any, word: str) -> None:
    w = await world(Behaviour(durations=Fixed(30), latency=0.5, faults=(Fault(effect, after=40, on="item"),)))
    report = await w.client.upload_batch(urls(200), concurrency=16)
    assert report.stopped == word
    refused = [call.at for call in w.ledger.calls if call.status in (401, 402, 403)]
    assert not [call for call in w.ledger.calls if call.endpoint == "item" and call.at > refused[0] + 0.5]
    assert len(refused) <= 15, "those that were on their way together"
    assert len(report.succeeded) == len(w.ledger.charges) == 40
    assert len(report.not_submitted) == 160
    assert w.ledger.paid_twice() == {}


@pytest.mark.parametrize(
    "effect", [unauthorized(), out_of_credits(), out_of_credits(400), out_of_credits(429)], ids=lambda e: str(e.status)
)
async def test_what_a_refusal_left_over_goes_on_in_the_same_session_without_paying_twice(world, effect: Any) -> None:
    w = await world(Behaviour(durations=Fixed(5), faults=(Fault(effect, nth=frozenset({6, 7, 8})),)))
    first = await w.client.upload_batch(urls(20), concurrency=3)
    assert first.not_submitted
    w.emulator.clear_faults()  # the key was renewed, the account topped up
    async with MountseaClient(KEY, base_url=w.emulator.base_url) as again:
        left = [urls(20)[item.index] for item in first.not_submitted]
        second = await again.upload_batch(left, session_id=first.session_id)
    assert second.ok
    assert {charge.session_id for charge in w.ledger.charges} == {first.session_id}
    assert w.ledger.paid_twice() == {}
    assert len(w.ledger.charges) == 20
    assert w.ledger.lost([*first.audio_ids, *second.audio_ids]) == ()


@pytest.mark.parametrize("status", [402, 400, 403, 429], ids=str)
async def test_the_words_insufficient_credits_are_understood_in_any_refusal(world, status: int) -> None:
    w = await world(Behaviour(durations=Fixed(5), faults=(Fault(out_of_credits(status), after=3),)))
    report = await w.client.upload_batch(urls(10), concurrency=1)
    assert states(report) == ["succeeded"] * 3 + ["not_submitted"] * 7
    assert report.stopped == "credits"
    assert isinstance(report.not_submitted[0].error.cause, InsufficientCreditsError)


# --------------------------------------------------------------------------------------------------- the session
async def test_a_session_that_is_gone_is_not_replaced_by_another_account(world) -> None:
    lost_answer = Fault(Cut(after_work=True), nth=2)
    gone = Fault(Answer(404), after=5, on="item")
    w = await world(Behaviour(durations=Fixed(30), faults=(lost_answer, gone)))
    report = await w.client.upload_batch(urls(12), concurrency=1)
    assert report.stopped == "session_gone"
    assert states(report) == [*["succeeded"], "unknown", *["succeeded"] * 3, *["not_submitted"] * 7]
    assert w.ledger.requests("prepare") == 1
    assert {charge.session_id for charge in w.ledger.charges} == {report.session_id}
    assert w.ledger.lost(report.audio_ids) == (), "the unknown one's clip is looked for in the old session"


async def test_a_lost_account_fails_what_it_had_and_no_new_session_is_made_of_itself(world) -> None:
    w = await world(Behaviour(durations=Fixed(50), latency=0.5))
    batch = asyncio.create_task(w.client.upload_batch(urls(20), concurrency=1))
    while len(w.ledger.charges) < 8:  # noqa: ASYNC110 - what the server has seen is no event of ours
        await asyncio.sleep(0.01)
    w.emulator.lose_account(w.ledger.sessions[0])
    report = await batch
    assert report.stopped == "no_account"
    assert w.ledger.requests("prepare") == 1
    assert len(report.failed) + len(report.not_submitted) == 20
    assert w.ledger.paid_twice() == {}


@pytest.mark.parametrize(
    "effect", [Answer(500), html(502), Cut(after_work=True), Hang(after_work=True), Answer(200, "{}", after_work=True)],
    ids=["500", "502 page", "connection broke", "no answer", "no id"],
)  # fmt: skip
async def test_a_prepare_that_is_lost_is_repeated_and_only_one_session_is_used(world, effect: Any) -> None:
    w = await world(Behaviour(durations=Fixed(1), faults=(Fault(effect, on="prepare", nth=frozenset({1, 2})),)))
    report = await w.client.upload_batch(urls(5))
    assert report.ok
    assert w.ledger.requests("prepare") == 3
    assert {charge.session_id for charge in w.ledger.charges} == {report.session_id}
    assert report.session_id == w.ledger.sessions[-1]


async def test_a_prepare_that_is_redirected_does_not_take_the_key_elsewhere(world) -> None:
    w = await world(Behaviour(durations=Fixed(1), faults=(Fault(redirect("/elsewhere"), on="prepare"),)))
    with pytest.raises(Exception, match="HTTP 307"):
        await w.client.upload_batch(urls(1))
    assert {call.endpoint for call in w.ledger.calls} == {"prepare"}


# -------------------------------------------------------------------------------------------- one quota for all
async def test_an_outage_costs_the_client_one_quota_of_retries_and_not_one_for_each_item(world) -> None:
    w = await world(config=ClientConfig(retry=RetryPolicy(max_tries=20)))
    async with w.client.upload_session(concurrency=32) as session:
        await w.emulator.__aexit__(None, None, None)
        report = await session.upload_all(urls(60))
    assert set(states(report)) == {"not_submitted"}
    assert report.stopped == "unreachable"
    attempts = sum(item.attempts for item in report.items)
    assert attempts < 31 + 500 // 14 + 60, "first tries, the quota, and one probe now and then for ten minutes"
