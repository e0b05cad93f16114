"""Anthropic Messages, encode: the canonical stream → the protocol's events (conformance 43 to 53)."""

from __future__ import annotations

import json
from collections import deque

from mitmcodex.wire.codec import Decoded, ReplyContext
from mitmcodex.wire.encoder import EventEncoder, Item
from mitmcodex.wire.errors import WireError
from mitmcodex.wire.messages_blocks import (
    Searches,
    broken_call,
    citation_of,
    cleaned,
    image_text,
    input_of,
    is_checked,
    signature_of,
    stop_of,
    usage_of,
)
from mitmcodex.wire.messages_content import clamped_id
from mitmcodex.wire.messages_errors import error_body
from mitmcodex.wire.messages_request import MessagesReply
from mitmcodex.wire.shapes import Fields

_PING = b'event: ping\ndata: {"type":"ping"}\n\n'
_TAIL = b"}}\n\n"
_dump = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode

_DELTAS = {
    "text": ("text_delta", "text"),
    "thinking": ("thinking_delta", "thinking"),
    "tool_use": ("input_json_delta", "partial_json"),
    "server_tool_use": ("input_json_delta", "partial_json"),
}
"""Kind of block → type and key of the deltas that fill it."""


def _data(value: object) -> bytes:
    return _dump(value).encode("utf-8", "backslashreplace")


def _event(kind: str, **fields: object) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), _data({"type": kind, **fields}))


class _Block:
    """One content block of the answer."""

    __slots__ = ("held", "index", "is_call", "is_done", "pieces", "prefix")

    def __init__(self, index: int, kind: str) -> None:
        self.index = index
        self.is_call = kind == "tool_use"
        self.is_done = False
        self.held: list[bytes] = []
        """Events that wait until the blocks before this one are done."""
        self.pieces: list[str] = []
        """The text so far, which citations quote."""
        self.prefix = self.prefix_of(*_DELTAS[kind]) if kind in _DELTAS else b""

    def prefix_of(self, kind: str, key: str) -> bytes:
        """A delta's event up to its value."""
        place = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,' % self.index
        return place + b'"delta":{"type":"%b","%b":' % (kind.encode(), key.encode())


