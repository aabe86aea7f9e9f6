"""What may be said of an error to whoever is outside of the application. Pure."""

from __future__ import annotations

from typing import Final

import attrs

from ..errors import (
    APIError,
    BadRequestError,
    BatchConflict,
    InputError,
    InsufficientCreditsError,
    JournalBusy,
    JournalError,
    JournalMismatch,
    MountseaError,
    NoAccountError,
    NotSubmittedError,
    RateLimitedError,
    SupervisorClosed,
    TaskError,
    TransportError,
    UnknownOutcomeError,
    UsageError,
)
from ..redact import shown_text
from ..upload.report import BatchReport

__all__ = ["item_words", "public_report", "public_words"]

_WORDS: Final[tuple[tuple[type[MountseaError], str | None], ...]] = (
    (InputError, None),
    (BatchConflict, None),
    (InsufficientCreditsError, "there are not enough credits left at the service"),
    (RateLimitedError, "the service asks for patience: too many requests"),
    (NoAccountError, "the service has no account available at the moment"),
    (APIError, "the service refused the request, or answered with something else"),
    (TransportError, "the service could not be reached, or gave no answer"),
    (UnknownOutcomeError, "it may or may not have been processed, and is not sent again by itself"),
    (JournalBusy, "somebody else is at work on this batch"),
    (JournalMismatch, "the journal belongs to another key, another service or another batch"),
    (JournalError, "the journal can't be read or written"),
    (SupervisorClosed, "the application is shutting down"),
    (UsageError, "the application uses the library wrongly; its log says how"),
)
"""For errors whose own words hold a piece of a foreign body, or tell what is nobody's business outside; None: its own.
The first class that fits counts."""


def public_words(error: MountseaError) -> str:
    """An error in words without a foreign body, a path of this machine, or a mistake of the application's."""
    if isinstance(error, NotSubmittedError) and error.cause is not None:
        return f"nothing was submitted: {public_words(error.cause)}"
    said = next((words for kind, words in _WORDS if isinstance(error, kind)), None)
    return shown_text(error.message if said is None else said)


def item_words(error: MountseaError) -> str:
    """An item's error in words. Why the service turned it away, or failed it, is what its owner has to know."""
    return error.message if isinstance(error, BadRequestError | TaskError) else public_words(error)


def public_report(report: BatchReport) -> BatchReport:
    """A report with such words in the place of its errors."""
    items = tuple(
        item if item.error is None else attrs.evolve(item, error=MountseaError(item_words(item.error)))
        for item in report.items
    )
    failure = None if report.journal_error is None else JournalError(public_words(report.journal_error), path="")
    return attrs.evolve(report, items=items, journal_error=failure)
