"""The page of a batch in a browser: it follows the batch to its end, and is readable wherever it is shown."""

from __future__ import annotations

import base64
import itertools
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.browser import Browser, browsing
from support.names import KEY, urls
from support.server import Server, until

from mountsea_async import ItemReport, ItemState
from mountsea_async.testing import Behaviour, Emulator, Fault, Outcome, Uniform
from mountsea_async.upload.report import BatchReport

pytestmark = pytest.mark.e2e

SCRIPT = "<script>document.title='owned'</script>"
APP = """
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.responses import HTMLResponse
from mountsea_async.contrib.fastapi import mountsea_lifespan, mountsea_router

def by_password(request: Request):
    if request.headers.get("authorization") != "Basic bWU6bGV0IG1lIGlu":
        raise HTTPException(401, "who are you?", {"WWW-Authenticate": "Basic"})

def by_token(request: Request):
    shown = request.url.path.endswith("/view") and "by" in request.cookies  # the page itself, as a gateway lets it in
    if request.headers.get("authorization") != "Bearer sesame" and not shown:
        raise HTTPException(401, "who are you?")

app = FastAPI(lifespan=mountsea_lifespan("batches"))
app.include_router(mountsea_router(dependencies=[Depends(by_password)]))
tokens = FastAPI(lifespan=mountsea_lifespan("others"))
tokens.include_router(mountsea_router(dependencies=[Depends(by_token)]))

@tokens.get("/enter")
def enter():
    answer = HTMLResponse("<p>welcome</p>")
    answer.set_cookie("by", "the gateway")
    return answer
"""
PASSWORD = {"Authorization": "Basic " + base64.b64encode(b"me:let me in").decode()}


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    behaviour = Behaviour(durations=Uniform(1, 6), faults=(Fault(Outcome("failed"), url="*-0000[37].mp3"),))
    with Emulator(behaviour, api_key=KEY).in_thread() as emulator:
        yield emulator


def serving(name: str, headers: dict[str, str], emulator: Emulator, folder: Path) -> Server:
    (folder / "page_app.py").write_text(APP, encoding="utf-8")
    ours = {"MOUNTSEA_API_KEY": KEY, "MOUNTSEA_BASE_URL": emulator.base_url}
    return Server(f"page_app:{name}", folder, headers, **ours)


@pytest.fixture
def server(emulator: Emulator, tmp_path: Path) -> Iterator[Server]:
    with serving("app", PASSWORD, emulator, tmp_path) as server:
        yield server
    assert KEY not in server.log.read_text()


@pytest.fixture
def browser() -> Iterator[Browser]:
    with browsing() as browser:
        yield browser


def post(server: Server, count: int) -> Any:
    entries: list[Any] = list(urls(count))
    entries[1] = {"audio_url": entries[1], "key": SCRIPT}
    return server.ask("POST", "/batches", {"urls": entries})


def opened(browser: Browser, server: Server, batch: Any) -> None:
    page = server.url.replace("http://", "http://me:let%20me%20in@") + batch["links"]["view"]
    browser.driver.get(page)
    until(lambda: browser.run("return document.documentElement.dataset.connected"), "the page reads the stream")


def is_over(browser: Browser) -> None:
    until(lambda: browser.run("return document.documentElement.dataset.over"), "the page shows the end", 120)


def bars(browser: Browser) -> dict[str, int]:
    """How many bars of each state the timeline has."""
    found: dict[str, int] = browser.run(
        "const counts = {}; for (const bar of document.querySelectorAll('#timeline rect')) {"
        "const state = bar.getAttribute('class'); counts[state] = (counts[state] || 0) + 1; } return counts"
    )
    return found


def test_opened_in_mid_batch_it_follows_to_the_end_and_shows_what_failed(
    emulator: Emulator, server: Server, browser: Browser
) -> None:
    batch = post(server, 40)
    until(lambda: len(emulator.ledger.charges) == 40, "all are submitted")
    opened(browser, server, batch)
    assert browser.text("state") == "Running"
    early = int(browser.text("percent").split()[0])
    until(lambda: int(browser.text("percent").split()[0]) > early, "it moves")
    is_over(browser)
    assert (browser.text("percent"), browser.text("ended")) == ("100 %", "40 of 40 ended")
    assert browser.text("state") == "Finished"
    assert bars(browser) == {"succeeded": 38, "failed": 2}
    rows = browser.rows()
    assert len(rows) == 40
    assert "Audio source not found" in rows[3]
    assert browser.run("return document.querySelectorAll('.list a[href^=https]').length") == 38
    # What came from outside is text: nothing of it has run, and it is there to be read.
    assert SCRIPT in rows[1]
    assert browser.driver.title.startswith("Batch ")
    assert browser.text("spoken").startswith("Finished")
    assert browser.errors() == []


