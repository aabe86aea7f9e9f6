"""A batch as its events have told it so far: what every kind of progress shows. Pure: no clock of its own, no I/O."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import attrs

from .. import (
    Event,
    ItemChanged,
    ItemReport,
    ItemState,
    Paused,
    Reconciled,
    SessionOpened,
    SessionPlanned,
    SubmitsStopped,
    TaskFailedError,
    TrainingChanged,
)
from ..redact import shown_url
from ..upload.words import LABELS
from .sources import Entry
from .wording import one_line

__all__ = ["Failure", "Speed", "Tally"]

_BAD = frozenset({ItemState.FAILED, ItemState.TIMED_OUT, ItemState.UNKNOWN, ItemState.UNDETERMINED})
_OPEN = (ItemState.NEW, ItemState.SUBMITTING, ItemState.SUBMITTED)
_SETTLED = (ItemState.SUCCEEDED, ItemState.FAILED, ItemState.TIMED_OUT)
_KEPT = 3


@attrs.frozen
class Failure:
    """An item that ended badly."""

    index: int
    state: ItemState
    audio_url: str
    reason: str


@attrs.define
class Tally:
    """Follows the events of one batch.

    Attributes:
        entries: What is uploaded, in order; empty where a journal will tell, see `begin`.
        counts: Items by state.
        failures: The last few; replaced as a whole, so that another thread may read it.
        failed: How many there were in all.
        session_id: Once there is one.
        paused: The last pause: event time of its end, and its seconds.
        stopped: Why submitting has stopped.
        checked: Whether the session's list was compared.
        training: What becomes of the training, in words; None where there is none, or it is over.
        before: How many the service had decided on in earlier runs.
    """

    entries: Sequence[Entry]
    counts: dict[ItemState, int] = attrs.field(init=False)
    failures: tuple[Failure, ...] = ()
    failed: int = 0
    session_id: str | None = None
    paused: tuple[float, float] = (0.0, 0.0)
    stopped: str | None = None
    checked: bool = False
    training: str | None = None
    before: int = 0
    _urls: list[str] = attrs.field(init=False, repr=False)
    _states: list[ItemState] = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._hold([(entry.item.audio_url, ItemState.NEW) for entry in self.entries])

    def _hold(self, items: Sequence[tuple[str, ItemState]]) -> None:
        self._urls = [url for url, _ in items]
        self._states = [state for _, state in items]
        self.counts = {state: self._states.count(state) for state in LABELS}

    def begin(self, items: Sequence[ItemReport]) -> None:
        """Takes in what a journal holds. Events that led to it may still follow."""
        self._hold([(item.audio_url, item.state) for item in items])
        self.before = self.settled

    @property
    def total(self) -> int:
        """How many items there are."""
        return len(self._states)

    @property
    def done(self) -> int:
        """How many have come to an end."""
        return self.total - sum(self.counts[state] for state in _OPEN)

    @property
    def settled(self) -> int:
        """How many the service has decided on."""
        return sum(self.counts[state] for state in _SETTLED)

    @property
    def broken_off(self) -> bool:
        """Whether some have ended without the service's word."""
        return self.settled < self.done

    def follow(self, event: Event) -> None:
        """Takes in one event."""
        if isinstance(event, ItemChanged):
            self.counts[self._states[event.index]] -= 1
            self.counts[event.state] += 1
            self._states[event.index] = event.state
            if event.state in _BAD:
                self._failed(event)
        elif isinstance(event, SessionOpened):
            self.session_id = event.session_id
        elif isinstance(event, Paused):
            self.paused = (event.at + event.seconds, event.seconds)
        elif isinstance(event, SubmitsStopped):
            self.stopped = event.reason
        elif isinstance(event, Reconciled):
            self.checked = True
        elif isinstance(event, TrainingChanged):
            self.training = None if event.state.ended else f"training model {event.name!r}, two to three minutes"
        elif isinstance(event, SessionPlanned):
            self.checked = True  # there is no list to compare

    def _failed(self, event: ItemChanged) -> None:
        error = event.error
        reason = (event.reason or "").replace("_", " ")
        if isinstance(error, TaskFailedError) and (error.fail_reason or error.fail_code):
            reason = str(error.fail_reason or error.fail_code)
        elif error is not None:
            reason = error.message
        failure = Failure(event.index, event.state, shown_url(self._urls[event.index]), one_line(reason))
        self.failed += 1
        self.failures = (*self.failures, failure)[-_KEPT:]


class Speed:
    """Items a second over the last seconds, and how long the rest will take."""

    WINDOW = 10.0

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque()

    def sample(self, now: float, done: int) -> float:
        """Takes in how many are done at a time; returns items a second, 0 while that can't be told."""
        self._samples.append((now, done))
        while len(self._samples) > 2 and self._samples[0][0] < now - self.WINDOW:
            self._samples.popleft()
        begin, before = self._samples[0]
        return (done - before) / (now - begin) if now > begin else 0.0
