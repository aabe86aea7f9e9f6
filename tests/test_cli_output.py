"""How results and progress look: formats, files, the summary, the words for a terminal."""

from __future__ import annotations

import csv
import io
import json
import os
import shlex
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from mountsea_async import (
    BatchReport,
    Clip,
    ConfigurationError,
    ItemChanged,
    ItemReport,
    ItemState,
    NotSubmittedError,
    Paused,
    Reconciled,
    Reconciliation,
    SessionOpened,
    Stats,
    SubmitsStopped,
    TaskFailedError,
    Trigger,
    UploadItem,
)
from mountsea_async.cli import output
from mountsea_async.cli.live import LiveProgress, clock_time
from mountsea_async.cli.output import form_of
from mountsea_async.cli.progress import PlainProgress
from mountsea_async.cli.sources import Entry
from mountsea_async.cli.summary import resumable, summary
from mountsea_async.cli.tally import Speed, Tally
from mountsea_async.cli.wording import go_on_command, in_flags
from mountsea_async.upload.words import duration

S = ItemState
CLIP = "11111111-2222-3333-4444-555555555555"
TASK = "99999999-2222-3333-4444-555555555555"
URL = "https://example.com/" + "long/" * 20 + "end.mp3"


def item(index: int, state: ItemState, **fields: Any) -> ItemReport:
    return ItemReport(
        index, fields.pop("key", None), fields.pop("audio_url", f"https://e.com/{index}"), state, **fields
    )


FAILED = TaskFailedError(f"task {TASK} failed", task_id=TASK, fail_code=404, fail_reason="Audio source\nnot found")
REPORT = BatchReport(
    "session-1",
    (
        item(0, S.SUCCEEDED, clip=Clip(CLIP), task_id=TASK, evidence="task", audio_url=URL),
        item(1, S.FAILED, error=FAILED, key="k,1"),
        item(2, S.SUCCEEDED, clip=Clip(CLIP), duplicate_of=0),
        item(3, S.UNKNOWN, reason="success_without_clip"),
        item(4, S.NOT_SUBMITTED, error=NotSubmittedError("not submitted, since stopped", reason="credits")),
        item(5, S.TIMED_OUT),
        item(6, S.UNDETERMINED),
    ),
    reconciliation=Reconciliation(read=True, matched=(CLIP,), unattributed=("lost-1", "lost-2")),
    stats=Stats(elapsed=75.0),
    stopped="credits",
)


# -------------------------------------------------------------------------------------------------------- forms
def test_json_is_the_report() -> None:
    assert json.loads(output.render(REPORT, "json")) == REPORT.to_dict()


def test_json_lines_hold_an_item_each() -> None:
    lines = output.render(REPORT, "jsonl").splitlines()
    assert [json.loads(line) for line in lines] == [each.to_dict() for each in REPORT.items]


def test_csv_has_a_header_and_a_row_an_item() -> None:
    rows = list(csv.DictReader(io.StringIO(output.render(REPORT, "csv"))))
    assert [row["state"] for row in rows] == [each.state.value for each in REPORT.items]
    assert (rows[0]["clip_id"], rows[1]["clip_id"], rows[1]["key"]) == (CLIP, "", "k,1")


def test_a_piped_table_cuts_nothing() -> None:
    text = output.render(REPORT, "table")
    assert URL in text
    assert "404: Audio source not found" in text
    assert "\x1b" not in text
    lines = text.splitlines()
    assert len(lines) == 1 + len(REPORT.items)
    assert lines[0].split() == ["#", "key", "state", "clip", "id", "url", "reason"]
    assert "shares the clip of 0" in lines[3]
    assert "success without clip" in lines[4]


@pytest.mark.parametrize("width", [80, 100, 140, 200])
def test_a_table_on_a_terminal_fits_and_keeps_the_ends_of_urls(width: int) -> None:
    items = [each for each in REPORT.items if not each.key]
    lines = output.table(items, width=width).splitlines()
    assert max(map(len, lines)) <= width
    assert "end.mp3" in lines[1]
    assert CLIP in lines[1]
    assert "success without clip" in lines[3]


def test_a_table_of_successes_has_no_reasons_and_fits_80_columns() -> None:
    text = output.table([item(0, S.SUCCEEDED, clip=Clip(CLIP), audio_url=URL)], width=80)
    assert "reason" not in text
    assert max(map(len, text.splitlines())) <= 80


