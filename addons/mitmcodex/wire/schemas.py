"""What a JSON schema holds inside: the schemas in it, each with its place, read or changed by one function."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from mitmcodex.wire.shapes import Fields
from mitmcodex.wire.sparing import each, put

_ONE = frozenset("items additionalProperties not if then else contains propertyNames".split())
_LISTED = frozenset("prefixItems anyOf oneOf allOf items".split())
_NAMED = frozenset("properties patternProperties $defs definitions dependentSchemas".split())


def inside(schema: Fields) -> Iterator[tuple[str, Any]]:
    """Each schema directly inside this one, with its JSON pointer from here."""
    for key, value in schema.items():
        if isinstance(value, dict):
            if key in _NAMED:
                yield from ((f"/{key}/{escaped(name)}", one) for name, one in value.items())
            elif key in _ONE:
                yield f"/{key}", value
        elif isinstance(value, list) and key in _LISTED:
            yield from ((f"/{key}/{index}", one) for index, one in enumerate(value))


def with_inside(schema: Fields, change: Callable[[Any], Any]) -> Fields:
    """The schema with each schema directly inside it changed; itself when each came back as it was."""
    changed = schema
    for key, value in schema.items():
        if isinstance(value, dict):
            if key in _NAMED:
                schemas = [*value.values()]
                if (new := each(schemas, change)) is not schemas:
                    changed = put(changed, key, dict(zip(value, new, strict=True)))
            elif key in _ONE:
                changed = put(changed, key, change(value))
        elif isinstance(value, list) and key in _LISTED:
            changed = put(changed, key, each(value, change))
    return changed


def escaped(name: str) -> str:
    """As a part of a JSON pointer (RFC 6901)."""
    return name.replace("~", "~0").replace("/", "~1")


def is_of_type(schema: Fields, kind: str) -> bool:
    stated = schema.get("type")
    return stated == kind or (isinstance(stated, list) and kind in stated)
