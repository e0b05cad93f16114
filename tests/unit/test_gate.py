"""gate.py: who may come in, how big, and what is taken off the flow."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from mitmproxy import http
from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.io import FlowReader
from mitmproxy.options import Options
from mitmproxy.test import taddons, tflow, tutils
from mitmproxy.tools.dump import DumpMaster

from mitmcodex import logfilter
from mitmcodex.coding import encode_zstd
from mitmcodex.exchange import Admission
from mitmcodex.gate import Gate
from mitmcodex.local import Local
from mitmcodex.schema import Settings

HOST = ("Host", "127.0.0.1:8787")
KEY = "client-key-1"
SECRET = "canary-4711-secret"
OPEN = Settings()
SECURE = replace(OPEN, secure=True)
WITH_PAGES = replace(OPEN, allowed_origins=("https://page.example",))
ORIGIN = ("Origin", "https://page.example")


@dataclass
class Visit:
    """A request that has gone through the gate."""

    flow: http.HTTPFlow
    admission: Admission

    @property
    def status(self) -> int:
        return self.flow.response.status_code if self.flow.response else 0

    @property
    def error_code(self) -> str:
        assert self.flow.response is not None
        return str(json.loads(self.flow.response.content or b"")["error"]["code"])


@dataclass
class Visitor:
    settings: Settings = OPEN
    keys: tuple[bytes, ...] = ()
    admissions: dict[http.HTTPFlow, Admission] = field(default_factory=dict)

    def visit(
        self,
        method: str,
        path: str,
        *headers: tuple[str, str],
        body: bytes = b"",
        host: bool = True,
        replay: bool = False,
    ) -> Visit:
        gate = Gate(lambda: self.settings, self.admissions, lambda: self.keys)
        pairs = [HOST, *headers] if host else list(headers)
        fields = http.Headers([(name.encode("latin-1"), value.encode("latin-1")) for name, value in pairs])
        request = tutils.treq(method=method.encode(), path=path.encode(), headers=fields, content=body)
        flow: http.HTTPFlow = tflow.tflow(req=request)
        flow.is_replay = "request" if replay else None
        gate.requestheaders(flow)
        assert self.admissions[flow].body == b""
        gate.request(flow)
        if flow.response:
            gate.responseheaders(flow)
        return Visit(flow, self.admissions[flow])


# --- what is taken off


CREDENTIALS = [
    ("Authorization", f"Bearer {SECRET}"),
    ("Proxy-Authorization", f"Basic {SECRET}"),
    ("X-Api-Key", SECRET),
    ("api-key", SECRET),
    ("X-GOOG-API-KEY", SECRET),
    ("Cookie", f"a={SECRET}"),
    ("ChatGPT-Account-Id", SECRET),
    ("x-oai-attestation", SECRET),
]


@pytest.mark.parametrize(("name", "value"), CREDENTIALS)
def test_a_credential_header_leaves_only_its_name_on_the_flow(name: str, value: str) -> None:
    """conformance 77: the value moves to the Admission; order, case and duplicates of all headers stay."""
    visit = Visitor().visit("POST", "/v1/responses", ("X-One", "1"), (name, value), ("x-one", "2"), (name, value))
    shown = [(key.decode(), text.decode()) for key, text in visit.flow.request.headers.fields]
    assert shown == [HOST, ("X-One", "1"), (name, "[redacted]"), ("x-one", "2"), (name, "[redacted]")]
    assert visit.admission.secrets == [(name.lower(), value)] * 2
    assert visit.admission.headers == [HOST, ("X-One", "1"), ("x-one", "2")]
    assert visit.admission.call == "responses"


@pytest.mark.parametrize("name", ["Authorization ", " authorization", "Authorization\t"])
def test_a_misspelt_credential_header_is_taken_off_too(name: str) -> None:
    """Blanks around the name, which the parser refuses, don't hide the secret."""
    visit = Visitor().visit("GET", "/v1/models", (name, f"Bearer {SECRET}"))
    assert visit.admission.secrets == [("authorization", f"Bearer {SECRET}")]
    assert SECRET not in repr(visit.flow.get_state())


