"""What is told of a response that is kept here, and the items that a later one goes on from (conformance 33)."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs

from mitmcodex.wire.codec import ACCOUNT_KEY
from mitmcodex.wire.reading import wrong
from mitmcodex.wire.shapes import Fields

MOST_ITEMS = 100
USUAL_ITEMS = 20
"""Of one page, as in the public API."""


def items_of(value: Any) -> list[Fields]:
    """``input`` as items: a text is a user's message, nothing is none."""
    if isinstance(value, str):
        return [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": value}]}]
    return list(value) if isinstance(value, list) else []


def continued(before: list[Fields], response: Fields, account: str) -> list[Fields]:
    """What led to a response, then its output. ``account`` paid for it: its encrypted reasoning is marked with that."""
    output = response.get("output")
    items = [item for item in output if isinstance(item, dict)] if isinstance(output, list) else []
    return [*before, *(_marked(item, account) for item in items)]


def page(response_id: str, items: list[Fields], query: str) -> Fields:
    """The list object of ``GET /v1/responses/{id}/input_items``: ``limit`` (20), ``order`` (desc) and ``after`` are
    taken from the query. An item without an id gets one, always the same. Raises WireError (invalid_request)."""
    asked = {name: values[-1] for name, values in parse_qs(query).items()}
    order = asked.get("order", "desc")
    if order not in ("asc", "desc"):
        raise wrong("order", "must be asc or desc")
    shown = [_shown(item, f"{response_id.removeprefix('resp_')}_{index}") for index, item in enumerate(items)]
    if order == "desc":
        shown.reverse()
    if "after" in asked:
        ids = [item["id"] for item in shown]
        if asked["after"] not in ids:
            raise wrong("after", "must be the id of an item of this list")
        shown = shown[ids.index(asked["after"]) + 1 :]
    limit = _limit(asked.get("limit", str(USUAL_ITEMS)))
    data = shown[:limit]
    return {
        "object": "list",
        "data": data,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
        "has_more": len(shown) > limit,
    }


def _limit(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text[:9]) <= MOST_ITEMS:
        raise wrong("limit", f"must be a whole number from 1 to {MOST_ITEMS}")
    return int(text)


def _marked(item: Fields, account: str) -> Fields:
    return {**item, ACCOUNT_KEY: account} if item.get("type") == "reasoning" else item


def _shown(item: Fields, name: str) -> Fields:
    """As the public API lists it: with a type and an id, its content a list of parts."""
    told = {key: value for key, value in item.items() if key != ACCOUNT_KEY}
    kind, content = told.get("type") or "message", told.get("content")
    if kind == "message" and isinstance(content, str):
        part = "output_text" if told.get("role") == "assistant" else "input_text"
        told["content"] = [{"type": part, "text": content}]
    held = told.get("id")
    return {**told, "id": held if isinstance(held, str) and held else f"item_{name}", "type": kind}
