"""wire/messages_content.py: Messages, decode: system texts and turns. More cases: golden/messages/requests."""

from __future__ import annotations

from typing import Any

import pytest

from mitmcodex.wire.codec import ACCOUNT_KEY, Asked, Decoded
from mitmcodex.wire.errors import WireError
from mitmcodex.wire.messages_content import clamped_id
from mitmcodex.wire.messages_request import decode_request
from mitmcodex.wire.sealing import seal

USER = {"role": "user", "content": "Hi"}


def decoded(messages: list[Any] | None = None, **body: Any) -> Decoded:
    return decode_request({"max_tokens": 9, "messages": messages or [USER], **body}, Asked())


def turn(*blocks: dict[str, Any], role: str = "user") -> list[Any]:
    return [{"role": role, "content": list(blocks)}, *([USER] if role == "assistant" else [])]


def items(*blocks: dict[str, Any], role: str = "user") -> list[dict[str, Any]]:
    """The canonical items of one turn."""
    found: list[dict[str, Any]] = decoded(turn(*blocks, role=role)).fields["input"]
    return found[:-1] if role == "assistant" else found


def told(got: Decoded) -> list[tuple[str, str, bool]]:
    return [(loss.path, loss.what, loss.is_hint) for loss in got.losses]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_leading_billing_line_is_removed(end):
    """conformance 54: text and blocks, LF and CRLF; the rest of the same part stays; the loss is a hint."""
    billed = f"x-anthropic-billing-header: cch=1;{end}You help."
    for system in (billed, [{"type": "text", "text": billed}]):
        got = decoded(system=system)
        assert got.fields["input"][0]["content"] == [{"type": "input_text", "text": "You help."}]
        assert told(got) == [("system", "dropped", True)]


def test_a_billing_line_alone_leaves_no_item():
    """conformance 54: as Claude Code sends it, a block of its own (capture claude-code/01)."""
    got = decoded(system=[{"type": "text", "text": "x-anthropic-billing-header: a"}, {"type": "text", "text": "S"}])
    assert [item["content"][0]["text"] for item in got.fields["input"]] == ["S", "Hi"]


def test_a_billing_line_further_on_is_text():
    """conformance 54: only a leading one is taken away."""
    got = decoded(system="You help.\nx-anthropic-billing-header: a")
    assert got.fields["input"][0]["content"][0]["text"].endswith("x-anthropic-billing-header: a")
    assert got.losses == []


def test_system_turns_in_the_middle_keep_their_place():
    """conformance 54: newer clients send them in the list; they are not refused."""
    got = decoded([USER, {"role": "system", "content": "Be short."}, USER])
    assert [item["role"] for item in got.fields["input"]] == ["user", "system", "user"]


def test_cache_control_is_a_hint_wherever_it_stands():
    """conformance 54: in the body, a system block, a content block and a tool."""
    mark = {"cache_control": {"type": "ephemeral"}}
    got = decoded(
        turn({"type": "text", "text": "Hi", **mark}),
        system=[{"type": "text", "text": "S", **mark}],
        tools=[{"name": "f", "input_schema": {}, **mark}],
        **mark,
    )
    assert told(got) == [
        ("system[0].cache_control", "dropped", True),
        ("messages[0].content[0].cache_control", "dropped", True),
        ("tools[0].cache_control", "dropped", True),
        ("cache_control", "dropped", True),
    ]


def test_results_and_texts_keep_their_order():
    """conformance 55: several results and a text in one turn."""
    result = {"type": "tool_result", "content": "42"}
    made = items({**result, "tool_use_id": "a"}, {"type": "text", "text": "x"}, {**result, "tool_use_id": "b"})
    assert [item.get("call_id", item["type"]) for item in made] == ["a", "message", "b"]


def test_a_failed_result_is_marked_by_a_text():
    """conformance 55: is_error, with a text, with parts, with nothing."""
    failed = {"type": "tool_result", "tool_use_id": "a", "is_error": True}
    text, parts, nothing = items(
        {**failed, "content": "no"}, {**failed, "content": [{"type": "text", "text": "no"}]}, failed
    )
    assert text["output"] == "[tool error]\nno"
    assert [part["text"] for part in parts["output"]] == ["[tool error]", "no"]
    assert nothing["output"] == "[tool error]"
    assert items({**failed, "content": "yes", "is_error": False})[0]["output"] == "yes"


