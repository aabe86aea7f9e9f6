"""Bodies and headers as values: lenient where the contract is vague, strict where we rely on it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from support.names import KEY

from mountsea_async.models import Clip, SessionAudio, Task, TaskStatus
from mountsea_async.wire import decode
from mountsea_async.wire.decode import Malformed, retry_after_seconds
from mountsea_async.wire.protocol import Response, decipher

ASKED = "7d1c7a52-1111-4222-8333-444455556666"
CLIP = {
    "id": "c-1",
    "status": "complete",
    "audio_url": "https://cdn.example.com/c-1.mp3",
    "image_url": "https://cdn.example.com/c-1.jpg",
    "has_vocal": True,
    "display_tags": "pop, 80s",
}
WHOLE_CLIP = Clip(
    "c-1", "complete", "https://cdn.example.com/c-1.mp3", "https://cdn.example.com/c-1.jpg", True, "pop, 80s"
)


def read(**fields: object) -> Task:
    return decode.task(ASKED)(json.dumps(fields).encode())


# ------------------------------------------------------------------------------------------------------- status
@pytest.mark.parametrize("word", ["queued", "ready", "running", "stream", "awaiting"])
@pytest.mark.parametrize("form", [str.lower, str.upper, str.title, lambda word: f" {word}\n"])
def test_a_status_on_the_way_is_not_an_end_whatever_its_case(word: str, form: object) -> None:
    assert callable(form)
    task = read(taskId=ASKED, status=form(word))
    assert (task.status, task.ended, task.data) == (word, False, None)
    assert task.status in set(TaskStatus)


@pytest.mark.parametrize("word", ["success", "failed", "timeout"])
@pytest.mark.parametrize("form", [str.lower, str.upper, str.title, lambda word: f" {word}\n"])
def test_a_status_that_is_an_end_is_one_whatever_its_case(word: str, form: object) -> None:
    assert callable(form)
    task = read(taskId=ASKED, status=form(word))
    assert (task.status, task.ended) == (word, True)


@pytest.mark.parametrize("word", ["paused", "completed", "SUCCEEDED", "success!", "done", "error", "0", "état"])
def test_an_unknown_status_means_not_ended(word: str) -> None:
    task = read(taskId=ASKED, status=word, data=CLIP)
    assert (task.ended, task.status, task.clip) == (False, word.lower(), None)


@pytest.mark.parametrize("status", [None, "", "  ", 7, True, ["success"], {"a": 1}], ids=repr)
def test_a_status_that_is_no_text_is_malformed(status: object) -> None:
    with pytest.raises(Malformed):
        read(taskId=ASKED, status=status)


def test_a_task_without_status_is_malformed() -> None:
    with pytest.raises(Malformed):
        read(taskId=ASKED, data=CLIP)


# ---------------------------------------------------------------------------------------------------- whose task
@pytest.mark.parametrize("answered", [None, "", 7, ["x"], ASKED], ids=repr)
def test_a_task_that_names_no_other_id_is_the_one_asked_for(answered: object) -> None:
    assert read(taskId=answered, status="success", data=CLIP).task_id == ASKED


def test_a_task_that_does_not_name_itself_is_the_one_asked_for() -> None:
    assert read(status="running").task_id == ASKED


@pytest.mark.parametrize("status", ["running", "success", "failed"])
def test_another_tasks_answer_is_malformed(status: str) -> None:
    with pytest.raises(Malformed):
        read(taskId="another", status=status, data=CLIP)


def test_another_tasks_answer_in_an_envelope_is_malformed() -> None:
    with pytest.raises(Malformed):
        read(code=0, data={"taskId": "another", "status": "success", "data": CLIP})


def test_a_task_in_an_envelope_is_read() -> None:
    task = read(code=0, message="ok", data={"taskId": ASKED, "status": "SUCCESS", "data": CLIP})
    assert (task.status, task.clip) == ("success", WHOLE_CLIP)


# ---------------------------------------------------------------------------------------------------------- data
@pytest.mark.parametrize("name", ["data", "result"])
def test_a_clip_is_read_from_data_or_result(name: str) -> None:
    task = read(taskId=ASKED, status="success", **{name: CLIP})
    assert (task.data, task.clip) == (WHOLE_CLIP, WHOLE_CLIP)


@pytest.mark.parametrize("empty", [None, {}, []], ids=repr)
def test_an_empty_data_falls_back_to_result(empty: object) -> None:
    assert read(status="success", data=empty, result=CLIP).clip == WHOLE_CLIP


def test_data_wins_over_result() -> None:
    assert read(status="success", data=CLIP, result={"id": "other"}).clip == WHOLE_CLIP


@pytest.mark.parametrize(
    "data", [None, {}, [], {"id": None}, {"id": ""}, {"status": "complete"}, "", "text", 7, True, [None], [7]], ids=repr
)
def test_a_success_that_names_no_clip_has_no_data(data: object) -> None:
    task = read(status="success", data=data)
    assert (task.ended, task.data, task.clip) == (True, None, None)


def test_a_success_without_data_at_all_has_no_data() -> None:
    assert read(taskId=ASKED, status="success").data is None


def test_a_list_is_read_as_clips() -> None:
    task = read(status="success", data=[CLIP, {"id": "c-2"}])
    assert task.data == (WHOLE_CLIP, Clip("c-2"))
    assert task.clip is None


def test_a_list_of_one_clip_is_that_clip() -> None:
    assert read(status="success", data=[{"id": "c-2"}]).clip == Clip("c-2")


@pytest.mark.parametrize("bad", [7, True, ["c-1"], {"x": 1}, "  "], ids=repr)
@pytest.mark.parametrize("wrap", [lambda data: data, lambda data: [data]], ids=["object", "list"])
def test_a_clip_id_that_is_no_text_is_malformed(bad: object, wrap: object) -> None:
    assert callable(wrap)
    with pytest.raises(Malformed):
        read(status="success", data=wrap({"id": bad}))


@pytest.mark.parametrize("status", ["failed", "timeout"])
@pytest.mark.parametrize(
    "data", [{"id": 7}, {"id": ["x"]}, [{"error": "no clip"}], {"audioIds": None}, "text", 7], ids=repr
)
def test_a_failure_is_a_failure_whatever_its_data_holds(status: str, data: object) -> None:
    task = read(taskId=ASKED, status=status, data=data, failReason="no")
    assert (task.status, task.ended, task.clip, task.fail_reason) == (status, True, None, "no")


def test_wrong_types_beside_the_id_are_left_out_and_unknown_fields_ignored() -> None:
    data = {
        "id": "c-1", "status": 7, "audio_url": None, "image_url": ["x"], "has_vocal": "yes", "display_tags": {},
        "new": 1,
    }  # fmt: skip
    assert read(status="success", data=data, brandNew={"a": [1]}).clip == Clip("c-1")


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ([], SessionAudio()),
        (["a", "b"], SessionAudio(("a", "b"))),
        (["b", "a", "b"], SessionAudio(("b", "a", "b"))),
        (["a", None, 7, "", "  ", {"id": "x"}, ["y"], "b"], SessionAudio(("a", "b"), unreadable=6)),
    ],
    ids=["none", "two", "repeated", "with entries that are no ids"],
)
def test_a_sessions_list_is_read(entries: list[object], expected: SessionAudio) -> None:
    task = read(taskId=ASKED, status="success", data={"audioIds": entries})
    assert task.data == expected
    assert task.clip is None


@pytest.mark.parametrize("entries", [7, "a,b", {"a": 1}], ids=repr)
def test_a_sessions_list_that_is_no_list_is_malformed(entries: object) -> None:
    with pytest.raises(Malformed):
        read(taskId=ASKED, status="success", data={"audioIds": entries})


def test_a_sessions_list_of_a_million_ids_is_read() -> None:
    ids = [f"{number:036}" for number in range(100_000)]
    data = read(status="success", data={"audioIds": ids}).data
    assert isinstance(data, SessionAudio)
    assert data.audio_ids == tuple(ids)


# ------------------------------------------------------------------------------------------------ times and words
@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-11-02T10:20:30.123Z", datetime(2026, 11, 2, 10, 20, 30, 123000, UTC)),
        ("2026-11-02T10:20:30+08:00", datetime(2026, 11, 2, 10, 20, 30, tzinfo=timezone(timedelta(hours=8)))),
        ("2026-11-02T10:20:30", datetime(2026, 11, 2, 10, 20, 30, tzinfo=UTC)),
        ("2026-11-02", datetime(2026, 11, 2, tzinfo=UTC)),
        ("yesterday", None),
        ("", None),
        (None, None),
        (1793614830, None),
        ({}, None),
        ("9" * 40, None),
    ],
    ids=repr,
)
def test_a_time_is_read_where_it_can_be(text: object, instant: datetime | None) -> None:
    task = read(status="success", createdAt=text, finishAt=text)
    assert (task.created_at, task.finished_at) == (instant, instant)


def test_times_may_be_missing() -> None:
    task = read(status="success", data=CLIP)
    assert (task.created_at, task.finished_at) == (None, None)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (1003, 1003), (0, 0), (1.5, 1.5), ("VP_USER_TIMEOUT", "VP_USER_TIMEOUT"), ("", None), (None, None),
        (True, None), ([1], None), ({"a": 1}, None), ("x" * 500, "x" * 80),
    ],
    ids=repr,
)  # fmt: skip
def test_a_fail_code_is_a_number_or_a_token(code: object, expected: object) -> None:
    task = read(status="failed", failCode=code)
    assert task.fail_code == expected
    assert type(task.fail_code) is type(expected)


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("Uploaded audio matches existing work of art.", "Uploaded audio matches existing work of art."),
        (["one", 7, "two"], "one; two"),
        ([], None),
        ("", None),
        (None, None),
        (7, None),
        ({"a": 1}, None),
        ("two\r\nlines\x00", "two lines"),
        ("can't read https://h.example/a.mp3?sig=5ecre7#f now", "can't read https://h.example/a.mp3 now"),
        ("x" * 5000, "x" * 500),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_a_fail_reason_is_one_short_line_without_url_queries(reason: object, expected: str | None) -> None:
    assert read(status="failed", failReason=reason).fail_reason == expected


@pytest.mark.parametrize("field", ["failReason", "failCode"])
def test_a_key_that_the_server_echoes_in_a_task_is_not_kept(field: str) -> None:
    body = json.dumps({"taskId": ASKED, "status": "failed", field: f"bad key {KEY}"}).encode()
    task = decipher(Response(200, body), decode.task(ASKED), (KEY,))
    assert KEY not in repr(task)


# -------------------------------------------------------------------------------------------------------- bodies
@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"<html></html>", id="HTML"),
        pytest.param(b'{"status":"success"', id="cut short"),
        pytest.param(b"null", id="null"),
        pytest.param(b"[]", id="list"),
        pytest.param(b'"success"', id="text"),
        pytest.param(b"7", id="number"),
        pytest.param(b"[" * 200_000, id="nested lists"),
        pytest.param(b'{"a":' * 200_000, id="nested objects"),
        pytest.param(b'{"status":"success","n":' + b"9" * 10_000 + b"}", id="a number too long to read"),
        pytest.param(b'{"status":"\xff\xfe"}', id="no UTF-8"),
    ],
)
def test_a_body_that_is_no_json_object_is_malformed(body: bytes) -> None:
    for reader in (decode.task(ASKED), decode.task_id, decode.session_id):
        with pytest.raises(Malformed):
            reader(body)


class Strict:
    """A parser as fast ones are: takes UTF-8 and what the standard allows, nothing else."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, body: bytes) -> object:
        self.calls += 1
        if b"NaN" in body or b"\\ud800" in body:
            raise ValueError("not in the standard")
        return json.loads(body.decode())


