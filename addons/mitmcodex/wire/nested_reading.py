"""The objects, lists and numbers inside one object of a request."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Self

from mitmcodex.wire.codec import Decoded
from mitmcodex.wire.errors import WireError
from mitmcodex.wire.reading import Reading, wrong
from mitmcodex.wire.shapes import Fields


class NestedReading(Reading):
    def lose(self, key: str, why: str, *, what: str = "dropped", is_hint: bool = False) -> None:
        """False and what is empty ask for nothing; 0 may ask for something."""
        value = self.raw(key)
        if value is not False and value not in ("", [], {}):
            super().lose(key, why, what=what, is_hint=is_hint)

    def inner(self, key: str) -> Self | None:
        """The object under a key, to be left by the caller; None when absent."""
        value = self.raw(key)
        return None if value is None else type(self)(value, self.at(key), self.losses)

    def objects(self, key: str) -> Iterator[Self]:
        """Each element of a list; the caller is done with one before it takes the next. Nothing when absent."""
        for index, value in enumerate(self.take(key, list) or ()):
            with type(self)(value, f"{self.at(key)}[{index}]", self.losses) as element:
                yield element

    def texts(self, key: str) -> list[str]:
        found = self.take(key, list) or []
        for index, value in enumerate(found):
            if not isinstance(value, str):
                raise wrong(f"{self.at(key)}[{index}]", "must be a text")
        return found

    def whole_number(self, key: str) -> int | None:
        """Also ``5.0`` (google-genai's topK) and ``"5"`` (protobuf's JSON writes 64-bit numbers so)."""
        value = self.raw(key)
        if value is None or (isinstance(value, int) and not isinstance(value, bool)):
            return value
        if isinstance(value, float) and value.is_integer():
            return int(value)
        if isinstance(value, str) and value.removeprefix("-").isdecimal() and len(value) < 20:
            return int(value)
        raise wrong(self.at(key), "must be a whole number")


def put(target: Fields, key: str, value: Any) -> None:
    """What the client left out stays out (conformance 32)."""
    if value is not None:
        target[key] = value


def nested_safely(decode: Callable[[], Decoded]) -> Decoded:
    """JSON may nest deeper than a decoder can follow."""
    try:
        return decode()
    except RecursionError:
        raise WireError("invalid_request", "The request is nested too deeply. Send it flatter.") from None
