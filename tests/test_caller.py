"""The one door to the service: pace, attempt, decipher and retry put together, over a scripted transport."""

from __future__ import annotations

import asyncio
import json
import logging
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from support.names import KEY

from mountsea_async.config import RetryPolicy
from mountsea_async.errors import (
    AuthenticationError,
    BadRequestError,
    InsufficientCreditsError,
    MountseaError,
    NoAccountError,
    NoAnswerError,
    NotFoundError,
    NotSentError,
    RateLimitedError,
    ServerError,
    UnexpectedAnswerError,
    UnknownOutcomeError,
)
from mountsea_async.wire import decode, endpoints
from mountsea_async.wire.caller import Caller
from mountsea_async.wire.endpoints import Request
from mountsea_async.wire.pacing import NO_LANE, Pace
from mountsea_async.wire.protocol import Cause, Response, SendFailure
from mountsea_async.wire.transport import Flight

ITEM = endpoints.submit_item("s-1", "https://cdn.example.com/a.mp3")
CREATED = Response(201, b'{"taskId":"t-1"}')
PREPARED = Response(201, b'{"sessionId":"s-1"}')
RUNNING = Response(200, b'{"taskId":"t-1","status":"running"}')
TOO_MANY = Response(429, b"")
UNSENT = SendFailure(Cause.CONNECT, "no connection", True, 0, 1)
UNSENT_FOR_GOOD = SendFailure(Cause.CERTIFICATE, "bad certificate", True, 0, 1)
CUT = SendFailure(Cause.DISCONNECTED, "the connection broke", True, 111, 1)
CUT_GET = SendFailure(Cause.DISCONNECTED, "the connection broke", False, 0, 0)
BUSY = Response(503, b'{"message":"No available account"}')
BROKEN = Response(500, b"oops")

Step = Response | SendFailure


def dice(seed: int = 0) -> random.Random:
    return random.Random(seed)  # noqa: S311 - jitter


def now() -> float:
    return asyncio.get_running_loop().time()


class Scripted:
    """A transport that answers by a script; its last step repeats."""

    secrets = (KEY,)

    def __init__(self, *script: Step, latency: float = 0.1, log: list[str] | None = None) -> None:
        self.script = list(script)
        self.latency = latency
        self.log = [] if log is None else log
        self.sent: list[tuple[float, Request]] = []
        self.answered: list[float] = []
        self.inside = self.most = 0
        self.choose: Callable[[Request], Step] | None = None
        self.flight = Flight(has_body=True, bytes_written=111, attempts=1)

    async def send(self, request: Request, flight: Flight | None = None) -> Step:
        self.log.append("send")
        self.sent.append((now(), request))
        self.inside += 1
        self.most = max(self.most, self.inside)
        if flight is not None:
            flight.has_body = self.flight.has_body
            flight.bytes_written, flight.attempts = self.flight.bytes_written, self.flight.attempts
        try:
            await asyncio.sleep(self.latency)
        finally:
            self.inside -= 1
        self.answered.append(now())
        if self.choose is not None:
            return self.choose(request)
        return self.script.pop(0) if len(self.script) > 1 else self.script[0]

    @property
    def times(self) -> list[float]:
        return [moment for moment, _ in self.sent]


class Owner:
    """Whoever submits, and what it was told."""

    def __init__(self, request: Request = ITEM, log: list[str] | None = None) -> None:
        self.request = request
        self.log = [] if log is None else log
        self.errors: list[MountseaError] = []
        self.cuts: list[bool] = []

    async def sending(self) -> Request:
        self.log.append("sending")
        return self.request

    def not_accepted(self, error: MountseaError) -> None:
        self.log.append("not accepted")
        self.errors.append(error)

    def cut(self, *, unsent: bool) -> None:
        self.log.append("cut")
        self.cuts.append(unsent)


class Watched(Pace):
    """A gate whose comings and goings are written down."""

    def __init__(self, limit: int, log: list[str]) -> None:
        super().__init__(limit, rng=dice(3))
        self.log = log

    @asynccontextmanager
    async def permit(self, *, paid: bool = False) -> AsyncIterator[None]:  # type: ignore[override]
        async with super().permit(paid=paid):
            self.log.append("permit")
            try:
                yield
            finally:
                self.log.append("released")


async def prepare(caller: Caller) -> str:
    return await caller.ask(endpoints.prepare_session(), decode.session_id)


def caller_of(transport: Scripted, *, pace: Pace | None = None, **policy: float) -> Caller:
    gate = pace or Pace(10, rng=dice(3))
    return Caller(transport, gate, RetryPolicy(**policy), dice(5))  # type: ignore[arg-type]


