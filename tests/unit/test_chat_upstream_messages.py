"""wire/chat_upstream_messages.py: a canonical conversation as chat messages."""

from __future__ import annotations

from typing import Any

import pytest

from mitmcodex.wire.chat_upstream import encode_request
from mitmcodex.wire.codec import ACCOUNT_KEY, Decoded
from mitmcodex.wire.errors import WireError
from mitmcodex.wire.shapes import Fields
from mitmcodex.wire.signatures import wrap

IMAGE = {"type": "input_image", "image_url": "data:image/png;base64,aGk="}
ASK = {"role": "user", "content": "a"}
THOUGHT = {
    "type": "reasoning",
    "summary": [{"type": "summary_text", "text": "Hm."}],
    "encrypted_content": wrap("chat", {"field": "reasoning_content", "text": "Hm."}),
    ACCOUNT_KEY: "acct0001",
}


def call(call_id: str, name: str = "read_file", arguments: str = "{}") -> Fields:
    return {"type": "function_call", "call_id": call_id, "name": name, "arguments": arguments}


def result(call_id: str, output: Any = "done") -> Fields:
    return {"type": "function_call_output", "call_id": call_id, "output": output}


def said(text: str) -> Fields:
    return {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}]}


def messages(*items: Any, **fields: Any) -> list[Fields]:
    found: list[Fields] = encode_request(Decoded({"model": "m", "input": [*items], **fields})).fields["messages"]
    return found


def losses(*items: Any) -> list[tuple[str, str, bool]]:
    told = encode_request(Decoded({"model": "m", "input": [*items]})).losses
    return [(loss.path, loss.what, loss.is_hint) for loss in told]


def roles(found: list[Fields]) -> list[str]:
    return [message["role"] for message in found]


def test_instructions_come_first():
    """They are the first system message; a text as input is the user's."""
    got = encode_request(Decoded({"model": "m", "instructions": "Be brief.", "input": "hello"})).fields["messages"]
    assert got == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hello"}]


def test_system_texts_keep_their_place():
    """conformance 16: system and developer texts go as system messages in their order, also within a conversation."""
    got = messages({"role": "system", "content": "1"}, ASK, {"role": "developer", "content": "2"}, ASK)
    assert roles(got) == ["system", "user", "system", "user"]
    assert losses({"role": "developer", "content": "2"}, {"role": "developer", "content": "3"}, ASK) == [
        ("input[].role", "mapped", True)
    ]


def test_text_alone_is_a_string():
    """DeepSeek and others take no lists; several texts are joined by a blank line, told once."""
    parts = {"role": "user", "content": [{"type": "input_text", "text": "a"}, {"type": "input_text", "text": "b"}]}
    assert messages(parts) == [{"role": "user", "content": "a\n\nb"}]
    assert losses(parts, parts) == [("input[].content", "changed", True)]


def test_text_and_calls_of_a_turn_are_one_message():
    """conformance 18: parallel calls stand in one message with the text before them, with the same call ids."""
    got = messages(ASK, said("I look."), call("call_1"), call("call_2"), result("call_1"), result("call_2"))
    assert roles(got) == ["user", "assistant", "tool", "tool"]
    assert got[1]["content"] == "I look." and [one["id"] for one in got[1]["tool_calls"]] == ["call_1", "call_2"]
    assert got[1]["tool_calls"][0]["type"] == "function"


def test_turns_stay_apart():
    """Calls after a result are another message; texts without calls are a message each."""
    got = messages(ASK, call("1"), result("1"), call("2"), result("2"), said("a"), said("b"), ASK)
    assert roles(got) == ["user", "assistant", "tool", "assistant", "tool", "assistant", "assistant", "user"]


def test_a_call_id_may_be_used_again():
    """conformance 18: each result stands behind the last call of its id."""
    got = messages(call("1"), result("1", "a"), call("1"), result("1", "b"))
    assert [message["content"] for message in got] == [None, "a", None, "b"]


def test_results_follow_their_calls():
    """A user's text that came between calls and results goes behind the results, as services demand."""
    got = messages(call("1"), call("2"), result("1"), ASK, result("2"))
    assert roles(got) == ["assistant", "tool", "tool", "user"]


def test_text_behind_a_call_joins_its_message():
    """Between a call and its result no message can stand; the change of order is told."""
    items = [call("1"), said("wait"), result("1")]
    assert messages(*items)[0]["content"] == "wait" and roles(messages(*items)) == ["assistant", "tool"]
    assert losses(*items) == [("input[1]", "changed", True)]


def test_images_of_results_go_in_a_user_message():
    """A tool message takes text alone; the user message comes after all results of the turn, and is told."""
    pictures = result("1", [{"type": "input_text", "text": "two"}, IMAGE, IMAGE])
    got = messages(call("1"), call("2"), pictures, result("2"))
    assert roles(got) == ["assistant", "tool", "tool", "user"] and got[1]["content"] == "two"
    assert [part["type"] for part in got[3]["content"]] == ["text", "image_url", "image_url"]
    assert "1" in got[3]["content"][0]["text"]
    assert losses(call("1"), call("2"), pictures, result("2")) == [("input[2].output", "changed", False)]
    assert messages(call("1"), result("1", [IMAGE]))[1]["content"] != ""


def test_a_result_without_call_is_a_loss():
    """A service would refuse the request for it; so is a second result of one call."""
    assert losses(ASK, result("9")) == [("input[1]", "dropped", False)]
    assert losses(call("1"), result("1"), result("1")) == [("input[2]", "dropped", False)]


