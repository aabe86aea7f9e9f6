"""`mountsea credits`: what is left, as a number on stdout."""

from __future__ import annotations

import asyncio
import json
from typing import Literal

from .exits import Exit
from .output import to_stdout
from .upload import make_client

__all__ = ["credits_left"]


def credits_left(*, base_url: str | None, balance_url: str | None, form: Literal["table", "json"]) -> Exit:
    """Asks once and prints the answer.

    Raises:
        MountseaError: There was no answer, or the key was refused.
    """
    left = asyncio.run(_ask(base_url, balance_url))
    to_stdout((json.dumps({"credits": left}) if form == "json" else f"{left:.15g}") + "\n")
    return Exit.OK


async def _ask(base_url: str | None, balance_url: str | None) -> float:
    async with make_client(base_url, balance_url) as client:
        return await client.credits()
