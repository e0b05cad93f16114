"""Gemini's schema (an OpenAPI subset: upper-case types, ``nullable``) as a JSON schema (conformance 66)."""

from __future__ import annotations

from typing import Any

from mitmcodex.wire.codec import Loss
from mitmcodex.wire.gemini_reading import GeminiReading
from mitmcodex.wire.nested_reading import put
from mitmcodex.wire.reading import wrong
from mitmcodex.wire.shapes import Fields

_TEXTS = ("title", "description", "pattern")
_SIZES = ("minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties")
_LIMITS = ("minimum", "maximum")
_AS_THEY_ARE = ("default", "enum")


class _SchemaReading(GeminiReading):
    def lose(self, key: str, why: str, *, what: str = "dropped", is_hint: bool = False) -> None:
        """A schema still holds without the keys that have no counterpart."""
        super().lose(key, why, what=what, is_hint=True)


def json_schema(value: Any, path: str, losses: list[Loss]) -> Fields:
    """Raises WireError where the schema has a wrong type; a key without a counterpart is a loss (a hint)."""
    found: Fields = {}
    with _SchemaReading(value, path, losses) as schema:
        put(found, "type", _type(schema))
        for key in _TEXTS:
            put(found, key, schema.take(key, str))
        for key in _SIZES:
            put(found, key, schema.whole_number(key))
        for key in _LIMITS:
            put(found, key, schema.number(key))
        for key in _AS_THEY_ARE:
            put(found, key, schema.raw(key))
        put(found, "format", _format(schema))
        if schema.raw("example") is not None:
            found["examples"] = [schema.raw("example")]
        _read_inner(schema, found)
        if schema.take("nullable", bool):
            _allow_null(found)
    return found


def _type(schema: GeminiReading) -> str | list[str] | None:
    """Also a list, as JSON schemas have it and some clients send it."""
    if isinstance(schema.raw("type"), list):
        return [kind.lower() for kind in schema.texts("type")]
    kind = schema.take("type", str)
    return kind.lower() if kind and kind != "TYPE_UNSPECIFIED" else None


def _format(schema: GeminiReading) -> str | None:
    """``enum`` says what the key ``enum`` beside it says."""
    told = schema.take("format", str)
    return told if told != "enum" else None


def _read_inner(schema: GeminiReading, found: Fields) -> None:
    put(found, "$ref", schema.take("$ref", str) or schema.take("ref", str))
    order = schema.texts("propertyOrdering")
    properties = _named(schema, "properties")
    if properties is not None:
        first = {name: properties[name] for name in order if name in properties}
        found["properties"] = first | properties
    put(found, "required", schema.texts("required") or None)
    put(found, "$defs", _named(schema, "$defs") or _named(schema, "defs"))
    for key in ("anyOf", "prefixItems"):
        if schema.raw(key) is not None:
            found[key] = [json_schema(one, f"{schema.at(key)}[{n}]", schema.losses) for n, one in _listed(schema, key)]
    if schema.raw("items") is not None:
        found["items"] = json_schema(schema.raw("items"), schema.at("items"), schema.losses)
    further = schema.raw("additionalProperties")
    if further is not None:
        is_said = isinstance(further, bool)
        at = schema.at("additionalProperties")
        found["additionalProperties"] = further if is_said else json_schema(further, at, schema.losses)


def _listed(schema: GeminiReading, key: str) -> list[tuple[int, Any]]:
    return [*enumerate(schema.take(key, list) or ())]


def _named(schema: GeminiReading, key: str) -> Fields | None:
    held = schema.raw(key)
    if held is None:
        return None
    if not isinstance(held, dict):
        raise wrong(schema.at(key), "must be an object")
    return {name: json_schema(one, f"{schema.at(key)}.{name}", schema.losses) for name, one in held.items()}


def _allow_null(found: Fields) -> None:
    if isinstance(found.get("type"), str):
        found["type"] = [found["type"], "null"]
    if isinstance(found.get("enum"), list):
        found["enum"] = [*found["enum"], None]
    if isinstance(found.get("anyOf"), list):
        found["anyOf"] = [*found["anyOf"], {"type": "null"}]