def test_of_a_header_that_has_no_name_nothing_stays() -> None:
    """A line such as "Authorization Bearer S: x" has the secret in its name."""
    visit = Visitor().visit("GET", "/v1/models", (f"Authorization Bearer {SECRET}", SECRET))
    assert SECRET not in repr(visit.flow.get_state())


def test_what_rides_in_a_folded_line_or_a_trailer_is_taken_off() -> None:
    """The obsolete fold hides a header in the value of another one; trailers come after all checks. Nobody needs
    either."""
    visitor = Visitor()
    visit = visitor.visit("POST", "/v1/responses", ("x-other", f"1\r\n authorization: {SECRET}"))
    visit.flow.request.trailers = http.Headers([(b"authorization", SECRET.encode())])
    Gate(lambda: OPEN, visitor.admissions).request(visit.flow)
    assert SECRET not in repr(visit.flow.get_state())


@pytest.mark.parametrize(
    ("query", "shown", "kept"),
    [
        (f"key={SECRET}", "key=[redacted]", ""),
        (f"a=1&key={SECRET}&b=%20&key=", "a=1&key=[redacted]&b=%20&key=[redacted]", "a=1&b=%20"),
        (f"k%65y={SECRET}", "k%65y=[redacted]", ""),
        (f"client_version=0.169.0&KEY={SECRET}", "client_version=0.169.0&KEY=[redacted]", "client_version=0.169.0"),
        ("monkey=1&keys=2&key", "monkey=1&keys=2&key", "monkey=1&keys=2&key"),
    ],
)
def test_the_query_key_is_taken_off(query: str, shown: str, kept: str) -> None:
    """All ``key=`` in every spelling go, the rest of the query stays byte for byte."""
    visit = Visitor().visit("POST", f"/v1/responses?{query}")
    assert visit.flow.request.path == f"/v1/responses?{shown}"
    assert visit.admission.query == kept
    assert visit.admission.call == "responses"


def test_a_request_that_the_parser_refused_loses_its_credentials_too() -> None:
    """mitmproxy runs requestheaders for it with the error set: the credentials go, no answer is set beside mitmproxy's,
    and its message quotes nothing."""
    visitor = Visitor()
    gate = Gate(lambda: OPEN, visitor.admissions)
    flow: http.HTTPFlow = tflow.tflow(req=tutils.treq(headers=http.Headers([(b"Authorization ", SECRET.encode())])))
    flow.error = tflow.terr(f"Received invalid header name: b'Authorization {SECRET}' and 'x {SECRET}' from client")
    gate.requestheaders(flow)
    gate.error(flow)
    assert flow.response is None
    assert SECRET not in repr(flow.get_state())
    assert flow.error is not None and flow.error.msg.startswith("Received invalid header name")


# --- who calls


@pytest.mark.parametrize(
    ("path", "headers", "is_codex"),
    [
        ("/v1/responses", [("originator", "codex_exec")], True),
        ("/v1/responses", [("Originator", "Codex Desktop")], True),
        ("/v1/responses", [("originator", "my codex")], False),
        ("/v1/responses", [("user-agent", "codex_exec/0.169.0")], False),
        ("/backend-api/codex/responses", [], True),
        ("/codex/responses", [], False),
    ],
)
def test_a_codex_client_is_known_by_originator_or_path(
    path: str, headers: list[tuple[str, str]], is_codex: bool
) -> None:
    """The one predicate of house.md section 1."""
    assert Visitor().visit("POST", path, *headers).admission.is_codex is is_codex


def test_a_side_call_keeps_path_and_query() -> None:
    """What egress needs to build the URL is in the Admission."""
    visit = Visitor().visit("GET", "/backend-api/ps/plugins/installed?limit=200")
    assert (visit.admission.call, visit.admission.path, visit.admission.query) == (
        "side",
        "/ps/plugins/installed",
        "limit=200",
    )


