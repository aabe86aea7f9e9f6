"""Answers about playlists, voices, personas, generations and the balance, as values. Pure, as `decode.py` is.

Documentation: docs.mountsea.ai/api-reference/suno/playlistCreate, .../getVoxStem, .../persona, .../generateSchema.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import Any

from ..models import GenerateField, Persona, Playlist, TaskSchema, VoxStem
from .decode import Loads, Malformed, Reader, is_id, parsed

__all__ = ["balance", "persona", "persona_of", "playlist", "schemas", "vox_stem"]


def _fields(body: bytes, loads: Loads | None) -> dict[str, Any]:
    """The answer's object, out of an envelope where it came in one."""
    value = parsed(body, loads)
    if not isinstance(value, dict):
        raise Malformed(f"its body is a JSON {type(value).__name__}, not an object")
    inner = value.get("data")
    return inner if isinstance(inner, dict) and not is_id(value.get("id")) else value


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _number(value: Any) -> float | None:
    fine = isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
    return value if fine else None


def playlist(name: str, clip_ids: Sequence[str]) -> Reader[Playlist]:
    """A reader of the playlist that was asked for."""

    def read(body: bytes, _: tuple[str, ...] = (), loads: Loads | None = None, /) -> Playlist:
        found = _fields(body, loads).get("playlist_id")
        if not is_id(found):
            raise Malformed("it holds no playlist_id")
        return Playlist(str(found), name, tuple(clip_ids))

    return read


def vox_stem(body: bytes, _: tuple[str, ...] = (), loads: Loads | None = None, /) -> VoxStem:
    """The voice of a clip.

    Raises:
        Malformed: It has no id.
    """
    fields = _fields(body, loads)
    return VoxStem(
        id=_id(fields),
        status=_text(fields.get("status")),
        source_clip_id=_text(fields.get("source_clip_id")),
        vocal_start_s=_number(fields.get("vocal_start_s")),
        vocal_end_s=_number(fields.get("vocal_end_s")),
        vocal_audio_url=_text(fields.get("vocal_audio_url")),
    )


def _id(fields: dict[str, Any]) -> str:
    if not is_id(found := fields.get("id")):
        raise Malformed("it holds no id")
    return str(found)


def persona(body: bytes, _: tuple[str, ...] = (), loads: Loads | None = None, /) -> Persona:
    """A persona.

    Raises:
        Malformed: It has no id.
    """
    if (found := persona_of(_fields(body, loads))) is None:
        raise Malformed("it holds no id")
    return found


def persona_of(value: Any) -> Persona | None:
    """The persona that a JSON value describes; None if it has no id."""
    fields = value if isinstance(value, dict) else {}
    found = next((fields[name] for name in ("id", "persona_id") if is_id(fields.get(name))), None)
    if found is None:
        return None
    public = fields.get("is_public")
    return Persona(
        id=found,
        name=_text(fields.get("name")),
        description=_text(fields.get("description")),
        persona_type=_text(fields.get("persona_type")),
        is_public=public if isinstance(public, bool) else None,
        root_clip_id=_text(fields.get("root_clip_id")),
        image_s3_id=_text(fields.get("image_s3_id")),
        vocal_start_s=_number(fields.get("vocal_start_s")),
        vocal_end_s=_number(fields.get("vocal_end_s")),
    )


def schemas(body: bytes, _: tuple[str, ...] = (), loads: Loads | None = None, /) -> tuple[TaskSchema, ...]:
    """What the service says of its kinds of generation.

    Raises:
        Malformed: It is no list.
    """
    value = parsed(body, loads)
    if isinstance(value, dict):
        value = next((value[name] for name in ("data", "result") if isinstance(value.get(name), list)), value)
    if not isinstance(value, list):
        raise Malformed(f"its body is a JSON {type(value).__name__}, not a list")
    kinds = [kind for kind in value if isinstance(kind, dict) and isinstance(kind.get("task"), str)]
    return tuple(
        TaskSchema(
            task=kind["task"],
            description=_text(kind.get("description")),
            required=_described(kind.get("required")),
            optional=_described(kind.get("optional")),
            not_allowed=tuple(field.field for field in _described(kind.get("notAllowed"))),
            example=kind["example"] if isinstance(kind.get("example"), dict) else None,
        )
        for kind in kinds
    )


def _described(value: Any) -> tuple[GenerateField, ...]:
    """Fields as the service describes them; some it only names."""
    fields = []
    for entry in value if isinstance(value, list) else ():
        if isinstance(entry, str):
            fields.append(GenerateField(entry))
        elif isinstance(entry, dict) and isinstance(entry.get("field"), str):
            description, kind = _text(entry.get("description")), _text(entry.get("type"))
            fields.append(GenerateField(entry["field"], description, kind, entry.get("example")))
    return tuple(fields)


def balance(body: bytes, _: tuple[str, ...] = (), loads: Loads | None = None, /) -> float:
    """The credits that are left.

    Raises:
        Malformed: It names none.
    """
    found = _number(_fields(body, loads).get("credits"))
    if found is None:
        raise Malformed("it holds no credits")
    return found
