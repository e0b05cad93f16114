"""Tuples, which the backend's schemas don't have: ``[a, b]`` goes as an object ``{"0": a, "1": b}`` and comes back
(seeds S80). A tuple is an array schema with ``prefixItems``, or with a list under ``items`` as older drafts write it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from mitmcodex.wire.schemas import inside
from mitmcodex.wire.shapes import Fields

_BRANCHES = ("anyOf", "oneOf", "allOf")


def parts_of(schema: Fields) -> list[Any] | None:
    """The schemas of a tuple's parts; None when the schema is no tuple's."""
    for key in ("prefixItems", "items"):
        if isinstance(schema.get(key), list):
            parts: list[Any] = schema[key]
            return parts
    return None


def has_tuples(schema: Any) -> bool:
    if not isinstance(schema, dict):
        return False
    return parts_of(schema) is not None or any(has_tuples(one) for _, one in inside(schema))


def as_object(schema: Fields) -> Fields:
    """A tuple's schema as that of an object with the keys 0, 1, …; further elements, if allowed, under further keys."""
    parts = parts_of(schema) or []
    rest = _rest(schema)
    told = ("type", "prefixItems", "items", "additionalItems", "minItems", "maxItems", "unevaluatedItems")
    return {
        **{key: value for key, value in schema.items() if key not in told},
        "type": "object",
        "properties": {str(index): part for index, part in enumerate(parts)},
        "required": [str(index) for index in range(len(parts))],
        "additionalProperties": rest if isinstance(rest, dict) else False,
    }


def _rest(schema: Fields) -> Any:
    """The schema of the elements after a tuple's parts."""
    return schema.get("items") if isinstance(schema.get("prefixItems"), list) else schema.get("additionalItems")


def folded(text: str, schema: Fields) -> str:
    """JSON of the client's form in the backend's; ``schema`` is the client's. Text that is no JSON stays as it is."""
    return _rewritten(text, _Walk(schema, _fold))


def unfolded(text: str, schema: Fields) -> str:
    """JSON of the backend's form in the client's."""
    return _rewritten(text, _Walk(schema, _unfold))


def _rewritten(text: str, walk: _Walk) -> str:
    try:
        value = json.loads(text)
        changed = walk.value(value, walk.schema)
    except (ValueError, RecursionError):
        return text
    return text if changed == value else json.dumps(changed, ensure_ascii=False, separators=(",", ":"))


def _fold(value: Any) -> dict[str, Any] | None:
    """What a tuple in the text holds by its keys; None when there is none."""
    return {str(index): part for index, part in enumerate(value)} if isinstance(value, list) else None


def _unfold(value: Any) -> dict[str, Any] | None:
    if not value or not isinstance(value, dict) or {*value} != {str(index) for index in range(len(value))}:
        return None
    return {str(index): value[str(index)] for index in range(len(value))}


class _Walk:
    """Follows a value along its schema; ``find`` says which values are tuples in the form that is read."""

    def __init__(self, schema: Fields, find: Callable[[Any], dict[str, Any] | None]) -> None:
        self.schema = schema
        self._find = find

    def value(self, value: Any, schema: Any, followed: frozenset[str] = frozenset()) -> Any:
        if not isinstance(schema, dict):
            return value
        reference = schema.get("$ref")
        if isinstance(reference, str) and reference not in followed:
            value = self.value(value, self._target(reference), followed | {reference})
        for key in _BRANCHES:
            for branch in schema[key] if isinstance(schema.get(key), list) else ():
                value = self.value(value, branch, followed)
        parts = parts_of(schema)
        if parts is not None:
            return self._tuple(value, parts, _rest(schema))
        if isinstance(value, list) and isinstance(schema.get("items"), dict):
            return [self.value(one, schema["items"]) for one in value]
        return self._object(value, schema) if isinstance(value, dict) else value

    def _tuple(self, value: Any, parts: list[Any], rest: Any) -> Any:
        held = self._find(value)
        if held is None:
            return value
        schemas = {str(index): part for index, part in enumerate(parts)}
        walked = {key: self.value(one, schemas.get(key, rest)) for key, one in held.items()}
        return walked if isinstance(value, list) else [*walked.values()]

    def _object(self, value: dict[str, Any], schema: Fields) -> dict[str, Any]:
        properties, rest = schema.get("properties"), schema.get("additionalProperties")
        known = properties if isinstance(properties, dict) else {}
        return {key: self.value(one, known.get(key, rest)) for key, one in value.items()}

    def _target(self, reference: str) -> Any:
        """What a local reference names: ``#``, ``#/$defs/Point``."""
        found: Any = self.schema if reference.startswith("#") else None
        for token in reference.lstrip("#").split("/")[1:]:
            name = token.replace("~1", "/").replace("~0", "~")
            found = found.get(name) if isinstance(found, dict) else None
        return found
