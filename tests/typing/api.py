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
    Event,
    GenerateRequest,
    GenerateTask,
    ItemReport,
    ItemState,
    MountseaClient,
    MountseaError,
    Pace,
    Persona,
    PersonaUse,
    Playlist,
    PollPolicy,
    Reconciliation,
    RetryPolicy,
    Task,
    TaskHandle,
    TaskSchema,
    Timeouts,
    TimeRange,
    UploadItem,
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
    assert_type(await client.generate_schema("cover"), tuple[TaskSchema, ...])
    assert_type(await client.credits(), float)


async def voices(client: MountseaClient) -> None:
    async with client.voice_persona("https://a.example/voice.mp3", "en", vocal_end_s=30) as voice:
        assert_type(voice.phrase, VoicePhrase)
        assert_type(voice.seconds_left, float)
        assert_type(await voice.complete("https://a.example/spoken.mp3", "Me", is_public=False), Persona)


def settings(http: aiohttp.ClientSession) -> MountseaClient:
    config = ClientConfig(timeouts=Timeouts(connect=5), retry=RetryPolicy(max_tries=3), poll=PollPolicy(first=1))
    return MountseaClient("key", base_url="https://a.example", http=http, config=config, pace=Pace(50))
