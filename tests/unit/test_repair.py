"""wire/repair.py: calls and outputs of a history match (conformance 18; pains P27)."""

from __future__ import annotations

from typing import Any

import pytest

from mitmcodex.wire.errors import WireError
from mitmcodex.wire.repair import INTERRUPTED, ORPHAN, repaired


def call(call_id: str, kind: str = "function_call") -> dict[str, Any]:
    return {"type": kind, "call_id": call_id, "name": "f", "arguments": "{}"}


def output(call_id: str, text: Any = "done", kind: str = "function_call_output") -> dict[str, Any]:
    return {"type": kind, "call_id": call_id, "output": text}


def user(text: str = "go on") -> dict[str, Any]:
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}


def told(items: list[Any]) -> list[tuple[str, str]]:
    return [(loss.path, loss.what) for loss in repaired(items).losses]


@pytest.mark.parametrize(
    "items",
    [
        [],
        [user(), call("a"), output("a")],
        [call("a"), call("b"), output("b"), output("a")],
        [call("a", "custom_tool_call"), output("a", kind="custom_tool_call_output"), user()],
        [call("a"), output("a"), call("a"), output("a")],
        [call("a"), output("a"), user(), call("a"), output("a")],
    ],
    ids=["empty", "one", "parallel", "custom", "reused id", "reused id after the user"],
)
def test_a_history_that_matches_is_left_alone(items: list[Any]) -> None:
    """conformance 18: the same list comes back, ids reused over rounds included."""
    found = repaired(items)
    assert found.items is items and found.losses == []


@pytest.mark.parametrize("kind", ["function_call", "custom_tool_call"])
def test_a_call_without_output_is_interrupted_right_after_it(kind: str) -> None:
    """conformance 55, pains P27, in both families; the loss names the call."""
    items = [call("a", kind), call("b"), output("b"), user()]
    found = repaired(items)
    assert found.items == [items[0], output("a", INTERRUPTED, f"{kind}_output"), *items[1:]]
    assert told(items) == [("input[0]", "changed")]


def test_an_interrupted_round_does_not_take_the_next_rounds_output() -> None:
    """An id that comes again after the user spoke is a new call."""
    items = [call("a"), user(), call("a"), output("a")]
    assert repaired(items).items == [items[0], output("a", INTERRUPTED), *items[1:]]


def test_an_output_without_call_is_told_by_the_user() -> None:
    """pains P27, P29: its text and its images stay."""
    image = {"type": "input_image", "image_url": "data:image/png;base64,AA=="}
    items = [output("x", "out"), output("y", [image]), user()]
    found = repaired(items).items
    assert [part.get("text") for part in found[0]["content"]] == [ORPHAN, "out"]
    assert found[0]["role"] == "user" and found[1]["content"][1] == image
    assert told(items) == [("input[0]", "changed"), ("input[1]", "changed")]


def test_ambiguous_duplicates_of_one_round_are_dropped() -> None:
    """conformance 18: the first call and the first output of an id count."""
    items = [call("a"), call("a"), output("a", "first"), output("a", "second")]
    assert repaired(items).items == [items[0], items[2]]
    assert told(items) == [("input[1]", "dropped"), ("input[3]", "dropped")]


def test_an_output_takes_the_family_of_its_call() -> None:
    """A custom tool's call is answered by a custom tool's output."""
    items = [call("a", "custom_tool_call"), output("a")]
    assert repaired(items).items[1] == output("a", kind="custom_tool_call_output")
    assert told(items) == [("input[1]", "changed")]


@pytest.mark.parametrize("call_id", [None, "", 7, ["a"]])
def test_a_call_needs_an_id(call_id: Any) -> None:
    """The refusal names the place, as the client wrote it."""
    with pytest.raises(WireError, match=r"messages\[0\]\.call_id"):
        repaired([{**call("a"), "call_id": call_id}], "messages")


def test_what_is_no_item_is_passed_over() -> None:
    """Who reads items refuses it, with its place."""
    items = [1, "x", None, {"type": ["odd"]}, {}]
    assert repaired(items).items is items
