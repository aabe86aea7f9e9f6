"""Checks the emulator against the contract: `python tests/run_schemathesis.py [--max-examples N]`.

What may live here: starting an emulator on loopback, running the schemathesis command line on the shipped
document, handing on its exit code. pytest does not collect this file; schemathesis loads it for its hooks.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import string
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "mountsea_async" / "testing" / "openapi.yaml"
TAGS = ("upload", "task")
SEED = "20261101"
BOUND = 300.0


def register_hooks() -> None:
    """Tell schemathesis what `format: uri` means here.

    The contract says `uri`, and the service downloads it: only http and https make sense, and the emulator
    answers 400 to every other scheme. Without this, data meant to be accepted would hold `ftp:` and `urn:`.
    """
    import schemathesis  # noqa: PLC0415 - only in the process that schemathesis runs in
    from hypothesis import strategies as st  # noqa: PLC0415 - the same

    host = st.from_regex(r"[a-z][a-z0-9]{0,10}\.(com|org|example)", fullmatch=True)
    path = st.text(string.ascii_letters + string.digits + "-._~/", max_size=30)
    query = st.sampled_from(["", "?X-Signature=ab%2Fcd&X-Expires=60", "#t=3"])
    schemes = st.sampled_from(["http", "https"])
    schemathesis.openapi.format("uri", st.builds("{}://{}/{}{}".format, schemes, host, path, query))


def command(base_url: str, api_key: str, max_examples: int, report: Path) -> list[str]:
    """Return the command line of one run: every check, every phase, a fixed seed."""
    line = [str(Path(sys.executable).with_name("schemathesis")), "run", str(DOCUMENT), "--url", base_url]
    line += ["--header", f"Authorization: Bearer {api_key}", "--checks", "all", "--no-color"]
    for tag in TAGS:
        line += ["--include-tag", tag]
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
    # Whatever the run leaves behind (report, caches) goes away with this directory.
    with (
        tempfile.TemporaryDirectory() as scratch,
        Emulator(Behaviour(durations=Fixed(0.01))).in_thread() as emulator,
    ):
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
