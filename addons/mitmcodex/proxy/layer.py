"""The seam with mitmproxy's core: where it would open a server connection, it opens an Exchange. Sans-IO.

mitmproxy asks its ``HttpLayer`` for a connection to the server (``get_connection``). ``EgressHttpLayer`` answers with
an ``EgressConnection``: once the request is whole it starts an exchange, and it turns what the exchange emits
(``UpstreamEvent``) into HTTP events for the client. Hooks, flows, framing, HTTP/2 and disconnects stay mitmproxy's.

This room is the only one that touches mitmproxy's private API; ``tests/unit/test_layer.py`` holds the contract.
An exception in here would leave the client hanging until ``tcp_timeout``: keep it small.
"""

from __future__ import annotations

import time
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from typing import Any, Protocol

from mitmproxy import http
from mitmproxy.connection import ConnectionState, Server
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.layer import CommandGenerator, Layer
from mitmproxy.proxy.layers.http import (
    ErrorCode,
    GetHttpConnection,
    GetHttpConnectionCompleted,
    Http1Server,
    HttpConnection,
    HttpEvent,
    HttpLayer,
    HttpStream,
    ReceiveHttp,
    RequestData,
    RequestEndOfMessage,
    RequestProtocolError,
    ResponseData,
    ResponseEndOfMessage,
    ResponseHeaders,
    ResponseProtocolError,
)
from mitmproxy.proxy.layers.http._http2 import Http2Server
from mitmproxy.proxy.server import ConnectionHandler

from mitmcodex.exchange import Admission, Emission, End, Exchange, Failed, Head
from mitmcodex.proxy.leg import Leg
from mitmcodex.wire.error_replies import reply_for
from mitmcodex.wire.errors import ErrorReply, WireError
from mitmcodex.wire.redact import scrub


class Seam(Protocol):
    """What the layer needs of the process; read at each request, so that a reload takes effect on open connections."""

    @property
    def admissions(self) -> MutableMapping[http.HTTPFlow, Admission]: ...
    @property
    def begin(self) -> Callable[[Exchange], None]: ...


@dataclass
class UpstreamEvent(events.ConnectionEvent):
    """Something that an exchange hands to the client; routed by mitmproxy to the EgressConnection."""

    payload: Emission


class EgressConnection(HttpConnection):
    """Stands where a server connection would stand, for one request."""

    def __init__(self, stream: HttpStream, server: Server, layer: EgressHttpLayer) -> None:
        super().__init__(layer.context.fork(), server)
        self.stream_id = stream.stream_id
        self.closed = False
        self._flow = stream.flow
        self._layer = layer
        self._exchange: Exchange | None = None
        self._leg: Leg | None = None

    def client_moved(self) -> None:
        """The HTTP/2 client sent something, perhaps room for more."""
        if self._leg is not None:
            self._leg.room.set()

    def _handle_event(self, event: events.Event) -> CommandGenerator[None]:
        match event:
            case RequestEndOfMessage() if self._exchange is None:
                yield from self._begin()
            case RequestEndOfMessage() | RequestProtocolError():
                self._close()
                if self._exchange:
                    self._exchange.cancel()
            case UpstreamEvent(payload=payload) if not self.closed:
                yield from self._from_exchange(payload)

    def _begin(self) -> CommandGenerator[None]:
        """The whole body is in the flow by now."""
        admission = self._layer.seam.admissions.get(self._flow)
        if admission is None or not admission.call:
            # The gate did not see this flow, or did not let it in: it must not go anywhere.
            self._close()
            yield self._receive(
                ResponseProtocolError(self.stream_id, "refused: no admission", ErrorCode.GENERIC_SERVER_ERROR)
            )
            return
        client_side = self._layer.connections[self.context.client]
        self._leg = Leg(self._layer.handler, self, client_side, lambda payload: UpstreamEvent(self.conn, payload))
        self._exchange = Exchange(self._flow, admission, self._leg)
        self._layer.seam.begin(self._exchange)

    def _from_exchange(self, payload: Emission) -> CommandGenerator[None]:
        match payload:
            case Head(status=status, headers=headers):
                yield self._receive(ResponseHeaders(self.stream_id, _response(status, headers)))
            case bytes():
                yield self._receive(ResponseData(self.stream_id, payload))
            case End():
                self._close()
                yield self._receive(ResponseEndOfMessage(self.stream_id))
            case Failed(message=message):
                self._close()
                yield self._receive(ResponseProtocolError(self.stream_id, message, ErrorCode.GENERIC_SERVER_ERROR))

    def _receive(self, event: HttpEvent) -> ReceiveHttp:
        return ReceiveHttp(event)

    def _close(self) -> None:
        if not self.closed:
            self.closed = True
            self.client_moved()
            self.conn.state = ConnectionState.CLOSED
            self.conn.timestamp_end = time.time()


