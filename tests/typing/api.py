"""The public API as a type checker sees it. Never run: mypy and basedpyright read it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any, assert_type

import aiohttp

from mountsea_async import (
    BatchReport,
    ClientConfig,
    Clip,
    Event,
    ItemReport,
    ItemState,
    MountseaClient,
    MountseaError,
    Pace,
    PollPolicy,
    Reconciliation,
    RetryPolicy,
    Task,
    TaskHandle,
    Timeouts,
    UploadItem,
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


def settings(http: aiohttp.ClientSession) -> MountseaClient:
    config = ClientConfig(timeouts=Timeouts(connect=5), retry=RetryPolicy(max_tries=3), poll=PollPolicy(first=1))
    return MountseaClient("key", base_url="https://a.example", http=http, config=config, pace=Pace(50))
