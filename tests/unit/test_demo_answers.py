"""What the demo says: the events of an answer, made from the request alone. How they go out: test_demo.py."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mitmcodex.upstream.demo_answers import BadRequest, answer_events, parse_request

JSON = dict[str, Any]

EXEC_COMMAND = {
    "type": "function",
    "name": "exec_command",
    "parameters": {
        "type": "object",
        "properties": {"cmd": {"type": "string"}, "yield_time_ms": {"type": "number"}},
        "required": ["cmd"],
    },
}

WAIT = {
    "type": "function",
    "name": "wait",
    "parameters": {"type": "object", "properties": {"cell_id": {"type": "string"}}, "required": ["cell_id"]},
}


def events_for(request: JSON) -> list[JSON]:
    return list(answer_events(parse_request(json.dumps({"model": "m", "stream": True, **request}).encode())))


def items_of(events: list[JSON]) -> list[JSON]:
    return [event["item"] for event in events if event["type"] == "response.output_item.done"]


def text_of(events: list[JSON]) -> str:
    return next(item for item in items_of(events) if item["type"] == "message")["content"][0]["text"]


def user(content: object) -> JSON:
    return {"type": "message", "role": "user", "content": content}


def test_a_text_answer_names_the_demo_and_echoes_the_last_user_text() -> None:
    """Both the notice and the last (not the first) user text stand in the answer."""
    text = text_of(events_for({"input": [user("first"), user([{"type": "input_text", "text": "second"}])]}))
    assert "This is the mitmcodex demo upstream: no model, no account." in text
    assert "second" in text and "first" not in text


def test_a_long_text_is_not_echoed_whole() -> None:
    """The echo is bounded, so that an answer stays short whatever was asked."""
    assert len(text_of(events_for({"input": "x" * 100_000}))) < 1000


def test_events_have_the_shape_of_the_responses_api() -> None:
    """Numbered from 0, created first and completed last; deltas, done events and the final item agree."""
    events = events_for({"input": "hi"})
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert [events[0]["type"], events[1]["type"]] == ["response.created", "response.in_progress"]
    assert events[-1]["type"] == "response.completed"
    deltas = [event["delta"] for event in events if event["type"] == "response.output_text.delta"]
    done = next(event for event in events if event["type"] == "response.output_text.done")
    assert len(deltas) > 3 and "".join(deltas) == done["text"] == text_of(events)
    response = events[-1]["response"]
    assert response["output"] == items_of(events) and response["id"] == events[0]["response"]["id"]
    assert response["status"] == "completed" and response["model"] == "m"
    assert response["usage"]["total_tokens"] == response["usage"]["input_tokens"] + response["usage"]["output_tokens"]


def test_reasoning_is_given_when_it_is_asked_for() -> None:
    """A reasoning item comes first, with a summary, and sealed content when ``include`` asks for it."""
    asked = {"input": "hi", "reasoning": {"effort": "low"}, "include": ["reasoning.encrypted_content"]}
    first, second = items_of(events_for(asked))
    assert first["type"] == "reasoning" and first["summary"][0]["text"] and first["encrypted_content"]
    assert second["type"] == "message"
    assert "encrypted_content" not in items_of(events_for({**asked, "include": []}))[0]
    for request in (
        {"input": "hi"},
        {"input": "hi", "reasoning": {"effort": "none"}},
        {"input": "hi", "reasoning": None},
    ):
        assert [item["type"] for item in items_of(events_for(request))] == ["message"]


@pytest.mark.parametrize(
    "form",
    [
        {"tools": [WAIT, EXEC_COMMAND]},
        {"lite": [{"type": "namespace", "name": "functions", "description": "", "tools": [EXEC_COMMAND]}]},
        {"lite": [{"type": "namespace", "name": "functions", "tools": [WAIT, {"type": "custom", "name": "exec"}]}]},
    ],
    ids=["classic", "lite", "code mode"],
)
def test_the_word_tool_or_shell_brings_a_call_of_codexs_shell(form: JSON) -> None:
    """The call is a harmless echo; without the word, or with tool_choice none, the answer is text."""
    lite = [{"type": "additional_tools", "role": "developer", "tools": form["lite"]}] if "lite" in form else []
    tools = {"tools": form["tools"]} if "tools" in form else {}
    for said in ("use the shell", "run a Tool, please"):
        (call,) = items_of(events_for({**tools, "input": [*lite, user(said)]}))
        assert (call["type"], call["name"]) == ("function_call", "exec_command") and "namespace" not in call
        assert json.loads(call["arguments"]) == {"cmd": "echo hello from the mitmcodex demo"}
    for request in ({"input": [*lite, user("hi")]}, {"input": [*lite, user("shell")], "tool_choice": "none"}):
        assert [item["type"] for item in items_of(events_for({**tools, **request}))] == ["message"]


def test_argument_deltas_join_to_the_call() -> None:
    """Clients that build the call from its deltas get the same arguments as those that read the item."""
    events = events_for({"tools": [EXEC_COMMAND], "input": "shell"})
    deltas = [event["delta"] for event in events if event["type"] == "response.function_call_arguments.delta"]
    assert len(deltas) > 1 and "".join(deltas) == items_of(events)[0]["arguments"]


def test_a_tools_output_is_quoted() -> None:
    """After the tool ran the answer is text with its output, though the user text still says tool."""
    call = {"type": "function_call", "call_id": "c", "name": "exec_command", "arguments": "{}"}
    for output in ("it ran: 42", [{"type": "input_text", "text": "it ran: 42"}]):
        result = {"type": "function_call_output", "call_id": "c", "output": output}
        events = events_for({"tools": [EXEC_COMMAND], "input": [user("use a tool"), call, result]})
        assert "it ran: 42" in text_of(events)


def test_a_new_question_after_a_tools_output_brings_a_new_call() -> None:
    """Only an output that came after the last user text ends the round."""
    result = {"type": "function_call_output", "call_id": "c", "output": "old"}
    events = events_for({"tools": [EXEC_COMMAND], "input": [user("tool"), result, user("tool again")]})
    assert items_of(events)[0]["type"] == "function_call"


def test_arguments_fit_the_tools_schema() -> None:
    """Required properties alone, each with a value of its type, references and unions resolved."""
    schema = {
        "type": "object",
        "required": ["city", "unit", "days", "flags", "place", "note", "ok", "parent"],
        "properties": {
            "city": {"type": "string"},
            "unit": {"enum": ["c", "f"]},
            "days": {"type": "integer", "minimum": 3},
            "flags": {"type": "array", "items": {"type": "string"}, "minItems": 1},
            "place": {"$ref": "#/$defs/place"},
            "note": {"type": ["null", "string"]},
            "ok": {"anyOf": [{"type": "boolean"}, {"type": "null"}]},
            "parent": {"$ref": "#/$defs/loop"},
            "optional": {"type": "string"},
        },
        "$defs": {
            "place": {"type": "object", "properties": {"lat": {"type": "number"}}, "required": ["lat"]},
            "loop": {"$ref": "#/$defs/loop"},
        },
    }
    tool = {"type": "function", "name": "get_weather", "parameters": schema}
    (call,) = items_of(events_for({"tools": [{"type": "web_search"}, tool], "input": "use the tool"}))
    assert call["name"] == "get_weather"
    assert json.loads(call["arguments"]) == {
        "city": "demo",
        "unit": "c",
        "days": 3,
        "flags": ["demo"],
        "place": {"lat": 1},
        "note": "demo",
        "ok": False,
        "parent": None,
    }


def test_tool_choice_names_the_tool_and_a_namespace_is_kept() -> None:
    """A named tool is called without the magic word, and a tool of a namespace is called with it."""
    other = {"type": "function", "name": "lookup", "parameters": {"type": "object", "properties": {}}}
    space = {"type": "namespace", "name": "mcp__x", "tools": [other]}
    choice = {"type": "function", "name": "lookup"}
    (call,) = items_of(events_for({"tools": [EXEC_COMMAND, space], "input": "hi", "tool_choice": choice}))
    assert (call["name"], call["namespace"], call["arguments"]) == ("lookup", "mcp__x", "{}")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[]", "JSON object"),
        (b"{}", "`input`"),
        (b'{"input": 3}', "`input`"),
        (b'{"input": ["hi"]}', "`input`"),
    ],
)
def test_what_is_no_request_is_named(body: bytes, said: str) -> None:
    """The message says what the body lacks."""
    with pytest.raises(BadRequest, match=said):
        parse_request(body)
