"""wire/messages_request.py: Messages, decode: options, and what every part holds. More: golden/messages/requests."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from mitmcodex.wire.codec import Asked, Decoded, Extra, Loss
from mitmcodex.wire.errors import WireError
from mitmcodex.wire.messages_request import MessagesReply, decode_request

GOLDEN = Path(__file__).parents[1] / "golden" / "messages" / "requests"
USER = {"role": "user", "content": "Hi"}


def decoded(messages: list[Any] | None = None, asked: Asked | None = None, **body: Any) -> Decoded:
    return decode_request({"max_tokens": 9, "messages": messages or [USER], **body}, asked or Asked())


def told(got: Decoded) -> list[tuple[str, str, bool]]:
    return [(loss.path, loss.what, loss.is_hint) for loss in got.losses]


@pytest.mark.parametrize(
    ("budget", "effort"),
    [(-1, None), (0, "none"), (1, "low"), (4096, "low"), (4097, "medium"), (16384, "medium"), (16385, "high")],
)
def test_a_thinking_budget_becomes_an_effort(budget, effort):
    """conformance 58: the steps and their edges."""
    got = decoded(thinking={"type": "enabled", "budget_tokens": budget})
    assert got.fields.get("reasoning", {}).get("effort") == effort
    assert told(got) == [("thinking.budget_tokens", "mapped", False)]


def test_the_effort_of_output_config_wins():
    """conformance 58: over a budget, over adaptive and over disabled."""
    for thinking in ({"type": "enabled", "budget_tokens": 9}, {"type": "adaptive"}, {"type": "disabled"}):
        got = decoded(thinking=thinking, output_config={"effort": "max"})
        assert got.fields["reasoning"]["effort"] == "max"
    assert decoded(thinking={"type": "adaptive"}).fields.get("reasoning") is None
    assert decoded(thinking={"type": "disabled"}).fields["reasoning"] == {"effort": "none", "summary": "none"}


@pytest.mark.parametrize(
    ("thinking", "shown"),
    [
        ({"type": "enabled", "budget_tokens": 5000}, "text"),
        ({"type": "adaptive", "display": "updates"}, "text"),
        ({"type": "adaptive", "display": "omitted"}, "signature"),
        ({"type": "disabled"}, ""),
        (None, ""),
    ],
)
def test_thinking_is_shown_when_asked_for(thinking, shown):
    """conformance 57: enabled or adaptive, and not otherwise."""
    assert decoded(thinking=thinking).reply == MessagesReply(shown)


def test_speed_fast_is_priority():
    """conformance 58: said by a loss of the kind mapped."""
    got = decoded(speed="fast")
    assert got.fields["service_tier"] == "priority"
    assert (told(got), got.path("service_tier")) == ([("speed", "mapped", False)], "speed")
    assert decoded(speed="standard", service_tier="auto").losses == []


def test_limits_go_where_they_can_be_emulated():
    """conformance 63: max_tokens and stop_sequences, with the client's names; top_k has no canonical place."""
    got = decoded(max_tokens=1, stop_sequences=["x"], temperature=0, top_p=0.5, top_k=3)
    assert (got.fields["max_output_tokens"], got.path("max_output_tokens")) == (1, "max_tokens")
    assert (got.stop, got.path("stop")) == (("x",), "stop_sequences")
    assert (got.fields["temperature"], got.fields["top_p"]) == (0, 0.5)
    assert got.extras == {"top_k": Extra("top_k", 3)}


def test_max_tokens_may_be_absent_when_counting_alone():
    """conformance 60: count_tokens is the same request without a limit."""
    body = {"model": "m", "messages": [USER], "tools": [{"name": "f", "input_schema": {}}]}
    counted = decode_request(dict(body), Asked(action="count_tokens"))
    assert [tool["name"] for tool in counted.fields["tools"]] == ["f"]
    with pytest.raises(WireError, match="max_tokens: is missing"):
        decode_request(dict(body), Asked())


@pytest.mark.parametrize(
    ("user_id", "session"),
    [
        ('{"device_id":"d","session_id":"s-1"}', "s-1"),
        ("user_ab_account__session_5c0e-1", "5c0e-1"),
        ("u1", "u1"),
        ("{broken", "{broken"),
        ("{}", "{}"),
        (None, ""),
    ],
)
def test_the_session_of_the_body(user_id, session):
    """conformance 62: metadata.user_id as text and as JSON in a text."""
    assert decoded(metadata={"user_id": user_id}).session == session


def test_claude_codes_header_comes_first():
    """conformance 62: before metadata.user_id."""
    asked = Asked(headers=(("X-Claude-Code-Session-Id", "h"),))
    assert decoded(asked=asked, metadata={"user_id": "u"}).session == "h"


