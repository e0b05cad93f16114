"""Stage emulate: which limits are kept here, and for whom (conformance 23 and 63)."""

from __future__ import annotations

import json
import logging
from typing import Any, cast

import pytest

from mitmcodex.emulate import Emulate
from mitmcodex.exchange import Exchange
from mitmcodex.process import Process
from mitmcodex.schema import Settings
from mitmcodex.upstream.providers import Provider
from mitmcodex.wire.codec import StreamEncoder
from mitmcodex.wire.errors import WireError
from support.events import ev_created, ev_text_delta, sse
from support.exchanges import an_exchange, answered, at, canonical, read

ASK = {"model": "m", "max_output_tokens": 5, "input": "hi"}
STREAM = sse([ev_created(), *map(ev_text_delta, ["Hello ", "STOP"])])


def emulate(**settings: Any) -> Emulate:
    return Emulate(Process(settings=Settings(**settings)), len)


def down(
    kind: str = "chatgpt", fields: dict[str, Any] | None = None, stop: str = "STOP", **settings: Any
) -> Exchange:
    """With a stop sequence beside ``fields``, of a client that calls them stop_sequences and max_tokens."""
    exchange = at(canonical(an_exchange(), fields or ASK), Provider("work", kind, "https://u.example/v1"))
    assert exchange.canonical is not None
    exchange.encoder = cast(StreamEncoder, object())
    decoded = exchange.canonical.decoded
    decoded.stop, decoded.paths = (stop,), {"stop": "stop_sequences", "max_output_tokens": "max_tokens"}
    emulate(**settings).upstream_request(exchange)
    return exchange


def told(exchange: Exchange) -> list[tuple[str, str]]:
    return [(loss.path, loss.what) for loss in exchange.losses]


@pytest.mark.parametrize(
    ("kind", "paths"),
    [
        ("chatgpt", ["stop_sequences", "max_tokens"]),
        ("openai", ["stop_sequences"]),
        ("azure", ["stop_sequences"]),
        ("responses", ["stop_sequences"]),
        ("demo", ["stop_sequences", "max_tokens"]),
        ("chat", []),
        ("messages", []),
        ("gemini", []),
    ],
)
def test_what_the_provider_refuses_is_kept_here(kind: str, paths: list[str]) -> None:
    """ChatGPT and the demo take neither, the Responses API no stop sequences, all others both (seeds S72)."""
    exchange = down(kind)
    assert exchange.canonical is not None
    assert told(exchange) == [(path, "emulated") for path in paths]
    assert (exchange.canonical.decoded.stop == ()) == ("stop_sequences" in paths)
    sent = json.loads(exchange.canonical.body or b"")
    assert sent == exchange.canonical.fields
    assert ("max_output_tokens" in sent) == ("max_tokens" not in paths)
    assert (exchange.limiter is not None) == bool(paths)


@pytest.mark.parametrize(
    ("kind", "protocol", "limit", "is_kept"),
    [
        ("openai", "messages", 15, True),
        ("azure", "chat", 1, True),
        ("openai", "chat", 16, False),
        ("openai", "responses", 1, False),
        ("responses", "chat", 1, False),
        ("chat", "messages", 1, False),
    ],
)
def test_a_limit_below_the_public_apis_is_kept_here(kind: str, protocol: str, limit: int, is_kept: bool) -> None:
    """OpenAI refuses less than 16, and clients of other protocols ask for 1 to see whether a model is there. The
    Responses API's own clients are told by the service itself (conformance 76)."""
    asked = canonical(an_exchange(protocol=protocol), {**ASK, "max_output_tokens": limit})
    exchange = at(asked, Provider("work", kind, "https://u.example/v1"))
    exchange.encoder = cast(StreamEncoder, object())
    emulate().upstream_request(exchange)
    assert (exchange.limiter is not None) is is_kept
    assert [loss.what for loss in exchange.losses] == ["emulated"] * is_kept


def test_without_emulation_nothing_is_touched() -> None:
    """With ``emulate: false`` they stay in the request, and adapt reports what it drops."""
    exchange = down(emulate=False)
    assert exchange.canonical is not None and exchange.limiter is None and exchange.losses == []
    assert exchange.canonical.fields == ASK and exchange.canonical.decoded.stop == ("STOP",)


@pytest.mark.parametrize(
    ("admission", "has_encoder"), [({"is_codex": True}, True), ({}, False), ({"call": "compact"}, True)]
)
def test_codex_and_what_is_not_translated_are_left_alone(admission: dict[str, Any], has_encoder: bool) -> None:
    """Codex, clients of the provider's own protocol, other calls."""
    exchange = at(canonical(an_exchange(**admission), ASK), Provider("work", "chatgpt", "https://u.example/v1"))
    exchange.encoder = cast(StreamEncoder, object()) if has_encoder else None
    emulate().upstream_request(exchange)
    assert exchange.canonical is not None
    assert exchange.limiter is None and exchange.losses == [] and exchange.canonical.fields == ASK


@pytest.mark.parametrize("limit", [0, -1, 1.5, "9", True, [], {}])
def test_what_is_no_limit_is_refused(limit: Any) -> None:
    """With the name that the client gave it."""
    with pytest.raises(WireError, match=r"max_tokens: must be a whole number from 1 up") as caught:
        down(fields={**ASK, "max_output_tokens": limit})
    assert (caught.value.kind, caught.value.param) == ("invalid_request", "max_tokens")


def test_null_is_no_limit() -> None:
    """It says nothing, and so is no loss."""
    assert told(down(fields={**ASK, "max_output_tokens": None})) == [("stop_sequences", "emulated")]


@pytest.mark.parametrize(("stop", "where"), [("STOP", "a stop sequence"), ("never", "the token limit")])
def test_the_stream_ends_at_the_limit(stop: str, where: str, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing more of the upstream is read, and the log has the counts, marked as estimated."""
    caplog.set_level(logging.INFO)
    exchange = down(fields={**ASK, "max_output_tokens": 9}, stop=stop)
    emulate().upstream_response(answered(exchange, STREAM, RuntimeError("read on")))  # type: ignore[arg-type]
    assert b"response.completed" in (body := read(exchange)) or b"response.incomplete" in body
    counted = 6 if stop == "STOP" else 9
    message = f"exchange 0: cut here at {where}; usage estimated: 9 in, {counted} out"
    assert message in caplog.messages


def test_what_is_held_back_comes_at_the_end() -> None:
    """A stream that ends without a cut is whole."""
    data = sse([ev_created(), ev_text_delta("ST")])
    exchange = answered(down(), data)
    emulate().upstream_response(exchange)
    assert read(exchange) == data


@pytest.mark.parametrize("answer", [{"status": 429}, {"headers": [("content-type", "application/json")]}])
def test_errors_and_whole_answers_pass(answer: dict[str, Any]) -> None:
    """They are no stream of events."""
    exchange = answered(down(), STREAM, **answer)
    emulate().upstream_response(exchange)
    assert read(exchange) == STREAM
