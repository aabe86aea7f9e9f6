"""`mountsea generate`, `inspire` and `credits`: what they send, print and refuse, and their exit codes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.names import KEY
from support.terminal import Terminal, serving, until

from mountsea_async.cli import output
from mountsea_async.cli.emulator import ledger_lines
from mountsea_async.testing import Answer, Cut, Emulator, Fault, Fixed, Hang, Outcome, out_of_credits

pytestmark = pytest.mark.e2e

URLS = [f"https://example.com/{number}.mp3?sig=SECRETSIGNATURE" for number in range(8)]
CREATE = ("generate", "create", "--model", "chirp-v55", "--prompt", "La la la")


def on_generate(effect: Any, **where: Any) -> Fault:
    return Fault(effect, on="generate", **where)


def upload(mountsea: Terminal, count: int, path: Path, *flags: str) -> list[str]:
    done = mountsea("upload", *URLS[:count], "--format", "json", "--output", str(path), "--quiet", *flags)
    assert done.code == 0
    ids: list[str] = json.loads(path.read_text())["audio_ids"]
    return ids


# ------------------------------------------------------------------------------------------------------- generate
def test_a_generation_is_waited_for_and_its_clips_are_printed(mountsea: Terminal) -> None:
    with serving(mountsea) as emulator:
        done = mountsea(*CREATE, "--title", "Sea", "--make-instrumental", "--vocal-gender", "f")
        (generation,) = emulator.ledger.generations
        sent = json.loads(next(call.body for call in emulator.ledger.calls if call.endpoint == "generate"))
    assert done.code == 0
    assert [line.split()[0] for line in done.out.splitlines()] == list(generation.clip_ids)
    assert generation.task_id in done.err
    assert sent == {
        "task": "create",
        "model": "chirp-v55",
        "prompt": "La la la",
        "title": "Sea",
        "make_instrumental": True,
        "vocal_gender": "f",
    }


def test_it_prints_json_to_a_file_and_the_task_alone_where_nobody_waits(mountsea: Terminal, tmp_path: Path) -> None:
    with serving(mountsea) as emulator:
        done = mountsea(*CREATE, "--format", "json", "--output", str(tmp_path / "song.json"), "--quiet")
        told = json.loads((tmp_path / "song.json").read_text())
        assert (done.code, done.out, done.err) == (0, "", "")
        assert told["status"] == "success"
        assert tuple(clip["id"] for clip in told["clips"]) == emulator.ledger.generations[0].clip_ids
        done = mountsea(*CREATE, "--no-wait")
        assert (done.code, done.out.strip()) == (0, emulator.ledger.generations[1].task_id)


def test_any_field_of_the_service_can_be_given(mountsea: Terminal, tmp_path: Path) -> None:
    with serving(mountsea) as emulator:
        clip = upload(mountsea, 1, tmp_path / "r.json")[0]
        done = mountsea(
            *("generate", "replace_section", "--model", "chirp-v55", "--clip-id", clip, "--range", "10", "20"),
            *("--field", 'infill_context_range={"start_s": 5, "end_s": 25}', "--field", "infill_lyrics=la"),
            *("--field", "continued_aligned_prompt=la la", "--field", 'controls={"style_weight": 0.5}'),
        )
        sent = json.loads(next(call.body for call in emulator.ledger.calls if call.endpoint == "generate"))
    assert done.code == 0
    assert sent["range"] == {"start_s": 10, "end_s": 20}
    assert sent["infill_context_range"] == {"start_s": 5, "end_s": 25}
    assert (sent["infill_lyrics"], sent["controls"]) == ("la", {"style_weight": 0.5})


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("generate",), "say what to generate"),
        (("generate", "creat", "--model", "chirp-v55"), "TASK 'creat': no kind of generation"),
        (("generate", "create"), "--model: task 'create' requires it"),
        (("generate", "extend", "--model", "chirp-v55"), "--clip-id: task 'extend' requires it"),
        (("generate", "create", "--model", "gpt-9"), "--model 'gpt-9'"),
        ((*CREATE, "--field", "nonsense"), "--field nonsense: give NAME=VALUE"),
        ((*CREATE, "--field", "prompt=again"), "--field prompt=...: that is said already"),
        ((*CREATE, "--field", 'controls={"volume": 1}'), "style_weight, audio_weight, weirdness_constraint"),
        ((*CREATE, "--range", "20", "10"), "the end lies after the beginning"),
        ((*CREATE, "--deadline", "5", "--no-wait"), "contradict each other"),
        ((*CREATE, "--deadline", "-1"), "--deadline -1.0: give seconds above 0"),
        ((*CREATE, "--deadline", "0"), "--deadline 0.0: give seconds above 0"),
        (("inspire", "a", "--model", "chirp-v55", "--deadline", "-1"), "--deadline -1.0: give seconds above 0"),
        ((*CREATE, "--persona-id", ""), "--persona-id '': give an id"),
        (("generate", "mashup", "--model", "chirp-v55", "--mashup-clip-ids", "a"), "--mashup-clip-ids has 1 clips"),
        (("generate", "sound"), "--field sound=...: task 'sound' requires it"),
        (("generate", "upload_cover", "--model", "chirp-v55", "--audio-url", "http://10.0.0.1/a"), "--allow-private"),
        ((*CREATE, "--output", "/nowhere/at/all.txt"), "can't write"),
        (("inspire", "--model", "chirp-v55"), "give the clips, or --report FILE"),
        (
            ("inspire", "a", "b", "c", "d", "e", "--model", "chirp-v55"),
            "CLIP_IDS: 5 are too many, 1 to 4 inspire a song: choose some, or give --report FILE",
        ),
        (("inspire", "a", "a", "--model", "chirp-v55"), "more than once"),
        (("inspire", "a", "--group", "1", "--model", "chirp-v55"), "--group chooses among the clips of --report"),
        (("inspire", "--report", "/nowhere.json", "--model", "chirp-v55"), "/nowhere.json: can't be read"),
    ],
)
def test_what_cannot_be_sent_is_refused_before_anything_is(
    arguments: tuple[str, ...], words: str, mountsea: Terminal
) -> None:
    with serving(mountsea) as emulator:
        done = mountsea(*arguments)
        assert (done.code, emulator.ledger.requests()) == (2, 0)
    assert words in done.err


@pytest.mark.parametrize(
    ("fault", "code", "words"),
    [
        (on_generate(Cut(after_work=True)), 3, "may or may not have been processed"),
        (on_generate(out_of_credits()), 4, "no credits left"),
        (on_generate(Answer(401)), 4, "the API key was refused"),
        (on_generate(Outcome("failed")), 1, "failed"),
        (on_generate(Answer(400)), 5, "must be on one account"),
    ],
    ids=["lost", "credits", "key", "failed", "refused"],
)
def test_what_went_wrong_has_its_exit_code_and_is_sent_once(
    fault: Fault, code: int, words: str, mountsea: Terminal
) -> None:
    with serving(mountsea, fault) as emulator:
        done = mountsea(*CREATE)
        assert emulator.ledger.requests("generate") == 1
    assert (done.code, done.out) == (code, "")
    assert words in done.err


def test_a_deadline_says_which_task_goes_on(mountsea: Terminal) -> None:
    with serving(mountsea) as emulator:
        done = mountsea(*CREATE, "--deadline", "0.01")
        assert done.code == 3
        assert emulator.ledger.generations[0].task_id in done.err


def test_the_service_says_what_a_kind_requires(mountsea: Terminal) -> None:
    with serving(mountsea):
        done = mountsea("generate", "--schema", "replace_section")
        assert "requires clip_id, range, infill_context_range" in done.out
        kinds = json.loads(mountsea("generate", "--schema", "--format", "json").out)
    assert len(kinds) == 15


def test_a_dash_is_what_was_typed(mountsea: Terminal) -> None:
    with serving(mountsea) as emulator:
        done = mountsea("generate", "create", "--model", "chirp-v55", "--prompt", "-", "--output", "-")
        sent = json.loads(next(call.body for call in emulator.ledger.calls if call.endpoint == "generate"))
    assert (done.code, len(done.out.splitlines()), sent["prompt"]) == (0, 2, "-")


def test_clips_are_mixed(mountsea: Terminal, tmp_path: Path) -> None:
    with serving(mountsea) as emulator:
        ids = upload(mountsea, 2, tmp_path / "r.json")
        done = mountsea("generate", "mashup", "--model", "chirp-v55", "--mashup-clip-ids", *ids)
        sent = json.loads(next(call.body for call in emulator.ledger.calls if call.endpoint == "generate"))
    assert (done.code, sent["mashup_clip_ids"]) == (0, ids)


def test_the_suffix_of_the_file_says_the_form(mountsea: Terminal, tmp_path: Path) -> None:
    with serving(mountsea):
        assert mountsea(*CREATE, "--output", str(tmp_path / "a.json")).code == 0
        assert mountsea(*CREATE, "--output", str(tmp_path / "a.txt")).code == 0
        assert mountsea("generate", "--schema", "--output", str(tmp_path / "b.json")).out == ""
    assert json.loads((tmp_path / "a.json").read_text())["status"] == "success"
    assert len((tmp_path / "a.txt").read_text().splitlines()) == 2
    assert len(json.loads((tmp_path / "b.json").read_text())) == 15


def test_clips_are_not_lost_with_the_file_they_were_for(mountsea: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with serving(mountsea) as emulator:
        monkeypatch.setattr(output, "to_file", full)
        done = mountsea(*CREATE, "--output", "song.txt")
        assert (done.code, len(done.out.splitlines())) == (5, 2)
        monkeypatch.setattr(output, "to_stdout", full)
        done = mountsea(*CREATE)
        assert done.code == 5
        assert all(clip_id in done.err for clip_id in emulator.ledger.generations[1].clip_ids)


def interrupted(emulator: Emulator, number: signal.Signals, when: Callable[[], object], *flags: str) -> str:
    """Runs the command as a process, sends it the signal, and returns what it said."""
    env = {**os.environ, "MOUNTSEA_API_KEY": KEY, "MOUNTSEA_BASE_URL": emulator.base_url, "PYTHONWARNINGS": "error"}
    command = [sys.executable, "-m", "mountsea_async.cli", *CREATE, *flags]
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, env=env, **pipes) as process:  # type: ignore[call-overload] # three pipes
        try:
            until(when, "the moment of the signal")
            process.send_signal(number)
            out, err = process.communicate(timeout=40)
        finally:
            process.kill()
    assert (process.returncode, out) == (130, b"")
    assert b"Traceback" not in err
    return str(err.decode())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_while_it_waits_it_says_how_to_look_again(number: signal.Signals, mountsea: Terminal) -> None:
    with serving(mountsea, generation=Fixed(600)) as emulator:
        err = interrupted(emulator, number, lambda: emulator.ledger.requests("status"), "--quiet")
        (generation,) = emulator.ledger.generations
    assert err.splitlines()[-1] == f"  mountsea status {generation.task_id}"


def test_interrupted_before_an_answer_it_does_not_say_that_nothing_was_paid(mountsea: Terminal) -> None:
    with serving(mountsea, on_generate(Hang(after_work=True))) as emulator:
        err = interrupted(emulator, signal.SIGINT, lambda: emulator.ledger.generations)
    assert "may or may not have been accepted" in err
    assert "nothing was paid" not in err


# -------------------------------------------------------------------------------------------------------- inspire
def test_a_playlist_is_not_lost_with_the_song(mountsea: Terminal, tmp_path: Path) -> None:
    with serving(mountsea, on_generate(out_of_credits(), nth=1)) as emulator:
        (clip,) = upload(mountsea, 1, tmp_path / "r.json")
        done = mountsea("inspire", clip, "--model", "chirp-v55")
        assert done.code == 4
        command = done.err.strip().removesuffix(")").partition("go on with mountsea ")[2]
        assert mountsea(*command.split(), "--model", "chirp-v55").code == 0
        assert emulator.ledger.requests("playlist") == 1


def test_four_urls_become_an_inspired_song_on_their_account(mountsea: Terminal, tmp_path: Path) -> None:
    report, journal = tmp_path / "report.json", tmp_path / "batch.journal"
    with serving(mountsea, accounts=3) as emulator:
        ids = upload(mountsea, 4, report, "--journal", str(journal))
        for file in (report, journal):
            done = mountsea("inspire", "--report", str(file), "--model", "chirp-v55", "--title", "Inspired")
            assert done.code == 0
            made = [line.split()[0] for line in done.out.splitlines()]
            accounts = {emulator.ledger.account_of(clip) for clip in (*ids, *made)}
            assert len(accounts) == 1


def test_of_a_larger_batch_four_are_chosen(mountsea: Terminal, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    with serving(mountsea) as emulator:
        ids = upload(mountsea, 6, report)
        done = mountsea("inspire", "--report", str(report), "--model", "chirp-v55")
        assert done.code == 2
        assert "--group 1 to --group 2" in done.err
        assert mountsea("inspire", "--report", str(report), "--group", "3", "--model", "chirp-v55").code == 2
        assert mountsea("inspire", "--report", str(report), "--group", "2", "--model", "chirp-v55").code == 0
        sent = [json.loads(call.body) for call in emulator.ledger.calls if call.endpoint == "playlist"]
    assert [body["clip_ids"] for body in sent] == [ids[4:]]


@pytest.mark.parametrize("content", ["no json", "[]", '{"audio_ids": 7}', '{"audio_ids": []}', '{"items": []}'])
def test_a_file_that_holds_no_clips_is_named(content: str, mountsea: Terminal, tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text(content)
    with serving(mountsea) as emulator:
        done = mountsea("inspire", "--report", str(tmp_path / "r.json"), "--model", "chirp-v55")
        assert (done.code, emulator.ledger.requests()) == (2, 0)
    assert f"--report {tmp_path / 'r.json'}: " in done.err


def test_clips_of_different_accounts_are_refused_with_the_way_out(mountsea: Terminal, tmp_path: Path) -> None:
    with serving(mountsea, accounts=2, seed=1) as emulator:
        ids: list[str] = []
        while len({emulator.ledger.account_of(clip) for clip in ids}) < 2:
            ids += upload(mountsea, 1, tmp_path / "r.json", "--no-journal")
        one, *others = ids
        other = next(c for c in others if emulator.ledger.account_of(c) != emulator.ledger.account_of(one))
        done = mountsea("inspire", one, other, "--model", "chirp-v55")
        assert emulator.ledger.generations == ()
    assert done.code == 5
    assert "All clips must belong to the same account" in done.err
    assert "those of one mountsea upload (or of one --session-id) are" in done.err
    assert "client." not in done.err


# ------------------------------------------------------------------------------------------- emulator and credits
def test_the_emulator_tells_of_generations_where_there_were_any(mountsea: Terminal) -> None:
    with serving(mountsea) as emulator:
        before = ledger_lines(emulator.ledger.summary())
        assert mountsea(*CREATE).code == 0
        after = ledger_lines(emulator.ledger.summary())
    assert "generations: 1" in after
    assert not any(line.startswith(("generations", "trainings")) for line in before)


def test_the_credits_that_are_left(mountsea: Terminal) -> None:
    with serving(mountsea, credits=250, price=10) as emulator:
        assert mountsea("credits").out == "250\n"
        mountsea("upload", URLS[0], "--quiet", "--no-journal")
        assert json.loads(mountsea("credits", "--format", "json").out) == {"credits": 240}
        mountsea.patch.setenv("MOUNTSEA_BASE_URL", "http://127.0.0.1:9")
        assert mountsea("credits", "--balance-url", emulator.base_url).out == "240\n"
        emulator.revoke_key()
        assert mountsea("credits", "--balance-url", emulator.base_url).code == 4
