"""Traces and metrics through opentelemetry-api (extra `otel`), made of a session's events and of nothing else.

    MountseaClient(observe=Telemetry())

Whoever runs the application brings the SDK; without one, all of this does nothing. An event holds no URL and no key,
so no span and no figure does.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Final

import attrs
from opentelemetry import context, metrics, trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, Status, StatusCode, Tracer

from .. import __version__
from ..errors import MountseaError
from ..upload.events import (
    Event,
    ItemChanged,
    JournalFailed,
    Paused,
    Reconciled,
    SessionClosed,
    SessionOpened,
    SessionPlanned,
    SubmitsStopped,
    TrainingChanged,
)
from ..upload.lifecycle import ENDS, ItemState, Trigger

__all__ = ["Telemetry"]

_SCOPE = "mountsea_async"
_SECONDS: Final = (1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0, 90.0, 120.0, 180.0, 300.0, 600.0, 1800.0, 3600.0)
"""Bounds of the buckets of the time to a clip: uploads take from seconds to minutes, and wait in a queue."""
_POLLS: Final = (1, 2, 3, 4, 5, 7, 10, 15, 20, 30, 50, 100)

_MAY_CHANGE: Final = frozenset({ItemState.FAILED, ItemState.TIMED_OUT, ItemState.UNKNOWN})
"""Ends that a clip which appears late, or a second request, may still undo in the same session."""
_UNKNOWN: Final = frozenset({ItemState.UNKNOWN, ItemState.UNDETERMINED})
_ERRORS: Final = (ItemState.FAILED, ItemState.TIMED_OUT, ItemState.UNKNOWN)
_LEFT: Final = (ItemState.UNDETERMINED, ItemState.NOT_SUBMITTED)
_BY_THE_CALLER: Final = frozenset({"stopped", "cancelled"})


class Telemetry:
    """Spans and instruments for a client's sessions: `MountseaClient(observe=Telemetry())`.

    Each session is a span `mountsea.batch`, a child of the span that was current where it was opened; each of its
    items a child span `mountsea.item`, from its first event to its end. A session that can't be opened has none. The
    items of a journal that have ended in an earlier run have none in a later one.

    What is counted, and when:

    - `mountsea.items`, by `mountsea.item.state`: each item once a session, with its end, so that the sums are
      `BatchReport.counts`. A success is counted at once; so are `undetermined` and `not_submitted`. What has failed,
      timed out or is unknown may succeed yet (its clip appears late, or it is sent again), so it is counted, and its
      span ended with the time of its end, when the session closes. An item that was left open and is taken up again
      from the journal is counted by either run, with the end that it had there.
    - `mountsea.unknowns`: those of them that are `unknown` or `undetermined`, as in `BatchReport.unknown`.
    - `mountsea.item.duration`: seconds from an item's acceptance to its success, if this session saw both.
    - `mountsea.item.polls`: how often an item's task was asked for in this session, if it was followed; told with the
      item's end. The sum is that of `ItemReport.polls`.
    - `mountsea.retries`: requests that were begun for an item beyond its first, at once; of what an earlier run has
      begun only that is known which was sent again on the caller's word.

    An entry that shares an earlier one's upload is an item like any other, with the same figures, as in the report.

    Args:
        tracer_provider: Where spans go. None: the global one.
        meter_provider: Where figures go. None: the global one.
    """

    def __init__(
        self,
        *,
        tracer_provider: trace.TracerProvider | None = None,
        meter_provider: metrics.MeterProvider | None = None,
    ) -> None:
        self._tracer = trace.get_tracer(_SCOPE, __version__, tracer_provider)
        self._instruments = _Instruments(metrics.get_meter(_SCOPE, __version__, meter_provider))

    def __call__(self) -> Callable[[Event], None]:
        """A session begins. Returns what is to be called with each of its events."""
        return _Session(self._tracer, self._instruments, context.get_current()).hear


class _Instruments:
    """The instruments, made once."""

    def __init__(self, meter: metrics.Meter) -> None:
        self.items = meter.create_counter("mountsea.items", "{item}", "Items that have ended, by their state.")
        self.unknowns = meter.create_counter(
            "mountsea.unknowns", "{item}", "Items of which it isn't known what became of them."
        )
        self.retries = meter.create_counter(
            "mountsea.retries", "{request}", "Requests that were begun for an item beyond its first."
        )
        self.duration = meter.create_histogram(
            "mountsea.item.duration",
            "s",
            "Time from an item's acceptance to its clip.",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )
        self.polls = meter.create_histogram(
            "mountsea.item.polls",
            "{poll}",
            "How often an item's task was asked for.",
            explicit_bucket_boundaries_advisory=_POLLS,
        )


@attrs.define(eq=False)
class _Course:
    """One item that has no end yet, or one that may change.

    Attributes:
        again: Whether an earlier request for it is known of, of this run or of one before.
    """

    span: Span
    last: ItemChanged
    attempts: int = 0
    again: bool = False
    accepted_at: float | None = None
    task_id: str | None = None
    polls: int | None = None


class _Session:
    """One session: its span, and those of the items that are on their way.

    Args:
        tracer: Makes spans.
        instruments: Where figures go.
        around: The context that the session was opened in.
    """

    def __init__(self, tracer: Tracer, instruments: _Instruments, around: Context) -> None:
        self._tracer = tracer
        self._instruments = instruments
        self._around = around
        self._began = time.time_ns()
        self._kind: str | None = None
        self._span: Span | None = None
        self._over = False
        self._inside = around
        self._courses: dict[int, _Course] = {}
        self._ended: Counter[ItemState] = Counter()
        self._pauses = 0
        self._stop: SubmitsStopped | None = None
        self._failure: MountseaError | None = None
        self._training: TrainingChanged | None = None
        self._verdict: Reconciled | None = None

    def hear(self, event: Event) -> None:
        """Takes in an event."""
        if self._over:
            return
        match event:
            case SessionOpened() if self._span is None:
                self._open(event)
            case ItemChanged() if self._span is not None:
                self._change(event)
            case SessionClosed() if self._span is not None:
                self._close(self._span, event.at)
            case _:
                self._note(event)

    def _note(self, event: Event) -> None:
        """Keeps in mind what the session's span is to tell at its end."""
        match event:
            case SessionPlanned():
                self._kind = event.kind
            case Paused():
                self._pauses += 1
            case SubmitsStopped():
                self._stop = event
            case JournalFailed():
                self._failure = event.error
            case TrainingChanged():
                self._training = event
            case Reconciled():
                self._verdict = event

    def _open(self, event: SessionOpened) -> None:
        attributes: dict[str, str | bool] = {
            "mountsea.session_id": event.session_id,
            "mountsea.adopted": event.adopted,
        }
        if self._kind is not None:
            attributes["mountsea.kind"] = self._kind
        self._span = self._tracer.start_span(
            "mountsea.batch",
            context=self._around,
            attributes=attributes,
            start_time=min(self._began, _ns(event.at)),
        )
        self._inside = trace.set_span_in_context(self._span, self._around)

    # ------------------------------------------------------------------------------------------------- the items
    def _change(self, event: ItemChanged) -> None:
        course = self._courses.get(event.index)
        if course is None:
            course = self._courses[event.index] = _Course(self._begin(event), event)
        course.last = event
        course.task_id = event.task_id or course.task_id
        if event.polls is not None:
            course.polls = (course.polls or 0) + event.polls
        match event.trigger:
            case Trigger.INTEND:
                course.attempts += 1
                if course.again:
                    self._instruments.retries.add(1)
                course.again = True
            case Trigger.RETRY:
                course.again = True
            case Trigger.ACCEPT:
                course.accepted_at = event.at
        if event.state in ENDS and event.state not in _MAY_CHANGE:
            self._finish(self._courses.pop(event.index))

    def _begin(self, event: ItemChanged) -> Span:
        attributes: dict[str, str | int] = {"mountsea.item.index": event.index}
        if event.key is not None:
            attributes["mountsea.item.key"] = event.key
        return self._tracer.start_span(
            "mountsea.item", context=self._inside, attributes=attributes, start_time=_ns(event.at)
        )

    def _finish(self, course: _Course) -> None:
        last = course.last
        self._tell(course)
        self._ended[last.state] += 1
        instruments = self._instruments
        instruments.items.add(1, {"mountsea.item.state": last.state.value})
        if last.state in _UNKNOWN:
            instruments.unknowns.add(1)
        if last.state is ItemState.SUCCEEDED and course.accepted_at is not None:
            instruments.duration.record(last.at - course.accepted_at)
        if course.polls is not None:
            instruments.polls.record(course.polls)

    def _tell(self, course: _Course) -> None:
        span, last = course.span, course.last
        facts = {
            "state": last.state.value,
            "reason": last.reason,
            "task_id": course.task_id,
            "clip_id": None if last.clip is None else last.clip.id,
            "attempts": course.attempts,
            "polls": course.polls,
        }
        span.set_attributes({f"mountsea.item.{name}": fact for name, fact in facts.items() if fact is not None})
        error = last.error
        if error is not None:
            # By hand: what the API makes of an exception has a traceback, and nobody has looked through that.
            said = {"exception.type": type(error).__qualname__, "exception.message": error.message}
            span.add_event("exception", said, _ns(last.at))
        if last.state in _ERRORS:
            span.set_attribute("error.type", last.state.value if error is None else type(error).__qualname__)
            span.set_status(Status(StatusCode.ERROR, last.reason if error is None else error.message))
        span.end(_ns(last.at))

    # ------------------------------------------------------------------------------------------------- the end
    def _close(self, span: Span, at: float) -> None:
        for course in self._courses.values():
            self._finish(course)
        self._courses.clear()
        for state, count in self._ended.items():
            span.set_attribute(f"mountsea.{state.value}", count)
        span.set_attribute("mountsea.items", self._ended.total())
        span.set_attribute("mountsea.pauses", self._pauses)
        if self._stop is not None:
            span.set_attribute("mountsea.stopped", self._stop.reason)
        if self._verdict is not None:
            span.set_attribute("mountsea.consistent", self._verdict.consistent)
            span.set_attribute("mountsea.unattributed", self._verdict.unattributed)
        if self._training is not None:
            span.set_attribute("mountsea.training.state", self._training.state.value)
        if (wrong := self._wrong()) is not None:
            kind, words = wrong
            span.set_attribute("error.type", kind)
            span.set_status(Status(StatusCode.ERROR, words))
        span.end(_ns(at))
        self._span, self._over = None, True

    def _wrong(self) -> tuple[str, str] | None:
        """What is wrong with the session: the kind of error, and words. What the caller has ended isn't an error."""
        states: tuple[ItemState, ...] = _ERRORS
        words: list[str] = []
        errors = [self._failure]
        if self._stop is not None and self._stop.reason not in _BY_THE_CALLER:
            states += _LEFT
            errors.append(self._stop.error)
        if self._training is not None and self._training.state in _ERRORS:
            words.append(f"training {self._training.state.value}")
            errors.append(self._training.error)
        left = [f"{self._ended[state]} {state.value}" for state in states if self._ended[state]]
        if left:
            words.append(f"of {self._ended.total()} items " + ", ".join(left))
        if self._failure is not None:
            words.append("the journal can't be written")
        if not words:
            return None
        kinds = (type(error).__qualname__ for error in errors if error is not None)
        return next(kinds, "BatchFailed"), "; ".join(words)


def _ns(at: float) -> int:
    """Nanoseconds since the epoch."""
    return round(at * 1e9)
