"""wire/chat_upstream.py: the parameters of a canonical request towards a Chat Completions service."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from mitmcodex.wire import CODECS, REVERSES
from mitmcodex.wire.chat_upstream import REVERSE, encode_request
from mitmcodex.wire.codec import Asked, Decoded, Extra
from mitmcodex.wire.errors import WireError
from mitmcodex.wire.shapes import Fields
from support.records import Connection, Request
from support.strictness_chat import chat_problems

GOLDEN = Path(__file__).parent.parent / "golden" / "upstream_chat" / "requests"
SCHEMA = {"type": "object", "properties": {"path": {"type": "string"}}}
READ = {"type": "function", "name": "read_file", "description": "Reads.", "parameters": SCHEMA}
LIST = {"type": "function", "name": "list_dir", "parameters": SCHEMA, "strict": False}
PATCH = {"type": "custom", "name": "apply_patch"}


def encoded(**fields: Any) -> Fields:
    return encode_request(Decoded({"model": "m", "input": "hello", **fields})).fields


def losses(**fields: Any) -> list[tuple[str, str, bool]]:
    told = encode_request(Decoded({"model": "m", "input": "hello", **fields})).losses
    return [(loss.path, loss.what, loss.is_hint) for loss in told]


def test_it_is_the_reverse_of_kind_chat():
    """Provider.kind ``chat`` finds it."""
    assert REVERSES["chat"] is REVERSE and REVERSE.kind == "chat"


def test_always_streamed_with_usage():
    """Whatever the client asked for: a client that did not stream gets the folded answer."""
    for stream in (True, False, None):
        got = encoded(stream=stream)
        assert got["stream"] is True and got["stream_options"] == {"include_usage": True}


def test_a_plain_request_loses_nothing():
    """What says nothing, or what Chat Completions does by itself, is no loss."""
    silent = {"stream": True, "store": False, "background": False, "truncation": "disabled", "top_logprobs": 0}
    nothing = {"service_tier": "auto", "tools": None, "metadata": None, "text": {"format": {"type": "text"}}}
    assert losses(**silent, **nothing, temperature=0.5, top_p=1, max_output_tokens=9) == []
    assert losses(store=True) == []  # kept here, conformance 33


def test_sampling_goes_on_under_its_chat_name():
    """max_tokens is the name that most services read."""
    got = encoded(temperature=0.5, top_p=0.9, max_output_tokens=64, reasoning={"effort": "high"})
    assert (got["temperature"], got["top_p"], got["max_tokens"], got["reasoning_effort"]) == (0.5, 0.9, 64, "high")
    assert encoded(text={"verbosity": "low"})["verbosity"] == "low"


def test_stop_and_extras_go_on():
    """conformance 23: what Chat Completions has a name for is carried, what it has not is told."""
    extras = {"seed": Extra("seed", 7), "top_k": Extra("generationConfig.topK", 40)}
    got = encode_request(Decoded({"model": "m", "input": "x"}, stop=("END", "\n"), extras=extras))
    assert got.fields["stop"] == ["END", "\n"] and got.fields["seed"] == 7 and "top_k" not in got.fields
    assert [(loss.path, loss.what) for loss in got.losses] == [("generationConfig.topK", "dropped")]


@pytest.mark.parametrize("key", ["user", "metadata", "prompt_cache_key", "client_metadata", "include", "service_tier"])
def test_what_does_not_change_the_answer_is_left_out_as_a_hint(key):
    """Gemini's and Mistral's services refuse keys they don't know; ``strict`` lets hints pass."""
    assert key not in encoded(**{key: "x"}) and losses(**{key: "x"}) == [(key, "dropped", True)]


@pytest.mark.parametrize("key", ["max_tool_calls", "top_logprobs", "truncation", "context_management", "colour"])
def test_what_would_change_the_answer_is_a_loss_that_counts(key):
    """No key vanishes without an entry, unknown ones included."""
    assert losses(**{key: "auto"}) == [(key, "dropped", False)]


def test_a_loss_names_the_place_as_the_client_wrote_it():
    """Decoded.paths says where a top-level key came from."""
    got = encode_request(Decoded({"model": "m", "input": "x", "user": "u"}, paths={"user": "metadata.user_id"}))
    assert got.losses[0].path == "metadata.user_id"


def test_background_runs_in_the_foreground():
    """Said by a loss ``changed``."""
    assert losses(background=True) == [("background", "changed", False)]


@pytest.mark.parametrize("key", ["previous_response_id", "conversation", "prompt"])
def test_what_is_stored_elsewhere_is_refused(key):
    """conformance 33: never sent to a provider that has no such thing, and the answer would be wrong without it."""
    with pytest.raises(WireError) as caught:
        encoded(**{key: "x"})
    assert caught.value.param == key and "input" in caught.value.message


def test_structured_output():
    """conformance 20, backwards: the flat format is nested again, strict as the client gave it."""
    schema = {"type": "json_schema", "name": "person", "schema": SCHEMA}
    for strict in ({}, {"strict": True}, {"strict": False}):
        form = encoded(text={"format": {**schema, **strict}})["response_format"]
        assert form == {"type": "json_schema", "json_schema": {"name": "person", "schema": SCHEMA, **strict}}
    assert encoded(text={"format": {"type": "json_object"}})["response_format"] == {"type": "json_object"}
    assert encoded(text={"format": {"type": "json_object"}})["messages"][0]["content"] == "Answer in JSON."
    assert "response_format" not in encoded(text={"format": {"type": "text"}})
    assert losses(text={"format": {"type": "grammar"}}) == [("text.format", "dropped", False)]


