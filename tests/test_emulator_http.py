"""The emulator's HTTP side: who is let in, what is refused and how. Its caller serves the other tests too."""

from __future__ import annotations

import asyncio
import io
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import attrs
import pytest

from mountsea_async.testing import Behaviour, Emulator, RateLimit

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

PREPARE = "/suno/v2/audio/upload/session"
ITEM = "/suno/v2/audio/upload/session/item"
UPLOAD = "/suno/v2/upload"
STATUS = "/suno/v2/status"
URL = "https://example.com/a.mp3"
NOBODY = "00000000-0000-4000-8000-000000000000"


@attrs.frozen
class Answered:
    status: int
    text: str
    headers: Mapping[str, str]

    @property
    def json(self) -> Any:
        return json.loads(self.text)


@attrs.frozen
class Caller:
    """Speaks to an emulator with plain aiohttp and the right key."""

    http: aiohttp.ClientSession

    async def ask(self, method: str, path: str, **options: Any) -> Answered:
        async with self.http.request(method, path, allow_redirects=False, **options) as response:
            return Answered(response.status, await response.text(), response.headers)

    async def prepare(self) -> str:
        answered = await self.ask("POST", PREPARE)
        assert answered.status == 201
        return str(answered.json["sessionId"])

    async def item(self, session_id: str, url: str = URL) -> Answered:
        return await self.ask("POST", ITEM, json={"sessionId": session_id, "audioUrl": url})

    async def submit(self, session_id: str, url: str = URL) -> str:
        answered = await self.item(session_id, url)
        assert answered.status == 201, answered
        return str(answered.json["taskId"])

    async def upload(self, url: str = URL) -> Answered:
        return await self.ask("POST", UPLOAD, json={"audioUrl": url})

    async def status(self, task_id: str) -> Answered:
        return await self.ask("GET", STATUS, params={"taskId": task_id})

    async def task(self, task_id: str) -> dict[str, Any]:
        answered = await self.status(task_id)
        assert answered.status == 200, answered
        return dict(answered.json)

    async def audio_ids(self, session_id: str) -> list[str]:
        return list((await self.task(session_id))["data"]["audioIds"])

    async def post(self, path: str, /, **body: object) -> Answered:
        return await self.ask("POST", f"/suno/v2/{path}", json=body)

    async def made(self, path: str, /, **body: object) -> Any:
        """Post what must be accepted; return the answer."""
        answered = await self.post(path, **body)
        assert answered.status == 201, answered
        return answered.json

    async def clips(self, count: int) -> list[str]:
        """Upload to a session of its own, where uploads take no time."""
        session_id = await self.prepare()
        for number in range(count):
            await self.submit(session_id, f"{URL}?{number}")
        return await self.audio_ids(session_id)

    async def single_clip(self, url: str = URL) -> str:
        """Upload to whichever account, where uploads take no time."""
        return str((await self.task((await self.upload(url)).json["taskId"]))["data"]["id"])

    async def prepare_model(self) -> str:
        answered = await self.ask("POST", "/suno/v2/customModel/prepare")
        assert answered.status == 201
        return str(answered.json["sessionId"])

    async def model_clips(self, session_id: str, count: int = 6) -> list[str]:
        """Upload to a custom model's session, where uploads take no time."""
        made = [
            await self.made("customModel/upload", sessionId=session_id, audioUrl=f"{URL}?model{number}")
            for number in range(count)
        ]
        return [(await self.task(answer["taskId"]))["data"]["id"] for answer in made]


@asynccontextmanager
async def emulated(behaviour: Behaviour | None = None, **options: Any) -> AsyncIterator[tuple[Emulator, Caller]]:
    async with Emulator(behaviour, **options) as emulator, calling(emulator) as caller:
        yield emulator, caller


