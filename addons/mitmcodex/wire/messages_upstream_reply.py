"""Anthropic Messages from a provider (kind ``messages``): its stream, or its whole answer, → a canonical one.

Blocks come one after another. A thinking block becomes a reasoning item that carries its signature (signatures.py), a
search of the service's own a web_search_call item; the results, which only the service can read, are not kept.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, ClassVar

from mitmcodex.wire import verdict
from mitmcodex.wire.chat_upstream_calls import CallReader
from mitmcodex.wire.codec import Decoded
from mitmcodex.wire.encoder import FRAME_LIMIT
from mitmcodex.wire.errors import WireError
from mitmcodex.wire.lenient import number_of, object_of, objects_of, text_of
from mitmcodex.wire.shapes import Fields
from mitmcodex.wire.signatures import wrap
from mitmcodex.wire.sse import FrameSplitter, event_of
from mitmcodex.wire.toolbox import Toolbox
from mitmcodex.wire.writer import ResponseWriter, fresh_id, usage

KIND = "messages"

_CODES = {
    "rate_limit_error": "rate_limit_exceeded",
    "billing_error": "insufficient_quota",
    "not_found_error": "invalid_request_error",
    "request_too_large": "invalid_request_error",
}
"""Types of errors that verdict.py knows by another name."""

_LIMITS = {
    "max_tokens": "max_output_tokens",
    "model_context_window_exceeded": "max_output_tokens",
    "refusal": "content_filter",
}
"""stop_reason → why the response is incomplete; all others (end_turn, tool_use, stop_sequence, pause_turn) complete."""


class _Block:
    """The content block that is open."""

    def __init__(self, number: int, fields: Fields) -> None:
        self.number = number
        self.fields = fields
        self.kind = text_of(fields.get("type"))
        self.pieces: list[str] = []
        """Of a thought, or of a search's input."""
        self.signature = text_of(fields.get("signature"))
        self.citations = objects_of(fields.get("citations"))
        self.begin = 0
        """Of a text: its place in the message, in characters."""


