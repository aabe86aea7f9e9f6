"""The kinds of sessions, and what they differ in: their endpoints, and whether the service lists what has landed.

Everything else is the same for all of them: fan-out, polling, journal, outcomes. Pure.
Documentation: docs.mountsea.ai/api-reference/suno/uploadSession, .../uploadSessionItem, .../customModel,
.../customModelUpload.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import attrs

from ..wire import endpoints
from ..wire.endpoints import Request

__all__ = ["CUSTOM_MODEL", "UPLOAD", "SessionKind"]


@attrs.frozen
class SessionKind:
    """One kind of session.

    Attributes:
        word: Its name in a journal; never changes.
        prepare: Makes the request that opens one.
        item: Makes the request that uploads a URL to one, from the session's id and the URL.
        lists: Whether the session's own task lists the clips that have landed.
    """

    word: str
    prepare: Callable[[], Request]
    item: Callable[[str, str], Request]
    lists: bool


UPLOAD: Final = SessionKind("upload", endpoints.prepare_session, endpoints.submit_item, lists=True)
"""A batch upload session."""
CUSTOM_MODEL: Final = SessionKind(
    "custom_model", endpoints.prepare_custom_model, endpoints.upload_for_custom_model, lists=False
)
"""A session whose clips a custom model is trained on. Nothing lists them: each is known by its own task alone."""
