"""`GenerateRequest`: what each kind of generation requires, and what no field can be."""

from __future__ import annotations

import json
import uuid
from typing import Any

import attrs
import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.contract import document, validator

from mountsea_async import (
    Controls,
    CustomModel,
    GenerateRequest,
    GenerateTask,
    InputError,
    PersonaUse,
    Sound,
    TimeRange,
)
from mountsea_async.generation import MODELS, REQUIRED
from mountsea_async.testing import Behaviour, Fixed

UUID = "8a46f62e-47a6-41d3-82a7-ac9e6d493cb3"
EVERY: dict[str, Any] = {
    "model": "chirp-v55",
    "title": "Rain",
    "tags": "rap, catchy",
    "negative_tags": "metal",
    "prompt": "La la la\nLa",
    "gpt_description_prompt": "a song about rain",
    "infill_lyrics": "Lo",
    "infill_type": "fixed",
    "make_instrumental": False,
    "clip_id": UUID,
    "audio_url": "https://cdn.example.com/a.mp3",
    "playlist_id": UUID,
    "mashup_clip_ids": ["a", "b"],
    "continue_at": 12.5,
    "continued_aligned_prompt": "La Lo La",
    "range": (10, 20.5),
    "infill_context_range": TimeRange(5, 25),
    "vocal_gender": "f",
    "persona": PersonaUse("p", artist_clip_id="c", persona_style="dark"),
    "controls": Controls(style_weight=0, audio_weight=1, weirdness_constraint=0.5),
    "sound": Sound("rain on tin", type="loop", key="Am", bpm=90),
}
"""A value for every field that a user may give, `extra` aside."""
BODY = document()["components"]["schemas"]["GenerateRequest"]


def required(task: Any, **more: Any) -> dict[str, Any]:
    return {name: EVERY[name] for name in REQUIRED[GenerateTask(task)]} | more


# ------------------------------------------------------------------------------------------------- what is required
DOCUMENTED = {
    "create": {"model"},
    "extend": {"clip_id", "model"},
    "cover": {"clip_id", "model"},
    "use_styles_lyrics": {"clip_id", "model"},
    "upload_extend": {"audio_url", "model"},
    "upload_cover": {"audio_url", "model"},
    "replace_section": {"clip_id", "range", "infill_context_range", "continued_aligned_prompt", "model"},
    "add_instrumental": {"clip_id", "range", "model"},
    "inspiration": {"model", "playlist_id"},
}
"""As the service's page has it; the other kinds' requirements are inferred."""


def test_the_kinds_are_those_of_the_service() -> None:
    assert [task.value for task in GenerateTask] == document()["components"]["schemas"]["GenerateKind"]["enum"]
    assert set(REQUIRED) == set(GenerateTask)


@pytest.mark.parametrize("task", DOCUMENTED)
def test_a_kind_requires_what_is_documented(task: str) -> None:
    assert set(REQUIRED[GenerateTask(task)]) == DOCUMENTED[task]


@pytest.mark.parametrize("task", GenerateTask)
def test_a_kind_with_what_it_requires_and_nothing_else_makes_a_request(task: GenerateTask) -> None:
    sent = GenerateRequest(task, **required(task)).to_dict()
    assert set(sent) == {"task", *REQUIRED[task]}
    validator(BODY).validate(json.loads(json.dumps(sent)))


@pytest.mark.parametrize(
    ("task", "field"), [(task, field) for task in GenerateTask for field in REQUIRED[task]], ids=str
)
def test_a_kind_without_a_field_that_it_requires_is_refused_by_both_names(task: GenerateTask, field: str) -> None:
    lacking = required(task)
    del lacking[field]
    with pytest.raises(InputError, match=rf"^{field}: task '{task}' requires it \(it requires .*{field}"):
        GenerateRequest(task, **lacking)


@pytest.mark.parametrize("task", GenerateTask)
def test_every_field_may_be_given_to_every_kind(task: GenerateTask) -> None:
    sent = json.loads(json.dumps(GenerateRequest(task, **EVERY).to_dict()))
    validator(BODY).validate(sent)
    assert set(sent) == {"task", *EVERY}
    assert sent["range"] == {"start_s": 10, "end_s": 20.5}
    assert sent["persona"] == {"persona_id": "p", "artist_clip_id": "c", "persona_style": "dark"}
    assert sent["controls"] == {"style_weight": 0, "audio_weight": 1, "weirdness_constraint": 0.5}
    assert sent["sound"] == {"description": "rain on tin", "type": "loop", "key": "Am", "bpm": 90}


