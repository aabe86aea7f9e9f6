"""`mountsea upload --preflight`: asked first, and paid for only if every URL is fine."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from support.contract import check_calls
from support.names import KEY
from support.raw_server import unused_port

from mountsea_async import ConfigurationError, InputError
from mountsea_async.cli import output
from mountsea_async.cli.batch import Settings
from mountsea_async.cli.upload import upload
from mountsea_async.testing import Behaviour, Emulator, Fixed

pytestmark = pytest.mark.e2e

SECRET = "sig=SECRETSIGNATURE"


class Files(ThreadingHTTPServer):
    """A file host in a thread: /missing... is not there, everything else is audio."""

    daemon_threads = True

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.missing: set[str] = set()
        super().__init__(("127.0.0.1", 0), _Handler)

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{name}?{SECRET}"


class _Handler(BaseHTTPRequestHandler):
    server: Files

    def do_GET(self) -> None:
        name = self.path.partition("?")[0].strip("/")
        self.server.asked.append(name)
        gone = name.startswith("missing") or name in self.server.missing
        body = b"gone" if gone else b"ID3\x03"
        self.send_response(404 if gone else 200)
        self.send_header("Content-Type", "audio/mpeg")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def files() -> Iterator[Files]:
    with Files() as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def emulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    with Emulator(Behaviour(durations=Fixed(0.01)), api_key=KEY).in_thread() as service:
        monkeypatch.setenv("MOUNTSEA_API_KEY", KEY)
        monkeypatch.setenv("MOUNTSEA_BASE_URL", service.base_url)
        yield service
    check_calls(service.ledger.calls)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Runs the command: exit code, stdout, stderr."""

    def run(
        *sources: str,
        preflight: bool = True,
        form: output.Format = "table",
        path: Path | None = None,
        journal: Path | None = None,
        **flags: Any,
    ) -> tuple[int, str, str]:
        settings = Settings(quiet=True, journal=journal, **({"allow_private": True} | flags))
        code = upload(sources, settings, no_journal=journal is None, form=form, path=path, preflight=preflight)
        out, err = capsys.readouterr()
        assert "SECRET" not in out + err
        return int(code), out, err

    return run


Run = Callable[..., tuple[int, str, str]]


def test_with_no_problem_it_says_so_in_a_line_and_goes_on(run: Run, emulator: Emulator, files: Files) -> None:
    code, out, err = run(*[files.url(f"{n}.mp3") for n in range(3)], form="json")
    assert code == 0
    assert err.splitlines()[0] == "preflight: all 3 URLs answer with what looks like audio"
    assert len(json.loads(out)["audio_ids"]) == 3
    assert sorted(files.asked) == ["0.mp3", "1.mp3", "2.mp3"]
    assert len(emulator.ledger.charges) == 3


def test_nobody_is_asked_unless_it_was_said(run: Run, emulator: Emulator, files: Files) -> None:
    code, _, err = run(files.url("missing.mp3"), preflight=False)
    assert (code, files.asked) == (0, [])
    assert "preflight" not in err


def test_problems_are_told_with_their_places_and_nothing_is_sent(
    run: Run, emulator: Emulator, files: Files, tmp_path: Path
) -> None:
    listed = tmp_path / "urls.txt"
    nobody = f"http://127.0.0.1:{unused_port()}/x.mp3"
    listed.write_text("\n".join(["# songs", files.url("a.mp3"), files.url("missing.mp3"), f"{nobody}?{SECRET}"]))
    code, out, err = run(str(listed))
    assert (code, out) == (2, "")
    assert err.splitlines()[0] == "mountsea: error: 2 of 3 entries can't be uploaded, so nothing was sent:"
    missing, unreachable = err.splitlines()[1:]
    assert missing.startswith(
        f"  {listed}:3: '{files.url('missing.mp3').partition('?')[0]}': its host has no such file"
    )
    assert unreachable.startswith(f"  {listed}:4: '{nobody}': its host takes no connection")
    assert not emulator.ledger.calls


def test_every_problem_is_told(run: Run, emulator: Emulator, files: Files) -> None:
    code, _, err = run(*[files.url(f"missing-{n}.mp3") for n in range(25)])
    assert code == 2
    assert [f"  argument {n}: " in err for n in range(1, 26)] == [True] * 25
    assert not emulator.ledger.calls


def test_as_json_the_report_is_one_object_on_stdout(run: Run, emulator: Emulator, files: Files) -> None:
    code, out, err = run(files.url("a.mp3"), files.url("missing.mp3"), form="json")
    assert code == 2
    report = json.loads(out)
    assert (report["version"], report["ok"]) == (1, False)
    assert [(item["index"], item["ok"], item["status"]) for item in report["items"]] == [
        (0, True, 200),
        (1, False, 404),
    ]
    assert "1 of 2 entries" in err
    assert not emulator.ledger.calls


