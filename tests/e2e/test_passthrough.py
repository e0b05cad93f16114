"""What need not be changed goes through as it came, to each kind of provider: bodies, paths, queries, headers."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import zstandard

from support.answers import Data, End, Head, detail, quota, reply, say, service_headers, stream
from support.auth import API_KEY, Login
from support.backend import Backend
from support.client import CODEX, as_codex, call, post
from support.events import ev_completed, ev_created, ev_custom_tool_call, ev_function_call, ev_message_done
from support.proxy import Proxy
from support.tls import Authority
from support.upstreams import to_api, to_chatgpt

# Spaces, key order, escapes, numbers and an unknown item that no JSON library would write again as they stand.
ODD_BODY = (
    b'{ "stream" : true,\n\t"model":"gpt-5.5", "store":false , "input":[ {"type":"message","role":"developer",'
    b'"content":[{"type":"input_text","text":"\\u00e9\\/\\ud83d\\ude00 \xc3\xa9"}]}, {"type":"brand_new","n":1.0e+02'
    b',"big":12345678901234567890123 } ]  }\n'
)
ODD_STREAM = (
    b": a comment first\r\n\r\n"
    b'event: response.created\r\ndata: {"type":"response.created",  "response":{"id":"resp_1"}}\r\n\r\n'
    b'event: codex.rate_limits\ndata: {"type":"codex.rate_limits","x":null}\n\n'
    b'data: {"type":"response.brand_new"}\nid: 7\nretry: 10\n\n'
    b"event:response.output_item.done\n"
    b'data:{"type":"response.output_item.done","output_index":0,\ndata: "item":{"type":"message"}}\n\n'
    b": bye\n\nevent: response.completed\n"
    b'data: {"type":"response.completed","response":{"id":"resp_1","output":[]}}\n\n'
)
ODD_LIST = b'{ "models":[ {"slug":"m\\u00e9", "x":1.0e+02} ],\n"new":12345678901234567890123 }\n'
ODD_LIST_HEAD = [("content-type", "application/json"), ("etag", 'W/"odd"'), ("content-length", str(len(ODD_LIST)))]
StartProxy = Callable[..., Proxy]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[StartProxy]:
    with ExitStack() as stack:
        yield lambda config: stack.enter_context(Proxy(tmp_path, config))


@pytest.fixture
def chatgpt(start: StartProxy, backend: Backend, ca: Authority, login: Login) -> Proxy:
    return start(to_chatgpt(backend, ca, login.path))


@pytest.fixture
def openai(start: StartProxy, api_backend: Backend, ca: Authority, tmp_path: Path) -> Proxy:
    return start(to_api(api_backend, ca, tmp_path))


@pytest.fixture
def recorder(make_backend: Callable[..., Backend], ca: Authority) -> Backend:
    """A backend that takes anything; it says "hi" to each POST."""
    backend = make_backend(tls=ca.server_context(), name="codex-backend.test")
    backend.script(lambda request: say("hi") if request.method == "POST" else reply(200, {"data": []}))
    return backend


# -- bodies


@pytest.mark.parametrize("coding", ["", "gzip", "zstd", "gzip, zstd"])
def test_request_bytes_arrive_as_they_came(coding: str, chatgpt: Proxy, backend: Backend) -> None:
    """conformance 76: Codex's body is the same byte for byte once content codings are taken off, whatever it was coded
    in."""
    body = ODD_BODY
    for name in filter(None, coding.split(", ")):
        body = gzip.compress(body) if name == "gzip" else zstandard.compress(body)
    backend.queue(say("hi"))
    headers = [*CODEX, *([("content-encoding", coding)] if coding else [])]
    assert call(chatgpt, "POST", "/v1/responses", headers, body).status == 200
    assert backend.requests[0].body == ODD_BODY


def test_request_bytes_arrive_as_they_came_at_an_api(openai: Proxy, api_backend: Backend) -> None:
    """The same for an API-key provider, which gets them uncoded, also from a client that is not Codex."""
    api_backend.queue(say("hi"), say("hi"))
    for headers in (CODEX, [("content-type", "application/json")]):
        assert call(openai, "POST", "/v1/responses", list(headers), ODD_BODY).status == 200
    assert [request.raw_body for request in api_backend.requests] == [ODD_BODY, ODD_BODY]


@pytest.mark.parametrize("piece_bytes", [1, 7, len(ODD_STREAM)])
def test_response_bytes_reach_codex_as_they_came(piece_bytes: int, chatgpt: Proxy, backend: Backend) -> None:
    """conformance 27: comments, CRLF, ids, unknown and ``codex.*`` events, data over several lines: not a byte is
    changed, however the stream is cut into pieces."""
    pieces = [ODD_STREAM[at : at + piece_bytes] for at in range(0, len(ODD_STREAM), piece_bytes)]
    backend.queue([Head(), *map(Data, pieces), End()])
    answer = as_codex(chatgpt)
    assert (answer.status, answer.body) == (200, ODD_STREAM)


def test_error_reaches_codex_as_it_came(chatgpt: Proxy, backend: Backend) -> None:
    """A refusal of the backend keeps its status, its body and its headers."""
    backend.queue(detail(400, "Unsupported parameter: x"), reply(404, {"error": {"code": "model_not_found"}}))
    first, second = as_codex(chatgpt), as_codex(chatgpt)
    assert (first.status, first.json) == (400, {"detail": "Unsupported parameter: x"})
    assert (second.status, second.json) == (404, {"error": {"code": "model_not_found"}})
    assert len(backend.calls) == 2


def test_response_headers_are_mirrored(chatgpt: Proxy, backend: Backend) -> None:
    """conformance 40: quota (empty values too), turn state, etag and request id reach the client in their order;
    cookies do not."""
    sent = quota() + service_headers()
    backend.queue(say("hi", sent))
    got = as_codex(chatgpt).headers
    wanted = [pair for pair in sent if pair[0] != "set-cookie"]
    assert [pair for pair in got if pair in wanted] == wanted
    assert not any(name == "set-cookie" for name, _ in got)


# -- routes

GENERATION_PATHS = (
    "/v1/responses",
    "/responses",
    "/v1/v1/responses",
    "/codex/responses",
    "/backend-api/codex/responses",
    "/backend-api/codex/v1/responses",
)


@pytest.mark.parametrize("path", GENERATION_PATHS)
def test_generation_paths(path: str, chatgpt: Proxy, backend: Backend) -> None:
    """However a client's base URL is written, its generation goes to the one path of the provider."""
    backend.queue(say("hi"))
    assert call(chatgpt, "POST", path, CODEX, ODD_BODY).status == 200
    assert [request.target for request in backend.requests] == ["/backend-api/codex/responses"]


