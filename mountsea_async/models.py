"""What the service says, as frozen values; and what a user hands in.

Only values live here. How bytes become these values is `wire/decode.py`'s business.
Documentation: docs.mountsea.ai/api-reference/suno/task, .../uploadSession, .../uploadSessionItem.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

import attrs

__all__ = ["Clip", "SessionAudio", "Task", "TaskStatus", "UploadItem"]


class TaskStatus(StrEnum):
    """The statuses that the service documents. Any other value means "not ended"."""

    QUEUED = "queued"
    READY = "ready"
    RUNNING = "running"
    STREAM = "stream"
    AWAITING = "awaiting"
    SUCCESS = "success"
    FAILED = "failed"
    TIMEOUT = "timeout"


DOCUMENTED = frozenset(TaskStatus)
ENDED = frozenset({TaskStatus.SUCCESS, TaskStatus.FAILED, TaskStatus.TIMEOUT})


@attrs.frozen
class Clip:
    """One audio clip on a Suno account.

    Attributes:
        id: The clip's id, which Inspiration, Persona and the like ask for.
        status: The clip's own status, e.g. `complete`.
        audio_url: Where the audio can be had.
        image_url: Where its picture can be had.
        has_vocal: Whether the service heard a voice in it.
        display_tags: The tags that the service shows.
    """

    id: str
    status: str | None = None
    audio_url: str | None = None
    image_url: str | None = None
    has_vocal: bool | None = None
    display_tags: str | None = None


@attrs.frozen
class SessionAudio:
    """What a session's own task holds: the clips that have landed on its account.

    Attributes:
        audio_ids: Clip ids of successes only, probably in order of completion; bare, with no way back to a file.
        unreadable: How many entries of the list were no ids.
    """

    audio_ids: tuple[str, ...] = ()
    unreadable: int = 0


@attrs.frozen
class Task:
    """A task of the service, as it last answered.

    Attributes:
        task_id: Its id.
        status: In lower case; one of `TaskStatus`, or a value that the service has added since.
        data: A clip for an upload, `SessionAudio` for a session, a tuple of clips for a generation; None while
            pending, sometimes just after success, and where it is nothing of these: see `raw`.
        created_at: When it was created (UTC); the service leaves it out at times.
        finished_at: When it ended (UTC).
        fail_code: A number on paper; tokens such as `VP_USER_TIMEOUT` are documented too.
        fail_reason: The service's words, without URL queries.
        raw: What it holds as the service sent it, as JSON values, for endpoints whose results have no class here.
    """

    task_id: str
    status: str
    data: Clip | SessionAudio | tuple[Clip, ...] | None = None
    created_at: datetime | None = None
    finished_at: datetime | None = None
    fail_code: int | float | str | None = None
    fail_reason: str | None = None
    raw: Any = attrs.field(default=None, repr=False, eq=False)

    @property
    def ended(self) -> bool:
        """Whether the status is an end: `success`, `failed` or `timeout`."""
        return self.status in ENDED

    @property
    def clip(self) -> Clip | None:
        """The one clip that the task holds, if it holds exactly one."""
        if isinstance(self.data, Clip):
            return self.data
        if isinstance(self.data, tuple) and len(self.data) == 1:
            return self.data[0]
        return None


class _NoMetadata(Mapping[str, Any]):
    """The one empty mapping that all entries without metadata share; thousands of them make it worth having."""

    def __getitem__(self, name: str) -> Any:
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0

    def __repr__(self) -> str:
        return "{}"

    def __reduce__(self) -> str:
        return "NO_METADATA"  # the name under which pickle finds it


NO_METADATA: Mapping[str, Any] = _NoMetadata()


def _own(metadata: Mapping[str, Any]) -> Mapping[str, Any]:
    return dict(metadata) if metadata else NO_METADATA


@attrs.frozen
class UploadItem:
    """One entry of a batch.

    Attributes:
        audio_url: Where the service can download the audio: public, http or https.
        key: Your own name for the entry, unique within the batch; carried to its report.
        metadata: Whatever should come back with the entry's report; never sent, never looked at.
    """

    audio_url: str = attrs.field(repr=False)
    key: str | None = None
    metadata: Mapping[str, Any] = attrs.field(default=NO_METADATA, converter=_own, repr=False, hash=False)
