"""The public API as a type checker sees it. Never run: mypy and basedpyright read it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any, assert_type

import aiohttp

from mountsea_async import (
    BatchReport,
    ClientConfig,
    Clip,
    Controls,
    CustomModel,
    CustomModelSession,
    Event,
    GenerateField,
    GenerateRequest,
    GenerateTask,
    InputProblem,
    ItemReport,
    ItemState,
    MountseaClient,
    MountseaError,
    Pace,
    Persona,
    PersonaUse,
    Playlist,
    PollPolicy,
    PreflightItem,
    PreflightReport,
    Reconciliation,
    RetryPolicy,
    Sound,
    Task,
    TaskHandle,
    TaskSchema,
    Timeouts,
    TimeRange,
    TrainingReport,
    UploadItem,
    VoicePersona,
    VoicePhrase,
    VoxStem,
    clips_of,
)


async def batches(client: MountseaClient, stream: AsyncIterator[str]) -> None:
    report = await client.upload_batch(["https://a.example/1.mp3", UploadItem("https://a.example/2.mp3", key="2")])
    assert_type(report, BatchReport)
    assert_type(report.audio_ids, tuple[str, ...])
    assert_type(report.items[0], ItemReport)
    assert_type(report.items[0].state, ItemState)
    assert_type(report.items[0].clip, Clip | None)
    assert_type(report.items[0].error, MountseaError | None)
    assert_type(report.items[0].metadata, Mapping[str, Any])
    assert_type(report.reconciliation, Reconciliation)
    assert_type(report.to_dict(), dict[str, Any])
    await client.upload_batch(stream, concurrency=8, deadline=60.0, on_event=print)


async def sessions(client: MountseaClient) -> None:
    async with client.upload_session(concurrency=4) as session:
        assert_type(session.session_id, str)
        assert_type(await session.submit("https://a.example/1.mp3"), TaskHandle)
        assert_type(await session.upload("https://a.example/1.mp3"), Clip)
        assert_type(await session.upload_all(["https://a.example/1.mp3"]), BatchReport)
        async for event in session.events():
            handle(event)
        async for item in session.as_completed():
            assert_type(item, ItemReport)


async def models(client: MountseaClient, links: AsyncIterator[UploadItem]) -> None:
    model = await client.train_model(links, "v6Pro", at_least=6, max_credits=250, price_per_item=1, journal="v6.db")
    assert_type(model, CustomModel)
    assert_type(model.id, str)
    assert_type(model.clip_ids, tuple[str, ...])
    async with client.custom_model_session(name="v6Pro", on_unknown="resubmit") as session:
        assert_type(session, CustomModelSession)
        report = await session.upload_all(["https://a.example/1.mp3"])
        assert_type(report.training, TrainingReport | None)
        assert_type(await session.train("v6Pro", report.audio_ids), CustomModel)
        assert_type(await session.finish_training(), CustomModel | None)
    assert_type(client.resume_session("v6.db"), CustomModelSession)
    assert_type(await client.resume_batch("v6.db"), BatchReport)


async def links(client: MountseaClient) -> None:
    report = await client.preflight(["https://a.example/1.mp3"], concurrency=8, timeout=2.5)
    assert_type(report, PreflightReport)
    assert_type(report.ok, bool)
    assert_type(report.items[0], PreflightItem)
    assert_type(report.items[0].problem, str | None)
    assert_type(report.problems, tuple[InputProblem, ...])
    assert_type(report.to_dict(), dict[str, Any])
    report.raise_for_problems()


def handle(event: Event) -> None: ...


async def tasks(client: MountseaClient) -> None:
    assert_type(await client.upload("https://a.example/1.mp3"), Clip)
    assert_type(await client.task("id").status(), Task)
    assert_type(await client.task("id").wait(deadline=5), Task)
    assert_type(await client.submit_upload("https://a.example/1.mp3"), TaskHandle)
    assert_type(await client.submit("/suno/v2/lyrics", {"prompt": "rain"}), TaskHandle)
    async for task in client.task("id"):
        assert_type(task, Task)


async def songs(client: MountseaClient, report: BatchReport, model: CustomModel) -> None:
    for group in report.clip_groups():
        assert_type(group, tuple[str, ...])
        playlist = await client.create_playlist(group, "Four")
        assert_type(playlist, Playlist)
        assert_type(await client.generate("inspiration", "chirp-v55", playlist_id=playlist.id), TaskHandle)
    assert_type(await client.inspire(report, model, tags="rap", controls=Controls(style_weight=0.5)), TaskHandle)
    assert_type(await client.inspire(["a", "b"], "chirp-v55", name="Two"), TaskHandle)
    stem = await client.vox_stem("a", vocal_start_s=1, vocal_end_s=9.5)
    assert_type(stem, VoxStem)
    persona = await client.create_persona("a", "Somebody", vox=stem, is_public=True)
    assert_type(persona, Persona)
    request = GenerateRequest(
        GenerateTask.ADD_VOCALS, model, clip_id="a", range=TimeRange(1, 2), persona=PersonaUse(persona.id)
    )
    handle = await client.generate(request)
    assert_type(clips_of(await handle.wait()), tuple[Clip, ...])
    await client.generate("cover", model, clip_id="a", range=(1, 2.5), extra={"new": [1]})
    sound = GenerateRequest("sound", sound=Sound("rain on tin", bpm=90), extra={"new": None})
    assert_type(sound.task, GenerateTask)
    assert_type(sound.range, TimeRange | None)
    assert_type(sound.to_dict(), dict[str, Any])
    assert_type(await client.generate(sound), TaskHandle)
    (schema,) = await client.generate_schema("cover")
    assert_type(schema, TaskSchema)
    assert_type(schema.required, tuple[GenerateField, ...])
    assert_type(schema.not_allowed, tuple[str, ...])
    assert_type(await client.generate_schema(GenerateTask.COVER), tuple[TaskSchema, ...])
    assert_type(report.clip_groups(size=2), tuple[tuple[str, ...], ...])
    assert_type(await client.credits(), float)


async def voices(client: MountseaClient) -> None:
    async with client.voice_persona("https://a.example/voice.mp3", "en", vocal_end_s=30) as voice:
        assert_type(voice, VoicePersona)
        assert_type(voice.phrase, VoicePhrase)
        assert_type(voice.seconds_left, float)
        assert_type(await voice.complete("https://a.example/spoken.mp3", "Me", is_public=False), Persona)


def settings(http: aiohttp.ClientSession) -> MountseaClient:
    config = ClientConfig(timeouts=Timeouts(connect=5), retry=RetryPolicy(max_tries=3), poll=PollPolicy(first=1))
    MountseaClient(balance_url="https://money.example")
    MountseaClient("key", observe=lambda: handle)
    return MountseaClient("key", base_url="https://a.example", http=http, config=config, pace=Pace(50))
