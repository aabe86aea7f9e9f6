"""Every error that a user can meet, in one tree, split by whose fault it is.

Only exception classes live here: no logic, no import of any other room.

    MountseaError
    ├── UsageError (ValueError)         you misused us; nothing was sent
    │   ├── ConfigurationError          the key, the base URL, a setting
    │   ├── InputError                  entries of a batch; names each of them
    │   ├── ClientStateError            outside `async with`, closed, another event loop
    │   │   └── SupervisorClosed        a supervisor that takes in nothing more
    │   └── BatchConflict               a batch of that name is another one, or in no state for it
    ├── TransportError                  no whole answer came
    │   ├── NotSentError                proven: no byte of the request's body left
    │   └── NoAnswerError               it may have been processed
    ├── APIError                        the service answered, but not with what was asked for
    │   ├── BadRequestError             400, 413, 415, 422 and other 4xx
    │   ├── AuthenticationError         401, 403
    │   ├── InsufficientCreditsError    402, or an answer that says so
    │   ├── NotFoundError               404
    │   ├── RateLimitedError            429
    │   ├── NoAccountError              503 "no available account"
    │   ├── ServerError                 other 5xx
    │   └── UnexpectedAnswerError       a redirect, an unreadable or oversized answer
    ├── UnknownOutcomeError             a paid request that may or may not have been processed
    ├── NotSubmittedError               an item that was never sent
    ├── TaskError                       concerns one task; carries its id
    │   ├── TaskFailedError             the service ended it with `failed`
    │   │   ├── TaskTimedOutError       the service ended it with `timeout`
    │   │   └── PhraseExpiredError      a voice persona's phrase was not spoken in time
    │   ├── MissingClipError            `success`, but without a clip
    │   ├── MissingModelError           `success`, but without the id of the model
    │   ├── MissingPersonaError         `success`, but without the id of the persona
    │   ├── TaskLostError               the service no longer knows its id
    │   └── TaskPendingError            still pending when we stopped asking
    │       ├── DeadlineError           the caller's deadline passed
    │       ├── StalledError            no sign of life for too long
    │       └── AbandonedError          we were told to stop
    ├── Overloaded                      a supervisor has too many batches
    ├── BatchNotFound (LookupError)     a supervisor has no such batch
    ├── JournalError                    the journal can't be read or written
    │   ├── JournalBusy                 another process works on it
    │   └── JournalMismatch (UsageError)  other inputs, another key, another program's file
    └── BatchFailed                     raised by `BatchReport.raise_for_failures()`; carries the report

`BatchFailed` is defined beside the report that it carries.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import attrs


class MountseaError(Exception):
    """The root of every error that this library raises.

    Attributes:
        message: What happened and, where there is one, the way out. Never holds the API key.
        task_id: The service's task that the error concerns, if any.
    """

    def __init__(self, message: str, *, task_id: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.task_id = task_id

    def __reduce__(self) -> tuple[Any, ...]:
        return rebuild, (type(self), self.message, self.__dict__.copy())

    def about(self, task_id: str) -> Self:
        """Names the task that this error concerns, and returns the error."""
        if self.task_id is None:
            self.task_id, self.message = task_id, f"task {task_id}: {self.message}"
            self.args = (self.message,)
        return self


def rebuild(cls: type[MountseaError], message: str, fields: dict[str, Any]) -> MountseaError:
    """Makes an error anew, as it was when it was pickled or written down, without its keyword-only constructor."""
    error = cls.__new__(cls, message)
    error.args = (message,)
    error.__dict__.update(fields)
    return error


class UsageError(MountseaError, ValueError):
    """The call can't be carried out as it stands. Nothing was sent and nothing was paid."""


class ConfigurationError(UsageError):
    """The key, the base URL or a setting is missing or out of its range."""


@attrs.frozen
class InputProblem:
    """One entry of a batch that can't be uploaded.

    Attributes:
        index: The entry's place in the input, from 0.
        value: The entry as it may be shown: without its query, without credentials.
        problem: What is wrong with it and what to do.
    """

    index: int
    value: str
    problem: str


class InputError(UsageError):
    """Entries of a batch can't be uploaded; the whole batch is refused before anything is paid.

    Attributes:
        problems: Every entry that was refused, in input order; empty when the batch itself is at fault.
    """

    def __init__(self, message: str, *, problems: Sequence[InputProblem] = ()) -> None:
        super().__init__(message)
        self.problems = tuple(problems)


class ClientStateError(UsageError):
    """The client or session isn't open: used outside its `async with`, or from another event loop."""


class JournalError(MountseaError):
    """The journal can't be read or written.

    Attributes:
        path: The journal's file.
    """

    def __init__(self, message: str, *, path: str) -> None:
        super().__init__(message)
        self.path = path


class JournalBusy(JournalError):  # noqa: N818 - the field's word for it
    """Another process, or another batch of this one, works on the journal. Nothing was sent."""


class JournalMismatch(JournalError, UsageError):  # noqa: N818 - as above
    """The journal is not this batch's: other inputs, another key, a newer version. Nothing was sent."""


class TransportError(MountseaError):
    """The request got no whole answer.

    Attributes:
        permanent: Trying again won't help: a certificate that doesn't hold, a closed session.
    """

    def __init__(self, message: str, *, permanent: bool = False, task_id: str | None = None) -> None:
        super().__init__(message, task_id=task_id)
        self.permanent = permanent


class NotSentError(TransportError):
    """The request provably never left: sending it again can't be paid twice."""


