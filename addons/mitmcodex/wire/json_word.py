"""JSON mode wants the word JSON in the input: OpenAI's services refuse ``json_object`` without it (conformance 20)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import takewhile
from typing import Any

from mitmcodex.wire.shapes import Fields

HINT = "Answer in JSON."
WHY = f"JSON mode wants the word in the input: {HINT!r} is added"
"""Of the loss."""


def said(fields: Fields) -> Fields:
    """With the word said, where JSON mode asks for it and no message before the first answer says it; else ``fields``
    itself. It stands before the messages, behind the tools of the Lite form, in each turn of a conversation or in
    none: what is said later has no part in it, as the provider's cache holds only while the beginning stays."""
    items = fields.get("input")
    if isinstance(items, str):
        items = [_message("user", items)]
    if not wants_json(fields) or not isinstance(items, list) or _is_said(items):
        return fields
    has_tools = bool(items) and isinstance(items[0], dict) and items[0].get("type") == "additional_tools"
    place = 1 if has_tools else 0
    return {**fields, "input": [*items[:place], _message("developer", HINT), *items[place:]]}


def wants_json(fields: Fields) -> bool:
    text = fields.get("text")
    form = text.get("format") if isinstance(text, dict) else None
    return isinstance(form, dict) and form.get("type") == "json_object"


def _message(role: str, text: str) -> Fields:
    return {"type": "message", "role": role, "content": [{"type": "input_text", "text": text}]}


def _is_said(items: list[Any]) -> bool:
    return any("json" in text.lower() for text in _texts(takewhile(_is_told, items)))


def _is_told(item: Any) -> bool:
    """To the model; what it made itself is a message of the assistant, or an item of another type."""
    if not isinstance(item, dict):
        return True
    return item.get("role") != "assistant" and item.get("type") in (None, "message", "additional_tools")


def _texts(items: Iterable[Any]) -> Iterator[str]:
    for item in items:
        content = item.get("content") if isinstance(item, dict) else None
        if isinstance(content, str):
            yield content
        for part in content if isinstance(content, list) else ():
            if isinstance(part, dict) and isinstance(part.get("text"), str):
                yield part["text"]
