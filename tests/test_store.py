"""The journal's file: one writer, all or nothing, readable at any time, and clear words when the system refuses."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import attrs
import pytest

from mountsea_async.errors import JournalBusy, JournalError, JournalMismatch
from mountsea_async.upload import tables
from mountsea_async.upload.store import EntryRow, EventRow, Header, Store, reading

HEADER = Header("hash", "salt", "print", "https://api.example", 1.25)
FIRST_VERSION = (
    (
        "CREATE TABLE journal (id INTEGER PRIMARY KEY, inputs_hash TEXT, salt TEXT NOT NULL, fingerprint TEXT NOT NULL,"
        " base_url TEXT NOT NULL, made_at DOUBLE PRECISION NOT NULL, version INTEGER NOT NULL)"
    ),
    (
        "CREATE TABLE entry (item INTEGER PRIMARY KEY, key TEXT, audio_url TEXT NOT NULL, metadata TEXT NOT NULL,"
        " duplicate_of INTEGER, replaces INTEGER)"
    ),
    (
        "CREATE TABLE event (seq INTEGER PRIMARY KEY, at DOUBLE PRECISION NOT NULL, kind TEXT NOT NULL, item INTEGER,"
        " data TEXT NOT NULL)"
    ),
    "INSERT INTO journal VALUES (1, 'hash', 'salt', 'print', 'https://api.example', 1.25, 1)",
    f"PRAGMA application_id = {tables.APPLICATION}",
    "PRAGMA user_version = 1",
)
ENTRIES = [
    EntryRow(0, None, "https://a.example/0?sig=SECRET", "", None),
    EntryRow(1, "one", "https://a.example/1", '{"n":1}', None),
    EntryRow(2, None, "https://a.example/0?sig=SECRET", "", 0),
]
posix = pytest.mark.skipif(os.name != "posix", reason="modes, links and limits of POSIX")


def event(seq: int, data: str = "{}") -> EventRow:
    return EventRow(seq, seq + 0.5, "item_changed", seq % 3, data)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "batch.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    with closing(Store(path)) as made:
        made.open()
        made.create(HEADER, ENTRIES)
        yield made


def run(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Runs code, with the names of this module's imports, in a process of its own."""
    prelude = """
        import os, signal, sys
        import urllib.parse  # pathlib imports it late, when nobody may read it any more
        from pathlib import Path
        from mountsea_async.errors import *
        from mountsea_async.upload.store import *
        path = Path(sys.argv[1])
        def event(seq, data="{}"):
            return EventRow(seq, seq + 0.5, "item_changed", seq % 3, data)
    """
    source = textwrap.dedent(prelude) + textwrap.dedent(code)
    return subprocess.run(
        [sys.executable, "-c", source, *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False
    )


def refusal(path: Path) -> JournalError:
    """What opening the path raises; nothing stays open or locked."""
    made = Store(path)
    with pytest.raises(JournalError) as caught:
        made.open()
    made.close()
    return caught.value


# ---------------------------------------------------------------------------------------------- what is kept
def test_a_fresh_journal_says_nothing_of_itself(path: Path) -> None:
    with closing(Store(path)) as made:
        made.open()
        assert made.header() is None
        assert not [*made.entries(), *made.events()]


def test_what_was_committed_is_there_the_next_time(path: Path, store: Store) -> None:
    store.commit([], [event(0), event(1)])
    more = EntryRow(3, "ü\N{MUSICAL NOTE}\0", "https://a.example/3", "", None)
    store.commit([more], [event(2)])
    store.close()
    with closing(Store(path)) as again:
        again.open()
        assert again.header() == HEADER
        assert list(again.entries()) == [*ENTRIES, more]
        assert list(again.events()) == [event(0), event(1), event(2)]


def test_an_empty_commit_changes_nothing(store: Store) -> None:
    store.commit([], [])
    assert list(store.entries()) == ENTRIES


def test_a_header_is_replaced(store: Store) -> None:
    other = Header("hash", "salt2", "print2", "https://api.example", 2.0)
    store.commit([], [event(0)], other)
    assert store.header() == other


def test_urls_are_replaced_together_or_not_at_all(store: Store) -> None:
    store.replace_url({0: "https://new/0", 2: "https://new/2"})
    replaced = [entry.audio_url for entry in store.entries()]
    assert replaced == ["https://new/0", "https://a.example/1", "https://new/2"]
    with pytest.raises(JournalError, match="no entry 9"):
        store.replace_url({0: "https://newer", 9: "https://newer"})
    assert [entry.audio_url for entry in store.entries()] == replaced


def test_another_batchs_journal_is_not_begun_anew(store: Store) -> None:
    store.create(HEADER, ENTRIES)  # the same once more: a failed call may be repeated
    with pytest.raises(JournalMismatch, match="another batch"):
        store.create(Header(None, "s", "f", "https://b.example", 9.0), [])
    assert store.header() == HEADER


def test_what_is_shown_holds_the_path_only(path: Path, store: Store) -> None:
    assert repr(store) == f"Store({str(path)!r})"
    with reading(path) as snapshot:
        assert "SECRET" not in repr([snapshot, *snapshot.entries()])


# ------------------------------------------------------------------------------------------------ durability
@posix
def test_an_acknowledged_commit_survives_a_kill(path: Path) -> None:
    code = """
        made = Store(path); made.open()
        made.create(Header(None, "s", "f", "u", 1.0), [])
        made.commit([], [event(0), event(1)])
        os.kill(os.getpid(), signal.SIGKILL)
    """
    assert run(code, path).returncode == -signal.SIGKILL
    assert path.with_name("batch.db-wal").stat().st_size > 0
    with reading(path) as snapshot:
        assert list(snapshot.events()) == [event(0), event(1)]
    with closing(Store(path)) as again:
        again.open()  # the kernel has freed the lock
        assert list(again.events()) == [event(0), event(1)]


def test_commits_are_synchronous_and_logged_ahead(store: Store) -> None:
    connection = store._connected()
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_full_disk_undoes_the_whole_commit_which_then_can_be_made_again(store: Store) -> None:
    connection = store._connected()
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages}")
    rows = [event(seq, '"' + "x" * 3000 + '"') for seq in range(50)]
    late = EntryRow(3, None, "https://a.example/3", "", None)
    with pytest.raises(JournalError, match=r"can't be written: database or disk is full.*make room"):
        store.commit([late], rows, Header("other", "s", "f", "u", 2.0))
    assert (list(store.entries()), list(store.events()), store.header()) == (ENTRIES, [], HEADER)
    connection.execute("PRAGMA max_page_count = 100000")
    store.commit([late], rows)
    assert list(store.events()) == rows


