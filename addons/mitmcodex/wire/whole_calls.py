"""The canonical stream for protocols whose calls come whole, their arguments as an object (Gemini, Ollama)."""

from __future__ import annotations

import json

from mitmcodex.wire.encoder import EventEncoder, Item
from mitmcodex.wire.shapes import Fields


class WholeCallEncoder(EventEncoder):
    """Hands each finished call on by the hook ``call``, in the order in which they began; ``end`` must ask for
    ``calls_left`` first."""

    def __init__(self) -> None:
        super().__init__()
        self._pending: list[Item] = []
        self.calls = 0
        """How many were handed on."""
        self.malformed = ""
        """The name of a finished call that was left out, as its arguments are no JSON object."""

    def call(self, item: Item, arguments: Fields) -> bytes:
        return b""

    def call_begin(self, item: Item) -> bytes:
        self._pending.append(item)
        return b""

    def call_done(self, item: Item) -> bytes:
        """Parallel calls finish in any order: one that began later waits for those before it."""
        sent = b""
        while self._pending and self._pending[0].is_done:
            sent += self._whole(self._pending.pop(0))
        return sent

    def calls_left(self) -> bytes:
        """Those that finished behind one which never did."""
        left, self._pending = [item for item in self._pending if item.is_done], []
        return b"".join([self._whole(item) for item in left])

    def _whole(self, item: Item) -> bytes:
        if item.is_cut:
            return b""
        arguments = _arguments(item)
        if arguments is None:
            self.malformed = self.malformed or item.name
            return b""
        self.calls += 1
        return self.call(item, arguments)


def _arguments(item: Item) -> Fields | None:
    """A custom call's free text has no counterpart: it comes as the object ``{"input": text}``."""
    if item.is_custom:
        return {"input": item.arguments}
    try:
        found = json.loads(item.arguments or "{}", parse_constant=_refused)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _refused(name: str) -> None:
    """Python reads NaN and Infinity, no client does."""
    raise ValueError(name)
