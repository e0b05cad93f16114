"""Chat Completions, decode: one object of a request, read key by key."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from mitmcodex.wire.reading import Reading, wrong
from mitmcodex.wire.shapes import Fields

_NOT_REPLAYED = "reasoning text can't be replayed"


class ChatReading(Reading):
    hints: ClassVar = {
        "cache_control": "prompts are cached without marks",
        "reasoning_content": _NOT_REPLAYED,
        "reasoning": _NOT_REPLAYED,
        "reasoning_details": _NOT_REPLAYED,
        "annotations": "the citations of an answer are not replayed",
    }

    def lose(self, key: str, why: str, *, what: str = "dropped", is_hint: bool = False) -> None:
        """Empty texts, lists and objects say nothing: SDKs send an answer back with ``annotations: []``."""
        if self.raw(key) not in ("", [], {}):
            super().lose(key, why, what=what, is_hint=is_hint)

    def whole(self) -> Fields:
        """The object as it came: all of it is carried over."""
        self._left.clear()
        return self._fields

    def objects(self, key: str) -> Iterator[ChatReading]:
        """Each element of a list; the caller leaves each before it takes the next. Nothing when absent."""
        for index, value in enumerate(self.take(key, list) or ()):
            with ChatReading(value, f"{self.at(key)}[{index}]", self.losses) as element:
                yield element

    def inner(self, key: str) -> ChatReading:
        """The object under a key, which must be there."""
        return ChatReading(self.need(key, dict), self.at(key), self.losses)


def one_of(value: str, known: Any, path: str) -> str:
    """``value``, when it is known."""
    if value not in known:
        raise wrong(path, f"{value!r} is not supported; use one of {', '.join(known)}")
    return value
