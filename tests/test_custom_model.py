"""Custom models: their sessions, their training, and what becomes of a training whose answer is lost."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from support.names import urls

from mountsea_async import (
    AbandonedError,
    BadRequestError,
    BatchFailed,
    ClientStateError,
    ConfigurationError,
    CustomModel,
    DeadlineError,
    InputError,
    InsufficientCreditsError,
    ItemState,
    JournalMismatch,
    MissingModelError,
    NotSubmittedError,
    SessionPlanned,
    StalledError,
    TaskFailedError,
    TaskTimedOutError,
    TrainingChanged,
    UnknownOutcomeError,
    read_journal,
)
from mountsea_async.testing import Answer, Behaviour, Cut, Fault, Fixed, Hang, Outcome, Reshape, Uniform, rate_limited

EIGHT = urls(8)


def behaviour(*faults: Fault, **settings: Any) -> Behaviour:
    return Behaviour(**{"durations": Uniform(1, 9), "training": Fixed(150), "faults": faults} | settings)


def on_create(effect: Any, **where: Any) -> Fault:
    return Fault(effect, on="model_create", **where)


# ---------------------------------------------------------------------------------------------------- the one call
async def test_eight_urls_become_a_model_in_one_call(world) -> None:
    w = await world(behaviour())
    model = await w.client.train_model(EIGHT, "v6Pro")
    (training,) = w.ledger.trainings
    assert model == CustomModel(training.model, "v6Pro", training.session_id, training.clip_ids)
    assert set(model.clip_ids) == set(w.ledger.clip_ids())
    assert {charge.session_id for charge in w.ledger.charges} == {model.session_id}
    assert w.ledger.paid_twice() == {}


async def test_clips_are_trained_on_in_the_order_of_their_urls(world) -> None:
    w = await world(behaviour())
    model = await w.client.train_model(EIGHT, "v6Pro")
    clip_of = {charge.audio_url: charge.clip_id for charge in w.ledger.charges}
    assert model.clip_ids == tuple(clip_of[url] for url in EIGHT)


async def test_uploads_and_training_are_told_in_one_stream(world) -> None:
    w = await world(behaviour())
    events: list[Any] = []
    await w.client.train_model(EIGHT, "v6Pro", on_event=events.append)
    assert events[0] == SessionPlanned(0, events[0].at, "custom_model", "v6Pro")
    states = [event.state for event in events if isinstance(event, TrainingChanged)]
    assert states == [ItemState.SUBMITTING, ItemState.SUBMITTED, ItemState.SUCCEEDED]


async def test_what_failed_is_left_out_where_six_are_enough(world) -> None:
    w = await world(behaviour(Fault(Outcome("failed"), on="model_upload", nth=(2, 5))))
    model = await w.client.train_model(EIGHT, "v6Pro")
    assert len(model.clip_ids) == 6


@pytest.mark.parametrize(("at_least", "failures"), [(6, (1, 2, 3)), (8, (4,))])
async def test_too_few_clips_are_not_trained_on_and_the_report_says_why(world, at_least: int, failures: Any) -> None:
    w = await world(behaviour(Fault(Outcome("failed"), on="model_upload", nth=failures)))
    with pytest.raises(BatchFailed) as caught:
        await w.client.train_model(EIGHT, "v6Pro", at_least=at_least)
    assert len(caught.value.report.failed) == len(failures)
    assert w.ledger.trainings == ()


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ((EIGHT[:5], "m"), "5 different URLs: a custom model needs at least 6"),
        ((EIGHT[:5] + EIGHT[:5], "m"), "5 different URLs: a custom"),
        ((EIGHT, ""), "name=''"),
        ((EIGHT, "  "), "name='  '"),
        ((EIGHT, "x" * 101), "1 to 100 characters"),
        ((EIGHT, "a\nb"), "without control characters"),
        ((EIGHT, None), "name=None"),
        ((["ftp://a.example/1.mp3", *EIGHT], "m"), "entry 0"),
    ],
)
async def test_what_cannot_be_trained_is_refused_before_anything_is_sent(world, arguments: Any, named: str) -> None:
    w = await world(behaviour())
    with pytest.raises(InputError, match="(?s)" + named.replace("(", r"\(")):
        await w.client.train_model(*arguments)
    assert w.ledger.requests() == 0


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"at_least": 5}, "at_least=5: give a whole number from 6"),
        ({"at_least": True}, "at_least=True"),
        ({"on_unknown": "hold"}, "on_unknown='hold': give one of continue, resubmit"),
        ({"retry_failed": True}, "retry_failed=True speaks of an earlier run"),
        ({"max_credits": 100}, "price_per_item: give both"),
        ({"max_credits": -1, "price_per_item": 1}, "max_credits=-1"),
    ],
)
async def test_settings_out_of_their_range_are_refused(world, settings: Any, named: str) -> None:
    w = await world(behaviour())
    with pytest.raises(ConfigurationError, match=named):
        await w.client.train_model(EIGHT, "m", **settings)
    assert w.ledger.requests() == 0


async def test_the_training_is_counted_into_what_may_be_spent(world) -> None:
    w = await world(behaviour())
    with pytest.raises(InputError, match="8 uploads at 10 credits each and 100 for the training cost more"):
        await w.client.train_model(EIGHT, "m", max_credits=179, price_per_item=10)
    assert w.ledger.requests() == 0
    await w.client.train_model(EIGHT, "m", max_credits=180, price_per_item=10)


# --------------------------------------------------------------------------------------------------- step by step
async def test_a_session_trains_on_what_was_uploaded_through_it(world) -> None:
    w = await world(behaviour())
    async with w.client.custom_model_session() as session:
        await session.upload(EIGHT[0])
        everything = asyncio.create_task(session.upload_all(EIGHT[1:]))
        await asyncio.sleep(0)
        model = await session.train("v6Pro")  # waits for what is in flight
        await everything
        assert session.report.training.model == model
    assert len(model.clip_ids) == 8
    assert session.report.to_dict()["training"]["model_id"] == model.id


async def test_clips_may_be_chosen(world) -> None:
    w = await world(behaviour())
    async with w.client.custom_model_session() as session:
        report = await session.upload_all(EIGHT)
        chosen = report.audio_ids[:6]
        model = await session.train("v6Pro", list(chosen))
    assert model.clip_ids == chosen == w.ledger.trainings[0].clip_ids


@pytest.mark.parametrize(
    ("clip_ids", "named"),
    [
        (["a", "b", "c", "d", "e"], "clip_ids has 5 clips: at least 6"),
        (["a"] * 6, "'a' is in it more than once"),
        (["a", "b", "c", "d", "e", ""], "clip_ids=''"),
        ("abcdef", "a list of clip ids, not one str"),
        (7, "a list of clip ids"),
    ],
)
async def test_clips_that_cannot_be_trained_on_are_refused(world, clip_ids: Any, named: str) -> None:
    w = await world(behaviour())
    async with w.client.custom_model_session() as session:
        with pytest.raises(InputError, match=named):
            await session.train("m", clip_ids)
    assert w.ledger.trainings == ()


async def test_five_clips_in_the_session_are_too_few(world) -> None:
    w = await world(behaviour())
    async with w.client.custom_model_session() as session:
        await session.upload_all(EIGHT[:5])
        with pytest.raises(BatchFailed, match="5 of 5 items succeeded"):
            await session.train("m")
        await session.upload(EIGHT[5])
        await session.train("m")


async def test_a_failed_upload_may_be_repeated_on_the_same_session(world) -> None:
    w = await world(behaviour(Fault(Outcome("failed"), on="model_upload", nth=1)))
    async with w.client.custom_model_session() as session:
        with pytest.raises(TaskFailedError):
            await session.upload(EIGHT[0])
        await session.upload_all(EIGHT)
        model = await session.train("m")
    assert len(model.clip_ids) == 8


async def test_a_session_trains_one_model_and_says_so(world) -> None:
    w = await world(behaviour())
    async with w.client.custom_model_session() as session:
        await session.upload_all(EIGHT)
        model, _ = await asyncio.gather(session.train("m"), _is_refused(session, "m"))
        assert await session.train("m") == model
        with pytest.raises(ClientStateError, match="has trained 'm' already"):
            await session.train("another")
    assert len(w.ledger.trainings) == 1


async def _is_refused(session: Any, name: str) -> None:
    await asyncio.sleep(1)
    with pytest.raises(ClientStateError, match="being trained already"):
        await session.train(name)


async def test_ready_before_the_training_is_no_end(world) -> None:
    w = await world(behaviour(upper_case=True))
    async with w.client.custom_model_session() as session:
        handle = w.client.task(session.session_id)
        assert (await handle.status()).status == "ready"
        await session.upload_all(EIGHT)
        assert not (await handle.status()).ended
        await session.train("m")
        assert (await handle.status()).ended


async def test_a_session_is_of_one_kind(world) -> None:
    w = await world(behaviour())
    async with w.client.upload_session() as batch, w.client.custom_model_session() as session:
        assert not hasattr(batch, "train")
        with pytest.raises(NotSubmittedError, match="doesn't know the session"):
            async with w.client.custom_model_session(batch.session_id) as wrong:
                await wrong.upload(EIGHT[0])
        with pytest.raises(InputError, match="no upload session"):
            async with w.client.upload_session(session.session_id):
                pass


async def test_nothing_is_reconciled_since_nothing_is_listed(world) -> None:
    w = await world(behaviour())
    async with w.client.custom_model_session() as session:
        await session.upload_all(EIGHT)
    assert not session.report.reconciliation.read
    assert session.report.ok
    assert w.ledger.polls_of(session.session_id) == 0


async def test_an_adopted_session_whose_training_has_begun_is_not_paid_for_again(world) -> None:
    w = await world(behaviour())
    async with w.client.custom_model_session() as session:
        clips = (await session.upload_all(EIGHT)).audio_ids
        training = asyncio.create_task(session.train("m"))
        await asyncio.sleep(60)
        async with w.client.custom_model_session(session.session_id) as other:
            model = await other.train("m", clips)
        assert model == await training
    assert len(w.ledger.trainings) == 1


# ------------------------------------------------------------------------------------------ what becomes of uploads
async def test_an_upload_whose_answer_is_lost_stays_unknown_and_holds_nobody_up(world) -> None:
    w = await world(behaviour(Fault(Cut(after_work=True), on="model_upload", nth=2)))
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with w.client.custom_model_session() as session:
        report = await session.upload_all(EIGHT)
        assert loop.time() - began < 20
    (unknown,) = report.unknown
    assert (unknown.clip, unknown.candidates, unknown.reason) == (None, (), None)
    assert w.ledger.posts(unknown.audio_url) == 1


async def test_an_upload_whose_answer_is_lost_is_sent_again_where_the_caller_says_so(world) -> None:
    w = await world(behaviour(Fault(Cut(after_work=True), on="model_upload", nth=2)))
    async with w.client.custom_model_session(on_unknown="resubmit") as session:
        report = await session.upload_all(EIGHT)
    assert report.ok
    assert [item.resubmits for item in report.items].count(1) == 1
    assert len(w.ledger.paid_twice()) == 1


# ----------------------------------------------------------------------------------------- what becomes of training
async def test_a_training_whose_answer_is_lost_is_found_and_paid_for_once(world) -> None:
    for effect in (Cut(after_work=True), Answer(504, after_work=True), Hang(after_work=True)):
        w = await world(behaviour(on_create(effect, nth=1)))
        model = await w.client.train_model(EIGHT, "m")
        (training,) = w.ledger.trainings
        assert model.id == training.model


async def test_a_training_that_never_arrived_is_not_sent_again_by_itself(world) -> None:
    w = await world(behaviour(on_create(Cut(after_work=False), nth=1)))
    async with w.client.custom_model_session() as session:
        await session.upload_all(EIGHT)
        for _ in range(2):  # asking again doesn't pay, either
            with pytest.raises(UnknownOutcomeError):
                await session.train("m")
        assert session.report.training.state is ItemState.UNKNOWN
    assert w.ledger.trainings == ()
    assert w.ledger.requests("model_create") == 1


async def test_a_training_that_never_arrived_is_sent_again_where_the_caller_says_so(world) -> None:
    w = await world(behaviour(on_create(Cut(after_work=False), nth=1)))
    model = await w.client.train_model(EIGHT, "m", on_unknown="resubmit")
    assert [training.model for training in w.ledger.trainings] == [model.id]


async def test_a_refusal_says_nothing_of_an_earlier_request_whose_answer_was_lost(world) -> None:
    w = await world(behaviour(on_create(Cut(after_work=False), nth=1), on_create(Answer(400), nth=2)))
    async with w.client.custom_model_session(on_unknown="resubmit") as session:
        await session.upload_all(EIGHT)
        with pytest.raises(BadRequestError):
            await session.train("m")
        training = session.report.training
        assert (training.state, training.reason) == (ItemState.UNKNOWN, "rejected")
        assert isinstance(training.error, UnknownOutcomeError)
        await session.train("m")
    assert len(w.ledger.trainings) == 1


async def test_a_training_that_arrives_after_a_minute_is_found(world) -> None:
    w = await world(behaviour(on_create(Hang(after_work=False, seconds=70.0), nth=1)))
    model = await w.client.train_model(EIGHT, "m", on_unknown="resubmit")
    assert [training.model for training in w.ledger.trainings] == [model.id]


@pytest.mark.parametrize(("ends", "error"), [("failed", TaskFailedError), ("timeout", TaskTimedOutError)])
async def test_a_training_that_failed_may_be_repeated_on_the_same_session(world, ends: Any, error: Any) -> None:
    w = await world(behaviour(on_create(Outcome(ends), nth=1)))
    async with w.client.custom_model_session() as session:
        await session.upload_all(EIGHT)
        with pytest.raises(error) as caught:
            await session.train("m")
        assert caught.value.task_id == session.session_id
        model = await session.train("m")
    assert [training.ends for training in w.ledger.trainings] == [ends, "success"]
    assert model.session_id == session.session_id


async def test_a_training_that_is_refused_costs_nothing_and_may_be_asked_for_again(world) -> None:
    w = await world(behaviour(on_create(Answer(402, '{"message": "Insufficient credits"}'), nth=1)))
    async with w.client.custom_model_session() as session:
        await session.upload_all(EIGHT)
        with pytest.raises(InsufficientCreditsError):
            await session.train("m")
        assert session.report.training.state is ItemState.NOT_SUBMITTED
        assert session.report.training.reason == "credits"
        await session.train("m")
    assert len(w.ledger.trainings) == 1


async def test_too_many_requests_only_delay_a_training(world) -> None:
    w = await world(behaviour(on_create(rate_limited(20), nth=1)))
    await w.client.train_model(EIGHT, "m")
    assert len(w.ledger.trainings) == 1


async def test_a_success_without_a_model_is_said_and_not_paid_for_again(world) -> None:
    w = await world(behaviour())
    async with w.client.custom_model_session() as session:
        await session.upload_all(EIGHT)
        w.emulator.add_fault(Fault(Reshape({"data": None}), on="status"))
        with pytest.raises(MissingModelError):
            await session.train("m")
        w.emulator.clear_faults()
        model = await session.train("m")
    assert [training.model for training in w.ledger.trainings] == [model.id]


async def test_a_training_that_shows_no_sign_of_life_is_given_up_but_not_forgotten(world) -> None:
    w = await world(behaviour(training=Fixed(2000)))
    async with w.client.custom_model_session() as session:
        await session.upload_all(EIGHT)
        with pytest.raises(StalledError):
            await session.train("m")
        assert session.report.training.state is ItemState.UNDETERMINED
        with pytest.raises(StalledError):
            await session.train("m")
        await session.train("m")
    assert len(w.ledger.trainings) == 1


# ------------------------------------------------------------------------------------- deadlines, cancels, journals
async def test_the_deadline_ends_the_wait_and_a_later_call_goes_on(world, tmp_path: Path) -> None:
    w = await world(behaviour())
    with pytest.raises(DeadlineError):
        await w.client.train_model(EIGHT, "m", deadline=60, journal=tmp_path / "j")
    assert read_journal(tmp_path / "j").training.state is ItemState.UNDETERMINED
    model = await w.client.train_model(EIGHT, "m", journal=tmp_path / "j")
    assert [training.model for training in w.ledger.trainings] == [model.id]
    assert w.ledger.paid_twice() == {}


async def test_the_deadline_before_the_training_leaves_it_unsent(world) -> None:
    w = await world(behaviour(latency=2.0))
    async with w.client.custom_model_session(deadline=30) as session:
        await session.upload_all(EIGHT)
        await asyncio.sleep(30 - (asyncio.get_running_loop().time() - session._begun))
        with pytest.raises(NotSubmittedError, match="the deadline passed"):
            await session.train("m")
    assert w.ledger.trainings == ()


@pytest.mark.parametrize("seconds", [10.0, 11.5, 13.0, 60.0])
async def test_a_cancel_at_any_time_leaves_what_a_later_call_completes(world, tmp_path: Path, seconds: float) -> None:
    w = await world(behaviour(latency=1.0, durations=Fixed(5)))
    call = asyncio.create_task(w.client.train_model(EIGHT, "m", journal=tmp_path / "j"))
    await asyncio.sleep(seconds)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    model = await w.client.train_model(EIGHT, "m", journal=tmp_path / "j")
    assert [training.model for training in w.ledger.trainings] == [model.id]
    assert w.ledger.paid_twice() == {}


async def test_leaving_the_session_waits_for_its_training_or_ends_it_with_an_exception(world) -> None:
    w = await world(behaviour())
    async with w.client.custom_model_session() as session:
        await session.upload_all(EIGHT)
        training = asyncio.create_task(session.train("m"))
        await asyncio.sleep(0)
    assert (await training).name == "m"
    with pytest.raises(ZeroDivisionError):  # noqa: PT012 - it is raised in the session's block
        async with w.client.custom_model_session() as session:
            await session.upload_all(EIGHT)
            training = asyncio.create_task(session.train("m"))
            await asyncio.sleep(30)
            raise ZeroDivisionError
    assert session.report.training.state is ItemState.UNDETERMINED
    with pytest.raises(AbandonedError):
        await training


async def test_the_same_call_again_pays_for_nothing_and_gives_the_same_model(world, tmp_path: Path) -> None:
    w = await world(behaviour())
    first = await w.client.train_model(EIGHT, "m", journal=tmp_path / "j")
    assert await w.client.train_model(EIGHT, "m", journal=tmp_path / "j") == first
    report = await w.client.resume_batch(tmp_path / "j")
    assert report.training.model == first == read_journal(tmp_path / "j").training.model
    assert len(w.ledger.trainings) == 1


async def test_a_journal_of_a_model_goes_on_as_what_it_is(world, tmp_path: Path) -> None:
    w = await world(behaviour())
    with pytest.raises(DeadlineError):
        await w.client.train_model(EIGHT, "m", deadline=60, journal=tmp_path / "j")
    report = await w.client.resume_batch(tmp_path / "j")
    assert report.training.model.name == "m"
    for wrong in (
        w.client.upload_batch(EIGHT, journal=tmp_path / "j"),
        w.client.train_model(EIGHT, "another", journal=tmp_path / "j"),
        w.client.train_model(urls(9), "m", journal=tmp_path / "j"),
    ):
        with pytest.raises(JournalMismatch):
            await wrong
    await w.client.upload_batch(EIGHT, journal=tmp_path / "b")
    with pytest.raises(JournalMismatch, match="is that of a batch upload"):
        await w.client.train_model(EIGHT, "m", journal=tmp_path / "b")
    assert len(w.ledger.trainings) == 1


async def test_a_later_run_repeats_a_training_that_failed_only_on_the_callers_word(world, tmp_path: Path) -> None:
    w = await world(behaviour(on_create(Outcome("failed"), nth=1)))
    for _ in range(2):
        with pytest.raises(TaskFailedError):
            await w.client.train_model(EIGHT, "m", journal=tmp_path / "j")
    assert (await w.client.resume_batch(tmp_path / "j")).training.state is ItemState.FAILED
    model = await w.client.train_model(EIGHT, "m", journal=tmp_path / "j", retry_failed=True)
    assert [training.model for training in w.ledger.trainings if training.ends == "success"] == [model.id]
    assert len(w.ledger.trainings) == 2
