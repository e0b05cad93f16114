"""Answers of a Gemini service (kind ``gemini``): chunks of a stream, and the whole answer made of them.

    backend.queue(gemini.stream(gemini.calls(*PAIR)), gemini.whole(gemini.text("done")))

The contents (text, calls, thinking …) give the chunks; stream, array, whole and break_off make an answer of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from support.answer_parts import ToolCall, Usage, data_frame, ended, frames, pieces
from support.answers import Answer, Data, Head, reply

JSON = dict[str, Any]
MODEL = "mock-gemini"
USAGE = Usage()
SIGNATURE = "c2lnLTE="
"""A thought signature is base64."""
STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


def chunk(parts: list[JSON], finish: str = "") -> JSON:
    candidate: JSON = {"content": {"parts": parts, "role": "model"}, "index": 0}
    if finish:
        candidate["finishReason"] = finish
    return {"candidates": [candidate], **_envelope()}


def _envelope() -> JSON:
    return {"modelVersion": MODEL, "responseId": "resp-gemini-1"}


# --- contents


def text(value: str, finish: str = "STOP") -> list[JSON]:
    """The last chunk has an empty text part beside the reason, as the real service sends it."""
    return [*(chunk([{"text": piece}]) for piece in pieces(value)), chunk([{"text": ""}], finish)]


def structured(value: object) -> list[JSON]:
    return text(json.dumps(value))


def length(value: str) -> list[JSON]:
    """Text that the token limit has cut."""
    return text(value, "MAX_TOKENS")


def refusal(value: str = "") -> list[JSON]:
    """The answer was stopped for safety; what was said before stays."""
    return [*text(value)[:-1], {"candidates": [{"finishReason": "SAFETY", "index": 0}], **_envelope()}]


def blocked(reason: str = "PROHIBITED_CONTENT") -> list[JSON]:
    """The prompt was refused: no candidate at all."""
    return [{"promptFeedback": {"blockReason": reason}, **_envelope()}]


def thinking(thought: str, value: str) -> list[JSON]:
    """Thoughts, then text whose first part carries the signature."""
    first, *rest = text(value)
    signed = [{**part, "thoughtSignature": SIGNATURE} for part in first["candidates"][0]["content"]["parts"]]
    return [*(chunk([{"text": piece, "thought": True}]) for piece in pieces(thought)), chunk(signed), *rest]


def calls(*wanted: ToolCall, has_ids: bool = True) -> list[JSON]:
    """Calls of one turn, whole as the service sends them; the first of parallel calls carries the signature."""
    parts = []
    for place, call in enumerate(wanted):
        made: JSON = {"id": call.call_id} if has_ids else {}
        made |= {"name": call.name, "args": call.arguments}
        parts.append({"functionCall": made, **({} if place else {"thoughtSignature": SIGNATURE})})
    return [*(chunk([part]) for part in parts[:-1]), chunk(parts[-1:], "STOP")]


# --- answers


def stream(chunks: Iterable[JSON], usage: Usage | None = USAGE) -> Answer:
    """Server-sent events, for ``alt=sse``."""
    return ended(frames([data_frame(value) for value in _with_usage(chunks, usage)]))


def array(chunks: Iterable[JSON], usage: Usage | None = USAGE) -> Answer:
    """A JSON array that grows, for a stream without ``alt=sse``."""
    values = _with_usage(chunks, usage)
    steps = [Data(("," if place else "[").encode() + json.dumps(value).encode()) for place, value in enumerate(values)]
    return ended([Head(200, [("content-type", "application/json; charset=UTF-8")]), *steps, Data(b"]")])


def break_off(chunks: Iterable[JSON], message: str = "The model is overloaded.", status: int = 503) -> Answer:
    """The stream tells an error after these chunks."""
    return ended(frames([*map(data_frame, chunks), data_frame(_error(status, message))]))


def whole(chunks: Iterable[JSON], usage: Usage = USAGE) -> Answer:
    """The answer to ``generateContent``: neighbouring texts of one kind are joined."""
    result: JSON = {}
    parts: list[JSON] = []
    for value in _with_usage(chunks, usage):
        candidate = {**result.get("candidates", [{}])[0], **value.get("candidates", [{}])[0]}
        for part in value.get("candidates", [{}])[0].get("content", {}).get("parts", []):
            _join(parts, part)
        result |= {**value, **({"candidates": [candidate]} if candidate else {})}
    if parts:
        result["candidates"][0]["content"] = {"parts": parts, "role": "model"}
    return reply(200, result)


def _join(parts: list[JSON], part: JSON) -> None:
    if part == {"text": ""}:
        return
    last = parts[-1] if parts else {}
    if "text" in part and "text" in last and part.get("thought") == last.get("thought"):
        parts[-1] = {**last, **part, "text": last["text"] + part["text"]}
    else:
        parts.append(part)


def fail(status: int, message: str) -> Answer:
    """An error before the stream."""
    return reply(status, _error(status, message))


def counted(total_tokens: int) -> Answer:
    """The answer to ``countTokens``."""
    return reply(200, {"totalTokens": total_tokens})


def usage_of(usage: Usage) -> JSON:
    """Here the candidates' tokens are those without thoughts."""
    return {
        "promptTokenCount": usage.input,
        "cachedContentTokenCount": usage.cached,
        "candidatesTokenCount": usage.output - usage.reasoning,
        "thoughtsTokenCount": usage.reasoning,
        "totalTokenCount": usage.input + usage.output,
    }


def _with_usage(chunks: Iterable[JSON], usage: Usage | None) -> list[JSON]:
    values = [*chunks]
    return [*values[:-1], {**values[-1], "usageMetadata": usage_of(usage)}] if usage else values


def _error(status: int, message: str) -> JSON:
    return {"error": {"code": status, "message": message, "status": STATUS.get(status, "UNKNOWN")}}
