"""Responses API, decode: a client's request is canonical as it stands; what a provider demands is patched into it."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from mitmcodex.wire.errors import WireError
from mitmcodex.wire.patch import set_top_level
from mitmcodex.wire.shapes import JSON, Fields

DEFAULT_INSTRUCTIONS = "Follow the user's instructions."


class Decoded(NamedTuple):
    fields: Fields
    wants_stream: bool


class LossEntry(NamedTuple):
    """A field that does not go upstream as it came; ``what`` is dropped | changed."""

    path: str
    what: str
    why: str


def decode_request(body: bytes) -> Decoded:
    """The parsed body. Raises WireError (invalid_request) when it is no JSON object in UTF-8."""
    try:
        fields = json.loads(body.decode())
    except UnicodeDecodeError as error:
        raise WireError("invalid_request", f"The request body is not UTF-8: byte {error.start}.") from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise WireError("invalid_request", f"The request body is not JSON: {error.msg} ({where}).") from None
    except RecursionError:
        raise WireError("invalid_request", "The request body is nested too deeply.") from None
    if not isinstance(fields, dict):
        raise WireError("invalid_request", "The request body must be a JSON object.")
    return Decoded(fields, fields.get("stream") is True)


def adapt_for(kind: str, body: bytes, fields: Fields, is_codex: bool) -> tuple[bytes, list[LossEntry]]:
    """What a provider of this kind gets: ``body`` with as few top-level keys changed as it demands, else untouched.

    Each provider is asked to stream: a client that did not ask for it gets the folded answer. The ChatGPT backend
    besides wants ``store: false``, ``input`` as a list and instructions (protocol.md 2.2); Codex sends all that itself.
    """
    changes: dict[str, JSON] = {}
    losses: list[LossEntry] = []
    if fields.get("stream") is not True:
        changes["stream"] = True
    if kind == "chatgpt" and not is_codex:
        if fields.get("store") is not False:
            changes["store"] = False
        if fields.get("store") is True:
            losses.append(LossEntry("store", "changed", "the ChatGPT backend stores no responses"))
        if isinstance(fields.get("input"), str):
            changes["input"] = [_user_message(fields["input"])]
        if not fields.get("instructions") and not _opens_with_instructions(fields.get("input")):
            changes["instructions"] = DEFAULT_INSTRUCTIONS
    return (set_top_level(body, changes) if changes else body), losses


def _user_message(text: str) -> JSON:
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}


def _opens_with_instructions(items: Any) -> bool:
    """A leading developer item stands for ``instructions``: a message, or the tools of the Lite form."""
    first = items[0] if isinstance(items, list) and items else None
    return isinstance(first, dict) and first.get("role") == "developer"