def test_tools_in_chat_form():
    """Nested under ``function``; only what was given."""
    got = encoded(tools=[READ, LIST])["tools"]
    assert got[0] == {"type": "function", "function": {key: READ[key] for key in ("name", "description", "parameters")}}
    assert got[1]["function"] == {"name": "list_dir", "parameters": SCHEMA, "strict": False}


def test_tool_choice():
    """conformance 21, backwards: by the name that the provider knows."""
    for word in ("auto", "none", "required"):
        assert encoded(tools=[READ], tool_choice=word)["tool_choice"] == word
    named = {"type": "function", "function": {"name": "apply_patch"}}
    assert encoded(tools=[PATCH], tool_choice={"type": "custom", "name": "apply_patch"})["tool_choice"] == named
    clock = {"type": "namespace", "name": "clock", "tools": [READ]}
    chosen = {"type": "function", "name": "read_file", "namespace": "clock"}
    assert encoded(tools=[clock], tool_choice=chosen)["tool_choice"]["function"]["name"] == "clock__read_file"


def test_a_choice_of_a_tool_that_stays_here_is_a_loss():
    """A hosted tool, or one that was not declared, can't be chosen."""
    for chosen in ({"type": "web_search"}, {"type": "function", "name": "other"}):
        assert "tool_choice" not in encoded(tools=[READ], tool_choice=chosen)
        assert losses(tools=[READ], tool_choice=chosen) == [("tool_choice", "dropped", False)]


def test_no_tools_no_choice():
    """conformance 21: tool_choice without tools is dropped, and told when it said something."""
    for tools in (None, [], [{"type": "web_search"}]):
        got = encoded(tools=tools, tool_choice="auto", parallel_tool_calls=False)
        assert not got.keys() & {"tools", "tool_choice", "parallel_tool_calls"}
        assert ("tool_choice", "dropped", False) not in losses(tools=tools, tool_choice="auto")
        assert ("tool_choice", "dropped", False) in losses(tools=tools, tool_choice="required")


def test_allowed_tools():
    """conformance 21: the allowed tools alone are sent, with the mode as the choice."""
    allowed = {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "list_dir"}]}
    got = encoded(tools=[READ, LIST], tool_choice=allowed)
    assert [tool["function"]["name"] for tool in got["tools"]] == ["list_dir"] and got["tool_choice"] == "required"
    assert losses(tools=[READ, LIST], tool_choice=allowed) == [("tool_choice", "mapped", False)]


def test_parallel_tool_calls():
    """conformance 22: false goes on; true is what services do unasked, and some refuse the key."""
    assert encoded(tools=[READ], parallel_tool_calls=False)["parallel_tool_calls"] is False
    assert "parallel_tool_calls" not in encoded(tools=[READ], parallel_tool_calls=True)


@pytest.mark.parametrize("case", sorted(path.name for path in GOLDEN.iterdir()))
def test_any_json_is_survived(case):
    """Each value of each golden request replaced by any other: a request without fault, or a WireError."""
    fields = json.loads((GOLDEN / case / "request.json").read_bytes())["fields"]
    for change in changes(fields):
        try:
            encode_request(Decoded(change))
        except WireError as error:
            assert error.kind == "invalid_request" and error.param


def changes(value: Any) -> Any:
    for path in paths(value):
        for other in (None, 1, "x", [], {}, [1], {"a": 1}, True):
            changed = deepcopy(value)
            place = changed
            for key in path[:-1]:
                place = place[key]
            place[path[-1]] = other
            yield changed


def paths(value: Any, before: tuple[Any, ...] = ()) -> Any:
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        yield (*before, key)
        if key not in ("parameters", "properties"):
            yield from paths(inner, (*before, key))


ROUND = {
    "model": "m",
    "temperature": 0.5,
    "max_output_tokens": 64,
    "reasoning": {"effort": "high"},
    "text": {"format": {"type": "json_schema", "name": "p", "schema": SCHEMA, "strict": True}},
    "tools": [{**READ, "strict": True}, {**LIST, "strict": True}],
    "tool_choice": {"type": "function", "name": "list_dir"},
    "parallel_tool_calls": False,
    "input": [
        {"type": "message", "role": "system", "content": [{"type": "input_text", "text": "Be brief."}]},
        {
            "type": "message",
            "role": "user",
            "content": [
                {"type": "input_text", "text": "Look."},
                {"type": "input_image", "image_url": "data:image/png;base64,aGk=", "detail": "low"},
                {"type": "input_file", "file_data": "data:application/pdf;base64,aGk=", "filename": "a.pdf"},
            ],
        },
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "I look."}]},
        {"type": "function_call", "call_id": "call_1", "name": "read_file", "arguments": '{"path":"a"}'},
        {"type": "function_call", "call_id": "call_2", "name": "list_dir", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "call_1", "output": "one"},
        {"type": "function_call_output", "call_id": "call_2", "output": "two"},
        {"type": "message", "role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Go on."}]},
    ],
}


def test_law_to_the_service_and_back():
    """Canonical → chat → canonical through the client codec is the identity when nothing was told as lost."""
    asked = Decoded(deepcopy(ROUND), stop=("END",), extras={"seed": Extra("seed", 7)})
    there = encode_request(asked)
    assert there.losses == []
    post = Request("POST", "/v1/chat/completions", [], b"", "HTTP/1.1", Connection(1, 0.0))
    assert [*chat_problems(post, there.fields)] == []
    back = CODECS["chat"].decode_request(json.loads(json.dumps(there.fields)), Asked())
    assert back.losses == [] and back.stop == ("END",) and back.extras["seed"].value == 7
    unasked = {"store": False}  # what Chat Completions does unless told otherwise
    assert back.fields == {**ROUND, **unasked}