def test_every_field_of_the_service_that_is_not_deprecated_has_a_name_here() -> None:
    ours = set(attrs.fields_dict(GenerateRequest)) - {"extra", "allow_private"}
    assert ours == set(BODY["properties"]) - {"playlist_clip_ids"}
    assert ours == {"task", *EVERY}


def test_parts_are_sent_without_what_was_not_given() -> None:
    request = GenerateRequest("create", "chirp-v55", persona=PersonaUse("p"), controls=Controls(audio_weight=0.25))
    assert request.to_dict() == {
        "task": "create",
        "model": "chirp-v55",
        "persona": {"persona_id": "p"},
        "controls": {"audio_weight": 0.25},
    }


# ----------------------------------------------------------------------------------------------------- kinds, models
@pytest.mark.parametrize(
    ("task", "named"),
    [
        ("inspire", "task='inspire': no kind of generation that is known; did you mean 'inspiration'"),
        ("upload-cover", "did you mean 'upload_cover'"),
        ("zzz", "one of create, extend, .*, inspiration, sound"),
        ("", "task=''"),
        (None, "task=None"),
        (["create"], "task="),
        ("CREATE", "task='CREATE'"),
    ],
)
def test_a_kind_that_is_not_known_is_refused_with_the_nearest(task: Any, named: str) -> None:
    with pytest.raises(InputError, match=named):
        GenerateRequest(task, "chirp-v55")


@pytest.mark.parametrize("model", [*MODELS, "chirp-v60", "chirp-crow", f"chirp-custom:{UUID}"])
def test_a_model_that_is_listed_or_has_the_form_of_one_passes(model: str) -> None:
    assert GenerateRequest("create", model).to_dict()["model"] == model


@pytest.mark.parametrize("told", [f"chirp-custom:{UUID}", "chirp-custom:not-in-the-usual-form"])
def test_a_model_of_ones_own_passes_as_it_is(told: str) -> None:
    model = CustomModel(told, "v6Pro", "s", ("a",) * 6)
    assert GenerateRequest("create", model).model == told


BAD_MODELS = [
    "",
    "v55",
    "chirp",
    "chirp-",
    "chirp--",
    "Chirp-v55",
    "chirp-v55 ",
    "chirp-v55\n",
    "chirp-v5/5",
    "chirp-" + "v" * 60,
    "chirp-custom",
    "chirp-custom:",
    "chirp-custom:1",
    "chirp-custom:" + UUID[:-1],
    UUID,
    5,
    True,
    type("Clip", (), {"id": UUID})(),
    type("Numbered", (), {"id": 5})(),
]


@pytest.mark.parametrize("model", BAD_MODELS, ids=lambda model: repr(model)[:30])
def test_a_model_of_another_form_is_refused_with_those_that_there_are(model: Any) -> None:
    with pytest.raises(InputError, match=r"^model=.*: give chirp-v55, .*chirp-v35, .*chirp-custom:<uuid>"):
        GenerateRequest("create", model)


@given(st.uuids())
def test_every_model_that_the_service_makes_passes(made: uuid.UUID) -> None:
    assert GenerateRequest("create", f"chirp-custom:{made}").model == f"chirp-custom:{made}"


