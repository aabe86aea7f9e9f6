"""`mountsea` as its users meet it: a process of its own, against an emulator over real sockets."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fcntl import ioctl
from pathlib import Path
from typing import Any

import pytest
from support.contract import check_calls
from support.names import KEY

from mountsea_async.testing import Answer, Behaviour, Cut, Emulator, Fault, Fixed, Hang

pytestmark = pytest.mark.e2e

BOUND = 40.0
MOUNTSEA = [sys.executable, "-m", "mountsea_async.cli"]
URLS = [f"https://example.com/{number}.mp3?sig=SECRETSIGNATURE" for number in range(6)]
ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def environment(emulator: Emulator | None = None, **more: str | None) -> dict[str, str]:
    names = ("PATH", "HOME", "LANG", "XDG_STATE_HOME", "COVERAGE_PROCESS_START")
    kept = {name: os.environ[name] for name in names if name in os.environ}
    made: dict[str, str | None] = {**kept, "TERM": "xterm", "PYTHONWARNINGS": "error"}
    if emulator is not None:
        made |= {"MOUNTSEA_API_KEY": KEY, "MOUNTSEA_BASE_URL": emulator.base_url}
    return {name: value for name, value in (made | more).items() if value is not None}


def run(*arguments: str, env: dict[str, str], stdin: str | bytes = b"") -> subprocess.CompletedProcess[str]:
    """Runs the command to its end. Whatever it prints holds neither the key nor a traceback."""
    given = stdin.encode() if isinstance(stdin, str) else stdin
    done = subprocess.run(
        [*MOUNTSEA, *arguments], env=env, input=given, capture_output=True, timeout=BOUND, check=False
    )
    out, err = done.stdout.decode(), done.stderr.decode()
    unspoiled(out + err)
    return subprocess.CompletedProcess(done.args, done.returncode, out, err)


def unspoiled(text: str) -> None:
    for word in (KEY, "SECRETSIGNATURE", "Traceback"):
        assert word not in text


def until(holds: Callable[[], Any], what: str) -> None:
    end = time.monotonic() + BOUND
    while not holds():
        assert time.monotonic() < end, f"not in time: {what}"
        time.sleep(0.01)


def serving(behaviour: Behaviour | None = None) -> Any:
    return Emulator(behaviour or Behaviour(durations=Fixed(0.01)), api_key=KEY).in_thread()


@pytest.fixture(scope="module")
def healthy() -> Iterator[Emulator]:
    with serving() as emulator:
        yield emulator
    check_calls(emulator.ledger.calls)


# -------------------------------------------------------------------------------------------- outcomes and codes
def test_0_all_succeeded_data_on_stdout_words_on_stderr(tmp_path: Path) -> None:
    (tmp_path / "urls.txt").write_text("# songs\n\n" + "\n".join(URLS[:3]))
    with serving() as emulator:
        done = run("upload", str(tmp_path / "urls.txt"), *URLS[3:], "--format", "json", env=environment(emulator))
        assert done.returncode == 0, done.stderr
        printed = json.loads(done.stdout)
        assert printed["audio_ids"] == [emulator.ledger.charges[n].clip_id for n in order(emulator)]
        assert [item["audio_url"] for item in printed["items"]] == [url.partition("?")[0] for url in URLS]
        assert all(emulator.ledger.posts(url) == 1 for url in URLS)
        assert len(emulator.ledger.sessions) == 1
    assert "all 6 succeeded" in done.stderr
    assert printed["session_id"] in done.stderr
    assert "\x1b" not in done.stdout + done.stderr


def order(emulator: Emulator) -> list[int]:
    """The charges' numbers in the order of `URLS`."""
    urls = [charge.audio_url for charge in emulator.ledger.charges]
    return [urls.index(url) for url in URLS]


def test_1_some_failed() -> None:
    with serving(Behaviour(durations=Fixed(0.01), fail_share=1.0)) as emulator:
        done = run("upload", *URLS[:2], env=environment(emulator))
    assert done.returncode == 1
    assert "2 failed" in done.stderr
    assert done.stdout.splitlines()[0].split() == ["#", "state", "clip", "id", "url", "reason"]
    assert "Audio source not found" in done.stdout


