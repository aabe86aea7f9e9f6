"""The parts of the page in words and tables: heading, progress, outcomes, reconciliation, items."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import TYPE_CHECKING

from ..lifecycle import ENDS, ItemState
from ..words import LABELS, crosscheck, duration, many

if TYPE_CHECKING:
    from ..report import BatchReport, ItemReport

__all__ = ["connection", "head", "items", "outcomes", "reconciled"]

_STATES = {
    "queued": "Waiting for its turn",
    "running": "Running",
    "waiting": "Can't go on for now; it is tried again",
    "stopping": "Stopping: nothing more is submitted",
    "finished": "Finished",
    "refused": "Refused: the service would not begin it",
}
_LISTED, _NAMED = 50, 5
"""So many items, and so many clips that one may be, are named where there are more."""
_MEANS = {
    ItemState.NEW: "Its turn to be sent comes.",
    ItemState.SUBMITTING: "Its request is on its way.",
    ItemState.SUBMITTED: "Accepted and paid for; not ended yet.",
    ItemState.SUCCEEDED: "Its own task named its clip.",
    ItemState.FAILED: "The service turned it away, or its task failed. Mend the file, upload it again.",
    ItemState.TIMED_OUT: "Its task timed out. A clip may still land: look again before it is uploaded a second time.",
    ItemState.UNKNOWN: "It may or may not have been paid for, and is never sent again by itself.",
    ItemState.UNDETERMINED: "Accepted and paid for, but still pending when nobody asked any more. Resume asks again.",
    ItemState.NOT_SUBMITTED: "Never accepted, not paid for. Resume submits it.",
}


def head(report: BatchReport, heading: str, state: str | None, *, still: bool = False) -> str:
    """Heading, how far it is, and how many items are in which state; these choose what the table shows, unless it is
    a still picture."""
    total = len(report.items)
    ended = sum(item.state in ENDS for item in report.items)
    share = round(100 * ended / total) if total else 0
    words = "" if state is None else f'<p class="state" id="state" data-state="{escape(state)}">{_STATES[state]}</p>'
    session = "" if report.session_id is None else f"Session <code>{escape(report.session_id)}</code>"
    return (
        f'<header><h1>{escape(heading)}</h1>{words}<p class="session" id="session">{session}</p></header>'
        f'<section class="progress" aria-label="Progress"><p class="figures"><strong id="percent">{share} %</strong> '
        f'<span id="ended">{ended:,} of {total:,} ended</span></p>'
        f'<progress id="progress" max="{max(1, total)}" value="{ended}" aria-label="Items that have ended"></progress>'
        f"{_counts(report) if still else _filter(report)}</section>"
    )


def _filter(report: BatchReport) -> str:
    buttons = [
        f'<button type="button" data-filter="{state.value}" aria-pressed="false"{_hidden(report, state)}>'
        f'<span class="mark {state.value}"></span>{LABELS[state]} <b>{report.counts.get(state, 0):,}</b></button>'
        for state in LABELS
    ]
    every = f'<button type="button" data-filter="all" aria-pressed="true">all <b>{len(report.items):,}</b></button>'
    return f'<div class="filter" role="group" aria-label="Show items by state">{every}{"".join(buttons)}</div>'


def _counts(report: BatchReport) -> str:
    counts = "".join(
        f'<li><span class="mark {state.value}"></span>{LABELS[state]} <b>{report.counts[state]:,}</b></li>'
        for state in LABELS
        if state in report.counts
    )
    return f'<ul class="filter">{counts}</ul>'


def _hidden(report: BatchReport, state: ItemState) -> str:
    return "" if report.counts.get(state) else " hidden"


def connection() -> str:
    """What the live page says of itself: to listeners, of its connection, and where it has to ask who is there."""
    return (
        '<p class="spoken" id="spoken" role="status" aria-live="polite"></p>'
        '<p class="notice" id="notice" role="status" hidden></p>'
        '<form class="notice" id="token" hidden><label for="token-text">The stream of events asks who you are. '
        'A token, sent as a header and kept in this page alone: </label><input id="token-text" type="password" '
        'autocomplete="off" required> <button type="submit">Go on</button></form>'
    )


def outcomes(report: BatchReport) -> str:
    """What became of how many, and what to do about it."""
    total = len(report.items) or 1
    rows = "".join(
        f'<tr><th scope="row"><span class="mark {state.value}"></span>{LABELS[state]}</th>'
        f'<td class="number">{count:,}</td><td class="number">{100 * count / total:.1f} %</td>'
        f"<td>{_MEANS[state]}</td></tr>"
        for state in LABELS
        if (count := report.counts.get(state, 0))
    )
    if not rows:
        return ""
    return (
        '<section class="outcomes"><h2>Outcomes</h2><div class="wide"><table><thead><tr><th scope="col">State</th>'
        '<th scope="col" class="number">Items</th><th scope="col" class="number">Share</th><th scope="col">What it '
        f"means</th></tr></thead><tbody>{rows}</tbody></table></div></section>"
    )


def reconciled(report: BatchReport) -> str:
    """The items against the session's own list, and what the run took, in words."""
    lines = "".join(f"<li>{line}</li>" for line in _lines(report))
    return f'<section class="words"><h2>Reconciliation</h2><ul>{lines}</ul></section>'


