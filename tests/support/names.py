"""Names that tests share."""

from __future__ import annotations

KEY = "mk-live-TOPSECRET-0123456789abcdef"


def urls(count: int, *, stem: str = "song") -> list[str]:
    return [f"https://cdn.example.com/audio/{stem}-{number:05}.mp3" for number in range(count)]
