"""Voice personas: a phrase is handed over, spoken in time or too late, and its persona is not lost with an answer."""

from __future__ import annotations

import asyncio
import json
import traceback
from contextlib import AsyncExitStack
from typing import Any

import pytest
from support.names import KEY

from mountsea_async import (
    APIError,
    BadRequestError,
    ClientConfig,
    ClientStateError,
    InputError,
    InsufficientCreditsError,
    MissingPersonaError,
    MountseaClient,
    NotFoundError,
    NotSentError,
    PersonaUse,
    PhraseExpiredError,
    PollPolicy,
    RetryPolicy,
    StalledError,
    TaskError,
    TaskFailedError,
    TaskTimedOutError,
    Timeouts,
    UnknownOutcomeError,
    VoicePhrase,
)
from mountsea_async.phrase import Spoken, Turn
from mountsea_async.testing import (
    Answer,
    Behaviour,
    Cut,
    Emulator,
    Fault,
    Fixed,
    Hang,
    Outcome,
    Reshape,
    out_of_credits,
    rate_limited,
)
from mountsea_async.wire import endpoints

VOICE = "https://cdn.example.com/voice.mp3"
SPOKEN = "https://cdn.example.com/spoken.mp3"
LISTENS = 10.0
"""Seconds that the service takes for the phrase, and for the persona."""


def behaviour(*faults: Fault, **settings: Any) -> Behaviour:
    return Behaviour(**{"generation": Fixed(LISTENS), "faults": faults} | settings)


def on_status(effect: Any, **where: Any) -> Fault:
    return Fault(effect, on="status", **where)


def body(w: Any, endpoint: str) -> dict[str, Any]:
    """What was sent to an endpoint, once."""
    (call,) = [call for call in w.ledger.calls if call.endpoint == endpoint]
    return dict(json.loads(call.body))


def phrase_at(w: Any) -> float:
    """When the phrase was there: the half minute begins."""
    (call,) = [call for call in w.ledger.calls if call.endpoint == "voice_init"]
    return float(call.at) + LISTENS


# ---------------------------------------------------------------------------------------------------- in good time
async def test_a_phrase_is_handed_over_and_spoken(world) -> None:
    w = await world(behaviour())
    async with w.client.voice_persona(VOICE, "en", vocal_start_s=3, vocal_end_s=21) as voice:
        phrase = voice.phrase
        await asyncio.sleep(20)
        persona = await voice.complete(SPOKEN, "My own voice")
    assert isinstance(phrase, VoicePhrase)
    assert phrase.phrase_text
    assert (phrase.vocal_start_s, phrase.vocal_end_s) == (3, 21)
    assert all((phrase.phrase_id, phrase.vox_audio_id, phrase.voice_recording_id))
    assert persona.name == "My own voice"
    assert await w.client.generate("create", "chirp-v55", persona=PersonaUse(persona.id))
    assert body(w, "voice_init") == {
        "voice_audio_url": VOICE,
        "language": "en",
        "vocal_start_s": 3,
        "vocal_end_s": 21,
    }
    assert body(w, "voice_complete") == {
        "taskId": voice.task_id,
        "verification_audio_url": SPOKEN,
        "name": "My own voice",
        "is_public": False,
    }


async def test_everything_that_is_told_of_the_persona_is_sent(world) -> None:
    w = await world(behaviour())
    told = {"description": "dark", "is_public": True, "image_s3_id": "data:image/png;base64,AAAA"}
    async with w.client.voice_persona(VOICE, "de") as voice:
        await voice.complete(SPOKEN, "Me", **told)
    assert body(w, "voice_complete").items() >= told.items()
    assert body(w, "voice_init") == {"voice_audio_url": VOICE, "language": "de", "vocal_start_s": 0}


async def test_the_seconds_left_are_those_that_the_service_still_waits(world) -> None:
    w = await world(behaviour())
    loop = asyncio.get_running_loop()
    async with w.client.voice_persona(VOICE, "en") as voice:
        ends = phrase_at(w) + 30
        left = voice.seconds_left
        assert ends - loop.time() - 2.5 <= left <= ends - loop.time()
        assert left > 25
        await asyncio.sleep(10)
        assert voice.seconds_left == pytest.approx(left - 10)
        await asyncio.sleep(21)
        assert voice.seconds_left == 0