def test_an_image_in_a_result_stays_an_image():
    """conformance 55, 56, pains P29: not base64 in a text."""
    source = {"type": "base64", "media_type": "image/png", "data": "iVBO"}
    (result,) = items({"type": "tool_result", "tool_use_id": "a", "content": [{"type": "image", "source": source}]})
    assert result["output"] == [{"type": "input_image", "image_url": "data:image/png;base64,iVBO"}]


@pytest.mark.parametrize(
    ("block", "part"),
    [
        (
            {"type": "image", "source": {"type": "url", "url": "https://127.0.0.1/a.png"}},
            {"type": "input_image", "image_url": "https://127.0.0.1/a.png"},
        ),
        (
            {
                "type": "document",
                "title": "a.pdf",
                "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBE"},
            },
            {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBE"},
        ),
        (
            {"type": "document", "source": {"type": "url", "url": "https://127.0.0.1/a.pdf"}},
            {"type": "input_file", "file_url": "https://127.0.0.1/a.pdf"},
        ),
        (
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "T"}},
            {"type": "input_text", "text": "T"},
        ),
    ],
)
def test_images_and_documents(block, part):
    """conformance 56: inline, by URL and as text."""
    assert items(block)[0]["content"] == [part]


def test_a_file_of_the_files_api_is_refused():
    """conformance 56: what can't be fetched is said, with the remedy."""
    with pytest.raises(WireError, match=r"messages\[0\]\.content\[0\]\.source\.type: .*base64"):
        decoded(turn({"type": "image", "source": {"type": "file", "file_id": "f"}}))


def test_our_signature_becomes_a_reasoning_item():
    """conformance 57, pains P15: with its account and the shown text, before what it led to."""
    thinking = {"type": "thinking", "thinking": "First.", "signature": seal("acct", "ENC")}
    reasoning, text = items(thinking, {"type": "text", "text": "A"}, role="assistant")
    assert reasoning == {
        "type": "reasoning",
        "summary": [{"type": "summary_text", "text": "First."}],
        "encrypted_content": "ENC",
        ACCOUNT_KEY: "acct",
    }
    assert text["content"] == [{"type": "output_text", "text": "A"}]


@pytest.mark.parametrize(
    "block",
    [
        {"type": "thinking", "thinking": "x", "signature": "EqQB"},
        {"type": "thinking", "thinking": "x", "signature": ""},
        {"type": "redacted_thinking", "data": "EmwK"},
    ],
)
def test_foreign_reasoning_is_dropped_with_an_entry(block):
    """conformance 57: foreign, unsigned and redacted; the call beside it stays (pains P15)."""
    call = {"type": "tool_use", "id": "a", "name": "f", "input": {}}
    got = decoded(turn(block, call, role="assistant"))
    assert [item["type"] for item in got.fields["input"]] == ["function_call", "message"]
    assert told(got) == [("messages[0].content[0]", "dropped", True)]


def test_reasoning_alone_is_not_replayed():
    """conformance 57: an assistant turn of nothing else."""
    got = decoded(turn({"type": "thinking", "thinking": "x", "signature": seal("a", "E")}, role="assistant"))
    assert [item["type"] for item in got.fields["input"]] == ["message"]
    assert told(got) == [("messages[0]", "dropped", True)]


@pytest.mark.parametrize("call_id", ["x" * 65, "functions.f:0", "ü", "\ud800", ""])
def test_ids_are_clamped_alike_in_call_and_result(call_id):
    """conformance 52: too long or illegal; the same each time, so that call and result find each other."""
    call = {"type": "tool_use", "id": call_id, "name": "f", "input": {}}
    made = items(call, {"type": "tool_result", "tool_use_id": call_id}, role="assistant")
    assert made[0]["call_id"] == made[1]["call_id"] == clamped_id(call_id) != call_id
    assert len(made[0]["call_id"]) <= 64


def test_plain_ids_and_names_stay():
    """conformance 52: what is legal comes back exactly."""
    (call,) = items({"type": "tool_use", "id": "call_" + "x" * 59, "name": "a.b", "input": {}}, role="assistant")
    assert (call["call_id"], call["name"]) == ("call_" + "x" * 59, "a.b")


def test_a_last_assistant_text_is_reported():
    """A prefix of the answer can't be asked of the Responses API."""
    assert told(decoded([USER, {"role": "assistant", "content": "{"}])) == [("messages[1]", "changed", False)]
