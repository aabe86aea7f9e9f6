"""Accounts of the emulated service, and what happens on them: sessions, uploads and other work.

What may live here: what belongs to an account and when it happens. Pure state; what is allowed, and what it costs, is
in `service`, `models`, `songs` and `voice`.
"""

from __future__ import annotations

import heapq
from math import inf
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import attrs

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

Ends: TypeAlias = Literal["success", "failed", "timeout", "blank", "late"]
Kind: TypeAlias = Literal["batch", "model"]


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

    def must_work(self) -> None:
        """Refuse with 503 where the account is lost."""
        if self.lost:
            raise RefusedError(503, "No available account", "Service Unavailable")

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
    """An upload session: its account, its tasks and the clips that landed, in order of landing.

    Args:
        kind: `batch` for the session that lists its clips, `model` for the one that a custom model is made in.
    """

    session_id: str
    account: Account
    created: float
    kind: Kind = "batch"
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


@attrs.define(eq=False, kw_only=True)
class Work:
    """Something that an account was given to do, and the whole course of it.

    Args:
        ends: what becomes of it; `blank` and `late` as in `Outcome`.
        starts, finishes: infinite while it waits in a queue without order.
    """

    task_id: str
    account: Account
    created: float
    starts: float
    finishes: float
    ends: Ends
    fail_code: int | str | None = None
    fail_reason: str | None = None

    def done(self, now: float) -> bool:
        """Tell whether it ended well by now, and says what came of it."""
        return self.ends == "success" and self.finishes <= now


@attrs.define(eq=False, kw_only=True)
class Task(Work):
    """One upload that was paid for.

    Args:
        session_id: None for a single upload.
        lands: when its clip is in `audioIds`, or where nothing lists it, when its task shows it; None: never.
    """

    clip_id: str
    audio_url: str
    session_id: str | None
    lands: float | None = None

    def exists(self, now: float) -> bool:
        """Tell whether its clip can be seen by a caller in any way by now."""
        if self.ends == "success":
            return self.finishes <= now
        return self.lands is not None and self.lands <= now


def clip_json(clip_id: str, **more: object) -> dict[str, Any]:
    """Return a clip as the service shows it."""
    return {
        "id": clip_id,
        "status": "complete",
        "audio_url": f"https://cdn1.suno.ai/{clip_id}.mp3",
        "image_url": f"https://cdn2.suno.ai/image_{clip_id}.jpeg",
        "has_vocal": True,
        "display_tags": "indie pop, electronic pop, male vocals",
        **more,
    }
