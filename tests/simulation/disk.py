"""The disk: one directory that outlives processes, and what kills, power cuts and failing hardware do to it.

What may live here: when blocking work runs, how it fails, and what is left afterwards. The real SQLite does that
work, inline, on a directory in memory.
"""

# ruff: noqa: S311 - chance is seeded here on purpose, and protects nothing
from __future__ import annotations

import contextlib
import random
import shutil
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

import attrs

if TYPE_CHECKING:
    from .process import Process

_MEMORY = Path("/dev/shm")  # noqa: S108 - of a directory of our own in it


@attrs.frozen
class DiskFaults:
    """What can go wrong with blocking work.

    Attributes:
        slow: The share of calls that take long.
        full: The share of commits that find the disk full; `eio`: that fail otherwise.
        spell: How many commits in a row fail, once one did.
    """

    slow: float = 0.0
    full: float = 0.0
    eio: float = 0.0
    spell: int = 1


HEALTHY = DiskFaults()


class SimConnection(sqlite3.Connection):
    """SQLite whose disk can fail."""

    disk: Disk

    def execute(self, sql: str, *arguments: Any) -> sqlite3.Cursor:
        if sql[:6].upper() == "COMMIT":
            self.disk.check()
        return super().execute(sql, *arguments)

    def commit(self) -> None:
        self.disk.check()
        super().commit()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Literal[False]:
        if kind is None:
            self.commit()
            return False
        self.rollback()
        return False


class Disk:
    """One directory, and everything that happens to it. Lives in memory where the machine lets it.

    Args:
        seed: Where delays, faults and what a power cut leaves come from.
    """

    def __init__(self, seed: int) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="simulation-", dir=_MEMORY if _MEMORY.is_dir() else None))
        self.rng = random.Random(seed)
        self.faults = HEALTHY
        self.delays = False
        self.hits: Counter[str] = Counter()
        self.calls = 0
        self.power_at: int | None = None
        self.writing = False
        self._failing = 0
        self._kind = "eio"
        self._free_at: dict[int, float] = {}

    def remove(self) -> None:
        """Ends it."""
        shutil.rmtree(self.path, ignore_errors=True)

    # ---------------------------------------------------------------------------------------------- blocking work
    def schedule(self, executor: object, now: float) -> tuple[float, float]:
        """When a call begins, and how long after it its result is heard of. One thread works in order."""
        if not self.delays:
            return now, 0.0
        wait, takes = self.rng.random() * 0.004, self.rng.random() * 0.004
        if self.rng.random() < self.faults.slow:
            self.hits["slow"] += 1
            wait, takes = wait + self.rng.random() * 3, takes + self.rng.random() * 3
        begins = max(now + wait, self._free_at.get(id(executor), 0.0))
        self._free_at[id(executor)] = begins + takes
        return begins, takes

    def begun_already(self) -> bool:
        """Whether a thread had begun with what was cancelled."""
        return self.rng.random() < 0.5

    def run(self, process: Process | None, func: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        """One call. The power may go in the middle of it."""
        self.calls += 1
        if process is None or self.power_at is None or self.calls < self.power_at:
            return self._run(func, arguments)
        self.power_at = None
        before = self.read()
        with contextlib.suppress(Exception):
            self._run(func, arguments)
        after = self.read()
        process.power, process.saved = True, process.saved or before
        process.kill()
        self.write(self._torn(before, after))
        self.hits["torn"] += 1
        return None

    def _run(self, func: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        self.writing = True
        try:
            return func(*arguments)
        finally:
            self.writing = False

    def check(self) -> None:
        """A commit: fails if the disk does."""
        if not self.writing:
            return
        if not self._failing:
            roll = self.rng.random()
            if roll >= self.faults.full + self.faults.eio:
                return
            self._kind = "full" if roll < self.faults.full else "eio"
            self._failing = self.rng.randint(1, self.faults.spell)
        self._failing -= 1
        self.hits[self._kind] += 1
        failure = _FAILURES[self._kind]
        raise failure()

    def heal(self) -> None:
        """Nothing goes wrong any more."""
        self.faults, self._failing, self.power_at = HEALTHY, 0, None

    # ------------------------------------------------------------------------------------------- kills, power cuts
    def read(self) -> dict[str, bytes]:
        """Every file as it stands."""
        return {path.name: path.read_bytes() for path in sorted(self.path.iterdir()) if path.is_file()}

    def write(self, files: dict[str, bytes]) -> None:
        """Makes the directory hold exactly these files; those that are not SQLite's keep their place in it."""
        for path in self.path.iterdir():
            if path.name not in files:
                path.unlink()
        for name, content in files.items():
            path = self.path / name
            if not path.exists() or path.read_bytes() != content:
                path.write_bytes(content)

    def crash(self, stores: list[Any], saved: dict[str, bytes] | None) -> None:
        """Ends the stores of a process that was killed: what they had not committed is gone, the lock is free.

        Args:
            stores: Those of the process.
            saved: The files as they were before it; given for a power cut. A store that does not wait for its
                disk at each commit loses everything since.
        """
        synced = all(_synced(store) for store in stores)
        files = self.read()
        for store in stores:
            with contextlib.suppress(Exception):
                store.close()
        stores.clear()
        if saved is not None:
            files = {name: content for name, content in files.items() if not name.endswith("-shm")}
            if not synced:
                self.hits["unsynced"] += 1
                files = saved
        self.write(files)

    def _torn(self, before: dict[str, bytes], after: dict[str, bytes]) -> dict[str, bytes]:
        """What a commit leaves that was under way: none of it, all, or a part of what it wrote ahead."""
        match self.rng.randrange(3):
            case 0:
                return {name: content for name, content in before.items() if not name.endswith("-shm")}
            case 1:
                return {name: content for name, content in after.items() if not name.endswith("-shm")}
        torn = {name: content for name, content in before.items() if not name.endswith("-shm")}
        for name, content in after.items():
            old = before.get(name, b"")
            if name.endswith("-wal") and content.startswith(old) and len(content) > len(old):
                keep = self.rng.randint(len(old), len(content))
                tail = bytearray(content[len(old) : keep])
                for start in range(0, len(tail), 512):
                    if self.rng.random() < 0.3:
                        tail[start : start + 512] = bytes(len(tail[start : start + 512]))
                torn[name] = old + bytes(tail)
        return torn


def _synced(store: Any) -> bool:
    """Whether a store waits for its disk at each commit."""
    for value in _values(store):
        if isinstance(value, sqlite3.Connection):
            with contextlib.suppress(sqlite3.Error):
                return bool(value.execute("PRAGMA synchronous").fetchone()[0] >= 2)
    return True


def _values(store: Any) -> Iterator[Any]:
    names = set(getattr(store, "__dict__", {}))
    for kind in type(store).__mro__:
        names |= set(getattr(kind, "__slots__", ()))
    for name in sorted(names):
        yield getattr(store, name, None)


def _full() -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorcode, error.sqlite_errorname = sqlite3.SQLITE_FULL, "SQLITE_FULL"
    return error


def _io() -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode, error.sqlite_errorname = sqlite3.SQLITE_IOERR, "SQLITE_IOERR"
    return error


_FAILURES = {"full": _full, "eio": _io}
