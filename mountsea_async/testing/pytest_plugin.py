"""The pytest plugin: `mountsea_emulator`, a running emulator that a client without arguments finds by itself.

What may live here: the fixture and its marker. Nothing heavy is imported before the fixture is used, because
pytest loads this module in every project where the library is installed.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mountsea_async.testing import Emulator


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line(
        "markers",
        "mountsea_emulator(**fields): Behaviour fields for the fixture of this name, such as fail_share=0.1",
    )


@pytest.fixture
def mountsea_emulator(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    """A started emulator on a thread of its own, with uploads, and all else that takes time, in 10 to 50 milliseconds.

    `MOUNTSEA_API_KEY` and `MOUNTSEA_BASE_URL` point to it during the test. The marker sets fields of
    `Behaviour`, as in `@pytest.mark.mountsea_emulator(fail_share=0.1)`; a test's own marker goes before
    those of its class and module.
    """
    from mountsea_async.testing import Behaviour, Emulator, Uniform  # noqa: PLC0415 - heavy: see above

    fields: dict[str, object] = dict.fromkeys(("durations", "training", "generation"), Uniform(0.01, 0.05))
    for marker in reversed(list(request.node.iter_markers("mountsea_emulator"))):
        if marker.args:
            raise pytest.UsageError("mountsea_emulator takes Behaviour fields by name, such as fail_share=0.1")
        fields |= marker.kwargs
    try:
        behaviour = Behaviour(**fields)  # type: ignore[arg-type] # checked by Behaviour itself
    except (TypeError, ValueError) as error:
        known = ", ".join(inspect.signature(Behaviour).parameters)
        raise pytest.UsageError(f"@pytest.mark.mountsea_emulator: {error}; its fields: {known}") from None
    with Emulator(behaviour).in_thread() as emulator:
        monkeypatch.setenv("MOUNTSEA_API_KEY", emulator.api_key)
        monkeypatch.setenv("MOUNTSEA_BASE_URL", emulator.base_url)
        yield emulator