# --- Host and Origin


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST:1",
        "localhost.",
        "127.0.0.1",
        "127.8.9.1:8787",
        "[::1]:8787",
        "[::1]",
        "box:1",
        "proxy.lan:9",
    ],
)
def test_loopback_and_listed_hosts_are_served(host: str) -> None:
    """Loopback names and addresses with any port, and the names of allowed_hosts (with a port: that port)."""
    visitor = Visitor(replace(OPEN, allowed_hosts=("proxy.lan", "Box:1")))
    assert visitor.visit("GET", "/health", ("Host", host), host=False).status == 0


@pytest.mark.parametrize(
    "hosts",
    [
        ["evil.example"],
        ["127.0.0.1.evil.example"],
        ["evil.example:8787"],
        ["box:2"],
        ["127.0.0.1@evil.example"],
        ["127.0.0.1", "evil.example"],
        ["10.0.0.1"],
        ["2130706433"],
        ["[::2]"],
        [""],
        [],
    ],
)
def test_other_hosts_are_refused(hosts: list[str]) -> None:
    """DNS rebinding: a page under any other name, or a request without a Host, gets 403, health included."""
    visitor = Visitor(replace(OPEN, allowed_hosts=("box:1",)))
    visit = visitor.visit("GET", "/health", *[("Host", host) for host in hosts], host=False)
    assert (visit.status, visit.error_code, visit.admission.call) == (403, "forbidden", "")


def test_an_authority_counts_as_host() -> None:
    """An absolute request target or an HTTP/2 authority can't get around the Host check."""
    visitor = Visitor()
    flow: http.HTTPFlow = tflow.tflow(
        req=tutils.treq(
            method=b"GET", path=b"/health", authority=b"evil.example", headers=http.Headers([(b"host", b"localhost")])
        )
    )
    Gate(lambda: OPEN, visitor.admissions).requestheaders(flow)
    assert flow.response is not None and flow.response.status_code == 403


def test_only_listed_origins_may_call() -> None:
    """No Origin passes; one that is not listed is 403, also a page on loopback; a listed one reads the answer."""
    visitor = Visitor(WITH_PAGES)
    assert visitor.visit("POST", "/v1/responses").status == 0
    for origin in ("http://localhost:3000", "null", "https://page.example.evil"):
        assert visitor.visit("POST", "/v1/responses", ("Origin", origin)).status == 403
    refused = visitor.visit("POST", "/nowhere", ORIGIN)
    assert refused.status == 404
    assert refused.flow.response is not None
    assert refused.flow.response.headers["access-control-allow-origin"] == ORIGIN[1]
    assert refused.flow.response.headers["vary"] == "origin"
    answered = visitor.visit("POST", "/v1/responses", ORIGIN)
    answered.flow.response = http.Response.make(200, b"", {"Vary": "accept"})
    Gate(lambda: WITH_PAGES, {}).responseheaders(answered.flow)
    assert answered.flow.response.headers.get_all("vary") == ["accept", "origin"]


def test_a_preflight_is_answered_without_a_key() -> None:
    """204 with what the page may send, for a known path and a listed origin: a preflight has no credentials."""
    visitor = Visitor(WITH_PAGES, (KEY.encode(),))
    asks = (("Access-Control-Request-Method", "POST"), ("Access-Control-Request-Headers", "authorization,content-type"))
    visit = visitor.visit("OPTIONS", "/v1/responses", ORIGIN, *asks)
    assert (visit.status, visit.admission.call) == (204, "")
    assert visit.flow.response is not None
    answer = visit.flow.response.headers
    assert answer["access-control-allow-origin"] == ORIGIN[1]
    assert answer["access-control-allow-methods"] == "POST"
    assert answer["access-control-allow-headers"] == "authorization,content-type"
    assert visitor.visit("OPTIONS", "/v1/responses", ("Origin", "https://other.example"), *asks).status == 403
    assert visitor.visit("OPTIONS", "/nowhere", ORIGIN, *asks).status == 401
    assert visitor.visit("OPTIONS", "/v1/responses").status == 401
    assert Visitor().visit("OPTIONS", "/v1/responses").status == 405
    assert Visitor(WITH_PAGES).visit("OPTIONS", "/v1/responses", ORIGIN).status == 405


