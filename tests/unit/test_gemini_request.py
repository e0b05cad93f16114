"""Gemini, decode: the body as a whole (conformance 64, 66, 69; seeds S69)."""

from __future__ import annotations

import json

import pytest

from mitmcodex.wire.codec import Asked, Decoded
from mitmcodex.wire.errors import WireError
from mitmcodex.wire.gemini_request import decode_request
from support.mutations import mutations

HI = [{"role": "user", "parts": [{"text": "Hi"}]}]
WHOLE = {
    "systemInstruction": {"role": "user", "parts": [{"text": "Be short."}]},
    "contents": [
        {"role": "user", "parts": [{"text": "See"}, {"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}}]},
        {
            "role": "model",
            "parts": [{"functionCall": {"id": "c1", "name": "a", "args": {"n": 1}}, "thoughtSignature": "x"}],
        },
        {"role": "user", "parts": [{"functionResponse": {"id": "c1", "name": "a", "response": {"result": "1"}}}]},
        {"role": "user", "parts": [{"fileData": {"mimeType": "image/png", "fileUri": "https://example.org/a.png"}}]},
    ],
    "tools": [
        {"functionDeclarations": [{"name": "a", "parameters": {"type": "OBJECT", "nullable": True}}]},
        {"googleSearch": {}},
    ],
    "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["a"]}},
    "generationConfig": {
        "temperature": 0.5,
        "topK": 5.0,
        "candidateCount": 2,
        "maxOutputTokens": 10,
        "stopSequences": ["x"],
        "responseMimeType": "application/json",
        "responseSchema": {"type": "ARRAY", "items": {"type": "STRING", "enum": ["a"]}},
        "responseModalities": ["TEXT"],
        "thinkingConfig": {"includeThoughts": True, "thinkingBudget": 1},
    },
    "safetySettings": [{"category": "X", "threshold": "Y"}],
    "serviceTier": "priority",
}


def decoded(body: dict, **asked: str) -> Decoded:
    return decode_request(body, Asked(**{"model": "gemini-2.5-pro", "action": "generateContent", **asked}))


@pytest.mark.parametrize("action, streams", [("generateContent", False), ("streamGenerateContent", True)])
def test_the_path_says_model_and_stream(action, streams):
    """conformance 64: both come from the path, nothing of them from the body."""
    got = decoded({"contents": HI}, action=action)
    assert (got.fields["model"], got.wants_stream) == ("gemini-2.5-pro", streams)


@pytest.mark.parametrize(
    "query, is_array", [("alt=sse", False), ("key=K&alt=sse", False), ("", True), ("alt=json", True)]
)
def test_without_alt_sse_a_stream_is_an_array(query, is_array):
    """conformance 64: ``alt=sse`` in the query asks for events, anything else for a JSON array."""
    assert decoded({"contents": HI}, query=query).reply.is_array is is_array


def test_what_the_client_left_out_stays_out():
    """conformance 32: no default is invented."""
    assert decoded({"contents": HI, "generationConfig": {}}).fields.keys() == {"model", "input"}


def test_system_text_comes_first():
    """conformance 66: systemInstruction is a system item before all others, wherever its key stands."""
    got = decoded({"contents": HI, "systemInstruction": {"parts": [{"text": "Be short."}]}})
    assert [item["role"] for item in got.fields["input"]] == ["system", "user"]


def test_both_spellings_of_keys_are_read():
    """Old clients write snake_case; losses and errors keep the client's spelling."""
    got = decoded({"contents": HI, "generation_config": {"top_p": 0.5}, "safety_settings": [1]})
    assert got.fields["top_p"] == 0.5
    assert got.path("top_p") == "generation_config.top_p"
    assert [loss.path for loss in got.losses] == ["safety_settings"]


def test_a_key_that_stands_twice_is_a_loss():
    """Of two spellings of one key the one that is not read is reported."""
    got = decoded({"contents": HI, "serviceTier": "flex", "service_tier": "priority"})
    assert got.fields["service_tier"] == "flex"
    assert [loss.path for loss in got.losses] == ["service_tier"]


@pytest.mark.parametrize("body", [{"contents": HI}, {"generateContentRequest": {"contents": HI, "model": "models/x"}}])
def test_count_tokens_bodies_are_requests(body):
    """conformance 69: countTokens takes contents, or a whole request under generateContentRequest."""
    assert decoded(body, action="countTokens").fields == decoded({"contents": HI}).fields


def test_the_body_names_the_model_where_the_path_does_not():
    """The wrapped request of countTokens may hold the only name."""
    body = {"generateContentRequest": {"contents": HI, "model": "models/gemini-x"}}
    assert decoded(body, model="").fields["model"] == "gemini-x"


def test_hints_pass_strict_and_others_do_not():
    """safetySettings, labels, store have no effect on the answer; an unknown key may have one."""
    got = decoded({"contents": HI, "safetySettings": [1], "labels": {"a": "b"}, "store": True, "newThing": 1})
    assert {loss.path: loss.is_hint for loss in got.losses} == {
        "safetySettings": True,
        "labels": True,
        "store": True,
        "newThing": False,
    }


def test_nothing_is_lost_for_what_says_nothing():
    """Null, false and what is empty ask for nothing: no loss."""
    got = decoded({"contents": HI, "safetySettings": [], "audioTimestamp": False, "newThing": None, "tools": []})
    assert got.losses == []


@pytest.mark.parametrize("body", [{}, {"contents": []}, {"contents": [{"role": "user", "parts": []}]}])
def test_nothing_to_answer_is_an_error(body):
    """A request without any part is refused by name."""
    with pytest.raises(WireError, match="contents"):
        decoded(body)


def test_what_is_kept_at_google_is_an_error():
    """cachedContent holds a part of the conversation: an answer without it would be a lie."""
    with pytest.raises(WireError, match="cachedContent"):
        decoded({"contents": HI, "cachedContent": "cachedContents/1"})


@pytest.mark.parametrize("tier, expected", [("standard", "default"), ("PRIORITY", "priority"), ("unspecified", None)])
def test_service_tier(tier, expected):
    """Google's names for the tiers are mapped, its default says nothing."""
    assert decoded({"contents": HI, "serviceTier": tier}).fields.get("service_tier") == expected


def test_deep_nesting_is_an_error():
    """JSON that nests deeper than can be followed is refused, not a crash."""
    schema: dict = {"type": "STRING"}
    for _ in range(5000):
        schema = {"type": "ARRAY", "items": schema}
    with pytest.raises(WireError, match="nested"):
        decoded({"contents": HI, "generationConfig": {"responseSchema": schema}})


@pytest.mark.parametrize("body", mutations(WHOLE), ids=repr)
def test_any_json_is_survived(body):
    """Any value of any wrong type gives a request or an error that names its path."""
    try:
        got = decoded(body)
    except WireError as error:
        assert error.kind == "invalid_request"
        assert error.param
    else:
        json.dumps(got.fields)