class MessagesDecoder:
    """A StreamDecoder; ``feed`` raises WireError for one event that is larger than 64 MiB."""

    def __init__(self, decoded: Decoded, new_id: Callable[[], str] = fresh_id) -> None:
        self.writer = ResponseWriter(str(decoded.fields.get("model") or ""), new_id=new_id)
        self._calls = CallReader(Toolbox(decoded.fields, []), self.writer, new_id)
        self._splitter = FrameSplitter(FRAME_LIMIT)
        self._block: _Block | None = None
        self._count = 0
        """Of blocks."""
        self._length = 0
        """Characters of the message that is open."""
        self._searches: dict[str, str] = {}
        """Queries of the searches without a result, by id."""
        self._usage: Fields = {}
        self._stop: Fields = {}

    def feed(self, data: bytes) -> bytes:
        sent = [self.take(event_of(frame) or {}) for frame in self._splitter.feed(data)]
        if self._splitter.oversize:
            raise WireError("upstream_failed", f"One event of the upstream is larger than {FRAME_LIMIT} bytes.")
        return b"".join(sent)

    def finish(self) -> bytes:
        return self.take(event_of(self._splitter.rest()) or {})  # it may lack its blank line (conformance 36)

    def take(self, event: Fields) -> bytes:
        """One event of the service; what has no meaning here (ping …) gives nothing."""
        read = self._READERS.get(text_of(event.get("type")))
        return read(self, event) if read and not self.writer.has_ended else b""

    # -- the message ------------------------------------------------------------------------------

    def _message_start(self, event: Fields) -> bytes:
        self._learn(object_of(event.get("message")).get("usage"))
        return self.writer.created()

    def _message_delta(self, event: Fields) -> bytes:
        self._learn(event.get("usage"))
        self._stop = object_of(event.get("delta"))
        return b""

    def _message_stop(self, event: Fields) -> bytes:
        reason = _LIMITS.get(text_of(self._stop.get("stop_reason")))
        sent = [self._block_stop(event), *[self._searched(call_id, None) for call_id in list(self._searches)]]
        sent.append(self._calls.end(is_cut=reason is not None))
        if reason is None:
            return b"".join([*sent, self.writer.completed(self._counted())])
        if reason == "content_filter":
            sent.append(self.writer.refusal(text_of(object_of(self._stop.get("stop_details")).get("explanation"))))
        return b"".join([*sent, self.writer.incomplete(reason, self._counted())])

    def _error(self, event: Fields) -> bytes:
        return self.writer.failed(error_of(event))

    def _learn(self, told: Any) -> None:
        """The numbers at the end are of the whole message and replace those of its beginning."""
        self._usage |= {key: value for key, value in object_of(told).items() if value is not None}

    def _counted(self) -> Fields | None:
        """There ``input_tokens`` are those that no cache held (conformance 50)."""
        if not self._usage:
            return None
        fresh, read, written, output = (
            number_of(self._usage.get(key))
            for key in ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "output_tokens")
        )
        thought = number_of(object_of(self._usage.get("output_tokens_details")).get("thinking_tokens"))
        return usage(fresh + read + written, output, cached=read, reasoning=thought, cache_write=written)

    # -- blocks -----------------------------------------------------------------------------------

    def _block_start(self, event: Fields) -> bytes:
        closed = self._block_stop(event)
        block = self._block = _Block(self._count, object_of(event.get("content_block")))
        self._count += 1
        begin = self._BEGINS.get(block.kind)
        return closed + (begin(self, block) if begin else b"")

    def _block_delta(self, event: Fields) -> bytes:
        delta = object_of(event.get("delta"))
        read = self._DELTAS.get(text_of(delta.get("type")))
        return read(self, self._block, delta) if read and self._block else b""

    def _block_stop(self, event: Fields) -> bytes:
        block, self._block = self._block, None
        end = self._ENDS.get(block.kind) if block else None
        return end(self, block) if end and block else b""

    # text

    def _begin_text(self, block: _Block) -> bytes:
        block.begin = self._length
        return self._say(block, block.fields)

    def _say(self, block: _Block, delta: Fields) -> bytes:
        text = text_of(delta.get("text"))
        self._length += len(text)
        return self.writer.text(text)

    def _cite(self, block: _Block, delta: Fields) -> bytes:
        block.citations.append(object_of(delta.get("citation")))
        return b""

    def _end_text(self, block: _Block) -> bytes:
        """A citation is of its whole block, the text of which may follow it."""
        if self._length == block.begin:
            return b""
        place = {"type": "url_citation", "start_index": block.begin, "end_index": self._length}
        pages = [one for one in block.citations if text_of(one.get("url"))]
        cited = [{**place, "url": one["url"], "title": text_of(one.get("title"))} for one in pages]
        return b"".join(map(self.writer.annotation, cited))

    # thinking

    def _begin_thought(self, block: _Block) -> bytes:
        self._length = 0
        return self._think(block, block.fields)

    def _think(self, block: _Block, delta: Fields) -> bytes:
        block.pieces.append(text_of(delta.get("thinking")))
        return self.writer.reasoning(block.pieces[-1])

    def _sign(self, block: _Block, delta: Fields) -> bytes:
        block.signature += text_of(delta.get("signature"))
        return b""

    def _end_thought(self, block: _Block) -> bytes:
        if not block.signature:
            return self.writer.reasoning_done()
        thought = {"type": "thinking", "thinking": "".join(block.pieces), "signature": block.signature}
        return self.writer.reasoning_done(wrap(KIND, thought))

    def _begin_redacted(self, block: _Block) -> bytes:
        self._length = 0
        redacted = {"type": "redacted_thinking", "data": text_of(block.fields.get("data"))}
        return self.writer.reasoning_done(wrap(KIND, redacted))

    # calls

    def _begin_call(self, block: _Block) -> bytes:
        """An input that is there from the start comes from a service that sends no deltas."""
        self._length = 0
        function = {"name": block.fields.get("name"), "arguments": block.fields.get("input") or ""}
        return self._calls.read({"index": block.number, "id": block.fields.get("id"), "function": function})

    def _argue(self, block: _Block, delta: Fields) -> bytes:
        piece = text_of(delta.get("partial_json"))
        if block.kind == "tool_use":
            return self._calls.read({"index": block.number, "function": {"arguments": piece}})
        block.pieces.append(piece)
        return b""

    # the service's own search

    def _end_search(self, block: _Block) -> bytes:
        if block.fields.get("name") == "web_search":
            asked = _parsed("".join(block.pieces)) or object_of(block.fields.get("input"))
            self._searches[text_of(block.fields.get("id"))] = text_of(asked.get("query"))
        return b""

    def _begin_result(self, block: _Block) -> bytes:
        return self._searched(text_of(block.fields.get("tool_use_id")), block.fields.get("content"))

    def _searched(self, call_id: str, results: Any) -> bytes:
        """``results``: a list; an error object; None when none came."""
        self._length = 0
        sources = [{"type": "url", "url": one["url"]} for one in objects_of(results) if text_of(one.get("url"))]
        action = {"type": "search", "query": self._searches.pop(call_id, ""), "sources": sources}
        status = "completed" if isinstance(results, list) else "failed"
        return self.writer.item({"id": f"ws_{call_id}", "type": "web_search_call", "status": status, "action": action})

    _READERS: ClassVar[dict[str, Callable[[MessagesDecoder, Fields], bytes]]] = {
        "message_start": _message_start,
        "content_block_start": _block_start,
        "content_block_delta": _block_delta,
        "content_block_stop": _block_stop,
        "message_delta": _message_delta,
        "message_stop": _message_stop,
        "error": _error,
    }

    _BEGINS: ClassVar[dict[str, Callable[[MessagesDecoder, _Block], bytes]]] = {
        "text": _begin_text,
        "thinking": _begin_thought,
        "redacted_thinking": _begin_redacted,
        "tool_use": _begin_call,
        "web_search_tool_result": _begin_result,
    }

    _DELTAS: ClassVar[dict[str, Callable[[MessagesDecoder, _Block, Fields], bytes]]] = {
        "text_delta": _say,
        "citations_delta": _cite,
        "thinking_delta": _think,
        "signature_delta": _sign,
        "input_json_delta": _argue,
    }

    _ENDS: ClassVar[dict[str, Callable[[MessagesDecoder, _Block], bytes]]] = {
        "text": _end_text,
        "thinking": _end_thought,
        "server_tool_use": _end_search,
    }


