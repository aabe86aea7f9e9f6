"""What a batch came to, in words: for people, on stderr. Pure: a report in, lines out."""

from __future__ import annotations

from collections.abc import Iterator

from .. import BatchReport, ItemReport, ItemState, TrainingReport
from ..upload.words import crosscheck, duration, many

__all__ = ["duration", "head", "resumable", "summary", "trained", "unfinished"]

_LISTED = 20

_STOPPED = {
    "unauthorized": "the service refused the key: check MOUNTSEA_API_KEY",
    "credits": "there are no credits left: top them up",
    "budget": "--max-credits would be exceeded",
    "session_gone": "the service no longer knows the session",
    "no_account": "the session's account was not available: try again later",
    "unreachable": "the service could not be reached: check the network, try again later",
    "rate_limited": "the service kept answering 'too many requests': try again later, with a lower --concurrency",
    "no_answers": "too many uploads in a row got no clear answer: look at the session before you go on",
    "deadline": "the deadline passed",
    "stalled": "nothing showed a sign of life for too long",
    "interrupted": "you interrupted it",
    "cancelled": "it was cancelled",
    "journal": "the journal can't be written",
}
_ON_THEIR_WAY = (ItemState.NEW, ItemState.SUBMITTING, ItemState.SUBMITTED)
_GOES_ON = (*_ON_THEIR_WAY, ItemState.UNDETERMINED, ItemState.NOT_SUBMITTED)
_MAY_STILL_CHANGE = (ItemState.UNKNOWN, ItemState.FAILED, ItemState.TIMED_OUT)


def unfinished(report: BatchReport) -> int:
    """How many items a resume would go on with; a training counts as one."""
    training = report.training
    left = training is not None and training.name is not None and training.state in _GOES_ON
    return left + sum(report.counts.get(state, 0) for state in _GOES_ON)


def resumable(report: BatchReport) -> bool:
    """Whether `mountsea resume` could change anything, be it with a flag; what was turned away has to be mended."""
    training = report.training
    if training is not None and training.name is not None and training.state is not ItemState.SUCCEEDED:
        return True
    return any(
        item.state in _GOES_ON or (item.state in _MAY_STILL_CHANGE and item.reason != "rejected")
        for item in report.items
    )


def summary(report: BatchReport, *, journal: bool = False) -> list[str]:
    """The lines that end a run.

    Args:
        report: What became of the batch.
        journal: Whether there is a journal to go on from; the command that does stands below these lines then.
    """
    lines = [f"  {line}" for line in _outcomes(report, journal=journal)]
    if report.training is not None:
        lines += trained(report.training)
    return [f"{head(report)}, in {duration(report.stats.elapsed)}", *_session(report), *lines]


def head(report: BatchReport) -> str:
    """How many items came to what."""
    counts = [
        (len(report.failed) - report.counts.get(ItemState.TIMED_OUT, 0), "failed"),
        (report.counts.get(ItemState.TIMED_OUT, 0), "timed out"),
        (report.counts.get(ItemState.UNKNOWN, 0), "unknown"),
        (report.counts.get(ItemState.UNDETERMINED, 0), "undetermined"),
        (len(report.not_submitted), "not submitted"),
        (sum(report.counts.get(state, 0) for state in _ON_THEIR_WAY), "not ended"),
    ]
    others = "".join(f", {count:,} {word}" for count, word in counts if count)
    total, done = len(report.items), len(report.succeeded)
    begin = f"all {total:,} succeeded" if done == total > 1 else f"{done:,} of {total:,} succeeded"
    shared = sum(item.duplicate_of is not None for item in report.items)
    repeats = f" ({many(shared, 'entry', 'entries')} repeated a URL)" if shared else ""
    return f"{begin}{others}{repeats}"


def _session(report: BatchReport) -> Iterator[str]:
    words = "for a custom model" if report.training is not None else crosscheck(report.reconciliation)
    yield f"session {report.session_id}: {words}"


def trained(training: TrainingReport) -> Iterator[str]:
    """What became of a training."""
    name = f"model {training.name!r}"
    if training.name is None:
        return
    if training.model is not None:
        yield f"{name}: trained on {many(len(training.clip_ids), 'clip')}: {training.model.id}"
    elif training.state is ItemState.NEW:
        yield f"{name}: not trained, since too few uploads have succeeded or it wasn't come to"
    elif training.state is ItemState.NOT_SUBMITTED:
        yield f"{name}: not trained and not paid for. Resume asks for it again."
    elif training.state in (ItemState.FAILED, ItemState.TIMED_OUT):
        yield f"{name}: its training failed. Resume with --retry-failed trains it again."
    elif training.state is ItemState.UNKNOWN:
        yield (
            f"{name}: its training may or may not have been paid for, and is never sent again by itself. Resume looks "
            "again; with --on-unknown resubmit it is sent again, which may pay for it twice."
        )
    else:
        yield f"{name}: its training goes on by itself and is paid for. Resume asks for it again."