# ----------------------------------------------------------------------------------------------------- single fields
TEXTS = (
    "title",
    "tags",
    "negative_tags",
    "prompt",
    "gpt_description_prompt",
    "infill_lyrics",
    "infill_type",
    "continued_aligned_prompt",
)
BAD_FIELDS: list[tuple[dict[str, Any], str]] = [
    *(({field: empty}, f"^{field}=.*: give a text") for field in TEXTS for empty in ("", " \n", 5, b"x", ["x"])),
    ({"title": "x" * 101}, "title='x+': give a name of 1 to 100"),
    ({"make_instrumental": "yes"}, "make_instrumental='yes': give True or False"),
    ({"make_instrumental": 1}, "make_instrumental=1"),
    ({"clip_id": ""}, "clip_id='': give an id"),
    ({"clip_id": 5}, "clip_id=5: give an id"),
    ({"playlist_id": " "}, "playlist_id=' ': give an id"),
    ({"audio_url": "ftp://a.example/x.mp3"}, "audio_url: it doesn't begin with http"),
    ({"audio_url": "http://10.0.0.1/x.mp3"}, "audio_url: the service can't reach '10.0.0.1'"),
    ({"audio_url": 5}, "audio_url: a URL is a string"),
    ({"mashup_clip_ids": ["a"]}, "mashup_clip_ids has 1 clips: at least 2 are needed"),
    ({"mashup_clip_ids": ["a", "a"]}, "mashup_clip_ids: 'a' is in it more than once"),
    ({"mashup_clip_ids": "ab"}, "mashup_clip_ids: give a list"),
    ({"mashup_clip_ids": 5}, "mashup_clip_ids: give a list"),
    ({"continue_at": -1}, "continue_at=-1: give seconds"),
    ({"continue_at": "1"}, "continue_at='1': give seconds"),
    ({"continue_at": float("nan")}, "continue_at=nan: give seconds"),
    ({"continue_at": float("inf")}, "continue_at=inf: give seconds"),
    ({"continue_at": 10**5000}, "continue_at=a number that huge: give seconds"),
    ({"continue_at": True}, "continue_at=True: give seconds"),
    ({"range": (20, 10)}, "range: end_s=10: the end lies after the beginning, start_s=20"),
    ({"range": (10, 10)}, "range: end_s=10"),
    ({"range": (-1, 10)}, "range: start_s=-1: give seconds"),
    ({"range": (None, 10)}, "range: start_s=None: give seconds"),
    ({"range": (1, None)}, "range: end_s=None: give seconds"),
    ({"range": (1, 2, 3)}, r"range=\(1, 2, 3\): give \(start_s, end_s\) in seconds"),
    ({"range": {"start_s": 1}}, "range=.*: give .start_s, end_s. in seconds"),
    ({"infill_context_range": [2, 1]}, "infill_context_range: end_s=1"),
    ({"infill_context_range": 5}, "infill_context_range=5: give .start_s"),
    ({"vocal_gender": "x"}, "vocal_gender='x': give 'm' or 'f'"),
    ({"vocal_gender": ""}, "vocal_gender=''"),
    ({"vocal_gender": []}, "vocal_gender="),
    ({"persona": "p"}, "persona='p': give a PersonaUse"),
    ({"controls": {"style_weight": 1}}, "controls=.*: give a Controls"),
    ({"sound": "rain"}, "sound='rain': give a Sound"),
    ({"extra": ["a"]}, "extra=.*: give a mapping"),
    ({"extra": {"clip_id": "a"}}, "extra: 'clip_id' is a field of its own: give it as clip_id="),
    ({"extra": {"allow_private": True}}, "extra: 'allow_private' is a field of its own"),
    ({"extra": {"task": "cover"}}, "extra: 'task' is a field of its own"),
    ({"extra": {5: "a"}}, "extra: 5 is no name of a field"),
]


@pytest.mark.parametrize(("fields", "named"), BAD_FIELDS, ids=[named[:50] for _, named in BAD_FIELDS])
def test_a_field_that_cannot_be_sent_is_refused_by_its_name(fields: dict[str, Any], named: str) -> None:
    with pytest.raises(InputError, match=named):
        GenerateRequest("create", "chirp-v55", **fields)


BAD_PARTS: list[tuple[Any, dict[str, Any], str]] = [
    *(
        (Controls, {name: value}, f"controls.{name}=.*: give a number from 0 to 1")
        for name in ("style_weight", "audio_weight", "weirdness_constraint")
        for value in (-0.1, 1.1, "1", True, float("nan"))
    ),
    (PersonaUse, {"persona_id": ""}, "persona.persona_id=''"),
    (PersonaUse, {"persona_id": "p", "artist_clip_id": " "}, "persona.artist_clip_id=' '"),
    (PersonaUse, {"persona_id": "p", "persona_style": ""}, "persona.persona_style=''"),
    (Sound, {"description": ""}, "sound.description='': say what it sounds like"),
    (Sound, {"description": None}, "sound.description=None"),
    (Sound, {"description": "rain", "type": ""}, "sound.type=''"),
    (Sound, {"description": "rain", "key": 5}, "sound.key=5"),
    (Sound, {"description": "rain", "bpm": 0}, "sound.bpm=0: give beats a minute"),
    (Sound, {"description": "rain", "bpm": "90"}, "sound.bpm='90'"),
    (TimeRange, {"start_s": 2, "end_s": 1}, "end_s=1: the end lies after the beginning, start_s=2"),
    (TimeRange, {"start_s": "a", "end_s": 1}, "start_s='a': give seconds"),
]


@pytest.mark.parametrize(("part", "fields", "named"), BAD_PARTS, ids=[named[:50] for *_, named in BAD_PARTS])
def test_a_part_is_checked_when_it_is_made(part: Any, fields: dict[str, Any], named: str) -> None:
    with pytest.raises(InputError, match=named):
        part(**fields)


