"""The service's operations: an understood request in, a reply out.

What may live here: the table of paths, one method an endpoint, and what holds for all of them (key, rate
limit, the shape of errors). Pure but for the service's state; how a reply reaches the wire is in `delivery`.
"""

from __future__ import annotations

import json
import math
from datetime import timedelta
from email.utils import format_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, TypeAlias

import attrs

from mountsea_async.testing import kinds, validation
from mountsea_async.testing.accounts import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from mountsea_async.testing.behaviour import RateLimit
    from mountsea_async.testing.faults import Outcome
    from mountsea_async.testing.service import Service

JSON = "application/json; charset=utf-8"
# What an endpoint answers as JSON, and the task or session that it is about.
_Served: TypeAlias = tuple[object, str | None]

_VOCAL_BOUNDS = ("vocal_start_s", "vocal_end_s")
_VOICE = ("description", "is_public", "image_s3_id")
_PERSONA = ("description", "user_input_styles", "persona_type", "vox_audio_id", *_VOCAL_BOUNDS, "image_s3_id")


@attrs.frozen
class Asked:
    """One request as the operations see it.

    Args:
        authorized: whether it carried the right key.
        content_type: without parameters, lower case.
        task_ids: the values of `taskId` in the query; `kinds`: those of `task`.
    """

    method: str
    path: str
    authorized: bool
    body: bytes
    content_type: str
    task_ids: tuple[str, ...]
    kinds: tuple[str, ...]


@attrs.frozen
class Reply:
    """One answer; `task_id` is the task, session or clip task that it is about."""

    status: int
    body: bytes
    headers: Mapping[str, str] = attrs.field(factory=dict)
    task_id: str | None = None


@attrs.frozen
class Operation:
    """A row of the table: which method serves a path, and the status of its success."""

    endpoint: str
    status: int
    serve: Callable[[Operations, Asked, Outcome | None], _Served]


def reply_json(status: int, value: object, task_id: str | None = None, **headers: str) -> Reply:
    """Return a JSON reply; header names are given with underscores."""
    named = {"Content-Type": JSON, **{name.replace("_", "-"): text for name, text in headers.items()}}
    return Reply(status, json.dumps(value, separators=(",", ":")).encode(), named, task_id)


def reply_error(status: int, message: str | list[str], error: str = "", **headers: str) -> Reply:
    """Return an error in the framework's shape."""
    body: dict[str, object] = {"statusCode": status, "message": message}
    if error:
        body["error"] = error
    return reply_json(status, body, **headers)


class _Bucket:
    """A token bucket: holds `burst`, fills at `rate` a second.

    Args:
        limit: its measures.
        before: the bucket that it replaces, whose tokens it takes over; None: it begins full.
    """

    def __init__(self, limit: RateLimit, before: _Bucket | None = None) -> None:
        self.limit, self.tokens, self.at = limit, float(limit.burst), -math.inf
        if before is not None:
            self.tokens, self.at = min(self.tokens, before.tokens), before.at

    def wait(self, now: float) -> float:
        """Take a token and return 0, or return the seconds until there is one."""
        self.tokens = min(self.limit.burst, self.tokens + (now - self.at) * self.limit.rate)
        self.at = now
        if self.tokens >= 1:
            self.tokens -= 1
            return 0.0
        return (1 - self.tokens) / self.limit.rate


