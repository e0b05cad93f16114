"""Who goes away is followed at once: the upstream is aborted while it is silent, before anything else of it comes."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.answers import Answer, Data, End, Gate, Head, Pause, Stall, say
from support.backend import Backend
from support.events import ev_completed, ev_created, ev_message_added, ev_text_delta, sse
from support.proxy import Proxy
from support.records import Call
from support.tls import Authority
from support.upstreams import to_api
from support.wires import Gone, Http1Wire, Http2Wire

FIRST_EVENTS = sse([ev_created(), ev_message_added(), ev_text_delta("one")])
LAST_EVENTS = sse([ev_text_delta("two"), ev_completed()], 3)
PHASES: dict[str, Answer] = {
    "before the head": [Stall()],
    "silent after the head": [Head(), Stall()],
    "held back by classify": [Head(), Data(sse([ev_created()])), Stall()],
    "in the stream": [Head(), Data(FIRST_EVENTS), Stall()],
}

Start = Callable[..., Proxy]


@pytest.fixture(autouse=True)
def nothing_unhandled(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """No task ends with an exception that nobody asked for, no coroutine is left behind."""
    yield
    gc.collect()
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []


@pytest.fixture
def start(tmp_path: Path, api_backend: Backend, ca: Authority) -> Iterator[Start]:
    """Starts the proxy in front of ``api_backend``; at the end of the test nothing may run in it."""
    proxies: list[Proxy] = []

    def run(http_version: str = "auto", **settings: object) -> Proxy:
        config = {**to_api(api_backend, ca, tmp_path, http_version=http_version), **settings}
        proxies.append(Proxy(tmp_path, config))
        return proxies[-1].__enter__()

    yield run
    for proxy in proxies:
        if proxy._thread.is_alive():
            assert_nothing_left(proxy)
            proxy.__exit__()


def assert_nothing_left(proxy: Proxy) -> None:
    """Every exchange has ended, no call and no task of it is left."""
    proxy.wait_idle()

    async def left() -> list[str]:
        await asyncio.sleep(0)  # the turn in which ended tasks go
        calls = [call for transport in proxy.process.transports.values() for call in transport._running]
        tasks = [task for task in asyncio.all_tasks() if "mitmcodex" in repr(task.get_coro()) + task.get_name()]
        return [repr(one) for one in [*calls, *tasks] if "_Multi" not in repr(one)]

    assert proxy.call(left()) == []


def ask(client: Http1Wire | Http2Wire, backend: Backend, phase: str) -> tuple[Call, int]:
    """A request whose answer stands in this phase: the client has read all that there is."""
    backend.queue(PHASES[phase])
    number = client.post()
    call = backend.wait_for_call(len(backend.calls) or 1)
    if phase == "in the stream":
        client.read_until(number, b'"one"')
    return call, number


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("http_version", ["auto", "1.1"])
@pytest.mark.parametrize("kind", [Http1Wire, Http2Wire])
def test_a_client_that_goes_is_followed(
    start: Start, api_backend: Backend, kind: type[Http1Wire | Http2Wire], http_version: str, phase: str
) -> None:
    """conformance 84: in every phase the upstream's stream is reset while it is silent, for all pairs of protocols,
    and nothing is tried again."""
    proxy = start(http_version)
    with kind(proxy.port) as client:
        call, number = ask(client, api_backend, phase)
        assert call.request.http_version == ("HTTP/1.1" if http_version == "1.1" else "HTTP/2")
        client.abort(number)
        call.wait_aborted()
        proxy.wait_idle()
    assert len(api_backend.calls) == 1


def test_a_closed_http2_connection_aborts_all_its_streams(start: Start, api_backend: Backend) -> None:
    """Three streams in three phases, one connection closed: three aborts."""
    proxy = start()
    with Http2Wire(proxy.port) as client:
        for number, phase in enumerate(("before the head", "held back by classify", "in the stream"), 1):
            api_backend.queue(PHASES[phase])
            stream = client.post()
            api_backend.wait_for_call(number)
        client.read_until(stream, b'"one"')
    for call in api_backend.calls:
        call.wait_aborted()


def test_one_aborted_stream_leaves_its_neighbour_alone(start: Start, api_backend: Backend) -> None:
    """Two streams share both connections; the one that is not reset comes whole."""
    gate = Gate()
    api_backend.queue([Head(), Data(FIRST_EVENTS), Pause(gate), Data(LAST_EVENTS), End()], PHASES["in the stream"])
    proxy = start()
    with Http2Wire(proxy.port) as client:
        stays = client.post()
        client.read_until(stays, b'"one"')
        goes = client.post()
        client.read_until(goes, b'"one"')
        client.abort(goes)
        api_backend.wait_for_call(2).wait_aborted()
        gate.open()
        assert b'"two"' in client.read_body(stays)
    assert len(api_backend.connections) == 1


def test_the_upstream_connection_outlives_an_abort(start: Start, api_backend: Backend) -> None:
    """An abort over HTTP/2 resets one stream: the next call goes over the same connection."""
    proxy = start()
    with Http1Wire(proxy.port) as client:
        call, number = ask(client, api_backend, "in the stream")
    call.wait_aborted()
    api_backend.queue(say("still here"))
    with Http1Wire(proxy.port) as client:
        client.post()
        client.read_head()
        assert b"still here" in client.read_body()
    assert [x.request.connection.number for x in api_backend.calls] == [1, 1]


@pytest.mark.parametrize("kind", [Http1Wire, Http2Wire])
def test_a_killed_flow_ends_on_both_sides(
    start: Start, api_backend: Backend, kind: type[Http1Wire | Http2Wire]
) -> None:
    """``flow.kill()`` in the stream aborts the upstream and cuts the client, who sees that the answer is not whole."""
    proxy = start()
    with kind(proxy.port) as client:
        call, number = ask(client, api_backend, "in the stream")
        (exchange,) = proxy.process.running
        proxy.loop.call_soon_threadsafe(exchange.flow.kill)
        call.wait_aborted()
        if isinstance(client, Http1Wire):
            assert b"0\r\n\r\n" not in client.read_to_close()
        else:
            with pytest.raises(Gone):
                client.read_body(number)


def test_a_flow_killed_before_its_head_is_not_answered(start: Start, api_backend: Backend) -> None:
    """Killed while the upstream thinks: aborted, and the client's connection ends."""
    proxy = start()
    with Http1Wire(proxy.port) as client:
        call, number = ask(client, api_backend, "before the head")
        (exchange,) = proxy.process.running
        proxy.loop.call_soon_threadsafe(exchange.flow.kill)
        call.wait_aborted()
        assert b"200 OK" not in client.read_to_close()


