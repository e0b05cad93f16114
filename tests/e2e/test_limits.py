"""Limits of time and number, and upstreams that are not there or say nothing, as a client meets them."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from support.answers import Answer, Data, End, Head, Stall, say
from support.backend import Backend
from support.events import ev_created, sse
from support.proxy import Proxy
from support.tls import Authority
from support.upstreams import to_api
from support.wires import Http1Wire

NOTHING: Answer = [Head(), Data(sse([ev_created()])), End()]
"""A stream that ends before it has said anything."""
ORIGINATOR = ("originator", "codex_exec")

Start = Callable[..., Proxy]


@pytest.fixture
def start(tmp_path: Path, api_backend: Backend, ca: Authority) -> Any:
    with ExitStack() as stack:

        def run(provider: dict[str, Any] | None = None, **settings: Any) -> Proxy:
            config = {**to_api(api_backend, ca, tmp_path, **(provider or {})), **settings}
            return stack.enter_context(Proxy(tmp_path, config))

        yield run


def answered(client: Http1Wire, *headers: tuple[str, str]) -> tuple[int, dict[str, str], Any]:
    """Status, headers and JSON body of a request that asks for no stream."""
    body = json.dumps({"model": "gpt-5.5", "input": "hello"}).encode()
    fields = [("host", "localhost"), ("content-type", "application/json"), ("content-length", str(len(body)))]
    client.send("POST", "/v1/responses", [*fields, *headers], body)
    head = client.read_head()
    return int(head[":status"]), head, json.loads(client._exactly(int(head["content-length"])))


def test_a_request_that_takes_too_long_is_ended(start: Start, api_backend: Backend) -> None:
    """After request_timeout_s the upstream call is aborted; Codex gets 400, which it does not repeat, others 504."""
    proxy = start(request_timeout_s=1)
    api_backend.script(lambda request: [Stall()])
    with Http1Wire(proxy.port) as client:
        for headers, expected in (([], 504), ([ORIGINATOR], 400)):
            status, _, body = answered(client, *headers)
            assert (status, body["error"]["code"]) == (expected, "request_timeout")
    for call in api_backend.calls:
        call.wait_aborted()


def test_above_the_queue_a_request_is_refused(start: Start, api_backend: Backend) -> None:
    """With one request running and no place in the queue the next gets 429 with retry-after, and no upstream call."""
    proxy = start(max_concurrency=1, max_queue=0)
    api_backend.queue([Stall()], say("your turn"))
    with Http1Wire(proxy.port) as first, Http1Wire(proxy.port) as second:
        first.post()
        call = api_backend.wait_for_call()
        status, head, body = answered(second)
        assert (status, body["error"]["code"]) == (429, "busy")
        assert int(head["retry-after"]) > 0
        assert len(api_backend.calls) == 1
        first.close()
        call.wait_aborted()
        proxy.wait_idle()
        assert answered(second)[0] == 200


def test_an_empty_answer_is_tried_again_once(start: Start, api_backend: Backend) -> None:
    """A stream that ends before its first item is asked for once more; the second failure is told."""
    proxy = start()
    api_backend.queue(NOTHING, say("at last"), NOTHING, NOTHING)
    with Http1Wire(proxy.port) as client:
        status, _, body = answered(client)
        assert status == 200 and "at last" in json.dumps(body)
        assert len(api_backend.calls) == 2
        status, _, body = answered(client)
        assert (status, body["error"]["code"]) == (502, "stream_incomplete")
    assert len(api_backend.calls) == 4


def test_an_upstream_that_is_not_there_is_a_502(start: Start) -> None:
    """Nobody listens: 502, and the message names the host."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    proxy = start({"base_url": f"https://gone.test:{port}/v1"})
    with Http1Wire(proxy.port) as client:
        status, _, body = answered(client)
    assert (status, body["error"]["code"]) == (502, "unreachable")
    assert "gone.test" in body["error"]["message"]
