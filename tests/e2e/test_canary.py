"""Planted secrets: found in no dump, log, error text, flow file, HAR, mitmweb answer or process list."""

from __future__ import annotations

import contextlib
import json
import logging
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from mitmproxy import http
from mitmproxy.io import FlowReader

from mitmcodex import gate, logfilter
from mitmcodex.exchange import Exchange
from mitmcodex.wire import redact
from support import canary
from support.answers import Pairs, reply, say
from support.auth import Login, jwt
from support.backend import Backend
from support.canary import secret
from support.proxy import Proxy
from support.tls import Authority
from support.upstreams import to
from support.wires import Gone, Http1Wire, Http2Wire

JSON = dict[str, Any]
HEADERS = (
    "authorization",
    "proxy-authorization",
    "x-api-key",
    "api-key",
    "x-goog-api-key",
    "cookie",
    "chatgpt-account-id",
    "x-oai-attestation",
)
"""house.md section 1; written out, as the list in the code is what is tested."""
JWT_ASKED = jwt({"jti": "in the client's body"})
JWT_SAID = jwt({"jti": "in the upstream's body"})
BODY = json.dumps({"model": "gpt-5.5", "input": f"what is {JWT_ASKED}?", "stream": True}).encode()


GOOD_LINES = {
    "plain": "{name}: {secret}",
    "in upper case": "{NAME}:Bearer {secret}",
    "folded": "{name}: Bearer\r\n\t{secret}",
    "twice": "{name}: first\r\n{name}: {secret}",
    "in the fold of another": "x-other: 1\r\n {name}: {secret}",
}
GOOD_QUERIES = ("key={}", "a=1&KEY={}&b=2", "k%65y={}", "%4b%45%59={}", "key=first&key={}", "+key+={}")
BAD_LINES = {
    "with a blank": "{name} : Bearer {secret}",
    "without a colon": "{name} Bearer {secret}",
    "without a colon or scheme": "{name} {secret}",
    "as a name": "{name} Bearer {secret}: x",
    "indented": " {name}: {secret}",
    "with NUL": "{name}: {secret}\0",
}
BAD_REQUESTS: dict[str, Callable[[str], bytes]] = {
    "and a bad length": lambda line: get(line, "Content-Length: many"),
    "and two lengths": lambda line: post(line, "Content-Length: 1"),
    "and a bad coding": lambda line: get(line, "Transfer-Encoding: own"),
    "to CONNECT": lambda line: get(line, line="CONNECT host.example:443 HTTP/1.1"),
    "in a cut head": lambda line: f"GET / HTTP/1.1\r\n{line}".encode(),
    "before a cut body": lambda line: post(line).removesuffix(BODY) + b"{",
    "before a bad chunk": lambda line: chunked(line) + f"{line}\r\n".encode(),
    "as a trailer": lambda line: chunked() + f"0\r\n{line}\r\n\r\n".encode(),
}
BAD_REQUEST_LINES = ("GET /v1/models?key={} BAD", "GET {}", "GET /?key={0} HTTP/{0}", "GET  /?key={} HTTP/1.1")


def post(*lines: str, target: str = "/v1/responses") -> bytes:
    """A good POST with these header lines."""
    head = [f"POST {target} HTTP/1.1", "Host: localhost", "Connection: close", f"Content-Length: {len(BODY)}"]
    return "\r\n".join([*head, *lines, "", ""]).encode() + BODY


def get(*lines: str, line: str = "GET /v1/models HTTP/1.1") -> bytes:
    return "\r\n".join([line, "Host: localhost", "Connection: close", *lines, "", ""]).encode()


def chunked(*lines: str) -> bytes:
    return get(*lines, "Transfer-Encoding: chunked", line="POST /v1/responses HTTP/1.1")


def header_lines(forms: dict[str, str]) -> dict[str, str]:
    """Place of the secret → header line, for each header in each form."""
    planted = {}
    for name in HEADERS:
        for form, line in forms.items():
            place = f"{name} {form}"
            planted[place] = line.format(name=name, NAME=name.upper(), secret=secret(place))
    return planted


def good_requests() -> dict[str, bytes]:
    """Place of the secret → a request that the parser takes."""
    planted = {place: post(line) for place, line in header_lines(GOOD_LINES).items()}
    for query in GOOD_QUERIES:
        planted[query] = post(target=f"/v1/responses?{query.format(secret(query))}")
    absolute = "an absolute target"
    planted[absolute] = post(target=f"http://localhost/v1/responses?key={secret(absolute)}")
    return planted


