"""Responses API, decode: a client's request is canonical as it stands; what a provider demands is patched into it."""

from __future__ import annotations

from typing import Any

from mitmcodex.wire.codec import Asked, Decoded, Loss
from mitmcodex.wire.patch import set_top_level
from mitmcodex.wire.shapes import JSON, Fields

DEFAULT_INSTRUCTIONS = "Follow the user's instructions."


def decode_request(fields: Fields, asked: Asked) -> Decoded:
    """Canonical as it stands."""
    return Decoded(fields, fields.get("stream") is True)


def adapt_for(kind: str, body: bytes, fields: Fields, is_codex: bool) -> tuple[bytes, list[Loss]]:
    """What a provider of this kind gets: ``body`` with as few top-level keys changed as it demands, else untouched.

    Each provider is asked to stream: a client that did not ask for it gets the folded answer. The ChatGPT backend
    besides wants ``store: false``, ``input`` as a list and instructions (protocol.md 2.2); Codex sends all that itself.
    """
    changes: dict[str, JSON] = {}
    losses: list[Loss] = []
    if fields.get("stream") is not True:
        changes["stream"] = True
    if kind == "chatgpt" and not is_codex:
        if fields.get("store") is not False:
            changes["store"] = False
        if fields.get("store") is True:
            losses.append(Loss("store", "changed", "the ChatGPT backend stores no responses"))
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
