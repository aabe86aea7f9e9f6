"""An emulator of the service, shipped for tests: ours and those of the people who use this library.

What may live in this package: the emulated service (uploads, custom models, what is made of clips of one account, the
balance), the faults it can be told to have, the ledger of what it was asked and charged for, and the pytest plugin.
It imports nothing from the rest of the library, so an error there cannot hide itself here. The names below are loaded
on first use; importing the package alone is cheap.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mountsea_async.testing.behaviour import Behaviour, Durations, Fixed, LogNormal, RateLimit, Uniform
    from mountsea_async.testing.emulator import Emulator
    from mountsea_async.testing.faults import (
        Answer,
        Cut,
        Drip,
        Effect,
        Fault,
        Hang,
        LoseAccount,
        Outcome,
        Reshape,
        RevokeKey,
        Truncate,
        html,
        no_account,
        out_of_credits,
        rate_limited,
        redirect,
        unauthorized,
    )
    from mountsea_async.testing.ledger import Call, Charge, Generation, Ledger, Training
    from mountsea_async.testing.threaded import EmulatorThread

_HOMES = {
    "behaviour": ("Behaviour", "Durations", "Fixed", "LogNormal", "RateLimit", "Uniform"),
    "emulator": ("Emulator",),
    "faults": (
        "Answer",
        "Cut",
        "Drip",
        "Effect",
        "Fault",
        "Hang",
        "LoseAccount",
        "Outcome",
        "Reshape",
        "RevokeKey",
        "Truncate",
        "html",
        "no_account",
        "out_of_credits",
        "rate_limited",
        "redirect",
        "unauthorized",
    ),
    "ledger": ("Call", "Charge", "Generation", "Ledger", "Training"),
    "threaded": ("EmulatorThread",),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "Answer",
    "Behaviour",
    "Call",
    "Charge",
    "Cut",
    "Drip",
    "Durations",
    "Effect",
    "Emulator",
    "EmulatorThread",
    "Fault",
    "Fixed",
    "Generation",
    "Hang",
    "Ledger",
    "LogNormal",
    "LoseAccount",
    "Outcome",
    "RateLimit",
    "Reshape",
    "RevokeKey",
    "Training",
    "Truncate",
    "Uniform",
    "html",
    "no_account",
    "out_of_credits",
    "rate_limited",
    "redirect",
    "unauthorized",
]


def __getattr__(name: str) -> Any:
    if (module := _HOME_OF.get(name)) is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{module}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