async def test_the_phrase_is_asked_for_more_often_than_an_upload(world) -> None:
    w = await world(behaviour(generation=Fixed(100)), config=ClientConfig(poll=PollPolicy(first=20)))
    async with w.client.voice_persona(VOICE, "en") as voice:
        assert voice.seconds_left > 27
        assert 90 <= w.ledger.polls_of(voice.task_id) <= 105


async def test_time_that_nobody_answered_in_is_not_counted_as_left(world) -> None:
    w = await world(behaviour(on_status(Answer(500), nth=tuple(range(9, 25)))))
    loop = asyncio.get_running_loop()
    async with w.client.voice_persona(VOICE, "en") as voice:
        assert voice.seconds_left <= phrase_at(w) + 30 - loop.time()
        assert await voice.complete(SPOKEN, "Me")


async def test_a_phrase_that_comes_after_its_status_is_waited_for(world) -> None:
    hidden = tuple(range(11, 15))
    w = await world(behaviour(on_status(Reshape({"data": None}), nth=hidden)))
    async with w.client.voice_persona(VOICE, "en") as voice:
        assert voice.phrase.phrase_text
        assert await voice.complete(SPOKEN, "Me")


async def test_the_older_names_of_things_are_understood(world) -> None:
    w = await world(behaviour(upper_case=True, result_field="result", vocabulary="older"))
    async with w.client.voice_persona(VOICE, "hi") as voice:
        assert (await voice.complete(SPOKEN, "Me")).id


@pytest.mark.parametrize(
    "shape", [{"persona_id": "p-1"}, {"persona": {"id": "p-1", "name": "Me"}}, {"id": "p-1", "more": {}}], ids=str
)
async def test_the_persona_is_found_where_its_id_stands(world, shape: dict[str, Any]) -> None:
    w = await world(behaviour())
    async with w.client.voice_persona(VOICE, "en") as voice:
        w.emulator.add_fault(on_status(Reshape({"status": "success", "data": shape})))
        assert (await voice.complete(SPOKEN, "Me")).id == "p-1"


async def test_a_persona_whose_id_comes_late_is_asked_for_again(world) -> None:
    w = await world(behaviour())
    async with w.client.voice_persona(VOICE, "en") as voice:
        w.emulator.add_fault(on_status(Reshape({"status": "success", "data": {"name": "Me"}}), times=3))
        assert (await voice.complete(SPOKEN, "Me")).id


async def test_leaving_the_block_sends_nothing_more(world) -> None:
    w = await world(behaviour())
    voice = w.client.voice_persona(VOICE, "en")

    async def give_up() -> None:
        async with voice:
            raise LookupError

    with pytest.raises(LookupError):
        await give_up()
    assert w.ledger.requests() == w.ledger.requests("voice_init") + w.ledger.requests("status")
    assert (await w.client.task(voice.task_id).wait()).fail_code == "VP_USER_TIMEOUT"


@pytest.mark.parametrize("seconds", [0.5, 5, LISTENS - 0.5])
async def test_a_cancelled_beginning_keeps_its_task_and_asks_no_more(world, seconds: float) -> None:
    w = await world(behaviour())
    voice = w.client.voice_persona(VOICE, "en")
    beginning = asyncio.create_task(voice.__aenter__())
    await asyncio.sleep(seconds)
    beginning.cancel()
    with pytest.raises(asyncio.CancelledError):
        await beginning
    calls = w.ledger.calls
    await asyncio.sleep(100)
    assert w.ledger.calls == calls
    assert (await w.client.task(voice.task_id).status()).fail_code == "VP_USER_TIMEOUT"


# --------------------------------------------------------------------------------------------------------- too late
async def test_when_the_time_is_over_nothing_is_sent_and_the_error_says_to_begin_again(world) -> None:
    w = await world(behaviour())
    async with w.client.voice_persona(VOICE, "en") as voice:
        await asyncio.sleep(31)
        with pytest.raises(
            PhraseExpiredError, match=r"30 s .* over, .*; begin again with client\.voice_persona"
        ) as caught:
            await voice.complete(SPOKEN, "Me")
    assert caught.value.task_id == voice.task_id
    assert w.ledger.requests("voice_complete") == 0


async def test_a_phrase_that_the_service_no_longer_takes_is_too_late_too(world) -> None:
    w = await world(behaviour(phrase_seconds=5.0))
    async with w.client.voice_persona(VOICE, "en") as voice:
        await asyncio.sleep(10)
        with pytest.raises(PhraseExpiredError, match="begin again") as caught:
            await voice.complete(SPOKEN, "Me")
    assert caught.value.fail_code == "VP_USER_TIMEOUT"
    assert isinstance(caught.value.__cause__, BadRequestError)
    assert w.ledger.requests("voice_complete") == 1


