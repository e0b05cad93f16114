"""What a ChatGPT backend says to the SDKs for the Responses API: whole streams with every event, by the user's words.

The last user text decides: text | think | tools | structured | refusal | length | fail | cut. Once the outputs of both
tools are in the input it says their sum.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from mitmcodex.wire.errors import WireError
from mitmcodex.wire.sse import FrameSplitter, event_of, format_event
from mitmcodex.wire.writer import ResponseWriter, usage
from support.answers import Answer, Cut, Data, End, Head, Pairs, detail, quota, usage_limit
from support.brain import last_turn
from support.events import JSON
from support.records import Request

TOOL: JSON = {
    "type": "function",
    "name": "add",
    "description": "adds",
    "strict": False,
    "parameters": {
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
        "required": ["a", "b"],
    },
}
ENCRYPTED = "gAAAAA-encrypted-reasoning"
ANSWERS: dict[str, Callable[[ResponseWriter], bytes]] = {}


class Service:
    """A script for ``Backend``. Quota headers come with each answer."""

    def __call__(self, request: Request) -> Answer:
        if not request.path.endswith("/responses"):
            return detail(404, "Not Found")
        text, outputs = last_turn(request.json)
        word = text.split()[-1] if text.split() else "text"
        if outputs:
            return _streamed(lambda writer: _said(writer, f"sum {sum(_numbers(request.json))}"))
        match word:
            case "limit":
                return usage_limit()
            case "overflow":
                return _streamed(_overflow)
            case "cut":
                return [Head(), Data(_bytes(lambda writer: writer.text("half"))), Cut()]
        return _streamed(ANSWERS.get(word, _text))


def _streamed(fill: Callable[[ResponseWriter], bytes], headers: Pairs | None = None) -> Answer:
    told = [("content-type", "text/event-stream"), *(headers or quota())]
    return [Head(200, told), Data(_bytes(fill)), End()]


def _bytes(fill: Callable[[ResponseWriter], bytes]) -> bytes:
    writer = ResponseWriter("gpt-5.5-2026-04-23")
    writer.response |= {"instructions": "the backend's", "store": False, "metadata": {}, "previous_response_id": None}
    return b"".join(map(_as_the_backend, FrameSplitter().feed(fill(writer))))


def _as_the_backend(frame: bytes) -> bytes:
    """Its terminal event has no output (protocol.md 11)."""
    event: JSON = event_of(frame) or {}
    if event.get("type") not in ("response.completed", "response.incomplete"):
        return frame
    event["response"]["output"] = []
    return format_event(event)


def _said(writer: ResponseWriter, text: str) -> bytes:
    words = "".join(writer.text(piece).decode() for piece in text.partition(" ") if piece).encode()
    return words + writer.completed(usage(12, 5, cached=4, reasoning=2))


def _text(writer: ResponseWriter) -> bytes:
    return _said(writer, "Hello world")


def _think(writer: ResponseWriter) -> bytes:
    return writer.reasoning("a plan") + writer.reasoning_done(ENCRYPTED) + _said(writer, "thought through")


def _tools(writer: ResponseWriter) -> bytes:
    """Two calls side by side, their pieces interleaved."""
    opened = writer.reasoning("two") + writer.reasoning_done(ENCRYPTED)
    opened += writer.call_begin(0, "call_a", "add") + writer.call_begin(1, "call_b", "add")
    parts = [(0, '{"a":2,'), (1, '{"a":6,'), (0, '"b":40}'), (1, '"b":9}')]
    deltas = b"".join(writer.call_delta(key, piece) for key, piece in parts)
    return opened + deltas + writer.call_end(0) + writer.call_end(1) + writer.completed(usage(12, 5))


def _structured(writer: ResponseWriter) -> bytes:
    return _said(writer, json.dumps({"name": "Ada", "age": 36}))


def _refusal(writer: ResponseWriter) -> bytes:
    return writer.refusal("I can't help with that.") + writer.completed(usage(12, 5))


def _length(writer: ResponseWriter) -> bytes:
    return writer.text("too lo") + writer.incomplete("max_output_tokens", usage(12, 5))


def _fail(writer: ResponseWriter) -> bytes:
    return writer.text("half") + writer.failed(WireError("upstream_failed", "It broke.", code="server_error"))


def _overflow(writer: ResponseWriter) -> bytes:
    text = "Your input exceeds the context window of this model."
    return writer.failed(WireError("invalid_request", text, code="context_length_exceeded"))


ANSWERS |= {
    "think": _think,
    "tools": _tools,
    "structured": _structured,
    "refusal": _refusal,
    "length": _length,
    "fail": _fail,
}


def _numbers(body: dict[str, Any]) -> list[int]:
    return [int(item["output"]) for item in body["input"] if item.get("type") == "function_call_output"]
