"""`upload_batch` over real sockets, in simulated time: what becomes of each item, and what was paid for."""

from __future__ import annotations

import asyncio
import copy
import json
import pickle
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest
from support.names import urls

from mountsea_async import (
    BatchFailed,
    BatchReport,
    ClientConfig,
    DuplicateURLWarning,
    Event,
    InsufficientCreditsError,
    ItemChanged,
    ItemState,
    MissingClipError,
    NotFoundError,
    NotSubmittedError,
    Paused,
    PollPolicy,
    RetryPolicy,
    StalledError,
    SubmitsStopped,
    TaskFailedError,
    TaskTimedOutError,
    UnknownOutcomeError,
    UploadItem,
)
from mountsea_async.testing import (
    Answer,
    Behaviour,
    Cut,
    Fault,
    Fixed,
    Hang,
    LogNormal,
    LoseAccount,
    Outcome,
    RateLimit,
    Reshape,
    RevokeKey,
    Truncate,
    Uniform,
    html,
    no_account,
    out_of_credits,
    rate_limited,
    redirect,
    unauthorized,
)


def states(report: BatchReport) -> list[str]:
    return [item.state.value for item in report.items]


def only_item(fault: Fault | None = None, **fields: Any) -> Behaviour:
    return Behaviour(durations=Fixed(5), faults=(fault,) if fault else (), **fields)


# ------------------------------------------------------------------------------------------------- the main job
async def test_each_url_becomes_its_own_clip_in_input_order(world) -> None:
    w = await world(Behaviour(durations=Uniform(5, 40)))
    report = await w.client.upload_batch(urls(50))
    assert report.ok
    assert report.reconciliation.consistent
    by_url = {charge.audio_url: charge.clip_id for charge in w.ledger.charges}
    assert list(report.audio_ids) == [by_url[url] for url in urls(50)]
    assert [item.clip.id for item in report.items] == list(report.audio_ids)
    assert {charge.session_id for charge in w.ledger.charges} == {report.session_id}
    assert all(w.ledger.posts(url) == 1 for url in urls(50))


async def test_failures_and_timeouts_are_data_and_disturb_no_sibling(world) -> None:
    w = await world(Behaviour(durations=LogNormal(20, 0.8), fail_share=0.2, timeout_share=0.1, seed=3))
    report = await w.client.upload_batch(urls(100))
    ends = {charge.audio_url: charge.ends for charge in w.ledger.charges}
    word = {"success": "succeeded", "failed": "failed", "timeout": "timed_out"}
    assert states(report) == [word[ends[url]] for url in urls(100)]
    assert len(set(states(report))) == 3
    assert not report.ok
    assert len(report.failed) == sum(end != "success" for end in ends.values())
    for item in report.failed:
        timed_out = item.state is ItemState.TIMED_OUT
        assert isinstance(item.error, TaskTimedOutError if timed_out else TaskFailedError)
        assert item.error.task_id == item.task_id
    with pytest.raises(BatchFailed, match="of 100 items succeeded") as caught:
        report.raise_for_failures()
    assert caught.value.report is report


async def test_an_account_that_works_one_item_at_a_time_is_waited_for_however_long_its_queue(world) -> None:
    w = await world(Behaviour(durations=Fixed(60), parallel=1))
    report = await w.client.upload_batch(urls(40))
    assert report.ok
    assert report.stats.elapsed > 40 * 60


@pytest.mark.parametrize(
    "behaviour",
    [
        Behaviour(vocabulary="older", upper_case=True, result_field="result", durations=Fixed(9)),
        Behaviour(vocabulary="current", durations=Fixed(9), faults=(Fault(Reshape({"createdAt": None}), on="status"),)),
        Behaviour(durations=Fixed(9), faults=(Fault(Reshape({"status": "polishing"}), on="status", times=20),)),
        Behaviour(durations=Fixed(9), faults=(Fault(Reshape({"new": [1]}), on="any"),)),
    ],
    ids=["older-upper-result", "no-createdAt", "unknown-status", "extra-fields"],
)
async def test_every_vocabulary_of_the_service_is_understood(world, behaviour: Behaviour) -> None:
    w = await world(behaviour)
    report = await w.client.upload_batch(urls(5))
    assert report.ok


