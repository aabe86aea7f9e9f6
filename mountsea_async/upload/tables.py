"""The three tables of a journal, their rows and their versions, in SQL that PostgreSQL understands too."""

from __future__ import annotations

import contextlib
import errno
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any, Final, TypeVar

import attrs

from ..errors import JournalMismatch
from .place import blaming

VERSION: Final = 2
"""Of the tables below."""
APPLICATION: Final = 0x4D53454A
"""Marks a SQLite file as a journal of ours."""
MIGRATIONS: dict[int, tuple[str, ...]] = {1: ("ALTER TABLE journal ADD COLUMN note TEXT NOT NULL DEFAULT ''",)}
"""What takes a journal of an older version one version further."""
SCHEMA: Final = (
    """CREATE TABLE journal (id INTEGER PRIMARY KEY, inputs_hash TEXT, salt TEXT NOT NULL, fingerprint TEXT NOT NULL,
    base_url TEXT NOT NULL, made_at DOUBLE PRECISION NOT NULL, version INTEGER NOT NULL,
    note TEXT NOT NULL DEFAULT '')""",
    """CREATE TABLE entry (item INTEGER PRIMARY KEY, key TEXT, audio_url TEXT NOT NULL, metadata TEXT NOT NULL,
    duplicate_of INTEGER, replaces INTEGER)""",
    """CREATE TABLE event (seq INTEGER PRIMARY KEY, at DOUBLE PRECISION NOT NULL, kind TEXT NOT NULL, item INTEGER,
    data TEXT NOT NULL)""",
)
PUT_HEADER = (
    "INSERT INTO journal (id, inputs_hash, salt, fingerprint, base_url, made_at, version, note)"
    " VALUES (1, $1, $2, $3, $4, $5, $6, $7) ON CONFLICT (id) DO UPDATE SET inputs_hash = excluded.inputs_hash,"
    " salt = excluded.salt, fingerprint = excluded.fingerprint, base_url = excluded.base_url,"
    " made_at = excluded.made_at, version = excluded.version, note = excluded.note"
)
PUT_URL = "UPDATE entry SET audio_url = $1 WHERE item = $2"
_HEADER = "SELECT inputs_hash, salt, fingerprint, base_url, made_at, version, note FROM journal WHERE id = 1"
_HEADERS: Final = {1: _HEADER.replace("note", "''"), VERSION: _HEADER}
"""By version: those that can be read as they are."""
ENTRIES = "SELECT item, key, audio_url, metadata, duplicate_of, replaces FROM entry ORDER BY item"
EVENTS = "SELECT seq, at, kind, item, data FROM event ORDER BY seq"
EVENTS_AFTER = "SELECT seq, at, kind, item, data FROM event WHERE seq > $1 ORDER BY seq LIMIT $2"
_NUMBERS = ("1", "2", "3", "4", "5", "6", "7")
_T = TypeVar("_T")


@attrs.frozen
class Header:
    """What a journal says of itself: of which inputs, key and service it is. `made_at` is wall time in seconds, `note`
    a text of whoever keeps it."""

    inputs_hash: str | None
    salt: str
    fingerprint: str
    base_url: str
    made_at: float
    version: int = VERSION
    note: str = ""


@attrs.frozen
class EntryRow:
    """One entry of the batch; `metadata` is JSON, or empty where there is none.

    `duplicate_of` is the earlier entry whose upload it shares, `replaces` the one that it was handed in again for.
    """

    index: int
    key: str | None
    audio_url: str = attrs.field(repr=False)
    metadata: str
    duplicate_of: int | None
    replaces: int | None = None


@attrs.frozen
class EventRow:
    """One event; `data` is JSON."""

    seq: int
    at: float
    kind: str
    index: int | None
    data: str


header_values = attrgetter("inputs_hash", "salt", "fingerprint", "base_url", "made_at", "version", "note")


@attrs.frozen
class _Appended:
    """A table to which rows are only added, and how."""

    word: str
    values: Callable[[Any], tuple[Any, ...]]
    insert: str
    held: str

    def add(self, connection: sqlite3.Connection, rows: Sequence[EntryRow] | Sequence[EventRow]) -> None:
        """Adds rows. A row that is there already is left: a failed commit may have reached the disk all the same."""
        if not rows or connection.executemany(self.insert, map(bind, map(self.values, rows))).rowcount == len(rows):
            return
        for values in map(self.values, rows):
            if connection.execute(self.held, bind(values[:1])).fetchone() != values:
                raise sqlite3.IntegrityError(f"{self.word} {values[0]} is in it already, and not the same")


