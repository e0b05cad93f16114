"""Gemini's generationConfig, toolConfig and tools (conformance 58, 66; seeds S79)."""

from __future__ import annotations

from typing import Any

import pytest

from mitmcodex.wire import gemini_tools
from mitmcodex.wire.codec import Asked, Decoded, Extra
from mitmcodex.wire.errors import WireError
from mitmcodex.wire.gemini_reading import GeminiReading
from mitmcodex.wire.gemini_request import decode_request


def with_config(**config: Any) -> Decoded:
    body = {"contents": [{"parts": [{"text": "Hi"}]}], "generationConfig": config}
    return decode_request(body, Asked("m", "generateContent"))


def with_tools(tools: Any, calling: Any = None) -> Decoded:
    body = {"contents": [{"parts": [{"text": "Hi"}]}], "tools": tools}
    if calling:
        body["toolConfig"] = {"functionCallingConfig": calling}
    return decode_request(body, Asked("m", "generateContent"))


# --- generationConfig


def test_sampling_takes_canonical_names():
    """What canonical form knows goes there, with the client's path for later losses."""
    got = with_config(temperature=0.1, topP=0.2, maxOutputTokens=7)
    kept = {"temperature": 0.1, "top_p": 0.2, "max_output_tokens": 7}
    assert {key: got.fields[key] for key in kept} == kept
    assert got.path("max_output_tokens") == "generationConfig.maxOutputTokens"


def test_sampling_without_a_canonical_name_is_an_extra():
    """seed, topK and the penalties are for adapt to carry on or to report."""
    got = with_config(topK=5.0, seed="7", presencePenalty=0.1, frequencyPenalty=0.2)
    assert got.extras == {
        "top_k": Extra("generationConfig.topK", 5),
        "seed": Extra("generationConfig.seed", 7),
        "presence_penalty": Extra("generationConfig.presencePenalty", 0.1),
        "frequency_penalty": Extra("generationConfig.frequencyPenalty", 0.2),
    }


def test_candidates_and_stop_sequences():
    """candidateCount is n, stopSequences are stop; an empty sequence stops nothing."""
    got = with_config(candidateCount=3, stopSequences=["END", ""])
    assert (got.n, got.stop) == (3, ("END",))


def test_no_candidate_is_an_error():
    """candidateCount must be positive."""
    with pytest.raises(WireError, match="candidateCount"):
        with_config(candidateCount=0)


@pytest.mark.parametrize(
    "budget, effort",
    [(0, "none"), (1, "low"), (4096, "low"), (4097, "medium"), (16384, "medium"), (16385, "high"), (-1, None)],
)
def test_thinking_budget_is_an_effort(budget, effort):
    """conformance 58: the budget's steps, -1 leaves it to the model; the mapping is reported."""
    got = with_config(thinkingConfig={"thinkingBudget": budget})
    assert got.fields.get("reasoning", {}).get("effort") == effort
    assert [loss.what for loss in got.losses] == (["mapped"] if effort else [])


def test_thinking_level_is_an_effort():
    """Newer clients name the level; it counts more than a budget."""
    got = with_config(thinkingConfig={"thinkingLevel": "HIGH", "thinkingBudget": 1})
    assert got.fields["reasoning"] == {"effort": "high"}
    assert [loss.path for loss in got.losses] == ["generationConfig.thinkingConfig.thinkingBudget"]


@pytest.mark.parametrize("told, summary", [(True, {"summary": "auto"}), (False, {"summary": None}), (None, None)])
def test_include_thoughts(told, summary):
    """conformance 67: thoughts go out only if includeThoughts is true."""
    got = with_config(thinkingConfig={"includeThoughts": told})
    assert got.fields.get("reasoning") == summary
    assert got.reply.shows_thoughts is (told is True)


def test_json_mode():
    """conformance 66, seeds S79: responseMimeType without a schema is JSON mode; text/plain is nothing."""
    assert with_config(responseMimeType="application/json").fields["text"] == {"format": {"type": "json_object"}}
    assert "text" not in with_config(responseMimeType="text/plain").fields


@pytest.mark.parametrize("key", ["responseSchema", "responseJsonSchema", "response_json_schema"])
def test_structured_output(key):
    """conformance 66: a schema of either form becomes text.format, strict where it can be held."""
    schema = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
    got = with_config(**{"responseMimeType": "application/json", key: schema})
    made = got.fields["text"]["format"]
    assert (made["type"], made["name"], made["strict"]) == ("json_schema", "response", True)
    assert made["schema"] == {**schema, "additionalProperties": False}


