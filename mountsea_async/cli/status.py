"""`mountsea status`: one task, or one session, as the service knows it now."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Literal

import attrs

from .. import Clip, SessionAudio, Task
from ..redact import shown_url
from .exits import Exit
from .output import to_stdout
from .upload import make_client
from .wording import one_line

__all__ = ["as_dict", "as_lines", "status"]


def status(task_id: str, *, base_url: str | None, form: Literal["table", "json"]) -> Exit:
    """Asks once and prints the answer.

    Raises:
        MountseaError: There was no answer, or the service doesn't know the id.
    """
    task = asyncio.run(_ask(task_id, base_url))
    text = json.dumps(as_dict(task), indent=2) if form == "json" else "\n".join(as_lines(task))
    to_stdout(text + "\n")
    return Exit.OK


async def _ask(task_id: str, base_url: str | None) -> Task:
    async with make_client(base_url) as client:
        return await client.task(task_id).status()


def as_dict(task: Task) -> dict[str, Any]:
    """The task as JSON-ready values; of a session, `audio_ids`; of an upload, its clip."""
    clips = task.data if isinstance(task.data, tuple) else (task.data,) if isinstance(task.data, Clip) else ()
    return {
        "task_id": task.task_id,
        "status": task.status,
        "ended": task.ended,
        "created_at": _iso(task.created_at),
        "finished_at": _iso(task.finished_at),
        "fail_code": task.fail_code,
        "fail_reason": task.fail_reason,
        "clips": [_clip(clip) for clip in clips],
        "audio_ids": list(task.data.audio_ids) if isinstance(task.data, SessionAudio) else None,
    }


def _clip(clip: Clip) -> dict[str, Any]:
    fields = attrs.asdict(clip)
    for name in ("audio_url", "image_url"):
        fields[name] = shown_url(fields[name]) if fields[name] else None
    return fields


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="seconds").replace("+00:00", "Z")


def as_lines(task: Task) -> list[str]:
    """The task as `name  value` lines; what the service left out is left out."""
    return [f"{name:<10}  {one_line(str(value))}" for name, value in _fields(task) if value is not None]


def _fields(task: Task) -> Iterator[tuple[str, object]]:
    values = as_dict(task)
    yield "session" if values["audio_ids"] is not None else "task", values["task_id"]
    yield "status", values["status"]
    yield "created", values["created_at"]
    yield "finished", values["finished_at"]
    yield "fail code", values["fail_code"]
    yield "reason", values["fail_reason"]
    for clip in values["clips"]:
        yield "clip", clip["id"]
        yield "audio", clip["audio_url"]
    if values["audio_ids"] is not None:
        yield "clips", len(values["audio_ids"])
        for audio_id in values["audio_ids"]:
            yield "", audio_id
