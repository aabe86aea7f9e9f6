"""What to upload, read from arguments, files and stdin: plain lines, JSON Lines or CSV.

`parse` is pure: text in, entries out, each with the place it came from, so that an error can name file and line.
`read_sources` does the reading. What makes a URL acceptable is the library's business, not decided here.
"""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

import attrs

from .. import InputError, UploadItem
from .wording import in_flags

__all__ = ["STDIN", "Entry", "Problem", "parse", "read_sources", "refusal"]

STDIN = "-"
Format: TypeAlias = Literal["lines", "jsonl", "csv"]

_URL_NAMES = ("url", "audio_url")
_BY_SUFFIX: dict[str, Format] = {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".tsv": "csv"}
_LINE_END = re.compile(r"\r\n|\n|\r")
_IS_URL = re.compile(r"https?://", re.IGNORECASE)
_LISTED = 10


@attrs.frozen
class Entry:
    """One URL to upload, and where it stands: `urls.txt:3`."""

    item: UploadItem
    place: str


@attrs.frozen
class Problem:
    """What is wrong at a place, and the way out."""

    place: str
    problem: str


def refusal(problems: Sequence[Problem], total: int | None = None) -> InputError:
    """The error that lists problems, the first ones in full.

    Args:
        problems: At least one.
        total: How many entries there were, where that is known.
    """
    of = "" if total is None else f" of {total}"
    verb = "entry" if len(problems) == 1 and total is None else "entries"
    lines = [f"{problem.place}: {in_flags(problem.problem)}" for problem in problems[:_LISTED]]
    if len(problems) > _LISTED:
        lines.append(f"and {len(problems) - _LISTED} more")
    return InputError(f"{len(problems)}{of} {verb} can't be uploaded, so nothing was sent:\n  " + "\n  ".join(lines))


# ------------------------------------------------------------------------------------------------------ reading
def read_sources(sources: Sequence[str], stdin: Callable[[], bytes] | None = None) -> tuple[Entry, ...]:
    """Everything that the arguments name, in their order.

    Args:
        sources: URLs, paths, or `-` for stdin.
        stdin: Reads stdin to its end.

    Raises:
        InputError: A source can't be read, isn't text, or has lines that name no URL; or there is no URL at all.
    """
    if sources.count(STDIN) > 1:
        raise InputError("stdin ('-') is given twice: it can be read once")
    entries: list[Entry] = []
    problems: list[Problem] = []
    for number, source in enumerate(sources, 1):
        if _IS_URL.match(source):
            entries.append(Entry(UploadItem(source), f"argument {number}"))
            continue
        name = "stdin" if source == STDIN else source
        found, wrong = parse(_text(_content(source, stdin or _read_stdin), name), name)
        entries += found
        problems += wrong
    if problems:
        raise refusal(problems)
    if not entries:
        names = ", ".join("stdin" if source == STDIN else source for source in sources)
        raise InputError(f"there is no URL in {names}: give one a line")
    return tuple(entries)


def _read_stdin() -> bytes:
    if sys.stdin is None:
        raise InputError("stdin is closed: give a file or a URL")
    return sys.stdin.buffer.read()


def _content(source: str, stdin: Callable[[], bytes]) -> bytes:
    if source == STDIN:
        return stdin()
    if "://" in source:
        # What follows the question mark may be a signature.
        scheme, _, rest = source.partition("?")[0].partition("://")
        raise InputError(
            f"'{scheme}://{rest.rpartition('@')[2]}' is neither a file nor a URL that begins with http:// or https://"
        )
    try:
        return Path(source).read_bytes()
    except FileNotFoundError:
        raise InputError(f"can't read {source!r}: no such file (a URL begins with http:// or https://)") from None
    except IsADirectoryError:
        raise InputError(f"can't read {source!r}: it is a folder; give a file of URLs") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise InputError(f"can't read {source!r}: {reason}") from None


def _text(content: bytes, name: str) -> str:
    encoding = "utf-16" if content.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        where = f"byte {error.start} is not {'UTF-16' if encoding == 'utf-16' else 'UTF-8'}"
    else:
        if "\0" not in text:
            return text
        where = f"character {text.index(chr(0))} is a NUL"
    raise InputError(
        f"{name!r} is no text ({where}): give a UTF-8 file of URLs. Audio files themselves can't be uploaded: "
        "the service downloads from URLs"
    )


# ------------------------------------------------------------------------------------------------------ parsing
def parse(text: str, name: str) -> tuple[list[Entry], list[Problem]]:
    """The entries of one text, in the format that its name and its first line tell.

    Args:
        text: The whole text.
        name: What to call it in places; its suffix may tell the format.

    Returns:
        The entries, and what is wrong with the lines that gave none.
    """
    found = {"lines": _from_lines, "jsonl": _from_json_lines, "csv": _from_csv}[_format_of(text, name)](text)
    entries: list[Entry] = []
    problems: list[Problem] = []
    for line, result in found:
        place = f"{name}:{line}"
        if isinstance(result, UploadItem):
            entries.append(Entry(result, place))
        else:
            problems.append(Problem(place, result))
    return entries, problems


