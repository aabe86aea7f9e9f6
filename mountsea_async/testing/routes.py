"""The emulator's HTTP door: read a request, note it, let the fault rules choose, have it done and delivered.

What may live here: the handler of every request, and the server that counts connections. What an operation
does is in `operations`, how an answer is spoilt in `delivery`.
"""

from __future__ import annotations

import asyncio
import hmac
import json
from typing import TYPE_CHECKING, Any

from aiohttp import web

from mountsea_async.testing import faults, validation
from mountsea_async.testing.ledger import Call
from mountsea_async.testing.operations import JSON, Asked, Operations, Reply, endpoint_of, phrase, reply_error
from mountsea_async.testing.service import RefusedError

if TYPE_CHECKING:
    from mountsea_async.testing.delivery import Delivery
    from mountsea_async.testing.ledger import Recorder
    from mountsea_async.testing.service import Service

_SECRET_HEADERS = ("authorization", "x-api-key")
_AUDIO_FIELD = {
    "item": "audioUrl",
    "upload": "audioUrl",
    "model_upload": "audioUrl",
    "generate": "audio_url",
    "voice_init": "voice_audio_url",
    "voice_complete": "verification_audio_url",
}


class CountingServer(web.Server):
    """A web server that tells how many connections are open and when one ends."""

    def __init__(self, door: Door, recorder: Recorder) -> None:
        super().__init__(door.handle, access_log=None)
        self._recorder = recorder
        self._open: dict[web.RequestHandler, tuple[asyncio.Transport, asyncio.Event]] = {}

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        """Count a connection in."""
        self._open[handler] = transport, asyncio.Event()
        self._recorder.connected()
        super().connection_made(handler, transport)

    def connection_lost(self, handler: web.RequestHandler, exc: BaseException | None = None) -> None:
        """Count a connection out."""
        if (entry := self._open.pop(handler, None)) is not None:
            entry[1].set()
            self._recorder.disconnected()
        super().connection_lost(handler, exc)

    def gone(self, handler: web.RequestHandler) -> asyncio.Event:
        """Return an event that is set once this connection has ended, or the emulator stops."""
        if (entry := self._open.get(handler)) is not None:
            return entry[1]
        ended = asyncio.Event()
        ended.set()
        return ended

    def release(self) -> None:
        """Tell whoever waits for a caller to leave that the emulator stops."""
        for _, gone in self._open.values():
            gone.set()

    async def drop_all(self) -> None:
        """Break the connections that are still open."""
        for transport, _ in tuple(self._open.values()):
            transport.abort()
        # A transport reports its end on a later turn of the loop, and does so twice over when it was closing.
        for _ in range(3):
            await asyncio.sleep(0)