async def test_entries_bring_their_key_and_metadata_back(world) -> None:
    w = await world()
    entries = [UploadItem(url, key=f"k{n}", metadata={"n": n}) for n, url in enumerate(urls(3))]
    report = await w.client.upload_batch(entries)
    assert [(item.key, item.metadata["n"]) for item in report.items] == [("k0", 0), ("k1", 1), ("k2", 2)]


async def test_urls_may_come_from_generators_and_async_iterables(world) -> None:
    w = await world()

    async def stream() -> AsyncIterator[str]:
        for url in urls(3):
            await asyncio.sleep(0.1)
            yield url

    assert (await w.client.upload_batch(url for url in urls(3))).ok
    assert (await w.client.upload_batch(stream())).ok


async def test_a_presigned_url_is_sent_whole_and_shown_without_its_signature(world) -> None:
    w = await world()
    signed = "https://cdn.example.com/a.mp3?X-Amz-Signature=abcdef&X-Amz-Expires=60"
    report = await w.client.upload_batch([signed])
    assert w.ledger.charges[0].audio_url == signed
    assert "abcdef" not in repr(report) + repr(report.to_dict())
    assert report.items[0].audio_url == "https://cdn.example.com/a.mp3"


async def test_no_more_requests_are_in_flight_than_the_concurrency_and_one_is_kept_for_polls(world) -> None:
    w = await world(Behaviour(latency=0.2, durations=Fixed(1)))
    flying = Counter[ItemState]()
    peak = 0

    def count(event: Event) -> None:
        nonlocal peak
        if isinstance(event, ItemChanged):
            flying[event.previous] -= 1
            flying[event.state] += 1
            peak = max(peak, flying[ItemState.SUBMITTING])

    await w.client.upload_batch(urls(40), concurrency=7, on_event=count)
    assert peak == 6
    assert w.ledger.peak_connections <= 7


# --------------------------------------------------------------------------------------------------- duplicates
async def test_a_repeated_url_is_uploaded_once_and_its_entries_share_the_clip(world) -> None:
    w = await world()
    first, second = urls(2)
    with pytest.warns(DuplicateURLWarning, match="1 of 3 entries"):
        report = await w.client.upload_batch([first, second, first])
    assert w.ledger.posts(first) == 1
    assert report.items[2].clip == report.items[0].clip
    assert report.items[2].duplicate_of == 0
    assert report.ok
    assert len(report.audio_ids) == 2
    assert report.reconciliation.consistent


async def test_a_repeated_url_is_uploaded_as_often_as_it_stands_there_if_asked_for(world) -> None:
    w = await world()
    (url,) = urls(1)
    report = await w.client.upload_batch([url, url], keep_duplicates=True)
    assert w.ledger.posts(url) == 2
    assert len(report.audio_ids) == 2
    assert report.ok


async def test_entries_that_share_a_failed_upload_share_its_failure(world) -> None:
    w = await world(only_item(Fault(Outcome("failed"))))
    (url,) = urls(1)
    with pytest.warns(DuplicateURLWarning):
        report = await w.client.upload_batch([url, url])
    assert states(report) == ["failed", "failed"]
    assert report.items[1].error is report.items[0].error


# ------------------------------------------------------------------------------------- outcomes of single items
@pytest.mark.parametrize("status", [400, 413, 415, 422])
async def test_an_item_that_is_turned_away_fails_alone(world, status: int) -> None:
    w = await world(only_item(Fault(Answer(status), url="*-00001.mp3")))
    report = await w.client.upload_batch(urls(3))
    assert states(report) == ["succeeded", "failed", "succeeded"]
    assert report.items[1].reason == "rejected"
    assert report.items[1].error.status == status
    assert w.ledger.posts(urls(3)[1]) == 1


