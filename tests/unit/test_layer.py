"""The seam without sockets: events in, bytes for the client out. And what it needs of mitmproxy's private parts."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from typing import Any

import pytest
from mitmproxy import connection, http
from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.proxy import events
from mitmproxy.proxy.layers.http import Http1Server, HttpLayer, HttpStream
from mitmproxy.proxy.layers.http._http2 import Http2Server
from mitmproxy.proxy.layers.http._http_h2 import BufferedH2Connection
from mitmproxy.proxy.server import ConnectionHandler, ConnectionIO
from mitmproxy.test import taddons

from mitmcodex.emission import framed
from mitmcodex.exchange import Admission, End, Failed, Head, Reply
from mitmcodex.proxy.layer import EgressConnection
from support.seam import POST, STREAM, Driver

SECRET = "sk-secret-0123456789abcdef"


@pytest.fixture
def options() -> Iterator[Any]:
    with taddons.context(Proxyserver()) as running:
        yield running.options


@pytest.fixture
def driver(options: Any) -> Driver:
    return Driver(options)


# -- the contract ---------------------------------------------------------------------------


def test_mitmproxy_has_what_the_seam_overrides() -> None:
    """The methods that proxy/ overrides exist, with the parameters that it passes on."""
    assert str(inspect.signature(HttpLayer.get_connection)).startswith("(self, event: ")
    wanted = {
        HttpLayer.get_connection: ["self", "event", "reuse"],
        HttpLayer.make_stream: ["self", "stream_id"],
        HttpLayer.event_to_child: ["self", "child", "event"],
        HttpStream.check_body_size: ["self", "request"],
        HttpStream.state_consume_request_body: ["self", "event"],
        Http1Server.read_headers: ["self", "event"],
        Http1Server.read_body: ["self", "event"],
        Http1Server.send: ["self", "event"],
        Http1Server.__init__: ["self", "context"],
        Http2Server.__init__: ["self", "context"],
        Http2Server.is_open_for_us: ["self", "stream_id"],
    }
    for method, names in wanted.items():
        assert list(inspect.signature(method).parameters) == names, method


def test_mitmproxy_has_what_the_leg_reads(driver: Driver) -> None:
    """The names that proxy/leg.py reads of a connection's handler and of both kinds of client connections."""
    assert {"transports", "timeout_watchdog"} <= ConnectionHandler.__annotations__.keys()
    assert inspect.iscoroutinefunction(ConnectionHandler.server_event)
    assert inspect.iscoroutinefunction(ConnectionHandler.drain_writers)
    assert "writer" in ConnectionIO.__dataclass_fields__
    assert {"h2_conn"} <= {name for kind in Http2Server.__mro__ for name in getattr(kind, "__annotations__", {})}
    assert "stream_buffers" in BufferedH2Connection.__annotations__
    assert driver.layer.connections.keys() == {driver.client}
    assert isinstance(driver.layer.connections[driver.client], Http1Server)


# -- one request ----------------------------------------------------------------------------


def test_a_stream_goes_out_piece_by_piece(driver: Driver) -> None:
    """The exchange begins when the request is whole; head, each piece and the end go out as they are emitted."""
    driver.receive(POST[:-1])
    assert driver.exchanges == []
    driver.receive(POST[-1:])
    assert driver.exchanges[0].flow.request.raw_content == b"{}"
    driver.emit(STREAM)
    assert driver.answer() == (
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked",
        b"",
    )
    driver.emit(b"data: 1\n\n")
    assert driver.sent == b"9\r\ndata: 1\n\n\r\n"
    driver.emit(End())
    assert driver.sent.endswith(b"\r\n0\r\n\r\n") and not driver.is_closed
    assert driver.hooks == ["requestheaders", "request", "responseheaders", "response"]


def test_a_slow_hook_delays_and_loses_nothing(driver: Driver) -> None:
    """What is emitted while an addon looks at the head comes after it, in order."""
    driver.held["responseheaders"] = None
    driver.receive(POST)
    driver.emit(STREAM, b"one", b"two")
    assert driver.sent == b""
    driver.let_go("responseheaders")
    driver.emit(End())
    assert driver.answer()[1] == b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"


