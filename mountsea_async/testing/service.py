"""The emulated service itself: accounts, sessions, tasks and what they cost.

What may live here: state and the rules that change it. Pure but for the clock and the random source given to
it; no HTTP. A task's course is fixed when it is created and read off the clock later: nothing runs meanwhile. Where
the queue has no order, it is fixed once a place was free for the task, by whoever asks next; what comes out does not
depend on who asks when.
"""

from __future__ import annotations

import heapq
import random
import threading
from collections import Counter
from datetime import UTC, datetime, timedelta
from math import inf
from typing import TYPE_CHECKING, Any, Literal, TypeAlias
from uuid import UUID

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mountsea_async.testing.behaviour import Behaviour
    from mountsea_async.testing.faults import Outcome

Ends: TypeAlias = Literal["success", "failed", "timeout", "blank", "late"]

# Wall time is told from here on, so that a seed reproduces every byte of an answer.
EPOCH = datetime(2026, 11, 1, 8, tzinfo=UTC)
_LATE_AFTER = 1.0
_SOURCE_GONE = (4001, "AUDIO_SOURCE_NOT_FOUND", "Audio source not found.")
_ACCOUNT_GONE = (5003, "ACCOUNT_UNAVAILABLE", "Account unavailable.")
_TOO_LONG = "Task timed out."


class RefusedError(Exception):
    """The service declines a request.

    Args:
        status: the HTTP status.
        message: the framework's `message`.
        error: the framework's `error`; empty: left out.
    """

    def __init__(self, status: int, message: str, error: str = "") -> None:
        super().__init__(message)
        self.status, self.message, self.error = status, message, error


@attrs.define(eq=False)
class Account:
    """One upstream account; `slots` holds when each of its places is free again.

    Args:
        chance: draws who is next, apart from everything else: under a seed only the order differs.
        queue: where the order is drawn: each task that waits, its seconds of work, and those until its clip lands.
    """

    name: str
    chance: random.Random
    lost: bool = False
    slots: list[float] = attrs.field(factory=list)
    queue: list[tuple[Task, float, float | None]] = attrs.field(factory=list)

    def start(self, now: float, seconds: float, parallel: int | None) -> float:
        """Reserve the next free place, first come first served; return when work starts."""
        if parallel is None:
            return now
        begins = now if len(self.slots) < parallel else max(now, heapq.heappop(self.slots))
        heapq.heappush(self.slots, begins + seconds)
        return begins

    def full(self, now: float, parallel: int | None) -> bool:
        """Tell whether no place is free at this moment."""
        return parallel is not None and len(self.slots) >= parallel and self.slots[0] > now

    def hold(self, task: Task) -> None:
        """Let a task, planned as if it started at once, wait until it is drawn."""
        landing = None if task.lands is None else task.lands - task.starts
        self.queue.append((task, task.finishes - task.starts, landing))
        task.starts = task.finishes = inf
        task.lands = None if landing is None else inf

    def drawn(self, now: float) -> Iterator[Task]:
        """Give each place that became free by now to one of those that wait; yield those whose turn came."""
        while self.queue and self.slots[0] <= now:
            task, seconds, landing = self.queue.pop(self.chance.randrange(len(self.queue)))
            task.starts = heapq.heappop(self.slots)
            task.finishes = task.starts + seconds
            task.lands = None if landing is None else task.starts + landing
            heapq.heappush(self.slots, task.finishes)
            yield task


@attrs.define(eq=False)
class Session:
    """A batch upload session: its account, its tasks and the clips that landed, in order of landing."""

    session_id: str
    account: Account
    created: float
    tasks: list[Task] = attrs.field(factory=list)
    landed: list[str] = attrs.field(factory=list)
    _landing: list[tuple[float, int, Task]] = attrs.field(factory=list)
    _expected: int = 0

    def add(self, task: Task) -> None:
        """Take a task in; its clip will land when the task says so."""
        self.tasks.append(task)
        self.expect(task)

    def expect(self, task: Task) -> None:
        """Note when the clip of a task lands, as soon as that is known."""
        if task.lands is not None and task.lands < inf:
            self._expected += 1
            heapq.heappush(self._landing, (task.lands, self._expected, task))

    def audio_ids(self, now: float) -> list[str]:
        """Return the ids of the clips that landed by now."""
        while self._landing and self._landing[0][0] <= now:
            _, _, task = heapq.heappop(self._landing)
            if task.lands is not None:
                self.landed.append(task.clip_id)
        return list(self.landed)


