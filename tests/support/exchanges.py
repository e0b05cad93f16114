"""An exchange for tests of one stage, as the stages before it would leave it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any, cast

from mitmproxy import http
from mitmproxy.test import tflow, tutils

from mitmcodex.exchange import Admission, Canonical, ClientLeg, Exchange, Form, Reply
from mitmcodex.upstream.providers import Provider
from mitmcodex.upstream.transport import TransportError, UpstreamHead
from mitmcodex.wire.codec import Decoded

EVENTS = ("content-type", "text/event-stream")


def an_exchange(method: str = "POST", call: str = "responses", **admission: Any) -> Exchange:
    """Admitted and no more; ``admission`` holds further fields of Admission."""
    flow: http.HTTPFlow = tflow.tflow(req=tutils.treq(method=method.encode()))
    return Exchange(flow, Admission(call=call, **admission), cast(ClientLeg, None), attempt=1)


def canonical(exchange: Exchange, fields: dict[str, Any] | None = None, wants_stream: bool = True) -> Exchange:
    """The same, translated; ``fields`` are the body."""
    body = json.dumps(fields).encode() if fields is not None else exchange.admission.body
    call = exchange.admission.call
    exchange.canonical = Canonical(call, Decoded(fields or {}, wants_stream), body)
    exchange.adapted = body
    exchange.form = Form(call, fields or {}, query=exchange.admission.query)
    return exchange


def answered(exchange: Exchange, *pieces: bytes | TransportError, status: int = 200, **reply: Any) -> Exchange:
    """The same with an upstream's answer: ``pieces`` come one by one, an error among them is raised."""
    headers = reply.pop("headers", [EVENTS])
    exchange.upstream = UpstreamHead("HTTP/2", status, "", tuple(headers))
    exchange.reply = Reply(status, list(headers), **reply)
    exchange.body = _played(pieces)
    return exchange


async def _played(pieces: tuple[bytes | TransportError, ...]) -> AsyncIterator[bytes]:
    for piece in pieces:
        if isinstance(piece, TransportError):
            raise piece
        yield piece


def read(exchange: Exchange) -> bytes:
    """The body as the client would get it."""
    assert exchange.body is not None
    body = exchange.body

    async def joined() -> bytes:
        return b"".join([piece async for piece in body])

    return asyncio.run(joined())


def at(exchange: Exchange, provider: Provider) -> Exchange:
    exchange.provider = provider
    return exchange
