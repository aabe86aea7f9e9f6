"""What the emulated service was asked, what it created and what it charged, for a test to ask afterwards.

What may live here: the recorder that the HTTP side writes to, and the read-only `Ledger` that a test asks. It
decides nothing. Questions may come from another thread, so a container is copied in one step and then walked.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mountsea_async.testing.accounts import Ends
    from mountsea_async.testing.service import Service


@attrs.frozen(kw_only=True)
class Call:
    """One request and what became of it.

    Args:
        at: the loop's time on arrival, seconds.
        endpoint: `prepare`, `item`, `upload`, `status`, `model_prepare`, `model_upload`, `model_create`, `playlist`,
            `vox_stem`, `persona`, `generate`, `schema`, `voice_init`, `voice_complete`, `credits`, or `other` for an
            unknown path.
        query: the query string's fields, the last value of each.
        headers: names in lower case, without `authorization` and `x-api-key`.
        authorized: whether the request carried the emulator's key.
        status: the status answered; None: no answer, or none yet.
        audio_url: of the body, or of the upload that was polled.
        task_id: the task or session that was created or polled.
    """

    at: float
    endpoint: str
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    authorized: bool
    body: bytes
    status: int | None = None
    audio_url: str | None = None
    task_id: str | None = None


@attrs.frozen(kw_only=True)
class Charge:
    """One upload that was paid for.

    Args:
        at: the loop's time of the charge, seconds.
        session_id: None for a single upload.
        clip_id: the clip that it made or will make; None: none, or none whose id can be learned.
        ends: `success`, `failed`, `timeout`, `blank` (success without data) or `late` (timeout, then a clip).
    """

    at: float
    account: str
    session_id: str | None
    task_id: str
    audio_url: str
    clip_id: str | None
    ends: Ends


@attrs.frozen(kw_only=True)
class Training:
    """One custom model that was paid for.

    Args:
        at: the loop's time of the charge, seconds.
        model: the id of the model that it made or will make; None: none.
        ends: `success`, `failed`, `timeout` (`late` is the same here) or `blank` (success without data).
    """

    at: float
    session_id: str
    name: str
    clip_ids: tuple[str, ...]
    model: str | None
    ends: Ends


@attrs.frozen(kw_only=True)
class Generation:
    """One generation that was paid for.

    Args:
        at: the loop's time of the charge, seconds.
        task: the kind of generation, such as `inspiration`.
        model: as it was asked for; None: it was not.
        clip_ids: the clips that it made or will make, none unless it succeeds.
        ends: as in `Training`.
    """

    at: float
    task: str
    model: str | None
    account: str
    task_id: str
    clip_ids: tuple[str, ...]
    ends: Ends


class Recorder:
    """The ledger's memory, written by the HTTP side."""

    def __init__(self, *, keep_calls: bool) -> None:
        self.keep_calls = keep_calls
        self.calls: list[Call] = []
        self.requests: Counter[str] = Counter()
        self.answers: Counter[tuple[str, int | None]] = Counter()
        self.posts: Counter[str] = Counter()
        self.polls: Counter[str] = Counter()
        self.open_connections = self.peak_connections = 0
        self.in_flight = self.peak_in_flight = 0

    def arrived(self, call: Call) -> int:
        """Note a request; return its number for `left`."""
        self.requests[call.endpoint] += 1
        self.in_flight += 1
        self.peak_in_flight = max(self.peak_in_flight, self.in_flight)
        if call.endpoint in ("item", "upload", "model_upload") and call.method == "POST" and call.audio_url is not None:
            self.posts[call.audio_url] += 1
        if call.endpoint == "status" and call.task_id is not None:
            self.polls[call.task_id] += 1
        if self.keep_calls:
            self.calls.append(call)
        return len(self.calls) - 1

    def left(self, number: int, call: Call, status: int | None, task_id: str | None) -> None:
        """Note what was answered and which task it was about."""
        self.in_flight -= 1
        self.answers[call.endpoint, status] += 1
        if self.keep_calls:
            self.calls[number] = attrs.evolve(call, status=status, task_id=task_id or call.task_id)

    def connected(self) -> None:
        """Note a new connection."""
        self.open_connections += 1
        self.peak_connections = max(self.peak_connections, self.open_connections)

    def disconnected(self) -> None:
        """Note the end of a connection."""
        self.open_connections -= 1


