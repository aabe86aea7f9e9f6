"""What is made of clips: playlists, stems, personas, songs; and why that needs one account."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from support.names import KEY, urls

from mountsea_async import (
    AuthenticationError,
    BadRequestError,
    BatchReport,
    ClientStateError,
    Clip,
    DuplicateURLWarning,
    InputError,
    InsufficientCreditsError,
    MissingClipError,
    MountseaClient,
    MountseaError,
    NotFoundError,
    NotSentError,
    PersonaUse,
    Task,
    TaskFailedError,
    TaskHandle,
    TaskTimedOutError,
    UnknownOutcomeError,
    VoxStem,
    clips_of,
)
from mountsea_async.testing import Answer, Behaviour, Cut, Fault, Fixed, Hang, Outcome, unauthorized

QUICK = Behaviour(durations=Fixed(1), generation=Fixed(60))
NOBODY = "00000000-0000-4000-8000-000000000000"
WAY_OUT = r"must be on one account: those of one client\.upload_batch\(\.\.\.\)"
Call = Callable[[MountseaClient, tuple[str, ...]], Awaitable[Any]]


def broken(*faults: Fault) -> Behaviour:
    return Behaviour(durations=Fixed(1), generation=Fixed(60), faults=faults)


async def clips(w: Any, count: int = 4) -> tuple[str, ...]:
    report = await w.client.upload_batch(urls(count))
    return report.audio_ids


async def strangers(w: Any) -> tuple[str, str]:
    """Two clips of separate uploads that landed on different accounts."""
    first = (await w.client.upload(urls(1)[0])).id
    while True:
        second = (await w.client.upload(urls(1)[0])).id
        if w.ledger.account_of(first) != w.ledger.account_of(second):
            return first, second


def body(w: Any, endpoint: str) -> dict[str, Any]:
    """What was sent to an endpoint, once."""
    (call,) = [call for call in w.ledger.calls if call.endpoint == endpoint]
    return dict(json.loads(call.body))


# ------------------------------------------------------------------------------------- why clips share an account
async def _vocal_persona(client: MountseaClient, ids: tuple[str, ...]) -> Any:
    return await client.create_persona(ids[0], "Duet", vox=await client.vox_stem(ids[1]))


TOGETHER: dict[str, Call] = {
    "playlist": lambda client, ids: client.create_playlist(ids),
    "inspire": lambda client, ids: client.inspire(ids, "chirp-v55"),
    "mashup": lambda client, ids: client.generate("mashup", "chirp-v55", mashup_clip_ids=ids),
    "persona": _vocal_persona,
}


@pytest.mark.parametrize("call", TOGETHER.values(), ids=TOGETHER)
async def test_separate_uploads_are_refused_together_and_the_error_says_the_way_out(world, call: Call) -> None:
    w = await world(QUICK)
    with pytest.raises(BadRequestError, match=WAY_OUT):
        await call(w.client, await strangers(w))
    assert w.ledger.generations == ()


@pytest.mark.parametrize("call", TOGETHER.values(), ids=TOGETHER)
async def test_the_clips_of_a_batch_pass_where_separate_uploads_were_refused(world, call: Call) -> None:
    w = await world(QUICK)
    assert await call(w.client, await clips(w, 2))


async def test_files_that_were_refused_as_separate_uploads_inspire_a_song_as_a_batch(world) -> None:
    w = await world(QUICK)
    files = urls(2)
    separate = [await w.client.upload(files[0])]
    while len({w.ledger.account_of(clip.id) for clip in separate}) < 2:
        separate = [separate[0], await w.client.upload(files[1])]
    with pytest.raises(BadRequestError, match=WAY_OUT):
        await w.client.create_playlist([clip.id for clip in separate])
    report = await w.client.upload_batch(files)
    songs = clips_of(await (await w.client.inspire(report, "chirp-v55")).wait())
    assert {w.ledger.account_of(song.id) for song in songs} == {w.ledger.account_of(report.audio_ids[0])}
    more = await w.client.inspire([song.id for song in songs], "chirp-v55")  # they are clips like any other
    assert len(clips_of(await more.wait())) == 2


async def test_one_sessions_clips_make_a_playlist(world) -> None:
    w = await world(QUICK)
    async with w.client.upload_session() as session:
        ids = [(await session.upload(url)).id for url in urls(4)]
    playlist = await w.client.create_playlist(ids)
    handle = await w.client.generate("inspiration", "chirp-v55", playlist_id=playlist.id)
    assert {w.ledger.account_of(clip.id) for clip in clips_of(await handle.wait())} == {w.ledger.account_of(ids[0])}


@pytest.mark.parametrize("words", ["no", "<html>", '{"message": ["clip_ids: nope"]}'])
async def test_the_way_out_is_told_whatever_the_service_says(world, words: str) -> None:
    w = await world(broken(Fault(Answer(400, words), on="playlist")))
    with pytest.raises(BadRequestError, match=WAY_OUT) as caught:
        await w.client.create_playlist([NOBODY])
    assert caught.value.args == (caught.value.message,)
    assert w.ledger.requests("playlist") == 1


async def test_a_clip_that_nobody_knows_is_not_found(world) -> None:
    w = await world(QUICK)
    with pytest.raises(NotFoundError, match=WAY_OUT):
        await w.client.create_playlist([NOBODY])
    with pytest.raises(NotFoundError, match=WAY_OUT):
        await w.client.generate("inspiration", "chirp-v55", playlist_id=NOBODY)
    with pytest.raises(NotFoundError, match="Clip not found"):
        await w.client.vox_stem(NOBODY)
    with pytest.raises(NotFoundError, match="Clip not found"):
        await w.client.create_persona(NOBODY, "Nobody")
    assert w.ledger.generations == ()


# ------------------------------------------------------------------------------------------------------ playlists
@pytest.mark.parametrize("count", [1, 4])
async def test_one_to_four_clips_make_a_playlist(world, count: int) -> None:
    w = await world(QUICK)
    ids = await clips(w, count)
    playlist = await w.client.create_playlist(iter(ids), "Mine")
    assert (playlist.name, playlist.clip_ids) == ("Mine", ids)
    assert body(w, "playlist") == {"clip_ids": list(ids), "name": "Mine"}
    await w.client.generate("inspiration", "chirp-v55", playlist_id=playlist.id)


@pytest.mark.parametrize("effect", [Cut(), Cut(after_work=True), Answer(502), Answer(201, "{}"[:1])], ids=str)
async def test_a_playlist_costs_nothing_and_is_asked_for_until_there_is_one(world, effect: Any) -> None:
    w = await world(broken(Fault(effect, on="playlist", nth=1)))
    assert (await w.client.create_playlist(await clips(w))).id
    assert w.ledger.requests("playlist") == 2


BAD_CLIPS: dict[str, tuple[Any, str]] = {
    "five": (list("abcde"), "clip_ids has 5 clips: 1 to 4 are needed, all of one account"),
    "none": ([], "clip_ids has 0 clips: 1 to 4"),
    "one string": ("abcd", "clip_ids: give a list of clip ids, not one str"),
    "no list": (7, "clip_ids: give a list of clip ids, not one int"),
    "twice": (["a", "b", "a"], "clip_ids: 'a' is in it more than once"),
    "empty": (["a", " "], "clip_ids=' ': give an id"),
    "no id": (["a", 5], "clip_ids=5: give an id"),
    "a line break": (["a\nb"], "clip_ids='a\\\\nb': give an id"),
}


@pytest.mark.parametrize(("clip_ids", "named"), BAD_CLIPS.values(), ids=BAD_CLIPS)
async def test_clips_that_make_no_playlist_are_refused_before_anything_is_sent(
    world, clip_ids: Any, named: str
) -> None:
    w = await world(QUICK)
    with pytest.raises(InputError, match=named):
        await w.client.create_playlist(clip_ids)
    assert w.ledger.calls == ()


BAD_NAMES: dict[str, tuple[Any, str]] = {
    "empty": ("", "name='': give a name, of 1 to 100 characters"),
    "blank": (" ", "name=' ': give a name"),
    "none": (None, "name=None: give a name"),
    "long": ("x" * 101, "name of 1 to 100 characters"),
    "a line break": ("a\nb", "without control characters"),
}


@pytest.mark.parametrize(("name", "named"), BAD_NAMES.values(), ids=BAD_NAMES)
async def test_a_name_that_is_none_is_refused_wherever_one_is_given(world, name: Any, named: str) -> None:
    w = await world(QUICK)
    for call in (
        w.client.create_playlist(["a"], name),
        w.client.create_persona("a", name),
        w.client.inspire(["a"], "chirp-v55", name=name),
    ):
        with pytest.raises(InputError, match=named):
            await call
    assert w.ledger.calls == ()


# --------------------------------------------------------------------------------------------- stems and personas
async def test_a_stem_is_the_voice_of_a_clip(world) -> None:
    w = await world(QUICK)
    (clip_id,) = await clips(w, 1)
    stem = await w.client.vox_stem(clip_id)
    assert (stem.source_clip_id, stem.vocal_start_s, stem.vocal_end_s) == (clip_id, 45, 74)
    assert body(w, "vox_stem") == {"clip_id": clip_id}


async def test_a_short_song_has_bounds_of_its_own(world) -> None:
    w = await world(QUICK)
    (clip_id,) = await clips(w, 1)
    stem = await w.client.vox_stem(clip_id, vocal_start_s=0, vocal_end_s=12.5)
    assert (stem.vocal_start_s, stem.vocal_end_s) == (0, 12.5)


async def test_a_persona_is_private_unless_it_is_said(world) -> None:
    w = await world(QUICK)
    (clip_id,) = await clips(w, 1)
    private = await w.client.create_persona(clip_id, "Somebody")
    assert (private.name, private.is_public, private.root_clip_id) == ("Somebody", False, clip_id)
    assert body(w, "persona") == {"clip_id": clip_id, "name": "Somebody", "is_public": False}
    assert (await w.client.create_persona(clip_id, "Somebody", is_public=True)).is_public is True


async def test_everything_that_is_told_of_a_persona_is_sent(world) -> None:
    w = await world(QUICK)
    (clip_id,) = await clips(w, 1)
    told = {"description": "dark", "user_input_styles": "rap", "image_s3_id": "data:image/png;base64," + "A" * 200_000}
    persona = await w.client.create_persona(clip_id, "Somebody", vocal_start_s=1, vocal_end_s=9, **told)
    assert body(w, "persona").items() >= told.items()
    assert (persona.description, persona.vocal_start_s, persona.vocal_end_s) == ("dark", 1, 9)


@pytest.mark.parametrize("as_id", [False, True], ids=["the stem", "its id"])
async def test_a_vocal_persona_takes_the_voice_of_a_stem(world, as_id: bool) -> None:
    w = await world(QUICK)
    (clip_id,) = await clips(w, 1)
    stem = await w.client.vox_stem(clip_id, vocal_start_s=3, vocal_end_s=21)
    persona = await w.client.create_persona(clip_id, "Voice", vox=stem.id if as_id else stem)
    assert persona.persona_type == "vox"
    sent = body(w, "persona")
    assert sent["vox_audio_id"] == stem.id
    assert (sent.get("vocal_start_s"), sent.get("vocal_end_s")) == ((None, None) if as_id else (3, 21))


async def test_bounds_that_are_given_win_over_the_stems_own(world) -> None:
    w = await world(QUICK)
    (clip_id,) = await clips(w, 1)
    stem = await w.client.vox_stem(clip_id)
    await w.client.create_persona(clip_id, "Voice", vox=stem, vocal_start_s=50, vocal_end_s=60)
    assert body(w, "persona")["vocal_start_s"] == 50
    assert body(w, "persona")["vocal_end_s"] == 60


async def test_a_persona_sings_with_clips_of_its_own_account_only(world) -> None:
    w = await world(QUICK)
    own, other = await strangers(w)
    persona = PersonaUse((await w.client.create_persona(own, "Somebody")).id)
    assert await w.client.generate("cover", "chirp-v55", clip_id=own, persona=persona)
    with pytest.raises(BadRequestError, match=WAY_OUT):
        await w.client.generate("cover", "chirp-v55", clip_id=other, persona=persona)


async def test_a_persona_sings_on_its_account(world) -> None:
    w = await world(QUICK)
    (clip_id,) = await clips(w, 1)
    persona = await w.client.create_persona(clip_id, "Somebody")
    handle = await w.client.generate("create", "chirp-v55", prompt="La", persona=PersonaUse(persona.id))
    song, *_ = clips_of(await handle.wait())
    assert w.ledger.account_of(song.id) == w.ledger.account_of(clip_id)


BAD_PARTS: dict[str, tuple[Call, str]] = {
    "stem of nothing": (lambda c, _: c.vox_stem(""), "clip_id='': give an id"),
    "stem that ends first": (
        lambda c, _: c.vox_stem("a", vocal_start_s=9, vocal_end_s=9),
        "vocal_end_s=9: the end lies after the beginning, vocal_start_s=9",
    ),
    "stem before the song": (lambda c, _: c.vox_stem("a", vocal_start_s=-1), "vocal_start_s=-1: give seconds"),
    "stem without a number": (lambda c, _: c.vox_stem("a", vocal_end_s="1"), "vocal_end_s='1': give seconds"),  # type: ignore[arg-type]
    "persona of nothing": (lambda c, _: c.create_persona(None, "P"), "clip_id=None: give an id"),  # type: ignore[arg-type]
    "persona of no stem": (lambda c, _: c.create_persona("a", "P", vox=""), "vox='': give an id"),
    "persona with a number as stem": (lambda c, _: c.create_persona("a", "P", vox=5), "vox=5: give an id"),  # type: ignore[arg-type]
    "persona public perhaps": (lambda c, _: c.create_persona("a", "P", is_public=1), "is_public=1: give True or"),  # type: ignore[arg-type]
    "persona without words": (lambda c, _: c.create_persona("a", "P", description=""), "description='': give a text"),
    "persona without styles": (
        lambda c, _: c.create_persona("a", "P", user_input_styles=" "),
        "user_input_styles=' ': give a text",
    ),
    "persona with a huge picture": (
        lambda c, _: c.create_persona("a", "P", image_s3_id="A" * 1_000_001),
        "image_s3_id: 1000001 characters",
    ),
    "persona with no picture": (lambda c, _: c.create_persona("a", "P", image_s3_id=b"x"), "image_s3_id="),  # type: ignore[arg-type]
    "persona that ends first": (
        lambda c, _: c.create_persona("a", "P", vox=VoxStem("s", vocal_start_s=40), vocal_end_s=30),
        "vocal_end_s=30: the end lies after the beginning, vocal_start_s=40",
    ),
    "schema of nothing": (lambda c, _: c.generate_schema(" "), "task=' '"),
}


@pytest.mark.parametrize(("call", "named"), BAD_PARTS.values(), ids=BAD_PARTS)
async def test_what_cannot_be_made_is_refused_before_anything_is_sent(world, call: Call, named: str) -> None:
    w = await world(QUICK)
    with pytest.raises(InputError, match=named):
        await call(w.client, ())
    assert w.ledger.calls == ()


# ---------------------------------------------------------------------------------------------------- paid for once
ONCE: dict[str, tuple[Any, Call]] = {
    "vox_stem": ("vox_stem", lambda client, ids: client.vox_stem(ids[0])),
    "persona": ("persona", lambda client, ids: client.create_persona(ids[0], "P")),
    "generate": ("generate", lambda client, ids: client.generate("cover", "chirp-v55", clip_id=ids[0])),
}


@pytest.mark.parametrize(
    "effect", [Cut(after_work=True), Hang(after_work=True), Answer(201, "{}"), Answer(504)], ids=str
)
@pytest.mark.parametrize(("endpoint", "call"), ONCE.values(), ids=ONCE)
async def test_what_may_have_been_made_is_not_asked_for_again(world, endpoint: Any, call: Call, effect: Any) -> None:
    w = await world(broken(Fault(effect, on=endpoint)))
    ids = await clips(w, 1)
    with pytest.raises(UnknownOutcomeError):
        await call(w.client, ids)
    assert w.ledger.requests(endpoint) == 1


@pytest.mark.parametrize(("endpoint", "call"), ONCE.values(), ids=ONCE)
async def test_what_provably_was_not_made_is_asked_for_again(world, endpoint: Any, call: Call) -> None:
    busy = Answer(503, '{"statusCode": 503, "message": "no available account"}')
    w = await world(broken(Fault(busy, on=endpoint, nth=1)))
    assert await call(w.client, await clips(w, 1))
    assert w.ledger.requests(endpoint) == 2


EVERYTHING: dict[str, tuple[Any, Call]] = {
    **ONCE,
    "playlist": ("playlist", lambda client, ids: client.create_playlist(ids)),
    "inspire": ("generate", lambda client, ids: client.inspire(ids, "chirp-v55")),
    "schema": ("schema", lambda client, _: client.generate_schema()),
}


@pytest.mark.parametrize(("endpoint", "call"), EVERYTHING.values(), ids=EVERYTHING)
async def test_too_many_requests_are_waited_out(world, endpoint: Any, call: Call) -> None:
    slow = Answer(429, "{}", headers={"Retry-After": "7"})
    w = await world(broken(Fault(slow, on=endpoint, nth=1)))
    ids = await clips(w, 1)
    assert await call(w.client, ids)
    first, second = [each for each in w.ledger.calls if each.endpoint == endpoint]
    assert first.body == second.body
    assert second.at - first.at >= 7


@pytest.mark.parametrize(("endpoint", "call"), EVERYTHING.values(), ids=EVERYTHING)
async def test_a_key_that_was_refused_is_not_tried_again(world, endpoint: Any, call: Call) -> None:
    w = await world(broken(Fault(unauthorized(), on=endpoint)))
    ids = await clips(w, 1)
    with pytest.raises(AuthenticationError) as caught:
        await call(w.client, ids)
    assert w.ledger.requests(endpoint) == 1
    assert "must be on one account" not in str(caught.value)


@pytest.mark.parametrize("call", [call for _, call in ONCE.values()], ids=ONCE)
async def test_what_never_left_is_known_to_have_cost_nothing(call: Call) -> None:
    async with MountseaClient(KEY, base_url="http://127.0.0.1:1") as client:
        with pytest.raises(NotSentError):
            await call(client, (NOBODY,))


# ----------------------------------------------------------------------------------------------------- generation
async def test_a_generation_brings_clips(world) -> None:
    w = await world(QUICK)
    (clip_id,) = await clips(w, 1)
    handle = await w.client.generate("cover", "chirp-v55", clip_id=clip_id, title="Rain", make_instrumental=True)
    assert isinstance(handle, TaskHandle)
    songs = clips_of(await handle.wait())
    (generation,) = w.ledger.generations
    assert tuple(song.id for song in songs) == generation.clip_ids
    assert all(song.audio_url for song in songs)
    assert body(w, "generate") == {
        "task": "cover",
        "model": "chirp-v55",
        "clip_id": clip_id,
        "title": "Rain",
        "make_instrumental": True,
    }
    assert w.ledger.spent == 40 + 1


async def test_a_generation_is_followed_from_its_id(world) -> None:
    w = await world(QUICK)
    handle = await w.client.generate("create", "chirp-v55")
    seen = [task.status async for task in w.client.task(handle.task_id)]
    assert seen[-1] == "success"
    assert len(clips_of(await w.client.task(handle.task_id).wait())) == 2


async def test_a_model_of_ones_own_sings(world) -> None:
    w = await world(QUICK)
    model = await w.client.train_model(urls(6), "v6Pro")
    for given in (model, model.id):
        await (await w.client.generate("create", given, prompt="La")).wait()
    assert {generation.model for generation in w.ledger.generations} == {model.id}


@pytest.mark.parametrize(("ends", "error"), [("failed", TaskFailedError), ("timeout", TaskTimedOutError)])
async def test_a_generation_that_comes_to_nothing_has_no_clips(world, ends: Any, error: Any) -> None:
    w = await world(broken(Fault(Outcome(ends), on="generate")))
    handle = await w.client.generate("create", "chirp-v55")
    task = await handle.wait()
    with pytest.raises(error) as caught:
        clips_of(task)
    assert caught.value.task_id == handle.task_id


async def test_a_generation_without_its_clips_is_waited_for_and_then_said_to_have_none(world) -> None:
    w = await world(broken(Fault(Outcome("blank"), on="generate")))
    handle = await w.client.generate("create", "chirp-v55")
    loop = asyncio.get_running_loop()
    began = loop.time()
    task = await handle.wait()
    assert loop.time() - began >= 60 + 30
    with pytest.raises(MissingClipError):
        clips_of(task)


async def test_what_is_no_clip_is_a_success_too_and_comes_as_it_was_sent(world) -> None:
    # An endpoint whose results have no class: nothing is missing, so nothing is waited for.
    held = {"text": "la la", "tags": ["rap"]}
    body = json.dumps({"status": "success", "data": held})
    w = await world(broken(Fault(Answer(200, body), on="status")))
    handle = await w.client.generate("create", "chirp-v55")
    task = await handle.wait()
    assert (task.raw, task.data) == (held, None)
    assert w.ledger.requests("status") == 1
    assert (await w.client.task(handle.task_id).wait()).raw == held
    assert w.ledger.requests("status") == 2
    with pytest.raises(MissingClipError, match=handle.task_id):
        clips_of(task)


def test_a_single_clip_counts_as_one() -> None:
    assert clips_of(Task("t", "success", data=Clip("c"))) == (Clip("c"),)


async def test_without_credits_nothing_is_generated(world) -> None:
    w = await world(Behaviour(credits=39))
    with pytest.raises(InsufficientCreditsError):
        await w.client.generate("create", "chirp-v55")
    assert w.ledger.generations == ()


async def test_a_client_that_is_not_open_sends_nothing() -> None:
    client = MountseaClient(KEY, base_url="http://127.0.0.1:1")
    for call in (
        client.create_playlist(["a"]),
        client.vox_stem("a"),
        client.create_persona("a", "P"),
        client.generate("create", "chirp-v55"),
        client.generate_schema(),
        client.inspire(["a"], "chirp-v55"),
        client.credits(),
    ):
        with pytest.raises(ClientStateError):
            await call


# -------------------------------------------------------------------------------------------------------- schemas
async def test_the_service_says_what_its_kinds_of_generation_take(world) -> None:
    w = await world(QUICK)
    schemas = {schema.task: schema for schema in await w.client.generate_schema()}
    assert len(schemas) == 15
    inspiration = schemas["inspiration"]
    assert {field.field for field in inspiration.required} >= {"model", "playlist_id"}
    assert inspiration.not_allowed
    assert not {field.field for field in inspiration.optional} & set(inspiration.not_allowed)
    assert await w.client.generate_schema("inspiration") == (inspiration,)
    assert inspiration.example is not None
    assert inspiration.example["task"] == "inspiration"


async def test_a_kind_that_only_the_service_knows_can_be_asked_for(world) -> None:
    answer = json.dumps([{"task": "hum", "required": [{"field": "clip_id"}, "tune"], "optional": None, "new": 1}, 5])
    w = await world(broken(Fault(Answer(200, answer), on="schema")))
    (schema,) = await w.client.generate_schema()
    assert (schema.task, [field.field for field in schema.required]) == ("hum", ["clip_id", "tune"])
    assert (schema.optional, schema.not_allowed, schema.example) == ((), (), None)


# ---------------------------------------------------------------------------------------------------- inspiration
async def test_a_batch_inspires_a_song_on_its_account(world) -> None:
    w = await world(QUICK)
    report = await w.client.upload_batch(urls(4))
    handle = await w.client.inspire(report, "chirp-v55", name="Four", tags="rap", title="Inspired")
    songs = clips_of(await handle.wait())
    assert body(w, "playlist") == {"clip_ids": list(report.audio_ids), "name": "Four"}
    assert body(w, "generate").items() >= {"task": "inspiration", "tags": "rap", "title": "Inspired"}.items()
    accounts = {w.ledger.account_of(clip_id) for clip_id in (*report.audio_ids, *(song.id for song in songs))}
    assert len(accounts) == 1


async def test_a_group_of_a_larger_batch_inspires_a_song(world) -> None:
    w = await world(QUICK)
    report = await w.client.upload_batch(urls(9))
    groups = report.clip_groups()
    assert [len(group) for group in groups] == [4, 4, 1]
    assert tuple(clip_id for group in groups for clip_id in group) == report.audio_ids
    for group in groups:
        await w.client.inspire(group, "chirp-v55")
    assert len(w.ledger.generations) == 3


@pytest.mark.parametrize(
    ("size", "lengths"), [(1, [1] * 5), (2, [2, 2, 1]), (4, [4, 1]), (5, [5]), (8, [5]), (10**30, [5])]
)
async def test_groups_hold_every_clip_once_in_its_order(world, size: int, lengths: list[int]) -> None:
    w = await world(QUICK)
    report = await w.client.upload_batch(urls(5))
    groups = report.clip_groups(size)
    assert [len(group) for group in groups] == lengths
    assert sum(groups, ()) == report.audio_ids


async def test_entries_that_share_a_clip_are_one_in_the_groups(world) -> None:
    w = await world(QUICK)
    one, other = urls(2)
    with pytest.warns(DuplicateURLWarning):
        report = await w.client.upload_batch([one, other, one, one, other])
    (group,) = report.clip_groups()
    assert group == report.audio_ids
    assert len(group) == 2
    assert await w.client.inspire(report, "chirp-v55")


async def test_more_than_four_clips_inspire_nothing_and_the_error_says_how_to_choose(world) -> None:
    w = await world(QUICK)
    report = await w.client.upload_batch(urls(5))
    for given in (report, report.audio_ids):
        with pytest.raises(InputError, match=r"clips: 5 are too many, 1 to 4 .* group of report\.clip_groups\(\)"):
            await w.client.inspire(given, "chirp-v55")
    assert w.ledger.requests("playlist") == 0


BAD_INSPIRATIONS: dict[str, tuple[Any, Any, dict[str, Any], str]] = {
    "no clips": ([], "chirp-v55", {}, "clips has 0 clips"),
    "an empty batch": (BatchReport("s", ()), "chirp-v55", {}, "clips has 0 clips"),
    "one string": ("abc", "chirp-v55", {}, "clips: give a list"),
    "no model": (["a"], None, {}, "model: task 'inspiration' requires it"),
    "no such model": (["a"], "suno-5", {}, "model='suno-5'"),
    "a playlist": (["a"], "chirp-v55", {"playlist_id": "p"}, "playlist_id: inspire makes a playlist of the clips"),
    "an empty title": (["a"], "chirp-v55", {"title": ""}, "title=''"),
    "no JSON": (["a"], "chirp-v55", {"extra": {"new": b"x"}}, "can't be written as JSON"),
    "too long": (["a"], "chirp-v55", {"prompt": "x" * 40_000}, "at most 32768"),
}


@pytest.mark.parametrize(("given", "model", "fields", "named"), BAD_INSPIRATIONS.values(), ids=BAD_INSPIRATIONS)
async def test_what_inspires_nothing_is_refused_before_there_is_a_playlist(
    world, given: Any, model: Any, fields: dict[str, Any], named: str
) -> None:
    w = await world(QUICK)
    with pytest.raises(InputError, match=named):
        await w.client.inspire(given, model, **fields)
    assert w.ledger.calls == ()


@pytest.mark.parametrize("effect", [Answer(402, "{}"), Cut(after_work=True), Answer(400, "{}")], ids=str)
async def test_a_playlist_that_was_made_is_not_lost_when_its_generation_is(world, effect: Any) -> None:
    w = await world(broken(Fault(effect, on="generate", nth=1)))
    ids = await clips(w)
    with pytest.raises(MountseaError, match=r"\w.* \(the playlist was made: playlist_id='") as caught:
        await w.client.inspire(ids, "chirp-v55")
    playlist_id = str(caught.value).split("playlist_id='")[1].split("'")[0]
    handle = await w.client.generate("inspiration", "chirp-v55", playlist_id=playlist_id)
    assert clips_of(await handle.wait())
    assert w.ledger.requests("playlist") == 1


@pytest.mark.parametrize("size", [0, -1, 1.5, True])
def test_groups_without_clips_are_refused(size: Any) -> None:
    with pytest.raises(InputError, match=f"size={size}"):
        BatchReport("s", ()).clip_groups(size)


def test_an_empty_batch_has_no_groups() -> None:
    assert BatchReport("s", ()).clip_groups() == ()
