"""Custom models of the emulated service: sessions on accounts of their own, and what `create` makes of their clips.

What may live here: the rules of customModel/prepare, /upload and /create. The uploads themselves are `service`'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from mountsea_async.testing.accounts import RefusedError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mountsea_async.testing.accounts import Account, Session, Task, Work
    from mountsea_async.testing.faults import Outcome
    from mountsea_async.testing.service import Service

PREFIX = "chirp-custom:"
_FAILURE = (4101, "TRAINING_FAILED", "Training failed.")


@attrs.frozen(eq=False)
class CreateTask:
    """One training that was paid for, at a moment of the clock; its task is the session's."""

    at: float
    work: Work
    name: str
    clip_ids: tuple[str, ...]
    model: str


class Models:
    """The custom models of one service.

    Args:
        service: what the uploads go through and the credits come from.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self.rng = service.source("models")
        self.accounts = service.new_accounts("model-account")
        self.created: list[CreateTask] = []

    def prepare(self) -> str:
        """Bind a working account of the dedicated ones and return the new session's id."""
        return self._service.open_session("model", self.accounts, self.rng)

    def create(self, session_id: str, clip_ids: Sequence[str], name: str, forced: Outcome | None) -> CreateTask:
        """Train on clips of the session, and charge it, as often as it is asked for."""
        service = self._service
        session = service.session(session_id, "model")
        uploaded = {task.clip_id for task in service.landed() if task.session_id == session.session_id}
        if not uploaded.issuperset(clip_ids):
            raise RefusedError(400, "clipIds must be clips that were uploaded in this session", "Bad Request")
        session.account.must_work()
        service.spend(service.behaviour.train_price)
        work = service.begin(session.account, service.behaviour.training, self.rng, _FAILURE, forced)
        at, work.task_id, work.created = work.created, session.session_id, session.created
        training = CreateTask(at, work, name, tuple(clip_ids), PREFIX + service.new_id(self.rng))
        self.created.append(training)
        return training

    def status(self, session: Session) -> dict[str, Any]:
        """Return the JSON of a session: ready until a training was begun, then that of the newest one."""
        service = self._service
        for training in reversed(self.created):
            if training.work.task_id == session.session_id:
                return service.shown(training.work, {"model": training.model, "name": training.name})
        created = service.iso(session.created)
        return {"taskId": session.session_id, "status": service.word("ready"), "createdAt": created}

    def owner(self, model: str) -> Account | None:
        """Return the account of a model that exists by now; None: there is no such model."""
        now = self._service.clock()
        made = (training for training in self.created if training.model == model.lower())
        return next((training.work.account for training in made if training.work.done(now)), None)

    @staticmethod
    def landing(task: Task) -> float | None:
        """Return when the clip of an upload can be learned: nothing lists it, so from its own task or never."""
        return task.finishes if task.ends == "success" else None
