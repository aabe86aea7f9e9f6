"""The routes of an application, without a network before it: what they take, what they give, and whom they let in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock

import pytest
from fastapi import Depends, FastAPI, HTTPException, Request
from httpx import ASGITransport, AsyncClient, Response
from support.names import KEY, urls

from mountsea_async import ClientConfig, ClientStateError, ConfigurationError, JournalBusy, MountseaClient, PollPolicy
from mountsea_async.contrib.fastapi import (
    BatchState,
    ClientDep,
    Supervisor,
    SupervisorDep,
    get_client,
    get_supervisor,
    mountsea_lifespan,
    mountsea_router,
)
from mountsea_async.testing import Answer, Behaviour, Emulator, Fault, Fixed, Outcome

SONGS = urls(6)
QUICK = ClientConfig(poll=PollPolicy(first=0.5, cap=1.0), settle=1.0)
ROUTES = [
    ("POST", ""),
    ("GET", ""),
    ("GET", "/{id}"),
    ("GET", "/{id}/items"),
    ("GET", "/{id}/events"),
    ("GET", "/{id}/view"),
    ("DELETE", "/{id}"),
    ("POST", "/{id}/resume"),
]


def authenticate(request: Request) -> None:
    if request.headers.get("authorization") != "Bearer sesame":
        raise HTTPException(401, "who are you?", {"WWW-Authenticate": "Bearer"})


def application(emulator: Emulator, folder: Path, *, prefix: str = "", mounted: str = "", **settings: Any) -> FastAPI:
    made = mountsea_lifespan(
        folder, client=lambda: MountseaClient(KEY, base_url=emulator.base_url, config=QUICK), **settings
    )
    app = FastAPI(lifespan=made)
    app.include_router(mountsea_router(dependencies=[Depends(authenticate)], prefix=prefix), prefix=mounted)
    return app


async def holds_no_key(answer: Response) -> None:
    assert KEY.encode() not in await answer.aread()
    assert KEY not in repr(answer.headers)


@asynccontextmanager
async def serving(app: FastAPI, authorization: str | None = "Bearer sesame") -> AsyncIterator[AsyncClient]:
    headers = {} if authorization is None else {"Authorization": authorization}
    hooks = {"response": [holds_no_key]}
    transport = ASGITransport(app=app)
    http = AsyncClient(transport=transport, base_url="http://test", headers=headers, event_hooks=hooks)
    async with app.router.lifespan_context(app), http:
        yield http


async def charged_for(emulator: Emulator, uploads: int) -> None:
    async with asyncio.timeout(60):
        while len(emulator.ledger.charges) < uploads:  # noqa: ASYNC110 - the emulator tells nobody
            await asyncio.sleep(0.1)


@pytest.fixture
def world(tmp_path: Path) -> Callable[..., AbstractAsyncContextManager[tuple[AsyncClient, Supervisor, Emulator]]]:
    @asynccontextmanager
    async def make(
        *faults: Fault, behaviour: dict[str, Any] | None = None, **settings: Any
    ) -> AsyncIterator[tuple[AsyncClient, Supervisor, Emulator]]:
        async with Emulator(Behaviour(durations=Fixed(3), faults=faults, **behaviour or {}), api_key=KEY) as emulator:
            app = application(emulator, tmp_path / "batches", **settings)
            async with serving(app) as http:
                yield http, app.state.mountsea_supervisor, emulator

    return make


# --------------------------------------------------------------------------------------------------------- batches
async def test_a_posted_batch_is_answered_at_once_and_can_be_looked_at_to_its_end(world: Any) -> None:
    failing = Fault(Outcome("failed"), url=SONGS[2])
    async with world(failing) as (http, supervisor, _):
        posted = await http.post("/batches", json={"urls": SONGS})
        made = posted.json()
        assert posted.status_code == 202
        assert posted.headers["location"] == made["links"]["self"] == f"/batches/{made['id']}"
        assert (made["state"], made["items"]) == ("queued", 6)
        early = (await http.get(made["links"]["self"])).json()
        assert [item["state"] for item in early["report"]["items"]] == ["new"] * 6
        await supervisor.wait(made["id"])
        whole = (await http.get(made["links"]["self"])).json()
        listed = (await http.get("/batches")).json()
    assert whole["state"] == "finished"
    assert whole["counts"] == {"succeeded": 5, "failed": 1}
    assert whole["report"]["session_id"] == whole["session_id"]
    assert len(whole["report"]["audio_ids"]) == 5
    assert [batch["id"] for batch in listed["batches"]] == [made["id"]]
    assert listed["batches"][0] == {name: value for name, value in whole.items() if name != "report"}


async def test_entries_may_carry_keys_and_metadata_and_come_back_with_them(world: Any) -> None:
    entries = [SONGS[0], {"audio_url": SONGS[1] + "?sig=SECRET", "key": "two", "metadata": {"n": 2}}, SONGS[0]]
    async with world() as (http, supervisor, emulator):
        made = (await http.post("/batches", json={"urls": entries, "keep_duplicates": True})).json()
        await supervisor.wait(made["id"])
        answer = await http.get(made["links"]["self"])
    items = answer.json()["report"]["items"]
    assert [(item["key"], item["metadata"]) for item in items] == [(None, {}), ("two", {"n": 2}), (None, {})]
    assert "SECRET" not in answer.text
    assert len(emulator.ledger.charges) == 3


async def test_a_repeated_post_with_the_same_key_is_the_same_batch(world: Any) -> None:
    async with world() as (http, supervisor, emulator):
        headers = {"Idempotency-Key": "mine"}
        first = await http.post("/batches", json={"urls": SONGS}, headers=headers)
        second = await http.post("/batches", json={"urls": SONGS}, headers=headers)
        await supervisor.wait(first.json()["id"])
        third = await http.post("/batches", json={"urls": SONGS}, headers=headers)
        other = await http.post("/batches", json={"urls": SONGS[1:]}, headers=headers)
    assert [answer.status_code for answer in (first, second, third, other)] == [202, 202, 202, 409]
    assert first.json()["id"] == second.json()["id"] == third.json()["id"]
    assert ["idempotent-replayed" in answer.headers for answer in (first, second, third)] == [False, True, True]
    assert other.json()["error"] == "BatchConflict"
    assert len(emulator.ledger.charges) == 6


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"urls": []}, "empty"),
        ({"urls": ["ftp://a.example/b"]}, "http"),
        ({"urls": ["http://127.0.0.1/b"]}, "private"),
        ({"urls": "https://a.example/b"}, "urls"),
        ({"urls": [{"audio_url": "https://a.example/b", "mood": 1}]}, "mood"),
        (
            {
                "urls": [
                    {"audio_url": "https://a.example/1", "key": "a"},
                    {"audio_url": "https://a.example/2", "key": "a"},
                ]
            },
            "key",
        ),
        ({"urls": SONGS, "speed": 9}, "speed"),
        ({}, "urls"),
        (SONGS, "dictionary"),
        ({"urls": urls(101)}, "at most 100"),
    ],
    ids=str,
)
async def test_bad_input_is_refused_with_what_is_wrong_and_nothing_is_kept(world: Any, body: Any, said: str) -> None:
    async with world(max_items=100) as (http, supervisor, emulator):
        answer = await http.post("/batches", json=body)
        assert supervisor.summaries() == []
    assert answer.status_code == 422
    assert said in answer.text
    assert not emulator.ledger.calls


async def test_too_many_batches_are_turned_away_with_a_time_to_come_back(world: Any) -> None:
    async with world(at_once=1, queued=1) as (http, supervisor, _):
        kept = [(await http.post("/batches", json={"urls": urls(2, stem=stem)})) for stem in "ab"]
        refused = await http.post("/batches", json={"urls": urls(2, stem="c")})
        assert [answer.status_code for answer in kept] == [202, 202]
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) > 0
        for answer in kept:
            await supervisor.wait(answer.json()["id"])


async def test_batches_are_listed_page_by_page(world: Any) -> None:
    async with world() as (http, supervisor, _):
        made = [(await http.post("/batches", json={"urls": urls(1, stem=stem)})).json()["id"] for stem in "abcde"]
        seen, before = [], None
        while True:
            page = (await http.get("/batches", params={"limit": 2} | ({"before": before} if before else {}))).json()
            seen += [batch["id"] for batch in page["batches"]]
            assert len(page["batches"]) <= 2
            if (before := page["next"]) is None:
                break
        unknown = await http.get("/batches", params={"before": "nobody"})
        for one in made:
            await supervisor.wait(one)
    assert seen == made[::-1]
    assert unknown.status_code == 404


async def test_items_are_given_page_by_page_and_by_state(world: Any) -> None:
    async with world(Fault(Outcome("failed"), url="*-0000[13].mp3")) as (http, supervisor, _):
        made = (await http.post("/batches", json={"urls": SONGS})).json()
        await supervisor.wait(made["id"])
        seen, after = [], -1
        while after is not None:
            page = (await http.get(made["links"]["items"], params={"limit": 4, "after": after})).json()
            seen += [item["index"] for item in page["items"]]
            assert page["total"] == 6
            after = page["next"]
        failed = (await http.get(made["links"]["items"], params={"state": "failed"})).json()
        either = (await http.get(made["links"]["items"], params={"state": ["failed", "succeeded"]})).json()
        wrong = await http.get(made["links"]["items"], params={"state": "sad"})
    assert seen == list(range(6))
    assert [item["index"] for item in failed["items"]] == [1, 3]
    assert (failed["next"], failed["total"], either["total"]) == (None, 2, 6)
    assert wrong.status_code == 422


async def test_a_deleted_batch_submits_nothing_more_and_can_be_resumed(world: Any) -> None:
    async with world(behaviour={"latency": 0.2}, concurrency=2) as (http, supervisor, emulator):
        made = (await http.post("/batches", json={"urls": urls(40)})).json()
        await charged_for(emulator, 1)
        deleted = await http.delete(made["links"]["self"])
        too_early = await http.post(made["links"]["self"] + "/resume")
        await supervisor.wait(made["id"])
        ended = (await http.get(made["links"]["self"])).json()
        charged = len(emulator.ledger.charges)
        resumed = await http.post(made["links"]["self"] + "/resume", params={"retry_failed": True})
        await supervisor.wait(made["id"])
        whole = (await http.get(made["links"]["self"])).json()
    assert (deleted.status_code, deleted.json()["state"]) == (202, "stopping")
    assert too_early.status_code == 409
    assert (ended["state"], ended["stopped"], ended["counts"]["succeeded"]) == ("finished", "deleted", charged)
    assert resumed.status_code == 202
    assert whole["counts"] == {"succeeded": 40}
    assert emulator.ledger.paid_twice() == {}


async def test_a_batch_that_is_not_there_is_not_found_on_any_route(world: Any) -> None:
    async with world() as (http, *_):
        for method, path in ROUTES[2:]:
            answer = await http.request(method, "/batches" + path.format(id="0" * 32))
            assert (answer.status_code, answer.json()["error"]) == (404, "BatchNotFound"), path


async def test_the_journals_troubles_are_told_without_this_machines_paths(
    world: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world() as (http, supervisor, _):
        made = (await http.post("/batches", json={"urls": SONGS})).json()
        await supervisor.wait(made["id"])
        (tmp_path / "batches" / f"{made['id']}.journal").write_bytes(b"damaged" * 1000)
        answers = [await http.get(made["links"][name]) for name in ("self", "items", "view")]
    assert {answer.status_code for answer in answers} <= {500, 409}
    assert not any(str(tmp_path) in answer.text for answer in answers)


# ------------------------------------------------------------------------------------------------------- the events
async def test_the_stream_of_a_batch_that_has_ended_is_whole_and_ends(world: Any) -> None:
    async with world() as (http, supervisor, _):
        made = (await http.post("/batches", json={"urls": SONGS})).json()
        await supervisor.wait(made["id"])
        whole = await http.get(made["links"]["events"])
        ids = [int(line[3:]) for line in whole.text.splitlines() if line.startswith("id:")]
        rest = await http.get(made["links"]["events"], headers={"Last-Event-ID": str(ids[-3])})
        over = await http.get(made["links"]["events"], headers={"Last-Event-ID": str(ids[-1])})
        wrong = [
            (await http.get(made["links"]["events"], headers={"Last-Event-ID": bad})).status_code
            for bad in ("x", "-1", "1.5", "9" * 40, "1 2")
        ]
    assert whole.headers["content-type"].startswith("text/event-stream")
    assert ids == list(range(len(ids)))
    assert [line for line in rest.text.splitlines() if line.startswith("id:")] == [f"id: {ids[-2]}", f"id: {ids[-1]}"]
    assert whole.text.rstrip().splitlines()[-2] == "event: batch"
    assert over.status_code == 204
    assert wrong == [422] * 5


async def test_a_stream_that_can_not_go_on_says_so_and_one_that_can_not_begin_is_refused(
    world: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world() as (http, supervisor, _):
        made = (await http.post("/batches", json={"urls": SONGS})).json()
        await supervisor.wait(made["id"])
        with monkeypatch.context() as patch:
            patch.setattr(Supervisor, "has_events", AsyncMock(return_value=True))
            (tmp_path / "batches" / f"{made['id']}.journal").write_bytes(b"damaged" * 1000)
            broken = await http.get(made["links"]["events"])
        refused = await http.get(made["links"]["events"])
    assert broken.status_code == 200
    assert broken.text.startswith("event: error\n")
    assert str(tmp_path) not in broken.text + refused.text
    assert refused.status_code in (409, 500)


# ---------------------------------------------------------------------------------------------------- who is let in
@pytest.mark.parametrize("authorization", [None, "Bearer wrong"])
@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_whoever_is_not_let_in_gets_401_on_every_route(
    tmp_path: Path, method: str, path: str, authorization: str | None
) -> None:
    async with Emulator(api_key=KEY) as emulator:
        app = application(emulator, tmp_path)
        async with serving(app, authorization) as http:
            answer = await http.request(method, "/batches" + path.format(id="0" * 32), json={"urls": SONGS})
    assert answer.status_code == 401
    assert not emulator.ledger.calls


def test_these_are_all_the_routes() -> None:
    router = mountsea_router()
    found = {(method, route.path) for route in router.routes for method in route.methods}  # type: ignore[attr-defined]
    assert found == {(method, "/batches" + path.format(id="{batch_id}")) for method, path in ROUTES}


async def test_links_are_right_wherever_the_router_is_mounted(tmp_path: Path) -> None:
    async with Emulator(api_key=KEY) as emulator:
        app = application(emulator, tmp_path, prefix="/audio", mounted="/v1")
        async with serving(app) as http:
            made = (await http.post("/v1/audio/batches", json={"urls": SONGS})).json()
            for link in ("self", "items"):
                assert (await http.get(made["links"][link])).status_code == 200
    assert made["links"]["events"] == f"/v1/audio/batches/{made['id']}/events"


async def test_links_stand_beside_the_request_whatever_the_prefix_and_however_many_routers(tmp_path: Path) -> None:
    async with Emulator(api_key=KEY) as emulator:
        app = application(emulator, tmp_path, prefix="/first")
        app.include_router(mountsea_router(prefix="/tenants/{tenant}"))
        async with serving(app) as http:
            first = (await http.post("/first/batches", json={"urls": SONGS[:1]})).json()
            second = (await http.post("/tenants/batches/batches", json={"urls": SONGS[1:2]})).json()
            for made in (first, second):
                assert (await http.get(made["links"]["items"])).status_code == 200
    assert first["links"]["self"] == f"/first/batches/{first['id']}"
    assert second["links"]["self"] == f"/tenants/batches/batches/{second['id']}"


# ------------------------------------------------------------------------------------------ what may be said outside
async def test_a_refusal_of_the_input_repeats_nothing_of_it(world: Any) -> None:
    async with world() as (http, *_):
        answer = await http.post("/batches", json={"urls": [{"audio_url": "https://a.b/c?X-Sig=SECRET", "mood": 1}]})
    assert answer.status_code == 422
    assert "mood" in answer.text
    assert "SECRET" not in answer.text


@pytest.mark.parametrize("metadata", ['{"a": "\\ud800"}', '{"a": ' + "[" * 60 + "]" * 60 + "}"], ids=["half", "deep"])
async def test_metadata_that_no_answer_can_hold_is_refused(world: Any, metadata: str) -> None:
    body = f'{{"urls": [{{"audio_url": "{SONGS[0]}", "metadata": {metadata}}}]}}'
    async with world() as (http, supervisor, _):
        answer = await http.post("/batches", content=body, headers={"Content-Type": "application/json"})
        assert supervisor.summaries() == []
    assert answer.status_code == 422
    assert "metadata" in answer.text


async def test_metadata_comes_back_as_it_was_sent(world: Any) -> None:
    metadata: dict[str, Any] = {"deep": [[[[1, {"x": None}]]]], "text": "ünïcødé 🎵", "number": 1.5}
    async with world() as (http, supervisor, _):
        entry = {"audio_url": SONGS[0], "metadata": metadata}
        made = (await http.post("/batches", json={"urls": [entry]})).json()
        await supervisor.wait(made["id"])
        (item,) = (await http.get(made["links"]["items"])).json()["items"]
    assert item["metadata"] == metadata


async def test_an_answer_names_so_many_entries_at_fault_and_no_more(world: Any) -> None:
    async with world() as (http, *_):
        answer = await http.post("/batches", json={"urls": [f"ftp://a.example/{n}" for n in range(5000)]})
    assert answer.status_code == 422
    assert len(answer.json()["problems"]) == 100


async def test_why_an_item_was_turned_away_is_told_and_no_path_of_this_machine(
    world: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = Fault(Answer(400, b'{"message": "no audio in it"}'), url=SONGS[1])
    async with world(bad, concurrency=1) as (http, supervisor, _):
        made = (await http.post("/batches", json={"urls": SONGS})).json()
        await supervisor.wait(made["id"])
        answers = [await http.get(made["links"][name]) for name in ("self", "items", "events", "view")]
    for answer in answers:
        assert "no audio in it" in answer.text
        assert str(tmp_path) not in answer.text


# ------------------------------------------------------------------------------------- the lifespan, the dependencies
async def test_a_lifespan_within_another_gives_back_what_it_took(tmp_path: Path) -> None:
    async with Emulator(api_key=KEY) as emulator:
        outer = mountsea_lifespan(client=lambda: MountseaClient(KEY, base_url=emulator.base_url))
        inner = mountsea_lifespan(tmp_path, client=lambda: MountseaClient(KEY, base_url=emulator.base_url))
        app = FastAPI()
        request: Any = Request({"type": "http", "app": app})
        async with outer(app):
            before = get_client(request)
            async with inner(app):
                assert get_client(request) is not before
            assert get_client(request) is before
            with pytest.raises(ClientStateError):
                get_supervisor(request)


async def test_the_client_and_the_supervisor_are_there_for_routes_and_can_be_replaced(tmp_path: Path) -> None:
    async with Emulator(api_key=KEY) as emulator:
        events: list[str] = []

        @asynccontextmanager
        async def own(app: FastAPI) -> AsyncIterator[None]:
            events.append("begin")
            made = mountsea_lifespan(tmp_path, client=lambda: MountseaClient(KEY, base_url=emulator.base_url))
            async with made(app):
                yield
            events.append("end")

        app = FastAPI(lifespan=own)

        @app.get("/credits")
        async def credits_left(client: ClientDep, supervisor: SupervisorDep) -> dict[str, Any]:
            return {"client": repr(client), "batches": len(supervisor.summaries())}

        async with serving(app) as http:
            assert (await http.get("/credits")).json() == {
                "client": f"MountseaClient(base_url={emulator.base_url!r})",
                "batches": 0,
            }
            stand_in = MountseaClient("other", base_url="http://127.0.0.1:9")
            app.dependency_overrides[get_client] = lambda: stand_in
            assert "127.0.0.1:9" in (await http.get("/credits")).json()["client"]
        assert events == ["begin", "end"]
        for missing in (get_client, get_supervisor):
            request: Any = Request({"type": "http", "app": app})
            with pytest.raises(ClientStateError, match="mountsea_lifespan"):
                missing(request)


async def test_without_a_folder_there_is_a_client_and_no_supervisor(tmp_path: Path) -> None:
    async with Emulator(api_key=KEY) as emulator:
        app = FastAPI(lifespan=mountsea_lifespan(client=lambda: MountseaClient(KEY, base_url=emulator.base_url)))
        app.include_router(mountsea_router())
        async with app.router.lifespan_context(app):
            request: Any = Request({"type": "http", "app": app})
            assert await get_client(request).upload_batch(SONGS[:2])
            with pytest.raises(ClientStateError, match="no supervisor"):
                get_supervisor(request)


async def test_an_application_does_not_start_without_a_key_or_with_anothers_folder(tmp_path: Path) -> None:
    app = FastAPI(lifespan=mountsea_lifespan(tmp_path))
    with pytest.raises(ConfigurationError, match="MOUNTSEA_API_KEY"):
        async with app.router.lifespan_context(app):
            pass
    async with Emulator(api_key=KEY) as emulator:
        first = application(emulator, tmp_path)
        second = application(emulator, tmp_path)
        async with serving(first):
            with pytest.raises(JournalBusy, match="Run one worker"):
                async with serving(second):
                    pass
        async with serving(second):
            pass


async def test_unfinished_batches_go_on_when_the_application_starts_again(tmp_path: Path) -> None:
    async with Emulator(Behaviour(durations=Fixed(3), latency=0.1), api_key=KEY) as emulator:
        app = application(emulator, tmp_path, concurrency=2)
        async with serving(app) as http:
            made = (await http.post("/batches", json={"urls": urls(30)})).json()
            await charged_for(emulator, 5)
        app = application(emulator, tmp_path)
        async with serving(app) as http:
            supervisor: Supervisor = app.state.mountsea_supervisor
            assert (await supervisor.wait(made["id"])).ok
            assert supervisor.summary(made["id"]).state is BatchState.FINISHED
    assert emulator.ledger.paid_twice() == {}
    assert len(emulator.ledger.charges) == 30
