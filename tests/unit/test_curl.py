"""The curl transport against real sockets on loopback: what it sends, when it gives, how it ends."""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from h2.errors import ErrorCodes

from mitmcodex.upstream import curl
from mitmcodex.upstream.curl import CurlCall, CurlTransport
from mitmcodex.upstream.fingerprint import Profile, load
from mitmcodex.upstream.transport import Closed, ConnectFailed, ConnectTarget, TimedOut, TransportError, UpstreamRequest
from support.answers import Answer, Cut, Data, End, Flood, Gate, Head, Pause, Stall, say
from support.backend import Backend
from support.backend_http1 import Http1Session
from support.backend_http2 import Http2Session
from support.records import Call, Connection
from support.sockets import PlainSocket, TlsSocket
from support.tls import Authority

ROOT = Path(__file__).parents[2]
CAPTURE = json.loads((ROOT / "tests/fixtures/fingerprints/p2_rustls_h2.json").read_text())
WAIT_S = 10
MB = 1 << 20
MakeBackend = Callable[..., Backend]


@pytest.fixture(scope="module")
def profile() -> Profile:
    return load("codex-cli-rustls-h2", ROOT / "fingerprints")


@pytest.fixture
def target(ca: Authority) -> ConnectTarget:
    return ConnectTarget(resolve="127.0.0.1", ca_file=str(ca.pem))


@pytest.fixture
def make_server(make_backend: MakeBackend) -> MakeBackend:
    """A backend that answers anything, under a name that only ``target`` resolves."""

    def make(**options: object) -> Backend:
        backend = make_backend(name="chatgpt.com", **options)
        backend.script(lambda _: say("hi"))
        return backend

    return make


@pytest.fixture(params=["h2", "http/1.1", "plain"])
def backend(request: pytest.FixtureRequest, make_server: MakeBackend, ca: Authority) -> Backend:
    """Each form in which an upstream may speak; chosen by the server's ALPN, the transport's setting is auto."""
    return make_server() if request.param == "plain" else make_server(tls=ca.server_context((request.param,)))


@pytest.fixture
def h2_backend(make_server: MakeBackend, ca: Authority) -> Backend:
    return make_server(tls=ca.server_context())


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(30):
            await coroutine

    asyncio.run(bounded())


@asynccontextmanager
async def transport(profile: Profile, target: ConnectTarget) -> AsyncIterator[CurlTransport]:
    made = CurlTransport(profile, target)
    try:
        yield made
    finally:
        await made.aclose()


def post(backend: Backend, path: str = "/v1/responses", **headers: str) -> UpstreamRequest:
    pairs = (*((name.replace("_", "-"), value) for name, value in headers.items()), ("content-length", "2"))
    return UpstreamRequest("POST", backend.origin + path, pairs, b"{}")


async def read_all(call: CurlCall) -> bytes:
    parts = []
    while data := await call.read():
        parts.append(data)
    return b"".join(parts)


def one_call(profile: Profile, target: ConnectTarget, request: UpstreamRequest) -> None:
    """Made to its end, on a transport of its own."""

    async def go() -> None:
        async with transport(profile, target) as it:
            await read_all(await it.open(request, WAIT_S))

    run(go())


async def seen(backend: Backend, number: int = 1) -> Call:
    return await asyncio.to_thread(backend.wait_for_call, number, WAIT_S)


# --- what goes out


@pytest.mark.parametrize("size", [1000, 16000, 16384, 24224, 32768, 40000, 60_000])
def test_bodies_go_out_in_data_frames_of_the_real_clients_size(
    size: int, profile: Profile, target: ConnectTarget, h2_backend: Backend
) -> None:
    """DATA frames hold 16384 bytes, the last one the rest, whatever the size of the body."""
    request = UpstreamRequest("POST", h2_backend.origin + "/", (("content-length", str(size)),), bytes(size))
    one_call(profile, target, request)
    lengths = [frame["len"] for frame in h2_backend.connections[0].frames if frame.get("type") == "DataFrame"]
    full, rest = divmod(size, 16384)
    assert [length for length in lengths if length] == [16384] * full + ([rest] if rest else [])