@pytest.mark.parametrize("base", ["/v1", "", "/backend-api/codex"])
def test_compact(base: str, chatgpt: Proxy, backend: Backend) -> None:
    """Compaction is one JSON call: body and answer go through as they are."""
    body = b'{ "model":"gpt-5.5", "instructions":"x","input":[ {"type":"message","role":"user","content":"hi"} ] }'
    answer = call(chatgpt, "POST", f"{base}/responses/compact", CODEX, body)
    assert (answer.status, answer.json["output"][0]["type"]) == (200, "compaction")
    assert backend.requests[0].path == "/backend-api/codex/responses/compact"
    assert backend.requests[0].body == body


@pytest.mark.parametrize("path", ["/v1/models", "/models", "/backend-api/codex/models"])
def test_codexs_models_with_their_query(path: str, chatgpt: Proxy, backend: Backend) -> None:
    """Codex's own list is the backend's: the query goes on as it came, the answer comes back as it is; the backend is
    told a client version where the client names none."""
    backend.script(lambda request: [Head(200, ODD_LIST_HEAD), Data(ODD_LIST), End()])
    answer = call(chatgpt, "GET", f"{path}?client_version=0.1.2&a=%2Fb+c", CODEX)
    assert (answer.status, answer.body, answer.first("etag")) == (200, ODD_LIST, 'W/"odd"')
    assert call(chatgpt, "GET", path, CODEX).body == ODD_LIST
    first, second = backend.requests
    assert first.target == "/backend-api/codex/models?client_version=0.1.2&a=%2Fb+c"
    assert second.target == "/backend-api/codex/models?client_version=0.170.1"


