"""The one door to the service: an endpoint call in, a model or a typed error out.

Puts together what the other modules of `wire/` know: pace, attempt, decipher, retry.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Protocol

import attrs

from ..config import RetryPolicy
from ..errors import MountseaError, RateLimitedError
from ..models import DOCUMENTED, Task
from ..redact import shown_text
from . import decode, endpoints, protocol, retry
from .decode import Loads, Reader, T
from .endpoints import Request
from .pacing import NO_LANE, Lane, Pace, Quota
from .protocol import Accepted, Response, SendFailure
from .transport import Flight, Transport

logger = logging.getLogger("mountsea_async")

FREE_TRIES = 5
RENEWALS = 3


class Submission(Protocol):
    """What a paid request's owner is told, in this order, for each attempt."""

    async def sending(self) -> Request:
        """The permit is held and nothing has been sent: the intent becomes durable here.

        What this raises ends the call before anything is sent.

        Returns:
            What to send; made no sooner, since thousands may be waiting for their permit.
        """

    def not_accepted(self, error: MountseaError) -> None:
        """This attempt provably cost nothing, and another one may follow. What this raises ends the call."""

    def cut(self, *, unsent: bool) -> None:
        """This attempt was cancelled on its way, or while its intent became durable; unless it provably was not
        sent, its outcome is unknown."""


@attrs.frozen
class Unwatched:
    """A paid request whose owner needs to know no more than how it ended."""

    request: Request

    async def sending(self) -> Request:
        return self.request

    def not_accepted(self, error: MountseaError) -> None: ...
    def cut(self, *, unsent: bool) -> None: ...


