"""Responses API, decode: a client's request is canonical as it stands; what a provider demands is backend.py's."""

from __future__ import annotations

from typing import Any

from mitmcodex.wire.codec import Asked, Decoded
from mitmcodex.wire.reading import wrong
from mitmcodex.wire.shapes import Fields

_KINDS: dict[str, tuple[tuple[type, ...], str]] = {
    "include": ((list,), "a list"),
    "input": ((str, list), "a text or a list of items"),
    "instructions": ((str,), "a text"),
    "metadata": ((dict,), "an object"),
    "model": ((str,), "a text"),
    "previous_response_id": ((str,), "a text"),
    "reasoning": ((dict,), "an object"),
    "store": ((bool,), "true or false"),
    "text": ((dict,), "an object"),
    "tools": ((list,), "a list"),
}
"""What later stages read of a request; all else passes unread."""
_OF_OBJECTS = ("input", "tools")

TOLD = ("instructions", "metadata", "prompt_cache_key", "safety_identifier", "user")
"""What a response repeats of its request and what changes on the way to a provider, or does not get there."""

_ADDED = {"instructions": None, "prompt_cache_key": None}
"""Providers get these from us where the client wrote none, which is what it is told then."""


def decode_request(fields: Fields, asked: Asked) -> Decoded:
    """Canonical as it stands. ``Decoded.reply`` holds what a response repeats of its request, as the client wrote it.

    Raises WireError (invalid_request) with the path of a value of the wrong type; null counts as absent.
    """
    for key, (kinds, demand) in _KINDS.items():
        value = fields.get(key)
        if value is not None and not isinstance(value, kinds):
            raise wrong(key, f"must be {demand}")
    for key in _OF_OBJECTS:
        for index, item in enumerate(_listed(fields.get(key))):
            if not isinstance(item, dict):
                raise wrong(f"{key}[{index}]", "must be an object")
    told = {key: fields[key] for key in TOLD if fields.get(key) is not None}
    return Decoded(fields, fields.get("stream") is True, reply={**_ADDED, **told})


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
