"""What the emulator makes of clips, and of clips of one account alone: playlists, stems, personas, generations."""

from __future__ import annotations

import asyncio
from typing import Any

import attrs
import pytest
from test_emulator_http import NOBODY, URL, Caller, emulated

from mountsea_async.testing import Behaviour, Emulator, Fault, Fixed, Outcome
from mountsea_async.testing.kinds import KINDS

INSTANT = Behaviour(durations=Fixed(0), training=Fixed(0), generation=Fixed(0))
ONE_ACCOUNT = {"statusCode": 400, "message": "All clips must belong to the same account", "error": "Bad Request"}


async def strangers(emulator: Emulator, caller: Caller) -> tuple[str, str]:
    """Two clips of separate uploads that landed on different accounts."""
    first = await caller.single_clip()
    while True:
        second = await caller.single_clip()
        if emulator.ledger.account_of(first) != emulator.ledger.account_of(second):
            return first, second


async def test_a_sessions_clips_make_a_playlist() -> None:
    async with emulated(INSTANT) as (_, caller):
        clip_ids = await caller.clips(4)
        first = await caller.made("playlist/create", clip_ids=clip_ids)
        second = await caller.made("playlist/create", clip_ids=clip_ids[:1], name="Mine")
        assert first["playlist_id"] != second["playlist_id"]


async def test_separate_uploads_on_different_accounts_make_none() -> None:
    async with emulated(INSTANT) as (emulator, caller):
        answered = await caller.post("playlist/create", clip_ids=await strangers(emulator, caller))
        assert (answered.status, answered.json) == (400, ONE_ACCOUNT)


async def test_a_clip_that_is_not_there_yet_or_never_is_unknown() -> None:
    async with emulated(attrs.evolve(INSTANT, durations=Fixed(10))) as (emulator, caller):
        await caller.upload()
        clip_id = emulator.ledger.charges[0].clip_id
        assert (await caller.post("playlist/create", clip_ids=[clip_id])).status == 404
        assert (await caller.post("playlist/create", clip_ids=[NOBODY])).status == 404
        assert emulator.ledger.account_of(str(clip_id)) is None
        await asyncio.sleep(11)
        assert (await caller.post("playlist/create", clip_ids=[clip_id])).status == 201
        assert emulator.ledger.account_of(str(clip_id)) == emulator.ledger.charges[0].account


@pytest.mark.parametrize("clip_ids", [[], ["a"] * 5, "a", [1], None])
async def test_a_playlist_takes_one_to_four_clips(clip_ids: object) -> None:
    async with emulated(INSTANT) as (_, caller):
        answered = await caller.post("playlist/create", clip_ids=clip_ids)
        assert (answered.status, answered.json["message"]) == (400, ["clip_ids must contain 1 to 4 strings"])


async def test_a_playlist_inspires_a_song_on_its_account() -> None:
    async with emulated(attrs.evolve(INSTANT, generation=Fixed(100))) as (emulator, caller):
        clip_ids = await caller.clips(4)
        playlist_id = (await caller.made("playlist/create", clip_ids=clip_ids))["playlist_id"]
        body = {"task": "inspiration", "model": "chirp-v55", "playlist_id": playlist_id, "title": "Rain"}
        task_id = (await caller.made("generate", **body))["taskId"]
        (generation,) = emulator.ledger.generations
        assert (await caller.post("playlist/create", clip_ids=generation.clip_ids)).status == 404
        seen = []
        for seconds in (11, 90):
            seen.append((await caller.task(task_id))["status"])
            await asyncio.sleep(seconds)
        task = await caller.task(task_id)
        assert (seen, task["status"]) == (["queued", "running"], "success")
        made = [clip["id"] for clip in task["data"]]
        assert len(set(made)) == 2
        assert [clip["title"] for clip in task["data"]] == ["Rain", "Rain"]
        ledger = emulator.ledger
        assert {ledger.account_of(clip_id) for clip_id in (*made, *clip_ids)} == {ledger.charges[0].account}
        assert (generation.task, generation.model, generation.task_id) == ("inspiration", "chirp-v55", task_id)
        assert (generation.clip_ids, generation.account) == (tuple(made), ledger.charges[0].account)
        assert ledger.clip_ids() == tuple(clip_ids)
        assert ledger.lost(clip_ids) == ()
        assert (ledger.summary()["generations"], ledger.summary()["trainings"]) == (1, 0)


async def test_generated_clips_can_be_gone_on_with_but_not_with_another_accounts() -> None:
    async with emulated(INSTANT) as (emulator, caller):
        first = await caller.task((await caller.made("generate", task="create", model="chirp-v55"))["taskId"])
        made = [clip["id"] for clip in first["data"]]
        await caller.made("playlist/create", clip_ids=made)
        stranger = await caller.single_clip()
        while emulator.ledger.account_of(stranger) == emulator.ledger.account_of(made[0]):
            stranger = await caller.single_clip()
        answered = await caller.post("generate", task="mashup", model="chirp-v55", mashup_clip_ids=[made[0], stranger])
        assert (answered.status, answered.json) == (400, ONE_ACCOUNT)


