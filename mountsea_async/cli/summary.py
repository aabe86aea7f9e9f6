"""What a batch came to, in words: for people, on stderr. Pure: a report in, lines out."""

from __future__ import annotations

from collections.abc import Iterator

from .. import BatchReport, ItemState

__all__ = ["duration", "summary"]

_LISTED = 20

_STOPPED = {
    "unauthorized": "the service refused the key: check MOUNTSEA_API_KEY",
    "credits": "there are no credits left: top them up",
    "session_gone": "the service no longer knows the session",
    "no_account": "the session's account was not available: try again later",
    "unreachable": "the service could not be reached: check the network, try again later",
    "rate_limited": "the service kept answering 'too many requests': try again later, with a lower --concurrency",
    "no_answers": "too many uploads in a row got no clear answer: look at the session before you go on",
    "deadline": "the deadline passed",
    "stalled": "nothing showed a sign of life for too long",
    "interrupted": "you interrupted it",
    "cancelled": "it was cancelled",
}


def duration(seconds: float) -> str:
    """Seconds as people say them: `8.2 s`, `3 min 20 s`, `1 h 05 min`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def _many(count: int, one: str, many: str | None = None) -> str:
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def summary(report: BatchReport) -> list[str]:
    """The lines that end a run."""
    return [_headline(report), *_session(report), *(f"  {line}" for line in _outcomes(report))]


def _headline(report: BatchReport) -> str:
    counts = [
        (len(report.failed) - report.counts.get(ItemState.TIMED_OUT, 0), "failed"),
        (report.counts.get(ItemState.TIMED_OUT, 0), "timed out"),
        (report.counts.get(ItemState.UNKNOWN, 0), "unknown"),
        (report.counts.get(ItemState.UNDETERMINED, 0), "undetermined"),
        (len(report.not_submitted), "not submitted"),
    ]
    others = "".join(f", {count:,} {word}" for count, word in counts if count)
    total, done = len(report.items), len(report.succeeded)
    begin = f"all {total:,} succeeded" if done == total > 1 else f"{done:,} of {total:,} succeeded"
    shared = sum(item.duplicate_of is not None for item in report.items)
    repeats = f" ({_many(shared, 'entry', 'entries')} repeated a URL)" if shared else ""
    return f"{begin}{others}{repeats}, in {duration(report.stats.elapsed)}"


def _session(report: BatchReport) -> Iterator[str]:
    verdict = report.reconciliation
    if not verdict.read:
        yield f"session {report.session_id}: its list of clips was not read, so nothing was cross-checked"
        return
    if verdict.consistent:
        words = "its list holds these clips and no other" if verdict.matched else "its list holds no clips of this run"
    else:
        odd = [
            (len(verdict.missing), "clip of ours is not in its list (yet)", "clips of ours are not in its list (yet)"),
            (len(verdict.unattributed), "clip in its list belongs to no item", "clips in its list belong to no item"),
            (len(verdict.duplicated), "clip is named twice", "clips are named twice"),
            (verdict.unreadable, "entry of its list is no id", "entries of its list are no ids"),
        ]
        words = "; ".join(_many(count, one, many) for count, one, many in odd if count)
    if verdict.earlier:
        words += f"; {_many(len(verdict.earlier), 'clip was', 'clips were')} there before"
    yield f"session {report.session_id}: {words}"


def _failed(report: BatchReport, count: int) -> Iterator[str]:
    rejected = sum(item.reason == "rejected" for item in report.failed)
    if rejected:
        yield f"{rejected:,} turned away by the service: see the reasons, mend those URLs, upload them again."
    if count > rejected:
        yield f"{count - rejected:,} accepted, but failed at the service: see the reasons, upload them again."


def _outcomes(report: BatchReport) -> Iterator[str]:
    """What to do next, for each bad outcome."""
    counts = report.counts
    if count := counts.get(ItemState.FAILED, 0):
        yield from _failed(report, count)
    if count := counts.get(ItemState.TIMED_OUT, 0):
        yield (
            f"{count:,} timed out at the service: a clip may still land. Look again before you upload them a second "
            f"time: mountsea status {report.session_id}"
        )
    if count := counts.get(ItemState.UNDETERMINED, 0):
        yield (
            f"{count:,} had not ended when we stopped asking; they go on by themselves and are paid for. Look again: "
            f"mountsea status {report.session_id}"
        )
    if count := counts.get(ItemState.UNKNOWN, 0):
        yield (
            f"{count:,} may or may not have been paid for: never sent again by themselves. Compare the session's "
            f"clips before you do: mountsea status {report.session_id}"
        )
    if unattributed := report.reconciliation.unattributed:
        yield "clips that belong to no item, but are on the account:"
        yield from (f"  {clip_id}" for clip_id in unattributed[:_LISTED])
        if len(unattributed) > _LISTED:
            yield f"  and {len(unattributed) - _LISTED:,} more: --format json lists all"
    if count := len(report.not_submitted):
        because = _STOPPED.get(report.stopped or "", "submitting was stopped")
        yield f"{count:,} not submitted and not paid for: {because}."
        yield (
            f"  Upload these, and only these, to the same account with --session-id {report.session_id}: "
            "--format jsonl tells which they are, and a URL that is uploaded again is paid for again."
        )
    unfinished = sum(counts.get(state, 0) for state in (ItemState.NEW, ItemState.SUBMITTING, ItemState.SUBMITTED))
    if unfinished:
        yield f"{unfinished:,} were still on their way when the run broke off."
