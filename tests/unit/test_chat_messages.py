"""wire/chat_messages.py: a conversation's messages as items."""

from __future__ import annotations

from typing import Any

import pytest

from mitmcodex.wire.chat_messages import decode_messages
from mitmcodex.wire.chat_reading import ChatReading
from mitmcodex.wire.codec import Loss
from mitmcodex.wire.errors import WireError


def items(*messages: dict[str, Any], losses: list[Loss] | None = None) -> list[dict[str, Any]]:
    body = ChatReading({"messages": list(messages)}, "", [] if losses is None else losses)
    return decode_messages(body)


def call(call_id: str | None, name: str = "look", arguments: str = "{}") -> dict[str, Any]:
    named = {"function": {"name": name, "arguments": arguments}}
    return {"id": call_id, "type": "function", **named} if call_id else {"type": "function", **named}


def calls(*made: dict[str, Any]) -> dict[str, Any]:
    return {"role": "assistant", "content": None, "tool_calls": list(made)}


def test_system_messages_stay_where_they_are():
    """conformance 16: each text in its place with its role, also in the middle of a conversation."""
    roles = ("system", "user", "developer", "user", "system")
    got = items(*[{"role": role, "content": f"text {number}"} for number, role in enumerate(roles)])
    assert [(item["role"], item["content"][0]["text"]) for item in got] == [
        (role, f"text {number}") for number, role in enumerate(roles)
    ]


def test_text_comes_before_the_calls_of_its_message():
    """conformance 18: as the model said them, each call with its id."""
    got = items({**calls(call("call_1"), call("call_2", "list")), "content": "I look."})
    assert [item["type"] for item in got] == ["message", "function_call", "function_call"]
    assert got[0]["content"] == [{"type": "output_text", "text": "I look."}]
    assert got[2] == {"type": "function_call", "call_id": "call_2", "name": "list", "arguments": "{}"}


def test_an_empty_assistant_message_makes_no_item():
    """conformance 17: null, [] and "" beside nothing else (pains.md P25)."""
    assert items(*[{"role": "assistant", "content": content} for content in (None, [], "")]) == []


def test_a_result_of_text_is_text_and_one_with_an_image_an_array():
    """conformance 18: multimodal content goes on as parts."""
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    got = items(
        calls(call("call_1"), call("call_2"), call("call_3")),
        {"role": "tool", "tool_call_id": "call_1", "content": "42"},
        {"role": "tool", "tool_call_id": "call_2", "content": [{"type": "text", "text": "see"}, image]},
        {"role": "tool", "tool_call_id": "call_3", "content": None},
    )
    assert [item["output"] for item in got[3:]] == [
        "42",
        [{"type": "input_text", "text": "see"}, {"type": "input_image", "image_url": "data:image/png;base64,AAAA"}],
        "",
    ]


def test_an_id_may_come_again_in_a_later_round():
    """conformance 18: no call is lost by it."""
    losses: list[Loss] = []
    result = {"role": "tool", "tool_call_id": "call_1", "content": "x"}
    got = items(calls(call("call_1")), result, calls(call("call_1")), result, losses=losses)
    assert [item["call_id"] for item in got] == ["call_1"] * 4
    unanswered = items(calls(call("call_1")), calls(call("call_1")), result, losses=losses)
    assert [item["type"] for item in unanswered] == ["function_call", "function_call", "function_call_output"]
    assert losses == []


def test_a_second_call_with_the_same_id_in_one_message_is_dropped():
    """conformance 18: no result could be told to be its own; the loss says so."""
    losses: list[Loss] = []
    got = items(calls(call("call_1", arguments="1"), call("call_1", arguments="2")), losses=losses)
    assert [item["arguments"] for item in got] == ["1"]
    assert [(loss.path, loss.what) for loss in losses] == [("messages[0].tool_calls[1]", "dropped")]


def test_a_result_without_id_answers_the_first_open_call():
    """conformance 18: also when the calls have no ids themselves."""
    got = items(
        calls(call("call_a"), call(None), call("call_c")),
        {"role": "tool", "tool_call_id": "call_a", "content": "a"},
        {"role": "tool", "content": "b"},
        {"role": "tool", "content": "c"},
    )
    assert [item["call_id"] for item in got[:3]] == [item["call_id"] for item in got[3:]]


def test_a_result_of_a_custom_call_is_one():
    """conformance 6: the family is kept on the way back, and an id that comes again is of its last call's family."""
    custom = {"id": "call_1", "type": "custom", "custom": {"name": "patch", "input": "free"}}
    result = {"role": "tool", "tool_call_id": "call_1", "content": "ok"}
    got = items(calls(custom), result, calls(call("call_1")), result)
    assert got[0] == {"type": "custom_tool_call", "call_id": "call_1", "name": "patch", "input": "free"}
    assert [item["type"] for item in got[1:]] == ["custom_tool_call_output", "function_call", "function_call_output"]


def test_legacy_calls_get_ids_of_their_own():
    """conformance 19: two calls of one function are told apart, and a longer conversation keeps its first ids."""
    legacy = [
        {"role": "assistant", "content": None, "function_call": {"name": "look", "arguments": "1"}},
        {"role": "function", "name": "look", "content": "one"},
        {"role": "assistant", "content": None, "function_call": {"name": "look", "arguments": "2"}},
        {"role": "function", "name": "look", "content": "two"},
    ]
    ids = [item["call_id"] for item in items(*legacy)]
    assert ids[0] == ids[1] and ids[2] == ids[3] and ids[0] != ids[2]
    assert [item["call_id"] for item in items(*legacy[:2])] == ids[:2]


def test_a_result_without_any_call_is_kept():
    """What becomes of an orphan depends on the provider."""
    assert items({"role": "function", "name": "look", "content": "x"})[0]["output"] == "x"
    assert items({"role": "tool", "tool_call_id": "gone", "content": "x"})[0]["call_id"] == "gone"


def test_who_speaks_is_a_loss():
    """conformance 17: ``name`` has no place; of a tool's result it says nothing that the id does not."""
    losses: list[Loss] = []
    items(
        {"role": "user", "name": "ann", "content": "Hi."},
        calls(call("call_1")),
        {"role": "tool", "name": "look", "tool_call_id": "call_1", "content": "x"},
        losses=losses,
    )
    assert [(loss.path, loss.is_hint) for loss in losses] == [("messages[0].name", False)]


@pytest.mark.parametrize(
    ("message", "param"),
    [
        ({"content": "Hi."}, "messages[0].role"),
        ({"role": "critic", "content": "Hi."}, "messages[0].role"),
        ({"role": "tool", "tool_call_id": 1}, "messages[0].tool_call_id"),
        (calls({"id": "call_1", "type": "function"}), "messages[0].tool_calls[0].function"),
        (calls({"type": "hosted", "hosted": {}}), "messages[0].tool_calls[0].type"),
        ({"role": "assistant", "function_call": {"arguments": "{}"}}, "messages[0].function_call.name"),
    ],
)
def test_what_is_no_message_is_refused_by_path(message, param):
    """400 that says where."""
    with pytest.raises(WireError) as raised:
        items(message)
    assert raised.value.param == param


def test_no_messages_are_refused():
    """An empty list too."""
    with pytest.raises(WireError, match="send at least one message"):
        items()