def _format_of(text: str, name: str) -> Format:
    if (known := _BY_SUFFIX.get(Path(name).suffix.lower())) is not None:
        return known
    first = next((line for _, line in _lines(text)), "")
    if first.startswith(("{", "[")):
        return "jsonl"
    if not _IS_URL.match(first.lstrip('"')) and _header(first)[1] is not None:
        return "csv"
    return "jsonl" if first.startswith('"') else "lines"


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """The lines that count, stripped, with their numbers from 1."""
    for number, line in enumerate(_LINE_END.split(text), 1):
        if (stripped := line.strip()) and not stripped.startswith("#"):
            yield number, stripped


def _from_lines(text: str) -> Iterator[tuple[int, UploadItem | str]]:
    for number, line in _lines(text):
        yield number, UploadItem(line)


def _from_json_lines(text: str) -> Iterator[tuple[int, UploadItem | str]]:
    for number, line in _lines(text):
        try:
            value = json.loads(line)
        except json.JSONDecodeError as error:
            hint = "; JSON Lines hold one whole entry on each line" if line[0] in "{[" else ""
            yield number, f"no JSON ({error.msg} at column {error.colno}){hint}"
        except (ValueError, RecursionError):
            yield number, "no JSON that can be read"
        else:
            yield number, _from_json(value)


def _from_json(value: Any) -> UploadItem | str:
    if isinstance(value, str):
        return UploadItem(value)
    if isinstance(value, list):
        return "a JSON list: put one entry on each line, without the brackets"
    if not isinstance(value, dict):
        return "neither a string nor an object with a 'url'"
    names = [name for name in _URL_NAMES if name in value]
    if len(names) != 1:
        return "both 'url' and 'audio_url': give one" if names else "no 'url' and no 'audio_url'"
    if {"state", "task_id"} <= set(value):
        return "a line of a report, not of a list: what is uploaded again is paid for again. Pick out what is missing"
    key, metadata = value.get("key"), value.get("metadata")
    if metadata is not None and not isinstance(metadata, dict):
        return "'metadata' is no object"
    others = {name: other for name, other in value.items() if name not in (*_URL_NAMES, "key", "metadata")}
    return UploadItem(value[names[0]], key, {**others, **(metadata or {})})


# ---------------------------------------------------------------------------------------------------------- CSV
def _header(line: str) -> tuple[str, list[str] | None]:
    """The delimiter under which a line is a header with a URL column, and its cells; None if it is none."""
    for delimiter in (",", ";", "\t"):
        try:
            cells = [cell.strip() for cell in next(csv.reader([line], delimiter=delimiter, strict=True), [])]
        except csv.Error:
            continue
        if any(cell.lower() in _URL_NAMES for cell in cells):
            return delimiter, cells
    return ",", None


def _from_csv(text: str) -> Iterator[tuple[int, UploadItem | str]]:
    first = next(_lines(text), None)
    if first is None:
        return
    at, line = first
    delimiter, header = _header(line)
    if header is None:
        yield at, "this header has no column 'url' or 'audio_url': name the column that holds the URLs"
        return
    lowered = [cell.lower() for cell in header]
    if sum(lowered.count(name) for name in _URL_NAMES) > 1 or lowered.count("key") > 1:
        yield at, "this header names the URL or the key twice: keep one column for each"
        return
    rest = "\n".join(_LINE_END.split(text)[at:])
    rows = csv.reader(io.StringIO(rest, newline=""), delimiter=delimiter, strict=True)
    begin = at + 1
    try:
        for cells in rows:
            result = _from_row(header, lowered, cells)
            if result is not None:
                yield begin, result
            begin = at + rows.line_num + 1
    except csv.Error as error:
        yield begin, f"no CSV ({error})"


def _from_row(header: list[str], lowered: list[str], cells: list[str]) -> UploadItem | str | None:
    """One row's entry, what is wrong with it, or None for a blank row or a comment."""
    cells = [cell.strip() for cell in cells]
    if not any(cells):
        return None
    if len(cells) > len(header):
        if cells[0].startswith("#"):
            return None
        return f"{len(cells)} cells under {len(header)} columns: put values that hold the delimiter in quotes"
    row = dict(zip(range(len(cells)), cells, strict=True))
    column = next(index for index, name in enumerate(lowered) if name in _URL_NAMES)
    url = row.get(column, "")
    if cells[0].startswith("#") and (not url or column == 0):
        return None
    if not url:
        return f"the column {header[column]!r} is empty"
    key = row.get(lowered.index("key")) if "key" in lowered else None
    metadata = {
        name: row[index]
        for index, name in enumerate(header)
        if index in row and name and lowered[index] not in (*_URL_NAMES, "key")
    }
    return UploadItem(url, key or None, metadata)