class Caller:
    """Calls endpoints over one transport, at one pace.

    Args:
        transport: Carries single attempts.
        pace: The gate that all requests pass.
        policy: How what may be repeated is repeated.
        rng: Where jitter comes from.
        json_loads: A faster parser than `json`'s own.

    Attributes:
        refusal: The last "too many requests", while nothing else was heard since.
    """

    def __init__(
        self,
        transport: Transport,
        pace: Pace,
        policy: RetryPolicy,
        rng: random.Random,
        json_loads: Loads | None = None,
    ) -> None:
        self._transport = transport
        self.pace = pace
        self._policy = policy
        self._loads = json_loads
        self._new_words: set[str] = set()
        self.refusal: RateLimitedError | None = None
        free = attrs.evolve(policy, max_tries=min(policy.max_tries, FREE_TRIES))
        self._asks, self._submits = Quota(), Quota()
        self._free = retry.retrying(free, rng, retry.free_is_final, self._asks.take, self._log_retry)(_again)
        self._paid = retry.retrying(policy, rng, retry.paid_is_final, self._submits.take, self._log_retry)(_again)

    def fingerprint(self, salt: str) -> str:
        """What tells this caller's key from another without telling the key."""
        return self._transport.fingerprint(salt)

    @property
    def base_url(self) -> str:
        """Where the service is."""
        return self._transport.base_url

    async def ask(self, request: Request, read: Reader[T]) -> T:
        """Sends what costs nothing, until there is an answer or the tries are used up: repeating it is safe.

        Args:
            request: What to send.
            read: Reads the answer.

        Raises:
            APIError: The service refuses, or fails again and again.
            TransportError: No answer came, again and again.
        """
        try:  # as in `submit`: the machinery of retries is for those that need it
            return await self._ask_once(request, read)
        except MountseaError as error:
            if retry.free_is_final(error):
                raise
            failed = [error]
        return await self._free(failed, partial(self._ask_once, request, read))

    async def task(self, task_id: str, *, audio_ids: int = 0) -> Task:
        """One task, asked for until there is an answer or the tries are used up.

        Args:
            task_id: A task's id, or a session's.
            audio_ids: How many ids a session may hold.

        Raises:
            APIError: The service refuses, or fails again and again; `task_id` is set.
            TransportError: No answer came, again and again; `task_id` is set.
        """
        try:
            task = await self.ask(endpoints.task_status(task_id, audio_ids=audio_ids), decode.task(task_id))
        except MountseaError as error:
            raise error.about(task_id) from None
        self._note_status(task.status)
        return task

    async def glance(self, task_id: str, lane: Lane, *, audio_ids: int = 0) -> Task:
        """One task, asked for once: whoever polls asks again anyway. Arguments and errors as in `task`."""
        try:
            async with lane:
                task = await self._ask_once(endpoints.task_status(task_id, audio_ids=audio_ids), decode.task(task_id))
        except MountseaError as error:
            raise error.about(task_id) from None
        self._note_status(task.status)
        return task

    async def submit(self, submission: Submission, read: Reader[T], lane: Lane = NO_LANE) -> T:
        """Sends a paid request; again only if every attempt before provably cost nothing.

        Args:
            submission: Says what to send; told before and after each attempt.
            read: Reads the answer: the id of the task that the service made of it, mostly.
            lane: A bound of its owner's own, held for each attempt, around the pace's permit.

        Raises:
            UnknownOutcomeError: It may or may not have been processed.
            NotSentError: It never left, however often it was tried.
            APIError: The service turned it away.
        """
        # Tried once without the machinery of retries: thousands may be waiting here, and most need one attempt.
        try:
            answer = await self._submit_once(submission, read, lane)
        except MountseaError as error:
            if retry.paid_is_final(error):
                raise
            failed = [error]
        else:
            self._submits.give(1)
            return answer
        answer = await self._paid(failed, partial(self._submit_once, submission, read, lane))
        self._submits.give(retry.TRANSIENT)
        return answer

    def _note_status(self, status: str) -> None:
        """Says once that the service has a new word; the cap keeps a babbling server from filling memory."""
        if status not in DOCUMENTED and status not in self._new_words and len(self._new_words) < 32:
            self._new_words.add(status)
            logger.warning("task.unknown_status", extra={"task_status": shown_text(status)[:40]})

    def _log_retry(self, wait: float) -> None:
        logger.info("request.retry", extra={"wait": wait})

    async def _ask_once(self, request: Request, read: Reader[T]) -> T:
        since: float | None = None
        while True:
            async with self.pace.permit():
                sent_at = asyncio.get_running_loop().time()
                result = await self._transport.send(request)
            refusal = self._refusal(result, sent_at)
            if refusal is not None:
                since = self._bear(refusal, since)
                continue
            answer = protocol.decipher(result, read, self._transport.secrets, self._loads)
            self._asks.give(retry.TRANSIENT)
            return answer

    async def _submit_once(self, submission: Submission, read: Reader[T], lane: Lane) -> T:
        since: float | None = None
        async with lane:
            while True:
                async with self.pace.permit(paid=True):
                    request = await self._intend(submission)
                    sent_at = asyncio.get_running_loop().time()
                    result = await self._fly(request, submission)
                refusal = self._refusal(result, sent_at)
                if refusal is not None:
                    since = self._bear(refusal, since)
                outcome = protocol.classify_submit(result, read, self._transport.secrets, self._loads)
                if isinstance(outcome, Accepted):
                    return outcome.value
                if refusal is not None or not retry.paid_is_final(outcome.error):
                    submission.not_accepted(outcome.error)
                if refusal is None:
                    raise outcome.error

    async def _intend(self, submission: Submission) -> Request:
        try:
            return await submission.sending()
        except asyncio.CancelledError:
            submission.cut(unsent=True)
            raise

    async def _fly(self, request: Request, submission: Submission) -> Response | SendFailure:
        flight = Flight()
        try:
            return await self._transport.send(request, flight)
        except asyncio.CancelledError:
            submission.cut(unsent=flight.proves_unsent)
            raise

    def _refusal(self, result: Response | SendFailure, sent_at: float) -> RateLimitedError | None:
        """Tells the gate how the service took a request. Returns the refusal that it is to be kept waiting for."""
        if isinstance(result, SendFailure):
            return None
        if result.status != 429:
            self.pace.accepted(sent_at)
            self.refusal = None
            return None
        error = protocol.error_from(result, self._transport.secrets)
        if not isinstance(error, RateLimitedError):
            return None  # it speaks of credits: no pause brings them back
        self.pace.refused(error.retry_after, sent_at)
        self.refusal = error
        return error

    def _bear(self, refusal: RateLimitedError, since: float | None) -> float:
        """Since when this call has been refused. What other calls are granted renews our patience, but not for ever.

        Raises:
            RateLimitedError: Nothing was granted for longer than our patience, or this call's turn never came.
        """
        now = asyncio.get_running_loop().time()
        since = now if since is None else since
        patience = self._policy.patience
        if self.pace.refused_for() > patience or now - since > RENEWALS * patience:
            raise refusal
        return since


async def _again(failed: list[MountseaError], once: Callable[[], Awaitable[T]]) -> T:
    if failed:
        raise failed.pop()  # the first try, made already: it counts, and its error sets the first wait
    return await once()