async def test_a_phrase_that_came_and_went_unseen_is_too_late(world) -> None:
    w = await world(behaviour(on_status(Answer(500), nth=tuple(range(8, 60)))))
    with pytest.raises(PhraseExpiredError, match="begin again"):
        async with w.client.voice_persona(VOICE, "en"):
            pytest.fail("there is no phrase any more")


async def test_that_the_time_is_over_is_said_at_once_even_while_all_requests_pause(world) -> None:
    w = await world(behaviour(Fault(rate_limited(100), on="upload")))
    async with w.client.voice_persona(VOICE, "en") as voice:
        await asyncio.sleep(31)
        paused = asyncio.create_task(w.client.submit_upload(SPOKEN))
        await asyncio.sleep(1)
        async with asyncio.timeout(1):
            with pytest.raises(PhraseExpiredError):
                await voice.complete(SPOKEN, "Me")
        paused.cancel()
        await asyncio.gather(paused, return_exceptions=True)


async def test_a_pause_that_outlasts_the_time_ends_with_an_error_and_not_with_a_late_request(world) -> None:
    w = await world(behaviour(Fault(rate_limited(60), on="voice_complete")))
    async with w.client.voice_persona(VOICE, "en") as voice:
        with pytest.raises(PhraseExpiredError):
            await voice.complete(SPOKEN, "Me")
    assert w.ledger.requests("voice_complete") == 1


# ----------------------------------------------------------------------------------------------------- lost answers
@pytest.mark.parametrize("effect", [Cut(after_work=True), Hang(after_work=True), Answer(201, "{}")], ids=str)
async def test_a_beginning_without_an_answer_is_not_repeated(world, effect: Any) -> None:
    w = await world(behaviour(Fault(effect, on="voice_init")))
    with pytest.raises(UnknownOutcomeError):
        async with w.client.voice_persona(VOICE, "en"):
            pytest.fail("it can't be told which task it is")
    assert w.ledger.requests("voice_init") == 1


@pytest.mark.parametrize("effect", [Cut(after_work=True), Hang(after_work=True)], ids=str)
async def test_a_spoken_phrase_whose_answer_was_lost_becomes_the_persona_all_the_same(world, effect: Any) -> None:
    w = await world(behaviour(Fault(effect, on="voice_complete")), config=ClientConfig(timeouts=Timeouts(submit=5)))
    async with w.client.voice_persona(VOICE, "en") as voice:
        assert (await voice.complete(SPOKEN, "Me")).name == "Me"
    assert w.ledger.requests("voice_complete") == 1


@pytest.mark.parametrize("effect", [Cut(), Hang(), Answer(502), Answer(201, "{}")], ids=str)
async def test_a_spoken_phrase_that_was_lost_on_its_way_is_not_sent_again(world, effect: Any) -> None:
    w = await world(behaviour(Fault(effect, on="voice_complete")), config=ClientConfig(timeouts=Timeouts(submit=5)))
    async with w.client.voice_persona(VOICE, "en") as voice:
        with pytest.raises(PhraseExpiredError, match="begin again") as caught:
            await voice.complete(SPOKEN, "Me")
        with pytest.raises(ClientStateError, match="handed in already"):
            await voice.complete(SPOKEN, "Me")
    assert isinstance(caught.value.__cause__, UnknownOutcomeError)
    assert w.ledger.requests("voice_complete") == 1


async def test_a_phrase_is_handed_in_once(world) -> None:
    w = await world(behaviour())
    async with w.client.voice_persona(VOICE, "en") as voice:
        first = asyncio.create_task(voice.complete(SPOKEN, "Me"))
        await asyncio.sleep(0)
        with pytest.raises(ClientStateError, match="handed in already"):
            await voice.complete(SPOKEN, "Me")
        assert (await first).name == "Me"
        with pytest.raises(ClientStateError, match="handed in already") as caught:
            await voice.complete(SPOKEN, "Me")
        assert str(caught.value).count(voice.task_id) == 1
    assert w.ledger.requests("voice_complete") == 1


