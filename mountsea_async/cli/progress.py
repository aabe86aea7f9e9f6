"""Progress on stderr, fed by the batch's events alone: plain lines here, a live display in `live.py`.

Every kind has the same ways in: `on_event`, `begin` for what a journal holds, `say` for a line of its own, and `with`
around the batch.
"""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import Protocol, Self

from .. import Event, ItemReport, Paused, SubmitsStopped, TrainingChanged
from ..upload.words import LABELS
from .sources import Entry
from .tally import Failure, Tally
from .wording import say

__all__ = ["PlainProgress", "Progress", "QuietProgress", "choose", "stop_words"]

_EVERY = 2.0
_STOPS = {"journal": "the journal can't be written"}


class Progress(Protocol):
    """What a running batch tells about itself."""

    def begin(self, items: Sequence[ItemReport]) -> None:
        """Takes in how far earlier runs have come."""

    def on_event(self, event: Event) -> None:
        """Takes in an event; costs next to nothing."""

    def say(self, text: str) -> None:
        """Shows a line that stays."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *args: object) -> None: ...


def choose(entries: Sequence[Entry], *, quiet: bool) -> Progress:
    """The kind of progress that fits where stderr goes."""
    if quiet:
        return QuietProgress()
    if sys.stderr is not None and sys.stderr.isatty() and os.environ.get("TERM", "") not in ("dumb", "unknown"):
        from .live import LiveProgress  # noqa: PLC0415 - rich's live display is slow to import

        return LiveProgress(Tally(entries))
    return PlainProgress(Tally(entries))


def stop_words(reason: str, message: str | None) -> str:
    """Says that submitting has stopped, and why."""
    return "nothing more is submitted: " + (message or _STOPS.get(reason) or reason.replace("_", " "))


class QuietProgress:
    """Shows only what must be said."""

    def begin(self, items: Sequence[ItemReport]) -> None:
        """Shows nothing."""

    def on_event(self, event: Event) -> None:
        """Shows nothing."""

    def say(self, text: str) -> None:
        """Shows the line."""
        say(text)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *args: object) -> None:
        pass


class PlainProgress:
    """A line every couple of seconds while something happens, for logs and pipes.

    Args:
        tally: Follows the events.
        clock: Seconds that never go back.
        write: Shows a line.
    """

    def __init__(
        self, tally: Tally, *, clock: Callable[[], float] = time.monotonic, write: Callable[[str], None] = say
    ) -> None:
        self._tally = tally
        self._clock = clock
        self._write = write
        self._begun = self._last = clock()
        self._paused_said = -_EVERY
        self._shown = -1
        self._failures_shown = 0
        self._announced = False

    def begin(self, items: Sequence[ItemReport]) -> None:
        """Counts them in."""
        self._tally.begin(items)

    def on_event(self, event: Event) -> None:
        """Counts, and shows a line when the last one is old enough."""
        tally = self._tally
        tally.follow(event)
        if not tally.total:  # the journal will tell
            return
        if not self._announced and tally.session_id is not None:
            self._announced, left = True, tally.total - tally.done
            what = f"{left:,} of {tally.total:,} left" if tally.before else f"{tally.total:,} to upload"
            self._write(f"session {tally.session_id}: {what}")
        now = self._clock()
        if isinstance(event, TrainingChanged) and tally.training is not None and event.trigger == "intend":
            self._write(tally.training)
        if isinstance(event, SubmitsStopped):
            self._write(stop_words(event.reason, event.error.message if event.error else None))
        elif isinstance(event, Paused) and now - self._paused_said >= _EVERY:
            self._paused_said = now
            self._write(f"paused {math.ceil(event.seconds)} s: too many requests")
        if now - self._last >= _EVERY:
            self._line(now)

    def say(self, text: str) -> None:
        """Shows the line."""
        self._write(text)

    def _line(self, now: float) -> None:
        tally = self._tally
        self._last, self._shown = now, tally.done
        counts = ", ".join(f"{tally.counts[state]:,} {label}" for state, label in LABELS.items() if tally.counts[state])
        spent = now - self._begun
        settled = tally.settled - tally.before
        rate = f", {settled / spent:.1f}/s" if spent >= 1 and settled > 0 else ""
        self._write(f"{tally.done:,}/{tally.total:,} done ({counts}){rate}")
        new = tally.failed - self._failures_shown
        self._failures_shown = tally.failed
        for failure in tally.failures[len(tally.failures) - min(new, len(tally.failures)) :]:
            self._write("  " + describe(failure))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *args: object) -> None:
        if self._announced and self._shown != self._tally.total:
            self._line(self._clock())


def describe(failure: Failure) -> str:
    """A failure on one line."""
    return f"#{failure.index} {LABELS[failure.state]}: {failure.reason or 'no reason given'} ({failure.audio_url})"