def test_items_are_filtered_by_state_with_the_keyboard_also_while_it_runs(
    emulator: Emulator, server: Server, browser: Browser
) -> None:
    from selenium.webdriver.common.keys import Keys  # noqa: PLC0415 - only where there is a browser

    batch = post(server, 30)
    opened(browser, server, batch)
    until(lambda: bars(browser).get("failed") == 2, "two have failed")
    focus = "document.querySelector('[data-filter=failed]').focus(); return document.activeElement.dataset.filter"
    assert browser.run(focus) == "failed"
    browser.driver.switch_to.active_element.send_keys(Keys.ENTER)
    assert [row.split()[0] for row in browser.rows()] == ["3", "7"]
    assert browser.run("return document.querySelector('[data-filter=failed]').ariaPressed") == "true"
    is_over(browser)
    assert [row.split()[0] for row in browser.rows()] == ["3", "7"]
    assert browser.run("return document.activeElement.dataset.filter") == "failed"
    assert browser.errors() == []


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGKILL])
def test_it_goes_on_when_the_server_was_ended_and_is_back(
    emulator: Emulator, server: Server, browser: Browser, ending: signal.Signals
) -> None:
    batch = post(server, 40)
    opened(browser, server, batch)
    until(lambda: bars(browser).get("succeeded", 0) > 3, "some have succeeded")
    server.end(ending)
    until(lambda: "reconnecting" in browser.text("notice"), "it says that the connection is lost")
    server.start()
    is_over(browser)
    assert browser.text("ended") == "40 of 40 ended"
    assert server.finished(batch)["counts"] == bars(browser)
    assert emulator.ledger.paid_twice() == {}
    assert browser.errors() == []


def test_where_the_stream_asks_who_is_there_the_page_sends_a_token_as_a_header(
    emulator: Emulator, tmp_path: Path, browser: Browser
) -> None:
    with serving("tokens", {"Authorization": "Bearer sesame"}, emulator, tmp_path) as server:
        batch = post(server, 20)
        browser.driver.get(f"{server.url}/enter")
        browser.driver.get(server.url + batch["links"]["view"])
        field = until(lambda: shown(browser, "token-text"), "it asks for a token")
        field.send_keys("wrong\n")
        until(lambda: not shown(browser, "token-text") or not field.get_attribute("value"), "it tried")
        field = until(lambda: shown(browser, "token-text"), "it asks again")
        field.send_keys("sesame\n")
        is_over(browser)
        assert browser.text("ended") == "20 of 20 ended"
        assert browser.driver.current_url == server.url + batch["links"]["view"]
    assert "sesame" not in server.log.read_text()


def shown(browser: Browser, element_id: str) -> Any:
    found = browser.driver.find_elements("id", element_id)
    return found[0] if found and found[0].is_displayed() else None


def test_the_page_of_a_batch_that_has_ended_has_it_all_and_reads_no_stream(
    emulator: Emulator, server: Server, browser: Browser
) -> None:
    batch = post(server, 5)
    server.finished(batch)
    browser.driver.get(server.url.replace("http://", "http://me:let%20me%20in@") + batch["links"]["view"])
    assert browser.text("ended") == "5 of 5 ended"
    assert browser.run("return document.getElementById('report').dataset.stream") is None
    assert browser.errors() == []


def test_a_batch_that_is_no_longer_there_is_told_as_such(
    emulator: Emulator, server: Server, browser: Browser, tmp_path: Path
) -> None:
    batch = post(server, 30)
    opened(browser, server, batch)
    server.end(signal.SIGTERM)
    shutil.rmtree(tmp_path / "batches")
    server.start()
    until(lambda: "no longer there" in browser.text("notice"), "it says so")


def test_a_report_fits_every_screen_and_can_be_read_by_day_and_by_night(tmp_path: Path, browser: Browser) -> None:
    long = "https://cdn.example.com/" + "a-very-long-name-without-a-break" * 8 + ".mp3"
    items = tuple(ItemReport(number, None, long, state) for number, state in enumerate(ItemState))
    (tmp_path / "report.html").write_text(BatchReport("session", items).to_html(), encoding="utf-8")
    driver = browser.driver
    for width, scheme in itertools.product((390, 1280), ("light", "dark")):
        features = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", features)
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        driver.get((tmp_path / "report.html").as_uri())
        assert browser.run("return matchMedia('(prefers-color-scheme: dark)').matches") is (scheme == "dark")
        assert browser.run("return document.documentElement.scrollWidth <= innerWidth"), (width, scheme)
        assert browser.run(CONTRAST) == [], (width, scheme)
    assert browser.errors() == []


CONTRAST = """
const light = (color) => {
  const parts = color.match(/[\\d.]+/g).slice(0, 3).map(Number).map(part => part / 255)
    .map(part => part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
  return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
};
const behind = (element) => {
  for (; element; element = element.parentElement) {
    const color = getComputedStyle(element).backgroundColor;
    if (!/, 0\\)$/.test(color) && color !== "transparent") return color;
  }
  return "rgb(255, 255, 255)";
};
const poor = [];
for (const element of document.querySelectorAll("h1, h2, p, span, th, td, b, code, button, li")) {
  if (!element.textContent.trim() || !element.getClientRects().length) continue;
  const pair = [light(getComputedStyle(element).color), light(behind(element))].sort((a, b) => b - a);
  const contrast = (pair[0] + 0.05) / (pair[1] + 0.05);
  if (contrast < 4.5) poor.push(`${element.tagName} ${element.textContent.trim().slice(0, 20)} ${contrast.toFixed(2)}`);
}
return poor;
"""
