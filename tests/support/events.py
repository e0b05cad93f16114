"""Events of the Responses stream, as the backend sends them (protocol.md 3 and 11); the texts are our own."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

JSON = dict[str, Any]
CREATED_AT = 1795200000


def ev_created(response_id: str = "resp_1", model: str = "gpt-5.5") -> JSON:
    response = _response(response_id, status="in_progress", model=model, output=[])
    return {"type": "response.created", "response": response}


def ev_text_delta(text: str, item_id: str = "msg_1", output_index: int = 0) -> JSON:
    place = {"item_id": item_id, "output_index": output_index, "content_index": 0}
    return {"type": "response.output_text.delta", **place, "delta": text}


def ev_message_added(item_id: str = "msg_1", output_index: int = 0) -> JSON:
    item = {"id": item_id, "type": "message", "role": "assistant", "status": "in_progress", "content": []}
    return {"type": "response.output_item.added", "output_index": output_index, "item": item}


def ev_message_done(text: str, item_id: str = "msg_1", output_index: int = 0) -> JSON:
    content = [{"type": "output_text", "text": text, "annotations": []}]
    return ev_item_done({"id": item_id, "type": "message", "role": "assistant", "content": content}, output_index)


def ev_function_call(call_id: str, name: str, arguments: JSON, output_index: int = 0) -> JSON:
    item = {"id": f"fc_{call_id}", "type": "function_call", "call_id": call_id, "name": name}
    return ev_item_done({**item, "arguments": json.dumps(arguments)}, output_index)


def ev_custom_tool_call(call_id: str, name: str, text: str, output_index: int = 0) -> JSON:
    item = {"id": f"ctc_{call_id}", "type": "custom_tool_call", "call_id": call_id, "name": name, "input": text}
    return ev_item_done(item, output_index)


def ev_reasoning(summary: str, encrypted: str = "gAAAexample", item_id: str = "rs_1", output_index: int = 0) -> JSON:
    parts = [{"type": "summary_text", "text": summary}]
    item = {"id": item_id, "type": "reasoning", "summary": parts, "encrypted_content": encrypted}
    return {"type": "response.output_item.done", "output_index": output_index, "item": item}


def ev_item_done(item: JSON, output_index: int = 0) -> JSON:
    return {"type": "response.output_item.done", "output_index": output_index, "item": {"status": "completed", **item}}


def ev_completed(response_id: str = "resp_1", model: str = "gpt-5.5", cached_tokens: int = 0) -> JSON:
    """The terminal event; ``output`` is empty, as it is on the ChatGPT backend (protocol.md 11)."""
    usage = {
        "input_tokens": 10,
        "input_tokens_details": {"cached_tokens": cached_tokens},
        "output_tokens": 1,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 11,
    }
    response = _response(response_id, status="completed", model=model, output=[])
    return {"type": "response.completed", "response": {**response, "usage": usage}}


def ev_failed(code: str, message: str, response_id: str = "resp_1", **detail: object) -> JSON:
    error = {"code": code, "message": message, **detail}
    response = _response(response_id)
    return {"type": "response.failed", "response": {**response, "error": error}}


def ev_incomplete(reason: str, response_id: str = "resp_1") -> JSON:
    response = _response(response_id, incomplete_details={"reason": reason})
    return {"type": "response.incomplete", "response": {**response, "status": "incomplete", "output": []}}


def _response(response_id: str, **fields: object) -> JSON:
    return {"id": response_id, "object": "response", "created_at": CREATED_AT, **fields}


def sse(events: Iterable[JSON], start: int = 0) -> bytes:
    """The frames of these events, numbered from ``start``."""
    frames = []
    for number, event in enumerate(events, start):
        data = {"type": event["type"], "sequence_number": number, **event}
        frames.append(f"event: {event['type']}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n")
    return "".join(frames).encode()


def text_events(text: str, response_id: str = "resp_1") -> list[JSON]:
    """A whole answer that says ``text``."""
    head = [ev_created(response_id), ev_message_added(), ev_text_delta(text)]
    return [*head, ev_message_done(text), ev_completed(response_id)]
