"""How the emulated service behaves when nothing is broken on purpose: frozen values, checked when made.

What may live here: settings and the distributions that they name. Faults are in `faults`; nothing here acts.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, Protocol

import attrs

from mountsea_async.testing.faults import Fault

if TYPE_CHECKING:
    import random

_Check = Callable[[Any, "attrs.Attribute[Any]", Any], None]


def _complain(owner: object, field: attrs.Attribute[Any], value: object, must: str) -> ValueError:
    return ValueError(f"{type(owner).__name__}.{field.name} must be {must}, got {value!r}")


def _number(low: float, high: float = math.inf, *, above: bool = False, none: bool = False) -> _Check:
    """A validator for a finite number from `low` (itself left out when `above`) to `high`."""
    bound = f"above {low:g}" if above else f"at least {low:g}"
    must = f"a number {bound}" + (f" and at most {high:g}" if high < math.inf else "") + (" or None" if none else "")

    def check(owner: object, field: attrs.Attribute[Any], value: Any) -> None:
        if none and value is None:
            return
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise _complain(owner, field, value, must)
        if value > high or value < low or (above and value == low):
            raise _complain(owner, field, value, must)

    return check


def _integer(low: int | None, *, none: bool = False) -> _Check:
    must = "an integer" + ("" if low is None else f" of at least {low}") + (" or None" if none else "")

    def check(owner: object, field: attrs.Attribute[Any], value: Any) -> None:
        if none and value is None:
            return
        if isinstance(value, bool) or not isinstance(value, int) or (low is not None and value < low):
            raise _complain(owner, field, value, must)

    return check


def _one_of(*words: str) -> _Check:
    def check(owner: object, field: attrs.Attribute[Any], value: Any) -> None:
        if value not in words:
            raise _complain(owner, field, value, "one of " + ", ".join(map(repr, words)))

    return check


def _draws(owner: object, field: attrs.Attribute[Any], value: Any) -> None:
    if not callable(getattr(value, "draw", None)):
        raise _complain(owner, field, value, "Uniform, LogNormal, Fixed or another value with draw(rng)")


def _flag(owner: object, field: attrs.Attribute[Any], value: Any) -> None:
    if not isinstance(value, bool):
        raise _complain(owner, field, value, "True or False")


class Durations(Protocol):
    """How long uploads, or other work, take: anything with a `draw` that turns a random source into seconds."""

    def draw(self, rng: random.Random, /) -> float:
        """Return one duration in seconds, 0 or more."""
        ...


@attrs.frozen
class Fixed:
    """All take the same time.

    Args:
        seconds: 0 or more.
    """

    seconds: float = attrs.field(validator=_number(0))

    def draw(self, rng: random.Random, /) -> float:
        """Return `seconds`."""
        return float(self.seconds)


@attrs.frozen
class Uniform:
    """Durations spread evenly between two bounds.

    Args:
        low: the shortest, in seconds, 0 or more.
        high: the longest, in seconds, at least `low`.
    """

    low: float = attrs.field(validator=_number(0))
    high: float = attrs.field(validator=_number(0))

    @high.validator
    def _ordered(self, field: attrs.Attribute[float], value: float) -> None:
        if value < self.low:
            raise _complain(self, field, value, f"at least low ({self.low:g})")

    def draw(self, rng: random.Random, /) -> float:
        """Return a number of seconds between the bounds."""
        return rng.uniform(self.low, self.high)


@attrs.frozen
class LogNormal:
    """Durations with a long tail, as real queues have them.

    Args:
        median: half of the uploads are faster, in seconds, above 0.
        sigma: the spread of the logarithm, 0 or more; 0.5 puts one upload in twenty beyond 2.3 medians.
    """

    median: float = attrs.field(validator=_number(0, above=True))
    sigma: float = attrs.field(validator=_number(0))

    def draw(self, rng: random.Random, /) -> float:
        """Return a number of seconds above 0."""
        return rng.lognormvariate(math.log(self.median), self.sigma)


@attrs.frozen
class RateLimit:
    """A token bucket over all authorized requests; beyond it the service answers 429.

    Args:
        rate: requests a second in the long run, above 0.
        burst: how many may come at once, 1 or more.
        retry_after: the form of the `Retry-After` header: whole seconds, an HTTP date, or no header.
    """

    rate: float = attrs.field(validator=_number(0, above=True))
    burst: int = attrs.field(default=1, validator=_integer(1))
    retry_after: Literal["seconds", "date", "none"] = attrs.field(
        default="seconds", validator=_one_of("seconds", "date", "none")
    )


@attrs.frozen(kw_only=True)
class Behaviour:
    """How the emulated service behaves. The defaults are a healthy service, faster than the real one.

    Args:
        durations: how long an upload takes once the account works on it.
        training: how long the making of a custom model takes; it waits for no uploads.
        generation: how long a generation takes, and each half of making a voice persona.
        phrase_seconds: how long a voice persona waits for the recording of its phrase, 0 or more.
        parallel: how many uploads an account runs at once, 1 or more; None: all.
        order: whose turn it is when a place becomes free: `fifo`, first come first served; `random`, drawn.
        latency: seconds before each answer (what was asked is done on arrival).
        fail_share: the share of uploads that end `failed`, 0 to 1, drawn under the seed.
        timeout_share: the share that ends `timeout`, 0 to 1; both shares together at most 1.
        late_after: an upload that ended `failed` or `timeout` by its share lands in `audioIds` all the same,
            so many seconds later; None: never.
        append_lag: seconds between an upload's success and its id in `audioIds`.
        vocabulary: `current` starts a task as `queued`, `older` as `ready`.
        upper_case: statuses as the service's prose writes them (`READY`, `FAILED`).
        result_field: the name under which a task carries its result.
        fail_code: failure codes as numbers, or as words such as `AUDIO_SOURCE_NOT_FOUND`.
        message: the shape of `message` in the answer to an invalid request.
        rate_limit: None: no limit.
        credits: what the key may spend before what costs something is answered 402, 0 or more; None: endless, and
            told as a million less what was spent.
        price: credits an upload costs, 0 or more, charged when its task is created whatever becomes of it.
        train_price: credits a custom model costs, as often as its creation is asked for.
        generate_price: credits a generation costs.
        accounts: how many there are, 1 or more: a session binds one at random, a single upload draws one. There are
            as many again for custom models alone.
        seed: the same requests in the same order under the same seed get the same ids and ends.
        faults: what is broken on purpose; the first rule that matches a request wins.

    Raises:
        ValueError: a field is out of its range; the message names the field and the value.
    """

    durations: Durations = attrs.field(default=Uniform(0.4, 0.8), validator=_draws)
    training: Durations = attrs.field(default=Uniform(0.6, 0.9), validator=_draws)
    generation: Durations = attrs.field(default=Uniform(0.4, 0.8), validator=_draws)
    phrase_seconds: float = attrs.field(default=30.0, validator=_number(0))
    parallel: int | None = attrs.field(default=None, validator=_integer(1, none=True))
    order: Literal["fifo", "random"] = attrs.field(default="fifo", validator=_one_of("fifo", "random"))
    latency: float = attrs.field(default=0.0, validator=_number(0))
    fail_share: float = attrs.field(default=0.0, validator=_number(0, 1))
    timeout_share: float = attrs.field(default=0.0, validator=_number(0, 1))
    late_after: float | None = attrs.field(default=None, validator=_number(0, none=True))
    append_lag: float = attrs.field(default=0.0, validator=_number(0))
    vocabulary: Literal["current", "older"] = attrs.field(default="current", validator=_one_of("current", "older"))
    upper_case: bool = attrs.field(default=False, validator=_flag)
    result_field: Literal["data", "result"] = attrs.field(default="data", validator=_one_of("data", "result"))
    fail_code: Literal["number", "token"] = attrs.field(default="number", validator=_one_of("number", "token"))
    message: Literal["string", "list"] = attrs.field(default="list", validator=_one_of("string", "list"))
    rate_limit: RateLimit | None = attrs.field(default=None)
    credits: int | None = attrs.field(default=None, validator=_integer(0, none=True))
    price: int = attrs.field(default=1, validator=_integer(0))
    train_price: int = attrs.field(default=100, validator=_integer(0))
    generate_price: int = attrs.field(default=40, validator=_integer(0))
    accounts: int = attrs.field(default=4, validator=_integer(1))
    seed: int = attrs.field(default=0, validator=_integer(None))
    faults: tuple[Fault, ...] = attrs.field(default=())

    @timeout_share.validator
    def _shares(self, field: attrs.Attribute[float], value: float) -> None:
        if self.fail_share + value > 1:
            raise _complain(self, field, value, f"at most 1 together with fail_share ({self.fail_share:g})")

    @rate_limit.validator
    def _limit(self, field: attrs.Attribute[RateLimit | None], value: object) -> None:
        if value is not None and not isinstance(value, RateLimit):
            raise _complain(self, field, value, "a RateLimit or None")

    @faults.validator
    def _rules(self, field: attrs.Attribute[tuple[Fault, ...]], value: object) -> None:
        if not isinstance(value, tuple) or not all(isinstance(fault, Fault) for fault in value):
            raise _complain(self, field, value, "a tuple of Fault")