class Ledger:
    """What was asked, created and charged. Read-only; every answer is as of now."""

    def __init__(self, recorder: Recorder, service: Service) -> None:
        self._recorder, self._service = recorder, service

    @property
    def calls(self) -> tuple[Call, ...]:
        """Every request in order of arrival; empty under `keep_calls=False`."""
        return tuple(self._recorder.calls)

    @property
    def charges(self) -> tuple[Charge, ...]:
        """Every upload that was paid for, in order."""
        return tuple(
            Charge(
                at=task.created,
                account=task.account.name,
                session_id=task.session_id,
                task_id=task.task_id,
                audio_url=task.audio_url,
                clip_id=task.clip_id if task.lands is not None else None,
                ends=task.ends,
            )
            for task in tuple(self._service.tasks.values())
        )

    @property
    def trainings(self) -> tuple[Training, ...]:
        """Every custom model that was paid for, in order."""
        return tuple(
            Training(
                at=training.at,
                session_id=training.work.task_id,
                name=training.name,
                clip_ids=training.clip_ids,
                model=training.model if training.work.ends in ("success", "blank") else None,
                ends=training.work.ends,
            )
            for training in tuple(self._service.models.created)
        )

    @property
    def generations(self) -> tuple[Generation, ...]:
        """Every generation that was paid for, in order."""
        return tuple(
            Generation(
                at=song.work.created,
                task=song.task,
                model=song.model,
                account=song.work.account.name,
                task_id=song.work.task_id,
                clip_ids=song.clip_ids if song.work.ends == "success" else (),
                ends=song.work.ends,
            )
            for song in tuple(self._service.songs.generated.values())
        )

    @property
    def sessions(self) -> tuple[str, ...]:
        """The ids of the sessions that were prepared, those for custom models among them, in order."""
        return tuple(self._service.sessions)

    @property
    def counts(self) -> dict[tuple[str, int | None], int]:
        """How many requests ended so, by endpoint and status (None: without an answer)."""
        return dict(self._recorder.answers)

    @property
    def open_connections(self) -> int:
        """Connections that are open now."""
        return self._recorder.open_connections

    @property
    def peak_connections(self) -> int:
        """The most connections that were open at once."""
        return self._recorder.peak_connections

    @property
    def in_flight(self) -> int:
        """Requests that have arrived and have not been answered yet."""
        return self._recorder.in_flight

    @property
    def peak_in_flight(self) -> int:
        """The most requests that were unanswered at once."""
        return self._recorder.peak_in_flight

    @property
    def spent(self) -> int:
        """Credits charged."""
        return self._service.spent

    def requests(self, endpoint: str | None = None) -> int:
        """Count the requests that arrived, at one endpoint or (None) at all."""
        seen = dict(self._recorder.requests)
        return sum(seen.values()) if endpoint is None else seen.get(endpoint, 0)

    def posts(self, audio_url: str) -> int:
        """Count the requests to upload this URL, whatever was answered."""
        return self._recorder.posts[audio_url]

    def charged(self, audio_url: str) -> int:
        """Count the uploads of this URL that were paid for."""
        return self._service.charged[audio_url]

    def paid_twice(self) -> dict[str, int]:
        """Return the URLs that were charged more than once, each with how often."""
        return {url: times for url, times in dict(self._service.charged).items() if times > 1}

    def clip_ids(self) -> tuple[str, ...]:
        """Return the clips of uploads that exist by now, in order of their charges.

        A clip exists from the moment at which a caller can learn its id: by its task, or where the task hides
        it (a blank success, a late landing) by the session's `audioIds`. In a custom model's session nothing lists
        them: what the task hides there does not count.
        """
        return tuple(task.clip_id for task in self._service.landed())

    def account_of(self, clip_id: str) -> str | None:
        """Return the account of a clip, uploaded or generated; None: no such clip exists by now."""
        account = self._service.owner(clip_id)
        return None if account is None else account.name

    def lost(self, audio_ids: Iterable[str]) -> tuple[str, ...]:
        """Return the clips of uploads that exist by now and are not among the given ones."""
        known = set(audio_ids)
        return tuple(clip_id for clip_id in self.clip_ids() if clip_id not in known)

    def polls_of(self, task_id: str) -> int:
        """Count the status requests for this task or session."""
        return self._recorder.polls[task_id]

    def summary(self) -> dict[str, Any]:
        """Return the main numbers as JSON-ready data."""
        charges = self.charges
        return {
            "requests": dict(self._recorder.requests),
            "answers": {
                f"{endpoint} {'none' if status is None else status}": count
                for (endpoint, status), count in sorted(self.counts.items(), key=str)
            },
            "sessions": len(self.sessions),
            "charges": len(charges),
            "spent": self.spent,
            "ends": dict(Counter(charge.ends for charge in charges)),
            "clips": len(self.clip_ids()),
            "trainings": len(self.trainings),
            "generations": len(self.generations),
            "paid_twice": self.paid_twice(),
            "peak_connections": self.peak_connections,
            "peak_in_flight": self.peak_in_flight,
        }