TASKS_FIRST = ClientConfig(poll=PollPolicy(strategy="backoff"))
"""Each task is asked by itself, and the list only at the end."""


UNKNOWNS = {
    "reset before the work": (Cut(after_work=False), 0),
    "reset after the work": (Cut(after_work=True), 1),
    "FIN after the work": (Cut(after_work=True, graceful=True), 1),
    "no answer, no work": (Hang(after_work=False), 0),
    "no answer after the work": (Hang(after_work=True), 1),
    "500": (Answer(500), 0),
    "502 page": (html(502), 0),
    "504 after the work": (html(504, after_work=True), 1),
    "other 503": (Answer(503, "<html>maintenance</html>"), 0),
    "418": (Answer(418), 0),
    "409": (Answer(409), 0),
    "200 page": (html(200), 0),
    "201 without an id": (Answer(201, "{}", after_work=True), 1),
    "201 with a null id": (Answer(201, '{"taskId": null}', after_work=True), 1),
    "201 that is no JSON": (Answer(201, "ok", after_work=True), 1),
    "201 list": (Answer(201, "[]", after_work=True), 1),
    "201 cut in the id": (Truncate(0.4), 1),
    "redirect to itself": (redirect("/suno/v2/audio/upload/session/item"), 0),
    "redirect elsewhere": (redirect("http://127.0.0.1:9/"), 0),
    "gzip that isn't": (Answer(201, b"\x00\x01", {"Content-Encoding": "gzip"}, after_work=True), 1),
    "too long": (Answer(201, "[" + " " * 2_000_000 + "]", after_work=True), 1),
}


@pytest.mark.parametrize(("effect", "clips"), UNKNOWNS.values(), ids=UNKNOWNS)
async def test_an_unknown_outcome_is_never_sent_again_and_its_clip_is_not_lost(world, effect, clips: int) -> None:
    w = await world(only_item(Fault(effect, url="*-00001.mp3")))
    report = await w.client.upload_batch(urls(3))
    assert states(report) == ["succeeded", "unknown", "succeeded"]
    assert w.ledger.posts(urls(3)[1]) == 1
    assert isinstance(report.items[1].error, UnknownOutcomeError)
    assert report.items[1].evidence == ("elimination" if clips else None)
    assert report.reconciliation.inferred == ((report.items[1].clip_id,) if clips else ())
    assert report.items[1].reason == (None if clips else "absent")
    assert report.reconciliation.unattributed == ()
    assert w.ledger.lost(report.audio_ids) == ()
    assert not report.ok


async def test_a_task_id_that_arrived_whole_in_a_cut_answer_is_used(world) -> None:
    w = await world(only_item(Fault(Truncate(0.99))))
    report = await w.client.upload_batch(urls(1))
    assert report.ok


async def test_a_success_that_names_its_clip_late_is_asked_again(world) -> None:
    w = await world(only_item(Fault(Reshape({"data": None}), on="status", nth={2, 3, 4})))
    report = await w.client.upload_batch(urls(1))
    assert report.ok


async def test_a_success_that_never_names_its_clip_is_unknown_and_its_clip_is_told_by_elimination(world) -> None:
    w = await world(only_item(Fault(Outcome("blank"))))
    report = await w.client.upload_batch(urls(1))
    (item,) = report.items
    assert (item.state, item.reason) == (ItemState.UNKNOWN, "success_without_clip")
    assert isinstance(item.error, MissingClipError)
    assert item.error.task_id == item.task_id
    assert (item.clip_id, item.evidence) == (w.ledger.clip_ids()[0], "elimination")
    assert report.audio_ids == report.reconciliation.inferred == w.ledger.clip_ids()


async def test_a_clip_that_lands_after_its_task_timed_out_is_listed(world) -> None:
    w = await world(
        Behaviour(durations=Fixed(5), faults=(Fault(Outcome("late", duration=1, late_after=1), url="*-00000.mp3"),))
    )
    report = await w.client.upload_batch(urls(2))
    assert states(report) == ["timed_out", "succeeded"]
    assert (report.items[0].reason, report.items[0].evidence) == ("late", "elimination")
    assert report.reconciliation.inferred == (report.items[0].clip_id,)
    assert w.ledger.lost(report.audio_ids) == ()


