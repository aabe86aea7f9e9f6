"""The pytest plugin, in projects of its own: with the marker, without pytest-asyncio, without a heavy import."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import mountsea_async

PLUGIN = "mountsea_async.testing.pytest_plugin"


def run_project(folder: Path, test: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run pytest on one test file in a project that has nothing but the plugin."""
    (folder / "test_it.py").write_text(test)
    root = Path(mountsea_async.__path__[0]).parent
    path = os.pathsep.join(filter(None, [str(root), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": path, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    line = [sys.executable, "-m", "pytest", "-p", PLUGIN, "-W", "error", "--strict-markers", *options, "test_it.py"]
    return subprocess.run(line, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_the_fixture_serves_an_emulator_that_the_environment_points_to(tmp_path: Path) -> None:
    done = run_project(
        tmp_path,
        """
import json, os, urllib.request

def post(path, body):
    headers = {"Authorization": "Bearer " + os.environ["MOUNTSEA_API_KEY"], "Content-Type": "application/json"}
    request = urllib.request.Request(os.environ["MOUNTSEA_BASE_URL"] + path, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=10) as response:
        return json.load(response)

def test_upload(mountsea_emulator):
    assert os.environ["MOUNTSEA_BASE_URL"] == mountsea_emulator.base_url
    task = post("/suno/v2/upload", {"audioUrl": "https://example.com/a.mp3"})
    assert mountsea_emulator.ledger.charges[0].task_id == task["taskId"]
""",
    )
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout


def test_the_marker_sets_the_behaviour_nearest_first(tmp_path: Path) -> None:
    done = run_project(
        tmp_path,
        """
import os, pytest

pytestmark = pytest.mark.mountsea_emulator(fail_share=0.1, seed=7)

@pytest.mark.mountsea_emulator(fail_share=0.5)
def test_marked(mountsea_emulator):
    behaviour = mountsea_emulator.behaviour
    assert (behaviour.fail_share, behaviour.seed) == (0.5, 7)
    assert behaviour.durations.high <= 0.05

def test_without_the_fixture():
    assert "MOUNTSEA_BASE_URL" not in os.environ

@pytest.mark.mountsea_emulator(fail_share=2)
def test_wrong_value(mountsea_emulator):
    pass

@pytest.mark.mountsea_emulator(0.5)
def test_without_a_name(mountsea_emulator):
    pass

@pytest.mark.mountsea_emulator(speed=2)
def test_unknown_name(mountsea_emulator):
    pass
""",
    )
    assert "2 passed, 3 errors" in done.stdout, done.stdout
    assert "Behaviour.fail_share must be" in done.stdout
    assert "by name" in done.stdout
    assert "speed" in done.stdout


def test_nothing_heavy_is_imported_before_the_fixture_is_used(tmp_path: Path) -> None:
    done = run_project(
        tmp_path,
        """
import sys

def test_light():
    assert "mountsea_async.testing.pytest_plugin" in sys.modules
    assert not {"aiohttp", "attrs", "attr", "cattrs"} & set(sys.modules)
    assert "pytest_asyncio" not in sys.modules
""",
    )
    assert done.returncode == 0, done.stdout


def test_the_marker_is_described(tmp_path: Path) -> None:
    assert "mountsea_emulator(**fields)" in run_project(tmp_path, "", "--markers").stdout
