"""`mountsea report`: a journal as a page to look at."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.names import urls
from support.terminal import Terminal, serving

from mountsea_async import read_journal
from mountsea_async.testing import Fault, Outcome, out_of_credits

URLS = [f"{url}?sig=SECRETSIGNATURE" for url in urls(6)]


@pytest.fixture
def journal(mountsea: Terminal, tmp_path: Path) -> Path:
    """A journal of six entries: one has failed, two were never submitted."""
    path = tmp_path / "album 7.journal"
    with serving(mountsea, Fault(Outcome("failed"), nth=2), Fault(out_of_credits(), after=4)):
        mountsea("upload", *URLS, "--journal", str(path), "--concurrency", "1")
    mountsea.patch.delenv("MOUNTSEA_API_KEY")
    return path


@pytest.mark.parametrize("flag", ["-o", "--output"])
def test_a_journal_is_drawn_into_one_file_without_a_key(
    mountsea: Terminal, journal: Path, tmp_path: Path, flag: str
) -> None:
    page = tmp_path / "report.html"
    drawn = mountsea("report", str(journal), flag, str(page))
    assert (drawn.code, drawn.out) == (0, "")
    assert drawn.err == f"3 of 6 succeeded, 1 failed, 2 not submitted: {page}\n"
    assert page.read_text("utf-8") == read_journal(journal).to_html("album 7")


def test_without_a_file_the_page_goes_to_stdout(mountsea: Terminal, journal: Path) -> None:
    drawn = mountsea("report", str(journal), "--title", "My <album>")
    assert drawn.code == 0
    assert drawn.out == read_journal(journal).to_html("My <album>")
    assert "<title>My &lt;album&gt;</title>" in drawn.out


def test_what_can_not_be_drawn_is_told(mountsea: Terminal, journal: Path, tmp_path: Path) -> None:
    (tmp_path / "urls.txt").write_text("\n".join(URLS * 100))
    missing = mountsea("report", str(tmp_path / "none"))
    other = mountsea("report", str(tmp_path / "urls.txt"))
    nowhere = mountsea("report", str(journal), "-o", str(tmp_path / "no folder" / "report.html"))
    assert (missing.code, other.code, nowhere.code) == (5, 2, 2)
    assert f"there is no journal {tmp_path}/none" in missing.err
    assert "urls.txt is no journal" in other.err
    assert "--output" in nowhere.err


def test_a_page_never_takes_the_place_of_its_journal(mountsea: Terminal, journal: Path) -> None:
    before = journal.read_bytes()
    refused = mountsea("report", str(journal), "-o", str(journal.parent / "." / journal.name))
    assert refused.code == 2
    assert "it is the journal itself" in refused.err
    assert journal.read_bytes() == before