class NoAnswerError(TransportError):
    """The request was sent, wholly or in part, or it can't be told; and no whole answer came back.

    Attributes:
        may_arrive: What was sent may still be on its way to the service: nobody waited any longer. False where the
            connection came to an end before.
    """

    def __init__(
        self, message: str, *, permanent: bool = False, may_arrive: bool = True, task_id: str | None = None
    ) -> None:
        super().__init__(message, permanent=permanent, task_id=task_id)
        self.may_arrive = may_arrive


class APIError(MountseaError):
    """The service answered with something other than what was asked for.

    Attributes:
        status: The HTTP status of the answer.
        excerpt: At most 200 characters of the answer, without the key and without URL queries.
        retry_after: Seconds after which the service wants to be asked again, where it said so.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int,
        excerpt: str = "",
        retry_after: float | None = None,
        task_id: str | None = None,
    ) -> None:
        super().__init__(message, task_id=task_id)
        self.status = status
        self.excerpt = excerpt
        self.retry_after = retry_after


class BadRequestError(APIError):
    """The service refuses this request as it stands (400, 413, 415, 422 and other 4xx)."""


class AuthenticationError(APIError):
    """The service refuses the API key (401, 403)."""


class InsufficientCreditsError(APIError):
    """The account behind the key has no credits left (402, or an answer that says so)."""


class NotFoundError(APIError):
    """The service doesn't know the id (404)."""


class RateLimitedError(APIError):
    """The service kept refusing for its rate limit (429) longer than we wait."""


class NoAccountError(APIError):
    """The service has no account available at the moment (503)."""


class ServerError(APIError):
    """The service or a gateway before it failed (5xx)."""


class UnexpectedAnswerError(APIError):
    """A redirect, or a 2xx answer that is unreadable, oversized or lacks what we rely on."""


class UnknownOutcomeError(MountseaError):
    """A paid request may or may not have been processed, so it is never sent again by itself.

    Attributes:
        cause: What went wrong, as the error it would have been for a request that costs nothing.
        status: The HTTP status, where an answer came.
        excerpt: As in `APIError`; empty where no answer came.
        retry_after: As in `APIError`.
    """

    def __init__(self, message: str, *, cause: MountseaError, task_id: str | None = None) -> None:
        super().__init__(message, task_id=task_id)
        self.cause = cause
        self.status: int | None = getattr(cause, "status", None)
        self.excerpt: str = getattr(cause, "excerpt", "")
        self.retry_after: float | None = getattr(cause, "retry_after", None)


class NotSubmittedError(MountseaError):
    """An item that was never accepted by the service and cost nothing.

    Attributes:
        reason: A short stable word: `unauthorized`, `credits`, `session_gone`, `no_account`, `unreachable`,
            `rate_limited`, `no_answers`, `deadline`, `stalled`, `stopped`, `cancelled`, or a caller's own.
        cause: The error that stopped the submits, where there was one.
    """

    def __init__(self, message: str, *, reason: str, cause: MountseaError | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.cause = cause


class TaskError(MountseaError):
    """Concerns one task of the service; `task_id` says which, so that it can be asked for again."""

    def __init__(self, message: str, *, task_id: str) -> None:
        super().__init__(message, task_id=task_id)


class TaskFailedError(TaskError):
    """The service ended the task with `failed`.

    Attributes:
        fail_code: The service's code: a number on paper, tokens have been seen.
        fail_reason: The service's words, without URL queries.
    """

    def __init__(
        self,
        message: str,
        *,
        task_id: str,
        fail_code: float | str | None = None,
        fail_reason: str | None = None,
    ) -> None:
        super().__init__(message, task_id=task_id)
        self.fail_code = fail_code
        self.fail_reason = fail_reason


class TaskTimedOutError(TaskFailedError):
    """The service ended the task with `timeout`; its clip may still land later."""


class PhraseExpiredError(TaskFailedError):
    """A voice persona's phrase was not spoken in time: begin again, with a new `voice_persona`."""


class MissingClipError(TaskError):
    """The task ended with `success`, but never said which clip came of it."""


class MissingModelError(TaskError):
    """The training's task ended with `success`, but never told the id of the model."""


class MissingPersonaError(TaskError):
    """The voice persona's task ended with `success`, but never told the id of the persona."""


class TaskLostError(TaskError):
    """The service answers 404 for a task that it has accepted, and went on doing so."""


class TaskPendingError(TaskError):
    """The task was still pending when we stopped asking; it may end well by itself."""


class DeadlineError(TaskPendingError, TimeoutError):
    """The caller's deadline passed while the task was pending."""


class StalledError(TaskPendingError):
    """Nothing showed a sign of life for so long that we stopped asking."""


class AbandonedError(TaskPendingError):
    """The upload was cancelled or left by an exception while the task was pending."""


class Overloaded(MountseaError):  # noqa: N818 - named after the state
    """So many batches run and wait already that another one is not taken in. Nothing was written, nothing sent.

    Attributes:
        retry_after: Seconds after which asking again makes sense.
    """

    def __init__(self, message: str, *, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class BatchNotFound(MountseaError, LookupError):  # noqa: N818 - named after the state
    """There is no batch of that id; it may have been removed as `keep` says."""


class BatchConflict(UsageError):  # noqa: N818 - named after the state
    """The key of a batch came again with other inputs, or the batch is in a state in which that can't be done."""


class SupervisorClosed(ClientStateError):  # noqa: N818 - named after the state
    """The supervisor is shutting down, or isn't open: it takes in nothing."""
