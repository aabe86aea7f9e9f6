"""What generations and personas are told by, in parts: stretches of time, weights, a voice, a sound. Each is checked
when it is made.

Pure. Documentation: docs.mountsea.ai/api-reference/suno/generate and .../persona.
"""

from __future__ import annotations

from typing import Any, Final

import attrs

from .errors import InputError
from .redact import shown_value
from .upload.fields import check_id

__all__ = [
    "Controls",
    "PersonaUse",
    "Sound",
    "TimeRange",
    "check_bounds",
    "check_flag",
    "check_image",
    "check_seconds",
    "check_text",
    "given",
]

MAX_SECONDS: Final = 10**6
MAX_IMAGE: Final = 1_000_000
"""Characters of a picture; the service tells no bound."""


def given(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields of a request that were given."""
    return {name: value for name, value in fields.items() if value is not None}


def _is_number(value: Any, low: float, high: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high


def check_seconds(value: Any, field: str) -> float:
    """A moment of a clip.

    Raises:
        InputError: It is no number, or below 0.
    """
    if not _is_number(value, 0, MAX_SECONDS):
        raise InputError(f"{field}={shown_value(value)}: give seconds, a number from 0")
    seconds: float = value
    return seconds


def check_text(value: Any, field: str) -> str | None:
    """A text, or none.

    Raises:
        InputError: It is empty, or no text.
    """
    if value is not None and (not isinstance(value, str) or not value.strip()):
        raise InputError(f"{field}={shown_value(value)}: give a text, or leave it out")
    return value


def check_image(value: Any) -> str | None:
    """A picture as a data URI, or none.

    Raises:
        InputError: It is empty, no text, or larger than `MAX_IMAGE`.
    """
    if isinstance(value, str) and len(value) > MAX_IMAGE:
        raise InputError(f"image_s3_id: {len(value)} characters: give a picture of at most {MAX_IMAGE} as base64")
    return check_text(value, "image_s3_id")


def check_flag(value: Any, field: str) -> bool:
    """A yes or a no.

    Raises:
        InputError: It is neither.
    """
    if not isinstance(value, bool):
        raise InputError(f"{field}={shown_value(value)}: give True or False")
    return value


def check_bounds(start_s: Any, end_s: Any, fields: tuple[str, str] = ("start_s", "end_s")) -> None:
    """A stretch of time, whose beginning or end may be left to the service.

    Raises:
        InputError: It isn't two numbers from 0, the first below the second.
    """
    if start_s is not None:
        check_seconds(start_s, fields[0])
    if end_s is not None and check_seconds(end_s, fields[1]) <= (start_s or 0):
        raise InputError(f"{fields[1]}={end_s!r}: the end lies after the beginning, {fields[0]}={start_s or 0!r}")


@attrs.frozen
class TimeRange:
    """A stretch of a clip, both ends in seconds from its beginning.

    Attributes:
        start_s: Where it begins, from 0.
        end_s: Where it ends, above `start_s`.
    """

    start_s: float
    end_s: float

    def __attrs_post_init__(self) -> None:
        check_seconds(self.start_s, "start_s")
        check_seconds(self.end_s, "end_s")
        check_bounds(self.start_s, self.end_s)


@attrs.frozen
class Controls:
    """How closely to follow what is given, each from 0 to 1.

    Attributes:
        style_weight: The styles.
        audio_weight: The audio.
        weirdness_constraint: How unusual it may be.
    """

    style_weight: float | None = None
    audio_weight: float | None = None
    weirdness_constraint: float | None = None

    def __attrs_post_init__(self) -> None:
        for name, value in attrs.asdict(self).items():
            if value is not None and not _is_number(value, 0, 1):
                raise InputError(f"controls.{name}={shown_value(value)}: give a number from 0 to 1")


@attrs.frozen
class PersonaUse:
    """Who sings: a persona of the account that the clips are on.

    Attributes:
        persona_id: Its id.
        artist_clip_id: A clip of its artist.
        persona_style: Its styles, as words.
    """

    persona_id: str
    artist_clip_id: str | None = None
    persona_style: str | None = None

    def __attrs_post_init__(self) -> None:
        check_id(self.persona_id, "persona.persona_id")
        if self.artist_clip_id is not None:
            check_id(self.artist_clip_id, "persona.artist_clip_id")
        check_text(self.persona_style, "persona.persona_style")


@attrs.frozen
class Sound:
    """A sound.

    Attributes:
        description: What it is like.
        type: What kind of sound it is.
        key: Its musical key.
        bpm: Its beats a minute, above 0.
    """

    description: str
    type: str | None = None
    key: str | None = None
    bpm: float | None = None

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.description, str) or not self.description.strip():
            raise InputError(f"sound.description={shown_value(self.description)}: say what it sounds like")
        check_text(self.type, "sound.type")
        check_text(self.key, "sound.key")
        if self.bpm is not None and (not _is_number(self.bpm, 0, 10_000) or not self.bpm):
            raise InputError(f"sound.bpm={shown_value(self.bpm)}: give beats a minute, a number above 0")
