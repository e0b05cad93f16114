"""A call of our own to the provider in force: an exchange without a client."""

from __future__ import annotations

import asyncio
from contextlib import AbstractContextManager, nullcontext

from mitmproxy import connection, http

from mitmcodex import emission
from mitmcodex.exchange import Admission, Emission, Exchange, Failed, Head
from mitmcodex.process import Process
from mitmcodex.wire.errors import WireError

LISTENER = "internal"
LIMIT = 16 * 1024 * 1024
"""Bytes of a list of models; that of the ChatGPT backend, with a prompt in each model, has half a megabyte."""


class Collected:
    """The client's side of such an exchange (``exchange.ClientLeg``)."""

    def __init__(self) -> None:
        self.head = Head(0, [])
        self.body = bytearray()
        self.failure = ""

    def held_open(self) -> AbstractContextManager[None]:
        return nullcontext()

    async def emit(self, payload: Emission) -> None:
        """Raises WireError when it gets too much: that ends the exchange."""
        match payload:
            case Head():
                self.head = payload
            case bytes():
                if len(self.body) + len(payload) > LIMIT:
                    raise WireError("upstream_failed", f"the list of models is larger than {LIMIT} bytes")
                self.body += payload
            case Failed(message=message):
                self.failure = message


async def fetch_models(process: Process) -> tuple[bytes, str]:
    """The provider's list of models and its ETag ("" = none). Raises WireError."""
    request = http.Request.make("GET", "http://mitmcodex.invalid/v1/models")
    client = connection.Client(peername=("", 0), sockname=("", 0), timestamp_start=request.timestamp_start)
    flow = http.HTTPFlow(client, connection.Server(address=None))
    flow.request = request
    leg = Collected()
    exchange = Exchange(flow, Admission(listener=LISTENER, call="models"), leg)
    process.begin(exchange)
    assert exchange.task is not None
    # Not awaited itself: who stops waiting for the list does not end the call.
    await asyncio.wait((exchange.task,))
    if exchange.outcome != "complete":
        raise WireError("upstream_failed", leg.failure or f"its list of models was answered with {leg.head.status}")
    return bytes(leg.body), emission.first(leg.head.headers, "etag")
