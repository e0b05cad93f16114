"""The fake backend records, plays and refuses as it says."""

import asyncio
import contextlib
import http.client
import json
import socket
import ssl
from collections.abc import Iterator
from typing import Any, Self

import h2.config
import h2.connection
import h2.events
import h2.settings
import pytest
import zstandard

from support.answers import Answer, Cut, Data, End, Flood, Gate, Head, Pause, Stall, say, stream, usage_limit
from support.backend import Backend
from support.events import ev_created, ev_function_call, text_events
from support.records import NotSeen, Request
from support.strictness import Strictness
from support.tls import Authority

BODY: dict[str, Any] = {
    "model": "gpt-5.5",
    "stream": True,
    "store": False,
    "input": [{"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "base"}]}],
}
STRICT = Strictness("chatgpt", "token-1", "acc-1", forbidden=("client-secret",))


class H2Client:
    """A blocking HTTP/2 client of a few lines: what it sends is known to the byte."""

    def __init__(self, backend: Backend, ca: Authority, window: int = 65535) -> None:
        context = ca.client_context()
        context.set_alpn_protocols(["h2"])
        raw = socket.create_connection(("127.0.0.1", backend.port), timeout=5)
        self.socket = context.wrap_socket(raw, server_hostname="chatgpt.com")
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(True, "utf-8"))
        self.h2.local_settings = h2.settings.Settings(True, {h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: window})
        self.h2.initiate_connection()
        self.h2.increment_flow_control_window(1234)
        self.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def flush(self) -> None:
        self.socket.sendall(self.h2.data_to_send())

    def post(self, path: str = "/v1/responses", body: bytes = b"{}", headers: tuple[tuple[str, str], ...] = ()) -> int:
        number: int = self.h2.get_next_available_stream_id()
        pseudo = [(":method", "POST"), (":scheme", "https"), (":authority", "chatgpt.com"), (":path", path)]
        self.h2.send_headers(number, [*pseudo, *headers])
        self.h2.send_data(number, body, end_stream=True)
        self.flush()
        return number

    def events(self) -> Iterator[h2.events.Event]:
        while data := self.socket.recv(65536):
            yield from self.h2.receive_data(data)
            self.flush()

    def wait_for(self, kind: type[h2.events.Event]) -> h2.events.Event:
        return next(event for event in self.events() if isinstance(event, kind))

    def body(self) -> bytes:
        data = b""
        for event in self.events():
            if isinstance(event, h2.events.DataReceived):
                data += event.data
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                self.flush()
            if isinstance(event, h2.events.StreamEnded):
                return data
        raise AssertionError("the connection ended before the stream")


def post(
    backend: Backend, body: object = BODY, headers: dict[str, str] | None = None, path: str = "/v1/responses"
) -> tuple[int, bytes]:
    client = http.client.HTTPConnection("127.0.0.1", backend.port, timeout=5)
    with contextlib.closing(client):
        client.putrequest("POST", path, skip_accept_encoding=True)
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        for name, value in {**(headers or {}), "Content-Length": str(len(data))}.items():
            client.putheader(name, value)
        client.endheaders(data)
        response = client.getresponse()
        return response.status, response.read()


def strict_post(backend: Backend, changes: dict[str, object], headers: dict[str, str] | None = None) -> str:
    """The refusal's text, "" when there is none."""
    data = zstandard.compress(json.dumps({**BODY, **changes}).encode())
    fixed = {"authorization": "Bearer token-1", "chatgpt-account-id": "acc-1", "content-encoding": "zstd"}
    status, answer = post(backend, data, {**fixed, **(headers or {})}, "/backend-api/codex/responses")
    return "" if status == 200 else answer.decode()


def test_http1_request_is_recorded_as_it_came() -> None:
    """Order, case and duplicates of the headers, the target and the body are those on the wire."""
    with Backend() as backend, socket.create_connection(("127.0.0.1", backend.port), timeout=5) as client:
        client.sendall(
            b"POST /v1/x?a=1 HTTP/1.1\r\nHost: h\r\nx-B: 1\r\nX-a: 2\r\nx-B:3\r\nContent-Length: 3\r\n\r\nabc"
        )
        request = backend.wait_for_call().request
    assert request.headers == [("Host", "h"), ("x-B", "1"), ("X-a", "2"), ("x-B", "3"), ("Content-Length", "3")]
    assert (request.method, request.path, request.query, request.raw_body) == ("POST", "/v1/x", "a=1", b"abc")


def test_chunked_request_and_kept_connection() -> None:
    """A chunked body is put together, and a second request on the same connection is answered too."""
    with Backend() as backend, socket.create_connection(("127.0.0.1", backend.port), timeout=5) as client:
        backend.script(lambda request: [Head(204, []), End()])
        for number in (1, 2):
            client.sendall(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n")
            assert client.recv(4096).startswith(b"HTTP/1.1 204 No Content\r\n")
            assert backend.wait_for_call(number).request.raw_body == b"abc"
        assert len(backend.connections) == 1


def test_starts_inside_a_running_loop() -> None:
    """A test that has a loop of its own may start a backend and be served by it."""

    async def ask() -> bytes:
        with Backend() as backend:
            reader, writer = await asyncio.open_connection("127.0.0.1", backend.port)
            writer.write(b"GET /v1/models HTTP/1.1\r\n\r\n")
            line = await reader.readline()
            writer.close()
            await writer.wait_closed()
            return line

    assert asyncio.run(ask()) == b"HTTP/1.1 200 OK\r\n"


def test_pipelined_request_is_kept() -> None:
    """A request that comes while an answer is still played is answered after it."""
    gate = Gate()
    with Backend() as backend, socket.create_connection(("127.0.0.1", backend.port), timeout=5) as client:
        backend.queue([Head(204, []), Pause(gate), End()], [Head(204, []), End()])
        client.sendall(b"GET /1 HTTP/1.1\r\n\r\n")
        backend.wait_for_call(1)
        client.sendall(b"GET /2 HTTP/1.1\r\n\r\n")
        with pytest.raises(NotSeen):
            backend.wait_for_call(2, 0.05)
        gate.open()
        assert backend.wait_for_call(2).request.path == "/2"


def test_http2_frames_and_headers_are_recorded(ca: Authority) -> None:
    """Preface, settings, window update, flags, pseudo-header order and the header list are the client's own."""
    with Backend(ca.server_context()) as backend:
        backend.queue(say("hi"))
        with H2Client(backend, ca) as client:
            client.post(headers=(("x-b", "1"), ("cookie", "a=1"), ("x-a", "2"), ("cookie", "b=2")))
            assert b"response.completed" in client.body()
            call, connection = backend.wait_for_call(), backend.connections[0]
    assert call.request.headers[4:] == [("x-b", "1"), ("cookie", "a=1"), ("x-a", "2"), ("cookie", "b=2")]
    assert connection.frames[0]["preface"].startswith("PRI * HTTP/2.0")
    assert [f["type"] for f in connection.frames[1:5]] == [
        "SettingsFrame",
        "WindowUpdateFrame",
        "HeadersFrame",
        "DataFrame",
    ]
    assert connection.akamai == "1:4096;2:1;4:65535;5:16384;8:0|1234|0|m,s,a,p"
    assert connection.client_hello["sni"] == "chatgpt.com" and connection.client_hello["alpn"] == ["h2"]


def test_http11_over_tls_is_served(ca: Authority) -> None:
    """A client that offers no ALPN gets HTTP/1.1 on the TLS listener."""
    with Backend(ca.server_context()) as backend:
        client = http.client.HTTPSConnection("localhost", backend.port, timeout=5, context=ca.client_context())
        client.request("POST", "/v1/responses", b'{"input":"[[say:over tls]]"}')
        assert b"over tls" in client.getresponse().read()
        assert backend.requests[0].http_version == "HTTP/1.1"
        client.close()


def test_stream_settings_and_flow_control_are_obeyed(ca: Authority) -> None:
    """The stream limit is announced, and no more than the client's window is sent until it opens it."""
    with Backend(ca.server_context(), max_streams=7) as backend:
        backend.queue([Head(), Flood(300_000), End()])
        with H2Client(backend, ca, window=10_000) as client:
            client.post()
            settings = client.wait_for(h2.events.RemoteSettingsChanged)
            assert isinstance(settings, h2.events.RemoteSettingsChanged)
            code = h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS
            assert settings.changed_settings[code].new_value == 7
            assert len(client.body()) == 300_000
            backend.wait_for_call().wait_finished()
            assert backend.calls[0].accepted_bytes == 300_000


@pytest.mark.parametrize("held", [Stall(), Flood(50_000_000)])
def test_http2_reset_is_seen(ca: Authority, held: Stall | Flood) -> None:
    """RST_STREAM is noted on its call alone, whether the answer is silent or held by flow control."""
    with Backend(ca.server_context()) as backend:
        backend.queue([Head(), Data(b"x"), held], [Head(), Data(b"y"), Stall()])
        with H2Client(backend, ca) as client:
            first = client.post()
            client.post()
            client.wait_for(h2.events.DataReceived)
            client.h2.reset_stream(first)
            client.flush()
            call = backend.wait_for_call(1)
            assert call.wait_aborted() > call.arrived_at
            assert not call.finished.is_set() and not backend.wait_for_call(2).is_aborted
            assert call.accepted_bytes < 100_000


def test_http1_close_is_seen() -> None:
    """The client's close is noted while the backend is silent, also before the head."""
    with Backend() as backend:
        answers: list[Answer] = [[Stall()], [Head(), Data(b"x"), Stall()]]
        for number, steps in enumerate(answers, 1):
            backend.queue(steps)
            with socket.create_connection(("127.0.0.1", backend.port), timeout=5) as client:
                client.sendall(b"POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n")
                call = backend.wait_for_call(number)
                with pytest.raises(NotSeen):
                    call.wait_aborted(0.01)
            call.wait_aborted()


def test_gate_holds_the_answer() -> None:
    """Nothing behind a pause is sent until the test opens the gate."""
    gate = Gate()
    with Backend() as backend, socket.create_connection(("127.0.0.1", backend.port), timeout=5) as client:
        backend.queue([Head(200, [("content-length", "2")]), Data(b"a"), Pause(gate), Data(b"b"), End()])
        client.sendall(b"GET / HTTP/1.1\r\n\r\n")
        call = backend.wait_for_call()
        with pytest.raises(NotSeen):
            call.wait_finished(0.05)
        assert call.accepted_bytes == 1
        gate.open()
        call.wait_finished()
        assert call.accepted_bytes == 2


def test_flood_counts_what_the_socket_took() -> None:
    """While nobody reads, only what fits the kernel's buffers counts as accepted."""
    with Backend() as backend, socket.create_connection(("127.0.0.1", backend.port), timeout=5) as client:
        backend.queue([Head(), Flood(200_000_000, 1 << 20), End()])
        client.sendall(b"GET / HTTP/1.1\r\n\r\n")
        call = backend.wait_for_call()
        with pytest.raises(NotSeen):
            call.wait_finished(0.3)
        assert call.accepted_bytes < 20_000_000


@pytest.mark.parametrize("how", ["close", "reset"])
def test_cut_ends_without_an_end(ca: Authority, how: str) -> None:
    """A cut answer has no regular end, on both protocols: reset says so, close just stops."""
    with Backend() as plain, Backend(ca.server_context()) as tls:
        for backend in (plain, tls):
            backend.queue([Head(), Data(b"abc"), Cut(how)])
        with pytest.raises(ConnectionResetError if how == "reset" else http.client.IncompleteRead):
            post(plain)
        with H2Client(tls, ca) as client:
            client.post()
            kinds = [type(event) for event in _until_over(client)]
            assert h2.events.StreamEnded not in kinds
            assert (h2.events.StreamReset in kinds) == (how == "reset")


def _until_over(client: H2Client) -> Iterator[h2.events.Event]:
    for event in client.events():
        yield event
        if isinstance(event, h2.events.StreamReset):
            return


def test_failed_handshake_still_shows_the_hello(ca: Authority) -> None:
    """A client that refuses the certificate leaves its ClientHello, no call and no violation."""
    with Backend(ca.server_context()) as backend:
        raw = socket.create_connection(("127.0.0.1", backend.port), timeout=5)
        with raw, pytest.raises(ssl.SSLCertVerificationError):
            ssl.create_default_context().wrap_socket(raw, server_hostname="localhost")
        backend.connections[0].wait_closed()
        assert backend.connections[0].client_hello["sni"] == "localhost"
        assert backend.calls == [] and backend.violations == []


def test_broken_protocol_is_a_violation() -> None:
    """A peer that speaks no HTTP/1.1 is reported."""
    with Backend() as backend, socket.create_connection(("127.0.0.1", backend.port), timeout=5) as client:
        client.sendall(b"nonsense\r\n\r\n")
        assert client.recv(10) == b""
        assert "Malformed" in backend.violations[0]


def test_script_that_fails_is_a_violation() -> None:
    """An exception in a test's script is answered and reported, so that the test fails and does not hang."""

    def broken(request: Request) -> Answer:
        raise KeyError(request.path)

    with Backend() as backend:
        backend.script(broken)
        assert post(backend)[0] == 500
        assert "the script failed: KeyError" in backend.violations[0]


def _call(call_id: str) -> dict[str, object]:
    return {"type": "function_call", "id": "fc_1", "call_id": call_id, "name": "f", "arguments": "{}"}


def _output(call_id: str) -> dict[str, object]:
    return {"type": "function_call_output", "call_id": call_id, "output": "x"}


HEAD_ITEM = BODY["input"][0]
REFUSALS: list[tuple[dict[str, object], str]] = [
    ({"stream": False}, "Stream must be set to true"),
    ({"store": True}, "Store must be set to false"),
    ({"temperature": 1}, "Unsupported parameter: temperature"),
    ({"previous_response_id": "resp_1"}, "Unsupported parameter: previous_response_id"),
    ({"input": "hi"}, "Input must be a list"),
    ({"input": []}, "Instructions are required"),
    ({"input": [HEAD_ITEM, {"role": "system", "content": "x"}]}, "System messages are not allowed"),
    ({"model": "gpt-4"}, "The 'gpt-4' model is not supported when using Codex with a ChatGPT account."),
    ({"input": [HEAD_ITEM, _call("call_1")]}, "No tool output found for function call call_1."),
    ({"input": [HEAD_ITEM, _output("call_2")]}, "No tool call found for function call output with call_id call_2."),
    ({"input": [{**HEAD_ITEM, "id": "item_1"}]}, "Invalid 'input[0].id'"),
]


@pytest.mark.parametrize(("changes", "text"), REFUSALS, ids=lambda value: value if isinstance(value, str) else "")
def test_strict_refusal(changes: dict[str, object], text: str) -> None:
    """What the real backend refuses is answered 400 in its words, and is a violation."""
    with Backend(strictness=STRICT) as backend:
        assert text in strict_post(backend, changes)
        assert any(text in violation for violation in backend.violations)


def test_right_request_is_accepted() -> None:
    """The request that the refusals above are made from breaks no rule, with paired tool items too."""
    with Backend(strictness=STRICT) as backend:
        assert strict_post(backend, {}) == ""
        assert strict_post(backend, {"input": [HEAD_ITEM, _call("call_1"), _output("call_1")]}) == ""
        assert backend.violations == []


@pytest.mark.parametrize(
    ("headers", "violation"),
    [
        ({"authorization": "Bearer other"}, "authorization is not the expected bearer"),
        ({"chatgpt-account-id": "acc-2"}, "chatgpt-account-id is not the account's"),
        ({"Accept-Encoding": "gzip"}, "header Accept-Encoding is sent"),
        ({"Connection": "keep-alive"}, "header Connection is sent"),
        ({"x-note": "has client-secret inside"}, "forbidden secret number 0 is sent"),
        ({"content-encoding": "identity"}, "the body is not sent as zstd"),
    ],
)
def test_header_violation(headers: dict[str, str], violation: str) -> None:
    """A wrong credential, a header that no real client sends and a leaked secret are reported, the secret unnamed."""
    with Backend(strictness=STRICT) as backend:
        strict_post(backend, {}, headers)
        assert any(violation in text for text in backend.violations)
        assert not any("client-secret" in text for text in backend.violations)


def test_header_sent_twice_is_a_violation() -> None:
    """Only cookies may come in several fields."""
    head = b"GET /v1/models HTTP/1.1\r\nauthorization: Bearer sk-1\r\ncookie: a\r\ncookie: b\r\n"
    with Backend(strictness=Strictness("api-key", "sk-1")) as backend:
        for extra in (b"\r\n", b"x-a: 1\r\nX-A: 1\r\n\r\n"):
            with socket.create_connection(("127.0.0.1", backend.port), timeout=5) as client:
                client.sendall(head + extra)
                assert client.recv(4096).startswith(b"HTTP/1.1 200")
        assert backend.violations == ["GET /v1/models: header x-a is sent twice"]


def test_api_key_kind() -> None:
    """An API-key provider wants its key, takes the public parameters and no ChatGPT header."""
    with Backend(strictness=Strictness("api-key", "sk-1")) as backend:
        right = {"authorization": "Bearer sk-1"}
        assert post(backend, {**BODY, "stream": False, "temperature": 1}, right)[0] == 200
        assert backend.violations == []
        assert post(backend, {**BODY, "n": 1}, right)[0] == 400
        assert post(backend, BODY, {**right, "chatgpt-account-id": "a"})[0] == 200
        assert post(backend, BODY, {})[0] == 401
        assert len(backend.violations) == 3


def test_events_have_the_backends_form() -> None:
    """Frames are event and data lines, numbered, with the call's arguments as a JSON string."""
    steps = stream([ev_created(), ev_function_call("call_1", "f", {"a": 1})])
    frames = [step.data.decode() for step in steps if isinstance(step, Data)]
    assert frames[0].startswith("event: response.created\ndata: {") and frames[0].endswith("}\n\n")
    data = json.loads(frames[1].split("data: ")[1])
    assert data["sequence_number"] == 1 and json.loads(data["item"]["arguments"]) == {"a": 1}
    assert text_events("x")[-1]["type"] == "response.completed"


def test_usage_limit_names_its_reset() -> None:
    """The 429 has the reset time in body and headers."""
    with Backend() as backend:
        backend.queue(usage_limit(60))
        status, body = post(backend)
    error = json.loads(body)["error"]
    assert (status, error["type"], error["resets_in_seconds"]) == (429, "usage_limit_reached", 60)