# --------------------------------------------------------------------------------------------- paid: what repeats
async def test_an_accepted_request_is_sent_once_and_brings_its_task() -> None:
    transport, owner = Scripted(CREATED), Owner()
    assert await caller_of(transport).submit(owner, decode.task_id) == "t-1"
    assert [request for _, request in transport.sent] == [ITEM]
    assert (owner.errors, owner.cuts) == ([], [])


@pytest.mark.parametrize(
    "step",
    [
        pytest.param(CUT, id="connection broke"),
        pytest.param(SendFailure(Cause.TIMEOUT, "no answer", True, 111, 1), id="no answer"),
        pytest.param(SendFailure(Cause.DISCONNECTED, "?", True, 0, 2), id="sent twice by the library"),
        pytest.param(SendFailure(Cause.DISCONNECTED, "?", False, 0, 1), id="no body to prove it by"),
        pytest.param(SendFailure(Cause.DISCONNECTED, "?", True, 0, 1, 200), id="an answer had begun"),
        pytest.param(SendFailure(Cause.TOO_LARGE, "?", True, 111, 1, 201), id="too large"),
        pytest.param(Response(200, b"<html>"), id="HTML with 200"),
        pytest.param(Response(201, b"{}"), id="201 without an id"),
        pytest.param(Response(204, b""), id="204"),
        pytest.param(Response(302, b""), id="302"),
        pytest.param(Response(307, b""), id="307"),
        pytest.param(Response(408, b""), id="408"),
        pytest.param(Response(409, b""), id="409"),
        pytest.param(BROKEN, id="500"),
        pytest.param(Response(502, b"<html>"), id="502"),
        pytest.param(Response(503, b"unavailable"), id="503"),
        pytest.param(Response(503, b"", retry_after="1"), id="503 with Retry-After"),
        pytest.param(Response(504, b""), id="504"),
    ],
)
async def test_an_unknown_outcome_is_never_sent_again(step: Step) -> None:
    transport, owner = Scripted(step, CREATED), Owner()
    with pytest.raises(UnknownOutcomeError):
        await caller_of(transport).submit(owner, decode.task_id)
    await asyncio.sleep(3600)
    assert len(transport.sent) == 1
    assert owner.errors == [], "nobody says that it cost nothing"


@pytest.mark.parametrize(
    ("step", "kind"),
    [
        (Response(400, b""), BadRequestError),
        (Response(401, b""), AuthenticationError),
        (Response(402, b""), InsufficientCreditsError),
        (Response(403, b""), AuthenticationError),
        (Response(404, b""), NotFoundError),
        (Response(413, b""), BadRequestError),
        (Response(415, b""), BadRequestError),
        (Response(422, b""), BadRequestError),
        (UNSENT_FOR_GOOD, NotSentError),
    ],
    ids=lambda value: str(getattr(value, "status", None) or getattr(value, "cause", "")) or None,
)
async def test_what_is_turned_away_for_good_is_not_sent_again(step: Step, kind: type[MountseaError]) -> None:
    transport = Scripted(step, CREATED)
    with pytest.raises(kind):
        await caller_of(transport).submit(Owner(), decode.task_id)
    assert len(transport.sent) == 1


@pytest.mark.parametrize(("step", "kind"), [(UNSENT, NotSentError), (BUSY, NoAccountError)], ids=["unsent", "busy"])
@pytest.mark.parametrize("tries", [1, 3, 5])
async def test_what_provably_cost_nothing_is_sent_again_as_often_as_tries_allow(
    step: Step, kind: type[MountseaError], tries: int
) -> None:
    transport, owner = Scripted(step), Owner()
    with pytest.raises(kind):
        await caller_of(transport, max_tries=tries).submit(owner, decode.task_id)
    assert len(transport.sent) == tries
    assert [type(error) for error in owner.errors] == [kind] * tries


async def test_a_later_try_that_is_accepted_is_a_success() -> None:
    transport, owner = Scripted(UNSENT, BUSY, TOO_MANY, UNSENT, CREATED), Owner()
    assert await caller_of(transport).submit(owner, decode.task_id) == "t-1"
    assert len(transport.sent) == 5


async def test_a_later_try_whose_outcome_is_unknown_is_the_last() -> None:
    transport = Scripted(UNSENT, TOO_MANY, CUT, CREATED)
    with pytest.raises(UnknownOutcomeError):
        await caller_of(transport).submit(Owner(), decode.task_id)
    assert len(transport.sent) == 3


