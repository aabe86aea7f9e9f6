"""The whole document, and the fragment: what stands in which order, and the policy that guards it."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from html import escape
from importlib import resources
from typing import TYPE_CHECKING

import attrs

from . import parts
from .charts import durations, timeline

if TYPE_CHECKING:
    from ..report import BatchReport

__all__ = ["Live", "csp", "document", "fragment"]


@attrs.frozen(kw_only=True)
class Live:
    """How the page of a batch goes on.

    Attributes:
        stream: Where its events are, relative to the page.
        after: The `seq` of the last event that the page holds; -1: none.
        state: How far the batch is: `queued`, `running`, `waiting`, `stopping`, `finished`, `refused`.
    """

    stream: str
    after: int
    state: str


_IDS = re.compile(r' id="[\w-]+"')
_OVER = ("finished", "refused")


def document(report: BatchReport, *, title: str | None = None, live: Live | None = None) -> str:
    """One self-contained HTML document.

    Args:
        report: The batch, as it stands.
        title: Its heading; None: "Batch upload".
        live: How it goes on; None: it is a report of what was.
    """
    heading = title or "Batch upload"
    policy = escape(csp(live=live is not None), quote=True)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{escape(heading)}</title>\n<style>{_asset('page.css')}</style>\n</head>\n"
        '<body class="mountsea">\n<a class="skip" href="#items">Skip to the items</a>\n'
        f"{_main(report, heading, live)}\n<script>{_asset('page.js')}</script>\n</body>\n</html>\n"
    )


def fragment(report: BatchReport) -> str:
    """The report for a notebook: no script, a style that touches nothing else, the items that didn't succeed."""
    content = (
        f"{parts.head(report, 'Batch upload', None, still=True)}{_charts(report)}{parts.outcomes(report)}"
        f"{parts.reconciled(report)}{parts.items(report, only_bad=True)}"
    )
    # Several may stand in one notebook, and ids are for the page's script alone. From outside comes no such text: the
    # quotes of what does are escaped.
    content = _IDS.sub("", content)
    return (
        f'<div class="mountsea notebook"><style>{_asset("page.css")}</style><div class="report">{content}</div></div>'
    )


def _main(report: BatchReport, heading: str, live: Live | None) -> str:
    data = ""
    if live is not None and live.state not in _OVER:
        data = f' data-stream="{escape(live.stream)}" data-after="{live.after:d}"'
    over = live is None or live.state in _OVER
    rest = f"{parts.outcomes(report)}{parts.reconciled(report)}" if over else ""
    state, begin = (None, "") if live is None else (live.state, parts.connection())
    return (
        f'<main class="report" id="report"{data}>{parts.head(report, heading, state)}{begin}'
        f"{_charts(report, histogram=over)}{rest}{parts.items(report)}</main>"
    )


def _charts(report: BatchReport, *, histogram: bool = True) -> str:
    return timeline(report.items) + (durations(report.items) if histogram else "")


@cache
def _asset(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


@cache
def _hash(name: str) -> str:
    digest = hashlib.sha256(_asset(name).encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def csp(*, live: bool) -> str:
    """The policy of a document: its own style, its own script, and for a live one the host that it came from."""
    connect = "'self'" if live else "'none'"
    return (
        f"default-src 'none'; style-src {_hash('page.css')}; script-src {_hash('page.js')}; connect-src {connect}; "
        "base-uri 'none'; form-action 'none'"
    )
