"""A lean HTTP/1.1 client that reads the times out of the bench's events."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass

from script import MARK, MARK_DIGITS, PATHS, Script, request_body


@dataclass(frozen=True)
class Target:
    """Where the load goes: a proxy in clear text, or the upstream itself (``ca`` set)."""

    port: int
    ca: str = ""
    pid: int = 0
    """The process that is measured; 0 = none."""
    protocol: str = "responses"
    """That the client speaks: see ``script.PATHS``."""
    provider: str = ""
    """Of our settings; "" = the one in force."""

    async def connect(self) -> Leg:
        context = None
        if self.ca:
            context = ssl.create_default_context(cafile=self.ca)
            context.set_alpn_protocols(["http/1.1"])
        loop = asyncio.get_running_loop()
        _, leg = await loop.create_connection(lambda: Leg(self), "127.0.0.1", self.port, ssl=context)
        return leg


class Leg(asyncio.Protocol):
    """One connection. ``on_event(sent_ns, received_ns)`` is called for each delta that came."""

    def __init__(self, target: Target) -> None:
        self._target = target

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.on_event: Callable[[int, int], None] = lambda sent_ns, received_ns: None
        self.events = 0
        self._reset()

    def _reset(self) -> None:
        loop = asyncio.get_running_loop()
        self.first_byte: asyncio.Future[int] = loop.create_future()
        self.first_event: asyncio.Future[None] = loop.create_future()
        self.done: asyncio.Future[None] = loop.create_future()
        self._head = b""
        self._tail = b""
        self._in_body = False

    def send(self, script: Script) -> None:
        self._reset()
        protocol = self._target.protocol
        body = request_body(script, protocol, self._target.provider)
        head = (
            f"POST {PATHS[protocol]} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer bench\r\n"
            f"content-type: application/json\r\naccept: text/event-stream\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        self.transport.write(head.encode() + body)

    async def fetch(self, script: Script) -> None:
        self.send(script)
        await self.done

    def data_received(self, data: bytes) -> None:
        now = time.monotonic_ns()
        if not self._in_body:
            head, found, data = (self._head + data).partition(b"\r\n\r\n")
            if not found:
                self._head = head
                return
            if not head.startswith(b"HTTP/1.1 200"):
                self._fail(ConnectionError(f"the answer was {head[:60]!r} {data[:200]!r}"))
                return
            self._in_body = True
        if data:
            self._read_body(data, now)

    def _read_body(self, data: bytes, now: int) -> None:
        if not self.first_byte.done():
            self.first_byte.set_result(now)
        data = self._tail + data
        at = 0
        while (found := data.find(MARK, at)) >= 0 and len(data) >= found + len(MARK) + MARK_DIGITS:
            at = found + len(MARK) + MARK_DIGITS
            self.events += 1
            self.on_event(int(data[at - MARK_DIGITS : at]), now)
        if self.events and not self.first_event.done():
            self.first_event.set_result(None)
        # A mark cut by the end of this piece is found with the next one. No chunk sizes are read: a proxy may frame
        # as it likes, and an event is written whole by all that are measured.
        self._tail = data[max(at, len(data) - len(MARK) - MARK_DIGITS) :] if found < 0 else data[found:]
        if data.endswith(b"\r\n0\r\n\r\n") and not self.done.done():
            self.done.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(exc or ConnectionError("the connection was closed early"))

    def _fail(self, error: Exception) -> None:
        for future in (self.first_byte, self.first_event, self.done):
            if not future.done():
                future.set_exception(error)
                future.exception()  # nobody may be waiting for this one

    def close(self) -> None:
        self.transport.abort()
