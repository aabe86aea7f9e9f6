"""Where and how a figure was taken: machine, versions, the service's process, medians, spreads."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any


def setting() -> dict[str, str]:
    """The machine and the versions that figures depend on."""
    model = ""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = names[0] if names else ""
    return {
        "machine": f"{os.cpu_count()} cores, {model or platform.machine()}, {platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        **{name: version(name) for name in ("mountsea-async", "aiohttp", "attrs", "cattrs")},
    }


@contextmanager
def beside(module: str, *arguments: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """`python -m module arguments` in a process of its own, which is to end when its standard input does."""
    command = [sys.executable, "-m", module, *arguments]
    env = os.environ | environment
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env) as process:
        assert process.stdin is not None
        try:
            yield process
        finally:
            process.stdin.close()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def said(process: subprocess.Popen[str]) -> str:
    """The next line of such a process."""
    assert process.stdout is not None
    if not (line := process.stdout.readline().strip()):
        raise RuntimeError("the process beside us has ended")
    return line


@contextmanager
def served(module: str, *arguments: str) -> Iterator[str]:
    """The first line of a server beside us: where it is."""
    with beside(module, *arguments) as process:
        yield said(process)


def resident(pid: int | str = "self") -> int:
    """Bytes of memory that a process holds."""
    return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def filesystem(path: Path) -> str:
    """The type of the filesystem that holds a path; `unknown` where the system doesn't tell."""
    mounts = Path("/proc/self/mounts")
    if not mounts.exists():
        return "unknown"
    # The last that was mounted over a folder is the one that counts.
    lines = [line.split() for line in reversed(mounts.read_text(encoding="utf-8").splitlines())]
    holding = [line for line in lines if path.resolve().is_relative_to(line[1])]
    return max(holding, key=lambda line: len(line[1]))[2]


def median(values: Sequence[float]) -> float:
    """The middle one."""
    return statistics.median(values)


def spread(values: Sequence[float]) -> str:
    """Lowest and highest, as shares of the median."""
    middle = median(values)
    return f"{min(values) / middle - 1:+.0%} to {max(values) / middle - 1:+.0%}"


def show(title: str, method: str, rows: list[dict[str, Any]], json_to: str | None) -> None:
    """Prints a table of rows under a statement of the setting; writes the same as JSON where asked for."""
    where = setting()
    print(f"\n{title}\n{method}")
    print("; ".join(f"{name} {value}" for name, value in where.items()))
    names = list(rows[0])
    table = [names, *([str(row[name]) for name in names] for row in rows)]
    widths = [max(len(line[column]) for line in table) for column in range(len(names))]
    for line in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    if json_to:
        whole = {"title": title, "method": method, "setting": where, "rows": rows}
        Path(json_to).write_text(json.dumps(whole, indent=2) + "\n", encoding="utf-8")
