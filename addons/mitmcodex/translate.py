"""Stage: the client's protocol <-> canonical form (Responses JSON). Inside it everything is canonical.

A client of the provider's own protocol is not translated at all: its body and its answer pass as they are.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

from mitmcodex import emission
from mitmcodex.exchange import Admission, Canonical, Exchange, Pairs, Reply, Retry
from mitmcodex.process import Process
from mitmcodex.upstream.providers import Provider
from mitmcodex.upstream.retry import FIRST_DELAY_S
from mitmcodex.upstream.transport import Closed
from mitmcodex.whole import answer_of, read_whole
from mitmcodex.wire import REVERSES, codec_for
from mitmcodex.wire.codec import Asked, Decoded, ReplyContext, StreamEncoder
from mitmcodex.wire.counting import cheap_estimate
from mitmcodex.wire.errors import WireError
from mitmcodex.wire.fold import Folder
from mitmcodex.wire.native import NativeEncoder
from mitmcodex.wire.shapes import Fields
from mitmcodex.wire.writer import fresh_id, replay

GENERATIONS = ("responses", "images")
"""Calls whose canonical form is a generation; images where a tool draws them."""
IMAGE_KINDS = ("openai", "azure")
"""Kinds of provider that have the Images API themselves."""


class Translate:
    def __init__(self, process: Process, count: Callable[[str], int]) -> None:
        """``count``: tokens of a text."""
        self._process = process
        self._count = count

    def upstream_request(self, exchange: Exchange) -> None:
        admission, provider, fields = exchange.admission, exchange.provider, exchange.parsed
        assert provider is not None
        if admission.call == "images" and provider.kind != "chatgpt":
            exchange.canonical = _image_call(admission, provider)
            return
        if fields is None or admission.call not in GENERATIONS:
            exchange.canonical = Canonical(admission.call, Decoded(fields or {}), admission.body)
            return
        if provider.kind == admission.protocol and provider.kind in REVERSES:
            decoded = Decoded(fields, _asks_for_events(admission, fields))
            exchange.canonical = Canonical("responses", decoded, admission.body, is_native=True)
            exchange.encoder = NativeEncoder(admission.protocol)
            return
        codec = codec_for(admission.protocol)
        asked = Asked(admission.model, admission.action, admission.query, tuple(admission.headers))
        decoded = codec.decode_request(fields, asked)
        exchange.losses += decoded.losses
        exchange.canonical = Canonical("responses", decoded, admission.body if codec.is_canonical else None)
        exchange.encoder = codec.encoder(decoded, self._context(exchange))

    async def upstream_response(self, exchange: Exchange) -> None:
        reply, canonical, encoder = exchange.reply, exchange.canonical, exchange.encoder
        assert reply is not None and canonical is not None
        if encoder is not None and reply.body is None and 200 <= reply.status < 300:
            assert exchange.body is not None
            if canonical.is_native:
                if emission.is_event_stream(reply.headers):
                    exchange.body = _encoded(exchange.body, encoder)
                    exchange.reply = Reply(reply.status, reply.headers, is_encoded=True)
            elif not emission.is_event_stream(reply.headers):
                await self._whole(exchange, exchange.body)
            elif canonical.wants_stream:
                self._stream(exchange, exchange.body, encoder)
            else:
                await self._aggregate(exchange)
        if exchange.losses and exchange.retry is None:
            assert exchange.reply is not None
            exchange.reply.headers.append((emission.LOSS_HEADER, str(len(exchange.losses))))

    def _context(self, exchange: Exchange) -> ReplyContext:
        return ReplyContext(
            is_codex=exchange.is_codex,
            model=exchange.told_model,
            reasoning_out=self._process.current.reasoning_out,
            choice=exchange.choice,
            account=lambda: exchange.account_tag,
            input_tokens=lambda: cheap_estimate(exchange.adapted or b""),
            count=self._count,
            now_ns=time.time_ns,
            new_id=fresh_id,
        )

    def _stream(self, exchange: Exchange, body: AsyncIterator[bytes], encoder: StreamEncoder) -> None:
        assert exchange.reply is not None
        exchange.body = _encoded(body, encoder)
        headers = _stream_headers(exchange, encoder.content_type)
        exchange.reply = Reply(exchange.reply.status, headers, is_encoded=True)

    async def _whole(self, exchange: Exchange, body: AsyncIterator[bytes]) -> None:
        """A provider that answered with JSON although it was asked for a stream."""
        assert exchange.canonical is not None and exchange.encoder is not None
        is_canonical = codec_for(exchange.admission.protocol).is_canonical
        if is_canonical and (exchange.is_codex or not exchange.canonical.wants_stream):
            return
        response = answer_of(await read_whole(body))
        if exchange.canonical.wants_stream:
            self._stream(exchange, _once(replay(response)), exchange.encoder)
        else:
            self._answer(exchange, response)

    async def _aggregate(self, exchange: Exchange) -> None:
        """One JSON object for a client that asked without streaming; raises WireError when the generation failed.

        Nothing went to the client yet, so a cut or an empty answer is worth one more attempt (seeds S88). One that
        ended at a limit is no empty answer: the next would cost as much and end there too.
        """
        assert exchange.body is not None
        folder = Folder()
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
        self._answer(exchange, whole)

    def _answer(self, exchange: Exchange, response: Fields) -> None:
        assert exchange.reply is not None and exchange.canonical is not None
        codec = codec_for(exchange.admission.protocol)
        told: Any = codec.encode_response(response, exchange.canonical.decoded, self._context(exchange))
        body = json.dumps(told, ensure_ascii=False).encode("utf-8", "backslashreplace")
        headers = emission.without(exchange.reply.headers, "content-type", "content-length", "cache-control")
        exchange.reply = Reply(200, [("content-type", "application/json"), *headers], body)


def _image_call(admission: Admission, provider: Provider) -> Canonical:
    """The Images API's own call, as it came. Raises WireError (not_supported) where the provider has none."""
    if provider.kind not in IMAGE_KINDS:
        where = f"The upstream {provider.name} ({provider.kind}) makes no images"
        remedy = "under routing, give the image model a provider of kind chatgpt, openai or azure"
        raise WireError("not_supported", f"{where}: {remedy}.")
    return Canonical(f"images/{admission.action}", Decoded({}), admission.body)


async def _encoded(body: AsyncIterator[bytes], encoder: StreamEncoder) -> AsyncIterator[bytes]:
    async for data in body:
        if piece := encoder.feed(data):
            yield piece
    if piece := encoder.finish():
        yield piece


def _asks_for_events(admission: Admission, fields: Fields) -> bool:
    """Of a request that is not decoded. Gemini's JSON array has no place for a keep-alive before its first byte."""
    if admission.protocol == "gemini":
        return admission.action == "streamGenerateContent" and "alt=sse" in admission.query.split("&")
    return fields.get("stream") is True


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data


def _stream_headers(exchange: Exchange, content_type: str) -> Pairs:
    """Codex gets the head as it came."""
    assert exchange.reply is not None
    headers = exchange.reply.headers
    if exchange.is_codex and emission.is_event_stream(headers):
        return headers
    told = []
    if exchange.admission.protocol != "responses" or not emission.is_event_stream(headers):
        told = [("content-type", content_type)]
        headers = emission.without(headers, "content-type", "content-length")
    kept = emission.without(headers, "cache-control", "x-accel-buffering")
    return [*told, *kept, *emission.UNBUFFERED]
