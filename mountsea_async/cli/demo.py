"""`mountsea demo`: a batch against the emulator, in one process. Needs no key and no network."""

from __future__ import annotations

import asyncio
import math

import attrs

from .. import ClientConfig, ConfigurationError, MountseaClient, PollPolicy, UploadItem
from ..testing import Behaviour, Emulator, Ledger, Uniform
from ..upload.words import duration
from .batch import Outcome, Settings, run_batch
from .deliver import deliver
from .exits import Exit
from .output import Format
from .sources import Entry
from .wording import in_flags, say_wrapped

__all__ = ["Demo", "demo", "ledger_words"]

_MAX_ITEMS = 10_000


@attrs.frozen(kw_only=True)
class Demo:
    """What the demo emulates."""

    items: int = 200
    fail_share: float = 0.0
    timeout_share: float = 0.0
    seed: int = 0


def demo(what: Demo, settings: Settings, *, form: Format | None) -> Exit:
    """Uploads made-up URLs to the emulator, and has the emulator's ledger say what that cost.

    Raises:
        ConfigurationError: A flag is out of its range.
    """
    if not 1 <= what.items <= _MAX_ITEMS:
        raise ConfigurationError(f"items={what.items}: give a whole number from 1 to {_MAX_ITEMS}")
    emulator = make_emulator(what)
    outcome = asyncio.run(_run(emulator, what, settings))
    code = deliver(outcome, form=form, path=None)
    if outcome.report is not None:
        say_wrapped(ledger_words(emulator.ledger, outcome.report.stats.elapsed))
        if form is None:
            more = "" if what.fail_share else ", --fail-share 0.05 to see some fail"
            say_wrapped(f"add --format table to see every item{more}")
    return code


def make_emulator(what: Demo) -> Emulator:
    """An emulator that is through with any number of items in about ten seconds."""
    try:
        behaviour = Behaviour(
            durations=Uniform(0.5, 1.5),
            parallel=max(4, math.ceil(what.items / 10)),
            latency=0.06,
            fail_share=what.fail_share,
            timeout_share=what.timeout_share,
            seed=what.seed,
        )
    except ValueError as error:
        raise ConfigurationError(in_flags(str(error))) from None
    return Emulator(behaviour, api_key="demo")


async def _run(emulator: Emulator, what: Demo, settings: Settings) -> Outcome:
    # The real service is asked at a gentler pace, and given more time; here it is the same process, and someone is
    # watching.
    poll = PollPolicy(first=0.6, factor=1.2, cap=1.5, max_rate=min(600.0, max(150.0, what.items)))
    width = len(str(what.items - 1))
    entries = [
        Entry(UploadItem(f"https://music.example.com/demo/song-{number:0{width}}.mp3"), f"item {number}")
        for number in range(what.items)
    ]
    async with emulator:
        client = MountseaClient("demo", base_url=emulator.base_url, config=ClientConfig(poll=poll, settle=1.0))
        return await run_batch(client, entries, settings)


def ledger_words(ledger: Ledger, elapsed: float) -> str:
    """What the emulator saw, in a sentence."""
    charges, sessions = ledger.charges, len(ledger.sessions)
    accounts = len({charge.account for charge in charges})
    clips = len(ledger.clip_ids())
    if twice := len(ledger.paid_twice()):
        paid = f"{_how_many(twice, 'URL')} paid for more than once"
    elif all(ledger.posts(charge.audio_url) == 1 for charge in charges):
        paid = "exactly one paid request each"
    else:
        paid = "each paid for once"
    return (
        f"the emulator's ledger: {clips:,} {'clip' if clips == 1 else 'clips'}, {_how_many(sessions, 'session')}, "
        f"{_how_many(accounts, 'account')}, {paid}, in {duration(elapsed)}"
    )


def _how_many(count: int, what: str) -> str:
    return f"one {what}" if count == 1 else f"{count:,} {what}s"
