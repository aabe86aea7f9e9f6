"""A seed is a world: the same in another process, under another hash seed and on another version of Python."""

# ruff: noqa: T201 - what it prints is what it is for
from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SEEDS = 16
TESTS = Path(__file__).resolve().parent.parent
WITHOUT_EXTENSIONS = (
    "AIOHTTP_NO_EXTENSIONS",
    "MULTIDICT_NO_EXTENSIONS",
    "YARL_NO_EXTENSIONS",
    "FROZENLIST_NO_EXTENSIONS",
    "PROPCACHE_NO_EXTENSIONS",
)


def packages() -> list[str]:
    """Where this interpreter finds what it has installed."""
    return [str(TESTS), str(TESTS.parent), *(path for path in sys.path if path.endswith("site-packages"))]


def traces(python: str, hash_seed: int, *, portable: bool = False) -> list[str]:
    """What the worlds of some seeds come to in a process of its own."""
    environment = {**os.environ, "PYTHONHASHSEED": str(hash_seed), "PYTHONPATH": os.pathsep.join(packages())}
    if portable:  # compiled extensions are one version's; the packages do without them
        environment |= dict.fromkeys(WITHOUT_EXTENSIONS, "1")
    command = [python, "-W", "ignore", "-m", "simulation", "--hash", "--seeds", str(SEEDS)]
    ended = subprocess.run(
        command, env=environment, cwd=TESTS, capture_output=True, text=True, check=False, timeout=300
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
    return ended.stdout.split()


def others() -> Iterator[str]:
    """Interpreters of other versions that this machine has."""
    mine = f"{sys.version_info[0]}.{sys.version_info[1]}"
    homes = sorted(Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")).glob("versions/*"))
    for version in ("3.11", "3.12", "3.13", "3.14"):
        if version == mine:
            continue
        candidates = [
            shutil.which(f"python{version}"),
            *(str(h / "bin/python") for h in homes if h.name.startswith(f"{version}.")),
        ]
        for candidate in candidates:
            if candidate and _is(candidate, version):
                yield candidate
                break


def _is(python: str, version: str) -> bool:
    check = f"import sys, sqlite3; sys.exit('%d.%d' % sys.version_info[:2] != '{version}')"
    try:
        return subprocess.run([python, "-c", check], capture_output=True, check=False, timeout=30).returncode == 0
    except OSError:
        return False


def test_a_seed_is_the_same_world_under_any_hash_seed() -> None:
    first = traces(sys.executable, 1)
    assert len(set(first)) == SEEDS
    assert traces(sys.executable, 2) == first


def test_a_seed_is_the_same_world_on_every_version_of_python(capsys: pytest.CaptureFixture[str]) -> None:
    expected = traces(sys.executable, 0, portable=True)
    found = list(others())
    for python in found:
        assert traces(python, 0, portable=True) == expected, python
    with capsys.disabled():
        print(f"\n  {SEEDS} traces are the same on {len(found) + 1} versions of Python", end="", file=sys.stderr)
    if not found:
        pytest.skip("this machine has one version of Python")
