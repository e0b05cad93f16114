"""wire/schema_repair.py: schemas as the Responses API takes them (pains P12, seeds S80)."""

from __future__ import annotations

from typing import Any

import pytest

from mitmcodex.wire.schema_repair import repaired_parameters, repaired_schema, strict_fault

CLOSED: dict[str, Any] = {
    "type": "object",
    "properties": {"a": {"type": "string"}},
    "required": ["a"],
    "additionalProperties": False,
}


def of(name: str, schema: Any) -> dict[str, Any]:
    """A strict schema with one more property."""
    return {**CLOSED, "properties": {name: schema}, "required": [name]}


def test_a_good_schema_is_left_alone() -> None:
    """conformance 32: the very same object."""
    assert repaired_parameters(CLOSED) is CLOSED


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({}, {"type": "object", "properties": {}}),
        ({"type": "object"}, {"type": "object", "properties": {}}),
        ({"properties": {"a": {}}}, {"type": "object", "properties": {"a": {}}}),
        ({"$schema": "x", **CLOSED}, CLOSED),
        (of("x", {"properties": {}}), of("x", {"type": "object", "properties": {}})),
        (of("x", {"items": {"type": "string"}}), of("x", {"type": "array", "items": {"type": "string"}})),
        (of("x", {"type": "array"}), of("x", {"type": "array", "items": {}})),
    ],
)
def test_what_follows_from_the_rest_is_added(schema: dict[str, Any], expected: dict[str, Any]) -> None:
    """pains P12: a missing type, an object without properties, an array without items, a dialect."""
    assert repaired_parameters(schema) == expected


def test_tuples_become_objects_at_any_depth() -> None:
    """seeds S80."""
    pair = {"prefixItems": [{"type": "string"}, {"prefixItems": [{"type": "null"}]}]}
    found = repaired_schema({"anyOf": [of("p", pair)]})["anyOf"][0]["properties"]["p"]
    assert found["required"] == ["0", "1"] and found["properties"]["1"]["required"] == ["0"]


@pytest.mark.parametrize(
    "schema",
    [
        CLOSED,
        of("x", {"$ref": "#/$defs/X"}),
        of("x", {"anyOf": [{"type": "null"}, CLOSED]}),
        of("x", {"enum": ["a"]}),
        of("x", {"type": "array", "items": {"type": ["string", "null"]}}),
        of("x", {"type": "string", "pattern": "a", "format": "date"}),
        {"type": "object", "properties": {}, "additionalProperties": False},
    ],
)
def test_a_schema_that_strict_allows_has_no_fault(schema: dict[str, Any]) -> None:
    """pains P12: no request is refused that the API would take."""
    assert strict_fault(schema) is None


@pytest.mark.parametrize(
    ("schema", "pointer"),
    [
        ({"type": "string"}, ""),
        ({"anyOf": [CLOSED]}, ""),
        ({**CLOSED, "anyOf": []}, "/anyOf"),
        ({**CLOSED, "additionalProperties": True}, "/additionalProperties"),
        ({key: CLOSED[key] for key in ("type", "properties", "required")}, "/additionalProperties"),
        ({**CLOSED, "required": []}, "/required"),
        ({**CLOSED, "required": None}, "/required"),
        (of("a/b", {"type": "object"}), "/properties/a~1b/additionalProperties"),
        (of("x", {"type": "array", "items": {}}), "/properties/x/items"),
        (of("x", {}), "/properties/x"),
        (of("x", True), "/properties/x"),
        (of("x", {"anyOf": [CLOSED, {"type": ["object", "null"]}]}), "/properties/x/anyOf/1/additionalProperties"),
        ({**CLOSED, "$defs": {"D": {"type": "object"}}}, "/$defs/D/additionalProperties"),
        (of("x", {"oneOf": []}), "/properties/x/oneOf"),
        (of("x", {"allOf": []}), "/properties/x/allOf"),
    ],
)
def test_a_fault_is_named_by_its_place(schema: dict[str, Any], pointer: str) -> None:
    """pains P12: the JSON pointer of the first place that breaks a rule of strict."""
    fault = strict_fault(schema)
    assert fault is not None and fault.pointer == pointer and fault.why
