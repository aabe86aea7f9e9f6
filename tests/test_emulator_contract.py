"""Every answer of a tour through the emulator, checked against the contract's document."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from test_emulator_http import ITEM, NOBODY, PREPARE, STATUS, UPLOAD, Answered, calling, emulated

import mountsea_async.testing
from mountsea_async.testing import Behaviour, Fault, Fixed, Outcome, RateLimit

DOCUMENT = yaml.safe_load((Path(mountsea_async.testing.__file__).parent / "openapi.yaml").read_text())
GOOD = {"audioUrl": "https://example.com/a.mp3"}

FORMATS = jsonschema.FormatChecker(["uuid"])


@FORMATS.checks("date-time", raises=ValueError)
def is_utc(value: object) -> bool:
    """Tell whether a value is a moment in UTC; jsonschema alone checks that with a further package only."""
    return isinstance(value, str) and datetime.fromisoformat(value).utcoffset() == timedelta(0)


SETTINGS = [
    Behaviour(durations=Fixed(0)),
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


async def test_the_documents_operations_of_these_tags_are_all_served() -> None:
    async with emulated() as (emulator, _), calling(emulator, key="wrong") as stranger:
        served = [
            (method.upper(), path)
            for path, operations in DOCUMENT["paths"].items()
            for method, operation in operations.items()
            if method in ("get", "post") and {"upload", "task"} & set(operation["tags"])
        ]
        assert len(served) == 4
        for method, path in served:
            assert (await stranger.ask(method, path)).status == 401
