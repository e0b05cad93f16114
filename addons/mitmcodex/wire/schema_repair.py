"""Schemas of tools and of structured output, as the Responses API takes them (pains.md P12).

What can be said in another way is (tuples, a missing type); a ``strict`` schema that the API would refuse is refused
here, with the place of the fault, which the API's own message hides in a context of its own notation.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from mitmcodex.wire import tuples
from mitmcodex.wire.schemas import inside, is_of_type, with_inside
from mitmcodex.wire.shapes import Fields
from mitmcodex.wire.sparing import without

_SAYS_TYPE = ("type", "$ref", "anyOf", "oneOf", "allOf", "enum", "const", "not")
_NOT_STRICT = ("oneOf", "allOf", "not", "if", "then", "else", "dependentRequired", "dependentSchemas")


class Fault(NamedTuple):
    pointer: str
    """JSON pointer from the schema's root, "" for the root."""
    why: str


def repaired_schema(schema: Fields) -> Fields:
    """Without ``$schema``, tuples as objects, types where they follow from what else is said; itself if it was so."""
    return _repaired(without(schema, "$schema"))


def repaired_parameters(schema: Fields) -> Fields:
    """The same for a tool's parameters, of which the API wants an object with properties."""
    repaired = repaired_schema(schema)
    if not any(key in repaired for key in _SAYS_TYPE):
        repaired = {"type": "object", **repaired}
    if repaired.get("type") == "object" and not isinstance(repaired.get("properties"), dict):
        repaired = {**repaired, "properties": {}}
    return repaired


def _repaired(schema: Any) -> Any:
    if not isinstance(schema, dict):
        return schema
    repaired = with_inside(schema, _repaired)
    if tuples.parts_of(repaired) is not None:
        return tuples.as_object(repaired)
    if "type" not in repaired:
        if isinstance(repaired.get("properties"), dict):
            return {"type": "object", **repaired}
        if isinstance(repaired.get("items"), dict):
            return {"type": "array", **repaired}
    if is_of_type(repaired, "array") and "items" not in repaired:
        return {**repaired, "items": {}}
    return repaired


def strict_fault(schema: Fields) -> Fault | None:
    """The first place at which a schema breaks the rules of ``strict``: the root is an object, each object is closed
    and all its properties are required, each value has a type."""
    if schema.get("type") != "object":
        return Fault("", 'the root must be of type "object"')
    if "anyOf" in schema:
        return Fault("/anyOf", "not allowed at the root")
    return _fault(schema, "")


def _fault(schema: Any, pointer: str) -> Fault | None:
    if not isinstance(schema, dict):
        return Fault(pointer, "must be a schema object")
    for key in _NOT_STRICT:
        if key in schema:
            return Fault(f"{pointer}/{key}", "not allowed in a strict schema")
    if not any(key in schema for key in _SAYS_TYPE):
        return Fault(pointer, 'needs a "type"')
    found = _object_fault(schema, pointer) if is_of_type(schema, "object") else None
    for tail, one in () if found else inside(schema):
        if found := _fault(one, pointer + tail):
            break
    return found


def _object_fault(schema: Fields, pointer: str) -> Fault | None:
    if schema.get("additionalProperties") is not False:
        return Fault(f"{pointer}/additionalProperties", "must be given and be false")
    properties, required = schema.get("properties"), schema.get("required")
    names = required if isinstance(required, list) else []
    for name in properties if isinstance(properties, dict) else ():
        if name not in names:
            return Fault(f"{pointer}/required", f"must name each property, and lacks {name!r}")
    return None
