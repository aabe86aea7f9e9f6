"""The emulator's faults: what each effect does, and which requests each selector chooses."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from test_emulator_http import STATUS, URL, Answered, calling, emulated, until

from mountsea_async.testing import (
    Answer,
    Behaviour,
    Cut,
    Drip,
    Emulator,
    Fault,
    Fixed,
    Hang,
    LoseAccount,
    Outcome,
    Reshape,
    RevokeKey,
    Truncate,
    html,
    no_account,
    out_of_credits,
    rate_limited,
    redirect,
    unauthorized,
)

if TYPE_CHECKING:
    from mountsea_async.testing import Effect

INSTANT = Behaviour(durations=Fixed(0))


async def one_item(effect: Effect, behaviour: Behaviour = INSTANT) -> tuple[Answered | Exception, Emulator]:
    """Submit one item under one effect; return its answer or error, and the emulator."""
    async with emulated(behaviour) as (emulator, caller):
        session_id = await caller.prepare()
        emulator.add_fault(Fault(effect))
        try:
            return await caller.item(session_id), emulator
        except (aiohttp.ClientError, OSError) as error:
            return error, emulator


@pytest.mark.parametrize("after_work", [False, True])
async def test_an_answer_replaces_the_services_own(after_work: bool) -> None:
    effect = Answer(504, "gone", {"Content-Type": "text/plain", "X-From": "edge"}, after_work=after_work)
    answered, emulator = await one_item(effect)
    assert isinstance(answered, Answered)
    assert (answered.status, answered.text) == (504, "gone")
    assert (answered.headers["Content-Type"], answered.headers["X-From"]) == ("text/plain", "edge")
    assert emulator.ledger.charged(URL) == int(after_work)
    assert emulator.ledger.calls[-1].status == 504
    assert (emulator.ledger.calls[-1].task_id is not None) == after_work


async def test_an_answer_without_a_body_has_the_usual_error_shape() -> None:
    answered, _ = await one_item(Answer(500))
    assert isinstance(answered, Answered)
    assert answered.json == {"statusCode": 500, "message": "Internal Server Error"}
    assert answered.headers["Content-Type"].startswith("application/json")


@pytest.mark.parametrize(
    ("effect", "status", "text", "header"),
    [
        (rate_limited(), 429, "Too Many Requests", ("Retry-After", "7")),
        (rate_limited("soon"), 429, "", ("Retry-After", "soon")),
        (rate_limited(None), 429, "", ("Retry-After", None)),
        (no_account(), 503, "No available account", None),
        (html(), 502, "<html>", ("Content-Type", "text/html")),
        (html(200), 200, "<html>", None),
        (unauthorized(), 401, "Unauthorized", None),
        (out_of_credits(), 402, "Insufficient credits", None),
        (out_of_credits(403), 403, "Insufficient credits", None),
        (redirect("http://127.0.0.1:9/"), 307, "", ("Location", "http://127.0.0.1:9/")),
    ],
)
async def test_the_common_answers(
    effect: Answer, status: int, text: str, header: tuple[str, str | None] | None
) -> None:
    answered, emulator = await one_item(effect)
    assert isinstance(answered, Answered)
    assert answered.status == status
    assert text in answered.text
    if header is not None:
        assert answered.headers.get(header[0]) == header[1]
    assert not emulator.ledger.charges


@pytest.mark.parametrize("after_work", [False, True])
@pytest.mark.parametrize(
    ("graceful", "error"), [(False, aiohttp.ClientOSError), (True, aiohttp.ServerDisconnectedError)]
)
async def test_a_cut_breaks_the_connection(after_work: bool, graceful: bool, error: type[Exception]) -> None:
    answered, emulator = await one_item(Cut(after_work=after_work, graceful=graceful))
    assert isinstance(answered, error)
    assert emulator.ledger.charged(URL) == int(after_work)
    assert emulator.ledger.calls[-1].status is None
    assert emulator.ledger.counts["item", None] == 1


@pytest.mark.parametrize("after_work", [False, True])
async def test_a_hang_never_answers_and_does_not_keep_the_emulator_from_stopping(after_work: bool) -> None:
    async with Emulator(INSTANT) as emulator, calling(emulator) as caller:
        session_id = await caller.prepare()
        emulator.add_fault(Fault(Hang(after_work=after_work)))
        hanging = [asyncio.create_task(caller.item(session_id)) for _ in range(3)]

        async def arrived() -> bool:
            return emulator.ledger.in_flight == 3

        await until(arrived)
        async with asyncio.timeout(5):
            await emulator.__aexit__(None, None, None)
        ends = await asyncio.gather(*hanging, return_exceptions=True)
        assert all(isinstance(end, aiohttp.ClientError) for end in ends)
        assert emulator.ledger.charged(URL) == 3 * int(after_work)
        assert (emulator.ledger.in_flight, emulator.ledger.open_connections) == (0, 0)
        assert [call.status for call in emulator.ledger.calls[1:]] == [None] * 3


async def test_a_hang_ends_when_its_caller_leaves() -> None:
    async with emulated(INSTANT) as (emulator, caller):
        emulator.add_fault(Fault(Hang(), on="status"))
        with pytest.raises(TimeoutError):
            await caller.ask("GET", STATUS, timeout=aiohttp.ClientTimeout(total=0.05))

        async def left() -> bool:
            return emulator.ledger.in_flight == 0 and emulator.ledger.open_connections == 0

        await until(left)


@pytest.mark.parametrize("after_work", [False, True])
async def test_a_hang_with_an_end_answers_then(after_work: bool) -> None:
    answered, emulator = await one_item(Hang(after_work=after_work, seconds=0.01))
    assert isinstance(answered, Answered)
    assert answered.status == 201
    assert emulator.ledger.charged(URL) == 1


async def test_a_hang_with_an_end_does_the_work_though_the_caller_has_left() -> None:
    async with emulated(INSTANT) as (emulator, caller):
        session_id = await caller.prepare()
        emulator.add_fault(Fault(Hang(seconds=0.1)))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await caller.item(session_id)

        async def charged() -> bool:
            return emulator.ledger.charged(URL) == 1

        await until(charged)


@pytest.mark.parametrize("keep", [0, 0.5, 0.99])
async def test_a_truncated_answer_promises_more_than_it_brings(keep: float) -> None:
    answered, emulator = await one_item(Truncate(keep))
    assert isinstance(answered, aiohttp.ClientPayloadError)
    assert emulator.ledger.charged(URL) == 1
    assert emulator.ledger.calls[-1].status == 201


async def test_a_dripping_answer_arrives_whole() -> None:
    answered, emulator = await one_item(Drip(0.0005))
    assert isinstance(answered, Answered)
    assert (answered.status, answered.json["taskId"]) == (201, emulator.ledger.charges[0].task_id)


async def test_dripping_stops_with_the_emulator() -> None:
    async with Emulator(INSTANT) as emulator, calling(emulator) as caller:
        emulator.add_fault(Fault(Drip(3600), on="prepare"))
        dripping = asyncio.create_task(caller.prepare())

        async def arrived() -> bool:
            return emulator.ledger.in_flight == 1

        await until(arrived)
        async with asyncio.timeout(5):
            await emulator.__aexit__(None, None, None)
        assert isinstance((await asyncio.gather(dripping, return_exceptions=True))[0], aiohttp.ClientError)


async def test_a_lost_account_takes_nothing_and_fails_what_is_unfinished() -> None:
    async with emulated(Behaviour(durations=Fixed(3600), accounts=1, parallel=1)) as (emulator, caller):
        session_id = await caller.prepare()
        emulator.add_fault(Fault(Outcome("success", duration=0), nth=1))
        emulator.add_fault(Fault(LoseAccount(), nth=4))
        done, running, queued = [await caller.submit(session_id, f"{URL}?{number}") for number in range(3)]
        for _ in range(2):
            refused = await caller.item(session_id)
            assert (refused.status, refused.json["message"]) == (503, "No available account")
        assert (await caller.task(done))["status"] == "success"
        for task_id in (running, queued):
            task = await caller.task(task_id)
            assert (task["status"], task["failReason"]) == ("failed", "Account unavailable.")
        assert await caller.audio_ids(session_id) == [(await caller.task(done))["data"]["id"]]
        assert (await caller.ask("POST", "/suno/v2/audio/upload/session")).status == 503


async def test_an_account_lost_by_hand_leaves_other_accounts_alone() -> None:
    async with emulated(Behaviour(durations=Fixed(3600), accounts=2, seed=3)) as (emulator, caller):
        sessions = [await caller.prepare() for _ in range(8)]
        for session_id in sessions:
            await caller.submit(session_id)
        account = {charge.session_id: charge.account for charge in emulator.ledger.charges}
        assert len(set(account.values())) == 2
        emulator.lose_account(sessions[0])
        for session_id in sessions:
            shared = account[session_id] == account[sessions[0]]
            assert (await caller.item(session_id)).status == (503 if shared else 201)
        with pytest.raises(ValueError, match="no session"):
            emulator.lose_account("x")


async def test_a_key_can_be_revoked_in_the_middle() -> None:
    async with emulated(INSTANT) as (emulator, caller):
        session_id = await caller.prepare()
        emulator.add_fault(Fault(RevokeKey(), nth=2))
        await caller.submit(session_id)
        assert (await caller.item(session_id)).status == 401
        assert (await caller.status(session_id)).status == 401


@pytest.mark.parametrize("ends", ["success", "failed", "timeout", "blank", "late"])
@pytest.mark.parametrize("on", ["item", "upload"])
async def test_an_outcome_decides_how_a_task_ends(ends: Any, on: Any) -> None:
    async with emulated(INSTANT) as (emulator, caller):
        session_id = await caller.prepare()
        emulator.add_fault(Fault(Outcome(ends, late_after=0), on=on))
        task_id = await caller.submit(session_id) if on == "item" else (await caller.upload()).json["taskId"]
        task = await caller.task(task_id)
        assert task["status"] == {"blank": "success", "late": "timeout"}.get(ends, ends)
        assert task["finishAt"].endswith("Z")
        (charge,) = emulator.ledger.charges
        assert charge.ends == ends
        lands = ends in ("success", "blank", "late")
        assert (charge.clip_id is not None) == lands
        if ends == "success":
            assert task["data"]["id"] == charge.clip_id
        elif ends == "blank":
            assert task["data"] is None
        else:
            assert "data" not in task
        assert await caller.audio_ids(session_id) == ([charge.clip_id] if lands and on == "item" else [])


async def test_an_outcome_gives_its_own_code_reason_and_duration() -> None:
    async with emulated(INSTANT) as (emulator, caller):
        session_id = await caller.prepare()
        reason = "Uploaded audio matches existing work of art."
        emulator.add_fault(Fault(Outcome("failed", fail_code="X", fail_reason=reason), nth=1))
        emulator.add_fault(Fault(Outcome("success", duration=3600), nth=2))
        task = await caller.task(await caller.submit(session_id))
        assert (task["failCode"], task["failReason"]) == ("X", reason)
        assert (await caller.task(await caller.submit(session_id)))["status"] == "running"


async def test_a_late_clip_appears_after_its_timeout() -> None:
    async with emulated(INSTANT) as (emulator, caller):
        session_id = await caller.prepare()
        emulator.add_fault(Fault(Outcome("late", late_after=3600), nth=1))
        emulator.add_fault(Fault(Outcome("late", late_after=0.05), nth=2))
        never, soon = [await caller.submit(session_id) for _ in range(2)]
        assert (await caller.task(never))["status"] == (await caller.task(soon))["status"] == "timeout"

        async def landed() -> bool:
            return await caller.audio_ids(session_id) == [emulator.ledger.charges[1].clip_id]

        await until(landed)


async def test_reshaping_changes_fields_of_a_good_answer_only() -> None:
    async with emulated(INSTANT) as (emulator, caller):
        session_id = await caller.prepare()
        emulator.add_fault(Fault(Reshape({"status": "dreaming", "createdAt": None, "more": [1]}), on="status"))
        task = await caller.task(session_id)
        assert task == {"taskId": session_id, "status": "dreaming", "data": {"audioIds": []}, "more": [1]}
        assert "more" not in (await caller.status("unknown")).json
        emulator.add_fault(Fault(Reshape({"taskId": 7})))
        assert (await caller.item(session_id)).json == {"taskId": 7}


@pytest.mark.parametrize(
    ("selectors", "hit"),
    [
        ({}, [1, 2, 3, 4, 5, 6]),
        ({"nth": 2}, [2]),
        ({"nth": [1, 5]}, [1, 5]),
        ({"every": 3}, [3, 6]),
        ({"after": 4}, [5, 6]),
        ({"url": "*/2.mp3"}, [2]),
        ({"times": 2}, [1, 2]),
        ({"share": 0.0}, []),
        ({"share": 1.0}, [1, 2, 3, 4, 5, 6]),
        ({"every": 2, "after": 2}, [4, 6]),
        ({"every": 2, "times": 1, "url": "*[46].mp3"}, [4]),
        ({"on": "upload"}, []),
        ({"on": "any", "nth": 3}, [2]),
    ],
)
async def test_selectors_choose_items(selectors: dict[str, Any], hit: list[int]) -> None:
    behaviour = Behaviour(durations=Fixed(0), faults=(Fault(Answer(599), **selectors),))
    async with emulated(behaviour) as (_, caller):
        session_id = await caller.prepare()
        statuses = [(await caller.item(session_id, f"https://h/{n}.mp3")).status for n in range(1, 7)]
    assert [number for number, status in enumerate(statuses, 1) if status == 599] == hit


async def test_a_share_is_drawn_under_the_seed() -> None:
    async def run(seed: int) -> list[int]:
        behaviour = Behaviour(durations=Fixed(0), seed=seed, faults=(Fault(Answer(500), on="status", share=0.5),))
        async with emulated(behaviour) as (_, caller):
            return [(await caller.status("x")).status for _ in range(40)]

    first = await run(1)
    assert {500, 404} == set(first)
    assert first == await run(1)
    assert first != await run(2)


async def test_the_first_rule_that_matches_wins_and_rules_can_be_cleared() -> None:
    async with emulated(INSTANT) as (emulator, caller):
        emulator.add_fault(Fault(Answer(501), on="status", nth=1))
        emulator.add_fault(Fault(Answer(502), on="status"))
        assert [(await caller.status("x")).status for _ in range(2)] == [501, 502]
        emulator.clear_faults()
        assert (await caller.status("x")).status == 404


async def test_a_rule_by_url_finds_the_polls_of_that_items_task() -> None:
    async with emulated(INSTANT) as (emulator, caller):
        session_id = await caller.prepare()
        a, b = await caller.submit(session_id, "https://h/a"), await caller.submit(session_id, "https://h/b")
        emulator.add_fault(Fault(html(), on="status", url="*/b"))
        assert [(await caller.status(task_id)).status for task_id in (a, b, session_id)] == [200, 502, 200]


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: Fault("cut"), "effect"),
        (lambda: Fault(Cut(), on="poll"), "on"),
        (lambda: Fault(Cut(), nth=0), "nth"),
        (lambda: Fault(Cut(), nth=[1, 0]), "nth"),
        (lambda: Fault(Cut(), nth=1.5), "nth"),
        (lambda: Fault(Cut(), every=0), "every"),
        (lambda: Fault(Cut(), after=-1), "after"),
        (lambda: Fault(Cut(), times=0), "times"),
        (lambda: Fault(Cut(), share=1.5), "share"),
        (lambda: Fault(Cut(), on="prepare", url="*"), "url"),
        (lambda: Fault(Cut(), on="model_create", url="*"), "url"),
        (lambda: Fault(Outcome("failed"), on="status"), "on"),
        (lambda: Fault(Outcome("failed"), on="playlist"), "on"),
        (lambda: Fault(LoseAccount(), on="generate"), "on"),
        (lambda: Fault(LoseAccount(), on="any"), "on"),
        (lambda: Outcome("lost"), "ends"),
        (lambda: Outcome("failed", duration=-1), "duration"),
        (lambda: Answer(99), "status"),
        (lambda: Hang(seconds=-1), "seconds"),
        (lambda: Drip(-1), "seconds_per_byte"),
        (lambda: Truncate(2), "keep"),
    ],
)
def test_a_rule_that_cannot_be_meant_is_refused(make: Any, named: str) -> None:
    with pytest.raises(ValueError, match=rf"\.{named} "):
        make()