def test_3_a_request_without_an_answer_is_unknown_and_its_clip_is_named() -> None:
    with serving(Behaviour(durations=Fixed(0.01), faults=(Fault(Cut(after_work=True), nth=1),))) as emulator:
        done = run("upload", "-", "--format", "csv", env=environment(emulator), stdin="\n".join(URLS[:2]))
        rows = list(csv.DictReader(io.StringIO(done.stdout)))
        assert not emulator.ledger.lost(row["clip_id"] for row in rows)
    assert done.returncode == 3
    assert sorted((row["state"], row["evidence"]) for row in rows) == [
        ("succeeded", "task"),
        ("unknown", "elimination"),
    ]
    assert "1 has a clip, attributed by elimination" in done.stderr


def test_4_the_key_is_refused(healthy: Emulator) -> None:
    paid = healthy.ledger.spent
    done = run("upload", URLS[0], env=environment(healthy, MOUNTSEA_API_KEY="another"))
    assert (done.returncode, done.stdout) == (4, "")
    assert "mountsea: error: " in done.stderr
    assert healthy.ledger.spent == paid


def test_4_credits_run_out_midway() -> None:
    with serving(Behaviour(durations=Fixed(0.01), credits=1)) as emulator:
        done = run("upload", *URLS, "--concurrency", "1", "--format", "jsonl", env=environment(emulator))
    states = [json.loads(line)["state"] for line in done.stdout.splitlines()]
    assert (done.returncode, states) == (4, ["succeeded"] + ["not_submitted"] * 5)
    assert "no credits left" in done.stderr


@pytest.mark.parametrize("fault", [Fault(Answer(404), on="prepare"), Fault(Hang(), on="prepare")], ids=["404", "hangs"])
def test_5_no_session_could_be_had(fault: Fault) -> None:
    with serving(Behaviour(faults=(fault,))) as emulator:
        done = run("upload", URLS[0], "--deadline", "1", env=environment(emulator))
        assert emulator.ledger.charges == ()
    assert (done.returncode, done.stdout) == (5, "")
    assert "mountsea: error: " in done.stderr


def test_5_nothing_listens() -> None:
    with serving() as emulator:
        gone = environment(emulator)
    done = run("upload", URLS[0], "--deadline", "2", env=gone)
    assert (done.returncode, done.stdout) == (5, "")


def test_5_not_everything_was_submitted_before_the_deadline() -> None:
    with serving(Behaviour(durations=Fixed(0.01), latency=0.3)) as emulator:
        done = run("upload", *URLS, "--concurrency", "1", "--deadline", "1.1", env=environment(emulator))
    assert done.returncode in (3, 5)  # what was submitted may have been pending
    assert "not submitted and not paid for: the deadline passed" in done.stderr


