"""Chat Completions, encode: an answer as deltas, which chat_reply.py writes down (conformance 3 to 7, 9 to 11, 15)."""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from mitmcodex.wire.chat_request import ChatReply
from mitmcodex.wire.codec import Decoded, ReplyContext
from mitmcodex.wire.encoder import EventEncoder, Item
from mitmcodex.wire.lenient import number_at, object_of
from mitmcodex.wire.shapes import Fields

PARAGRAPH = "\n\n"
"""Between what separate items put into one text: two messages, a thought and a message."""


@dataclass(slots=True, eq=False)
class _Call:
    place: int
    """Among the calls: their ``index``."""
    family: str
    """function | custom: also the key of its body."""
    key: str
    """Of its text in there: arguments | input"""
    held: list[Fields] = field(default_factory=list)
    """Deltas that wait until the calls before this one are done."""
    is_done: bool = False


class ChatAnswer(EventEncoder):
    """The deltas of one choice. A subclass overrides ``say`` and ``close``.

    Calls are told one after the other, as the real API does: when the next begins openai-python's stream helper takes
    the one before for whole and parses its arguments (measured). They stand in a queue, of which the first streams.
    """

    def __init__(self, decoded: Decoded, context: ReplyContext) -> None:
        super().__init__()
        self.usage: Fields | None = None
        """As Chat Completions counts it; known at the end."""
        self._reply: ChatReply = decoded.reply
        self._context = context
        self._mode = "off" if self._reply.hides_reasoning else context.reasoning_out
        self._speaker: Item | None = None
        """The item that the content's last piece is of."""
        self._pending_tag = ""
        """Closes the thought that the content's last piece is of."""
        self._thinker: Item | None = None
        self._length = 0
        """Of the content, in characters."""
        self._starts: dict[int, int] = {}
        """Item number → where its text begins in the content."""
        self._calls: dict[int, _Call] = {}
        self._queue: deque[_Call] = deque()
        self._has_finished_call = False
        self._citations: list[tuple[int, Fields]] = []
        self._images: list[Fields] = []

    def say(self, delta: Fields) -> bytes:
        raise NotImplementedError

    def close(self, reason: str, response: Fields) -> bytes:
        """The end, with its finish_reason."""
        raise NotImplementedError

    def say_text(self, text: str) -> bytes:
        return self.say({"content": text})

    # -- texts ------------------------------------------------------------------------------------

    def begin(self, response: Fields) -> bytes:
        return self.say({"role": "assistant", "content": ""})

    def text(self, item: Item, delta: str) -> bytes:
        if item is not self._speaker:
            delta = self._turn(item) + delta
        self._length += len(delta)
        return self.say_text(delta)

    def _turn(self, item: Item, opening: str = "", closing: str = "") -> str:
        """What comes before the first piece of an item that begins to speak."""
        joint = self._pending_tag + (PARAGRAPH if self._length else "") + opening
        self._speaker, self._pending_tag = item, closing
        self._starts.setdefault(item.number, self._length + len(joint))
        return joint

    def _fall_silent(self) -> bytes:
        """Something else than content follows."""
        tag, self._pending_tag, self._speaker = self._pending_tag, "", None
        self._length += len(tag)
        return self.say_text(tag) if tag else b""

    def refusal(self, item: Item, delta: str) -> bytes:
        return self._fall_silent() + self.say({"refusal": delta})

    def reasoning(self, item: Item, delta: str) -> bytes:
        if self._mode == "off":
            return b""
        if self._mode == "think":
            if item is not self._speaker:
                delta = self._turn(item, "<think>", "</think>") + delta
            self._length += len(delta)
            return self.say_text(delta)
        joint = PARAGRAPH if self._thinker not in (None, item) else ""
        self._thinker = item
        return self.say({self._mode: joint + delta})

    # -- calls ------------------------------------------------------------------------------------

    def call_begin(self, item: Item) -> bytes:
        if self._reply.is_legacy and self._calls:
            return b""  # function_call has room for one
        is_custom = item.is_custom and item.name in self._reply.custom_names
        names = ("custom", "input") if is_custom else ("function", "arguments")
        call = self._calls[item.number] = _Call(len(self._calls), *names)
        self._queue.append(call)
        body = {"name": item.name, call.key: ""}
        if self._reply.is_legacy:
            return self._fall_silent() + self._tell(call, {"function_call": body})
        told = {"index": call.place, "id": item.call_id, "type": call.family, call.family: body}
        return self._fall_silent() + self._tell(call, {"tool_calls": [told]})

    def call_delta(self, item: Item, delta: str) -> bytes:
        call = self._calls.get(item.number)
        if call is None or self._is_wrapped(item, call):
            return b""
        return self._argue(call, delta)

    def call_done(self, item: Item) -> bytes:
        call = self._calls.get(item.number)
        if call is None:
            return b""
        sent = b""
        if self._is_wrapped(item, call):
            sent = self._argue(call, json.dumps({"input": item.arguments}, ensure_ascii=False))
        elif call.family == "function" and not item.arguments and not item.sent:
            sent = self._argue(call, "{}")  # clients parse it
        self._has_finished_call = call.is_done = True
        return sent + self._go_on()

    def _is_wrapped(self, item: Item, call: _Call) -> bool:
        """Free text to a client that did not declare the tool as a custom one: its arguments are JSON."""
        return item.is_custom and call.family == "function"

    def _argue(self, call: _Call, piece: str) -> bytes:
        if self._reply.is_legacy:
            return self._tell(call, {"function_call": {call.key: piece}})
        return self._tell(call, {"tool_calls": [{"index": call.place, call.family: {call.key: piece}}]})

    def _tell(self, call: _Call, delta: Fields) -> bytes:
        if call.is_done:
            return b""  # the client has it whole
        if call is self._queue[0]:
            return self.say(delta)
        call.held.append(delta)
        return b""

    def _go_on(self, *, is_end: bool = False) -> bytes:
        """With the calls behind one that is done; at the end with all that are left."""
        sent = []
        while self._queue and (self._queue[0].is_done or is_end):
            self._queue.popleft()
            if self._queue:
                sent += [self.say(delta) for delta in self._queue[0].held]
        return b"".join(sent)

    # -- what is told at the end --------------------------------------------------------------------

    def annotation(self, item: Item, annotation: Fields) -> bytes:
        if annotation.get("type") == "url_citation":
            self._citations.append((item.number, annotation))
        return b""

    def image_done(self, item: Item, whole: Fields) -> bytes:
        form, data = whole.get("output_format") or "png", whole.get("result")
        if isinstance(data, str) and data:
            self._images.append({"type": "image_url", "image_url": {"url": f"data:image/{form};base64,{data}"}})
        return b""

    def end(self, response: Fields) -> bytes:
        """Citations and images are told once, in one delta: SDKs add up no lists but tool_calls, a second delta would
        take the first one's place (openai-node) or raise (openai-python)."""
        self.usage = usage_of(response.get("usage"))
        lists: Fields = {"annotations": [self._citation(*told) for told in self._citations], "images": self._images}
        told = {key: value for key, value in lists.items() if value}
        before = self._fall_silent() + self._go_on(is_end=True) + (self.say(told) if told else b"")
        return before + self.close(self._reason(response), response)

    def _citation(self, number: int, annotation: Fields) -> Fields:
        """Its place in the whole content, counted in characters as the upstream counts (conformance 15)."""
        start = self._starts.get(number, 0)
        body: Fields = {key: annotation[key] for key in ("title", "url") if key in annotation}
        for key in ("start_index", "end_index"):
            if isinstance(annotation.get(key), int):
                body[key] = annotation[key] + start
        return {"type": "url_citation", "url_citation": body}

    def _reason(self, response: Fields) -> str:
        """An answer that was cut short says so also when a call of it is whole, as the real API does."""
        if response.get("status") == "incomplete":
            filtered = object_of(response.get("incomplete_details")).get("reason") == "content_filter"
            return "content_filter" if filtered else "length"
        if self._has_finished_call:
            return "function_call" if self._reply.is_legacy else "tool_calls"
        return "stop"


def usage_of(usage: Any) -> Fields | None:
    """Conformance 9: input with what was cached. None when the upstream told none."""
    if not isinstance(usage, dict):
        return None
    prompt, completion = number_at(usage, "input_tokens"), number_at(usage, "output_tokens")
    told: Fields = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
    for key, theirs, names in _DETAILS:
        details = object_of(usage.get(theirs))
        if counts := {name: details[name] for name in names if isinstance(details.get(name), int)}:
            told[key] = counts
    return told


_DETAILS = (
    ("prompt_tokens_details", "input_tokens_details", ("cached_tokens", "cache_write_tokens")),
    ("completion_tokens_details", "output_tokens_details", ("reasoning_tokens",)),
)
