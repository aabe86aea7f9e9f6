"""Checks the emulator against the contract: `python tests/run_schemathesis.py [--max-examples N]`.

What may live here: starting an emulator on loopback, running the schemathesis command line on the shipped
document, handing on its exit code. pytest does not collect this file; schemathesis loads it for its hooks.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import re
import string
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "mountsea_async" / "testing" / "openapi.yaml"
SEED = "20261101"
THERE = "MOUNTSEA_TEST_IDS"
_UUID = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
ANY = re.compile("(?s).*")
FORMS = {"sessionId": re.compile(_UUID), "model": re.compile(f"chirp-custom:{_UUID}")}
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
BOUND = 300.0


def register_hooks() -> None:
    """Tell schemathesis what `format: uri` means here, and which ids there are.

    The contract says `uri`, and the service downloads it: only http and https make sense, and the emulator
    answers 400 to every other scheme. Without this, data meant to be accepted would hold `ftp:` and `urn:`.
    Ids are any strings to the contract; made up, they would be answered 404 and lead to nothing.
    """
    import schemathesis  # noqa: PLC0415 - only in the process that schemathesis runs in
    from hypothesis import strategies as st  # noqa: PLC0415 - the same

    host = st.from_regex(r"[a-z][a-z0-9]{0,10}\.(com|org|example)", fullmatch=True)
    path = st.text(string.ascii_letters + string.digits + "-._~/", max_size=30)
    query = st.sampled_from(["", "?X-Signature=ab%2Fcd&X-Expires=60", "#t=3"])
    schemes = st.sampled_from(["http", "https"])
    schemathesis.openapi.format("uri", st.builds("{}://{}/{}{}".format, schemes, host, path, query))

    there = json.loads(os.environ.get(THERE, "{}"))

    @schemathesis.hook  # type: ignore[untyped-decorator]
    def before_call(_context: object, case: Any, _arguments: object) -> None:
        chained = case.meta is not None and case.meta.phase.name.value == "stateful"  # its ids are real ones
        if there and isinstance(case.body, dict) and not chained:
            case.body = meant(case.body, there["model" if "/customModel/" in case.path else "batch"])


def meant(body: dict[str, Any], ids: dict[str, Any]) -> dict[str, Any]:
    """Return a body whose ids, where they are well formed, are those of something that is there."""
    body = {name: meant(value, ids) if isinstance(value, dict) else value for name, value in body.items()}
    for name in body.keys() & ids.keys():
        given, known = body[name], ids[name]
        if isinstance(known, list) and isinstance(given, list) and all(isinstance(item, str) for item in given):
            stands_for = dict(zip(dict.fromkeys(given), known, strict=False))  # the same string: the same clip
            body[name] = [stands_for[item] for item in given if item in stands_for]
        elif isinstance(known, str) and isinstance(given, str) and FORMS.get(name, ANY).fullmatch(given):
            body[name] = known
    return body


def furnish(base_url: str, api_key: str) -> dict[str, dict[str, Any]]:
    """Have clips, and what can be made of them, on one account of each sort; return their ids by field name."""
    headers = {"Authorization": f"Bearer {api_key}", "Content-Type": "application/json"}

    def ask(path: str, **body: object) -> Any:
        data = json.dumps(body).encode() if body else None
        request = urllib.request.Request(base_url + path, data, headers)  # noqa: S310 - loopback
        with OPENER.open(request, timeout=10) as response:
            return json.load(response)

    def session(prepare: str, upload: str) -> tuple[str, list[str]]:
        request = urllib.request.Request(base_url + prepare, b"", headers)  # noqa: S310 - loopback
        with OPENER.open(request, timeout=10) as response:
            session_id = json.load(response)["sessionId"]
        tasks = [ask(upload, sessionId=session_id, audioUrl="https://example.com/a.mp3")["taskId"] for _ in range(12)]
        return session_id, [landed(task_id)["id"] for task_id in tasks]

    def landed(task_id: str) -> Any:
        for _ in range(1000):
            if "data" in (task := ask(f"/suno/v2/status?taskId={task_id}")):
                return task["data"]
            time.sleep(0.01)
        raise TimeoutError(f"{task_id} does not end")

    batch, clips = session("/suno/v2/audio/upload/session", "/suno/v2/audio/upload/session/item")
    model, training = session("/suno/v2/customModel/prepare", "/suno/v2/customModel/upload")
    ask("/suno/v2/customModel/create", sessionId=model, clipIds=training, name="a")
    ids = {
        "sessionId": batch,
        "clip_id": clips[0],
        "artist_clip_id": clips[1],
        **dict.fromkeys(("clip_ids", "playlist_clip_ids", "mashup_clip_ids"), clips),
        "model": landed(model)["model"],
        "playlist_id": ask("/suno/v2/playlist/create", clip_ids=clips[:4])["playlist_id"],
        "vox_audio_id": ask("/suno/v2/getVoxStem", clip_id=clips[0])["id"],
        "persona_id": ask("/suno/v2/persona", clip_id=clips[0], name="a", is_public=True)["id"],
    }
    return {"batch": ids, "model": {"sessionId": model, "clipIds": training}}


def command(base_url: str, api_key: str, max_examples: int, report: Path) -> list[str]:
    """Return the command line of one run: every check, every phase, a fixed seed."""
    line = [str(Path(sys.executable).with_name("schemathesis")), "run", str(DOCUMENT), "--url", base_url]
    line += ["--header", f"Authorization: Bearer {api_key}", "--header", f"X-API-Key: {api_key}"]
    line += ["--checks", "all", "--no-color"]
    line += ["--seed", SEED, "--max-examples", str(max_examples), "--generation-database", "none"]
    return [*line, "--request-timeout", "10", "--report", "json", "--report-json-path", str(report)]


def tested(report: Path) -> tuple[int, int]:
    """Return how many operations were tested and how many were meant to be."""
    operations = json.loads(report.read_text())["operations"] if report.exists() else {}
    return operations.get("tested", 0), operations.get("selected", 0)


def worth_reading(record: logging.LogRecord) -> bool:
    """Tell whether a record says anything: schemathesis probes with a header that no parser takes."""
    return record.exc_info is None or "BadHttpMessage" not in str(record.exc_info[0])


def main() -> int:
    """Run it and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--max-examples", type=int, default=100, help="cases an operation and phase (%(default)s)")
    max_examples = parser.parse_args().max_examples

    logging.getLogger("aiohttp.server").addFilter(worth_reading)
    sys.path.insert(0, str(ROOT))
    from mountsea_async.testing import Behaviour, Emulator, Fixed  # noqa: PLC0415 - found by the line above

    path = os.pathsep.join(filter(None, [str(Path(__file__).parent), os.environ.get("PYTHONPATH")]))
    environment = {
        **os.environ,
        "SCHEMATHESIS_HOOKS": Path(__file__).stem,
        "PYTHONPATH": path,
        "NO_PROXY": "*",
    }
    at_once = Fixed(0.01)
    # Whatever the run leaves behind (report, caches) goes away with this directory.
    with (
        tempfile.TemporaryDirectory() as scratch,
        Emulator(Behaviour(durations=at_once, training=at_once, generation=at_once)).in_thread() as emulator,
    ):
        environment[THERE] = json.dumps(furnish(emulator.base_url, emulator.api_key))
        report = Path(scratch) / "report.json"
        line = command(emulator.base_url, emulator.api_key, max_examples, report)
        code = subprocess.run(line, cwd=scratch, env=environment, timeout=BOUND, check=False).returncode
        done, meant = tested(report)
    if not done or done < meant:
        print(f"Only {done} of {meant} selected operations were tested", file=sys.stderr)  # noqa: T201
        return code or 1
    return code


if __name__ == "__main__":
    sys.exit(main())
elif __name__ == Path(__file__).stem:
    register_hooks()
