"""The journals of `mountsea`: kept by default, gone on with, looked into; and what is said where one is in the way.

The commands run in this process, against an emulator over real sockets; only what is killed is a process of its own.
"""

from __future__ import annotations

import csv
import io
import json
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from support.terminal import Terminal, serving

from mountsea_async import (
    ConfigurationError,
    UploadItem,
    UploadSession,
    read_journal,
)
from mountsea_async.cli import state
from mountsea_async.testing import Answer, Fault, Fixed, out_of_credits

pytestmark = pytest.mark.e2e

BOUND = 40.0
URLS = [f"https://example.com/{number}.mp3?sig=SECRETSIGNATURE" for number in range(6)]
NO_CREDITS = Fault(out_of_credits(), nth=3)


def kept() -> list[Path]:
    """The journals in the state directory."""
    return sorted(state.folder().glob("*.journal"))


def printed_command(err: str) -> list[str]:
    """The arguments of the command that goes on, as a shell would read them."""
    lines = err.splitlines()
    program, *arguments = shlex.split(lines[lines.index("  go on with:") + 1])
    assert program == "mountsea"
    return arguments


def until(holds: Callable[[], Any], what: str) -> None:
    end = time.monotonic() + BOUND
    while not holds():
        assert time.monotonic() < end, f"not in time: {what}"
        time.sleep(0.01)


# --------------------------------------------------------------------------------------------- where it is kept
def test_a_journal_is_kept_in_the_state_directory_and_a_finished_one_hinders_nobody(mountsea: Terminal) -> None:
    with serving(mountsea) as emulator:
        done = mountsea("upload", *URLS)
        (journal,) = kept()
        assert done.code == 0
        assert done.err.splitlines()[0] == f"journal: {journal}"
        assert "go on with" not in done.err
        assert (journal.stat().st_mode & 0o777, journal.parent.stat().st_mode & 0o777) == (0o600, 0o700)
        assert len(read_journal(journal).succeeded) == len(URLS)
        assert mountsea("upload", *URLS, "--quiet").code == 0
        assert len(kept()) == 2
        assert {emulator.ledger.posts(url) for url in URLS} == {2}


def test_no_journal_keeps_none(mountsea: Terminal) -> None:
    with serving(mountsea, NO_CREDITS):
        done = mountsea("upload", *URLS, "--no-journal", "--concurrency", "1")
    assert done.code == 4
    assert "mountsea resume" not in done.err
    assert "--session-id" in done.err
    assert kept() == []


def test_what_got_no_session_leaves_no_journal_behind(mountsea: Terminal) -> None:
    with serving(mountsea) as emulator:
        mountsea.patch.setenv("MOUNTSEA_API_KEY", "mistyped")
        assert mountsea("upload", *URLS).code == 4
        mountsea.points_to(emulator)
        assert mountsea("upload", "https://example.com/a b").code == 2
        assert mountsea("upload", *URLS, "--deadline", "-1").code == 2
        assert list(state.folder().iterdir()) == []
        assert mountsea("upload", *URLS).code == 0


def test_a_state_directory_that_cannot_be_written_is_told_with_the_ways_out(mountsea: Terminal, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    mountsea.patch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    with serving(mountsea) as emulator:
        done = mountsea("upload", *URLS)
        assert emulator.ledger.requests() == 0
    assert (done.code, done.out) == (2, "")
    assert f"can't keep a journal in {tmp_path}/file/mountsea" in done.err
    assert "--journal FILE keeps it elsewhere, --no-journal keeps none" in done.err


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--journal", "x", "--no-journal"], "--journal FILE and --no-journal contradict each other"),
        (["--retry-failed"], "--retry-failed speaks of an earlier run: name its journal with --journal FILE"),
        (["--accept-new-key", "--no-journal"], "--accept-new-key speaks of an earlier run"),
        (["--on-unknown", "pay"], "--on-unknown"),
    ],
)
def test_flags_that_make_no_sense_together_are_refused(flags: list[str], words: str, mountsea: Terminal) -> None:
    with serving(mountsea) as emulator:
        done = mountsea("upload", URLS[0], *flags)
        assert emulator.ledger.requests() == 0
    assert done.code == 2
    assert words in done.err
    assert kept() == []


