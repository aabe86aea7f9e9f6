"""The drawn parts: the timeline of the items, and how long uploads took. Inline SVG, without a style of its own."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..lifecycle import ItemState
from ..words import duration, many

if TYPE_CHECKING:
    from ..report import ItemReport

__all__ = ["durations", "timeline"]

_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200)
_BARS = 24
_BAD = frozenset({ItemState.FAILED, ItemState.TIMED_OUT, ItemState.UNKNOWN, ItemState.UNDETERMINED})
_WIDTH, _HEIGHT = 600, 120


def timeline(items: Sequence[ItemReport]) -> str:
    """A bar an item from its acceptance to its end, one below the other in input order.

    The drawing is stretched to its place: a second is a unit to the right, an item one down, so that a batch that goes
    on changes what is seen of it, not what is drawn. What ended badly is drawn last, and tall enough to be seen.
    """
    if not items:
        return ""
    begin = min((item.submitted_at.timestamp() for item in items if item.submitted_at), default=None)
    ends = [moment.timestamp() for item in items for moment in (item.submitted_at, item.ended_at) if moment]
    span = max(1.0, max(ends) - begin) if begin is not None else 1.0
    tall = max(0.9, len(items) / 130)
    drawn = sorted(items, key=lambda item: item.state in _BAD)
    bars = "".join(_bar(item, begin, span, tall) for item in drawn)
    since = "" if begin is None else f' data-begin="{begin:.3f}"'
    ticks = "".join(f"<span>{tick}</span>" for tick in _ticks(span))
    return (
        '<section class="timeline"><h2>Timeline</h2><div class="plot"><svg id="timeline" role="img" '
        f'aria-label="{_told(items, span, begin)}" viewBox="0 0 {span:.3f} {len(items)}" preserveAspectRatio="none"'
        f'{since}>{bars}</svg></div><div class="axis" id="axis" aria-hidden="true">{ticks}</div></section>'
    )


def _bar(item: ItemReport, begin: float | None, span: float, tall: float) -> str:
    left, width = 0.0, 0.0
    if begin is not None and item.submitted_at is not None and item.duplicate_of is None:
        left = item.submitted_at.timestamp() - begin
        right = item.ended_at.timestamp() - begin if item.ended_at is not None else span
        width = max(right - left, span / 400)
    high = tall if item.state in _BAD else 0.9
    return (
        f'<rect class="{item.state.value}" data-index="{item.index}" x="{left:.3f}" '
        f'y="{item.index + 0.5 - high / 2:.2f}" width="{width:.3f}" height="{high:.2f}"/>'
    )


def _told(items: Sequence[ItemReport], span: float, begin: float | None) -> str:
    if begin is None:
        return "Timeline: nothing was submitted yet"
    accepted = sum(item.submitted_at is not None for item in items)
    return f"Timeline: {many(accepted, 'item')} over {duration(span)}, each a bar from its acceptance to its end"


def _ticks(span: float) -> list[str]:
    """Moments at even distances, from the begin to the end."""
    return [_clock(span * part / 4, span) for part in range(5)]


def _clock(seconds: float, span: float) -> str:
    if span < 20:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}" if minutes >= 60 else f"{minutes}:{rest:02d}"


def durations(items: Sequence[ItemReport]) -> str:
    """How long the uploads that succeeded took, from their acceptance to their end."""
    taken = [
        (item.ended_at - item.submitted_at).total_seconds()
        for item in items
        if item.state is ItemState.SUCCEEDED and item.duplicate_of is None and item.submitted_at and item.ended_at
    ]
    if len(taken) < 2:
        return ""
    longest = max(*taken, 0.001)
    step = next((step for step in _STEPS if longest / step <= _BARS), longest / _BARS)
    if longest / step < 5:
        step = longest / _BARS
    counts = [0] * (math.floor(longest / step) + 1)
    for seconds in taken:
        counts[min(int(max(seconds, 0.0) / step), len(counts) - 1)] += 1
    ordered = sorted(taken)
    ninety_five = ordered[min(len(ordered) - 1, math.ceil(0.95 * len(ordered)) - 1)]
    words = (
        f"{many(len(taken), 'upload')}: half of them within {duration(statistics.median(taken))}, 95 % within "
        f"{duration(ninety_five)}, the slowest took {duration(longest)}."
    )
    wide, most = _WIDTH / len(counts), max(counts)
    bars = "".join(
        f'<rect class="succeeded" x="{place * wide:.2f}" y="{_HEIGHT * (1 - count / most):.2f}" '
        f'width="{wide * 0.9:.2f}" height="{_HEIGHT * count / most:.2f}"><title>{_clock(place * step, longest)} to '
        f"{_clock((place + 1) * step, longest)}: {count:,}</title></rect>"
        for place, count in enumerate(counts)
    )
    ticks = "".join(f"<span>{tick}</span>" for tick in _ticks(step * len(counts)))
    return (
        '<section class="durations"><h2>How long uploads took</h2><div class="plot">'
        f'<svg role="img" aria-label="{words}" viewBox="0 0 {_WIDTH} {_HEIGHT}" preserveAspectRatio="none">{bars}</svg>'
        f'</div><div class="axis" aria-hidden="true">{ticks}</div><p>{words}</p></section>'
    )
