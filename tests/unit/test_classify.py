"""Looking at a body before it is read, and for how long. What an answer means: tests/e2e/test_errors.py."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from typing import Any

import pytest

from mitmcodex import classify
from mitmcodex.classify import Ahead, Classify
from mitmcodex.exchange import Admission, Canonical, Exchange, Reply
from mitmcodex.process import Process
from mitmcodex.upstream.providers import Provider
from mitmcodex.upstream.transport import Closed, UpstreamHead
from mitmcodex.wire.codec import Decoded
from mitmcodex.wire.sse import FRAME_LIMIT

SSE = ("content-type", "text/event-stream")


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


# -- how much


async def judged(
    answer: AsyncIterator[bytes],
    status: int = 200,
    kind: str = "openai",
    is_codex: bool = False,
) -> Exchange:
    """An exchange whose upstream gave this head and body, after the stage has looked at it."""
    exchange = Exchange(None, Admission(call="responses", is_codex=is_codex), None)  # type: ignore[arg-type]
    exchange.provider = Provider("p", kind, "https://p.invalid/v1")
    exchange.canonical = Canonical("responses", Decoded({}), b"")
    exchange.attempt = 3  # the last: no retry is asked for
    exchange.upstream = UpstreamHead("HTTP/2", status, "", (SSE,))
    exchange.reply, exchange.body = Reply(status, [SSE]), answer
    await Classify(Process(), None).upstream_response(exchange)  # type: ignore[arg-type]
    return exchange


async def comments(pause_s: float, comment: bytes = b": still here\n\n") -> AsyncIterator[bytes]:
    while True:
        await asyncio.sleep(pause_s)
        yield comment


def test_what_is_held_is_bounded() -> None:
    """The hold has no end in time, but one in bytes."""

    async def hold() -> None:
        piece = b": " + b"x" * 65536 + b"\n\n"
        exchange = await judged(comments(0, piece))
        assert len(exchange.body._seen) * len(piece) < FRAME_LIMIT + 2 * len(piece)  # type: ignore[union-attr]

    run(hold())


@pytest.mark.parametrize("end", [Closed("cut"), asyncio.Event()], ids=["cut", "stalled"])
def test_an_error_is_told_though_its_body_never_ends(
    end: Closed | asyncio.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The status says enough: a limit stays a limit and does not become a cut stream."""
    monkeypatch.setattr(classify, "ERROR_BODY_S", 0.01)

    async def refuse() -> None:
        exchange = await judged(body(b'{"error": {"mess', end), status=429)
        assert exchange.reply is not None and exchange.reply.status == 429
        assert b'"rate_limit_exceeded"' in (exchange.reply.body or b"")
        await exchange.body.aclose()  # type: ignore[union-attr]

    run(refuse())


@pytest.mark.parametrize(("kind", "is_theirs"), [("openai", True), ("messages", False)])
def test_codex_gets_only_errors_that_it_can_read_as_they_came(kind: str, is_theirs: bool) -> None:
    """Those of the Responses family; of another protocol it would miss the code, and so not compact."""
    told = b'{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long"}}'

    async def refuse() -> None:
        exchange = await judged(body(told), 400, kind=kind, is_codex=True)
        assert exchange.reply is not None and exchange.reply.status == 400
        assert (exchange.reply.body is None) is is_theirs
        assert is_theirs or b'"context_length_exceeded"' in (exchange.reply.body or b"")

    run(refuse())