# --- the client key


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/v1/responses", [("Authorization", f"Bearer {KEY}")]),
        ("/v1/responses", [("authorization", f"bearer  {KEY} ")]),
        ("/v1/responses", [("x-api-key", KEY)]),
        ("/v1/responses", [("api-key", KEY)]),
        ("/v1/responses", [("x-goog-api-key", KEY)]),
        (f"/v1/responses?key={KEY}", []),
        ("/v1/responses?key=client%2Dkey-1", []),
        ("/v1/responses", [("authorization", "Bearer other"), ("x-api-key", KEY)]),
        ("/v1/responses", [("api-key", "second")]),
    ],
)
def test_a_right_key_in_any_form_is_let_in(path: str, headers: list[tuple[str, str]]) -> None:
    """conformance 61: each form that clients use opens the door, with each of the keys."""
    visit = Visitor(keys=(KEY.encode(), b"second")).visit("POST", path, *headers)
    assert (visit.status, visit.admission.call) == (0, "responses")


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/v1/responses", []),
        ("/v1/responses", [("Authorization", KEY)]),
        ("/v1/responses", [("Authorization", f"Basic {KEY}")]),
        ("/v1/responses", [("Authorization", f"Bearer {KEY}x")]),
        ("/v1/responses", [("Authorization", "Bearer ")]),
        ("/v1/responses", [("x-api-key", "")]),
        ("/v1/responses", [("x-api-key", "cl\xe9")]),
        ("/v1/responses", [("cookie", KEY)]),
        (f"/v1/responses?keys={KEY}", []),
        ("/nowhere", []),
    ],
)
def test_a_wrong_key_is_refused_in_the_callers_form(path: str, headers: list[tuple[str, str]]) -> None:
    """401 for other clients, 403 for Codex (which would refresh its tokens after a 401), for unknown paths too."""
    visitor = Visitor(keys=(KEY.encode(),))
    for originator, status in (("", 401), ("codex_exec", 403)):
        visit = visitor.visit("POST", path, *headers, ("originator", originator))
        assert (visit.status, visit.error_code, visit.admission.call) == (status, "invalid_api_key", "")
        assert visit.flow.response is not None and KEY.encode() not in (visit.flow.response.content or b"")


def test_health_and_replays_need_no_key() -> None:
    """A monitor has none, and a replay from mitmproxy's own interface has lost it."""
    visitor = Visitor(keys=(KEY.encode(),))
    assert visitor.visit("GET", "/healthz").admission.call == "local"
    assert visitor.visit("POST", "/v1/responses", replay=True).admission.call == "responses"


# --- routes


@pytest.mark.parametrize(
    ("method", "path", "headers", "status", "code"),
    [
        ("POST", "/v1/other", [], 404, "not_found"),
        ("POST", "/backend-api/codex/analytics-events/events", [], 404, "not_found"),
        ("GET", "/v1/responses", [], 405, "method_not_allowed"),
        ("GET", "/v1/responses", [("Upgrade", "WebSocket")], 426, "upgrade_required"),
        ("GET", "/backend-api/codex/realtime", [("Upgrade", "websocket")], 426, "upgrade_required"),
    ],
)
def test_what_is_not_served_is_told_in_the_protocols_form(
    method: str, path: str, headers: list[tuple[str, str]], status: int, code: str
) -> None:
    """A JSON error with the fitting status and no call, so that nothing goes upstream."""
    visit = Visitor().visit(method, path, *headers)
    assert (visit.status, visit.error_code, visit.admission.call) == (status, code, "")


# --- bodies


def test_the_body_is_decoded_once_and_the_flow_keeps_what_came() -> None:
    """conformance 75: stacked codings, also over two headers, are undone in the Admission only."""
    coded = encode_zstd(gzip.compress(b'{"a":1}'))
    visit = Visitor().visit(
        "POST", "/v1/responses", ("content-encoding", "gzip"), ("Content-Encoding", "zstd"), body=coded
    )
    assert visit.admission.body == b'{"a":1}'
    assert visit.flow.request.raw_content == coded


