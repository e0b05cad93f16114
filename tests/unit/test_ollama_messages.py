"""Ollama's messages in canonical form (conformance 73; clients.md ollama-python)."""

from __future__ import annotations

from typing import Any

import pytest

from mitmcodex.wire.codec import Loss
from mitmcodex.wire.errors import WireError
from mitmcodex.wire.ollama_messages import Messages
from mitmcodex.wire.ollama_reading import OllamaReading

PNG = "iVBORw0KGgoAAAANSUhEUg=="
JPEG = "/9j/4AAQSkZJRgABAQ=="
GIF = "R0lGODlhAQABAAAAACw="
WEBP = "UklGRiQAAABXRUJQVlA4"


def items(*messages: dict[str, Any], losses: list[Loss] | None = None) -> list[dict[str, Any]]:
    made = Messages()
    body = OllamaReading({"messages": [*messages]}, "", [] if losses is None else losses)
    made.decode(body.objects("messages"))
    return made.items


def call(name: str, **further: Any) -> dict[str, Any]:
    return {**further, "function": {"name": name, "arguments": {"n": name}}}


def test_roles():
    """conformance 16: system texts stay where they stand."""
    got = items(*({"role": role, "content": "x"} for role in ("system", "user", "assistant", "system")))
    assert [item["role"] for item in got] == ["system", "user", "assistant", "system"]
    assert [item["content"][0]["type"] for item in got] == ["input_text", "input_text", "output_text", "input_text"]


def test_arguments_are_an_object():
    """conformance 73, pains P57: they become JSON text; a text in their place is refused."""
    got = items({"role": "assistant", "tool_calls": [{"function": {"name": "a", "arguments": {"n": "é"}}}]})
    assert got == [{"type": "function_call", "call_id": "call_0_0", "name": "a", "arguments": '{"n":"é"}'}]
    with pytest.raises(WireError, match=r"tool_calls\[0\].function.arguments"):
        items({"role": "assistant", "tool_calls": [{"function": {"name": "a", "arguments": "{}"}}]})


def test_answers_go_by_tool_name_then_order():
    """conformance 73: tool_name pairs with the first open call of that name."""
    got = items(
        {"role": "assistant", "tool_calls": [call("a"), call("b"), call("a")]},
        {"role": "tool", "content": "B", "tool_name": "b"},
        {"role": "tool", "content": "A1", "tool_name": "a"},
        {"role": "tool", "content": "A2", "tool_name": "a"},
    )
    assert [item["call_id"] for item in got[3:]] == ["call_0_1", "call_0_0", "call_0_2"]


def test_answers_without_a_name_go_by_order():
    """Older clients name no tool."""
    calls = {"role": "assistant", "tool_calls": [call("a"), call("b")]}
    got = items(calls, {"role": "tool", "content": "1"}, {"role": "tool", "content": "2"})
    assert [item["call_id"] for item in got[2:]] == ["call_0_0", "call_0_1"]


def test_answers_with_an_id():
    """A client that sends our ids back is paired by them."""
    calls = {"role": "assistant", "tool_calls": [call("a", id="x"), call("a", id="y")]}
    got = items(calls, {"role": "tool", "content": "1", "tool_call_id": "y", "tool_name": "a"})
    assert [item["call_id"] for item in got] == ["x", "y", "y"]


def test_an_answer_without_its_call_stays_an_orphan():
    """It gets an id that no call has."""
    assert items({"role": "tool", "content": "1", "tool_name": "z"})[0]["call_id"] == "call_0"


@pytest.mark.parametrize("data, mime", [(PNG, "png"), (JPEG, "jpeg"), (GIF, "gif"), (WEBP, "webp")])
def test_images_tell_their_type(data, mime):
    """conformance 73: bare base64; the first bytes say what it is."""
    got = items({"role": "user", "content": "See", "images": [data]})
    assert got[0]["content"][1] == {"type": "input_image", "image_url": f"data:image/{mime};base64,{data}"}


@pytest.mark.parametrize("data", ["", "aGVsbG8gd29ybGQ=", "not base64!"])
def test_what_is_no_image(data):
    """Refused by its path, with what it may be."""
    with pytest.raises(WireError, match=r"messages\[0\].images\[0\].*PNG"):
        items({"role": "user", "images": [data]})


def test_images_of_an_answer():
    """A tool's images follow its text."""
    got = items({"role": "tool", "content": "done", "images": [PNG]})
    assert [part["type"] for part in got[0]["output"]] == ["input_text", "input_image"]


def test_images_of_others_go_on_as_the_users():
    """An assistant's message can't hold one: reported as changed."""
    losses: list[Loss] = []
    got = items({"role": "assistant", "content": "A dot.", "images": [PNG]}, losses=losses)
    assert [item["role"] for item in got] == ["assistant", "user"]
    assert [(loss.path, loss.what) for loss in losses] == [("messages[0].images", "changed")]


def test_thinking_is_a_hint():
    """Clients send it back; the model gets no thoughts again."""
    losses: list[Loss] = []
    items({"role": "assistant", "content": "x", "thinking": "hm"}, losses=losses)
    assert [(loss.path, loss.is_hint) for loss in losses] == [("messages[0].thinking", True)]


@pytest.mark.parametrize("message", [{"role": "robot"}, {}, {"role": "assistant", "tool_calls": [{}]}])
def test_what_is_no_message(message):
    """The error names the place."""
    with pytest.raises(WireError, match=r"messages\[0\]"):
        items(message)