def _outcomes(report: BatchReport, *, journal: bool) -> Iterator[str]:
    """What to do next, for each bad outcome."""
    yield from _failed(report, journal=journal)
    yield from _undetermined(report, journal=journal)
    yield from _unknown(report, journal=journal)
    if unattributed := report.reconciliation.unattributed:
        yield "clips that belong to no item, but are on the account:"
        yield from (f"  {clip_id}" for clip_id in unattributed[:_LISTED])
        if len(unattributed) > _LISTED:
            yield f"  and {len(unattributed) - _LISTED:,} more: --format json lists all"
    yield from _not_submitted(report, journal=journal)
    if count := sum(report.counts.get(state, 0) for state in _ON_THEIR_WAY):
        yield f"{count:,} were still on their way when the run broke off."


def _failed(report: BatchReport, *, journal: bool) -> Iterator[str]:
    timed_out = [item for item in report.failed if item.state is ItemState.TIMED_OUT]
    failed = len(report.failed) - len(timed_out)
    rejected = sum(item.reason == "rejected" for item in report.failed)
    if rejected:
        yield f"{rejected:,} turned away by the service: see the reasons, mend those URLs, upload them again."
    if failed > rejected:
        again = "resume with --retry-failed sends them" if journal else "upload them"
        yield f"{failed - rejected:,} accepted, but failed at the service: see the reasons, {again} again."
    if timed_out:
        begin = f"{len(timed_out):,} timed out at the service: a clip may still land. "
        if journal:
            yield f"{begin}Resume looks again; with --retry-failed it sends those again of which no clip has appeared."
        else:
            yield f"{begin}Look again before you upload them a second time: mountsea status {report.session_id}"
    if late := sum(item.reason == "late" for item in report.failed):
        yield f"{late:,} of these had ended without a clip, but one has landed late, and is theirs by elimination."


def _undetermined(report: BatchReport, *, journal: bool) -> Iterator[str]:
    if count := report.counts.get(ItemState.UNDETERMINED, 0):
        look = "Resume asks for them again." if journal else f"Look again: mountsea status {report.session_id}"
        yield f"{count:,} had not ended when we stopped asking; they go on by themselves and are paid for. {look}"


def _unknown(report: BatchReport, *, journal: bool) -> Iterator[str]:
    items = [item for item in report.unknown if item.state is ItemState.UNKNOWN]
    if items:
        begin = f"{len(items):,} may or may not have been paid for: never sent again by themselves. "
        if journal:
            yield (
                f"{begin}Resume looks for their clips once more; with --on-unknown resubmit it sends those again of "
                "which none appears, which may pay for them twice."
            )
        else:
            yield f"{begin}Compare the session's clips before you do: mountsea status {report.session_id}"
        yield from (f"  {line}" for line in _told_apart(items))
    if again := sum(item.resubmits > 0 for item in report.items if item.duplicate_of is None):
        yield f"{many(again, 'was', 'were')} sent again, as you asked; an earlier request may have been paid for, too."


def _told_apart(items: list[ItemReport]) -> Iterator[str]:
    """What the session's list of clips says of items whose request got no answer."""
    if count := sum(item.evidence == "elimination" for item in items):
        yield f"{many(count, 'has', 'have')} a clip, attributed by elimination: nothing else can be its owner"
    if count := sum(item.reason == "ambiguous" for item in items):
        yield (
            f"{many(count, 'is', 'are')} ambiguous: clips have appeared that may be theirs, but not which is whose; "
            "--format json lists the candidates"
        )
    if count := sum(item.reason == "absent" for item in items):
        yield f"{many(count, 'is', 'are')} absent: no clip of theirs has appeared in the time that it could have taken"


def _not_submitted(report: BatchReport, *, journal: bool) -> Iterator[str]:
    if count := len(report.not_submitted):
        because = _STOPPED.get(report.stopped or "", "submitting was stopped")
        yield f"{count:,} not submitted and not paid for: {because}."
        if journal:
            yield "  Resume submits these, and only these, to the same account."
        else:
            yield (
                f"  Upload these, and only these, to the same account with --session-id {report.session_id}: "
                "--format jsonl tells which they are, and a URL that is uploaded again is paid for again."
            )
