"""The way back of what adapt changed reversibly: names of tools, the Lite form's namespace, tuples (seeds S80).

A sans-IO rewriter of the canonical stream. Frames that need no change pass byte for byte; only those that can hold a
name or a tuple are parsed. Where JSON must be whole to be rewritten its deltas are held back and sent as one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mitmcodex.wire import tuples
from mitmcodex.wire.lite import NAMESPACE
from mitmcodex.wire.shapes import CREATED, ITEM_DONE, TERMINAL, Fields
from mitmcodex.wire.sparing import each, put, within, without
from mitmcodex.wire.sse import FrameSplitter, event_of, event_type, format_event

FRAME_LIMIT = 64 * 1024 * 1024
"""Bytes of one event: an image comes whole in one."""
_CALLS = ("function_call", "custom_tool_call")
_WITH_RESPONSE = (CREATED, "response.in_progress", "response.queued", *TERMINAL)


@dataclass(frozen=True, slots=True)
class Changed:
    """What adapt did that must be undone."""

    names: Mapping[str, str] = field(default_factory=dict)
    """Alias of a tool → the client's name."""
    has_namespace: bool = False
    """Flat tools went into the namespace ``functions``."""
    schemas: Mapping[str, Fields] = field(default_factory=dict)
    """The client's name of a function with tuples → its schema as the client gave it."""
    format: Fields | None = None
    """Schema of structured output with tuples, as the client gave it."""
    echo: Fields = field(default_factory=dict)
    """What a response repeats of its request, as the client wrote it."""

    def __bool__(self) -> bool:
        return bool(self.names or self.has_namespace or self.schemas or self.format)