async def test_two_tasks_that_name_one_clip_are_marked(world) -> None:
    fault = Fault(Reshape({"data": {"id": "same"}, "status": "success"}), on="status", times=2)
    w = await world(only_item(fault))
    report = await w.client.upload_batch(urls(2))
    assert {item.reason for item in report.items} == {"duplicate_clip"}
    assert report.reconciliation.duplicated == ("same",)
    assert report.audio_ids[0] == "same"
    assert not report.reconciliation.consistent


# ----------------------------------------------------------------------------------------------- poll troubles
@pytest.mark.parametrize(
    "effect",
    [Cut(), Answer(500), html(502), html(200), Answer(200, "{}"), Answer(404), redirect("/x"), Hang(), Truncate(0.3),
     Answer(200, "x" * 2_000_000), Reshape({"status": 7}), Reshape({"taskId": "another"})],
    ids=repr,
)  # fmt: skip
async def test_poll_troubles_say_nothing_about_a_task(world, effect) -> None:
    w = await world(only_item(Fault(effect, on="status", nth=frozenset(range(1, 7)))))
    report = await w.client.upload_batch(urls(3))
    assert report.ok
    assert report.stats.poll_errors >= 1


async def test_a_task_that_the_service_forgets_ends_undetermined(world) -> None:
    w = await world(only_item(Fault(Answer(404), on="status", url="*-00000.mp3")))
    report = await w.client.upload_batch(urls(2))
    assert states(report) == ["undetermined", "succeeded"]
    assert report.items[0].reason == "task_lost"
    assert report.items[0].error.task_id == report.items[0].task_id


# ------------------------------------------------------------------------------------- repeats and the 429 pause
async def test_a_busy_service_is_asked_again_and_nothing_is_paid_twice(world) -> None:
    w = await world(only_item(Fault(no_account(), times=3)))
    report = await w.client.upload_batch(urls(1))
    assert report.ok
    assert report.items[0].attempts == 4
    assert w.ledger.paid_twice() == {}


async def test_a_429_pauses_every_request_for_as_long_as_the_service_says(world) -> None:
    w = await world(Behaviour(durations=Fixed(1), faults=(Fault(rate_limited(30), nth=5),)))
    paused: list[Event] = []
    report = await w.client.upload_batch(
        urls(10), concurrency=1, on_event=lambda event: paused.append(event) if isinstance(event, Paused) else None
    )
    assert report.ok
    (event,) = paused
    assert 30 <= event.seconds <= 33
    at = next(call.at for call in w.ledger.calls if call.status == 429)
    later = [call.at for call in w.ledger.calls if call.at > at]
    assert min(later) >= at + 30
    assert report.stats.pauses == 1


async def test_refusals_use_up_nobodys_tries(world) -> None:
    w = await world(
        Behaviour(durations=Fixed(1), faults=(Fault(rate_limited(1), nth=frozenset(range(1, 40))),)),
        config=ClientConfig(retry=RetryPolicy(max_tries=1)),
    )
    report = await w.client.upload_batch(urls(5))
    assert report.ok
    assert w.ledger.paid_twice() == {}


@pytest.mark.parametrize("hint", ["seconds", "date", "none"])
async def test_a_rate_limit_slows_the_batch_and_loses_nothing(world, hint: Any) -> None:
    w = await world(Behaviour(durations=Uniform(1, 5), rate_limit=RateLimit(5, 10, retry_after=hint)))
    report = await w.client.upload_batch(urls(60))
    assert report.ok
    assert w.ledger.paid_twice() == {}


async def test_a_service_that_only_refuses_ends_the_batch_after_ten_minutes(world) -> None:
    w = await world(Behaviour(durations=Fixed(1), faults=(Fault(rate_limited(20), after=3),)))
    report = await w.client.upload_batch(urls(10), concurrency=1)
    assert states(report) == ["succeeded"] * 3 + ["not_submitted"] * 7
    assert report.stopped in {"rate_limited", "stalled"}
    # Ten minutes, and those who still wait are refused once more, one every 20 s.
    assert 600 <= report.stats.elapsed < 900


