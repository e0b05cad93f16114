"""wire/gemini_upstream.py. Each request in golden/upstream_gemini/requests is checked byte for byte and by the rules
of a strict service."""

from __future__ import annotations

from typing import Any

import pytest

from mitmcodex.wire.codec import Asked, Decoded, Extra
from mitmcodex.wire.errors import WireError
from mitmcodex.wire.gemini_request import decode_request
from mitmcodex.wire.gemini_upstream import NO_SIGNATURE, encode_request
from mitmcodex.wire.gemini_upstream_reply import decode_response

MODEL = "gemini-3-pro"
ASKED = Asked(MODEL, "streamGenerateContent", "alt=sse")
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
WEATHER = {"type": "function", "name": "weather", "description": "It.", "parameters": SCHEMA, "strict": False}


def encoded(model: str = MODEL, **fields: Any) -> dict[str, Any]:
    return encode_request(Decoded({"model": model, "input": "Hi", **fields})).fields


def told(role: str, *content: dict[str, Any]) -> dict[str, Any]:
    return {"type": "message", "role": role, "content": [*content]}


def call(call_id: str, arguments: str = "{}") -> dict[str, Any]:
    return {"type": "function_call", "call_id": call_id, "name": "weather", "arguments": arguments}


def output(call_id: str, text: str) -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": call_id, "output": text}


HI = told("user", {"type": "input_text", "text": "Hi"})


def test_law_there_and_back_is_the_identity():
    """What went to a Gemini service, read by the codec of its clients, is the request again, but for named losses."""
    fields = {
        "model": MODEL,
        "input": [
            told("system", {"type": "input_text", "text": "Be kind."}),
            told(
                "user",
                {"type": "input_text", "text": "See"},
                {"type": "input_image", "image_url": "data:image/png;base64,aGk="},
                {"type": "input_image", "image_url": "https://example.test/a.png"},
                {"type": "input_file", "file_url": "https://example.test/a.pdf"},
            ),
            told("assistant", {"type": "output_text", "text": "I look."}),
            call("c1", '{"city":"Zürich"}'),
            call("c2"),
            output("c1", "7 degrees"),
            output("c2", '{"time":"12:00"}'),
            HI,
        ],
        "tools": [WEATHER],
        "tool_choice": {"type": "function", "name": "weather"},
        "max_output_tokens": 5000,
        "temperature": 0.5,
        "top_p": 0.9,
        "text": {"format": {"type": "json_schema", "name": "response", "schema": SCHEMA, "strict": True}},
        "reasoning": {"effort": "high", "summary": "auto"},
    }
    extras = {name: Extra(name, 3) for name in ("top_k", "seed", "presence_penalty", "frequency_penalty")}
    there = encode_request(Decoded(fields, stop=("END",), extras=extras))
    back = decode_request(there.fields, ASKED)
    assert [loss.path for loss in there.losses] == ["text.format.name"]
    # The stand-in for a signature is no signature of ours to the codec of the clients.
    assert {loss.path for loss in back.losses} == {"contents[1].parts[1].thoughtSignature"}
    assert back.fields == fields and back.stop == ("END",)
    assert {name: extra.value for name, extra in back.extras.items()} == dict.fromkeys(extras, 3)


def test_the_model_stands_in_the_path():
    """The service refuses a body that names it."""
    assert encoded().keys() == {"contents"}


@pytest.mark.parametrize(
    ("choice", "config"),
    [
        ("auto", {"mode": "AUTO"}),
        ("required", {"mode": "ANY"}),
        ("none", {"mode": "NONE"}),
        ({"type": "function", "name": "weather"}, {"mode": "ANY", "allowedFunctionNames": ["weather"]}),
    ],
)
def test_tool_choice(choice, config):
    """conformance 66 read backwards."""
    assert encoded(tools=[WEATHER], tool_choice=choice)["toolConfig"] == {"functionCallingConfig": config}


def test_search_is_told_when_it_is_alone():
    """The service refuses it beside functions; that loss is reported."""
    search = {"type": "web_search"}
    assert encoded(tools=[search])["tools"] == [{"googleSearch": {}}]
    made = encode_request(Decoded({"model": MODEL, "input": "Hi", "tools": [search, WEATHER]}))
    assert [*made.fields["tools"][0]] == ["functionDeclarations"] and len(made.fields["tools"]) == 1
    assert ("tools[0]", "dropped") in [(loss.path, loss.what) for loss in made.losses]


def test_a_search_is_never_widened():
    """conformance 51: limits that can't be held are refused."""
    with pytest.raises(WireError) as caught:
        encoded(tools=[{"type": "web_search", "filters": {"allowed_domains": ["example.test"]}}])
    assert caught.value.param == "tools[0].filters"


def test_results_are_objects():
    """JSON objects as they are, anything else under ``output``."""
    items = [HI, call("c1"), call("c2"), call("c3"), output("c1", "text"), output("c2", '{"a":1}'), output("c3", "[1]")]
    parts = encoded(tools=[WEATHER], input=items)["contents"][2]["parts"]
    responses = [part["functionResponse"]["response"] for part in parts]
    assert responses == [{"output": "text"}, {"a": 1}, {"output": "[1]"}]


@pytest.mark.parametrize(("model", "stand_in"), [(MODEL, NO_SIGNATURE), ("gemini-2.5-pro", None)])
def test_calls_of_another_model_have_a_stand_in(model, stand_in):
    """Gemini 3 refuses a turn of calls without a signature: its first gets Google's stand-in."""
    items = [HI, call("c1"), call("c2"), output("c1", "a"), output("c2", "b")]
    parts = encoded(model, tools=[WEATHER], input=items)["contents"][1]["parts"]
    assert [part.get("thoughtSignature") for part in parts] == [stand_in, None]


@pytest.mark.parametrize(
    ("parts", "back"),
    [
        (
            [{"functionCall": {"id": "c1", "name": "weather", "args": {}}, "thoughtSignature": "c2ln"}],
            [{"functionCall": {"id": "c1", "name": "weather", "args": {}}, "thoughtSignature": "c2ln"}],
        ),
        ([{"text": "Yes.", "thoughtSignature": "c2ln"}], [{"text": "Yes."}, {"text": "", "thoughtSignature": "c2ln"}]),
        ([{"text": "Hm.", "thought": True}, {"text": "Yes."}], [{"text": "Yes."}]),
    ],
    ids=["on a call", "on a text", "a thought alone"],
)
def test_signatures_go_round(parts, back):
    """conformance 67: a signature of the service comes back to the part it belongs to; thoughts themselves don't."""
    answer = {"candidates": [{"content": {"parts": parts}, "finishReason": "STOP"}]}
    items = decode_response(answer, Decoded({"model": MODEL, "tools": [WEATHER]}))["output"]
    results = [output(item["call_id"], "a") for item in items if item["type"] == "function_call"]
    assert encoded(tools=[WEATHER], input=[HI, *items, *results])["contents"][1]["parts"] == back
