"""`mountsea emulator`: the emulated service on a port of this machine, until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import shlex
import signal
from typing import Any

from .. import ConfigurationError
from ..testing import Behaviour, Emulator, RateLimit, Uniform
from .exits import Exit
from .output import to_stdout
from .wording import in_flags, say

__all__ = ["build", "emulate", "ledger_lines"]


def build(
    *,
    port: int,
    api_key: str,
    duration: tuple[float, float],
    rate: float | None,
    burst: int,
    **behaviour: Any,
) -> Emulator:
    """The emulator that the flags describe; `behaviour` holds fields of `Behaviour` as they are.

    Raises:
        ConfigurationError: A flag is out of its range.
    """
    try:
        limit = None if rate is None else RateLimit(rate, burst, "seconds")
        settings = Behaviour(durations=Uniform(*duration), rate_limit=limit, **behaviour)
        # A long run with all its calls in memory would only grow.
        return Emulator(settings, api_key=api_key, port=port, keep_calls=False)
    except ValueError as error:
        words = in_flags(str(error)).replace("--low must", "--duration must").replace("--high must", "--duration must")
        raise ConfigurationError(words) from None


def emulate(emulator: Emulator) -> Exit:
    """Serves until SIGINT or SIGTERM.

    Raises:
        ConfigurationError: The port can't be had.
    """
    asyncio.run(_serve(emulator))
    for line in ledger_lines(emulator.ledger.summary()):
        say(line)
    return Exit.OK


async def _serve(emulator: Emulator) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    added = []
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
            loop.add_signal_handler(number, stop.set)
            added.append(number)
    try:
        async with contextlib.AsyncExitStack() as stack:
            try:
                await stack.enter_async_context(emulator)
            except OSError as error:
                raise ConfigurationError(f"--port: can't listen: {error.strerror or error}") from None
            to_stdout(
                f"export MOUNTSEA_BASE_URL={shlex.quote(emulator.base_url)}\n"
                f"export MOUNTSEA_API_KEY={shlex.quote(emulator.api_key)}\n"
            )
            say("The emulator is running; paste the lines above into another shell. Ctrl-C stops it.")
            with contextlib.suppress(asyncio.CancelledError):  # Ctrl-C where the loop can't listen to signals
                await stop.wait()
    finally:
        for number in added:
            loop.remove_signal_handler(number)


def ledger_lines(summary: dict[str, Any]) -> list[str]:
    """What the emulator was asked and charged for, in words."""
    requests = ", ".join(f"{count:,} {endpoint}" for endpoint, count in summary["requests"].items()) or "none"
    ends = ", ".join(f"{count:,} {end}" for end, count in summary["ends"].items()) or "none"
    twice = len(summary["paid_twice"])
    made = [f"{name}: {summary[name]:,}" for name in ("trainings", "generations") if summary[name]]
    return [
        f"requests: {requests}",
        f"sessions: {summary['sessions']:,}",
        f"uploads paid for: {summary['charges']:,} ({ends}); credits spent: {summary['spent']:,}",
        f"clips: {summary['clips']:,}",
        *made,
        f"URLs paid for more than once: {twice or 'none'}",
    ]
