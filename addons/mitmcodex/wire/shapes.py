"""The shapes of canonical JSON: only the fields that we touch (house.md section 3); all else passes unread."""

from __future__ import annotations

from typing import Any, TypedDict

type JSON = None | bool | int | float | str | list[JSON] | dict[str, JSON]

Fields = dict[str, Any]
"""A parsed JSON object whose other keys we keep as they came."""

CREATED = "response.created"
ITEM_DONE = "response.output_item.done"
COMPLETED = "response.completed"
INCOMPLETE = "response.incomplete"
FAILED = "response.failed"
TERMINAL = frozenset((COMPLETED, INCOMPLETE, FAILED))


class ResponseShape(TypedDict):
    """The ``response`` of lifecycle events; the keys are those that the SDKs need (protocol.md 11)."""

    id: str
    object: str
    created_at: int
    status: str
    error: dict[str, object] | None
    incomplete_details: dict[str, object] | None
    model: str
    output: list[Fields]
    parallel_tool_calls: bool
    tool_choice: str
    tools: list[Fields]
    usage: Fields | None