def bad_requests() -> dict[str, bytes]:
    """Place of the secret → a request that the parser refuses, or that ends too early."""
    planted = {place: get(line) for place, line in header_lines(BAD_LINES).items()}
    for form, request in BAD_REQUESTS.items():
        for name in HEADERS:
            place = f"{name} {form}"
            planted[place] = request(f"{name}: {secret(place)}")
    for line in BAD_REQUEST_LINES:
        planted[line] = get(line=line.format(secret(line)))
    cut = "a cut request line"
    planted[cut] = f"GET /v1/models?key={secret(cut)}".encode()
    return planted


def ask(port: int, request: bytes) -> bytes:
    """The answer. A request that is not whole is followed by the end of the stream."""
    with Http1Wire(port) as client, contextlib.suppress(ConnectionError):
        client.socket.sendall(request)
        if not request.endswith(BODY):
            client.socket.shutdown(socket.SHUT_WR)
        return client.read_to_close()
    return b""


def ask_all(port: int, requests: dict[str, bytes]) -> dict[str, bytes]:
    return {f"answer to {place}": ask(port, request) for place, request in requests.items()}


class Watched:
    """A proxy with everything on that keeps something: dumps, flow file, HAR, the log at its most talkative."""

    def __init__(
        self, folder: Path, caplog: pytest.LogCaptureFixture, config: JSON, extra: tuple[Any, ...] = ()
    ) -> None:
        self._folder, self._caplog = folder, caplog
        self._flow_file, self._har = folder / "flows", folder / "flows.har"
        kept = {"save_stream_file": str(self._flow_file), "hardump": str(self._har), "confdir": str(folder / "conf")}
        verbose = {"termlog_verbosity": "debug", "proxy_debug": True}
        config = {"dump_dir": str(folder / "dumps"), **config}
        self.proxy = Proxy(folder, config, extra, {**kept, **verbose})

    def artefacts(self) -> dict[str, bytes]:
        """All that is left behind, after the proxy has stopped."""
        assert "Traceback" not in self._caplog.text
        left = canary.files(self._flow_file, self._har)
        if (self._folder / "dumps").exists():
            left |= canary.files(self._folder / "dumps")
        return {**left, "log": self._caplog.text.encode()}

    def flows(self) -> list[http.HTTPFlow]:
        with self._flow_file.open("rb") as file:
            return [flow for flow in FlowReader(file).stream() if isinstance(flow, http.HTTPFlow)]


