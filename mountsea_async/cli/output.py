"""Results as data: the report as a table, JSON, JSON Lines or CSV, on stdout or in a file.

`render` and `table` are pure. Writing is here too: to stdout, whose reader may have left, and to a file, whole or not
at all.
"""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, TypeAlias

from .. import BatchReport, ConfigurationError, ItemReport, TaskFailedError
from .wording import abandon, one_line

__all__ = ["Format", "check_output", "form_of", "render", "stdout_width", "table", "to_file", "to_stdout", "why"]

Format: TypeAlias = Literal["table", "json", "jsonl", "csv"]

_MIN_URL, _MIN_WHY, _MAX_WHY, _MAX_KEY, _CLIP_ID = 20, 30, 60, 16, 36
_GAP = "  "


# -------------------------------------------------------------------------------------------------------- forms
def render(report: BatchReport, form: Format, *, width: int | None = None) -> str:
    """The report as text that ends with a newline.

    Args:
        report: What became of the batch.
        form: The form.
        width: Columns that a table must fit into; None: as many as it needs, nothing is cut.
    """
    if form == "json":
        return json.dumps(report.to_dict(), indent=2) + "\n"
    if form == "jsonl":
        return "".join(json.dumps(item.to_dict()) + "\n" for item in report.items)
    if form == "csv":
        return _csv(report)
    model = report.training.model if report.training is not None else None
    return table(report.items, width=width) + (f"model  {model.id}\n" if model is not None else "")


def _csv(report: BatchReport) -> str:
    text = io.StringIO()
    rows = [item.to_dict() for item in report.items]
    columns = list(rows[0]) if rows else ["index"]
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        metadata = json.dumps(row["metadata"], ensure_ascii=False) if row["metadata"] else ""
        writer.writerow({**row, "candidates": " ".join(row["candidates"]), "metadata": metadata})
    return text.getvalue()


def why(item: ItemReport) -> str:
    """Why an item has no clip, or what is odd about it, on one line; empty where all is well."""
    error = item.error
    if isinstance(error, TaskFailedError):
        words = [str(part) for part in (error.fail_code, error.fail_reason) if part is not None]
        return one_line(": ".join(words)) or "no reason given"
    if error is not None:
        return one_line(error.message)
    if item.reason is None and item.duplicate_of is not None:
        return f"shares the clip of {item.duplicate_of}"
    return (item.reason or "").replace("_", " ")


def table(items: Sequence[ItemReport], *, width: int | None = None) -> str:
    """The items as aligned columns: index, key where there is one, state, clip id, URL, reason where there is one.

    Args:
        items: What became of each.
        width: Columns to fit into: URLs then lose their beginning, and where that isn't enough, the reason stands in
            the clip's place. None: nothing is cut.
    """
    columns = {
        "#": [str(item.index) for item in items],
        "key": [one_line(item.key or "-") for item in items],
        "state": [item.state.value for item in items],
        "clip id": [item.clip_id or "-" for item in items],
        "url": [one_line(item.audio_url) for item in items],
        "reason": [why(item) for item in items],
    }
    if not any(item.key for item in items):
        del columns["key"]
    if not any(columns["reason"]):
        del columns["reason"]
    widths = {name: max(map(len, [name, *cells])) for name, cells in columns.items()}
    if width is not None:
        columns, widths = _fitted(columns, widths, width)
    rows = [list(columns), *zip(*columns.values(), strict=True)]
    return "".join(_row(row, widths) for row in rows)


def _fitted(
    columns: dict[str, list[str]], widths: dict[str, int], width: int
) -> tuple[dict[str, list[str]], dict[str, int]]:
    """The columns narrowed to a terminal's width; on a very narrow one they may still not fit."""
    widths = {**widths, "key": min(widths["key"], _MAX_KEY)} if "key" in widths else dict(widths)
    room = width - sum(widths.values()) - len(_GAP) * (len(widths) - 1)
    if room < 0 and "reason" in widths:
        spare = room + widths["url"] - _MIN_URL + widths["reason"]
        if spare < min(widths["reason"], _MIN_WHY):
            return _fitted(*_merged(columns, widths), width)
        widths["reason"] = min(widths["reason"], spare, _MAX_WHY)
        room = width - sum(widths.values()) - len(_GAP) * (len(widths) - 1)
    if room < 0:
        widths["url"] = max(_MIN_URL, widths["url"] + room)
    return columns, widths