@attrs.define(eq=False)
class Task:
    """One upload that was paid for, and the whole course of it.

    Args:
        ends: what becomes of it; `blank` and `late` as in `Outcome`.
        starts, finishes: infinite while it waits in a queue without order.
        lands: when its clip is in `audioIds`; None: never.
    """

    task_id: str
    clip_id: str
    audio_url: str
    account: Account
    session_id: str | None
    created: float
    starts: float
    finishes: float
    ends: Ends
    lands: float | None
    fail_code: int | str | None = None
    fail_reason: str | None = None

    def exists(self, now: float) -> bool:
        """Tell whether its clip can be seen by a caller in any way by now."""
        if self.ends == "success":
            return self.finishes <= now
        return self.lands is not None and self.lands <= now


@attrs.define(eq=False)
class Service:
    """The service behind the HTTP door.

    Args:
        behaviour: how it behaves.
        rng: every random number comes from here.
        clock: seconds, never going back.
    """

    behaviour: Behaviour
    rng: random.Random
    clock: Callable[[], float]
    key_revoked: bool = False
    tasks: dict[str, Task] = attrs.field(factory=dict, init=False)
    sessions: dict[str, Session] = attrs.field(factory=dict, init=False)
    spent: int = attrs.field(default=0, init=False)
    charged: Counter[str] = attrs.field(factory=Counter, init=False)
    _accounts: list[Account] = attrs.field(init=False)
    _started: float | None = attrs.field(default=None, init=False)
    _turns: threading.Lock = attrs.field(factory=threading.Lock, init=False)

    def __attrs_post_init__(self) -> None:
        names = [f"account-{number + 1}" for number in range(self.behaviour.accounts)]
        seed = self.behaviour.seed
        self._accounts = [Account(name, random.Random(f"{seed} {name}")) for name in names]  # noqa: S311 - as is `rng`

    def wall(self, at: float | None = None) -> datetime:
        """Return the wall time of a moment on the clock; None: now."""
        now = self.clock()
        if self._started is None:
            self._started = now
        return EPOCH + timedelta(seconds=(now if at is None else at) - self._started)

    def prepare(self) -> str:
        """Bind a working account at random and return the new session's id."""
        account = self._draw_account()
        session = Session(self._new_id(), account, self.clock())
        self.sessions[session.session_id] = session
        return session.session_id

    def session(self, session_id: str) -> Session:
        """Return a session; unknown: refused with 404."""
        if (session := self.sessions.get(session_id.lower())) is None:
            raise RefusedError(404, "Task not found", "Not Found")
        return session

    def upload(self, audio_url: str, session_id: str | None, forced: Outcome | None = None) -> Task:
        """Create and charge one upload task, on the session's account or on one drawn for it."""
        session = None if session_id is None else self.session(session_id)
        if session is not None and session.account.lost:
            raise RefusedError(503, "No available account", "Service Unavailable")
        account = self._draw_account() if session is None else session.account
        price, credit = self.behaviour.price, self.behaviour.credits
        if credit is not None and self.spent + price > credit:
            raise RefusedError(402, "Insufficient credits", "Payment Required")
        self.spent += price
        self.charged[audio_url] += 1
        task = self._plan(audio_url, account, None if session is None else session.session_id, forced)
        self.tasks[task.task_id] = task
        if session is not None:
            session.add(task)
        return task

    def lose_account(self, session_id: str) -> None:
        """Break a session's account: it takes nothing any more, its unfinished uploads end failed."""
        account, now = self.session(session_id).account, self.clock()
        self._take_turns(now)
        account.lost = True
        account.queue.clear()
        for task in tuple(self.tasks.values()):
            if task.account is account and task.finishes > now:
                task.ends, task.finishes, task.lands = "failed", now, None
                task.starts = min(task.starts, now)
                task.fail_code, task.fail_reason = self._failure(_ACCOUNT_GONE)

    def status(self, task_id: str) -> dict[str, Any]:
        """Return the JSON of a task or session; unknown: refused with 404."""
        self._take_turns(self.clock())
        if (session := self.sessions.get(task_id.lower())) is not None:
            return {
                "taskId": session.session_id,
                "status": self._word("success"),
                "createdAt": self._iso(session.created),
                self.behaviour.result_field: {"audioIds": session.audio_ids(self.clock())},
            }
        if (task := self.tasks.get(task_id.lower())) is None:
            raise RefusedError(404, "Task not found", "Not Found")
        return dict(self._fields(task, self.clock()))

    def landed(self) -> Iterator[Task]:
        """Yield the tasks whose clips exist by now."""
        now = self.clock()
        self._take_turns(now)
        return (task for task in tuple(self.tasks.values()) if task.exists(now))

    def _take_turns(self, now: float) -> None:
        """Let time pass in the queues that have no order; in the others it was told beforehand."""
        if self.behaviour.order == "fifo":
            return
        with self._turns:  # a ledger may be questioned from another thread
            for account in self._accounts:
                for task in account.drawn(now):
                    if task.session_id is not None:
                        self.sessions[task.session_id].expect(task)

    def _fields(self, task: Task, now: float) -> Iterator[tuple[str, Any]]:
        yield "taskId", task.task_id
        if now < task.finishes:
            waiting = "queued" if self.behaviour.vocabulary == "current" else "ready"
            yield "status", self._word(waiting if now < task.starts else "running")
            yield "createdAt", self._iso(task.created)
            return
        yield "status", self._word({"blank": "success", "late": "timeout"}.get(task.ends, task.ends))
        yield "createdAt", self._iso(task.created)
        yield "finishAt", self._iso(task.finishes)
        if task.ends in ("success", "blank"):
            yield self.behaviour.result_field, _clip(task) if task.ends == "success" else None
        if task.fail_code is not None:
            yield "failCode", task.fail_code
        if task.fail_reason is not None:
            yield "failReason", task.fail_reason

    def _plan(self, audio_url: str, account: Account, session_id: str | None, forced: Outcome | None) -> Task:
        # The same draws in the same order whatever is forced: a rule more leaves other uploads as they were.
        task_id, clip_id = self._new_id(), self._new_id()
        roll, seconds = self.rng.random(), max(0.0, self.behaviour.durations.draw(self.rng))
        ends = self._drawn_end(roll) if forced is None else forced.ends
        if forced is not None and forced.duration is not None:
            seconds = forced.duration
        now = self.clock()
        self._take_turns(now)
        waits = self.behaviour.order == "random" and account.full(now, self.behaviour.parallel)
        starts = now if waits else account.start(now, seconds, self.behaviour.parallel)
        task = Task(task_id, clip_id, audio_url, account, session_id, now, starts, starts + seconds, ends, lands=None)
        task.lands = self._landing(task, forced)
        if ends == "failed":
            task.fail_code, task.fail_reason = self._failure(_SOURCE_GONE)
        elif ends in ("timeout", "late"):
            task.fail_reason = _TOO_LONG
        if forced is not None and ends in ("failed", "timeout", "late"):
            task.fail_code = task.fail_code if forced.fail_code is None else forced.fail_code
            task.fail_reason = task.fail_reason if forced.fail_reason is None else forced.fail_reason
        if waits:
            account.hold(task)
        return task

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

    def _draw_account(self) -> Account:
        working = [account for account in self._accounts if not account.lost]
        if not working:
            raise RefusedError(503, "No available account", "Service Unavailable")
        return self.rng.choice(working)

    def _new_id(self) -> str:
        return str(UUID(int=self.rng.getrandbits(128), version=4))

    def _word(self, status: str) -> str:
        return status.upper() if self.behaviour.upper_case else status

    def _iso(self, at: float) -> str:
        return self.wall(at).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _clip(task: Task) -> dict[str, Any]:
    return {
        "id": task.clip_id,
        "status": "complete",
        "audio_url": f"https://cdn1.suno.ai/{task.clip_id}.mp3",
        "image_url": f"https://cdn2.suno.ai/image_{task.clip_id}.jpeg",
        "has_vocal": True,
        "display_tags": "indie pop, electronic pop, male vocals",
    }
