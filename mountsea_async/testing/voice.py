"""Voice personas of the emulated service: a phrase is handed over, and must be spoken before it is too late.

What may live here: the rules of voicePersona/init and /complete.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from mountsea_async.testing.accounts import RefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mountsea_async.testing.accounts import Account, Work
    from mountsea_async.testing.faults import Outcome
    from mountsea_async.testing.service import Service

_NO_VOICE = (4301, "VP_NO_VOICE", "No voice found in the audio.")
_OTHER_VOICE = (4302, "VP_VERIFICATION_FAILED", "The recording does not match the phrase.")
_TOO_LATE = "VP_USER_TIMEOUT"
_USUAL_SECONDS = 30.0
_PHRASES = ("Seven green boats drift slowly home", "The tall clock sings at noon", "Warm rain falls on the old mill")


@attrs.define(eq=False)
class VoiceTask:
    """One voice persona on its way.

    Args:
        asking: until there is a phrase; `checking`: from the recording on, if it came in time.
        data: what an awaiting task shows.
        persona: what a finished one shows.
    """

    asking: Work
    data: dict[str, Any]
    checking: Work | None = None
    persona: dict[str, Any] = attrs.field(factory=dict)


class Voice:
    """The voice personas of one service.

    Args:
        service: what tells the time and knows the accounts.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._rng = service.source("voice")
        self._tasks: dict[str, VoiceTask] = {}

    def init(self, given: Mapping[str, Any], forced: Outcome | None) -> str:
        """Begin to listen to a voice; return the task's id."""
        service, rng = self._service, self._rng
        account = service.draw_account(rng=rng)
        work = service.begin(account, service.behaviour.generation, rng, _NO_VOICE, forced)
        begins = given.get("vocal_start_s", 0)
        data = {
            "phrase_text": rng.choice(_PHRASES),
            "phrase_id": service.new_id(rng),
            "vox_audio_id": service.new_id(rng),
            "voice_recording_id": service.new_id(rng),
            "vocal_start_s": begins,
            "vocal_end_s": given.get("vocal_end_s", begins + _USUAL_SECONDS),
        }
        self._tasks[work.task_id] = VoiceTask(work, data)
        return work.task_id

    def complete(self, given: Mapping[str, Any], forced: Outcome | None) -> str:
        """Take the recording of the phrase; return the task's id, which is the same as before."""
        service, task_id = self._service, str(given["taskId"]).lower()
        service.status(task_id)  # unknown altogether: 404
        task, now = self._tasks.get(task_id), service.clock()
        if task is None or not self._awaits(task, now):
            raise RefusedError(400, "The task is not awaiting a recording", "Bad Request")
        account = task.asking.account
        account.must_work()
        work = service.begin(account, service.behaviour.generation, self._rng, _OTHER_VOICE, forced)
        work.task_id, work.created, work.starts = task_id, task.asking.created, now
        task.persona = {"id": service.new_id(self._rng), "name": given["name"]}
        task.checking = work
        return task_id

    def status(self, task_id: str) -> dict[str, Any] | None:
        """Return the JSON of a voice persona's task; None: there is no such task."""
        service, now = self._service, self._service.clock()
        if (task := self._tasks.get(task_id)) is None:
            return None
        if task.checking is not None:
            return service.shown(task.checking, task.persona)
        shown = service.shown(task.asking, task.data)
        if not task.asking.done(now):
            return shown
        if self._awaits(task, now):
            del shown["finishAt"]
            return {**shown, "status": service.word("awaiting")}
        del shown[service.behaviour.result_field]
        finished = service.iso(task.asking.finishes + service.behaviour.phrase_seconds)
        failure = {"failCode": _TOO_LATE, "failReason": "No recording was handed in in time."}
        return {**shown, "status": service.word("failed"), "finishAt": finished, **failure}

    def owner(self, persona_id: str) -> Account | None:
        """Return the account of a persona that was made of a voice; None: there is no such persona."""
        tasks = tuple(self._tasks.values())
        return next((task.asking.account for task in tasks if task.persona.get("id") == persona_id), None)

    def _awaits(self, task: VoiceTask, now: float) -> bool:
        in_time = now < task.asking.finishes + self._service.behaviour.phrase_seconds
        return task.checking is None and task.asking.done(now) and in_time
