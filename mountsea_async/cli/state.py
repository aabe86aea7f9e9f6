"""The journals that `mountsea upload` keeps by itself: where they lie, how they are named, which one hinders a run.

One file a run, in the state directory, named by time and inputs: `2026-11-22T170311-3f2a9c1b.journal`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from .. import BatchReport, ConfigurationError, JournalError, UploadItem, read_journal
from ..redact import shown_url
from ..upload.past import inputs_hash
from ..upload.planned import remove_journal
from .summary import unfinished
from .wording import go_on_command

__all__ = ["claim", "folder", "let_go"]

_HASH = 8
_YOUNG = 60.0
"""Seconds for which a journal without content is taken for one that another run is just beginning."""
_ELSEWHERE = "--journal FILE keeps it elsewhere, --no-journal keeps none"
_ANEW = "--journal OTHER or --no-journal uploads all of them anew, and pays for them again"


def folder() -> Path:
    """The state directory of this program.

    Raises:
        ConfigurationError: There is no home directory to put it into.
    """
    if os.name == "nt":
        local = os.environ.get("LOCALAPPDATA")
        return Path(local, "mountsea") if local else _home() / "AppData" / "Local" / "mountsea"
    state = Path(os.environ.get("XDG_STATE_HOME", ""))  # a relative one is to be ignored, says the standard
    return (state if state.is_absolute() else _home() / ".local" / "state") / "mountsea"


def _home() -> Path:
    try:
        return Path.home()
    except RuntimeError:
        raise ConfigurationError(f"there is no home directory to keep the journal in: {_ELSEWHERE}") from None


def claim(items: Sequence[UploadItem], *, at: float) -> Path:
    """Makes an empty journal file for a run, unless an earlier run of the same inputs isn't finished.

    The file is made before the others are looked at, so that of two runs that begin at once one sees the other.

    Args:
        items: The inputs.
        at: The time, in seconds since the epoch.

    Raises:
        ConfigurationError: An unfinished journal of these inputs is there, or none can be made; tells the ways out.
    """
    where, hashed = folder(), inputs_hash(items)[:_HASH]
    try:
        where.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = _make(where, f"{time.strftime('%Y-%m-%dT%H%M%S', time.localtime(at))}-{hashed}")
    except OSError as error:
        raise ConfigurationError(f"can't keep a journal in {where} ({error.strerror or error}): {_ELSEWHERE}") from None
    try:
        for other in sorted(where.glob(f"*-{hashed}*.journal"), reverse=True):
            if other != path:
                _refuse_if_unfinished(other, items, at)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return path


def _make(where: Path, stem: str) -> Path:
    for name in _names(stem):
        path = where / name
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
            return path
    raise AssertionError  # pragma: no cover - there is no end of names


def _names(stem: str) -> Iterator[str]:
    yield f"{stem}.journal"
    number = 2
    while True:
        yield f"{stem}-{number}.journal"
        number += 1


def _refuse_if_unfinished(other: Path, items: Sequence[UploadItem], at: float) -> None:
    try:
        report = read_journal(other)
        young = at - other.stat().st_mtime < _YOUNG
    except JournalError as error:
        if not other.exists():  # its run has just let go of it
            return
        raise ConfigurationError(
            f"whether an earlier run of the same inputs is finished can't be told: {error.message}\n  {_ANEW}"
        ) from None
    except FileNotFoundError:
        return
    if not report.items:
        if young:
            raise ConfigurationError(f"another run of the same inputs is just beginning: {other}\n  {_ANEW}")
    elif _same(report, items) and (left := unfinished(report)):
        raise ConfigurationError(
            f"an earlier run of the same inputs isn't finished ({left:,} of {len(report.items):,} left): {other}\n"
            f"  go on with:\n    {go_on_command(other)}\n  {_ANEW}"
        )


def _same(report: BatchReport, items: Sequence[UploadItem]) -> bool:
    """Whether a journal that is named like these inputs holds them; it tells URLs without their queries."""
    held = [item.key or item.audio_url for item in report.items]
    return held == [item.key or shown_url(item.audio_url) for item in items]


def let_go(path: Path) -> None:
    """Removes a journal in which nothing was begun: its run got no session, so nothing was sent."""
    with suppress(JournalError, OSError):
        if read_journal(path).session_id is None:
            remove_journal(path)
