"""The README's figures are those of the kept results; every benchmark can be run; what they compute is right."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from support.names import KEY

from mountsea_async.testing import Behaviour, Emulator, Fault, Fixed, rate_limited

ROOT = Path(__file__).parents[1]
if str(ROOT) not in sys.path:
    sys.path.append(str(ROOT))  # last, so that an installed package is still the one that is tested

from benchmarks import picture, readme  # noqa: E402 - found by the line above
from benchmarks.__main__ import BENCHMARKS  # noqa: E402
from benchmarks.batch import best_possible  # noqa: E402
from benchmarks.gather_script import upload_all  # noqa: E402
from benchmarks.setting import served  # noqa: E402

TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
RESULTS = sorted((ROOT / "benchmarks" / "results").glob("*.json"))


@pytest.mark.e2e
@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_benchmark_tells_how_it_is_used(name: str) -> None:
    command = [sys.executable, "-m", f"benchmarks.{name}", "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "--quick" in done.stdout
    assert "--json" in done.stdout


@pytest.mark.e2e
def test_a_server_that_ends_before_it_serves_is_an_error_and_not_an_address() -> None:
    with pytest.raises(RuntimeError, match="ended"), served("benchmarks.import_cost", "--no-such-flag"):
        pass


# ------------------------------------------------------------------------------------------------------------- README
def test_the_readme_shows_the_kept_results_and_nothing_else() -> None:
    assert readme.written(TEXT, readme.read(readme.RESULTS)) == TEXT, "run `python -m benchmarks.readme`"


def test_the_readme_has_a_block_for_every_benchmark() -> None:
    assert sorted(found["name"] for found in readme.BLOCK.finditer(TEXT)) == sorted(["setting", *BENCHMARKS])


def test_the_picture_is_that_of_the_kept_result() -> None:
    drawn = readme.drawn(readme.read(readme.RESULTS))
    kept = readme.RESULTS / "scale.svg"
    assert drawn == (kept.read_text(encoding="utf-8") if kept.exists() else None), "run `python -m benchmarks.readme`"


def test_a_benchmark_without_a_result_leaves_its_block_empty() -> None:
    text = "before\n<!-- benchmarks:scale -->\nold figures\n<!-- /benchmarks:scale -->\nafter\n"
    assert readme.written(text, {}) == "before\n<!-- benchmarks:scale -->\n<!-- /benchmarks:scale -->\nafter\n"


def test_a_block_that_no_benchmark_has_is_refused() -> None:
    with pytest.raises(ValueError, match="speed_of_light"):
        readme.written("<!-- benchmarks:speed_of_light -->\n<!-- /benchmarks:speed_of_light -->", {})


def test_results_that_were_taken_apart_say_where_each_was_taken() -> None:
    one, other = ({"setting": {"machine": name, "python": "CPython 3", "aiohttp": "3"}} for name in ("this", "that"))
    together = readme.block("setting", {"scale": one, "batch": one})
    assert together == "Measured on this; CPython 3; aiohttp 3.\n"
    apart = readme.block("setting", {"scale": one, "batch": other})
    assert apart == "- `scale`: this; CPython 3; aiohttp 3.\n- `batch`: that; CPython 3; aiohttp 3.\n"


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_a_kept_result_names_its_setting_and_no_path_of_the_machine(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    result = json.loads(text)
    assert path.stem in BENCHMARKS
    assert {"machine", "python", "aiohttp", "mountsea-async"} <= result["setting"].keys()
    assert result["rows"]
    assert all(isinstance(cell, str | int | float) for row in result["rows"] for cell in row.values())
    assert not re.search(r"/(tmp|work|home|root|usr|var|dev|opt|mnt)\b", text)


# ------------------------------------------------------------------------------------------------------------ picture
def test_the_picture_shows_each_size_and_both_colour_schemes() -> None:
    rows = [{"items": items, "bytes an item": 3000 + items, "CPU ms an item": 9 / items} for items in (10, 100, 1000)]
    svg = picture.scale(rows)
    tree = ET.fromstring(svg)  # noqa: S314 - our own text
    assert "prefers-color-scheme: dark" in svg
    assert len(tree.findall(".//{*}circle")) == 6
    words = [text.text for text in tree.findall(".//{*}text")]
    assert {"10", "100", "1,000", "Memory an item, KiB", "CPU an item, ms", "items in the batch (log scale)"} <= {
        *words
    }


@pytest.mark.parametrize("value", [0.004, 0.7, 1.0, 3.35, 4.0, 950.0])
def test_a_curve_stays_between_its_axes(value: float) -> None:
    panel = picture.Panel("one", "t", "n", 50, 350, (10, 1000), {10: value, 1000: 0.0}, "{:g}")
    assert panel.y(0.0) == picture.BOTTOM
    assert picture.TOP - 1e-6 <= panel.y(value) < picture.BOTTOM
    assert (panel.x(10), panel.x(100), panel.x(1000)) == (50, 200, 350)
    assert panel.top() / panel.step() <= 5


# -------------------------------------------------------------------------------------------------------------- batch
def ideal(durations: list[float], parallel: int | None = None, rate: float | None = None) -> float:
    return best_possible(durations, parallel=parallel, rate=rate, concurrency=4, latency=0.5)


def test_the_best_possible_batch_prepares_submits_and_asks_once_more_at_the_end() -> None:
    assert ideal([10.0]) == 0.5 + 10 + 0.5
    assert ideal([10.0] * 4) == 11
    assert ideal([10.0] * 5) == 11.5  # the fifth is sent when the first four were answered


def test_the_best_possible_batch_waits_for_the_account() -> None:
    assert ideal([10.0] * 4, parallel=2) == 0.5 + 20 + 0.5
    assert ideal([10.0, 1.0, 1.0, 1.0], parallel=2) == 11  # the short ones go past the long one


def test_the_best_possible_batch_keeps_the_rate_limit_for_submits_and_for_polls() -> None:
    # 1 + 40 + 40 requests, of which 10 go at once and the others at 10 a second; the answer to the last.
    assert ideal([0.0] * 40, rate=10) == pytest.approx(7.1 + 0.5)
    # The fortieth submit is the 41st request. At four a half second, the concurrency lets it go later: 0.5 + 9 * 0.5.
    assert ideal([0.0] * 39 + [60.0], rate=10) == pytest.approx(5.0 + 60 + 0.5)
    assert ideal([0.0] * 39 + [60.0], rate=5) == pytest.approx((41 - 5) / 5 + 60 + 0.5)


@pytest.mark.e2e
async def test_the_script_that_is_compared_with_uploads_all_and_copes_with_a_refusal() -> None:
    urls = [f"https://cdn.example.com/{number}.mp3" for number in range(5)]
    behaviour = Behaviour(durations=Fixed(0.02), faults=(Fault(rate_limited(1), nth=3),))
    async with Emulator(behaviour, api_key=KEY) as emulator:
        clips = await upload_all(emulator.base_url, KEY, urls, every=0.01)
        by_url = {charge.audio_url: charge.clip_id for charge in emulator.ledger.charges}
        assert clips == [by_url[url] for url in urls]
