"""How a session is to be run, as frozen values: what `MountseaClient.upload_batch` and its like have checked."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import attrs

from ..config import ClientConfig
from ..models import UploadItem
from .budget import Budget
from .events import Event, Observer
from .kinds import UPLOAD, SessionKind
from .settling import OnUnknown

__all__ = ["JournalSettings", "Plan"]


@attrs.frozen(kw_only=True)
class JournalSettings:
    """How a session keeps its journal.

    Attributes:
        path: The file.
        accept_new_key: Whether another key may go on with it.
        retry_failed: Whether items that have failed in an earlier run are sent again.
        must_exist: Whether it must hold a batch already.
    """

    path: Path
    accept_new_key: bool = False
    retry_failed: bool = False
    must_exist: bool = False


@attrs.frozen(kw_only=True)
class Plan:
    """How a session is to be run; `MountseaClient.upload_batch` explains most.

    Attributes:
        kind: The kind of session; None: that of the journal.
        model: The name of the model that is to be trained, and on how many clips at least, where that was said
            beforehand.
        budget: What may be spent; None for no bound.
        observe: Gives the session somebody who watches it; None for nobody.
    """

    config: ClientConfig
    rng: random.Random
    concurrency: int
    session_id: str | None
    on_event: Callable[[Event], object] | None
    keep_duplicates: bool
    on_unknown: OnUnknown
    journal: JournalSettings | None
    kind: SessionKind | None = UPLOAD
    model: tuple[str, int] | None = None
    budget: Budget | None = None
    observe: Observer | None = None

    def planned(self) -> dict[str, Any]:
        """What is known beforehand of the model, as fields of an event."""
        return {} if self.model is None else dict(zip(("name", "at_least"), self.model, strict=True))

    def uploads_in(self, entries: Sequence[UploadItem]) -> int:
        """How many uploads entries make."""
        return len(entries) if self.keep_duplicates else len({entry.audio_url for entry in entries})