class Operations:
    """Answers requests for one service."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._bucket: _Bucket | None = None

    def answer(self, asked: Asked, forced: Outcome | None = None) -> Reply:
        """Do what is asked and return the reply.

        Args:
            asked: the request.
            forced: how a task that it creates shall end.
        """
        row = TABLE.get(asked.path)
        if row is None:
            return reply_error(404, f"Cannot {asked.method} {asked.path}", "Not Found")
        operation = row.get(asked.method)
        if operation is None:
            return reply_error(405, "Method Not Allowed", Allow=", ".join(row))
        if not asked.authorized or self._service.key_revoked:
            return reply_error(401, "Unauthorized")
        return self._limited() or self._serve(operation, asked, forced)

    def _serve(self, operation: Operation, asked: Asked, forced: Outcome | None) -> Reply:
        try:
            value, task_id = operation.serve(self, asked, forced)
        except validation.InvalidError as invalid:
            return self._refuse_invalid(invalid)
        except RefusedError as refused:
            return reply_error(refused.status, refused.message, refused.error)
        return reply_json(operation.status, value, task_id)

    def prepare(self, _asked: Asked, _forced: Outcome | None) -> _Served:
        """Bind an account; a body, which the service does not expect, is not looked at."""
        session_id = self._service.prepare()
        return {"sessionId": session_id}, session_id

    def item(self, asked: Asked, forced: Outcome | None) -> _Served:
        """Upload one file on the session's account."""
        given = validation.fields(asked.body, asked.content_type, ("sessionId", "audioUrl"))
        task = self._service.upload(given["audioUrl"], given["sessionId"], forced)
        return {"taskId": task.task_id}, task.task_id

    def upload(self, asked: Asked, forced: Outcome | None) -> _Served:
        """Upload one file on an account drawn for it."""
        given = validation.fields(asked.body, asked.content_type, ("audioUrl",))
        task = self._service.upload(given["audioUrl"], None, forced)
        return {"taskId": task.task_id}, task.task_id

    def status(self, asked: Asked, _forced: Outcome | None) -> _Served:
        """Tell how a task or session is."""
        task_id = validation.task_id(asked.task_ids)
        return self._service.status(task_id), task_id

    def model_prepare(self, _asked: Asked, _forced: Outcome | None) -> _Served:
        """Bind an account of those for custom models."""
        session_id = self._service.models.prepare()
        return {"sessionId": session_id}, session_id

    def model_upload(self, asked: Asked, forced: Outcome | None) -> _Served:
        """Upload one file to train on."""
        given = validation.fields(asked.body, asked.content_type, ("sessionId", "audioUrl"))
        task = self._service.upload(given["audioUrl"], given["sessionId"], forced, "model")
        return {"taskId": task.task_id}, task.task_id

    def model_create(self, asked: Asked, forced: Outcome | None) -> _Served:
        """Train a custom model; the session's own task tells what becomes of it."""
        given = validation.fields(asked.body, asked.content_type, ("sessionId", "clipIds", "name"))
        training = self._service.models.create(given["sessionId"], given["clipIds"], given["name"], forced)
        return {"taskId": training.work.task_id}, training.work.task_id

    def playlist(self, asked: Asked, _forced: Outcome | None) -> _Served:
        """Make a playlist."""
        given = validation.fields(asked.body, asked.content_type, ("clip_ids",), ("name",))
        return {"playlist_id": self._service.songs.create_playlist(given["clip_ids"])}, None

    def vox_stem(self, asked: Asked, _forced: Outcome | None) -> _Served:
        """Extract the vocals of a clip."""
        given = validation.fields(asked.body, asked.content_type, ("clip_id",), _VOCAL_BOUNDS)
        return self._service.songs.vox_stem(given), None

    def persona(self, asked: Asked, _forced: Outcome | None) -> _Served:
        """Make a persona of a clip."""
        given = validation.fields(asked.body, asked.content_type, ("clip_id", "name", "is_public"), _PERSONA)
        return self._service.songs.create_persona(given), None

    def generate(self, asked: Asked, forced: Outcome | None) -> _Served:
        """Begin a generation."""
        song = self._service.songs.generate(kinds.fields(asked.body, asked.content_type), forced)
        return {"taskId": song.work.task_id}, song.work.task_id

    def schema(self, asked: Asked, _forced: Outcome | None) -> _Served:
        """Tell what each kind of generation takes, or one of them."""
        return kinds.schema(asked.kinds), None

    def voice_init(self, asked: Asked, forced: Outcome | None) -> _Served:
        """Begin a voice persona."""
        given = validation.fields(asked.body, asked.content_type, ("voice_audio_url", "language"), _VOCAL_BOUNDS)
        task_id = self._service.voice.init(given, forced)
        return {"taskId": task_id}, task_id

    def voice_complete(self, asked: Asked, forced: Outcome | None) -> _Served:
        """Hand in the spoken phrase of a voice persona."""
        required = ("taskId", "verification_audio_url", "name")
        given = validation.fields(asked.body, asked.content_type, required, _VOICE)
        task_id = self._service.voice.complete(given, forced)
        return {"taskId": task_id}, task_id

    def credits(self, _asked: Asked, _forced: Outcome | None) -> _Served:
        """Tell the balance."""
        return {"credits": self._service.balance()}, None

    def _limited(self) -> Reply | None:
        limit = self._service.behaviour.rate_limit
        if limit is None:
            return None
        if self._bucket is None or self._bucket.limit is not limit:
            self._bucket = _Bucket(limit, self._bucket)
        if not (wait := self._bucket.wait(self._service.clock())):
            return None
        seconds = max(1, math.ceil(wait))
        headers = {}
        if limit.retry_after == "seconds":
            headers["Retry_After"] = str(seconds)
        elif limit.retry_after == "date":
            # A date has whole seconds: one more, so that it never names a moment before the token is there.
            headers["Retry_After"] = http_date(self._service.wall() + timedelta(seconds=seconds + 1))
        return reply_error(429, "ThrottlerException: Too Many Requests", **headers)

    def _refuse_invalid(self, invalid: validation.InvalidError) -> Reply:
        listed = invalid.listed and self._service.behaviour.message == "list"
        message = list(invalid.messages) if listed else ", ".join(invalid.messages)
        return reply_error(400, message, "Bad Request")