async def test_a_cancelled_one_that_was_never_sent_may_be_handed_in_again(world) -> None:
    w = await world(behaviour(Fault(rate_limited(8), on="upload")))
    async with w.client.voice_persona(VOICE, "en") as voice:
        paused = asyncio.create_task(w.client.submit_upload(SPOKEN))
        await asyncio.sleep(1)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(voice.complete(SPOKEN, "Me"), 2)
        assert w.ledger.requests("voice_complete") == 0
        assert (await voice.complete(SPOKEN, "Me")).name == "Me"
        paused.cancel()
        await asyncio.gather(paused, return_exceptions=True)


async def test_a_cancelled_one_that_was_sent_may_not(world) -> None:
    w = await world(behaviour(Fault(Hang(after_work=True), on="voice_complete")))
    async with w.client.voice_persona(VOICE, "en") as voice:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(voice.complete(SPOKEN, "Me"), 2)
        with pytest.raises(ClientStateError, match="handed in already"):
            await voice.complete(SPOKEN, "Me")
        assert (await w.client.task(voice.task_id).wait()).status == "success"


async def test_a_service_that_is_out_of_reach_leaves_the_phrase_to_be_handed_in() -> None:
    async with AsyncExitStack() as stack:
        emulator = await stack.enter_async_context(Emulator(behaviour(), api_key=KEY))
        config = ClientConfig(retry=RetryPolicy(max_tries=2))
        async with MountseaClient(KEY, base_url=emulator.base_url, config=config) as client:
            async with client.voice_persona(VOICE, "en") as voice:
                await stack.aclose()
                for _ in range(2):
                    with pytest.raises(NotSentError) as caught:
                        await voice.complete(SPOKEN, "Me")
                assert caught.value.task_id == voice.task_id
            with pytest.raises(NotSentError):
                await client.voice_persona(VOICE, "en").__aenter__()


async def test_what_a_cancelled_attempt_did_not_send_is_not_taken_for_handed_in() -> None:
    turn = Turn("t", VoicePhrase("la"), asyncio.get_running_loop().time() + 30, asyncio.get_running_loop().time() + 30)
    spoken = Spoken(endpoints.complete_voice({}), turn)
    for _ in range(2):
        assert await spoken.sending() == spoken.request
        spoken.cut(unsent=True)
    await spoken.sending()
    spoken.cut(unsent=False)
    with pytest.raises(ClientStateError, match="handed in already"):
        await spoken.sending()


# --------------------------------------------------------------------------------------------------------- refusals
REFUSALS: dict[str, tuple[Any, type[APIError]]] = {
    "no credits": (out_of_credits(), InsufficientCreditsError),
    "bad audio": (Answer(400, '{"message": "no voice in it"}'), BadRequestError),
    "unknown": (Answer(404, "{}"), NotFoundError),
}


@pytest.mark.parametrize(("effect", "error"), REFUSALS.values(), ids=REFUSALS)
async def test_a_refused_recording_may_be_handed_in_again_in_time(world, effect: Any, error: type[APIError]) -> None:
    w = await world(behaviour(Fault(effect, on="voice_complete", nth=1)))
    async with w.client.voice_persona(VOICE, "en") as voice:
        with pytest.raises(error) as caught:
            await voice.complete(SPOKEN, "Me")
        assert caught.value.task_id == voice.task_id
        assert (await voice.complete(SPOKEN, "Me")).name == "Me"


async def test_a_refusal_stands_where_the_task_cannot_be_asked(world) -> None:
    w = await world(behaviour(Fault(Answer(400, "{}"), on="voice_complete")))
    async with w.client.voice_persona(VOICE, "en") as voice:
        w.emulator.add_fault(on_status(Answer(500)))
        with pytest.raises(BadRequestError):
            await voice.complete(SPOKEN, "Me")


@pytest.mark.parametrize(("effect", "error"), REFUSALS.values(), ids=REFUSALS)
async def test_a_refused_beginning_is_an_error(world, effect: Any, error: type[APIError]) -> None:
    w = await world(behaviour(Fault(effect, on="voice_init")))
    with pytest.raises(error):
        async with w.client.voice_persona(VOICE, "en"):
            pytest.fail("it was refused")


ENDS = [("failed", TaskFailedError), ("timeout", TaskTimedOutError)]


@pytest.mark.parametrize(("ends", "error"), ENDS)
async def test_a_voice_that_is_not_found_is_an_error_with_its_task(world, ends: Any, error: Any) -> None:
    w = await world(behaviour(Fault(Outcome(ends, fail_reason="No voice"), on="voice_init")))
    with pytest.raises(error, match="No voice") as caught:
        async with w.client.voice_persona(VOICE, "en"):
            pytest.fail("there is no voice")
    assert not isinstance(caught.value, PhraseExpiredError)
    assert caught.value.task_id


