"""The emulator's custom models: their sessions, what their uploads count as, and create."""

from __future__ import annotations

import asyncio
import re

import attrs
import pytest
from test_emulator_http import ITEM, NOBODY, URL, emulated

from mountsea_async.testing import Answer, Behaviour, Fault, Fixed, LoseAccount, Outcome, Uniform

INSTANT = Behaviour(durations=Fixed(0), training=Fixed(0), generation=Fixed(0))
MODEL = re.compile(r"chirp-custom:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
CREATE, UPLOAD = "customModel/create", "customModel/upload"


@pytest.mark.parametrize(("upper_case", "word"), [(False, "ready"), (True, "READY")])
async def test_a_models_session_is_ready_without_data_until_create(upper_case: bool, word: str) -> None:
    async with emulated(attrs.evolve(INSTANT, upper_case=upper_case)) as (_, caller):
        session_id = await caller.prepare_model()
        await caller.model_clips(session_id)
        task = await caller.task(session_id)
        assert set(task) == {"taskId", "status", "createdAt"}
        assert (task["taskId"], task["status"]) == (session_id, word)


async def test_create_goes_from_queued_over_running_to_a_model_in_the_sessions_own_task() -> None:
    async with emulated(attrs.evolve(INSTANT, training=Fixed(100))) as (emulator, caller):
        session_id = await caller.prepare_model()
        clip_ids = await caller.model_clips(session_id)
        prepared = (await caller.task(session_id))["createdAt"]
        await asyncio.sleep(60)
        answer = await caller.made(CREATE, sessionId=session_id, clipIds=clip_ids, name="v6Pro")
        assert answer == {"taskId": session_id}
        seen = []
        for seconds in (11, 45, 45):
            seen.append((await caller.task(session_id))["status"])
            await asyncio.sleep(seconds)
        task = await caller.task(session_id)
        assert (seen, task["status"]) == (["queued", "running", "running"], "success")
        assert MODEL.fullmatch(task["data"]["model"])
        assert (task["data"]["name"], task["createdAt"]) == ("v6Pro", prepared)
        (training,) = emulator.ledger.trainings
        assert training.at > emulator.ledger.charges[-1].at + 59
        assert (training.session_id, training.name, training.ends) == (session_id, "v6Pro", "success")
        assert (training.model, training.clip_ids) == (task["data"]["model"], tuple(clip_ids))


async def test_the_two_sorts_of_sessions_do_not_take_each_others_uploads() -> None:
    async with emulated(INSTANT) as (emulator, caller):
        batch, model = await caller.prepare(), await caller.prepare_model()
        assert (await caller.post(UPLOAD, sessionId=batch, audioUrl=URL)).status == 404
        assert (await caller.ask("POST", ITEM, json={"sessionId": model, "audioUrl": URL})).status == 404
        clip_ids = await caller.clips(6)
        assert (await caller.post(CREATE, sessionId=batch, clipIds=clip_ids, name="a")).status == 404
        assert (await caller.post(UPLOAD, sessionId=NOBODY, audioUrl=URL)).status == 404
        assert emulator.ledger.charged(URL) == 0
        assert emulator.ledger.sessions[:2] == (batch, model)


async def test_uploads_to_a_model_are_charged_and_counted_as_any() -> None:
    async with emulated(attrs.evolve(INSTANT, price=3)) as (emulator, caller):
        session_id = await caller.prepare_model()
        for _ in range(2):
            await caller.made(UPLOAD, sessionId=session_id, audioUrl=URL)
        ledger = emulator.ledger
        assert (ledger.posts(URL), ledger.charged(URL), ledger.paid_twice(), ledger.spent) == (2, 2, {URL: 2}, 6)
        assert {charge.session_id for charge in ledger.charges} == {session_id}
        assert {charge.account.startswith("model-account-") for charge in ledger.charges} == {True}
        assert ledger.clip_ids() == tuple(charge.clip_id for charge in ledger.charges)
        assert ledger.lost(ledger.clip_ids()[:1]) == ledger.clip_ids()[1:]
        assert ledger.account_of(ledger.clip_ids()[0]) == ledger.charges[0].account


async def test_a_clip_that_its_task_never_shows_is_not_counted_because_nothing_lists_it() -> None:
    async with emulated(attrs.evolve(INSTANT, late_after=0)) as (emulator, caller):
        session_id = await caller.prepare_model()
        statuses = []
        for number, ends in enumerate(("blank", "late", "success"), 1):
            emulator.add_fault(Fault(Outcome(ends), on="model_upload", nth=number))
            answer = await caller.made(UPLOAD, sessionId=session_id, audioUrl=f"{URL}?{ends}")
            statuses.append((await caller.task(answer["taskId"]))["status"])
        assert statuses == ["success", "timeout", "success"]
        shown = [charge.clip_id for charge in emulator.ledger.charges]
        assert shown[:2] == [None, None]
        assert emulator.ledger.clip_ids() == (shown[2],)


@pytest.mark.parametrize("few", ["five", "repeated", "another session's", "unknown", "still running", "a batch's"])
async def test_create_needs_six_different_clips_that_landed_in_its_session(few: str) -> None:
    async with emulated(INSTANT) as (emulator, caller):
        session_id = await caller.prepare_model()
        five = await caller.model_clips(session_id, 5)
        if few == "another session's":
            five += await caller.model_clips(await caller.prepare_model(), 1)
        elif few == "a batch's":
            five += await caller.clips(1)
        elif few == "still running":
            emulator.add_fault(Fault(Outcome("success", duration=3600), on="model_upload"))
            await caller.made(UPLOAD, sessionId=session_id, audioUrl=URL)
            five.append(str(emulator.ledger.charges[-1].clip_id))
        elif few != "five":
            five.append({"repeated": five[0], "unknown": NOBODY}[few])
        spent = emulator.ledger.spent
        assert (await caller.post(CREATE, sessionId=session_id, clipIds=five, name="a")).status == 400
        assert (emulator.ledger.spent, emulator.ledger.trainings) == (spent, ())
        assert (await caller.task(session_id))["status"] == "ready"


async def test_create_is_charged_as_often_as_it_is_asked_for() -> None:
    async with emulated(attrs.evolve(INSTANT, price=0)) as (emulator, caller):
        session_id = await caller.prepare_model()
        clip_ids = await caller.model_clips(session_id)
        emulator.add_fault(Fault(Answer(502, after_work=True), on="model_create", nth=1))
        statuses = [
            (await caller.post(CREATE, sessionId=session_id, clipIds=clip_ids, name="a")).status for _ in range(2)
        ]
        assert statuses == [502, 201]
        assert (emulator.ledger.spent, len(emulator.ledger.trainings)) == (200, 2)
        assert (await caller.task(session_id))["data"]["model"] == emulator.ledger.trainings[-1].model


@pytest.mark.parametrize("ends", ["failed", "timeout"])
async def test_a_create_that_failed_may_be_repeated_on_the_same_session(ends: str) -> None:
    async with emulated(INSTANT) as (emulator, caller):
        session_id = await caller.prepare_model()
        clip_ids = await caller.model_clips(session_id)
        emulator.add_fault(Fault(Outcome(ends, fail_reason="no"), on="model_create", nth=1))  # type: ignore[arg-type]
        await caller.made(CREATE, sessionId=session_id, clipIds=clip_ids, name="a")
        task = await caller.task(session_id)
        assert (task["status"], task["failReason"], task.get("data")) == (ends, "no", None)
        await caller.made(CREATE, sessionId=session_id, clipIds=clip_ids, name="a")
        assert (await caller.task(session_id))["status"] == "success"
        assert [training.ends for training in emulator.ledger.trainings] == [ends, "success"]
        assert [training.model is None for training in emulator.ledger.trainings] == [True, False]


async def test_a_failed_upload_may_be_repeated_on_the_same_session() -> None:
    async with emulated(INSTANT) as (emulator, caller):
        session_id = await caller.prepare_model()
        emulator.add_fault(Fault(Outcome("failed"), on="model_upload", url="*/a.mp3", times=1))
        tasks = [await caller.made(UPLOAD, sessionId=session_id, audioUrl=URL) for _ in range(2)]
        assert [(await caller.task(task["taskId"]))["status"] for task in tasks] == ["failed", "success"]


async def test_a_lost_account_takes_nothing_and_its_training_ends_failed() -> None:
    async with emulated(attrs.evolve(INSTANT, training=Fixed(100))) as (emulator, caller):
        session_id = await caller.prepare_model()
        clip_ids = await caller.model_clips(session_id)
        await caller.made(CREATE, sessionId=session_id, clipIds=clip_ids, name="a")
        emulator.add_fault(Fault(LoseAccount(), on="model_upload"))
        assert (await caller.post(UPLOAD, sessionId=session_id, audioUrl=URL)).status == 503
        assert (await caller.post(CREATE, sessionId=session_id, clipIds=clip_ids, name="a")).status == 503
        task = await caller.task(session_id)
        assert (task["status"], task["failReason"]) == ("failed", "Account unavailable.")
        assert len(emulator.ledger.trainings) == 1


async def test_with_every_dedicated_account_lost_nothing_is_prepared_while_ordinary_ones_work() -> None:
    async with emulated(attrs.evolve(INSTANT, accounts=1)) as (emulator, caller):
        emulator.lose_account(await caller.prepare_model())
        assert (await caller.ask("POST", "/suno/v2/customModel/prepare")).status == 503
        assert await caller.clips(1)


async def test_an_account_without_order_takes_its_turns_for_models_too() -> None:
    behaviour = attrs.evolve(INSTANT, durations=Fixed(10), parallel=1, order="random")
    async with emulated(behaviour) as (emulator, caller):
        session_id = await caller.prepare_model()
        tasks = [await caller.made(UPLOAD, sessionId=session_id, audioUrl=f"{URL}?{n}") for n in range(6)]
        words = [(await caller.task(task["taskId"]))["status"] for task in tasks]
        assert words == ["running"] + ["queued"] * 5
        await asyncio.sleep(61)
        assert len(emulator.ledger.clip_ids()) == 6
        await caller.made(CREATE, sessionId=session_id, clipIds=list(emulator.ledger.clip_ids()), name="a")


async def test_uploads_of_a_batch_are_the_same_under_a_seed_with_and_without_the_rest() -> None:
    behaviour = Behaviour(durations=Uniform(0, 1), training=Fixed(0), generation=Uniform(0, 1), fail_share=0.3)
    runs = []
    for beside in (False, True):
        async with emulated(behaviour) as (emulator, caller):
            session_id = await caller.prepare()
            for number in range(8):
                await caller.submit(session_id, f"{URL}?{number}")
                if beside:
                    model = await caller.prepare_model()
                    await caller.made(UPLOAD, sessionId=model, audioUrl=URL)
                    await caller.made("generate", task="create", model="chirp-v55")
                    await caller.made("voicePersona/init", voice_audio_url=URL, language="en")
            charges = [charge for charge in emulator.ledger.charges if charge.session_id == session_id]
            runs.append([(charge.account, charge.task_id, charge.clip_id, charge.ends) for charge in charges])
    assert runs[0] == runs[1]
