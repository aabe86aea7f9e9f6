"""The service's OpenAPI document, and whether a request of ours keeps to it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from typing import Any

import jsonschema
import yaml

from mountsea_async.testing import Call


@cache
def document() -> dict[str, Any]:
    text = (files("mountsea_async.testing") / "openapi.yaml").read_text(encoding="utf-8")
    loaded: dict[str, Any] = yaml.safe_load(text)
    return loaded


def validator(schema: dict[str, Any]) -> jsonschema.Draft202012Validator:
    whole = {**schema, "components": document()["components"]}
    checker = jsonschema.Draft202012Validator.FORMAT_CHECKER
    return jsonschema.Draft202012Validator(whole, format_checker=checker)


def check_call(call: Call) -> None:
    """Fails if the request isn't one that the document describes."""
    operation = document()["paths"].get(call.path, {}).get(call.method.lower())
    assert operation is not None, f"{call.method} {call.path} is not in the document"
    parameters = {p["name"]: p for p in operation.get("parameters", ()) if p["in"] == "query"}
    query = dict(call.query)
    assert set(query) <= set(parameters), f"unknown query parameters {set(query) - set(parameters)}"
    for name, parameter in parameters.items():
        assert name in query or not parameter.get("required"), f"{name} is missing"
        if name in query:
            validator(parameter["schema"]).validate(query[name])
    body = operation.get("requestBody")
    if body is None:
        assert call.body == b"", "a body where none is documented"
        return
    assert call.headers["content-type"] == "application/json"
    validator(body["content"]["application/json"]["schema"]).validate(json.loads(call.body))


def check_calls(calls: Iterable[Call]) -> None:
    """Checks every request that our client has sent; those of other clients are the test's own."""
    for call in calls:
        if call.headers.get("user-agent", "").startswith("mountsea-async/"):
            check_call(call)
