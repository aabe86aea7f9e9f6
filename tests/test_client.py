"""`MountseaClient`: what it refuses before anything is sent, and what it does besides batches."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import aiohttp
import pytest
from support.names import KEY, urls

from mountsea_async import (
    ClientConfig,
    ClientStateError,
    ConfigurationError,
    DeadlineError,
    InputError,
    MountseaClient,
    NotFoundError,
    Pace,
    PollPolicy,
    RateLimitedError,
    StalledError,
    TaskFailedError,
    TaskLostError,
    TaskTimedOutError,
    Timeouts,
    UnknownOutcomeError,
    UsageError,
)
from mountsea_async.testing import Answer, Behaviour, Cut, Fault, Fixed, Hang, Outcome, Reshape, rate_limited

# ---------------------------------------------------------------------------------------------------- bad input
BAD_KEYS = {
    "none": (None, "no API key: set the environment variable MOUNTSEA_API_KEY"),
    "empty": ("", "api_key is empty"),
    "blank": ("  ", "api_key is empty"),
    "newline": (KEY + "\n", "api_key holds a newline at position"),
    "space": ("a b", "api_key holds a space at position 1"),
    "unicode": ("schlüssel", "no header can hold"),
    "bytes": (b"key", "api_key is a bytes"),
}


@pytest.mark.parametrize(("key", "message"), BAD_KEYS.values(), ids=BAD_KEYS)
def test_a_key_that_cannot_be_sent_is_refused_without_being_shown(key: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as caught:
        MountseaClient(key)
    assert KEY not in str(caught.value)


def test_the_key_and_the_address_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOUNTSEA_API_KEY", KEY)
    monkeypatch.setenv("MOUNTSEA_BASE_URL", "https://elsewhere.example/api/")
    assert repr(MountseaClient()) == "MountseaClient(base_url='https://elsewhere.example/api')"
    monkeypatch.setenv("MOUNTSEA_API_KEY", KEY + "\r\n")
    with pytest.raises(ConfigurationError, match="MOUNTSEA_API_KEY holds a carriage return"):
        MountseaClient()


BAD_BASE_URLS = {
    "no scheme": ("api.mountsea.ai", "no http"),
    "other scheme": ("ftp://api.mountsea.ai", "no http"),
    "no host": ("https://", "no http"),
    "bad port": ("https://host:port", "no URL"),
    "query": ("https://host/?a=secret", "more than host and path"),
    "credentials": ("https://user:secret@host", "more than host and path"),
    "space": ("https://ho st", "more than host and path"),
    "plain http": ("http://api.mountsea.ai", "unencrypted"),
    "plain http to a private host": ("http://10.0.0.1", "unencrypted"),
    "plain http to a look-alike": ("http://localhost.example.com", "unencrypted"),
    "number": (5, "no URL"),
    "empty": ("", "no http"),
}


@pytest.mark.parametrize(("base_url", "message"), BAD_BASE_URLS.values(), ids=BAD_BASE_URLS)
def test_a_base_url_that_is_none_is_refused_and_named(base_url: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as caught:
        MountseaClient(KEY, base_url=base_url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "base_url", ["http://127.0.0.1:1", "http://localhost", "http://[::1]:8000", "https://a.example"]
)
def test_plain_http_is_let_through_to_loopback_only(base_url: str) -> None:
    MountseaClient(KEY, base_url=base_url)


def test_plain_http_to_another_machine_is_the_users_own_word() -> None:
    MountseaClient(KEY, base_url="http://gateway.internal", config=ClientConfig(allow_http=True))


BAD_CALLS: dict[str, tuple[Any, dict[str, Any], str]] = {
    "empty batch": ([], {}, "the batch is empty"),
    "one string": ("https://a.example/x.mp3", {}, r"write \[url\]"),
    "no iterable": (7, {}, "not int"),
    "not http": (["https://a.example/1.mp3", "ftp://a.example/2.mp3"], {}, r"entry 1 \('ftp://a.example/2.mp3'\)"),
    "spaces": (["https://a.example/my song.mp3"], {}, "a space at position 20: percent-encode"),
    "credentials": (["https://user:pw@a.example/x.mp3"], {}, "credentials"),
    "no host": (["https:///x.mp3"], {}, "no host"),
    "loopback": (["http://127.0.0.1/x.mp3"], {}, "allow_private"),
    "private": (["http://192.168.1.9/x.mp3"], {}, "can't reach '192.168.1.9'"),
    "none": ([None], {}, "not NoneType"),
    "concurrency 0": (urls(1), {"concurrency": 0}, "concurrency=0: give a whole number from 1 to 100"),
    "concurrency 101": (urls(1), {"concurrency": 101}, "concurrency=101: give a whole number from 1 to 100"),
    "concurrency 1.5": (urls(1), {"concurrency": 1.5}, "concurrency=1.5"),
    "deadline -1": (urls(1), {"deadline": -1}, "deadline=-1: give seconds above 0"),
    "deadline 0": (urls(1), {"deadline": 0}, "deadline=0"),
    "deadline text": (urls(1), {"deadline": "soon"}, "deadline='soon'"),
    "session id": (urls(1), {"session_id": " "}, "session_id=' '"),
    "on_event": (urls(1), {"on_event": 3}, "on_event"),
}


@pytest.mark.parametrize(("batch", "settings", "message"), BAD_CALLS.values(), ids=BAD_CALLS)
async def test_a_bad_batch_is_refused_before_anything_is_sent(
    world, batch: Any, settings: dict[str, Any], message: str
) -> None:
    w = await world()
    with pytest.raises(UsageError, match=message):
        await w.client.upload_batch(batch, **settings)
    assert w.ledger.calls == ()


async def test_private_addresses_pass_if_asked_for(world) -> None:
    w = await world(Behaviour(durations=Fixed(1)))
    report = await w.client.upload_batch(["http://127.0.0.1:9/x.mp3"], allow_private=True)
    assert report.ok


async def test_a_client_outside_its_block_says_so() -> None:
    client = MountseaClient(KEY, base_url="http://127.0.0.1:1")
    with pytest.raises(ClientStateError, match="isn't open yet: use it inside `async with"):
        await client.upload_batch(urls(1))
    async with client:
        with pytest.raises(ClientStateError, match="open already"):
            await client.__aenter__()
    with pytest.raises(ClientStateError, match="is closed"):
        await client.task("x").status()


async def test_a_client_in_another_event_loop_says_so() -> None:
    async with MountseaClient(KEY, base_url="http://127.0.0.1:1") as client:

        def elsewhere() -> None:
            with pytest.raises(ClientStateError, match="another event loop"):
                asyncio.run(client.upload_batch(urls(1)))

        await asyncio.get_running_loop().run_in_executor(None, elsewhere)


@pytest.mark.parametrize("limits", [{"limit": 8}, {"limit": 0, "limit_per_host": 8}], ids=str)
async def test_a_borrowed_session_with_too_small_a_pool_is_refused(limits: dict[str, int]) -> None:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(**limits)) as http:
        async with MountseaClient(KEY, base_url="http://127.0.0.1:1", http=http) as client:
            with pytest.raises(ConfigurationError, match="pool holds 8 connections"):
                await client.upload_batch(urls(1), concurrency=9)
        with pytest.raises(ConfigurationError, match=r"fewer than the pace's 50"):
            async with MountseaClient(KEY, base_url="http://127.0.0.1:1", http=http, pace=Pace(50)):
                pass


# ------------------------------------------------------------------------------------------- borrowing, sharing
async def test_a_borrowed_session_is_used_and_stays_open(world) -> None:
    w = await world(Behaviour(durations=Fixed(1)))
    async with aiohttp.ClientSession(headers={"X-Mine": "1"}, raise_for_status=True) as http:
        async with MountseaClient(KEY, base_url=w.emulator.base_url, http=http) as client:
            assert (await client.upload_batch(urls(3))).ok
        assert not http.closed
    assert {call.headers.get("x-mine") for call in w.ledger.calls} == {"1"}


async def test_requests_say_who_sends_them(world) -> None:
    w = await world(Behaviour(durations=Fixed(1)))
    await w.client.upload_batch(urls(1))
    assert all(call.headers["user-agent"].startswith("mountsea-async/") for call in w.ledger.calls)
    assert all(call.authorized for call in w.ledger.calls)


async def test_clients_that_share_a_pace_pause_together(world) -> None:
    w = await world(Behaviour(durations=Fixed(1), faults=(Fault(rate_limited(50), nth=1),)))
    pace = Pace()
    at = {"base_url": w.emulator.base_url, "pace": pace}
    async with MountseaClient(KEY, **at) as one, MountseaClient(KEY, **at) as other:
        first = asyncio.create_task(one.upload_batch(urls(1)))
        await asyncio.sleep(1)
        second = asyncio.create_task(other.upload_batch(urls(1, stem="other")))
        assert (await first).ok
        assert (await second).ok
    times = sorted(call.at for call in w.ledger.calls if call.status != 429)
    refused = next(call.at for call in w.ledger.calls if call.status == 429)
    assert not [at for at in times if refused < at < refused + 50]


# ------------------------------------------------------------------------------------------------ single uploads
async def test_a_single_upload_gives_its_clip(world) -> None:
    w = await world(Behaviour(durations=Fixed(20)))
    clip = await w.client.upload(urls(1)[0])
    assert clip.id == w.ledger.charges[0].clip_id
    assert w.ledger.requests("prepare") == 0


@pytest.mark.parametrize(
    ("ends", "error"), [("failed", TaskFailedError), ("timeout", TaskTimedOutError)], ids=["failed", "timeout"]
)
async def test_a_single_upload_that_comes_to_nothing_raises_with_its_task(world, ends: Any, error: Any) -> None:
    w = await world(Behaviour(durations=Fixed(2), faults=(Fault(Outcome(ends), on="upload"),)))
    with pytest.raises(error) as caught:
        await w.client.upload(urls(1)[0])
    assert caught.value.task_id == w.ledger.charges[0].task_id


async def test_a_single_upload_without_an_answer_is_not_repeated(world) -> None:
    w = await world(Behaviour(faults=(Fault(Cut(after_work=True), on="upload"),)))
    with pytest.raises(UnknownOutcomeError):
        await w.client.upload(urls(1)[0])
    assert w.ledger.posts(urls(1)[0]) == 1


async def test_a_single_upload_checks_its_url_first(world) -> None:
    w = await world()
    with pytest.raises(InputError):
        await w.client.upload("file:///etc/passwd")
    assert w.ledger.calls == ()


# -------------------------------------------------------------------------------------------------------- tasks
async def test_a_task_is_followed_from_its_id(world) -> None:
    w = await world(Behaviour(durations=Fixed(30)))
    async with w.client.upload_session() as session:
        handle = await session.submit(urls(1)[0])
        again = w.client.task(handle.task_id)
        assert (await again.status()).ended is False
        task = await again.wait()
    assert task.status == "success"
    assert task.clip is not None
    assert task.finished_at is not None
    assert (await w.client.task(handle.task_id).status()).clip == task.clip


async def test_a_single_upload_is_followed_by_its_handle(world) -> None:
    w = await world(Behaviour(durations=Fixed(30)))
    handle = await w.client.submit_upload(urls(1)[0])
    assert [charge.task_id for charge in w.ledger.charges] == [handle.task_id]
    assert (await handle.wait()).clip.id in w.ledger.clip_ids()


async def test_a_task_is_yielded_whenever_its_status_is_another_one(world) -> None:
    w = await world(Behaviour(durations=Fixed(30), parallel=1))
    first, second = [await w.client.submit_upload(url) for url in urls(2)]
    seen = [task.status async for task in second]
    assert seen[0] in ("ready", "queued", "running")
    assert seen[-1] == "success"
    assert len(set(seen)) == len(seen)
    assert [task.status async for task in first] == ["success"]


async def test_a_success_without_its_clip_is_yielded_once_it_is_over(world) -> None:
    w = await world(Behaviour(durations=Fixed(3), faults=(Fault(Outcome("blank"), on="upload"),)))
    handle = await w.client.submit_upload(urls(1)[0])
    assert [task.status async for task in handle].count("success") == 1


async def test_a_task_that_stalls_ends_its_iteration_with_an_error(world) -> None:
    w = await world(Behaviour(durations=Fixed(1e6)), config=ClientConfig(poll=PollPolicy(stall=700)))
    handle = await w.client.submit_upload(urls(1)[0])
    with pytest.raises(StalledError, match="stayed running for 700 s") as caught:
        _ = [task async for task in handle]
    assert caught.value.task_id == handle.task_id


async def test_any_asynchronous_endpoint_can_be_called_and_followed(world) -> None:
    w = await world(Behaviour(durations=Fixed(5)))
    handle = await w.client.submit("/suno/v2/upload", {"audioUrl": urls(1)[0]})
    assert (await handle.wait()).clip.id in w.ledger.clip_ids()
    assert w.ledger.posts(urls(1)[0]) == 1


async def test_such_a_call_is_not_repeated_when_its_answer_is_lost(world) -> None:
    w = await world(Behaviour(faults=(Fault(Cut(after_work=True), on="upload"),)))
    with pytest.raises(UnknownOutcomeError):
        await w.client.submit("/suno/v2/upload", {"audioUrl": urls(1)[0]})
    assert w.ledger.posts(urls(1)[0]) == 1


BAD_SUBMITS: dict[str, tuple[Any, Any, str]] = {
    "no path": ("", {}, "path=''"),
    "a whole URL": ("https://api.example/suno", {}, "path="),
    "another host": ("//api.example/suno", {}, "path="),
    "a query": ("/suno/v2/lyrics?key=1", {}, "path="),
    "a step up": ("/suno/../v1", {}, "path="),
    "a line break": ("/suno/v2/lyrics\r\nX: 1", {}, "path="),
    "not a string": (7, {}, "path=7"),
    "no mapping": ("/suno/v2/lyrics", ["a"], "not list"),
    "no JSON": ("/suno/v2/lyrics", {"prompt": b"x"}, "bytes is not JSON serializable"),
    "no number": ("/suno/v2/lyrics", {"prompt": float("nan")}, "can't be written as JSON"),
    "too long": ("/suno/v2/lyrics", {"prompt": "x" * 40_000}, "at most 32768"),
}


@pytest.mark.parametrize(("path", "payload", "message"), BAD_SUBMITS.values(), ids=BAD_SUBMITS)
async def test_a_call_that_can_not_be_sent_is_refused_before_it_is(
    world, path: Any, payload: Any, message: str
) -> None:
    w = await world()
    with pytest.raises(InputError, match=message):
        await w.client.submit(path, payload)
    assert w.ledger.calls == ()


async def test_a_session_is_a_task_too(world) -> None:
    w = await world(Behaviour(durations=Fixed(1)))
    report = await w.client.upload_batch(urls(2))
    task = await w.client.task(report.session_id).status()
    assert task.ended
    assert set(task.data.audio_ids) == set(report.audio_ids)


async def test_waiting_ends_at_the_deadline_and_names_the_task(world) -> None:
    w = await world(Behaviour(durations=Fixed(1000)))
    async with w.client.upload_session(deadline=60) as session:
        handle = await session.submit(urls(1)[0])
        with pytest.raises(DeadlineError, match="still running after 20 s") as caught:
            await handle.wait(deadline=20)
    assert caught.value.task_id == handle.task_id


async def test_waiting_without_a_deadline_ends_when_nothing_moves(world) -> None:
    w = await world(Behaviour(durations=Fixed(1e6)))
    async with w.client.upload_session(deadline=2) as session:
        handle = await session.submit(urls(1)[0])
    with pytest.raises(StalledError, match="stayed running for 600 s"):
        await handle.wait()


async def test_an_unknown_task_is_not_found(world) -> None:
    w = await world()
    with pytest.raises(NotFoundError) as caught:
        await w.client.task("no-such-task").status()
    assert caught.value.task_id == "no-such-task"
    with pytest.raises(TaskLostError):
        await w.client.task("no-such-task").wait()


@pytest.mark.parametrize("task_id", ["", " ", None, 5, "a\nb"], ids=repr)
async def test_a_task_id_that_is_none_is_refused(world, task_id: Any) -> None:
    w = await world()
    with pytest.raises(InputError, match="task_id="):
        w.client.task(task_id)


async def test_one_status_is_asked_again_after_trouble(world) -> None:
    w = await world(Behaviour(durations=Fixed(1)))
    report = await w.client.upload_batch(urls(1))
    for effect in (Answer(500), Cut(), Answer(200, "<html>"), Hang()):
        w.emulator.add_fault(Fault(effect, on="status", times=1))
    assert (await w.client.task(report.session_id).status()).ended


async def test_settings_reach_the_wire(world) -> None:
    config = ClientConfig(timeouts=Timeouts(submit=5), poll=PollPolicy(first=40))
    w = await world(Behaviour(durations=Fixed(1), faults=(Fault(Hang(), nth=1),)), config=config)
    loop = asyncio.get_running_loop()
    began = loop.time()
    report = await w.client.upload_batch(urls(2))
    assert report.items[0].state == "unknown"
    assert loop.time() - began >= 40


async def test_a_status_that_is_new_to_us_is_told_once(world, caplog: pytest.LogCaptureFixture) -> None:
    w = await world(
        Behaviour(durations=Fixed(9), faults=(Fault(Reshape({"status": "marinating"}), on="status", times=9),))
    )
    with caplog.at_level(logging.WARNING, logger="mountsea_async"):
        assert (await w.client.upload_batch(urls(3))).ok
    told = [record for record in caplog.records if record.message == "task.unknown_status"]
    assert [record.task_status for record in told] == ["marinating"]


async def test_a_call_that_is_always_refused_ends_though_others_are_served(world) -> None:
    w = await world(
        Behaviour(durations=Fixed(5000), faults=(Fault(rate_limited(5), on="prepare", after=1),)),
    )
    async with w.client.upload_session(deadline=4000) as session:
        await session.submit(urls(1)[0])
        with pytest.raises(RateLimitedError):
            await w.client.upload_batch(urls(1, stem="other"))


async def test_waiting_ends_when_a_status_only_goes_back_and_forth(world) -> None:
    faults = (
        Fault(Reshape({"status": "queued"}), on="status", every=2),
        Fault(Reshape({"status": "running"}), on="status"),
    )
    w = await world(Behaviour(durations=Fixed(1), faults=faults))
    async with w.client.upload_session(deadline=2) as session:
        handle = await session.submit(urls(1)[0])
    with pytest.raises(StalledError):
        await handle.wait()


@pytest.mark.parametrize("deadline", [0, -1, "soon"])
async def test_a_deadline_that_is_none_is_refused_before_anything_is_paid(world, deadline: Any) -> None:
    w = await world(Behaviour())
    with pytest.raises(ConfigurationError, match="deadline="):
        await w.client.upload(urls(1)[0], deadline=deadline)
    assert w.ledger.requests() == 0
