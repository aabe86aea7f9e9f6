"""The live display on a terminal: a bar, counts by state, the last failures. Drawn by rich, a few times a second.

Events only change the tally; a thread of rich's draws it, so that ten thousand items cost no more than ten.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Self

from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from .. import Event, ItemReport, ItemState
from ..upload.words import LABELS
from .progress import stop_words
from .tally import Failure, Speed, Tally

__all__ = ["LiveProgress", "clock_time"]

_PER_SECOND = 8
_STYLES = {
    ItemState.NEW: "dim",
    ItemState.SUBMITTING: "cyan",
    ItemState.SUBMITTED: "blue",
    ItemState.SUCCEEDED: "green",
    ItemState.FAILED: "red",
    ItemState.TIMED_OUT: "red",
    ItemState.UNKNOWN: "magenta",
    ItemState.UNDETERMINED: "magenta",
    ItemState.NOT_SUBMITTED: "yellow",
}


def clock_time(seconds: float) -> str:
    """Seconds as `0:07`, `12:30` or `1:02:03`."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


class LiveProgress:
    """Draws the tally.

    Args:
        tally: Follows the events.
        console: Where to draw; stderr unless given.
    """

    def __init__(self, tally: Tally, console: Console | None = None) -> None:
        self._tally = tally
        self._console = console or Console(stderr=True, highlight=False)
        self._speed = Speed()
        self._begun = time.monotonic()
        self._over = False
        self._live = Live(
            console=self._console,
            get_renderable=self.frame,
            refresh_per_second=_PER_SECOND,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def begin(self, items: Sequence[ItemReport]) -> None:
        """Counts them in; they are no part of this run's speed."""
        self._tally.begin(items)
        self._speed = Speed()

    def on_event(self, event: Event) -> None:
        """Counts; drawing is the thread's."""
        self._tally.follow(event)

    def say(self, text: str) -> None:
        """Shows a line above the display."""
        self._console.print(Text(text))

    def __enter__(self) -> Self:
        self._begun = time.monotonic()
        self._live.start(refresh=True)
        return self

    def __exit__(self, *args: object) -> None:
        # A batch that never got a session has nothing to show, nor has a journal without items.
        self._over = True
        self._live.transient = self._tally.session_id is None or not self._tally.total
        self._live.stop()

    # ------------------------------------------------------------------------------------------------- drawing
    def frame(self) -> RenderableType:
        """One picture of the batch; of a batch that is over only the bar, since the summary follows."""
        parts: list[RenderableType] = [self._bar()]
        if not self._over:
            parts += [self._counts(), *self._notes(), *(self._failure(failure) for failure in self._tally.failures)]
        return Group(*parts)

    def _bar(self) -> RenderableType:
        tally, now = self._tally, time.monotonic()
        done, spent = tally.settled, now - self._begun
        rate = (done - tally.before) / spent if self._over and spent > 0 else self._speed.sample(now, done)
        row = Table.grid(expand=True, padding=(0, 1))
        row.add_column(no_wrap=True)
        row.add_column(ratio=1)
        for _ in range(3):
            row.add_column(no_wrap=True, justify="right")
        if self._over:
            left = clock_time(spent)
        else:
            left = (
                f"{clock_time((tally.total - tally.done) / rate)} left"
                if rate and tally.done < tally.total
                else "-:-- left"
            )
        row.add_row(
            Text("uploading" if not self._over else "stopped  " if tally.broken_off else "uploaded "),
            ProgressBar(total=max(1, tally.total), completed=done),
            Text(f"{done:,}/{tally.total:,}", style="bold"),
            Text(f"{rate:7.1f}/s"),
            Text(left if self._over else f"{left:>10}"),
        )
        return row

    def _counts(self) -> Text:
        text = Text()
        for state, label in LABELS.items():
            if (count := self._tally.counts[state]) or state is ItemState.SUCCEEDED:
                text.append("   " if text else "")
                text.append(f"{count:,}\u00a0{label.replace(' ', chr(0xA0))}", style=_STYLES[state])
        return text

    def _notes(self) -> list[Text]:
        """What stands between the batch and its end."""
        tally, notes = self._tally, []
        left = tally.paused[0] - time.time()
        if tally.training is not None:
            notes.append(Text(tally.training, style="cyan"))
        elif tally.session_id is None:
            notes.append(Text("asking for a session", style="dim"))
        elif tally.done == tally.total and not tally.checked:
            notes.append(Text("checking the session's own list of clips", style="dim"))
        else:
            notes.append(Text(f"session {tally.session_id}", style="dim", no_wrap=True, overflow="ellipsis"))
        if left > 0 and tally.done < tally.total:
            notes.append(Text(f"paused {math.ceil(left)} s: too many requests", style="yellow"))
        if tally.stopped is not None:
            notes.append(Text(stop_words(tally.stopped, None), style="yellow"))
        return notes

    def _failure(self, failure: Failure) -> Text:
        """On one line: the reason whole if it fits, and as much of the URL's end as there is room for."""
        text = Text(no_wrap=True, overflow="ellipsis")
        text.append(f"#{failure.index} {LABELS[failure.state]}", style=_STYLES[failure.state])
        text.append(f"  {failure.reason or 'no reason given'}")
        room = self._console.width - cell_len(text.plain) - 2
        url = failure.audio_url
        if len(url) > room:
            url = "…" + url[len(url) - room + 1 :] if room > 8 else ""
        if url:
            text.append(f"  {url}", style="dim")
        return text
