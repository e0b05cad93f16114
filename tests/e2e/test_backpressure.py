"""A client that reads slowly slows its upstream down; many clients share one connection and none loses anything."""

from __future__ import annotations

import asyncio
import gc
import json
from contextlib import ExitStack
from pathlib import Path

import pytest

from support.answers import Answer, Data, End, Gate, Head, Pause, say
from support.backend import Backend
from support.events import ev_completed, ev_created, ev_text_delta, sse
from support.program import Program
from support.proxy import Proxy
from support.records import Request
from support.tls import Authority
from support.upstreams import to_api
from support.wires import Http1Wire, Http2Wire

FLOOD_BYTES = 200 * 1024 * 1024
MOST_GROWTH_BYTES = 16 * 1024 * 1024
LOOK_S = 3.0
"""An upstream that nobody holds back is rid of far more than MOST_GROWTH_BYTES in this time."""
HELD_S = 0.5
"""Time for the buffers on the way to fill, so that the transfer is paused."""
DELTA = Data(sse([ev_text_delta("x" * 32000)], 1))
DELTAS = FLOOD_BYTES // len(DELTA.data) + 1
CLIENTS = 200
DELTAS_A_CLIENT = 20


@pytest.mark.parametrize("kind", [Http1Wire, Http2Wire])
@pytest.mark.parametrize("http_version", ["auto", "1.1"])
def test_what_nobody_reads_stays_upstream(
    tmp_path: Path, api_backend: Backend, ca: Authority, kind: type[Http1Wire | Http2Wire], http_version: str
) -> None:
    """Of 200 MB that the client does not read the proxy keeps less than 16 MB; once it reads, every byte comes."""
    first, last = Data(sse([ev_created(), ev_text_delta("one")])), Data(sse([ev_completed()], 2))
    api_backend.queue(say("warm"), [Head(), first, *[DELTA] * DELTAS, last, End()])
    with Program(tmp_path, to_api(api_backend, ca, tmp_path, http_version=http_version)) as program:
        with kind(program.port) as client:
            assert b"warm" in client.read_until(client.post(), b"response.completed")
        before = program.memory_bytes()
        with kind(program.port) as client:
            number = client.post()
            assert client.read_head(number)[":status"] == "200"
            call = api_backend.wait_for_call(2)
            assert not call.finished.wait(LOOK_S), "the proxy took the whole answer from the upstream"
            assert program.memory_bytes() - before < MOST_GROWTH_BYTES
            total = sum(len(piece) for piece in client.pieces(number))
            sent = len(first.data) + DELTAS * len(DELTA.data) + len(last.data)
            # The response's first and last event say the client's own words besides.
            assert 0 <= total - sent < len(DELTA.data)
        assert program.memory_bytes() - before < MOST_GROWTH_BYTES


@pytest.mark.parametrize("kind", [Http1Wire, Http2Wire])
@pytest.mark.parametrize("http_version", ["auto", "1.1"])
def test_a_client_that_goes_without_reading_is_followed(
    tmp_path: Path, api_backend: Backend, ca: Authority, kind: type[Http1Wire | Http2Wire], http_version: str
) -> None:
    """An upstream that is held back is aborted too, and the next call on its connection runs."""
    api_backend.queue([Head(), Data(sse([ev_created(), ev_text_delta("one")])), *[DELTA] * DELTAS], say("next"))
    config = to_api(api_backend, ca, tmp_path, http_version=http_version)
    with Proxy(tmp_path, config) as proxy:
        with kind(proxy.port) as client:
            number = client.post()
            client.read_head(number)
            call = api_backend.wait_for_call()
            assert not call.finished.wait(HELD_S)
            client.abort(number)
            call.wait_aborted()
        with Http1Wire(proxy.port) as after:
            after.post()
            assert b"next" in after.read_until(0, b"response.completed")
        proxy.wait_idle()
        assert left_over(proxy) == {"exchanges": 0, "admissions": 0, "calls": 0}


def test_two_hundred_streams_share_one_connection(tmp_path: Path, api_backend: Backend, ca: Authority) -> None:
    """All at once over one upstream connection; each client gets all its own events in order; nothing is left over."""
    gate = Gate()

    def numbered(request: Request) -> Answer:
        name = request.json["input"]
        deltas = [Data(sse([ev_text_delta(f"{name}:{count};")], count + 1)) for count in range(DELTAS_A_CLIENT)]
        return [Head(), Data(sse([ev_created()])), deltas[0], Pause(gate), *deltas[1:], Data(sse([ev_completed()]))]

    api_backend.script(numbered)
    with Proxy(tmp_path, to_api(api_backend, ca, tmp_path)) as proxy, ExitStack() as stack:
        clients = [stack.enter_context(Http1Wire(proxy.port)) for _ in range(CLIENTS)]
        for number, client in enumerate(clients):
            client.post(json.dumps({"model": "gpt-5.5", "input": f"s{number}", "stream": True}).encode())
        for client in clients:
            client.read_head()
        api_backend.wait_for_call(CLIENTS)
        assert len(proxy.process.running) == CLIENTS
        gate.open()
        for number, client in enumerate(clients):
            assert said(client.read_body()) == [f"s{number}:{count};" for count in range(DELTAS_A_CLIENT)]
        assert len(api_backend.connections) == 1
        proxy.wait_idle()
        for client in clients:
            client.close()
        assert left_over(proxy) == {"exchanges": 0, "admissions": 0, "calls": 0}


def said(body: bytes) -> list[str]:
    events = [json.loads(line.removeprefix("data: ")) for line in body.decode().split("\n") if line.startswith("data")]
    return [event["delta"] for event in events if event["type"] == "response.output_text.delta"]


def left_over(proxy: Proxy) -> dict[str, int]:
    """What is still counted when the last client has gone."""

    async def clients_gone() -> None:
        while proxy.master.addons.get("proxyserver").connections:
            await asyncio.sleep(0)

    proxy.call(clients_gone())
    gc.collect()
    process = proxy.process
    calls = sum(len(transport._running) for transport in process.transports.values())  # type: ignore[attr-defined]
    return {"exchanges": len(process.running), "admissions": len(process.admissions), "calls": calls}
