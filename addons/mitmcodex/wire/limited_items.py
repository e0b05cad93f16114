"""What a Limiter knows of the output items of a stream: their parts, how far they came, how to end them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mitmcodex.wire.shapes import ITEM_DONE, Fields

TEXT, REFUSAL, ARGUMENTS = "output_text", "refusal", "arguments"

_WHOLE = {TEXT: "text", REFUSAL: "refusal"}
"""Kind of a message's part → the key of its whole text."""

_CALLS = {"function_call": "arguments", "custom_tool_call": "input"}


class Part:
    """A text or refusal of a message, or the arguments of a call, while it streams."""

    __slots__ = ("annotations", "is_done", "kind", "length", "pieces", "undecided")

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.length = 0
        """Characters that came."""
        self.pieces: list[str] = []
        """Of a message's part."""
        self.annotations: list[Fields] = []
        self.undecided = ""
        """Its last characters, where they may be the beginning of a stop sequence."""
        self.is_done = False
        """Its own end came."""

    def missing(self, event: Fields) -> str:
        """What its end says beyond what its deltas said."""
        told = next((event[key] for key in ("text", "refusal", "arguments", "input") if key in event), "")
        return told[self.length :] if isinstance(told, str) else ""

    def end(self) -> None:
        self.undecided = ""
        self.is_done = True

    def shorten(self, length: int) -> None:
        self.pieces = ["".join(self.pieces)[:length]]
        self.length = length

    def whole(self) -> Fields:
        text = "".join(self.pieces)
        if self.kind == REFUSAL:
            return {"type": REFUSAL, "refusal": text}
        return {"type": TEXT, "text": text, "annotations": self.annotations, "logprobs": []}


class Item:
    """One output item."""

    __slots__ = ("index", "is_done", "is_open", "parts", "whole")

    def __init__(self, index: int) -> None:
        self.index = index
        self.whole: Fields = {}
        """As it began."""
        self.parts: dict[tuple[int, str], Part] = {}
        """By content index and kind."""
        self.is_open = False
        """Its beginning came."""
        self.is_done = False

    def learn(self, whole: Any) -> None:
        if not self.whole and isinstance(whole, dict):
            self.whole = {key: value for key, value in whole.items() if key not in ("content", *_CALLS.values())}

    def part(self, index: int, kind: str) -> Part:
        return self.parts.setdefault((index, kind), Part(kind))

    def missing(self, whole: Any) -> Iterator[tuple[Part, str]]:
        """What the finished item says beyond what its parts said."""
        if not isinstance(whole, dict):
            return
        if key := _CALLS.get(str(whole.get("type"))):
            part = self.part(0, ARGUMENTS)
            yield part, part.missing({key: whole.get(key)})
        content = whole.get("content") if whole.get("type") == "message" else None
        for index, told in enumerate(content if isinstance(content, list) else []):
            kind = str(told.get("type")) if isinstance(told, dict) else ""
            if kind in _WHOLE:
                part = self.part(index, kind)
                yield part, part.missing({_WHOLE[kind]: told.get(_WHOLE[kind])})

    def closing(self, status: str) -> Iterator[Fields]:
        """The events that end a message as it stands; nothing for any other item, as it is not whole."""
        if self.whole.get("type") != "message" and not any(kind in _WHOLE for _, kind in self.parts):
            return
        content = []
        for (index, kind), part in sorted(self.parts.items(), key=lambda pair: pair[0][0]):
            place = {"item_id": self.whole.get("id", ""), "output_index": self.index, "content_index": index}
            whole = part.whole()
            content.append(whole)
            if self.is_open and not part.is_done:
                told = {key: whole[key] for key in (_WHOLE[kind], "logprobs") if key in whole}
                yield {"type": f"response.{kind}.done", **place, **told}
                yield {"type": "response.content_part.done", **place, "part": whole}
        item = {"type": "message", "role": "assistant", **self.whole, "status": status, "content": content}
        yield {"type": ITEM_DONE, "output_index": self.index, "item": item}


class Items:
    """Those of one response, found by id, else by ``output_index`` (conformance 4)."""

    def __init__(self) -> None:
        self.size = 0
        """Characters kept."""
        self._by_id: dict[str, Item] = {}
        self._by_index: dict[int, Item] = {}

    def of(self, event: Fields, whole: Any = None) -> Item:
        """The item that an event is about, or that stands in it."""
        told = whole if whole is not None else event.get("item")
        name = event.get("item_id") or (told.get("id") if isinstance(told, dict) else None)
        index = event.get("output_index")
        found = self._by_id.get(name) if isinstance(name, str) else None
        if found is None and isinstance(index, int):
            found = self._by_index.get(index)
        if found is None:
            found = Item(index if isinstance(index, int) else len(self._by_index))
            self._by_index[found.index] = found
        if isinstance(name, str):
            self._by_id[name] = found
        return found

    def part(self, event: Fields) -> Part:
        """The part that an event of a text, refusal or call is about."""
        item, index = self.of(event), event.get("content_index")
        item.is_open = True
        kind = str(event.get("type")).removeprefix("response.").split(".")[0]
        return item.part(index if isinstance(index, int) else 0, kind if kind in _WHOLE else ARGUMENTS)

    def grow(self, part: Part, more: str) -> None:
        part.length += len(more)
        if part.kind != ARGUMENTS and more:
            part.pieces.append(more)
            self.size += len(more)

    def end(self, item: Item) -> None:
        """Nothing more of it is kept."""
        for part in item.parts.values():
            part.end()
            self.size -= sum(map(len, part.pieces))
        item.parts = {}
        item.is_done = True

    def closing(self, status: str) -> list[Fields]:
        open_items = [item for item in self._by_index.values() if not item.is_done]
        return [event for item in open_items for event in item.closing(status)]
