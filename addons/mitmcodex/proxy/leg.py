"""The client's side of an exchange: how its bytes reach the client, and how they wait while the client reads slowly."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol

from mitmproxy.proxy.context import Context
from mitmproxy.proxy.events import Event
from mitmproxy.proxy.layers.http import Http1Server
from mitmproxy.proxy.layers.http._http2 import Http2Server
from mitmproxy.proxy.server import ConnectionHandler

from mitmcodex.exchange import Emission


class Place(Protocol):
    """Where an exchange stands in mitmproxy's layers (``layer.EgressConnection``)."""

    stream_id: int
    closed: bool
    context: Context


HIGH_WATER = 256 * 1024
"""Bytes that may wait for one client before its upstream is paused."""


class Leg:
    """Implements ``exchange.ClientLeg`` on mitmproxy's connection handler."""

    def __init__(
        self,
        handler: ConnectionHandler,
        connection: Place,
        client_side: Any,
        as_event: Callable[[Emission], Event],
    ) -> None:
        self._handler = handler
        self._connection = connection
        self._client_side = client_side
        self._as_event = as_event
        self._writer: asyncio.StreamWriter | None = None
        self.room = asyncio.Event()
        """Set by the layer whenever an HTTP/2 client sent something."""

    def held_open(self) -> AbstractContextManager[None]:
        """While it lasts, mitmproxy's inactivity timeout does not cut the client: upstreams may think for minutes."""
        return self._handler.timeout_watchdog.disarm()

    async def emit(self, payload: Emission) -> None:
        """Hand something to the client; returns when there is room for more."""
        if self._connection.closed:
            return  # a keep-alive or a kill that comes late; the layer may have forgotten this connection
        if type(payload) is bytes and (writer := self._direct_writer()) is not None:
            # Between the head and the end mark of a chunked HTTP/1.1 answer the layers would only frame the piece:
            # written past them it costs a quarter (mitmproxy.md 2.3). Head, end, errors go through them as ever.
            writer.write(b"%x\r\n%s\r\n" % (len(payload), payload))
            if writer.transport.get_write_buffer_size() > HIGH_WATER:
                await self._drain(writer)
            return
        await self._handler.server_event(self._as_event(payload))
        await self._handler.drain_writers()
        await self._http2_room()

    def _direct_writer(self) -> asyncio.StreamWriter | None:
        """The client's writer once, and as long as, a piece may be written past the layers."""
        if self._writer is None:
            self._writer = self._find_writer()
        if self._writer is None or self._writer.is_closing():
            return None
        return self._writer

    def _find_writer(self) -> asyncio.StreamWriter | None:
        server = self._client_side
        context = self._connection.context
        if not isinstance(server, Http1Server) or context.client.tls or context.options.store_streamed_bodies:
            return None
        if server.response is None:
            return None  # the head is not out yet: a hook (intercept, say) holds it
        if server.response.stream is not True or "chunked" not in server.response.headers.get("transfer-encoding", ""):
            return None  # an addon wants to see the pieces, or the framing is not chunked
        io = self._handler.transports.get(context.client)
        return io.writer if io is not None and isinstance(io.writer, asyncio.StreamWriter) else None

    async def _drain(self, writer: asyncio.StreamWriter) -> None:
        try:
            await writer.drain()
        except OSError:
            pass  # the client is gone: the layer hears of it and cancels the exchange

    async def _http2_room(self) -> None:
        """mitmproxy buffers without bound for an HTTP/2 client whose window is closed: wait for its next frame."""
        server = self._client_side
        if not isinstance(server, Http2Server):
            return
        while not self._connection.closed and self._http2_backlog(server) > HIGH_WATER:
            self.room.clear()
            await self.room.wait()

    def _http2_backlog(self, server: Http2Server) -> int:
        return sum(len(part.data) for part in server.h2_conn.stream_buffers.get(self._connection.stream_id, ()))
