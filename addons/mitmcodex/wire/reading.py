"""Reads the JSON objects of a request so that no key can be forgotten: what nobody took becomes a loss."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any, ClassVar, Self

from mitmcodex.wire.codec import Loss
from mitmcodex.wire.errors import WireError

_WORDS: dict[type, str] = {
    str: "a text",
    bool: "true or false",
    int: "a whole number",
    list: "a list",
    dict: "an object",
}


def wrong(path: str, demand: str) -> WireError:
    """400 that names the place: ``messages[2].role: must be a text.``"""
    return WireError("invalid_request", f"{path or 'body'}: {demand}.", param=path or None)


class Reading:
    """One JSON object of a request, at its path. A context manager: leaving it reports each key that was not taken.

    A key with null says nothing and counts as absent. Raises WireError (invalid_request) for a wrong type.
    """

    hints: ClassVar[Mapping[str, str]] = {}
    """Keys without effect on the answer, in any object of the protocol → why they are not carried over."""

    def __init__(self, value: Any, path: str, losses: list[Loss]) -> None:
        if not isinstance(value, dict):
            raise wrong(path, "must be an object")
        self.path = path
        self.losses = losses
        self._fields = value
        self._left = {key for key, held in value.items() if held is not None}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is None:
            for key in [key for key in self._fields if key in self._left]:
                hint = self.hints.get(key)
                self.lose(key, hint or "it has no counterpart", is_hint=hint is not None)

    def at(self, key: str) -> str:
        return f"{self.path}.{key}" if self.path else key

    def raw(self, key: str) -> Any:
        """Whatever it is; None when absent."""
        self._left.discard(key)
        return self._fields.get(key)

    def take[T](self, key: str, kind: type[T]) -> T | None:
        """None when absent."""
        value = self.raw(key)
        if value is None:
            return None
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise wrong(self.at(key), f"must be {_WORDS[kind]}")
        return value

    def need[T](self, key: str, kind: type[T]) -> T:
        value = self.take(key, kind)
        if value is None:
            raise wrong(self.at(key), f"is missing, must be {_WORDS[kind]}")
        return value

    def number(self, key: str) -> int | float | None:
        value = self.raw(key)
        if value is not None and (not isinstance(value, int | float) or isinstance(value, bool)):
            raise wrong(self.at(key), "must be a number")
        return value

    def lose(self, key: str, why: str, *, what: str = "dropped", is_hint: bool = False) -> None:
        """This key, if it says something, does not go on as it came."""
        if self.raw(key) is not None:
            self.losses.append(Loss(self.at(key), what, why, is_hint))

    def drop(self, why: str, *, is_hint: bool = False) -> None:
        """The object as a whole does not go on."""
        self._left.clear()
        self.losses.append(Loss(self.path, "dropped", why, is_hint))
