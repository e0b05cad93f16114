"""wire/messages_upstream.py. Each request in golden/upstream_messages/requests is checked byte for byte and by the
rules of a strict service."""

from __future__ import annotations

from typing import Any

import pytest

from mitmcodex.wire.codec import Asked, Decoded, Extra
from mitmcodex.wire.errors import WireError
from mitmcodex.wire.messages_request import decode_request
from mitmcodex.wire.messages_upstream import DEFAULT_MAX_TOKENS, SMALL_MAX_TOKENS, encode_request
from mitmcodex.wire.messages_upstream_reply import decode_response
from mitmcodex.wire.signatures import wrap

MODEL = "claude-opus-4-6"
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
WEATHER = {"type": "function", "name": "weather", "description": "It.", "parameters": SCHEMA, "strict": True}


def encoded(model: str = MODEL, **fields: Any) -> dict[str, Any]:
    return encode_request(Decoded({"model": model, "input": "Hi", **fields})).fields


def told(role: str, *content: dict[str, Any]) -> dict[str, Any]:
    return {"type": "message", "role": role, "content": [*content]}


HI = told("user", {"type": "input_text", "text": "Hi"})


def test_law_there_and_back_is_the_identity():
    """What went to a Messages service, read by the codec of its clients, is the request again, with no loss at all."""
    fields = {
        "model": MODEL,
        "input": [
            told("system", {"type": "input_text", "text": "Be kind."}),
            told(
                "user",
                {"type": "input_text", "text": "See"},
                {"type": "input_image", "image_url": "data:image/png;base64,aGk="},
                {"type": "input_image", "image_url": "https://example.test/a.png"},
                {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERg=="},
            ),
            told("assistant", {"type": "output_text", "text": "I look."}),
            {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": '{"city":"Zürich"}'},
            {"type": "function_call", "call_id": "c2", "name": "weather", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c1", "output": "7 degrees"},
            {"type": "function_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "a"}] * 2},
            told("user", {"type": "input_text", "text": "Thanks"}),
        ],
        "tools": [WEATHER, {"type": "web_search", "filters": {"allowed_domains": ["example.test"]}}],
        "tool_choice": "auto",
        "parallel_tool_calls": False,
        "max_output_tokens": 5000,
        "text": {"format": {"type": "json_schema", "name": "output", "schema": SCHEMA, "strict": True}},
        "reasoning": {"effort": "high", "summary": "auto"},
    }
    there = encode_request(Decoded(fields, stop=("END",)))
    back = decode_request(there.fields, Asked())
    # The name of a format is lost and made anew; whoever sees thinking asks for it there, so nobody says "auto".
    assert [loss.path for loss in there.losses] == ["text.format.name"] and back.losses == []
    assert back.fields == {**fields, "reasoning": {"effort": "high"}}
    assert (back.stop, back.wants_stream) == (("END",), True)


def test_law_sampling_comes_back():
    """Sampling parameters go where a model takes them."""
    decoded = Decoded({"model": MODEL, "input": "Hi", "temperature": 0.5}, extras={"top_k": Extra("top_k", 3)})
    back = decode_request({**encode_request(decoded).fields}, Asked())
    assert back.fields["temperature"] == 0.5 and back.extras == decoded.extras


def test_a_limit_is_always_sent():
    """The service demands max_tokens: the client's, else a documented default that the model can give."""
    assert encoded(max_output_tokens=7)["max_tokens"] == 7
    assert encoded()["max_tokens"] == DEFAULT_MAX_TOKENS
    assert encoded("claude-3-5-haiku-20241022")["max_tokens"] == SMALL_MAX_TOKENS


@pytest.mark.parametrize(
    ("model", "kept"),
    [("claude-3-7-sonnet", {"temperature", "top_p"}), (MODEL, {"temperature"}), ("claude-opus-4-7", set())],
)
def test_models_take_fewer_and_fewer_sampling_parameters(model, kept):
    """What a model would refuse is dropped and said."""
    made = encode_request(Decoded({"model": model, "input": "Hi", "temperature": 0.5, "top_p": 0.5}))
    assert made.fields.keys() & {"temperature", "top_p"} == kept
    dropped = {loss.path for loss in made.losses if loss.what == "dropped"}
    assert dropped == {"temperature", "top_p"} - kept


def test_a_temperature_of_openai_may_be_too_high():
    """There the highest is 2, here 1."""
    made = encode_request(Decoded({"model": MODEL, "input": "Hi", "temperature": 1.5}))
    assert made.fields["temperature"] == 1
    assert ("temperature", "changed") in [(loss.path, loss.what) for loss in made.losses]


def test_thinking_and_sampling_exclude_each_other():
    """The service thinks at temperature 1 alone."""
    fields = {"model": MODEL, "input": "Hi", "temperature": 0.5, "reasoning": {"effort": "high"}}
    made = encode_request(Decoded(fields))
    assert "temperature" not in made.fields and made.fields["thinking"]["type"] == "adaptive"
    assert ("temperature", "dropped") in [(loss.path, loss.what) for loss in made.losses]


@pytest.mark.parametrize(
    ("choice", "made"),
    [
        ("auto", {"type": "auto"}),
        ("required", {"type": "any"}),
        ("none", {"type": "none"}),
        ({"type": "function", "name": "weather"}, {"type": "tool", "name": "weather"}),
        ({"type": "web_search_preview"}, {"type": "tool", "name": "web_search"}),
    ],
)
def test_tool_choice(choice, made):
    """conformance 59 read backwards."""
    tools = [WEATHER, {"type": "web_search"}]
    assert encoded(tools=tools, tool_choice=choice)["tool_choice"] == made


def test_one_call_at_a_time():
    """conformance 59: parallel_tool_calls false stands in the choice, which is auto when nobody chose."""
    made = encoded(tools=[WEATHER], parallel_tool_calls=False)
    assert made["tool_choice"] == {"type": "auto", "disable_parallel_tool_use": True}


def test_a_file_that_is_no_pdf_must_be_text():
    """conformance 56: text goes as text, anything else can't be read there."""
    part = {"type": "input_file", "file_data": "data:text/csv;base64,YSxi"}
    (block,) = encoded(input=[told("user", part)])["messages"][0]["content"]
    assert block == {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "a,b"}}
    with pytest.raises(WireError) as caught:
        encoded(input=[told("user", {**part, "file_data": "data:application/zip;base64,YSxi"})])
    assert caught.value.param == "input[0].content[0]"


def test_thoughts_go_round():
    """conformance 57: a thinking block of the service comes back to it unchanged through a client's history."""
    block = {"type": "thinking", "thinking": "Hm. ", "signature": "sig=="}
    answer = {"content": [block, {"type": "text", "text": "Yes."}], "stop_reason": "end_turn"}
    output = decode_response(answer, Decoded({"model": MODEL}))["output"]
    assert output[0]["summary"] == [{"type": "summary_text", "text": "Hm. "}]
    assert encoded(input=[HI, *output, HI])["messages"][1]["content"] == [block, {"type": "text", "text": "Yes."}]


def test_only_its_own_thoughts_go_back():
    """pains.md P15: what another service signed would be refused."""
    foreign = {"type": "reasoning", "summary": [], "encrypted_content": wrap("gemini", {"signature": "x"})}
    made = encode_request(Decoded({"model": MODEL, "input": [HI, foreign]}))
    assert len(made.fields["messages"]) == 1
    assert [(loss.path, loss.is_hint) for loss in made.losses if loss.what == "dropped"] == [("input[1]", True)]


def test_custom_and_namespaced_tools_go_round():
    """conformance 52: flat names and wrapped texts there, the client's own tools back."""
    patch = {"type": "custom", "name": "apply_patch"}
    tools = [{"type": "namespace", "name": "disk", "description": "", "tools": [patch]}]
    (tool,) = encoded(tools=tools)["tools"]
    assert tool["name"] == "disk__apply_patch" and tool["input_schema"]["required"] == ["input"]
    use = {"type": "tool_use", "id": "c1", "name": tool["name"], "input": {"input": "*** ü"}}
    (item,) = decode_response({"content": [use], "stop_reason": "tool_use"}, Decoded({"tools": tools}))["output"]
    assert (item["type"], item["namespace"], item["name"]) == ("custom_tool_call", "disk", "apply_patch")
    assert (item["call_id"], item["input"]) == ("c1", "*** ü")
