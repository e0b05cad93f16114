"""Whether a JSON schema can be held strictly."""

from __future__ import annotations

import copy

import pytest

from mitmcodex.wire.schema_closing import closed

LEAF = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
CLOSED = {**LEAF, "additionalProperties": False}


@pytest.mark.parametrize(
    "outside",
    [
        {"type": "object", "properties": {"x": "LEAF"}, "required": ["x"]},
        {"type": "object", "properties": {"x": {"type": "array", "items": "LEAF"}}, "required": ["x"]},
        {"type": "object", "properties": {"x": {"anyOf": ["LEAF", {"type": "null"}]}}, "required": ["x"]},
        {"type": "object", "properties": {}, "required": [], "$defs": {"d": "LEAF"}},
        {"type": "object", "properties": {"x": {"type": "array", "prefixItems": ["LEAF", "LEAF"]}}, "required": ["x"]},
    ],
)
def test_every_object_is_closed(outside):
    """Wherever it stands; the client's own schema stays as it was."""
    schema = _filled(outside, LEAF)
    before = copy.deepcopy(schema)
    assert closed(schema) == {**_filled(outside, CLOSED), "additionalProperties": False}
    assert schema == before


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"a": {}, "b": {}}, "required": ["a"]},
        {"type": "object", "properties": {"a": {}}},
        {"type": "object", "properties": {"a": {"title": "A"}}, "required": ["a"]},
        {"type": "object", "properties": {"a": {"oneOf": [LEAF, LEAF]}}, "required": ["a"]},
        {"type": "object", "properties": {"a": {"type": "object"}}, "required": ["a"]},
        {**LEAF, "additionalProperties": True},
        {**LEAF, "additionalProperties": {"type": "string"}},
        {"type": "object", "properties": {"x": {"type": "object", "properties": {"y": {}}}}, "required": ["x"]},
        {"type": "array", "items": LEAF},
        {"anyOf": [LEAF]},
        {"type": "object", "required": 1},
        {},
    ],
)
def test_what_can_not_be_strict(schema):
    """An optional property, an object open on purpose, a root that is no object, what the strict form has not: to ask
    for it would be a 400 that the client never earned."""
    assert closed(schema) is None


def _filled(value, leaf):
    if value == "LEAF":
        return leaf
    if isinstance(value, dict):
        return {key: _filled(one, leaf) for key, one in value.items()}
    return [_filled(one, leaf) for one in value] if isinstance(value, list) else value
