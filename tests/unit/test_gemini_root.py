"""Structured answers whose root is no object."""

from __future__ import annotations

import pytest

from mitmcodex.wire.gemini_root import unwrapped, wrapped


def test_an_object_needs_no_wrapping():
    """What the Responses API takes goes on as it is."""
    assert wrapped({"type": "object"}) is None
    assert wrapped({"properties": {}}) is None


def test_definitions_stay_at_the_root():
    """References count from there."""
    schema = {"type": "array", "items": {"$ref": "#/$defs/a"}, "$defs": {"a": {"type": "string"}}}
    assert wrapped(schema) == {
        "type": "object",
        "properties": {"value": {"type": "array", "items": {"$ref": "#/$defs/a"}}},
        "required": ["value"],
        "$defs": {"a": {"type": "string"}},
    }


@pytest.mark.parametrize(
    "text, is_enum, told",
    [
        ('{"value":["é",1]}', False, '["é", 1]'),
        ('{"value":"yes"}', True, "yes"),
        ('{"value":"yes"}', False, '"yes"'),
        (' { "value" : [1, 2', False, "[1, 2"),
        ("no JSON", False, "no JSON"),
        ("[1]", False, "[1]"),
    ],
)
def test_unwrapping(text, is_enum, told):
    """The value as the client asked for it; of an answer that was cut what there is, never nothing."""
    assert unwrapped(text, is_enum) == told
