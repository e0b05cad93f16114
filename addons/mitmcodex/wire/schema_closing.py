"""Whether a JSON schema can be held strictly: each object closed, each of its properties required.

The Responses API refuses ``strict`` with any other schema, and what these clients send (pydantic's schemas, Gemini's)
leaves objects open without meaning it.
"""

from __future__ import annotations

from typing import Any

from mitmcodex.wire.shapes import Fields


def closed(schema: Fields) -> Fields | None:
    """A copy with ``additionalProperties: false`` at each object; None when it can't be strict: an optional property,
    an object that is open on purpose, a root that is no object."""
    if schema.get("type") != "object" or "anyOf" in schema or not _is_strict(schema):
        return None
    copy: Fields = _closed(schema)
    return copy


def _is_object(schema: Fields) -> bool:
    kind = schema.get("type")
    return kind == "object" or (isinstance(kind, list) and "object" in kind) or isinstance(
        schema.get("properties"), dict
    )


def _is_strict(value: Any) -> bool:
    if isinstance(value, list):
        return all(map(_is_strict, value))
    if not isinstance(value, dict):
        return True
    if _is_object(value):
        properties, required = value.get("properties"), value.get("required")
        named = [*properties] if isinstance(properties, dict) else []
        if value.get("additionalProperties", False) is not False:
            return False
        if not isinstance(required, list) or any(name not in required for name in named):
            return False
    return all(map(_is_strict, _schemas(value)))


def _schemas(schema: Fields) -> list[Any]:
    """The schemas directly inside this one."""
    found = [schema.get(key) for key in ("items", "anyOf", "oneOf", "allOf", "prefixItems")]
    for key in ("properties", "$defs", "definitions"):
        if isinstance(schema.get(key), dict):
            found += schema[key].values()
    return found


def _closed(value: Any) -> Any:
    if isinstance(value, list):
        return [_closed(one) for one in value]
    if not isinstance(value, dict):
        return value
    copy = dict(value)
    for key in ("items", "anyOf", "oneOf", "allOf", "prefixItems"):
        if key in copy:
            copy[key] = _closed(copy[key])
    for key in ("properties", "$defs", "definitions"):
        if isinstance(copy.get(key), dict):
            copy[key] = {name: _closed(one) for name, one in copy[key].items()}
    return copy | {"additionalProperties": False} if _is_object(value) else copy
