"""Clients that show what happens on the wire: HTTP/1.1 on a bare socket, HTTP/2 over TLS by the h2 library.

They wait in ``recv`` with a time limit, never by sleeping, and do nothing that a test did not ask for: no window is
opened and nothing is read before the test reads.
"""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Iterator
from typing import Any, Self

import h2.config
import h2.connection
import h2.events

from support.answers import Pairs

WAIT_S = 10.0
READ_BYTES = 65536
ASK = json.dumps({"model": "gpt-5.5", "input": "hi", "stream": True}).encode()
CANCEL = 8
"""HTTP/2's error code."""


class Gone(ConnectionError):
    """The proxy ended the connection, or reset the stream."""


class Wire:
    """One connection to the proxy under test."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), WAIT_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close()


class Http1Wire(Wire):
    """What was read and not yet asked for stays in ``buffer``."""

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self.buffer = bytearray()

    def post(self, body: bytes = ASK, path: str = "/v1/responses") -> int:
        """0, the number of the only stream that there is."""
        fields = [("host", "localhost"), ("content-type", "application/json"), ("content-length", str(len(body)))]
        self.send("POST", path, fields, body)
        return 0

    def send(self, method: str, path: str, headers: Pairs, body: bytes = b"", version: str = "HTTP/1.1") -> None:
        lines = [f"{method} {path} {version}", *(f"{name}: {value}" for name, value in headers), "", ""]
        self.socket.sendall("\r\n".join(lines).encode("latin-1") + body)

    def abort(self, number: int) -> None:
        """HTTP/1.1 can end one answer only by ending the connection."""
        self.close()

    def read_head(self, number: int = 0) -> dict[str, str]:
        """The headers by lower-case name, the status as ``:status``. Raises Gone."""
        first, *lines = self._until(b"\r\n\r\n").decode("latin-1").strip().split("\r\n")
        pairs = (line.partition(": ") for line in lines)
        return {":status": first.split()[1], **{name.lower(): value for name, _, value in pairs}}

    def read_until(self, number: int, mark: bytes) -> bytes:
        """Everything up to and with ``mark``, framing and all. Raises Gone."""
        return self._until(mark)

    def read_body(self, number: int = 0) -> bytes:
        """The rest of a chunked answer, without its framing. Raises Gone."""
        return b"".join(self.pieces())

    def pieces(self, number: int = 0) -> Iterator[bytes]:
        """The chunks of the rest of an answer. Raises Gone."""
        while size := int(self._until(b"\r\n"), 16):
            yield self._exactly(size + 2)[:-2]
        self._until(b"\r\n")

    def read_to_close(self) -> bytes:
        """All that comes until the proxy closes the connection."""
        try:
            while True:
                self._receive()
        except Gone:
            return bytes(self.buffer)

    def _until(self, mark: bytes) -> bytes:
        while (place := self.buffer.find(mark)) < 0:
            self._receive()
        return self._exactly(place + len(mark))

    def _exactly(self, size: int) -> bytes:
        while len(self.buffer) < size:
            self._receive()
        piece = bytes(self.buffer[:size])
        del self.buffer[:size]
        return piece

    def _receive(self) -> None:
        try:
            data = self.socket.recv(READ_BYTES)
        except ConnectionError as error:
            raise Gone(str(error)) from error
        if not data:
            raise Gone("closed")
        self.buffer += data


class Http2Wire(Wire):
    """Over TLS; the certificate is not checked. Windows open only as far as data is read."""

    def __init__(self, port: int) -> None:
        super().__init__(port)
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_alpn_protocols(["h2"])
        self._tls = context.wrap_socket(self.socket, server_hostname="localhost")
        self.socket = self._tls
        assert self._tls.selected_alpn_protocol() == "h2"
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self.h2.initiate_connection()
        self.authority = "localhost"
        self._heads: dict[int, dict[str, str]] = {}
        self._bodies: dict[int, bytearray] = {}
        self._ended: set[int] = set()
        self._resets: dict[int, int] = {}
        """Error code by stream."""
        self._flush()

    def post(self, body: bytes = ASK, path: str = "/v1/responses") -> int:
        """The number of the new stream."""
        return self.send("POST", path, [("content-type", "application/json")], body)

    def announce(self, path: str, headers: Pairs) -> int:
        """A POST without its body, and without an end."""
        number: int = self.h2.get_next_available_stream_id()
        pseudo = [(":method", "POST"), (":scheme", "https"), (":authority", "localhost"), (":path", path)]
        self.h2.send_headers(number, [*pseudo, *headers])
        self._bodies[number] = bytearray()
        self._flush()
        return number

    def send(self, method: str, path: str, headers: Pairs, body: bytes = b"", trailers: Pairs | None = None) -> int:
        number: int = self.h2.get_next_available_stream_id()
        pseudo = [(":method", method), (":scheme", "https"), (":authority", self.authority), (":path", path)]
        self.h2.send_headers(number, [*pseudo, *headers], end_stream=not body)
        if body:
            self.h2.send_data(number, body, end_stream=not trailers)
        if trailers:
            self.h2.send_headers(number, trailers, end_stream=True)
        self._bodies[number] = bytearray()
        self._flush()
        return number

    def abort(self, number: int) -> None:
        self.h2.reset_stream(number, CANCEL)
        self._flush()

    def read_head(self, number: int) -> dict[str, str]:
        """The headers, ``:status`` with them. Raises Gone."""
        while number not in self._heads:
            self._receive(number)
        return self._heads[number]

    def read_until(self, number: int, mark: bytes) -> bytes:
        """Everything up to and with ``mark``. Raises Gone."""
        body = self._bodies[number]
        while (place := body.find(mark)) < 0:
            self._receive(number)
        piece = bytes(body[: place + len(mark)])
        del body[: place + len(mark)]
        return piece

    def read_body(self, number: int) -> bytes:
        """The rest, up to the end of the stream. Raises Gone when it is reset."""
        return b"".join(self.pieces(number))

    def pieces(self, number: int) -> Iterator[bytes]:
        """What is left of an answer, as it comes. Raises Gone when it is reset."""
        while True:
            if body := self._bodies[number]:
                self._bodies[number] = bytearray()
                yield bytes(body)
            if number in self._ended:
                return
            self._receive(number)

    def _receive(self, number: int) -> None:
        if number in self._resets:
            raise Gone(f"stream {number} was reset with error {self._resets[number]}")
        data = self.socket.recv(READ_BYTES)
        if not data:
            raise Gone("closed")
        for event in self.h2.receive_data(data):
            self._take(event)
        self._flush()

    def _take(self, event: Any) -> None:
        match event:
            case h2.events.ResponseReceived(stream_id=number, headers=headers):
                self._heads[number] = dict(headers)
            case h2.events.DataReceived(stream_id=number, data=data, flow_controlled_length=size):
                self._bodies[number] += data
                self.h2.acknowledge_received_data(size, number)
            case h2.events.StreamEnded(stream_id=number):
                self._ended.add(number)
            case h2.events.StreamReset(stream_id=number, error_code=code):
                self._resets[number] = int(code)
            case h2.events.ConnectionTerminated():
                raise Gone("GOAWAY")

    def _flush(self) -> None:
        if data := self.h2.data_to_send():
            self.socket.sendall(data)
