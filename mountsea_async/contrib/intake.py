"""How a batch gets into a folder, once: checked, named by whoever sent it, and written down before he is answered."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Sized

from ..client import MountseaClient
from ..errors import BatchConflict, InputError
from ..models import UploadItem
from ..redact import shown_value
from ..upload.inputs import Urls, collect
from ..upload.past import inputs_hash
from .note import BatchNote
from .shelf import Shelf
from .supervised import Supervised

__all__ = ["Intake"]

_MAX_KEY = 255


class Intake:
    """Takes in batches.

    Args:
        client: Whose batches they are.
        shelf: Where their journals go.
        max_items: The longest batch that is taken in.
    """

    def __init__(self, client: MountseaClient, shelf: Shelf, max_items: int) -> None:
        self._client = client
        self._shelf = shelf
        self._max_items = max_items
        self._making: dict[str, asyncio.Task[Supervised]] = {}
        self._by_key: dict[str, tuple[str, str]] = {}

    @property
    def making(self) -> list[asyncio.Task[Supervised]]:
        """What is being written down."""
        return list(self._making.values())

    async def check(
        self, urls: Urls, idempotency_key: str | None, *, keep_duplicates: bool
    ) -> tuple[tuple[UploadItem, ...], BatchNote]:
        """The entries of a batch, and what its journal is to say of it.

        Raises:
            InputError: They, or their key, are not as they should be.
        """
        key = idempotency_key
        if key is not None and not (isinstance(key, str) and 0 < len(key) <= _MAX_KEY and key.isprintable()):
            raise InputError(f"idempotency_key={shown_value(key)}: give 1 to {_MAX_KEY} printable characters")
        if isinstance(urls, Sized):
            self.check_size(len(urls))  # before each is looked at
        entries = await collect(urls)
        self.check_size(len(entries))
        request = inputs_hash(entries) + (" each" if keep_duplicates else "")
        return entries, BatchNote(
            created_at=time.time(), items=len(entries), request=request, idempotency_key=idempotency_key
        )

    def check_size(self, entries: int) -> None:
        """Raises `InputError` where a batch has too many entries."""
        if entries > self._max_items:
            raise InputError(f"the batch has {entries} entries: send at most {self._max_items} at a time")

    async def known(self, note: BatchNote) -> str | None:
        """The id of the batch that an earlier request of the same name has made.

        Raises:
            BatchConflict: That request asked for something else.
        """
        key = note.idempotency_key
        if key is None:
            return None
        while (making := self._making.get(key)) is not None:
            await asyncio.wait([making])
        batch_id, request = self._by_key.get(key, (None, note.request))
        if request != note.request:
            raise BatchConflict(f"idempotency key {key!r} is that of another request, batch {batch_id}: use a new key")
        return batch_id

    def make(
        self,
        entries: tuple[UploadItem, ...],
        note: BatchNote,
        *,
        keep_duplicates: bool,
        then: Callable[[str, BatchNote], Supervised],
    ) -> asyncio.Task[Supervised]:
        """Writes a batch down, and takes it in.

        Args:
            entries: The batch.
            note: What its journal says of it.
            keep_duplicates: Whether entries that repeat a URL are uploads of their own.
            then: Takes it in, under its id, once it is on disk.
        """
        batch_id = uuid.uuid4().hex
        name = note.idempotency_key or batch_id

        async def written() -> Supervised:
            path = self._shelf.path(batch_id)
            await self._client.plan_batch(entries, journal=path, keep_duplicates=keep_duplicates, note=note.encode())
            return then(batch_id, note)

        making = self._making[name] = asyncio.get_running_loop().create_task(written())
        making.add_done_callback(lambda done: self._made(name, done))
        return making

    def _made(self, name: str, done: asyncio.Task[Supervised]) -> None:
        del self._making[name]
        if not done.cancelled():
            done.exception()  # whoever asked may have left; the batch is then as if nobody had

    def learn(self, batch_id: str, note: BatchNote) -> bool:
        """Keeps in mind under what name a batch was sent; False where the name is another's."""
        if note.idempotency_key is None:
            return True
        return self._by_key.setdefault(note.idempotency_key, (batch_id, note.request))[0] == batch_id

    def forget(self, note: BatchNote) -> None:
        """Its name may be given to another."""
        if note.idempotency_key is not None:
            self._by_key.pop(note.idempotency_key, None)
