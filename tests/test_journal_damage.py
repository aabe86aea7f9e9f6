"""A disk that hangs, and a journal that is damaged: a batch ends all the same, and what is wrong is said."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest
from support.names import urls

from mountsea_async import JournalError, read_journal
from mountsea_async.testing import Behaviour, Fixed
from mountsea_async.upload import journal
from mountsea_async.upload.store import Store


@pytest.mark.e2e
async def test_a_disk_that_hangs_keeps_nobody_for_ever(world, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    w = await world(Behaviour(durations=Fixed(0.2)))
    answers, commit = threading.Event(), Store.commit

    def hangs(store: Store, entries: Any, events: Any, header: Any = None) -> None:
        if any('"accept"' in row.data for row in events):
            assert answers.wait(30)
        commit(store, entries, events, header)

    monkeypatch.setattr(Store, "commit", hangs)
    monkeypatch.setattr(journal, "PATIENCE", 0.3)
    batch = asyncio.create_task(w.client.upload_batch(urls(1), journal=tmp_path / "j"))
    async with asyncio.timeout(20):
        while not w.ledger.charges:  # noqa: ASYNC110 - the emulator tells nobody
            await asyncio.sleep(0.01)
        batch.cancel()
        await asyncio.wait([batch])
    assert batch.cancelled()
    answers.set()
    async with asyncio.timeout(20):
        while True:  # its thread lets go of the file when the disk answers
            try:
                report = await w.client.resume_batch(tmp_path / "j")
                break
            except JournalError:
                await asyncio.sleep(0.01)
    assert w.ledger.paid_twice() == {}
    assert w.ledger.lost(report.audio_ids) == ()


DAMAGE = {
    "an event is missing": "DELETE FROM event WHERE seq = 3",
    "an event of no item": "UPDATE event SET item = 99 WHERE seq = 3",
    "an entry that shares nobody's upload": "UPDATE entry SET duplicate_of = 77 WHERE item = 1",
    "metadata that is no JSON": "UPDATE entry SET metadata = '{' WHERE item = 1",
    "an event of no kind": "UPDATE event SET kind = 'nonsense' WHERE seq = 3",
    "an event that is no JSON": "UPDATE event SET data = '{' WHERE seq = 3",
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
async def test_a_damaged_journal_is_refused_before_anything_is_sent(world, tmp_path: Path, damage: str) -> None:
    w = await world(Behaviour(durations=Fixed(5)))
    await w.client.upload_batch(urls(3), journal=tmp_path / "j")
    connection = sqlite3.connect(tmp_path / "j")
    with connection:
        connection.execute(damage)
    connection.close()
    calls = len(w.ledger.calls)
    with pytest.raises(JournalError, match=r"damaged|can't be read"):
        read_journal(tmp_path / "j")
    with pytest.raises(JournalError, match=r"damaged|can't be read"):
        await w.client.resume_batch(tmp_path / "j")
    assert len(w.ledger.calls) == calls
