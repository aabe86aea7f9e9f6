"""What the emulated service makes of clips of one account: playlists, stems, personas and new songs.

What may live here: the rules of playlist/create, getVoxStem, persona and generate. Which fields a kind of generation
takes is in `kinds`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from mountsea_async.testing.accounts import RefusedError, clip_json
from mountsea_async.testing.kinds import KINDS
from mountsea_async.testing.models import PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from mountsea_async.testing.accounts import Account, Work
    from mountsea_async.testing.faults import Outcome
    from mountsea_async.testing.service import Service

_FAILURE = (4201, "GENERATION_FAILED", "Generation failed.")
_VOX_START, _VOX_SECONDS = 45.0, 29.0
_DEPRECATED = "inspiration"


@attrs.frozen(eq=False)
class SongTask:
    """One generation that was paid for."""

    work: Work
    task: str
    model: str | None
    clip_ids: tuple[str, ...]
    title: str


class Songs:
    """The playlists, stems, personas and generations of one service.

    Args:
        service: what knows the uploads' clips and where the credits come from.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._rng = service.source("songs")
        self._playlists: dict[str, Account] = {}
        self._stems: dict[str, Account] = {}
        self._personas: dict[str, Account] = {}
        self.generated: dict[str, SongTask] = {}

    def create_playlist(self, clip_ids: Iterable[str]) -> str:
        """Make a playlist of clips of one account; return its id."""
        account = _one_account(self._owner(clip_id) for clip_id in clip_ids)
        account.must_work()
        playlist_id = self._service.new_id(self._rng)
        self._playlists[playlist_id] = account
        return playlist_id

    def vox_stem(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Extract a clip's vocals; return the stem."""
        account = self._owner(given["clip_id"])
        begins = given.get("vocal_start_s", _VOX_START)
        ends = given.get("vocal_end_s", begins + _VOX_SECONDS)
        account.must_work()
        stem_id = self._service.new_id(self._rng)
        self._stems[stem_id] = account
        return {
            "id": stem_id,
            "status": "complete",
            "source_clip_id": given["clip_id"],
            "vocal_start_s": begins,
            "vocal_end_s": ends,
            "vocal_audio_url": f"https://cdn1.suno.ai/{stem_id}.mp3",
        }

    def create_persona(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Make a persona of a clip, a vocal one with a stem of the same account."""
        owners = [self._owner(given["clip_id"])]
        if "vox_audio_id" in given:
            owners.append(_known(self._stems.get(given["vox_audio_id"]), "Vocal stem"))
        elif given.get("persona_type") == "vox":
            raise RefusedError(400, "vox_audio_id should not be empty for persona_type vox", "Bad Request")
        account = _one_account(owners)
        account.must_work()
        persona_id = self._service.new_id(self._rng)
        self._personas[persona_id] = account
        told = ("name", "description", "persona_type", "is_public", "vocal_start_s", "vocal_end_s")
        return {
            "id": persona_id,
            **{name: given[name] for name in told if name in given},
            "root_clip_id": given["clip_id"],
            "clip": clip_json(given["clip_id"]),
        }

    def generate(self, given: Mapping[str, Any], forced: Outcome | None) -> SongTask:
        """Begin a generation on the account of what it is made of, and charge it."""
        kind = KINDS[given["task"]]
        used = {name: value for name, value in given.items() if name in kind.fields}
        model, service, rng = used.get("model"), self._service, self._rng
        trained = None
        if isinstance(model, str) and model.startswith(PREFIX):
            trained = _known(service.models.owner(model), "Model")
        owners = list(self._owners(used))
        account = _one_account(owners) if owners else trained or service.draw_account(rng=rng)
        account.must_work()
        service.spend(service.behaviour.generate_price)
        work = service.begin(account, service.behaviour.generation, rng, _FAILURE, forced)
        clip_ids = service.new_id(rng), service.new_id(rng)
        song = SongTask(work, given["task"], model, clip_ids, used.get("title", ""))
        self.generated[work.task_id] = song
        return song

    def status(self, task_id: str) -> dict[str, Any] | None:
        """Return the JSON of a generation; None: there is no such task."""
        if (song := self.generated.get(task_id)) is None:
            return None
        return self._service.shown(song.work, [clip_json(clip_id, title=song.title) for clip_id in song.clip_ids])

    def owner(self, clip_id: str) -> Account | None:
        """Return the account of a generated clip that exists by now; None: there is no such clip."""
        now = self._service.clock()
        for song in tuple(self.generated.values()):
            if clip_id in song.clip_ids and song.work.done(now):
                return song.work.account
        return None

    def _owner(self, clip_id: str) -> Account:
        return _known(self._service.owner(clip_id), "Clip")

    def _owners(self, used: Mapping[str, Any]) -> Iterator[Account]:
        """Yield the account of everything that a generation is made of."""
        clip_ids = [used["clip_id"]] if "clip_id" in used else []
        clip_ids += used.get("mashup_clip_ids", [])
        if (playlist_id := used.get("playlist_id")) == _DEPRECATED:
            if "playlist_clip_ids" not in used:
                raise RefusedError(400, "playlist_clip_ids should not be empty", "Bad Request")
            clip_ids += used["playlist_clip_ids"]
        elif playlist_id is not None:
            yield _known(self._playlists.get(playlist_id), "Playlist")
        persona = used.get("persona", {})
        if "persona_id" in persona:
            persona_id = persona["persona_id"]
            yield _known(self._personas.get(persona_id) or self._service.voice.owner(persona_id), "Persona")
        if "artist_clip_id" in persona:
            clip_ids.append(persona["artist_clip_id"])
        for clip_id in clip_ids:
            yield self._owner(clip_id)


def _known(account: Account | None, what: str) -> Account:
    if account is None:
        raise RefusedError(404, f"{what} not found", "Not Found")
    return account


def _one_account(owners: Iterable[Account]) -> Account:
    first, *others = owners
    if any(other is not first for other in others):
        raise RefusedError(400, "All clips must belong to the same account", "Bad Request")
    return first
