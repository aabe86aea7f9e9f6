"""What importing the package costs beside importing its four dependencies.

    python -m benchmarks.import_cost [--quick] [--repeats 11] [--json FILE]

All modules come from compiled bytecode, as they do once a package is installed.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time

from benchmarks.setting import median, show, spread

VARIANTS = {
    "nothing": "pass",
    "the four dependencies": "import aiohttp, attrs, cattrs, backoff",
    "import mountsea_async": "import mountsea_async",
    "dependencies, then import mountsea_async": "import aiohttp, attrs, cattrs, backoff, mountsea_async",
    "from mountsea_async import MountseaClient": "from mountsea_async import MountseaClient",
}


def once(code: str, bytecode: str) -> float:
    """Seconds that a fresh interpreter takes, which finds compiled modules in a folder, and leaves them there."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, env=environment | {"PYTHONPYCACHEPREFIX": bytecode})
    return time.perf_counter() - began


def main() -> None:
    """Times each variant in fresh interpreters, interleaved, and prints medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few repeats, for a look")
    parser.add_argument("--repeats", type=int)
    parser.add_argument("--json")
    asked = parser.parse_args()
    repeats = asked.repeats or (3 if asked.quick else 11)
    times: dict[str, list[float]] = {name: [] for name in VARIANTS}
    with tempfile.TemporaryDirectory() as bytecode:
        for code in VARIANTS.values():
            once(code, bytecode)
        for _ in range(repeats):
            for name, code in VARIANTS.items():
                times[name].append(once(code, bytecode))
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
    method = f"A fresh interpreter each, {repeats} interleaved repeats, medians; bytecode compiled before."
    show("import_cost", method, rows, asked.json)


if __name__ == "__main__":
    main()
