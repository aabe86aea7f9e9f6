"""The emulated service: the contract's facts, its settings, its ledger, starting and stopping."""

from __future__ import annotations

import asyncio
import json
import random
import socket
import subprocess
import sys
import threading
import urllib.request
from uuid import UUID

import pytest
from test_emulator_http import ITEM, NOBODY, URL, calling, emulated, until

from mountsea_async.testing import (
    Answer,
    Behaviour,
    Cut,
    Emulator,
    Fault,
    Fixed,
    LogNormal,
    Outcome,
    RateLimit,
    Uniform,
)

INSTANT = Behaviour(durations=Fixed(0))


async def test_a_session_is_done_at_once_with_no_clips() -> None:
    async with emulated(INSTANT) as (_, caller):
        session_id = await caller.prepare()
        assert UUID(session_id).version == 4
        task = await caller.task(session_id)
        assert (task["status"], task["data"]) == ("success", {"audioIds": []})
        assert task["createdAt"].startswith("2026-11-01T08:00:0")


async def test_an_item_goes_from_queued_over_running_to_its_clip() -> None:
    async with emulated(Behaviour(durations=Fixed(3600), parallel=1)) as (emulator, caller):
        session_id = await caller.prepare()
        emulator.add_fault(Fault(Outcome("success", duration=0.05), nth=1))
        tasks = [await caller.submit(session_id) for _ in range(3)]

        async def first_done() -> bool:
            return (await caller.task(tasks[0]))["status"] == "success"

        await until(first_done)
        done, running, queued = [await caller.task(task_id) for task_id in tasks]
        assert (running["status"], queued["status"]) == ("running", "queued")
        clip_id = done["data"]["id"]
        assert done["data"] == {
            "id": clip_id,
            "status": "complete",
            "audio_url": f"https://cdn1.suno.ai/{clip_id}.mp3",
            "image_url": f"https://cdn2.suno.ai/image_{clip_id}.jpeg",
            "has_vocal": True,
            "display_tags": "indie pop, electronic pop, male vocals",
        }
        assert done["createdAt"] < done["finishAt"]
        assert "data" not in running
        assert "finishAt" not in running
        assert await caller.audio_ids(session_id) == [clip_id]


async def test_the_lock_is_the_accounts_not_the_sessions() -> None:
    async with emulated(Behaviour(durations=Fixed(3600), parallel=1, accounts=1)) as (_, caller):
        first, second = await caller.prepare(), await caller.prepare()
        tasks = [await caller.submit(first), await caller.submit(second)]
        assert [(await caller.task(task_id))["status"] for task_id in tasks] == ["running", "queued"]


async def test_without_a_bound_everything_runs_at_once() -> None:
    async with emulated(Behaviour(durations=Fixed(3600))) as (_, caller):
        session_id = await caller.prepare()
        tasks = [await caller.submit(session_id) for _ in range(5)]
        assert {(await caller.task(task_id))["status"] for task_id in tasks} == {"running"}


async def test_audio_ids_come_in_order_of_completion() -> None:
    async with emulated(INSTANT) as (emulator, caller):
        session_id = await caller.prepare()
        emulator.add_fault(Fault(Outcome("success", duration=0.1), nth=1))
        emulator.add_fault(Fault(Outcome("failed"), nth=2))
        for _ in range(4):
            await caller.submit(session_id)
        clips = [charge.clip_id for charge in emulator.ledger.charges]

        async def all_landed() -> bool:
            return len(await caller.audio_ids(session_id)) == 3

        await until(all_landed)
        assert await caller.audio_ids(session_id) == [clips[2], clips[3], clips[0]]


async def test_a_session_keeps_to_its_account_and_single_uploads_do_not() -> None:
    async with emulated(INSTANT) as (emulator, caller):
        session_id = await caller.prepare()
        for _ in range(16):
            await caller.submit(session_id)
        assert len({charge.account for charge in emulator.ledger.charges}) == 1
        for _ in range(16):
            assert (await caller.upload()).status == 201
        assert len({charge.account for charge in emulator.ledger.charges[16:]}) > 1
        assert {charge.session_id for charge in emulator.ledger.charges} == {session_id, None}