@pytest.mark.parametrize(("ends", "error"), ENDS)
async def test_a_recording_that_is_not_the_phrase_is_an_error(world, ends: Any, error: Any) -> None:
    w = await world(behaviour(Fault(Outcome(ends, fail_reason="Another voice"), on="voice_complete")))
    async with w.client.voice_persona(VOICE, "en") as voice:
        with pytest.raises(error, match="Another voice") as caught:
            await voice.complete(SPOKEN, "Me")
    assert not isinstance(caught.value, PhraseExpiredError)


async def test_a_persona_without_its_id_is_said_to_be_missing(world) -> None:
    w = await world(behaviour())
    async with w.client.voice_persona(VOICE, "en") as voice:
        w.emulator.add_fault(on_status(Reshape({"status": "success", "data": {"name": "Me"}})))
        with pytest.raises(MissingPersonaError, match="names no persona") as caught:
            await voice.complete(SPOKEN, "Me")
    assert caught.value.task_id == voice.task_id


async def test_a_task_that_ends_well_without_a_phrase_is_an_error(world) -> None:
    w = await world(behaviour(on_status(Reshape({"status": "success"}))))
    with pytest.raises(TaskError, match="succeeded without a phrase"):
        async with w.client.voice_persona(VOICE, "en"):
            pytest.fail("there is no phrase")


@pytest.mark.parametrize(
    ("generation", "fault"),
    [
        (Fixed(1e6), ()),
        (Fixed(1), (on_status(Reshape({"status": "awaiting", "data": {}})),)),
        (Fixed(1), (on_status(Answer(500)),)),
    ],
    ids=["nothing moves", "no phrase", "no answer"],
)
async def test_waiting_for_a_phrase_that_never_comes_ends(world, generation: Any, fault: Any) -> None:
    w = await world(behaviour(*fault, generation=generation))
    with pytest.raises(StalledError, match="brought no phrase for 600 s") as caught:
        async with w.client.voice_persona(VOICE, "en"):
            pytest.fail("there is no phrase")
    assert caught.value.task_id


async def test_a_task_that_moves_is_waited_for_longer(world) -> None:
    w = await world(behaviour(generation=Fixed(640)))  # queued for a tenth of it
    async with w.client.voice_persona(VOICE, "en") as voice:
        assert voice.phrase.phrase_text


# ---------------------------------------------------------------------------------------------------------- secrets
TELLS = Answer(400, json.dumps({"message": f"{KEY} may not"}))
FAILS = Outcome("failed", fail_reason=f"{KEY} may not")


@pytest.mark.parametrize("endpoint", ["voice_init", "voice_complete"])
@pytest.mark.parametrize("effect", [TELLS, FAILS], ids=["refused", "failed"])
async def test_a_key_that_the_service_repeats_is_in_no_error(world, effect: Any, endpoint: str) -> None:
    w = await world(behaviour(Fault(effect, on=endpoint)))
    with pytest.raises((BadRequestError, TaskFailedError), match="may not") as caught:
        async with w.client.voice_persona(VOICE, "en") as voice:
            await voice.complete(SPOKEN, "Me")
    told = "".join(traceback.format_exception(caught.value)) + repr(vars(caught.value))
    assert KEY not in told


async def test_a_signed_recording_in_the_place_of_the_language_is_not_shown(world) -> None:
    w = await world(behaviour())
    with pytest.raises(InputError, match=r"language='https://.*': give one of") as caught:
        w.client.voice_persona("en", VOICE + "?signature=TOPSECRET")
    assert "TOPSECRET" not in str(caught.value)
    assert w.ledger.calls == ()


