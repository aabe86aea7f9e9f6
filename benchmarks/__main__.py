"""Runs every benchmark, one after another, each in an interpreter of its own.

python -m benchmarks [--quick] [--results DIR] [--only NAME ...] [--but NAME ...]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

BENCHMARKS = (
    "import_cost",
    "request_cost",
    "polling",
    "rate_limit",
    "batch",
    "scale",
    "decisions",
    "journal",
    "unknowns",
    "hooks",
    "watchers",
)


def main() -> None:
    """Runs all, and ends with an error that names those which failed."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="small counts, for a look: under two minutes in all")
    parser.add_argument("--results", type=Path, metavar="DIR", help="write the figures of each to DIR/NAME.json, too")
    parser.add_argument("--only", nargs="+", choices=BENCHMARKS, metavar="NAME", help=", ".join(BENCHMARKS))
    parser.add_argument("--but", nargs="+", choices=BENCHMARKS, default=(), metavar="NAME", help="leave these out")
    asked = parser.parse_args()
    if asked.results:
        asked.results.mkdir(parents=True, exist_ok=True)
    failed = []
    for name in (name for name in asked.only or BENCHMARKS if name not in asked.but):
        command = [sys.executable, "-m", f"benchmarks.{name}"]
        command += ["--quick"] if asked.quick else []
        command += ["--json", str(asked.results / f"{name}.json")] if asked.results else []
        began = time.perf_counter()
        if subprocess.run(command, check=False).returncode:
            failed.append(name)
        print(f"({time.perf_counter() - began:.0f} s)", flush=True)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
