"""wire/encoder.py: in which order the hooks are called, and that no piece is told twice."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mitmcodex.wire.encoder import EventEncoder, Item
from mitmcodex.wire.errors import WireError
from mitmcodex.wire.writer import ResponseWriter, usage


class Told(EventEncoder):
    """Writes down each hook with what it got."""

    def __init__(self) -> None:
        super().__init__()
        self.hooks: list[tuple[Any, ...]] = []

    def _note(self, *told: Any) -> bytes:
        self.hooks.append(told)
        return b""

    def begin(self, response: dict[str, Any]) -> bytes:
        return self._note("begin")

    def text(self, item: Item, delta: str) -> bytes:
        return self._note("text", item.number, delta)

    def refusal(self, item: Item, delta: str) -> bytes:
        return self._note("refusal", item.number, delta)

    def reasoning(self, item: Item, delta: str) -> bytes:
        return self._note("reasoning", item.number, delta)

    def call_begin(self, item: Item) -> bytes:
        return self._note("call_begin", item.number, item.call_id, item.name)

    def call_delta(self, item: Item, delta: str) -> bytes:
        return self._note("call_delta", item.number, delta)

    def call_done(self, item: Item) -> bytes:
        return self._note("call_done", item.number, item.arguments)

    def annotation(self, item: Item, annotation: dict[str, Any]) -> bytes:
        return self._note("annotation", item.number, annotation["url"])

    def image_partial(self, item: Item, event: dict[str, Any]) -> bytes:
        return self._note("image_partial", item.number, event["partial_image_b64"])

    def message_done(self, item: Item, whole: dict[str, Any]) -> bytes:
        return self._note("message_done", item.number)

    def end(self, response: dict[str, Any]) -> bytes:
        return self._note("end", response["status"])

    def failed(self, error: WireError) -> bytes:
        return self._note("failed", error.kind)


def event(kind: str, **fields: Any) -> bytes:
    return b"data: " + json.dumps({"type": f"response.{kind}", **fields}).encode() + b"\n\n"


def hooks(data: bytes) -> list[tuple[Any, ...]]:
    told = Told()
    told.feed(data)
    return told.hooks


@pytest.mark.parametrize(
    ("kind", "hook"),
    [
        ("output_text.done", "text"),
        ("refusal.done", "refusal"),
        ("reasoning_text.done", "reasoning"),
        ("reasoning_summary_text.done", "reasoning"),
    ],
)
def test_begin_comes_before_a_piece_that_came_without_deltas(kind, hook):
    """Whatever the first event is, also when the upstream skipped response.created."""
    assert hooks(event(kind, item_id="a", text="Hi", refusal="Hi")) == [("begin",), (hook, 0, "Hi")]


def test_no_piece_is_told_twice():
    """conformance 30: deltas, their done event, the finished item and the terminal one all hold the same text."""
    writer = ResponseWriter("m")
    written = writer.text("Hel") + writer.text("lo") + writer.completed(usage(1, 1))
    assert hooks(written) == [
        ("begin",),
        ("text", 0, "Hel"),
        ("text", 0, "lo"),
        ("message_done", 0),
        ("end", "completed"),
    ]


def test_a_text_that_came_in_the_finished_item_alone_is_told():
    """conformance 30: with its annotations."""
    part = {"type": "output_text", "text": "Hi", "annotations": [{"type": "url_citation", "url": "u"}]}
    item = {"type": "message", "id": "msg_1", "role": "assistant", "content": [part]}
    told = hooks(event("output_item.done", output_index=0, item=item))
    assert told == [("begin",), ("text", 0, "Hi"), ("annotation", 0, "u"), ("message_done", 0)]


def test_a_whole_response_is_read_as_if_its_terminal_event_alone_had_come():
    """``read``: the same hooks as for a stream of finished items."""
    writer = ResponseWriter("m")
    written = writer.item({"type": "function_call", "call_id": "call_1", "name": "look", "arguments": "{}"})
    written += writer.incomplete("max_output_tokens", None)
    told = Told()
    told.read(writer.response)
    assert told.hooks == hooks(written) == [
        ("begin",),
        ("call_begin", 0, "call_1", "look"),
        ("call_delta", 0, "{}"),
        ("call_done", 0, "{}"),
        ("end", "incomplete"),
    ]


def test_parallel_calls_are_told_apart():
    """conformance 4: by item id, and by output_index where events lack the id."""
    call = {"type": "function_call", "call_id": "call_b", "name": "list"}
    written = event("output_item.added", output_index=0, item={**call, "id": "a", "call_id": "call_a", "name": "look"})
    written += event("output_item.added", output_index=1, item=call)
    written += event("function_call_arguments.delta", output_index=1, delta="B")
    written += event("function_call_arguments.delta", item_id="a", delta="A")
    assert hooks(written)[3:] == [("call_delta", 1, "B"), ("call_delta", 0, "A")]


def test_a_call_begins_once_its_name_is_known():
    """conformance 45: deltas before that are told by the finished item."""
    written = event("output_item.added", output_index=0, item={"type": "function_call", "id": "a"})
    written += event("function_call_arguments.delta", item_id="a", delta="{}")
    done = {"type": "function_call", "id": "a", "call_id": "call_a", "name": "look", "arguments": "{}"}
    told = hooks(written + event("output_item.done", output_index=0, item=done))
    assert told == [("begin",), ("call_begin", 0, "call_a", "look"), ("call_delta", 0, "{}"), ("call_done", 0, "{}")]


def test_summary_parts_are_joined_by_a_blank_line_and_the_raw_text_does_not_repeat_them():
    """conformance 46."""
    written = event("reasoning_summary_text.delta", item_id="r", summary_index=0, delta="One")
    written += event("reasoning_summary_text.delta", item_id="r", summary_index=1, delta="Two")
    written += event("reasoning_text.delta", item_id="r", content_index=0, delta="Raw")
    assert hooks(written)[1:] == [("reasoning", 0, "One"), ("reasoning", 0, "\n\nTwo")]


def test_the_end_comes_once():
    """After it nothing is said, and only what we end ourselves is a cut."""
    told = Told()
    told.feed(event("completed", response={"output": []}) + event("output_text.delta", item_id="a", delta="late"))
    told.finish()
    assert told.hooks == [("begin",), ("end", "completed")] and not told.is_cut
    cut = Told()
    cut.feed(event("output_text.delta", item_id="a", delta="half"))
    cut.finish()
    assert cut.hooks[-1] == ("failed", "stream_incomplete") and cut.is_cut


def test_a_partial_image_is_told_when_there_is_one():
    """An event without its base64 shows nothing."""
    place = {"output_index": 0, "item_id": "ig_1"}
    shown = event("image_generation_call.partial_image", **place, partial_image_b64="AA", partial_image_index=0)
    empty = event("image_generation_call.partial_image", **place, partial_image_b64=None)
    assert hooks(shown + empty) == [("begin",), ("image_partial", 0, "AA")]
