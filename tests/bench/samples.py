"""What `make bench-encoders` feeds: streams and conversations of any length, the same in every protocol.

One canonical stream and one canonical conversation are made; the codecs write them in the other protocols.
"""

from __future__ import annotations

import json
from typing import Any

from mitmcodex.wire import CODECS, REVERSES
from mitmcodex.wire.codec import Asked, Decoded, ReplyContext
from mitmcodex.wire.sse import FrameSplitter
from mitmcodex.wire.writer import ResponseWriter, fresh_id, usage

MODELS = {"responses": "gpt-5.2", "chat": "gpt-5.2", "messages": "claude-sonnet-4-6", "gemini": "gemini-3-pro"}
CONTEXT = ReplyContext(model=MODELS["responses"], account=lambda: "account", new_id=fresh_id)
WORDS = ("and", " so", " the", " answer", " goes", " on", ", word", " by", " word", "; “quoted”", " and", " new.\n")
GEMINI_ASKED = Asked(model=MODELS["gemini"], action="streamGenerateContent", query="alt=sse")
_PARAMETERS = {
    "type": "object",
    "properties": {"path": {"type": "string"}, "lines": {"type": "array", "items": {"type": "integer"}}},
    "required": ["path"],
}


def canonical_stream(deltas: int) -> list[bytes]:
    """The events of a response with one text, each a piece of its own."""
    writer = ResponseWriter(MODELS["responses"])
    sent = [writer.text(WORDS[number % len(WORDS)]) for number in range(deltas)]
    return FrameSplitter().feed(b"".join([*sent, writer.completed(usage(1000, deltas))]))


def provider_stream(kind: str, deltas: int) -> list[bytes]:
    """The same response as a provider of that kind streams it."""
    decoded = CODECS[kind].decode_request(json.loads(request_body(kind, 0)), GEMINI_ASKED)
    encoder = CODECS[kind].encoder(decoded, CONTEXT)
    sent = [encoder.feed(frame) for frame in canonical_stream(deltas)]
    return FrameSplitter().feed(b"".join([*sent, encoder.finish()]))


def request_body(protocol: str, turns: int) -> bytes:
    """A conversation as a client sends it: in each turn a question, a call, its output and an answer, 1 kB in all."""
    fields = conversation(MODELS[protocol], turns)
    if protocol in REVERSES:
        fields = REVERSES[protocol].encode_request(Decoded(fields)).fields
    return json.dumps(fields, separators=(",", ":")).encode()


def conversation(model: str, turns: int) -> dict[str, Any]:
    """A canonical request."""
    tools = [
        {"type": "function", "name": name, "description": "Of files.", "strict": False, "parameters": _PARAMETERS}
        for name in ("read_file", "find_file", "write_file")
    ]
    items = [item for number in range(turns) for item in _turn(number)]
    last = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Go on."}]}
    told = {"model": model, "instructions": "Be brief.", "max_output_tokens": 4096, "stream": True}
    return {**told, "input": [*items, last], "tools": tools}


def _turn(number: int) -> list[dict[str, Any]]:
    text = f"{number}: " + "and so it goes on. " * 12
    call = {"call_id": f"call_{number}", "name": "read_file", "arguments": json.dumps({"path": f"file_{number}.txt"})}
    return [
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]},
        {"type": "function_call", **call},
        {"type": "function_call_output", "call_id": f"call_{number}", "output": text},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}]},
    ]
