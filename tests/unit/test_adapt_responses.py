"""Stage adapt, for providers of the Responses family: what goes out, and the way back of what was changed."""

from __future__ import annotations

import asyncio
import json
import uuid
from typing import Any

import pytest

from mitmcodex.adapt import Adapt
from mitmcodex.exchange import Exchange
from mitmcodex.process import Process
from mitmcodex.schema import Settings
from mitmcodex.upstream.catalog import ModelEntry
from mitmcodex.upstream.providers import Provider
from mitmcodex.upstream.resolution import Resolution
from mitmcodex.wire.sse import format_event
from support.exchanges import an_exchange, answered, at, canonical, read

CHATGPT = Provider("work", "chatgpt", "https://u.example/backend-api/codex")
OPENAI = Provider("key", "openai", "https://u.example/v1")
TOOL = {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}}
CALL = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
NAMESPACED = {**CALL, "namespace": "functions"}


def asked(*turns: str, **more: Any) -> dict[str, Any]:
    return {"model": "m", "input": [{"role": "user", "content": text} for text in turns], **more}


def adapted(exchange: Exchange, provider: Provider = CHATGPT, is_lite: bool = False, **settings: Any) -> Exchange:
    entry = ModelEntry("m", is_lite=is_lite)
    exchange.resolution = Resolution(None, provider.kind, "m", entry)
    Adapt(Process(settings=Settings(**settings))).upstream_request(at(exchange, provider))
    return exchange


def sent(exchange: Exchange) -> dict[str, Any]:
    assert exchange.adapted is not None and exchange.form is not None
    body: dict[str, Any] = json.loads(exchange.adapted)
    assert exchange.form.fields == body, "the form tells what the body holds"
    return body


def received(exchange: Exchange) -> bytes:
    asyncio.run(Adapt(Process(settings=Settings())).upstream_response(exchange))
    return read(exchange)


def test_what_must_not_change_keeps_its_bytes() -> None:
    """conformance 76: only the changed keys of a client's own body are written anew."""
    exchange = canonical(an_exchange(), asked("q"))
    assert exchange.canonical is not None
    exchange.canonical.body = b'{"model":"m",  "input" : [{"role":"user","content":"q"}],"tool_choice":  "auto"}'
    exchange.canonical.decoded.fields["tool_choice"] = "auto"
    adapted(exchange, OPENAI)
    assert exchange.adapted == b'{"model":"m",  "input" : [{"role":"user","content":"q"}],"stream":true}'
    untouched = canonical(an_exchange(), {**asked("q"), "stream": True})
    assert untouched.canonical is not None and adapted(untouched, OPENAI).adapted is untouched.canonical.body


def test_a_translated_request_is_written_whole() -> None:
    """It has no bytes of its own, and is not stored at a provider that would store by default."""
    exchange = canonical(an_exchange(protocol="chat"), asked("q"))
    assert exchange.canonical is not None
    exchange.canonical.body = None
    assert sent(adapted(exchange, OPENAI)) == asked("q", store=False, stream=True)


def test_a_conversation_has_one_cache_key() -> None:
    """pains P2: the same in each turn, another with another conversation or account, the client's own where it has."""
    keys = [
        sent(adapted(canonical(an_exchange(), asked(*turns)), provider))["prompt_cache_key"]
        for turns, provider in (
            (("q",), CHATGPT),
            (("q", "r"), CHATGPT),
            (("other",), CHATGPT),
            (("q",), Provider("home", "chatgpt", CHATGPT.base_url)),
        )
    ]
    assert keys[0] == keys[1] and len({*keys}) == 3 and uuid.UUID(keys[0])
    own = canonical(an_exchange(), asked("q", prompt_cache_key="own"))
    assert sent(adapted(own))["prompt_cache_key"] == "own"
    headed = canonical(an_exchange(headers=[("session-id", "s")]), asked("x"))
    again = canonical(an_exchange(headers=[("Session-Id", "s")]), asked("y"))
    assert sent(adapted(headed))["prompt_cache_key"] == sent(adapted(again))["prompt_cache_key"]
    for exchange in (canonical(an_exchange(is_codex=True), asked("q")), canonical(an_exchange(), asked("q"))):
        provider = CHATGPT if exchange.is_codex else OPENAI
        assert "prompt_cache_key" not in sent(adapted(exchange, provider))


@pytest.mark.parametrize(("setting", "expected"), [("auto", True), ("on", True), ("off", False)])
def test_the_form_follows_catalog_and_setting(setting: str, expected: bool) -> None:
    """protocol.md 2.3: who makes the headers learns of the Lite form."""
    exchange = adapted(canonical(an_exchange(), asked("q", tools=[TOOL])), is_lite=True, responses_lite=setting)
    assert exchange.form is not None and exchange.form.is_lite is expected
    assert ("tools" in sent(exchange)) is not expected


def test_the_users_own_instructions_go_with_every_client_but_codex() -> None:
    """The setting extra_instructions."""
    plain = adapted(canonical(an_exchange(), asked("q")), extra_instructions="Be brief.")
    assert sent(plain)["instructions"] == "Be brief."
    codex = adapted(canonical(an_exchange(is_codex=True), asked("q")), extra_instructions="Be brief.")
    assert "instructions" not in sent(codex)


def test_a_stream_is_restored() -> None:
    """conformance 52, protocol.md 2.3: the client sees its tools as it knows them."""
    exchange = adapted(canonical(an_exchange(), asked("q", tools=[TOOL])), is_lite=True)
    item = format_event({"type": "response.output_item.done", "output_index": 0, "item": NAMESPACED})
    expected = format_event({"type": "response.output_item.done", "output_index": 0, "item": CALL})
    assert received(answered(exchange, item[:30], item[30:])) == expected


def test_a_whole_answer_is_restored() -> None:
    """Also where the provider answers without streaming."""
    exchange = adapted(canonical(an_exchange(), asked("q", tools=[TOOL])), is_lite=True)
    body = json.dumps({"output": [NAMESPACED]}).encode()
    answer = answered(exchange, body, headers=[("content-type", "application/json"), ("content-length", "9")])
    assert json.loads(received(answer)) == {"output": [CALL]}
    assert answer.reply is not None and answer.reply.headers == [("content-type", "application/json")]


def test_other_answers_pass_as_they_are() -> None:
    """Where nothing was changed, and where the provider refuses."""
    plain = adapted(canonical(an_exchange(), asked("q")))
    lite = adapted(canonical(an_exchange(), asked("q", tools=[TOOL])), is_lite=True)
    refused = json.dumps({"error": {"message": "functions"}}).encode()
    assert received(answered(plain, b"data: x\n\n")) == b"data: x\n\n"
    assert received(answered(lite, refused, status=400)) == refused
