"""Answers of the ChatGPT backend: whole streams of Responses events, as it sends them (protocol.md 3 and 11).

    backend.queue(chatgpt.stream(chatgpt.calls(*PAIR)), chatgpt.stream(chatgpt.text("done")))

The contents (text, calls, thinking …) give the events of output items; stream makes an answer of them. The terminal
event's ``output`` is empty.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from itertools import zip_longest
from typing import Any

from support.answer_parts import ToolCall, Usage, pieces
from support.answers import Answer, Data, End, Gate, Head, Pairs, Pause, Step
from support.events import ev_created, sse

JSON = dict[str, Any]
USAGE = Usage()
ENCRYPTED = "gAAAAAexample"


# --- contents


def text(value: str, annotations: Sequence[JSON] = (), index: int = 0) -> list[JSON]:
    place = {"item_id": f"msg_{index}", "output_index": index, "content_index": 0}
    whole = {"type": "output_text", "text": value, "annotations": [*annotations], "logprobs": []}
    return _message(index, whole, [{"type": "response.output_text.delta", **place, "delta": p} for p in pieces(value)])


def refusal(value: str) -> list[JSON]:
    place = {"item_id": "msg_0", "output_index": 0, "content_index": 0}
    whole = {"type": "refusal", "refusal": value}
    return _message(0, whole, [{"type": "response.refusal.delta", **place, "delta": p} for p in pieces(value)])


def structured(value: object) -> list[JSON]:
    return text(json.dumps(value, ensure_ascii=False))


def thinking(thought: str, *rest: list[JSON]) -> list[JSON]:
    """A summary of reasoning, then other contents, which must have been made for an ``index`` of their own."""
    place = {"item_id": "rs_0", "output_index": 0, "summary_index": 0}
    part = {"type": "summary_text", "text": thought}
    item = {"id": "rs_0", "type": "reasoning", "summary": []}
    return [
        {"type": "response.output_item.added", "output_index": 0, "item": item},
        {"type": "response.reasoning_summary_part.added", **place, "part": {**part, "text": ""}},
        *({"type": "response.reasoning_summary_text.delta", **place, "delta": piece} for piece in pieces(thought)),
        {"type": "response.reasoning_summary_text.done", **place, "text": thought},
        {"type": "response.reasoning_summary_part.done", **place, "part": part},
        {
            "type": "response.output_item.done",
            "output_index": 0,
            "item": {**item, "summary": [part], "encrypted_content": ENCRYPTED},
        },
        *(event for events in rest for event in events),
    ]


def calls(*wanted: ToolCall, first: int = 0) -> list[JSON]:
    """Calls side by side: the pieces of their arguments come in turns. ``first``: the first call's output index."""
    kind = {"type": "function_call"}
    items = [{**kind, "id": f"fc_{one.call_id}", "call_id": one.call_id, "name": one.name} for one in wanted]
    places = [{"item_id": item["id"], "output_index": first + place} for place, item in enumerate(items)]
    added = [
        {**_at(place), "type": "response.output_item.added", "item": {**item, "arguments": "", "status": "in_progress"}}
        for item, place in zip(items, places, strict=True)
    ]
    deltas = [
        {"type": "response.function_call_arguments.delta", **place, "delta": piece}
        for turn in zip_longest(*(pieces(one.text) for one in wanted))
        for place, piece in zip(places, turn, strict=True)
        if piece is not None
    ]
    done = []
    for one, item, place in zip(wanted, items, places, strict=True):
        done.append({"type": "response.function_call_arguments.done", **place, "arguments": one.text})
        whole = {**item, "arguments": one.text, "status": "completed"}
        done.append({**_at(place), "type": "response.output_item.done", "item": whole})
    return [*added, *deltas, *done]


def _at(place: JSON) -> JSON:
    return {"output_index": place["output_index"]}


def _message(index: int, part: JSON, deltas: list[JSON]) -> list[JSON]:
    place = {"item_id": f"msg_{index}", "output_index": index, "content_index": 0}
    item = {"id": f"msg_{index}", "type": "message", "role": "assistant", "status": "in_progress", "content": []}
    key = "text" if part["type"] == "output_text" else "refusal"
    done = {"type": f"response.{part['type']}.done", **place, key: part[key]}
    whole = {**item, "status": "completed", "content": [part]}
    return [
        {"type": "response.output_item.added", "output_index": index, "item": item},
        {"type": "response.content_part.added", **place, "part": {**part, key: ""}},
        *deltas,
        done,
        {"type": "response.content_part.done", **place, "part": part},
        {"type": "response.output_item.done", "output_index": index, "item": whole},
    ]


# --- answers


def stream(contents: Iterable[JSON], reason: str = "", usage: Usage = USAGE, headers: Pairs | None = None) -> Answer:
    """``reason``: why it is incomplete (max_output_tokens, content_filter); complete without one."""
    return [*opened(headers), *said(contents), *ended(reason, usage)]


def opened(headers: Pairs | None = None) -> Answer:
    """The head and the first event, which means nothing yet."""
    return [Head(200, [("content-type", "text/event-stream"), *(headers or [])]), Data(sse([ev_created()]))]


def said(contents: Iterable[JSON]) -> list[Step]:
    return [Data(sse([event], number)) for number, event in enumerate(contents, 1)]


def ended(reason: str = "", usage: Usage = USAGE) -> list[Step]:
    status = "incomplete" if reason else "completed"
    response = {"id": "resp_1", "object": "response", "status": status, "model": "gpt-5.5", "output": []}
    why = {"incomplete_details": {"reason": reason}} if reason else {}
    event = {"type": f"response.{status}", "response": {**response, **why, "usage": usage_of(usage)}}
    return [Data(sse([event], 1000)), End()]


def gated(gate: Gate) -> Answer:
    """Says "a", and "b" when the gate is open."""
    events = said(text("ab"))
    return [*opened(), *events[:3], Pause(gate), *events[3:], *ended()]


def broken(contents: Iterable[JSON], *last: Step) -> Answer:
    """Contents, then what breaks the stream: ``Cut()``, or the data of an event of failure."""
    return [*opened(), *said(contents), *last]


def usage_of(usage: Usage) -> JSON:
    return {
        "input_tokens": usage.input,
        "input_tokens_details": {"cached_tokens": usage.cached},
        "output_tokens": usage.output,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.input + usage.output,
    }
