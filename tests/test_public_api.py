"""The package as a whole: its names, its lightness, its errors, its documentation."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import attrs
import pytest

import mountsea_async


def fresh(code: str) -> str:
    """What a fresh interpreter prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.strip()


def test_every_name_that_is_offered_is_there() -> None:
    for name in mountsea_async.__all__:
        assert getattr(mountsea_async, name) is not None
    assert set(mountsea_async.__all__) <= set(dir(mountsea_async))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = mountsea_async.nothing  # type: ignore[attr-defined]


def test_type_checkers_and_the_interpreter_see_the_same_names() -> None:
    tree = ast.parse(Path(mountsea_async.__file__).read_text(encoding="utf-8"))
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    imported = {alias.asname for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert imported | {"__version__"} == set(mountsea_async.__all__)


def test_importing_the_package_imports_nothing_heavy() -> None:
    heavy = fresh(
        "import sys, mountsea_async; print(*{'aiohttp', 'attrs', 'cattrs', 'backoff', 'rich'} & set(sys.modules))"
    )
    assert heavy == ""


def test_the_client_imports_no_extra_and_no_emulator() -> None:
    code = (
        "import sys; from mountsea_async import MountseaClient; "
        "print(*{'cyclopts', 'rich', 'pytest', 'opentelemetry', 'mountsea_async.testing', 'mountsea_async.cli', "
        "'mountsea_async.contrib'} & set(sys.modules))"
    )
    assert fresh(code) == ""


def test_a_batch_is_watched_and_logged_where_no_extra_is_installed() -> None:
    code = """
import asyncio, importlib.abc, logging, sys
class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"opentelemetry", "cyclopts", "rich"}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
logging.basicConfig(level=logging.DEBUG)
from mountsea_async import MountseaClient
from mountsea_async.testing import Behaviour, Emulator, Fixed
async def main():
    events = []
    async with Emulator(Behaviour(durations=Fixed(0))) as emulator:
        async with MountseaClient("emulator-key", base_url=emulator.base_url, observe=lambda: events.append) as client:
            report = await client.upload_batch(["https://cdn.example.com/1.mp3"])
    print(report.ok, len(events) > 3)
asyncio.run(main())
"""
    assert fresh(code) == "True True"


PUBLIC = [getattr(mountsea_async, name) for name in mountsea_async.__all__]
CLASSES = [value for value in PUBLIC if inspect.isclass(value)]


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_every_public_class_and_method_is_documented(cls: type) -> None:
    assert cls.__doc__
    for name, member in vars(cls).items():
        if not name.startswith("_") and (inspect.isfunction(member) or isinstance(member, property)):
            assert member.__doc__, f"{cls.__name__}.{name} has no docstring"


def test_every_keyword_of_a_public_call_is_explained() -> None:
    client = mountsea_async.MountseaClient
    songs = (client.create_playlist, client.vox_stem, client.create_persona, client.inspire, client.generate)
    voices = (client.voice_persona, mountsea_async.VoicePersona.complete, mountsea_async.BatchReport.clip_groups)
    models = (client.train_model, client.custom_model_session, mountsea_async.CustomModelSession.train)
    resumed = (client.resume_batch, client.resume_session)
    others = (client.generate_schema, client.preflight, client.submit, client.task)
    batches = (client, client.upload_batch, client.upload_session, client.upload)
    for call in (*batches, *models, *resumed, *songs, *voices, *others):
        text = inspect.getdoc(call) or ""
        for name in inspect.signature(call).parameters:
            assert name == "self" or f"{name}: " in text, f"{call.__qualname__} doesn't explain {name}"


def test_every_attribute_of_a_public_value_is_explained() -> None:
    for cls in CLASSES:
        if attrs.has(cls):
            text = inspect.getdoc(cls) or ""
            for field in attrs.fields(cls):
                assert field.name in {"seq", "at"} or f"{field.name}: " in text, f"{cls.__name__}.{field.name}"


def test_values_are_frozen() -> None:
    for cls in CLASSES:
        if attrs.has(cls):
            assert cls.__setattr__ is not object.__setattr__, cls


def public_errors() -> list[Any]:
    return [cls for cls in CLASSES if issubclass(cls, Exception) and not issubclass(cls, Warning)]


def test_every_error_has_the_one_root() -> None:
    assert len(public_errors()) > 25
    assert all(issubclass(cls, mountsea_async.MountseaError) for cls in public_errors())
