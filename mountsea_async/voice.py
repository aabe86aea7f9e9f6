"""A voice persona: a recording is handed in, a phrase comes back, and is spoken before it is too late.

Does I/O through the caller it is given.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, Literal, Self, TypeAlias, get_args

from . import redact
from .config import ClientConfig
from .errors import (
    APIError,
    BadRequestError,
    ClientStateError,
    InputError,
    MissingPersonaError,
    MountseaError,
    TransportError,
    UnknownOutcomeError,
)
from .models import Persona, Task, VoicePhrase
from .parts import check_bounds, check_flag, check_image, check_text, given
from .phrase import Spoken, Turn, check_spoken, listen
from .upload.fields import check_name
from .upload.inputs import check_audio_url
from .upload.tasks import TaskHandle
from .wire import answers, decode, endpoints
from .wire.caller import Caller, Unwatched
from .wire.endpoints import Request

__all__ = ["Language", "VoicePersona", "check_voice"]

Language: TypeAlias = Literal["zh", "en", "ja", "ko", "es", "fr", "de", "pt", "ru", "hi"]


def check_voice(
    voice_audio_url: Any, language: Any, vocal_start_s: Any, vocal_end_s: Any, *, allow_private: bool
) -> dict[str, Any]:
    """The fields of a voice persona's beginning.

    Raises:
        InputError: One of them can't be sent.
    """
    if language not in get_args(Language):
        # It may be anything, even the URL in the wrong place, whose query may be a signature.
        said = repr(redact.shown_text(language)[:40]) if isinstance(language, str) else type(language).__name__
        raise InputError(f"language={said}: give one of {', '.join(get_args(Language))}")
    if vocal_start_s is None:
        raise InputError("vocal_start_s=None: give seconds, a number from 0")
    check_bounds(vocal_start_s, vocal_end_s, ("vocal_start_s", "vocal_end_s"))
    fields = {
        "voice_audio_url": _audio_url(voice_audio_url, "voice_audio_url", allow_private=allow_private),
        "language": language,
        "vocal_start_s": vocal_start_s,
        "vocal_end_s": vocal_end_s,
    }
    return given(fields)


def _audio_url(url: Any, field: str, *, allow_private: bool) -> str:
    if problem := check_audio_url(url, allow_private=allow_private):
        raise InputError(f"{field}: {problem}")
    return str(url)


class VoicePersona:
    """A voice persona on its way, made by `MountseaClient.voice_persona` and entered once with `async with`.

    Entering it hands in the recording and waits for the phrase. `complete` hands in the spoken phrase. Left without
    that, the service lets its task run out by itself.

    Attributes:
        phrase: What is to be spoken.
        task_id: The service's task of it, the same from the beginning to the persona: `client.task(task_id)`.
    """

    def __init__(
        self,
        caller: Callable[[], Caller],
        config: ClientConfig,
        rng: random.Random,
        *,
        fields: dict[str, Any],
        allow_private: bool,
    ) -> None:
        self._caller = caller
        self._policy = config.poll
        self._rng = rng
        self._fields = fields
        self._allow_private = allow_private
        self._entered = False
        self._task_id: str | None = None
        self._turn: Turn | None = None

    def __repr__(self) -> str:
        return f"VoicePersona(task_id={self._task_id!r})"

    async def __aenter__(self) -> Self:
        """Hands in the recording and waits for the phrase. Its cost isn't told, so it is sent once.

        Raises:
            ClientStateError: It was entered before, or the client isn't open.
            APIError: The service turned it away.
            NotSentError: The service could not be reached.
            UnknownOutcomeError: It may or may not have been accepted.
            TaskFailedError: The service found no voice, or failed otherwise.
            StalledError: No phrase came for so long that we stopped asking.
            TaskLostError: The service no longer knows the task.
        """
        if self._entered:
            raise ClientStateError("this voice persona was begun already: make another with client.voice_persona(...)")
        caller = self._caller()
        self._entered = True
        self._task_id = await caller.submit(Unwatched(endpoints.begin_voice(self._fields)), decode.task_id)
        self._turn = await listen(caller, self._task_id, self._policy)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is left to be done: what wasn't completed runs out by itself."""

    @property
    def task_id(self) -> str:
        """The service's task of it.

        Raises:
            ClientStateError: It wasn't accepted yet.
        """
        if self._task_id is None:
            raise ClientStateError(_OUTSIDE)
        return self._task_id

    @property
    def phrase(self) -> VoicePhrase:
        """What is to be spoken.

        Raises:
            ClientStateError: It isn't there yet.
        """
        return self._spoken_to().phrase

    @property
    def seconds_left(self) -> float:
        """Seconds that surely are left to `complete`; 0 when they are over. There may be about one more.

        Raises:
            ClientStateError: There is no phrase yet.
        """
        return max(0.0, self._spoken_to().surely_until - asyncio.get_running_loop().time())

    def _spoken_to(self) -> Turn:
        if self._turn is None:
            raise ClientStateError(_OUTSIDE)
        return self._turn

    async def complete(
        self,
        verification_audio_url: str,
        name: str,
        *,
        description: str | None = None,
        is_public: bool = False,
        image_s3_id: str | None = None,
    ) -> Persona:
        """Hands in the spoken phrase and waits for the persona. It is sent once: if its answer is lost, the task tells.

        Follows docs.mountsea.ai/api-reference/suno, voicePersona/complete.

        Args:
            verification_audio_url: The phrase, spoken: a public http or https URL.
            name: The persona's name, of 1 to 100 characters.
            description: What it is like.
            is_public: Whether others may see it.
            image_s3_id: Its picture, a base64 data URI of at most 1,000,000 characters.

        Raises:
            InputError: The URL, the name or another field can't be sent; nothing was.
            PhraseExpiredError: The 30 seconds were over: begin again, with a new `voice_persona`.
            ClientStateError: There is no phrase yet, or it was completed already.
            TaskFailedError: The service didn't take the recording for the phrase, or failed otherwise.
            TaskPendingError: We stopped asking before it had ended; carries the `task_id`.
            MissingPersonaError: It succeeded without naming the persona.
            APIError: The service turned it away; within the 30 seconds it may be tried again.
            NotSentError: The service could not be reached.
        """
        turn = self._spoken_to()
        fields = {
            "taskId": turn.task_id,
            "verification_audio_url": _audio_url(
                verification_audio_url, "verification_audio_url", allow_private=self._allow_private
            ),
            "name": check_name(name),
            "description": check_text(description, "description"),
            "is_public": check_flag(is_public, "is_public"),
            "image_s3_id": check_image(image_s3_id),
        }
        turn.check()  # and again before each attempt: a pause of all requests may be longer than what is left
        lost = await self._hand_in(turn, endpoints.complete_voice(given(fields)))
        task = await TaskHandle(turn.task_id, self._caller, self._policy, self._rng, holds=_persona_of).wait()
        check_spoken(task, lost)
        if (persona := _persona_of(task)) is None:
            raise MissingPersonaError(
                f"task {task.task_id} succeeded, but names no persona that can be read: see the raw of its status",
                task_id=task.task_id,
            )
        return persona

    async def _hand_in(self, turn: Turn, request: Request) -> UnknownOutcomeError | None:
        """Sends the spoken phrase. Returns why it isn't known whether it has arrived, where that is so."""
        try:
            await self._caller().submit(Spoken(request, turn), decode.task_id)
        except UnknownOutcomeError as lost:
            return lost
        except (APIError, TransportError) as error:
            turn.taken = False
            if isinstance(error, BadRequestError):
                await self._explain(turn.task_id, error)
            raise error.about(turn.task_id) from None
        except MountseaError as error:
            raise error.about(turn.task_id) from None
        return None

    async def _explain(self, task_id: str, refusal: BadRequestError) -> None:
        """A refusal may mean that it was too late; its words aren't documented, so the task is asked."""
        try:
            task = await self._caller().task(task_id)
        except MountseaError:
            return
        if task.ended:
            check_spoken(task, refusal)


_OUTSIDE: Final = "this voice persona has no phrase yet: use it inside `async with client.voice_persona(...) as voice:`"


def _persona_of(task: Task) -> Persona | None:
    return answers.persona_of(task.raw)
