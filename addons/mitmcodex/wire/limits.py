"""Stop sequences and token limits kept here, by cutting a canonical stream where the provider would have ended it.

Frames pass byte for byte until the cut. A text that may be the beginning of a stop sequence is held back with all that
follows it, until more text decides. The sequence that is complete first counts, as it would for a model that writes
token by token; of two that end together the longer one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, ClassVar, NamedTuple

from mitmcodex.wire.codec import STOP_KEY
from mitmcodex.wire.errors import WireError
from mitmcodex.wire.limited_items import ARGUMENTS, TEXT, Item, Items, Part
from mitmcodex.wire.shapes import ITEM_DONE, Fields
from mitmcodex.wire.sse import FrameSplitter, event_of, event_type, format_event
from mitmcodex.wire.writer import ResponseWriter, usage

LIMIT = 64 * 1024 * 1024
"""Bytes of one event, of what is held back, and characters of what is open at once."""


class Cut(NamedTuple):
    """How a stream was ended here."""

    stop: str
    """The sequence; "" at the token limit."""
    input_tokens: int
    """Estimated."""
    output_tokens: int
    """Counted: visible output, with what was cut off of a stop sequence's beginning."""


class _Place(NamedTuple):
    """Where to cut: nothing of ``part`` from ``at`` (characters) on is shown."""

    part: Part
    at: int
    stop: str = ""


class _Held(NamedTuple):
    frame: bytes
    part: Part | None = None
    """That the frame's delta belongs to; None for any other frame."""
    delta: str = ""
    end: int = 0
    """Characters of the part with this delta."""