# -------------------------------------------------------------------------------------------------------- bad input
BAD_BEGINNINGS: dict[str, tuple[tuple[Any, ...], dict[str, Any], str]] = {
    "no URL": (("", "en"), {}, "voice_audio_url: it is empty"),
    "no http": (("ftp://a.example/v.mp3", "en"), {}, "voice_audio_url: it doesn't begin with http"),
    "private": (("http://127.0.0.1/v.mp3", "en"), {}, "voice_audio_url: the service can't reach"),
    "language": ((VOICE, "it"), {}, "language='it': give one of zh, en, ja, ko, es, fr, de, pt, ru, hi"),
    "no language": ((VOICE, None), {}, "language=NoneType: give one of"),
    "languages": ((VOICE, ["en"]), {}, "language=list: give one of"),
    "no text": ((VOICE, 10**5000), {}, "language=int: give one of"),
    "begins before": ((VOICE, "en"), {"vocal_start_s": -1}, "vocal_start_s=-1: give seconds"),
    "begins nowhere": ((VOICE, "en"), {"vocal_start_s": None}, "vocal_start_s=None: give seconds"),
    "ends first": ((VOICE, "en"), {"vocal_start_s": 9, "vocal_end_s": 5}, "vocal_end_s=5: the end lies after"),
    "ends at once": ((VOICE, "en"), {"vocal_end_s": 0}, "vocal_end_s=0: the end lies after the beginning"),
}


@pytest.mark.parametrize(("arguments", "settings", "named"), BAD_BEGINNINGS.values(), ids=BAD_BEGINNINGS)
async def test_a_beginning_that_cannot_be_sent_is_refused_before_it_is(
    world, arguments: Any, settings: dict[str, Any], named: str
) -> None:
    w = await world(behaviour())
    with pytest.raises(InputError, match=named):
        w.client.voice_persona(*arguments, **settings)
    assert w.ledger.calls == ()


BAD_ENDS: dict[str, tuple[tuple[Any, ...], dict[str, Any], str]] = {
    "no URL": (("file:///v.mp3", "Me"), {}, "verification_audio_url: it doesn't begin with http"),
    "private": (("http://10.0.0.1/v.mp3", "Me"), {}, "verification_audio_url: the service can't reach"),
    "no name": ((SPOKEN, ""), {}, "name='': give a name"),
    "no description": ((SPOKEN, "Me"), {"description": " "}, "description=' ': give a text"),
    "public perhaps": ((SPOKEN, "Me"), {"is_public": None}, "is_public=None: give True or False"),
    "no picture": ((SPOKEN, "Me"), {"image_s3_id": ""}, "image_s3_id='': give a text"),
}


@pytest.mark.parametrize(("arguments", "settings", "named"), BAD_ENDS.values(), ids=BAD_ENDS)
async def test_a_completion_that_cannot_be_sent_is_refused_and_can_be_put_right(
    world, arguments: Any, settings: dict[str, Any], named: str
) -> None:
    w = await world(behaviour())
    async with w.client.voice_persona(VOICE, "en") as voice:
        with pytest.raises(InputError, match=named):
            await voice.complete(*arguments, **settings)
        assert w.ledger.requests("voice_complete") == 0
        assert await voice.complete(SPOKEN, "Me")


async def test_private_addresses_pass_if_asked_for(world) -> None:
    w = await world(behaviour())
    async with w.client.voice_persona("http://127.0.0.1:9/v.mp3", "en", allow_private=True) as voice:
        assert await voice.complete("http://127.0.0.1:9/s.mp3", "Me")


async def test_outside_its_block_there_is_no_phrase(world) -> None:
    w = await world(behaviour())
    voice = w.client.voice_persona(VOICE, "en")
    for ask in (lambda: voice.phrase, lambda: voice.task_id, lambda: voice.seconds_left):
        with pytest.raises(ClientStateError, match=r"use it inside `async with client\.voice_persona"):
            ask()
    with pytest.raises(ClientStateError, match="use it inside"):
        await voice.complete(SPOKEN, "Me")
    assert w.ledger.calls == ()


async def test_a_voice_persona_begins_once(world) -> None:
    w = await world(behaviour())
    voice = w.client.voice_persona(VOICE, "en")
    async with voice:
        with pytest.raises(ClientStateError, match="begun already"):
            await voice.__aenter__()
    assert w.ledger.requests("voice_init") == 1


async def test_with_a_client_that_is_not_open_nothing_begins() -> None:
    client = MountseaClient(KEY, base_url="http://127.0.0.1:1")
    with pytest.raises(ClientStateError, match="isn't open yet"):
        async with client.voice_persona(VOICE, "en"):
            pytest.fail("the client is not open")


async def test_a_signed_recording_is_not_shown(world) -> None:
    w = await world(behaviour())
    async with w.client.voice_persona(VOICE + "?signature=TOPSECRET", "en") as voice:
        assert repr(voice) == f"VoicePersona(task_id={voice.task_id!r})"
