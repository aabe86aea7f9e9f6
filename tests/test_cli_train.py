"""`mountsea train`: uploads and trains, says what became of both, and goes on with what was interrupted."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from support.terminal import Terminal, serving

from mountsea_async import ItemState, read_journal
from mountsea_async.testing import Answer, Cut, Fault, Fixed, Outcome, out_of_credits

pytestmark = pytest.mark.e2e

URLS = [f"https://example.com/{number}.mp3?sig=SECRETSIGNATURE" for number in range(8)]
BOUND = 40.0


def on_create(effect: Any, **where: Any) -> Fault:
    return Fault(effect, on="model_create", **where)


def until(holds: Callable[[], Any]) -> None:
    end = time.monotonic() + BOUND
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)


def kinds(journal: Path) -> set[str]:
    """The kinds of events that a journal holds."""
    with closing(sqlite3.connect(f"{journal.as_uri()}?mode=ro", uri=True)) as connection:
        return {kind for (kind,) in connection.execute("SELECT DISTINCT kind FROM event")}


def test_eight_urls_become_a_model(mountsea: Terminal) -> None:
    with serving(mountsea) as emulator:
        done = mountsea("train", "--name", "v6Pro", *URLS)
        (training,) = emulator.ledger.trainings
    assert done.code == 0
    assert done.out.splitlines()[-1] == f"model  {training.model}"
    assert f"model 'v6Pro': trained on 8 clips: {training.model}" in done.err
    assert "training model 'v6Pro'" in done.err


def test_it_prints_json_and_the_same_journal_again_pays_for_nothing(mountsea: Terminal, tmp_path: Path) -> None:
    arguments = ("train", "--name", "v6Pro", "--journal", str(tmp_path / "j"), "--format", "json", "--quiet", *URLS)
    with serving(mountsea) as emulator:
        first, second = (json.loads(mountsea(*arguments).out) for _ in range(2))
        assert [training.model for training in emulator.ledger.trainings] == [first["training"]["model_id"]]
    assert first["training"] == second["training"]
    assert first["training"]["state"] == "succeeded"


def test_a_song_is_made_with_the_model(mountsea: Terminal) -> None:
    with serving(mountsea) as emulator:
        trained = mountsea("train", "--name", "v6Pro", "--no-journal", *URLS)
        model = trained.out.splitlines()[-1].split()[1]
        done = mountsea("generate", "create", "--model", model, "--prompt", "La la la")
        assert emulator.ledger.generations[0].model == model
    assert done.code == 0
    assert len(done.out.splitlines()) == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--name", "m", *URLS[:5]), "5 different URLs: a custom model needs at least 6"),
        (("--name", "", *URLS), "--name"),
        (URLS, "--name"),
        (("--name", "m", "--at-least", "5", *URLS), "--at-least 5: give a whole number from 6"),
        (("--name", "m", "--at-least", "9", *URLS), "8 different URLs: a custom model needs at least 9"),
        (("--name", "m", "--max-credits", "107", "--price-per-item", "1", *URLS), "100 for the training"),
        (("--name", "m", "--max-credits", "107", *URLS), "--price-per-item: give both --max-credits and"),
        (("--name", "m", "--on-unknown", "hold", *URLS), "--on-unknown"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_anything_is_sent(
    arguments: tuple[str, ...], words: str, mountsea: Terminal
) -> None:
    with serving(mountsea) as emulator:
        done = mountsea("train", *arguments)
        assert (done.code, emulator.ledger.requests()) == (2, 0)
    assert words in done.err


@pytest.mark.parametrize(("failing", "code", "trained"), [((1, 2), 1, 1), ((1, 2, 3), 5, 0)])
def test_it_trains_on_what_succeeded_if_that_is_enough(
    failing: tuple[int, ...], code: int, trained: int, mountsea: Terminal
) -> None:
    with serving(mountsea, Fault(Outcome("failed"), on="model_upload", nth=failing)) as emulator:
        done = mountsea("train", "--name", "m", *URLS)
        assert len(emulator.ledger.trainings) == trained
    assert done.code == code
    assert f"{len(failing)} failed" in done.err
    assert ("trained on 6 clips" if trained else "model 'm': not trained") in done.err


@pytest.mark.parametrize(
    ("fault", "code", "words"),
    [
        (on_create(Outcome("failed")), 1, "its training failed. Resume with --retry-failed trains it again."),
        (on_create(out_of_credits()), 4, "not trained and not paid for"),
        (on_create(Answer(400)), 5, "not trained and not paid for"),
    ],
    ids=["failed", "credits", "refused"],
)
def test_what_kept_it_from_a_model_is_said_and_a_resume_goes_on(
    fault: Fault, code: int, words: str, mountsea: Terminal, tmp_path: Path
) -> None:
    with serving(mountsea, fault) as emulator:
        done = mountsea("train", "--name", "m", "--journal", str(tmp_path / "j"), *URLS)
        assert done.code == code
        assert words in done.err
        assert f"mountsea resume {tmp_path / 'j'}" in done.err
        emulator.clear_faults()
        done = mountsea("resume", str(tmp_path / "j"), "--retry-failed")
        assert done.code == 0
        assert done.out.splitlines()[-1] == f"model  {emulator.ledger.trainings[-1].model}"
        assert emulator.ledger.paid_twice() == {}


def test_a_training_whose_answer_was_lost_is_found(mountsea: Terminal) -> None:
    with serving(mountsea, on_create(Cut(after_work=True), nth=1)) as emulator:
        done = mountsea("train", "--name", "m", *URLS)
        assert len(emulator.ledger.trainings) == 1
    assert done.code == 0


def test_a_deadline_leaves_a_training_to_a_resume(mountsea: Terminal, tmp_path: Path) -> None:
    with serving(mountsea, training=Fixed(3.0)) as emulator:
        done = mountsea("train", "--name", "m", "--deadline", "1.5", "--journal", str(tmp_path / "j"), *URLS)
        assert done.code == 3
        assert "its training goes on by itself and is paid for" in done.err
        told = mountsea("journal", str(tmp_path / "j"))
        assert "its training goes on by itself" in told.err
        assert "go on with" in told.err
        assert mountsea("resume", str(tmp_path / "j")).code == 0
        assert len(emulator.ledger.trainings) == 1


def test_a_journal_is_of_one_kind(mountsea: Terminal, tmp_path: Path) -> None:
    with serving(mountsea):
        mountsea("train", "--name", "m", "--journal", str(tmp_path / "model"), "--quiet", *URLS)
        mountsea("upload", "--journal", str(tmp_path / "batch"), "--quiet", *URLS)
        wrong = mountsea("upload", "--journal", str(tmp_path / "model"), *URLS)
        assert (wrong.code, "is that of a custom model" in wrong.err) == (2, True)
        wrong = mountsea("train", "--name", "m", "--journal", str(tmp_path / "batch"), *URLS)
        assert (wrong.code, "is that of a batch upload" in wrong.err) == (2, True)
        wrong = mountsea("train", "--name", "another", "--journal", str(tmp_path / "model"), *URLS)
        assert (wrong.code, "is that of model 'm', not 'another'" in wrong.err) == (2, True)


def test_ctrl_c_while_uploading_trains_nothing_and_a_resume_does(mountsea: Terminal, tmp_path: Path) -> None:
    with serving(mountsea, durations=Fixed(1.0)) as emulator:

        def interrupt() -> None:
            until(lambda: emulator.ledger.requests("model_upload") == len(URLS))
            os.kill(os.getpid(), signal.SIGINT)

        pressing = threading.Thread(target=interrupt)
        pressing.start()
        done = mountsea("train", "--name", "m", "--journal", str(tmp_path / "j"), *URLS)
        pressing.join()
        assert (done.code, emulator.ledger.trainings) == (130, ())
        report = read_journal(tmp_path / "j")
        assert (len(report.succeeded), report.training.state) == (8, ItemState.NEW)
        assert mountsea("resume", str(tmp_path / "j")).code == 0
        assert len(emulator.ledger.trainings) == 1


def test_ctrl_c_twice_while_training_leaves_it_to_a_resume(mountsea: Terminal, tmp_path: Path) -> None:
    with serving(mountsea, training=Fixed(4.0)) as emulator:

        def interrupt() -> None:
            until(lambda: emulator.ledger.trainings)
            until(lambda: read_journal(tmp_path / "j").training.state is ItemState.SUBMITTED)
            os.kill(os.getpid(), signal.SIGINT)
            until(lambda: "submits_stopped" in kinds(tmp_path / "j"))
            os.kill(os.getpid(), signal.SIGINT)

        pressing = threading.Thread(target=interrupt)
        pressing.start()
        done = mountsea("train", "--name", "m", "--journal", str(tmp_path / "j"), *URLS)
        pressing.join()
        assert done.code == 130
        assert "its training goes on by itself" in done.err
        assert mountsea("resume", str(tmp_path / "j")).code == 0
        assert len(emulator.ledger.trainings) == 1
        assert emulator.ledger.paid_twice() == {}
