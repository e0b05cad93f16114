"""Stage, outermost: the client's protocol <-> canonical form (Responses JSON). Inside it everything is canonical."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

from mitmcodex import emission
from mitmcodex.exchange import Canonical, Exchange, Reply, Retry
from mitmcodex.upstream.retry import FIRST_DELAY_S
from mitmcodex.upstream.transport import Closed
from mitmcodex.wire import StreamEncoder, codec_for
from mitmcodex.wire.errors import WireError


class Translate:
    def upstream_request(self, exchange: Exchange) -> None:
        admission = exchange.admission
        if admission.call not in ("responses", "compact") or admission.is_raw:
            exchange.canonical = Canonical(admission.call, admission.body, {}, wants_stream=False)
            return
        codec = codec_for(admission.protocol)
        fields, wants_stream = codec.decode_request(admission.body)
        if admission.call == "compact":
            exchange.canonical = Canonical("compact", admission.body, fields, wants_stream=False)
            return
        exchange.canonical = Canonical("responses", admission.body, fields, wants_stream)
        exchange.encoder = codec.encoder(admission.is_codex, str(fields.get("model") or ""))

    async def upstream_response(self, exchange: Exchange) -> None:
        reply, canonical = exchange.reply, exchange.canonical
        assert reply is not None and canonical is not None
        if reply.body is not None or exchange.encoder is None:
            return
        if not emission.is_event_stream(reply.headers) or not 200 <= reply.status < 300:
            return  # a JSON answer or error is in the client's protocol already
        assert exchange.body is not None
        if canonical.wants_stream:
            exchange.body = _encoded(exchange.body, exchange.encoder)
            exchange.reply = Reply(reply.status, _stream_headers(exchange))
        else:
            await _aggregate(exchange)


async def _encoded(body: AsyncIterator[bytes], encoder: StreamEncoder) -> AsyncIterator[bytes]:
    async for data in body:
        if piece := encoder.feed(data):
            yield piece
    if piece := encoder.finish():
        yield piece


def _stream_headers(exchange: Exchange) -> list[tuple[str, str]]:
    """conformance 39: what stands between must neither cache nor collect the stream. Codex gets the head as it came."""
    assert exchange.reply is not None
    headers = exchange.reply.headers
    if exchange.is_codex:
        return headers
    kept = emission.without(headers, "cache-control", "x-accel-buffering")
    return [*kept, ("cache-control", "no-cache"), ("x-accel-buffering", "no")]


async def _aggregate(exchange: Exchange) -> None:
    """One Response object for a client that asked without streaming; raises WireError when the generation failed.

    Nothing went to the client yet, so a cut or an empty answer is worth one more attempt (seeds S88). One that ended at
    a limit is no empty answer: the next would cost as much and end there too.
    """
    assert exchange.body is not None and exchange.reply is not None
    folder = codec_for(exchange.admission.protocol).folder()
    try:
        async for data in exchange.body:
            folder.feed(data)
        whole = folder.result()
    except (Closed, WireError) as error:
        if exchange.attempt > 1 or (isinstance(error, WireError) and error.kind != "stream_incomplete"):
            raise
        exchange.retry = Retry("the upstream cut the stream", FIRST_DELAY_S)
        return
    if not whole.get("output") and whole.get("status") != "incomplete" and exchange.attempt == 1:
        exchange.retry = Retry("the upstream's answer was empty", FIRST_DELAY_S)
        return
    body = json.dumps(whole, ensure_ascii=False).encode("utf-8", "backslashreplace")
    headers = emission.without(exchange.reply.headers, "content-type", "content-length", "cache-control")
    exchange.reply = Reply(200, [("content-type", "application/json"), *headers], body)