SIDE_CALLS = [
    ("GET", "/wham/accounts/check", "/backend-api/wham/accounts/check"),
    ("GET", "/backend-api/wham/usage?a=b", "/backend-api/wham/usage?a=b"),
    ("GET", "/ps/plugins/installed?limit=200&scope=GLOBAL", "/backend-api/ps/plugins/installed?limit=200&scope=GLOBAL"),
    ("POST", "/backend-api/ps/mcp", "/backend-api/ps/mcp"),
    ("POST", "/codex/safety/arc", "/backend-api/codex/safety/arc"),
    ("PATCH", "/backend-api/wham/settings/user", "/backend-api/wham/settings/user"),
]


@pytest.mark.parametrize(("method", "path", "target"), SIDE_CALLS)
def test_side_calls(method: str, path: str, target: str, chatgpt: Proxy, backend: Backend) -> None:
    """Codex's other calls go to the base less its last segment, with their method, query and body."""
    body = None if method == "GET" else b'{ "jsonrpc":"2.0" }'
    call(chatgpt, method, path, CODEX, body)
    (request,) = backend.requests
    assert (request.method, request.target, request.raw_body) == (method, target, body or b"")


@pytest.mark.parametrize("path", ["/wham/usage", "/backend-api/ps/plugins/installed", "/codex/safety/arc"])
def test_side_calls_are_the_chatgpt_backend_s_alone(path: str, openai: Proxy, api_backend: Backend) -> None:
    """Another kind of provider has none of them: 404, and nothing is sent."""
    assert call(openai, "GET", path, CODEX).status == 404
    assert api_backend.connections == []


@pytest.mark.parametrize(
    "path",
    [
        "/codex/analytics-events/events",
        "/backend-api/codex/analytics-events/events",
        "/codex/analytics%2Devents/events",
        "/wham/../codex/analytics-events/events",
        "/v1/chat/unknown",
        "/backend-api/wham/%2e%2e/conversations",
    ],
)
def test_never_forwarded(path: str, chatgpt: Proxy, backend: Backend) -> None:
    """Telemetry, unknown paths and paths that climb out of the base are answered 404 in JSON, and nothing is sent."""
    answer = call(chatgpt, "POST", path, CODEX, b"{}")
    assert (answer.status, answer.json["error"]["code"]) == (404, "not_found")
    assert backend.connections == []


def test_websocket_is_refused_with_426(chatgpt: Proxy, backend: Backend) -> None:
    """A WebSocket handshake gets 426, which makes Codex use HTTP at once (clients.md)."""
    key = ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
    upgrade = [("connection", "Upgrade"), ("upgrade", "websocket"), ("sec-websocket-version", "13"), key]
    for path in ("/v1/responses", "/backend-api/codex/responses"):
        assert call(chatgpt, "GET", path, [*CODEX, *upgrade]).status == 426
    assert backend.connections == []


# -- clients that do not stream


def test_whole_answer_is_rebuilt_from_its_items(chatgpt: Proxy, backend: Backend) -> None:
    """``stream: false`` gets one Response object; its empty ``output`` is filled from the items' events, in order."""
    items = [
        ev_message_done("hello", output_index=1),
        ev_function_call("call_1", "f", {"a": 1}, output_index=0),
        ev_custom_tool_call("call_2", "g", "text", output_index=2),
    ]
    backend.queue(stream([ev_created(), *items, ev_completed()], quota()))
    answer = post(chatgpt, stream=False, input=[{"role": "user", "content": "hi"}])
    assert (answer.status, answer.first("content-type")) == (200, "application/json")
    assert answer.first("x-codex-primary-used-percent") == "12.0"
    whole = answer.json
    assert (whole["object"], whole["status"], whole["usage"]["total_tokens"]) == ("response", "completed", 11)
    assert [item["type"] for item in whole["output"]] == ["function_call", "message", "custom_tool_call"]
    assert whole["output"][1]["content"][0]["text"] == "hello"
    assert backend.requests[0].json["stream"] is True


