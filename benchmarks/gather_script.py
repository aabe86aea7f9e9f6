"""The script that somebody would write instead of using this library: what `batch` compares with.

Meant well and written as such scripts are: requests bounded by a semaphore, every error retried with exponential
backoff and jitter, each upload polled every two seconds, everything gathered.
"""

from __future__ import annotations

import asyncio
import random
from typing import Any

import aiohttp

TRIES = 6


async def upload_all(
    base_url: str, key: str, urls: list[str], at_once: int = 32, every: float = 2.0
) -> list[str | None]:
    """Uploads all URLs to one session; returns their clips' ids in input order, None where an upload failed."""
    semaphore = asyncio.Semaphore(at_once)
    headers = {"Authorization": f"Bearer {key}"}
    timeout = aiohttp.ClientTimeout(total=30)

    async with aiohttp.ClientSession(base_url, headers=headers, timeout=timeout, raise_for_status=True) as http:

        async def call(method: str, path: str, **options: Any) -> Any:
            attempt = 0
            while True:
                try:
                    async with semaphore, http.request(method, path, **options) as response:
                        return await response.json()
                except (aiohttp.ClientError, TimeoutError):
                    attempt += 1
                    if attempt == TRIES:
                        raise
                await asyncio.sleep(0.25 * 2**attempt * random.uniform(0.5, 1.5))  # noqa: S311 - jitter

        async def upload(url: str) -> str:
            body = {"sessionId": session_id, "audioUrl": url}
            task_id = (await call("POST", "/suno/v2/audio/upload/session/item", json=body))["taskId"]
            while True:
                task = await call("GET", "/suno/v2/status", params={"taskId": task_id})
                if task["status"] == "success":
                    return str(task["data"]["id"])
                if task["status"] in ("failed", "timeout"):
                    raise RuntimeError(task.get("failReason"))
                await asyncio.sleep(every)

        session_id = (await call("POST", "/suno/v2/audio/upload/session"))["sessionId"]
        results = await asyncio.gather(*(upload(url) for url in urls), return_exceptions=True)
        return [clip if isinstance(clip, str) else None for clip in results]
