"""One batch, run from the terminal: checked, watched, interrupted. `upload`, `resume` and `demo` are all this.

What comes of it is handed over in `deliver.py`.
"""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import attrs

from .. import (
    BatchReport,
    CustomModelSession,
    DuplicateURLWarning,
    Event,
    InputError,
    MountseaClient,
    MountseaError,
    UploadSession,
)
from .exits import Exit, error_code, exit_code, worst
from .progress import Progress, choose
from .signals import Interrupts
from .sources import Entry, Problem, refusal
from .wording import in_flags, say

__all__ = ["Outcome", "Settings", "run_batch"]


@attrs.frozen(kw_only=True)
class Settings:
    """The flags of a batch.

    Attributes:
        model: The name of the model that is to be trained, and on how many clips at least; None: none is.
    """

    concurrency: int = 32
    deadline: float | None = None
    base_url: str | None = None
    session_id: str | None = None
    keep_duplicates: bool = False
    allow_private: bool = False
    journal: Path | None = None
    on_unknown: Literal["hold", "continue", "resubmit"] = "hold"
    retry_failed: bool = False
    accept_new_key: bool = False
    max_credits: float | None = None
    price_per_item: float | None = None
    model: tuple[str, int] | None = None
    quiet: bool = False


@attrs.frozen
class Outcome:
    """How a run ended.

    Attributes:
        report: What became of the items; None if nothing was begun.
        settings: The flags.
        interrupted: Whether it was told to stop.
        error: What ended it early, if anything did.
    """

    report: BatchReport | None
    settings: Settings
    interrupted: bool = False
    error: BaseException | None = None

    @property
    def code(self) -> Exit:
        """The exit code."""
        if self.report is not None:
            code = exit_code(self.report, self.interrupted)
            if self.report.training is not None and self.error is self.report.training.error:
                return code  # the report says it all
        else:
            code = Exit.INTERRUPTED if self.interrupted else Exit.OK
        return worst(code, error_code(self.error)) if isinstance(self.error, MountseaError) else code


async def run_batch(client: MountseaClient, entries: Sequence[Entry] | None, settings: Settings) -> Outcome:
    """Uploads the entries and shows the progress.

    Args:
        client: Not open yet.
        entries: What to upload; None: what the journal holds.
        settings: The flags.

    Raises:
        InputError: Entries can't be uploaded; names their places. Nothing was sent.
        ConfigurationError: A setting is out of its range; nothing was sent.
    """
    progress = choose(entries or (), quiet=settings.quiet)
    watch = _watcher(progress, settings, lambda: session.report)
    session = _session(client, settings, watch, resumed=entries is None)
    with _tidy_warnings(progress.say):
        if entries is None:
            await session.read_first(None)
        else:
            with _places(entries):
                await session.read_first([entry.item for entry in entries])
            if settings.journal is not None:
                say(f"journal: {settings.journal}")
        with progress:
            interrupted, error = await _carry_out(client, session, entries or (), progress)
    report = session.report
    return Outcome(report if report.items else None, settings, interrupted, error)


def _session(
    client: MountseaClient, settings: Settings, watch: Callable[[Event], None], *, resumed: bool
) -> UploadSession:
    """The session that the flags ask for; of a resumed one the journal knows the kind."""
    flags: dict[str, Any] = {
        "concurrency": settings.concurrency,
        "deadline": settings.deadline,
        "on_event": watch,
        "on_unknown": settings.on_unknown,
        "journal": settings.journal,
        "retry_failed": settings.retry_failed,
        "accept_new_key": settings.accept_new_key,
    }
    if resumed:
        return client.resume_session(**flags)
    flags |= {
        "session_id": settings.session_id,
        "keep_duplicates": settings.keep_duplicates,
        "allow_private": settings.allow_private,
        "max_credits": settings.max_credits,
        "price_per_item": settings.price_per_item,
    }
    if settings.model is not None:
        name, at_least = settings.model
        return client.custom_model_session(name=name, at_least=at_least, **flags)
    return client.upload_session(**flags)


def _watcher(progress: Progress, settings: Settings, report: Callable[[], BatchReport]) -> Callable[[Event], None]:
    """Hands the events to the progress; before those of the items, what the journal holds of them."""
    begun = settings.journal is None

    def watch(event: Event) -> None:
        nonlocal begun
        if not begun and (items := report().items):
            begun = True
            progress.begin(items)
        progress.on_event(event)

    return watch


@contextmanager
def _places(entries: Sequence[Entry]) -> Iterator[None]:
    """Tells in terms of files and lines what the library refuses in terms of indexes."""
    try:
        yield
    except InputError as error:
        if not error.problems:
            raise
        problems = [
            Problem(entries[problem.index].place, f"{problem.value!r}: {problem.problem}") for problem in error.problems
        ]
        raise refusal(problems, len(entries)) from None


async def _carry_out(
    client: MountseaClient, session: UploadSession, entries: Sequence[Entry], progress: Progress
) -> tuple[bool, BaseException | None]:
    async def upload() -> None:
        with _places(entries):
            async with client, session:
                await session.run(entry.item for entry in entries)
                if isinstance(session, CustomModelSession) and not interrupts.seen:
                    await session.finish_training()

    # A task of its own: a signal cancels the batch, not whoever reports on it.
    work = asyncio.get_running_loop().create_task(upload())
    interrupts = Interrupts(session, work, progress.say)
    with interrupts.listening():
        while not work.done():
            try:
                await asyncio.wait([work])
            except asyncio.CancelledError:  # Ctrl-C where the loop can't listen to signals
                interrupts.stop()
    error = None if work.cancelled() else work.exception()
    return interrupts.seen, error


@contextmanager
def _tidy_warnings(show: Callable[[str], None]) -> Iterator[None]:
    """Shows the library's warning of repeated URLs as one line among the progress."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", DuplicateURLWarning)
        usual = warnings.showwarning

        def shown(message: Warning | str, category: type[Warning], *place: object) -> None:
            if issubclass(category, DuplicateURLWarning):
                show(f"note: {in_flags(str(message))}")
            else:
                usual(message, category, *place)  # type: ignore[arg-type] # handed on as they came

        warnings.showwarning = shown  # type: ignore[assignment] # as above
        yield