@pytest.mark.parametrize("phase", PHASES)
def test_a_shutdown_aborts_what_runs(start: Start, api_backend: Backend, phase: str) -> None:
    """The proxy ends within the test's patience; its streams are reset, its connections closed, its client told."""
    proxy = start()
    with Http1Wire(proxy.port) as client:
        call, number = ask(client, api_backend, phase)
        proxy.__exit__()
        call.wait_aborted()
        call.request.connection.wait_closed()
        assert not client.read_to_close().endswith(b"0\r\n\r\n")
    assert proxy.process.running == set()


def test_a_client_that_goes_while_it_waits_leaves_the_queue(start: Start, api_backend: Backend) -> None:
    """With one call allowed, the second waits and goes; the third, not the second, reaches the upstream after it."""
    proxy = start(max_concurrency=1, max_queue=1)
    slots = proxy.process.slots

    async def waiting(count: int) -> None:
        while slots.waiting != count:
            await asyncio.sleep(0)

    with Http1Wire(proxy.port) as first, Http1Wire(proxy.port) as third:
        call, _ = ask(first, api_backend, "in the stream")
        with Http1Wire(proxy.port) as second:
            second.post()
            proxy.call(waiting(1))
        proxy.call(waiting(0))
        api_backend.queue(say("your turn"))
        third.post()
        proxy.call(waiting(1))
        first.close()
        call.wait_aborted()
        third.read_head()
        assert b"your turn" in third.read_body()
    assert len(api_backend.calls) == 2