def _merged(columns: dict[str, list[str]], widths: dict[str, int]) -> tuple[dict[str, list[str]], dict[str, int]]:
    """One column for the clip or, where there is none, the reason."""
    name = "clip id or reason"
    either = [
        reason if clip_id == "-" and reason else clip_id
        for clip_id, reason in zip(columns["clip id"], columns["reason"], strict=True)
    ]
    order = ["#", "key", "state", name, "url"]
    all_columns = {**columns, name: either}
    all_widths = {**widths, name: _CLIP_ID}
    return (
        {each: all_columns[each] for each in order if each in all_columns},
        {each: all_widths[each] for each in order if each in all_columns},
    )


def _row(cells: Sequence[str], widths: Mapping[str, int]) -> str:
    fitted = []
    for cell, (name, width) in zip(cells, widths.items(), strict=True):
        if len(cell) <= width:
            fitted.append(cell.rjust(width) if name == "#" else cell.ljust(width))
        else:  # the end of a URL tells more than its beginning
            fitted.append("…" + cell[len(cell) - width + 1 :] if name == "url" else cell[: width - 1] + "…")
    return _GAP.join(fitted).rstrip() + "\n"


def form_of(path: Path | None) -> Format:
    """The form of the results that a file's suffix asks for; a table where there is none."""
    suffixes: dict[str, Format] = {".json": "json", ".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv"}
    return suffixes.get(path.suffix.lower(), "table") if path is not None else "table"


# ------------------------------------------------------------------------------------------------------ writing
def to_stdout(text: str) -> None:
    """Prints data. A reader that has left (`| head`) wants no more of it, which is no error.

    Raises:
        OSError: stdout can't be written to for another reason.
    """
    if sys.stdout is None:
        return
    encoding = sys.stdout.encoding or "utf-8"
    try:
        sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))
        sys.stdout.flush()
    except BrokenPipeError:
        abandon(sys.stdout)
    except OSError:
        abandon(sys.stdout)
        raise


def stdout_width() -> int | None:
    """Columns of the terminal that stdout is; None if it is none."""
    if sys.stdout is None or not sys.stdout.isatty():
        return None
    return shutil.get_terminal_size().columns


def check_output(path: Path) -> None:
    """Makes sure that a file can be written, before anything is paid.

    Raises:
        ConfigurationError: Its folder doesn't exist or isn't writable, or it is a folder itself.
    """
    target = _target(path)
    if target.is_dir():
        raise ConfigurationError(f"--output {path}: it is a folder; name a file")
    try:
        if _is_special(target):
            with target.open("a"):
                return
        with _beside(target):
            pass
    except OSError as error:
        folder = f"the folder {target.parent}" if not target.parent.is_dir() else str(target.parent)
        raise ConfigurationError(f"--output {path}: can't write to {folder}: {error.strerror or error}") from None


def to_file(path: Path, text: str) -> None:
    """Writes a file whole, or leaves what was there.

    Raises:
        OSError: It couldn't be written.
    """
    target = _target(path)
    if _is_special(target):
        target.write_text(text, encoding="utf-8", errors="backslashreplace")
        return
    with _beside(target) as draft:
        with draft.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(target)


def _target(path: Path) -> Path:
    return Path(os.path.realpath(path))  # a link stays a link to the new file


def _is_special(target: Path) -> bool:
    """Whether it is a device or a pipe such as /dev/null, which is written to as it is."""
    return target.exists() and not target.is_file()


@contextmanager
def _beside(target: Path) -> Iterator[Path]:
    """An empty file in the target's folder, gone afterwards unless it was renamed."""
    draft = target.with_name(f".{target.name[:100]}.{os.getpid()}.tmp")
    draft.open("x").close()
    try:
        yield draft
    finally:
        draft.unlink(missing_ok=True)