def test_hello_and_frames_are_the_captured_ones(profile: Profile, target: ConnectTarget, h2_backend: Backend) -> None:
    """ClientHello, SETTINGS, window update, HEADERS flags and pseudo-headers equal the capture, but what the profile
    explains."""
    request = UpstreamRequest("POST", h2_backend.origin + "/", (("content-length", "24224"),), bytes(24224))
    one_call(profile, target, request)
    connection = h2_backend.connections[0]
    ours, real = connection.client_hello, dict(CAPTURE["client_hello"])
    assert sorted(ours.pop("ext_order")) == sorted(real.pop("ext_order"))
    assert ours.pop("ciphers") == [number for number in real.pop("ciphers") if number != 0x00FF]
    assert ours.pop("hello_len") == real.pop("hello_len") - 2
    assert ours.pop("fp")["ja4"].split("_")[2] == real.pop("fp")["ja4"].split("_")[2]
    assert ours == real
    assert connection.akamai == CAPTURE["akamai"]
    keys = ("preface", "type", "stream", "flags", "settings", "increment")
    frames = [{key: frame[key] for key in keys if key in frame} for frame in CAPTURE["h2_frames"]]
    expected = [frame for frame in frames if frame.get("type") != "GoAwayFrame"]
    # Where SETTINGS ACK falls among the DATA frames depends on when the server speaks.
    got = [{key: frame[key] for key in keys if key in frame} for frame in connection.frames]
    ack = next(frame for frame in expected if frame.get("flags") == ["ACK"])
    assert [frame for frame in got if frame != ack and frame.get("type") != "GoAwayFrame"] == [
        frame for frame in expected if frame != ack
    ]
    assert [frame["len"] for frame in connection.frames if frame.get("type") == "DataFrame"] == [16384, 7840]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "GET", "HEAD"])
def test_wire_has_the_given_headers_and_no_other(
    profile: Profile, target: ConnectTarget, backend: Backend, method: str
) -> None:
    """Order, case (HTTP/1.1), duplicates and empty values are kept; libcurl adds nothing but the host; the target is
    not normalised."""
    body = b"\x00{}" if method in ("POST", "PUT") else b""
    pairs = (("X-B", "1"), ("x-a", ""), ("X-B", "2"), *((("content-length", "3"),) if body else ()), ("cookie", "a=b"))
    request = UpstreamRequest(method, backend.origin + "/a/../b%2e?q=%20", pairs, body)

    async def go() -> None:
        async with transport(profile, target) as it:
            for _ in range(2):
                call = await it.open(request, WAIT_S)
                await read_all(call)
                call.close()

    backend.script(lambda _: [Head(200, [("content-length", "0")]), End()])
    run(go())
    got = backend.requests[1]
    assert (got.method, got.target, got.raw_body) == (method, "/a/../b%2e?q=%20", body)
    named = [pair for pair in got.headers if not pair[0].startswith(":")]
    if got.http_version == "HTTP/2":
        assert named == [(name.lower(), value) for name, value in pairs]
    else:
        front = [pair for pair in pairs if pair[0] not in ("cookie", "content-length")]
        host, length = ("host", f"chatgpt.com:{backend.port}"), [("content-length", "3")] if body else []
        assert named == [*front, ("cookie", "a=b"), host, *length]
    assert len(backend.connections) == 1


def test_http1_is_spoken_when_the_target_says_so(profile: Profile, ca: Authority, h2_backend: Backend) -> None:
    """``http_version: "1.1"`` holds against a server that would take HTTP/2."""

    async def go() -> None:
        async with transport(profile, ConnectTarget("127.0.0.1", str(ca.pem), "1.1")) as it:
            call = await it.open(post(h2_backend), WAIT_S)
            assert call.head.http_version == "HTTP/1.1"
            assert call.facts.alpn == "http/1.1"

    run(go())


