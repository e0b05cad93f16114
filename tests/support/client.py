"""A plain HTTP/1.1 client of the proxy under test: what a program that calls it gets to see."""

from __future__ import annotations

import http.client
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from support.proxy import Proxy

JSON = dict[str, Any]
Pairs = Sequence[tuple[str, str]]

CODEX: Pairs = [("originator", "codex_exec"), ("user-agent", "codex_exec/0.169.0 (Linux 6.0; x86_64) unknown")]
WAIT_S = 10.0


def is_codex(headers: Pairs) -> bool:
    return any(name == "originator" for name, _ in headers)


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


def a_request(stream: bool = True, **fields: Any) -> JSON:
    """A body that the strict backend takes from Codex too, which is sent on as it comes."""
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hello"}]}
    body = {"model": "gpt-5.5", "instructions": "Be brief.", "input": [item], "store": False, "stream": stream}
    return {**body, **fields}


class Posted:
    """A POST that is under way: read it piece by piece, to its end, or leave it."""

    def __init__(self, proxy: Proxy, body: JSON, headers: Pairs = (), path: str = "/v1/responses") -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=WAIT_S)
        data = json.dumps(body).encode()
        self._connection.putrequest("POST", path)
        for name, value in [("content-type", "application/json"), ("content-length", str(len(data))), *headers]:
            self._connection.putheader(name, value)
        self._connection.endheaders(data)
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
        try:
            body, is_whole = self.response.read(), True
        except http.client.IncompleteRead as error:
            body, is_whole = error.partial, False
        except ConnectionResetError:
            body, is_whole = b"", False
        self.leave()
        return Answer(self.response.status, self.response.getheaders(), body, is_whole)

    def leave(self) -> None:
        if self._response is not None:
            self._response.close()
        self._connection.close()


def post(proxy: Proxy, body: JSON | None = None, headers: Pairs = (), path: str = "/v1/responses") -> Answer:
    """One POST to its end; ``headers=CODEX`` makes it a Codex client's."""
    return Posted(proxy, body or a_request(), headers, path).to_end()