def _lines(report: BatchReport) -> Iterator[str]:
    verdict, stats = report.reconciliation, report.stats
    if report.training is not None:
        yield from _trained(report)
    else:
        yield f"Session {escape(report.session_id or '(none)')}: {crosscheck(verdict)}."
    if verdict.inferred:
        yield f"{many(len(verdict.inferred), 'clip')} attributed by elimination: nothing else can be the owner."
    if verdict.unattributed:
        named = ", ".join(f"<code>{escape(clip_id)}</code>" for clip_id in verdict.unattributed[:_LISTED])
        yield f"Paid for, but in nobody's hands: {named}{', and more' if len(verdict.unattributed) > _LISTED else ''}."
    if report.stopped is not None:
        yield f"Submitting was stopped: {escape(report.stopped.replace('_', ' '))}."
    if report.journal_error is not None:
        yield "The journal could not be written: what happened from then on is in this report alone."
    if stats.elapsed:
        yield f"It took {duration(stats.elapsed)}."
    if stats.submits:
        asked = f", {many(stats.polls, 'time')} asked for" if stats.polls else ""
        paused = f", {many(stats.pauses, 'pause')} for too many requests" if stats.pauses else ""
        yield f"{many(stats.submits, 'request')} for uploads{asked}{paused}."


def _trained(report: BatchReport) -> Iterator[str]:
    training = report.training
    if training is None or training.name is None:
        yield "For a custom model, which was not named."
    elif training.model is not None:
        clips = many(len(training.clip_ids), "clip")
        yield f"Model {escape(training.name)}, trained on {clips}: <code>{escape(training.model.id)}</code>."
    else:
        why = "" if training.error is None else f": {escape(training.error.message)}"
        yield f"Model {escape(training.name)}: its training is {LABELS[training.state]}{why}."


def items(report: BatchReport, *, only_bad: bool = False) -> str:
    """The table of the items; or of those that didn't succeed, so many that they can be looked through."""
    bad = [item for item in report.items if item.state is not ItemState.SUCCEEDED]
    shown = bad[:_LISTED] if only_bad else report.items
    if only_bad and not shown:
        return ""
    more = f"<p>and {len(bad) - _LISTED:,} more</p>" if only_bad and len(bad) > _LISTED else ""
    heading = "Items that didn't succeed" if only_bad else "Items"
    name = "" if only_bad else ' id="items" tabindex="-1"'
    rows = "".join(map(_row, shown))
    return (
        f'<section class="items"><h2{name}>{heading}</h2><table class="list" data-show="all"><thead><tr>'
        '<th scope="col">#</th><th scope="col">Audio</th><th scope="col">State</th>'
        '<th scope="col">Clip, or why there is none</th></tr>'
        f"</thead><tbody>{rows}</tbody></table>{more}</section>"
    )


def _row(item: ItemReport) -> str:
    key = "" if item.key is None else f'<span class="key">{escape(item.key)}</span> '
    return (
        f'<tr data-state="{item.state.value}"><td class="number">{item.index}</td>'
        f'<td class="audio">{key}<span class="url">{escape(item.audio_url)}</span></td><td class="is">'
        f'<span class="mark {item.state.value}"></span><span>{LABELS[item.state]}</span></td>'
        f'<td class="what">{_what(item)}</td></tr>'
    )


def _what(item: ItemReport) -> str:
    said = []
    if item.clip is not None:
        said.append(_clip(item.clip.id, item.clip.audio_url))
        if item.evidence == "elimination":
            said.append("attributed by elimination")
    if item.candidates:
        more = f" and {len(item.candidates) - _NAMED:,} more" if len(item.candidates) > _NAMED else ""
        said.append(f"may be one of {escape(', '.join(item.candidates[:_NAMED]))}{more}")
    if item.error is not None:
        said.append(escape(item.error.message))
    elif item.reason is not None:
        said.append(escape(item.reason.replace("_", " ")))
    if item.duplicate_of is not None:
        said.append(f"shares the upload of #{item.duplicate_of}")
    return "; ".join(said)


def _clip(clip_id: str, url: str | None) -> str:
    name = f"<code>{escape(clip_id)}</code>"
    if url is None or not url.lower().startswith(("https://", "http://")):
        return name
    return f'<a href="{escape(url, quote=True)}" target="_blank" rel="noopener noreferrer">{name}</a>'
