"""Stage: stop sequences and token limits that the provider refuses are kept here (conformance 23 and 63)."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable

from mitmcodex import emission
from mitmcodex.exchange import Exchange
from mitmcodex.process import Process
from mitmcodex.wire.codec import Decoded, Loss
from mitmcodex.wire.counting import request_tokens
from mitmcodex.wire.limits import Cut, Limiter
from mitmcodex.wire.patch import REMOVE
from mitmcodex.wire.reading import wrong

log = logging.getLogger(__name__)

MAX_TOKENS = "max_output_tokens"
STOP_TAKERS = ("chat", "messages", "gemini")
"""Kinds of provider that know stop sequences; the Responses API has none."""
PUBLIC_KINDS = ("openai", "azure")
SMALLEST_LIMIT = 16
"""Of the public Responses API; clients of other protocols ask for 1 token to see whether a model is there."""

WHY = "the provider does not take it: the answer is cut here"


class Emulate:
    def __init__(self, process: Process, count: Callable[[str], int]) -> None:
        """``count``: tokens of a text."""
        self._process = process
        self._count = count

    def upstream_request(self, exchange: Exchange) -> None:
        exchange.limiter = None
        canonical, provider = exchange.canonical, exchange.provider
        assert canonical is not None and provider is not None
        is_translated = canonical.call == "responses" and exchange.encoder is not None
        if not is_translated or exchange.is_codex or not self._process.current.emulate:
            return
        decoded = canonical.decoded
        stop = () if provider.kind in STOP_TAKERS else decoded.stop
        limit = _limit(decoded) if provider.kind in ("chatgpt", "demo") or _is_below(exchange, provider.kind) else None
        if stop:
            exchange.losses.append(Loss(decoded.path("stop"), "emulated", WHY))
            decoded.stop = ()
        if limit is not None:
            exchange.losses.append(Loss(decoded.path(MAX_TOKENS), "emulated", WHY))
            canonical.change({MAX_TOKENS: REMOVE})
        if stop or limit is not None:
            exchange.limiter = Limiter(stop, limit, self._count, lambda: request_tokens(decoded.fields, self._count))

    def upstream_response(self, exchange: Exchange) -> None:
        reply, body, limiter = exchange.reply, exchange.body, exchange.limiter
        assert reply is not None
        if limiter is None or reply.body is not None or not 200 <= reply.status < 300:
            return
        assert body is not None
        if emission.is_event_stream(reply.headers):
            exchange.body = _limited(body, limiter, lambda cut: _report(exchange, cut))


def _is_below(exchange: Exchange, kind: str) -> bool:
    """A limit that the public API refuses; its own clients are told so by itself (conformance 76)."""
    assert exchange.canonical is not None
    limit = exchange.canonical.decoded.fields.get(MAX_TOKENS)
    is_foreign = kind in PUBLIC_KINDS and exchange.admission.protocol != "responses"
    return is_foreign and limit is not None and limit < SMALLEST_LIMIT


def _limit(decoded: Decoded) -> int | None:
    """Raises WireError (invalid_request) for what is no limit."""
    limit = decoded.fields.get(MAX_TOKENS)
    if limit is not None and (not isinstance(limit, int) or isinstance(limit, bool) or limit < 1):
        raise wrong(decoded.path(MAX_TOKENS), "must be a whole number from 1 up")
    return limit


async def _limited(
    body: AsyncIterator[bytes], limiter: Limiter, report: Callable[[Cut], None]
) -> AsyncIterator[bytes]:
    """Ends at the cut, and with it the exchange: its upstream is aborted."""
    async for data in body:
        if piece := limiter.feed(data):
            yield piece
        if limiter.cut:
            break
    if piece := limiter.finish():
        yield piece
    if limiter.cut:
        report(limiter.cut)


def _report(exchange: Exchange, cut: Cut) -> None:
    """Without the sequence itself, which is the client's own text."""
    where = "a stop sequence" if cut.stop else "the token limit"
    usage = f"{cut.input_tokens} in, {cut.output_tokens} out"
    log.info(f"exchange {exchange.number}: cut here at {where}; usage estimated: {usage}")
