"""What is sent: the endpoints' calls as requests, ready for the transport.

Pure: no clock, no socket, no randomness. What an answer means is in `protocol.py`.
Documentation: docs.mountsea.ai/api-reference/suno/uploadSession, .../uploadSessionItem, .../task, .../upload,
.../customModel, .../customModelUpload, .../customModelCreate.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final
from urllib.parse import quote

import attrs

_encode: Final = json.JSONEncoder(separators=(",", ":")).encode
MIB: Final = 1 << 20
BYTES_PER_AUDIO_ID: Final = 128


@attrs.frozen
class Request:
    """One call of an endpoint, ready to be sent.

    Attributes:
        method: HTTP method.
        target: Path and query, quoted.
        body: JSON bytes; None sends none.
        paid: Sending it twice may cost twice.
        max_bytes: The longest answer that is read.
        balance: It is for the host that tells the balance, which has a header of its own for the key.
    """

    method: str
    target: str
    body: bytes | None = attrs.field(default=None, repr=False)
    paid: bool = False
    max_bytes: int = MIB
    balance: bool = False


def prepare_session() -> Request:
    """Binds an account and opens a batch upload session. Costs nothing; no body is documented."""
    return Request("POST", "/suno/v2/audio/upload/session")


def submit_item(session_id: str, audio_url: str) -> Request:
    """Uploads one file on the session's account. Costs credits."""
    body = _encode({"sessionId": session_id, "audioUrl": audio_url}).encode()
    return Request("POST", "/suno/v2/audio/upload/session/item", body, paid=True)


def prepare_custom_model() -> Request:
    """Binds an account of its own kind and opens a session for a custom model. Costs nothing; no body is documented."""
    return Request("POST", "/suno/v2/customModel/prepare")


def upload_for_custom_model(session_id: str, audio_url: str) -> Request:
    """Uploads one training file on the session's account. Costs credits."""
    body = _encode({"sessionId": session_id, "audioUrl": audio_url}).encode()
    return Request("POST", "/suno/v2/customModel/upload", body, paid=True)


def create_custom_model(session_id: str, clip_ids: Sequence[str], name: str) -> Request:
    """Trains on clips of the session. Costs 100 credits; the task that it makes has the session's id."""
    body = _encode({"sessionId": session_id, "clipIds": list(clip_ids), "name": name}).encode()
    return Request("POST", "/suno/v2/customModel/create", body, paid=True)


def upload_audio(audio_url: str) -> Request:
    """Uploads one file on whichever account the service picks. Costs credits."""
    body = _encode({"audioUrl": audio_url}).encode()
    return Request("POST", "/suno/v2/upload", body, paid=True)


def submit(path: str, body: bytes) -> Request:
    """Calls an asynchronous endpoint that has no function of its own here. Any of them may cost credits."""
    return Request("POST", path, body, paid=True)


@lru_cache(maxsize=512)  # what is pending is asked for again and again
def task_status(task_id: str, *, audio_ids: int = 0) -> Request:
    """Asks for a task.

    Args:
        task_id: A task's id, or a session's.
        audio_ids: How many ids a session may hold; the answer may be that much larger.
    """
    target = f"/suno/v2/status?taskId={quote(task_id, safe='')}"
    return Request("GET", target, max_bytes=max(MIB, BYTES_PER_AUDIO_ID * audio_ids))


# ------------------------------------------------------------------------------------- what is done with the clips
def create_playlist(clip_ids: Sequence[str], name: str) -> Request:
    """Makes a playlist of clips of one account. Costs nothing that is known, and one more harms nobody."""
    body = _encode({"clip_ids": list(clip_ids), "name": name}).encode()
    return Request("POST", "/suno/v2/playlist/create", body)


def vox_stem(fields: Mapping[str, Any]) -> Request:
    """Extracts the voice of a clip. What it costs isn't told."""
    return Request("POST", "/suno/v2/getVoxStem", _encode(fields).encode(), paid=True)


def create_persona(fields: Mapping[str, Any]) -> Request:
    """Makes a persona of a clip. What it costs isn't told, and a second one would be another persona."""
    return Request("POST", "/suno/v2/persona", _encode(fields).encode(), paid=True)


def generate(body: bytes) -> Request:
    """Generates music. Costs credits."""
    return Request("POST", "/suno/v2/generate", body, paid=True)


def generate_schema(task: str | None) -> Request:
    """Asks which fields a kind of generation takes, or all of them."""
    query = "" if task is None else f"?task={quote(task, safe='')}"
    return Request("GET", f"/suno/v2/generate/schema{query}")


def begin_voice(fields: Mapping[str, Any]) -> Request:
    """Begins a voice persona with a recording. What it costs isn't told."""
    return Request("POST", "/suno/v2/voicePersona/init", _encode(fields).encode(), paid=True)


def complete_voice(fields: Mapping[str, Any]) -> Request:
    """Hands in the spoken phrase; the task that it answers with is that of the beginning."""
    return Request("POST", "/suno/v2/voicePersona/complete", _encode(fields).encode(), paid=True)


def balance() -> Request:
    """Asks for the balance, at a host of its own."""
    return Request("GET", "/api-user/credits", balance=True)
