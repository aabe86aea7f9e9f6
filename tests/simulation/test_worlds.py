"""Worlds drawn from seeds: whatever goes wrong, nothing is paid for twice, lost, made up or left undecided."""

# ruff: noqa: T201 - what it prints is what it is for
from __future__ import annotations

import os
import sys

import attrs
import pytest
from support.contract import check_calls

from simulation import plan
from simulation.command import again, many, paid_twice_naively
from simulation.models import draw_model
from simulation.runs import live
from simulation.verdict import judge
from simulation.world import inhabit

SEEDS = int(os.environ.get("SIMULATION_SEEDS", "100"))
PORTIONS = 10
REGRESSIONS = {
    177: "a late clip of a request that was repeated went to an item that had timed out",
    417: "a cancel of ours got lost in aiohttp's timeout when the machine had stood still",
    1132: "a late clip went to an item that had timed out, since the unknown one had settled",
    1616: "a late clip went to an item that had failed, since the unknown one had settled",
    745: "a late clip of a lost upload went to a later one: the settle time had shrunk to what uploads themselves take",
    301: "the clip of a request that arrived more than a minute late went to an item that was lost after it",
    4402: "a late clip went to an item that was sent after its own had settled, before any upload had ended",
    1573: "an item whose task was pending was given somebody else's clip",
}
"""Worlds in which something once went wrong, and what."""
MODEL_REGRESSIONS = {
    145: "a training that had failed was told as never sent when another could not be",
    282: "a run with a short deadline never looked at a training that had long ended",
    416: "a status that the service doesn't have was taken for a training under way",
    1658: "a training was followed under an id that wasn't the session's",
}
"""The same where a model is trained."""


@pytest.mark.parametrize("portion", range(PORTIONS))
def test_nothing_is_paid_twice_lost_or_left_undecided(portion: int, capsys: pytest.CaptureFixture[str]) -> None:
    totals = many(range(portion, SEEDS, PORTIONS))
    with capsys.disabled():
        print(f"\n  {next(iter(totals.lines()))}", end="", file=sys.stderr)
    assert not totals.failures, "\n" + "\n".join(totals.lines())


@pytest.mark.parametrize("portion", range(PORTIONS))
def test_no_training_and_no_upload_for_one_is_paid_twice_or_lost(
    portion: int, capsys: pytest.CaptureFixture[str]
) -> None:
    totals = many(range(portion, max(SEEDS // 4, 50), PORTIONS), model=True)
    with capsys.disabled():
        print(f"\n  models: {next(iter(totals.lines()))}", end="", file=sys.stderr)
    assert not totals.failures, "\n" + "\n".join(totals.lines())


@pytest.mark.parametrize("seed", MODEL_REGRESSIONS)
def test_what_went_wrong_once_with_a_model_does_not_again(seed: int) -> None:
    world = inhabit(draw_model(seed), live)
    assert not judge(world), f"{MODEL_REGRESSIONS[seed]}; {again(seed, model=True)}"


@pytest.mark.parametrize("seed", REGRESSIONS)
def test_what_went_wrong_once_does_not_again(seed: int) -> None:
    world = inhabit(plan.draw(seed), live)
    assert not judge(world), f"{REGRESSIONS[seed]}; {again(seed)}"


def test_an_uploader_that_retries_pays_twice_in_every_third_world(capsys: pytest.CaptureFixture[str]) -> None:
    worlds = max(SEEDS, 200)
    caught = paid_twice_naively(range(worlds))
    with capsys.disabled():
        print(f"\n  naive: pays twice in {len(caught)} of {worlds} worlds", end="", file=sys.stderr)
    assert len(caught) > worlds / 3


@pytest.mark.parametrize("seed", range(3))
def test_every_request_of_a_world_keeps_to_the_contract(seed: int) -> None:
    world = inhabit(plan.draw(seed), live, keep_calls=True)
    assert world.ledger.calls
    check_calls(world.ledger.calls)


def test_the_worlds_differ() -> None:
    plans = [plan.draw(seed) for seed in range(50)]
    assert len({attrs.astuple(drawn, recurse=False)[1:] and repr(drawn) for drawn in plans}) == 50
    assert plan.draw(7) == plan.draw(7)