# ------------------------------------------------------------------------------- refusals that concern every item
REFUSALS = {
    "key": (unauthorized(), "unauthorized"),
    "forbidden": (Answer(403), "unauthorized"),
    "credits": (out_of_credits(), "credits"),
    "credits in words": (Answer(400, '{"message":"Insufficient credits balance"}'), "credits"),
    "session gone": (Answer(404), "session_gone"),
}


@pytest.mark.parametrize(("effect", "word"), REFUSALS.values(), ids=REFUSALS)
async def test_a_refusal_that_concerns_all_stops_submits_and_lets_the_rest_finish(world, effect, word: str) -> None:
    w = await world(Behaviour(durations=Fixed(5), faults=(Fault(effect, after=4, on="item"),)))
    report = await w.client.upload_batch(urls(50), concurrency=2)
    assert states(report) == ["succeeded"] * 4 + ["not_submitted"] * 46
    assert report.stopped == word
    assert {item.reason for item in report.not_submitted} == {word}
    refused = [call for call in w.ledger.calls if call.endpoint == "item" and call.status != 201]
    assert len(refused) <= 2
    assert w.ledger.lost(report.audio_ids) == ()
    assert all(isinstance(item.error, NotSubmittedError) for item in report.not_submitted)
    assert report.items[-1].error.cause.status == refused[0].status


async def test_the_words_insufficient_credits_stop_submits_but_the_status_makes_the_class(world) -> None:
    w = await world(Behaviour(durations=Fixed(5), faults=(Fault(Answer(500, "insufficient credits"), after=2),)))
    report = await w.client.upload_batch(urls(10), concurrency=1)
    assert states(report) == ["succeeded"] * 2 + ["unknown"] + ["not_submitted"] * 7
    assert report.stopped == "credits"


async def test_running_out_of_credits_in_mid_batch_is_reported_item_by_item(world) -> None:
    w = await world(Behaviour(durations=Fixed(5), credits=6))
    report = await w.client.upload_batch(urls(20), concurrency=3)
    assert (len(report.succeeded), len(report.not_submitted)) == (6, 14)
    assert isinstance(report.not_submitted[0].error.cause, InsufficientCreditsError)


async def test_an_account_that_is_lost_ends_the_session_and_what_it_had_taken_is_reported(world) -> None:
    w = await world(Behaviour(durations=Fixed(50), faults=(Fault(LoseAccount(), nth=11),)))
    report = await w.client.upload_batch(urls(30), concurrency=2)
    assert report.stopped == "no_account"
    assert report.counts == {ItemState.FAILED: 10, ItemState.NOT_SUBMITTED: 20}


async def test_a_key_that_is_revoked_for_polls_too_does_not_keep_the_batch_waiting(world) -> None:
    w = await world(Behaviour(durations=Fixed(50), faults=(Fault(RevokeKey(), nth=5),)))
    report = await w.client.upload_batch(urls(30), concurrency=1)
    assert states(report) == ["undetermined"] * 4 + ["not_submitted"] * 26
    assert report.stats.elapsed < 300


async def test_a_service_that_goes_away_leaves_the_rest_not_submitted(world) -> None:
    w = await world(Behaviour(durations=Fixed(5), latency=0.1))
    ended = 0

    def leave(event: Event) -> None:
        nonlocal ended
        if isinstance(event, ItemChanged) and event.state is ItemState.SUBMITTED:
            ended += 1
            if ended == 5:
                asyncio.get_running_loop().create_task(w.emulator.__aexit__(None, None, None))

    report = await w.client.upload_batch(urls(40), concurrency=2, on_event=leave)
    assert report.stopped == "unreachable"
    assert len(report.not_submitted) >= 30
    assert not report.reconciliation.read
    assert w.ledger.paid_twice() == {}