async def test_an_id_may_reach_the_session_later_than_its_task() -> None:
    async with emulated(Behaviour(durations=Fixed(0), append_lag=3600)) as (emulator, caller):
        session_id = await caller.prepare()
        task = await caller.task(await caller.submit(session_id))
        assert task["status"] == "success"
        assert await caller.audio_ids(session_id) == []
        assert emulator.ledger.clip_ids() == (task["data"]["id"],)


async def test_the_older_words_in_upper_case_under_the_other_name() -> None:
    behaviour = Behaviour(durations=Fixed(3600), parallel=1, vocabulary="older", upper_case=True, result_field="result")
    async with emulated(behaviour) as (_, caller):
        session_id = await caller.prepare()
        tasks = [await caller.submit(session_id) for _ in range(2)]
        assert [(await caller.task(task_id))["status"] for task_id in tasks] == ["RUNNING", "READY"]
        session = await caller.task(session_id)
        assert (session["status"], session["result"]) == ("SUCCESS", {"audioIds": []})
        assert "data" not in session


@pytest.mark.parametrize(("form", "code"), [("number", 4001), ("token", "AUDIO_SOURCE_NOT_FOUND")])
async def test_a_failed_upload_says_why(form: str, code: object) -> None:
    behaviour = Behaviour(durations=Fixed(0), fail_share=1, fail_code=form)  # type: ignore[arg-type]
    async with emulated(behaviour) as (_, caller):
        task = await caller.task(await caller.submit(await caller.prepare()))
        assert task["status"] == "failed"
        assert (task["failCode"], task["failReason"]) == (code, "Audio source not found.")


async def test_shares_of_uploads_fail_and_time_out_and_may_land_late() -> None:
    behaviour = Behaviour(durations=Fixed(0), fail_share=0.3, timeout_share=0.3, late_after=0)
    async with emulated(behaviour) as (emulator, caller):
        session_id = await caller.prepare()
        for _ in range(60):
            await caller.submit(session_id)
        assert {charge.ends for charge in emulator.ledger.charges} == {"success", "failed", "timeout"}
        assert set(await caller.audio_ids(session_id)) == {charge.clip_id for charge in emulator.ledger.charges}


async def test_credits_run_out_in_the_middle() -> None:
    async with emulated(Behaviour(durations=Fixed(0), credits=7, price=3)) as (emulator, caller):
        session_id = await caller.prepare()
        statuses = [(await caller.item(session_id)).status for _ in range(4)]
        assert statuses == [201, 201, 402, 402]
        assert (emulator.ledger.spent, len(emulator.ledger.charges)) == (6, 2)
        assert (await caller.upload()).json["message"] == "Insufficient credits"


async def test_a_seed_reproduces_ids_and_ends() -> None:
    async def run(seed: int) -> list[tuple[object, ...]]:
        async with emulated(Behaviour(durations=Uniform(0, 1), fail_share=0.5, seed=seed)) as (emulator, caller):
            session_id = await caller.prepare()
            for _ in range(8):
                await caller.submit(session_id)
            return [(c.session_id, c.account, c.task_id, c.clip_id, c.ends) for c in emulator.ledger.charges]

    assert await run(1) == await run(1)
    assert await run(1) != await run(2)


async def test_the_ledger_keeps_each_request_without_the_key() -> None:
    async with emulated(INSTANT) as (emulator, caller):
        session_id = await caller.prepare()
        task_id = await caller.submit(session_id)
        await caller.status(task_id)
        prepare, item, status = emulator.ledger.calls
        assert (prepare.endpoint, prepare.status, prepare.task_id) == ("prepare", 201, session_id)
        assert (item.endpoint, item.method, item.path) == ("item", "POST", ITEM)
        assert json.loads(item.body) == {"sessionId": session_id, "audioUrl": URL}
        assert (item.audio_url, item.task_id, item.authorized) == (URL, task_id, True)
        assert (status.query, status.task_id, status.audio_url) == ({"taskId": task_id}, task_id, URL)
        assert item.at <= status.at
        assert "user-agent" in item.headers
        assert emulator.api_key not in repr(emulator.ledger.calls)


