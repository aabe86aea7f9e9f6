"""What is done with clips: playlists, personas, stems, and generation with them. One method an endpoint.

Clips that are used together must be on one account. Where the service refuses some, the way out is said here, once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol, Unpack, overload

import attrs

from .connection import Connection
from .errors import APIError, BadRequestError, InputError, MountseaError, NotFoundError
from .generation import GenerateFields, GenerateRequest, GenerateTask, HasId
from .models import Clip, Persona, Playlist, Task, TaskSchema, VoxStem
from .parts import check_bounds, check_flag, check_image, check_text, given
from .upload.fields import check_clip_ids, check_id, check_name, encode_payload
from .upload.tasks import TaskHandle, check_success, clip_of
from .voice import Language, VoicePersona, check_voice
from .wire import answers, endpoints
from .wire.caller import Unwatched

__all__ = ["Songs", "clips_of"]

MOST_IN_A_PLAYLIST = 4
_A_PLAYLIST = "00000000-0000-0000-0000-000000000000"  # in place of the one that is yet to be made
_ONE_ACCOUNT = (
    "; clips that are used together must be on one account: those of one client.upload_batch(...) or upload_session "
    "are, those of separate client.upload(...) calls may not be"
)


class HasClips(Protocol):
    """A `BatchReport`, or whatever else holds clips of one account."""

    @property
    def audio_ids(self) -> tuple[str, ...]:
        """Their ids."""


class Songs(Connection):
    """The calls of a client that make something of clips."""

    async def create_playlist(self, clip_ids: Iterable[str], name: str = "Untitled") -> Playlist:
        """Makes a playlist, which a generation of the kind `inspiration` takes. Free, as far as is known.

        Follows docs.mountsea.ai/api-reference/suno/playlistCreate.

        Args:
            clip_ids: One to four clips of one account.
            name: Its name, of 1 to 100 characters.

        Raises:
            InputError: Too few or too many clips, one twice, a name that is none; nothing was sent.
            BadRequestError: The service refuses the clips, perhaps since they are on different accounts.
            NotFoundError: It doesn't know a clip.
            APIError: It refuses, or fails again and again.
            TransportError: No answer came, again and again.
        """
        clips = check_clip_ids(clip_ids, most=MOST_IN_A_PLAYLIST)
        request = endpoints.create_playlist(clips, check_name(name))
        with _one_account():
            return await self._open_caller().ask(request, answers.playlist(name, clips))

    async def vox_stem(
        self, clip_id: str, *, vocal_start_s: float | None = None, vocal_end_s: float | None = None
    ) -> VoxStem:
        """Extracts the voice of a clip, which a vocal persona takes. Its cost isn't told, so it is sent once.

        Follows docs.mountsea.ai/api-reference/suno/getVoxStem.

        Args:
            clip_id: The clip.
            vocal_start_s: Seconds into the clip at which to begin, from 0. None: the service's choice, about 45.
            vocal_end_s: Where to end. None: about 74; a shorter song needs its own.

        Raises:
            InputError: No id, or an end before the beginning; nothing was sent.
            APIError: The service turned it away.
            NotSentError: The service could not be reached.
            UnknownOutcomeError: It may or may not have been processed.
        """
        check_bounds(vocal_start_s, vocal_end_s, ("vocal_start_s", "vocal_end_s"))
        fields = {
            "clip_id": check_id(clip_id, "clip_id"),
            "vocal_start_s": vocal_start_s,
            "vocal_end_s": vocal_end_s,
        }
        return await self._open_caller().submit(Unwatched(endpoints.vox_stem(given(fields))), answers.vox_stem)

    async def create_persona(
        self,
        clip_id: str,
        name: str,
        *,
        is_public: bool = False,
        description: str | None = None,
        user_input_styles: str | None = None,
        vox: VoxStem | str | None = None,
        vocal_start_s: float | None = None,
        vocal_end_s: float | None = None,
        image_s3_id: str | None = None,
    ) -> Persona:
        """Makes a persona of a clip, to sing in generations on its account. Its cost isn't told, so it is sent once.

        Follows docs.mountsea.ai/api-reference/suno/persona.

        Args:
            clip_id: The clip.
            name: Its name, of 1 to 100 characters.
            is_public: Whether others may see it. The service's own default is True; here it is False.
            description: What it is like.
            user_input_styles: Its styles, as words.
            vox: Makes it a vocal persona: what `vox_stem` has brought for a clip of the same account, or its id.
            vocal_start_s: Seconds into the clip at which the voice begins, from 0; `vocal_end_s` where it ends.
            vocal_end_s: As above; None with a `vox` that tells them: its own.
            image_s3_id: Its picture, a base64 data URI of at most 1,000,000 characters.

        Raises:
            InputError: No id, no name, an end before the beginning; nothing was sent.
            BadRequestError: The service refuses it, perhaps since clip and voice are on different accounts.
            APIError: The service turned it away.
            NotSentError: The service could not be reached.
            UnknownOutcomeError: It may or may not have been made.
        """
        stem = vox if isinstance(vox, VoxStem) else None
        start = vocal_start_s if vocal_start_s is not None or stem is None else stem.vocal_start_s
        end = vocal_end_s if vocal_end_s is not None or stem is None else stem.vocal_end_s
        check_bounds(start, end, ("vocal_start_s", "vocal_end_s"))
        fields = {
            "clip_id": check_id(clip_id, "clip_id"),
            "name": check_name(name),
            "is_public": check_flag(is_public, "is_public"),
            "description": check_text(description, "description"),
            "user_input_styles": check_text(user_input_styles, "user_input_styles"),
            "persona_type": None if vox is None else "vox",
            "vox_audio_id": None if vox is None else check_id(stem.id if stem else vox, "vox"),
            "vocal_start_s": start,
            "vocal_end_s": end,
            "image_s3_id": check_image(image_s3_id),
        }
        with _one_account():
            return await self._open_caller().submit(Unwatched(endpoints.create_persona(given(fields))), answers.persona)

    # ------------------------------------------------------------------------------------------------- generation
    @overload
    async def generate(self, task: GenerateRequest) -> TaskHandle: ...
    @overload
    async def generate(
        self, task: GenerateTask | str, model: str | HasId | None = None, **fields: Unpack[GenerateFields]
    ) -> TaskHandle: ...
    async def generate(
        self,
        task: GenerateRequest | GenerateTask | str,
        model: str | HasId | None = None,
        **fields: Unpack[GenerateFields],
    ) -> TaskHandle:
        """Generates music. About 40 credits; it is sent again only where it provably was not processed.

        Follows docs.mountsea.ai/api-reference/suno/generate.

        Args:
            task: The kind of generation; or a whole `GenerateRequest`, and nothing else.
            model: `chirp-v55` and the like, or a custom model, itself or its id.
            **fields: The fields of `GenerateRequest`, which explains them.

        Returns:
            The handle of its task; when that has ended well, `clips_of(task)` are its clips.

        Raises:
            InputError: A kind that isn't known, a field that is missing or can't be sent; nothing was sent.
            BadRequestError: The service refuses it, perhaps since what it is made of is on different accounts.
            APIError: The service turned it away.
            NotSentError: The service could not be reached; nothing was paid.
            UnknownOutcomeError: It may or may not have been accepted.
        """
        if not isinstance(task, GenerateRequest):
            task = GenerateRequest(task, model, **fields)
        elif model is not None or fields:
            raise InputError("task is a whole GenerateRequest: make it with its fields, and give nothing besides")
        with _one_account():
            return await self._submit(endpoints.generate(encode_payload(task.to_dict())))

    async def generate_schema(self, task: GenerateTask | str | None = None) -> tuple[TaskSchema, ...]:
        """What the service says of its kinds of generation: the fields that each requires, takes and ignores. Free.

        Follows docs.mountsea.ai/api-reference/suno/generateSchema.

        Args:
            task: One kind, known here or not. None: all.

        Raises:
            APIError: The service refuses, or fails again and again.
            TransportError: No answer came, again and again.
        """
        name = None if task is None else check_name(str(task), "task")
        return await self._open_caller().ask(endpoints.generate_schema(name), answers.schemas)

    def voice_persona(
        self,
        voice_audio_url: str,
        language: Language,
        *,
        vocal_start_s: float = 0,
        vocal_end_s: float | None = None,
        allow_private: bool = False,
    ) -> VoicePersona:
        """A persona of somebody's own voice: `async with` hands in a recording and brings a phrase to be spoken.

            async with client.voice_persona(recording_url, "en") as voice:
                spoken_url = await record(voice.phrase.phrase_text, voice.seconds_left)
                persona = await voice.complete(spoken_url, "My own voice")

        Within 30 seconds of the phrase it must be handed in, spoken, with `complete`; else one begins again. Nothing is
        sent before the block is entered, and leaving it without `complete` sends nothing: the task runs out.

        Follows docs.mountsea.ai/api-reference/suno, voicePersona/init and voicePersona/complete.

        Args:
            voice_audio_url: The recording: a public http or https URL.
            language: What is spoken: zh, en, ja, ko, es, fr, de, pt, ru or hi.
            vocal_start_s: Seconds into the recording at which the voice begins, from 0.
            vocal_end_s: Where it ends. None: left to the service.
            allow_private: Let loopback and private addresses pass, for tests.

        Raises:
            InputError: The URL, the language or the bounds can't be sent. What entering the block raises is told by
                `VoicePersona`.
        """
        fields = check_voice(voice_audio_url, language, vocal_start_s, vocal_end_s, allow_private=allow_private)
        return VoicePersona(self._open_caller, self._config, self._rng, fields=fields, allow_private=allow_private)

    async def inspire(
        self,
        clips: Iterable[str] | HasClips,
        model: str | HasId,
        *,
        name: str = "Untitled",
        **fields: Unpack[GenerateFields],
    ) -> TaskHandle:
        """Generates music that is inspired by clips: a playlist of them, then a generation with it. About 40 credits.

        Follows docs.mountsea.ai/api-reference/suno/playlistCreate and .../inspiration.

        Args:
            clips: One to four clips of one account, or the report of a batch that has no more. Of a larger batch
                choose with `report.clip_groups()`.
            model: As in `generate`.
            name: The playlist's name.
            **fields: As in `generate`.

        Returns:
            As `generate` does.

        Raises:
            InputError: More than four clips, or what `generate` refuses; nothing was sent.
            MountseaError: What `create_playlist` and `generate` raise. Where the playlist was made its id is in the
                error, so that `generate("inspiration", model, playlist_id=...)` goes on.
        """
        ids = check_clip_ids(getattr(clips, "audio_ids", clips), field="clips")
        if len(ids) > MOST_IN_A_PLAYLIST:
            raise InputError(
                f"clips: {len(ids)} are too many, 1 to {MOST_IN_A_PLAYLIST} inspire a song: choose some, or take a "
                "group of report.clip_groups()"
            )
        if "playlist_id" in fields:
            raise InputError("playlist_id: inspire makes a playlist of the clips; with one that there is call generate")
        planned: GenerateFields = {**fields, "playlist_id": _A_PLAYLIST}
        request = GenerateRequest(GenerateTask.INSPIRATION, model, **planned)
        encode_payload(request.to_dict())  # checked as a whole before there is a playlist
        playlist = await self.create_playlist(ids, name)
        try:
            return await self.generate(attrs.evolve(request, playlist_id=playlist.id))
        except MountseaError as error:
            error.message += f" (the playlist was made: playlist_id={playlist.id!r})"
            error.args = (error.message,)
            raise


def clips_of(task: Task) -> tuple[Clip, ...]:
    """The clips of an ended generation.

    Raises:
        TaskFailedError: It failed.
        TaskTimedOutError: It timed out.
        MissingClipError: It succeeded, but holds no clip.
    """
    check_success(task)
    if isinstance(task.data, tuple) and task.data:
        return task.data
    return (clip_of(task),)


@contextmanager
def _one_account() -> Iterator[None]:
    """Says the way out where clips are refused. The service's own words aren't documented, so nobody goes by them."""
    try:
        yield
    except (BadRequestError, NotFoundError) as error:
        _explain(error)
        raise


def _explain(error: APIError) -> None:
    error.message += _ONE_ACCOUNT
    error.args = (error.message,)
