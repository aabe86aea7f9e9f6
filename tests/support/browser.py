"""Headless Chromium, driven by selenium; neither is fetched: both are there, or the test is skipped."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

__all__ = ["Browser", "browsing"]

BOUND = 60.0


class Browser:
    """A page in a browser.

    Args:
        driver: Selenium's.
    """

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def text(self, element_id: str) -> str:
        """The text of an element; none where there is no such element. Asked in one step: the page may be replaced."""
        found: str | None = self.run("return document.getElementById(arguments[0])?.textContent", element_id)
        return found or ""

    def run(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def rows(self) -> list[str]:
        """The text of each row of the list that is to be seen."""
        found: list[str] = self.run(
            "return [...document.querySelectorAll('.list tbody tr')].filter(row => row.getClientRects().length)"
            ".map(row => row.innerText)"
        )
        return found

    def errors(self) -> list[str]:
        """What the browser has complained of, but for connections that were lost on purpose."""
        said = [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] == "SEVERE"]
        return [message for message in said if "ERR_CONNECTION" not in message and "ERR_INCOMPLETE" not in message]


@contextmanager
def browsing() -> Iterator[Browser]:
    """A browser of its own for a test."""
    binary, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if binary is None or driver is None:
        assert "CI" not in os.environ, "chromium or chromedriver is missing"
        pytest.skip("needs chromium and chromedriver")
    from selenium import webdriver  # noqa: PLC0415 - only here
    from selenium.webdriver.chrome.service import Service  # noqa: PLC0415

    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    started = webdriver.Chrome(options=options, service=Service(driver))
    try:
        started.set_script_timeout(BOUND)
        yield Browser(started)
    finally:
        started.quit()
