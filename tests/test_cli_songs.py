"""`mountsea generate`, `inspire` and `credits`: what they send, print and refuse, and their exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.terminal import Terminal, serving

from mountsea_async.testing import Answer, Cut, Fault, Outcome, out_of_credits

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
        (("generate", "create", "--model", "gpt-9"), "--model='gpt-9'"),
        ((*CREATE, "--field", "nonsense"), "--field nonsense: give NAME=VALUE"),
        ((*CREATE, "--field", "prompt=again"), "--field prompt=...: that is said already"),
        ((*CREATE, "--field", 'controls={"volume": 1}'), "style_weight, audio_weight, weirdness_constraint"),
        ((*CREATE, "--range", "20", "10"), "the end lies after the beginning"),
        ((*CREATE, "--deadline", "5", "--no-wait"), "contradict each other"),
        ((*CREATE, "--output", "/nowhere/at/all.txt"), "can't write"),
        (("inspire", "--model", "chirp-v55"), "give the clips, or --report FILE"),
        (("inspire", "a", "b", "c", "d", "e", "--model", "chirp-v55"), "5 are too many"),
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


# -------------------------------------------------------------------------------------------------------- inspire
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
    assert "client.upload_batch(...)" in done.err


# -------------------------------------------------------------------------------------------------------- credits
def test_the_credits_that_are_left(mountsea: Terminal) -> None:
    with serving(mountsea, credits=250, price=10) as emulator:
        assert mountsea("credits").out == "250\n"
        mountsea("upload", URLS[0], "--quiet", "--no-journal")
        assert json.loads(mountsea("credits", "--format", "json").out) == {"credits": 240}
        mountsea.patch.setenv("MOUNTSEA_BASE_URL", "http://127.0.0.1:9")
        assert mountsea("credits", "--balance-url", emulator.base_url).out == "240\n"
        emulator.revoke_key()
        assert mountsea("credits", "--balance-url", emulator.base_url).code == 4
