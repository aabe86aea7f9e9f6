"""What importing the package costs beside importing its four dependencies.

python -m benchmarks.import_cost [--repeats 11] [--json FILE]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time

from benchmarks.setting import median, show, spread

VARIANTS = {
    "nothing": "pass",
    "the four dependencies": "import aiohttp, attrs, cattrs, backoff",
    "import mountsea_async": "import mountsea_async",
    "dependencies, then import mountsea_async": "import aiohttp, attrs, cattrs, backoff, mountsea_async",
    "from mountsea_async import MountseaClient": "from mountsea_async import MountseaClient",
}


def once(code: str) -> float:
    """Seconds that a fresh interpreter takes."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - began


def main() -> None:
    """Times each variant in fresh interpreters, interleaved, and prints medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=11)
    parser.add_argument("--json")
    asked = parser.parse_args()
    times: dict[str, list[float]] = {name: [] for name in VARIANTS}
    for code in VARIANTS.values():
        once(code)
    for _ in range(asked.repeats):
        for name, code in VARIANTS.items():
            times[name].append(once(code))
    base = median(times["the four dependencies"])
    rows = [
        {
            "what": name,
            "median ms": round(median(taken) * 1000),
            "spread": spread(taken),
            "ratio to the dependencies": round(median(taken) / base, 2),
        }
        for name, taken in times.items()
    ]
    method = f"A fresh interpreter each, {asked.repeats} interleaved repeats, medians."
    show("import_cost", method, rows, asked.json)


if __name__ == "__main__":
    main()
