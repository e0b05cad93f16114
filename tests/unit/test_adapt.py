"""Stage adapt: which body goes to the provider, and what comes back from one that speaks another protocol."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from mitmcodex.adapt import Adapt
from mitmcodex.exchange import Exchange
from mitmcodex.process import Process
from mitmcodex.schema import Settings
from mitmcodex.upstream.providers import Provider
from mitmcodex.upstream.resolution import Resolution
from mitmcodex.wire.codec import Loss
from mitmcodex.wire.errors import WireError
from support.exchanges import an_exchange, at, canonical

CHATGPT = Provider("work", "chatgpt", "https://u.example/backend-api/codex")
MESSAGES = Provider("anthropic", "messages", "https://u.example/v1")
STORED = {"model": "m", "instructions": "x", "input": [], "store": True, "stream": True}


def adapted(exchange: Exchange, provider: Provider = CHATGPT, model: str = "m", **settings: Any) -> Exchange:
    exchange.resolution = exchange.resolution or Resolution(None, provider.kind, model)
    Adapt(Process(settings=Settings(**settings))).upstream_request(at(exchange, provider))
    return exchange


def test_a_generation_is_made_to_fit_its_provider() -> None:
    """What goes out is what the provider takes, and each change that takes something is a loss."""
    exchange = adapted(canonical(an_exchange(), STORED))
    assert exchange.adapted is not None and json.loads(exchange.adapted)["store"] is False
    assert [(loss.path, loss.what) for loss in exchange.losses] == [("store", "changed")]


@pytest.mark.parametrize(
    "admission", [{"call": "compact", "is_codex": True}, {"call": "side"}, {"is_codex": True}], ids=str
)
def test_other_bodies_go_as_they_came(admission: dict[str, Any]) -> None:
    """Calls that are no generation, and what Codex wrote itself."""
    exchange = adapted(canonical(an_exchange(**admission), STORED))
    assert exchange.canonical is not None
    assert exchange.adapted == exchange.canonical.body and exchange.losses == []


def test_a_compaction_of_other_clients_is_made_to_fit() -> None:
    """conformance 42: the backend takes fewer fields than for a generation; an API gets it as it came."""
    exchange = adapted(canonical(an_exchange(call="compact"), STORED), model="other")
    sent = json.loads(exchange.adapted or b"")
    assert sent.pop("prompt_cache_key"), "that of its conversation"
    assert sent == {"model": "other", "instructions": "x", "input": []}
    assert exchange.form is not None and (exchange.form.call, exchange.form.fields["model"]) == ("compact", "other")
    api = Provider("openai", "openai", "https://u.example/v1")
    assert adapted(canonical(an_exchange(call="compact"), STORED), api).adapted == json.dumps(STORED).encode()


@pytest.mark.parametrize("kind", ["chat", "messages", "gemini"])
def test_who_has_no_compaction_is_named(kind: str) -> None:
    """501 with what to do instead."""
    with pytest.raises(WireError, match="Send the conversation") as caught:
        adapted(canonical(an_exchange(call="compact"), STORED), Provider("work", kind, "https://u.example/v1"))
    assert caught.value.status_for(is_codex=False) == 501


def test_the_secure_mode_reads_nothing() -> None:
    """Without a resolution the body passes unread."""
    exchange = at(canonical(an_exchange(is_raw=True), STORED), CHATGPT)
    Adapt(Process(settings=Settings())).upstream_request(exchange)
    assert exchange.canonical is not None and exchange.adapted == exchange.canonical.body


@pytest.mark.parametrize("call", ["compact", "responses"])
def test_the_model_is_the_one_that_the_name_stands_for(call: str) -> None:
    """An alias's target goes upstream, the other bytes stay."""
    exchange = adapted(canonical(an_exchange(call=call, is_codex=True), STORED), model="other")
    assert exchange.adapted == json.dumps({**STORED, "model": "other"}).encode().replace(b' "other"', b' "other"')


def test_a_native_body_passes_but_for_its_model() -> None:
    """Also keys that nobody here knows."""
    exchange = canonical(an_exchange(protocol="messages"), {"model": "m", "shiny": [1,  2]})
    assert exchange.canonical is not None
    exchange.canonical.is_native = True
    assert adapted(exchange, MESSAGES, "claude-x").adapted == b'{"model": "claude-x", "shiny": [1, 2]}'


@pytest.mark.parametrize("wish", ["effort", "alias_effort", "tier"])
def test_what_a_name_asks_for_is_a_loss_where_nobody_reads_the_body(wish: str) -> None:
    """``claude-x-high`` in the provider's own protocol: the model is carried over, the effort is told as lost."""
    exchange = canonical(an_exchange(protocol="messages"), {"model": "m"})
    assert exchange.canonical is not None
    exchange.canonical.is_native = True
    exchange.resolution = Resolution(None, "messages", "claude-x", **{wish: "high"})
    assert [(loss.path, loss.what) for loss in adapted(exchange, MESSAGES).losses] == [("model", "dropped")]


def test_losses_are_told_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """What happened to which field, and why: once for all attempts."""
    with caplog.at_level(logging.INFO):
        adapted(canonical(an_exchange(), STORED))
        again = canonical(an_exchange(), STORED)
        again.attempt = 2
        adapted(again)
    assert caplog.text.count("store changed: ") == 1


def test_hints_do_not_flood_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """A loss without effect on the answer comes with each request of some clients: it is told at the debug level."""
    exchange = canonical(an_exchange(), STORED)
    exchange.losses = [Loss("system", "dropped", "a billing line", is_hint=True)]
    with caplog.at_level(logging.DEBUG):
        adapted(exchange)
    levels = {record.levelname: record.getMessage() for record in caplog.records}
    assert "a billing line" in levels["DEBUG"] and "a billing line" not in levels["INFO"]


def test_strict_refuses_what_would_be_dropped() -> None:
    """conformance 23: but not what is only changed, and no mere hint."""
    exchange = canonical(an_exchange(), STORED)
    exchange.losses = [Loss("cache_control", "dropped", "no effect", is_hint=True), Loss("n", "changed", "x")]
    adapted(exchange, strict=True)
    exchange.losses = [Loss("seed", "dropped", "there is none")]
    with pytest.raises(WireError, match="seed: there is none") as caught:
        adapted(exchange, strict=True)
    assert (caught.value.kind, caught.value.param) == ("invalid_request", "seed")
