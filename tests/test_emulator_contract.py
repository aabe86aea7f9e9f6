"""Every answer of a tour through the emulator, and requests of a client, checked against the contract's document."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, get_args

import attrs
import jsonschema
import pytest
import yaml
from support.contract import check_call
from test_emulator_http import ITEM, NOBODY, PREPARE, STATUS, UPLOAD, Answered, calling, emulated

import mountsea_async.testing
from mountsea_async.testing import Answer, Behaviour, Call, Fault, Fixed, Outcome, RateLimit
from mountsea_async.testing.faults import Endpoint
from mountsea_async.testing.kinds import KINDS
from mountsea_async.testing.operations import TABLE

DOCUMENT = yaml.safe_load((Path(mountsea_async.testing.__file__).parent / "openapi.yaml").read_text())
GOOD = {"audioUrl": "https://example.com/a.mp3"}

SPOKEN = {"verification_audio_url": GOOD["audioUrl"], "name": "a"}
# A good request of each operation with a body; it has every field that is required and no other.
BODIES: dict[str, dict[str, Any]] = {
    UPLOAD: GOOD,
    ITEM: {"sessionId": NOBODY, **GOOD},
    "/suno/v2/customModel/upload": {"sessionId": NOBODY, **GOOD},
    "/suno/v2/customModel/create": {"sessionId": NOBODY, "clipIds": list("abcdef"), "name": "a"},
    "/suno/v2/playlist/create": {"clip_ids": ["a"]},
    "/suno/v2/getVoxStem": {"clip_id": "a"},
    "/suno/v2/persona": {"clip_id": "a", "name": "a", "is_public": True},
    "/suno/v2/generate": {"task": "extend", "clip_id": "a", "model": "chirp-v55"},
    "/suno/v2/voicePersona/init": {"voice_audio_url": GOOD["audioUrl"], "language": "en"},
    "/suno/v2/voicePersona/complete": {"taskId": NOBODY, **SPOKEN},
}
BODILESS = [(method, path) for path, row in TABLE.items() for method in row if path not in BODIES]

FORMATS = jsonschema.FormatChecker(["uuid"])


@FORMATS.checks("date-time", raises=ValueError)
def is_utc(value: object) -> bool:
    """Tell whether a value is a moment in UTC; jsonschema alone checks that with a further package only."""
    return isinstance(value, str) and datetime.fromisoformat(value).utcoffset() == timedelta(0)


HEALTHY = Behaviour(durations=Fixed(0), training=Fixed(0), generation=Fixed(0))
SETTINGS = [
    HEALTHY,
    Behaviour(durations=Fixed(0), fail_share=1, fail_code="token", message="string"),
    Behaviour(durations=Fixed(0), timeout_share=1, late_after=0),
    Behaviour(durations=Fixed(3600), parallel=1, vocabulary="older", accounts=1),
    Behaviour(durations=Fixed(0), credits=1),
    Behaviour(durations=Fixed(0), rate_limit=RateLimit(0.001, 4, "seconds")),
]


def resolved(node: Any) -> Any:
    """Follow a reference within the document."""
    while "$ref" in node:
        target: Any = DOCUMENT
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        node = target
    return node


def check(method: str, path: str, answered: Answered) -> None:
    """Fail unless the document knows this answer of this operation."""
    responses = DOCUMENT["paths"][path][method.lower()]["responses"]
    assert str(answered.status) in responses, f"{method} {path} answered {answered.status}: not in the document"
    content = resolved(responses[str(answered.status)])["content"]
    media = answered.headers["Content-Type"].partition(";")[0]
    assert media in content
    schema = {**content[media]["schema"], "components": DOCUMENT["components"]}
    jsonschema.Draft202012Validator(schema, format_checker=FORMATS).validate(answered.json)


@pytest.mark.parametrize("behaviour", SETTINGS)
async def test_every_answer_of_a_tour_is_in_the_document(behaviour: Behaviour) -> None:
    seen: set[int] = set()
    async with emulated(behaviour) as (emulator, caller):

        async def ask(method: str, path: str, **options: Any) -> Any:
            answered = await caller.ask(method, path, **options)
            check(method, path, answered)
            seen.add(answered.status)
            return answered.json

        session_id = (await ask("POST", PREPARE)).get("sessionId", NOBODY)
        tasks = [session_id, NOBODY]
        for _ in range(2):
            item = await ask("POST", ITEM, json={"sessionId": session_id, **GOOD})
            upload = await ask("POST", UPLOAD, json=GOOD)
            tasks += [answer["taskId"] for answer in (item, upload) if "taskId" in answer]
        for task_id in tasks:
            await ask("GET", STATUS, params={"taskId": task_id})
        await ask("GET", STATUS)
        for path in (ITEM, UPLOAD):
            await ask("POST", path, json={"other": 1})
            await ask("POST", path, data=b"{", headers={"Content-Type": "application/json"})
        await ask("POST", ITEM, json={"sessionId": NOBODY, **GOOD})
        emulator.lose_account(session_id)
        await ask("POST", ITEM, json={"sessionId": session_id, **GOOD})
        await ask("GET", STATUS, params={"taskId": tasks[-1]})
        await ask("POST", PREPARE)
        emulator.revoke_key()
        for method, path in (("POST", PREPARE), ("POST", ITEM), ("POST", UPLOAD), ("GET", STATUS)):
            await ask(method, path)
    assert {201, 401} <= seen
    assert (402 in seen) == (behaviour.credits is not None)
    assert (429 in seen) == (behaviour.rate_limit is not None)


@pytest.mark.parametrize("ends", ["success", "failed", "timeout", "late"])
async def test_every_end_of_a_task_is_in_the_document(ends: Any) -> None:
    async with emulated(Behaviour(durations=Fixed(0))) as (emulator, caller):
        session_id = await caller.prepare()
        emulator.add_fault(Fault(Outcome(ends, late_after=0)))
        check("GET", STATUS, await caller.status(await caller.submit(session_id)))
        check("GET", STATUS, await caller.status(session_id))


@pytest.mark.parametrize("behaviour", SETTINGS)
async def test_every_answer_of_a_tour_around_the_uploads_is_in_the_document(behaviour: Behaviour) -> None:
    seen: Counter[int] = Counter()
    behaviour = attrs.evolve(behaviour, training=behaviour.durations, generation=behaviour.durations)
    async with emulated(behaviour) as (emulator, caller):

        async def ask(method: str, path: str, **options: Any) -> dict[str, Any]:
            answered = await caller.ask(method, path, **options)
            check(method, path, answered)
            seen[answered.status] += 1
            return answered.json if isinstance(answered.json, dict) else {}

        async def post(path: str, **body: object) -> dict[str, Any]:
            return await ask("POST", f"/suno/v2/{path}", json=body)

        async def result(answer: dict[str, Any]) -> Any:
            return (await ask("GET", STATUS, params={"taskId": answer.get("taskId", NOBODY)})).get("data")

        session_id = (await ask("POST", "/suno/v2/customModel/prepare")).get("sessionId", NOBODY)
        await result({"taskId": session_id})
        clips = [await result(await post("customModel/upload", sessionId=session_id, **GOOD)) for _ in range(6)]
        clip_ids = [(clip or {"id": str(number)})["id"] for number, clip in enumerate(clips)]
        model = await result(await post("customModel/create", sessionId=session_id, clipIds=clip_ids, name="a")) or {}
        song = {"task": "create", "model": model.get("model", "chirp-v55")}
        await result(await post("generate", **song))
        playlist = await post("playlist/create", clip_ids=clip_ids[:4])
        await post("playlist/create", clip_ids=[await result(await post("upload", **GOOD)) or NOBODY, clip_ids[0]])
        await post("generate", task="inspiration", model="chirp-v55", playlist_id=playlist.get("playlist_id", NOBODY))
        stem = await post("getVoxStem", clip_id=clip_ids[0])
        persona = {"clip_id": clip_ids[0], "name": "a", "is_public": True, "persona_type": "vox"}
        await post("persona", **persona, vox_audio_id=stem.get("id", NOBODY))
        await post("persona", **persona)
        await ask("GET", "/suno/v2/generate/schema")
        await ask("GET", "/suno/v2/generate/schema", params={"task": "no"})
        voice = await post("voicePersona/init", voice_audio_url=GOOD["audioUrl"], language="ko")
        await result(voice)
        await post("voicePersona/complete", taskId=voice.get("taskId", NOBODY), **SPOKEN)
        await result(voice)
        await post("voicePersona/complete", taskId=NOBODY, **SPOKEN)
        await ask("GET", "/api-user/credits", headers={"X-API-Key": emulator.api_key})
        for path in BODIES:
            await ask("POST", path, json={"other": 1})
    if behaviour == HEALTHY:
        accepted = {endpoint for endpoint, status in emulator.ledger.counts if status in (200, 201)}
        assert accepted >= set(get_args(Endpoint)) - {"prepare", "item"}
        assert {training.ends for training in emulator.ledger.trainings} == {"success"}
    assert {400, 404} <= set(seen) or behaviour.rate_limit is not None
    assert (402 in seen) == (behaviour.credits is not None)
    assert (429 in seen) == (behaviour.rate_limit is not None)


async def test_a_voice_persona_is_in_the_document_from_beginning_to_either_end() -> None:
    async with emulated(Behaviour(generation=Fixed(10))) as (_, caller):
        body = {"voice_audio_url": GOOD["audioUrl"], "language": "ja"}
        tasks = [(await caller.made("voicePersona/init", **body))["taskId"] for _ in range(2)]
        statuses = []
        for _ in range(6):
            answers = [await caller.status(task_id) for task_id in tasks]
            for answered in answers:
                check("GET", STATUS, answered)
            statuses.append([answered.json["status"] for answered in answers])
            if statuses[-1] == ["awaiting", "awaiting"]:
                await caller.made("voicePersona/complete", taskId=tasks[0], **SPOKEN)
            await asyncio.sleep(9)
        assert statuses[0] == ["queued", "queued"]
        assert ["awaiting", "awaiting"] in statuses
        assert statuses[-1] == ["success", "failed"]


async def test_the_documents_operations_are_all_served_and_ask_for_the_key() -> None:
    served = [(method, path) for path, row in DOCUMENT["paths"].items() for method in row if method != "servers"]
    assert {(method.lower(), path) for path, row in TABLE.items() for method in row} == set(served)
    async with emulated() as (emulator, _), calling(emulator, key="wrong") as stranger:
        for method, path in served:
            assert (await stranger.ask(method.upper(), path)).status == 401


async def test_every_endpoint_can_be_broken_by_its_short_name() -> None:
    names = {operation.endpoint for row in TABLE.values() for operation in row.values()}
    assert names == set(get_args(Endpoint))
    async with emulated() as (emulator, caller):
        for path, row in TABLE.items():
            for method, operation in row.items():
                emulator.add_fault(Fault(Answer(599), on=operation.endpoint))  # type: ignore[arg-type]
                assert (await caller.ask(method, path)).status == 599
                assert emulator.ledger.calls[-1].endpoint == operation.endpoint


def test_the_document_and_the_schema_ask_for_the_same_fields_of_each_kind() -> None:
    request = DOCUMENT["components"]["schemas"]["GenerateRequest"]
    told = {kind: set(rule["required"]) for rule in request["anyOf"] for kind in rule["properties"]["task"]["enum"]}
    assert told == {name: set(kind.required) for name, kind in KINDS.items()}
    assert list(KINDS) == DOCUMENT["components"]["schemas"]["GenerateKind"]["enum"]
    known = {name for kind in KINDS.values() for name in kind.fields}
    assert known == set(request["properties"]) - {"task"}


def call(method: str, path: str, body: object = None, **query: str) -> Call:
    """A request as the ledger notes it."""
    return Call(
        at=0,
        endpoint="other",
        method=method,
        path=path,
        query=query,
        headers={"content-type": "application/json"},
        authorized=True,
        body=b"" if body is None else json.dumps(body).encode(),
    )


@pytest.mark.parametrize("path", BODIES)
def test_a_clients_request_is_held_against_the_document(path: str) -> None:
    good = BODIES[path]
    check_call(call("POST", path, good))
    for name in good:
        with pytest.raises(jsonschema.ValidationError):
            check_call(call("POST", path, {field: value for field, value in good.items() if field != name}))
        with pytest.raises(jsonschema.ValidationError):
            check_call(call("POST", path, {**good, name: {"no": 1}}))
    with pytest.raises(jsonschema.ValidationError):
        check_call(call("POST", path, {**good, "other": 1}))
    with pytest.raises(AssertionError):
        check_call(call("POST", path, good, key="secret"))


@pytest.mark.parametrize("method_and_path", BODILESS)
def test_a_clients_request_without_a_body_has_none_and_only_the_documents_query(
    method_and_path: tuple[str, str],
) -> None:
    method, path = method_and_path
    query = {"taskId": NOBODY} if path == STATUS else {}
    check_call(call(method, path, **query))
    with pytest.raises(AssertionError):
        check_call(call(method, path, {}, **query))
    with pytest.raises(AssertionError):
        check_call(call(method, path, **query, key="secret"))


def test_a_kind_of_generation_that_the_document_does_not_know_is_no_request_of_ours() -> None:
    check_call(call("GET", "/suno/v2/generate/schema", task="mashup"))
    with pytest.raises(jsonschema.ValidationError):
        check_call(call("GET", "/suno/v2/generate/schema", task="remix"))
    with pytest.raises(AssertionError):
        check_call(call("POST", "/suno/v2/remix", {}))