# ----------------------------------------------------------------------------------------------------- bad input
def bad_inputs(folder: Path) -> dict[str, tuple[list[str], str]]:
    files = {
        "spaces": "https://example.com/a b.mp3\n",
        "many": "https://example.com/a\n# c\nnot-a-url\nhttps://user:pw@example.com/x\nhttps:///x\n",
        "private": "https://10.1.2.3/a.mp3",
        "json": '{"url": "https://example.com/a"}\n{"url": }\n',
        "csv": "url,title\nhttps://example.com/a,b,c\n",
        "empty": "# nothing\n",
    }
    for name, text in files.items():
        (folder / name).write_text(text)
    (folder / "song.mp3").write_bytes(b"ID3\x04\xff\xfb\x90")
    url = URLS[0]
    return {
        "spaces": ([f"{folder}/spaces"], f"{folder}/spaces:1: 'https://example.com/a b.mp3': it holds a space"),
        "scheme": ([f"{folder}/many"], f"{folder}/many:3: 'not-a-url': it doesn't begin with http"),
        "credentials": ([f"{folder}/many"], f"{folder}/many:4: 'https://***@example.com/x': it holds credentials"),
        "no host": ([f"{folder}/many"], f"{folder}/many:5: 'https:///x': it has no host"),
        "private": ([f"{folder}/private"], "--allow-private lets it pass"),
        "json": ([f"{folder}/json"], f"{folder}/json:2: no JSON"),
        "csv": ([f"{folder}/csv"], f"{folder}/csv:2: 3 cells under 2 columns"),
        "empty": ([f"{folder}/empty"], f"there is no URL in {folder}/empty"),
        "no file": ([f"{folder}/none"], f"can't read '{folder}/none': no such file"),
        "folder": ([str(folder)], "it is a folder"),
        "audio": ([f"{folder}/song.mp3"], "song.mp3' is no text"),
        "empty stdin": ([], "there is no URL in stdin"),
        "concurrency 0": ([url, "--concurrency", "0"], "--concurrency 0: give a whole number from 1 to 100"),
        "concurrency 101": ([url, "--concurrency", "101"], "--concurrency 101: give a whole number from 1 to 100"),
        "deadline": ([url, "--deadline", "-3"], "--deadline -3.0: give seconds above 0"),
        "base url": ([url, "--base-url", "nowhere"], "--base-url 'nowhere' is no http(s) URL"),
        "output folder": ([url, "--output", f"{folder}/no/x"], f"can't write to the folder {folder}/no"),
        "output is folder": ([url, "--output", str(folder)], "it is a folder"),
        "no number": ([url, "--concurrency", "many"], "many"),
        "no such flag": ([url, "--nope"], "--nope"),
        "key as a flag": ([url, f"--api-key={KEY}"], "there is no flag for the API key"),
    }


BAD = [
    "spaces",
    "scheme",
    "credentials",
    "no host",
    "private",
    "json",
    "csv",
    "empty",
    "no file",
    "folder",
    "audio",
    "empty stdin",
    "concurrency 0",
    "concurrency 101",
    "deadline",
    "base url",
    "output folder",
    "output is folder",
    "no number",
    "no such flag",
    "key as a flag",
]


@pytest.mark.parametrize("name", BAD)
def test_2_bad_input_is_named_and_nothing_is_sent(name: str, tmp_path: Path) -> None:
    cases = bad_inputs(tmp_path)
    assert list(cases) == BAD
    arguments, words = cases[name]
    with serving() as emulator:
        done = run("upload", *arguments, env=environment(emulator))
        assert emulator.ledger.requests() == 0
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("mountsea: error: ")
    assert words in done.stderr


@pytest.mark.parametrize(
    ("key", "words"),
    [
        (None, "no API key: set the environment variable MOUNTSEA_API_KEY"),
        ("", "MOUNTSEA_API_KEY is empty"),
        ("ab\n", "MOUNTSEA_API_KEY holds a newline at position 2"),
    ],
)
def test_2_a_key_that_cannot_be_sent(key: str | None, words: str) -> None:
    with serving() as emulator:
        for command in (["upload", URLS[0]], ["status", "x"]):
            done = run(*command, env=environment(emulator, MOUNTSEA_API_KEY=key))
            assert (done.returncode, done.stdout) == (2, "")
            assert words in done.stderr
        assert emulator.ledger.requests() == 0


def test_2_no_argument_at_a_terminal_says_what_to_give(healthy: Emulator) -> None:
    terminal, inner = pty.openpty()
    done = subprocess.run(
        [*MOUNTSEA, "upload"], env=environment(healthy), stdin=inner, capture_output=True, timeout=BOUND, check=False
    )
    os.close(inner)
    os.close(terminal)
    assert done.returncode == 2
    assert b"nothing to upload: give a file of URLs" in done.stderr


