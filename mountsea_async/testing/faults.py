"""What can be broken on purpose, and when: rules choose requests, effects say what happens to them.

What may live here: frozen effects, the rule `Fault`, and the rule book that counts requests and chooses. How
an effect reaches the wire is in `delivery`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import attrs

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Mapping

Endpoint: TypeAlias = Literal[
    "prepare",
    "item",
    "upload",
    "status",
    "model_prepare",
    "model_upload",
    "model_create",
    "playlist",
    "vox_stem",
    "persona",
    "generate",
    "schema",
    "voice_init",
    "voice_complete",
    "credits",
]
_ENDPOINTS = (*get_args(Endpoint), "any")
# Those whose requests create a task that ends, name an audio URL (or a task that has one), or name a session.
_CREATING = ("item", "upload", "model_upload", "model_create", "generate", "voice_init", "voice_complete")
_WITH_URL = ("item", "upload", "model_upload", "generate", "voice_init", "voice_complete", "status", "any")
_WITH_SESSION = ("item", "model_upload", "model_create")
_ENDS = ("success", "failed", "timeout", "blank", "late")


def _seconds(owner: object, field: attrs.Attribute[Any], value: Any) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise ValueError(f"{type(owner).__name__}.{field.name} must be 0 or more seconds, got {value!r}")


def _share(owner: object, field: attrs.Attribute[Any], value: Any) -> None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1):
        raise ValueError(f"{type(owner).__name__}.{field.name} must be between 0 and 1, got {value!r}")


@attrs.frozen
class Answer:
    """Answer this instead of the service's own answer.

    Args:
        status: the HTTP status, 200 to 599.
        body: the raw body, sent as it is; None: an error body in the service's usual shape.
        headers: further headers; `Content-Type` is JSON unless given here.
        after_work: the service has done the work first (task created and charged), as behind a gateway that
            lost its answer; False: the request never reached it.
    """

    status: int = attrs.field()
    body: str | bytes | None = None
    headers: Mapping[str, str] = attrs.field(factory=dict)
    after_work: bool = False

    @status.validator
    def _known(self, _field: object, value: object) -> None:
        if isinstance(value, bool) or not isinstance(value, int) or not 200 <= value <= 599:
            raise ValueError(f"Answer.status must be an HTTP status from 200 to 599, got {value!r}")


@attrs.frozen
class Cut:
    """Break the connection and answer nothing.

    Args:
        after_work: break it after the work was done; False: the work is never done.
        graceful: end the stream in order (FIN); False: reset it.
    """

    after_work: bool = False
    graceful: bool = False


@attrs.frozen
class Hang:
    """Keep the connection open and answer nothing.

    Args:
        after_work: the work is done before the silence; False: after it, or never.
        seconds: how long the silence lasts before the usual answer and, unless `after_work`, before the work,
            which is done even when the caller has gone; None: until the caller leaves or the emulator stops.
    """

    after_work: bool = False
    seconds: float | None = attrs.field(default=None, validator=_seconds)


@attrs.frozen
class Truncate:
    """Do the work, announce the whole answer, send a part of it and close.

    Args:
        keep: the share of the body that is sent, 0 to 1.
    """

    keep: float = attrs.field(default=0.5, validator=_share)


@attrs.frozen
class Drip:
    """Do the work and send the answer's body byte by byte.

    Args:
        seconds_per_byte: 0 or more.
    """

    seconds_per_byte: float = attrs.field(validator=_seconds)


@attrs.frozen
class LoseAccount:
    """The account of the request's session breaks: it takes nothing any more, what is unfinished ends failed."""


@attrs.frozen
class RevokeKey:
    """The key stops being good: this request and every later one is answered 401."""


@attrs.frozen
class Outcome:
    """Decide how the task that this request creates ends.

    Args:
        ends: `success`, `failed`, `timeout`; `blank`: success with null data while the clip is in `audioIds`;
            `late`: timeout, and the clip appears in `audioIds` afterwards. Where no `audioIds` exist, nobody can
            learn what a blank or late task has made.
        fail_code: the `failCode` of a failed task; None: the usual one.
        fail_reason: the `failReason` of a failed or timed out task; None: the usual one.
        duration: seconds of work; None: drawn as for any other.
        late_after: for `late`: seconds from the timeout to the clip's appearance; None: the behaviour's
            `late_after`, and 1 second where that is None too.
    """

    ends: Literal["success", "failed", "timeout", "blank", "late"] = attrs.field()
    fail_code: int | str | None = None
    fail_reason: str | None = None
    duration: float | None = attrs.field(default=None, validator=_seconds)
    late_after: float | None = attrs.field(default=None, validator=_seconds)

    @ends.validator
    def _known(self, _field: object, value: object) -> None:
        if value not in _ENDS:
            raise ValueError(f"Outcome.ends must be one of {', '.join(_ENDS)}, got {value!r}")


@attrs.frozen
class Reshape:
    """Change top-level fields of the usual answer, if that is a JSON object under a 2xx status.

    Args:
        fields: what to set; None as a value removes the field.
    """

    fields: Mapping[str, object]


Effect: TypeAlias = Answer | Cut | Hang | Truncate | Drip | LoseAccount | RevokeKey | Outcome | Reshape


def rate_limited(retry_after: float | str | None = 7) -> Answer:
    """429 with `Retry-After` as given (seconds or any text); None: without the header."""
    return Answer(429, headers={} if retry_after is None else {"Retry-After": str(retry_after)})


def no_account() -> Answer:
    """503 as the service says it when no account can take the work."""
    return Answer(503, '{"statusCode":503,"message":"No available account","error":"Service Unavailable"}')


