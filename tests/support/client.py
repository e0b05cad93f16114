"""A plain HTTP/1.1 client of the proxy under test: what a program that calls it gets to see.

Nothing is sent but what a test names, ``host`` and, with a body, ``content-length``. For what happens below a call
(frames, windows, half a request) see support/wires.py.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from support.proxy import Proxy

JSON = dict[str, Any]
Pairs = Sequence[tuple[str, str]]

WAIT_S = 20.0
UUID7 = "01a1fa9e-a7b2-72d3-9b4c-639ac3d9163b"
CODEX_VERSION = "0.170.1"
CODEX_AGENT = f"codex_cli_rs/{CODEX_VERSION} (Ubuntu 24.4.0; x86_64) xterm-256color"
CODEX: Pairs = [
    ("x-codex-beta-features", "remote_compaction_v2"),
    ("x-codex-window-id", f"{UUID7}:0"),
    ("x-codex-turn-metadata", f'{{"session_id":"{UUID7}"}}'),
    ("x-client-request-id", UUID7),
    ("session-id", UUID7),
    ("thread-id", UUID7),
    ("accept", "text/event-stream"),
    ("content-type", "application/json"),
    ("originator", "codex_cli_rs"),
    ("user-agent", CODEX_AGENT),
]
"""What Codex sends to a custom provider, names and order as captured; a version that no profile has."""


def is_codex(headers: Pairs) -> bool:
    return any(name == "originator" for name, _ in headers)


def a_request(**fields: Any) -> JSON:
    """A body that the strict backends take from Codex too, which is sent on as it comes."""
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hello"}]}
    body = {"model": "gpt-5.5", "instructions": "Be brief.", "input": [item], "store": False, "stream": True}
    return {**body, **fields}


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: list[tuple[str, str]]
    body: bytes
    is_whole: bool
    """False: the connection broke before the end of the body."""

    def first(self, name: str) -> str:
        """The first value of a header, "" when absent."""
        return next((value for key, value in self.headers if key.lower() == name), "")

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> JSON:
        """The error object, in the form of the OpenAI family."""
        found: JSON = self.json["error"]
        return found

    @property
    def events(self) -> list[JSON]:
        """The events with data of a stream, in order."""
        lines = self.body.decode().split("\n")
        return [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]

    @property
    def kinds(self) -> list[str]:
        return [event["type"] for event in self.events]


class Sent:
    """A call that is under way: read it piece by piece, to its end, or leave it."""

    def __init__(self, proxy: Proxy, method: str, path: str, headers: Pairs, body: bytes | None) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=WAIT_S)
        self._connection.putrequest(method, path, skip_accept_encoding=True)
        length = [] if body is None else [("content-length", str(len(body)))]
        for name, value in [*headers, *length]:
            self._connection.putheader(name, value)
        self._connection.endheaders(body)
        self._response: http.client.HTTPResponse | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()

    @property
    def response(self) -> http.client.HTTPResponse:
        """Waits for the head."""
        if self._response is None:
            self._response = self._connection.getresponse()
        return self._response

    def read_until(self, wanted: bytes) -> bytes:
        """The body so far, as soon as it holds ``wanted``."""
        seen = b""
        while wanted not in seen:
            piece = self.response.read1(65536)
            assert piece, f"the answer ended before {wanted!r}: {seen!r}"
            seen += piece
        return seen

    def to_end(self) -> Answer:
        """The rest, and the connection is closed."""
        with self:
            try:
                body, is_whole = self.response.read(), True
            except http.client.IncompleteRead as error:
                body, is_whole = error.partial, False
            except ConnectionResetError:
                body, is_whole = b"", False
            return Answer(self.response.status, self.response.getheaders(), body, is_whole)

    def leave(self) -> None:
        if self._response is not None:
            self._response.close()
        self._connection.close()


def call(proxy: Proxy, method: str, path: str, headers: Pairs = (), body: bytes | None = None) -> Answer:
    return Sent(proxy, method, path, headers, body).to_end()


def posted(proxy: Proxy, headers: Pairs = (), path: str = "/v1/responses", **fields: Any) -> Sent:
    """A generation, by a Codex client with ``headers=CODEX``; ``fields`` are put into the body of ``a_request``."""
    return Sent(proxy, "POST", path, headers, json.dumps(a_request(**fields)).encode())


def post(proxy: Proxy, headers: Pairs = (), path: str = "/v1/responses", **fields: Any) -> Answer:
    """The same to its end."""
    return posted(proxy, headers, path, **fields).to_end()


def as_codex(proxy: Proxy, headers: Pairs = (), **fields: Any) -> Answer:
    """The same by a Codex client; ``headers`` are added."""
    return post(proxy, [*CODEX, *headers], **fields)
