"""Answers of a Messages service (kind ``messages``): events of a stream, and the whole answer made of them.

    backend.queue(messages.stream(messages.calls(*PAIR)), messages.whole(messages.text("done")))

The contents (text, calls, thinking …) give content blocks and a stop reason; stream, whole and break_off make an
answer of them. Blocks are strictly nested, as the real service sends them (conformance.md 44).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from support.answer_parts import ToolCall, Usage, ended, frames, pieces
from support.answers import Answer, reply

JSON = dict[str, Any]
MODEL = "mock-messages"
USAGE = Usage(reasoning=0)
ERRORS = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    529: "overloaded_error",
}


@dataclass(frozen=True, slots=True)
class Content:
    """Whole content blocks, and why the turn ended."""

    blocks: tuple[JSON, ...]
    stop_reason: str = "end_turn"
    stop_sequence: str | None = None


# --- contents


def text(value: str) -> Content:
    return Content((_text(value),))


def structured(value: object) -> Content:
    return text(json.dumps(value))


def length(value: str) -> Content:
    """Text that the token limit has cut."""
    return Content((_text(value),), "max_tokens")


def stopped(value: str, sequence: str) -> Content:
    return Content((_text(value),), "stop_sequence", sequence)


def refusal(value: str) -> Content:
    return Content((_text(value),) if value else (), "refusal")


def thinking(thought: str, value: str, signature: str = "sig-1") -> Content:
    return Content((_thought(thought, signature), _text(value)))


def calls(*wanted: ToolCall, thought: str = "") -> Content:
    """Calls of one turn, after a thought if one is given."""
    blocks = [{"type": "tool_use", "id": call.call_id, "name": call.name, "input": call.arguments} for call in wanted]
    return Content((*([_thought(thought, "sig-1")] if thought else []), *blocks), "tool_use")


def _text(value: str) -> JSON:
    return {"type": "text", "text": value}


def _thought(thought: str, signature: str) -> JSON:
    return {"type": "thinking", "thinking": thought, "signature": signature}


# --- answers


def stream(content: Content, usage: Usage = USAGE) -> Answer:
    stop = {"stop_reason": content.stop_reason, "stop_sequence": content.stop_sequence}
    tail: list[JSON] = [{"type": "message_delta", "delta": stop, "usage": usage_of(usage)}, {"type": "message_stop"}]
    return ended(frames([_frame(event) for event in [*_head(content, usage), *tail]]))


def break_off(content: Content, message: str = "Overloaded", kind: str = "overloaded_error") -> Answer:
    """The stream tells an error after these blocks."""
    error = {"type": "error", "error": {"type": kind, "message": message}}
    return ended(frames([_frame(event) for event in [*_head(content, USAGE), error]]))


def _head(content: Content, usage: Usage) -> list[JSON]:
    """All events up to the end of the last block; a ping after the first, as the real service sends it."""
    first = {**usage_of(usage), "output_tokens": 1}
    started = {**_message(), "stop_reason": None, "stop_sequence": None, "usage": first}
    events: list[JSON] = [{"type": "message_start", "message": started}]
    for index, block in enumerate(content.blocks):
        opening, deltas = _in_pieces(block)
        events.append({"type": "content_block_start", "index": index, "content_block": opening})
        events += [{"type": "ping"}] if index == 0 else []
        events += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
        events.append({"type": "content_block_stop", "index": index})
    return events


def _in_pieces(block: JSON) -> tuple[JSON, list[JSON]]:
    """The block as it opens, and the deltas that fill it."""
    match block["type"]:
        case "text":
            return _text(""), [{"type": "text_delta", "text": piece} for piece in pieces(block["text"])]
        case "thinking":
            deltas = [{"type": "thinking_delta", "thinking": piece} for piece in pieces(block["thinking"])]
            return _thought("", ""), [*deltas, {"type": "signature_delta", "signature": block["signature"]}]
        case "tool_use":
            raw = pieces(json.dumps(block["input"], ensure_ascii=False)) if block["input"] else [""]
            return {**block, "input": {}}, [{"type": "input_json_delta", "partial_json": piece} for piece in raw]
        case _:
            return block, []


def whole(content: Content, usage: Usage = USAGE) -> Answer:
    """The answer to a request without ``stream``."""
    stop = {"stop_reason": content.stop_reason, "stop_sequence": content.stop_sequence}
    return reply(200, {**_message(), "content": [*content.blocks], **stop, "usage": usage_of(usage)})


def fail(status: int, message: str) -> Answer:
    """An error before the stream; its type follows from the status (KeyError when there is none)."""
    error = {"type": "error", "error": {"type": ERRORS[status], "message": message}, "request_id": "req_1"}
    return reply(status, error, [("request-id", "req_1")])


def counted(input_tokens: int) -> Answer:
    """The answer to ``count_tokens``."""
    return reply(200, {"input_tokens": input_tokens})


def usage_of(usage: Usage) -> JSON:
    """Here ``input_tokens`` are those that were not cached."""
    return {
        "input_tokens": usage.input - usage.cached,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": usage.cached,
        "output_tokens": usage.output,
    }


def _message() -> JSON:
    return {"id": "msg_1", "type": "message", "role": "assistant", "model": MODEL, "content": []}


def _frame(event: JSON) -> bytes:
    return f"event: {event['type']}\ndata: {json.dumps(event, ensure_ascii=False)}\n\n".encode()