# -------------------------------------------------------------------------------------------------------- files
def test_a_file_is_written_whole_and_alone(tmp_path: Path) -> None:
    target = tmp_path / "out.json"
    target.write_text("old")
    output.check_output(target)
    assert target.read_text() == "old"
    output.to_file(target, "new\n")
    assert target.read_text() == "new\n"
    assert list(tmp_path.iterdir()) == [target]


def test_a_failed_write_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "out.json"
    target.write_text("old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        output.to_file(target, "new\n")
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    link, target = tmp_path / "link", tmp_path / "target"
    link.symlink_to(target)
    output.to_file(link, "x")
    assert link.is_symlink()
    assert target.read_text() == "x"


def test_a_place_that_cannot_be_written_to_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"can't write to the folder .*none"):
        output.check_output(tmp_path / "none" / "out.json")
    with pytest.raises(ConfigurationError, match="it is a folder"):
        output.check_output(tmp_path)
    output.check_output(Path("/dev/null"))


# ------------------------------------------------------------------------------------------------------ summary
def test_the_summary_says_what_to_do_next() -> None:
    text = "\n".join(summary(REPORT))
    for words in [
        "2 of 7 succeeded, 1 failed, 1 timed out, 1 unknown, 1 undetermined, 1 not submitted",
        "(1 entry repeated a URL), in 1 min 15 s",
        "session session-1: 2 clips in its list belong to no item",
        "mountsea status session-1",
        "lost-1",
        "there are no credits left",
        "--session-id session-1",
    ]:
        assert words in text


def test_the_summary_points_to_resume_where_there_is_a_journal() -> None:
    text = "\n".join(summary(REPORT, journal=True))
    assert resumable(REPORT)
    for words in [
        "Resume asks for them again.",
        "Resume looks for their clips once more; with --on-unknown resubmit it sends those again",
        "Resume looks again; with --retry-failed it sends those again of which no clip has appeared.",
        "Resume submits these, and only these, to the same account.",
        "resume with --retry-failed sends them again.",
    ]:
        assert words in text
    assert "mountsea status" not in text
    assert "--session-id" not in text


def test_the_summary_tells_what_the_sessions_list_has_shown() -> None:
    items = (
        item(0, S.UNKNOWN, evidence="elimination", clip=Clip("c0")),
        item(1, S.UNKNOWN, reason="ambiguous", candidates=("c1", "c2")),
        item(2, S.UNKNOWN, reason="ambiguous", candidates=("c1", "c2")),
        item(3, S.UNKNOWN, reason="absent"),
        item(4, S.TIMED_OUT, reason="late", evidence="elimination", clip=Clip("c4")),
        item(5, S.SUCCEEDED, clip=Clip("c5"), resubmits=2),
        item(6, S.SUCCEEDED, clip=Clip("c5"), resubmits=2, duplicate_of=5),
    )
    text = "\n".join(summary(BatchReport("s", items, Reconciliation(read=True))))
    for words in [
        "4 may or may not have been paid for: never sent again by themselves.",
        "1 has a clip, attributed by elimination",
        "2 are ambiguous: clips have appeared that may be theirs, but not which is whose",
        "1 is absent: no clip of theirs has appeared",
        "1 of these had ended without a clip, but one has landed late",
        "1 was sent again, as you asked; an earlier request may have been paid for, too.",
    ]:
        assert words in text


def test_a_resume_is_offered_only_where_it_could_change_something() -> None:
    def could(*items: ItemReport) -> bool:
        return resumable(BatchReport("s", items))

    assert not could(item(0, S.SUCCEEDED), item(1, S.FAILED, reason="rejected"))
    for state in (S.NEW, S.SUBMITTING, S.SUBMITTED, S.UNDETERMINED, S.NOT_SUBMITTED, S.UNKNOWN, S.FAILED, S.TIMED_OUT):
        assert could(item(0, S.SUCCEEDED), item(1, state))


def test_the_command_that_goes_on_can_be_typed_as_it_stands() -> None:
    command = go_on_command(Path("my songs' journal"), "http://127.0.0.1:1/x")
    assert shlex.split(command) == [
        "mountsea",
        "resume",
        str(Path.cwd() / "my songs' journal"),
        "--base-url",
        "http://127.0.0.1:1/x",
    ]
    assert go_on_command(Path("/j")) == "mountsea resume /j"


