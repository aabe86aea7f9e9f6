"""A folder of journals that one process keeps: its lock, and whose each journal is. Everything here blocks."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from pathlib import Path

from ..errors import JournalError
from ..upload.past import read_events
from ..upload.place import blaming, free_lock, refused_by_system, take_lock
from ..upload.planned import read_header, remove_journal
from .note import BatchNote

__all__ = ["Shelf"]

logger = logging.getLogger("mountsea_async")

_SUFFIX = ".journal"
_ID = re.compile(r"[0-9a-f]{32}")
_BUSY = (
    "folder {path} is in use by {by}: one process at a time keeps batches in a folder. Run one worker, or give each a "
    "folder of its own"
)


class Shelf:
    """The journals of one folder.

    Args:
        folder: Where they lie; made, for its owner alone, where there is none.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock: int | None = None

    def open(self) -> None:
        """Takes the folder for this process.

        Raises:
            JournalBusy: It is another's.
            JournalError: The system refuses.
        """
        with blaming(self.folder, "opened"):
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.folder = self.folder.resolve()
            self._lock = take_lock(self.folder / "batches", _BUSY, self.folder)

    def close(self) -> None:
        """Lets go of the folder. Once more does nothing."""
        lock, self._lock = self._lock, None
        if lock is not None:
            free_lock(lock)

    def path(self, batch_id: str) -> Path:
        """The journal of a batch."""
        return self.folder / f"{batch_id}{_SUFFIX}"

    def held(self) -> Iterator[tuple[str, BatchNote]]:
        """The batches whose journals lie here. What was never wholly written down is removed: nobody was told of it;
        what isn't ours, or is damaged, is left alone.

        Raises:
            JournalError: The system lets one not be read: what would be missing might be paid for again.
        """
        for path in sorted(self.folder.glob(f"*{_SUFFIX}")):
            batch_id = path.name.removesuffix(_SUFFIX)
            if not _ID.fullmatch(batch_id):
                continue
            try:
                header = read_header(path)
                note = None if header is None else BatchNote.decode(header.note)
            except (JournalError, ValueError) as error:
                if isinstance(error, JournalError) and refused_by_system(error):
                    raise
                logger.exception("batch.unreadable", extra={"path": str(path), "error": str(error)})
                continue
            if header is None:
                self.remove(batch_id)
            elif note is not None:
                yield batch_id, note

    def precedence(self, held: tuple[str, BatchNote]) -> tuple[bool, float]:
        """Which batches come first: those of which something has happened, and among them the oldest."""
        batch_id, note = held
        happened = note.state is not None or bool(read_events(self.path(batch_id), -1, 1))
        return not happened, note.created_at

    def remove(self, batch_id: str) -> None:
        """Removes a journal."""
        with blaming(self.path(batch_id), "removed"):
            remove_journal(self.path(batch_id))