@pytest.mark.parametrize(
    ("coding", "body", "status", "code"),
    [
        ("zstd", encode_zstd(b"x" * 100)[:-1], 400, "invalid_request"),
        ("lzma", b"x", 400, "invalid_request"),
        ("zstd", encode_zstd(b"x" * 1001), 413, "body_too_large"),
        ("", b"x" * 1001, 413, "body_too_large"),
    ],
)
def test_a_bad_or_too_large_body_is_refused(coding: str, body: bytes, status: int, code: str) -> None:
    """A coding error is 400, a decoded size above the limit 413; no call is left that could go upstream."""
    visit = Visitor(replace(OPEN, max_body_bytes=1000)).visit(
        "POST", "/v1/responses", ("content-encoding", coding), body=body
    )
    assert (visit.status, visit.error_code, visit.admission.call) == (status, code, "")


def test_a_refused_body_is_not_decoded() -> None:
    """A caller who may not come in can't make the proxy work."""
    visit = Visitor(keys=(KEY.encode(),)).visit("POST", "/v1/responses", ("content-encoding", "zstd"), body=b"no zstd")
    assert (visit.status, visit.admission.body) == (401, b"")


def test_a_flow_that_was_not_checked_goes_nowhere() -> None:
    """When requestheaders broke or never ran, the request is answered with an error."""
    unchecked: http.HTTPFlow = tflow.tflow()
    half_checked: http.HTTPFlow = tflow.tflow()
    gate = Gate(lambda: OPEN, {half_checked: Admission()})
    for flow in (unchecked, half_checked):
        gate.request(flow)
        assert flow.response is not None and flow.response.status_code == 500


# --- the strict mode


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("POST", "/v1/responses?", []),
        ("POST", "/v1/responses?a=1", []),
        ("POST", "/v1/responses?key=x", []),
        ("POST", "/v1/responses/", []),
        ("POST", "/responses", []),
        ("GET", "/v1/responses", []),
        ("GET", "/v1/models", []),
        ("GET", "/health", []),
        ("OPTIONS", "/v1/responses", []),
        ("GET", "/shutdown", []),
        ("POST", "/v1/responses", [("Host", "evil.example")]),
        ("POST", "/v1/responses", [("Origin", "https://evil.example")]),
    ],
)
def test_the_strict_proxy_refuses_all_but_one_request(method: str, path: str, headers: list[tuple[str, str]]) -> None:
    """Everything but POST /v1/responses is 403 with an empty body (protocol.md 9)."""
    visit = Visitor(SECURE).visit(method, path, *headers)
    assert visit.flow.response is not None
    assert (visit.status, visit.flow.response.content, visit.admission.call) == (403, b"", "")


def test_the_strict_proxy_passes_headers_and_body_as_they_came() -> None:
    """All headers but authorization are there to be forwarded, in their places; the body stays coded; no client key is
    asked for and no limit holds."""
    visitor = Visitor(replace(SECURE, max_body_bytes=3), (KEY.encode(),))
    came = [("content-encoding", "zstd"), ("Cookie", SECRET), ("X-API-Key", SECRET), ("x-last", "1")]
    visit = visitor.visit("POST", "/v1/responses", ("Authorization", SECRET), *came, body=b"not zstd")
    assert (visit.status, visit.admission.call, visit.admission.body) == (0, "responses", b"not zstd")
    assert visit.admission.headers == [HOST, *came]
    assert SECRET not in repr(visit.flow.get_state())


# --- with a real mitmproxy and real sockets


class Sink:
    """Stands for the upstream: answers what was let through and remembers its Admission."""

    def __init__(self, admissions: dict[http.HTTPFlow, Admission]) -> None:
        self._admissions = admissions
        self.admitted: list[Admission] = []
        self.is_running = asyncio.Event()

    def running(self) -> None:
        self.is_running.set()

    def request(self, flow: http.HTTPFlow) -> None:
        if flow.response is None:
            self.admitted.append(self._admissions[flow])
            flow.response = http.Response.make(200, b"through")