def test_a_private_address_passes_if_it_is_asked_for_and_that_is_not_sent() -> None:
    request = GenerateRequest("upload_cover", "chirp-v55", audio_url="http://127.0.0.1:9/a.mp3", allow_private=True)
    assert set(request.to_dict()) == {"task", "model", "audio_url"}


def test_fields_that_are_not_known_here_are_sent_as_they_are() -> None:
    more = {"stem_type": "drums", "deep": {"list": [1, None]}}
    request = GenerateRequest("gen_stem_two", clip_id="c", extra=more)
    more["stem_type"] = "bass"
    assert request.to_dict() == {
        "task": "gen_stem_two",
        "clip_id": "c",
        "stem_type": "drums",
        "deep": {"list": [1, None]},
    }


SIGNED = "https://cdn.example.com/a.mp3?signature=TOPSECRET"


@pytest.mark.parametrize(
    "fields",
    [
        {"task": SIGNED},
        {"model": SIGNED},
        *({name: SIGNED} for name in ("vocal_gender", "range", "persona", "controls", "sound", "make_instrumental")),
        {"clip_id": SIGNED + "\n"},
        {"mashup_clip_ids": [SIGNED, SIGNED + "\n"]},
        {"title": SIGNED + "\n"},
        {"audio_url": SIGNED + " "},
        {"extra": SIGNED},
        {"tags": [SIGNED]},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_a_signed_url_in_the_wrong_place_is_not_told_with_its_signature(fields: dict[str, Any]) -> None:
    with pytest.raises(InputError) as caught:
        GenerateRequest(**{"task": "create", "model": "chirp-v55", **fields})
    assert str(caught.value).startswith(next(iter(fields)))
    assert "TOPSECRET" not in str(caught.value)


@pytest.mark.parametrize(
    "value", ["x" * 90_000, [5] * 90_000, 10**5000, -(10**5000)], ids=["text", "list", "int", "-int"]
)
@pytest.mark.parametrize(
    "field",
    ["task", "model", "vocal_gender", "range", "persona", "controls", "sound", "continue_at", "make_instrumental"],
)
def test_a_wrong_value_of_any_size_is_told_in_few_words(field: str, value: Any) -> None:
    with pytest.raises(InputError, match=f"^{field}=") as caught:
        GenerateRequest(**{"task": "create", "model": "chirp-v55", field: value})
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    "given", [("a", "b"), ["a", "b"], iter("ab"), {"a": 1, "b": 2}.keys()], ids=lambda v: type(v).__name__
)
def test_clips_to_mix_come_in_whatever_holds_them(given: Any) -> None:
    request = GenerateRequest("mashup", "chirp-v55", mashup_clip_ids=given)
    assert request.mashup_clip_ids == ("a", "b")
    assert json.loads(json.dumps(request.to_dict()))["mashup_clip_ids"] == ["a", "b"]


def test_a_request_is_a_value() -> None:
    one, other = (GenerateRequest("cover", "chirp-v55", clip_id="c", range=[1, 2]) for _ in range(2))
    assert one == other
    assert hash(one) == hash(other)
    assert one.range == TimeRange(1, 2)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        one.title = "x"  # type: ignore[misc]
    with pytest.raises(InputError, match="title=''"):
        attrs.evolve(one, title="")


def test_a_signed_url_is_not_shown() -> None:
    assert "TOPSECRET" not in repr(GenerateRequest("upload_cover", "chirp-v55", audio_url=SIGNED))


# ------------------------------------------------------------------------------------------------ whatever is given
IDS = st.uuids().map(str) | st.text(min_size=1, max_size=20).filter(lambda text: text.isprintable() and text.strip())
TEXT = st.text(min_size=1, max_size=60).filter(str.strip)
SECONDS = st.floats(0, 10**6) | st.integers(0, 10**6)
SPANS = st.tuples(SECONDS, SECONDS).map(sorted).filter(lambda span: span[0] < span[1])
SHARES = st.none() | st.floats(0, 1) | st.sampled_from([0, 1])
GIVEN: dict[str, st.SearchStrategy[Any]] = {
    **dict.fromkeys(TEXTS, TEXT),
    "title": IDS,
    "model": st.sampled_from(MODELS) | st.uuids().map(lambda made: f"chirp-custom:{made}"),
    "make_instrumental": st.booleans(),
    "clip_id": IDS,
    "playlist_id": IDS,
    "audio_url": st.sampled_from(["https://a.example/x.mp3", "http://b.example:8080/%20?sig=%2F#x"]),
    "mashup_clip_ids": st.lists(IDS, min_size=2, max_size=5, unique=True),
    "continue_at": SECONDS,
    "range": SPANS | SPANS.map(lambda span: TimeRange(*span)),
    "infill_context_range": SPANS.map(tuple),
    "vocal_gender": st.sampled_from("mf"),
    "persona": st.builds(PersonaUse, IDS, st.none() | IDS, st.none() | TEXT),
    "controls": st.builds(Controls, SHARES, SHARES, SHARES),
    "sound": st.builds(Sound, TEXT, st.none() | TEXT, st.none() | TEXT, st.none() | st.integers(1, 10_000)),
}
ODD = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary()
    | st.sampled_from(list(EVERY.values())),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


@st.composite
def requests(draw: st.DrawFn) -> dict[str, Any]:
    """What makes a request: the fields that its kind requires, and any others."""
    task = draw(st.sampled_from(GenerateTask))
    names = {*REQUIRED[task], *draw(st.sets(st.sampled_from(sorted(GIVEN))))}
    return {"task": draw(st.sampled_from([task, task.value]))} | {name: draw(GIVEN[name]) for name in sorted(names)}


def sent(request: GenerateRequest) -> Any:
    return json.loads(json.dumps(request.to_dict(), allow_nan=False))


def test_every_field_is_drawn() -> None:
    assert set(GIVEN) == set(EVERY)


@given(requests())
def test_whatever_keeps_to_the_rules_is_a_request_of_the_document(fields: dict[str, Any]) -> None:
    body = sent(GenerateRequest(**fields))
    validator(BODY).validate(body)
    assert set(body) == set(fields)
    assert None not in [value for part in body.values() if isinstance(part, dict) for value in part.values()]


@given(requests(), st.sampled_from(["task", *sorted(EVERY)]), ODD)
def test_whatever_can_be_made_is_a_request_of_the_document_and_the_rest_is_named(
    fields: dict[str, Any], name: str, value: Any
) -> None:
    try:
        request = GenerateRequest(**{**fields, name: value})
    except InputError as refused:
        told = str(refused)
    else:
        validator(BODY).validate(sent(request))
        return
    assert name in told


# ------------------------------------------------------------------------------------------------------- as it is sent
async def test_a_request_is_sent_as_it_was_made(world) -> None:
    w = await world(Behaviour(durations=Fixed(1)))
    clip = await w.client.upload("https://cdn.example.com/a.mp3")
    fields: dict[str, Any] = {"clip_id": clip.id, "range": (1, 2), "title": "Part"}
    await w.client.generate(GenerateRequest("add_vocals", "chirp-v55", **fields))
    await w.client.generate("add_vocals", "chirp-v55", **fields)
    whole, spelled = [json.loads(call.body) for call in w.ledger.calls if call.endpoint == "generate"]
    assert whole == spelled
    assert whole["range"] == {"start_s": 1, "end_s": 2}


@pytest.mark.parametrize(
    ("arguments", "fields", "named"),
    [
        (("compose", "chirp-v55"), {}, "task='compose'"),
        (("create",), {}, "model: task 'create' requires it"),
        (("create", "gpt-5"), {}, "model='gpt-5'"),
        (("inspiration", "chirp-v55"), {}, "playlist_id: task 'inspiration' requires it"),
        (("create", "chirp-v55"), {"prompt": ""}, "prompt=''"),
        (("create", "chirp-v55"), {"prompt": "x" * 40_000}, "at most 32768"),
        (("create", "chirp-v55"), {"extra": {"new": {1, 2}}}, "can't be written as JSON"),
        ((GenerateRequest("create", "chirp-v55"), "chirp-v50"), {}, "task is a whole GenerateRequest"),
        ((GenerateRequest("create", "chirp-v55"),), {"title": "x"}, "task is a whole GenerateRequest"),
    ],
)
async def test_what_cannot_be_generated_is_refused_before_anything_is_sent(
    world, arguments: Any, fields: dict[str, Any], named: str
) -> None:
    w = await world()
    with pytest.raises(InputError, match=named):
        await w.client.generate(*arguments, **fields)
    assert w.ledger.calls == ()


def test_the_document_would_refuse_what_is_refused_here() -> None:
    with pytest.raises(jsonschema.ValidationError):
        validator(BODY).validate({"task": "extend", "model": "chirp-v55"})