@pytest.fixture(autouse=True)
def talkative(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    with caplog.at_level(logging.DEBUG):
        yield


@pytest.fixture
def upstream(make_backend: Callable[..., Backend]) -> Backend:
    """Plain HTTP; its answers hold credentials in headers and a JWT in their text."""
    backend = make_backend()
    echoed = [(name, secret(f"upstream {name}")) for name in (*HEADERS, "set-cookie")]
    backend.script(lambda request: say(f"that is {JWT_SAID}", echoed))
    return backend


UPSTREAM = [f"upstream {name}" for name in (*HEADERS, "set-cookie")]


def at(upstream: Backend, kind: str = "responses", **entry: Any) -> JSON:
    base = f"{upstream.origin}/backend-api/codex" if kind == "chatgpt" else f"{upstream.origin}/v1"
    return to(**{"kind": kind, "base_url": base, **entry})


def of_login(login: Login) -> dict[str, str]:
    names = ("id_token", "access_token", "refresh_token", "account_id")
    return {name: getattr(login, name) for name in names}


def test_credentials_of_good_requests_are_nowhere(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, upstream: Backend, login: Login
) -> None:
    """Each header and query key, in each spelling that the parser takes; the login that pays; the upstream's headers;
    JWTs in bodies, which the flow file and the HAR hold as they were."""
    watched = Watched(tmp_path, caplog, at(upstream, "chatgpt", credential={"codex": str(login.path)}))
    requests = good_requests()
    with watched.proxy as proxy:
        answers = ask_all(proxy.port, requests)
    left = watched.artefacts()
    assert canary.leaks(left | answers, [*requests, *UPSTREAM]) == {}
    assert canary.found(left | answers, of_login(login)) == {}
    assert sum(b" 200 OK" in answer for answer in answers.values()) >= len(requests) - 2 * len(HEADERS)
    assert len(watched.flows()) == len(requests)
    holders = canary.found(left, {"asked": JWT_ASKED, "said": JWT_SAID})
    assert {Path(name).name for names in holders.values() for name in names} <= {"flows", "flows.har"}
    assert str(tmp_path / "flows") in holders["asked"]
    for name in HEADERS:
        sent = [request for request in upstream.requests if canary.secret(f"{name} plain") in str(request.headers)]
        assert sent == [], "the client's credentials go to no upstream"


def test_credentials_of_bad_requests_are_nowhere(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, upstream: Backend
) -> None:
    """What the parser refuses, what ends too early, and what is no request at all: nothing of it in any place."""
    watched = Watched(tmp_path, caplog, at(upstream))
    requests = bad_requests()
    with watched.proxy as proxy:
        answers = ask_all(proxy.port, requests)
    # The parser takes folded lines and NULs: whether such a request gets out before its client goes is chance.
    sent = {f"request {number}": repr(request).encode() for number, request in enumerate(upstream.requests)}
    assert canary.leaks(watched.artefacts() | answers | sent, requests) == {}
    assert caplog.text.count("client disconnect") >= len(requests)


H2_HEADERS: dict[str, Callable[[str, str], Pairs]] = {
    "over HTTP/2": lambda name, value: [(name, value)],
    "twice over HTTP/2": lambda name, value: [(name, "first"), (name, value)],
}
H2_FAULTS: dict[str, Callable[[str, str], Pairs]] = {
    "in upper case": lambda name, value: [(name.upper(), value)],
    "and a header of HTTP/1": lambda name, value: [(name, value), ("connection", "close")],
    "and a late pseudo-header": lambda name, value: [(name, value), (":path", "/")],
    "with a line break": lambda name, value: [(name, f"1\r\n{value}")],
    "as a name": lambda name, value: [(f"{name} {value}", "x")],
}


def planted_fields(forms: dict[str, Callable[[str, str], Pairs]]) -> dict[str, Pairs]:
    return {
        f"{name} {form}": fields(name, secret(f"{name} {form}")) for name in HEADERS for form, fields in forms.items()
    }


def test_credentials_over_http2_are_nowhere(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, upstream: Backend
) -> None:
    """Headers, the query and trailers over HTTP/2, and requests whose headers its parser refuses."""
    watched = Watched(tmp_path, caplog, at(upstream))
    good, faulty = planted_fields(H2_HEADERS), planted_fields(H2_FAULTS)
    trailers = {f"{name} as an HTTP/2 trailer": name for name in HEADERS}
    answers = {}
    with watched.proxy as proxy:
        with Http2Wire(proxy.port) as client:
            for place, fields in good.items():
                answers[place] = client.read_body(client.send("POST", "/v1/responses", fields, BODY))
            number = client.send("POST", f"/v1/responses?key={secret('query over HTTP/2')}", [], BODY)
            answers["query"] = client.read_body(number)
            for place, name in trailers.items():
                number = client.send("POST", "/v1/responses", [], BODY, trailers=[(name, secret(place))])
                answers[place] = client.read_body(number)
        for fields in faulty.values():
            with Http2Wire(proxy.port) as client, contextlib.suppress(Gone):
                client.h2.config.validate_outbound_headers = client.h2.config.normalize_outbound_headers = False
                client.read_body(client.send("POST", "/v1/responses", fields, BODY))
    places = [*good, *faulty, *trailers, "query over HTTP/2"]
    assert canary.leaks(watched.artefacts() | answers, places) == {}
    assert all(b"response.completed" in answer for answer in answers.values())
    assert len(upstream.requests) == len(answers)


CALLERS = {"codex": ["Originator: codex_exec", "User-Agent: codex_exec/0.169.0"], "other": []}
"""Each gets its errors in a form of its own."""


@pytest.mark.parametrize("caller", CALLERS)
def test_errors_quote_no_credential(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, upstream: Backend, caller: str
) -> None:
    """An upstream's refusal that quotes the key in its body: the key is in no answer, log or dump."""
    key = "sk-" + secret("key file")
    (tmp_path / "key").write_text(key)
    quoted = {"error": {"message": f"Incorrect API key provided: {key}.", "code": "invalid_api_key"}}
    watched = Watched(tmp_path, caplog, at(upstream, credential={"file": str(tmp_path / "key")}))
    upstream.queue(reply(401, quoted), reply(500, quoted), reply(500, quoted), reply(500, quoted))
    with watched.proxy as proxy:
        refused = ask(proxy.port, post(*CALLERS[caller]))
        failed = ask(proxy.port, post(*CALLERS[caller]))
    assert b"refused the credential" in refused and b" 5" in failed.partition(b"\r\n")[0]
    left = watched.artefacts()
    dumps = {name: content for name, content in left.items() if "/dumps/" in name}
    assert canary.leaks({"refused": refused, "log": left["log"], **dumps}, ["key file"]) == {}
    assert any(b"Incorrect API key" in content for content in dumps.values())


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_secret_in_the_upstreams_url_is_nowhere(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    make_backend: Callable[..., Backend],
    ca: Authority,
    scheme: str,
    caller: str,
) -> None:
    """A base_url with a key in its query that can't be reached, or where TLS fails; headers from the settings."""
    upstream = make_backend(tls=ca.server_context())  # the proxy is not told to trust it
    origin = upstream.origin if scheme == "https" else "http://127.0.0.1:1"
    entry = {"base_url": f"{origin}/v1?api-key={secret('url')}", "headers": [["x-own", secret("provider header")]]}
    watched = Watched(tmp_path, caplog, at(upstream, **entry))
    with watched.proxy as proxy:
        answer = ask(proxy.port, post(*CALLERS[caller]))
    assert b"HTTP/1.1 502" in answer and b"127.0.0.1" in answer
    left = watched.artefacts()
    assert canary.leaks({**left, "answer": answer}, ["url", "provider header"]) == {}
    assert any(b"x-own" in content for name, content in left.items() if "upstream-request" in name)


class Careless:
    """A user's stage whose exceptions quote all that it saw."""

    def __init__(self, step: str) -> None:
        setattr(self, step, self._fail)

    def _fail(self, exchange: Exchange) -> None:
        raise KeyError(exchange, exchange.admission, exchange.request, exchange.credential, secret("exception"))


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("step", ["upstream_request", "upstream_response", "upstream_done"])
def test_an_exceptions_text_is_nowhere(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, upstream: Backend, step: str, caller: str
) -> None:
    """A stage fails with an exception that quotes the exchange: the log and the client get its type and place alone."""
    (tmp_path / "key").write_text(secret("key file"))
    config = at(upstream, credential={"file": str(tmp_path / "key")})
    watched = Watched(tmp_path, caplog, config, (Careless(step),))
    with watched.proxy as proxy:
        answer = ask(proxy.port, post(f"x-api-key: {secret('client')}", *CALLERS[caller]))
    places = ["exception", "client", "key file", *UPSTREAM]
    assert canary.leaks({**watched.artefacts(), "answer": answer}, places) == {}
    assert "KeyError at test_canary.py" in caplog.text
    assert (b"KeyError" in answer) == (step != "upstream_done")


def test_the_search_finds_what_is_not_redacted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, upstream: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With redaction off, the secrets are found in each kind of artefact: the searches above can fail."""
    monkeypatch.setattr(gate, "CREDENTIAL_HEADERS", ())
    monkeypatch.setattr(redact, "is_credential_header", lambda name: False)
    monkeypatch.setattr(logfilter, "_without_bytes", lambda text: text)
    watched = Watched(tmp_path, caplog, at(upstream))
    good, bad = good_requests(), bad_requests()
    kept = {place: good[place] for place in ("x-goog-api-key plain", "cookie plain")}
    logged = {place: bad[place] for place in ("x-oai-attestation as a name",)}
    with watched.proxy as proxy:
        ask_all(proxy.port, kept | logged)
    holders = canary.leaks(watched.artefacts(), [*kept, *logged])
    for place in kept:
        assert {kind_of(name) for name in holders[place]} >= {"flows", "flows.har", "client-request"}
    assert "log" in holders["x-oai-attestation as a name"]


def kind_of(artefact: str) -> str:
    """flows | flows.har | log | client-request …"""
    name = Path(artefact).name
    return name.split("-", 2)[2].removesuffix(".json") if "/dumps/" in artefact else name