@asynccontextmanager
async def calling(emulator: Emulator, key: str | None = None) -> AsyncIterator[Caller]:
    headers = {"Authorization": f"Bearer {emulator.api_key if key is None else key}"}
    async with aiohttp.ClientSession(emulator.base_url, headers=headers) as http:
        yield Caller(http)


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Wait for a condition, at most ten seconds."""
    async with asyncio.timeout(10):
        while not await holds():  # noqa: ASYNC110 - what is waited for is another server's
            await asyncio.sleep(0.005)


@pytest.mark.parametrize(("method", "path"), [("POST", PREPARE), ("POST", ITEM), ("POST", UPLOAD), ("GET", STATUS)])
@pytest.mark.parametrize("header", [None, "Bearer wrong", "Bearer ", "Basic ZTpl", "emulator-key"])
async def test_a_request_without_the_key_is_unauthorized(method: str, path: str, header: str | None) -> None:
    async with emulated() as (emulator, _):
        headers = {} if header is None else {"Authorization": header}
        async with aiohttp.ClientSession(emulator.base_url, headers=headers) as http:
            answered = await Caller(http).ask(method, path)
        assert answered.status == 401
        assert answered.json == {"statusCode": 401, "message": "Unauthorized"}
        assert not emulator.ledger.calls[0].authorized


async def test_a_revoked_key_opens_nothing_any_more() -> None:
    async with emulated() as (emulator, caller):
        session_id = await caller.prepare()
        emulator.revoke_key()
        assert (await caller.status(session_id)).status == 401
        assert (await caller.item(session_id)).status == 401
        assert not emulator.ledger.charges


async def test_an_unknown_path_is_404_and_a_wrong_method_405_with_allow() -> None:
    async with emulated() as (_, caller):
        nowhere = await caller.ask("GET", "/suno/v2/nowhere")
        assert (nowhere.status, nowhere.json["statusCode"]) == (404, 404)
        wrong = await caller.ask("GET", ITEM)
        assert (wrong.status, wrong.headers["Allow"], wrong.json["statusCode"]) == (405, "POST", 405)
        assert (await caller.ask("DELETE", STATUS)).headers["Allow"] == "GET"


async def test_an_unknown_session_or_task_is_404() -> None:
    async with emulated() as (emulator, caller):
        body = {"statusCode": 404, "message": "Task not found", "error": "Not Found"}
        for answered in (await caller.item(NOBODY), await caller.status(NOBODY), await caller.status("x")):
            assert (answered.status, answered.json) == (404, body)
        assert not emulator.ledger.charges


@pytest.mark.parametrize(
    ("body", "messages"),
    [
        ({}, ["sessionId must be a UUID", "audioUrl must be a URL address"]),
        ({"sessionId": "x", "audioUrl": URL}, ["sessionId must be a UUID"]),
        ({"sessionId": 7, "audioUrl": URL}, ["sessionId must be a UUID"]),
        ({"sessionId": NOBODY, "audioUrl": URL, "name": "a"}, ["property name should not exist"]),
    ],
)
async def test_an_invalid_item_is_refused_with_the_frameworks_messages(body: object, messages: list[str]) -> None:
    async with emulated() as (_, caller):
        answered = await caller.ask("POST", ITEM, json=body)
        assert answered.status == 400
        assert answered.json == {"statusCode": 400, "message": messages, "error": "Bad Request"}


@pytest.mark.parametrize(
    "url",
    [
        "",
        "a.mp3",
        "ftp://example.com/a.mp3",
        "https://",
        "https:///a.mp3",
        "https://a b/c",
        "http://[::1",
        None,
        1,
        [],
    ],
)
async def test_an_audio_url_must_be_a_web_address(url: object) -> None:
    async with emulated() as (_, caller):
        answered = await caller.ask("POST", UPLOAD, json={"audioUrl": url})
        assert (answered.status, answered.json["message"]) == (400, ["audioUrl must be a URL address"])


@pytest.mark.parametrize("body", [b"{", b"\xff", b"[]", b"7", b"null", b"[" * 100_000])
async def test_a_body_that_is_no_json_object_is_400(body: bytes) -> None:
    async with emulated() as (_, caller):
        answered = await caller.ask("POST", UPLOAD, data=body, headers={"Content-Type": "application/json"})
        assert (answered.status, answered.json["error"]) == (400, "Bad Request")


async def test_a_body_that_is_not_called_json_counts_as_empty() -> None:
    async with emulated() as (_, caller):
        answered = await caller.ask("POST", UPLOAD, data=json.dumps({"audioUrl": URL}))
        assert (answered.status, answered.json["message"]) == (400, ["audioUrl must be a URL address"])


async def test_the_message_of_a_400_can_be_one_string() -> None:
    async with emulated(Behaviour(message="string")) as (_, caller):
        answered = await caller.ask("POST", ITEM, json={})
        assert answered.json["message"] == "sessionId must be a UUID, audioUrl must be a URL address"


async def test_a_body_beyond_the_cap_is_413() -> None:
    async with emulated() as (emulator, caller):
        answered = await caller.ask("POST", UPLOAD, data=io.BytesIO(b" " * (2 * 1024 * 1024)))
        assert (answered.status, answered.json["statusCode"]) == (413, 413)
        assert not emulator.ledger.charges


@pytest.mark.parametrize("params", [{}, {"taskId": ""}, [("taskId", "a"), ("taskId", "b")]])
async def test_a_status_request_needs_one_task_id(params: Any) -> None:
    async with emulated() as (_, caller):
        assert (await caller.ask("GET", STATUS, params=params)).status == 400


@pytest.mark.parametrize("body", [b"", b"{}", b"{"])
async def test_prepare_does_not_look_at_a_body(body: bytes) -> None:
    async with emulated() as (_, caller):
        answered = await caller.ask("POST", PREPARE, data=body, headers={"Content-Type": "application/json"})
        assert answered.status == 201


@pytest.mark.parametrize("form", ["seconds", "date", "none"])
async def test_requests_beyond_the_rate_limit_are_429(form: Any) -> None:
    async with emulated(Behaviour(rate_limit=RateLimit(0.001, 2, form))) as (_, caller):
        await caller.prepare()
        await caller.prepare()
        refused = await caller.ask("POST", PREPARE)
        assert (refused.status, refused.json["statusCode"]) == (429, 429)
        after = refused.headers.get("Retry-After")
        if form == "seconds":
            assert after is not None
            assert 900 <= int(after) <= 1000
        elif form == "date":
            assert after is not None
            assert after.endswith("GMT")
            assert after > refused.headers["Date"]
        else:
            assert after is None


async def test_the_rate_limit_gives_way_again_with_time() -> None:
    async with emulated(Behaviour(rate_limit=RateLimit(50, 1))) as (_, caller):
        seen = [(await caller.ask("POST", PREPARE)).status for _ in range(3)]
        assert 429 in seen

        async def admitted() -> bool:
            return (await caller.ask("POST", PREPARE)).status == 201

        await until(admitted)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.com", ""])  # noqa: S104 - refused
def test_a_host_that_is_not_loopback_is_refused(host: str) -> None:
    with pytest.raises(ValueError, match="host must be a loopback address"):
        Emulator(host=host)


@pytest.mark.parametrize("options", [{"port": -1}, {"port": 65536}, {"api_key": ""}])
def test_a_port_or_key_that_cannot_be_is_refused(options: Any) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        Emulator(**options)


def test_there_is_no_address_before_the_start() -> None:
    with pytest.raises(RuntimeError, match="before it is started"):
        _ = Emulator().base_url


async def test_the_key_and_port_can_be_chosen() -> None:
    async with Emulator() as first:
        port = int(first.base_url.rpartition(":")[2])
    async with emulated(api_key="other", port=port, host="localhost") as (emulator, caller):
        assert emulator.base_url == f"http://127.0.0.1:{port}"
        await caller.prepare()
