"""A client that speaks HTTP/2, over TLS with mitmproxy's certificate: the same answers as over HTTP/1.1."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.answers import Cut, Data, Head, reply, say
from support.backend import Backend
from support.events import ev_created, ev_text_delta, sse
from support.proxy import Proxy
from support.tls import Authority
from support.upstreams import to_api
from support.wires import Gone, Http1Wire, Http2Wire


@pytest.fixture
def proxy(tmp_path: Path, api_backend: Backend, ca: Authority) -> Iterator[Proxy]:
    config = {**to_api(api_backend, ca, tmp_path), "max_body_bytes": 100_000}
    with Proxy(tmp_path, config) as running:
        yield running


@pytest.fixture
def client(proxy: Proxy) -> Iterator[Http2Wire]:
    with Http2Wire(proxy.port) as connected:
        yield connected


def test_a_stream_has_the_same_bytes(proxy: Proxy, client: Http2Wire, api_backend: Backend) -> None:
    """Body and status; what HTTP/2 forbids (transfer-encoding, connection) is not in the head."""
    api_backend.queue(say("hello"), say("hello"))
    with Http1Wire(proxy.port) as other:
        other.post()
        assert other.read_head()[":status"] == "200"
        expected = other.read_body()
    number = client.post()
    head = client.read_head(number)
    assert head[":status"] == "200" and not {"transfer-encoding", "connection"} & head.keys()
    assert client.read_body(number) == expected


def test_a_whole_answer_has_its_length(client: Http2Wire) -> None:
    """``stream: false`` is one JSON object."""
    number = client.post(json.dumps({"model": "gpt-5.5", "input": "hi", "stream": False}).encode())
    head, body = client.read_head(number), client.read_body(number)
    assert head["content-length"] == str(len(body)) and json.loads(body)["status"] == "completed"


def test_head_has_no_body(client: Http2Wire) -> None:
    """And the connection goes on."""
    number = client.send("HEAD", "/health", [])
    assert client.read_head(number)[":status"] == "200" and client.read_body(number) == b""
    assert client.read_head(client.post())[":status"] == "200"


def test_an_upstreams_refusal_passes(client: Http2Wire, api_backend: Backend) -> None:
    """Status and body of a 400."""
    api_backend.queue(reply(400, {"error": {"message": "no such thing", "type": "invalid_request_error"}}))
    number = client.post()
    assert client.read_head(number)[":status"] == "400"
    assert json.loads(client.read_body(number))["error"]["message"] == "no such thing"


def test_a_cut_stream_says_so(client: Http2Wire, api_backend: Backend) -> None:
    """The upstream breaks off: the client gets an event that tells, then the end of its stream."""
    api_backend.queue([Head(), Data(sse([ev_created(), ev_text_delta("one")])), Cut()])
    number = client.post()
    assert b"response.failed" in client.read_body(number)


def test_a_cut_answer_that_is_no_stream_is_reset(client: Http2Wire, api_backend: Backend) -> None:
    """Half a JSON body must not look like a whole one."""
    half = [("content-type", "application/json"), ("content-length", "1000")]
    api_backend.script(lambda request: [Head(200, half), Data(b'{"half": '), Cut()])
    number = client.post(path="/v1/responses/compact")
    with pytest.raises(Gone):
        client.read_body(number)


def test_a_refusal_of_the_gate_is_json(client: Http2Wire) -> None:
    """No such path."""
    assert_json(client, client.post(path="/nowhere"), "404")


def test_a_refusal_of_mitmproxy_is_json(client: Http2Wire) -> None:
    """A body that is announced as too large: not mitmproxy's HTML page."""
    assert_json(client, client.announce("/v1/responses", [("content-length", "200000")]), "413")


def assert_json(client: Http2Wire, number: int, status: str) -> None:
    head = client.read_head(number)
    assert (head[":status"], head["content-type"]) == (status, "application/json")
    assert json.loads(client.read_body(number))["error"]["message"]
