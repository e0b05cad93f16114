"""Answers of a Chat Completions service (kind ``chat``): chunks of a stream, and the whole answer made of them.

    backend.queue(chat.stream(chat.calls(*PAIR)), chat.whole(chat.text("done")))

The contents (text, calls, thinking …) give the chunks; stream, whole and break_off make an answer of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import zip_longest
from typing import Any

from support.answer_parts import ToolCall, Usage, data_frame, ended, frames, pieces
from support.answers import Answer, reply

JSON = dict[str, Any]
MODEL = "mock-chat"
USAGE = Usage()
DONE = b"data: [DONE]\n\n"


def chunk(delta: JSON, finish: str | None = None) -> JSON:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    return {**_envelope("chat.completion.chunk"), "choices": [choice], "usage": None}


def _envelope(kind: str) -> JSON:
    return {"id": "chatcmpl-1", "object": kind, "created": 1795000000, "model": MODEL}


# --- contents


def text(value: str, finish: str = "stop") -> list[JSON]:
    return [_opening(), *(chunk({"content": piece}) for piece in pieces(value)), chunk({}, finish)]


def structured(value: object) -> list[JSON]:
    return text(json.dumps(value))


def length(value: str) -> list[JSON]:
    """Text that the token limit has cut."""
    return text(value, "length")


def filtered(value: str = "") -> list[JSON]:
    return text(value, "content_filter")


def refusal(value: str) -> list[JSON]:
    return [_opening(), *(chunk({"refusal": piece}) for piece in pieces(value)), chunk({}, "stop")]


def thinking(thought: str, value: str, name: str = "reasoning_content") -> list[JSON]:
    """Reasoning under the name that the service uses: ``reasoning_content`` | ``reasoning``."""
    return [_opening(), *(chunk({name: piece}) for piece in pieces(thought)), *text(value)[1:]]


def calls(*wanted: ToolCall, before: str = "") -> list[JSON]:
    """Calls side by side: the pieces of their arguments come in turns."""
    chunks = [_opening(), *(chunk({"content": piece}) for piece in pieces(before))]
    for index, call in enumerate(wanted):
        head = {"index": index, "id": call.call_id, "type": "function"}
        chunks.append(_call_chunk({**head, "function": {"name": call.name, "arguments": ""}}))
    for turn in zip_longest(*(pieces(call.text) for call in wanted)):
        for index, piece in enumerate(turn):
            if piece is not None:
                chunks.append(_call_chunk({"index": index, "function": {"arguments": piece}}))
    return [*chunks, chunk({}, "tool_calls")]


def custom_call(call_id: str, name: str, value: str) -> list[JSON]:
    """A call of a custom tool, whose input is text."""
    head = {"index": 0, "id": call_id, "type": "custom", "custom": {"name": name, "input": ""}}
    rest = [_call_chunk({"index": 0, "custom": {"input": piece}}) for piece in pieces(value)]
    return [_opening(), _call_chunk(head), *rest, chunk({}, "tool_calls")]


def _opening() -> JSON:
    return chunk({"role": "assistant", "content": ""})


def _call_chunk(call: JSON) -> JSON:
    return chunk({"tool_calls": [call]})


# --- answers


def stream(chunks: Iterable[JSON], usage: Usage | None = USAGE) -> Answer:
    """``usage`` None: as for a client that did not ask for ``include_usage``."""
    return ended(frames([*_parts(chunks, usage), DONE]))


def break_off(chunks: Iterable[JSON], message: str = "The server had an error", kind: str = "server_error") -> Answer:
    """The stream tells an error after these chunks."""
    parts = _parts(chunks, None)
    return ended(frames([*parts, data_frame({"error": _error(message, kind)}), DONE]))


def _parts(chunks: Iterable[JSON], usage: Usage | None) -> list[bytes]:
    tail = [{**_envelope("chat.completion.chunk"), "choices": [], "usage": usage_of(usage)}] if usage else []
    return [data_frame(value) for value in [*chunks, *tail]]


def whole(chunks: Iterable[JSON], usage: Usage = USAGE) -> Answer:
    """The answer to a request without ``stream``: the chunks folded."""
    message: JSON = {"role": "assistant", "content": None, "refusal": None}
    finish = None
    for value in chunks:
        choice = value["choices"][0]
        finish = choice["finish_reason"] or finish
        for key, piece in choice["delta"].items():
            if key == "tool_calls":
                _add_call(message.setdefault("tool_calls", []), piece[0])
            elif key != "role" and piece:
                message[key] = (message.get(key) or "") + piece
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish}
    return reply(200, {**_envelope("chat.completion"), "choices": [choice], "usage": usage_of(usage)})


def _add_call(known: list[JSON], piece: JSON) -> None:
    if piece["index"] == len(known):
        known.append(json.loads(json.dumps({key: value for key, value in piece.items() if key != "index"})))
        return
    for kind in piece.keys() & {"function", "custom"}:
        for key, value in piece[kind].items():
            known[piece["index"]][kind][key] += value


def fail(status: int, message: str, kind: str = "invalid_request_error", code: str | None = None) -> Answer:
    """An error before the stream."""
    return reply(status, {"error": {**_error(message, kind), "code": code}})


def _error(message: str, kind: str) -> JSON:
    return {"message": message, "type": kind, "param": None, "code": None}


def usage_of(usage: Usage) -> JSON:
    return {
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.input + usage.output,
        "prompt_tokens_details": {"cached_tokens": usage.cached},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
    }
