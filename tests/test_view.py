"""The page and the report: what is drawn is what the batch is, and nothing from outside is ever more than text."""

from __future__ import annotations

import base64
import hashlib
import re
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from itertools import count
from typing import Any

import attrs
import pytest

from mountsea_async import BatchReport, Clip, ItemReport, ItemState, Reconciliation, Stats, TaskFailedError
from mountsea_async.upload.training import CustomModel, TrainingReport
from mountsea_async.upload.view import Live, csp, document, fragment
from mountsea_async.upload.words import LABELS

BEGUN = datetime(2026, 11, 23, 5, 0, tzinfo=UTC)
MODEL = CustomModel("chirp-custom:1", "Mine", "session-1")
EVIL = "<script>alert('x')</script>\"><img src=x onerror=alert(1)>"


class Page(HTMLParser):
    """The elements of a document, each with its attributes and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if not {"script", "style"} & set(self._open):
            self.texts.append(data)

    def all(self, tag: str, **wanted: str) -> list[dict[str, str | None]]:
        return [found for name, found in self.elements if name == tag and wanted.items() <= found.items()]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


def item(index: int, state: ItemState = ItemState.SUCCEEDED, *, took: float = 10.0, **more: Any) -> ItemReport:
    facts: dict[str, Any] = {"key": None, "audio_url": f"https://a.example/{index}.mp3"}
    if state not in (ItemState.NEW, ItemState.SUBMITTING, ItemState.NOT_SUBMITTED):
        facts["submitted_at"] = BEGUN + timedelta(seconds=index)
        facts["task_id"] = f"task-{index}"
    if state.ended:
        facts["ended_at"] = BEGUN + timedelta(seconds=index + took)
    if state is ItemState.SUCCEEDED:
        facts["clip"] = Clip(f"clip-{index}", audio_url=f"https://cdn.example/{index}.mp3")
        facts["evidence"] = "task"
    return ItemReport(index=index, state=state, **facts | more)


def batch(*states: ItemState, **more: Any) -> BatchReport:
    number = count()
    return BatchReport("session-1", tuple(item(next(number), state) for state in states), **more)


MIXED = batch(*[ItemState.SUCCEEDED] * 6, ItemState.FAILED, ItemState.UNKNOWN, ItemState.SUBMITTED, ItemState.NEW)


# --------------------------------------------------------------------------------------------- what the numbers are
def test_progress_and_counts_are_those_of_the_report() -> None:
    page = Page(document(MIXED))
    (bar,) = page.all("progress")
    assert (bar["value"], bar["max"]) == ("8", "10")
    assert "80 % 8 of 10 ended" in page.text
    shown = {button["data-filter"] for button in page.all("button") if "hidden" not in button}
    assert shown == {"all", "succeeded", "failed", "unknown", "submitted", "new"}
    assert "all 10" in page.text
    assert "succeeded 6" in page.text


def test_every_item_has_a_row_and_a_bar_of_its_state() -> None:
    page = Page(document(MIXED))
    rows = [row["data-state"] for row in page.all("tr") if "data-state" in row]
    bars = {int(bar["data-index"] or ""): bar for bar in page.all("rect") if "data-index" in bar}
    assert rows == [state.value for state in (each.state for each in MIXED.items)]
    assert [bars[each.index]["class"] for each in MIXED.items] == rows
    assert (bars[3]["x"], bars[3]["width"]) == ("3.000", "10.000")
    assert float(bars[9]["width"] or "") == 0.0  # it was never submitted
    assert float(bars[8]["x"] or "") + float(bars[8]["width"] or "") == 17.0  # it goes on to the end


def test_what_ended_badly_is_drawn_over_the_rest_and_tall_enough_to_be_seen() -> None:
    large = batch(*[ItemState.SUCCEEDED] * 500, ItemState.FAILED, *[ItemState.SUCCEEDED] * 499)
    bars = [bar for bar in Page(document(large)).all("rect") if "data-index" in bar]
    assert bars[-1]["class"] == "failed"
    assert float(bars[-1]["height"] or "") > 5
    assert {float(bar["height"] or "") for bar in bars[:-1]} == {0.9}


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        ([4.0] * 19 + [80.0], "20 uploads: half of them within 4.0 s, 95 % within 4.0 s, the slowest took 1 min 20 s."),
        ([1.0, 2.0], "2 uploads: half of them within 1.5 s, 95 % within 2.0 s, the slowest took 2.0 s."),
        ([0.0, 0.0], "2 uploads: half of them within 0.0 s, 95 % within 0.0 s, the slowest took 0.0 s."),
    ],
)
def test_durations_are_told_and_each_upload_is_in_one_bar(seconds: list[float], words: str) -> None:
    report = BatchReport("s", tuple(item(index, took=took) for index, took in enumerate(seconds)))
    text = document(report)
    assert words in Page(text).text
    assert sum(int(found) for found in re.findall(r"<title>[^<]*: (\d+)</title>", text)) == len(seconds)


def test_a_repeated_url_is_no_upload_of_its_own_in_the_drawings() -> None:
    twin = attrs.evolve(item(2), index=3, duplicate_of=2)
    page = Page(document(BatchReport("s", (item(0), item(1), item(2), twin))))
    assert "3 uploads: half" in page.text
    assert "shares the upload of #2" in page.text
    assert [bar["width"] for bar in page.all("rect", **{"data-index": "3"})] == ["0.000"]


def test_outcomes_tell_how_many_and_what_that_means() -> None:
    text = Page(document(MIXED)).text
    assert "failed 1 10.0 % The service turned it away" in text
    assert "succeeded 6 60.0 %" in text


def test_reconciliation_is_told_in_words() -> None:
    verdict = Reconciliation(read=True, matched=("a",), missing=("b",), unattributed=("lost-clip",), inferred=("c",))
    stats = Stats(elapsed=75.0, submits=10, polls=12, pauses=1)
    text = Page(document(batch(ItemState.SUCCEEDED, reconciliation=verdict, stats=stats, stopped="no_account"))).text
    for words in (
        "Session session-1: 1 clip of ours is not in its list (yet); 1 clip in its list belongs to no item.",
        "1 clip attributed by elimination",
        "in nobody's hands: lost-clip",
        "Submitting was stopped: no account.",
        "It took 1 min 15 s.",
        "10 requests for uploads, 12 times asked for, 1 pause for too many requests.",
    ):
        assert words in text


def test_an_unknown_item_names_what_it_may_be_and_not_too_much_of_it() -> None:
    lost = item(0, ItemState.UNKNOWN, candidates=tuple(f"clip-{n}" for n in range(30)), reason="ambiguous")
    inferred = item(1, ItemState.UNKNOWN, clip=Clip("clip-x"), evidence="elimination")
    text = Page(document(BatchReport("s", (lost, inferred)))).text
    assert "may be one of clip-0, clip-1, clip-2, clip-3, clip-4 and 25 more; ambiguous" in text
    assert "clip-x ; attributed by elimination" in text


@pytest.mark.parametrize(
    ("training", "words"),
    [
        (
            TrainingReport("Mine", ItemState.SUCCEEDED, clip_ids=("a",) * 6, model=MODEL),
            "trained on 6 clips: chirp-custom:1",
        ),
        (TrainingReport("Mine", ItemState.FAILED), "its training is failed"),
        (TrainingReport(None, ItemState.NEW), "not named"),
    ],
)
def test_the_report_of_a_custom_model_tells_its_training(training: TrainingReport, words: str) -> None:
    assert words in " ".join(Page(document(batch(ItemState.SUCCEEDED, training=training))).text.split())


@pytest.mark.parametrize("report", [BatchReport(None, ()), batch(ItemState.NEW), batch(ItemState.NOT_SUBMITTED)])
def test_a_batch_in_which_nothing_has_happened_can_be_drawn(report: BatchReport) -> None:
    for text in (
        document(report),
        fragment(report),
        document(report, live=Live(stream="events", after=-1, state="queued")),
    ):
        assert Page(text).all("progress")


def test_ten_thousand_items_make_a_page_that_can_be_sent() -> None:
    report = BatchReport("s", tuple(item(index) for index in range(10_000)))
    assert len(document(report)) < 700 * 10_000
    assert len(fragment(report)) < 250 * 10_000


# ------------------------------------------------------------------------------------------- nothing but text gets in
def test_whatever_comes_from_outside_is_text() -> None:
    error = TaskFailedError(EVIL, task_id="t")
    bad = item(0, ItemState.FAILED, key=EVIL, audio_url=EVIL, error=error)
    odd = item(1, ItemState.UNKNOWN, candidates=(EVIL,), reason=EVIL)
    clip = item(2, clip=Clip(EVIL, audio_url=f'https://a.example/"{EVIL}'), evidence="task")
    training = TrainingReport(EVIL, ItemState.FAILED, error=error)
    report = BatchReport(
        EVIL, (bad, odd, clip), stopped=EVIL, reconciliation=Reconciliation(read=True, unattributed=(EVIL,))
    )
    live = Live(stream="events", after=-1, state="running")
    for text in (
        document(report, title=EVIL),
        document(report, title=EVIL, live=live),
        document(attrs.evolve(report, training=training)),
        fragment(report),
    ):
        page = Page(text)
        assert len(page.all("script")) == (0 if text.startswith("<div") else 1)
        assert not page.all("img")
        assert not [found for _, found in page.elements if any(name.startswith("on") for name in found)]
        assert "alert('x')" in page.text


@pytest.mark.parametrize(
    "address", ["javascript:alert(1)", "data:text/html,x", "//evil.example", " https://a.example", "", None]
)
def test_a_clip_is_linked_to_the_web_only(address: str | None) -> None:
    page = Page(document(BatchReport("s", (item(0, clip=Clip("clip-0", audio_url=address)),))))
    assert not [link for link in page.all("a") if link.get("class") != "skip"]
    assert "clip-0" in page.text


def test_a_link_tells_the_other_side_nothing() -> None:
    (link,) = Page(document(batch(ItemState.SUCCEEDED))).all("a", target="_blank")
    assert link["href"] == "https://cdn.example/0.mp3"
    assert link["rel"] == "noopener noreferrer"


@pytest.mark.parametrize("live", [None, Live(stream="events", after=7, state="running")])
def test_the_policy_lets_in_the_documents_own_style_and_script_and_nothing_else(live: Live | None) -> None:
    text = document(MIXED, live=live)
    page = Page(text)
    (policy,) = page.all("meta", **{"http-equiv": "Content-Security-Policy"})
    rules = dict(rule.strip().split(" ", 1) for rule in str(policy["content"]).split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["connect-src"] == ("'none'" if live is None else "'self'")
    for tag, rule in (("style", "style-src"), ("script", "script-src")):
        (content,) = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert rules[rule] == f"'sha256-{digest}'"
    assert policy["content"] == csp(live=live is not None)
    assert not [found for _, found in page.elements if "style" in found]


def test_the_document_needs_nothing_else() -> None:
    page = Page(document(MIXED))
    assert not page.all("link")
    assert not [found for _, found in page.elements if "src" in found]
    assert not re.search(r"url\(|@import", document(MIXED))


# --------------------------------------------------------------------------------------------- where it is shown
def test_a_live_page_says_where_to_go_on_and_a_finished_one_does_not() -> None:
    running = Page(document(MIXED, live=Live(stream="events", after=41, state="running"))).all("main")[0]
    finished = Page(document(MIXED, live=Live(stream="events", after=41, state="finished"))).all("main")[0]
    assert (running["data-stream"], running["data-after"]) == ("events", "41")
    assert "data-stream" not in finished


def test_a_notebook_shows_the_drawings_and_what_did_not_succeed() -> None:
    bad = batch(*[ItemState.SUCCEEDED] * 100, *[ItemState.FAILED] * 70)
    page = Page(bad._repr_html_())
    assert not page.all("script")
    assert len([row for row in page.all("tr") if "data-state" in row]) == 50
    assert "and 20 more" in page.text
    assert not page.all("html")
    assert not page.all("button")
    assert not [found for _, found in page.elements if "id" in found]  # several may stand in one notebook
    assert "Items that didn't succeed" not in Page(batch(ItemState.SUCCEEDED)._repr_html_()).text


def test_the_style_touches_nothing_outside() -> None:
    (style,) = re.findall(r"<style>(.*?)</style>", fragment(MIXED), re.DOTALL)
    plain = re.sub(r"@media[^{]*\{|/\*.*?\*/", "", style)
    selectors = [one.strip() for rule in re.findall(r"([^{}]+)\{", plain) for one in rule.split(",")]
    assert selectors
    assert all(one.startswith((".mountsea", "body.mountsea")) for one in selectors)


def test_the_title_is_the_callers() -> None:
    assert "<title>Album 7</title>" in MIXED.to_html("Album 7")
    assert "<title>Batch upload</title>" in MIXED.to_html()


def test_every_state_has_a_label_a_colour_and_a_filter() -> None:
    text = document(batch(*ItemState))
    for state in ItemState:
        assert f">{LABELS[state]} <b>1</b>" in text
        assert f"--{state.value}: #" in text
        assert f'[data-show="{state.value}"]' in text