def test_environment_proxy_is_never_used(
    profile: Profile, target: ConnectTarget, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A user exports HTTPS_PROXY=our address for Codex: our own calls must not come back to us."""
    for name in ("HTTPS_PROXY", "https_proxy", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "")

    async def go() -> None:
        async with transport(profile, target) as it:
            assert (await it.open(post(backend), WAIT_S)).head.status == 200

    run(go())


def test_cookies_and_redirects_are_left_to_others(profile: Profile, target: ConnectTarget, backend: Backend) -> None:
    """A redirect is an answer like any other, both set-cookie lines are shown, and no cookie is sent back."""
    moved = [("location", "/elsewhere"), ("set-cookie", "a=1"), ("set-cookie", "b=2"), ("content-length", "0")]
    backend.queue([Head(302, moved), End()])

    async def go() -> None:
        async with transport(profile, target) as it:
            call = await it.open(post(backend), WAIT_S)
            assert call.head.status == 302
            assert [value for name, value in call.head.headers if name == "set-cookie"] == ["a=1", "b=2"]
            assert await call.read() == b""
            call.close()
            await read_all(await it.open(post(backend), WAIT_S))

    run(go())
    assert [request.path for request in backend.requests] == ["/v1/responses"] * 2
    assert not backend.requests[1].has("cookie")


def test_second_connection_does_not_resume_the_tls_session(
    profile: Profile, ca: Authority, h2_backend: Backend
) -> None:
    """Codex never resumes: a new connection says hello like the first, without a pre-shared key (41)."""
    gate = Gate()

    async def go() -> None:
        async with transport(profile, ConnectTarget("127.0.0.1", str(ca.pem), "1.1")) as it:
            h2_backend.queue(*([Head(), Pause(gate), End()] for _ in range(2)))
            calls = [await it.open(post(h2_backend), WAIT_S) for _ in range(2)]
            gate.open()
            for call in calls:
                await read_all(call)

    run(go())
    orders = [connection.client_hello["ext_order"] for connection in h2_backend.connections]
    assert len(orders) == 2 and orders[0] == orders[1] and 41 not in orders[1]


# --- when it gives


def test_head_comes_before_the_body_and_each_event_at_once(
    profile: Profile, target: ConnectTarget, backend: Backend
) -> None:
    """The head is given while the body is held back, then each piece before the next is sent, then b""."""
    gates = [Gate(), Gate(), Gate()]
    steps: Answer = [Head(), Pause(gates[0]), Data(b"one"), Pause(gates[1]), Data(b"two"), Pause(gates[2]), End()]
    backend.queue(steps)

    async def go() -> None:
        async with transport(profile, target) as it:
            call = await it.open(post(backend), WAIT_S)
            assert call.head.first("content-type") == "text/event-stream"
            for gate, piece in zip(gates, (b"one", b"two", b""), strict=True):
                gate.open()
                assert await call.read() == piece
            assert await call.read() == b""

    run(go())


def test_interim_heads_are_not_the_head(profile: Profile, target: ConnectTarget, make_server: MakeBackend) -> None:
    """A 103 before the answer is passed over."""
    backend = make_server()
    backend.queue([Head(103, [("link", "x"), ("content-length", "0")]), Head(200, [("content-length", "0")]), End()])

    async def go() -> None:
        async with transport(profile, target) as it:
            head = (await it.open(post(backend), WAIT_S)).head
            assert (head.status, head.headers) == (200, (("content-length", "0"),))

    run(go())


@pytest.mark.parametrize("phase", ["before the head", "silent", "mid-stream"])
def test_abort_reaches_the_upstream_at_once(
    profile: Profile, target: ConnectTarget, backend: Backend, phase: str
) -> None:
    """In each phase closing (before the head: cancelling) resets the stream or closes the connection."""
    before: dict[str, Answer] = {"before the head": [], "silent": [Head()], "mid-stream": [Head(), Data(b"x")]}
    backend.queue([*before[phase], Stall()])

    async def go() -> None:
        async with transport(profile, target) as it:
            opening = asyncio.create_task(it.open(post(backend), 0))
            call = await seen(backend)
            aborted_at = time.monotonic()
            if phase == "before the head":
                opening.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await opening
            else:
                running = await opening
                if phase == "mid-stream":
                    assert await running.read() == b"x"
                aborted_at = time.monotonic()
                running.close()
                running.close()
            assert await asyncio.to_thread(call.wait_aborted, WAIT_S) - aborted_at < 0.5
            assert (await it.open(post(backend), WAIT_S)).head.status == 200
            if backend.requests[0].http_version == "HTTP/2":
                assert len(backend.connections) == 1

    run(go())


def test_unread_answer_is_held_at_the_upstream(profile: Profile, target: ConnectTarget, backend: Backend) -> None:
    """Nobody reads: the upstream can't send on, other calls go on, and later all bytes come."""
    total = 64 * MB
    backend.queue([Head(), Flood(total)])

    async def go() -> None:
        async with transport(profile, target) as it:
            flood = await it.open(post(backend), WAIT_S)
            taken = -1
            while taken != backend.calls[0].accepted_bytes:
                taken = backend.calls[0].accepted_bytes
                for _ in range(20):
                    other = await it.open(post(backend), WAIT_S)
                    await read_all(other)
                    other.close()
            assert 0 < taken < 16 * MB
            size = 0
            while data := await flood.read():
                size += len(data)
                assert len(data) < MB
            assert size == total

    run(go())


def test_clients_that_stop_reading_stall_nobody_else(
    profile: Profile, target: ConnectTarget, h2_backend: Backend
) -> None:
    """Paused streams, more than the connection's window holds (5.2 MB), leave room for the others on it."""
    h2_backend.queue(*[[Head(), Flood(64 * MB)]] * 4)

    async def go() -> None:
        async with transport(profile, target) as it:
            floods = [await it.open(post(h2_backend), WAIT_S) for _ in range(4)]
            while any(call.accepted_bytes < 2 * MB for call in h2_backend.calls):  # each stream's own window
                await asyncio.sleep(0)
            h2_backend.queue([Head(), Flood(8 * MB)])
            other = await it.open(post(h2_backend), WAIT_S)
            assert len(await read_all(other)) == 8 * MB
            assert all(flood._is_paused for flood in floods)

    run(go())
    assert len(h2_backend.connections) == 1


def test_200_streams_share_one_connection(profile: Profile, target: ConnectTarget, h2_backend: Backend) -> None:
    """A cold burst of 200 calls goes over one connection, each gets its own bytes in order."""
    gate = Gate()
    h2_backend.script(
        lambda request: [Head(), Pause(gate), *(Data(f"{request.path}:{n};".encode()) for n in range(20)), End()]
    )

    async def go() -> None:
        async with transport(profile, target) as it:
            opening = (it.open(post(h2_backend, f"/{number}"), WAIT_S) for number in range(200))
            calls = await asyncio.gather(*opening)
            gate.open()
            for number, text in enumerate(await asyncio.gather(*(read_all(call) for call in calls))):
                assert text.decode() == "".join(f"/{number}:{n};" for n in range(20))

    run(go())
    assert len(h2_backend.connections) == 1


def test_facts_tell_the_connection(profile: Profile, target: ConnectTarget, backend: Backend) -> None:
    """Addresses, ALPN and timings of the connection, and that the second call reused it."""

    async def go() -> None:
        async with transport(profile, target) as it:
            first = await it.open(post(backend), WAIT_S)
            facts = first.facts
            assert facts.peer == ("127.0.0.1", backend.port) and facts.local[0] == "127.0.0.1"
            assert facts.connect_ms > 0 and not facts.is_reused
            assert facts.alpn == backend.connections[0].alpn
            assert (facts.tls_ms > facts.connect_ms) is backend.origin.startswith("https")
            await read_all(first)
            assert (await it.open(post(backend), WAIT_S)).facts.is_reused

    run(go())


# --- how it fails


async def failure_of(it: CurlTransport, request: UpstreamRequest, first_byte_timeout_s: float = WAIT_S) -> Exception:
    try:
        await read_all(await it.open(request, first_byte_timeout_s))
    except TransportError as error:
        assert "chatgpt.com" in error.message
        assert "s3cret" not in error.message
        return error
    raise AssertionError("no failure")


def test_no_head_in_time_is_timed_out_and_aborts(profile: Profile, target: ConnectTarget, backend: Backend) -> None:
    """``first_byte_timeout_s`` ends the call on both sides, with its name in the message."""
    backend.queue([Stall()])

    async def go() -> None:
        async with transport(profile, target) as it:
            opening = asyncio.create_task(failure_of(it, post(backend), 0.3))
            call = await seen(backend)
            error = await opening
            assert isinstance(error, TimedOut) and "first_byte_timeout_s" in error.message
            await asyncio.to_thread(call.wait_aborted, WAIT_S)

    run(go())


@pytest.mark.parametrize("how", ["reset", "close"])
def test_broken_answer_gives_its_bytes_then_closed(
    profile: Profile, target: ConnectTarget, backend: Backend, how: str
) -> None:
    """What came before the break is given, then Closed with ``head_seen``; the request is not sent again."""
    gate = Gate()
    backend.queue([Head(), Data(b"part"), Pause(gate), Cut(how)])

    async def go() -> None:
        async with transport(profile, target) as it:
            call = await it.open(post(backend, authorization="s3cret"), WAIT_S)
            assert await call.read() == b"part"
            gate.open()
            with pytest.raises(Closed) as caught:
                await call.read()
            assert caught.value.head_seen and "s3cret" not in caught.value.message
            call.close()

    run(go())
    assert len(backend.calls) == 1


def test_reset_before_the_head_is_closed_and_not_sent_again(
    profile: Profile, target: ConnectTarget, h2_backend: Backend
) -> None:
    """The backend got the whole request and may be generating: a second one could be a second generation."""
    h2_backend.queue([Cut("reset")])

    async def go() -> None:
        async with transport(profile, target) as it:
            error = await failure_of(it, post(h2_backend, authorization="s3cret"))
            assert isinstance(error, Closed) and not error.head_seen

    run(go())
    assert len(h2_backend.calls) == 1


def test_refused_connection_is_connect_failed(profile: Profile, target: ConnectTarget, ca: Authority) -> None:
    """Nobody listens: the message names the host and what to check."""
    with Backend(tls=ca.server_context(), name="chatgpt.com") as gone:
        request = post(gone, authorization="s3cret")

    async def go() -> None:
        async with transport(profile, target) as it:
            error = await failure_of(it, request)
            assert isinstance(error, ConnectFailed) and "check base_url" in error.message

    run(go())


def test_unknown_authority_is_connect_failed_and_nothing_is_sent(profile: Profile, h2_backend: Backend) -> None:
    """A certificate that nobody vouches for: the remedy is ca_file, and the request stays here."""

    async def go() -> None:
        async with transport(profile, ConnectTarget("127.0.0.1")) as it:
            error = await failure_of(it, post(h2_backend))
            assert isinstance(error, ConnectFailed) and "set ca_file" in error.message

    run(go())
    assert h2_backend.calls == []


@pytest.mark.parametrize("ours_is", ["ca_file", "system"])
def test_ca_file_is_added_to_the_systems_authorities(
    profile: Profile, ca: Authority, h2_backend: Backend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ours_is: str
) -> None:
    """A certificate is trusted when either knows its authority; the merged file is private and goes with the end."""
    other = Authority(tmp_path).pem
    system, extra = (other, ca.pem) if ours_is == "ca_file" else (ca.pem, other)
    monkeypatch.setattr(curl, "DEFAULT_CACERT", str(system))

    async def go() -> Path:
        async with transport(profile, ConnectTarget("127.0.0.1", str(extra))) as it:
            assert (await it.open(post(h2_backend), WAIT_S)).head.status == 200
            merged = Path(it._authorities)
            assert merged.stat().st_mode & 0o777 == 0o600 and merged.parent.stat().st_mode & 0o777 == 0o700
        return merged

    assert not asyncio.run(go()).exists()


def test_missing_ca_file_is_connect_failed_each_time(profile: Profile, h2_backend: Backend, tmp_path: Path) -> None:
    """The message names the file; the second call doesn't go out without it."""

    async def go() -> None:
        async with transport(profile, ConnectTarget("127.0.0.1", str(tmp_path / "none.pem"))) as it:
            for _ in range(2):
                with pytest.raises(ConnectFailed, match="ca_file can't be read: .*none.pem"):
                    await it.open(post(h2_backend), WAIT_S)

    run(go())


def test_closing_ends_running_calls_and_refuses_new_ones(
    profile: Profile, target: ConnectTarget, backend: Backend
) -> None:
    """At the proxy's end a reader and an opener get errors, the upstream sees the abort, closing twice is harmless."""
    backend.queue([Head(), Stall()], [Stall()])

    async def go() -> None:
        it = CurlTransport(profile, target)
        streaming = await it.open(post(backend), WAIT_S)
        tasks = [asyncio.create_task(streaming.read()), asyncio.create_task(it.open(post(backend), WAIT_S))]
        await seen(backend, 2)
        await it.aclose()
        await it.aclose()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            assert isinstance(result, Closed)
        for call in backend.calls:
            await asyncio.to_thread(call.wait_aborted, WAIT_S)
        with pytest.raises(ConnectFailed, match="shutting down"):
            await it.open(post(backend), WAIT_S)

    run(go())


# --- servers that misbehave below HTTP: their connections are in the test's hands

Serve = Callable[[TlsSocket, Connection], Coroutine[Any, Any, None]]


@asynccontextmanager
async def tls_server(context: ssl.SSLContext, serve: Serve) -> AsyncIterator[str]:
    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        wire, connection = TlsSocket(reader, writer, context), Connection(0, 0.0)
        try:
            await wire.accept(connection)
            await serve(wire, connection)
        finally:
            writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    async with server:
        yield f"https://chatgpt.com:{server.sockets[0].getsockname()[1]}/v1/responses"


async def play_hi(call: Call, stream: Any) -> None:
    await stream.head(200, [])
    await stream.data(b"hi")
    await stream.end()


async def play_hi_and_close(call: Call, stream: Any) -> None:
    await stream.head(200, [("connection", "close"), ("content-length", "2")])
    await stream.data(b"hi")
    await stream.cut("close")


def test_idle_connection_that_the_server_closed_costs_one_silent_retry(
    profile: Profile, target: ConnectTarget, ca: Authority
) -> None:
    """close_notify without GOAWAY on an idle HTTP/2 connection, which libcurl does not notice (fingerprint.md 5, code
    16): the next call works, on a new connection, still HTTP/2."""
    sessions: list[asyncio.Task[None]] = []
    calls: list[Call] = []
    said_goodbye = asyncio.Event()

    def note(request: Any) -> Call:
        calls.append(Call(request))
        return calls[-1]

    async def serve(wire: TlsSocket, connection: Connection) -> None:
        sessions.append(asyncio.create_task(Http2Session(wire, connection, note, play_hi).run(100)))
        await asyncio.wait(sessions[-1:])
        with suppress(ssl.SSLError):
            wire._tls.unwrap()
        wire._flush()
        said_goodbye.set()
        while await PlainSocket.read(wire):
            pass

    async def go() -> None:
        async with tls_server(ca.server_context(), serve) as url, transport(profile, target) as it:
            for number in range(1, 4):
                call = await it.open(UpstreamRequest("POST", url, (), b"{}"), WAIT_S)
                assert (call.head.http_version, await read_all(call)) == ("HTTP/2", b"hi")
                call.close()
                assert (len(sessions), len(calls)) == (number, number)
                said_goodbye.clear()
                sessions[-1].cancel()
                await said_goodbye.wait()

    run(go())


def test_a_connection_lost_in_the_work_is_not_sent_again(
    profile: Profile, target: ConnectTarget, h2_backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pooled connection that breaks later than a dead one would have: the backend may have been generating."""
    monkeypatch.setattr(curl, "STALE_S", 0.0)

    async def go() -> None:
        async with transport(profile, target) as it:
            await read_all(await it.open(post(h2_backend), WAIT_S))
            h2_backend.queue([Cut("close")])
            assert isinstance(await failure_of(it, post(h2_backend)), Closed)

    run(go())
    assert len(h2_backend.calls) == 2


def test_one_fault_of_http2_that_has_worked_changes_nothing(
    profile: Profile, target: ConnectTarget, ca: Authority
) -> None:
    """PROTOCOL_ERROR on one stream: its call fails, is not sent again, and the next speaks HTTP/2 as before."""
    agreed: list[str] = []
    calls: list[Call] = []

    def note(request: Any) -> Call:
        calls.append(Call(request))
        return calls[-1]

    async def play(call: Call, stream: Any) -> None:
        if len(calls) == 2:
            stream._session.h2.reset_stream(stream.number, ErrorCodes.PROTOCOL_ERROR)
            await stream._session.flush()
        else:
            await play_hi(call, stream)

    async def serve(wire: TlsSocket, connection: Connection) -> None:
        agreed.append(wire.alpn)
        await Http2Session(wire, connection, note, play).run(100)

    async def go() -> None:
        async with tls_server(ca.server_context(), serve) as url, transport(profile, target) as it:
            request = UpstreamRequest("POST", url, (), b"{}")
            await read_all(await it.open(request, WAIT_S))
            assert isinstance(await failure_of(it, request), Closed)
            assert (await it.open(request, WAIT_S)).head.http_version == "HTTP/2"

    run(go())
    assert (len(calls), set(agreed)) == (3, {"h2"})


def test_broken_http2_falls_back_to_http1_with_one_warning(
    profile: Profile, target: ConnectTarget, ca: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    """A server that agrees on HTTP/2 and speaks nonsense: HTTP/1.1 from then on, said once."""
    agreed: list[str] = []

    async def serve(wire: TlsSocket, connection: Connection) -> None:
        agreed.append(wire.alpn)
        if wire.alpn == "h2":
            await wire.read()
            wire.write(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 4)
            await wire.read()
        else:
            # One answer a connection, so that each call must agree anew.
            await Http1Session(wire, connection, Call, play_hi_and_close).run()

    async def go() -> None:
        async with tls_server(ca.server_context(), serve) as url, transport(profile, target) as it:
            for _ in range(3):
                call = await it.open(UpstreamRequest("POST", url, (("content-length", "2"),), b"{}"), WAIT_S)
                assert (call.head.http_version, await read_all(call)) == ("HTTP/1.1", b"hi")
                call.close()

    with caplog.at_level(logging.WARNING):
        run(go())
    assert agreed == ["h2", "http/1.1", "http/1.1", "http/1.1"]
    assert [record.message for record in caplog.records if "HTTP/2 failed" in record.message] != []
    assert len(caplog.records) == 1


def test_no_timer_runs_while_idle(profile: Profile, target: ConnectTarget, h2_backend: Backend) -> None:
    """Without calls the transport wakes the loop no more (curl_cffi's own would, ten times a second)."""

    def timers() -> list[Any]:
        loop: Any = asyncio.get_running_loop()
        return [handle for handle in loop._scheduled if not handle.cancelled()]

    async def go() -> None:
        async with transport(profile, target) as it:
            call = await it.open(post(h2_backend), WAIT_S)
            await read_all(call)
            call.close()
            # The poll's last round ends within its second; a next one would set its timer in the turns that follow.
            until = time.monotonic() + 5
            while timers() and time.monotonic() < until:
                await asyncio.sleep(0)
            for _ in range(20):
                await asyncio.sleep(0)
            assert timers() == []

    asyncio.run(go())