# ---------------------------------------------------------------------------------------------- flags and formats
def test_repeated_urls_are_uploaded_once_with_a_note_or_each_if_told() -> None:
    with serving() as emulator:
        done = run("upload", URLS[0], URLS[0], "--format", "jsonl", env=environment(emulator))
        assert emulator.ledger.charged(URLS[0]) == 1
        ids = {json.loads(line)["clip_id"] for line in done.stdout.splitlines()}
        assert (done.returncode, len(ids)) == (0, 1)
        notes = [line for line in done.stderr.splitlines() if line.startswith("note: ")]
        assert len(notes) == 1
        assert "--keep-duplicates" in notes[0]
        assert "Warning" not in done.stderr
        done = run("upload", URLS[1], URLS[1], "--keep-duplicates", env=environment(emulator))
        assert (done.returncode, emulator.ledger.charged(URLS[1])) == (0, 2)


def test_results_go_to_a_file_and_a_session_is_adopted(tmp_path: Path, healthy: Emulator) -> None:
    first, second = tmp_path / "1.json", tmp_path / "2.json"
    done = run("upload", URLS[0], "--format", "json", "--output", str(first), "--quiet", env=environment(healthy))
    assert (done.returncode, done.stdout) == (0, "")
    session = json.loads(first.read_text())["session_id"]
    more = ["--format", "json", "--output", str(second), "--session-id", session]
    done = run("upload", "http://127.0.0.1/a.mp3", "--allow-private", *more, env=environment(healthy))
    assert done.returncode == 0, done.stderr
    assert json.loads(second.read_text())["session_id"] == session
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1.json", "2.json"]
    done = run("status", session, "--format", "json", env=environment(healthy))
    assert len(json.loads(done.stdout)["audio_ids"]) == 2


def test_status_of_a_task_and_of_nothing(healthy: Emulator) -> None:
    done = run("upload", URLS[0], "--format", "json", env=environment(healthy))
    (item,) = json.loads(done.stdout)["items"]
    done = run("status", item["task_id"], env=environment(healthy))
    assert done.returncode == 0
    assert f"clip        {item['clip_id']}" in done.stdout.splitlines()
    done = run("status", "00000000-0000-4000-8000-000000000000", env=environment(healthy))
    assert (done.returncode, done.stdout) == (5, "")


def test_a_reader_that_leaves_is_no_error() -> None:
    for arguments in (["demo", "--items", "2", "--format", "json"], ["--help"]):
        with started([*MOUNTSEA, *arguments], environment()) as process:
            assert process.stdout is not None
            process.stdout.close()
            err = Tail(process.stderr).end()
        assert "Traceback" not in err
        assert "BrokenPipe" not in err


