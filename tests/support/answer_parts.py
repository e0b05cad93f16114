"""What the answers of all protocols are made of: numbers of a usage, tool calls, frames, and how a stream breaks."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from support.answers import Answer, Cut, Data, End, Head, Pairs

JSON = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens; input with the cached ones, output with those of reasoning. Every number is another by default."""

    input: int = 17
    cached: int = 4
    output: int = 9
    reasoning: int = 2


@dataclass(frozen=True, slots=True)
class ToolCall:
    call_id: str
    name: str
    arguments: JSON = field(default_factory=dict)

    @property
    def text(self) -> str:
        return json.dumps(self.arguments, ensure_ascii=False)


PAIR = (ToolCall("call_a", "weather", {"city": "Zürich"}), ToolCall("call_b", "clock", {"zone": "CET"}))
"""Two calls of one turn."""


def pieces(text: str, count: int = 3) -> list[str]:
    """The text cut into at most ``count`` parts, none of them empty."""
    size = max(1, -(-len(text) // count))
    return [text[start : start + size] for start in range(0, len(text), size)]


def data_frame(value: object) -> bytes:
    """An SSE frame without a name."""
    return f"data: {json.dumps(value, ensure_ascii=False)}\n\n".encode()


def frames(parts: Iterable[bytes], headers: Pairs | None = None) -> Answer:
    """A 200 with these frames, one step each, without an end."""
    return [Head(200, [("content-type", "text/event-stream"), *(headers or [])]), *(Data(part) for part in parts)]


def ended(answer: Answer) -> Answer:
    return [*answer, End()]


def cut(answer: Answer, keep: int, how: str = "close") -> Answer:
    """A stream's answer that breaks after its first ``keep`` frames: ``close`` | ``reset``; ``end``: it ends as if
    it were whole, without its last frames."""
    return [*answer[: keep + 1], End() if how == "end" else Cut(how)]
