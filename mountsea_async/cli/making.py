"""The commands that make something of clips, and what they cost: what `--help` says of them, and nothing that does
the work.

As in `app.py`, each command imports its room when it is called.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from cyclopts import Parameter

from .app import STDIN, app, as_typed, where
from .flags import (
    AcceptNewKey,
    AllowPrivate,
    BalanceUrl,
    BaseUrl,
    Concurrency,
    Deadline,
    JournalFile,
    MaxCredits,
    NoJournal,
    Output,
    Preflight,
    PricePerItem,
    Quiet,
    Results,
    RetryFailed,
)

__all__ = ["app"]

_Form: TypeAlias = Annotated[Literal["table", "json"], Parameter(name="--format", show_default=True)]
_Songs: TypeAlias = Annotated[
    Literal["table", "json"] | None,
    Parameter(
        name="--format", help="How they are printed; without it, as the suffix of --output says, or as lines of text."
    ),
]
_Fields: TypeAlias = Annotated[
    tuple[str, ...],
    Parameter(
        name="--field",
        negative="",
        help="NAME=VALUE: any other field of the service's, the value a text or JSON. May be given more than once.",
    ),
]


@app.command
def train(
    *sources: str,
    name: str,
    at_least: Annotated[int, Parameter(show_default=True)] = 6,
    concurrency: Concurrency = 32,
    deadline: Deadline = None,
    journal: JournalFile = None,
    no_journal: NoJournal = False,
    on_unknown: Annotated[Literal["continue", "resubmit"], Parameter(show_default=True)] = "continue",
    retry_failed: RetryFailed = False,
    accept_new_key: AcceptNewKey = False,
    max_credits: MaxCredits = None,
    price_per_item: PricePerItem = None,
    preflight: Preflight = False,
    base_url: BaseUrl = None,
    session_id: str | None = None,
    allow_private: AllowPrivate = False,
    format: Results = None,  # noqa: A002 - the flag's name
    output: Output = None,
    quiet: Quiet = False,
) -> int:
    """Upload audio URLs and train a model of your own on them: at least six, two to three minutes, 100 credits.

    ```
    mountsea train --name v6Pro urls.txt
    mountsea train --name v6Pro --at-least 8 --format json urls.txt
    mountsea generate create --model chirp-custom:... --prompt "a song about the sea"
    ```

    Sources, journal, Ctrl-C and exit codes are those of `mountsea upload`; `mountsea resume` goes on to the model. The
    training is never paid for twice by itself: where its answer is lost, the session's own task tells whether it was
    accepted.

    Args:
        sources: Files of URLs, URLs, or - for stdin. Without any, stdin is read.
        name: The model's name.
        at_least: Train if so many uploads have succeeded, 6 or more; else nothing is trained.
        on_unknown: After requests whose answer was lost: continue, or resubmit them, which may pay for them twice.
        session_id: Upload to this custom model session instead of a new one.
    """
    from . import upload as room  # noqa: PLC0415 - see the module's docstring
    from .batch import Settings  # noqa: PLC0415 - as above

    settings = Settings(
        concurrency=concurrency,
        deadline=deadline,
        base_url=base_url,
        session_id=session_id,
        allow_private=allow_private,
        journal=as_typed(journal),
        on_unknown=on_unknown,
        retry_failed=retry_failed,
        accept_new_key=accept_new_key,
        max_credits=max_credits,
        price_per_item=price_per_item,
        model=(name, at_least),
        quiet=quiet,
    )
    form, path = where(format, output)
    given = ["-" if source == STDIN else source for source in sources]
    return room.upload(given, settings, no_journal=no_journal, form=form, path=path, preflight=preflight)


@app.command
def generate(
    task: Annotated[str | None, Parameter(help="The kind of generation: create, extend, cover and so on.")] = None,
    /,
    *,
    model: str | None = None,
    prompt: str | None = None,
    gpt_description_prompt: str | None = None,
    title: str | None = None,
    tags: str | None = None,
    negative_tags: str | None = None,
    make_instrumental: bool = False,
    clip_id: str | None = None,
    audio_url: str | None = None,
    playlist_id: str | None = None,
    mashup_clip_ids: Annotated[tuple[str, ...], Parameter(negative="", consume_multiple=True)] = (),
    continue_at: float | None = None,
    range: tuple[float, float] | None = None,  # noqa: A002 - the flag's name
    vocal_gender: Literal["m", "f"] | None = None,
    persona_id: str | None = None,
    field: _Fields = (),
    allow_private: AllowPrivate = False,
    schema: bool = False,
    deadline: Deadline = None,
    no_wait: bool = False,
    base_url: BaseUrl = None,
    form: _Songs = None,
    output: Output = None,
    quiet: Quiet = False,
) -> int:
    """Generate music and wait for its clips: about 40 credits.

    ```
    mountsea generate create --model chirp-v55 --prompt "La la la" --title Sea
    mountsea generate extend --model chirp-v55 --clip-id 7a8e127c-... --continue-at 60
    mountsea generate --schema replace_section
    ```

    It is sent once. What its kind requires and lacks is said before anything is sent. Ctrl-C while it waits: the
    generation goes on, and `mountsea status TASK_ID` asks for it.

    Args:
        model: chirp-v55 and the like, or a model of your own, chirp-custom:<uuid>.
        prompt: The lyrics.
        gpt_description_prompt: What it is about, where the service is to write the lyrics.
        title: Its title.
        tags: Its styles.
        negative_tags: Styles to keep away from.
        make_instrumental: Nobody sings.
        clip_id: The clip that it is made from.
        audio_url: The audio that it is made from.
        playlist_id: The playlist that inspires it; `mountsea inspire` makes one.
        mashup_clip_ids: The clips that are mixed, two or more.
        continue_at: Seconds from which it goes on.
        range: The seconds that are worked on: where they begin and end.
        vocal_gender: Who sings.
        persona_id: The persona that sings.
        schema: Print what the service says of this kind, or of all, and generate nothing.
        no_wait: Print the task's id as soon as it was accepted.
    """
    from .. import InputError  # noqa: PLC0415 - see the module's docstring
    from . import generate as room  # noqa: PLC0415 - as above

    wanted = _wanted(base_url=base_url, deadline=deadline, no_wait=no_wait, form=form, path=output, quiet=quiet)
    if schema:
        return room.schema(_typed(task), wanted)
    if task is None:
        raise InputError("say what to generate: mountsea generate create --model chirp-v55 --prompt ...")
    fields = _fields(
        {
            "prompt": prompt,
            "gpt_description_prompt": gpt_description_prompt,
            "title": title,
            "tags": tags,
            "negative_tags": negative_tags,
            "make_instrumental": make_instrumental or None,
            "clip_id": clip_id,
            "audio_url": audio_url,
            "playlist_id": playlist_id,
            "mashup_clip_ids": mashup_clip_ids or None,
            "continue_at": continue_at,
            "range": range,
            "vocal_gender": vocal_gender,
            "persona": room.persona(_typed(persona_id)),
            "allow_private": allow_private or None,
        },
        field,
    )
    return room.generate(_typed(task), _typed(model), fields, wanted)


@app.command
def inspire(
    *clip_ids: str,
    model: str,
    report: Path | None = None,
    group: int | None = None,
    name: str = "Untitled",
    prompt: str | None = None,
    gpt_description_prompt: str | None = None,
    title: str | None = None,
    tags: str | None = None,
    negative_tags: str | None = None,
    make_instrumental: bool = False,
    field: _Fields = (),
    deadline: Deadline = None,
    no_wait: bool = False,
    base_url: BaseUrl = None,
    form: _Songs = None,
    output: Output = None,
    quiet: Quiet = False,
) -> int:
    """Make a song that is inspired by one to four clips of one account: a playlist of them, then a generation.

    ```
    mountsea upload --format json --output report.json urls.txt
    mountsea inspire --report report.json --model chirp-v55 --title Inspired
    mountsea inspire 7a8e127c-... 91abee79-... --model chirp-v55 --tags "rap, catchy"
    ```

    Args:
        clip_ids: One to four clips, of one upload.
        model: chirp-v55 and the like, or a model of your own, chirp-custom:<uuid>.
        report: Take the clips of this upload: what --format json has printed, or its journal.
        group: Of more than four clips take these: 1 for the first four, 2 for the next.
        name: The playlist's name.
        prompt: The lyrics.
        gpt_description_prompt: What it is about, where the service is to write the lyrics.
        title: Its title.
        tags: Its styles.
        negative_tags: Styles to keep away from.
        make_instrumental: Nobody sings.
        no_wait: Print the task's id as soon as it was accepted.
    """
    from .. import InputError  # noqa: PLC0415 - see the module's docstring
    from . import generate as room  # noqa: PLC0415 - as above

    if bool(clip_ids) is (report is not None):
        raise InputError("give the clips, or --report FILE, and not both")
    if report is None and group is not None:
        raise InputError("--group chooses among the clips of --report FILE")
    clips = (
        [_typed(clip) for clip in clip_ids] if report is None else room.clips_from(as_typed(report) or report, group)
    )
    fields = _fields(
        {
            "prompt": prompt,
            "gpt_description_prompt": gpt_description_prompt,
            "title": title,
            "tags": tags,
            "negative_tags": negative_tags,
            "make_instrumental": make_instrumental or None,
        },
        field,
    )
    wanted = _wanted(base_url=base_url, deadline=deadline, no_wait=no_wait, form=form, path=output, quiet=quiet)
    return room.inspire(clips, _typed(model), _typed(name), fields, wanted)


def _typed(text: Any) -> Any:
    """A text as it was typed; it may be `-`."""
    return text.replace(STDIN, "-") if isinstance(text, str) else text


def _fields(flags: dict[str, Any], more: tuple[str, ...]) -> dict[str, Any]:
    from .generate import fields_of  # noqa: PLC0415 - as above

    typed = {
        name: tuple(map(_typed, value)) if isinstance(value, tuple) else _typed(value) for name, value in flags.items()
    }
    return fields_of(typed, [_typed(entry) for entry in more])


def _wanted(*, form: Literal["table", "json"] | None, path: Path | None, **flags: Any) -> Any:
    from .generate import Wanted  # noqa: PLC0415 - as above

    told, path = where(form, path)
    return Wanted(form="json" if told == "json" else "table", path=path, **flags)


@app.command(name="credits")
def balance(*, balance_url: BalanceUrl = None, base_url: BaseUrl = None, form: _Form = "table") -> int:
    """Print the credits that are left.

    ```
    mountsea credits
    ```

    Args:
        form: As a number alone, or as JSON.
    """
    from . import balance as room  # noqa: PLC0415 - see the module's docstring

    return room.credits_left(base_url=base_url, balance_url=balance_url, form=form)
