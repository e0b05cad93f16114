"""Looking at a body before it is read. What an answer means is tested whole in tests/e2e/test_errors.py."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from typing import Any

import pytest

from mitmcodex.classify import Ahead
from mitmcodex.upstream.transport import Closed


async def body(*pieces: bytes | Exception | asyncio.Event) -> AsyncIterator[bytes]:
    for piece in pieces:
        if isinstance(piece, Exception):
            raise piece
        if isinstance(piece, asyncio.Event):
            await piece.wait()
        else:
            yield piece


async def rest(ahead: Ahead) -> list[bytes]:
    return [piece async for piece in ahead]


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(coroutine, 5))


@pytest.mark.parametrize("looks", range(5))
def test_what_was_seen_comes_again(looks: int) -> None:
    """However far one looked, also past the end: the whole body follows, in order, once."""

    async def look() -> None:
        ahead = Ahead(body(b"a", b"b", b"c"))
        seen = [await ahead.look(None) for _ in range(looks)]
        assert seen == [b"a", b"b", b"c", b"", b""][:looks]
        assert await rest(ahead) == [b"a", b"b", b"c"]

    run(look())


def test_silence_loses_nothing() -> None:
    """A look that was not answered in time leaves its piece for the reader."""

    async def look() -> None:
        goes_on = asyncio.Event()
        ahead = Ahead(body(b"a", goes_on, b"b", b"c"))
        assert [await ahead.look(None), await ahead.look(0.001), await ahead.look(0.001)] == [b"a", None, None]
        goes_on.set()
        assert await rest(ahead) == [b"a", b"b", b"c"]

    run(look())


def test_a_break_comes_again_behind_what_came_before_it() -> None:
    """The one who looks hears of it, and so does the one who reads, after the pieces."""

    async def look() -> None:
        ahead = Ahead(body(b"a", Closed("cut")))
        assert await ahead.look(None) == b"a"
        with pytest.raises(Closed):
            await ahead.look(None)
        assert await anext(ahead) == b"a"
        with pytest.raises(Closed):
            await anext(ahead)

    run(look())


def test_closing_ends_what_is_awaited() -> None:
    """No task waits for the upstream after the exchange has ended."""

    async def look() -> None:
        ahead = Ahead(body(asyncio.Event()))
        assert await ahead.look(0.001) is None
        await ahead.aclose()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run(look())
