"""What outlives a reload."""

from __future__ import annotations

import asyncio

import pytest
from mitmproxy.options import Options
from mitmproxy.tools.dump import DumpMaster

from mitmcodex.exchange import Admission, Exchange
from mitmcodex.process import Process
from mitmcodex.schema import Settings
from mitmcodex.upstream.transport import ConnectionKey, ConnectTarget


def test_one_process_per_master() -> None:
    """The same object is found again on the same master, and another one on another master."""

    async def inside() -> None:
        first, second = (DumpMaster(Options(), with_termlog=False) for _ in range(2))
        assert Process.of(first) is Process.of(first)
        assert Process.of(first) is not Process.of(second)

    asyncio.run(inside())


def test_numbers_go_up_from_one() -> None:
    """Dump files are named by them."""
    process = Process()
    assert [process.next_number() for _ in range(3)] == [1, 2, 3]


def test_settings_are_asked_for_after_the_start() -> None:
    """Before start.prepare() there are none, and asking is a programming error."""
    with pytest.raises(AssertionError, match="prepare"):
        _ = Process().current
    settings = Settings()
    assert Process(settings=settings).current is settings


def test_the_key_is_in_no_repr() -> None:
    """A Process may land in a log."""
    assert "canary" not in repr(Process(stdin_key=bytearray(b"canary")))


class Connections:
    """A transport that notes whether it was closed, and what had ended by then."""

    def __init__(self, ended: list[str]) -> None:
        self._ended = ended

    async def aclose(self) -> None:
        self._ended.append("connections")


def test_the_end_comes_in_order() -> None:
    """aclose ends what runs, lets it finish its last words, and closes the connections after that."""
    ended: list[str] = []

    async def run(begun: asyncio.Event) -> None:
        try:
            begun.set()
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append("exchange")

    async def inside() -> None:
        process, begun = Process(), asyncio.Event()
        exchange = Exchange(None, Admission(), None)  # type: ignore[arg-type]
        exchange.task = asyncio.create_task(run(begun))
        process.running.add(exchange)
        key = ConnectionKey("p", "a", "direct", "f", "curl"), ConnectTarget()
        process.transports[key] = Connections(ended)  # type: ignore[assignment]
        await begun.wait()
        await process.aclose()

    asyncio.run(inside())
    assert ended == ["exchange", "connections"]
