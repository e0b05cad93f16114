"""What another program's JSON holds, where anything may stand: a value of another type counts as none."""

from __future__ import annotations

from typing import Any

from mitmcodex.wire.shapes import Fields


def object_of(value: Any) -> Fields:
    return value if isinstance(value, dict) else {}


def list_of(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def objects_of(value: Any) -> list[Fields]:
    """The objects of a list."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def text_of(value: Any) -> str:
    return value if isinstance(value, str) else ""


def number_of(value: Any) -> int:
    return value if isinstance(value, int) else 0


def number_at(value: Any, key: str) -> int:
    """Of an object."""
    return number_of(value.get(key)) if isinstance(value, dict) else 0
