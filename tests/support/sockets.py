"""Bytes of one accepted connection, plain or TLS. TLS is done by hand, so that the raw ClientHello is at hand."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct

from support import clienthello
from support.records import Connection

READ_BYTES = 65536


class PlainSocket:
    alpn = ""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        # Without a buffer of ours, a drained write is one that the kernel took: what Flood counts.
        writer.transport.set_write_buffer_limits(high=0)

    async def read(self) -> bytes:
        """b"" when the peer has closed or reset."""
        try:
            return await self._reader.read(READ_BYTES)
        except ConnectionError:
            return b""

    def write(self, data: bytes) -> None:
        self._writer.write(data)

    async def drain(self) -> None:
        await self._writer.drain()

    def close(self) -> None:
        self._writer.close()

    def reset(self) -> None:
        """TCP RST instead of FIN."""
        raw: socket.socket = self._writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()


class TlsSocket(PlainSocket):
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, context: ssl.SSLContext) -> None:
        super().__init__(reader, writer)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)

    async def accept(self, connection: Connection) -> None:
        """The handshake; fills the connection's ClientHello first, so that a failed handshake shows it too.

        Raises ssl.SSLError, ConnectionError.
        """
        is_done = False
        while not is_done:
            try:
                self._tls.do_handshake()
                is_done = True
            except ssl.SSLWantReadError:
                self._flush()
                raw = await super().read()
                if not raw:
                    raise ConnectionResetError("closed in the handshake") from None
                note_hello(connection, raw)
                self._incoming.write(raw)
        self._flush()
        self.alpn = connection.alpn = self._tls.selected_alpn_protocol() or ""

    async def read(self) -> bytes:
        while True:
            try:
                return self._tls.read(READ_BYTES)
            except ssl.SSLWantReadError:
                self._flush()
                raw = await super().read()
                if not raw:
                    return b""
                self._incoming.write(raw)
            except ssl.SSLError:
                return b""

    def write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[self._tls.write(view) :]
        self._flush()

    def close(self) -> None:
        try:
            self._tls.unwrap()
        except ssl.SSLError:
            # Our close_notify is written; the peer's is not waited for.
            pass
        self._flush()
        super().close()

    def _flush(self) -> None:
        if self._outgoing.pending:
            super().write(self._outgoing.read())


def note_hello(connection: Connection, raw: bytes) -> None:
    if connection.client_hello:
        return
    connection.client_hello_raw += raw
    try:
        connection.client_hello = clienthello.parse(connection.client_hello_raw)
    except clienthello.Incomplete:
        pass
