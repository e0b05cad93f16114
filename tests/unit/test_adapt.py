"""Stage adapt: which body goes to the provider, and how the client learns of a loss."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from mitmcodex.adapt import LOSSES_HEADER, Adapt
from mitmcodex.exchange import Loss
from mitmcodex.upstream.providers import Provider
from support.exchanges import an_exchange, answered, at, canonical

CHATGPT = Provider("work", "chatgpt", "https://u.example/backend-api/codex")
STORED = {"model": "m", "instructions": "x", "input": [], "store": True, "stream": True}


def test_a_generation_is_made_to_fit_its_provider() -> None:
    """The body is patched, the canonical form is not, and each change that takes something is a loss."""
    exchange = at(canonical(an_exchange(), STORED), CHATGPT)
    Adapt().upstream_request(exchange)
    assert exchange.adapted is not None and json.loads(exchange.adapted) == {**STORED, "store": False}
    assert exchange.canonical is not None and json.loads(exchange.canonical.body) == STORED
    assert [(loss.path, loss.what) for loss in exchange.canonical.losses] == [("store", "changed")]


@pytest.mark.parametrize(
    "admission", [{"call": "compact"}, {"call": "side"}, {"is_raw": True}, {"is_codex": True}], ids=str
)
def test_other_bodies_go_as_they_came(admission: dict[str, Any]) -> None:
    """Calls that are no generation, the secure mode, and what Codex wrote itself."""
    exchange = at(canonical(an_exchange(**admission), STORED), CHATGPT)
    Adapt().upstream_request(exchange)
    assert exchange.canonical is not None
    assert exchange.adapted == exchange.canonical.body and exchange.canonical.losses == []


def test_losses_are_told_to_the_client_and_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """What in a header, why in the log."""
    exchange = answered(canonical(an_exchange()))
    assert exchange.canonical is not None and exchange.reply is not None
    exchange.canonical.losses = [Loss("store", "changed", "it stores nothing"), Loss("n", "dropped", "one is enough")]
    with caplog.at_level(logging.INFO):
        Adapt().upstream_response(exchange)
    assert exchange.reply.headers[1:] == [(LOSSES_HEADER, "store changed, n dropped")]
    assert "store changed: it stores nothing; n dropped: one is enough" in caplog.text


def test_no_loss_no_word() -> None:
    """The upstream's head is left as it is."""
    exchange = answered(canonical(an_exchange()))
    assert exchange.reply is not None
    before = list(exchange.reply.headers)
    Adapt().upstream_response(exchange)
    assert exchange.reply.headers == before
