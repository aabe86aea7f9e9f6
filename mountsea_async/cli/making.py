"""The commands that make something of clips, and what they cost: what `--help` says of them, and nothing that does
the work.

As in `app.py`, each command imports its room when it is called.
"""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import Parameter

from .app import STDIN, app, as_typed, where
from .flags import (
    AcceptNewKey,
    AllowPrivate,
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