@posix
def test_a_failing_disk_undoes_the_whole_commit_which_then_can_be_made_again(path: Path) -> None:
    code = """
        made = Store(path); made.open()
        made.create(Header(None, "s", "f", "u", 1.0), [])
        made.commit([], [event(0)])
        rows = [event(seq, "x" * 3000) for seq in range(1, 400)]
        import resource
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
        for _ in range(2):
            try:
                made.commit([], rows)
            except JournalError as error:
                print(error)
        print(len(list(made.events())))
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        made.commit([], rows)
        print(list(made.events()) == [event(0), *rows])
        made.close()
    """
    done = run(code, path)
    first, second, count, whole = done.stdout.splitlines() or [done.stderr] * 4
    assert "can't be written: disk I/O error (SQLITE_IOERR" in first
    assert "can't be written" in second
    assert (count, whole) == ("1", "True")


def test_a_broken_connection_is_replaced_while_the_lock_is_kept(path: Path, store: Store) -> None:
    store._connected().close()
    with pytest.raises(JournalError, match="closed"):
        store.commit([], [event(0)])
    with pytest.raises(JournalBusy):
        Store(path).open()
    store.commit([], [event(0)])
    assert list(store.events()) == [event(0)]


def test_a_failed_commit_that_reached_the_disk_all_the_same_can_be_made_again(store: Store) -> None:
    store.commit([ENTRIES[0]], [event(0), event(1)])
    store.commit([ENTRIES[0]], [event(0), event(1), event(2)])
    assert list(store.events()) == [event(0), event(1), event(2)]