def test_the_summary_of_a_success_is_two_lines() -> None:
    verdict = Reconciliation(read=True, matched=("a", "b"))
    report = BatchReport(
        "s",
        (item(0, S.SUCCEEDED, clip=Clip("a")), item(1, S.SUCCEEDED, clip=Clip("b"))),
        reconciliation=verdict,
        stats=Stats(elapsed=3.21),
    )
    assert summary(report) == ["all 2 succeeded, in 3.2 s", "session s: its list holds these clips and no other"]


def test_times_read_well() -> None:
    assert [duration(s) for s in (0.04, 59.9, 60, 200.4, 3900)] == [
        "0.0 s",
        "59.9 s",
        "1 min 00 s",
        "3 min 20 s",
        "1 h 05 min",
    ]
    assert [clock_time(s) for s in (0, 7.4, 750, 3723)] == ["0:00", "0:07", "12:30", "1:02:03"]


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("concurrency=0: give a whole number", "--concurrency 0: give a whole number"),
        ("(keep_duplicates=True uploads each)", "(--keep-duplicates uploads each)"),
        ("(allow_private lets it pass)", "(--allow-private lets it pass)"),
        ("base_url='x' is no URL", "--base-url 'x' is no URL"),
        ("Behaviour.fail_share must be at most 1", "--fail-share must be at most 1"),
        ("https://e.com/?deadline_x", "https://e.com/?deadline_x"),
        ("/home/retry_failed/j isn't", "/home/retry_failed/j isn't"),
        ("or accept_new_key=True if the batch", "or --accept-new-key if the batch"),
        ("give its journal=, or leave it out", "give its --journal, or leave it out"),
        ("adopt it with session_id=", "adopt it with --session-id"),
        ("leave session_id out, or name another journal", "leave --session-id out, or name another with --journal"),
    ],
)
def test_keywords_become_flags(message: str, words: str) -> None:
    assert in_flags(message) == words


# ----------------------------------------------------------------------------------------------------- progress
ENTRIES = [Entry(UploadItem(f"https://e.com/{n}?sig=secret"), f"x:{n}") for n in range(4)]


def changed(index: int, previous: ItemState, state: ItemState, **fields: Any) -> ItemChanged:
    return ItemChanged(0, 0.0, index, None, Trigger.FAIL, previous, state, **fields)


def test_the_tally_follows_the_events() -> None:
    tally = Tally(ENTRIES)
    tally.follow(SessionOpened(0, 1.0, "s", adopted=False))
    tally.follow(changed(0, S.NEW, S.SUBMITTING))
    tally.follow(changed(0, S.SUBMITTING, S.SUBMITTED))
    assert (tally.done, tally.total, tally.counts[S.NEW], tally.counts[S.SUBMITTED]) == (0, 4, 3, 1)
    tally.follow(changed(0, S.SUBMITTED, S.FAILED, error=FAILED))
    tally.follow(Paused(0, 10.0, 7.0))
    tally.follow(SubmitsStopped(0, 1.0, "credits"))
    tally.follow(Reconciled(0, 1.0, consistent=True, matched=1, missing=0, unattributed=0))
    assert (tally.done, tally.session_id, tally.paused, tally.stopped, tally.checked) == (
        1,
        "s",
        (17, 7),
        "credits",
        True,
    )
    (failure,) = tally.failures
    assert (failure.audio_url, failure.reason) == ("https://e.com/0", "Audio source not found")


def test_plain_progress_is_a_line_every_two_seconds_and_one_at_the_end() -> None:
    now, lines = [0.0], []
    progress = PlainProgress(Tally(ENTRIES), clock=lambda: now[0], write=lines.append)
    with progress:
        progress.on_event(SessionOpened(0, 0.0, "s", adopted=False))
        for index in range(4):
            for before, after in [(S.NEW, S.SUBMITTING), (S.SUBMITTING, S.SUBMITTED)]:
                progress.on_event(changed(index, before, after))
        now[0] = 2.5
        progress.on_event(changed(0, S.SUBMITTED, S.FAILED, error=FAILED))
        progress.on_event(changed(1, S.SUBMITTED, S.SUCCEEDED))
        progress.on_event(Paused(0, 0.0, 7.0))
        progress.on_event(Paused(0, 0.0, 7.0))
        for index in (2, 3):
            progress.on_event(changed(index, S.SUBMITTED, S.SUCCEEDED))
    assert lines == [
        "session s: 4 to upload",
        "1/4 done (3 in progress, 1 failed), 0.4/s",
        "  #0 failed: Audio source not found (https://e.com/0)",
        "paused 7 s: too many requests",
        "4/4 done (3 succeeded, 1 failed), 1.6/s",
    ]