# ------------------------------------------------------------------------------------------------------ going on
def test_the_printed_command_goes_on_where_the_run_stopped(mountsea: Terminal, tmp_path: Path) -> None:
    journal = tmp_path / "my songs' journal"
    mountsea.patch.chdir(tmp_path)
    with serving(mountsea, NO_CREDITS) as emulator:
        mountsea.patch.delenv("MOUNTSEA_BASE_URL")
        flags = ["--journal", journal.name, "--base-url", emulator.base_url, "--concurrency", "1"]
        done = mountsea("upload", *URLS, *flags)
        assert done.code == 4
        assert "4 not submitted and not paid for: there are no credits left" in done.err
        command = printed_command(done.err)
        assert command == ["resume", str(journal), "--base-url", emulator.base_url]
        mountsea.patch.chdir("/")
        resumed = mountsea(*command, "--format", "json")
        assert resumed.code == 0
        assert len(json.loads(resumed.out)["audio_ids"]) == len(URLS)
        assert "4 of 6 left" in resumed.err
        assert "6/6 done (6 succeeded)" in resumed.err
        again = mountsea("upload", *URLS, *flags[:1], str(journal), *flags[2:], "--format", "json")
        assert (again.code, json.loads(again.out)["audio_ids"]) == (0, json.loads(resumed.out)["audio_ids"])
        assert [emulator.ledger.charged(url) for url in URLS] == [1] * len(URLS)
    assert kept() == []


def test_an_unfinished_journal_of_the_same_inputs_is_not_paid_for_anew(mountsea: Terminal, tmp_path: Path) -> None:
    with serving(mountsea, NO_CREDITS) as emulator:
        assert mountsea("upload", *URLS, "--concurrency", "1").code == 4
        (journal,) = kept()
        asked = emulator.ledger.requests()
        refused = mountsea("upload", *URLS)
        assert (refused.code, refused.out, emulator.ledger.requests()) == (2, "", asked)
        for words in (str(journal), "4 of 6 left", "--journal OTHER or --no-journal", "pays for them again"):
            assert words in refused.err
        assert printed_command(refused.err) == ["resume", str(journal)]
        assert kept() == [journal]
        assert mountsea("upload", *URLS[1:]).code == 0
        assert mountsea("upload", *URLS, "--no-journal").code == 0
        assert mountsea("upload", *URLS, "--journal", str(tmp_path / "other")).code == 0
        assert mountsea("resume", str(journal)).code == 0
        assert mountsea("upload", *URLS).code == 0


def test_failed_items_are_sent_again_when_told(mountsea: Terminal, tmp_path: Path) -> None:
    journal = str(tmp_path / "j")
    with serving(mountsea, Fault(Answer(422), nth=1)) as emulator:
        done = mountsea("upload", *URLS[:2], "--journal", journal, "--concurrency", "1")
        assert done.code == 1
        assert mountsea("resume", journal).code == 1
        assert emulator.ledger.posts(URLS[0]) == 1
        done = mountsea("resume", journal, "--retry-failed", "--format", "jsonl")
        assert [json.loads(line)["resubmits"] for line in done.out.splitlines()] == [1, 0]
        assert (done.code, emulator.ledger.posts(URLS[1])) == (0, 1)
    assert "1 was sent again, as you asked" in done.err


def test_another_service_or_other_inputs_are_refused_with_the_way_out(mountsea: Terminal, tmp_path: Path) -> None:
    journal = str(tmp_path / "j")
    with serving(mountsea):
        assert mountsea("upload", *URLS, "--journal", journal).code == 0
        other = mountsea("upload", *URLS[1:], "--journal", journal)
        assert other.code == 2
        assert "mountsea resume FILE takes them from the journal" in other.err
        assert "name another with --journal" in other.err
    with serving(mountsea) as emulator:
        moved = mountsea("resume", journal)
        assert (moved.code, emulator.ledger.requests()) == (2, 0)
        assert "--accept-new-key if the batch is to go on" in moved.err
        assert mountsea("resume", journal, "--accept-new-key").code != 2


