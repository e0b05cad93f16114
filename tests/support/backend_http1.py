"""HTTP/1.1 of the fake backend: a small parser of its own, so that order and case of the headers are kept."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from support.answers import Pairs
from support.records import Call, Connection, Request
from support.sockets import PlainSocket

MAX_HEAD_BYTES = 1 << 20


class Malformed(ValueError):
    """What came is not HTTP/1.1."""


class Http1Stream:
    """Where one answer goes."""

    def __init__(self, wire: PlainSocket) -> None:
        self._wire = wire
        self._is_chunked = False
        self.is_cut = False

    async def head(self, status: int, headers: Pairs) -> None:
        self._is_chunked = not any(name.lower() == "content-length" for name, _ in headers) and status != 204
        pairs = [*headers, ("transfer-encoding", "chunked")] if self._is_chunked else headers
        phrase = HTTPStatus(status).phrase if status in HTTPStatus else ""
        lines = [f"HTTP/1.1 {status} {phrase}", *(f"{name}: {value}" for name, value in pairs)]
        await self._send("\r\n".join([*lines, "", ""]).encode("latin-1"))

    async def data(self, data: bytes) -> None:
        if data:
            await self._send(b"%x\r\n%s\r\n" % (len(data), data) if self._is_chunked else data)

    async def end(self) -> None:
        if self._is_chunked:
            await self._send(b"0\r\n\r\n")

    async def cut(self, how: str) -> None:
        self.is_cut = True
        if how == "reset":
            self._wire.reset()
        else:
            self._wire.close()

    async def _send(self, data: bytes) -> None:
        self._wire.write(data)
        await self._wire.drain()


Play = Callable[[Call, Http1Stream], Awaitable[None]]


class Http1Session:
    """The requests of one connection, one after the other."""

    def __init__(self, wire: PlainSocket, connection: Connection, note: Callable[[Request], Call], play: Play) -> None:
        self._wire, self._connection, self._note, self._play = wire, connection, note, play
        self._buffer = b""

    async def run(self) -> None:
        while (request := await self._read_request()) is not None:
            if not await self._answer(self._note(request)):
                return

    async def _answer(self, call: Call) -> bool:
        """False when the connection is over. The client's close is watched while the answer is played."""
        stream = Http1Stream(self._wire)
        playing = asyncio.ensure_future(self._play(call, stream))
        reading = asyncio.ensure_future(self._wire.read())
        try:
            done, _ = await asyncio.wait({playing, reading}, return_when=asyncio.FIRST_COMPLETED)
            if reading in done:
                early = reading.result()
                if not early and not playing.done():
                    call.note_abort()
                    return False
                self._buffer += early
            await playing
            if stream.is_cut:
                return False
            if reading not in done:
                self._buffer += await reading
            return True
        except ConnectionError:
            call.note_abort()
            return False
        finally:
            for task in (playing, reading):
                task.cancel()

    async def _read_request(self) -> Request | None:
        head = await self._until(b"\r\n\r\n")
        if head is None:
            return None
        lines = head.decode("latin-1").split("\r\n")
        method, target, version = (lines[0].split(" ") + ["", ""])[:3]
        if version != "HTTP/1.1":
            raise Malformed(f"request line {lines[0]!r}")
        headers = [(name, value.strip(" \t")) for name, _, value in (line.partition(":") for line in lines[1:])]
        body = await self._read_body({name.lower(): value for name, value in headers})
        return Request(method, target, headers, body, "HTTP/1.1", self._connection)

    async def _read_body(self, fields: dict[str, str]) -> bytes:
        if fields.get("transfer-encoding", "").lower() != "chunked":
            return await self._exactly(int(fields.get("content-length", "0")))
        body = b""
        while size := int(await self._until(b"\r\n") or b"", 16):
            body += (await self._exactly(size + 2))[:-2]
        await self._until(b"\r\n")
        return body

    async def _until(self, mark: bytes) -> bytes | None:
        """What stands before the mark; None when the connection ended at a clean place."""
        while mark not in self._buffer:
            data = await self._wire.read()
            if not data and not self._buffer:
                return None
            if not data or len(self._buffer) > MAX_HEAD_BYTES:
                raise Malformed("the request ends in its head")
            self._buffer += data
        before, _, self._buffer = self._buffer.partition(mark)
        return before

    async def _exactly(self, size: int) -> bytes:
        parts, have = [self._buffer], len(self._buffer)
        while have < size:
            data = await self._wire.read()
            if not data:
                raise Malformed("the request ends in its body")
            parts.append(data)
            have += len(data)
        whole = b"".join(parts)
        self._buffer = whole[size:]
        return whole[:size]