async def test_the_ledger_tells_what_was_paid_twice() -> None:
    async with emulated(INSTANT) as (emulator, caller):
        session_id = await caller.prepare()
        emulator.add_fault(Fault(Answer(500, after_work=True), url="*/twice", times=1))
        emulator.add_fault(Fault(Answer(503), url="*/refused", times=1))
        for url in ("https://h/once", "https://h/twice", "https://h/twice", "https://h/refused", "https://h/refused"):
            await caller.item(session_id, url)
        ledger = emulator.ledger
        assert ledger.paid_twice() == {"https://h/twice": 2}
        assert (ledger.posts("https://h/refused"), ledger.charged("https://h/refused")) == (2, 1)
        assert (ledger.posts("https://h/never"), ledger.charged("https://h/never")) == (0, 0)


async def test_the_ledger_tells_what_was_lost() -> None:
    async with emulated(INSTANT) as (emulator, caller):
        session_id = await caller.prepare()
        for number, ends in enumerate(("success", "failed", "blank", "late"), 1):
            emulator.add_fault(Fault(Outcome(ends, late_after=3600), nth=number))
            await caller.submit(session_id)
        clips = [charge.clip_id for charge in emulator.ledger.charges]
        assert emulator.ledger.clip_ids() == (clips[0], clips[2])
        assert emulator.ledger.lost([str(clips[0]), "other"]) == (clips[2],)
        assert emulator.ledger.lost(await caller.audio_ids(session_id)) == ()


async def test_the_ledger_counts_with_and_without_keeping_calls() -> None:
    async with emulated(INSTANT, keep_calls=False) as (emulator, caller):
        session_id = await caller.prepare()
        await caller.submit(session_id)
        await caller.item(NOBODY)
        for _ in range(3):
            await caller.status(session_id)
        ledger = emulator.ledger
        assert ledger.calls == ()
        assert ledger.counts == {("prepare", 201): 1, ("item", 201): 1, ("item", 404): 1, ("status", 200): 3}
        assert (ledger.requests(), ledger.requests("item"), ledger.requests("upload")) == (6, 2, 0)
        assert (ledger.polls_of(session_id), ledger.polls_of("x")) == (3, 0)
        assert ledger.sessions == (session_id,)
        assert (ledger.peak_connections, ledger.open_connections, ledger.peak_in_flight) == (1, 1, 1)
        summary = json.loads(json.dumps(ledger.summary()))
        assert (summary["charges"], summary["ends"], summary["answers"]["item 404"]) == (1, {"success": 1}, 1)


async def test_latency_delays_the_answer_and_not_the_work() -> None:
    async with Emulator(Behaviour(latency=3600)) as emulator, calling(emulator) as caller:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await caller.upload()
        assert emulator.ledger.charged(URL) == 1
    assert emulator.ledger.in_flight == 0


async def test_an_emulator_left_and_entered_again_keeps_its_memory_and_address() -> None:
    emulator = Emulator(INSTANT)
    async with emulator, calling(emulator) as caller:
        task_id = await caller.submit(await caller.prepare())
        address = emulator.base_url
    async with emulator, calling(emulator) as caller:
        assert emulator.base_url == address
        assert (await caller.task(task_id))["status"] == "success"
        with pytest.raises(RuntimeError, match="running already"):
            await emulator.__aenter__()