def test_the_report_goes_where_the_results_would(run: Run, emulator: Emulator, files: Files, tmp_path: Path) -> None:
    code, out, _ = run(files.url("missing.mp3"), form="json", path=tmp_path / "clips.json")
    assert (code, out) == (2, "")
    assert json.loads((tmp_path / "clips.json").read_text())["ok"] is False


def test_a_private_address_is_refused_with_its_place_and_the_flag(run: Run, emulator: Emulator, files: Files) -> None:
    with pytest.raises(InputError, match=r"1 of 1 entries(?s:.*)argument 1: .*\(--allow-private lets it pass\)"):
        run(files.url("a.mp3"), allow_private=False)
    assert files.asked == []
    assert not emulator.ledger.calls


def test_a_flag_out_of_its_range_is_refused_before_anybody_is_asked(run: Run, emulator: Emulator, files: Files) -> None:
    with pytest.raises(ConfigurationError, match="concurrency=0"):
        run(files.url("a.mp3"), concurrency=0)
    assert files.asked == []


def test_problems_leave_no_journal(run: Run, emulator: Emulator, files: Files, tmp_path: Path) -> None:
    code, _, _ = run(files.url("missing.mp3"), journal=tmp_path / "j")
    assert code == 2
    assert list(tmp_path.iterdir()) == []


def test_what_a_journal_shows_as_uploaded_is_not_asked_again(
    run: Run, emulator: Emulator, files: Files, tmp_path: Path
) -> None:
    urls = [files.url("a.mp3"), files.url("b.mp3")]
    assert run(*urls, journal=tmp_path / "j")[0] == 0
    files.asked.clear()
    files.missing = {"a.mp3", "b.mp3"}
    code, _, err = run(*urls, journal=tmp_path / "j")
    assert (code, files.asked) == (0, [])
    assert "preflight" not in err
    assert len(emulator.ledger.charges) == 2


def test_what_a_journal_shows_as_failed_is_asked_again_where_it_will_be_sent_again(
    run: Run, files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOUNTSEA_API_KEY", KEY)
    with Emulator(Behaviour(durations=Fixed(0.01), fail_share=1.0), api_key=KEY).in_thread() as service:
        monkeypatch.setenv("MOUNTSEA_BASE_URL", service.base_url)
        assert run(files.url("a.mp3"), journal=tmp_path / "j")[0] == 1
        files.missing = {"a.mp3"}
        assert run(files.url("a.mp3"), journal=tmp_path / "j")[0] == 1
        assert run(files.url("a.mp3"), journal=tmp_path / "j", retry_failed=True)[0] == 2
        assert files.asked == ["a.mp3", "a.mp3"]
        assert len(service.ledger.charges) == 1


def test_a_journal_that_is_none_is_the_runs_own_error(
    run: Run, emulator: Emulator, files: Files, tmp_path: Path
) -> None:
    (tmp_path / "j").write_text("no journal")
    code, _, err = run(files.url("a.mp3"), journal=tmp_path / "j")
    assert code == 2
    assert "is no journal" in err
    assert not emulator.ledger.calls


# --------------------------------------------------------------------------------------------------- a whole process
def started(emulator: Emulator, *arguments: str) -> subprocess.Popen[str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "XDG_STATE_HOME") if name in os.environ}
    made = {"MOUNTSEA_API_KEY": KEY, "MOUNTSEA_BASE_URL": emulator.base_url, "PYTHONWARNINGS": "error"}
    return subprocess.Popen(
        [sys.executable, "-m", "mountsea_async.cli", "upload", "--preflight", *arguments],
        env=kept | made,
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_the_flag_holds_the_upload_back(emulator: Emulator, files: Files) -> None:
    done = started(emulator, "--allow-private", "--format", "json", files.url("a.mp3"), files.url("missing.mp3"))
    out, err = done.communicate(timeout=40)
    assert done.returncode == 2
    assert json.loads(out)["items"][1]["status"] == 404
    assert "argument 2: " in err
    assert "Traceback" not in err
    assert not emulator.ledger.calls


def test_without_allow_private_nobody_is_asked(emulator: Emulator, files: Files) -> None:
    done = started(emulator, files.url("a.mp3"))
    _, err = done.communicate(timeout=40)
    assert done.returncode == 2
    assert "--allow-private lets it pass" in err
    assert files.asked == []


def test_an_interrupt_while_it_asks_pays_for_nothing(emulator: Emulator) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(40)
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/a.mp3"
        done = started(emulator, "--allow-private", url)
        with silent.accept()[0]:
            done.send_signal(signal.SIGINT)
            _, err = done.communicate(timeout=40)
    assert (done.returncode, err) == (130, "interrupted before anything was submitted: nothing was paid\n")
    assert not emulator.ledger.calls
