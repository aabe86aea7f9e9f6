"""What a journal holds, and whose it is: inputs, earlier events, the key and the service that it belongs to.

Pure, but for the salt and the date of a new journal and for `read_journal`, which reads a file.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

import attrs

from ..errors import InputProblem, JournalError, JournalMismatch, MountseaError
from ..models import UploadItem
from ..redact import shown_url
from . import codec
from .batch import Batch
from .events import Event
from .inputs import check_journal, refused
from .lifecycle import IllegalTransition
from .report import BatchReport
from .store import EntryRow, EventRow, Header, reading

__all__ = [
    "Binding",
    "Entry",
    "Past",
    "check_binding",
    "check_inputs",
    "entry_of",
    "events_of",
    "header_of",
    "inputs_hash",
    "read_events",
    "read_journal",
    "read_upto",
    "rows_of",
    "undamaged",
]


@attrs.frozen
class Binding:
    """What ties a journal to a client.

    Attributes:
        base_url: Where the service is.
        fingerprint: Makes a fingerprint of the key from a salt; the key itself is never written.
        accept_new_key: Whether another key, or another base URL, may go on with the journal.
    """

    base_url: str
    fingerprint: Callable[[str], str]
    accept_new_key: bool = False


Entry: TypeAlias = tuple[UploadItem, int | None, int | None]


@attrs.frozen
class Past:
    """What a journal holds: nothing but the inputs where it is new.

    Attributes:
        entries: The inputs; each with the index of the earlier one whose upload it shares, if it does, and of the one
            that it was handed in again for.
        events: What happened in earlier runs.
    """

    entries: tuple[Entry, ...] = ()
    events: tuple[Event, ...] = ()

    def put_into(self, batch: Batch) -> None:
        """Hands the entries to an empty batch; the events are to be applied afterwards."""
        for entry, *indexes in self.entries:
            original, replaced = (None if index is None else batch.items[index] for index in indexes)
            batch.put(entry, original, replaces=replaced)


def inputs_hash(entries: Iterable[UploadItem]) -> str:
    """What two lists of entries have in common if and only if they name the same uploads in the same order.

    An entry is known by its `key` where it has one, so a URL that was signed anew may take its place.
    """
    digest = hashlib.sha256()
    for entry in entries:
        name = f"url {entry.audio_url}" if entry.key is None else f"key {entry.key}"
        text = name.encode("utf-8", "surrogatepass")
        digest.update(b"%d:" % len(text))
        digest.update(text)
    return digest.hexdigest()


def entry_of(row: EntryRow) -> Entry:
    """An entry as the journal has kept it."""
    entry = UploadItem(row.audio_url, row.key, json.loads(row.metadata) if row.metadata else {})
    return entry, row.duplicate_of, row.replaces


def rows_of(entries: Sequence[UploadItem], *, keep_duplicates: bool) -> tuple[EntryRow, ...]:
    """Entries as the journal keeps them.

    Raises:
        InputError: Metadata of theirs can't be written as JSON; names each.
    """
    first: dict[str, int] = {}
    rows: list[EntryRow] = []
    problems: list[InputProblem] = []
    for index, entry in enumerate(entries):
        original = index if keep_duplicates else first.setdefault(entry.audio_url, index)
        try:
            metadata = json.dumps(dict(entry.metadata), allow_nan=False) if entry.metadata else ""
        except (TypeError, ValueError) as error:
            words = f"its metadata can't be written to a journal ({error}): use what JSON can hold"
            problems.append(InputProblem(index, shown_url(entry.audio_url), words))
            continue
        rows.append(EntryRow(index, entry.key, entry.audio_url, metadata, None if original == index else original))
    if problems:
        raise refused(problems, len(entries))
    return tuple(rows)


def read_journal(journal: str | os.PathLike[str]) -> BatchReport:
    """What a journal holds, as the report of its batch as it stands; also while a batch is running on it.

    Reads a file: in asyncio code call it with `asyncio.to_thread`.

    Args:
        journal: The path.

    Raises:
        JournalMismatch: It is no journal, or that of a newer version.
        JournalError: It doesn't exist or can't be read.
    """
    return read_upto(journal)[0]


def read_upto(journal: str | os.PathLike[str]) -> tuple[BatchReport, int]:
    """What a journal holds, as `read_journal` has it, and the `seq` of the last event in it; -1 where there is none."""
    path, batch, last = check_journal(journal), Batch(), -1
    with reading(path) as snapshot, undamaged(path):
        Past(tuple(map(entry_of, snapshot.entries()))).put_into(batch)
        for event in events_of(snapshot.events(), path):
            batch.apply(event)
            last = event.seq
    return batch.report(), last


def read_events(journal: str | os.PathLike[str], after: int, limit: int) -> tuple[Event, ...]:
    """The next events of a journal, also while a batch is running on it. Reads a file, as `read_journal` does.

    Args:
        journal: The path.
        after: The `seq` of the event after which to begin; -1: with the first.
        limit: Read so many at most.

    Raises:
        JournalMismatch, JournalError: As in `read_journal`.
    """
    path = check_journal(journal)
    with reading(path) as snapshot, undamaged(path):
        return tuple(events_of(snapshot.events_after(after, limit), path, after + 1))


def events_of(rows: Iterable[EventRow], path: Path, first: int = 0) -> Iterator[Event]:
    """The events of a journal from one of them on, none of them missing.

    Raises:
        JournalError: One is, or can't be read.
    """
    for seq, row in enumerate(rows, first):
        if row.seq != seq:
            raise JournalError(f"journal {path} is damaged: event {seq} is missing", path=str(path))
        yield codec.decode(row, str(path))


@contextmanager
def undamaged(path: Path) -> Iterator[None]:
    """Turns what a damaged journal leads to into an error that says so."""
    try:
        yield
    except MountseaError:
        raise
    except (IllegalTransition, LookupError, ValueError, TypeError) as error:
        raise JournalError(f"journal {path} is damaged: {error}", path=str(path)) from error


def header_of(binding: Binding, hashed: str | None, note: str = "") -> Header:
    """What a journal of these inputs and this client says of itself."""
    salt = secrets.token_hex(16)
    return Header(
        inputs_hash=hashed,
        salt=salt,
        fingerprint=binding.fingerprint(salt),
        base_url=binding.base_url,
        made_at=time.time(),
        note=note,
    )


def check_binding(path: Path, header: Header, binding: Binding) -> None:
    """Makes sure that a journal is this client's.

    Raises:
        JournalMismatch: It is another key's, or another service's.
    """
    if binding.accept_new_key:
        return
    way_out = "use the same, or accept_new_key=True if the batch is to go on with the new one"
    if binding.base_url != header.base_url:
        raise JournalMismatch(
            f"journal {path} belongs to the service at {header.base_url}, not {binding.base_url}: {way_out}",
            path=str(path),
        )
    if binding.fingerprint(header.salt) != header.fingerprint:
        raise JournalMismatch(f"journal {path} belongs to another API key: {way_out}", path=str(path))


def check_inputs(path: Path, header: Header, known: Sequence[UploadItem], entries: Sequence[UploadItem]) -> None:
    """Makes sure that a journal is this batch's.

    Args:
        path: The journal.
        header: What it says of itself.
        known: The entries that it holds.
        entries: Those that were handed in.

    Raises:
        JournalMismatch: They differ; says where.
    """
    if header.inputs_hash == inputs_hash(entries) and len(known) == len(entries):
        return
    way_out = "go on with the same URLs in the same order (resume_batch takes them from the journal), or name "
    way_out += "another journal for another batch"
    if header.inputs_hash is None:
        what = "is that of an upload session, whose URLs came one by one"
    elif len(known) != len(entries):
        what = f"holds a batch of {len(known)} entries, not {len(entries)}"
    else:
        pairs = enumerate(zip(known, entries, strict=True))
        index = next((i for i, (old, new) in pairs if inputs_hash([old]) != inputs_hash([new])), 0)
        what = f"holds other inputs: entry {index} is {_named(known[index])}, not {_named(entries[index])}"
    raise JournalMismatch(f"journal {path} {what}: {way_out}", path=str(path))


def _named(entry: UploadItem) -> str:
    return repr(shown_url(entry.audio_url)) if entry.key is None else f"key {entry.key!r}"
