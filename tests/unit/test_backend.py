"""wire/backend.py: a canonical request for a provider of the Responses family (protocol.md 2.1 to 2.3)."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import pytest

from mitmcodex.wire.backend import Adapted, Target, adapted
from mitmcodex.wire.codec import ACCOUNT_KEY, Decoded, Extra
from mitmcodex.wire.errors import WireError
from mitmcodex.wire.patch import REMOVE
from support.strictness import API_KEYS, CHATGPT_KEYS

PUBLIC_KINDS = ("openai", "azure", "responses", "demo")
INCLUDE = ["reasoning.encrypted_content"]
PLAIN = {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}}


def says(role: str, text: str) -> dict[str, Any]:
    return {"type": "message", "role": role, "content": [{"type": "input_text", "text": text}]}


ASKED = [says("user", "q")]
BASE = {"model": "m", "input": ASKED}


def fit(fields: dict[str, Any], kind: str = "chatgpt", decoded: dict[str, Any] | None = None, **target: Any) -> Adapted:
    before = deepcopy(fields)
    found = adapted(Decoded(fields, **decoded or {}), Target(kind, **target), {})
    assert fields == before, "the decoded request is left as it is"
    return found


def told(found: Adapted) -> list[tuple[str, str]]:
    return [(loss.path, loss.what) for loss in found.losses]


# -- Codex ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["chatgpt", *PUBLIC_KINDS])
def test_codex_is_not_changed(kind: str) -> None:
    """conformance 76: only what was decided elsewhere, and ``stream``."""
    brought = {"type": "additional_tools", "id": "at_1", "tools": []}
    items = [brought, says("system", "s"), {"type": "reasoning", "id": "x"}]
    fields = {"model": "m", "stream": True, "input": items, "odd": None, "max_output_tokens": 3, "store": False}
    decoded = Decoded(fields)
    found = adapted(decoded, Target(kind, is_codex=True, lite="off", instructions="mine"), {"model": "n"})
    assert found.changes == {"model": "n"} and found.fields == {**fields, "model": "n"} and found.is_lite
    assert found.losses == [] and found.restore is None
    assert adapted(Decoded({"input": []}), Target(kind, is_codex=True), {}).changes == {"stream": True}


# -- the ChatGPT backend ------------------------------------------------------------------------------


def test_the_smallest_request() -> None:
    """protocol.md 2.2, conformance 35, pains P8: stream, store, include, instructions, input as a list."""
    found = fit({"model": "m", "input": "hé"})
    assert found.changes == {
        "stream": True,
        "store": False,
        "include": INCLUDE,
        "instructions": "Follow the user's instructions.",
        "input": [says("user", "hé")],
        "reasoning": {"summary": "auto"},
    }
    assert found.losses == [] and found.restore is None and not found.is_lite


def test_keys_outside_the_list_are_losses() -> None:
    """pains P5 and P6, seeds S87: nothing but the allow-list goes, each other key is told as the client wrote it."""
    refused = {
        **{"temperature": 0.3, "top_p": 0.9, "max_output_tokens": 50, "max_tool_calls": 3, "truncation": "auto"},
        **{"context_window": 1, "max_context_window": 1, "truncation_policy": {}, "context_management": {"a": 1}},
    }
    hints = {"user": "u", "safety_identifier": "s", "metadata": {"a": "b"}, "prompt_cache_retention": "24h"}
    found = fit({**BASE, **refused, **hints}, decoded={"paths": {"max_output_tokens": "max_tokens"}})
    assert {*found.fields} <= CHATGPT_KEYS
    assert {loss.path for loss in found.losses if not loss.is_hint} == {*refused, "max_tokens"} - {"max_output_tokens"}
    assert {loss.path for loss in found.losses if loss.is_hint} == {*hints}
    assert {loss.what for loss in found.losses} == {"dropped"}
    assert all(found.changes[key] is REMOVE for key in (*refused, *hints))


def test_what_says_nothing_is_no_loss() -> None:
    """Nulls and values that ask for what comes anyway."""
    silent = {"top_logprobs": 0, "background": False, "truncation": "disabled", "metadata": {}, "tools": None}
    found = fit({**BASE, **silent, "temperature": None, "conversation": None, "reasoning": None, "store": False})
    assert found.losses == [] and {*found.fields} <= CHATGPT_KEYS - {"tools"}


def test_what_the_client_wanted_stored_is_a_loss() -> None:
    """conformance 33: pains P8; where it is stored here nothing of it is left in the request."""
    assert told(fit({**BASE, "store": True})) == [("store", "changed")]
    assert fit({**BASE, "store": True}).changes["store"] is False
    assert fit({**BASE, "store": False}).losses == fit(BASE).losses == []


def test_reasoning_text_is_asked_for_unless_it_is_turned_off() -> None:
    """Else no client would ever see any; ``none`` and null are the marks of one that wants none."""
    for given, expected in (
        ({"effort": "low"}, {"effort": "low", "summary": "auto"}),
        ({"summary": "detailed"}, {"summary": "detailed"}),
        ({"summary": "none", "effort": "low"}, {"effort": "low"}),
        ({"generate_summary": "concise"}, {"summary": "concise"}),
        ({"generate_summary": "concise", "summary": None}, {"summary": "concise"}),
        ({"effort": "low", "summary": None}, {"effort": "low"}),
        ({"effort": None}, {"summary": "auto"}),
    ):
        assert fit({**BASE, "reasoning": given}).fields["reasoning"] == expected
    assert "reasoning" not in fit({**BASE, "reasoning": {"summary": "none"}}).fields
    for kind in PUBLIC_KINDS:
        assert fit({**BASE, "reasoning": {"effort": "low"}}, kind).changes == {"stream": True}
        assert "reasoning" not in fit({**BASE, "reasoning": {"summary": "none"}}, kind).fields
        unshown = {**BASE, "reasoning": {"summary": None}}
        assert fit(unshown, kind).changes == {"stream": True}, "the public API reads a null as it is meant"
        assert {"reasoning", "include"}.isdisjoint(fit(unshown, kind, is_translated=True).fields)


JSON_MODE = {"text": {"format": {"type": "json_object"}}}
HINT = says("developer", "Answer in JSON.")


def test_json_mode_has_its_word() -> None:
    """conformance 20: the backend looks for it in the input; what it adds is told as a hint."""
    for found in (fit({**BASE, **JSON_MODE}), fit({**BASE, **JSON_MODE}, "openai", is_translated=True)):
        assert found.fields["input"] == [HINT, *ASKED]
        assert [(loss.path, loss.what, loss.is_hint) for loss in found.losses] == [("text", "changed", True)]
    tools = fit({**BASE, **JSON_MODE, "tools": [PLAIN]}, is_lite=True).fields["input"]
    assert [item.get("type") for item in tools[:1]] == ["additional_tools"] and tools[1:] == [HINT, *ASKED]


def test_json_mode_is_left_alone_where_it_has_its_word() -> None:
    """conformance 20, 76: in whatever case; and a client of the public API itself is refused there, not mended."""
    said = [says("system", "reply as Json"), *ASKED]
    assert fit({"model": "m", "input": said, **JSON_MODE}).losses == []
    assert fit({**BASE, **JSON_MODE}, "openai").changes == {"stream": True}


def test_what_the_backend_refuses_within_a_key() -> None:
    """stream_options, text, reasoning and include have lists of their own."""
    fields = {
        **BASE,
        "stream_options": {"include_obfuscation": False},
        "text": {"verbosity": "low", "odd": 1},
        "reasoning": {"mode": "x"},
        "include": ["message.output_text.logprobs", "web_search_call.action.sources"],
    }
    found = fit(fields)
    assert "stream_options" not in found.fields and found.fields["text"] == {"verbosity": "low"}
    assert found.fields["include"] == ["web_search_call.action.sources", *INCLUDE]
    assert told(found) == [
        ("stream_options.include_obfuscation", "dropped"),
        ("text.odd", "dropped"),
        ("reasoning.mode", "dropped"),
        ("include[0]", "dropped"),
    ]


@pytest.mark.parametrize("key", ["conversation", "prompt", "previous_response_id"])
def test_what_needs_a_memory_is_refused(key: str) -> None:
    """conformance 33: never sent to a provider that refuses it; the kinds of the public API get it."""
    with pytest.raises(WireError) as caught:
        fit({**BASE, key: "x"})
    assert caught.value.param == key and caught.value.status_for(is_codex=False) == 400
    if key == "previous_response_id":
        assert caught.value.code == "previous_response_not_found"
    for kind in PUBLIC_KINDS:
        assert fit({**BASE, key: "x"}, kind).fields[key] == "x"


@pytest.mark.parametrize("kind", ["chatgpt", *PUBLIC_KINDS])
def test_background_runs_in_the_foreground(kind: str) -> None:
    """A loss, and no request that nobody would ever fetch."""
    found = fit({**BASE, "background": True}, kind)
    assert found.fields.get("background", False) is False and told(found) == [("background", "changed")]


def test_system_texts_keep_their_order() -> None:
    """conformance 16, pains P7: leading ones are instructions, after the client's own; the user's come last."""
    items = [says("system", "a"), says("user", "q"), says("system", "b")]
    found = fit({"model": "m", "instructions": "own", "input": items}, instructions="extra")
    assert found.fields["instructions"] == "own\n\na\n\nextra"
    assert [item["role"] for item in found.fields["input"]] == ["user", "developer"]
    assert found.losses == []


def test_a_history_is_repaired_and_stripped() -> None:
    """conformance 18, 34; pains P13, P14, P27: what a client keeps of our answers comes back fit."""
    call = {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "f", "arguments": "{}"}
    thought = {"type": "reasoning", "summary": [], "encrypted_content": "g", ACCOUNT_KEY: "me"}
    found = fit({"model": "m", "input": [*ASKED, thought, call], "store": False}, account="me")
    kinds = [item["type"] for item in found.fields["input"]]
    assert kinds == ["message", "reasoning", "function_call", "function_call_output"]
    sent = json.dumps(found.fields["input"])
    assert ACCOUNT_KEY not in sent and '"id"' not in sent
    assert told(found) == [("input[2]", "changed"), ("input[*].id", "dropped")]
    other = fit({"model": "m", "input": [thought]}, account="you")
    assert other.fields["input"] == [] and other.losses[0].is_hint


def test_the_lite_form_is_taken_where_the_model_asks() -> None:
    """protocol.md 2.3: with its contract, and calls come back without the namespace."""
    fields = {**BASE, "tools": [PLAIN], "parallel_tool_calls": True, "instructions": "own"}
    found = fit(fields, is_lite=True)
    assert found.is_lite and {"tools", "instructions"}.isdisjoint(found.fields)
    assert found.fields["input"][0]["type"] == "additional_tools"
    assert found.fields["reasoning"] == {"summary": "auto", "context": "all_turns"}
    assert found.fields["parallel_tool_calls"] is False and told(found) == [("parallel_tool_calls", "changed")]
    assert found.restore is not None
    answer = {"output": [{"type": "function_call", "name": "f", "namespace": "functions", "arguments": "{}"}]}
    assert "namespace" not in found.restore.whole(answer)["output"][0]
    assert not fit(fields, is_lite=True, lite="off").is_lite
    for kind in PUBLIC_KINDS:
        assert not fit(fields, kind, is_lite=True, lite="on").is_lite


def test_a_clients_own_namespace_comes_back() -> None:
    """One that is named as the Lite form's is not taken for it."""
    found = fit({**BASE, "tools": [{"type": "namespace", "name": "functions", "tools": [PLAIN]}]}, is_lite=True)
    call = {"type": "function_call", "name": "f", "namespace": "functions", "arguments": "{}"}
    assert found.restore is None or found.restore.whole({"output": [call]})["output"] == [call]


