"""Fold a stream of the Responses API into the one JSON object that a client without ``stream`` waits for."""

from __future__ import annotations

from mitmcodex.wire import verdict
from mitmcodex.wire.errors import WireError
from mitmcodex.wire.shapes import FAILED, ITEM_DONE, TERMINAL, Fields
from mitmcodex.wire.sse import FrameSplitter, event_of, event_type

FOLD_LIMIT = 256 * 1024 * 1024
STREAM_INCOMPLETE = "The upstream ended the stream before the response was complete. Send the request again."


class OutputItems:
    """The finished output items of a response, kept as raw frames and parsed when they are needed."""

    __slots__ = ("_frames", "size")

    def __init__(self) -> None:
        self._frames: list[bytes] = []
        self.size = 0
        """Bytes held."""

    def add(self, frame: bytes) -> None:
        """Keep a frame of type ``response.output_item.done``."""
        self._frames.append(frame)
        self.size += len(frame)

    def in_order(self) -> list[Fields]:
        """The items by ``output_index``; of two with one index the later counts, one without goes after the last."""
        items: dict[int, Fields] = {}
        for frame in self._frames:
            event = event_of(frame) or {}
            index = event.get("output_index")
            if isinstance(event.get("item"), dict):
                items[index if isinstance(index, int) else max(items, default=-1) + 1] = event["item"]
        return [items[index] for index in sorted(items)]


class Folder:
    """Feed it the upstream's bytes, then ask for ``error`` or ``result()``. ``feed`` raises WireError at the limit.

    Deltas are neither kept nor parsed: memory is that of the finished items and the terminal event.
    """

    def __init__(self, limit: int = FOLD_LIMIT) -> None:
        self._splitter = FrameSplitter(limit)
        self._limit = limit
        self._items = OutputItems()
        self._terminal: Fields | None = None
        self._error_event: Fields | None = None

    def feed(self, data: bytes) -> None:
        for frame in self._splitter.feed(data):
            self._take(frame)
        if self._splitter.oversize or self._items.size > self._limit:
            raise WireError("upstream_failed", f"The upstream's answer is larger than {self._limit} bytes.")

    @property
    def has_ended(self) -> bool:
        """The terminal event is there; what follows it says nothing more of the response."""
        return self._terminal is not None

    @property
    def error(self) -> WireError | None:
        """Why there is no result; None when there is one. To be asked at the end of the stream."""
        self._take(self._splitter.rest())  # the last event may lack its blank line (conformance.md 36)
        ended = self._terminal or self._error_event
        judged = verdict.of_event(ended) if ended else None
        if judged:
            return judged.error
        return None if self._terminal else WireError("stream_incomplete", STREAM_INCOMPLETE)

    def result(self) -> Fields:
        """The whole Response object; raises ``error`` when there is none."""
        error = self.error
        if error or not self._terminal:
            raise error or WireError("stream_incomplete", STREAM_INCOMPLETE)
        response: Fields = self._terminal["response"]
        if not response.get("output"):
            response["output"] = self._items.in_order()
        return response

    def _take(self, frame: bytes) -> None:
        kind = event_type(frame)
        if kind == ITEM_DONE:
            self._items.add(frame)
        elif kind in TERMINAL and self._terminal is None:
            event = event_of(frame)
            if event and (kind == FAILED or isinstance(event.get("response"), dict)):
                self._terminal = event
        elif kind == "error":
            self._error_event = event_of(frame)
