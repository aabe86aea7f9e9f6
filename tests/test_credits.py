"""The balance: which host is asked, which header holds the key, and that the key goes nowhere else."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from support.names import KEY
from support.raw_server import Connection, RawServer

from mountsea_async import (
    APIError,
    AuthenticationError,
    ClientConfig,
    ConfigurationError,
    MountseaClient,
    MountseaError,
    NotFoundError,
    RateLimitedError,
    RetryPolicy,
    ServerError,
    TransportError,
    UnexpectedAnswerError,
)
from mountsea_async.testing import Answer, Behaviour, Cut, Emulator, Fault, Fixed, unauthorized

ONCE = ClientConfig(retry=RetryPolicy(max_tries=1))


def answering(status: str, body: bytes, *headers: str) -> Any:
    async def answers(connection: Connection) -> None:
        while True:
            await connection.request()
            await connection.answer(status, body, *headers)

    return answers


TOLD = answering("200 OK", b'{"credits":7}')


async def stranger(connection: Connection) -> None:
    await connection.request()
    raise AssertionError("this host must not be asked")


# ---------------------------------------------------------------------------------------------------------- the header
async def test_the_key_is_sent_in_the_balances_own_header_and_nowhere_else() -> None:
    async with RawServer(TOLD) as server, MountseaClient(KEY, base_url=server.url) as client:
        assert await client.credits() == 7
    (asked,) = server.requests
    assert asked.line == "GET /api-user/credits HTTP/1.1"
    assert [(name, value) for name, value in asked.fields if KEY in value] == [("x-api-key", KEY)]
    assert asked.all("authorization") == []
    assert asked.body == b""


async def test_the_balances_header_is_sent_with_no_other_call() -> None:
    refused = answering("400 Bad Request", b"{}")
    async with RawServer(refused) as server, MountseaClient(KEY, base_url=server.url) as client:
        for call in (client.create_playlist(["a"]), client.generate_schema(), client.task("t").status()):
            with pytest.raises(APIError):
                await call
    assert len(server.requests) == 3
    for asked in server.requests:
        assert asked.all("x-api-key") == []
        assert asked.header("authorization") == f"Bearer {KEY}"


async def test_a_redirect_does_not_take_the_key_along() -> None:
    async with RawServer(stranger) as elsewhere:
        moved = answering("302 Found", b"", f"Location: {elsewhere.url}/api-user/credits")
        async with RawServer(moved) as server, MountseaClient(KEY, base_url=server.url, config=ONCE) as client:
            with pytest.raises(UnexpectedAnswerError):
                await client.credits()
        assert elsewhere.connections == 0


# ------------------------------------------------------------------------------------------------------------ the host
OWN, OTHER = "https://gateway.example/suno", "https://money.example"
HOSTS: dict[str, tuple[dict[str, str], dict[str, str], str]] = {
    "nothing is given": ({}, {}, "dk.mountsea.ai"),
    "the usual address is given": ({"base_url": "https://api.mountsea.ai/"}, {}, "dk.mountsea.ai"),
    "an address of one's own": ({"base_url": OWN}, {}, "gateway.example"),
    "an address from the environment": ({}, {"MOUNTSEA_BASE_URL": OWN}, "gateway.example"),
    "the usual one wins over the environment": (
        {"base_url": "https://api.mountsea.ai"}, {"MOUNTSEA_BASE_URL": OWN}, "dk.mountsea.ai",
    ),
    "the balance's": ({"balance_url": OTHER}, {}, "money.example"),
    "both": ({"base_url": OWN, "balance_url": OTHER}, {}, "money.example"),
    "the balance's from the environment": ({}, {"MOUNTSEA_BALANCE_URL": OTHER}, "money.example"),
    "the environment's wins over the base address": (
        {"base_url": OWN}, {"MOUNTSEA_BALANCE_URL": OTHER}, "money.example",
    ),
    "what is given wins over the environment": (
        {"balance_url": OWN}, {"MOUNTSEA_BALANCE_URL": OTHER}, "gateway.example",
    ),
    "an empty one in the environment is none": ({"base_url": OWN}, {"MOUNTSEA_BALANCE_URL": ""}, "gateway.example"),
}  # fmt: skip


@pytest.mark.parametrize(("given", "environment", "host"), HOSTS.values(), ids=HOSTS)
async def test_the_balance_is_asked_of(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], environment: dict[str, str], host: str
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    # A proxy is told where a request shall go, and nothing of what it holds.
    async with RawServer(answering("502 Bad Gateway", b"")) as proxy:
        config = ClientConfig(proxy=proxy.url, retry=RetryPolicy(max_tries=1))
        async with MountseaClient(KEY, config=config, **given) as client:  # type: ignore[arg-type]
            with pytest.raises(TransportError) as caught:
                await client.credits()
    assert {asked.line for asked in proxy.requests} == {f"CONNECT {host}:443 HTTP/1.1"}
    assert KEY not in str([asked.fields for asked in proxy.requests])
    assert KEY not in str(caught.value)


async def test_a_path_of_the_balances_address_is_kept() -> None:
    async with RawServer(TOLD) as server, RawServer(stranger) as service:
        async with MountseaClient(KEY, base_url=service.url, balance_url=server.url + "/money/") as client:
            assert await client.credits() == 7
        assert [asked.line for asked in server.requests] == ["GET /money/api-user/credits HTTP/1.1"]
        assert service.connections == 0


async def test_only_the_balance_is_asked_of_the_balances_host(world) -> None:
    async with RawServer(stranger) as balance:
        w = await world(Behaviour(durations=Fixed(1)), balance_url=balance.url)
        assert (await w.client.upload("https://a.example/1.mp3")).id
        assert await w.client.generate_schema("cover")
        assert balance.connections == 0


BAD_URLS: dict[str, tuple[Any, str]] = {
    "plain http": ("http://dk.mountsea.ai", "the key would travel unencrypted"),
    "plain http to a private host": ("http://10.0.0.1", "unencrypted"),
    "plain http to a look-alike": ("http://localhost.example.com", "unencrypted"),
    "no scheme": ("dk.mountsea.ai", "is no http"),
    "other scheme": ("ftp://dk.mountsea.ai", "is no http"),
    "empty": ("", "is no http"),
    "a query": ("https://dk.mountsea.ai/?key=TOPSECRET", "holds more than host and path"),
    "credentials": ("https://me:TOPSECRET@dk.mountsea.ai", "holds more than host and path"),
    "a space": ("https://dk mountsea.ai", "holds more than host and path"),
    "bad port": ("https://dk.mountsea.ai:port", "is no URL"),
    "a number": (5, "is no URL"),
}


@pytest.mark.parametrize(("url", "named"), BAD_URLS.values(), ids=BAD_URLS)
def test_an_address_of_the_balance_that_is_none_is_refused_and_named(url: Any, named: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"^balance_url=.*{named}") as caught:
        MountseaClient(KEY, balance_url=url)
    assert "TOPSECRET" not in str(caught.value)


def test_an_address_from_the_environment_is_checked_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOUNTSEA_BALANCE_URL", "http://dk.mountsea.ai")
    with pytest.raises(ConfigurationError, match=r"^MOUNTSEA_BALANCE_URL=.*unencrypted; use https"):
        MountseaClient(KEY)
    MountseaClient(KEY, balance_url="https://dk.mountsea.ai")


def test_plain_http_to_another_machine_is_the_users_own_word() -> None:
    MountseaClient(KEY, balance_url="http://money.internal", config=ClientConfig(allow_http=True))


# --------------------------------------------------------------------------------------------------------- the answers
async def test_the_balance_is_told_and_goes_down(world) -> None:
    w = await world(Behaviour(durations=Fixed(1), credits=50))
    assert await w.client.credits() == 50
    await w.client.generate("create", "chirp-v55")
    assert await w.client.credits() == 10


async def test_the_balance_may_be_at_an_emulator_of_its_own() -> None:
    async with Emulator(api_key=KEY) as service, Emulator(Behaviour(credits=5), api_key=KEY) as balance:
        async with MountseaClient(KEY, base_url=service.base_url, balance_url=balance.base_url) as client:
            assert await client.credits() == 5
        assert service.ledger.calls == ()
        assert balance.ledger.requests("credits") == 1


@pytest.mark.parametrize(
    ("effect", "error"),
    [
        (unauthorized(), AuthenticationError),
        (Answer(404, "{}"), NotFoundError),
        (Answer(200, '{"credits": "many"}'), UnexpectedAnswerError),
        (Answer(200, '{"credits": true}'), UnexpectedAnswerError),
        (Answer(200, '{"credits": ' + "9" * 400 + "}"), UnexpectedAnswerError),
        (Answer(200, '{"balance": 5}'), UnexpectedAnswerError),
        (Answer(200, "[]"), UnexpectedAnswerError),
        (Answer(200, "<html>"), UnexpectedAnswerError),
        (Answer(200, ""), UnexpectedAnswerError),
        (Answer(429, "{}"), RateLimitedError),
        (Answer(502), ServerError),
        (Cut(), TransportError),
    ],
    ids=lambda value: str(value)[:60],
)
async def test_a_balance_that_is_not_told_is_an_error(world, effect: Any, error: type[MountseaError]) -> None:
    w = await world(Behaviour(faults=(Fault(effect, on="credits"),)))
    with pytest.raises(error):
        await w.client.credits()


async def test_the_balance_is_asked_for_again_after_trouble(world) -> None:
    faults = (Fault(Cut(), on="credits", nth=1), Fault(Answer(502), on="credits", nth=2))
    w = await world(Behaviour(faults=faults))
    assert await w.client.credits() > 0
    assert w.ledger.requests("credits") == 3


async def test_a_key_that_was_refused_is_not_sent_again(world) -> None:
    w = await world()
    w.emulator.revoke_key()
    with pytest.raises(AuthenticationError):
        await w.client.credits()
    assert w.ledger.requests("credits") == 1


# ------------------------------------------------------------------------------------------------------------- the key
@pytest.mark.parametrize("status", ["200 OK", "400 Bad Request", "401 Unauthorized", "429 Slow", "500 Broken"])
@pytest.mark.parametrize("form", ['{"message":"no such key: %s"}', '{"credits":"%s"}', "X-API-Key: %s", "%s"])
async def test_a_key_that_the_service_repeats_is_in_no_error_and_no_log(
    caplog: pytest.LogCaptureFixture, status: str, form: str
) -> None:
    caplog.set_level(logging.DEBUG)
    repeating = answering(status, (form % KEY).encode(), f"X-Echo: {KEY}")
    async with RawServer(repeating) as server, MountseaClient(KEY, base_url=server.url, config=ONCE) as client:
        with pytest.raises(APIError) as caught:
            await client.credits()
    for shown in (str(caught.value), repr(caught.value), repr(vars(caught.value)), repr(client), caplog.text):
        assert KEY not in shown
    at = caught.value.__traceback__
    while at is not None:  # what tools show that print each frame's variables
        if at.tb_frame.f_globals["__name__"].startswith("mountsea_async"):
            assert KEY not in repr(at.tb_frame.f_locals)
        at = at.tb_next