def test_a_parser_that_the_user_chose_reads_the_bodies() -> None:
    chosen = Strict()
    assert decode.task_id(b'{"taskId":"t-1"}', (), chosen) == "t-1"
    assert decode.session_id(b'{"sessionId":"s-1"}', (), chosen) == "s-1"
    assert decode.task(ASKED)(b'{"status":"running"}', (), chosen).status == "running"
    assert chosen.calls == 3


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"taskId":"t-1","n":NaN}', id="NaN"),
        pytest.param(b'{"taskId":"t-1","s":"\\ud800"}', id="half a surrogate pair"),
        pytest.param(b'\xef\xbb\xbf{"taskId":"t-1"}', id="byte order mark"),
        pytest.param('{"taskId":"t-1"}'.encode("utf-16"), id="UTF-16"),
        pytest.param(b'{"taskId":"t-1","n":' + b"9" * 40 + b"}", id="a long number"),
    ],
)
@pytest.mark.parametrize("chosen", ["none", "strict", "orjson"])
def test_no_parser_loses_a_paid_task_for_being_strict(body: bytes, chosen: str) -> None:
    loads = {"none": lambda: None, "strict": Strict, "orjson": lambda: pytest.importorskip("orjson").loads}[chosen]()
    assert decode.task_id(body, (), loads) == "t-1"


