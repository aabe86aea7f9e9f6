"""The flags that several commands share, with what `--help` says of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from cyclopts import Parameter

__all__ = [
    "AcceptNewKey",
    "AllowPrivate",
    "BalanceUrl",
    "BaseUrl",
    "Concurrency",
    "Deadline",
    "Form",
    "JournalFile",
    "MaxCredits",
    "NoJournal",
    "OnUnknown",
    "Output",
    "Preflight",
    "PricePerItem",
    "Quiet",
    "Results",
    "RetryFailed",
    "Share",
]

Concurrency: TypeAlias = Annotated[
    int,
    Parameter(
        show_default=True,
        help="Requests in flight at once, submits and polls together, 1 to 100. How many uploads the account works on "
        "at once is the service's business.",
    ),
]
Deadline: TypeAlias = Annotated[float | None, Parameter(help="Seconds after which nothing more is submitted or asked.")]
BaseUrl: TypeAlias = Annotated[
    str | None,
    Parameter(name="--base-url", show_default=False, help="Where the service is; goes before MOUNTSEA_BASE_URL."),
]
BalanceUrl: TypeAlias = Annotated[
    str | None,
    Parameter(
        name="--balance-url", show_default=False, help="Where the balance is told; goes before MOUNTSEA_BALANCE_URL."
    ),
]
OnUnknown: TypeAlias = Annotated[
    Literal["hold", "continue", "resubmit"],
    Parameter(
        show_default=True,
        help="After uploads whose answer was lost, which are never sent again by themselves: hold submits back while "
        "two or more are unsettled, continue at full speed, or resubmit those of which no clip appears, which may pay "
        "for them twice.",
    ),
]
RetryFailed: TypeAlias = Annotated[
    bool, Parameter(help="Send those again that have failed in an earlier run of the journal.")
]
AcceptNewKey: TypeAlias = Annotated[
    bool, Parameter(help="Go on with a journal that another key, or another base URL, has begun.")
]
Form: TypeAlias = Literal["table", "json", "jsonl", "csv"]
Results: TypeAlias = Annotated[
    Form | None,
    Parameter(help="How the results are printed; without it, as the suffix of --output says, or as a table."),
]
Output: TypeAlias = Annotated[
    Path | None, Parameter(alias="-o", help="Write the results to this file instead of stdout.")
]
JournalFile: TypeAlias = Annotated[
    Path | None,
    Parameter(
        name="--journal",
        help="Keep the journal in this file; where it exists already, go on with it. Without it: a new file in "
        "$XDG_STATE_HOME/mountsea or ~/.local/state/mountsea, on Windows in %LOCALAPPDATA%\\mountsea.",
    ),
]
NoJournal: TypeAlias = Annotated[
    bool, Parameter(help="Keep no journal: what is known of the batch ends with the process.")
]
MaxCredits: TypeAlias = Annotated[
    float | None,
    Parameter(
        help="Credits that it may cost; refused beforehand if it would cost more, and kept while it runs. Goes with "
        "--price-per-item, since the service tells no prices."
    ),
]
PricePerItem: TypeAlias = Annotated[float | None, Parameter(help="Credits that an upload costs.")]
Preflight: TypeAlias = Annotated[
    bool,
    Parameter(help="Ask for a few bytes of each URL first, and upload only if all of them answer with audio."),
]
AllowPrivate: TypeAlias = Annotated[bool, Parameter(help="Let loopback and private addresses pass, for tests.")]
Quiet: TypeAlias = Annotated[bool, Parameter(help="Show no progress.")]
Share: TypeAlias = Annotated[float, Parameter(show_default=True)]
