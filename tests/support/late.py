"""Requests that reach the service without the client: the network has kept them, or a gateway repeats them."""

from __future__ import annotations

from http import HTTPStatus

import aiohttp

from mountsea_async.testing import Emulator

from .names import KEY


async def post_item(emulator: Emulator, session_id: str, audio_url: str) -> None:
    """Uploads one file to a session."""
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {KEY}"}) as http,
        http.post(
            f"{emulator.base_url}/suno/v2/audio/upload/session/item",
            json={"sessionId": session_id, "audioUrl": audio_url},
        ) as response,
    ):
        assert response.status == HTTPStatus.CREATED
