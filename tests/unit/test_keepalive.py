"""What is said while the upstream is silent."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from mitmcodex.keepalive import Keepalive

SILENCE_S = 0.01
WAIT_S = 5.0
IDLE = b": idle\n\n"


class Client:
    """An exchange as far as Keepalive sees it; ``reads`` cleared = the client takes nothing."""

    def __init__(self, idle: bytes = IDLE) -> None:
        self.encoder = SimpleNamespace(idle=self._idle)
        self.is_open, self.outcome = True, ""
        self.got: list[bytes] = []
        self.told: list[bytes] = []
        self.asked = 0
        self.changed = asyncio.Event()
        self.reads = asyncio.Event()
        self.reads.set()
        self._piece = idle

    def _idle(self) -> bytes:
        self.asked += 1
        self.changed.set()
        return self._piece

    async def emit(self, piece: bytes) -> None:
        self.got.append(piece)
        self.changed.set()
        await self.reads.wait()

    def keepalive(self, silence_s: float = SILENCE_S) -> Keepalive:
        exchange: Any = self
        observers: Any = SimpleNamespace(tell=lambda step, piece: self.told.append(piece))
        return Keepalive(exchange, silence_s, observers)

    async def until(self, count: int) -> None:
        async with asyncio.timeout(WAIT_S):
            while len(self.got) < count:
                self.changed.clear()
                await self.changed.wait()


def test_silence_is_filled_again_and_again() -> None:
    """After each ``silence_s`` without a piece the encoder's idle piece goes out, and observers see it."""

    async def run() -> None:
        client = Client()
        async with client.keepalive():
            await client.until(3)
        assert client.got[:3] == [IDLE] * 3 and client.told == client.got

    asyncio.run(run())


def test_where_the_protocol_has_nothing_to_say_nothing_is_sent() -> None:
    """An encoder in the middle of a frame answers b"": it is asked again later."""

    async def run() -> None:
        client = Client(idle=b"")
        async with client.keepalive(), asyncio.timeout(WAIT_S):
            while client.asked < 3:
                client.changed.clear()
                await client.changed.wait()
        assert client.got == client.told == []

    asyncio.run(run())


@pytest.mark.parametrize("in_a_piece", [True, False])
def test_a_client_that_reads_nothing_gets_no_pile(in_a_piece: bool) -> None:
    """While a piece, or an idle piece, waits for the client to read, no further one is made."""

    async def run() -> None:
        client = Client()
        client.reads.clear()
        async with client.keepalive() as keepalive:
            piece = asyncio.ensure_future(keepalive.emit(b"piece")) if in_a_piece else None
            await client.until(1)
            passed = asyncio.Event()
            asyncio.get_running_loop().call_later(10 * SILENCE_S, passed.set)
            await passed.wait()
            assert client.got == [b"piece" if in_a_piece else IDLE]
            client.reads.set()
            if piece:
                await piece
            await client.until(2)
        assert client.got[1] == IDLE

    asyncio.run(run())


def test_nothing_is_left_when_the_stream_ends() -> None:
    """Timer and waiting idle piece end with it."""

    async def run() -> None:
        client = Client()
        client.reads.clear()
        async with client.keepalive() as keepalive:
            await client.until(1)
        await asyncio.sleep(0)
        assert keepalive._timer is not None and keepalive._timer.cancelled()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(run())


def test_zero_turns_it_off() -> None:
    """``keepalive_s: 0`` sets no timer."""

    async def run() -> None:
        async with Client().keepalive(0) as keepalive:
            assert keepalive._timer is None

    asyncio.run(run())