def test_custom_calls_go_wrapped():
    """As the function that the tool was declared as."""
    custom = {"type": "custom_tool_call", "call_id": "1", "name": "exec", "namespace": "functions", "input": 'a"b'}
    got = messages(custom, {"type": "custom_tool_call_output", "call_id": "1", "name": "exec", "output": "ok"})
    assert got[0]["tool_calls"][0]["function"] == {"name": "functions__exec", "arguments": '{"input": "a\\"b"}'}
    assert got[1] == {"role": "tool", "tool_call_id": "1", "content": "ok"}


@pytest.mark.parametrize(("arguments", "sent"), [("", "{}"), ('{"a":1}', '{"a":1}'), ('{"a', '{"input": "{\\"a"}')])
def test_arguments_are_json(arguments, sent):
    """Services parse them: arguments that the model broke off would make the whole conversation fail."""
    assert messages(call("1", arguments=arguments))[0]["tool_calls"][0]["function"]["arguments"] == sent
    assert bool(losses(call("1", arguments=arguments))) == (arguments == '{"a')


def test_our_own_reasoning_goes_back_with_its_call():
    """DeepSeek refuses a turn with calls that lacks its reasoning; nothing is lost then."""
    got = messages(ASK, THOUGHT, said("I look."), call("1"), call("2"), result("1"), result("2"))
    assert got[1]["reasoning_content"] == "Hm." and losses(ASK, THOUGHT, call("1"), result("1")) == []


def test_reasoning_without_call_is_a_hint():
    """Services refuse or ignore it there."""
    for rest in ([said("b"), ASK], [ASK], [], [THOUGHT, call("1")]):
        assert losses(ASK, THOUGHT, *rest) == [("input[1]", "dropped", True)]
    assert "reasoning_content" not in str(messages(ASK, THOUGHT, said("b"), ASK, call("1"), result("1")))


@pytest.mark.parametrize(
    "mark",
    [
        *("", "gAAAAAB", "mcx-chat.", "mcx-chat.e30=", "mcx1.acct.aGk=", 3),
        wrap("messages", {"field": "reasoning", "text": "Hm."}),
        wrap("chat", {"field": "content", "text": "Hm."}),
        wrap("chat", {"field": ["reasoning"], "text": "Hm."}),
        wrap("chat", {"field": "reasoning", "text": None}),
    ],
)
def test_foreign_reasoning_is_a_hint(mark):
    """Encrypted for another service, or by a client that made a field name up."""
    foreign = {**THOUGHT, "encrypted_content": mark}
    assert losses(ASK, foreign, call("1"), result("1")) == [("input[1]", "dropped", True)]
    assert messages(ASK, foreign, call("1"), result("1"))[1].keys() == {"role", "content", "tool_calls"}


def test_a_refusal_stays_one():
    """In the message's own field."""
    refused = {"type": "message", "role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]}
    assert messages(ASK, refused)[1] == {"role": "assistant", "content": None, "refusal": "No."}


def test_an_empty_assistant_message_is_left_out():
    """conformance 17: it says nothing, and services refuse it."""
    assert roles(messages(ASK, said(""), {"role": "assistant", "content": []}, ASK)) == ["user", "user"]


def test_client_run_tools_have_their_history():
    """tool_search and local_shell calls are calls of the functions they were declared as."""
    search = {"type": "tool_search_call", "call_id": "1", "execution": "client", "arguments": {"query": "x"}}
    found = {"type": "tool_search_output", "call_id": "1", "execution": "client", "tools": []}
    action = {"type": "exec", "command": ["ls"], "timeout_ms": None}
    shell = {"type": "local_shell_call", "call_id": "2", "status": "completed", "action": action}
    got = messages(search, found, shell, {"type": "local_shell_call_output", "call_id": "2", "output": "a"})
    assert roles(got) == ["assistant", "tool", "assistant", "tool"]
    assert got[0]["tool_calls"][0]["function"] == {"name": "tool_search", "arguments": '{"query": "x"}'}
    assert got[2]["tool_calls"][0]["function"] == {"name": "local_shell", "arguments": '{"command": ["ls"]}'}


@pytest.mark.parametrize(
    ("kind", "is_hint"),
    [("compaction", False), ("web_search_call", True), ("image_generation_call", False), ("from the future", False)],
)
def test_other_items_are_losses(kind, is_hint):
    """Each with its place; what they hold is no further loss."""
    assert losses(ASK, {"type": kind, "encrypted_content": "x"}) == [("input[1]", "dropped", is_hint)]


def test_a_compaction_is_refused():
    """protocol.md 2.6: Codex wants one compaction item, which no Chat service makes."""
    with pytest.raises(WireError, match="compact"):
        messages(ASK, {"type": "compaction_trigger"})


@pytest.mark.parametrize("nothing", [[], "", None, [{"type": "additional_tools", "tools": []}]])
def test_an_empty_conversation_is_refused(nothing):
    """A text that is empty is a message still; no message at all is none."""
    if nothing == "":
        assert encode_request(Decoded({"model": "m", "input": ""})).fields["messages"]
        return
    with pytest.raises(WireError) as caught:
        encode_request(Decoded({"model": "m", "input": nothing}))
    assert caught.value.param == "input"


def test_ids_and_states_are_no_loss_other_keys_are():
    """Items' ids and states are the Responses API's own; a key that nobody knows is told."""
    assert losses({**call("1"), "id": "fc_1", "status": "completed", "colour": 1}, result("1")) == [
        ("input[0].colour", "dropped", False)
    ]
    assert losses({**said("a"), "phase": "commentary"}) == [("input[0].phase", "dropped", True)]
