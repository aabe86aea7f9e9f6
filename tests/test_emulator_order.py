"""The emulated account's queue, where which of the waiting uploads is next is drawn."""

from __future__ import annotations

import random
from collections import Counter

import attrs
import pytest

from mountsea_async.testing import Behaviour, Fixed, LogNormal, Outcome
from mountsea_async.testing.service import Service, Task

RANDOM = Behaviour(durations=Fixed(10), parallel=2, order="random", accounts=1)


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def opened(behaviour: Behaviour, uploads: int) -> tuple[Service, Clock, str, list[Task]]:
    """A service with one session and its uploads, all handed in at 0."""
    clock = Clock()
    service = Service(behaviour, random.Random(behaviour.seed), clock)  # noqa: S311 - as the emulator does
    session_id = service.prepare()
    tasks = [service.upload(f"https://cdn.example.com/{number}.mp3", session_id) for number in range(uploads)]
    return service, clock, session_id, tasks


def course(tasks: list[Task]) -> list[tuple[float, float, float | None]]:
    return [(task.starts, task.finishes, task.lands) for task in tasks]


def seen_at(behaviour: Behaviour, moments: list[float]) -> tuple[list[tuple[float, float, float | None]], list[str]]:
    """The courses of thirty uploads and the session's list in the end, where somebody asks at these moments."""
    service, clock, session_id, tasks = opened(behaviour, 30)
    for clock.now in moments:
        service.status(tasks[0].task_id)
    clock.now = 1e4
    listed = service.status(session_id)["data"]["audioIds"]
    return course(tasks), listed


def test_a_free_place_is_taken_at_once_and_the_others_wait() -> None:
    service, clock, _, tasks = opened(RANDOM, 5)
    words = [service.status(task.task_id)["status"] for task in tasks]
    assert words == ["running"] * 2 + ["queued"] * 3
    clock.now = 10
    assert Counter(service.status(task.task_id)["status"] for task in tasks) == {
        "success": 2,
        "running": 2,
        "queued": 1,
    }
    clock.now = 30
    assert {service.status(task.task_id)["status"] for task in tasks} == {"success"}


def test_which_one_is_next_is_drawn_under_the_seed() -> None:
    orders = set()
    for seed in range(20):
        service, clock, session_id, tasks = opened(attrs.evolve(RANDOM, parallel=1, seed=seed), 6)
        clock.now = 100
        listed = service.status(session_id)["data"]["audioIds"]
        assert sorted(listed) == sorted(task.clip_id for task in tasks)
        orders.add(tuple([task.clip_id for task in tasks].index(clip_id) for clip_id in listed))
    assert len(orders) > 10
    assert {order[0] for order in orders} == {0}
    assert len({order[1] for order in orders}) > 3


def test_what_happens_does_not_depend_on_who_asks_when() -> None:
    behaviour = attrs.evolve(RANDOM, durations=LogNormal(10, 0.8), fail_share=0.1, append_lag=3)
    never, often = seen_at(behaviour, []), seen_at(behaviour, [number * 0.7 for number in range(1000)])
    assert never == often


def test_an_account_is_never_over_its_places_and_never_idle() -> None:
    courses, _ = seen_at(attrs.evolve(RANDOM, durations=LogNormal(10, 0.8)), [])
    ends = sorted(finishes for _, finishes, _ in courses)
    begins = sorted(starts for starts, _, _ in courses)
    assert begins[:2] == [0, 0]
    assert begins[2:] == ends[: len(begins) - 2]


def test_a_seed_gives_the_same_uploads_in_either_order() -> None:
    drawn, told = (
        opened(attrs.evolve(RANDOM, durations=LogNormal(10, 0.8), order=order), 10)[3] for order in ("random", "fifo")
    )
    assert [task.clip_id for task in drawn] == [task.clip_id for task in told]
    assert [task.ends for task in drawn] == [task.ends for task in told]


def test_without_a_bound_nobody_waits_for_a_turn() -> None:
    _, _, _, tasks = opened(attrs.evolve(RANDOM, parallel=None), 5)
    assert {task.starts for task in tasks} == {0}


def test_a_clip_of_a_queued_upload_is_charged_and_lands_after_its_turn_with_the_lists_lag() -> None:
    service, clock, session_id, _ = opened(attrs.evolve(RANDOM, parallel=1, append_lag=5), 1)
    task = service.upload("https://cdn.example.com/last.mp3", session_id)
    late = service.upload("https://cdn.example.com/late.mp3", session_id, Outcome("late", late_after=2))
    never = service.upload("https://cdn.example.com/never.mp3", session_id, Outcome("failed"))
    assert (task.lands, late.lands, never.lands) == (float("inf"), float("inf"), None)
    clock.now = 1000
    assert task.clip_id in {landed.clip_id for landed in service.landed()}
    assert task.lands == task.finishes + 5
    assert late.lands == late.finishes + 2
    assert never.lands is None
    assert never.finishes < 1000


def test_queued_uploads_of_a_lost_account_end_failed() -> None:
    service, clock, session_id, tasks = opened(attrs.evolve(RANDOM, parallel=1), 3)
    clock.now = 5
    service.lose_account(session_id)
    clock.now = 100
    assert [service.status(task.task_id)["status"] for task in tasks] == ["failed"] * 3
    assert service.status(session_id)["data"]["audioIds"] == []


def test_an_order_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match=r"Behaviour\.order must be one of 'fifo', 'random'"):
        Behaviour(order="lifo")  # type: ignore[arg-type]
