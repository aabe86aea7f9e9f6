"""The settings of a client: frozen values that refuse what makes no sense, by name and value."""

from __future__ import annotations

import math
import pickle
import ssl

import attrs
import pytest

from mountsea_async.config import ClientConfig, PollPolicy, RetryPolicy, Timeouts
from mountsea_async.errors import ConfigurationError

NO_NUMBER = [None, "7", True, False, math.nan, [1]]
POSITIVE = [0, 0.0, -1, -math.inf]
NOT_NEGATIVE = [-1, -0.001, -math.inf]
BAD: list[tuple[type, str, list[object]]] = [
    (Timeouts, "connect", [*NO_NUMBER, *POSITIVE, math.inf]),
    (Timeouts, "submit", [*NO_NUMBER, *POSITIVE, math.inf]),
    (Timeouts, "poll", [*NO_NUMBER, *POSITIVE, math.inf]),
    (RetryPolicy, "max_tries", [None, "7", True, False, 0, -1, 21, 2.0, math.nan, math.inf]),
    (RetryPolicy, "base", [*NO_NUMBER, *NOT_NEGATIVE]),
    (RetryPolicy, "cap", [*NO_NUMBER, *NOT_NEGATIVE]),
    (RetryPolicy, "max_retry_after", [*NO_NUMBER, *NOT_NEGATIVE, math.inf]),
    (RetryPolicy, "patience", [*NO_NUMBER, *POSITIVE]),
    (PollPolicy, "strategy", [None, "fast", 1]),
    (PollPolicy, "price", [*NO_NUMBER, *POSITIVE, 3601]),
    (PollPolicy, "first", [value for value in [*NO_NUMBER, *POSITIVE] if value is not None]),
    (PollPolicy, "factor", [*NO_NUMBER, 0, 0.99, -1, 10.01, math.inf]),
    (PollPolicy, "cap", [value for value in [*NO_NUMBER, *POSITIVE] if value is not None]),
    (PollPolicy, "max_rate", [value for value in [*NO_NUMBER, *POSITIVE] if value is not None]),
    (PollPolicy, "stall", [*NO_NUMBER, 0, -1, 599.9]),
    (PollPolicy, "blank", [*NO_NUMBER, *NOT_NEGATIVE]),
    (PollPolicy, "not_found", [*NO_NUMBER, *NOT_NEGATIVE]),
    (ClientConfig, "shutdown", [*NO_NUMBER, -1, 60.1, math.inf]),
    (ClientConfig, "rate", [value for value in [*NO_NUMBER, *POSITIVE, math.inf] if value is not None]),
    (ClientConfig, "settle", [value for value in [*NO_NUMBER, *NOT_NEGATIVE] if value is not None]),
    (ClientConfig, "ssl_context", [True, False, "cert.pem", 7]),
    (ClientConfig, "timeouts", [None, 30, {}]),
    (ClientConfig, "retry", [None, 3]),
    (ClientConfig, "poll", [None, 2.0]),
    (ClientConfig, "json_loads", [True, "orjson", 7]),
    (ClientConfig, "trust_env", [None, "yes"]),
    (ClientConfig, "allow_http", [None, "yes"]),
    (ClientConfig, "trace_configs", [None, [], "trace", (7,), ("trace",)]),
    (ClientConfig, "proxy", [7, "", "not a url", "socks5://proxy.example:1", "proxy.example:3128"]),
]
ONE_BY_ONE = [
    pytest.param(owner, name, value, id=f"{owner.__name__}.{name}={value!r}")
    for owner, name, values in BAD
    for value in values
]


@pytest.mark.parametrize(("owner", "name", "value"), ONE_BY_ONE)
def test_a_value_that_makes_no_sense_is_refused_by_name_and_value(owner: type, name: str, value: object) -> None:
    with pytest.raises(ConfigurationError) as caught:
        owner(**{name: value})
    assert name in str(caught.value)
    if name != "proxy":  # it may hold credentials
        assert repr(value) in str(caught.value)