def test_a_failure_before_the_head_is_a_502(driver: Driver) -> None:
    """In the JSON form of all errors, and the connection closes."""
    driver.receive(POST)
    driver.emit(Failed("no way through"))
    head, body = driver.answer()
    assert head.startswith(b"HTTP/1.1 502 ") and driver.is_closed
    assert json.loads(body)["error"]["message"] == "no way through"
    assert driver.hooks[-1] == "error"


def test_a_failure_in_the_stream_cuts_the_connection(driver: Driver) -> None:
    """The client must see that the answer is not whole: no end mark."""
    driver.receive(POST)
    driver.emit(STREAM, b"one", Failed("broke"))
    assert driver.answer()[1] == b"3\r\none\r\n" and driver.is_closed


def test_a_client_that_goes_cancels_once(driver: Driver) -> None:
    """Its exchange is cancelled, what that still emits goes nowhere."""
    driver.receive(POST)
    driver.emit(STREAM)
    driver.answer()
    driver.client.state = connection.ConnectionState.CLOSED
    driver.feed(events.ConnectionClosed(driver.client))
    driver.emit(b"late", End())
    assert (driver.cancels, driver.sent, driver.hooks[-1]) == ([1], b"", "error")


def test_after_its_end_an_answer_takes_nothing(driver: Driver) -> None:
    """Not even while an addon still looks at it: a keep-alive or a kill that comes late goes nowhere."""
    driver.held["response"] = None
    driver.receive(POST)
    driver.emit(STREAM, b"one", End())
    driver.emit(b"late", Failed("late"), End())
    driver.let_go("response")
    assert driver.answer()[1] == b"3\r\none\r\n0\r\n\r\n" and not driver.is_closed


def test_a_client_that_goes_before_the_request_is_whole_starts_nothing(driver: Driver) -> None:
    """Half a body is no request."""
    driver.receive(POST[:-1])
    driver.client.state = connection.ConnectionState.CLOSED
    driver.feed(events.ConnectionClosed(driver.client))
    assert driver.exchanges == []


@pytest.mark.parametrize("admission", [None, Admission(call="")])
def test_without_admission_nothing_leaves(driver: Driver, admission: Admission | None) -> None:
    """A flow that the gate has not seen, or not routed, gets an error and no exchange."""
    driver.admits = False
    driver.held["request"] = None
    driver.receive(POST)
    if admission:
        driver.admissions[driver.flows[0]] = admission
    driver.let_go("request")
    assert driver.exchanges == [] and driver.answer()[0].startswith(b"HTTP/1.1 502 ")


def test_an_addons_own_answer_starts_nothing(driver: Driver) -> None:
    """What sets ``flow.response`` in the request hook (the gate, local) has answered."""
    driver.held["request"] = None
    driver.receive(POST)
    driver.flows[0].response = http.Response.make(200, b"mine")
    driver.let_go("request")
    assert driver.exchanges == [] and driver.answer()[1] == b"mine"


def test_an_addons_own_answer_to_head_has_no_body(driver: Driver) -> None:
    """Its length is told, its bytes would be taken for the next answer."""
    driver.held["request"] = None
    driver.receive(b"HEAD /health HTTP/1.1\r\nhost: a\r\n\r\n")
    driver.flows[0].response = http.Response.make(200, b"mine")
    driver.let_go("request")
    head, body = driver.answer()
    assert b"content-length: 4" in head and body == b"" and not driver.is_closed


# -- framing --------------------------------------------------------------------------------

FRAMINGS = {
    "known length": (b"GET /x HTTP/1.1\r\nhost: a\r\n\r\n", Reply(200, [("content-length", "3")]), b"abc", False),
    "chunked": (b"GET /x HTTP/1.1\r\nhost: a\r\n\r\n", Reply(200, []), b"3\r\nabc\r\n0\r\n\r\n", False),
    "HTTP/1.0": (b"GET /x HTTP/1.0\r\nhost: a\r\n\r\n", Reply(200, []), b"abc", True),
    "HEAD": (b"HEAD /x HTTP/1.1\r\nhost: a\r\n\r\n", Reply(200, [("content-length", "3")]), b"", False),
    "HEAD of a stream": (b"HEAD /x HTTP/1.1\r\nhost: a\r\n\r\n", Reply(200, []), b"", False),
    "204": (b"GET /x HTTP/1.1\r\nhost: a\r\n\r\n", Reply(204, []), b"", False),
    "304": (b"GET /x HTTP/1.1\r\nhost: a\r\n\r\n", Reply(304, [("etag", "1")]), b"", False),
}


