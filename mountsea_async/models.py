"""What the service says, as frozen values; and what a user hands in.

Only values live here. How bytes become these values is `wire/decode.py`'s business.
Documentation: docs.mountsea.ai/api-reference/suno/task, .../uploadSession, .../uploadSessionItem, .../playlistCreate,
.../getVoxStem, .../persona, .../generateSchema; voicePersona/init.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

import attrs

__all__ = [
    "Clip",
    "GenerateField",
    "Persona",
    "Playlist",
    "SessionAudio",
    "Task",
    "TaskSchema",
    "TaskStatus",
    "UploadItem",
    "VoicePhrase",
    "VoxStem",
]


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


@attrs.frozen
class Playlist:
    """A playlist of one to four clips of one account.

    Attributes:
        id: What a generation of the kind `inspiration` takes as its `playlist_id`.
        name: Its name.
        clip_ids: Its clips.
    """

    id: str
    name: str
    clip_ids: tuple[str, ...]


@attrs.frozen
class VoxStem:
    """The voice of a clip, by itself.

    Attributes:
        id: What a vocal persona takes as its `vox_audio_id`.
        status: Its status.
        source_clip_id: The clip.
        vocal_start_s: Seconds into the clip at which it begins.
        vocal_end_s: Where it ends.
        vocal_audio_url: Where it can be had.
    """

    id: str
    status: str | None = None
    source_clip_id: str | None = None
    vocal_start_s: float | None = None
    vocal_end_s: float | None = None
    vocal_audio_url: str | None = None


@attrs.frozen
class VoicePhrase:
    """What is to be spoken for a voice persona.

    Attributes:
        phrase_text: The words.
        phrase_id: Their id.
        vox_audio_id: The voice that was taken from the recording.
        voice_recording_id: The recording.
        vocal_start_s: Seconds into the recording at which the voice begins.
        vocal_end_s: Where it ends.
    """

    phrase_text: str
    phrase_id: str | None = None
    vox_audio_id: str | None = None
    voice_recording_id: str | None = None
    vocal_start_s: float | None = None
    vocal_end_s: float | None = None


@attrs.frozen
class Persona:
    """A persona: a voice or a style, to be used in generations on its account.

    Attributes:
        id: What `PersonaUse` takes.
        name: Its name.
        description: Its description.
        persona_type: `vox` for a vocal one.
        is_public: Whether others see it.
        root_clip_id: The clip that it was made of.
        image_s3_id: Its picture.
        vocal_start_s: Seconds into the clip at which its voice begins.
        vocal_end_s: Where it ends.
    """

    id: str
    name: str | None = None
    description: str | None = None
    persona_type: str | None = None
    is_public: bool | None = None
    root_clip_id: str | None = None
    image_s3_id: str | None = attrs.field(default=None, repr=False)
    vocal_start_s: float | None = None
    vocal_end_s: float | None = None


@attrs.frozen
class GenerateField:
    """A field of a generation, as the service describes it.

    Attributes:
        field: Its name.
        description: What it means.
        type: The type of its value, in the service's words.
        example: A value of it, as JSON has it.
    """

    field: str
    description: str | None = None
    type: str | None = None
    example: Any = attrs.field(default=None, hash=False)


@attrs.frozen
class TaskSchema:
    """What the service says of one kind of generation.

    Attributes:
        task: The kind.
        description: What it does.
        required: The fields that it requires.
        optional: Those that it takes besides.
        not_allowed: Those that it ignores.
        example: A whole request, as JSON values.
    """

    task: str
    description: str | None = None
    required: tuple[GenerateField, ...] = ()
    optional: tuple[GenerateField, ...] = ()
    not_allowed: tuple[str, ...] = ()
    example: Mapping[str, Any] | None = attrs.field(default=None, repr=False, hash=False)


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