class Door:
    """Handles every request of one emulator."""

    def __init__(
        self, service: Service, rules: faults.RuleBook, recorder: Recorder, delivery: Delivery, api_key: str
    ) -> None:
        self._service, self._rules, self._recorder, self._delivery = service, rules, recorder, delivery
        self._operations = Operations(service)
        self._api_key = api_key.encode()
        self.server = CountingServer(self, recorder)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Serve one request."""
        try:
            body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            response = self._delivery.whole(reply_error(413, "request entity too large", "Payload Too Large"))
            response.force_close()
            return response
        except (ConnectionError, web.RequestPayloadError):
            # The caller left in the middle of its request, or sent a body that cannot be decoded.
            response = self._delivery.whole(reply_error(400, "The body cannot be read", "Bad Request"))
            response.force_close()
            return response
        asked = self._understand(request, body)
        call = self._call(request, asked)
        number = self._recorder.arrived(call)
        sent = _Sent()
        try:
            return await self._serve(request, asked, call, sent)
        finally:
            self._recorder.left(number, call, sent.status, sent.task_id)

    async def _serve(self, request: web.BaseRequest, asked: Asked, call: Call, sent: _Sent) -> web.StreamResponse:
        effect = self._rules.choose(call.endpoint, call.audio_url)
        match effect:
            case faults.LoseAccount():
                self._lose_account(asked)
            case faults.RevokeKey():
                self._service.key_revoked = True
            case faults.Hang(after_work=False):
                if not await self._hang(request, effect):
                    return self._delivery.cut(request, graceful=False)
            case faults.Cut(after_work=False):
                return self._delivery.cut(request, graceful=effect.graceful)
        if isinstance(effect, faults.Answer) and not effect.after_work:
            reply = _instead(effect)
        else:
            reply = self._operations.answer(asked, effect if isinstance(effect, faults.Outcome) else None)
            sent.task_id = reply.task_id
        await self._delivery.pause(self._service.behaviour.latency)
        return await self._deliver(request, reply, effect, sent)

    async def _deliver(
        self, request: web.BaseRequest, reply: Reply, effect: faults.Effect | None, sent: _Sent
    ) -> web.StreamResponse:
        match effect:
            case faults.Cut():
                return self._delivery.cut(request, graceful=effect.graceful)
            case faults.Hang(after_work=True):
                if not await self._hang(request, effect):
                    return self._delivery.cut(request, graceful=False)
            case faults.Answer(after_work=True):
                reply = _instead(effect)
            case faults.Reshape():
                reply = _reshaped(reply, effect)
        sent.status = reply.status
        match effect:
            case faults.Truncate():
                return self._delivery.truncated(request, reply, effect.keep)
            case faults.Drip():
                gone = self.server.gone(request.protocol)
                return await self._delivery.dripped(request, reply, effect.seconds_per_byte, gone)
        return self._delivery.whole(reply)

    async def _hang(self, request: web.BaseRequest, effect: faults.Hang) -> bool:
        """Keep silent as the effect says; tell whether to go on afterwards."""
        if effect.seconds is None:
            await self._delivery.pause(None, self.server.gone(request.protocol))
            return False
        await self._delivery.pause(effect.seconds)
        return not self._delivery.closed

    def _lose_account(self, asked: Asked) -> None:
        session_id = validation.lenient(asked.body).get("sessionId")
        if isinstance(session_id, str):
            try:
                self._service.lose_account(session_id)
            except RefusedError:
                return  # an unknown session has no account; its own answer says so

    def _understand(self, request: web.BaseRequest, body: bytes) -> Asked:
        # The balance has a header of its own for the key.
        header, scheme = ("X-API-Key", b"") if endpoint_of(request.path) == "credits" else ("Authorization", b"Bearer ")
        given = request.headers.get(header, "").encode("utf-8", "surrogateescape")
        return Asked(
            method=request.method,
            path=request.path,
            authorized=hmac.compare_digest(given, scheme + self._api_key),
            body=body,
            content_type=request.content_type.lower(),
            task_ids=tuple(request.query.getall("taskId", ())),
            kinds=tuple(request.query.getall("task", ())),
        )

    def _call(self, request: web.BaseRequest, asked: Asked) -> Call:
        endpoint = endpoint_of(asked.path)
        task_id = asked.task_ids[0] if endpoint == "status" and asked.task_ids else None
        audio_url: Any = None
        if (named := _AUDIO_FIELD.get(endpoint)) is not None:
            audio_url = validation.lenient(asked.body).get(named)
        elif task_id is not None and (task := self._service.tasks.get(task_id.lower())) is not None:
            audio_url = task.audio_url
        return Call(
            at=self._service.clock(),
            endpoint=endpoint,
            method=asked.method,
            path=asked.path,
            query=dict(request.query),
            headers={
                name.lower(): text for name, text in request.headers.items() if name.lower() not in _SECRET_HEADERS
            },
            authorized=asked.authorized,
            body=asked.body,
            audio_url=audio_url if isinstance(audio_url, str) else None,
            task_id=task_id,
        )


class _Sent:
    """What became of one request, filled in on the way."""

    def __init__(self) -> None:
        self.status: int | None = None
        self.task_id: str | None = None


def _instead(answer: faults.Answer) -> Reply:
    if answer.body is None:
        usual = reply_error(answer.status, phrase(answer.status))
        return Reply(answer.status, usual.body, {**usual.headers, **answer.headers})
    body = answer.body.encode() if isinstance(answer.body, str) else answer.body
    typed = any(name.lower() == "content-type" for name in answer.headers)
    return Reply(answer.status, body, answer.headers if typed else {"Content-Type": JSON, **answer.headers})


def _reshaped(reply: Reply, effect: faults.Reshape) -> Reply:
    if not 200 <= reply.status < 300:
        return reply
    changed = validation.lenient(reply.body)
    for name, value in effect.fields.items():
        changed[name] = value
        if value is None:
            del changed[name]
    return Reply(reply.status, json.dumps(changed, separators=(",", ":")).encode(), reply.headers, reply.task_id)
