"""wire/tuples.py: tuples as objects and back (seeds S80)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mitmcodex.wire.tuples import as_object, folded, has_tuples, unfolded

POINT = {"type": "array", "prefixItems": [{"type": "number"}, {"type": "string"}], "minItems": 2, "title": "P"}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "at": POINT,
        "path": {"type": "array", "items": {"$ref": "#/$defs/Point"}},
        "maybe": {"anyOf": [{"type": "null"}, POINT, {"type": "object", "properties": {}}]},
        "old": {"type": "array", "items": [{"type": "number"}], "additionalItems": POINT},
        "by_name": {"type": "object", "additionalProperties": POINT},
        "plain": {"type": "object", "properties": {"0": {"type": "string"}}},
    },
    "$defs": {"Point": POINT},
}
ARGUMENTS: dict[str, Any] = {
    "at": [1, "a"],
    "path": [[1, "a"], [2, "b"]],
    "maybe": [3, "ü"],
    "old": [1, [2, "x"]],
    "by_name": {"k": [1, "z"]},
    "plain": {"0": "stays"},
    "unknown": [1, 2],
}


def test_a_tuples_schema_becomes_an_objects() -> None:
    """seeds S80: keys 0, 1, …, all required, nothing else, the rest of the schema kept."""
    assert as_object(POINT) == {
        "title": "P",
        "type": "object",
        "properties": {"0": {"type": "number"}, "1": {"type": "string"}},
        "required": ["0", "1"],
        "additionalProperties": False,
    }


def test_further_elements_go_under_further_keys() -> None:
    """A tuple that may be longer says how its other elements are."""
    rest = {"type": "string"}
    assert as_object({"prefixItems": [{}], "items": rest})["additionalProperties"] == rest
    assert as_object({"items": [{}], "additionalItems": rest})["additionalProperties"] == rest
    assert as_object({"prefixItems": [{}], "items": False})["additionalProperties"] is False


def test_tuples_are_found_at_any_depth() -> None:
    """And only they: a list of equal elements is none."""
    assert has_tuples(SCHEMA) and has_tuples({"$defs": {"x": POINT}}) and has_tuples({"items": [{}]})
    assert not has_tuples({"type": "array", "items": {"type": "string"}}) and not has_tuples(True)


def test_values_go_there_and_back() -> None:
    """seeds S80: folding and unfolding by the schema is the identity; only tuples are touched."""
    text = folded(json.dumps(ARGUMENTS), SCHEMA)
    backend = json.loads(text)
    assert backend["at"] == {"0": 1, "1": "a"} and backend["path"][1] == {"0": 2, "1": "b"}
    assert backend["old"] == {"0": 1, "1": {"0": 2, "1": "x"}} and backend["by_name"] == {"k": {"0": 1, "1": "z"}}
    assert backend["unknown"] == [1, 2] and "ü" in text
    assert json.loads(unfolded(text, SCHEMA)) == ARGUMENTS


@pytest.mark.parametrize("text", ["", "{", '{"at": 1}', '{"plain":  {"0": "x"}}', "[1]", '{"at":{}}', '{"at":{"1":2}}'])
def test_what_holds_no_tuple_keeps_its_bytes(text: str) -> None:
    """pains P4: also text that is no JSON, as a call that was cut."""
    assert unfolded(text, SCHEMA) == text


def test_schemas_that_refer_to_themselves_end() -> None:
    """A circle of references is left, a recursive one is followed as deep as the value goes."""
    circle = {"$defs": {"A": {"$ref": "#/$defs/B"}, "B": {"anyOf": [{"$ref": "#/$defs/A"}]}}, "$ref": "#/$defs/A"}
    assert unfolded('{"0": 1}', circle) == '{"0": 1}'
    beside = {"properties": {"c": {"$ref": "#/$defs/A"}, "p": POINT}, "$defs": circle["$defs"]}
    assert unfolded('{"c":{"0":1},"p":{"0":1,"1":"a"}}', beside) == '{"c":{"0":1},"p":[1,"a"]}'
    tree = {"prefixItems": [{"type": "number"}, {"$ref": "#"}]}
    assert folded("[1,[2,[3]]]", tree) == '{"0":1,"1":{"0":2,"1":{"0":3}}}'
    assert unfolded("[" * 100_000, tree) == "[" * 100_000


@pytest.mark.parametrize("odd", [None, 1, "x", [], [1], {"a": 1}])
def test_any_schema_is_survived(odd: Any) -> None:
    """Nonsense in a schema's place leaves the value alone."""
    schema = {"$ref": odd, "anyOf": odd, "items": odd, "properties": odd, "additionalProperties": odd}
    assert json.loads(unfolded('{"a":{"0":[1]}}', schema)) in ({"a": {"0": [1]}}, {"a": [[1]]})
