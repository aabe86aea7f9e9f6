"""The emulated service itself: its sessions, uploads and tasks, and what they cost.

What may live here: state and the rules that change it, with what the endpoints beside the uploads (`models`, `songs`,
`voice`) share. Pure but for the clock and the random source given to it; no HTTP. A task's course is fixed when it is
created and read off the clock later: nothing runs meanwhile. Where the queue has no order, it is fixed once a place
was free for the task, by whoever asks next; what comes out does not depend on who asks when.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import attrs

from mountsea_async.testing.accounts import Account, RefusedError, Session, Task, Work, clip_json
from mountsea_async.testing.models import Models
from mountsea_async.testing.songs import Songs
from mountsea_async.testing.voice import Voice

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from mountsea_async.testing.accounts import Ends, Kind
    from mountsea_async.testing.behaviour import Behaviour, Durations
    from mountsea_async.testing.faults import Outcome

__all__ = ["EPOCH", "Account", "RefusedError", "Service", "Session", "Task"]

# Wall time is told from here on, so that a seed reproduces every byte of an answer.
EPOCH = datetime(2026, 11, 1, 8, tzinfo=UTC)
_ENDLESS = 1_000_000
_LATE_AFTER = 1.0
# What isn't an upload has no queue; this share of its time it says that it waits.
_WAITING = 0.1
_SOURCE_GONE = (4001, "AUDIO_SOURCE_NOT_FOUND", "Audio source not found.")
_ACCOUNT_GONE = (5003, "ACCOUNT_UNAVAILABLE", "Account unavailable.")
_TOO_LONG = "Task timed out."


@attrs.define(eq=False)
class Service:
    """The service behind the HTTP door.

    Args:
        behaviour: how it behaves.
        rng: every random number of batch and single uploads comes from here; the rest has sources of its own, so
            that it can be used or not without changing them.
        clock: seconds, never going back.
    """

    behaviour: Behaviour
    rng: random.Random
    clock: Callable[[], float]
    key_revoked: bool = False
    tasks: dict[str, Task] = attrs.field(factory=dict, init=False)
    sessions: dict[str, Session] = attrs.field(factory=dict, init=False)
    works: list[Work] = attrs.field(factory=list, init=False)
    spent: int = attrs.field(default=0, init=False)
    charged: Counter[str] = attrs.field(factory=Counter, init=False)
    models: Models = attrs.field(init=False)
    songs: Songs = attrs.field(init=False)
    voice: Voice = attrs.field(init=False)
    _accounts: list[Account] = attrs.field(init=False)
    _started: float | None = attrs.field(default=None, init=False)
    _turns: threading.Lock = attrs.field(factory=threading.Lock, init=False)

    def __attrs_post_init__(self) -> None:
        self._accounts = self.new_accounts("account")
        self.models, self.songs, self.voice = Models(self), Songs(self), Voice(self)

    def new_accounts(self, name: str) -> list[Account]:
        """Return as many accounts as there are of each sort, named `name-1`, `name-2`…"""
        names = [f"{name}-{number + 1}" for number in range(self.behaviour.accounts)]
        seed = self.behaviour.seed
        return [Account(name, random.Random(f"{seed} {name}")) for name in names]  # noqa: S311 - as is `rng`

    def source(self, name: str) -> random.Random:
        """Return a random source under the seed, apart from every other."""
        return random.Random(f"{self.behaviour.seed} {name}")  # noqa: S311 - as is `rng`

    def wall(self, at: float | None = None) -> datetime:
        """Return the wall time of a moment on the clock; None: now."""
        now = self.clock()
        if self._started is None:
            self._started = now
        return EPOCH + timedelta(seconds=(now if at is None else at) - self._started)

    def prepare(self) -> str:
        """Bind a working account at random and return the new session's id."""
        return self.open_session("batch", self._accounts, self.rng)

    def open_session(self, kind: Kind, accounts: Sequence[Account], rng: random.Random) -> str:
        """Bind one of these accounts at random and return the new session's id."""
        account = self.draw_account(accounts, rng)
        session = Session(self.new_id(rng), account, self.clock(), kind)
        self.sessions[session.session_id] = session
        return session.session_id

    def session(self, session_id: str, kind: Kind | None = None) -> Session:
        """Return a session, of one kind or (None) of either; unknown: refused with 404."""
        session = self.sessions.get(session_id.lower())
        if session is None or kind not in (None, session.kind):
            raise RefusedError(404, "Task not found", "Not Found")
        return session

    def upload(
        self, audio_url: str, session_id: str | None, forced: Outcome | None = None, kind: Kind = "batch"
    ) -> Task:
        """Create and charge one upload task, on the account of a session of this kind or on one drawn for it."""
        session = None if session_id is None else self.session(session_id, kind)
        if session is not None:
            session.account.must_work()
        account = self.draw_account() if session is None else session.account
        self.spend(self.behaviour.price)
        self.charged[audio_url] += 1
        task = self._plan(audio_url, account, session, forced)
        self.tasks[task.task_id] = task
        if session is not None:
            session.add(task)
        return task

    def spend(self, price: int) -> None:
        """Charge credits; refused with 402 where there are not enough."""
        credit = self.behaviour.credits
        if credit is not None and self.spent + price > credit:
            raise RefusedError(402, "Insufficient credits", "Payment Required")
        self.spent += price

    def balance(self) -> int:
        """Return the credits that are left."""
        credit = self.behaviour.credits
        return (_ENDLESS if credit is None else credit) - self.spent

    def begin(
        self,
        account: Account,
        durations: Durations,
        rng: random.Random,
        failure: tuple[int, str, str],
        forced: Outcome | None,
    ) -> Work:
        """Fix the course of work that isn't an upload: it stands in nobody's queue."""
        task_id, seconds = self.new_id(rng), max(0.0, durations.draw(rng))
        if forced is not None and forced.duration is not None:
            seconds = forced.duration
        ends, now = "success" if forced is None else forced.ends, self.clock()
        starts = now + seconds * _WAITING
        work = Work(task_id=task_id, account=account, created=now, starts=starts, finishes=now + seconds, ends=ends)
        self._explain(work, failure, forced)
        self.works.append(work)
        return work

    def lose_account(self, session_id: str) -> None:
        """Break a session's account: it takes nothing any more, what it has not finished ends failed."""
        account, now = self.session(session_id).account, self.clock()
        self._take_turns(now)
        account.lost = True
        account.queue.clear()
        for work in (*self.tasks.values(), *self.works):
            if work.account is account and work.finishes > now:
                work.ends, work.finishes = "failed", now
                work.starts = min(work.starts, now)
                work.fail_code, work.fail_reason = self._failure(_ACCOUNT_GONE)
                if isinstance(work, Task):
                    work.lands = None

    def status(self, task_id: str) -> dict[str, Any]:
        """Return the JSON of a task or session; unknown: refused with 404."""
        self._take_turns(self.clock())
        task_id = task_id.lower()
        if (session := self.sessions.get(task_id)) is not None:
            return self._list(session) if session.kind == "batch" else self.models.status(session)
        if (task := self.tasks.get(task_id)) is not None:
            return self.shown(task, clip_json(task.clip_id))
        status = self.songs.status(task_id) or self.voice.status(task_id)
        if status is None:
            raise RefusedError(404, "Task not found", "Not Found")
        return status

    def shown(self, work: Work, result: object) -> dict[str, Any]:
        """Return the JSON of a task, with what came of it if it ended well."""
        return dict(self._fields(work, result, self.clock()))

    def owner(self, clip_id: str) -> Account | None:
        """Return the account of a clip that exists by now; None: there is no such clip."""
        for task in self.landed():
            if task.clip_id == clip_id:
                return task.account
        return self.songs.owner(clip_id)

    def landed(self) -> Iterator[Task]:
        """Yield the tasks whose clips exist by now."""
        now = self.clock()
        self._take_turns(now)
        return (task for task in tuple(self.tasks.values()) if task.exists(now))

    def word(self, status: str) -> str:
        """Return a status in the spelling that is set."""
        return status.upper() if self.behaviour.upper_case else status

    def iso(self, at: float) -> str:
        """Return a moment on the clock as the answers write it."""
        return self.wall(at).isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def draw_account(self, accounts: Sequence[Account] | None = None, rng: random.Random | None = None) -> Account:
        """Return one of the accounts (None: the ordinary ones) that work; refused with 503 where none does."""
        working = [account for account in (self._accounts if accounts is None else accounts) if not account.lost]
        if not working:
            raise RefusedError(503, "No available account", "Service Unavailable")
        return (rng or self.rng).choice(working)

    def new_id(self, rng: random.Random) -> str:
        """Draw an id."""
        return str(UUID(int=rng.getrandbits(128), version=4))

    def _list(self, session: Session) -> dict[str, Any]:
        return {
            "taskId": session.session_id,
            "status": self.word("success"),
            "createdAt": self.iso(session.created),
            self.behaviour.result_field: {"audioIds": session.audio_ids(self.clock())},
        }

    def _take_turns(self, now: float) -> None:
        """Let time pass in the queues that have no order; in the others it was told beforehand."""
        if self.behaviour.order == "fifo":
            return
        with self._turns:  # a ledger may be questioned from another thread
            for account in (*self._accounts, *self.models.accounts):
                for task in account.drawn(now):
                    if task.session_id is not None:
                        self.sessions[task.session_id].expect(task)

    def _fields(self, work: Work, result: object, now: float) -> Iterator[tuple[str, Any]]:
        yield "taskId", work.task_id
        if now < work.finishes:
            waiting = "queued" if self.behaviour.vocabulary == "current" else "ready"
            yield "status", self.word(waiting if now < work.starts else "running")
            yield "createdAt", self.iso(work.created)
            return
        yield "status", self.word({"blank": "success", "late": "timeout"}.get(work.ends, work.ends))
        yield "createdAt", self.iso(work.created)
        yield "finishAt", self.iso(work.finishes)
        if work.ends in ("success", "blank"):
            yield self.behaviour.result_field, result if work.ends == "success" else None
        if work.fail_code is not None:
            yield "failCode", work.fail_code
        if work.fail_reason is not None:
            yield "failReason", work.fail_reason

    def _plan(self, audio_url: str, account: Account, session: Session | None, forced: Outcome | None) -> Task:
        # The same draws in the same order whatever is forced: a rule more leaves other uploads as they were.
        listed = session is None or session.kind == "batch"
        rng = self.rng if listed else self.models.rng
        task_id, clip_id = self.new_id(rng), self.new_id(rng)
        roll, seconds = rng.random(), max(0.0, self.behaviour.durations.draw(rng))
        if forced is not None and forced.duration is not None:
            seconds = forced.duration
        now = self.clock()
        self._take_turns(now)
        waits = self.behaviour.order == "random" and account.full(now, self.behaviour.parallel)
        starts = now if waits else account.start(now, seconds, self.behaviour.parallel)
        task = Task(
            task_id=task_id,
            clip_id=clip_id,
            audio_url=audio_url,
            account=account,
            session_id=None if session is None else session.session_id,
            created=now,
            starts=starts,
            finishes=starts + seconds,
            ends=self._drawn_end(roll) if forced is None else forced.ends,
        )
        task.lands = self._landing(task, forced) if listed else self.models.landing(task)
        self._explain(task, _SOURCE_GONE, forced)
        if waits:
            account.hold(task)
        return task

    def _explain(self, work: Work, failure: tuple[int, str, str], forced: Outcome | None) -> None:
        """Say why work ends as it does."""
        if work.ends == "failed":
            work.fail_code, work.fail_reason = self._failure(failure)
        elif work.ends in ("timeout", "late"):
            work.fail_reason = _TOO_LONG
        if forced is not None and work.ends in ("failed", "timeout", "late"):
            work.fail_code = work.fail_code if forced.fail_code is None else forced.fail_code
            work.fail_reason = work.fail_reason if forced.fail_reason is None else forced.fail_reason

    def _drawn_end(self, roll: float) -> Ends:
        if roll < self.behaviour.fail_share:
            return "failed"
        return "timeout" if roll < self.behaviour.fail_share + self.behaviour.timeout_share else "success"

    def _landing(self, task: Task, forced: Outcome | None) -> float | None:
        """Return when a clip lands; a forced `failed` or `timeout` means what it says: no clip."""
        if task.ends in ("success", "blank"):
            return task.finishes + self.behaviour.append_lag
        usual = self.behaviour.late_after
        if forced is None:
            return None if usual is None else task.finishes + usual
        if task.ends != "late":
            return None
        own = forced.late_after if forced.late_after is not None else usual
        return task.finishes + (_LATE_AFTER if own is None else own)

    def _failure(self, kind: tuple[int, str, str]) -> tuple[int | str, str]:
        number, token, reason = kind
        return (number if self.behaviour.fail_code == "number" else token), reason
