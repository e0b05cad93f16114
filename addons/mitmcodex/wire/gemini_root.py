"""Structured answers whose root is no object: a list (``list[Recipe]``) or one of an enum's values.

The Responses API takes objects alone. Such a root is asked for as the one property of an object, and taken out of the
answer.
"""

from __future__ import annotations

import json
import re

from mitmcodex.wire.shapes import Fields

_KEY = "value"
_OPENING = re.compile(r'\s*\{\s*"value"\s*:\s*')


def wrapped(schema: Fields) -> Fields | None:
    """The object to ask for, None for a schema that is one. Definitions stay at the root, where references look."""
    if schema.get("type") == "object" or "properties" in schema:
        return None
    inner = {key: value for key, value in schema.items() if key != "$defs"}
    outer: Fields = {"type": "object", "properties": {_KEY: inner}, "required": [_KEY]}
    return outer | {"$defs": schema["$defs"]} if "$defs" in schema else outer


def unwrapped(text: str, is_enum: bool) -> str:
    """What the client asked for: JSON, or an enum's value as it stands. Of an answer that was cut what there is."""
    try:
        value = json.loads(text)[_KEY]
    except (ValueError, KeyError, TypeError, RecursionError):
        opening = _OPENING.match(text)
        return text[opening.end() :] if opening else text
    return value if is_enum and isinstance(value, str) else json.dumps(value, ensure_ascii=False)