class MessagesEncoder(EventEncoder):
    """The client sees one block at a time (conformance 44): blocks stand in a queue, of which the first is open and
    streams; what comes for the others is held until it is done."""

    def __init__(self, decoded: Decoded, context: ReplyContext) -> None:
        super().__init__()
        self._context = context
        self._thinking = decoded.reply.thinking if isinstance(decoded.reply, MessagesReply) else ""
        self._queue: deque[_Block] = deque()
        self._of: dict[Item, _Block] = {}
        self._next_index = 0
        self._searches = Searches(context)
        self._has_call = False
        self._has_refusal = False
        self._broken = ""
        """Name of a call that ended with arguments that are no JSON object."""

    # -- the frame of the answer ------------------------------------------------------------------

    def begin(self, response: Fields) -> bytes:
        message = {**head(self._context), "stop_reason": None, "stop_sequence": None}
        usage = {"input_tokens": self._context.input_tokens(), "cache_creation_input_tokens": 0}
        usage |= {"cache_read_input_tokens": 0, "output_tokens": 0}
        return _event("message_start", message={**message, "content": [], "usage": usage})

    def end(self, response: Fields) -> bytes:
        sent = [self._whole(block) for block in self._searches.results()]
        if response.get("status") != "incomplete" and any(block.is_call and not block.is_done for block in self._queue):
            self.is_cut = True
            return b"".join(sent) + self.failed(broken_call(self._broken or "a tool"))
        while self._queue:
            sent.append(self._close(self._queue[0]))
        stop = stop_of(response, has_call=self._has_call, has_refusal=self._has_refusal)
        usage = usage_of(response, self._context, self._searches.count)
        return b"".join(sent) + _event("message_delta", delta=stop, usage=usage) + _event("message_stop")

    def failed(self, error: WireError) -> bytes:
        body = error_body(error)
        return b"event: error\ndata: %b\n\n" % _data(body)

    def idle(self) -> bytes:
        """The SDKs skip a ping anywhere, before ``message_start`` too."""
        return b"" if self._has_ended else _PING

    # -- texts ------------------------------------------------------------------------------------

    def text(self, item: Item, delta: str) -> bytes:
        block = self._of.get(item)
        opened = b""
        if block is None:
            block, opened = self._open({"type": "text", "text": ""}, item)
        block.pieces.append(delta)
        return opened + self._say(block, block.prefix + _dump(delta).encode("utf-8", "backslashreplace") + _TAIL)

    def refusal(self, item: Item, delta: str) -> bytes:
        self._has_refusal = True
        return self.text(item, delta)

    def annotation(self, item: Item, annotation: Fields) -> bytes:
        block = self._of.get(item)
        citation = citation_of(annotation, "".join(block.pieces) if block else "")
        if citation is None:
            return b""
        self._searches.cited(citation)
        return self._delta(block, "citations_delta", "citation", citation) if block else b""

    def message_done(self, item: Item, whole: Fields) -> bytes:
        return self._close_of(item) + b"".join([self._whole(block) for block in self._searches.results()])

    def reasoning(self, item: Item, delta: str) -> bytes:
        if self._thinking != "text":
            return b""
        block = self._of.get(item)
        opened = b""
        if block is None:
            block, opened = self._open({"type": "thinking", "thinking": "", "signature": ""}, item)
        return opened + self._say(block, block.prefix + _data(delta) + _TAIL)

    def reasoning_done(self, item: Item, whole: Fields) -> bytes:
        block = self._of.get(item)
        if not self._thinking or (block is None and not whole.get("encrypted_content")):
            return b""
        opened = b""
        if block is None:
            block, opened = self._open({"type": "thinking", "thinking": "", "signature": ""}, item)
        signature = signature_of(whole, self._context.account())
        return opened + self._delta(block, "signature_delta", "signature", signature) + self._close_of(item)

    # -- calls ------------------------------------------------------------------------------------

    def call_begin(self, item: Item) -> bytes:
        call = {"type": "tool_use", "id": clamped_id(item.call_id), "name": item.name, "input": {}}
        block, opened = self._open(call, item)
        return opened + (self._input(block, '{"input":"') if item.is_custom else b"")

    def call_delta(self, item: Item, delta: str) -> bytes:
        if is_checked(item.name):
            return b""
        return self._input(self._of[item], _dump(delta)[1:-1] if item.is_custom else delta)

    def call_done(self, item: Item) -> bytes:
        if item.is_custom:
            self._has_call = True
            return self._input(self._of[item], '"}') + self._close_of(item)
        given = input_of(item.arguments)
        if given is None:  # only the end tells whether it was cut or is wrong, so the block stays open till then
            self._broken = item.name
            return b""
        self._has_call = True
        held = is_checked(item.name) and item.arguments
        return (self._input(self._of[item], _dump(cleaned(item.name, given))) if held else b"") + self._close_of(item)

    def _input(self, block: _Block, piece: str) -> bytes:
        return self._say(block, block.prefix + _data(piece) + _TAIL)

    # -- other items ------------------------------------------------------------------------------

    def search_done(self, item: Item, whole: Fields) -> bytes:
        return b"".join([self._whole(block) for block in self._searches.called(whole)])

    def image_done(self, item: Item, whole: Fields) -> bytes:
        text = image_text(whole)
        return self.text(item, text) + self._close_of(item) if text else b""

    def _whole(self, content: Fields) -> bytes:
        """A block that is known at once."""
        given = content.get("input")
        block, opened = self._open({**content, "input": {}} if given is not None else content)
        filled = self._input(block, _dump(given)) if given else b""
        return opened + filled + self._close(block)

    # -- the queue --------------------------------------------------------------------------------

    def _open(self, content: Fields, item: Item | None = None) -> tuple[_Block, bytes]:
        block = _Block(self._next_index, content["type"])
        self._next_index += 1
        self._queue.append(block)
        if item is not None:
            self._of[item] = block
        return block, self._say(block, _event("content_block_start", index=block.index, content_block=content))

    def _delta(self, block: _Block, kind: str, key: str, value: object) -> bytes:
        return self._say(block, block.prefix_of(kind, key) + _data(value) + _TAIL)

    def _say(self, block: _Block, data: bytes) -> bytes:
        if block is self._queue[0]:
            return data
        block.held.append(data)
        return b""

    def _close_of(self, item: Item) -> bytes:
        block = self._of.pop(item, None)
        return self._close(block) if block else b""

    def _close(self, block: _Block) -> bytes:
        sent = [self._say(block, _event("content_block_stop", index=block.index))]
        block.is_done = True
        while self._queue and self._queue[0].is_done:
            self._queue.popleft()
            if self._queue:
                sent += self._queue[0].held
                self._queue[0].held = []
        return b"".join(sent)


def head(context: ReplyContext) -> Fields:
    """What stands in ``message_start`` and in a whole answer alike."""
    return {"id": f"msg_{context.new_id()}", "type": "message", "role": "assistant", "model": context.model}