class Restore:
    """For one stream. ``whole`` is for an answer that comes as one response object."""

    def __init__(self, changed: Changed) -> None:
        self._changed = changed
        self._splitter = FrameSplitter(FRAME_LIMIT)
        self._needle = _needle(changed)
        self._tuple_calls: dict[str, Fields] = {}
        """Place of a call that streams now → its schema."""
        self._held: dict[str, Fields] = {}
        """Place of a text that is held back → its last delta event."""
        self._newest = ""
        """The place of which a delta was held last, while nothing else passed since."""
        self._rewriters = self._table()

    def feed(self, data: bytes) -> bytes:
        was_oversize = self._splitter.oversize
        frames = self._splitter.feed(data)
        sent = frames[:1] if was_oversize else []
        rest = frames[1:] if was_oversize else frames
        if self._splitter.oversize and rest:
            return b"".join([*sent, *map(self._take, rest[:-1]), rest[-1]])
        return b"".join([*sent, *map(self._take, rest)])

    def finish(self) -> bytes:
        """The upstream ended: what came without a blank line."""
        rest = self._splitter.rest()
        return rest if self._splitter.oversize else self._take(rest)

    def whole(self, response: Fields) -> Fields:
        """The response as the client expects it."""
        restored = within(response, "output", lambda items: each(items, self._item))
        for key, value in self._changed.echo.items():
            if key in restored:
                restored = put(restored, key, value)
        return restored

    # -- frames -----------------------------------------------------------------------------------

    def _table(self) -> dict[str, Callable[[bytes], bytes]]:
        """Only what can need a change is looked at."""
        table: dict[str, Callable[[bytes], bytes]] = dict.fromkeys(_WITH_RESPONSE, self._with_response)
        table |= dict.fromkeys(("response.output_item.added", ITEM_DONE), self._with_item)
        if self._changed.names or self._changed.schemas:
            table["response.function_call_arguments.done"] = self._arguments_done
        if self._changed.schemas:
            table["response.function_call_arguments.delta"] = self._arguments_delta
        if self._changed.format is not None:
            table["response.output_text.delta"] = self._text_delta
            table["response.output_text.done"] = self._text_done
            table["response.content_part.done"] = self._part_done
        return table

    def _take(self, frame: bytes) -> bytes:
        rewrite = self._rewriters.get(event_type(frame))
        sent = rewrite(frame) if rewrite else frame
        if sent and self._newest and b'"sequence_number"' in frame:
            self._newest = ""
        return sent

    def _with_response(self, frame: bytes) -> bytes:
        event = _event(frame)
        response = event.get("response")
        if not isinstance(response, dict):
            return frame
        restored = self.whole(response)
        return frame if restored is response else format_event({**event, "response": restored})

    def _with_item(self, frame: bytes) -> bytes:
        if not self._needle.search(frame):
            return frame
        event = _event(frame)
        item = event.get("item")
        if not isinstance(item, dict):
            return frame
        restored = self._item(item)
        name = restored.get("name")
        if event["type"] != ITEM_DONE and isinstance(name, str) and name in self._changed.schemas:
            self._tuple_calls[_place(event)] = self._changed.schemas[name]
        return frame if restored is item else format_event({**event, "item": restored})

    def _arguments_delta(self, frame: bytes) -> bytes:
        if not self._tuple_calls:
            return frame
        event = _event(frame)
        place = _place(event)
        return self._hold(event, place) if place in self._tuple_calls else frame

    def _arguments_done(self, frame: bytes) -> bytes:
        event = _event(frame)
        place, restored = _place(event), self._name(event, "name")
        schema = self._tuple_calls.pop(place, None)
        if schema is not None and isinstance(event.get("arguments"), str):
            text = tuples.unfolded(event["arguments"], schema)
            return self._released(place, text) + format_event(put(restored, "arguments", text))
        return frame if restored is event else format_event(restored)

    def _text_delta(self, frame: bytes) -> bytes:
        event = _event(frame)
        return self._hold(event, _place(event))

    def _text_done(self, frame: bytes) -> bytes:
        event = _event(frame)
        if not isinstance(event.get("text"), str):
            return frame
        text = self._text(event)["text"]
        return self._released(_place(event), text) + format_event({**event, "text": text})

    def _part_done(self, frame: bytes) -> bytes:
        event = _event(frame)
        part = event.get("part")
        restored = self._text(part) if isinstance(part, dict) else part
        return frame if restored is part else format_event({**event, "part": restored})

    def _hold(self, event: Fields, place: str) -> bytes:
        self._held[place] = event
        self._newest = place
        return b""

    def _released(self, place: str, text: str) -> bytes:
        """One delta with the whole text, numbered as the last that was held. Where other events came after that one
        there is no number left for it: the event that follows says the text too."""
        event = self._held.pop(place, None)
        is_newest = place == self._newest
        return format_event({**event, "delta": text}) if event is not None and is_newest else b""

    # -- items ------------------------------------------------------------------------------------

    def _item(self, item: Any) -> Any:
        kind = item.get("type") if isinstance(item, dict) else None
        if kind == "message" and self._changed.format is not None:
            return within(item, "content", lambda parts: each(parts, self._text))
        return self._call(item) if kind in _CALLS else item

    def _call(self, item: Fields) -> Fields:
        if self._changed.has_namespace and item.get("namespace") == NAMESPACE:
            item = without(item, "namespace")
        item = self._name(self._name(item, "name"), "namespace")
        schema = self._changed.schemas.get(str(item.get("name")))
        arguments = item.get("arguments")
        if schema is None or not isinstance(arguments, str) or item["type"] != "function_call":
            return item
        restored = tuples.unfolded(arguments, schema)
        return item if restored == arguments else put(item, "arguments", restored)

    def _name(self, fields: Fields, key: str) -> Fields:
        name = fields.get(key)
        known = self._changed.names
        return put(fields, key, known[name]) if isinstance(name, str) and name in known else fields

    def _text(self, part: Any) -> Any:
        """A part with structured output in the client's form."""
        text = part.get("text") if isinstance(part, dict) else None
        if self._changed.format is None or not isinstance(text, str):
            return part
        restored = tuples.unfolded(text, self._changed.format)
        return part if restored == text else put(part, "text", restored)


def _event(frame: bytes) -> Fields:
    event = event_of(frame) or {}
    return event if "type" in event else {"type": event_type(frame), **event}


def _place(event: Fields) -> str:
    """Of a call or a part among the output."""
    return f"{event.get('output_index')}/{event.get('content_index')}"


def _needle(changed: Changed) -> re.Pattern[bytes]:
    """Found in each frame of an item that needs a change; names of tools are ASCII once they are aliases."""
    words = [*changed.names, *changed.schemas]
    if changed.has_namespace:
        words.append("namespace")
    found = [re.escape(f'"{word}"'.encode("utf-8", "backslashreplace")) for word in words]
    if changed.format is not None:
        found.append(rb'"output_text"')
    return re.compile(b"|".join(found))
