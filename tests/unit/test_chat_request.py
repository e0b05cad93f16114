"""wire/chat_request.py: a whole request; nothing of it may vanish and no JSON may break it."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mitmcodex.wire.chat_request import ChatReply, decode_request
from mitmcodex.wire.codec import Asked, Decoded
from mitmcodex.wire.errors import WireError

REQUESTS = Path(__file__).parent.parent / "golden" / "chat" / "requests"
HI = [{"role": "user", "content": "Hi."}]
WRONG: list[Any] = [None, 1, "x", [], {}, [1], {"a": 1}]


def decoded(**body: Any) -> Decoded:
    return decode_request({"model": "m", "messages": HI, **body}, Asked())


def bodies() -> list[Any]:
    cases = sorted(path for path in REQUESTS.iterdir() if not (path / "error.json").exists())
    return [json.loads((path / "request.json").read_bytes())["body"] for path in cases]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, dict):
        entries: Any = value.items()
    else:
        entries = enumerate(value) if isinstance(value, list) else ()
    for key, inner in entries:
        yield (*path, key)
        yield from places(inner, (*path, key))


def changed(body: Any, path: tuple[Any, ...], value: Any) -> Any:
    body = copy.deepcopy(body)
    at = body
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    return body


def test_bookkeeping_goes_on_as_it_came():
    """Both APIs have these by the same name; ``user`` names the conversation too (pains.md P2)."""
    kept = {"user": "u", "metadata": {"a": "b"}, "safety_identifier": "s", "prompt_cache_key": "k", "service_tier": "x"}
    got = decoded(**kept)
    assert {key: got.fields[key] for key in kept} == kept
    assert got.session == "u" and got.losses == []


def test_a_request_is_not_stored_unless_it_says_so():
    """Chat Completions keep nothing by default, the Responses API keeps all; what is kept is told apart."""
    assert decoded().fields["store"] is False and decoded(store=False).losses == []
    got = decoded(store=True)
    assert got.fields["store"] is True
    assert [(loss.path, loss.what) for loss in got.losses] == [("store", "mapped")]


def test_absent_stream_is_none():
    """seeds S71: and a request without a model is one."""
    assert decoded().wants_stream is False
    assert decode_request({"messages": HI}, Asked()).fields.keys() == {"input", "store"}
    assert decoded(stream=True).wants_stream is True


def test_the_usage_in_a_stream_is_an_option():
    """conformance 8: asked for by ``include_usage`` alone."""
    assert decoded(stream=True).reply.includes_usage is False
    assert decoded(stream=True, stream_options={"include_usage": True}).reply.includes_usage is True
    padded = decoded(stream_options={"include_obfuscation": True})
    assert [(loss.path, loss.is_hint) for loss in padded.losses] == [("stream_options.include_obfuscation", True)]


def test_custom_names_are_those_of_custom_tools_alone():
    """conformance 6: a name in both families is a function."""
    custom = [{"type": "custom", "custom": {"name": name}} for name in ("patch", "both")]
    got = decoded(tools=[*custom, {"type": "function", "function": {"name": "both"}}])
    assert got.reply == ChatReply(custom_names=frozenset({"patch"}))


def test_functions_without_tools_are_answered_in_the_legacy_form():
    """conformance 19."""
    assert decoded(functions=[{"name": "look"}]).reply.is_legacy is True
    both = decoded(functions=[{"name": "look"}], tools=[{"type": "function", "function": {"name": "list"}}])
    assert both.reply.is_legacy is False and len(both.fields["tools"]) == 2


def test_a_body_of_the_responses_api_is_understood():
    """conformance 25: Cursor sends it here and waits for chunks."""
    body = {"model": "m", "input": HI, "tools": [{"type": "custom", "name": "patch"}], "stream": True}
    got = decode_request({**body, "stream_options": {"include_usage": True}}, Asked())
    assert got.fields["input"] == HI and got.wants_stream is True
    assert got.reply == ChatReply(includes_usage=True, custom_names=frozenset({"patch"}))


def test_a_request_without_messages_is_refused():
    """capture openai-py-chat/22: 400 that names the field."""
    with pytest.raises(WireError, match="messages: is missing") as raised:
        decode_request({"model": "m"}, Asked())
    assert raised.value.kind == "invalid_request"


def test_unknown_keys_are_losses():
    """conformance 17: at the top and in a message."""
    got = decode_request({"messages": [{**HI[0], "weight": 1}], "provider": {"order": []}}, Asked())
    assert [loss.path for loss in got.losses] == ["messages[0].weight", "provider"]
    assert {loss.what for loss in got.losses} == {"dropped"}


def test_a_planted_key_is_found_in_every_object():
    """No key of a request may vanish without an entry: an unknown one is reported wherever it stands.

    Not looked into: what goes on as it came (schemas, metadata, hosted tools, a place, a Responses API body)."""
    as_they_came = {"parameters", "schema", "metadata", "approximate", "logit_bias"}
    for body in bodies():
        for path in [(), *places(body)]:
            at = body
            for key in path:
                at = at[key]
            if not isinstance(at, dict) or as_they_came & {*path} or "input" in body:
                continue
            if at.get("type") in ("image_generation", "web_search_preview") or "cache_control" in path:
                continue
            if {"provider", "prediction", "images"} & {*path}:
                continue  # lost as a whole
            got = decode_request(changed(body, (*path, "planted"), "x"), Asked())
            clean = decode_request(copy.deepcopy(body), Asked())
            assert len(got.losses) == len(clean.losses) + 1 or _is_dropped_call(body, path), path


def _is_dropped_call(body: Any, path: tuple[Any, ...]) -> bool:
    """The call with an id twice in one message is reported as a whole."""
    where = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path).lstrip(".")
    losses = decode_request(copy.deepcopy(body), Asked()).losses
    return any(where.startswith(loss.path) and "second call" in loss.why for loss in losses)


def test_any_json_is_survived():
    """Each value of each golden request replaced by others: a WireError that says where, or a request."""
    for body in bodies():
        for path in places(body):
            for value in WRONG:
                try:
                    got = decode_request(changed(body, path, value), Asked())
                except WireError as error:
                    assert error.kind == "invalid_request" and error.param, path
                else:
                    assert isinstance(got.reply, ChatReply)


@pytest.mark.parametrize("key", ["model", "user", "metadata", "stream", "store", "stream_options", "service_tier"])
def test_wrong_types_are_refused_by_name(key):
    """400 that says where."""
    with pytest.raises(WireError) as raised:
        decoded(**{key: [1]})
    assert raised.value.param == key
