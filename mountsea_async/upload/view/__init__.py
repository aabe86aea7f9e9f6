"""HTML of a batch: the report to look at, the page to watch, the fragment for notebooks. Pure: values in, text out.

One drawing serves all three. The page is the same document with a script that goes on from the events that follow it.
Everything from outside is escaped; style and script are the document's own, and its policy lets nothing else in.
"""

from __future__ import annotations

from .document import Live, csp, document, fragment

__all__ = ["Live", "csp", "document", "fragment"]
