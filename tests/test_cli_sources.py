"""What `mountsea upload` reads: plain lines, JSON Lines, CSV, from arguments, files and stdin."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mountsea_async import InputError
from mountsea_async.cli.sources import parse, read_sources

A, B = "https://example.com/a.mp3", "https://example.com/b.mp3"


def read(text: str, name: str = "urls.txt") -> tuple[list[tuple[str, str, Any, dict[str, Any]]], dict[str, str]]:
    entries, problems = parse(text, name)
    return (
        [(e.place, e.item.audio_url, e.item.key, dict(e.item.metadata)) for e in entries],
        {p.place: p.problem for p in problems},
    )


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        pytest.param(f"{A}\n{B}\n", "urls.txt", [(1, A), (2, B)], id="one a line"),
        pytest.param(
            f"\n# songs\n  {A}  \n\n   # more\n{B}", "urls.txt", [(3, A), (6, B)], id="blank and comment lines"
        ),
        pytest.param(f"{A}\r\n{B}\r\n", "urls.txt", [(1, A), (2, B)], id="CRLF"),
        pytest.param(f"{A}\r{B}", "urls.txt", [(1, A), (2, B)], id="CR alone"),
        pytest.param("https://e.com/x,url,y\n", "urls.txt", [(1, "https://e.com/x,url,y")], id="commas in a URL"),
        pytest.param(
            f"no url\n{A}", "urls.txt", [(1, "no url"), (2, A)], id="what is no URL is the library's to refuse"
        ),
        pytest.param("", "urls.txt", [], id="empty"),
        pytest.param(f'"{A}"\n\n# c\n"{B}"\n', "stdin", [(1, A), (4, B)], id="JSON strings"),
        pytest.param(f'{{"url": "{A}"}}\n{{"audio_url": "{B}"}}', "x", [(1, A), (2, B)], id="JSON objects"),
        pytest.param(f'"{A}"\n', "x.JSONL", [(1, A)], id="JSON Lines by suffix"),
        pytest.param(f"url\n{A}\n{B}\n", "stdin", [(2, A), (3, B)], id="CSV with one column"),
        pytest.param(f'"url"\n"{A}"\n', "stdin", [(2, A)], id="CSV, quoted header"),
        pytest.param(f"# songs\n\naudio_url\n\n{A}\n# no\n{B}\n", "x.csv", [(5, A), (7, B)], id="CSV with comments"),
        pytest.param(
            f'name,url\r\n"two\r\nlines",{A}\r\nb,{B}\r\n', "x.csv", [(2, A), (4, B)], id="CSV, cell of 2 lines"
        ),
        pytest.param(f"name;URL\na;{A}\n", "x.txt", [(2, A)], id="CSV with semicolons"),
        pytest.param(f"name\turl\na\t{A}\n", "x.tsv", [(2, A)], id="CSV with tabs"),
        pytest.param(f'url\n"{A}?x=1,2"\n', "x.csv", [(2, f"{A}?x=1,2")], id="CSV, quoted comma"),
    ],
)
def test_urls_are_found_with_their_lines(text: str, name: str, expected: list[tuple[int, str]]) -> None:
    entries, problems = read(text, name)
    assert problems == {}
    assert [(place, url) for place, url, _, _ in entries] == [(f"{name}:{line}", url) for line, url in expected]


def test_json_carries_key_and_metadata() -> None:
    line = f'{{"url": "{A}", "key": "k", "metadata": {{"n": 1}}, "title": "T"}}'
    assert read(line) == ([("urls.txt:1", A, "k", {"n": 1, "title": "T"})], {})


def test_csv_carries_key_and_other_columns() -> None:
    entries, _ = read(f"Key, title ,url\nk,T,{A}\n,,{B}\n", "x.csv")
    assert entries == [("x.csv:2", A, "k", {"title": "T"}), ("x.csv:3", B, None, {"title": ""})]


@pytest.mark.parametrize(
    ("text", "name", "line", "words"),
    [
        ('{"url": ', "x.jsonl", 1, "no JSON (Expecting value at column 8); JSON Lines hold one whole entry"),
        (f'"{A}"\nhttps://e.com', "x.jsonl", 2, "no JSON"),
        (f'["{A}"]', "x", 1, "a JSON list: put one entry on each line"),
        ('{"link": "x"}', "x", 1, "no 'url' and no 'audio_url'"),
        (f'{{"url": "{A}", "audio_url": "{B}"}}', "x", 1, "both"),
        (f'{{"url": "{A}", "metadata": 3}}', "x", 1, "'metadata' is no object"),
        (f'"{A}"\n17', "x", 2, "neither a string nor an object"),
        ("[" * 100_000, "x", 1, "no JSON"),
        (f"{A}\n", "x.csv", 1, "no column 'url' or 'audio_url'"),
        (f"url,audio_url\n{A},{B}\n", "x.csv", 1, "twice"),
        (f"url,title\n{A},a,b\n", "x.csv", 2, "3 cells under 2 columns"),
        (f"url,title\n{A},a\n,b\n", "x.csv", 3, "'url' is empty"),
        (f'url\n"{A}\n', "x.csv", 2, "no CSV"),
    ],
)
def test_a_bad_line_is_named_with_what_is_wrong(text: str, name: str, line: int, words: str) -> None:
    _, problems = read(text, name)
    assert list(problems) == [f"{name}:{line}"]
    assert words in problems[f"{name}:{line}"]


def test_arguments_come_in_their_order(tmp_path: Path) -> None:
    file = tmp_path / "urls.txt"
    file.write_text(f"{B}\n")
    entries = read_sources([A, str(file), "-"], lambda: b"HTTPS://example.com/c\n")
    assert [(e.place, e.item.audio_url) for e in entries] == [
        ("argument 1", A),
        (f"{file}:1", B),
        ("stdin:1", "HTTPS://example.com/c"),
    ]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_byte_order_mark_is_no_part_of_the_first_url(encoding: str) -> None:
    (entry,) = read_sources(["-"], lambda: f"{A}\r\n".encode(encoding))
    assert entry.item.audio_url == A


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"ID3\xff\xfb\x90", "no text (byte 3 is not UTF-8)"),
        (b"https://a.b/\0", "no text (character 12 is a NUL)"),
        (b"\xff\xfeh", "not UTF-16"),
        (b"\n# nothing\n", "there is no URL in stdin"),
    ],
)
def test_stdin_that_is_no_list_of_urls_is_refused(content: bytes, words: str) -> None:
    with pytest.raises(InputError) as caught:
        read_sources(["-"], lambda: content)
    assert words in caught.value.message


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    for source, words in [
        (str(tmp_path / "none"), "no such file"),
        (str(tmp_path), "it is a folder"),
        ("x" * 5000, "can't read"),
        ("ftp://user:pass@example.com/a?sig=secret", "'ftp://example.com/a' is neither"),
    ]:
        with pytest.raises(InputError) as caught:
            read_sources([source])
        assert words in caught.value.message
        assert "secret" not in caught.value.message
        assert "pass" not in caught.value.message


def test_stdin_twice_is_refused() -> None:
    with pytest.raises(InputError, match="twice"):
        read_sources(["-", "-"], lambda: b"")


def test_many_problems_are_listed_in_part() -> None:
    with pytest.raises(InputError) as caught:
        read_sources(["-"], lambda: b'{"x": 1}\n' * 25)
    assert "25 entries can't be uploaded, so nothing was sent" in caught.value.message
    assert "stdin:10: " in caught.value.message
    assert caught.value.message.endswith("and 15 more")


def test_a_line_of_a_report_is_no_entry_of_a_list() -> None:
    row = '{"index": 0, "audio_url": "https://a.example/1.mp3", "state": "succeeded", "task_id": "t"}'
    entries, (problem,) = parse(row, "report.jsonl")
    assert entries == []
    assert "paid for again" in problem.problem