class Limiter:
    """Sans-IO: canonical bytes → canonical bytes. ``feed`` the upstream's bytes, at its end ask for ``finish()``.

    ``stop`` is looked for in visible text, each text on its own. ``max_tokens`` counts text, refusals and tool calls,
    not reasoning. ``count`` gives the tokens of a text, ``input_tokens`` those of the request (asked at a cut alone).
    A cut call stays unfinished. Both raise WireError (upstream_failed) for a stream that would take too much memory.
    """

    def __init__(
        self,
        stop: tuple[str, ...],
        max_tokens: int | None,
        count: Callable[[str], int],
        input_tokens: Callable[[], int],
    ) -> None:
        self.cut: Cut | None = None
        """Set where the stream was ended here."""
        self._stop = stop
        self._room = max_tokens
        """Tokens that may still be shown; None without a limit."""
        self._count = count
        self._input_tokens = input_tokens
        self._output_tokens = 0
        self._splitter = FrameSplitter(LIMIT)
        self._response: Fields = {}
        """As response.created had it."""
        self._items = Items()
        self._held: deque[_Held] = deque()
        self._held_bytes = 0
        self._last_numbered = b""

    @property
    def is_done(self) -> bool:
        """The stream was ended here: nothing more of the upstream is wanted."""
        return self.cut is not None

    def feed(self, data: bytes) -> bytes:
        sent = [self._take(frame) for frame in self._splitter.feed(data)]
        if self._splitter.oversize or self._held_bytes > LIMIT or self._items.size > LIMIT:
            raise WireError("upstream_failed", f"The upstream's answer has a part larger than {LIMIT} bytes.")
        return b"".join(sent)

    def finish(self) -> bytes:
        """What is still held back: no stop sequence came of it."""
        sent = self._take(self._splitter.rest())  # the last event may lack its blank line (conformance 36)
        held, self._held = self._held, deque()
        return sent + b"".join([one.frame for one in held])

    def _take(self, frame: bytes) -> bytes:
        if self.is_done or not frame:
            return b""
        kind = event_type(frame)
        read = self._READERS.get(kind)
        event = event_of(frame) if read else None
        if read is None or event is None:
            return self._passed(_Held(frame))
        event["type"] = kind
        return read(self, frame, event)

    # -- events -----------------------------------------------------------------------------------

    def _read_created(self, frame: bytes, event: Fields) -> bytes:
        if not self._response and isinstance(event.get("response"), dict):
            self._response = event["response"]
        return self._passed(_Held(frame))

    def _read_added(self, frame: bytes, event: Fields) -> bytes:
        self._items.of(event).learn(event.get("item"))
        return self._passed(_Held(frame))

    def _read_delta(self, frame: bytes, event: Fields) -> bytes:
        part, delta = self._items.part(event), event.get("delta")
        if not isinstance(delta, str):
            return self._passed(_Held(frame))
        place = self._grown(part, delta)
        held = _Held(frame, part, delta, part.length)
        return self._ended(place, held) if place else self._passed(held)

    def _read_annotation(self, frame: bytes, event: Fields) -> bytes:
        if isinstance(event.get("annotation"), dict):
            self._items.part(event).annotations.append(event["annotation"])
        return self._passed(_Held(frame))

    def _read_part_done(self, frame: bytes, event: Fields) -> bytes:
        """The part's whole text, which may be more than its deltas said."""
        part = self._items.part(event)
        place = self._grown(part, part.missing(event))
        if place:
            return self._ended(place)
        part.end()
        return self._passed(_Held(frame))

    def _read_item_done(self, frame: bytes, event: Fields) -> bytes:
        whole = event.get("item")
        item = self._items.of(event)
        place = self._read_whole(item, whole)
        if place:
            return self._ended(place)
        self._items.end(item)
        return self._passed(_Held(frame))

    def _read_end(self, frame: bytes, event: Fields) -> bytes:
        """Items may come here for the first time. Those before the cut are told, as this frame is not."""
        response = event.get("response")
        output = response.get("output") if isinstance(response, dict) else None
        before: list[Fields] = []
        for index, whole in enumerate(output if isinstance(output, list) else []):
            item = self._items.of({"output_index": index}, whole)
            if item.is_done or not isinstance(whole, dict):
                continue
            place = self._read_whole(item, whole)
            if place:
                return self._ended(place, before=before)
            self._items.end(item)
            before.append({"output_index": index, "item": whole})
        return self._passed(_Held(frame))

    def _read_whole(self, item: Item, whole: Any) -> _Place | None:
        item.learn(whole)
        for part, text in item.missing(whole):
            if place := self._grown(part, text):
                return place
        return None

    _READERS: ClassVar[dict[str, Callable[[Any, bytes, Fields], bytes]]] = {
        "response.created": _read_created,
        "response.in_progress": _read_created,
        "response.output_item.added": _read_added,
        "response.output_text.delta": _read_delta,
        "response.refusal.delta": _read_delta,
        "response.function_call_arguments.delta": _read_delta,
        "response.custom_tool_call_input.delta": _read_delta,
        "response.output_text.annotation.added": _read_annotation,
        "response.output_text.done": _read_part_done,
        "response.refusal.done": _read_part_done,
        "response.function_call_arguments.done": _read_part_done,
        "response.custom_tool_call_input.done": _read_part_done,
        "response.output_item.done": _read_item_done,
        "response.completed": _read_end,
        "response.incomplete": _read_end,
    }
    """content_part.done says nothing that is not in the events before it and in the finished item."""

    # -- limits -----------------------------------------------------------------------------------

    def _grown(self, part: Part, more: str) -> _Place | None:
        """Add to a part; returns where to cut, if to cut."""
        open_text, begun = part.undecided + more, part.length
        found = first_stop(open_text, self._stop) if part.kind == TEXT else None
        shown = more[: max(0, found.start - len(part.undecided))] if found else more
        cut_at = begun - len(part.undecided) + found.start if found else 0
        self._items.grow(part, more)
        kept = self._fitting(shown)
        if kept < len(shown):
            return _Place(part, begun + kept)
        if found:
            return _Place(part, cut_at, found.stop)
        part.undecided = "" if part.kind == ARGUMENTS else possible_beginning(open_text, self._stop)
        return None

    def _fitting(self, text: str) -> int:
        """How many characters the limit leaves room for; counts their tokens."""
        tokens = self._count(text) if text else 0
        if self._room is None or tokens <= self._room:
            self._output_tokens += tokens
            self._room = None if self._room is None else self._room - tokens
            return len(text)
        self._output_tokens += self._room
        return longest_prefix(text, self._room, self._count)

    # -- out --------------------------------------------------------------------------------------

    def _passed(self, held: _Held) -> bytes:
        """This frame behind all that is held back; returns what is decided."""
        if not self._held and not (held.part and held.part.undecided):
            return self._out(held.frame)
        self._held.append(held)
        self._held_bytes += len(held.frame)
        sent = []
        while self._held and self._held[0].end <= self._decided(self._held[0]):
            sent.append(self._out(self._held.popleft().frame))
            self._held_bytes -= len(sent[-1])
        return b"".join(sent)

    def _decided(self, held: _Held) -> int:
        return held.part.length - len(held.part.undecided) if held.part else 0

    def _out(self, frame: bytes) -> bytes:
        if b'"sequence_number"' in frame:
            self._last_numbered = frame
        return frame

    def _ended(self, place: _Place, last: _Held | None = None, before: Iterable[Fields] = ()) -> bytes:
        """What comes before the cut, then the ends of what is open, then that of the response."""
        sent = [*self._up_to(place, [*self._held, *([last] if last else [])])]
        self._held.clear()
        status = "completed" if place.stop else "incomplete"
        place.part.shorten(place.at)
        closing = [{"type": ITEM_DONE, **one} for one in before]
        closing += self._items.closing(status)
        self.cut = Cut(place.stop, self._input_tokens(), self._output_tokens)
        closing.append({"type": f"response.{status}", "response": self._terminal(self.cut)})
        numbered = enumerate(closing, _number_of(self._last_numbered) + 1)
        return b"".join([*sent, *(format_event({**event, "sequence_number": number}) for number, event in numbered)])

    def _up_to(self, place: _Place, frames: Iterable[_Held]) -> Iterator[bytes]:
        for one in frames:
            if one.part is place.part and one.end > place.at:
                shown = one.delta[: max(0, len(one.delta) - (one.end - place.at))]
                if shown:
                    yield self._out(_shortened(one.frame, shown))
                return
            yield self._out(one.frame)

    def _terminal(self, cut: Cut) -> Fields:
        """``output`` is empty, as the ChatGPT backend leaves it: who reads the stream has the finished items."""
        ended: Fields = {"status": "completed", "incomplete_details": None, STOP_KEY: cut.stop}
        if not cut.stop:
            ended = {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
        ended["usage"] = usage(cut.input_tokens, cut.output_tokens)
        return {**ResponseWriter("").response, **self._response, "output": [], **ended}


class Found(NamedTuple):
    start: int
    end: int
    stop: str


def first_stop(text: str, stops: Iterable[str]) -> Found | None:
    """The stop sequence that is complete first, of those the longest."""
    places = [Found(at, at + len(stop), stop) for stop in stops if (at := text.find(stop)) >= 0]
    return min(places, key=lambda found: (found.end, found.start), default=None)


def possible_beginning(text: str, stops: Iterable[str]) -> str:
    """The longest end of ``text`` that a stop sequence may begin with."""
    longest = 0
    for stop in stops:
        at = max(0, len(text) - len(stop) + 1)
        while 0 <= (at := text.find(stop[0], at)) < len(text) - longest:
            if stop.startswith(text[at:]):
                longest = len(text) - at
            at += 1
    return text[len(text) - longest :]


def longest_prefix(text: str, tokens: int, count: Callable[[str], int]) -> int:
    """Characters of the longest beginning of ``text`` that has at most so many tokens."""
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if count(text[:middle]) <= tokens:
            low = middle
        else:
            high = middle - 1
    return low


def _shortened(frame: bytes, delta: str) -> bytes:
    """Log probabilities name the tokens that were cut off: they go."""
    event = {"type": event_type(frame), **(event_of(frame) or {}), "delta": delta}
    return format_event({**event, "logprobs": []} if "logprobs" in event else event)


def _number_of(frame: bytes) -> int:
    number = (event_of(frame) or {}).get("sequence_number")
    return number if isinstance(number, int) else -1
