"""The kinds of generation that the emulated service knows: which fields each requires, allows and ignores.

What may live here: the table behind generate and generate/schema, and the check of a body against it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import attrs

from mountsea_async.testing import validation
from mountsea_async.testing.validation import InvalidError, is_flag, is_moment, is_number, is_text, one_of, shape, texts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mountsea_async.testing.validation import Check

MODELS = ("chirp-v55", "chirp-v50", "chirp-45+", "chirp-v45", "chirp-v45-lite", "chirp-v40", "chirp-v35")
_CUSTOM = re.compile(r"chirp-custom:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_UUID = "42af5178-18a4-4fe7-b8f2-2f80c53b4d94"


def _is_model(value: object) -> bool:
    return isinstance(value, str) and (value in MODELS or _CUSTOM.fullmatch(value) is not None)


@attrs.frozen
class Field:
    """A field of generate's body.

    Args:
        must: what it must be, in the words of a refusal.
    """

    holds: Check
    must: str
    type: str
    description: str
    example: object


@attrs.frozen
class Kind:
    """A kind of generation."""

    name: str
    description: str
    required: tuple[str, ...]
    optional: tuple[str, ...]

    @property
    def fields(self) -> tuple[str, ...]:
        """Every field that it looks at."""
        return (*self.required, *self.optional)


def _text(description: str, example: str) -> Field:
    return Field(is_text, "be a string", "string", description, example)


_RANGE = shape({"start_s": is_moment, "end_s": is_moment})
_WHOLE = {"start_s": 10, "end_s": 30}
_RANGE_FORM = "be an object with start_s and end_s"
_PERSONA = shape({"persona_id": is_text}, {"artist_clip_id": is_text, "persona_style": is_text})
_CONTROLS = shape({}, dict.fromkeys(("style_weight", "audio_weight", "weirdness_constraint"), is_number))
_SOUND = shape({"description": is_text}, {"type": is_text, "key": is_text, "bpm": is_number})
_FIELDS: Mapping[str, Field] = {
    "model": Field(_is_model, "be the id of a model", "string", "The model, a custom one too", MODELS[0]),
    "clip_id": _text("The clip to work on", _UUID),
    "audio_url": Field(
        validation.is_url, "be a URL address", "string", "The audio to work on", "https://example.com/a.mp3"
    ),
    "playlist_id": _text("The playlist to be inspired by", _UUID),
    "playlist_clip_ids": Field(
        texts(1, 4), "contain 1 to 4 strings", "array", "With playlist_id 'inspiration'; deprecated", [_UUID]
    ),
    "mashup_clip_ids": Field(texts(2), "contain at least 2 strings", "array", "The clips to mix", [_UUID, _UUID]),
    "range": Field(_RANGE, _RANGE_FORM, "object", "The seconds to work on", _WHOLE),
    "infill_context_range": Field(_RANGE, _RANGE_FORM, "object", "The seconds around them to go by", _WHOLE),
    "continued_aligned_prompt": _text("The lyrics with the new part in its place", "One more line"),
    "infill_lyrics": _text("The lyrics of the new part", "One more line"),
    "infill_type": _text("What the new part is", "vocal"),
    "continue_at": Field(is_moment, "be a number of at least 0", "number", "The second to go on from", 60),
    "sound": Field(_SOUND, "be an object with a description", "object", "The sound", {"description": "rain on tin"}),
    "prompt": _text("The lyrics", "La la la"),
    "gpt_description_prompt": _text("What the song is about", "a song about rain"),
    "title": _text("The title", "Rain"),
    "tags": _text("Styles", "rap, catchy"),
    "negative_tags": _text("Styles to keep away from", "metal"),
    "make_instrumental": Field(is_flag, "be a boolean value", "boolean", "Without a voice", example=False),
    "vocal_gender": Field(one_of(("m", "f")), "be one of the following values: m, f", "string", "The voice", "f"),
    "persona": Field(_PERSONA, "be an object with persona_id", "object", "Who sings", {"persona_id": _UUID}),
    "controls": Field(
        _CONTROLS, "be an object of numbers", "object", "How far to follow what is given", {"style_weight": 0.5}
    ),
}
_ALWAYS = (
    "prompt",
    "gpt_description_prompt",
    "title",
    "tags",
    "negative_tags",
    "make_instrumental",
    "vocal_gender",
    "persona",
    "controls",
)


def _kinds() -> dict[str, Kind]:
    clip, audio, part = ("clip_id", "model"), ("audio_url", "model"), ("clip_id", "range", "model")
    replaced = ("clip_id", "range", "infill_context_range", "continued_aligned_prompt", "model")
    rows = [
        Kind("create", "A new song", ("model",), _ALWAYS),
        Kind("extend", "Go on with a clip", clip, ("continue_at", *_ALWAYS)),
        Kind("upload_extend", "Go on with an audio file", audio, ("continue_at", *_ALWAYS)),
        Kind("upload_cover", "Play an audio file anew", audio, _ALWAYS),
        Kind("cover", "Play a clip anew", clip, _ALWAYS),
        Kind("use_styles_lyrics", "A new song with a clip's styles and lyrics", clip, _ALWAYS),
        Kind("replace_section", "Make a part of a clip anew", replaced, ("infill_lyrics", "infill_type", *_ALWAYS)),
        Kind("add_instrumental", "Instruments for a clip", part, _ALWAYS),
        Kind("add_vocals", "A voice for a clip", part, _ALWAYS),
        Kind("gen_stem_two", "Voice and instruments apart", ("clip_id",), ("model", "title")),
        Kind("gen_stem_all", "Every instrument apart", ("clip_id",), ("model", "title")),
        Kind("mashup", "Mix clips", ("mashup_clip_ids", "model"), _ALWAYS),
        Kind("sample", "A new song around a part of a clip", ("clip_id",), ("model", "range", *_ALWAYS)),
        Kind(
            "inspiration",
            "A new song in a playlist's manner",
            ("model", "playlist_id"),
            ("playlist_clip_ids", *_ALWAYS),
        ),
        Kind("sound", "A sound", ("sound",), ("model", "title")),
    ]
    return {row.name: row for row in rows}


KINDS: Mapping[str, Kind] = _kinds()
_TASK = f"task must be one of the following values: {', '.join(KINDS)}"
_RULES = {
    "task": (one_of(KINDS), _TASK),
    **{name: (field.holds, f"{name} must {field.must}") for name, field in _FIELDS.items()},
}


def fields(body: bytes, content_type: str) -> dict[str, Any]:
    """Return the fields of generate's body, each checked, with those that its kind requires.

    Raises:
        InvalidError: as `validation.fields`; or the kind requires a field that is missing.
    """
    given = validation.fields(body, content_type, ("task",), tuple(_FIELDS), _RULES)
    kind = KINDS[given["task"]]
    missing = [f"{name} should not be empty for task {kind.name}" for name in kind.required if name not in given]
    if missing:
        raise InvalidError(missing)
    return given


def schema(names: Sequence[str]) -> list[dict[str, Any]]:
    """Return what the kind of a query takes, or every kind.

    Raises:
        InvalidError: an unknown kind, or several.
    """
    if len(names) > 1:
        raise InvalidError(["task must be a string"])
    if names and names[0] not in KINDS:
        raise InvalidError([_TASK])
    return [_described(KINDS[name]) for name in names or KINDS]


def _described(kind: Kind) -> dict[str, Any]:
    examples = {name: _FIELDS[name].example for name in kind.required}
    return {
        "task": kind.name,
        "description": kind.description,
        "required": [_entry(name) for name in kind.required],
        "optional": [_entry(name) for name in kind.optional],
        "notAllowed": [name for name in _FIELDS if name not in kind.fields],
        "example": {"task": kind.name, **examples},
    }


def _entry(name: str) -> dict[str, object]:
    field = _FIELDS[name]
    return {"field": name, "description": field.description, "example": field.example, "type": field.type}