def _response(status: int, headers: list[tuple[str, str]]) -> http.Response:
    fields = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    now = time.time()
    response = http.Response(b"HTTP/1.1", status, b"", http.Headers(fields), None, None, now, None)
    response.reason = http.status_codes.RESPONSES.get(status, "")
    # Set here, not by an addon's responseheaders: each piece must go out when it arrives (mitmproxy.md 2.3).
    response.stream = True
    return response


class GuardedHttp1Server(Http1Server):
    """mitmproxy's HTTP/1 server side, whose own refusals quote no part of the request and are JSON."""

    def read_headers(self, event: events.ConnectionEvent) -> CommandGenerator[None]:
        for command in super().read_headers(event):
            match command:
                case commands.SendData():
                    yield commands.SendData(self.conn, _refusal(400, "The request head is not valid HTTP."))
                case commands.Log(level=level):
                    yield commands.Log("refused a client whose request head is incomplete or not valid HTTP", level)
                case _:
                    yield command

    def read_body(self, event: events.Event) -> CommandGenerator[None]:
        try:
            yield from super().read_body(event)
        except NotImplementedError:  # what mitmproxy has to say to trailers; the client would wait for ever
            message = "HTTP/1.1 trailers are not supported."
            yield commands.SendData(self.conn, _refusal(400, message))
            yield commands.CloseConnection(self.conn)
            assert self.stream_id is not None
            yield ReceiveHttp(RequestProtocolError(self.stream_id, message, ErrorCode.GENERIC_CLIENT_ERROR))

    def send(self, event: HttpEvent) -> CommandGenerator[None]:
        if isinstance(event, ResponseProtocolError) and self.response is None:
            status = event.code.http_status_code()
            if status is not None and self.conn.state & ConnectionState.CAN_WRITE:
                yield commands.SendData(self.conn, _refusal(status, event.message))
                yield commands.CloseConnection(self.conn)
                return
        yield from super().send(event)


class GuardedHttp2Server(Http2Server):
    """mitmproxy's HTTP/2 server side, whose own refusals are JSON."""

    def _handle_event(self, event: events.Event) -> CommandGenerator[None]:
        if not isinstance(event, ResponseProtocolError) or (status := self._open_status(event)) is None:
            yield from super()._handle_event(event)
            return
        reply = _reply(status, event.message)
        head = _response(status, [*reply.headers, ("content-length", str(len(reply.body)))])
        yield from super()._handle_event(ResponseHeaders(event.stream_id, head))
        yield from super()._handle_event(ResponseData(event.stream_id, reply.body))
        yield from super()._handle_event(ResponseEndOfMessage(event.stream_id))

    def _open_status(self, event: ResponseProtocolError) -> int | None:
        """None when an answer has begun or none is meant: then the stream is reset."""
        if not self.is_open_for_us(event.stream_id):
            return None
        machine = self.h2_conn.streams[event.stream_id].state_machine
        return None if machine.headers_sent else event.code.http_status_code()


REFUSALS = {400: "invalid_request", 413: "body_too_large"}