def test_nothing_is_ever_overwritten(store: Store) -> None:
    store.commit([], [event(0)])
    with pytest.raises(JournalError, match="event 0 is in it already"):
        store.commit([], [event(1), event(0, '{"other":1}')])
    with pytest.raises(JournalError, match="entry 1 is in it already"):
        store.commit([EntryRow(1, "one", "https://elsewhere", "", None)], [event(1)])
    assert list(store.events()) == [event(0)]


def test_a_text_that_no_file_can_hold_is_refused_whole(store: Store) -> None:
    with pytest.raises(JournalError, match="surrogates not allowed"):
        store.commit([EntryRow(3, "\ud800", "https://a.example/3", "", None)], [event(0)])
    store.commit([], [event(0)])
    assert list(store.entries()) == ENTRIES


@posix
def test_a_new_connection_is_not_made_to_another_file(path: Path, store: Store) -> None:
    with closing(Store(path.with_name("other.db"))) as other:
        other.open()
    path.unlink()
    path.with_name("other.db").rename(path)
    store._connected().close()
    for reason in ("another file has taken its place", "closed database|taken its place", "taken its place"):
        with pytest.raises(JournalError, match=reason):
            store.commit([], [event(0)])
        store._disconnect()


@posix
@pytest.mark.parametrize("replaced", [False, True])
def test_a_file_that_was_taken_away_is_noticed(path: Path, store: Store, replaced: bool) -> None:
    path.rename(path.with_name("elsewhere"))
    if replaced:
        path.touch()
    with pytest.raises(JournalError, match=r"can't be written: (No such file|another file has taken its place)"):
        store.commit([], [event(0)])
    path.unlink(missing_ok=True)
    path.with_name("elsewhere").rename(path)
    store.commit([], [event(0)])
    assert list(store.events()) == [event(0)]


def test_a_read_that_goes_on_does_not_hinder_a_commit(store: Store) -> None:
    store.commit([], [event(0), event(1)])
    with closing(store.events()) as events:  # type: ignore[type-var]
        assert next(events) == event(0)
        store.commit([], [event(2)])
    assert len(list(store.events())) == 3


# ------------------------------------------------------------------------------------------------ one writer
def test_a_second_opener_is_turned_away_at_once(path: Path, store: Store) -> None:
    error = refusal(path)
    assert type(error) is JournalBusy
    assert str(path) in str(error)
    assert "another batch of this process" in str(error)
    store.commit([], [event(0)])  # the first one has lost nothing
    store.close()
    with closing(Store(path)) as again:
        again.open()


def test_the_same_store_is_not_opened_twice(store: Store) -> None:
    with pytest.raises(JournalBusy):
        store.open()
    store.commit([], [event(0)])


def test_another_process_is_turned_away_and_told_who(path: Path, store: Store) -> None:
    done = run(
        """
        try:
            Store(path).open()
        except JournalBusy as error:
            print(error)
        """,
        path,
    )
    assert f"in use by process {os.getpid()}" in done.stdout
    store.commit([], [event(0)])


@posix
@pytest.mark.parametrize("what", ["file", "folder"])
def test_one_journal_by_two_names_is_one_journal(tmp_path: Path, path: Path, store: Store, what: str) -> None:
    link = tmp_path / "link"
    link.symlink_to(path if what == "file" else tmp_path)
    assert type(refusal(link if what == "file" else link / path.name)) is JournalBusy
    assert store.header() == HEADER


@posix
def test_a_child_process_does_not_inherit_the_lock(path: Path, store: Store) -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, close_fds=False)
    try:
        store.close()
        with closing(Store(path)) as again:
            again.open()
    finally:
        child.communicate(b"\n", timeout=60)


def test_closing_twice_is_harmless_and_a_closed_store_writes_nothing(path: Path, store: Store) -> None:
    store.close()
    store.close()
    with pytest.raises(JournalError, match="isn't open"):
        store.commit([], [event(0)])
    assert path.with_name("batch.db.lock").exists()  # removing it would be a race