# -------------------------------------------------------------------------------------------- before any payment
async def test_a_refused_key_raises_before_anything_is_paid(world) -> None:
    w = await world(Behaviour(faults=(Fault(unauthorized(), on="prepare"),)))
    with pytest.raises(Exception, match="MOUNTSEA_API_KEY"):
        await w.client.upload_batch(urls(3))
    assert w.ledger.charges == ()


async def test_preparing_is_repeated_after_any_trouble_since_it_costs_nothing(world) -> None:
    w = await world(
        Behaviour(durations=Fixed(1), faults=tuple(Fault(e, on="prepare", nth=n) for n, e in enumerate(
            [Answer(500), Cut(after_work=True), html(200), no_account()], start=1)))
    )  # fmt: skip
    report = await w.client.upload_batch(urls(3))
    assert report.ok


# ------------------------------------------------------------------------------------------- deadline and stall
async def test_at_the_deadline_each_item_is_where_the_evidence_leaves_it(world) -> None:
    behaviour = Behaviour(
        durations=Fixed(60),
        faults=(Fault(Hang(after_work=True), url="*-00003.mp3"), Fault(Outcome("success", duration=1), nth=1)),
    )
    w = await world(behaviour)
    report = await w.client.upload_batch(urls(40), deadline=20, concurrency=1)
    assert states(report)[:4] == ["succeeded", "undetermined", "undetermined", "unknown"]
    assert set(states(report)[4:]) == {"not_submitted"}
    assert report.stopped == "deadline"
    assert report.items[1].error.task_id == report.items[1].task_id
    assert isinstance(report.items[1].error, TimeoutError)
    assert 20 <= report.stats.elapsed <= 41


async def test_a_deadline_that_passes_during_the_final_check_has_stopped_nothing(world) -> None:
    w = await world(Behaviour(durations=Fixed(5), append_lag=100))
    report = await w.client.upload_batch(urls(3), deadline=15)
    assert report.stopped is None
    assert len(report.succeeded) == 3
    assert len(report.reconciliation.missing) == 3


async def test_a_sent_request_gets_its_answer_after_the_deadline_within_the_grace(world) -> None:
    w = await world(Behaviour(durations=Fixed(60), faults=(Fault(Hang(seconds=6)),)))
    report = await w.client.upload_batch(urls(1), deadline=3)
    assert states(report) == ["undetermined"]
    assert report.items[0].task_id is not None


async def test_a_deadline_that_passes_before_there_is_a_session_says_so(world) -> None:
    w = await world(Behaviour(faults=(Fault(Hang(), on="prepare"),)))
    with pytest.raises(NotSubmittedError, match="deadline") as caught:
        await w.client.upload_batch(urls(1), deadline=5)
    assert caught.value.reason == "deadline"


async def test_silence_ends_the_batch_after_ten_minutes_and_not_before(world) -> None:
    w = await world(Behaviour(durations=Fixed(1), faults=(Fault(Outcome("success", duration=1e6), url="*-00001.mp3"),)))
    report = await w.client.upload_batch(urls(3))
    assert states(report) == ["succeeded", "undetermined", "succeeded"]
    assert report.items[1].reason == "stalled"
    assert isinstance(report.items[1].error, StalledError)
    assert 600 <= report.stats.elapsed < 700


async def test_a_slow_batch_is_given_six_times_its_own_pace_before_it_counts_as_stalled(world) -> None:
    w = await world(
        Behaviour(durations=Fixed(400), parallel=1, faults=(Fault(Outcome("success", duration=2000), nth=4),)),
        config=ClientConfig(poll=PollPolicy(cap=60)),
    )
    report = await w.client.upload_batch(urls(6))
    assert report.ok


# ---------------------------------------------------------------------------------------------- the final check
async def test_a_list_that_lags_is_read_again(world) -> None:
    w = await world(Behaviour(durations=Fixed(5), append_lag=8))
    report = await w.client.upload_batch(urls(3))
    assert report.reconciliation.consistent


