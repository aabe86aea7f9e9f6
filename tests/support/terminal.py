"""Commands run in this process against an emulator over real sockets, by a client that doesn't wait long."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import attrs
import pytest

from mountsea_async import ClientConfig, MountseaClient, PollPolicy
from mountsea_async.cli import balance, generate, resume, upload
from mountsea_async.cli.entry import run
from mountsea_async.testing import Behaviour, Emulator, Fault, Fixed

from .names import KEY

QUICK = ClientConfig(poll=PollPolicy(first=0.05, cap=0.1), settle=0.5)


@attrs.frozen
class Done:
    code: int
    out: str
    err: str


def until(holds: Callable[[], object], what: str) -> None:
    """Waits until it holds, within bounds."""
    end = time.monotonic() + 40.0
    while not holds():
        assert time.monotonic() < end, f"not in time: {what}"
        time.sleep(0.01)


class Terminal:
    """Runs commands. Nothing that they print holds a secret."""

    def __init__(self, patch: pytest.MonkeyPatch, captured: pytest.CaptureFixture[str]) -> None:
        self.patch = patch
        self._captured = captured
        for room in (upload, resume, generate, balance):
            patch.setattr(room, "make_client", quick_client)

    def __call__(self, *arguments: str) -> Done:
        code = run(arguments)
        out, err = self._captured.readouterr()
        for word in (KEY, "SECRETSIGNATURE", "Traceback"):
            assert word not in out + err
        return Done(code, out, err)

    def points_to(self, emulator: Emulator) -> None:
        self.patch.setenv("MOUNTSEA_API_KEY", KEY)
        self.patch.setenv("MOUNTSEA_BASE_URL", emulator.base_url)


def quick_client(base_url: str | None, balance_url: str | None = None) -> MountseaClient:
    return MountseaClient(base_url=base_url, balance_url=balance_url, config=QUICK)


@contextmanager
def serving(mountsea: Terminal, *faults: Fault, **behaviour: Any) -> Iterator[Emulator]:
    made = Behaviour(faults=faults, **{"durations": Fixed(0.01), "training": Fixed(0.2), **behaviour})
    with Emulator(made, api_key=KEY).in_thread() as emulator:
        mountsea.points_to(emulator)
        yield emulator
