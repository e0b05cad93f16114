"""Gemini's schema as a JSON schema (conformance 66)."""

from __future__ import annotations

import pytest

from mitmcodex.wire.codec import Loss
from mitmcodex.wire.errors import WireError
from mitmcodex.wire.gemini_schema import json_schema


@pytest.mark.parametrize(
    "gemini, expected",
    [
        ({"type": "OBJECT"}, {"type": "object"}),
        ({"type": ["STRING", "null"]}, {"type": ["string", "null"]}),
        ({"type": "TYPE_UNSPECIFIED"}, {}),
        ({"type": "STRING", "nullable": True}, {"type": ["string", "null"]}),
        ({"type": "STRING", "enum": ["a"], "format": "enum"}, {"type": "string", "enum": ["a"]}),
        ({"enum": ["a"], "nullable": True}, {"enum": ["a", None]}),
        ({"anyOf": [{"type": "STRING"}], "nullable": True}, {"anyOf": [{"type": "string"}, {"type": "null"}]}),
        ({"type": "INTEGER", "format": "int32"}, {"type": "integer", "format": "int32"}),
        ({"minItems": "1", "max_items": 2}, {"minItems": 1, "maxItems": 2}),
        ({"minimum": 0.5, "example": 1}, {"minimum": 0.5, "examples": [1]}),
        ({"items": {"type": "NUMBER"}}, {"items": {"type": "number"}}),
        ({"prefixItems": [{"type": "NUMBER"}]}, {"prefixItems": [{"type": "number"}]}),
        ({"additionalProperties": False}, {"additionalProperties": False}),
        ({"additional_properties": {"type": "STRING"}}, {"additionalProperties": {"type": "string"}}),
        ({"ref": "#/$defs/a"}, {"$ref": "#/$defs/a"}),
        ({"defs": {"a": {"type": "STRING"}}}, {"$defs": {"a": {"type": "string"}}}),
    ],
)
def test_keys(gemini, expected):
    """conformance 66: types in lower case, each key under the name that JSON schema has for it, none lost."""
    losses: list[Loss] = []
    assert json_schema(gemini, "", losses) == expected
    assert losses == []


def test_names_of_properties_are_no_keys():
    """A property may be called like a key, and keeps its spelling."""
    names = {"any_of": {"type": "STRING"}, "type": {"type": "STRING"}}
    assert [*json_schema({"properties": names}, "", [])["properties"]] == ["any_of", "type"]


def test_the_order_of_properties():
    """propertyOrdering is kept as the order in which they stand (capture google-genai-py/10)."""
    schema = {"properties": {"a": {}, "b": {}, "c": {}}, "property_ordering": ["c", "a", "missing"]}
    assert [*json_schema(schema, "", [])["properties"]] == ["c", "a", "b"]


def test_what_has_no_counterpart_is_a_hint():
    """conformance 66: the schema holds without it."""
    losses: list[Loss] = []
    json_schema({"properties": {"a": {"x-own": 1}}}, "at", losses)
    assert [(loss.path, loss.is_hint) for loss in losses] == [("at.properties.a.x-own", True)]


@pytest.mark.parametrize(
    "schema", [[], "x", {"type": 1}, {"properties": []}, {"items": 1}, {"anyOf": {}}, {"required": 1}]
)
def test_wrong_types(schema):
    """The error names the path."""
    with pytest.raises(WireError, match="at"):
        json_schema(schema, "at", [])
