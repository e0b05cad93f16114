"""Calls for protocols that take them whole."""

from __future__ import annotations

from typing import Any

import pytest

from mitmcodex.wire.encoder import Item
from mitmcodex.wire.whole_calls import WholeCallEncoder
from mitmcodex.wire.writer import ResponseWriter


class Listing(WholeCallEncoder):
    def __init__(self) -> None:
        super().__init__()
        self.told: list[tuple[str, Any]] = []

    def call(self, item: Item, arguments: dict[str, Any]) -> bytes:
        self.told.append((item.name, arguments))
        return b""

    def end(self, response: dict[str, Any]) -> bytes:
        return self.calls_left()


def test_a_later_call_waits_for_an_earlier_one():
    """Parallel calls are told in the order in which they began."""
    made, encoder = ResponseWriter("m"), Listing()
    encoder.feed(made.call_begin("a", "1", "a") + made.call_begin("b", "2", "b") + made.call_end("b"))
    assert encoder.told == []
    encoder.feed(made.call_end("a"))
    assert [name for name, _ in encoder.told] == ["a", "b"]


def test_a_call_behind_one_that_never_finished_is_told_at_the_end():
    """The one that was cut is not."""
    made, encoder = ResponseWriter("m"), Listing()
    encoder.feed(made.call_begin("a", "1", "a") + made.call_begin("b", "2", "b") + made.call_end("b"))
    encoder.feed(made.incomplete("max_output_tokens", None))
    assert ([name for name, _ in encoder.told], encoder.calls, encoder.malformed) == (["b"], 1, "")


@pytest.mark.parametrize("status", ["in_progress", "incomplete"])
def test_a_call_that_was_cut_is_none(status):
    """Empty arguments would look like a call without any."""
    encoder = Listing()
    item = {"type": "function_call", "call_id": "1", "name": "a", "arguments": "", "status": status}
    encoder.read({"status": "incomplete", "output": [item]})
    assert (encoder.told, encoder.malformed) == ([], "")


@pytest.mark.parametrize(
    "arguments, told",
    [
        ("", {}),
        ("{}", {}),
        ('{"a":1}', {"a": 1}),
        ("[1]", None),
        ("{", None),
        ('{"a":Infinity}', None),
        ("[" * 9999, None),
    ],
)
def test_arguments(arguments, told):
    """An object, or the call is malformed and left out."""
    encoder = Listing()
    encoder.read({"output": [{"type": "function_call", "call_id": "1", "name": "a", "arguments": arguments}]})
    assert encoder.told == ([("a", told)] if told is not None else [])
    assert encoder.malformed == ("" if told is not None else "a")


def test_a_custom_call():
    """Its free text comes as ``input``."""
    encoder = Listing()
    encoder.read({"output": [{"type": "custom_tool_call", "call_id": "1", "name": "p", "input": "*** Begin"}]})
    assert encoder.told == [("p", {"input": "*** Begin"})]
