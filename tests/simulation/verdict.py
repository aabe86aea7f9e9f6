"""What must hold once a world has ended: the runs' reports against the service's own ledger.

What may live here: one function an invariant, each a generator of complaints. They see the whole truth, and judge
nothing else than what `world.py` has recorded.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from mountsea_async import BatchReport, ItemState, MountseaError, NotSubmittedError

from .models import judge_training, may_raise
from .patches import KEY
from .runs import bound
from .world import Run, World

_SHOWN = 160
_PAUSE = 150.0
"""Seconds for which a "too many requests" may keep everybody from asking, and a little more."""
_LOOKED = 20.0
"""Seconds by which the last look at the list may lie before an item settled."""


def judge(world: World) -> list[str]:
    """Every complaint about a world; none for one in which all has gone well."""
    complaints = list(world.problems)
    for look in (
        _never_twice,
        _never_free,
        _never_lost,
        _never_wrong,
        _always_ends,
        _no_contradiction,
        _no_secret,
        _nothing_left,
        judge_training,
    ):
        complaints += look(world)
    return complaints


def _intended(world: World) -> Counter[str]:
    plan = world.plan
    return Counter(plan.urls if plan.keep_duplicates else set(plan.urls))


def _never_twice(world: World) -> Iterator[str]:
    """I1: no upload is paid for twice, but where the caller said so and the report says that it was."""
    allowed = _intended(world)
    if (report := last_report(world)) is not None and not world.plan.strict:
        for item in report.items:
            if item.duplicate_of is None:
                allowed[world.plan.urls[item.index]] += item.resubmits
    for url, times in world.ledger.paid_twice().items():
        if url in allowed and times > allowed[url]:
            yield f"I1: {url} was paid for {times} times, {allowed[url]} are accounted for"
    if (
        world.plan.on_unknown != "resubmit"
        and not world.plan.retry_failed
        and any(item.resubmits for item in _items(last_report(world)))
    ):
        yield "I1: an item was sent again though nobody said so"


def _never_free(world: World) -> Iterator[str]:
    """I1: what a report says has cost nothing has cost nothing."""
    charged = {task.audio_url for task in world.tasks()}
    for number, run in enumerate(world.runs):
        for item in _items(run.report):
            turned_away = item.state is ItemState.FAILED and item.reason == "rejected"
            free = (turned_away or item.state is ItemState.NOT_SUBMITTED) and not item.resubmits
            # The ledger has no times in it: what a later run has paid for is no contradiction.
            last = run is world.runs[-1]
            if free and last and world.plan.urls[item.index] in charged and not world.plan.keep_duplicates:
                yield f"I1: run {number}, item {item.index} is {item.state} ({item.reason}), but was paid for"


def last_report(world: World) -> BatchReport | None:
    """What the last run that said anything has said."""
    return next((run.report for run in reversed(world.runs) if run.report is not None), None)


def _items(report: BatchReport | None) -> tuple[Any, ...]:
    return () if report is None else report.items


def _never_lost(world: World) -> Iterator[str]:
    """I2: every clip that was there when the last run ended is in its report."""
    run = world.runs[-1] if world.runs else None
    if run is None or run.report is None or not (run.how == "ended" or may_raise(world, run)):
        return
    known = {item.task_id for item in run.report.items}
    told = {*run.report.audio_ids, *run.report.reconciliation.earlier}
    for task in world.tasks():
        landed = task.lands is not None and task.lands + 1 < run.ended and task.session_id == run.report.session_id
        if world.plan.model and task.task_id not in known:
            continue  # nothing lists it, and nobody was told of its task
        if landed and task.lands < _looked_by(world, run) and task.clip_id not in told:
            yield f"I2: the clip {task.clip_id} of {task.audio_url} ({task.ends}) is in no report"


def _looked_by(world: World, run: Run) -> float:
    """When a run must have read the list for the last time: without a journal nobody looks again, if it couldn't."""
    if world.plan.journal:
        return run.ended
    quiet = world.calm_since is not None and world.calm_since < run.ended - _PAUSE
    return run.ended - _PAUSE if quiet else world.began


def _never_wrong(world: World) -> Iterator[str]:
    """I3: a success is its own task's, and what was attributed by elimination is right."""
    by_task = {task.task_id: task for task in world.tasks()}
    last = last_report(world)
    for number, run in enumerate(world.runs):
        for item in _items(run.report):
            url = world.plan.urls[item.index]
            where = f"run {number}, item {item.index}"
            if item.state is ItemState.SUCCEEDED:
                task = by_task.get(item.task_id or "")
                if item.clip is None or item.evidence != "task":
                    yield f"I3: {where} succeeded without a clip of its own"
                elif task is None or task.audio_url != url or task.clip_id != item.clip.id:
                    yield f"I3: {where} has a clip that is not its own"
            elif item.clip is not None and not world.foreign:
                owners = {task.audio_url for task in by_task.values() if task.clip_id == item.clip.id}
                if owners != {url}:
                    yield f"I3: {where} was given the clip of {owners}, not of {url}"
            if run.report is last and item.clip is None and item.duplicate_of is None and run.how == "ended":
                yield from _misses_candidate(world, run, item, where)


def _misses_candidate(world: World, run: Run, item: Any, where: str) -> Iterator[str]:
    """An unknown item whose clip was listed while it could land must name it among its candidates."""
    if item.state is not ItemState.UNKNOWN or world.foreign or world.plan.keep_duplicates or world.plan.model:
        return
    session_id = None if run.report is None else run.report.session_id
    seen_by = min(_looked_by(world, run), world.settled.get(item.index, run.ended)) - _LOOKED
    for task in world.tasks():
        mine = task.audio_url == world.plan.urls[item.index] and task.session_id == session_id
        if mine and task.lands is not None and task.lands < seen_by and task.clip_id not in item.candidates:
            yield f"I3: {where} is {item.state}, and {task.clip_id} is its clip, but none of its candidates"


