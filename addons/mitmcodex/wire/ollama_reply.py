"""Ollama's /api/chat and /api/generate: encode, one JSON object a line (conformance 72 to 74; seeds S249)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from mitmcodex.wire.codec import Decoded, ReplyContext
from mitmcodex.wire.encoder import Item
from mitmcodex.wire.errors import WireError
from mitmcodex.wire.ollama_errors import error_body
from mitmcodex.wire.ollama_request import OllamaReply
from mitmcodex.wire.one_line import one_line
from mitmcodex.wire.shapes import Fields
from mitmcodex.wire.whole_calls import WholeCallEncoder

_SECOND_NS = 1_000_000_000
_REASONS = {"max_output_tokens": "length"}
"""Of an incomplete response; any other by its own name (content_filter)."""


class OllamaEncoder(WholeCallEncoder):
    """The clock starts when the encoder is made: with the request."""

    content_type = "application/x-ndjson"

    def __init__(self, decoded: Decoded, context: ReplyContext) -> None:
        super().__init__()
        reply = decoded.reply if isinstance(decoded.reply, OllamaReply) else OllamaReply()
        self._context = context
        self._is_generate = reply.is_generate
        self._shows_thinking = reply.shows_thinking
        self._started_ns = self._first_ns = context.now_ns()
        self._head: Fields = {}
        self._before = self._after = b""
        """Of a line with a piece of text: all but the text."""

    # -- lines ------------------------------------------------------------------------------------

    def _line(self, fields: Fields) -> bytes:
        return one_line(fields) + b"\n"

    def _piece(self, text: str, **further: Any) -> Fields:
        """What a line says: a message, or for generate its parts beside the rest."""
        if self._is_generate:
            return {**self._head, "response": text, **further}
        return {**self._head, "message": {"role": "assistant", "content": text, **further}}

    def begin(self, response: Fields) -> bytes:
        self._first_ns = self._context.now_ns()
        self._head = {"model": self._context.model, "created_at": _timestamp(self._first_ns)}
        head = one_line(self._head)[:-1]
        if self._is_generate:
            self._before, self._after = head + b',"response":', b',"done":false}\n'
        else:
            self._before = head + b',"message":{"role":"assistant","content":'
            self._after = b'},"done":false}\n'
        return b""

    # -- content ----------------------------------------------------------------------------------

    def text(self, item: Item, delta: str) -> bytes:
        return self._before + one_line(delta) + self._after

    def refusal(self, item: Item, delta: str) -> bytes:
        return self.text(item, delta)

    def reasoning(self, item: Item, delta: str) -> bytes:
        if not self._shows_thinking:
            return b""
        return self._line({**self._piece("", thinking=delta), "done": False})

    def call(self, item: Item, arguments: Fields) -> bytes:
        function = {"index": self.calls - 1, "name": item.name, "arguments": arguments}
        calls = [{"id": item.call_id, "function": function}]
        return self._line({**self._piece("", tool_calls=calls), "done": False})

    def image_done(self, item: Item, whole: Fields) -> bytes:
        """Only /api/generate has a place for one."""
        data = whole.get("result")
        if not self._is_generate or not isinstance(data, str) or not data:
            return b""
        return self._line({**self._piece("", image=data), "done": False})

    # -- the end ----------------------------------------------------------------------------------

    def end(self, response: Fields) -> bytes:
        sent = self.calls_left()
        is_whole = response.get("status") != "incomplete"
        if is_whole and self.malformed:
            self.is_cut = True
            return sent + self.failed(malformed_call(self.malformed))
        last = {**self._piece(""), "done": True, "done_reason": self._reason(response)}
        return sent + self._line(last | self._durations(response) | _counts(response.get("usage")))

    def _reason(self, response: Fields) -> str:
        if response.get("status") == "incomplete":
            details = response.get("incomplete_details")
            told = details.get("reason") if isinstance(details, dict) else None
            return _REASONS.get(str(told), str(told or "length"))
        return "tool_calls" if self.calls else "stop"

    def _durations(self, response: Fields) -> Fields:
        """Nanoseconds; nothing is loaded, and until the first event counts as reading the prompt."""
        now = self._context.now_ns()
        return {
            "total_duration": max(0, now - self._started_ns),
            "load_duration": 0,
            "prompt_eval_duration": max(0, self._first_ns - self._started_ns),
            "eval_duration": max(0, now - self._first_ns),
        }

    def failed(self, error: WireError) -> bytes:
        return self._line(error_body(error))

    def idle(self) -> bytes:
        """A blank line kills ollama-python (measured); a line with empty content says nothing."""
        if not self._head:
            self.begin({})
        return self.text(Item(0), "")


class _Whole(OllamaEncoder):
    """Keeps the lines. Of a whole response only its own clock is known, in seconds: when it was created."""

    def __init__(self, decoded: Decoded, context: ReplyContext) -> None:
        super().__init__(decoded, context)
        self.lines: list[Fields] = []

    def begin(self, response: Fields) -> bytes:
        super().begin(response)
        created = response.get("created_at")
        if isinstance(created, int | float) and 0 < created * _SECOND_NS < self._first_ns:
            self._started_ns = self._first_ns = int(created * _SECOND_NS)
        return b""

    def _line(self, fields: Fields) -> bytes:
        self.lines.append(fields)
        return b""

    def text(self, item: Item, delta: str) -> bytes:
        return self._line(self._piece(delta))

    def failed(self, error: WireError) -> bytes:
        raise error


def encode_response(response: Fields, decoded: Decoded, context: ReplyContext) -> Fields:
    """The last line with the content of all. Raises WireError for a call whose arguments can't be told."""
    whole = _Whole(decoded, context)
    whole.read(response)
    answer = whole.lines[-1]
    target = answer if decoded.reply.is_generate else answer["message"]
    for line in whole.lines[:-1]:
        piece = line if decoded.reply.is_generate else line["message"]
        for key in ("response", "content", "thinking", "tool_calls", "image"):
            if key in piece:
                target[key] = target[key] + piece[key] if key in target else piece[key]
    return answer


def malformed_call(name: str) -> WireError:
    return WireError("upstream_failed", f"The model's call of {name} has arguments that are no JSON object. Try again.")


def _timestamp(now_ns: int) -> str:
    """RFC 3339 with nanoseconds, as Ollama's own."""
    seconds, rest = divmod(now_ns, _SECOND_NS)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"


def _counts(usage: Any) -> Fields:
    """Absent where the upstream did not count."""
    if not isinstance(usage, dict):
        return {}
    return {"prompt_eval_count": usage.get("input_tokens") or 0, "eval_count": usage.get("output_tokens") or 0}