# -- providers by their settings


def test_azure(start: StartProxy, recorder: Backend, ca: Authority, tmp_path: Path) -> None:
    """The deployment's path and ``api-version`` stay, the key goes as ``api-key``, and the body is not coded."""
    base_url = f"{recorder.origin}/openai/deployments/d1?api-version=2026-10-01"
    proxy = start(to_api(recorder, ca, tmp_path, "azure", base_url=base_url))
    assert call(proxy, "POST", "/v1/responses?x=1", CODEX, ODD_BODY).status == 200
    (request,) = recorder.requests
    assert request.target == "/openai/deployments/d1/responses?api-version=2026-10-01&x=1"
    assert (request.first("api-key"), request.has("authorization")) == (API_KEY, False)
    assert request.raw_body == ODD_BODY


def test_base_url_that_is_the_whole_path(start: StartProxy, recorder: Backend, ca: Authority, tmp_path: Path) -> None:
    """A base URL that ends in ``/responses`` is taken whole, compaction is appended, other calls do not exist."""
    base_url = f"{recorder.origin}/any/responses?a=b"
    proxy = start(to_api(recorder, ca, tmp_path, "responses", base_url=base_url))
    assert call(proxy, "POST", "/v1/responses", CODEX, ODD_BODY).status == 200
    assert call(proxy, "POST", "/v1/responses/compact", CODEX, b"{}").status == 200
    assert call(proxy, "GET", "/v1/models").json == {"object": "list", "data": []}
    targets = [request.target for request in recorder.requests]
    assert targets == ["/any/responses?a=b", "/any/responses/compact?a=b"]


def test_own_headers_of_a_provider(start: StartProxy, recorder: Backend, ca: Authority, tmp_path: Path) -> None:
    """``headers`` are added in their order, twice where they are named twice, and replace what would be sent."""
    pairs = [["X-Team", "one"], ["x-team", "two"], ["OpenAI-Project", "p"], ["user-agent", "mine/1.0"]]
    proxy = start(to_api(recorder, ca, tmp_path, "responses", headers=pairs, auth_header="x-api-key"))
    assert as_codex(proxy).status == 200
    (request,) = recorder.requests
    own = [pair for pair in request.headers if pair[0] in ("x-team", "openai-project", "user-agent")]
    assert own == [("x-team", "one"), ("x-team", "two"), ("openai-project", "p"), ("user-agent", "mine/1.0")]
    assert (request.first("x-api-key"), request.has("authorization")) == (API_KEY, False)


def test_missing_ca_file_stops_the_start(
    start: StartProxy, api_backend: Backend, tmp_path: Path, ca: Authority
) -> None:
    """A ``ca_file`` that is not there is one clear line, before anything listens."""
    with pytest.raises(SystemExit, match=r"work.*ca_file.*nowhere\.pem"):
        start(to_api(api_backend, ca, tmp_path, ca_file=str(tmp_path / "nowhere.pem")))


def test_ca_file_that_goes_away(start: StartProxy, api_backend: Backend, ca: Authority, tmp_path: Path) -> None:
    """A ``ca_file`` that is removed after the start is named in the answer, and nothing is sent without it."""
    ours = tmp_path / "ours.pem"
    ours.write_bytes(ca.pem.read_bytes())
    proxy = start(to_api(api_backend, ca, tmp_path, ca_file=str(ours)))
    ours.unlink()
    answer = post(proxy)
    assert answer.status == 502 and "ca_file" in answer.json["error"]["message"], answer.body
    assert api_backend.connections == []