def _always_ends(world: World) -> Iterator[str]:
    """I4: every run ends within its bound; once nothing goes wrong, runs end by themselves and all is decided."""
    for number, run in enumerate(world.runs):
        took, deadline = run.ended - run.began, world.plan.deadline
        if run.how == "hung" or (deadline is not None and took > bound(world)):
            yield f"I4: run {number} was still going on after {took:.0f} s"
        if run.error is not None and not isinstance(run.error, MountseaError):
            yield f"I4: run {number} raised {run.error!r}"[:_SHOWN]
        elif run.error is not None and run.calm and not _may_raise(world, run, run.error):
            yield f"I4: run {number} raised {run.error!r} though nothing went wrong any more"[:_SHOWN]
    last = world.runs[-1] if world.runs else None
    if last is not None and last.how == "ended" and last.report is not None and not last.report.finished:
        states = Counter(str(item.state) for item in last.report.items)
        yield f"I4: the last run has left items undecided: {dict(states)}"


def _may_raise(world: World, run: Run, error: BaseException) -> bool:
    """Whether a run may end with this error though nothing goes wrong any more."""
    return _nowhere_to_go(world) or _too_late(error) or (world.plan.model and may_raise(world, run))


def _too_late(error: BaseException) -> bool:
    """Whether the world's deadline is too short for anything."""
    return isinstance(error, NotSubmittedError) and error.reason == "deadline"


def _nowhere_to_go(world: World) -> bool:
    """Whether no account is left to open a session on."""
    return all(account.lost for account in world.service._service._accounts)


_FINAL = frozenset({ItemState.SUCCEEDED, ItemState.FAILED, ItemState.TIMED_OUT})


def _no_contradiction(world: World) -> Iterator[str]:
    """I5: what one run has found out, no later one takes back."""
    told = [(number, run.report) for number, run in enumerate(world.runs) if run.report is not None]
    if not world.plan.journal:
        return
    for (_, before), (number, after) in pairwise(told):
        # A session that nothing was uploaded to, and whose row was lost, binds nobody.
        used = any(t.session_id == before.session_id and t.audio_url in world.plan.urls for t in world.tasks())
        if len(before.items) != len(after.items) or (used and before.session_id != after.session_id):
            yield f"I5: run {number} has other items, or another session"
            continue
        if before.journal_error is not None:
            continue  # what could not be written is in that report alone, as it says
        for old, new in zip(before.items, after.items, strict=True):
            if why := _contradicts(old, new, foreign=world.foreign):
                ends = f"{old.state} ({old.reason}), then {new.state} ({new.reason})"
                yield f"I5: run {number}, item {old.index}: {ends}: {why}"
    if len(told) > 1 and not world.plan.retry_failed and world.runs[-1].how == world.runs[-2].how == "ended":
        yield from _changed_for_nothing(told[-2][1], told[-1][1])


def _contradicts(old: Any, new: Any, *, foreign: bool) -> str | None:
    if new.resubmits < old.resubmits:
        return "it was sent again less often"
    if old.state is ItemState.SUCCEEDED and (new.state is not old.state or new.clip != old.clip):
        return "a success was taken back"
    if new.resubmits > old.resubmits:
        return None
    another = old.clip is not None and new.clip is not None and old.clip.id != new.clip.id
    if another and not (foreign and old.evidence == "elimination"):
        return "another clip"
    if old.state in _FINAL and new.state not in (old.state, ItemState.SUCCEEDED):
        return "an end was taken back"
    sent = old.state is ItemState.UNKNOWN or (old.state is ItemState.SUBMITTING and new.attempts < old.attempts)
    if sent and new.state in (ItemState.NEW, ItemState.NOT_SUBMITTED):
        return "it counts as never sent"
    if old.task_id is not None and new.task_id != old.task_id:
        return "its task was forgotten"
    return None


def _changed_for_nothing(before: BatchReport, after: BatchReport) -> Iterator[str]:
    """F34: a run that finds nothing new reports the same."""
    if not _complete(before):
        return
    for old, new in zip(before.items, after.items, strict=True):
        if (old.state, old.clip_id, set(old.candidates)) != (new.state, new.clip_id, set(new.candidates)):
            yield f"I5: item {old.index} is {new.state}/{new.clip_id}, was {old.state}/{old.clip_id}, for no reason"
    if set(before.audio_ids) != set(after.audio_ids):
        yield "I5: the same list of clips was told otherwise"


def _complete(report: BatchReport) -> bool:
    return all(item.state in (ItemState.SUCCEEDED, ItemState.FAILED, ItemState.TIMED_OUT) for item in report.items)


def _no_secret(world: World) -> Iterator[str]:
    """I6: the key is nowhere."""
    for run in world.runs:
        if run.report is not None and (KEY in repr(run.report) or KEY in json.dumps(run.report.to_dict())):
            yield "I6: the key is in a report"
        if run.error is not None and KEY in f"{run.error!r} {run.error}":
            yield "I6: the key is in an error"
    if world.secrets:
        yield f"I6: the key is in {world.secrets[:3]}"


def _nothing_left(world: World) -> Iterator[str]:
    """A run that has ended leaves nothing running and nothing open."""
    for number, run in enumerate(world.runs):
        if run.leftovers:
            yield f"run {number} has left {len(run.leftovers)}: {run.leftovers[0]}"[:_SHOWN]
    for context in world.loop.complaints[:3]:
        error = context.get("exception")
        yield f"the loop complained: {context.get('message')} {error!r}"[:_SHOWN]