def test_progress_of_a_resumed_batch_counts_what_had_ended_before() -> None:
    now, lines = [0.0], []
    progress = PlainProgress(Tally(()), clock=lambda: now[0], write=lines.append)
    held = [item(0, S.SUCCEEDED), item(1, S.FAILED), item(2, S.SUBMITTED), item(3, S.NEW)]
    with progress:
        progress.on_event(SessionOpened(0, 0.0, "s", adopted=False))
        progress.begin(held)
        progress.on_event(changed(3, S.NOT_SUBMITTED, S.NEW))  # led to what is held
        now[0] = 2.0
        progress.on_event(changed(2, S.SUBMITTED, S.SUCCEEDED))
        progress.on_event(changed(3, S.NEW, S.SUBMITTING))
    assert lines == [
        "session s: 2 of 4 left",
        "3/4 done (1 waiting, 2 succeeded, 1 failed), 0.5/s",
        "3/4 done (1 submitting, 2 succeeded, 1 failed), 0.5/s",
    ]


def test_the_live_bar_of_a_resumed_batch_begins_where_it_stopped() -> None:
    console = Console(file=io.StringIO(), width=80, force_terminal=True, color_system=None)
    progress = LiveProgress(Tally(()), console)
    progress.begin([item(0, S.SUCCEEDED), item(1, S.SUCCEEDED), item(2, S.SUBMITTED)])
    progress.on_event(SessionOpened(0, 1.0, "s", adopted=False))
    lines = ["".join(segment.text for segment in line) for line in console.render_lines(progress.frame())]
    assert "2/3" in lines[0]
    assert "0.0/s" in lines[0]


@pytest.mark.parametrize("width", [80, 140])
def test_a_live_frame_fits_the_terminal(width: int) -> None:
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    progress = LiveProgress(Tally(ENTRIES), console)
    progress.on_event(SessionOpened(0, 0.0, "s", adopted=False))
    progress.on_event(SubmitsStopped(0, 1.0, "interrupted"))
    progress.on_event(changed(0, S.NEW, S.FAILED, error=FAILED))
    lines = ["".join(segment.text for segment in line) for line in console.render_lines(progress.frame())]
    assert max(len(line.rstrip()) for line in lines) <= width
    text = "\n".join(lines)
    for words in ["━", "1/4", "1\u00a0failed", "session s", "interrupted", "#0 failed  Audio source not found"]:
        assert words in text
    assert "secret" not in text


def test_speed_looks_at_the_last_seconds() -> None:
    speed = Speed()
    assert speed.sample(0, 0) == 0
    assert speed.sample(1, 10) == 10
    for second in range(2, 30):
        rate = speed.sample(second, 10)
    assert rate == 0


def test_metadata_is_json_in_csv() -> None:
    item = ItemReport(0, None, "https://a.example/1.mp3", ItemState.NOT_SUBMITTED, metadata={"name": "First"})
    (row,) = csv.DictReader(io.StringIO(output.render(BatchReport("s", (item,)), "csv")))
    assert json.loads(row["metadata"]) == {"name": "First"}


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("a.json", "json"),
        ("a.JSONL", "jsonl"),
        ("a.ndjson", "jsonl"),
        ("a.csv", "csv"),
        ("a.txt", "table"),
        (None, "table"),
    ],
)
def test_the_suffix_of_the_output_chooses_the_form(path: str | None, form: str) -> None:
    assert form_of(Path(path) if path else None) == form


def test_a_batch_that_was_stopped_is_not_shown_as_uploaded() -> None:
    tally = Tally([Entry(UploadItem("https://a.example/1.mp3"), "a:1")] * 3)
    assert not tally.broken_off
    tally.counts = {**tally.counts, ItemState.NEW: 0, ItemState.SUCCEEDED: 1, ItemState.NOT_SUBMITTED: 2}
    assert (tally.done, tally.settled, tally.broken_off) == (3, 1, True)


def test_clips_of_an_adopted_session_are_told_apart() -> None:
    verdict = Reconciliation(read=True, matched=("a",), earlier=("x", "y"))
    clip = ItemReport(0, None, "https://a.example/1.mp3", ItemState.SUCCEEDED, clip=Clip("a"))
    assert "2 clips were there before" in "\n".join(summary(BatchReport("s", (clip,), verdict)))
