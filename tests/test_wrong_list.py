"""A wrong list of a session's clips costs no more than no list: whole batches of the real client in simulated networks.

The worlds are those that the benchmark measures, so that its tables and these tests can't disagree.
"""

from __future__ import annotations

import sys
from pathlib import Path

import attrs
import pytest

from mountsea_async import BatchReport
from mountsea_async.testing import Emulator

ROOT = Path(__file__).parents[1]
if str(ROOT) not in sys.path:
    sys.path.append(str(ROOT))  # last, so that an installed package is still the one that is tested

from benchmarks import polling_world  # noqa: E402 - found by the line above
from benchmarks.polling_world import WRONGS, Cell, Figures  # noqa: E402

SEEDS = (0, 1)
MEDIAN = 30


@pytest.fixture(autouse=True)
def every_item_ends_as_its_task_has(monkeypatch: pytest.MonkeyPatch) -> None:
    measured = polling_world.measured

    def checked(emulator: polling_world._Emulator, report: BatchReport, *times: float) -> Figures:
        states = {"success": "succeeded", "failed": "failed"}
        ends = {task_id: states[task.ends] for task_id, task in emulator.tasks.items()}
        assert {item.task_id: item.state for item in report.items} == ends
        for item in report.items:
            assert item.task_id is not None
            clip = emulator.tasks[item.task_id].clip_id if item.state == "succeeded" else None
            assert (item.clip and item.clip.id) == clip
        return measured(emulator, report, *times)

    assert issubclass(polling_world._Emulator, Emulator)
    monkeypatch.setattr(polling_world, "measured", checked)


def summed(cell: Cell) -> tuple[float, float]:
    """Requests an item and the mean lag, of all seeds together."""
    figures = [polling_world.live(cell, seed) for seed in SEEDS]
    return sum(each.requests for each in figures), sum(each.lag for each in figures)


@pytest.mark.parametrize("at_once", [1, 5, None])
@pytest.mark.parametrize("wrong", WRONGS)
def test_a_wrong_list_costs_at_most_the_documented_backoffs_requests_and_lag(wrong: str, at_once: int | None) -> None:
    cell = Cell("stream", MEDIAN, at_once, wrong=wrong)
    (requests, lag), (most, longest) = summed(cell), summed(attrs.evolve(cell, strategy="documented"))
    assert requests <= most
    assert lag <= longest


@pytest.mark.parametrize("wrong", WRONGS)
@pytest.mark.parametrize("at_once", [1, None])
def test_a_batch_ends_right_whatever_is_wrong_with_its_list(wrong: str, at_once: int | None) -> None:
    figures = polling_world.live(Cell("batch", MEDIAN, at_once, wrong=wrong), 3)
    assert figures.unsettled == 0