async def test_a_clip_that_the_list_never_shows_is_kept_and_reported_missing(world) -> None:
    fault = Fault(Reshape({"data": {"audioIds": ["foreign"]}}), on="status", url=None, after=3)
    w = await world(Behaviour(durations=Fixed(1), faults=(fault,)), config=TASKS_FIRST)
    report = await w.client.upload_batch(urls(3))
    assert report.ok is False
    assert len(report.reconciliation.missing) == 3
    assert report.reconciliation.unattributed == ("foreign",)
    assert report.audio_ids[-1] == "foreign"


async def test_a_clip_that_the_list_showed_once_is_not_lost_when_a_later_reading_leaves_it_out(world) -> None:
    faults = (
        Fault(Reshape({"data": {"audioIds": ["orphan"]}}), on="status", nth=3),
        Fault(Reshape({"data": {"audioIds": []}}), on="status", after=3),
    )
    w = await world(Behaviour(durations=Fixed(1), faults=faults))
    report = await w.client.upload_batch(urls(2))
    assert report.reconciliation.unattributed == ("orphan",)
    assert len(report.reconciliation.missing) == 2


async def test_entries_of_the_list_that_are_no_ids_are_told(world) -> None:
    fault = Fault(Reshape({"data": {"audioIds": [None, 7]}}), on="status", after=2)
    w = await world(Behaviour(durations=Fixed(1), faults=(fault,)))
    report = await w.client.upload_batch(urls(2))
    assert report.reconciliation.unreadable == 2
    assert not report.reconciliation.consistent


@pytest.mark.parametrize("bad", ["\ud800", "a\nb", "  ", "x" * 5000], ids=["surrogate", "newline", "blank", "long"])
async def test_an_id_that_can_be_none_leaves_its_item_unknown_and_disturbs_no_other(world, bad: str) -> None:
    w = await world(only_item(Fault(Answer(201, json.dumps({"taskId": bad}), after_work=True), url="*-00001.mp3")))
    report = await w.client.upload_batch(urls(3))
    assert states(report) == ["succeeded", "unknown", "succeeded"]
    assert report.reconciliation.inferred == (report.items[1].clip_id,)


async def test_a_report_can_be_pickled_and_copied(world) -> None:
    w = await world(Behaviour(durations=Fixed(1), fail_share=0.5, seed=2))
    entries = [UploadItem(url, metadata={"n": n} if n % 2 else {}) for n, url in enumerate(urls(6))]
    report = await w.client.upload_batch(entries)
    again = pickle.loads(pickle.dumps(report))  # noqa: S301 - our own bytes
    assert again.to_dict() == copy.deepcopy(report).to_dict() == report.to_dict()
    json.dumps(report.to_dict())


async def test_a_list_that_cannot_be_read_leaves_the_items_as_they_are(world) -> None:
    faults = (Fault(Answer(500), on="status", after=3),)
    w = await world(Behaviour(durations=Fixed(1), faults=faults), config=TASKS_FIRST)
    report = await w.client.upload_batch(urls(3))
    assert len(report.succeeded) == 3
    assert not report.reconciliation.read
    assert not report.reconciliation.consistent


async def test_an_adopted_session_keeps_its_earlier_clips_apart(world) -> None:
    w = await world(Behaviour(durations=Fixed(1)))
    first = await w.client.upload_batch(urls(2))
    second = await w.client.upload_batch(urls(2, stem="more"), session_id=first.session_id)
    assert second.session_id == first.session_id
    assert second.ok
    assert set(second.reconciliation.earlier) == set(first.audio_ids)
    assert second.reconciliation.unattributed == ()
    assert w.ledger.summary()["sessions"] == 1


async def test_adopting_an_unknown_session_is_refused_before_anything_is_paid(world) -> None:
    w = await world()
    with pytest.raises(NotFoundError):
        await w.client.upload_batch(urls(2), session_id="00000000-0000-4000-8000-000000000000")
    assert w.ledger.charges == ()