def test_a_hosted_tool_goes_in_classic_form() -> None:
    """A loss; with ``on`` a 400 that names a model which can (seeds S144: gpt-5.5)."""
    fields = {**BASE, "tools": [{"type": "image_generation", "size": "3840x2160"}]}
    found = fit(fields, is_lite=True)
    assert not found.is_lite and found.fields["tools"] == fields["tools"] and told(found) == [("tools[0]", "changed")]
    with pytest.raises(WireError, match="gpt-5.5"):
        fit(fields, is_lite=True, lite="on")
    assert fit(fields).losses == []


@pytest.mark.parametrize("kind", ["chatgpt", *PUBLIC_KINDS])
def test_names_and_tuples_go_there_and_back(kind: str) -> None:
    """conformance 52, seeds S80, pains P11: in tools and in the history; a response repeats the client's own."""
    schema = {"type": "object", "properties": {"p": {"prefixItems": [{"type": "integer"}]}}}
    tools = [{"type": "function", "name": "a.b", "parameters": schema}]
    call = {"type": "function_call", "call_id": "c", "name": "a.b", "arguments": '{"p":[1]}'}
    output = {"type": "function_call_output", "call_id": "c", "output": "x"}
    found = fit({"model": "m", "input": [call, output], "tools": tools}, kind)
    alias = found.fields["tools"][0]["name"]
    sent = found.fields["input"][0]
    assert sent == {**call, "name": alias, "arguments": '{"p":{"0":1}}'} and alias != "a.b"
    assert found.restore is not None
    assert found.restore.whole({"tools": found.fields["tools"], "output": [sent]}) == {"tools": tools, "output": [call]}


