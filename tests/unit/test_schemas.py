"""wire/schemas.py: the schemas inside a schema."""

from __future__ import annotations

from typing import Any

from mitmcodex.wire.schemas import inside, is_of_type, with_inside

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"a/b": {"type": "string"}, "c~d": {"type": "array", "items": {"type": "integer"}}},
    "additionalProperties": {"type": "null"},
    "anyOf": [{"title": "x"}],
    "$defs": {"P": {"title": "y"}},
}


def test_each_place_of_a_schema_is_found() -> None:
    """With its JSON pointer, escaped as RFC 6901 says."""
    assert {pointer for pointer, _ in inside(SCHEMA)} == {
        "/properties/a~1b",
        "/properties/c~0d",
        "/additionalProperties",
        "/anyOf/0",
        "/$defs/P",
    }
    assert [pointer for pointer, _ in inside({"items": [{}, {}], "prefixItems": [{}], "enum": [{}], "not": True})] == [
        "/items/0",
        "/items/1",
        "/prefixItems/0",
    ]


def test_all_inside_can_be_changed() -> None:
    """The schema itself comes back when nothing changed, and is never changed itself."""
    assert with_inside(SCHEMA, lambda one: one) is SCHEMA
    marked = with_inside(SCHEMA, lambda one: {**one, "m": 1})
    assert all(one["m"] == 1 for _, one in inside(marked)) and not any("m" in one for _, one in inside(SCHEMA))


def test_a_type_may_be_one_of_several() -> None:
    """``["object", "null"]`` is an object's too."""
    assert is_of_type({"type": ["object", "null"]}, "object") and not is_of_type({"type": ["null"]}, "object")
    assert is_of_type({"type": "object"}, "object") and not is_of_type({}, "object")