async def test_waits_between_tries_are_jittered_below_a_ceiling_that_doubles() -> None:
    transport = Scripted(UNSENT, latency=0)
    with pytest.raises(NotSentError):
        await caller_of(transport, max_tries=6, base=1, cap=4).submit(Owner(), decode.task_id)
    gaps = [late - early for early, late in zip(transport.times, transport.times[1:], strict=False)]
    assert all(gap <= ceiling + 1e-6 for gap, ceiling in zip(gaps, [1, 2, 4, 4, 4], strict=True))
    assert len({round(gap, 6) for gap in gaps}) == 5


async def test_a_busy_service_that_names_a_time_is_not_asked_before() -> None:
    transport = Scripted(Response(503, b"no available account", retry_after="30"), CREATED)
    await caller_of(transport).submit(Owner(), decode.task_id)
    assert 30 <= transport.times[1] - transport.answered[0] <= 33


# ----------------------------------------------------------------------------------------- paid: order and permits
async def test_the_order_is_permit_then_intent_then_bytes() -> None:
    log: list[str] = []
    transport = Scripted(UNSENT, TOO_MANY, CREATED, log=log)
    await caller_of(transport, pace=Watched(1, log)).submit(Owner(log=log), decode.task_id)
    attempt = ["permit", "sending", "send", "released"]
    assert log == [*attempt, "not accepted", *attempt, "not accepted", *attempt]


@pytest.mark.parametrize("step", [UNSENT, BUSY], ids=["unsent", "busy"])
async def test_no_permit_is_held_over_the_wait_before_a_retry(step: Step) -> None:
    transport = Scripted(step, RUNNING, CREATED, latency=0)
    caller = caller_of(transport, pace=Pace(1, rng=dice(1)), base=20, cap=20)
    lane = asyncio.Semaphore(1)
    submitting = asyncio.create_task(caller.submit(Owner(), decode.task_id, lane))
    await asyncio.sleep(0.001)
    assert len(transport.sent) == 1
    assert not submitting.done()
    assert not lane.locked()
    began = now()
    assert (await caller.glance("t-1", lane)).status == "running"
    assert now() - began < 0.1
    assert await submitting == "t-1"


async def test_the_owners_lane_bounds_its_submits() -> None:
    transport = Scripted(CREATED)
    caller, lane = caller_of(transport), asyncio.Semaphore(2)
    await asyncio.gather(*(caller.submit(Owner(), decode.task_id, lane) for _ in range(9)))
    assert transport.most == 2
    assert len(transport.sent) == 9


async def test_what_the_owner_raises_before_sending_ends_the_call_and_gives_the_permit_back() -> None:
    class Unwilling(Owner):
        async def sending(self) -> Request:
            raise KeyError("changed my mind")

    transport = Scripted(CREATED)
    caller, lane = caller_of(transport, pace=Pace(1)), asyncio.Semaphore(1)
    for _ in range(3):
        with pytest.raises(KeyError):
            await caller.submit(Unwilling(), decode.task_id, lane)
    assert transport.sent == []
    assert await caller.submit(Owner(), decode.task_id, lane) == "t-1"


@pytest.mark.parametrize("step", [UNSENT, BUSY, TOO_MANY], ids=["unsent", "busy", "429"])
async def test_what_the_owner_raises_after_an_attempt_ends_the_call(step: Step) -> None:
    class Unwilling(Owner):
        def not_accepted(self, error: MountseaError) -> None:
            raise KeyError("no more")

    transport = Scripted(step, CREATED)
    with pytest.raises(KeyError):
        await caller_of(transport).submit(Unwilling(), decode.task_id)
    assert len(transport.sent) == 1


@pytest.mark.parametrize(
    ("flight", "unsent"),
    [
        (Flight(has_body=True, bytes_written=0, attempts=0), True),
        (Flight(has_body=True, bytes_written=0, attempts=1), True),
        (Flight(has_body=True, bytes_written=1, attempts=1), False),
        (Flight(has_body=True, bytes_written=0, attempts=2), False),
        (Flight(has_body=False, bytes_written=0, attempts=1), False),
    ],
    ids=["not begun", "connecting", "a byte", "two attempts", "no body"],
)
async def test_the_owner_hears_what_a_cancelled_attempt_proves(flight: Flight, unsent: bool) -> None:
    transport, owner = Scripted(CREATED, latency=10), Owner()
    transport.flight = flight
    submitting = asyncio.create_task(caller_of(transport).submit(owner, decode.task_id))
    await asyncio.sleep(1)
    submitting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await submitting
    assert owner.cuts == [unsent]
    assert len(transport.sent) == 1


