"""The canonical stream, read once for every protocol that is not the Responses API.

EventEncoder knows the events and what they leave out: a text that came in the finished item alone, arguments without
deltas, an item that only the terminal event names, ids that are missing. A protocol's encoder overrides the hooks,
which are called in this order and with these promises:

- ``begin`` once, before all others;
- ``text``, ``refusal``, ``reasoning``, ``call_delta`` with pieces that are never empty and never repeated;
- ``call_begin`` once a call, as soon as its name is known, then its deltas, then ``call_done``; the deltas of parallel
  calls may interleave;
- ``message_done``, ``reasoning_done``, ``search_done``, ``image_done``, ``other_done`` with the finished item, once;
- ``end`` or ``failed`` last, one of them, once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from mitmcodex.wire import verdict
from mitmcodex.wire.errors import WireError
from mitmcodex.wire.fold import STREAM_INCOMPLETE
from mitmcodex.wire.lenient import number_of, object_of, objects_of, text_of
from mitmcodex.wire.shapes import Fields
from mitmcodex.wire.sse import FrameSplitter, event_of, event_type

FRAME_LIMIT = 64 * 1024 * 1024
"""Bytes of one event: an image comes whole in one."""


class Item:
    """What is known of one output item while it streams."""

    __slots__ = ("annotations", "arguments", "call_id", "has_begun", "is_cut", "is_done", "kind", "name", "number",
                 "sent")  # fmt: skip

    def __init__(self, number: int) -> None:
        self.number = number
        """By the order in which items were first heard of, from 0."""
        self.kind = ""
        """message | reasoning | function_call | custom_tool_call | web_search_call …"""
        self.call_id = ""
        self.name = ""
        self.arguments = ""
        """Of a call: whole once it is done (JSON text, or the free text of a custom call)."""
        self.has_begun = False
        """Of a call: ``call_begin`` was made."""
        self.sent: set[tuple[str, int]] = set()
        """Parts of which pieces were handed on: ("text", content index) …"""
        self.annotations = 0
        """How many were handed on."""
        self.is_done = False
        self.is_cut = False
        """Of a call that is done: the answer ended before its arguments were whole."""

    @property
    def is_call(self) -> bool:
        return self.kind in ("function_call", "custom_tool_call")

    @property
    def is_custom(self) -> bool:
        return self.kind == "custom_tool_call"


class EventEncoder:
    """Base of the encoders; see the module's text for the hooks."""

    content_type: str = "text/event-stream; charset=utf-8"

    def __init__(self) -> None:
        self.is_cut = False
        self._splitter = FrameSplitter(FRAME_LIMIT)
        self._by_id: dict[str, Item] = {}
        self._by_index: dict[int, Item] = {}
        self._count = 0
        self._has_begun = False
        self._has_ended = False

    # -- hooks ------------------------------------------------------------------------------------

    def begin(self, response: Fields) -> bytes:
        """``response`` is that of response.created, {} when the upstream skipped it."""
        return b""

    def text(self, item: Item, delta: str) -> bytes:
        return b""

    def refusal(self, item: Item, delta: str) -> bytes:
        return b""

    def reasoning(self, item: Item, delta: str) -> bytes:
        """Summary or reasoning text; parts of one item are joined by a blank line."""
        return b""

    def call_begin(self, item: Item) -> bytes:
        return b""

    def call_delta(self, item: Item, delta: str) -> bytes:
        return b""

    def call_done(self, item: Item) -> bytes:
        return b""

    def annotation(self, item: Item, annotation: Fields) -> bytes:
        return b""

    def message_done(self, item: Item, whole: Fields) -> bytes:
        return b""

    def reasoning_done(self, item: Item, whole: Fields) -> bytes:
        return b""

    def search_done(self, item: Item, whole: Fields) -> bytes:
        """A web_search_call."""
        return b""

    def image_partial(self, item: Item, event: Fields) -> bytes:
        """An unfinished image: ``partial_image_b64``, never empty, and ``partial_image_index``."""
        return b""

    def image_done(self, item: Item, whole: Fields) -> bytes:
        """An image_generation_call with its ``result``."""
        return b""

    def other_done(self, item: Item, whole: Fields) -> bytes:
        """Any other finished item."""
        return b""

    def end(self, response: Fields) -> bytes:
        """``response`` of response.completed or response.incomplete, told apart by its ``status``."""
        return b""

    def failed(self, error: WireError) -> bytes:
        return b""

    def idle(self) -> bytes:
        return b""

    # -- the stream -------------------------------------------------------------------------------

    def feed(self, data: bytes) -> bytes:
        sent = [self._take(frame) for frame in self._splitter.feed(data)]
        if self._splitter.oversize:
            raise WireError("upstream_failed", f"One event of the upstream is larger than {FRAME_LIMIT} bytes.")
        return b"".join(sent)

    def finish(self) -> bytes:
        sent = self._take(self._splitter.rest())  # the last event may lack its blank line (conformance 36)
        return sent + self.fail(WireError("stream_incomplete", STREAM_INCOMPLETE))

    def fail(self, error: WireError) -> bytes:
        if self._has_ended:
            return b""
        self._has_ended = True
        self.is_cut = True
        return self.failed(error)

    def read(self, response: Fields) -> bytes:
        """A whole response (completed or incomplete), as if its terminal event alone had come."""
        return self._read_end({"type": f"response.{response.get('status') or 'completed'}", "response": response})

    def _take(self, frame: bytes) -> bytes:
        if self._has_ended:
            return b""
        read = self._READERS.get(event_type(frame))
        if read is None:
            return b""
        event = event_of(frame)
        return read(self, event) if event is not None else b""

    def _begun(self, response: Fields | None = None) -> bytes:
        if self._has_begun:
            return b""
        self._has_begun = True
        return self.begin(response or {})

    def _item(self, event: Fields, whole: Fields | None = None) -> Item:
        """The state of the item that an event is about: by id, else by ``output_index`` (conformance 4)."""
        name, index = event.get("item_id") or (whole or {}).get("id"), event.get("output_index")
        found = self._by_id.get(name) if isinstance(name, str) else None
        if found is None and isinstance(index, int):
            found = self._by_index.get(index)
        if found is None:
            found = Item(self._count)
            self._count += 1
        if isinstance(name, str):
            self._by_id[name] = found
        if isinstance(index, int):
            self._by_index[index] = found
        return found

    # -- events -----------------------------------------------------------------------------------

    def _read_lifecycle(self, event: Fields) -> bytes:
        return self._begun(object_of(event.get("response")))

    def _read_added(self, event: Fields) -> bytes:
        whole = object_of(event.get("item"))
        item = self._item(event, whole)
        return self._begun() + self._learn(item, whole)

    def _learn(self, item: Item, whole: Fields) -> bytes:
        item.kind = item.kind or text_of(whole.get("type"))
        if not item.is_call:
            return b""
        item.call_id = item.call_id or text_of(whole.get("call_id"))
        item.name = item.name or text_of(whole.get("name"))
        if item.has_begun or not item.name:
            return b""
        item.has_begun = True
        item.call_id = item.call_id or text_of(whole.get("id"))
        return self.call_begin(item)

    def _read_text(self, event: Fields) -> bytes:
        return self._begun() + self._part(event, "text", event.get("delta"), self.text, is_delta=True)

    def _read_text_done(self, event: Fields) -> bytes:
        return self._begun() + self._part(event, "text", event.get("text"), self.text)

    def _read_refusal(self, event: Fields) -> bytes:
        return self._begun() + self._part(event, "refusal", event.get("delta"), self.refusal, is_delta=True)

    def _read_refusal_done(self, event: Fields) -> bytes:
        return self._begun() + self._part(event, "refusal", event.get("refusal"), self.refusal)

    def _part(
        self, event: Fields, kind: str, text: Any, hook: Callable[[Item, str], bytes], *, is_delta: bool = False
    ) -> bytes:
        if not isinstance(text, str) or not text:
            return b""
        item, part = self._item(event), (kind, number_of(event.get("content_index")))
        if part in item.sent and not is_delta:
            return b""
        item.sent.add(part)
        return hook(item, text)

    def _read_annotation(self, event: Fields) -> bytes:
        item = self._item(event)
        item.annotations += 1
        return self._begun() + self.annotation(item, object_of(event.get("annotation")))

    def _read_summary(self, event: Fields) -> bytes:
        return self._begun() + self._thought(event, "summary", event.get("summary_index"), event.get("delta"))

    def _read_summary_done(self, event: Fields) -> bytes:
        told = event.get("text")
        return self._begun() + self._thought(event, "summary", event.get("summary_index"), told, is_delta=False)

    def _read_reasoning(self, event: Fields) -> bytes:
        return self._begun() + self._thought(event, "thought", event.get("content_index"), event.get("delta"))

    def _read_reasoning_done(self, event: Fields) -> bytes:
        told = event.get("text")
        return self._begun() + self._thought(event, "thought", event.get("content_index"), told, is_delta=False)

    def _thought(self, event: Fields, family: str, index: Any, text: Any, *, is_delta: bool = True) -> bytes:
        """An item shows its summary or its raw text, whichever came first: both would tell the same twice."""
        if not isinstance(text, str) or not text:
            return b""
        item, part = self._item(event), (family, number_of(index))
        if part in item.sent:
            return self.reasoning(item, text) if is_delta else b""
        if any(other != family for other, _ in item.sent):
            return b""
        joint = "\n\n" if item.sent else ""
        item.sent.add(part)
        return self.reasoning(item, joint + text)

    def _read_arguments(self, event: Fields) -> bytes:
        delta = event.get("delta")
        if not isinstance(delta, str) or not delta:
            return b""
        item = self._item(event)
        if not item.has_begun:  # its name comes with the finished item, which has the arguments whole
            return b""
        item.sent.add(("arguments", 0))
        return self.call_delta(item, delta)

    def _read_partial_image(self, event: Fields) -> bytes:
        if not text_of(event.get("partial_image_b64")):
            return b""
        return self._begun() + self.image_partial(self._item(event), event)

    def _read_item_done(self, event: Fields) -> bytes:
        whole = object_of(event.get("item"))
        return self._begun() + self._done(self._item(event, whole), whole, event)

    def _done(self, item: Item, whole: Fields, event: Fields) -> bytes:
        if item.is_done:
            return b""
        item.is_done = True
        sent = self._learn(item, whole)
        done = self._DONE.get(item.kind, EventEncoder._other_done)
        return sent + done(self, item, whole, event)

    def _message_done(self, item: Item, whole: Fields, event: Fields) -> bytes:
        sent, place = [], {"output_index": event.get("output_index"), "item_id": whole.get("id")}
        annotations: list[Fields] = []
        for index, part in enumerate(objects_of(whole.get("content"))):
            here = {**place, "content_index": index}
            sent.append(self._part(here, "text", part.get("text"), self.text))
            sent.append(self._part(here, "refusal", part.get("refusal"), self.refusal))
            annotations += objects_of(part.get("annotations"))
        sent += [self.annotation(item, one) for one in annotations[item.annotations :]]
        return b"".join(sent) + self.message_done(item, whole)

    def _reasoning_done(self, item: Item, whole: Fields, event: Fields) -> bytes:
        place = {"output_index": event.get("output_index"), "item_id": whole.get("id")}
        sent = []
        for family, key in (("summary", "summary"), ("thought", "content")):
            for index, part in enumerate(objects_of(whole.get(key))):
                sent.append(self._thought(place, family, index, part.get("text"), is_delta=False))
        return b"".join(sent) + self.reasoning_done(item, whole)

    def _call_done(self, item: Item, whole: Fields, event: Fields) -> bytes:
        if not item.has_begun:  # a call without a name is none
            return b""
        item.arguments = text_of(whole.get("input" if item.is_custom else "arguments"))
        item.is_cut = whole.get("status") in ("in_progress", "incomplete")
        sent = b""
        if item.arguments and ("arguments", 0) not in item.sent:
            item.sent.add(("arguments", 0))
            sent = self.call_delta(item, item.arguments)
        return sent + self.call_done(item)

    def _search_done(self, item: Item, whole: Fields, event: Fields) -> bytes:
        return self.search_done(item, whole)

    def _image_done(self, item: Item, whole: Fields, event: Fields) -> bytes:
        return self.image_done(item, whole)

    def _other_done(self, item: Item, whole: Fields, event: Fields) -> bytes:
        return self.other_done(item, whole)

    def _read_end(self, event: Fields) -> bytes:
        response = object_of(event.get("response"))
        sent = [self._begun(response)]
        for index, whole in enumerate(objects_of(response.get("output"))):
            place = {"output_index": index, "item_id": whole.get("id")}
            sent.append(self._done(self._item(place, whole), whole, place))
        self._has_ended = True
        response.setdefault("status", str(event["type"]).removeprefix("response."))
        return b"".join(sent) + self.end(response)

    def _read_failure(self, event: Fields) -> bytes:
        judged = verdict.of_event(event)
        error = judged.error if judged else WireError("upstream_failed", "The upstream could not finish the response.")
        return self.fail(error)

    _READERS: ClassVar[dict[str, Callable[[Any, Fields], bytes]]] = {
        "response.created": _read_lifecycle,
        "response.in_progress": _read_lifecycle,
        "response.output_item.added": _read_added,
        "response.output_text.delta": _read_text,
        "response.output_text.done": _read_text_done,
        "response.output_text.annotation.added": _read_annotation,
        "response.refusal.delta": _read_refusal,
        "response.refusal.done": _read_refusal_done,
        "response.reasoning_summary_text.delta": _read_summary,
        "response.reasoning_summary_text.done": _read_summary_done,
        "response.reasoning_text.delta": _read_reasoning,
        "response.reasoning_text.done": _read_reasoning_done,
        "response.function_call_arguments.delta": _read_arguments,
        "response.custom_tool_call_input.delta": _read_arguments,
        "response.image_generation_call.partial_image": _read_partial_image,
        "response.output_item.done": _read_item_done,
        "response.completed": _read_end,
        "response.incomplete": _read_end,
        "response.failed": _read_failure,
        "error": _read_failure,
    }
    """Arguments' own .done events are not read: the finished item says the same and always comes (or the end)."""

    _DONE: ClassVar[dict[str, Callable[[Any, Item, Fields, Fields], bytes]]] = {
        "message": _message_done,
        "reasoning": _reasoning_done,
        "function_call": _call_done,
        "custom_tool_call": _call_done,
        "web_search_call": _search_done,
        "image_generation_call": _image_done,
    }