@pytest.mark.parametrize("case", FRAMINGS)
def test_the_client_knows_where_an_answer_ends(driver: Driver, case: str) -> None:
    """By its length, its chunks, its kind, or (HTTP/1.0) by the connection's end; else the connection lives on."""
    request, reply, wire_body, closes = FRAMINGS[case]
    driver.receive(request)
    driver.emit(framed(reply, driver.flows[0].request), *([b"abc"] if wire_body else []), End())
    assert (driver.answer()[1], driver.is_closed) == (wire_body, closes)
    if not closes:
        driver.receive(POST)
        driver.emit(STREAM, b"next", End())
        assert driver.answer()[1] == b"4\r\nnext\r\n0\r\n\r\n"


def test_a_kept_alive_connection_does_not_grow(driver: Driver) -> None:
    """After 50 requests the layer remembers the client and one finished exchange."""
    for _ in range(50):
        driver.receive(POST)
        driver.emit(STREAM, b"x", End())
    kinds = [type(value) for value in driver.layer.connections.values()]
    assert kinds.count(EgressConnection) == 1 and len(kinds) == 2
    assert driver.layer.streams == {}


# -- limits and refusals --------------------------------------------------------------------


def test_a_large_answer_passes_the_limit_of_requests(options: Any) -> None:
    """``max_body_bytes`` is for what comes in; an answer of any length goes out."""
    options.body_size_limit = "1k"
    driver = Driver(options)
    driver.receive(POST)
    driver.emit(Head(200, [("content-length", "5000")]), b"x" * 5000, End())
    assert driver.answer()[1] == b"x" * 5000


@pytest.mark.parametrize(
    "request_data",
    [
        b"POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: 5000\r\n\r\n",
        b"POST /x HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5dc\r\n" + b"x" * 1500 + b"\r\n",
    ],
    ids=["announced", "chunked"],
)
def test_a_large_request_is_a_413(options: Any, request_data: bytes) -> None:
    """In the JSON form of all errors, with our setting as the remedy, without an exchange."""
    options.body_size_limit = "1k"
    driver = Driver(options)
    driver.receive(request_data)
    head, body = driver.answer()
    assert head.startswith(b"HTTP/1.1 413 ") and driver.is_closed and driver.exchanges == []
    assert "max_body_bytes" in json.loads(body)["error"]["message"]


def test_the_body_of_a_refused_request_is_not_kept(driver: Driver) -> None:
    """The gate refuses at the head: what the client still sends is dropped as it comes."""
    driver.held["requestheaders"] = None
    driver.receive(b"POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: 5000\r\n\r\n")
    driver.flows[0].response = http.Response.make(404, b"no")
    driver.let_go("requestheaders")
    driver.held["request"] = None
    driver.receive(b"x" * 5000)
    assert driver.flows[0].request.raw_content == b""
    driver.let_go("request")
    assert driver.answer()[0].startswith(b"HTTP/1.1 404 ") and driver.exchanges == []


BAD_HEADS = {
    "header without colon": f"POST /x HTTP/1.1\r\nauthorization {SECRET}\r\n\r\n",
    "request line": f"POST /x?key={SECRET} HTTP/1.1 more\r\nhost: a\r\n\r\n",
    "length": f"POST /x?key={SECRET} HTTP/1.1\r\nhost: a\r\ncontent-length: {SECRET}\r\n\r\n",
}


@pytest.mark.parametrize("case", BAD_HEADS)
def test_a_refusal_of_the_parser_quotes_nothing(driver: Driver, case: str) -> None:
    """400 in the JSON form of all errors; neither it nor the log has a word of the request (``flow.error``: gate)."""
    driver.receive(BAD_HEADS[case].encode())
    head, body = driver.answer()
    assert head.startswith(b"HTTP/1.1 400 ") and driver.is_closed and driver.exchanges == []
    assert json.loads(body)["error"]["message"]
    assert SECRET not in repr((head, body, driver.logs))


def test_half_a_head_is_not_quoted_in_the_log(driver: Driver) -> None:
    """A client that goes in the middle of its head leaves a log line without it."""
    driver.receive(f"POST /x HTTP/1.1\r\nauthorization: {SECRET}".encode())
    driver.client.state = connection.ConnectionState.CLOSED
    driver.feed(events.ConnectionClosed(driver.client))
    assert driver.logs and SECRET not in repr(driver.logs)