@dataclass
class Proxy:
    master: DumpMaster
    sink: Sink
    ended: asyncio.Task[None]

    async def send(self, data: bytes, then_close: bool = False) -> bytes:
        """Send raw bytes; what comes back until the proxy closes."""
        port = self.master.addons.get("proxyserver").listen_addrs()[0][1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(data)
        if then_close:
            writer.write_eof()
        answer = await asyncio.wait_for(reader.read(), 10)
        writer.close()
        return answer


@asynccontextmanager
async def running_proxy(settings: Settings, flow_file: Path | None = None) -> AsyncIterator[Proxy]:
    admissions: dict[http.HTTPFlow, Admission] = {}
    options = Options(mode=["reverse:http://codex.invalid@127.0.0.1:0"])
    master = DumpMaster(options, with_termlog=False, with_dumper=False)
    ours = [Gate(lambda: settings, admissions), Local(admissions), sink := Sink(admissions)]
    master.addons.add(*ours)
    # Where scripts stand: before what saves and shows flows.
    master.addons.chain[:] = [*ours, *(addon for addon in master.addons.chain if addon not in ours)]
    options.update(connection_strategy="lazy", save_stream_file=str(flow_file) if flow_file else None)
    ended = asyncio.create_task(master.run())
    await asyncio.wait_for(sink.is_running.wait(), 10)
    try:
        yield Proxy(master, sink, ended)
    finally:
        await master.addons.get("proxyserver").servers.update([])
        master.shutdown()
        await ended


def request_head(*lines: str) -> bytes:
    return "\r\n".join([*lines, "", ""]).encode()


CLOSE = ("Host: localhost", "Connection: close")


def test_a_real_request_passes_the_gate() -> None:
    """Health answers with a body to GET and without to HEAD, an accepted call goes on, an unknown Host is refused."""

    async def run() -> None:
        async with running_proxy(OPEN) as proxy:
            health = await proxy.send(request_head("GET /health HTTP/1.1", *CLOSE))
            assert health.startswith(b"HTTP/1.1 200") and b'"status": "ok"' in health
            head = await proxy.send(request_head("HEAD /health HTTP/1.1", *CLOSE))
            assert head.startswith(b"HTTP/1.1 200")
            rebound = await proxy.send(request_head("GET /health HTTP/1.1", "Host: evil.example", "Connection: close"))
            assert rebound.startswith(b"HTTP/1.1 403")
            post = request_head("POST /v1/responses HTTP/1.1", *CLOSE, "Content-Length: 2") + b"{}"
            assert (await proxy.send(post)).endswith(b"through")
            assert [admission.body for admission in proxy.sink.admitted] == [b"{}"]

    asyncio.run(run())


@pytest.mark.parametrize("framing", ["Content-Length: 5000", "Transfer-Encoding: chunked"])
def test_a_body_over_the_limit_is_stopped_while_it_comes(framing: str) -> None:
    """413 before the body is complete: at once for a declared length, else when the limit is passed."""

    async def run() -> None:
        async with running_proxy(replace(OPEN, max_body_bytes=1000)) as proxy:
            unfinished = b"5dc\r\n" + b"x" * 1500 + b"\r\n" if "chunked" in framing else b""
            answer = await proxy.send(request_head("POST /v1/responses HTTP/1.1", *CLOSE, framing) + unfinished)
            assert answer.startswith(b"HTTP/1.1 413")
            assert proxy.sink.admitted == []

    asyncio.run(run())


def test_the_limit_follows_the_settings() -> None:
    """An edit of max_body_bytes while the proxy runs holds for mitmproxy's own check at once."""
    with taddons.context(Proxyserver()) as context:
        limits = iter([1000, 2000, 3000])
        gate = Gate(lambda: replace(OPEN, max_body_bytes=next(limits)), {})
        gate.load(None)
        assert context.options.body_size_limit == "1000"
        gate.configure({"codex_max_body_bytes"})
        gate.configure({"codex_keepalive_s"})
        assert context.options.body_size_limit == "2000"


def test_the_strict_proxy_ends_when_told_to() -> None:
    """GET /shutdown is answered 200 with an empty body and ends the proxy, after the client has the answer; nothing
    limits the body before it."""

    async def run() -> None:
        async with running_proxy(replace(SECURE, http_shutdown=True, max_body_bytes=10)) as proxy:
            post = request_head("POST /v1/responses HTTP/1.1", *CLOSE, "Content-Length: 50") + b"x" * 50
            assert (await proxy.send(post)).endswith(b"through")
            assert (await proxy.send(request_head("GET /health HTTP/1.1", *CLOSE))).startswith(b"HTTP/1.1 403")
            answer = await proxy.send(request_head("GET /shutdown HTTP/1.1", "Host: localhost"))
            assert answer.startswith(b"HTTP/1.1 200") and answer.endswith(b"\r\n\r\n")
            await asyncio.wait_for(asyncio.shield(proxy.ended), 10)

    asyncio.run(run())


@pytest.fixture
def redacted_log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    logfilter.install()
    with caplog.at_level(logging.DEBUG):
        yield caplog
    logfilter.uninstall()


REFUSED_BY_THE_PARSER = {
    "no colon": request_head("GET /v1/models HTTP/1.1", *CLOSE, f"Authorization Bearer {SECRET}"),
    "no colon, other header": request_head("GET /v1/models HTTP/1.1", *CLOSE, f"x-api-key {SECRET}"),
    "blank before colon": request_head("GET /v1/models HTTP/1.1", *CLOSE, f"Authorization : Bearer {SECRET}"),
    "secret in the name": request_head("GET /v1/models HTTP/1.1", *CLOSE, f"Authorization Bearer {SECRET}: x"),
    "request line": request_head(f"GET /v1/models?key={SECRET} BAD", *CLOSE),
    "two words": request_head(f"GET {SECRET}", *CLOSE),
    "version": request_head(f"GET /v1/models?key={SECRET} HTTP/{SECRET}", *CLOSE),
    "length": request_head(
        f"POST /v1/responses?key={SECRET} HTTP/1.1", *CLOSE, f"Cookie: {SECRET}", "Content-Length: many"
    ),
    "lengths": request_head(
        f"POST /v1/responses?key={SECRET} HTTP/1.1",
        *CLOSE,
        f"Cookie: {SECRET}",
        "Content-Length: 1",
        "Content-Length: 2",
    ),
    "coding": request_head("POST /v1/responses HTTP/1.1", *CLOSE, f"x-api-key: {SECRET}", "Transfer-Encoding: own"),
    "chunk": request_head("POST /v1/responses HTTP/1.1", *CLOSE, f"Cookie: {SECRET}", "Transfer-Encoding: chunked")
    + f"{SECRET}\r\n".encode(),
    "connect": request_head("CONNECT host.example:1 HTTP/1.1", *CLOSE, f"Proxy-Authorization: Basic {SECRET}"),
    "cut": f"GET /v1/models?key={SECRET} HTTP/1.1\r\nCookie: {SECRET}".encode(),
}


@pytest.mark.parametrize("case", REFUSED_BY_THE_PARSER)
def test_what_the_parser_refuses_leaves_no_secret(
    case: str, tmp_path: Path, redacted_log: pytest.LogCaptureFixture
) -> None:
    """Whatever is wrong with a request, neither the log nor the flow file holds its credentials."""
    flow_file = tmp_path / "flows"

    async def run() -> None:
        async with running_proxy(OPEN, flow_file) as proxy:
            await proxy.send(REFUSED_BY_THE_PARSER[case], then_close=case == "cut")
            assert proxy.sink.admitted == []

    asyncio.run(run())
    assert "client disconnect" in redacted_log.text
    assert SECRET not in redacted_log.text
    assert SECRET.encode() not in flow_file.read_bytes()


def test_a_refused_flow_is_still_saved(tmp_path: Path) -> None:
    """The flow file holds the refused request with its redacted headers, so that a person can see what was wrong."""

    async def run() -> None:
        async with running_proxy(OPEN, tmp_path / "flows") as proxy:
            await proxy.send(REFUSED_BY_THE_PARSER["lengths"])

    asyncio.run(run())
    with (tmp_path / "flows").open("rb") as file:
        [flow] = FlowReader(file).stream()
    assert isinstance(flow, http.HTTPFlow)
    assert flow.request.path == "/v1/responses?key=[redacted]"
    assert flow.request.headers["cookie"] == "[redacted]"
    assert flow.error is not None
