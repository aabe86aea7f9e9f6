"""The emulator's voice personas: a phrase, half a minute to speak it, and what becomes of it."""

from __future__ import annotations

import asyncio
from typing import Any

import attrs
import pytest
from test_emulator_http import NOBODY, URL, Caller, emulated

from mountsea_async.testing import Behaviour, Fault, Fixed, Outcome

BEHAVIOUR = Behaviour(durations=Fixed(0), generation=Fixed(10))
INIT, COMPLETE = "voicePersona/init", "voicePersona/complete"


async def begin(caller: Caller, **more: object) -> str:
    return str((await caller.made(INIT, voice_audio_url=URL, language="en", **more))["taskId"])


async def speak(caller: Caller, task_id: str) -> int:
    return (await caller.post(COMPLETE, taskId=task_id, verification_audio_url=URL, name="Me")).status


async def test_a_phrase_is_handed_over_and_spoken_in_time() -> None:
    async with emulated(BEHAVIOUR) as (emulator, caller):
        task_id = await begin(caller, vocal_start_s=3, vocal_end_s=21)
        seen = []
        for seconds in (2, 9, 29):
            seen.append((await caller.task(task_id))["status"])
            await asyncio.sleep(seconds)
        waiting = await caller.task(task_id)
        assert (seen, waiting["status"]) == (["queued", "running", "awaiting"], "failed")

        task_id = await begin(caller, vocal_start_s=3, vocal_end_s=21)
        await asyncio.sleep(39)
        waiting = await caller.task(task_id)
        assert (waiting["status"], "finishAt" in waiting) == ("awaiting", False)
        data = waiting["data"]
        assert data["phrase_text"]
        assert (data["vocal_start_s"], data["vocal_end_s"]) == (3, 21)
        assert len({data[name] for name in ("phrase_id", "vox_audio_id", "voice_recording_id")}) == 3
        assert await speak(caller, task_id) == 201
        assert (await caller.task(task_id))["status"] == "running"
        await asyncio.sleep(11)
        done = await caller.task(task_id)
        assert (done["status"], done["data"]["name"]) == ("success", "Me")
        persona = {"persona_id": done["data"]["id"]}
        await caller.made("generate", task="create", model="chirp-v55", persona=persona)
        assert emulator.ledger.requests("voice_complete") == 1


@pytest.mark.parametrize("phrase_seconds", [30.0, 2.5])
async def test_without_a_recording_in_time_it_fails_and_takes_none_any_more(phrase_seconds: float) -> None:
    async with emulated(attrs.evolve(BEHAVIOUR, phrase_seconds=phrase_seconds)) as (_, caller):
        task_id = await begin(caller)
        await asyncio.sleep(10 + phrase_seconds - 0.1)
        assert (await caller.task(task_id))["status"] == "awaiting"
        await asyncio.sleep(0.2)
        task = await caller.task(task_id)
        assert (task["status"], task["failCode"]) == ("failed", "VP_USER_TIMEOUT")
        assert "data" not in task
        assert await speak(caller, task_id) == 400
        assert (await caller.task(task_id))["failCode"] == "VP_USER_TIMEOUT"


async def test_a_recording_is_taken_once_and_only_when_it_is_awaited() -> None:
    async with emulated(BEHAVIOUR) as (_, caller):
        task_id = await begin(caller)
        assert await speak(caller, task_id) == 400
        await asyncio.sleep(11)
        assert [await speak(caller, task_id) for _ in range(2)] == [201, 400]
        upload = (await caller.upload()).json["taskId"]
        assert [await speak(caller, other) for other in (upload, NOBODY)] == [400, 404]


@pytest.mark.parametrize(("on", "seconds"), [("voice_init", 11), ("voice_complete", 22)])
@pytest.mark.parametrize("ends", ["failed", "timeout"])
async def test_either_half_can_be_told_to_fail(on: Any, seconds: float, ends: Any) -> None:
    async with emulated(BEHAVIOUR) as (emulator, caller):
        emulator.add_fault(Fault(Outcome(ends, fail_reason="no"), on=on, url="*/a.mp3"))
        task_id = await begin(caller)
        await asyncio.sleep(11)
        assert await speak(caller, task_id) == (201 if on == "voice_complete" else 400)
        await asyncio.sleep(seconds - 11)
        task = await caller.task(task_id)
        assert (task["status"], task["failReason"]) == (ends, "no")


async def test_a_recording_on_a_lost_account_is_taken_by_nobody() -> None:
    async with emulated(attrs.evolve(BEHAVIOUR, accounts=1)) as (emulator, caller):
        task_id = await begin(caller)
        await asyncio.sleep(11)
        emulator.lose_account(await caller.prepare())
        assert await speak(caller, task_id) == 503


async def test_the_settings_of_words_hold_for_a_voice_too() -> None:
    async with emulated(attrs.evolve(BEHAVIOUR, upper_case=True, result_field="result")) as (_, caller):
        task_id = await begin(caller)
        await asyncio.sleep(11)
        task = await caller.task(task_id)
        assert (task["status"], "phrase_text" in task["result"]) == ("AWAITING", True)
        await asyncio.sleep(30)
        task = await caller.task(task_id)
        assert (task["status"], task["failCode"], "result" in task) == ("FAILED", "VP_USER_TIMEOUT", False)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"language": "en"}, "voice_audio_url must be a URL address"),
        ({"voice_audio_url": URL, "language": "it"}, "language must be one of the following values: zh, en, ja, ko"),
        (
            {"voice_audio_url": URL, "language": "en", "vocal_start_s": -1},
            "vocal_start_s must be a number of at least 0",
        ),
        (
            {"voice_audio_url": URL, "language": "en", "vocal_end_s": 10**400},
            "vocal_end_s must be a number of at least 0",
        ),
        ({"voice_audio_url": URL, "language": "en", "name": "a"}, "property name should not exist"),
    ],
)
async def test_a_wrong_beginning_is_refused_by_name(given: dict[str, object], message: str) -> None:
    async with emulated(BEHAVIOUR) as (_, caller):
        answered = await caller.post(INIT, **given)
        assert answered.status == 400
        assert answered.json["message"][0].startswith(message)