async def test_a_cancel_while_waiting_for_a_turn_tells_nobody_of_an_attempt() -> None:
    transport, owner = Scripted(CREATED, latency=10), Owner()
    caller = caller_of(transport, pace=Pace(1))
    first = asyncio.create_task(caller.submit(Owner(), decode.task_id))
    waiting = asyncio.create_task(caller.submit(owner, decode.task_id))
    await asyncio.sleep(1)
    waiting.cancel()
    assert await first == "t-1"
    assert owner.log == []
    assert len(transport.sent) == 1


# ------------------------------------------------------------------------------------------------ too many requests
async def test_a_429_uses_up_no_tries() -> None:
    transport = Scripted(*[TOO_MANY] * 10, CREATED)
    assert await caller_of(transport, max_tries=1).submit(Owner(), decode.task_id) == "t-1"
    assert len(transport.sent) == 11


async def test_a_429_pauses_submits_and_polls_of_the_client_alike() -> None:
    transport = Scripted(Response(429, b"", retry_after="7"), RUNNING)
    caller = caller_of(transport)
    began = now()
    first = asyncio.create_task(caller.glance("t-1", NO_LANE))
    await asyncio.sleep(0.2)
    await asyncio.gather(first, *(caller.glance("t-1", NO_LANE) for _ in range(5)))
    assert len(transport.times) == 7
    assert all(moment >= began + 7 for moment in transport.times[1:])


async def test_a_429_on_a_poll_is_asked_again_and_no_error() -> None:
    transport = Scripted(TOO_MANY, TOO_MANY, RUNNING)
    assert (await caller_of(transport).glance("t-1", NO_LANE)).status == "running"


@pytest.mark.parametrize("hint", [None, "0", "1", "60", "86400", "garbage"])
async def test_nothing_but_429_for_ten_minutes_ends_with_the_error(hint: str | None) -> None:
    transport = Scripted(Response(429, b"slow down", retry_after=hint), latency=1)
    began = now()
    with pytest.raises(RateLimitedError) as caught:
        await caller_of(transport).submit(Owner(), decode.task_id)
    assert 600 <= now() - began <= 600 + 132 + 2
    assert caught.value.status == 429


async def test_patience_can_be_set() -> None:
    transport = Scripted(TOO_MANY)
    began = now()
    with pytest.raises(RateLimitedError):
        await prepare(caller_of(transport, patience=30))
    assert 30 <= now() - began <= 60


async def test_something_accepted_in_between_renews_the_patience() -> None:
    transport = Scripted(TOO_MANY)
    caller = caller_of(transport, patience=30)
    submitting = asyncio.create_task(caller.submit(Owner(), decode.task_id))
    await asyncio.sleep(25)
    caller.pace.accepted()
    await asyncio.sleep(20)
    transport.script = [CREATED]
    assert await submitting == "t-1"


async def test_a_429_that_speaks_of_credits_is_not_waited_out() -> None:
    transport = Scripted(Response(429, b'{"message":"Insufficient credits"}'))
    began = now()
    with pytest.raises(InsufficientCreditsError):
        await caller_of(transport).submit(Owner(), decode.task_id)
    assert now() - began < 60


# -------------------------------------------------------------------------------------------------------- free calls
@pytest.mark.parametrize(
    ("step", "kind"),
    [
        (CUT_GET, NoAnswerError),
        (BROKEN, ServerError),
        (Response(502, b"<html>"), ServerError),
        (BUSY, NoAccountError),
        (Response(200, b"<html>"), UnexpectedAnswerError),
        (Response(302, b""), UnexpectedAnswerError),
    ],
    ids=["cut", "500", "502", "busy", "HTML", "redirect"],
)
async def test_a_free_call_is_repeated_as_often_as_tries_allow(step: Step, kind: type[MountseaError]) -> None:
    for call in (prepare, lambda caller: caller.task("t-1")):
        transport = Scripted(step)
        with pytest.raises(kind):
            await call(caller_of(transport, max_tries=3))
        assert len(transport.sent) == 3


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 422])
async def test_a_free_call_that_is_refused_is_not_repeated(status: int) -> None:
    for call in (prepare, lambda caller: caller.task("t-1")):
        transport = Scripted(Response(status, b""))
        with pytest.raises(MountseaError):
            await call(caller_of(transport))
        assert len(transport.sent) == 1


