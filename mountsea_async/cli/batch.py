"""One batch, run from the terminal: checked, watched, interrupted, summed up. `upload` and `demo` are both this."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import attrs

from .. import BatchReport, DuplicateURLWarning, InputError, MountseaClient, MountseaError, UploadSession
from ..upload.inputs import collect
from . import output
from .exits import Exit, error_code, exit_code, worst
from .progress import Progress, choose
from .signals import Interrupts
from .sources import Entry, Problem, refusal
from .summary import summary
from .wording import in_flags, say, say_error, say_wrapped

__all__ = ["Outcome", "Settings", "deliver", "run_batch"]


@attrs.frozen(kw_only=True)
class Settings:
    """The flags of a batch."""

    concurrency: int = 32
    deadline: float | None = None
    session_id: str | None = None
    keep_duplicates: bool = False
    allow_private: bool = False
    quiet: bool = False


@attrs.frozen
class Outcome:
    """How a run ended.

    Attributes:
        report: What became of the items; None if nothing was begun.
        interrupted: Whether it was told to stop.
        error: What ended it early, if anything did.
    """

    report: BatchReport | None
    interrupted: bool = False
    error: BaseException | None = None

    @property
    def code(self) -> Exit:
        """The exit code."""
        if self.report is not None:
            code = exit_code(self.report, self.interrupted)
        else:
            code = Exit.INTERRUPTED if self.interrupted else Exit.OK
        return worst(code, error_code(self.error)) if isinstance(self.error, MountseaError) else code


async def run_batch(client: MountseaClient, entries: Sequence[Entry], settings: Settings) -> Outcome:
    """Uploads the entries and shows the progress.

    Raises:
        InputError: Entries can't be uploaded; names their places. Nothing was sent.
        ConfigurationError: A setting is out of its range; nothing was sent.
    """
    await _check(entries, allow_private=settings.allow_private)
    progress = choose(entries, quiet=settings.quiet)
    session = client.upload_session(
        session_id=settings.session_id,
        concurrency=settings.concurrency,
        deadline=settings.deadline,
        on_event=progress.on_event,
        keep_duplicates=settings.keep_duplicates,
        allow_private=settings.allow_private,
    )
    with progress, _tidy_warnings(progress.say):
        interrupted, error = await _carry_out(client, session, entries, progress)
    report = session.report
    return Outcome(report if report.items else None, interrupted, error)


async def _check(entries: Sequence[Entry], *, allow_private: bool) -> None:
    """Refuses in terms of files and lines what the library would refuse once the session is open."""
    try:
        await collect([entry.item for entry in entries], allow_private=allow_private)
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
        async with client, session:
            await session.upload_all([entry.item for entry in entries])

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


def deliver(outcome: Outcome, *, form: output.Format | None, path: Path | None) -> Exit:
    """Hands over the results: data first, then the summary. Returns the exit code.

    Args:
        outcome: How the run ended.
        form: The form of the data; None: no data.
        path: Where it goes; None: stdout.

    Raises:
        BaseException: Whatever ended the run and is no error of the library: a bug, told after the report.
    """
    report, error, code = outcome.report, outcome.error, outcome.code
    if report is not None:
        if form is not None and not _hand_over(report, form, path):
            code = worst(code, Exit.INCOMPLETE)
        for line in summary(report):
            say_wrapped(line)
    elif outcome.interrupted:
        say("interrupted before anything was submitted: nothing was paid")
    if isinstance(error, MountseaError):
        say_error(in_flags(error.message))
    elif error is not None:
        raise error
    return code


def _hand_over(report: BatchReport, form: output.Format, path: Path | None) -> bool:
    """Whether the data got to where it should go. A file that can't be written sends it to stdout: it was paid for."""
    if path is not None:
        try:
            output.to_file(path, output.render(report, form))
            return True
        except OSError as error:
            say_error(f"{path} can't be written ({error.strerror or error}); the results follow on stdout")
    try:
        output.to_stdout(output.render(report, form, width=output.stdout_width() if path is None else None))
    except OSError as error:
        say_error(f"stdout can't be written to ({error.strerror or error})")
        return False
    return path is None
