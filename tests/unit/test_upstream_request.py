"""wire/upstream_request.py. What goes to each service stands in golden/upstream_KIND/requests."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from mitmcodex.wire import REVERSES
from mitmcodex.wire.codec import Decoded, Extra, Loss
from mitmcodex.wire.errors import WireError
from mitmcodex.wire.upstream_request import NEWEST, generation

KINDS = ("messages", "gemini")
GOLDEN = Path(__file__).parent.parent / "golden"
each_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.mark.parametrize(
    ("model", "family", "version"),
    [
        ("claude-opus-4-6", "claude", (4, 6)),
        ("claude-sonnet-4-20250514", "claude", (4, 0)),
        ("claude-sonnet-4@20250514", "claude", (4, 0)),
        ("claude-3-7-sonnet-20250219", "claude", (3, 7)),
        ("claude-opus-4-5-20251101", "claude", (4, 5)),
        ("anthropic/claude-opus-4.7", "claude", (4, 7)),
        ("claude-next", "claude", NEWEST),
        ("kimi-k2", "claude", None),
        ("gemini-2.5-pro", "gemini", (2, 5)),
        ("models/gemini-2.0-flash-001", "gemini", (2, 0)),
        ("gemini-flash-latest", "gemini", NEWEST),
    ],
)
def test_the_version_stands_in_the_name(model, family, version):
    """With dots or hyphens, before or after the size, never the date; no number means the newest."""
    assert generation(model, family) == version


@each_kind
def test_losses_name_what_the_client_wrote(kind):
    """A key that the client's protocol has under another name is reported by that name."""
    decoded = Decoded(
        {"model": "x", "input": "Hi", "truncation": "auto"},
        paths={"truncation": "cut"},
        extras={"logit_bias": Extra("logitBias", {})},
    )
    paths = {loss.path for loss in REVERSES[kind].encode_request(decoded).losses}
    assert {"cut", "logitBias"} <= paths and "truncation" not in paths


@each_kind
def test_no_key_vanishes(kind):
    """seeds S78: each key of golden requests that is renamed to an unknown one is reported, wherever it stands."""
    for name in ("codex", "openai-sdk-everything", "call-loop", "media", "structured", "web-search"):
        fields = fields_of(kind, name)
        for path, holder, key in places(fields):
            value = holder.pop(key)
            holder["novel"] = value if value is not None else 1
            assert is_reported(kind, fields, path), (name, path, key)
            del holder["novel"]
            holder[key] = value


def fields_of(kind: str, name: str) -> dict[str, Any]:
    path = GOLDEN / f"upstream_{kind}" / "requests" / name / "request.json"
    fields: dict[str, Any] = json.loads(path.read_bytes())["fields"]
    return fields


def places(fields: dict[str, Any]) -> list[tuple[str, dict[str, Any], str]]:
    """(path of the renamed key, its object, its name) of what the protocol reads key by key: not schemas, not maps."""
    found = [("novel", fields, key) for key in fields]
    for key in ("text", "reasoning"):
        found += [(f"{key}.novel", fields[key], one) for one in fields.get(key, {})]
    for key in ("tools", "input"):
        for index, one in enumerate(fields.get(key) if isinstance(fields.get(key), list) else []):
            found += [(f"{key}[{index}].novel", one, name) for name in one]
            for place, part in enumerate(one["content"] if isinstance(one.get("content"), list) else []):
                found += [(f"input[{index}].content[{place}].novel", part, name) for name in part]
    return found


def is_reported(kind: str, fields: dict[str, Any], path: str) -> bool:
    """As a loss, itself or with the object that it stands in; what the request now lacks may be refused by name."""
    found = result(kind, fields)
    if isinstance(found, WireError):
        return bool(found.param)
    return any(loss.path == path or path.startswith(f"{loss.path}.") for loss in found if loss.what == "dropped")


def result(kind: str, fields: Any) -> list[Loss] | WireError:
    try:
        return REVERSES[kind].encode_request(Decoded(copy.deepcopy(fields))).losses
    except WireError as error:
        return error


MUTATIONS: list[Any] = [None, 1, -1.5, True, "x", "", [], {}, [1], [[]], {"a": 1}, {"type": "x"}]


@each_kind
@pytest.mark.parametrize("name", ["codex", "tools-all-kinds", "media", "structured", "reasoning-own", "web-search"])
def test_any_json_is_survived(kind, name):
    """Each value of a request replaced by each of the wrong kinds: an encoded request or a WireError, nothing else."""
    fields = fields_of(kind, name)
    for holder, key in values(fields):
        held = holder[key]
        for wrong in MUTATIONS:
            holder[key] = wrong
            found = result(kind, fields)
            assert isinstance(found, list) or found.kind == "invalid_request"
        holder[key] = held


def values(value: Any) -> list[tuple[Any, Any]]:
    keys = list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    inner = [pair for key in keys for pair in values(value[key])]
    return [(value, key) for key in keys] + inner


@each_kind
@pytest.mark.parametrize(
    ("reasoning", "is_shown"),
    [
        ({"effort": "low"}, True),
        ({"effort": "low", "summary": "auto"}, True),
        ({"effort": "low", "summary": "none"}, False),
        ({"effort": "low", "summary": None}, False),
        ({"effort": "none"}, False),
        ({}, False),
    ],
)
def test_thoughts_are_shown_to_who_named_an_effort(kind, reasoning, is_shown):
    """A client that has no word for it would never see any; one that turned them off sees none."""
    model = {"messages": "claude-opus-4-6", "gemini": "gemini-3-pro"}[kind]
    fields = {"model": model, "input": "q", "reasoning": reasoning}
    told = json.dumps(REVERSES[kind].encode_request(Decoded(fields)).fields)
    assert ("includeThoughts" in told or "summarized" in told) is is_shown
