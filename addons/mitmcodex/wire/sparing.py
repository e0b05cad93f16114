"""Changes to JSON that copy only what differs: what stays equal stays the same object, so ``is`` tells what changed."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from mitmcodex.wire.shapes import Fields


def each(values: list[Any], change: Callable[[Any], Any]) -> list[Any]:
    """Every value changed; the list itself when each came back as it was."""
    return unless_same([change(value) for value in values], values)


def unless_same(changed: list[Any], values: list[Any]) -> list[Any]:
    """``values`` itself when the other list holds the very same."""
    return values if len(changed) == len(values) and all(map(operator.is_, changed, values)) else changed


def put(fields: Fields, key: str, value: Any) -> Fields:
    """With this value, at the key's old place if it had one."""
    return fields if key in fields and fields[key] is value else {**fields, key: value}


def without(fields: Fields, *keys: str) -> Fields:
    for key in keys:
        if key in fields:
            return {key: value for key, value in fields.items() if key not in keys}
    return fields


def within(fields: Fields, key: str, change: Callable[[list[Any]], list[Any]]) -> Fields:
    """With the list under this key changed; anything else there is left alone."""
    value = fields.get(key)
    return put(fields, key, change(value)) if isinstance(value, list) else fields
