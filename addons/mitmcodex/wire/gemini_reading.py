"""Gemini, decode: one object of a request, read key by key."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Self

from mitmcodex.wire.codec import Loss
from mitmcodex.wire.nested_reading import NestedReading


def camel(key: str) -> str:
    """Protobuf's JSON takes ``snake_case`` as well as ``camelCase``."""
    head, *rest = key.split("_")
    return head + "".join([word[:1].upper() + word[1:] for word in rest])


class GeminiReading(NestedReading):
    """Keys are asked for in camelCase, losses and errors name them as the client wrote them."""

    hints: ClassVar = {
        "safetySettings": "the provider's own policy holds",
        "labels": "they label Google's bill",
        "store": "nothing is kept at Google",
        "partMetadata": "it is a note of the client to itself",
        "displayName": "only a file that is sent along has a name",
        "response": "what a function returns is not described to the model",
        "responseJsonSchema": "what a function returns is not described to the model",
        "streamFunctionCallArguments": "a call's arguments come whole",
        "includeServerSideToolInvocations": "no tool runs at Google",
    }

    def __init__(self, value: Any, path: str, losses: list[Loss]) -> None:
        super().__init__(value, path, losses)
        self._spelt = {camel(key): key for key in reversed(value) if value[key] is not None}
        """Of two spellings of one key the first counts, the other is left over."""

    def at(self, key: str) -> str:
        return super().at(self._spelt.get(key, key))

    def raw(self, key: str) -> Any:
        return super().raw(self._spelt.get(key, key))

    def lose(self, key: str, why: str, *, what: str = "dropped", is_hint: bool = False) -> None:
        hint = self.hints.get(camel(key)) if what == "dropped" else None
        super().lose(key, hint or why, what=what, is_hint=is_hint or hint is not None)

    def objects(self, key: str) -> Iterator[Self]:
        """One object counts as a list of it: protobuf's JSON reader lets it pass, and Google's examples use it."""
        value = self.raw(key)
        if not isinstance(value, dict):
            yield from super().objects(key)
            return
        with type(self)(value, self.at(key), self.losses) as only:
            yield only
