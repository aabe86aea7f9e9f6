"""Runs every benchmark, one after another, each in an interpreter of its own."""

from __future__ import annotations

import argparse
import subprocess
import sys

QUICK = {
    "benchmarks.import_cost": ["--repeats", "3"],
    "benchmarks.scale": ["--items", "10", "1000"],
    "benchmarks.journal": ["--quick"],
    "benchmarks.unknowns": ["--quick"],
}


def main() -> None:
    """Ends with the first benchmark that fails."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small counts, for a look")
    asked = parser.parse_args()
    for module, quick in QUICK.items():
        subprocess.run([sys.executable, "-m", module, *(quick if asked.quick else [])], check=True)


if __name__ == "__main__":
    main()