@pytest.mark.parametrize("body", [b"", b"\xff\xfe", b"{", b"[" * 200_000])
def test_what_no_parser_can_read_is_malformed_whichever_was_chosen(body: bytes) -> None:
    for reader in (decode.task(ASKED), decode.task_id, decode.session_id):
        with pytest.raises(Malformed):
            reader(body, (), Strict())


def test_a_key_twice_counts_as_its_last() -> None:
    task = decode.task(ASKED)(b'{"status":"running","status":"success","data":{"id":"a"},"data":{"id":"b"}}')
    assert (task.status, task.clip) == ("success", Clip("b"))


def test_a_byte_order_mark_is_no_reason_to_lose_a_task() -> None:
    assert decode.task_id(b'\xef\xbb\xbf{"taskId":"t-1"}') == "t-1"


@pytest.mark.parametrize(
    ("body", "session"),
    [
        (b'{"sessionId":"s-1"}', "s-1"),
        (b'{"data":{"sessionId":"s-1"}}', "s-1"),
        (b'{"result":{"sessionId":"s-1"},"x":1}', "s-1"),
    ],
)
def test_a_session_id_is_read_plain_or_in_an_envelope(body: bytes, session: str) -> None:
    assert decode.session_id(body) == session


def test_a_session_id_is_not_taken_from_a_body_that_was_cut_short() -> None:
    with pytest.raises(Malformed):
        decode.session_id(b'{"sessionId":"s-1","x')