def test_results_are_not_lost_with_the_file_they_were_for(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    with serving(Behaviour(durations=Fixed(0.01), latency=0.2)) as emulator:
        command = [*MOUNTSEA, "upload", URLS[0], "--format", "json", "--output", str(folder / "x.json")]
        with started(command, environment(emulator)) as process:
            until(lambda: emulator.ledger.charges, "an upload")
            folder.rmdir()
            out, err = process.communicate(timeout=BOUND)
    assert process.returncode == 5
    assert len(json.loads(out)["audio_ids"]) == 1
    assert "the results follow on stdout" in err.decode()


# -------------------------------------------------------------------------------------------------------- signals
@contextmanager
def started(command: list[str], env: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait(BOUND)
        for stream in (process.stdout, process.stderr):
            if stream is not None and not stream.closed:
                stream.close()


class Tail:
    """Reads a stream as it comes, so that a test can wait for words in it."""

    def __init__(self, stream: Any) -> None:
        self.text = ""
        self._stream = stream
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        while chunk := os.read(self._stream.fileno(), 65536):
            self.text += chunk.decode()

    def end(self) -> str:
        self._thread.join(BOUND)
        assert not self._thread.is_alive()
        return self.text


def test_130_ctrl_c_once_follows_what_was_submitted() -> None:
    urls = [f"https://example.com/{number}.mp3" for number in range(60)]
    with serving(Behaviour(durations=Fixed(0.01), latency=0.2)) as emulator:
        command = [*MOUNTSEA, "upload", *urls, "--concurrency", "1", "--format", "json"]
        with started(command, environment(emulator)) as process:
            until(lambda: emulator.ledger.charges, "a first upload")
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=BOUND)
        paid = len(emulator.ledger.charges)
    unspoiled((out + err).decode())
    states = [item["state"] for item in json.loads(out)["items"]]
    assert process.returncode == 130
    assert 1 <= paid < len(urls)
    assert states == ["succeeded"] * paid + ["not_submitted"] * (len(urls) - paid)
    assert "interrupted: nothing more is submitted" in err.decode()
    assert "not submitted and not paid for: you interrupted it" in err.decode()


@pytest.mark.parametrize("kill", [[signal.SIGINT, signal.SIGINT], [signal.SIGTERM]], ids=["Ctrl-C twice", "SIGTERM"])
def test_130_a_second_ctrl_c_or_sigterm_stops_and_reports(kill: list[signal.Signals]) -> None:
    with serving(Behaviour(durations=Fixed(600.0))) as emulator:
        with started([*MOUNTSEA, "upload", *URLS, "--format", "json"], environment(emulator)) as process:
            out, err = Tail(process.stdout), Tail(process.stderr)
            until(lambda: emulator.ledger.counts.get(("item", 201)) == len(URLS), "all uploads")
            for number in kill:
                process.send_signal(number)
                until(lambda: "interrupted:" in err.text or "stopping:" in err.text, "an answer to the signal")
            process.wait(BOUND)
            printed = json.loads(out.end())
            unspoiled(out.text + err.end())
        assert {charge.task_id for charge in emulator.ledger.charges} >= {
            item["task_id"] for item in printed["items"] if item["task_id"]
        }
    assert process.returncode == 130
    assert {item["state"] for item in printed["items"]} <= {"undetermined", "unknown"}
    assert "Resume asks for them again" in err.text
    assert "  go on with:\n    mountsea resume /" in err.text


def test_130_before_there_is_a_session() -> None:
    with serving(Behaviour(faults=(Fault(Hang(), on="prepare"),))) as emulator:
        with started([*MOUNTSEA, "upload", *URLS], environment(emulator)) as process:
            until(lambda: emulator.ledger.requests("prepare"), "a request for a session")
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=BOUND)
        assert emulator.ledger.charges == ()
    assert (process.returncode, out) == (130, b"")
    assert b"nothing was paid" in err
    assert list(Path(os.environ["XDG_STATE_HOME"], "mountsea").iterdir()) == []


# ----------------------------------------------------------------------------------------------- demo and emulator
def test_the_demo_piped_prints_plain_lines_and_valid_json() -> None:
    done = run("demo", "--items", "12", "--format", "json", env=environment())
    assert done.returncode == 0
    assert len(json.loads(done.stdout)["audio_ids"]) == 12
    lines = done.stderr.splitlines()
    assert re.fullmatch(r"session [0-9a-f-]{36}: 12 to upload", lines[0])
    assert any(re.match(r"12/12 done \(12 succeeded\)", line) for line in lines)
    assert "the emulator's ledger: 12 clips, one session, one account, exactly one paid request each" in done.stderr
    assert "\x1b" not in done.stderr


def test_the_demo_shows_failures_when_told() -> None:
    done = run("demo", "--items", "10", "--fail-share", "0.5", "--timeout-share", "0.5", env=environment())
    assert (done.returncode, done.stdout) == (1, "")
    assert "0 of 10 succeeded" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--items", "0"], "--items 0: give a whole number from 1 to 10000"),
        (["--fail-share", "1.5"], "--fail-share must be"),
        (["--concurrency", "0"], "--concurrency 0: give"),
    ],
)
def test_the_demo_refuses_what_makes_no_sense(arguments: list[str], words: str) -> None:
    done = run("demo", *arguments, env=environment())
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr


@pytest.mark.parametrize("columns", [80, 140])
def test_the_demo_on_a_terminal_draws_a_bar_that_fits(columns: int) -> None:
    code, text = in_terminal(["demo", "--items", "12", "--fail-share", "0.3"], columns)
    assert code == 1
    unspoiled(text)
    lines = ANSI.sub("", text).replace("\r", "\n").split("\n")
    assert max(map(len, lines)) <= columns
    bars = [line for line in lines if "━" in line]
    assert any(line.startswith("uploading") and len(line) > columns - 3 for line in bars)
    assert any(line.startswith("uploaded") and "12/12" in line for line in bars)
    assert any("Audio source not found" in line for line in lines)
    assert any("failed" in line and "succeeded" in line for line in lines)


