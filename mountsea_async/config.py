"""The settings of a client, as frozen values that refuse what makes no sense.

Only values and their checks live here; what is done with them is in `wire/` and `upload/`.
All times are seconds.
"""

from __future__ import annotations

import math
import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

import attrs

from . import redact
from .errors import ConfigurationError

if TYPE_CHECKING:
    import aiohttp

__all__ = ["MAX_IN_FLIGHT", "ClientConfig", "PollPolicy", "RetryPolicy", "Timeouts"]

MAX_IN_FLIGHT = 100
"""Requests in flight at once, submits and polls together, that a client never exceeds."""


def _refuse(owner: Any, attribute: attrs.Attribute[Any], value: Any, way_out: str) -> ConfigurationError:
    return ConfigurationError(f"{type(owner).__name__}({attribute.name}={value!r}): give {way_out}")


def _number(low: float, high: float = math.inf, *, above: bool = False) -> Callable[..., None]:
    bounds = (f"more than {low}" if above else f"at least {low}") + (f" and at most {high}" if high < math.inf else "")

    def check(owner: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise _refuse(owner, attribute, value, f"a number, {bounds}")
        if value < low or value > high or (above and value == low):
            raise _refuse(owner, attribute, value, bounds)

    return check


def _whole(low: int, high: int) -> Callable[..., None]:
    def check(owner: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise _refuse(owner, attribute, value, f"a whole number from {low} to {high}")

    return check


@attrs.frozen(kw_only=True)
class Timeouts:
    """How long one attempt of a request may take.

    Attributes:
        connect: To open a connection (default 10).
        submit: From the moment a paid request is admitted to its whole answer (default 60). Long on purpose:
            a paid request that we stop waiting for has an unknown outcome.
        poll: The same for everything that costs nothing (default 30).
    """

    connect: float = attrs.field(default=10.0, validator=_number(0, above=True))
    submit: float = attrs.field(default=60.0, validator=_number(0, above=True))
    poll: float = attrs.field(default=30.0, validator=_number(0, above=True))


@attrs.frozen(kw_only=True)
class RetryPolicy:
    """How a request is repeated that provably was not processed, or that costs nothing.

    A 429 uses up no try: it pauses all requests of the client, for as long as the service says.

    Attributes:
        max_tries: Attempts in all, the first included (1 to 20, default 8). What costs nothing is tried at most five
            times: whoever waits for it should be told.
        base: The first wait is drawn from 0 to this; it doubles from try to try (default 0.5).
        cap: No wait is longer than this (default 20).
        max_retry_after: A longer `Retry-After` is cut to this (default 120).
        patience: So long may the service accept nothing but answer 429 before we give up (default 600).
    """

    max_tries: int = attrs.field(default=8, validator=_whole(1, 20))
    base: float = attrs.field(default=0.5, validator=_number(0))
    cap: float = attrs.field(default=20.0, validator=_number(0))
    max_retry_after: float = attrs.field(default=120.0, validator=_number(0))
    patience: float = attrs.field(default=600.0, validator=_number(0, above=True))


@attrs.frozen(kw_only=True)
class PollPolicy:
    """When pending tasks are asked for, and when we stop.

    Attributes:
        strategy: "learned" (the default) reads the session's list of clips, learns from it and from what was found how
            fast uploads end and which are worked on, and asks the tasks that have probably ended. "backoff" asks each
            task by itself, after waits that grow from `first` by `factor` up to `cap`, as the service recommends.
        price: How many seconds of lag one request is worth (default 0.75): a task is asked when it is expected to have
            been ended for about so long. More of it means fewer requests and later news. Of no use to "backoff".
        first: The wait before a task is asked for the first time and, learned, the shortest between two readings of
            the list; where only the end of a short batch matters, its last few are waited for less. None (the
            default): 1 if learned, else 2.
        factor: The wait of the backoff grows by this factor from ask to ask (1 to 10, default 1.5).
        cap: The longest wait of the backoff and, learned, between two readings of the list while lag matters. None
            (the default): 10 if learned, else 30.
        max_rate: Polls a second that a session stays below, also where the service would allow more. None (the
            default): 20, or a fifth of the batch where that is more.
        stall: A batch in which nothing ends, lands or is accepted for this long is given up; at least 600, and
            never less than six times the mean gap between its completions (default 600).
        blank: So long is a task asked again that ended with success but names no clip yet (default 30).
        not_found: So long may an accepted task answer 404 before it counts as lost (default 60).
    """

    strategy: Literal["learned", "backoff"] = attrs.field(default="learned")
    price: float = attrs.field(default=0.75, validator=_number(0, 3600, above=True))
    first: float | None = attrs.field(default=None, validator=attrs.validators.optional(_number(0, above=True)))
    factor: float = attrs.field(default=1.5, validator=_number(1, 10))
    cap: float | None = attrs.field(default=None, validator=attrs.validators.optional(_number(0, above=True)))
    max_rate: float | None = attrs.field(default=None, validator=attrs.validators.optional(_number(0, above=True)))
    stall: float = attrs.field(default=600.0, validator=_number(600))
    blank: float = attrs.field(default=30.0, validator=_number(0))
    not_found: float = attrs.field(default=60.0, validator=_number(0))

    @strategy.validator
    def _known(self, attribute: attrs.Attribute[str], value: object) -> None:
        if value not in ("learned", "backoff"):
            raise _refuse(self, attribute, value, '"learned" or "backoff"')

    @property
    def bounds(self) -> tuple[float, float]:
        """The shortest wait and the longest, with what the strategy takes where nothing was set."""
        usual_first, usual_cap = (1.0, 10.0) if self.strategy == "learned" else (2.0, 30.0)
        first = usual_first if self.first is None else self.first
        cap = max(usual_cap, first) if self.cap is None else self.cap
        return min(cap, first), cap


def _a(kind: type, *, optional: bool = False) -> Callable[..., None]:
    def check(owner: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
        if not (isinstance(value, kind) or (optional and value is None)):
            raise _refuse(owner, attribute, value, f"a {kind.__name__}" + (", or None" if optional else ""))

    return check


def _callable(owner: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    if value is not None and not callable(value):
        raise _refuse(owner, attribute, value, "a function such as orjson.loads, or None")


def _traces(owner: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    # Known by what they do: aiohttp isn't imported before it is needed.
    if not isinstance(value, tuple) or not all(callable(getattr(each, "trace_config_ctx", None)) for each in value):
        raise _refuse(owner, attribute, value, "a tuple of aiohttp.TraceConfig")


def _proxy(owner: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    if value is None:
        return
    try:
        parts = urlsplit(value)
        good = isinstance(value, str) and parts.scheme in ("http", "https") and parts.hostname
    except (ValueError, AttributeError, TypeError):
        good = False
    if not good:
        shown = redact.shown_url(value) if isinstance(value, str) else value
        raise _refuse(owner, attribute, shown, "an address such as http://proxy.example:3128, or None")


@attrs.frozen(kw_only=True)
class ClientConfig:
    """Everything about a client that isn't its key or its address.

    Attributes:
        timeouts: How long an attempt may take.
        retry: How a request is repeated.
        poll: When tasks are asked for.
        rate: Requests a second that the key may send, if you know it: they go at this rate from the start, evenly, and
            slower if the service refuses all the same. None (the default) learns it from refusals. A `pace` that is
            given to the client has a rate of its own.
        shutdown: So long do requests that were sent get for their answer when a batch is cancelled or its
            deadline passes (default 10).
        settle: So long may a clip still appear in the session's list after its upload's answer was lost or its task
            timed out; then it
            counts as absent. None (the default) derives it from the batch's own uploads: twice the slowest and 20
            seconds (four times, while fewer than five have ended), from 15 to 300; 300 before any has ended.
        trust_env: Take proxies from the environment; such a proxy sees where requests go (default no).
        proxy: A proxy's URL; may hold credentials, so it is never shown.
        ssl_context: For a private certificate authority or client certificates.
        allow_http: Let the key travel over plain http to a host that isn't loopback (default no).
        json_loads: A faster parser of JSON than the standard one, such as `orjson.loads`; takes bytes, raises a
            `ValueError` at what it can't read, and then the standard one is asked. None (the default) takes that alone.
        trace_configs: `aiohttp.TraceConfig`s for the requests to the service, such as the official OpenTelemetry
            instrumentation makes. They may see each request's headers, and so the key. They go with the connections
            that the client opens; a borrowed `http` session brings its own. `preflight` doesn't use them.
    """

    timeouts: Timeouts = attrs.field(factory=Timeouts, validator=_a(Timeouts))
    retry: RetryPolicy = attrs.field(factory=RetryPolicy, validator=_a(RetryPolicy))
    poll: PollPolicy = attrs.field(factory=PollPolicy, validator=_a(PollPolicy))
    rate: float | None = attrs.field(default=None, validator=attrs.validators.optional(_number(0, above=True)))
    shutdown: float = attrs.field(default=10.0, validator=_number(0, 60))
    settle: float | None = attrs.field(default=None, validator=attrs.validators.optional(_number(0, 300)))
    trust_env: bool = attrs.field(default=False, validator=_a(bool))
    proxy: str | None = attrs.field(default=None, repr=False, validator=_proxy)
    ssl_context: ssl.SSLContext | None = attrs.field(default=None, validator=_a(ssl.SSLContext, optional=True))
    allow_http: bool = attrs.field(default=False, validator=_a(bool))
    json_loads: Callable[[bytes], Any] | None = attrs.field(default=None, validator=_callable)
    trace_configs: tuple[aiohttp.TraceConfig, ...] = attrs.field(default=(), validator=_traces)
