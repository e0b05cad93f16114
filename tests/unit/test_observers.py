"""Observers are told and can't break anything."""

from __future__ import annotations

from typing import Any, cast

import pytest
from mitmproxy.test import tflow

from mitmcodex.exchange import Admission, ClientLeg, Exchange
from mitmcodex.observers import Observers


class Watcher:
    def __init__(self, wants: bool | None = None, fails_in: str = "") -> None:
        self.told: list[tuple[str, Any]] = []
        self._wants, self._fails_in = wants, fails_in

    def exchange_started(self, exchange: Exchange) -> bool | None:
        self._note("exchange_started", exchange)
        return self._wants

    def client_data(self, exchange: Exchange, data: bytes) -> None:
        self._note("client_data", data)

    def exchange_ended(self, exchange: Exchange, how: str) -> None:
        self._note("exchange_ended", how)

    def _note(self, step: str, what: Any) -> None:
        self.told.append((step, what))
        if step == self._fails_in:
            raise OSError("a secret path")

    @property
    def steps(self) -> list[str]:
        return [step for step, _ in self.told]


@pytest.fixture
def exchange() -> Exchange:
    return Exchange(tflow.tflow(), Admission(), cast(ClientLeg, None), number=3)


def test_each_is_told_what_it_has_a_method_for(exchange: Exchange) -> None:
    """In order, with the exchange and the step's facts; a method that it lacks is no error."""
    first, second = Watcher(), Watcher(wants=True)
    observers = Observers([first, second], exchange)
    observers.tell("upstream_data", b"not asked for")
    observers.tell("client_data", b"x")
    observers.tell("exchange_ended", "complete")
    assert first.told == second.told
    assert first.told == [("exchange_started", exchange), ("client_data", b"x"), ("exchange_ended", "complete")]
    assert not exchange.flow.marked


def test_no_interest_is_heard(exchange: Exchange) -> None:
    """Who answers False at the start is told no more, and the flow is not marked."""
    indifferent = Watcher(wants=False)
    Observers([indifferent], exchange).tell("client_data", b"x")
    assert indifferent.steps == ["exchange_started"] and not exchange.flow.marked


@pytest.mark.parametrize("step", ["exchange_started", "client_data"])
def test_one_that_fails_is_off_and_the_others_are_not(
    step: str, exchange: Exchange, caplog: pytest.LogCaptureFixture
) -> None:
    """It is told no more of this exchange, the flow is marked, the log names it without the exception's text."""
    broken, healthy = Watcher(fails_in=step), Watcher()
    observers = Observers([broken, healthy], exchange)
    observers.tell("client_data", b"x")
    observers.tell("exchange_ended", "complete")
    assert broken.steps[-1] == step
    assert healthy.steps == ["exchange_started", "client_data", "exchange_ended"]
    assert exchange.flow.marked == ":warning:" and "Watcher" in exchange.flow.comment and step in exchange.flow.comment
    assert "Watcher is off for exchange 3: OSError" in caplog.text and "secret" not in caplog.text


def test_the_next_exchange_starts_anew(exchange: Exchange) -> None:
    """A failure counts for one exchange: the disk may have room again."""
    broken = Watcher(fails_in="client_data")
    Observers([broken], exchange).tell("client_data", b"x")
    Observers([broken], exchange).tell("client_data", b"y")
    assert broken.told[-1] == ("client_data", b"y")