@pytest.mark.parametrize("kind", ["chatgpt", *PUBLIC_KINDS])
def test_parallel_calls_are_as_the_client_wants(kind: str) -> None:
    """conformance 22 and 32: forwarded, and left out where the client left it out."""
    for value in (True, False):
        assert fit({**BASE, "parallel_tool_calls": value}, kind).fields["parallel_tool_calls"] is value
    assert "parallel_tool_calls" not in fit(BASE, kind).fields


def test_a_long_cache_key_is_hashed() -> None:
    """pains P2: it stays the client's, and the same in each turn."""
    found = fit({**BASE, "prompt_cache_key": "k" * 80})
    key = found.fields["prompt_cache_key"]
    assert len(key) == 64 and fit({**BASE, "prompt_cache_key": "k" * 80}).fields["prompt_cache_key"] == key
    assert told(found) == [("prompt_cache_key", "mapped")]
    assert "prompt_cache_key" not in fit({**BASE, "prompt_cache_key": "k"}).changes


# -- the public API -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", PUBLIC_KINDS)
def test_the_public_api_gets_what_the_client_wrote(kind: str) -> None:
    """conformance 32, 33, 76: stream alone is set; unknown keys, nulls, system items and ids go on as they came."""
    items = [says("system", "s"), {"id": "rs_1", "type": "item_reference"}, {"role": "user", "content": "q"}]
    fields = {
        **{"model": "m", "input": items, "store": True, "previous_response_id": "resp_1", "new": None, "odd": {"a": 1}},
        **{"temperature": 1.5, "max_output_tokens": 5, "user": "u", "service_tier": "flex", "tools": [PLAIN]},
    }
    found = fit(fields, kind)
    assert found.changes == {"stream": True} and found.losses == []
    assert fit({"model": "m", "input": "text", "stream": True}, kind).changes == {}