def http_date(at: datetime) -> str:
    """Return a moment as an HTTP header writes it, in whole seconds."""
    return format_datetime(at, usegmt=True)


def phrase(status: int) -> str:
    """Return the usual reason phrase of a status."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"


TABLE: Mapping[str, Mapping[str, Operation]] = {
    "/suno/v2/upload": {"POST": Operation("upload", 201, Operations.upload)},
    "/suno/v2/audio/upload/session": {"POST": Operation("prepare", 201, Operations.prepare)},
    "/suno/v2/audio/upload/session/item": {"POST": Operation("item", 201, Operations.item)},
    "/suno/v2/status": {"GET": Operation("status", 200, Operations.status)},
    "/suno/v2/customModel/prepare": {"POST": Operation("model_prepare", 201, Operations.model_prepare)},
    "/suno/v2/customModel/upload": {"POST": Operation("model_upload", 201, Operations.model_upload)},
    "/suno/v2/customModel/create": {"POST": Operation("model_create", 201, Operations.model_create)},
    "/suno/v2/playlist/create": {"POST": Operation("playlist", 201, Operations.playlist)},
    "/suno/v2/getVoxStem": {"POST": Operation("vox_stem", 201, Operations.vox_stem)},
    "/suno/v2/persona": {"POST": Operation("persona", 201, Operations.persona)},
    "/suno/v2/generate": {"POST": Operation("generate", 201, Operations.generate)},
    "/suno/v2/generate/schema": {"GET": Operation("schema", 200, Operations.schema)},
    "/suno/v2/voicePersona/init": {"POST": Operation("voice_init", 201, Operations.voice_init)},
    "/suno/v2/voicePersona/complete": {"POST": Operation("voice_complete", 201, Operations.voice_complete)},
    "/api-user/credits": {"GET": Operation("credits", 200, Operations.credits)},
}


def endpoint_of(path: str) -> str:
    """Return the endpoint's short name; `other` for a path that is none."""
    row = TABLE.get(path)
    return "other" if row is None else next(iter(row.values())).endpoint