ENTRY = _Appended(
    "entry",
    attrgetter("index", "key", "audio_url", "metadata", "duplicate_of", "replaces"),
    "INSERT INTO entry (item, key, audio_url, metadata, duplicate_of, replaces) VALUES ($1, $2, $3, $4, $5, $6)"
    " ON CONFLICT (item) DO NOTHING",
    "SELECT item, key, audio_url, metadata, duplicate_of, replaces FROM entry WHERE item = $1",
)
EVENT = _Appended(
    "event",
    attrgetter("seq", "at", "kind", "index", "data"),
    "INSERT INTO event (seq, at, kind, item, data) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (seq) DO NOTHING",
    "SELECT seq, at, kind, item, data FROM event WHERE seq = $1",
)


def bind(values: tuple[Any, ...]) -> dict[str, Any]:
    """Values for `$1`, `$2` and so on."""
    return dict(zip(_NUMBERS, values, strict=False))


def connect(path: Path, mode: str) -> sqlite3.Connection:
    """A connection in one of SQLite's modes: `rw` to a file that exists, `ro`, `ro&immutable=1`."""
    address = f"{path.as_uri()}?mode={mode}"
    return sqlite3.connect(address, uri=True, isolation_level=None, check_same_thread=False, timeout=5.0)


def prepare(connection: sqlite3.Connection, path: Path) -> None:
    """Makes a writer's connection durable; touches nothing of another program's file."""
    read_version(connection, path)  # first: another program's file is left as it is
    connection.execute("PRAGMA fullfsync = 1")
    connection.execute("PRAGMA synchronous = FULL")
    if connection.execute("PRAGMA journal_mode = WAL").fetchone() != ("wal",):
        raise OSError(errno.ENOTSUP, "its disk can't hold SQLite's log: name a file on a local one")


def read_version(connection: sqlite3.Connection, path: Path) -> int | None:
    """The version of the tables; None where there are none yet."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if (application, version, tables) == (0, 0, 0):
        return None
    if application != APPLICATION:
        raise JournalMismatch(f"{path} is another program's database: name another file", path=str(path))
    if version > VERSION:
        said = (
            f"{path} is a journal of version {version}, this library knows {VERSION}: update it, or name another file"
        )
        raise JournalMismatch(said, path=str(path))
    return int(version)


def bring_up_to_date(connection: sqlite3.Connection, path: Path) -> None:
    """Makes the tables where there are none; takes older ones to this version, in one transaction."""
    version = read_version(connection, path)
    if version == VERSION:
        return
    statements = [*SCHEMA, f"PRAGMA application_id = {APPLICATION}"]
    if version is not None:
        if missing := [step for step in range(version, VERSION) if step not in MIGRATIONS]:
            said = f"{path} is a journal of version {missing[0]}, which is no longer read: name another file"
            raise JournalMismatch(said, path=str(path))
        statements = [statement for step in range(version, VERSION) for statement in MIGRATIONS[step]]
        statements.append(f"UPDATE journal SET version = {VERSION}")  # noqa: S608 - a number of ours
    try:
        for statement in ("BEGIN IMMEDIATE", *statements, f"PRAGMA user_version = {VERSION}", "COMMIT"):
            connection.execute(statement)
    except sqlite3.Error:
        with contextlib.suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise


def readable(version: int | None) -> bool:
    """Whether a file of that version can be read without changing it."""
    return version is None or version in _HEADERS


def read_header(connection: sqlite3.Connection, version: int | None = None) -> Header | None:
    """What the journal says of itself."""
    row = connection.execute(_HEADERS[version or VERSION]).fetchone()
    return None if row is None else Header(*row)


def read_rows(
    connection: sqlite3.Connection, path: Path, sql: str, make: Callable[..., _T], *values: Any
) -> Iterator[_T]:
    """The rows of a query, one by one."""
    with blaming(path, "read"):
        cursor = connection.execute(sql, bind(values))
        try:
            for row in cursor:
                yield make(*row)
        finally:
            with contextlib.suppress(sqlite3.ProgrammingError):  # who stops half way may have closed the connection
                cursor.close()
