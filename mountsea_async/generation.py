"""What may be asked of `generate`: its task kinds, models and fields, checked before anything is sent.

Pure. Documentation: docs.mountsea.ai/api-reference/suno/generate and .../generateSchema.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from enum import StrEnum
from typing import Any, Final, Protocol, TypedDict

import attrs

from .errors import InputError
from .models import NO_METADATA
from .parts import Controls, PersonaUse, Sound, TimeRange, check_seconds, check_text
from .redact import shown_value
from .upload.fields import check_clip_ids, check_id, check_name
from .upload.inputs import check_audio_url

__all__ = [
    "GenerateFields",
    "GenerateRequest",
    "GenerateTask",
    "HasId",
]


class GenerateTask(StrEnum):
    """The kinds of generation."""

    CREATE = "create"
    EXTEND = "extend"
    UPLOAD_EXTEND = "upload_extend"
    UPLOAD_COVER = "upload_cover"
    COVER = "cover"
    USE_STYLES_LYRICS = "use_styles_lyrics"
    REPLACE_SECTION = "replace_section"
    ADD_INSTRUMENTAL = "add_instrumental"
    ADD_VOCALS = "add_vocals"
    GEN_STEM_TWO = "gen_stem_two"
    GEN_STEM_ALL = "gen_stem_all"
    MASHUP = "mashup"
    SAMPLE = "sample"
    INSPIRATION = "inspiration"
    SOUND = "sound"


_CLIP: Final = ("model", "clip_id")
_AUDIO: Final = ("model", "audio_url")
_PART: Final = (*_CLIP, "range")
REQUIRED: Final[Mapping[GenerateTask, tuple[str, ...]]] = {
    GenerateTask.CREATE: ("model",),
    GenerateTask.EXTEND: _CLIP,
    GenerateTask.COVER: _CLIP,
    GenerateTask.USE_STYLES_LYRICS: _CLIP,
    GenerateTask.UPLOAD_EXTEND: _AUDIO,
    GenerateTask.UPLOAD_COVER: _AUDIO,
    GenerateTask.REPLACE_SECTION: (*_PART, "infill_context_range", "continued_aligned_prompt"),
    GenerateTask.ADD_INSTRUMENTAL: _PART,
    GenerateTask.ADD_VOCALS: _PART,
    GenerateTask.GEN_STEM_TWO: ("clip_id",),
    GenerateTask.GEN_STEM_ALL: ("clip_id",),
    GenerateTask.SAMPLE: ("clip_id",),
    GenerateTask.MASHUP: ("model", "mashup_clip_ids"),
    GenerateTask.INSPIRATION: ("model", "playlist_id"),
    GenerateTask.SOUND: ("sound",),
}
"""The fields that each kind requires. For the stems, sample and sound the documentation is silent: what their schema
asks for besides goes through `extra`."""

MODELS: Final = ("chirp-v55", "chirp-v50", "chirp-45+", "chirp-v45", "chirp-v45-lite", "chirp-v40", "chirp-v35")
_MODEL = re.compile(r"chirp-(?!custom)[0-9A-Za-z][0-9A-Za-z+.-]{0,39}")
_CUSTOM = re.compile(r"chirp-custom:[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_OF_A_MODEL = re.compile(r"chirp-custom:[0-9A-Za-z-]{8,64}")
"""What a model object may say of itself: the service has told it, so nobody doubts its form."""


class HasId(Protocol):
    """A custom model, or anything else that is known by its id."""

    @property
    def id(self) -> str:
        """The id."""


class GenerateFields(TypedDict, total=False):
    """The fields of `GenerateRequest` besides its task and its model."""

    title: str | None
    tags: str | None
    negative_tags: str | None
    prompt: str | None
    gpt_description_prompt: str | None
    infill_lyrics: str | None
    infill_type: str | None
    make_instrumental: bool | None
    clip_id: str | None
    audio_url: str | None
    playlist_id: str | None
    mashup_clip_ids: tuple[str, ...] | list[str] | None
    continue_at: float | None
    continued_aligned_prompt: str | None
    range: TimeRange | tuple[float, float] | None
    infill_context_range: TimeRange | tuple[float, float] | None
    vocal_gender: str | None
    persona: PersonaUse | None
    controls: Controls | None
    sound: Sound | None
    extra: Mapping[str, Any]
    allow_private: bool


def _task_of(task: Any) -> GenerateTask:
    try:
        return GenerateTask(task)
    except ValueError:
        known = [each.value for each in GenerateTask]
        near = get_close_matches(task, known, 1) if isinstance(task, str) else []
        hint = f"did you mean {near[0]!r}?" if near else f"one of {', '.join(known)}"
        raise InputError(f"task={shown_value(task)}: no kind of generation that is known; {hint}") from None


def _model_of(model: Any) -> str | None:
    if model is None:
        return None
    if isinstance(model, str):
        if _CUSTOM.fullmatch(model) or _MODEL.fullmatch(model):
            return model
    elif isinstance(told := getattr(model, "id", None), str) and _OF_A_MODEL.fullmatch(told):
        return told
    raise InputError(
        f"model={shown_value(model)}: give {', '.join(MODELS)}, a newer one of that form, or a model of your own: "
        "chirp-custom:<uuid>"
    )


def _range_of(value: Any) -> Any:
    return _stretch(value, "range")


def _context_of(value: Any) -> Any:
    return _stretch(value, "infill_context_range")


def _stretch(value: Any, field: str) -> Any:
    if not isinstance(value, tuple | list) or len(value) != 2:
        return value
    try:
        return TimeRange(*value)
    except InputError as error:
        raise InputError(f"{field}: {error.message}") from None


def _own(extra: Any) -> Any:
    return dict(extra) if extra and isinstance(extra, Mapping) else extra


def _tuple_of(value: Any) -> Any:
    # Whatever can be read once only is read here: it is checked and sent later.
    return tuple(value) if isinstance(value, Iterable) and not isinstance(value, str | bytes) else value


@attrs.frozen
class GenerateRequest:
    """One generation, checked when it is made: what its kind requires is there, and every field is what it must be.

    Follows docs.mountsea.ai/api-reference/suno/generate.

    Attributes:
        task: The kind of generation, one of `GenerateTask`.
        model: `chirp-v55` and the like, or a custom model: itself or its id `chirp-custom:<uuid>`.
        title: The song's title.
        tags: Its styles, as words.
        negative_tags: Styles to keep away from.
        prompt: Its lyrics.
        gpt_description_prompt: What it is about, where the service is to write the lyrics.
        infill_lyrics: The lyrics of the part that is made anew.
        infill_type: What kind of part that is.
        make_instrumental: Whether nobody sings.
        clip_id: The clip that it is made from.
        audio_url: The audio that it is made from: a public http or https URL.
        playlist_id: The playlist that inspires it; see `create_playlist`.
        mashup_clip_ids: Two clips or more that are mixed.
        continue_at: Seconds from which it goes on.
        continued_aligned_prompt: The lyrics with the new part in its place.
        range: The seconds that are worked on; a pair of numbers will do.
        infill_context_range: The seconds around them that are listened to; as above.
        vocal_gender: `m` or `f`.
        persona: Who sings.
        controls: How closely to follow what is given.
        sound: What a `sound` is like.
        extra: Further fields, by the service's names, as values that JSON has: what `generate_schema` tells and this
            class doesn't know.
        allow_private: Let loopback and private addresses pass as `audio_url`, for tests.

    Raises:
        InputError: A field is missing or can't be sent; names it, and the rule.
    """

    task: GenerateTask = attrs.field(converter=_task_of)
    model: str | None = attrs.field(default=None, converter=_model_of)
    title: str | None = attrs.field(default=None, kw_only=True)
    tags: str | None = attrs.field(default=None, kw_only=True)
    negative_tags: str | None = attrs.field(default=None, kw_only=True)
    prompt: str | None = attrs.field(default=None, kw_only=True)
    gpt_description_prompt: str | None = attrs.field(default=None, kw_only=True)
    infill_lyrics: str | None = attrs.field(default=None, kw_only=True)
    infill_type: str | None = attrs.field(default=None, kw_only=True)
    make_instrumental: bool | None = attrs.field(default=None, kw_only=True)
    clip_id: str | None = attrs.field(default=None, kw_only=True)
    audio_url: str | None = attrs.field(default=None, kw_only=True, repr=False)
    playlist_id: str | None = attrs.field(default=None, kw_only=True)
    mashup_clip_ids: tuple[str, ...] | None = attrs.field(default=None, kw_only=True, converter=_tuple_of)
    continue_at: float | None = attrs.field(default=None, kw_only=True)
    continued_aligned_prompt: str | None = attrs.field(default=None, kw_only=True)
    range: TimeRange | None = attrs.field(default=None, kw_only=True, converter=_range_of)
    infill_context_range: TimeRange | None = attrs.field(default=None, kw_only=True, converter=_context_of)
    vocal_gender: str | None = attrs.field(default=None, kw_only=True)
    persona: PersonaUse | None = attrs.field(default=None, kw_only=True)
    controls: Controls | None = attrs.field(default=None, kw_only=True)
    sound: Sound | None = attrs.field(default=None, kw_only=True)
    extra: Mapping[str, Any] = attrs.field(default=NO_METADATA, kw_only=True, hash=False, converter=_own)
    allow_private: bool = attrs.field(default=False, kw_only=True, repr=False, eq=False)

    def __attrs_post_init__(self) -> None:
        for field in REQUIRED[self.task]:
            if getattr(self, field) is None:
                need = ", ".join(REQUIRED[self.task])
                raise InputError(f"{field}: task {self.task.value!r} requires it (it requires {need})")
        for field in _TEXTS:
            check_text(getattr(self, field), field)
        for field, kind in _VALUES.items():
            value = getattr(self, field)
            if value is not None and not isinstance(value, kind):
                raise InputError(f"{field}={shown_value(value)}: give {_FORMS.get(field, f'a {kind.__name__}')}")
        self._check_single_fields()

    def _check_single_fields(self) -> None:
        if self.title is not None:
            check_name(self.title, "title")
        for field in ("clip_id", "playlist_id"):
            if getattr(self, field) is not None:
                check_id(getattr(self, field), field)
        if self.mashup_clip_ids is not None:
            check_clip_ids(self.mashup_clip_ids, least=2, field="mashup_clip_ids")
        if self.continue_at is not None:
            check_seconds(self.continue_at, "continue_at")
        if self.vocal_gender not in (None, "m", "f"):
            raise InputError(f"vocal_gender={shown_value(self.vocal_gender)}: give 'm' or 'f'")
        if self.audio_url is not None and (
            problem := check_audio_url(self.audio_url, allow_private=self.allow_private)
        ):
            raise InputError(f"audio_url: {problem}")
        known = attrs.fields_dict(GenerateRequest)
        if strange := [name for name in self.extra if not isinstance(name, str) or not name]:
            raise InputError(f"extra: {shown_value(strange[0])} is no name of a field")
        if twice := [name for name in self.extra if name in known]:
            raise InputError(f"extra: {twice[0]!r} is a field of its own: give it as {twice[0]}=")

    def to_dict(self) -> dict[str, Any]:
        """The fields that were given, by the service's names, as values that JSON has."""
        told = attrs.asdict(self, filter=lambda field, value: value is not None and field.name not in _NOT_SENT)
        return {**told, "task": self.task.value, **self.extra}


_TEXTS: Final = (
    "title",
    "tags",
    "negative_tags",
    "prompt",
    "gpt_description_prompt",
    "infill_lyrics",
    "infill_type",
    "continued_aligned_prompt",
)
_VALUES: Final[Mapping[str, type]] = {
    "make_instrumental": bool,
    "range": TimeRange,
    "infill_context_range": TimeRange,
    "persona": PersonaUse,
    "controls": Controls,
    "sound": Sound,
    "extra": Mapping,
}
_FORMS: Final = {
    "make_instrumental": "True or False",
    "range": "(start_s, end_s) in seconds",
    "infill_context_range": "(start_s, end_s) in seconds",
    "extra": "a mapping of fields",
}
_NOT_SENT: Final = frozenset({"extra", "allow_private"})
