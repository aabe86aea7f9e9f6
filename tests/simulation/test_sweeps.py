"""A batch of 30 items, cut off at its callbacks and gone on with; and what stays unknown, beside two oracles."""

# ruff: noqa: T201 - what it prints is what it is for
from __future__ import annotations

import os
import sys
from typing import Literal

import attrs
import pytest

from simulation import sweep

EVERY = int(os.environ.get("SIMULATION_EVERY", "10"))
"""Only each so manieth callback is looked at. `python -m tests.simulation --sweep` looks at all of them."""
PORTIONS = 3
LOSSY_WORLDS = 100


def tell(capsys: pytest.CaptureFixture[str], swept: sweep.Swept, what: str) -> None:
    with capsys.disabled():
        oracles = ", ".join(f"{name} {100 * lost / swept.items:.2f} %" for name, lost in swept.lost.items())
        text = (
            f"{what}: {swept.places} worlds, {100 * swept.unknown / swept.items:.2f} % end unknown; oracles: {oracles}"
        )
        print(f"\n  {text}", end="", file=sys.stderr)


@pytest.mark.parametrize("portion", range(PORTIONS))
@pytest.mark.parametrize("how", ["kill", "cancel"])
def test_cut_off_at_any_callback_a_batch_goes_on(
    how: Literal["kill", "cancel"], portion: int, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = sweep.quiet()
    places = range(1 + portion * EVERY, sweep.callbacks(plan) + 1, PORTIONS * EVERY)
    swept = sweep.cut_off(plan, how, places)
    tell(capsys, swept, f"{how} at {len(places)} callbacks")
    assert not swept.complaints, "\n" + "\n".join(f"{how} at {step}: {what}" for step, what in swept.complaints.items())
    assert swept.unknown <= swept.in_flight


@pytest.mark.parametrize("how", ["kill", "power", "cancel"])
def test_cut_off_at_any_callback_a_training_goes_on(how: Literal["kill", "power", "cancel"]) -> None:
    plan = sweep.training()
    swept = sweep.cut_off(plan, how, range(1, sweep.callbacks(plan) + 1, 2 * EVERY))
    assert not swept.complaints, swept.complaints
    assert swept.unknown <= swept.in_flight


@pytest.mark.parametrize("how", ["kill", "power", "cancel"])
def test_cut_off_while_answers_get_lost_a_batch_goes_on(how: Literal["kill", "power", "cancel"]) -> None:
    plan = attrs.evolve(sweep.lossy(3, items=8), calm_at=60.0)
    swept = sweep.cut_off(plan, how, range(1, sweep.callbacks(plan), 29))
    complaints = {step: [c for c in what if "under way" not in c] for step, what in swept.complaints.items()}
    assert not any(complaints.values()), complaints


def test_without_faults_nothing_is_unknown(capsys: pytest.CaptureFixture[str]) -> None:
    swept = sweep.share_of_unknown([sweep.quiet(seed=seed) for seed in range(10)])
    tell(capsys, swept, "no faults")
    assert not swept.complaints
    assert swept.unknown == 0
    assert swept.charges == swept.items


def test_lost_answers_leave_hardly_more_unknown_than_the_list_alone_can_tell(
    capsys: pytest.CaptureFixture[str],
) -> None:
    swept = sweep.share_of_unknown([sweep.lossy(seed) for seed in range(LOSSY_WORLDS)])
    tell(capsys, swept, "10 % of the submits lose their answer")
    assert not swept.complaints
    assert swept.unknown <= 1.2 * swept.lost["audioIds alone"]


def test_what_may_be_sent_again_is_not_paid_twice_while_its_clip_may_come() -> None:
    swept = sweep.share_of_unknown([sweep.patient(seed) for seed in range(20)])
    assert not swept.complaints
