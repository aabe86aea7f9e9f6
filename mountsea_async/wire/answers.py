"""Answers about playlists, voices, personas, generations and the balance, as values. Pure, as `decode.py` is.

Documentation: docs.mountsea.ai/api-reference/suno/playlistCreate, .../getVoxStem, .../persona, .../generateSchema.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final

from ..models import GenerateField, Persona, Playlist, TaskSchema, VoicePhrase, VoxStem
from .decode import Loads, Malformed, Reader, is_id, is_number, parsed, structured

__all__ = ["balance", "persona", "persona_of", "phrase_of", "playlist", "schemas", "vox_stem"]

_PERSONA_IDS: Final = ("id", "persona_id")


def _fields(body: bytes, loads: Loads | None, *names: str, fits: Callable[[Any], bool] = is_id) -> dict[str, Any]:
    """The object that holds what is relied on, under one of its names: the answer's own, or that in its envelope."""
    value = parsed(body, loads)
    if not isinstance(value, dict):
        raise Malformed(f"its body is a JSON {type(value).__name__}, not an object")
    held = (each for each in (value, value.get("data"), value.get("result")) if isinstance(each, dict))
    return next((each for each in held if any(fits(each.get(name)) for name in names)), value)


def playlist(name: str, clip_ids: Sequence[str]) -> Reader[Playlist]:
    """A reader of the playlist that was asked for."""

    def read(body: bytes, _: tuple[str, ...] = (), loads: Loads | None = None, /) -> Playlist:
        found = _fields(body, loads, "playlist_id").get("playlist_id")
        if not is_id(found):
            raise Malformed("it holds no playlist_id")
        return Playlist(str(found), name, tuple(clip_ids))

    return read


def vox_stem(body: bytes, _: tuple[str, ...] = (), loads: Loads | None = None, /) -> VoxStem:
    """The voice of a clip.

    Raises:
        Malformed: It has no id.
    """
    return structured(_fields(body, loads, "id"), VoxStem)


def persona(body: bytes, _: tuple[str, ...] = (), loads: Loads | None = None, /) -> Persona:
    """A persona.

    Raises:
        Malformed: It has no id.
    """
    return _persona(_fields(body, loads, *_PERSONA_IDS))


def persona_of(value: Any) -> Persona | None:
    """The persona that a JSON value describes, by itself or as its `persona`; None if it has no id."""
    fields = value if isinstance(value, dict) else {}
    for held in (fields, fields.get("persona")):
        with suppress(Malformed):
            return _persona(held if isinstance(held, dict) else {})
    return None


def _persona(fields: dict[str, Any]) -> Persona:
    found = next((fields[name] for name in _PERSONA_IDS if is_id(fields.get(name))), None)
    return structured({**fields, "id": found}, Persona)


def phrase_of(value: Any) -> VoicePhrase | None:
    """The phrase that a JSON value describes; None if it holds no words."""
    try:
        return structured(value, VoicePhrase) if isinstance(value, dict) else None
    except Malformed:
        return None


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
            description=kind["description"] if isinstance(kind.get("description"), str) else None,
            required=_described(kind.get("required")),
            optional=_described(kind.get("optional")),
            not_allowed=tuple(field.field for field in _described(kind.get("notAllowed"))),
            example=kind["example"] if isinstance(kind.get("example"), dict) else None,
        )
        for kind in kinds
    )


def _described(value: Any) -> tuple[GenerateField, ...]:
    """Fields as the service describes them; some it only names, and what has no name is left out."""
    fields = []
    for entry in value if isinstance(value, list) else ():
        with suppress(Malformed):
            fields.append(structured(entry if isinstance(entry, dict) else {"field": entry}, GenerateField))
    return tuple(fields)


def balance(body: bytes, _: tuple[str, ...] = (), loads: Loads | None = None, /) -> float:
    """The credits that are left.

    Raises:
        Malformed: It names none.
    """
    found = _fields(body, loads, "credits", fits=is_number).get("credits")
    if not is_number(found):
        raise Malformed("it holds no credits")
    return found
