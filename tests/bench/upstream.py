"""The bench's upstream, a process of its own: TLS, HTTP/2 for the proxies and HTTP/1.1 for the direct client.

``upstream.py CERT_AND_KEY_PEM LOG``: prints its port; the log gets a line a tagged request:
``start TAG ns`` and ``end TAG ns done|aborted``.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
import time
from typing import TextIO

import h2.config
import h2.connection
import h2.events
import h2.settings
import zstandard
from script import Script, pieces

WINDOW = 1 << 20
FRAME = 16384
ZSTD = b"\x28\xb5\x2f\xfd"
"""How a body of a ChatGPT login begins: that profile compresses."""
HEAD = [("content-type", "text/event-stream; charset=utf-8"), ("x-request-id", "req_bench")]


class Answer:
    """One running answer on either protocol."""

    def __init__(self, body: bytes, channel: Http2Stream | Http1Protocol, log: TextIO) -> None:
        plain = zstandard.ZstdDecompressor().decompressobj().decompress(body) if body.startswith(ZSTD) else body
        self.script = Script.of_model(json.loads(plain)["model"])
        self._channel = channel
        self._log = log
        self._note("start")
        self.task = asyncio.ensure_future(self._run())
        # A failure here would look like a proxy that hangs.
        self.task.add_done_callback(lambda task: None if task.cancelled() else task.result())

    async def _run(self) -> None:
        if self.script.stop == "head":
            await asyncio.Event().wait()
        self._channel.send_head()
        async for batch in pieces(self.script):
            await self._channel.send(batch)
        if self.script.stop:
            await asyncio.Event().wait()
        self._channel.send_end()
        self._note("end", "done")

    def abort(self) -> None:
        if not self.task.done():
            self._note("end", "aborted")
            self.task.cancel()

    def _note(self, what: str, how: str = "") -> None:
        if self.script.tag:
            print(what, self.script.tag, time.monotonic_ns(), how, file=self._log, flush=True)


class Http1Protocol(asyncio.Protocol):
    def __init__(self, log: TextIO) -> None:
        self._log = log
        self._buffer = b""
        self._answer: Answer | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        if len(rest) >= length:
            self._buffer = rest[length:]
            self._answer = Answer(rest[:length], self, self._log)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer is not None:
            self._answer.abort()

    def send_head(self) -> None:
        lines = "".join(f"{name}: {value}\r\n" for name, value in HEAD)
        self._transport.write(f"HTTP/1.1 200 OK\r\n{lines}transfer-encoding: chunked\r\n\r\n".encode())

    async def send(self, batch: list[bytes]) -> None:
        self._transport.write(b"".join(b"%x\r\n%s\r\n" % (len(event), event) for event in batch))
        await asyncio.sleep(0)

    def send_end(self) -> None:
        self._transport.write(b"0\r\n\r\n")


class Http2Stream:
    def __init__(self, connection: Http2Protocol, number: int) -> None:
        self._connection = connection
        self._number = number
        self.body = bytearray()
        self.answer: Answer | None = None
        self.writable = asyncio.Event()

    def send_head(self) -> None:
        self._connection.h2.send_headers(self._number, [(":status", "200"), *HEAD])
        self._connection.flush()

    async def send(self, batch: list[bytes]) -> None:
        for event in batch:
            for at in range(0, len(event), FRAME):
                frame = event[at : at + FRAME]
                await self._room_for(len(frame))
                self._connection.h2.send_data(self._number, frame)
        self._connection.flush()
        await self._connection.drained.wait()
        await asyncio.sleep(0)

    async def _room_for(self, size: int) -> None:
        while self._connection.h2.local_flow_control_window(self._number) < size:
            self._connection.flush()
            self.writable.clear()
            await self.writable.wait()

    def send_end(self) -> None:
        self._connection.h2.end_stream(self._number)
        self._connection.flush()
        self._connection.streams.pop(self._number, None)


class Http2Protocol(asyncio.Protocol):
    def __init__(self, log: TextIO) -> None:
        self._log = log
        self.streams: dict[int, Http2Stream] = {}
        self.drained = asyncio.Event()
        self.drained.set()
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        self.h2.local_settings[h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS] = 256
        self.h2.local_settings[h2.settings.SettingCodes.INITIAL_WINDOW_SIZE] = WINDOW

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self.h2.initiate_connection()
        self.flush()

    def pause_writing(self) -> None:
        self.drained.clear()

    def resume_writing(self) -> None:
        self.drained.set()

    def flush(self) -> None:
        self._transport.write(self.h2.data_to_send())

    def data_received(self, data: bytes) -> None:
        for event in self.h2.receive_data(data):
            match event:
                case h2.events.RequestReceived():
                    self.streams[event.stream_id] = Http2Stream(self, event.stream_id)
                case h2.events.DataReceived():
                    self.streams[event.stream_id].body += event.data
                    self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                case h2.events.StreamEnded():
                    stream = self.streams[event.stream_id]
                    stream.answer = Answer(bytes(stream.body), stream, self._log)
                case h2.events.StreamReset():
                    self._end(self.streams.pop(event.stream_id, None))
                case h2.events.WindowUpdated() | h2.events.RemoteSettingsChanged():
                    for stream in self.streams.values():
                        stream.writable.set()
        self.flush()

    def connection_lost(self, exc: Exception | None) -> None:
        for stream in self.streams.values():
            self._end(stream)

    def _end(self, stream: Http2Stream | None) -> None:
        if stream is not None and stream.answer is not None:
            stream.answer.abort()


class Chosen(asyncio.Protocol):
    """Gives a connection to the protocol that ALPN chose."""

    def __init__(self, log: TextIO) -> None:
        self._log = log

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        is_h2 = transport.get_extra_info("ssl_object").selected_alpn_protocol() == "h2"
        protocol = Http2Protocol(self._log) if is_h2 else Http1Protocol(self._log)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)


async def serve(pem: str, log: TextIO) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pem)
    context.set_alpn_protocols(["h2", "http/1.1"])
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Chosen(log), "127.0.0.1", 0, ssl=context, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    with open(sys.argv[2], "a", encoding="ascii") as log_file:
        asyncio.run(serve(sys.argv[1], log_file))
