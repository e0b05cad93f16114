"""How pieces reach the client: past mitmproxy's layers where that is allowed, with the same bytes either way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.proxy.server import ConnectionIO
from mitmproxy.test import taddons

from mitmcodex.exchange import Emission, End, Head
from mitmcodex.proxy.leg import HIGH_WATER
from support.seam import POST, STREAM, Driver

PIECES = [b"data: 1\n\n", b"data: 2\n\n", b"data: 3\n\n"]
ON_THE_WIRE = b"".join(b"9\r\n%s\r\n" % piece for piece in PIECES) + b"0\r\n\r\n"


class Writer(asyncio.StreamWriter):
    """Writes where the layers write, and counts."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self.waiting_bytes = 0
        self.writes = self.drains = 0
        self.closing = False
        self.broken = False
        self._transport = SimpleNamespace(get_write_buffer_size=lambda: self.waiting_bytes)

    def write(self, data: Any) -> None:
        self.writes += 1
        self._driver.sent += data

    def is_closing(self) -> bool:
        return self.closing

    async def drain(self) -> None:
        self.drains += 1
        if self.broken:
            raise ConnectionResetError

    def __del__(self) -> None:
        pass  # asyncio's own closes a transport


class Handler:
    """What the leg asks of mitmproxy's ConnectionHandler."""

    def __init__(self) -> None:
        self.transports: dict[Any, ConnectionIO] = {}
        self.driver: Driver
        self.events = 0

    async def server_event(self, event: Any) -> None:
        self.events += 1
        self.driver.feed(event)

    async def drain_writers(self) -> None:
        pass


class Line:
    """A client whose request is whole, and what an exchange emits to it."""

    def __init__(self, options: Any) -> None:
        self.options = options
        self.handler = Handler()
        self.driver = self.handler.driver = Driver(options, self.handler)
        self.writer = Writer(self.driver)
        self.handler.transports[self.driver.client] = ConnectionIO(writer=self.writer)

    def emit(self, *payloads: Emission, exchange: int = -1) -> None:
        async def run() -> None:
            for payload in payloads:
                await self.driver.exchanges[exchange].emit(payload)

        asyncio.run(run())


@pytest.fixture
def line() -> Iterator[Line]:
    with taddons.context(Proxyserver()) as running:
        made = Line(running.options)
        made.driver.receive(POST)
        yield made


def test_pieces_go_past_the_layers(line: Line) -> None:
    """Head and end go through mitmproxy, each piece between them is one write."""
    line.emit(STREAM, *PIECES, End())
    assert line.driver.answer()[1] == ON_THE_WIRE
    assert (line.writer.writes, line.handler.events) == (len(PIECES), 2)


def stored(line: Line) -> None:
    line.options.store_streamed_bodies = True


def encrypted(line: Line) -> None:
    line.driver.client.tls = True


def no_writer(line: Line) -> None:
    del line.handler.transports[line.driver.client]


def closing(line: Line) -> None:
    line.writer.closing = True


def datagrams(line: Line) -> None:
    line.handler.transports[line.driver.client] = ConnectionIO(writer=object())  # type: ignore[arg-type]


@pytest.mark.parametrize("reason", [stored, encrypted, no_writer, closing, datagrams])
def test_where_it_is_not_allowed_pieces_go_through_the_layers(line: Line, reason: Callable[[Line], None]) -> None:
    """With bodies kept, over TLS, without a stream to write to: by events, and the client gets the same bytes."""
    reason(line)
    line.emit(STREAM, *PIECES, End())
    assert line.driver.answer()[1] == ON_THE_WIRE
    assert (line.writer.writes, line.handler.events) == (0, len(PIECES) + 2)


def test_an_addon_that_wants_the_pieces_gets_them(line: Line) -> None:
    """Who sets ``flow.response.stream`` to a callable sees each piece and may change it."""
    seen: list[bytes] = []

    def upper(data: bytes) -> bytes:
        seen.append(data)
        return data.upper()

    line.driver.held["responseheaders"] = None
    line.emit(STREAM)
    line.driver.flows[0].response.stream = upper  # type: ignore[union-attr]
    line.driver.let_go("responseheaders")
    line.emit(*PIECES, End())
    assert line.driver.answer()[1] == ON_THE_WIRE.replace(b"data", b"DATA")
    assert seen == [*PIECES, b""] and line.writer.writes == 0


def test_nothing_overtakes_a_held_head(line: Line) -> None:
    """While a hook holds the head, pieces wait behind it; once it is out, the rest goes the short way."""
    line.driver.held["responseheaders"] = None
    line.emit(STREAM, PIECES[0])
    assert line.driver.sent == b"" and line.writer.writes == 0
    line.driver.let_go("responseheaders")
    line.emit(*PIECES[1:], End())
    assert line.driver.answer()[1] == ON_THE_WIRE
    assert line.writer.writes == 2


def test_a_known_length_is_not_chunked(line: Line) -> None:
    """Only chunked answers take the short way: it frames."""
    line.emit(Head(200, [("content-length", "27")]), *PIECES, End())
    assert line.driver.answer()[1] == b"".join(PIECES)
    assert line.writer.writes == 0


def test_an_ended_exchange_writes_into_no_later_answer(line: Line) -> None:
    """A keep-alive that comes late, after the end, does not reach the next answer on the same connection."""
    line.emit(STREAM, PIECES[0], End())
    line.driver.receive(POST)
    line.emit(STREAM)
    line.driver.answer()
    line.emit(b": late\n\n", exchange=0)
    assert line.driver.sent == b""
    line.emit(PIECES[1], End())
    assert line.driver.sent == b"9\r\ndata: 2\n\n\r\n0\r\n\r\n"


def test_an_exchange_that_never_wrote_finds_no_writer_later(line: Line) -> None:
    """The answer that stands in the connection by then is another one's."""
    line.emit(STREAM, End())
    line.driver.receive(POST)
    line.emit(STREAM)
    line.driver.answer()
    line.emit(b"late", exchange=0)
    assert line.driver.sent == b"" and line.writer.writes == 0


@pytest.mark.parametrize(("waiting_bytes", "drains"), [(HIGH_WATER, 0), (HIGH_WATER + 1, 1)])
def test_it_waits_for_the_client_above_the_mark(line: Line, waiting_bytes: int, drains: int) -> None:
    """Up to HIGH_WATER bytes wait in the writer before a piece waits for the client to read."""
    line.emit(STREAM)
    line.writer.waiting_bytes = waiting_bytes
    line.emit(PIECES[0])
    assert line.writer.drains == drains


def test_a_client_that_goes_while_it_is_waited_for_is_no_error(line: Line) -> None:
    """The layer hears of it by itself and cancels the exchange."""
    line.emit(STREAM)
    line.writer.waiting_bytes, line.writer.broken = HIGH_WATER + 1, True
    line.emit(PIECES[0])
    assert line.writer.drains == 1