def test_a_stored_conversation_is_not_repaired() -> None:
    """The call of an output may lie at the provider."""
    output = {"type": "function_call_output", "call_id": "c", "output": "x"}
    fields = {"model": "m", "input": [output], "previous_response_id": "resp_1"}
    assert fit(fields, "openai").changes == {"stream": True}
    del fields["previous_response_id"]
    assert told(fit(fields, "openai")) == [("input[0]", "changed")]


def test_ids_are_stripped_where_the_client_stores_nothing() -> None:
    """conformance 34: with store false they name nothing there either."""
    fields = {"model": "m", "input": [{**says("user", "q"), "id": "msg_1"}], "store": False}
    assert fit(fields, "openai").fields["input"] == ASKED


def test_what_the_api_has_no_name_for_is_lost() -> None:
    """conformance 23: stop and the other protocols' parameters, for all kinds of the family; nulls say nothing."""
    extras = {"seed": Extra("seed", 1), "top_k": Extra("generationConfig.topK", 3), "logit_bias": Extra("x", None)}
    for kind in ("chatgpt", *PUBLIC_KINDS):
        found = fit(BASE, kind, {"stop": ("a",), "extras": extras, "paths": {"stop": "stop_sequences"}})
        assert told(found) == [(path, "dropped") for path in ("stop_sequences", "seed", "generationConfig.topK")]


