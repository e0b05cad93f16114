"""The demo upstream: an embedded backend in the Responses API's shape."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest

from mitmcodex.upstream.demo import DEMO_HEADER, DemoTransport
from mitmcodex.upstream.transport import Closed, UpstreamHead, UpstreamRequest


def fetch(method: str, url: str, body: bytes = b"") -> tuple[UpstreamHead, bytes]:
    async def run() -> tuple[UpstreamHead, bytes]:
        transport = DemoTransport(pace_s=0)
        call = await transport.open(UpstreamRequest(method, url, (), body), 0)
        chunks = [chunk async for chunk in chunks_of(call)]
        assert await call.read() == b""
        await transport.aclose()
        return call.head, b"".join(chunks)

    return asyncio.run(run())


async def chunks_of(call: Any) -> Any:
    while chunk := await call.read():
        yield chunk


def test_an_answer_is_a_stream_of_named_events() -> None:
    """200, marked as the demo's; each frame has its event's type as name, and the last is the completion."""
    head, data = fetch("POST", "http://demo.invalid/v1/responses", b'{"input": "hi"}')
    assert head.status == 200 and head.first("content-type").startswith("text/event-stream")
    assert DEMO_HEADER in head.headers
    frames = [frame.split("\n") for frame in data.decode().removesuffix("\n\n").split("\n\n")]
    events = [json.loads(payload.removeprefix("data: ")) for _, payload in frames]
    assert [name for name, _ in frames] == [f"event: {event['type']}" for event in events]
    assert events[-1]["type"] == "response.completed"


def test_model_lists_come_in_the_callers_form() -> None:
    """The public form, and Codex's when the query has client_version."""
    head, body = fetch("GET", "http://demo.invalid/v1/models")
    assert DEMO_HEADER in head.headers and head.first("content-type") == "application/json"
    listed = json.loads(body)
    assert listed["object"] == "list" and set(listed["data"][0]) == {"id", "object", "created", "owned_by"}
    assert json.loads(fetch("GET", "http://demo.invalid/v1/models?client_version=0.169.0")[1]) == {"models": []}


@pytest.mark.parametrize("body", [b"{", b"[]", b"{}", b'{"input": 3}', b'{"input": [1]}'])
def test_what_is_no_request_is_refused(body: bytes) -> None:
    """A 400 with an error object, never an exception."""
    head, answer = fetch("POST", "http://demo.invalid/v1/responses", body)
    assert head.status == 400 and DEMO_HEADER in head.headers
    assert json.loads(answer)["error"]["code"] == "invalid_request"


def test_other_calls_are_not_found() -> None:
    """404 as an error object, marked as the demo's."""
    head, answer = fetch("POST", "http://demo.invalid/v1/responses/compact", b"{}")
    assert head.status == 404 and DEMO_HEADER in head.headers
    assert json.loads(answer)["error"]["code"] == "not_found"


def test_text_that_is_no_valid_unicode_is_echoed() -> None:
    """A lone surrogate, which JSON can carry, does not break the stream."""
    _, data = fetch("POST", "http://demo.invalid/v1/responses", b'{"input": "\\ud800"}')
    last = json.loads(data.decode().removesuffix("\n\n").rpartition("data: ")[2])
    assert "\ud800" in last["response"]["output"][0]["content"][0]["text"]


def test_deltas_are_paced() -> None:
    """An answer comes as a stream: its deltas are ``pace_s`` apart."""

    async def run() -> tuple[float, int]:
        call = await DemoTransport(pace_s=0.01).open(request_for("hi"), 0)
        started = time.monotonic()
        chunks = [chunk async for chunk in chunks_of(call)]
        return time.monotonic() - started, sum(b"_text.delta" in chunk.split(b"\n")[0] for chunk in chunks)

    took_s, deltas = asyncio.run(run())
    assert deltas > 3 and took_s >= deltas * 0.009


def test_nothing_is_made_that_nobody_reads() -> None:
    """One read gives one event: an answer is pulled, never queued."""

    async def run() -> bytes:
        call = await DemoTransport(pace_s=0).open(request_for("hi"), 0)
        return await call.read()

    assert asyncio.run(run()).count(b"data: ") == 1


@pytest.mark.parametrize("end", ["call", "transport"])
def test_closing_wakes_a_read_at_once(end: str) -> None:
    """A read in its pause raises Closed when the call or the transport is closed, and closing twice is fine."""

    async def run() -> None:
        transport = DemoTransport(pace_s=3600)
        call = await transport.open(request_for("hi"), 0)
        while b"content_part.added" not in await call.read():
            pass
        reading = asyncio.ensure_future(call.read())
        await asyncio.sleep(0)  # the read starts, and is in the pause before the first delta
        assert not reading.done()
        for _ in range(2):
            call.close() if end == "call" else await transport.aclose()
        with pytest.raises(Closed):
            await asyncio.wait_for(reading, 5)
        with pytest.raises(Closed):
            await call.read()

    asyncio.run(run())


def request_for(text: str) -> UpstreamRequest:
    body = json.dumps({"input": text}).encode()
    return UpstreamRequest("POST", "http://demo.invalid/v1/responses", (), body)