def test_the_lock_never_harms_a_file_that_is_none(path: Path) -> None:
    other = path.with_name("batch.db.lock")
    other.write_text("# packages, locked\n")
    assert type(refusal(path)) is JournalMismatch
    assert other.read_text() == "# packages, locked\n"
    assert not path.exists()


@posix
def test_the_lock_is_never_looked_for_behind_a_link(path: Path, tmp_path: Path) -> None:
    (tmp_path / "victim").touch()
    path.with_name("batch.db.lock").symlink_to(tmp_path / "victim")
    assert "can't be opened" in str(refusal(path))


# --------------------------------------------------------------------------------------------------- privacy
@posix
def test_every_file_is_for_its_owner_alone(path: Path, store: Store) -> None:
    store.commit([], [event(0)])
    modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in path.parent.iterdir()}
    assert modes == dict.fromkeys(["batch.db", "batch.db-wal", "batch.db-shm", "batch.db.lock"], 0o600)


@posix
def test_a_file_that_others_could_read_is_shut(path: Path, store: Store) -> None:
    store.close()
    for name in (path, path.with_name("batch.db.lock")):
        name.chmod(0o644)
    store.open()
    assert {stat.S_IMODE(each.stat().st_mode) for each in path.parent.iterdir()} == {0o600}


# ------------------------------------------------------------------------------------------ what is no journal
def test_an_empty_file_is_a_fresh_journal(path: Path) -> None:
    path.touch()
    with closing(Store(path)) as made:
        made.open()
        assert made.header() is None


@pytest.mark.parametrize("text", ["https://a.example/0\n", "x" * 10_000])
def test_a_text_file_is_left_as_it_is(path: Path, text: str) -> None:
    path.write_text(text)
    error = refusal(path)
    assert type(error) is JournalMismatch
    assert f"{path} is no journal: name another file" in str(error)
    with pytest.raises(JournalMismatch, match="no journal"), reading(path):
        pass
    assert path.read_text() == text


def test_another_programs_database_is_left_as_it_is(path: Path) -> None:
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE journal (id INTEGER)")
    before = path.read_bytes()
    error = refusal(path)
    assert type(error) is JournalMismatch
    assert "another program's database: name another file" in str(error)
    assert error.path == str(path)
    with pytest.raises(JournalMismatch, match="another program"), reading(path):
        pass
    assert path.read_bytes() == before


def test_a_newer_version_is_refused(path: Path, store: Store) -> None:
    store._connected().execute("PRAGMA user_version = 7")
    store.close()
    error = refusal(path)
    assert type(error) is JournalMismatch
    assert "version 7" in str(error)
    assert "knows 2" in str(error)
    with pytest.raises(JournalMismatch, match="version 7"), reading(path):
        pass


def test_a_journal_of_the_first_version_is_read_as_it_is_and_migrated_when_it_is_opened(tmp_path: Path) -> None:
    path = tmp_path / "old.journal"
    connection = sqlite3.connect(path)
    for statement in FIRST_VERSION:
        connection.execute(statement)
    connection.commit()
    connection.close()
    expected = Header("hash", "salt", "print", "https://api.example", 1.25, version=1)
    with reading(path) as snapshot:
        assert snapshot.header == expected
    store = Store(path)
    store.open()
    try:
        assert store.header() == attrs.evolve(expected, version=tables.VERSION)
        store.commit([], [], attrs.evolve(HEADER, note="kept"))
        assert store.header() == attrs.evolve(HEADER, note="kept")
    finally:
        store.close()