def test_a_translated_request_is_not_stored() -> None:
    """The public API stores by default, which a client of another protocol did not ask for."""
    found = fit({**BASE, "reasoning": {"effort": "low"}}, "openai", is_translated=True)
    assert found.fields["store"] is False and found.fields["include"] == INCLUDE
    assert "include" not in fit(BASE, "openai", is_translated=True).fields
    assert fit({**BASE, "store": True}, "openai", is_translated=True).fields["store"] is True
    assert {*found.fields} <= API_KEYS


def test_the_users_own_instructions_are_added() -> None:
    """After the client's, for the public API too."""
    assert fit(BASE, "openai", instructions="e").fields["instructions"] == "e"
    assert fit({**BASE, "instructions": "i"}, "openai", instructions="e").fields["instructions"] == "i\n\ne"


# -- both ---------------------------------------------------------------------------------------------

RICH: dict[str, Any] = {
    **{"model": "m", "instructions": "i", "store": True, "include": INCLUDE, "metadata": {}, "stop": "x"},
    "input": [
        {"type": "additional_tools", "role": "developer", "tools": [PLAIN]},
        says("system", "s"),
        {"type": "reasoning", "summary": [], "encrypted_content": "g", ACCOUNT_KEY: "a"},
        {"type": "function_call", "call_id": "c", "name": "f", "namespace": "n", "arguments": "{}", "id": "fc_1"},
        {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_text", "text": "x"}]},
    ],
    "tools": [PLAIN, {"type": "custom", "name": "c"}, {"type": "namespace", "name": "n", "tools": [PLAIN]}],
    "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}]},
    "text": {"format": {"type": "json_schema", "name": "n", "strict": False, "schema": {"properties": {"a": {}}}}},
    "reasoning": {"effort": "low", "summary": "auto"},
    "stream_options": {},
}
ODD = (None, 1, "x", [], {}, [1], {"a": 1}, [[]], [{"type": []}], True)


def mutations(value: Any) -> list[Any]:
    """The value with each value within it replaced by each odd one."""
    found: list[Any] = []
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in entries:
        for other in [*ODD, *mutations(inner)]:
            copy: Any = dict(value) if isinstance(value, dict) else [*value]
            copy[key] = other
            found.append(copy)
    return found


@pytest.mark.parametrize("kind", ["chatgpt", "openai"])
@pytest.mark.parametrize("is_lite", [True, False])
def test_any_json_is_survived(kind: str, is_lite: bool) -> None:
    """A WireError that names a place, or a request; the latter holds nothing of ours and no key but allowed ones."""
    for fields in mutations(RICH):
        try:
            found = adapted(Decoded(fields), Target(kind, is_lite=is_lite, account="a"), {})
        except WireError as error:
            assert error.kind == "invalid_request" and error.param
            continue
        sent = json.dumps(found.fields)
        assert found.fields["stream"] is True and ACCOUNT_KEY not in sent
        assert kind != "chatgpt" or {*found.fields} <= CHATGPT_KEYS


def test_what_is_nested_too_deeply_is_refused() -> None:
    """JSON may nest deeper than schemas can be followed."""
    schema: dict[str, Any] = {}
    for _ in range(5000):
        schema = {"items": schema}
    with pytest.raises(WireError, match="nested too deeply"):
        adapted(Decoded({**BASE, "tools": [{**PLAIN, "parameters": schema}]}), Target("chatgpt"), {})


def test_what_was_settled_goes_first() -> None:
    """Model, effort and tier are decided elsewhere; removals of it are among the changes."""
    fields = {**BASE, "reasoning": {"effort": "ultra"}, "service_tier": "auto"}
    settled = {"model": "n", "reasoning": {"effort": "max"}, "service_tier": REMOVE}
    found = adapted(Decoded(fields), Target("chatgpt"), settled)
    assert found.fields["model"] == "n" and found.fields["reasoning"] == {"effort": "max", "summary": "auto"}
    assert found.changes["service_tier"] is REMOVE and "service_tier" not in found.fields
