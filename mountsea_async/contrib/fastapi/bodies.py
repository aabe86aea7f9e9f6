"""What the routes take and give, as pydantic models: they make the application's OpenAPI document."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from ...models import UploadItem
from ...upload.report import ItemReport
from ..note import BatchState, BatchSummary

__all__ = ["BatchIn", "BatchList", "BatchOut", "BatchReportOut", "ItemsPage", "Links"]


_DEEPEST = 50


def _depth(value: object) -> int:
    """How deep lists and objects are nested, as far as that matters."""
    depth, level = 0, [value]
    while level and depth <= _DEEPEST:
        level = [
            inner
            for each in level
            if isinstance(each, dict | list)
            for inner in (each.values() if isinstance(each, dict) else each)
        ]
        depth += 1
    return depth


class UploadIn(BaseModel):
    """An entry that says more than its URL."""

    model_config = ConfigDict(extra="forbid")
    audio_url: str
    key: str | None = None
    metadata: dict[str, Any] = Field(default_factory=dict)

    @field_validator("metadata")
    @classmethod
    def _can_be_told(cls, metadata: dict[str, Any]) -> dict[str, Any]:
        """What is taken in is given back in every answer: it has to be something that an answer can hold."""
        try:
            json.dumps(metadata, ensure_ascii=False, allow_nan=False).encode()
        except (ValueError, RecursionError):
            raise ValueError("it holds half a character, or a number that JSON doesn't know") from None
        if _depth(metadata) > _DEEPEST:
            raise ValueError(f"it is nested more than {_DEEPEST} deep")
        return metadata


class BatchIn(BaseModel):
    """A batch to be uploaded."""

    model_config = ConfigDict(extra="forbid")
    urls: list[str | UploadIn]
    keep_duplicates: bool = False

    def entries(self) -> list[UploadItem]:
        """The entries as the library has them."""
        return [
            UploadItem(entry) if isinstance(entry, str) else UploadItem(entry.audio_url, entry.key, entry.metadata)
            for entry in self.urls
        ]


class Links(BaseModel):
    """Where the rest of a batch is."""

    self: str
    items: str
    events: str
    view: str


class BatchOut(BaseModel):
    """A batch in a few words."""

    id: str
    state: BatchState
    created_at: datetime
    ended_at: datetime | None
    session_id: str | None
    items: int
    counts: dict[str, int]
    stopped: str | None
    error: str | None
    idempotency_key: str | None
    links: Links

    @classmethod
    def of(cls, summary: BatchSummary, links: Links) -> BatchOut:
        """A summary, with links."""
        ended = summary.ended_at
        times = {
            "created_at": datetime.fromtimestamp(summary.created_at, UTC),
            "ended_at": None if ended is None else datetime.fromtimestamp(ended, UTC),
        }
        return cls(**summary.to_dict() | times, links=links)


class BatchReportOut(BatchOut):
    """A batch with its report as it stands: `BatchReport.to_dict()`."""

    report: dict[str, Any]


class BatchList(BaseModel):
    """Batches, the newest first; `next` is what `before` should be for more."""

    batches: list[BatchOut]
    next: str | None


class ItemsPage(BaseModel):
    """Items of a batch; `next` is what `after` should be for more, `total` counts all that were asked for."""

    items: list[dict[str, Any]]
    next: int | None
    total: int

    @classmethod
    def of(cls, items: list[ItemReport], after: int, limit: int) -> ItemsPage:
        """One page of items."""
        rest = [item for item in items if item.index > after]
        page = rest[:limit]
        following = page[-1].index if len(rest) > limit else None
        return cls(items=[item.to_dict() for item in page], next=following, total=len(items))