async def full(caller: Caller) -> dict[str, Any]:
    """Every field that a kind may require, of one account."""
    clip_ids = await caller.clips(2)
    playlist_id = (await caller.made("playlist/create", clip_ids=clip_ids))["playlist_id"]
    part = {"start_s": 10, "end_s": 30.5}
    return {
        "model": "chirp-v55",
        "clip_id": clip_ids[0],
        "audio_url": URL,
        "range": part,
        "infill_context_range": part,
        "continued_aligned_prompt": "la",
        "playlist_id": playlist_id,
        "mashup_clip_ids": clip_ids,
        "sound": {"description": "rain", "bpm": 90},
    }


@pytest.mark.parametrize("kind", KINDS)
async def test_each_kind_of_generation_asks_for_what_it_requires_and_no_more(kind: str) -> None:
    async with emulated(INSTANT) as (emulator, caller):
        every = await full(caller)
        required = {name: every[name] for name in KINDS[kind].required}
        for name in required:
            lacking = {field: value for field, value in required.items() if field != name}
            answered = await caller.post("generate", task=kind, **lacking)
            assert (answered.status, answered.json["message"]) == (400, [f"{name} should not be empty for task {kind}"])
        assert emulator.ledger.generations == ()
        task = await caller.task((await caller.made("generate", task=kind, **required))["taskId"])
        assert len(task["data"]) == 2


async def test_a_field_that_a_kind_does_not_know_is_ignored_and_one_that_none_knows_refused() -> None:
    async with emulated(INSTANT) as (_, caller):
        assert (await caller.post("generate", task="create", model="chirp-v55", clip_id=NOBODY)).status == 201
        answered = await caller.post("generate", task="create", model="chirp-v55", clipId=NOBODY)
        assert (answered.status, answered.json["message"]) == (400, ["property clipId should not exist"])


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"task": "remix"}, "task"),
        ({"task": None}, "task"),
        ({"model": "chirp-v99"}, "model"),
        ({"model": "chirp-custom:1"}, "model"),
        ({"make_instrumental": "yes"}, "make_instrumental"),
        ({"vocal_gender": "x"}, "vocal_gender"),
        ({"controls": {"style_weight": "much"}}, "controls"),
        ({"controls": {"weight": 1}}, "controls"),
        ({"persona": {}}, "persona"),
        ({"range": {"start_s": 1}}, "range"),
        ({"continue_at": -1}, "continue_at"),
        ({"title": 7}, "title"),
        ({"audio_url": "a.mp3"}, "audio_url"),
    ],
)
async def test_a_wrong_field_of_generate_is_refused_by_name(wrong: dict[str, object], named: str) -> None:
    async with emulated(INSTANT) as (emulator, caller):
        answered = await caller.post("generate", **{"task": "create", "model": "chirp-v55", **wrong})
        (message,) = answered.json["message"]
        assert (answered.status, message.split()[0]) == (400, named)
        assert emulator.ledger.spent == 0


async def test_a_custom_model_sings_once_it_is_trained_and_on_its_own_account() -> None:
    async with emulated(attrs.evolve(INSTANT, training=Fixed(100))) as (emulator, caller):
        session_id = await caller.prepare_model()
        clip_ids = await caller.model_clips(session_id)
        await caller.made("customModel/create", sessionId=session_id, clipIds=clip_ids, name="a")
        model = emulator.ledger.trainings[0].model
        assert (await caller.post("generate", task="create", model=model)).status == 404
        await asyncio.sleep(101)
        assert (await caller.post("generate", task="create", model=model)).status == 201
        assert (await caller.post("generate", task="create", model=f"chirp-custom:{NOBODY}")).status == 404
        assert [made.account for made in emulator.ledger.generations] == [emulator.ledger.charges[0].account]


@pytest.mark.parametrize(
    "given",
    [
        {"task": "extend", "clip_id": NOBODY},
        {"task": "inspiration", "playlist_id": NOBODY},
        {"task": "mashup", "mashup_clip_ids": [NOBODY, NOBODY]},
        {"task": "create", "persona": {"persona_id": NOBODY}},
    ],
)
async def test_what_is_not_there_cannot_be_made_a_song_of(given: dict[str, object]) -> None:
    async with emulated(INSTANT) as (emulator, caller):
        answered = await caller.post("generate", model="chirp-v55", **given)
        assert answered.status == 404
        assert "not found" in answered.json["message"]
        assert emulator.ledger.spent == 0


async def test_the_deprecated_inspiration_by_clips_goes_by_their_account_too() -> None:
    async with emulated(INSTANT) as (emulator, caller):
        body = {"task": "inspiration", "model": "chirp-v55", "playlist_id": "inspiration"}
        assert (await caller.post("generate", **body)).status == 400
        assert (await caller.post("generate", **body, playlist_clip_ids=await caller.clips(3))).status == 201
        answered = await caller.post("generate", **body, playlist_clip_ids=await strangers(emulator, caller))
        assert (answered.status, answered.json) == (400, ONE_ACCOUNT)


