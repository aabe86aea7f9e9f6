"""An uploader as it is often written: it retries whatever fails, the paid request too. It is here to be caught."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp

_TRIES = 6


async def upload(  # noqa: C901 - nobody should write it so
    base_url: str, key: str, urls: tuple[str, ...], kept: dict[str, Any]
) -> None:
    """Uploads each URL once, as far as it knows.

    Args:
        base_url: Where the service is.
        key: Of the service.
        urls: What to upload.
        kept: Survives it: the session, and the task of each URL.
    """
    headers = {"Authorization": f"Bearer {key}"}
    timeout = aiohttp.ClientTimeout(total=30)
    async with aiohttp.ClientSession(base_url, headers=headers, timeout=timeout) as http:

        async def ask(method: str, path: str, **sent: Any) -> Any:
            for attempt in range(_TRIES):
                try:
                    async with http.request(method, path, **sent) as answer:
                        answer.raise_for_status()
                        return await answer.json(content_type=None)
                except (aiohttp.ClientError, TimeoutError, ValueError):
                    await asyncio.sleep(0.5 * 2**attempt)
            return None

        if "session" not in kept:
            answer = await ask("POST", "/suno/v2/audio/upload/session")
            if answer is None:
                return
            kept["session"] = answer["sessionId"]

        async def submit(url: str) -> None:
            for _ in range(3):
                body = {"sessionId": kept["session"], "audioUrl": url}
                answer = await ask("POST", "/suno/v2/audio/upload/session/item", json=body)
                if isinstance(answer, dict) and isinstance(answer.get("taskId"), str):
                    kept[url] = answer["taskId"]
                    return

        room = asyncio.Semaphore(8)

        async def one(url: str) -> None:
            async with room:
                if url not in kept:
                    await submit(url)

        await asyncio.gather(*(one(url) for url in dict.fromkeys(urls)))
