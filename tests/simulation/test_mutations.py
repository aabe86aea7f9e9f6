"""The simulator finds bugs: some, put into the uploader one at a time."""

# ruff: noqa: T201 - what it prints is what it is for
from __future__ import annotations

import sys

import pytest

from simulation.mutations import MUTATIONS, SEARCHES, Mutation, finds

QUICKEST = ("patience", "kill", "seed", "model")


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.__name__)
def test_a_bug_is_found(mutation: Mutation, capsys: pytest.CaptureFixture[str]) -> None:
    searches = ("model",) if "training" in mutation.__name__ else QUICKEST
    found = next((said for search in searches if (said := finds(search, mutation))), None)
    with capsys.disabled():
        print(f"\n  {mutation.__name__}: {found}", end="", file=sys.stderr)
    assert found is not None


def test_the_searches_are_the_suite_s() -> None:
    assert set(QUICKEST) == set(SEARCHES)
