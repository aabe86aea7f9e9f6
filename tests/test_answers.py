"""Answers about playlists, voices, personas, kinds of generation and the balance; what a task holds, as it was sent.

Lenient where a field only informs, strict where it is relied on, and nothing but `Malformed` is ever raised.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mountsea_async.models import GenerateField, Persona, Playlist, Task, TaskSchema, VoicePhrase, VoxStem
from mountsea_async.wire import answers, decode
from mountsea_async.wire.decode import MAX_NUMBER, Malformed, Reader

ID = "8a46f62e-47a6-41d3-82a7-ac9e6d493cb3"
PLAYLIST = answers.playlist("Four", ["a", "b"])
READERS: dict[str, Reader[Any]] = {
    "playlist": PLAYLIST,
    "vox_stem": answers.vox_stem,
    "persona": answers.persona,
    "schemas": answers.schemas,
    "balance": answers.balance,
}
GOOD: dict[str, tuple[dict[str, Any], Any]] = {
    "playlist": ({"playlist_id": ID}, Playlist(ID, "Four", ("a", "b"))),
    "vox_stem": ({"id": ID, "vocal_start_s": 45, "vocal_end_s": 74.5}, VoxStem(ID, None, None, 45, 74.5)),
    "persona": ({"id": ID, "name": "Somebody", "is_public": False}, Persona(ID, "Somebody", is_public=False)),
    "persona by its other name": ({"persona_id": ID, "persona_type": "vox"}, Persona(ID, persona_type="vox")),
    "balance": ({"credits": 240}, 240),
}


def sent(value: Any) -> bytes:
    return json.dumps(value).encode()


def reader_of(name: str) -> Reader[Any]:
    return READERS[name.split(maxsplit=1)[0]]


# ------------------------------------------------------------------------------------------ objects and envelopes
@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize(
    "wrap",
    [
        pytest.param(lambda fields: fields, id="plain"),
        pytest.param(lambda fields: {"data": fields}, id="data"),
        pytest.param(lambda fields: {"result": fields}, id="result"),
        pytest.param(lambda fields: {"code": 0, "id": None, "message": "ok", "data": fields}, id="words around it"),
        pytest.param(lambda fields: {"data": [fields], "result": fields}, id="data is a list"),
        pytest.param(lambda fields: {"data": {"trace": 1}, "result": fields}, id="data is something else"),
        pytest.param(lambda fields: {**fields, "data": {"trace": 1}}, id="data beside it"),
        pytest.param(lambda fields: {**fields, "data": {}, "new": [1, {"a": None}]}, id="fields that nobody knows"),
    ],
)
def test_an_answer_is_read_plain_or_in_an_envelope(name: str, wrap: Any) -> None:
    fields, value = GOOD[name]
    assert reader_of(name)(sent(wrap(fields))) == value


@pytest.mark.parametrize("name", ["playlist", "vox_stem", "persona", "balance"])
@pytest.mark.parametrize(
    "body",
    [
        b"", b"<html></html>", b"{", b'{"id":"a"', b"null", b"true", b"7", b'"a"', b"[]", b'[{"id":"a"}]', b"{}",
        b'{"data":{}}', b'{"data":[{"id":"a","playlist_id":"a","credits":1}]}', b'{"data":{"data":{"id":"a"}}}',
        b"[" * 200_000, b'{"data":' * 200_000, b'{"id":"\xff"}', b'{"n":' + b"9" * 10_000 + b"}",
    ],
    ids=lambda body: repr(body)[:30],
)  # fmt: skip
def test_an_answer_without_what_is_relied_on_is_malformed(name: str, body: bytes) -> None:
    with pytest.raises(Malformed):
        READERS[name](body)


NO_IDS = [None, "", " ", 5, 5.5, True, [ID], {"id": ID}, "a\nb", "\x00", "\ud800", "x" * 1001]


@pytest.mark.parametrize("value", NO_IDS, ids=lambda value: repr(value)[:20])
@pytest.mark.parametrize(
    ("name", "field"), [("playlist", "playlist_id"), ("vox_stem", "id"), ("persona", "id"), ("persona", "persona_id")]
)
def test_what_can_be_no_id_is_not_taken_for_one(name: str, field: str, value: Any) -> None:
    with pytest.raises(Malformed):
        READERS[name](sent({field: value}))
    with pytest.raises(Malformed):
        READERS[name](sent({"data": {field: value}}))


def test_a_persona_whose_id_cannot_be_one_has_its_other_id() -> None:
    assert answers.persona(sent({"id": 7, "persona_id": ID})).id == ID
    assert answers.persona(sent({"id": "a", "persona_id": ID})).id == "a"


def test_a_playlist_is_the_one_that_was_asked_for_whatever_else_is_told() -> None:
    told = {"playlist_id": ID, "name": "Other", "clip_ids": ["z"]}
    assert PLAYLIST(sent(told)) == Playlist(ID, "Four", ("a", "b"))


# ------------------------------------------------------------------------------------------------- what only informs
STEM_FIELDS = ("status", "source_clip_id", "vocal_start_s", "vocal_end_s", "vocal_audio_url")
PERSONA_FIELDS = (
    "name", "description", "persona_type", "is_public", "root_clip_id", "image_s3_id", "vocal_start_s", "vocal_end_s",
)  # fmt: skip


@pytest.mark.parametrize("value", [None, [], {"a": 1}, [5], 10**400, float("nan"), float("inf"), MAX_NUMBER], ids=repr)
def test_a_field_that_only_informs_is_absent_where_it_cannot_be_read(value: Any) -> None:
    assert answers.vox_stem(sent({"id": ID} | dict.fromkeys(STEM_FIELDS, value))) == VoxStem(ID)
    assert answers.persona(sent({"id": ID} | dict.fromkeys(PERSONA_FIELDS, value))) == Persona(ID)


def test_nothing_is_made_into_another_type() -> None:
    stem = answers.vox_stem(sent({"id": ID, "vocal_start_s": "45", "vocal_end_s": True, "status": 7}))
    assert stem == VoxStem(ID)
    persona = answers.persona(sent({"id": ID, "is_public": "yes", "name": 5, "vocal_start_s": "0"}))
    assert persona == Persona(ID)
    assert answers.persona(sent({"id": ID, "is_public": 1})).is_public is None


def test_every_field_is_kept() -> None:
    stem = {"id": "s", "status": "complete", "source_clip_id": "c", "vocal_start_s": 0, "vocal_end_s": 9.5}
    stem["vocal_audio_url"] = "https://cdn.example.com/s.mp3?sig=1"
    assert answers.vox_stem(sent(stem)) == VoxStem(**stem)  # type: ignore[arg-type]
    persona = dict(zip(PERSONA_FIELDS, ("N", "D", "vox", True, "c", "i", 1, 2.5), strict=True))
    assert answers.persona(sent({"id": "p", "clip": {"id": "c"}} | persona)) == Persona("p", **persona)  # type: ignore[arg-type]


# ----------------------------------------------------------------------------------------------------------- voices
@pytest.mark.parametrize(
    ("value", "persona"),
    [
        ({"id": "p"}, Persona("p")),
        ({"persona_id": "p", "name": "N"}, Persona("p", "N")),
        ({"persona": {"id": "p", "name": "N"}}, Persona("p", "N")),
        ({"persona": {"persona_id": "p"}, "id": 5}, Persona("p")),
        ({"id": "q", "persona": {"id": "p"}}, Persona("q")),
        ({"persona": "p"}, None),
        ({"persona": [{"id": "p"}]}, None),
        ({"name": "N"}, None),
        ({}, None),
        ([{"id": "p"}], None),
        ("p", None),
        (None, None),
    ],
    ids=repr,
)
def test_the_persona_of_a_task_stands_in_it_or_as_its_persona(value: Any, persona: Persona | None) -> None:
    assert answers.persona_of(value) == persona


@pytest.mark.parametrize(
    ("value", "phrase"),
    [
        ({"phrase_text": "la"}, VoicePhrase("la")),
        ({"phrase_text": "la", "phrase_id": 5, "vocal_start_s": 1.5}, VoicePhrase("la", vocal_start_s=1.5)),
        ({"phrase_text": ""}, None),
        ({"phrase_text": " \n"}, None),
        ({"phrase_text": 5}, None),
        ({"phrase_text": ["la"]}, None),
        ({"phrase_id": "p"}, None),
        ([], None),
        ("la", None),
        (None, None),
    ],
    ids=repr,
)
def test_a_phrase_is_one_if_it_has_words(value: Any, phrase: VoicePhrase | None) -> None:
    assert answers.phrase_of(value) == phrase


# ---------------------------------------------------------------------------------------------------------- schemas
@pytest.mark.parametrize("wrap", [lambda v: v, lambda v: {"data": v}, lambda v: {"data": {}, "result": v}])
def test_the_kinds_are_read_plain_or_in_an_envelope(wrap: Any) -> None:
    assert answers.schemas(sent(wrap([{"task": "hum"}, {"task": "sing"}]))) == (TaskSchema("hum"), TaskSchema("sing"))


@pytest.mark.parametrize("form", ["name", "object"])
@pytest.mark.parametrize("key", ["required", "optional", "notAllowed"])
def test_a_field_is_named_or_described(key: str, form: str) -> None:
    entries = ["clip_id", "range"] if form == "name" else [{"field": "clip_id"}, {"field": "range", "type": 5}]
    (kind,) = answers.schemas(sent([{"task": "hum", key: entries}]))
    fields = (GenerateField("clip_id"), GenerateField("range"))
    expected = {
        "required": TaskSchema("hum", required=fields),
        "optional": TaskSchema("hum", optional=fields),
        "notAllowed": TaskSchema("hum", not_allowed=("clip_id", "range")),
    }
    assert kind == expected[key]


def test_a_field_is_kept_with_all_that_is_told_of_it() -> None:
    told = {"field": "range", "description": "where", "type": "object", "example": {"start_s": [1, None]}}
    (kind,) = answers.schemas(sent([{"task": "hum", "description": "hums", "required": [told], "example": {"a": 1}}]))
    assert kind == TaskSchema("hum", "hums", (GenerateField(**told),), example={"a": 1})  # type: ignore[arg-type]


def test_what_has_no_name_is_left_out() -> None:
    nameless = [None, 5, "", " ", [], ["clip_id"], {}, {"field": None}, {"field": 7}, {"name": "x"}, True]
    kinds = [None, 5, "hum", [], {}, {"task": None}, {"task": 5}, {"required": ["a"]}]
    (kind,) = answers.schemas(sent([*kinds, {"task": "hum", "required": [*nameless, "clip_id"]}]))
    assert kind == TaskSchema("hum", required=(GenerateField("clip_id"),))


@pytest.mark.parametrize("value", [None, "clip_id", 5, True, {"field": "clip_id"}], ids=repr)
def test_fields_that_are_no_list_are_none(value: Any) -> None:
    told = dict.fromkeys(("required", "optional", "notAllowed"), value)
    assert answers.schemas(sent([{"task": "hum", **told, "description": 5, "example": "x"}])) == (TaskSchema("hum"),)


@pytest.mark.parametrize(
    "value", [None, 5, "a", {}, {"data": {}}, {"data": "x", "result": None}, {"task": "hum"}], ids=repr
)
def test_kinds_that_are_no_list_are_malformed(value: Any) -> None:
    with pytest.raises(Malformed):
        answers.schemas(sent(value))


def test_no_kinds_are_none() -> None:
    assert answers.schemas(b"[]") == ()


# ---------------------------------------------------------------------------------------------------------- balance
@pytest.mark.parametrize("number", [0, 240, 12.5, -3, 10**14])
def test_the_balance_is_whatever_number_is_told(number: float) -> None:
    assert answers.balance(sent({"credits": number})) == number
    assert answers.balance(sent({"credits": None, "data": {"credits": number}})) == number


@pytest.mark.parametrize(
    "value",
    [None, "240", True, False, [240], {}, 10**15, 10**400, float("nan"), float("inf")],
    ids=lambda v: repr(v)[:20],
)
def test_a_balance_that_is_no_number_is_malformed(value: Any) -> None:
    with pytest.raises(Malformed, match="credits"):
        answers.balance(sent({"credits": value}))


# --------------------------------------------------------------------------------------------------- what a task holds
def task(**fields: Any) -> Task:
    return decode.task("t")(sent(fields))


@pytest.mark.parametrize(
    "held", [{"text": "la"}, {"id": "c", "new": 1}, {"audioIds": ["a"]}, [{"id": "c"}, 5], ["la"], "la", 7, 0, False],
    ids=repr,
)  # fmt: skip
@pytest.mark.parametrize("name", ["data", "result"])
def test_what_a_task_holds_is_kept_as_it_was_sent(name: str, held: Any) -> None:
    assert task(status="success", **{name: held}).raw == held


@pytest.mark.parametrize("empty", [None, "", [], {}], ids=repr)
def test_a_task_that_holds_nothing_says_so(empty: Any) -> None:
    assert task(status="success", data=empty, result=empty).raw is None
    assert task(status="success", data=empty, result={"text": "la"}).raw == {"text": "la"}
    assert task(status="success").raw is None


def test_what_is_on_its_way_holds_nothing_yet_unless_it_awaits_somebody() -> None:
    phrase = {"phrase_text": "la"}
    for word in ("queued", "ready", "running", "stream", "something new"):
        assert task(status=word, data=phrase).raw is None
    assert task(status="Awaiting", data=phrase).raw == phrase


def test_what_a_failed_task_holds_is_kept() -> None:
    assert task(status="failed", data={"partial": 1}).raw == {"partial": 1}


def test_tasks_are_the_same_whatever_else_they_hold_and_do_not_show_it() -> None:
    one, other = (task(status="success", data={"id": "c", "url": f"https://a.example/x?sig={n}"}) for n in (1, 2))
    assert one == other
    assert hash(one) == hash(other)
    assert "sig=" not in repr(one)


# ------------------------------------------------------------------------------------------------------- whatever comes
NAMES = sorted(
    {
        *("id", "persona_id", "playlist_id", "credits", "data", "result", "persona", "phrase_text", "task", "required"),
        *("optional", "notAllowed", "field", "type", "example", "status", "taskId", "audioIds", *STEM_FIELDS),
        *PERSONA_FIELDS,
    }
)
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["", ID, "success", "hum"])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(NAMES), inner, max_size=5)
        | st.dictionaries(st.text(max_size=5), inner, max_size=2)
    ),
    max_leaves=25,
)


@pytest.mark.parametrize("name", READERS)
@given(VALUES | st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=8))
@example({"id": ID, "vocal_start_s": 10**400})
@example([{"task": "hum", "required": [{"field": "a", "example": [[[]]]}]}])
def test_whatever_json_comes_is_read_or_malformed(name: str, value: Any) -> None:
    try:
        found = READERS[name](sent(value))
    except Malformed:
        return
    if name == "schemas":
        assert all(kind.task is not None and all(field.field for field in kind.required) for kind in found)
    elif name == "balance":
        assert abs(found) < MAX_NUMBER
    else:
        assert decode.is_id(found.id)


@given(VALUES)
def test_whatever_a_task_holds_is_a_persona_a_phrase_or_neither(value: Any) -> None:
    persona, phrase = answers.persona_of(value), answers.phrase_of(value)
    assert persona is None or decode.is_id(persona.id)
    assert phrase is None or phrase.phrase_text.strip()