def test_a_journal_that_is_lost_midway_is_told_with_the_ids_that_only_this_run_knows(
    mountsea: Terminal, tmp_path: Path
) -> None:
    journal, other = tmp_path / "j", tmp_path / "other"
    other.write_bytes(b"")

    with serving(mountsea, latency=0.2) as emulator:

        def steal() -> None:
            until(lambda: emulator.ledger.charges, "a first upload")
            other.replace(journal)

        thief = threading.Thread(target=steal)
        thief.start()
        done = mountsea("upload", *URLS, "--journal", str(journal), "--concurrency", "1", "--format", "json")
        thief.join(BOUND)
        charged = {charge.task_id: charge.audio_url for charge in emulator.ledger.charges}
    printed = json.loads(done.out)
    assert done.code == 5
    assert printed["journal_error"]
    assert "another file has taken its place" in done.err
    accepted = [item for item in printed["items"] if item["task_id"]]
    assert {item["task_id"] for item in accepted} == set(charged)
    for item in accepted:
        assert f"{item['index']}, {item['task_id']}, {item['audio_url']}" in done.err.splitlines()
    assert printed_command(done.err) == ["resume", str(journal)]


def test_a_crash_prints_the_command_that_goes_on_before_it_is_told(
    mountsea: Terminal, capsys: pytest.CaptureFixture[str]
) -> None:
    async def crash(*arguments: object) -> None:
        raise RuntimeError("a bug")

    mountsea.patch.setattr(UploadSession, "run", crash)
    with serving(mountsea), pytest.raises(RuntimeError, match="a bug"):
        mountsea("upload", *URLS)
    (journal,) = kept()
    assert printed_command(capsys.readouterr().err) == ["resume", str(journal)]


# ------------------------------------------------------------------------------------------------ looking into it
def test_what_is_in_a_journal_is_shown_in_every_form_without_a_key(mountsea: Terminal, tmp_path: Path) -> None:
    journal = str(tmp_path / "j")
    with serving(mountsea, NO_CREDITS):
        mountsea("upload", *URLS, "--journal", journal, "--concurrency", "1")
    mountsea.patch.delenv("MOUNTSEA_API_KEY")
    held = read_journal(journal).to_dict()
    shown = mountsea("journal", journal)
    assert shown.code == 0
    assert [line.split()[1] for line in shown.out.splitlines()[1:]] == [item["state"] for item in held["items"]]
    assert "2 of 6 succeeded, 4 not submitted" in shown.err
    assert f"Session {held['session_id']}. Left to do: 4." in shown.err
    assert f"mountsea resume {journal}" in shown.err
    assert json.loads(mountsea("journal", journal, "--format", "json").out) == held
    lines = mountsea("journal", journal, "--format", "jsonl").out.splitlines()
    assert [json.loads(line) for line in lines] == held["items"]
    assert mountsea("journal", journal, "--output", str(tmp_path / "x.csv")).out == ""
    rows = csv.DictReader(io.StringIO((tmp_path / "x.csv").read_text()))
    assert [row["clip_id"] or None for row in rows] == [item["clip_id"] for item in held["items"]]


@pytest.mark.parametrize("command", ["journal", "resume"])
def test_what_is_no_journal_is_told(command: str, mountsea: Terminal, tmp_path: Path) -> None:
    (tmp_path / "urls.txt").write_text("\n".join(URLS * 100))
    with serving(mountsea) as emulator:
        missing = mountsea(command, str(tmp_path / "none"))
        other = mountsea(command, str(tmp_path / "urls.txt"))
        assert emulator.ledger.requests() == 0
    assert (missing.code, other.code) == (5, 2)
    assert f"there is no journal {tmp_path}/none: check the name" in missing.err
    assert "urls.txt is no journal" in other.err
    assert not (tmp_path / "none").exists()


