"""Ollama, decode: the body as a whole (conformance 72, 73; seeds S79, S250, S251)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mitmcodex.wire.codec import Asked, Decoded, Extra
from mitmcodex.wire.errors import WireError
from mitmcodex.wire.ollama_request import OllamaReply, decode_request
from support.mutations import mutations

PNG = "iVBORw0KGgoAAAANSUhEUg=="
HI = [{"role": "user", "content": "Hi"}]
WHOLE = {
    "model": "m",
    "messages": [
        {"role": "system", "content": "Be short."},
        {"role": "user", "content": "See", "images": [PNG]},
        {
            "role": "assistant",
            "tool_calls": [{"id": "c", "function": {"index": 0, "name": "a", "arguments": {"n": 1}}}],
        },
        {"role": "tool", "content": "1", "tool_name": "a"},
    ],
    "tools": [{"type": "function", "function": {"name": "a", "description": "d", "parameters": {"type": "object"}}}],
    "format": {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]},
    "options": {"temperature": 0.5, "num_predict": 5, "stop": ["x"], "seed": 1, "num_ctx": 9},
    "stream": True,
    "think": True,
    "keep_alive": "5m",
}
GENERATE = {"model": "m", "prompt": "Hi", "system": "Be short.", "images": [PNG], "raw": True, "context": [1]}


def chat(**fields: Any) -> Decoded:
    return decode_request({"model": "m", "messages": HI, **fields}, Asked(action="chat"))


def generate(**fields: Any) -> Decoded:
    return decode_request({"model": "m", "prompt": "Hi", **fields}, Asked(action="generate"))


@pytest.mark.parametrize("told, streams", [(None, True), (True, True), (False, False)])
def test_streaming_is_the_default(told, streams):
    """conformance 72: both calls stream unless ``stream`` is false."""
    assert chat(stream=told).wants_stream is streams
    assert generate(stream=told).wants_stream is streams


@pytest.mark.parametrize("body", [{}, {"model": "m"}, {"messages": HI}, {"model": "", "messages": HI}])
def test_a_chat_needs_model_and_messages(body):
    """seeds S251: the text names both."""
    with pytest.raises(WireError) as caught:
        decode_request(body, Asked(action="chat"))
    assert caught.value.message == "Missing required fields: model, messages"


@pytest.mark.parametrize("body", [{"model": "m"}, {"model": "m", "prompt": ""}])
def test_generate_needs_a_prompt(body):
    """seeds S251: for generate it is the prompt; there is no model to load."""
    with pytest.raises(WireError, match="Missing required fields: model, prompt"):
        decode_request(body, Asked(action="generate"))


def test_what_the_client_left_out_stays_out():
    """conformance 32: no default is invented; an empty list of tools is none."""
    assert chat(tools=[]).fields.keys() == {"model", "input"}


def test_a_prompt_with_system_text():
    """conformance 72: /api/generate is a conversation of system text and prompt."""
    got = generate(system="Be short.", images=[PNG])
    assert [item["role"] for item in got.fields["input"]] == ["system", "user"]
    assert [part["type"] for part in got.fields["input"][1]["content"]] == ["input_text", "input_image"]
    assert got.reply.is_generate


@pytest.mark.parametrize("key, value", [("raw", True), ("template", "t"), ("suffix", "s"), ("context", [1])])
def test_what_generate_can_not_carry(key, value):
    """conformance 73: what works on a model at hand is lost, and no hint."""
    assert [(loss.path, loss.is_hint) for loss in generate(**{key: value}).losses] == [(key, False)]


@pytest.mark.parametrize(
    "think, reasoning, shows",
    [
        (None, None, True),
        (True, {"effort": "medium"}, True),
        ("low", {"effort": "low"}, True),
        ("xhigh", {"effort": "xhigh"}, True),
        (False, {"summary": None}, False),
    ],
)
def test_think(think, reasoning, shows):
    """conformance 73, seeds S250: true is medium, a level itself, false gives none and hides the thinking."""
    got = chat(think=think)
    assert got.fields.get("reasoning") == reasoning
    assert got.reply == OllamaReply(shows_thinking=shows)


def test_json_mode():
    """conformance 73, seeds S79, S250: format json is JSON mode, an empty one nothing."""
    assert chat(format="json").fields["text"] == {"format": {"type": "json_object"}}
    assert "text" not in chat(format="").fields


def test_structured_output():
    """conformance 73, seeds S79, S250: a schema is a strict json_schema named ollama_schema; closing its objects is
    reported."""
    schema = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
    got = chat(format=schema)
    made = got.fields["text"]["format"]
    assert (made["type"], made["name"], made["strict"]) == ("json_schema", "ollama_schema", True)
    assert made["schema"] == {**schema, "additionalProperties": False}
    assert [(loss.path, loss.what) for loss in got.losses] == [("format", "changed")]


def test_a_schema_that_can_not_be_strict():
    """seeds S250: an optional property would be refused with ``strict``: it goes on as it is, told as not enforced."""
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    got = chat(format=schema)
    assert got.fields["text"]["format"] == {
        "type": "json_schema", "name": "ollama_schema", "schema": schema, "strict": False,
    }  # fmt: skip
    assert [(loss.path, loss.what) for loss in got.losses] == [("format", "changed")]


def test_options():
    """conformance 73, seeds S250: what has a canonical name takes it, with the client's path."""
    got = chat(options={"temperature": 0.1, "top_p": 0.2, "num_predict": 7, "stop": "END"})
    kept = {"temperature": 0.1, "top_p": 0.2, "max_output_tokens": 7}
    assert {key: got.fields[key] for key in kept} == kept
    assert got.path("max_output_tokens") == "options.num_predict"
    assert got.stop == ("END",)


