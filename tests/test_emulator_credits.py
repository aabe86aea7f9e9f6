"""The emulator's balance: its own header, and what each paid call takes from it."""

from __future__ import annotations

import aiohttp
import attrs
import pytest
from test_emulator_http import URL, Caller, emulated

from mountsea_async.testing import Behaviour, Emulator, Fault, Fixed, html

INSTANT = Behaviour(durations=Fixed(0), training=Fixed(0), generation=Fixed(0))
CREDITS = "/api-user/credits"


async def balance(emulator: Emulator) -> int:
    headers = {"X-API-Key": emulator.api_key}
    async with aiohttp.ClientSession(emulator.base_url, headers=headers) as http:
        answered = await Caller(http).ask("GET", CREDITS)
        assert answered.status == 200
        assert set(answered.json) == {"credits"}
        return int(answered.json["credits"])


@pytest.mark.parametrize(
    "headers", [{}, {"Authorization": "Bearer secret-key"}, {"X-API-Key": "wrong"}, {"X-API-Key": "Bearer secret-key"}]
)
async def test_the_balance_is_told_to_the_key_in_its_own_header_alone(headers: dict[str, str]) -> None:
    async with (
        Emulator(INSTANT, api_key="secret-key") as emulator,
        aiohttp.ClientSession(emulator.base_url, headers=headers) as http,
    ):
        for query in ({}, {"key": "secret-key"}):
            answered = await Caller(http).ask("GET", CREDITS, params=query)
            assert (answered.status, answered.json["message"]) == (401, "Unauthorized")


async def test_the_balances_header_opens_nothing_else() -> None:
    async with Emulator(INSTANT) as emulator:
        headers = {"X-API-Key": emulator.api_key}
        async with aiohttp.ClientSession(emulator.base_url, headers=headers) as http:
            assert (await Caller(http).post("generate", task="create", model="chirp-v55")).status == 401


async def test_the_ledger_never_holds_the_key() -> None:
    async with Emulator(INSTANT, api_key="secret-key") as emulator:
        await balance(emulator)
        (call,) = emulator.ledger.calls
        assert (call.endpoint, call.authorized, call.status) == ("credits", True, 200)
        assert "secret-key" not in repr(call)


async def test_a_revoked_key_is_told_no_balance() -> None:
    async with Emulator(INSTANT) as emulator:
        emulator.revoke_key()
        async with aiohttp.ClientSession(emulator.base_url, headers={"X-API-Key": emulator.api_key}) as http:
            assert (await Caller(http).ask("GET", CREDITS)).status == 401


async def test_each_paid_call_takes_its_price_from_the_balance() -> None:
    prices = {"price": 2, "train_price": 300, "generate_price": 50}
    async with emulated(attrs.evolve(INSTANT, credits=500, **prices)) as (emulator, caller):
        seen = [await balance(emulator)]
        await caller.upload()
        seen.append(await balance(emulator))
        session_id = await caller.prepare_model()
        clip_ids = await caller.model_clips(session_id)
        seen.append(await balance(emulator))
        await caller.made("customModel/create", sessionId=session_id, clipIds=clip_ids, name="a")
        seen.append(await balance(emulator))
        await caller.made("generate", task="create", model="chirp-v55")
        seen.append(await balance(emulator))
        await caller.made("playlist/create", clip_ids=clip_ids[:4])
        await caller.made("persona", clip_id=clip_ids[0], name="a", is_public=True)
        await caller.made("voicePersona/init", voice_audio_url=URL, language="de")
        assert [*seen, await balance(emulator)] == [500, 498, 486, 186, 136, 136]


async def test_what_the_balance_does_not_cover_is_refused_and_changes_nothing() -> None:
    async with emulated(attrs.evolve(INSTANT, credits=39, price=1)) as (emulator, caller):
        session_id = await caller.prepare_model()
        clip_ids = await caller.model_clips(session_id)
        create = await caller.post("customModel/create", sessionId=session_id, clipIds=clip_ids, name="a")
        generate = await caller.post("generate", task="create", model="chirp-v55")
        assert (create.status, generate.status) == (402, 402)
        assert generate.json["message"] == "Insufficient credits"
        assert (emulator.ledger.trainings, emulator.ledger.generations) == ((), ())
        assert await balance(emulator) == 33
        assert (await caller.task(session_id))["status"] == "ready"


async def test_an_endless_balance_is_told_as_a_million_less_what_was_spent() -> None:
    async with emulated(INSTANT) as (emulator, caller):
        await caller.upload()
        assert await balance(emulator) == 999_999


async def test_the_balance_can_be_broken_like_any_endpoint() -> None:
    async with Emulator(INSTANT) as emulator:
        emulator.add_fault(Fault(html(503), on="credits"))
        async with aiohttp.ClientSession(emulator.base_url, headers={"X-API-Key": emulator.api_key}) as http:
            assert (await Caller(http).ask("GET", CREDITS)).status == 503