def test_an_older_version_is_migrated_step_by_step(path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.commit([], [event(0)])
    store.close()
    monkeypatch.setattr(tables, "VERSION", 4)
    monkeypatch.setattr(tables, "_HEADERS", {3: tables._HEADERS[2], 4: tables._HEADERS[2]})
    monkeypatch.setitem(tables.MIGRATIONS, 2, ("ALTER TABLE event ADD COLUMN mood TEXT",))
    assert "version 3, which is no longer read" in str(refusal(path))
    with pytest.raises(JournalMismatch, match="resume its batch first"), reading(path):
        pass
    monkeypatch.setitem(tables.MIGRATIONS, 3, ("UPDATE event SET mood = 'calm'", "SELECT nonsense"))
    assert "nonsense" in str(refusal(path))
    monkeypatch.setitem(tables.MIGRATIONS, 3, ("UPDATE event SET mood = 'calm'",))
    store.open()
    header = store.header()
    assert header is not None
    assert header.version == 4
    assert list(store.events()) == [event(0)]
    assert store._connected().execute("SELECT mood FROM event").fetchall() == [("calm",)]


@pytest.mark.parametrize(
    ("name", "kind", "reason"),
    [
        pytest.param(".", JournalMismatch, "name a file", id="a folder"),
        pytest.param("no/such/batch.db", JournalError, "doesn't exist: create it", id="no folder"),
        pytest.param("a\0b", JournalError, "names no file", id="a NUL"),
        pytest.param("n" * 300, JournalError, "too long", id="too long"),
    ],
)
def test_a_place_where_no_journal_can_be(tmp_path: Path, name: str, kind: type[JournalError], reason: str) -> None:
    error = refusal(tmp_path / name)
    assert type(error) is kind
    assert reason in str(error)
    with pytest.raises(JournalError, match=reason), reading(tmp_path / name):
        pass


@posix
def test_a_device_is_no_journal() -> None:
    assert type(refusal(Path(os.devnull))) is JournalMismatch
    assert not Path(os.devnull + ".lock").exists()


@posix
def test_a_folder_in_which_nothing_may_be_written(nobodys: Path) -> None:
    nobodys.chmod(0o555)
    done = run(AS_NOBODY + "Store(path).open()", nobodys / "batch.db")
    assert "Permission denied" in done.stderr
    assert "check the permissions" in done.stderr


# --------------------------------------------------------------------------------------------------- readers
def test_a_reader_sees_one_moment(path: Path, store: Store) -> None:
    store.commit([], [event(0)])
    with reading(path) as snapshot:
        store.commit([], [event(1)])
        assert snapshot.header == HEADER
        assert list(snapshot.entries()) == ENTRIES
        assert list(snapshot.events()) == [event(0)]
    with reading(path) as snapshot:
        assert list(snapshot.events()) == [event(0), event(1)]


def test_a_reader_changes_nothing_and_does_not_hinder(path: Path, store: Store) -> None:
    store.commit([], [event(0)])
    files = (path, path.with_name("batch.db-wal"))
    before = [(each.read_bytes() if each != path else b"", each.stat().st_mtime_ns) for each in files]
    with reading(path) as snapshot:
        list(snapshot.events())
    assert [(each.read_bytes() if each != path else b"", each.stat().st_mtime_ns) for each in files] == before
    assert type(refusal(path)) is JournalBusy
    store.commit([], [event(1)])


def test_a_closed_journal_can_be_read_and_written_again(path: Path, store: Store) -> None:
    store.commit([], [event(0)])
    with reading(path) as early:
        store.close()
        assert list(early.events()) == [event(0)]
    before = path.read_bytes()
    for _ in range(2):
        with reading(path) as snapshot:
            assert list(snapshot.events()) == [event(0)]
    assert path.read_bytes() == before
    store.open()
    store.commit([], [event(1)])


def test_a_log_that_a_kill_has_left_is_read_but_not_folded_in(path: Path, tmp_path: Path, store: Store) -> None:
    store.commit([], [event(0)])
    copy = tmp_path / "copy.db"  # as a killed runner leaves it
    for suffix in ("", "-wal"):
        copy.with_name(copy.name + suffix).write_bytes(path.with_name(path.name + suffix).read_bytes())
    before = copy.read_bytes()
    with reading(copy) as snapshot:
        assert list(snapshot.events()) == [event(0)]
    assert copy.read_bytes() == before


@pytest.mark.parametrize("name", ["50% of 100?.db", "a#b&mode=rwc.db", "ü \N{MUSICAL NOTE}.db", "%41.db"])
def test_any_name_will_do(tmp_path: Path, name: str) -> None:
    with closing(Store(tmp_path / name)) as made:
        made.open()
        made.create(HEADER, ENTRIES)
        with reading(tmp_path / name) as snapshot:
            assert list(snapshot.entries()) == ENTRIES
    assert {each.name.removesuffix("-wal").removesuffix("-shm") for each in tmp_path.iterdir()} == {
        name,
        name + ".lock",
    }


def test_a_name_that_is_no_text_will_do(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"\xff\xfe.db")
    with closing(Store(path)) as made:
        made.open()
        made.create(HEADER, ENTRIES)
        with reading(path) as snapshot:
            assert snapshot.header == HEADER


@pytest.mark.parametrize("content", [None, b""])
def test_a_journal_that_is_not_begun_holds_nothing(path: Path, content: bytes | None) -> None:
    with closing(Store(path)) as made:
        if content is None:
            made.open()
        else:
            path.write_bytes(content)
        with reading(path) as snapshot:
            assert snapshot.header is None
            assert not [*snapshot.entries(), *snapshot.events()]


def test_a_missing_journal_is_not_made_by_reading(path: Path) -> None:
    with pytest.raises(JournalError, match=r"there is no journal .*batch\.db: check the name"), reading(path):
        pass
    assert list(path.parent.iterdir()) == []


def test_a_snapshot_ends_with_its_reading(path: Path, store: Store) -> None:
    with reading(path) as snapshot:
        pass
    with pytest.raises(JournalError, match="closed"):
        list(snapshot.events())
    assert store.header() == HEADER


def test_a_readers_own_error_is_left_alone(path: Path, store: Store) -> None:
    with pytest.raises(OSError, match="mine"), reading(path):
        raise OSError("mine")
    assert store.header() == HEADER


def test_a_damaged_journal_is_blamed_by_name(path: Path, store: Store) -> None:
    store.commit([], [event(seq, "x" * 500) for seq in range(100)])
    store.close()
    content = bytearray(path.read_bytes())
    content[3 * 4096 :] = b"\xaa" * (len(content) - 3 * 4096)
    path.write_bytes(content)
    with (
        pytest.raises(JournalError, match=r"batch\.db can't be read: database disk image is malformed"),
        reading(path) as snapshot,
    ):
        list(snapshot.events())


AS_NOBODY = """
if os.getuid() == 0:
    os.setgid(65534); os.setuid(65534)
"""


@pytest.fixture
def nobodys() -> Iterator[Path]:
    """A folder that somebody who is not root can reach, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


@posix
def test_a_journal_is_read_where_nothing_may_be_written(nobodys: Path) -> None:
    path = nobodys / "batch.db"
    with closing(Store(path)) as made:
        made.open()
        made.create(HEADER, ENTRIES)
        made.commit([], [event(0)])
    path.chmod(0o444)
    nobodys.chmod(0o555)
    code = AS_NOBODY + "with reading(path) as snapshot: print(len(list(snapshot.events())))"
    done = run(code, path)
    assert (done.stdout, done.stderr) == ("1\n", "")
    assert sorted(each.name for each in nobodys.iterdir()) == ["batch.db", "batch.db.lock"]


@posix
def test_the_file_alone_is_not_taken_for_the_whole_while_there_is_a_log(nobodys: Path) -> None:
    path = nobodys / "batch.db"
    with closing(Store(path)) as made:
        made.open()
        made.create(HEADER, ENTRIES)
        copy = nobodys / "copy.db"
        for suffix in ("", "-wal"):
            copy.with_name(copy.name + suffix).write_bytes(path.with_name(path.name + suffix).read_bytes())
            copy.with_name(copy.name + suffix).chmod(0o444)
    nobodys.chmod(0o555)
    done = run(AS_NOBODY + "with reading(path): pass", copy)
    assert "unable to open database file" in done.stderr
    assert "JournalError" in done.stderr
