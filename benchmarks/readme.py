"""Writes the README's figures, and its picture, from the results that are kept, and from nothing else.

    python -m benchmarks --results benchmarks/results
    python -m benchmarks.readme

A block stands between `<!-- benchmarks:NAME -->` and `<!-- /benchmarks:NAME -->`; one whose benchmark has
left no result is empty.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import attrs

from benchmarks import picture

TOP = Path(__file__).resolve().parents[1]
RESULTS = TOP / "benchmarks" / "results"
README = TOP / "README.md"
BLOCK = re.compile(
    r"(?P<begin><!-- benchmarks:(?P<name>\w+) -->\n).*?(?P<end><!-- /benchmarks:(?P=name) -->)", re.DOTALL
)

Row: TypeAlias = Mapping[str, Any]


@attrs.frozen
class Table:
    """What the README shows of a benchmark.

    Attributes:
        heading: Over it; empty: none, since the text around it is its heading.
        columns: The README's column names, and the results' own.
        keep: Which rows.
        before: What stands between the heading and the table.
    """

    heading: str
    columns: Mapping[str, str]
    keep: Callable[[Row], bool] = lambda _: True
    before: str = ""


def same(*names: str) -> dict[str, str]:
    """Columns that keep their names."""
    return {name: name for name in names}


TABLES: Mapping[str, Table] = {
    "batch": Table(
        "### A batch, end to end",
        {
            "world": "world",
            "client": "who",
            "seconds": "wall s",
            "times the best possible": "times the best",
            "spread": "spread",
            "requests an item": "requests an item",
            "429s": "refusals",
            "CPU ms an item": "CPU ms an item",
            "peak MB": "peak MB",
            "paid twice": "paid twice",
            "clips lost": "clips lost",
            "not uploaded": "not uploaded",
        },
        before="Beside [a script of 40 lines](benchmarks/gather_script.py) with `asyncio.gather`, a semaphore, retries "
        "with backoff and a poll every 2 s. Where answers are lost, the library waits until it is known what became of "
        "those uploads; the script sends them again.",
    ),
    "polling": Table(
        "### When to ask",
        {
            "at once": "K",
            "strategy": "strategy",
            "requests an item": "requests an item",
            "lag s": "lag s",
            "batch ends later by": "end late",
        },
        lambda row: row["m"] == 30 and row["order"] == "fifo" and row["list"] == "right",
    ),
    "decisions": Table(
        "### A decision of whom to ask",
        same(*("pending", "K", "list", "decisions", "us a decision", "spread")),
        lambda row: row["pending"] in (100, 5000),
    ),
    "rate_limit": Table(
        "### Under a rate limit",
        {
            "limit a second": "R",
            "at once": "burst",
            "`Retry-After`": "hints",
            **same("strategy", "where", "share of R", "refusals per request", "lost"),
        },
        lambda row: row["R"] == "50" or (row["strategy"] == "pace" and row["burst"] > 1 and row["hints"] != "date"),
    ),
    "request_cost": Table(
        "### A request",
        same("client", "CPU µs", "spread", "ratio to bare", "spread of the ratio"),
        lambda row: row["request"] == "status" and row["at once"] == 64,
    ),
    "import_cost": Table("### The import", same("what", "median ms", "spread", "ratio to the dependencies")),
    "scale": Table(
        "### An item",
        same("items", "bytes an item", "peak open files", "seconds", "CPU ms an item", "requests an item"),
        lambda row: row["items"] >= 100 and str(row["items"]).startswith("1"),
        "![Memory and CPU an item, by the size of the batch](benchmarks/results/scale.svg)",
    ),
    "journal": Table(
        "### The journal",
        same("what", "count", "median", "spread", "CPU ms each", "ratio", "bound"),
    ),
    "watchers": Table(
        "### Watched over HTTP",
        same("watched by", "seconds", "times unwatched", "CPU ms an item", "grown by MB", "events to each"),
    ),
    "hooks": Table(
        "### Observed in the process",
        {
            "what": "what",
            "CPU µs an item": "CPU µs an item",
            "spread": "spread",
            "more than without the hooks": "more",
        },
    ),
    "unknowns": Table(
        "",
        {
            "answers lost": "answers lost",
            "concurrency": "concurrency",
            "items": "items",
            "`on_unknown`": "on_unknown",
            "unknown, no clip": "unknown, no clip",
            "list alone": "list alone",
            "whose is known": "clairvoyant",
            "seconds": "seconds",
        },
        lambda row: row["answers lost"] == "1%" or row["concurrency"] == "4",
    ),
}


def read(folder: Path) -> dict[str, Any]:
    """The results that there are, by the benchmark's name."""
    found = ((name, folder / f"{name}.json") for name in TABLES)
    return {name: json.loads(path.read_text(encoding="utf-8")) for name, path in found if path.exists()}


def block(name: str, results: Mapping[str, Any]) -> str:
    """What stands between a block's marks; nothing where there is no result.

    Raises:
        ValueError: No block is called so, or a result lacks what the block shows.
    """
    if name == "setting":
        return _settings(results)
    if name not in TABLES:
        raise ValueError(f"README has a block for {name!r}; there are {', '.join(['setting', *TABLES])}")
    if name not in results:
        return ""
    table, result = TABLES[name], results[name]
    rows = [row for row in result["rows"] if table.keep(row)]
    if not rows:
        raise ValueError(f"the result of {name} has none of the rows that README shows")
    lines = [
        list(table.columns),
        ["---"] * len(table.columns),
        *([_cell(row[key]) for key in table.columns.values()] for row in rows),
    ]
    drawn = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    method = " ".join(result["method"].split()).rstrip(".")
    parts = (table.heading, table.before, drawn, f"`python -m benchmarks.{name}`: {method[0].upper()}{method[1:]}.")
    return "\n\n".join(part for part in parts if part) + "\n"


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,g}" if value == int(value) else f"{value:,}"
    # Strings of figures keep their form, but for the space that belongs before a per cent sign.
    return re.sub(r"(?<=\d)%", " %", str(value)).replace("|", "\\|")


def _settings(results: Mapping[str, Any]) -> str:
    """Machine and versions, once for all that share them."""
    shared: dict[str, list[str]] = {}
    for name, result in results.items():
        where = result["setting"]
        words = f"{where['machine']}; {where['python']}; " + ", ".join(
            f"{package} {release}" for package, release in where.items() if package not in ("machine", "python")
        )
        shared.setdefault(words, []).append(f"`{name}`")
    if len(shared) == 1:
        return f"Measured on {next(iter(shared))}.\n"
    return "".join(f"- {', '.join(names)}: {words}.\n" for words, names in shared.items())


def written(text: str, results: Mapping[str, Any]) -> str:
    """The README with its blocks as the results have them; all else as it is."""
    return BLOCK.sub(lambda found: f"{found['begin']}{block(found['name'], results)}{found['end']}", text)


def drawn(results: Mapping[str, Any]) -> str | None:
    """The picture; None where its benchmark has left no result."""
    return picture.scale(results["scale"]["rows"]) if "scale" in results else None


def main() -> None:
    """Writes the README and the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args()
    results = read(RESULTS)
    README.write_text(written(README.read_text(encoding="utf-8"), results), encoding="utf-8")
    if svg := drawn(results):
        (RESULTS / "scale.svg").write_text(svg, encoding="utf-8")
    print(f"README shows {', '.join(results) or 'no results'}")


if __name__ == "__main__":
    main()