def in_terminal(arguments: list[str], columns: int) -> tuple[int, str]:
    """Runs the command in a terminal of so many columns. Returns its exit code and all that it wrote there."""
    terminal, inner = pty.openpty()
    ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))
    process = subprocess.Popen([*MOUNTSEA, *arguments], env=environment(), stdin=inner, stdout=inner, stderr=inner)
    os.close(inner)
    written, end = b"", time.monotonic() + BOUND
    try:
        while time.monotonic() < end:
            if not select.select([terminal], [], [], 1.0)[0]:
                continue
            try:
                chunk = os.read(terminal, 65536)
            except OSError:  # Linux's way to say that the other end is closed
                break
            if not chunk:
                break
            written += chunk
        return process.wait(BOUND), written.decode()
    finally:
        process.kill()
        process.wait(BOUND)
        os.close(terminal)


def test_the_emulator_says_how_to_reach_it_and_what_it_was_asked() -> None:
    command = [*MOUNTSEA, "emulator", "--api-key", KEY, "--duration", "0.01", "0.02", "--credits", "5"]
    with started(command, environment()) as process:
        assert process.stdout is not None
        exports = [process.stdout.readline().decode().strip() for _ in range(2)]
        settings = dict(line.removeprefix("export ").split("=", 1) for line in exports)
        assert list(settings) == ["MOUNTSEA_BASE_URL", "MOUNTSEA_API_KEY"]
        done = run("upload", URLS[0], env=environment(**settings))
        assert done.returncode == 0, done.stderr
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=BOUND)
    assert process.returncode == 0
    assert "uploads paid for: 1 (1 success); credits spent: 1" in err.decode()
    assert "URLs paid for more than once: none" in err.decode()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--port", "70000"], "--port must be between 0 and 65535"),
        (["--duration", "2", "1"], "--duration must be at least"),
        (["--rate", "0"], "--rate must be a number above 0"),
        (["--parallel", "0"], "--parallel must be"),
    ],
)
def test_the_emulator_refuses_what_makes_no_sense(arguments: list[str], words: str) -> None:
    done = run("emulator", *arguments, env=environment())
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr


def test_the_emulator_says_that_its_port_is_taken(healthy: Emulator) -> None:
    done = run("emulator", "--port", healthy.base_url.rpartition(":")[2], env=environment())
    assert (done.returncode, done.stdout) == (2, "")
    assert "--port: can't listen" in done.stderr


# ------------------------------------------------------------------------------------------------------- the rest
def test_help_and_version_need_nothing_else() -> None:
    done = run("--help", env=environment())
    assert done.returncode == 0
    for words in ("MOUNTSEA_API_KEY", "130: interrupted"):
        assert words in done.stdout
    for command in (
        "upload",
        "resume",
        "journal",
        "demo",
        "status",
        "emulator",
        "train",
        "generate",
        "inspire",
        "credits",
    ):
        assert command in done.stdout
        said = run(command, "--help", env=environment())
        assert said.returncode == 0
        assert f" mountsea {command}" in said.stdout
    done = run("--version", env=environment())
    assert done.stdout.startswith("mountsea ")


def test_help_imports_neither_the_client_nor_aiohttp() -> None:
    script = (
        "import sys; from mountsea_async.cli.entry import run; run(['upload', '--help']); "
        "sys.exit([name for name in ('aiohttp', 'mountsea_async.client', 'rich.progress_bar') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=BOUND, check=False)
    assert (done.returncode, done.stderr) == (1, b"[]\n")


def test_without_the_extra_it_says_what_to_install() -> None:
    script = "import sys; sys.modules['cyclopts'] = None; from mountsea_async.cli import main; sys.exit(main())"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=BOUND, check=False)
    assert done.returncode == 2
    assert b"pip install 'mountsea-async[cli]'" in done.stderr
