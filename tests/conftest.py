"""What all tests share: simulated time, emulators whose requests are checked, and no secret in any log."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from typing import Any

import pytest
from support.contract import check_calls
from support.names import KEY
from support.simulated_time import JumpingLoop

from mountsea_async import ClientConfig, MountseaClient
from mountsea_async.testing import Emulator


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    if item.get_closest_marker("e2e"):
        return {"real": asyncio.SelectorEventLoop}
    return {"simulated": JumpingLoop}


class Records(logging.Handler):
    """Every record of the root logger, with everything that it says."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture(autouse=True)
def no_secret_is_logged() -> Iterator[None]:
    handler, root = Records(), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield
    root.removeHandler(handler)
    root.setLevel(level)
    formatter = logging.Formatter()
    for record in handler.records:
        assert KEY not in formatter.format(record)
        assert KEY not in repr(record.__dict__)


_STATE_FOLDERS = itertools.count()


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    # Each test a state directory of its own, which is made when a journal is.
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.getbasetemp() / f"state-{next(_STATE_FOLDERS)}"))
    ours = ("MOUNTSEA_API_KEY", "MOUNTSEA_BASE_URL", "MOUNTSEA_BALANCE_URL")
    for name in (*ours, "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def every_request_keeps_to_the_contract(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    emulators: list[Emulator] = []
    construct = Emulator.__init__

    def constructed(self: Emulator, *arguments: Any, **settings: Any) -> None:
        construct(self, *arguments, **settings)
        emulators.append(self)

    monkeypatch.setattr(Emulator, "__init__", constructed)
    yield
    for emulator in emulators:
        check_calls(emulator.ledger.calls)


class World:
    """One emulator and one client of it, in the test's own loop."""

    def __init__(self, emulator: Emulator, client: MountseaClient) -> None:
        self.emulator = emulator
        self.client = client
        self.ledger = emulator.ledger


@pytest.fixture
async def world() -> AsyncIterator[Callable[..., object]]:
    """`w = await world(Behaviour(...), config=...)`: an emulator and an open client."""
    async with AsyncExitStack() as stack:

        async def make(*behaviour: object, config: ClientConfig | None = None, **settings: object) -> World:
            emulator = await stack.enter_async_context(Emulator(*behaviour, api_key=KEY))  # type: ignore[arg-type]
            client = MountseaClient(KEY, base_url=emulator.base_url, config=config, **settings)  # type: ignore[arg-type]
            return World(emulator, await stack.enter_async_context(client))

        yield make


@pytest.fixture
def mountsea(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs commands of `mountsea` in this process."""
    from support.terminal import Terminal  # noqa: PLC0415 - few tests run commands, and those need the extra

    return Terminal(monkeypatch, capsys)
