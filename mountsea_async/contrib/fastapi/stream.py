"""Events and summaries as messages of an event stream."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import attrs
from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event

from ...errors import MountseaError
from ...models import Clip
from ...upload.codec import KINDS
from ...upload.events import Event
from ..words import item_words, public_words
from .bodies import BatchOut

__all__ = ["Messages", "event_dict"]

_WORDS = {kind: word for word, kind in KINDS.items()}
_KEPT = 1024


def event_dict(event: Event) -> dict[str, Any]:
    """An event as JSON-ready values: its fields, errors in words, a clip as `clip_id` and `clip_url`."""
    told: dict[str, Any] = {}
    for name in (field.name for field in attrs.fields(type(event))):
        value = getattr(event, name)
        if name == "clip":
            told["clip_id"], told["clip_url"] = (value.id, value.audio_url) if isinstance(value, Clip) else (None, None)
        elif isinstance(value, MountseaError):
            told[name] = item_words(value) if hasattr(event, "index") else public_words(value)
        else:
            told[name] = value
    return told


class Messages:
    """Makes messages, as they go over the wire; an event's only once, however many read it."""

    def __init__(self) -> None:
        self._made: OrderedDict[tuple[str, int], bytes] = OrderedDict()

    def events(self, batch_id: str, events: Sequence[Event]) -> bytes:
        """The messages of events, or the sign that there is none yet; an event's id is its `seq`."""
        return b"".join(self._event(batch_id, event) for event in events) or KEEPALIVE_COMMENT

    def _event(self, batch_id: str, event: Event) -> bytes:
        name = batch_id, event.seq
        made = self._made.get(name)
        if made is None:
            text = json.dumps(event_dict(event), separators=(",", ":"))
            made = format_sse_event(data_str=text, event=_WORDS[type(event)], id=str(event.seq))
            self._made[name] = made
            if len(self._made) > _KEPT:
                self._made.popitem(last=False)
        return made

    @staticmethod
    def error(error: MountseaError) -> bytes:
        """The message of a stream that can't go on."""
        told = {"detail": public_words(error), "error": type(error).__name__}
        return format_sse_event(data_str=json.dumps(told), event="error")

    @staticmethod
    def summary(batch: BatchOut) -> bytes:
        """The message of a batch's own state; it has no id, since it is no event."""
        return format_sse_event(data_str=batch.model_dump_json(), event="batch")
