"""An upstream's answer that is no stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from mitmcodex.whole import answer_of, read_whole
from mitmcodex.wire.errors import WireError


async def pieces(*data: bytes) -> AsyncIterator[bytes]:
    for piece in data:
        yield piece


def test_all_pieces_are_one_answer() -> None:
    """In their order, up to the limit."""
    assert asyncio.run(read_whole(pieces(b"ab", b"", b"c"), limit=3)) == b"abc"


def test_more_than_the_limit_is_refused() -> None:
    """Memory is bounded whatever the upstream sends."""
    with pytest.raises(WireError) as caught:
        asyncio.run(read_whole(pieces(b"ab", b"cd"), limit=3))
    assert caught.value.kind == "upstream_failed"


@pytest.mark.parametrize("data", [b"", b"<html>", b"[]", b"null", b"\xff", b"[" * 100_000])
def test_what_is_no_object_is_the_upstreams_fault(data: bytes) -> None:
    """The client sent a good request: it is not told that its body is wrong."""
    with pytest.raises(WireError) as caught:
        answer_of(data)
    assert caught.value.kind == "upstream_failed" and "upstream's answer" in caught.value.message