def html(status: int = 502, *, after_work: bool = False) -> Answer:
    """A gateway's HTML page in place of JSON."""
    page = f"<html><head><title>{status}</title></head><body><h1>{status}</h1><hr>gateway</body></html>"
    return Answer(status, page, {"Content-Type": "text/html"}, after_work=after_work)


def unauthorized() -> Answer:
    """401 once, without revoking the key."""
    return Answer(401, '{"statusCode":401,"message":"Unauthorized"}')


def out_of_credits(status: int = 402) -> Answer:
    """A refusal that says the credits are used up, under the given status."""
    return Answer(status, f'{{"statusCode":{status},"message":"Insufficient credits"}}')


def redirect(location: str, status: int = 307) -> Answer:
    """A redirect to `location`."""
    return Answer(status, b"", {"Location": location})


def _ordinals(value: int | Collection[int] | None) -> frozenset[int] | None:
    if value is None:
        return None
    return frozenset(value) if isinstance(value, Collection) else frozenset((value,))


def _counting(low: int) -> Callable[[object, attrs.Attribute[Any], Any], None]:
    """A validator for an integer, or a set of them, of at least `low`; None is one that was not given."""

    def check(_owner: object, field: attrs.Attribute[Any], given: Any) -> None:
        for value in given if isinstance(given, frozenset) else () if given is None else (given,):
            if isinstance(value, bool) or not isinstance(value, int) or value < low:
                raise ValueError(f"Fault.{field.name} must be an integer of at least {low}, got {value!r}")

    return check


@attrs.frozen
class Fault:
    """A rule: to which requests an effect happens. Selectors that are given must all hold.

    Requests are counted from 1 since the emulator's construction, for each endpoint alone; with `on="any"`
    over all of them.

    Args:
        effect: what happens.
        on: the endpoint; `any`: every request, unknown paths included.
        nth: this request, or these.
        every: each request whose number is a multiple of this, 1 or more.
        after: the requests beyond this number, 0 or more.
        url: a shell pattern (`*`, `?`, `[...]`) on the audio URL: of the body, or of the upload that is polled.
        share: the share of the requests that is hit, 0 to 1, drawn under the seed.
        times: at most so often, 1 or more.

    Raises:
        ValueError: a selector is out of range, or the effect has no meaning on that endpoint.
    """

    effect: Effect
    on: Endpoint | Literal["any"] = attrs.field(default="item", kw_only=True)
    nth: frozenset[int] | None = attrs.field(default=None, converter=_ordinals, validator=_counting(1), kw_only=True)
    every: int | None = attrs.field(default=None, validator=_counting(1), kw_only=True)
    after: int | None = attrs.field(default=None, validator=_counting(0), kw_only=True)
    url: str | None = attrs.field(default=None, kw_only=True)
    share: float | None = attrs.field(default=None, validator=_share, kw_only=True)
    times: int | None = attrs.field(default=None, validator=_counting(1), kw_only=True)

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.effect, Effect):
            raise ValueError(  # noqa: TRY004 - every refused setting is a ValueError
                f"Fault.effect must be an effect such as Cut() or Answer(502), got {self.effect!r}"
            )
        if self.on not in _ENDPOINTS:
            raise ValueError(f"Fault.on must be one of {', '.join(_ENDPOINTS)}, got {self.on!r}")
        if self.url is not None and self.on not in _WITH_URL:
            raise ValueError(f"Fault.url selects by audio URL, which a {self.on} request has not: {self.url!r}")
        for effect, meant in ((Outcome, _CREATING), (LoseAccount, _WITH_SESSION)):
            if isinstance(self.effect, effect) and self.on not in meant:
                raise ValueError(f"Fault.on must be one of {', '.join(meant)} for {effect.__name__}, got {self.on!r}")


@attrs.define
class _Rule:
    fault: Fault
    used: int = 0


class RuleBook:
    """Counts requests and chooses the first rule that matches each."""

    def __init__(self, faults: Collection[Fault], rng: random.Random) -> None:
        # Replaced as a whole, never changed in place: a test may add rules from another thread.
        self._rules: tuple[_Rule, ...] = tuple(_Rule(fault) for fault in faults)
        self._rng = rng
        self._seen: Counter[str] = Counter()

    def add(self, fault: Fault) -> None:
        """Add a rule behind those that exist."""
        self._rules = (*self._rules, _Rule(fault))

    def clear(self) -> None:
        """Forget every rule; the counts go on."""
        self._rules = ()

    def choose(self, endpoint: str, audio_url: str | None) -> Effect | None:
        """Count one request and return what is to happen to it; None: nothing unusual."""
        self._seen[endpoint] += 1
        self._seen["any"] += 1
        for rule in self._rules:
            if self._holds(rule, endpoint, audio_url):
                rule.used += 1
                return rule.fault.effect
        return None

    def _holds(self, rule: _Rule, endpoint: str, audio_url: str | None) -> bool:
        fault = rule.fault
        if fault.on not in ("any", endpoint):
            return False
        number = self._seen[fault.on]
        holds = (
            (fault.nth is None or number in fault.nth)
            and (fault.every is None or number % fault.every == 0)
            and (fault.after is None or number > fault.after)
            and (fault.url is None or (audio_url is not None and fnmatchcase(audio_url, fault.url)))
            and (fault.times is None or rule.used < fault.times)
        )
        # Drawn last, so that a rule that cannot hold uses up no random number.
        return holds and (fault.share is None or self._rng.random() < fault.share)