def error_of(event: Fields) -> WireError:
    """The service's ``{"type": "error", "error": {type, message}}`` in our vocabulary."""
    error = object_of(event.get("error"))
    kind = text_of(error.get("type"))
    told = {"code": _CODES.get(kind, kind), "message": error.get("message")}
    judged = verdict.of_event({"type": "error", "error": told})
    assert judged is not None
    return judged.error


def decode_response(fields: Fields, decoded: Decoded) -> Fields:
    """A whole message → a canonical response, by the events that would have led to it. Raises WireError for an error
    object and for what is no message."""
    if fields.get("type") == "error":
        raise error_of(fields)
    if not isinstance(fields.get("content"), list) or not fields.get("stop_reason"):
        raise WireError("upstream_failed", "The upstream's answer is no message. Check its base_url.")
    decoder = MessagesDecoder(decoded)
    decoder.take({"type": "message_start", "message": fields})
    for block in objects_of(fields["content"]):
        decoder.take({"type": "content_block_start", "content_block": block})
    decoder.take({"type": "message_delta", "delta": fields})
    decoder.take({"type": "message_stop"})
    return decoder.writer.response


def _parsed(raw: str) -> Fields:
    try:
        return object_of(json.loads(raw))
    except (ValueError, RecursionError):
        return {}