# --------------------------------------------------------------------------------------------------- the stream
async def test_the_stream_carries_every_change_of_state_in_order(world) -> None:
    w = await world(Behaviour(durations=Fixed(5), fail_share=0.3, seed=1))
    seen: list[Event] = []
    report = await w.client.upload_batch(urls(10), on_event=seen.append)
    assert [event.seq for event in seen] == list(range(len(seen)))
    now = dict.fromkeys(range(10), ItemState.NEW)
    for event in seen:
        if isinstance(event, ItemChanged):
            assert event.previous is now[event.index]
            now[event.index] = event.state
    assert [now[index] for index in range(10)] == [item.state for item in report.items]


async def test_a_callback_that_raises_changes_nothing(world) -> None:
    w = await world(Behaviour(durations=Fixed(1)))

    def broken(event: Event) -> None:
        raise RuntimeError("my own fault")

    assert (await w.client.upload_batch(urls(3), on_event=broken)).ok


async def test_a_stop_is_told_once_with_its_reason(world) -> None:
    w = await world(Behaviour(durations=Fixed(1), credits=2))
    seen: list[Event] = []
    await w.client.upload_batch(urls(9), on_event=seen.append)
    (stop,) = [event for event in seen if isinstance(event, SubmitsStopped)]
    assert stop.reason == "credits"
    assert isinstance(stop.error, InsufficientCreditsError)


# -------------------------------------------------------------------------------------------------- hard weather
async def test_submits_that_get_no_clear_answer_one_after_another_stop_the_rest(world) -> None:
    w = await world(Behaviour(durations=Fixed(5), faults=(Fault(html(504, after_work=True), after=3),)))
    report = await w.client.upload_batch(urls(60), concurrency=2)
    assert report.stopped == "no_answers"
    assert (len(report.succeeded), len(report.unknown)) == (3, 8)
    assert w.ledger.lost(report.audio_ids) == ()


async def test_lost_answers_among_good_ones_stop_nothing(world) -> None:
    w = await world(Behaviour(durations=Fixed(5), faults=(Fault(Cut(after_work=True), every=2),)))
    report = await w.client.upload_batch(urls(60), concurrency=1)
    assert report.stopped is None
    assert (len(report.succeeded), len(report.unknown)) == (30, 30)


async def test_one_accident_that_hits_everything_in_flight_stops_nothing(world) -> None:
    w = await world(Behaviour(durations=Fixed(5), latency=0.2))
    loop = asyncio.get_running_loop()
    loop.call_later(0.5, w.emulator.add_fault, Fault(Cut(after_work=True), times=28))
    report = await w.client.upload_batch(urls(120))
    assert report.stopped is None
    assert len(report.unknown) == 28
    assert w.ledger.lost(report.audio_ids) == ()


async def test_an_outage_of_seconds_is_outlived(world) -> None:
    w = await world(Behaviour(durations=Fixed(5), latency=0.1))

    async def outage() -> None:
        await asyncio.sleep(0.35)
        await w.emulator.__aexit__(None, None, None)
        await asyncio.sleep(1.5)
        await w.emulator.__aenter__()

    batch = asyncio.create_task(w.client.upload_batch(urls(60), concurrency=4))
    await outage()
    report = await batch
    assert report.stopped is None
    assert not report.not_submitted
    assert w.ledger.paid_twice() == {}


async def test_a_loop_that_was_blocked_for_long_does_not_make_the_batch_look_dead(world) -> None:
    w = await world(Behaviour(durations=Fixed(30)))
    batch = asyncio.create_task(w.client.upload_batch(urls(5)))
    await asyncio.sleep(10)
    asyncio.get_running_loop().now += 3000  # type: ignore[attr-defined] # as if the machine had slept
    report = await batch
    assert report.ok


async def test_credits_that_run_out_behind_a_rate_limit_leave_a_report(world) -> None:
    for credits_left in range(20, 44, 4):
        w = await world(
            Behaviour(durations=Uniform(1, 2), latency=0.2, rate_limit=RateLimit(30, 10), credits=credits_left)
        )
        report = await w.client.upload_batch(urls(80))
        assert report.stopped == "credits"
        assert len(report.succeeded) == credits_left
