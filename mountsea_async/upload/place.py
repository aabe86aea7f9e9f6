"""Where a journal lies: its lock, who may read it, and in which words the system's refusals are told."""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from ..errors import JournalBusy, JournalError, JournalMismatch

if sys.platform == "win32":
    import msvcrt

    def _locks(descriptor: int) -> bool:
        os.lseek(descriptor, 1 << 30, os.SEEK_SET)  # far behind the pid, which stays readable
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
        return True

    def free_lock(descriptor: int) -> None:
        """Lets go of a lock."""
        os.close(descriptor)
else:
    import fcntl

    def _locks(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def free_lock(descriptor: int) -> None:
        """Lets go of a lock: of all that hold it, a process that was forked meanwhile included."""
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)


__all__ = [
    "beside",
    "blaming",
    "check_place",
    "free_lock",
    "identity",
    "make_private",
    "reason_name",
    "refused_by_system",
    "resolved",
    "take_lock",
]

_WAYS_OUT: Final = {
    "SQLITE_FULL": "make room on its disk",
    "ENOSPC": "make room on its disk",
    "SQLITE_READONLY": "check the permissions of the file, its folder and its disk",
    "SQLITE_CANTOPEN": "check the permissions of the file and its folder",
    "EACCES": "check the permissions of the file and its folder, or name another",
    "SQLITE_IOERR": "check its disk",
    "SQLITE_BUSY": "another program has the file open: close it",
}
"""By the beginning of the reason's name."""


_BUSY: Final = "journal {path} is in use by {by}: wait for its end, or name another"


def resolved(path: Path) -> Path:
    """The one name of a file that may be named through links."""
    try:
        return path.resolve()
    except (OSError, RuntimeError, ValueError) as error:  # a circle of links; a NUL in the name
        raise JournalError(f"{str(path)!r} names no file: {error}", path=str(path)) from error


def check_place(path: Path) -> None:
    """Refuses what can be no journal's path; opens nothing."""
    if not path.parent.is_dir():
        raise JournalError(f"the folder of journal {path} doesn't exist: create it, or name another", path=str(path))
    if path.exists() and not path.is_file():
        raise JournalMismatch(f"{path} is no file but a folder or a device: name a file", path=str(path))


def beside(path: Path, suffix: str) -> Path:
    """A side file's name."""
    return path.with_name(path.name + suffix)


def identity(path: Path) -> tuple[int, int]:
    """What a file keeps when its name is given to another."""
    found = path.stat()
    return found.st_dev, found.st_ino


def make_private(path: Path) -> None:
    """Makes the file where there is none, durably, and shuts it and its side files against other users."""
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    if os.name != "posix":
        return
    for file in (beside(path, suffix) for suffix in ("", "-wal", "-shm", ".lock")):
        with contextlib.suppress(FileNotFoundError):
            mode = file.lstat().st_mode
            if stat.S_ISREG(mode) and mode & 0o077:
                file.chmod(0o600)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def take_lock(path: Path, busy: str = _BUSY, named: Path | None = None) -> int:
    """The descriptor whose closing, or the end of the process however it comes, frees the lock.

    Args:
        path: What is locked, by a file beside it.
        busy: What to say where it is locked already, of `{path}` and `{by}`.
        named: What to call it there; None: by its path.
    """
    name = beside(path, ".lock")
    lock = os.open(name, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)  # never inherited: PEP 446
    try:
        _claim(lock, name, path, lambda by: JournalBusy(busy.format(path=named or path, by=by), path=str(path)))
    except BaseException:
        os.close(lock)
        raise
    return lock


def _claim(lock: int, name: Path, path: Path, busy: Callable[[str], JournalBusy]) -> None:
    holder = os.read(lock, 64).strip(b"\0\r\n ").decode("ascii", "replace")
    if holder and not holder.isdigit():
        raise JournalMismatch(f"{name}, the lock of {path}, is another file: name another journal", path=str(path))
    if not _locks(lock):
        raise busy("another batch of this process" if holder == str(os.getpid()) else f"process {holder or 'unknown'}")
    with contextlib.suppress(OSError):  # a courtesy to the next one
        os.lseek(lock, 0, os.SEEK_SET)
        os.ftruncate(lock, 0)
        os.write(lock, b"%d\n" % os.getpid())


def reason_name(error: Exception) -> str:
    """SQLite's or the system's name of an error's reason; empty where it has none."""
    if isinstance(error, OSError):
        return errno.errorcode.get(error.errno or 0, "")
    return str(getattr(error, "sqlite_errorname", ""))


def refused_by_system(error: JournalError) -> bool:
    """Whether the system stands between us and a journal that may be whole: too many open files, a disk that fails."""
    return isinstance(error.__cause__, OSError | sqlite3.OperationalError)


@contextlib.contextmanager
def blaming(path: Path, done: str) -> Iterator[None]:
    """Tells SQLite's and the system's errors as the journal's: which file, why, and the way out."""
    try:
        yield
    except (sqlite3.Error, OSError, UnicodeError) as error:
        name = reason_name(error)
        if name == "SQLITE_NOTADB":
            raise JournalMismatch(f"{path} is no journal: name another file", path=str(path)) from error
        reason = (error.strerror if isinstance(error, OSError) else "") or str(error)
        reason = f"{reason} ({name})" if name else reason
        ways_out = [f"; {way_out}" for start, way_out in _WAYS_OUT.items() if name.startswith(start)]
        raise JournalError(f"journal {path} can't be {done}: {reason}{''.join(ways_out)}", path=str(path)) from error
