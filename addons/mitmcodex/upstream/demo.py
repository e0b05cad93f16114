"""The demo upstream: a backend inside the process, so that a machine with nothing configured shows the whole thing.

It opens no socket and reads no credential; that it is the demo stands in each answer and in each head.
"""

from __future__ import annotations

import asyncio
import json
import weakref
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

from mitmcodex.upstream.demo_answers import BadRequest, answer_events, parse_request
from mitmcodex.upstream.transport import Closed, UpstreamHead, UpstreamRequest

DEMO_HEADER = ("x-mitmcodex-demo", "true")
MODEL = "mitmcodex-demo"


class DemoTransport:
    """The ``Transport`` of providers of kind demo. ``pace_s`` is the pause before each delta."""

    def __init__(self, pace_s: float = 0.02) -> None:
        self._pace_s = pace_s
        self._calls: weakref.WeakSet[DemoCall] = weakref.WeakSet()

    async def open(self, request: UpstreamRequest, first_byte_timeout_s: float) -> DemoCall:
        """Never waits: the head is there at once, whatever ``first_byte_timeout_s`` says."""
        url = urlsplit(request.url)
        if request.method == "POST" and url.path.endswith("/responses"):
            call = self._generate(request.body)
        elif request.method == "GET" and url.path.endswith("/models"):
            call = _whole(200, _model_list(for_codex="client_version" in parse_qs(url.query)))
        else:
            call = _whole(404, _error("not_found", f"The demo upstream has no {request.method} {url.path}."))
        self._calls.add(call)
        return call

    async def aclose(self) -> None:
        for call in list(self._calls):
            call.close()

    def _generate(self, body: bytes) -> DemoCall:
        try:
            request = parse_request(body)
        except BadRequest as error:
            return _whole(400, _error("invalid_request", str(error)))
        return DemoCall(200, "text/event-stream; charset=utf-8", _paced(answer_events(request), self._pace_s))


class DemoCall:
    """A running answer. It is made as it is read: nobody reads, nothing is made."""

    def __init__(self, status: int, content_type: str, chunks: Iterator[tuple[float, bytes]]) -> None:
        headers = (("content-type", content_type), ("cache-control", "no-store"), DEMO_HEADER)
        self.head = UpstreamHead("HTTP/1.1", status, "", headers)
        self._chunks = chunks
        self._closed = asyncio.Event()

    async def read(self) -> bytes:
        """The next event, b"" at the end. Raises Closed after ``close()``, also when it comes during the pause."""
        pause_s, chunk = (0.0, b"") if self._closed.is_set() else next(self._chunks, (0.0, b""))
        if pause_s:
            await self._pause(pause_s)
        if self._closed.is_set():
            raise Closed("the demo upstream's answer was closed", head_seen=True)
        return chunk

    def close(self) -> None:
        self._closed.set()

    async def _pause(self, pause_s: float) -> None:
        try:
            await asyncio.wait_for(self._closed.wait(), pause_s)
        except TimeoutError:
            return


def _paced(events: Iterator[dict[str, Any]], pace_s: float) -> Iterator[tuple[float, bytes]]:
    for event in events:
        data = json.dumps(event, separators=(",", ":"))
        yield pace_s if event["type"].endswith(".delta") else 0.0, f"event: {event['type']}\ndata: {data}\n\n".encode()


def _whole(status: int, answer: dict[str, Any]) -> DemoCall:
    return DemoCall(status, "application/json", iter([(0.0, json.dumps(answer).encode())]))


def _model_list(for_codex: bool) -> dict[str, Any]:
    """Codex's catalog form is long and private to it; an empty one lets it keep its own (protocol.md 7)."""
    if for_codex:
        return {"models": []}
    return {"object": "list", "data": [{"id": MODEL, "object": "model", "created": 0, "owned_by": "mitmcodex"}]}


def _error(code: str, message: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": code}}
