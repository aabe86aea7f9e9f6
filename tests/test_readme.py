"""Every snippet of the README runs as it stands, against the emulator."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.names import KEY

from mountsea_async.testing import Behaviour, Emulator, Fault, Uniform, out_of_credits

README = Path(__file__).parents[1] / "README.md"
SNIPPETS = re.findall(r"^```python\n(.*?)^```", README.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
FASTAPI = next(snippet for snippet in SNIPPETS if "FastAPI" in snippet)
TEST = next(snippet for snippet in SNIPPETS if "def test_" in snippet)
SCRIPTS = [snippet for snippet in SNIPPETS if snippet not in {FASTAPI, TEST}]

pytestmark = pytest.mark.e2e


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator(Behaviour(durations=Uniform(0.05, 0.2)), api_key=KEY).in_thread() as emulator:
        yield emulator


LOOPBACK_ONLY = """
import socket
look_up = socket.getaddrinfo
def on_loopback(host, *more, **settings):
    if host not in (None, "127.0.0.1", "::1", "localhost"):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    return look_up(host, *more, **settings)
socket.getaddrinfo = on_loopback
"""


def run(command: list[str], emulator: Emulator, cwd: Path) -> str:
    (cwd / "sitecustomize.py").write_text(LOOPBACK_ONLY)
    paths = os.pathsep.join(filter(None, [str(cwd), os.environ.get("PYTHONPATH")]))
    ours = {"MOUNTSEA_API_KEY": KEY, "MOUNTSEA_BASE_URL": emulator.base_url, "PYTHONPATH": paths}
    environment = {**os.environ, **ours}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment, cwd=cwd, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert KEY not in done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("number", range(len(SCRIPTS)))
def test_a_script_of_the_readme_runs(number: int, emulator: Emulator, tmp_path: Path) -> None:
    script = tmp_path / "snippet.py"
    script.write_text(SCRIPTS[number], encoding="utf-8")
    run([sys.executable, "-W", "error", str(script)], emulator, tmp_path)
    assert emulator.ledger.paid_twice() == {}


def test_the_one_call_example_prints_the_clips_in_input_order(emulator: Emulator, tmp_path: Path) -> None:
    printed = run([sys.executable, "-c", SCRIPTS[0]], emulator, tmp_path)
    by_url = {charge.audio_url: charge.clip_id for charge in emulator.ledger.charges}
    assert printed.strip() == str(
        tuple(by_url[f"https://cdn.example.com/takes/{number}.mp3"] for number in range(1, 9))
    )


def test_the_example_of_going_on_uploads_what_is_left_and_pays_for_nothing_twice(tmp_path: Path) -> None:
    snippet = next(snippet for snippet in SCRIPTS if "not_submitted" in snippet)
    behaviour = Behaviour(durations=Uniform(0.05, 0.2), latency=0.05, faults=(Fault(out_of_credits(), nth=3),))
    with Emulator(behaviour, api_key=KEY).in_thread() as emulator:
        slower = snippet.replace("journal=", "concurrency=1, journal=")
        assert run([sys.executable, "-c", slower], emulator, tmp_path) == "2 uploaded\nnot all: credits\n"
        assert run([sys.executable, "-c", slower], emulator, tmp_path) == "6 uploaded\n"
        assert [emulator.ledger.charged(f"https://cdn.example.com/album/{n}.mp3") for n in range(1, 7)] == [1] * 6
        assert len(emulator.ledger.sessions) == 1


def test_the_example_of_a_preflight_names_what_cannot_be_reached(emulator: Emulator, tmp_path: Path) -> None:
    snippet = next(snippet for snippet in SCRIPTS if "preflight" in snippet)
    lines = run([sys.executable, "-c", snippet], emulator, tmp_path).splitlines()
    assert [line.split()[:2] for line in lines] == [
        [str(index), f"https://cdn.example.com/masters/{index + 1}.flac"] for index in range(3)
    ]


def test_the_test_of_the_readme_passes(emulator: Emulator, tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text(TEST, encoding="utf-8")
    printed = run([sys.executable, "-m", "pytest", "-q", "test_mine.py"], emulator, tmp_path)
    assert "1 passed" in printed


def test_the_fastapi_example_answers_with_the_clips_or_with_what_is_wrong(emulator: Emulator, tmp_path: Path) -> None:
    (tmp_path / "example.py").write_text(FASTAPI, encoding="utf-8")
    code = """
from fastapi.testclient import TestClient
from example import app
with TestClient(app) as http:
    http.auth = ("me", "let me in")
    good = http.post("/clips", json=["https://cdn.example.com/1.mp3", "https://cdn.example.com/2.mp3"])
    assert good.status_code == 200 and len(good.json()) == 2, good.text
    bad = http.post("/clips", json=["ftp://cdn.example.com/1.mp3"])
    assert bad.status_code == 422 and "ftp://cdn.example.com/1.mp3" in bad.text, bad.text
    assert http.post("/clips", json=[], auth=("me", "wrong")).status_code == 401
"""
    run([sys.executable, "-c", code], emulator, tmp_path)


def test_the_readme_names_every_state_and_every_error() -> None:
    import mountsea_async  # noqa: PLC0415 - only this test looks into it

    text = README.read_text(encoding="utf-8")
    assert all(
        f"`{state}`" in text for state in mountsea_async.ItemState if state not in {"new", "submitting", "submitted"}
    )
    errors = [
        name for name in mountsea_async.__all__ if name.endswith(("Error", "Failed", "Warning", "Busy", "Mismatch"))
    ]
    assert [name for name in errors if f"`{name}`" not in text] == []