async def test_a_free_call_that_the_client_itself_refuses_is_not_repeated() -> None:
    transport = Scripted(SendFailure(Cause.CLIENT, "Session is closed", False, 0, 0))
    with pytest.raises(MountseaError):
        await prepare(caller_of(transport))
    assert len(transport.sent) == 1


async def test_a_session_is_prepared_after_faults() -> None:
    transport = Scripted(CUT_GET, BROKEN, TOO_MANY, BUSY, PREPARED)
    assert await prepare(caller_of(transport)) == "s-1"
    assert {request for _, request in transport.sent} == {endpoints.prepare_session()}


async def test_a_task_is_asked_for_until_there_is_an_answer() -> None:
    transport = Scripted(CUT_GET, Response(200, b"<html>"), RUNNING)
    assert (await caller_of(transport).task("t-1")).status == "running"


@pytest.mark.parametrize("step", [CUT_GET, BROKEN, Response(404, b""), Response(200, b"{}")], ids=str)
async def test_a_glance_asks_once_and_its_error_names_the_task(step: Step) -> None:
    transport = Scripted(step)
    with pytest.raises(MountseaError) as caught:
        await caller_of(transport).glance("t-1", NO_LANE)
    assert len(transport.sent) == 1
    assert caught.value.task_id == "t-1"


@pytest.mark.parametrize("step", [CUT_GET, BROKEN, Response(404, b"")], ids=["cut", "500", "404"])
async def test_the_error_of_a_task_names_it(step: Step) -> None:
    with pytest.raises(MountseaError) as caught:
        await caller_of(Scripted(step), max_tries=2).task("t-1")
    assert caught.value.task_id == "t-1"


async def test_a_session_status_is_asked_for_with_the_room_that_its_ids_need() -> None:
    answer = Response(200, json.dumps({"status": "success", "data": {"audioIds": []}}).encode())
    transport = Scripted(answer)
    await caller_of(transport).task("s-1", audio_ids=100_000)
    assert transport.sent[0][1].max_bytes == 12_800_000


# ------------------------------------------------------------------------------------------------- words and secrets
async def test_an_unknown_status_is_warned_of_once_a_client(caplog: pytest.LogCaptureFixture) -> None:
    def answer(request: Request) -> Step:
        return Response(200, b'{"status":"%s"}' % words.pop(0))

    with caplog.at_level(logging.WARNING, "mountsea_async"):
        for _ in range(2):
            words = [b"novel", b"NOVEL", b"running", b"queued", b"novel"]
            transport = Scripted(RUNNING)
            transport.choose = answer
            caller = caller_of(transport)
            for _ in range(5):
                await caller.glance("t-1", NO_LANE)
    assert [getattr(record, "task_status", None) for record in caplog.records] == ["novel", "novel"]


async def test_a_babbling_service_does_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    numbers = iter(range(1000))
    transport = Scripted(RUNNING, latency=0)
    transport.choose = lambda _: Response(200, b'{"status":"babble-%d"}' % next(numbers))
    caller = caller_of(transport)
    with caplog.at_level(logging.WARNING, "mountsea_async"):
        for _ in range(200):
            await caller.glance("t-1", NO_LANE)
    assert 1 <= len(caplog.records) <= 100


@pytest.mark.parametrize("status", [200, 400, 401, 429, 500, 503])
async def test_no_error_of_the_caller_shows_a_key_that_the_server_echoes(status: int) -> None:
    echo = Response(status, f"bad key {KEY}".encode(), retry_after="200")
    for call in (
        lambda caller: caller.submit(Owner(), decode.task_id),
        prepare,
        lambda caller: caller.glance("t-1", NO_LANE),
    ):
        with pytest.raises(MountseaError) as caught:
            await call(caller_of(Scripted(echo), max_tries=2))
        assert KEY not in str(caught.value) + repr(caught.value) + repr(vars(caught.value))


async def test_a_parser_that_the_user_chose_reads_statuses_and_accepted_requests() -> None:
    bodies: list[bytes] = []

    def chosen(body: bytes) -> object:
        bodies.append(body)
        return json.loads(body)

    status, accepted = b'{"status":"running"}', b'{"taskId":"t-1"}'
    transport = Scripted(Response(200, status), Response(201, accepted))
    caller = Caller(transport, Pace(1, rng=dice(3)), RetryPolicy(), dice(5), chosen)  # type: ignore[arg-type]
    await caller.task("t-1")
    await caller.submit(Owner(), decode.task_id)
    assert bodies == [status, accepted]
