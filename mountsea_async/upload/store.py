"""One journal file: who may write it, what stands in it, and when that is durable.

Plain blocking SQLite, used from one thread at a time. The only writer, and the only one who checkpoints, is the
connection of the `Store` that holds the lock; readers open the file read-only and need no lock. The database file is
never opened but by SQLite: closing any other descriptor of it would drop SQLite's own locks in this process.
"""

from __future__ import annotations

import contextlib
import errno
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import attrs

from ..errors import JournalError, JournalMismatch
from . import tables
from .place import beside, blaming, check_place, free_lock, identity, make_private, reason_name, resolved, take_lock
from .tables import VERSION, EntryRow, EventRow, Header

__all__ = ["VERSION", "EntryRow", "EventRow", "Header", "Snapshot", "Store", "reading"]


class Store:
    """One journal file, open for writing. `open` and `commit` block, and are for one thread at a time.

    Args:
        path: The file; made, with mode 0600, where there is none or an empty one.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: int | None = None
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None

    def __repr__(self) -> str:
        return f"Store({str(self.path)!r})"

    def open(self) -> None:
        """Takes the lock; makes the file and its tables, or brings them up to this version.

        Raises:
            JournalBusy: It is open already, in this process or another.
            JournalMismatch: It is another program's file, or of a newer version.
            JournalError: The system refuses.
        """
        path = resolved(self.path)
        with blaming(path, "opened"):
            check_place(path)
            lock = take_lock(path)  # first of all: nothing else may touch the file
        self.path, self._lock = path, lock
        try:
            with blaming(path, "opened"):
                make_private(path)
                self._file = identity(path)
                tables.bring_up_to_date(self._connected(), path)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Frees the file; the lock last. Once more does nothing."""
        try:
            self._disconnect()
        finally:
            lock, self._lock = self._lock, None
            if lock is not None:
                free_lock(lock)

    def header(self) -> Header | None:
        """What the journal says of itself; None while it is fresh."""
        with blaming(self.path, "read"):
            return tables.read_header(self._connected())

    def entries(self) -> Iterator[EntryRow]:
        """The entries, in input order, one by one."""
        return tables.read_rows(self._connected(), self.path, tables.ENTRIES, EntryRow)

    def events(self) -> Iterator[EventRow]:
        """The events, in their order, one by one."""
        return tables.read_rows(self._connected(), self.path, tables.EVENTS, EventRow)

    def create(self, header: Header, entries: Sequence[EntryRow], events: Sequence[EventRow] = ()) -> None:
        """Begins a fresh journal, durably.

        Raises:
            JournalMismatch: Another batch has begun it.
            JournalError: As in `commit`.
        """
        if self.header() not in (None, header):
            raise JournalMismatch(f"{self.path} is another batch's journal: name another file", path=str(self.path))
        self.commit(entries, events, header)

    def commit(self, entries: Sequence[EntryRow], events: Sequence[EventRow], header: Header | None = None) -> None:
        """Writes all of it or none, durable when it returns; the same call may be made again after it failed.

        Args:
            entries: Entries to add.
            events: Events to add.
            header: Takes the place of the present one.

        Raises:
            JournalError: It can't be written, and why: a full disk, a lost one, a removed file.
        """
        with self._transaction() as connection:
            if header is not None:
                connection.execute(tables.PUT_HEADER, tables.bind(tables.header_values(header)))
            tables.ENTRY.add(connection, entries)
            tables.EVENT.add(connection, events)

    def replace_url(self, urls: Mapping[int, str]) -> None:
        """Puts re-signed URLs, by their entries' indexes, in the place of the old ones; fails as `commit` does."""
        with self._transaction() as connection:
            for index, url in urls.items():
                if connection.execute(tables.PUT_URL, tables.bind((url, index))).rowcount != 1:
                    raise sqlite3.IntegrityError(f"there is no entry {index}")

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with blaming(self.path, "written"):
            connection = self._connected()
            if identity(self.path) != self._file:
                raise OSError(errno.ESTALE, "another file has taken its place")
            try:
                connection.execute("BEGIN IMMEDIATE")
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                self._roll_back(connection)
                raise

    def _roll_back(self, connection: sqlite3.Connection) -> None:
        try:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        except sqlite3.Error:
            self._disconnect()  # of no use any more; the next commit makes another one

    def _connected(self) -> sqlite3.Connection:
        if self._lock is None:
            raise JournalError(f"journal {self.path} isn't open", path=str(self.path))
        if self._connection is None:
            with blaming(self.path, "opened"):
                self._connection = tables.connect(self.path, "rw")
                try:
                    tables.prepare(self._connection, self.path)
                except BaseException:
                    self._disconnect()
                    raise
        return self._connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):  # what was committed is durable without its help
                connection.close()


@attrs.frozen
class Snapshot:
    """A journal as it stood at one moment. Readable until its `reading` ends."""

    path: Path
    header: Header | None
    _connection: sqlite3.Connection = attrs.field(repr=False)

    def entries(self) -> Iterator[EntryRow]:
        """The entries, in input order, one by one."""
        if self.header is None:
            return iter(())
        return tables.read_rows(self._connection, self.path, tables.ENTRIES, EntryRow)

    def events(self) -> Iterator[EventRow]:
        """The events, in their order, one by one."""
        if self.header is None:
            return iter(())
        return tables.read_rows(self._connection, self.path, tables.EVENTS, EventRow)

    def events_after(self, seq: int, limit: int) -> Iterator[EventRow]:
        """The next events after one of them; from the first on, after -1."""
        if self.header is None:
            return iter(())
        return tables.read_rows(self._connection, self.path, tables.EVENTS_AFTER, EventRow, seq, limit)


@contextlib.contextmanager
def reading(path: Path) -> Iterator[Snapshot]:
    """Reads a journal, whether or not somebody writes it; takes no lock and changes nothing in it.

    Raises:
        JournalMismatch: It is no journal, or one of another version.
        JournalError: There is none, or it can't be read.
    """
    path = resolved(path)
    with contextlib.ExitStack() as stack:
        with blaming(path, "read"):
            check_place(path)
            if not path.exists():
                raise JournalError(f"there is no journal {path}: check the name", path=str(path))
            connection, header = _look(path, stack)
        yield Snapshot(path, header, connection)


def _look(path: Path, stack: contextlib.ExitStack) -> tuple[sqlite3.Connection, Header | None]:
    for mode in ("ro", "ro&immutable=1"):
        connection = stack.enter_context(contextlib.closing(tables.connect(path, mode)))
        try:
            connection.execute("BEGIN")
            version = tables.read_version(connection, path)
        except sqlite3.OperationalError as error:
            # Where nothing may be written SQLite can't make its side files; without a log the file alone is whole.
            unwritable = reason_name(error).startswith(("SQLITE_CANTOPEN", "SQLITE_READONLY"))
            if mode != "ro" or not unwritable or beside(path, "-wal").exists():
                raise
            continue
        if not tables.readable(version):
            said = (
                f"{path} is a journal of version {version}, this library's is {tables.VERSION}: resume its batch first"
            )
            raise JournalMismatch(said, path=str(path))
        return connection, None if version is None else tables.read_header(connection, version)
    raise AssertionError  # pragma: no cover - the second try returns or raises
