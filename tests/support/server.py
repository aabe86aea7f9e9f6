"""An application under uvicorn, in a process of its own, on a port that stays the same over restarts."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from support.names import KEY

BOUND = 60.0
_LISTENS = re.compile(r"Uvicorn running on http://127\.0\.0\.1:(\d+)")


def until(holds: Callable[[], Any], what: str, bound: float = BOUND) -> Any:
    """Waits until a condition holds, and gives what it gave."""
    end = time.monotonic() + bound
    while not (held := holds()):
        assert time.monotonic() < end, f"not in time: {what}"
        time.sleep(0.05)
    return held


class Server:
    """`uvicorn APP`, to be started, ended and started again.

    Args:
        app: `module:name`, found in the folder.
        folder: Where it runs, and where its output goes: `server.log`.
        headers: Sent with each request of `ask`.
        **environment: What it finds in its environment besides.
    """

    def __init__(self, app: str, folder: Path, headers: dict[str, str], **environment: str) -> None:
        self._app = app
        self._folder = folder
        self._headers = headers
        self._environment = {**os.environ, **environment}
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0
        self.log = folder / "server.log"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait(BOUND)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Starts it, and waits until it listens."""
        begin = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "uvicorn", self._app, "--port", str(self.port)],
                cwd=self._folder,
                env=self._environment,
                stdout=log,
                stderr=log,
            )
        found = until(lambda: self._listening(begin), "the server listens")
        self.port = int(found[1])

    def _listening(self, begin: int) -> re.Match[str] | None:
        assert self._process is not None
        said = self.log.read_bytes()[begin:].decode()
        assert self._process.poll() is None, said
        return _LISTENS.search(said)

    def end(self, number: signal.Signals) -> int:
        """Sends it a signal, waits for its end, and gives its exit code."""
        assert self._process is not None
        self._process.send_signal(number)
        return self._process.wait(BOUND)

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """Sends a request, and gives the JSON of the answer."""
        sent = {**self._headers, **{name.replace("_", "-"): value for name, value in headers.items()}}
        data = None if body is None else json.dumps(body).encode()
        if data is not None:
            sent["Content-Type"] = "application/json"
        request = urllib.request.Request(self.url + path, data, sent, method=method)  # noqa: S310 - loopback
        with urllib.request.urlopen(request, timeout=BOUND) as answer:  # noqa: S310 - loopback
            said = answer.read()
        assert KEY.encode() not in said
        return json.loads(said)

    def finished(self, batch: dict[str, Any]) -> dict[str, Any]:
        """The batch with its report, once it has ended."""
        found: dict[str, Any] = until(lambda: self._final(batch), f"batch {batch['id']} ends", 3 * BOUND)
        return found

    def _final(self, batch: dict[str, Any]) -> dict[str, Any] | None:
        (found,) = (one for one in self.ask("GET", "/batches")["batches"] if one["id"] == batch["id"])
        if found["state"] not in ("finished", "refused"):
            return None
        whole: dict[str, Any] = self.ask("GET", batch["links"]["self"])
        return whole
