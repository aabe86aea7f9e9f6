"""The README's table of endpoints: each row is called as it says, and answers as it says."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from support.contract import document
from support.names import urls

from mountsea_async import CustomModelSession, MountseaClient, TaskHandle, UploadSession
from mountsea_async.testing import Behaviour, Fixed, Uniform
from mountsea_async.voice import VoicePersona

README = Path(__file__).parents[1] / "README.md"
ROWS = re.findall(
    r"^\| `(GET|POST) (/[^`]+)` \| (.+?) \| (at once|with a task) \| (.*?) ?\|$",
    README.read_text(encoding="utf-8"),
    re.MULTILINE,
)
HOMES = {"session": (UploadSession, CustomModelSession), "voice": (VoicePersona,), "": (MountseaClient,)}
Called = Callable[[Any], Awaitable[object]]


async def _clips(w: Any) -> tuple[str, ...]:
    return (await w.client.upload_batch(urls(4))).audio_ids


async def _in_session(w: Any) -> TaskHandle:
    async with w.client.upload_session() as session:
        return await session.submit(urls(1)[0])


async def _in_model_session(w: Any) -> TaskHandle:
    async with w.client.custom_model_session() as session:
        return await session.submit(urls(1)[0])


async def _enter(session: Any) -> str:
    async with session:
        return session.session_id


async def _train(w: Any) -> TaskHandle:
    async with w.client.custom_model_session() as session:
        await session.upload_all(urls(6))
        await session.train("v6Pro")
        return w.client.task(session.session_id)


async def _complete(w: Any) -> TaskHandle:
    async with w.client.voice_persona("https://cdn.example.com/voice.mp3", "en") as voice:
        await voice.complete("https://cdn.example.com/spoken.mp3", "My voice")
        return w.client.task(voice.task_id)


async def _voice(w: Any) -> TaskHandle:
    async with w.client.voice_persona("https://cdn.example.com/voice.mp3", "en") as voice:
        return w.client.task(voice.task_id)


async def _persona(w: Any) -> object:
    return await w.client.create_persona((await _clips(w))[0], "Somebody")


async def _task(w: Any) -> object:
    return await w.client.task((await w.client.submit_upload(urls(1)[0])).task_id).status()


async def _playlist(w: Any) -> object:
    return await w.client.create_playlist(await _clips(w), "Four")


async def _stem(w: Any) -> object:
    return await w.client.vox_stem((await _clips(w))[0])


CALLS: dict[str, Called] = {
    "/suno/v2/audio/upload/session": lambda w: _enter(w.client.upload_session()),
    "/suno/v2/audio/upload/session/item": _in_session,
    "/suno/v2/upload": lambda w: w.client.submit_upload(urls(1)[0]),
    "/suno/v2/status": _task,
    "/suno/v2/customModel/prepare": lambda w: _enter(w.client.custom_model_session()),
    "/suno/v2/customModel/upload": _in_model_session,
    "/suno/v2/customModel/create": _train,
    "/suno/v2/playlist/create": _playlist,
    "/suno/v2/getVoxStem": _stem,
    "/suno/v2/persona": _persona,
    "/suno/v2/generate": lambda w: w.client.generate("create", "chirp-v55", prompt="La la la"),
    "/suno/v2/generate/schema": lambda w: w.client.generate_schema("create"),
    "/suno/v2/voicePersona/init": _voice,
    "/suno/v2/voicePersona/complete": _complete,
    "/api-user/credits": lambda w: w.client.credits(),
}


@pytest.mark.parametrize(("method", "path", "calls", "answers", "credit"), ROWS, ids=[row[1] for row in ROWS])
async def test_a_row_is_called_as_it_says(world, method: str, path: str, calls: str, answers: str, credit: str) -> None:
    w = await world(Behaviour(durations=Uniform(1, 5), training=Fixed(120), price=7))
    answer = await CALLS[path](w)
    (asked,) = {(call.method, call.status) for call in w.ledger.calls if call.path == path}
    assert asked[0] == method
    assert asked[1] in (200, 201)
    assert isinstance(answer, TaskHandle) is (answers == "with a task")
    if isinstance(answer, TaskHandle):
        assert (await answer.status()).task_id == answer.task_id
    if credit.startswith("an upload"):
        assert w.ledger.spent == 7
    elif found := re.match(r"\d+", credit):
        assert w.ledger.spent - len(w.ledger.charges) * 7 == int(found[0])


@pytest.mark.parametrize(("path", "calls"), [row[1:3] for row in ROWS], ids=[row[1] for row in ROWS])
def test_what_a_row_names_is_there(path: str, calls: str) -> None:
    assert path in document()["paths"]
    for call in re.findall(r"`([\w.]+)`", calls):
        owner, _, name = call.rpartition(".")
        for home in HOMES[owner]:
            assert (home is UploadSession and name == "train") or callable(getattr(home, name)), call


def test_every_endpoint_of_the_document_has_a_row() -> None:
    operations = {
        (verb.upper(), path) for path, row in document()["paths"].items() for verb in row if verb in ("get", "post")
    }
    assert {row[:2] for row in ROWS} == operations


async def test_an_endpoint_without_a_method_is_reached_too(world) -> None:
    w = await world(Behaviour())
    handle = await w.client.submit("/suno/v2/generate", {"task": "create", "model": "chirp-v55"})
    assert (await handle.wait()).status == "success"