def test_a_journal_is_read_while_a_run_is_at_it_and_gone_on_with_after_a_kill(
    mountsea: Terminal, tmp_path: Path
) -> None:
    with serving(mountsea, durations=Fixed(0.2), parallel=2, latency=0.05) as emulator:
        command = [sys.executable, "-m", "mountsea_async.cli", "upload", *URLS, "--concurrency", "1"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            until(lambda: len(emulator.ledger.charges) >= 2, "two uploads")
            (journal,) = kept()
            shown = mountsea("journal", str(journal), "--format", "json")
            assert shown.code == 0
            assert "submitted" in json.loads(shown.out)["counts"]
            assert mountsea("upload", *URLS).code == 2
            busy = mountsea("resume", str(journal))
            assert busy.code == 5
            assert f"in use by process {process.pid}: wait for its end (mountsea journal FILE shows" in busy.err
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait(BOUND)
        refused = mountsea("upload", *URLS)
        assert refused.code == 2
        assert printed_command(refused.err) == ["resume", str(journal)]
        done = mountsea("resume", str(journal), "--format", "json")
        assert done.code in (0, 3)  # the answer that was lost with the process
        assert emulator.ledger.paid_twice() == {}
        assert emulator.ledger.lost(json.loads(done.out)["audio_ids"]) == ()


# ---------------------------------------------------------------------------------------------- names and claims
ITEMS = [UploadItem(url) for url in URLS]
AT = 1_795_367_000.0


def test_two_runs_in_one_second_get_two_journals(mountsea: Terminal) -> None:
    first, other = state.claim(ITEMS, at=AT), state.claim(ITEMS[1:], at=AT)
    assert first.name[:17] == other.name[:17]
    assert first != other
    with serving(mountsea):
        assert mountsea("upload", *URLS, "--journal", str(first)).code == 0
    third = state.claim(ITEMS, at=AT)
    assert third.name == first.name.replace(".journal", "-2.journal")


def test_of_two_runs_that_begin_at_once_one_is_refused() -> None:
    first = state.claim(ITEMS, at=time.time())
    with pytest.raises(ConfigurationError, match="another run of the same inputs is just beginning"):
        state.claim(ITEMS, at=time.time())
    assert kept() == [first]
    os.utime(first, (AT, AT))  # left behind by a crash, long ago
    assert state.claim(ITEMS, at=AT + 3600) != first


def test_a_journal_of_these_inputs_that_cannot_be_read_is_in_the_way() -> None:
    first = state.claim(ITEMS, at=AT)
    first.write_text("no journal at all, but long enough to be looked at" * 40)
    with pytest.raises(ConfigurationError, match=r"can't be told: .* is no journal(.|\n)*--journal OTHER"):
        state.claim(ITEMS, at=AT + 3600)


def test_urls_that_were_signed_anew_are_the_same_inputs_where_they_have_keys(
    mountsea: Terminal, tmp_path: Path
) -> None:
    def signed(signature: str) -> str:
        lines = [json.dumps({"url": f"https://e.com/{n}?sig={signature}", "key": f"k{n}"}) for n in range(3)]
        (tmp_path / "urls").write_text("\n".join(lines))
        return str(tmp_path / "urls")

    with serving(mountsea, NO_CREDITS):
        assert mountsea("upload", signed("a"), "--concurrency", "1").code == 4
        (journal,) = kept()
        refused = mountsea("upload", signed("b"))
        assert refused.code == 2
        assert f"mountsea resume {journal}" in refused.err
        assert mountsea("upload", signed("b"), "--journal", str(journal)).code == 0


def test_the_state_directory_follows_the_standard(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert state.folder() == Path(os.environ["XDG_STATE_HOME"], "mountsea")
    monkeypatch.setenv("HOME", str(tmp_path))
    for value in ("relative/path", ""):
        monkeypatch.setenv("XDG_STATE_HOME", value)
        assert state.folder() == tmp_path / ".local" / "state" / "mountsea"


def test_a_journal_in_which_something_was_begun_is_never_removed(mountsea: Terminal) -> None:
    with serving(mountsea), suppress(ConfigurationError):
        mountsea("upload", *URLS)
    (journal,) = kept()
    state.let_go(journal)
    assert kept() == [journal]