def test_structured_output():
    """seeds S79: output_config.format, strict when the schema allows it."""
    schema = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
    got = decoded(output_config={"format": {"type": "json_schema", "schema": schema}})
    made = got.fields["text"]["format"]
    assert (made["type"], made["name"], made["strict"]) == ("json_schema", "output", True)
    assert made["schema"] == {**schema, "additionalProperties": False}


def test_headers_are_no_losses():
    """conformance 61: any anthropic-version and anthropic-beta is accepted."""
    asked = Asked(query="beta=true", headers=(("anthropic-version", "2026-10-21"), ("anthropic-beta", "x")))
    assert decoded(asked=asked).losses == []


def test_claude_code_passes_a_strict_proxy():
    """clients.md claude-code: each loss of its captured requests is a hint."""
    for path in sorted(GOLDEN.glob("claude-code-*/losses.json")):
        for loss in json.loads(path.read_bytes()):
            assert loss["is_hint"] or loss["what"] != "dropped", (path.parent.name, loss)


def test_an_unknown_key_is_a_loss_in_every_object():
    """No key vanishes: body, message, block, source, tool, choice, thinking, output_config, format, metadata."""
    odd = {"shiny": 1}
    got = decoded(
        [{"role": "user", "content": [{"type": "image", "source": {"type": "url", "url": "u", **odd}, **odd}], **odd}],
        tools=[{"name": "f", "input_schema": {}, **odd}],
        tool_choice={"type": "auto", **odd},
        thinking={"type": "adaptive", **odd},
        output_config={"format": {"type": "json_schema", "schema": {"type": "object", "properties": {}}, **odd}, **odd},
        metadata={"user_id": "u", **odd},
        **odd,
    )
    lost = {loss.path.removesuffix("shiny") for loss in got.losses if loss.path.endswith("shiny")}
    block = "messages[0].content[0]."
    assert lost >= {"", "messages[0].", block, f"{block}source.", "tools[0].", "tool_choice.", "thinking.", "metadata."}
    assert lost >= {"output_config.", "output_config.format."}


@pytest.mark.parametrize("thread", [{"type": "create"}, {"type": "continue", "previous_message_id": "msg_1"}])
def test_a_thread_is_refused_so_that_the_client_sends_all(thread):
    """A request that continues a thread holds only the new messages: without the others it means something else."""
    with pytest.raises(WireError, match="whole conversation") as caught:
        decoded(thread=thread)
    assert (caught.value.kind, caught.value.code) == ("invalid_request", "thread_unsupported_request")


def test_no_secret_of_a_request_is_quoted():
    """An MCP server's token stays out of the loss."""
    got = decoded(mcp_servers=[{"name": "m", "authorization_token": "planted"}])
    assert got.losses[0][:2] == Loss("mcp_servers", "dropped", "")[:2]
    assert "planted" not in str(got.losses)


@pytest.mark.parametrize("depth", [500, 3000])
def test_deep_nesting_is_survived(depth):
    """Parsed JSON may be deeper than Python recurses: a schema, a call's input, documents in documents."""
    deep: Any = {"type": "object"}
    block: Any = {"type": "text", "text": "x"}
    for _ in range(depth):
        deep = {"type": "object", "properties": {"a": deep}}
        block = {"type": "document", "source": {"type": "content", "content": [block]}}
    schema = {"output_config": {"format": {"type": "json_schema", "schema": deep}}}
    call = [{"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "f", "input": deep}]}]
    for body in (schema, {"messages": call}, {"messages": [{"role": "user", "content": [block]}]}):
        try:
            decode_request({"max_tokens": 9, "messages": [USER], **body}, Asked())
        except WireError as error:
            assert error.kind == "invalid_request"


JUNK: list[Any] = [None, 1, "x", [], {}, [1], {"a": 1}, True, -1]


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        found += places(child, (*path, key))
    return found


CASES = sorted(path for path in GOLDEN.glob("*/request.json"))


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.parent.name)
def test_any_json_is_survived(path):
    """Each value of a real request replaced by junk gives a WireError (invalid_request) or a request."""
    body = json.loads(path.read_bytes())["body"]
    for place in places(body):
        for junk in JUNK:
            broken = copy.deepcopy(body)
            inside = broken
            for key in place[:-1]:
                inside = inside[key]
            inside[place[-1]] = copy.deepcopy(junk)
            try:
                got = decode_request(broken, Asked())
            except WireError as error:
                assert error.kind == "invalid_request" and error.message, place
            else:
                json.dumps(got.fields)
