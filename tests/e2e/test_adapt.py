"""Requests of foreign clients at the strict backend, which takes what the real one takes and nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.answers import say, stream
from support.auth import Login
from support.backend import Backend
from support.client import post
from support.events import ev_completed, ev_created, ev_item_done
from support.proxy import Proxy
from support.tls import Authority
from support.upstreams import to_api, to_chatgpt

LITE_MODEL, CLASSIC_MODEL = "gpt-6.1-sol", "gpt-5.5"
LITE_HEADER = "x-openai-internal-codex-responses-lite"
NAME = "mcp.server:" + "x" * 70
PAIR = {"type": "object", "properties": {"at": {"type": "array", "prefixItems": [{"type": "integer"}]}}}
TOOL = {"type": "function", "name": NAME, "parameters": PAIR}


@pytest.fixture
def chatgpt(tmp_path: Path, backend: Backend, ca: Authority, login: Login) -> Iterator[Proxy]:
    with Proxy(tmp_path, to_chatgpt(backend, ca, login.path)) as proxy:
        yield proxy


def says(role: str, text: str) -> dict[str, Any]:
    return {"role": role, "content": text}


@pytest.mark.parametrize("model", [LITE_MODEL, CLASSIC_MODEL])
def test_whatever_an_sdk_sends_is_taken(model: str, chatgpt: Proxy, backend: Backend) -> None:
    """pains P5 to P8, P13, P27; conformance 16, 34: every parameter of the public API, a history with ids, an
    unanswered call, system texts in the middle; each thing that is lost is counted."""
    backend.queue(say("fine"))
    call = {"type": "function_call", "id": "call_x", "call_id": "c1", "name": "f", "arguments": ""}
    reference = {"type": "item_reference", "id": "msg_9"}
    thought = {"type": "reasoning", "id": "rs_1", "summary": []}
    parameters = {
        **{"temperature": 0.3, "top_p": 0.9, "max_tool_calls": 3, "metadata": {"a": "b"}, "user": "u"},
        **{"safety_identifier": "s", "top_logprobs": 0, "background": False, "prompt_cache_key": "k" * 80},
        **{"tool_choice": "auto", "parallel_tool_calls": None, "stream_options": {"include_obfuscation": False}},
        **{"truncation": "auto"},
    }
    items = [says("system", "a"), says("user", "q"), reference, thought, call, says("system", "b")]
    answer = post(chatgpt, model=model, input=items, **parameters)
    assert answer.status == 200, answer.body
    assert int(answer.first("x-mitmcodex-loss")) >= 10
    assert backend.requests[0].first(LITE_HEADER) == ("true" if model == LITE_MODEL else "")


@pytest.mark.parametrize("model", [LITE_MODEL, CLASSIC_MODEL])
def test_a_tool_goes_there_and_back(model: str, chatgpt: Proxy, backend: Backend) -> None:
    """conformance 52, seeds S80, protocol.md 2.3: the client sees its own name, its tuple and no namespace, and its
    next turn shows the backend the very call that the model made."""
    backend.queue(say("nothing"))
    asked: dict[str, Any] = {"model": model, "tools": [TOOL]}
    post(chatgpt, **asked, input=[says("user", "q")])
    sent = backend.requests[0].json
    tools = sent["tools"] if model == CLASSIC_MODEL else sent["input"][0]["tools"][0]["tools"]
    made = {"type": "function_call", "status": "completed", "call_id": "c1", "name": tools[0]["name"]}
    made["arguments"] = '{"at":{"0":7}}'
    if model == LITE_MODEL:
        made["namespace"] = "functions"
    backend.queue(stream([ev_created(), ev_item_done({**made, "id": "fc_1"}), ev_completed()]), say("done"))
    first = json.loads(post(chatgpt, **asked, input=[says("user", "q")], stream=False).body)
    got = first["output"][0]
    assert got["name"] == NAME and got["arguments"] == '{"at":[7]}' and "namespace" not in got
    output = {"type": "function_call_output", "call_id": "c1", "output": "ok"}
    assert post(chatgpt, **asked, input=[says("user", "q"), got, output]).status == 200
    assert [item for item in backend.requests[2].json["input"] if item["type"] == "function_call"] == [made]


def test_a_lite_model_searches_in_classic_form(chatgpt: Proxy, backend: Backend) -> None:
    """The Lite form has no hosted tools; conformance 37."""
    backend.queue(say("found"))
    tools = [{"type": "web_search_preview"}]
    answer = post(chatgpt, model=LITE_MODEL, tools=tools, tool_choice={"type": "web_search_preview"})
    assert answer.status == 200
    request = backend.requests[0]
    assert request.first(LITE_HEADER) == "" and request.json["tools"] == [{"type": "web_search"}]
    assert request.json["tool_choice"] == {"type": "web_search"} and request.json["instructions"]


def test_a_strict_schema_that_can_not_be_held_is_named(chatgpt: Proxy, backend: Backend) -> None:
    """pains P12: a 400 with the pointer to the fault, and nothing leaves."""
    answer = post(chatgpt, tools=[{**TOOL, "name": "f", "strict": True}])
    error = json.loads(answer.body)["error"]
    assert answer.status == 400 and error["param"] == "tools[0].parameters#/additionalProperties"
    assert backend.requests == []


def test_an_api_gets_it_as_it_came(tmp_path: Path, api_backend: Backend, ca: Authority) -> None:
    """conformance 76: a service of the public API takes what its own clients send."""
    api_backend.queue(say("fine"))
    with Proxy(tmp_path, to_api(api_backend, ca, tmp_path)) as proxy:
        items = [says("system", "s"), says("user", "q")]
        fields = {"temperature": 0.3, "store": True, "metadata": {"a": "b"}, "input": items}
        answer = post(proxy, **fields)
    assert answer.status == 200 and not answer.first("x-mitmcodex-loss")
    assert {key: api_backend.requests[0].json[key] for key in fields} == fields
