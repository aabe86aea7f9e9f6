"""What is done with clips: playlists, personas, stems, and generation with them. One method an endpoint."""

from __future__ import annotations

from .connection import Connection

__all__ = ["Songs"]


class Songs(Connection):
    """The calls of a client that make something of clips."""