def test_extras():
    """conformance 73: seed, top_k and the penalties are for adapt to carry on or to report."""
    got = chat(options={"seed": 1, "top_k": 5, "presence_penalty": 0.1, "frequency_penalty": 0.2})
    assert got.extras["seed"] == Extra("options.seed", 1)
    assert got.extras.keys() == {"seed", "top_k", "presence_penalty", "frequency_penalty"}


@pytest.mark.parametrize("limit", [-1, -2, 0])
def test_no_limit(limit):
    """num_predict -1 and -2 set none."""
    assert "max_output_tokens" not in chat(options={"num_predict": limit}).fields


def test_options_of_a_runner_are_hints():
    """conformance 73: what sets up a local runner has no effect on the answer, any other option is a loss."""
    got = chat(options={"num_ctx": 4096, "num_gpu": 1, "mirostat": 2}, keep_alive=0)
    assert {loss.path: loss.is_hint for loss in got.losses} == {
        "options.num_ctx": True,
        "options.num_gpu": True,
        "options.mirostat": False,
        "keep_alive": True,
    }


@pytest.mark.parametrize("key, value", [("logprobs", True), ("top_logprobs", 3)])
def test_log_probabilities(key, value):
    """conformance 23: they can't be had; false asks for none."""
    with pytest.raises(WireError, match=key):
        chat(**{key: value})
    assert chat(logprobs=False, top_logprobs=0).losses == []


def test_a_tool():
    """conformance 73: flat, never strict by itself, with empty parameters where it has none."""
    got = chat(tools=[{"type": "function", "function": {"name": "a", "description": "d"}}])
    parameters = {"type": "object", "properties": {}}
    assert got.fields["tools"] == [
        {"type": "function", "name": "a", "description": "d", "parameters": parameters, "strict": False}
    ]


@pytest.mark.parametrize("tool", [{"type": "web"}, {"type": "function"}, {"function": {}}, 1])
def test_a_tool_that_is_none(tool):
    """The error names the place."""
    with pytest.raises(WireError, match=r"tools\[0\]"):
        chat(tools=[tool])


def test_unknown_keys_are_losses():
    """No key vanishes."""
    assert [loss.path for loss in chat(newThing=1).losses] == ["newThing"]


@pytest.mark.parametrize("body", mutations(WHOLE), ids=repr)
def test_any_json_is_survived(body):
    """Any value of any wrong type gives a request or an error."""
    survives(body, "chat")


@pytest.mark.parametrize("body", mutations(GENERATE), ids=repr)
def test_any_json_of_generate_is_survived(body):
    """The same for /api/generate."""
    survives(body, "generate")


def survives(body: dict[str, Any], action: str) -> None:
    try:
        got = decode_request(body, Asked(action=action))
    except WireError as error:
        assert error.kind == "invalid_request"
    else:
        json.dumps(got.fields)