def ask(emulator: Emulator, path: str, body: object = None) -> object:
    """Ask without any loop."""
    headers = {"Authorization": f"Bearer {emulator.api_key}", "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(emulator.base_url + path, data, headers)  # noqa: S310 - loopback
    with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310 - loopback
        return json.load(response)


def test_an_emulator_in_a_thread_serves_synchronous_callers() -> None:
    before = threading.active_count()
    with Emulator(INSTANT).in_thread() as emulator:
        answer = ask(emulator, "/suno/v2/upload", {"audioUrl": URL})
        assert answer == {"taskId": emulator.ledger.charges[0].task_id}
        emulator.add_fault(Fault(Cut(), on="status"))
        with pytest.raises(OSError, match=r"reset|disconnected|closed"):
            ask(emulator, "/suno/v2/status?taskId=x")
    assert threading.active_count() == before
    assert emulator.ledger.clip_ids() == (emulator.ledger.charges[0].clip_id,)


def test_an_error_of_starting_reaches_the_caller_of_the_thread() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        runner = Emulator(port=taken.getsockname()[1]).in_thread()
        with pytest.raises(OSError, match="address"), runner:
            pass
    with pytest.raises(RuntimeError, match="used already"), runner:
        pass


def test_importing_the_package_alone_is_cheap() -> None:
    code = (
        "import sys, mountsea_async.testing as t; assert 'Emulator' in dir(t)\n"
        "heavy = {'aiohttp', 'attrs', 'attr', 'asyncio'} & set(sys.modules)\n"
        "raise SystemExit(repr(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"durations": 3}, "durations"),
        ({"training": 3}, "training"),
        ({"generation": None}, "generation"),
        ({"phrase_seconds": -1}, "phrase_seconds"),
        ({"train_price": 0.5}, "train_price"),
        ({"generate_price": -1}, "generate_price"),
        ({"parallel": 0}, "parallel"),
        ({"parallel": True}, "parallel"),
        ({"latency": -0.1}, "latency"),
        ({"latency": float("nan")}, "latency"),
        ({"fail_share": 1.5}, "fail_share"),
        ({"timeout_share": -1}, "timeout_share"),
        ({"fail_share": 0.6, "timeout_share": 0.6}, "timeout_share"),
        ({"late_after": -1}, "late_after"),
        ({"append_lag": "1"}, "append_lag"),
        ({"vocabulary": "new"}, "vocabulary"),
        ({"upper_case": 1}, "upper_case"),
        ({"result_field": "value"}, "result_field"),
        ({"fail_code": "word"}, "fail_code"),
        ({"message": "dict"}, "message"),
        ({"rate_limit": 5}, "rate_limit"),
        ({"credits": -1}, "credits"),
        ({"price": 0.5}, "price"),
        ({"accounts": 0}, "accounts"),
        ({"seed": "x"}, "seed"),
        ({"faults": [Fault(Cut())]}, "faults"),
    ],
)
def test_a_setting_out_of_range_is_refused_by_name_and_value(fields: dict[str, object], named: str) -> None:
    with pytest.raises(ValueError, match=rf"Behaviour\.{named} must be .+ got "):
        Behaviour(**fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "given", "named"),
    [
        (Fixed, (-1,), "seconds"),
        (Uniform, (2, 1), "high"),
        (LogNormal, (0, 1), "median"),
        (LogNormal, (1, -1), "sigma"),
        (RateLimit, (0,), "rate"),
        (RateLimit, (1, 0), "burst"),
        (RateLimit, (1, 1, "minutes"), "retry_after"),
    ],
)
def test_a_distribution_out_of_range_is_refused(kind: type, given: tuple[object, ...], named: str) -> None:
    with pytest.raises(ValueError, match=rf"{kind.__name__}\.{named} must be "):
        kind(*given)


def test_distributions_draw_what_they_say() -> None:
    rng = random.Random(1)  # noqa: S311 - a test
    assert Fixed(2).draw(rng) == 2
    assert all(1 <= Uniform(1, 2).draw(rng) <= 2 for _ in range(100))
    drawn = sorted(LogNormal(10, 0.5).draw(rng) for _ in range(999))
    assert 9 < drawn[499] < 11
