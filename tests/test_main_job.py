"""The main job as a user runs it: the command over real sockets, 300 URLs, in real time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.names import KEY, urls

from mountsea_async.testing import Behaviour, Emulator, Uniform

pytestmark = pytest.mark.e2e

DURATIONS = Uniform(0.4, 0.8)


def upload(emulator: Emulator, folder: Path, *flags: str) -> tuple[int, dict[str, Any]]:
    """Runs `mountsea upload` on 300 URLs. Returns its exit code and its report."""
    (folder / "urls.txt").write_text("\n".join(urls(300)), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "mountsea_async.cli", "upload", "urls.txt", "--format", "json", *flags],
        env={**os.environ, "MOUNTSEA_API_KEY": KEY, "MOUNTSEA_BASE_URL": emulator.base_url},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert KEY not in done.stdout + done.stderr
    return done.returncode, json.loads(done.stdout)


def test_300_urls_become_300_clips_in_input_order_on_one_account(tmp_path: Path) -> None:
    with Emulator(Behaviour(durations=DURATIONS), api_key=KEY).in_thread() as emulator:
        code, report = upload(emulator, tmp_path)
        by_url = {charge.audio_url: charge.clip_id for charge in emulator.ledger.charges}
        assert code == 0
        assert report["audio_ids"] == [by_url[url] for url in urls(300)]
        assert len(set(report["audio_ids"])) == 300
        assert len({charge.account for charge in emulator.ledger.charges}) == 1
        assert emulator.ledger.summary()["sessions"] == 1
        assert [emulator.ledger.posts(url) for url in urls(300)] == [1] * 300
        assert report["reconciliation"]["consistent"]


def test_failures_and_timeouts_among_300_urls_are_told_one_by_one(tmp_path: Path) -> None:
    behaviour = Behaviour(durations=DURATIONS, fail_share=0.1, timeout_share=0.05, seed=7)
    with Emulator(behaviour, api_key=KEY).in_thread() as emulator:
        code, report = upload(emulator, tmp_path)
        ends = {charge.audio_url: charge.ends for charge in emulator.ledger.charges}
        state = {"success": "succeeded", "failed": "failed", "timeout": "timed_out"}
        assert code == 1
        assert [item["state"] for item in report["items"]] == [state[ends[url]] for url in urls(300)]
        assert {item["state"] for item in report["items"]} == set(state.values())
        assert [emulator.ledger.posts(url) for url in urls(300)] == [1] * 300
        assert emulator.ledger.lost(report["audio_ids"]) == ()