@pytest.mark.parametrize(("ends", "word"), [("failed", "failed"), ("timeout", "timeout"), ("blank", "success")])
async def test_a_generation_can_be_told_how_to_end(ends: Any, word: str) -> None:
    async with emulated(INSTANT) as (emulator, caller):
        emulator.add_fault(Fault(Outcome(ends), on="generate"))
        task = await caller.task((await caller.made("generate", task="create", model="chirp-v55"))["taskId"])
        assert (task["status"], task.get("data")) == (word, None)
        assert emulator.ledger.generations[0].clip_ids == ()


async def test_a_rule_by_url_finds_the_generation_that_names_it() -> None:
    async with emulated(INSTANT) as (emulator, caller):
        emulator.add_fault(Fault(Outcome("failed"), on="generate", url="*/b.mp3"))
        body = {"task": "upload_cover", "model": "chirp-v55"}
        for name in ("a", "b"):
            await caller.made("generate", **body, audio_url=f"https://example.com/{name}.mp3")
        assert [made.ends for made in emulator.ledger.generations] == ["success", "failed"]


async def test_a_stem_is_cut_where_it_is_asked_for() -> None:
    async with emulated(INSTANT) as (_, caller):
        (clip_id,) = await caller.clips(1)
        usual = await caller.made("getVoxStem", clip_id=clip_id)
        own = await caller.made("getVoxStem", clip_id=clip_id, vocal_start_s=0, vocal_end_s=12.5)
        assert (usual["source_clip_id"], usual["vocal_start_s"], usual["vocal_end_s"]) == (clip_id, 45, 74)
        assert (own["vocal_start_s"], own["vocal_end_s"]) == (0, 12.5)
        assert (await caller.post("getVoxStem", clip_id=NOBODY)).status == 404


async def test_a_vocal_persona_needs_a_stem_of_its_clips_account() -> None:
    async with emulated(INSTANT) as (emulator, caller):
        clip_id, other = await strangers(emulator, caller)
        stems = [(await caller.made("getVoxStem", clip_id=clip))["id"] for clip in (clip_id, other)]
        body = {"clip_id": clip_id, "name": "Me", "is_public": False, "persona_type": "vox"}
        assert (await caller.post("persona", **body)).status == 400
        assert (await caller.post("persona", **body, vox_audio_id=NOBODY)).status == 404
        assert (await caller.post("persona", **body, vox_audio_id=stems[1])).json == ONE_ACCOUNT
        persona = await caller.made("persona", **body, vox_audio_id=stems[0])
        assert (persona["name"], persona["is_public"], persona["root_clip_id"]) == ("Me", False, clip_id)


async def test_a_persona_sings_on_its_account_and_with_no_others_clip() -> None:
    async with emulated(INSTANT) as (emulator, caller):
        clip_id, other = await strangers(emulator, caller)
        persona_id = (await caller.made("persona", clip_id=clip_id, name="Me", is_public=True))["id"]
        persona = {"persona_id": persona_id, "artist_clip_id": clip_id}
        await caller.made("generate", task="create", model="chirp-v55", persona=persona)
        assert emulator.ledger.generations[0].account == emulator.ledger.account_of(clip_id)
        foreign = {"persona_id": persona_id, "artist_clip_id": other}
        for given in ({"task": "cover", "clip_id": other, "persona": persona}, {"task": "create", "persona": foreign}):
            answered = await caller.post("generate", model="chirp-v55", **given)
            assert (answered.status, answered.json) == (400, ONE_ACCOUNT)


async def test_a_lost_account_makes_nothing_and_what_it_was_making_ends_failed() -> None:
    async with emulated(attrs.evolve(INSTANT, generation=Fixed(100))) as (emulator, caller):
        session_id = await caller.prepare()
        await caller.submit(session_id)
        (clip_id,) = await caller.audio_ids(session_id)
        body = {"task": "extend", "model": "chirp-v55", "clip_id": clip_id}
        task_id = (await caller.made("generate", **body))["taskId"]
        emulator.lose_account(session_id)
        assert (await caller.task(task_id))["status"] == "failed"
        asked = [("generate", body), ("playlist/create", {"clip_ids": [clip_id]}), ("getVoxStem", {"clip_id": clip_id})]
        assert {(await caller.post(path, **given)).status for path, given in asked} == {503}


async def test_the_schema_tells_every_kind_or_one() -> None:
    async with emulated(INSTANT) as (_, caller):
        path = "/suno/v2/generate/schema"
        every = (await caller.ask("GET", path)).json
        assert [entry["task"] for entry in every] == list(KINDS)
        assert (await caller.ask("GET", path, params={"task": "mashup"})).json == [
            entry for entry in every if entry["task"] == "mashup"
        ]
        for entry in every:
            told = [field["field"] for part in ("required", "optional") for field in entry[part]]
            assert not set(told) & set(entry["notAllowed"])
            assert set(entry["example"]) == {"task", *(field["field"] for field in entry["required"])}
        for params in ({"task": "remix"}, {"task": ""}, [("task", "create"), ("task", "cover")]):
            assert (await caller.ask("GET", path, params=params)).status == 400
