"""provider_call.py: an exchange without a client."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from mitmcodex.exchange import Emission, End, Exchange, Failed, Head
from mitmcodex.process import Process
from mitmcodex.provider_call import LIMIT, fetch_models
from mitmcodex.wire.errors import WireError

OK = Head(200, [("ETag", '"1"')])


def fetched(*emitted: Emission, outcome: str = "complete") -> tuple[bytes, str]:
    """As if egress had emitted these."""

    async def run(exchange: Exchange, emissions: Sequence[Emission]) -> None:
        with exchange.leg.held_open():
            exchange.outcome = outcome
            try:
                for emission in emissions:
                    await exchange.emit(emission)
            except WireError as error:
                exchange.outcome = "cut"
                await exchange.emit(Failed(error.message))

    def begin(exchange: Exchange) -> None:
        exchange.task = asyncio.get_running_loop().create_task(run(exchange, emitted))

    return asyncio.run(fetch_models(Process(begin=begin)))


def test_the_pieces_are_joined() -> None:
    """Body and ETag."""
    assert fetched(OK, b"one ", b"two", End()) == (b"one two", '"1"')
    assert fetched(Head(200, []), b"x", End()) == (b"x", "")


@pytest.mark.parametrize(
    ("emitted", "outcome", "told"),
    [
        ((Head(401, []), b"{}", End()), "failed", "answered with 401"),
        ((OK, b"half", Failed("the upstream broke off")), "cut", "the upstream broke off"),
        ((), "aborted", "answered with 0"),
        ((OK, b"x" * LIMIT, b"x"), "complete", "larger than"),
    ],
    ids=["refused", "cut", "shut down", "too large"],
)
def test_what_did_not_come_whole_is_an_error(emitted: tuple[Emission, ...], outcome: str, told: str) -> None:
    """Refused, cut, ended by a shutdown, or larger than any list: never taken for one."""
    with pytest.raises(WireError, match=told):
        fetched(*emitted, outcome=outcome)


def test_who_stops_waiting_does_not_end_the_call() -> None:
    """A client that goes away costs the others nothing."""

    async def inside() -> None:
        tasks = []

        def begin(exchange: Exchange) -> None:
            exchange.task = asyncio.get_running_loop().create_task(asyncio.Event().wait())  # type: ignore[arg-type]
            tasks.append(exchange.task)

        waiting = asyncio.ensure_future(fetch_models(Process(begin=begin)))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait((waiting,))
        assert waiting.cancelled() and not tasks[0].done()
        tasks[0].cancel()

    asyncio.run(inside())