def _reply(status: int, message: str) -> ErrorReply:
    """mitmproxy answers by itself, before or beside the gate: in the form of all our errors."""
    if status == 413:  # its own text names an option that our users don't set
        message = "The request body is too large. Raise max_body_bytes or send less."
    return reply_for(WireError(REFUSALS.get(status, "internal"), scrub(message), status=status), "responses", False)


def _refusal(status: int, message: str) -> bytes:
    """As HTTP/1.1; the connection closes."""
    reply = _reply(status, message)
    reason = http.status_codes.RESPONSES.get(status, "")
    head = f"HTTP/1.1 {status} {reason}\r\nconnection: close\r\ncontent-length: {len(reply.body)}\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in reply.headers)
    return head.encode("latin-1") + b"\r\n" + reply.body


class EgressStream(HttpStream):
    """The size limit holds for what comes in alone; what a refused client still sends is dropped, not kept."""

    def check_body_size(self, request: bool) -> CommandGenerator[bool]:
        return (yield from super().check_body_size(request)) if request else False

    def state_consume_request_body(self, event: events.Event) -> CommandGenerator[None]:
        if isinstance(event, RequestData) and self.flow.response is not None:
            return
        yield from super().state_consume_request_body(event)


PROTOCOL_ERRORS = (RequestProtocolError, ResponseProtocolError)


class EgressHttpLayer(HttpLayer):
    """mitmproxy's HttpLayer with one seam: ``get_connection``."""

    handler: ConnectionHandler
    seam: Seam

    @classmethod
    def adopt(cls, layer: HttpLayer, handler: ConnectionHandler, seam: Seam) -> None:
        """Turn a layer that mitmproxy has just made (it has seen no event yet) into ours."""
        layer.__class__ = cls
        assert isinstance(layer, cls)
        layer.handler = handler
        layer.seam = seam

    def get_connection(self, event: GetHttpConnection, *, reuse: bool = True) -> CommandGenerator[None]:
        for connection in [c for c, x in self.connections.items() if isinstance(x, EgressConnection) and x.closed]:
            del self.connections[connection]
        stream = self.command_sources.pop(event)
        assert isinstance(stream, HttpStream)
        server = Server(address=event.address)
        server.timestamp_start = time.time()
        server.state = ConnectionState.OPEN  # not in the constructor: an open Server refuses an address
        self.connections[server] = EgressConnection(stream, server, self)
        yield from self.event_to_child(stream, GetHttpConnectionCompleted(event, (server, None)))

    def make_stream(self, stream_id: int) -> CommandGenerator[None]:
        self.streams[stream_id] = EgressStream(self.context.fork(), stream_id)
        yield from self.event_to_child(self.streams[stream_id], events.Start())

    def event_to_child(self, child: Any, event: events.Event) -> CommandGenerator[None]:
        if isinstance(event, PROTOCOL_ERRORS):
            # These texts become flow.error, a log record and, before the head, the client's answer.
            event.message = scrub(event.message)
        if isinstance(event, ResponseData) and child is self.connections.get(self.context.client):
            if self.streams[event.stream_id].flow.request.method == "HEAD":
                return  # mitmproxy sends the body of an addon's own answer all the same: it would be the next answer
        yield from super().event_to_child(child, event)

    def _handle_event(self, event: events.Event) -> CommandGenerator[None]:
        if isinstance(event, events.Start) and self.context.client.alpn != b"h3":
            guarded = GuardedHttp2Server if self.context.client.alpn == b"h2" else GuardedHttp1Server
            self.connections.setdefault(self.context.client, guarded(self.context.fork()))
        yield from super()._handle_event(event)
        if self.context.client.alpn == b"h2":
            for connection in self.connections.values():
                if isinstance(connection, EgressConnection):
                    connection.client_moved()


def adopt_all(layer: Layer, handler: ConnectionHandler, seam: Seam) -> None:
    """Turn each HttpLayer in the stack that mitmproxy has just made into ours."""
    found: Layer | None = layer
    while found is not None:
        if type(found) is HttpLayer:
            EgressHttpLayer.adopt(found, handler, seam)
        found = getattr(found, "child_layer", None)