def test_every_setting_has_a_row_of_bad_values_here() -> None:
    settings = {
        (owner, field.name)
        for owner in (Timeouts, RetryPolicy, PollPolicy, ClientConfig)
        for field in attrs.fields(owner)
    }
    assert settings == {(owner, name) for owner, name, _ in BAD}


@pytest.mark.parametrize(
    ("owner", "values"),
    [
        (Timeouts, {"connect": 0.001, "submit": 3600, "poll": 1}),
        (RetryPolicy, {"max_tries": 1, "base": 0, "cap": 0, "max_retry_after": 0, "patience": 0.5}),
        (RetryPolicy, {"max_tries": 20}),
        (
            PollPolicy,
            {"first": 0.01, "factor": 1, "cap": 0.1, "max_rate": 0.1, "stall": 600, "blank": 0, "not_found": 0},
        ),
        (PollPolicy, {"factor": 10, "stall": 86400, "strategy": "backoff", "price": 0.01}),
        (PollPolicy, {"first": None, "cap": None, "max_rate": None, "price": 3600}),
        (ClientConfig, {"shutdown": 0, "settle": 0, "trust_env": True, "allow_http": True}),
        (ClientConfig, {"shutdown": 60, "proxy": "http://proxy.example:3128"}),
        (ClientConfig, {"ssl_context": ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)}),
    ],
)
def test_values_at_the_edges_pass(owner: type, values: dict[str, object]) -> None:
    made = owner(**values)
    assert {name: getattr(made, name) for name in values} == values


def test_the_defaults_are_those_of_the_documentation() -> None:
    config = ClientConfig()
    assert attrs.astuple(config.timeouts) == (10, 60, 30)
    assert attrs.astuple(config.retry) == (8, 0.5, 20, 120, 600)
    assert attrs.astuple(config.poll) == ("learned", 0.75, None, 1.5, None, None, 600, 30, 60)
    assert (config.shutdown, config.settle) == (10, None)
    assert (config.trust_env, config.proxy, config.ssl_context, config.allow_http) == (False, None, None, False)


@pytest.mark.parametrize(
    ("policy", "bounds"),
    [
        (PollPolicy(), (1, 10)),
        (PollPolicy(strategy="backoff"), (2, 30)),
        (PollPolicy(first=40), (40, 40)),
        (PollPolicy(cap=0.5), (0.5, 0.5)),
        (PollPolicy(strategy="backoff", first=3, cap=60), (3, 60)),
    ],
)
def test_the_waits_that_were_not_set_follow_the_strategy_and_one_another(
    policy: PollPolicy, bounds: tuple[float, float]
) -> None:
    assert policy.bounds == bounds


@pytest.mark.parametrize(
    "made", [Timeouts(), RetryPolicy(), PollPolicy(), ClientConfig()], ids=lambda m: type(m).__name__
)
def test_settings_are_frozen_comparable_and_can_be_copied_with_a_change(made: object) -> None:
    field = attrs.fields(type(made))[0].name  # type: ignore[arg-type]
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        setattr(made, field, 1)
    assert made == type(made)()
    assert hash(made) == hash(type(made)())
    assert pickle.loads(pickle.dumps(made)) == made  # noqa: S301 - our own bytes


def test_settings_that_differ_are_not_equal() -> None:
    assert ClientConfig(timeouts=Timeouts(submit=61)) != ClientConfig()
    assert attrs.evolve(RetryPolicy(), base=1) == RetryPolicy(base=1)


def test_a_change_is_checked_too() -> None:
    with pytest.raises(ConfigurationError):
        attrs.evolve(Timeouts(), submit=-1)


def test_settings_are_given_by_name() -> None:
    with pytest.raises(TypeError):
        Timeouts(1, 2, 3)  # type: ignore[misc]


def test_a_proxys_credentials_are_not_shown() -> None:
    config = ClientConfig(proxy="http://user:5wordfish@proxy.example:3128")
    assert "5wordfish" not in repr(config) + str(config)


@pytest.mark.parametrize("proxy", ["socks5://user:5wordfish@h.example:1", "user:5wordfish@h.example:1"])
def test_a_proxy_that_is_refused_does_not_show_its_credentials(proxy: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        ClientConfig(proxy=proxy)
    assert "5wordfish" not in str(caught.value)
