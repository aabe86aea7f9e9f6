"""`mountsea generate` and `mountsea inspire`: what is asked for is checked, sent once, waited for, and printed."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, TypeAlias

import attrs

from .. import (
    Clip,
    ConfigurationError,
    Controls,
    GenerateRequest,
    InputError,
    JournalError,
    MountseaClient,
    PersonaUse,
    Sound,
    TaskHandle,
    TaskSchema,
    TimeRange,
    clips_of,
    read_journal,
)
from ..redact import shown_url
from ..upload.fields import check_deadline
from . import output
from .exits import Exit
from .upload import make_client
from .wording import one_line, say, say_error, say_wrapped

__all__ = ["Wanted", "clips_from", "fields_of", "generate", "inspire", "persona", "schema"]

Form: TypeAlias = Literal["table", "json"]
_GROUP = 4


@attrs.frozen(kw_only=True)
class Wanted:
    """How a generation is waited for, and where its clips go."""

    base_url: str | None = None
    deadline: float | None = None
    no_wait: bool = False
    form: Form = "table"
    path: Path | None = None
    quiet: bool = False


def fields_of(flags: Mapping[str, Any], more: Sequence[str]) -> dict[str, Any]:
    """The fields of a generation, from flags and from `--field NAME=VALUE`.

    Args:
        flags: By the service's names; None where a flag wasn't given.
        more: `NAME=VALUE`; the value is JSON, or a text as it stands.

    Raises:
        InputError: One of them has no name, or says again what a flag has said.
    """
    fields = {name: value for name, value in flags.items() if value is not None}
    known = {field.name for field in attrs.fields(GenerateRequest)}
    extra: dict[str, Any] = {}
    for entry in more:
        name, equals, text = entry.partition("=")
        if not equals or not name.isidentifier():
            raise InputError(f"--field {entry}: give NAME=VALUE, as in --field infill_type=vocal")
        if name in fields or name in extra or name in ("task", "model", "extra", "allow_private"):
            raise InputError(f"--field {name}=...: that is said already, or has a flag of its own")
        value = _value(text)
        if isinstance(value, dict) and name in _PARTS:
            value = _part(name, value)
        (fields if name in known else extra)[name] = value
    return {**fields, "extra": extra} if extra else fields


_PARTS: Mapping[str, type] = {
    "controls": Controls,
    "persona": PersonaUse,
    "range": TimeRange,
    "infill_context_range": TimeRange,
    "sound": Sound,
}


def _part(name: str, value: dict[str, Any]) -> Any:
    try:
        return _PARTS[name](**value)
    except TypeError:
        known = ", ".join(field.name for field in attrs.fields(_PARTS[name]))
        raise InputError(f"--field {name}=...: it has the fields {known}, and no others") from None


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def persona(persona_id: str | None) -> PersonaUse | None:
    """Who sings.

    Raises:
        InputError: It is no id.
    """
    return None if persona_id is None else PersonaUse(persona_id)


# -------------------------------------------------------------------------------------------------------- commands
def generate(task: str, model: str | None, fields: dict[str, Any], wanted: Wanted) -> Exit:
    """Generates, and prints the clips.

    Raises:
        UsageError: A field is missing or can't be sent; nothing was.
        MountseaError: The service turned it away, or failed it.
    """
    request = GenerateRequest(task, model, **fields)
    return _carry_out(lambda client: client.generate(request), wanted)


def inspire(clips: Sequence[str], model: str, name: str, fields: dict[str, Any], wanted: Wanted) -> Exit:
    """Makes a playlist of clips and a song that it inspires.

    Raises:
        UsageError: As `generate`; also for more than four clips.
        MountseaError: As `generate`.
    """
    return _carry_out(lambda client: client.inspire(clips, model, name=name, **fields), wanted)


def clips_from(file: Path, group: int | None) -> tuple[str, ...]:
    """The clips of a batch: of the report that `mountsea upload --format json` has printed, or of its journal.

    Args:
        file: Either.
        group: Which four of them, from 1; None: all, where there are no more than four.

    Raises:
        InputError: It is neither, holds no clips, or more than four and no group was chosen.
    """
    clips = _audio_ids(file)
    groups = [clips[begin : begin + _GROUP] for begin in range(0, len(clips), _GROUP)]
    if not clips:
        raise InputError(f"--report {file}: it holds no clips")
    if group is None and len(groups) > 1:
        raise InputError(
            f"--report {file}: it holds {len(clips)} clips, and one to four inspire a song: choose four of them with "
            f"--group 1 to --group {len(groups)}"
        )
    if group is not None and not 1 <= group <= len(groups):
        raise InputError(f"--group {group}: give a number from 1 to {len(groups)}")
    return groups[(group or 1) - 1]


def _audio_ids(file: Path) -> tuple[str, ...]:
    try:
        with file.open("rb") as begin:
            if begin.read(16).startswith(b"SQLite format 3"):
                return read_journal(file).audio_ids
        report = json.loads(file.read_bytes())
        ids = report["audio_ids"]
        if isinstance(ids, list) and all(isinstance(clip_id, str) for clip_id in ids):
            return tuple(ids)
    except OSError as error:
        raise InputError(f"--report {file}: can't be read ({error.strerror or error})") from None
    except (ValueError, KeyError, TypeError, RecursionError, JournalError):
        pass
    raise InputError(f"--report {file}: neither what mountsea upload --format json prints, nor a journal")


def schema(task: str | None, wanted: Wanted) -> Exit:
    """Prints what the service says of its kinds of generation.

    Raises:
        MountseaError: There was no answer, or it knows no such kind.
    """

    async def ask() -> tuple[TaskSchema, ...]:
        async with make_client(wanted.base_url) as client:
            return await client.generate_schema(task)

    if wanted.path is not None:
        output.check_output(wanted.path)
    kinds = asyncio.run(ask())
    if wanted.form == "json":
        return _hand_over(json.dumps([attrs.asdict(kind) for kind in kinds], indent=2), wanted.path)
    return _hand_over("\n".join(_described(kinds)), wanted.path)


def _described(kinds: Sequence[TaskSchema]) -> Iterator[str]:
    for kind in kinds:
        required = ", ".join(field.field for field in kind.required) or "-"
        optional = ", ".join(field.field for field in kind.optional) or "-"
        about = f": {one_line(kind.description)}" if kind.description else ""
        yield f"{one_line(kind.task)}{about}"
        yield f"  requires {one_line(required)}"
        yield f"  takes {one_line(optional)}"


# ----------------------------------------------------------------------------------------------------- what they do
def _carry_out(begin: Callable[[MountseaClient], Awaitable[TaskHandle]], wanted: Wanted) -> Exit:
    if wanted.path is not None:
        output.check_output(wanted.path)
    if wanted.no_wait and wanted.deadline is not None:
        raise ConfigurationError("--deadline and --no-wait contradict each other: give one of them")
    check_deadline(wanted.deadline)  # before anything is paid
    client = make_client(wanted.base_url)
    known: list[TaskHandle] = []
    try:
        clips = asyncio.run(_clips(client, begin, wanted, known))
    except (KeyboardInterrupt, asyncio.CancelledError):
        _tell_interrupted(known)
        return Exit.INTERRUPTED
    return _hand_over(_shown(known[0].task_id, clips, wanted.form), wanted.path)


async def _clips(
    client: MountseaClient,
    begin: Callable[[MountseaClient], Awaitable[TaskHandle]],
    wanted: Wanted,
    known: list[TaskHandle],
) -> tuple[Clip, ...] | None:
    """The clips; None where nobody waits for them. What is known of the task outlives an interrupt."""
    work = asyncio.current_task()
    with suppress(NotImplementedError, RuntimeError, ValueError):  # where the loop can't listen to signals
        if work is not None:
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, work.cancel)
    async with client:
        known.append(await begin(client))
        if wanted.no_wait:
            return None
        if not wanted.quiet:
            say(f"task {known[0].task_id}: waiting for its clips, usually one or two minutes")
        return clips_of(await known[0].wait(deadline=wanted.deadline))


def _tell_interrupted(known: Sequence[TaskHandle]) -> None:
    if known:
        say("interrupted; it goes on by itself and is paid for. Look again:")
        say(f"  mountsea status {one_line(known[0].task_id)}")
        return
    say_wrapped(
        "interrupted before the service had answered: the generation may or may not have been accepted. If it was, it "
        "goes on and is paid for; mountsea credits tells what is left"
    )


def _shown(task_id: str, clips: tuple[Clip, ...] | None, form: Form) -> str:
    if form == "json":
        told = [{"id": clip.id, "audio_url": _url(clip)} for clip in clips or ()]
        status = "submitted" if clips is None else "success"
        return json.dumps({"task_id": task_id, "status": status, "clips": told}, indent=2)
    if clips is None:
        return one_line(task_id)
    return "\n".join(f"{one_line(clip.id)}  {one_line(_url(clip) or '-')}" for clip in clips)


def _hand_over(text: str, path: Path | None) -> Exit:
    """Prints what was paid for; a file that can't be written sends it to stdout."""
    code = Exit.OK
    if path is not None:
        try:
            output.to_file(path, text + "\n")
            return code
        except OSError as error:
            code = Exit.INCOMPLETE
            say_error(f"{path} can't be written ({error.strerror or error}); the results follow on stdout")
    try:
        output.to_stdout(text + "\n")
    except OSError as error:
        code = Exit.INCOMPLETE
        say_error(f"stdout can't be written to ({error.strerror or error}); the results follow here")
        say(text)
    return code


def _url(clip: Clip) -> str | None:
    return shown_url(clip.audio_url) if clip.audio_url else None