def test_a_root_that_is_no_object_is_wrapped():
    """``list[…]`` and enums are asked for inside an object; the encoder takes them out."""
    got = with_config(responseMimeType="text/x.enum", responseSchema={"type": "STRING", "enum": ["a"]})
    assert got.fields["text"]["format"]["schema"]["required"] == ["value"]
    assert (got.reply.is_wrapped, got.reply.is_enum) == (True, True)
    assert "emulated" in [loss.what for loss in got.losses]


@pytest.mark.parametrize("config", [{"responseLogprobs": True}, {"logprobs": 2}, {"responseMimeType": "text/x.enum"}])
def test_what_can_not_be_had_is_an_error(config):
    """Log probabilities (conformance 23) and formats without a schema: 400 that names the key."""
    with pytest.raises(WireError, match=next(iter(config))):
        with_config(**config)


def test_images_are_drawn_by_a_tool():
    """responseModalities with IMAGE adds the image tool, reported as mapped; TEXT says nothing."""
    got = with_config(responseModalities=["TEXT", "IMAGE"])
    assert got.fields["tools"] == [{"type": "image_generation"}]
    assert [loss.what for loss in got.losses] == ["mapped"]


def test_other_modalities_are_lost():
    """An answer can't be spoken: reported."""
    assert [loss.what for loss in with_config(responseModalities=["AUDIO"]).losses] == ["dropped"]


def test_unknown_keys_of_the_config_are_losses():
    """No key vanishes."""
    assert [loss.path for loss in with_config(newThing=1).losses] == ["generationConfig.newThing"]


# --- tools


def test_a_function():
    """conformance 66: Gemini's schema in JSON's form, never strict by itself."""
    declared = {"name": "a", "description": "d", "parameters": {"type": "OBJECT", "properties": {}}}
    made = {"type": "function", "name": "a", "description": "d", "parameters": {"type": "object", "properties": {}}}
    assert with_tools([{"functionDeclarations": [declared]}]).fields["tools"] == [{**made, "strict": False}]


def test_a_json_schema_stays_as_it_is():
    """conformance 66: parametersJsonSchema is JSON schema already, its names too."""
    schema = {"type": "object", "properties": {"a_b": {"type": "STRING"}}}
    found = gemini_tools.tools(
        [GeminiReading({"functionDeclarations": [{"name": "a", "parametersJsonSchema": schema}]}, "", [])]
    )
    assert found[0]["parameters"] == schema


@pytest.mark.parametrize("key", ["googleSearch", "google_search", "googleSearchRetrieval", "enterpriseWebSearch"])
def test_google_search_is_web_search(key):
    """Each form of Google's search is the web search of canonical form."""
    assert with_tools([{key: {}}]).fields["tools"] == [{"type": "web_search"}]


@pytest.mark.parametrize("key", ["codeExecution", "urlContext", "fileSearch", "googleMaps", "computerUse"])
def test_tools_of_google_are_lost(key):
    """An empty object asks for them as well: reported, and no hint, so that strict refuses it."""
    got = with_tools([{key: {}}])
    assert [(loss.path, loss.is_hint) for loss in got.losses] == [(f"tools[0].{key}", False)]
    assert "tools" not in got.fields


@pytest.mark.parametrize(
    "calling, expected",
    [
        ({"mode": "AUTO"}, "auto"),
        ({"mode": "ANY"}, "required"),
        ({"mode": "NONE"}, "none"),
        ({"mode": "any", "allowedFunctionNames": ["a"]}, {"type": "function", "name": "a"}),
        (
            {"mode": "ANY", "allowedFunctionNames": ["a", "b"]},
            {
                "type": "allowed_tools",
                "mode": "required",
                "tools": [{"type": "function", "name": "a"}, {"type": "function", "name": "b"}],
            },
        ),
        ({"mode": "MODE_UNSPECIFIED"}, None),
    ],
)
def test_calling_modes(calling, expected):
    """conformance 66: AUTO, ANY and NONE, alone and with allowedFunctionNames."""
    assert with_tools([], calling).fields.get("tool_choice") == expected


def test_validated_is_changed():
    """VALIDATED promises what can't be had: AUTO, reported."""
    got = with_tools([], {"mode": "VALIDATED"})
    assert (got.fields["tool_choice"], [loss.what for loss in got.losses]) == ("auto", ["changed"])


def test_an_unknown_mode_is_an_error():
    """The error names the key and what it may be."""
    with pytest.raises(WireError, match="mode: must be one of AUTO"):
        with_tools([], {"mode": "SOMETIMES"})