@pytest.mark.parametrize("bad", ["\ud800", "a\nb", "\x00", "x" * 100_000], ids=["surrogate", "newline", "NUL", "long"])
@pytest.mark.parametrize("name", ["taskId", "sessionId"])
def test_what_can_be_no_id_is_not_taken_for_one(name: str, bad: str) -> None:
    reader = {"taskId": decode.task_id, "sessionId": decode.session_id}[name]
    with pytest.raises(Malformed):
        reader(json.dumps({name: bad}).encode())


# ----------------------------------------------------------------------------------------------------- Retry-After
NOW = "Wed, 21 Oct 2026 07:28:00 GMT"


@pytest.mark.parametrize(
    ("value", "date", "seconds"),
    [
        pytest.param(None, NOW, None, id="no header"),
        pytest.param("7", None, 7.0, id="seconds"),
        pytest.param(" 7 ", NOW, 7.0, id="seconds with spaces"),
        pytest.param("0", NOW, 0.0, id="zero"),
        pytest.param("1.5", NOW, 1.5, id="a fraction"),
        pytest.param("007", NOW, 7.0, id="leading zeros"),
        pytest.param("86400000", NOW, 86400000.0, id="a thousand days"),
        pytest.param("Wed, 21 Oct 2026 07:28:30 GMT", NOW, 30.0, id="date, against the server's own clock"),
        pytest.param("Wed, 21 Oct 2026 07:28:00 GMT", NOW, 0.0, id="date, now"),
        pytest.param("Wed, 21 Oct 2026 07:27:00 GMT", NOW, 0.0, id="date, past"),
        pytest.param("Thu, 21 Oct 2027 07:28:00 GMT", NOW, 365 * 86400.0, id="date, far future"),
        pytest.param("Wed, 21 Oct 2026 09:28:30 +0200", NOW, 30.0, id="date in another zone"),
        pytest.param("Wed, 21 Oct 2026 07:28:30 -0000", NOW, 30.0, id="date without zone"),
        pytest.param("Wed, 21 Oct 2026 07:28:30 GMT", None, None, id="date without Date"),
        pytest.param("Wed, 21 Oct 2026 07:28:30 GMT", "garbage", None, id="date with a garbled Date"),
        pytest.param("-5", NOW, None, id="negative"),
        pytest.param("+5", NOW, None, id="with a sign"),
        pytest.param("1e3", NOW, None, id="exponent"),
        pytest.param("inf", NOW, None, id="inf"),
        pytest.param("nan", NOW, None, id="nan"),
        pytest.param("\u0667", NOW, None, id="digits that aren't ASCII"),
        pytest.param("0x10", NOW, None, id="hexadecimal"),
        pytest.param("7, 8", NOW, None, id="two values"),
        pytest.param("", NOW, None, id="empty"),
        pytest.param("soon", NOW, None, id="a word"),
        pytest.param("Wed, 99 Oct 2026 07:28:30 GMT", NOW, None, id="no such day"),
        pytest.param("\udcff", NOW, None, id="bytes that are no text"),
    ],
)
def test_retry_after_is_read_as(value: str | None, date: str | None, seconds: float | None) -> None:
    assert retry_after_seconds(value, date) == seconds


@pytest.mark.parametrize("value", ["9999999999", "9" * 40])
def test_a_retry_after_beyond_reason_is_still_a_hint(value: str) -> None:
    hint = retry_after_seconds(value, NOW)
    assert hint is not None
    assert hint >= 1e6
