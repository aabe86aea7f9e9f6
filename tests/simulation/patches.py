"""What makes a world repeatable: everything that a program may ask for the time or for chance answers from it.

What may live here: patches, each undone when the world has ended.
"""

# ruff: noqa: S311 - chance is seeded here on purpose, and protects nothing
from __future__ import annotations

import contextlib
import gc
import logging
import os
import platform
import random
import sqlite3
import sys
import time
import warnings
from collections.abc import Iterator
from typing import Any
from unittest import mock

import aiohttp.client_reqrep
import aiohttp.connector
import aiohttp.web_protocol

from mountsea_async.upload.store import Store

from .disk import Disk, SimConnection
from .network import SimLoop
from .process import PROCESS

KEY = "mk-live-SIMULATED-0123456789abcdef"


class Ear(logging.Handler):
    """Notes every record that holds the key."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.told: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if KEY in f"{record.__dict__!r} {record.getMessage()}":
            self.told.append(record.getMessage())


_EAGER = (aiohttp.connector, aiohttp.client_reqrep, aiohttp.web_protocol)


class _OldPython:
    """The module `sys` as a Python without eager tasks has it."""

    version_info = (3, 11)

    def __getattr__(self, name: str) -> Any:
        return getattr(sys, name)


@contextlib.contextmanager
def deterministic(loop: SimLoop, disk: Disk, ear: Ear, *, portable: bool) -> Iterator[None]:
    """Everything that a program may ask for the time or for chance answers from the world.

    Args:
        loop: The world's.
        disk: The world's.
        ear: Hears what is logged.
        portable: aiohttp starts some tasks eagerly where Python can; keep it from that, so that the order of what
            happens in one moment is that of every version of Python.
    """
    seed = loop.net.rng.getrandbits(64)
    entropy = random.Random(seed)
    connect: Any = sqlite3.connect
    make_store = Store.__init__

    def connected(*arguments: Any, **settings: Any) -> Any:
        connection = connect(*arguments, **settings, factory=SimConnection)
        connection.disk = disk
        return connection

    def store_made(store: Any, *arguments: Any, **settings: Any) -> None:
        make_store(store, *arguments, **settings)
        if (process := PROCESS.get()) is not None:
            process.stores.append(store)

    state = random.getstate()
    loggers = [logging.getLogger(name) for name in ("mountsea_async", "aiohttp", "asyncio")]
    with contextlib.ExitStack() as stack:
        for place, name, value in (
            (time, "time", loop.wall),
            (time, "time_ns", lambda: int(loop.wall() * 1e9)),
            (time, "monotonic", loop.time),
            (aiohttp.connector, "monotonic", loop.time),
            (aiohttp.connector, "DefaultResolver", aiohttp.ThreadedResolver),
            (platform, "python_version", lambda: "3"),
            (os, "urandom", entropy.randbytes),
            (sqlite3, "connect", connected),
            (Store, "__init__", store_made),
        ):
            stack.enter_context(mock.patch.object(place, name, value))
        for module in _EAGER if portable else ():
            stack.enter_context(mock.patch.object(module, "sys", _OldPython()))
        random.seed(seed)
        for logger in loggers:
            stack.enter_context(mock.patch.object(logger, "propagate", new=False))
            logger.addHandler(ear)
        try:
            yield
        finally:
            random.setstate(state)
            for logger in loggers:
                logger.removeHandler(ear)


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """What was killed is collected without a word."""
    hook = sys.unraisablehook
    sys.unraisablehook = lambda _: None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        sys.unraisablehook = hook


_buried = [0]


def collect() -> None:
    _buried[0] += 1
    if _buried[0] % 8 == 0:
        gc.collect()
