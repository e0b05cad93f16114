"""Chat Completions, encode: a canonical stream → chunks, a canonical response → the one object (conformance 1, 2, 8, 12
to 14)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mitmcodex.wire.chat_answer import ChatAnswer
from mitmcodex.wire.codec import Decoded, ReplyContext
from mitmcodex.wire.errors import WireError
from mitmcodex.wire.one_line import one_line
from mitmcodex.wire.shapes import Fields
from mitmcodex.wire.verdict import POLICY_CODES

DONE = b"data: [DONE]\n\n"
KEEPALIVE = b": keepalive\n\n"


class ChatEncoder(ChatAnswer):
    """Sans-IO. Of a request with ``n`` > 1 each encoder is a part, which leaves out what stands once in a stream: the
    usage chunk and [DONE]. Who joins the parts adds ``end_of(parts)``, and gives them one ``head``."""

    def __init__(self, decoded: Decoded, context: ReplyContext) -> None:
        super().__init__(decoded, context)
        self.is_part = decoded.n > 1
        self.head: Fields = {}
        """What all chunks have in common; the first of several parts fills it."""
        self._before_text = self._after_text = b""

    @property
    def includes_usage(self) -> bool:
        return self._reply.includes_usage

    def begin(self, response: Fields) -> bytes:
        if not self.head:
            self.head.update(_head("chat.completion.chunk", self._context))
        chunk = self._chunk({"content": ""})
        self._before_text, _, self._after_text = chunk.rpartition(b'""')
        return super().begin(response)

    def say_text(self, text: str) -> bytes:
        """The common case: only the text is written anew."""
        return self._before_text + one_line(text) + self._after_text

    def say(self, delta: Fields) -> bytes:
        return self._chunk(delta)

    def close(self, reason: str, response: Fields) -> bytes:
        sent = self._chunk({}, reason, **_tier(response))
        return sent if self.is_part else sent + end_of([self])

    def failed(self, error: WireError) -> bytes:
        """What a policy forbids from here on is refused, with the provider's words (conformance 7)."""
        if error.code in POLICY_CODES:
            refused = self._begun() + self._fall_silent() + self.say({"refusal": error.message})
            return refused + self.close("content_filter", {})
        told = _frame({"error": error.as_object()})
        return told if self.is_part else told + DONE

    def idle(self) -> bytes:
        return KEEPALIVE

    def _chunk(self, delta: Fields, reason: str | None = None, **further: Any) -> bytes:
        choice = {"index": self._context.choice, "delta": delta, "finish_reason": reason}
        usage = {"usage": None} if self.includes_usage else {}
        return _frame({**self.head, "choices": [choice], **usage, **further})


def end_of(parts: Sequence[ChatEncoder]) -> bytes:
    """What follows the choices: the usage of all if it was asked for, [DONE]."""
    counted = [part for part in parts if part.usage and part.includes_usage]
    if not counted:
        return DONE
    total = _sum([part.usage for part in counted if part.usage])
    return _frame({**counted[0].head, "choices": [], "usage": total}) + DONE


class _Completion(ChatAnswer):
    """Adds the deltas up to the object that a client without ``stream`` gets."""

    def __init__(self, decoded: Decoded, context: ReplyContext) -> None:
        super().__init__(decoded, context)
        self.message: Fields = {"role": "assistant", "content": None, "refusal": None}
        self.completion: Fields = {}

    def say(self, delta: Fields) -> bytes:
        for key, value in delta.items():
            if key == "tool_calls":
                self._add_call(value[0])
            elif key == "function_call":
                _add_texts(self.message.setdefault("function_call", {}), value)
            elif key in ("role", "annotations", "images"):
                self.message[key] = value
            else:
                _add_texts(self.message, {key: value})
        return b""

    def _add_call(self, delta: Fields) -> None:
        calls = self.message.setdefault("tool_calls", [])
        if delta["index"] == len(calls):
            calls.append({key: value for key, value in delta.items() if key != "index"})
            return
        call = calls[delta["index"]]
        _add_texts(call[call["type"]], delta[call["type"]])

    def close(self, reason: str, response: Fields) -> bytes:
        if not self.message["content"] and any(self.message.get(key) for key in _INSTEAD):
            self.message["content"] = None
        choice = {
            "index": self._context.choice,
            "message": self.message,
            "logprobs": None,
            "finish_reason": reason,
        }
        usage = {"usage": self.usage} if self.usage else {}
        self.completion = {**_head("chat.completion", self._context), "choices": [choice], **usage, **_tier(response)}
        return b""


_INSTEAD = ("refusal", "tool_calls", "function_call")
"""With one of these ``content`` is null when it is empty."""


def encode_response(response: Fields, decoded: Decoded, context: ReplyContext) -> Fields:
    """A whole canonical response → a chat.completion with one choice."""
    answer = _Completion(decoded, context)
    answer.read(response)
    return answer.completion


def join_responses(parts: Sequence[Fields]) -> Fields:
    """The answers to a request with ``n`` > 1, each with its choice, as one; at least one part."""
    usages = [part["usage"] for part in parts if "usage" in part]
    joined = {**parts[0], "choices": [choice for part in parts for choice in part["choices"]]}
    return {**joined, "usage": _sum(usages)} if usages else joined


# -- pieces ---------------------------------------------------------------------------------------


def _sum(usages: Sequence[Fields]) -> Fields:
    """What all parts cost: each read the prompt."""
    total: Fields = {}
    for usage in usages:
        for key, value in usage.items():
            total[key] = _sum([total.get(key, {}), value]) if isinstance(value, dict) else total.get(key, 0) + value
    return total


def _head(kind: str, context: ReplyContext) -> Fields:
    created = context.now_ns() // 1_000_000_000
    return {"id": f"chatcmpl-{context.new_id()}", "object": kind, "created": created, "model": context.model}


def _tier(response: Fields) -> Fields:
    tier = response.get("service_tier")
    return {"service_tier": tier} if isinstance(tier, str) else {}


def _add_texts(target: Fields, pieces: Fields) -> None:
    for key, piece in pieces.items():
        target[key] = (target.get(key) or "") + piece


def _frame(value: Fields) -> bytes:
    return b"data: %b\n\n" % one_line(value)
