"""Whether a JSON schema can be held strictly: each object closed, each of its properties required.

The Responses API refuses ``strict`` with any other schema, and what clients of other protocols send (pydantic's
schemas, Gemini's) leaves objects open without meaning it, or says what strict schemas can't (``oneOf``).
"""

from __future__ import annotations

from typing import Any

from mitmcodex.wire.schema_repair import repaired_schema, strict_fault
from mitmcodex.wire.schemas import with_inside
from mitmcodex.wire.shapes import Fields

NOT_ENFORCED = "not enforced: the schema has optional or open properties, or keys that a strict one can't have"
"""Of the loss where ``closed`` gives None."""


def closed(schema: Fields) -> Fields | None:
    """The schema with ``additionalProperties: false`` at each object that names its properties; None when it would
    break the rules of ``strict`` all the same: an optional property, an object that is open on purpose, a root that
    is no object."""
    copy: Fields = _closed(schema)
    return None if strict_fault(repaired_schema(copy)) else copy


def _closed(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    copy = with_inside(value, _closed)
    is_open = isinstance(copy.get("properties"), dict) and "additionalProperties" not in copy
    return {**copy, "additionalProperties": False} if is_open else copy
