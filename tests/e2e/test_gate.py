"""Who may come in, through the whole proxy: what tests/unit/test_gate.py can't show without an upstream behind it."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import brotli
import pytest
import zstandard

from support.answers import Pairs
from support.auth import Login
from support.backend import Backend
from support.proxy import Proxy
from support.upstreams import to
from support.wires import ASK, Http1Wire, Http2Wire

JSON = dict[str, Any]
KEY = "the-client-key"
CODEX: Pairs = [("originator", "codex_exec"), ("user-agent", "codex_exec/0.169.0")]
LIMIT = 4000
"""Bytes of ``max_body_bytes`` here."""
RIGHT: dict[str, tuple[str, Pairs]] = {
    "bearer": ("", [("authorization", f"Bearer {KEY}")]),
    "x-api-key": ("", [("x-api-key", KEY)]),
    "api-key": ("", [("api-key", KEY)]),
    "x-goog-api-key": ("", [("x-goog-api-key", KEY)]),
    "query": (f"?key={KEY}", []),
}


@pytest.fixture
def upstream(make_backend: Callable[..., Backend]) -> Backend:
    return make_backend()


@pytest.fixture
def proxy(tmp_path: Path, upstream: Backend, login: Login) -> Iterator[Proxy]:
    """Asks for a client key, serves one more host and origin, takes small bodies."""
    key_file = tmp_path / "client.key"
    key_file.write_text(f"{KEY}\n")
    base = f"{upstream.origin}/backend-api/codex"
    lists = {"allowed_hosts": ["codex.lan"], "allowed_origins": ["https://page.example"]}
    config = {"client_keys": [{"file": str(key_file)}], "max_body_bytes": LIMIT, **lists}
    config |= to(kind="chatgpt", base_url=base, credential={"codex": str(login.path)})
    with Proxy(tmp_path, config) as running:
        yield running


class Answer:
    """One request on a connection of its own, to the end of the answer."""

    def __init__(
        self, proxy: Proxy, method: str, path: str, headers: Pairs, body: bytes = b"", host: str = "localhost"
    ) -> None:
        length = [("content-length", str(len(body)))] if body else []
        with Http1Wire(proxy.port) as client:
            client.send(method, path, [("host", host), ("connection", "close"), *length, *headers], body)
            head, _, self.body = client.read_to_close().partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        self.status = int(first.split()[1])
        pairs = (line.partition(": ") for line in lines)
        self.headers = {name.lower(): value for name, _, value in pairs}

    @property
    def code(self) -> str:
        """Of the error object, in the one form of all errors."""
        error = json.loads(self.body)["error"]
        assert error.keys() >= {"message", "type", "param", "code"}
        assert self.headers["content-type"] == "application/json"
        return str(error["code"])


BEARER = RIGHT["bearer"][1]


def post(proxy: Proxy, path: str = "/v1/responses", headers: Pairs | None = None, body: bytes = ASK) -> Answer:
    return Answer(proxy, "POST", path, BEARER if headers is None else headers, body)


@pytest.mark.parametrize("form", RIGHT)
def test_the_key_is_taken_in_each_form_and_goes_no_further(proxy: Proxy, upstream: Backend, form: str) -> None:
    """conformance 64: by four headers and the query; upstream goes the provider's credential alone."""
    query, headers = RIGHT[form]
    for caller in ([], CODEX):
        answer = post(proxy, f"/v1/responses{query}", [*headers, *caller])
        assert answer.status == 200 and b"response.completed" in answer.body
    for request in upstream.requests:
        assert KEY not in request.target + str(request.headers)
        assert not any(request.has(name) for name in ("x-api-key", "api-key", "x-goog-api-key"))


@pytest.mark.parametrize("form", [*RIGHT, "none"])
def test_a_wrong_key_is_403_for_codex_and_401_for_others(proxy: Proxy, upstream: Backend, form: str) -> None:
    """Codex would refresh its login upon a 401. Nothing goes upstream, and the answer does not say the key."""
    query, headers = RIGHT.get(form, ("", []))
    query, wrong = query.replace(KEY, "wrong-key"), [(name, value.replace(KEY, "wrong-key")) for name, value in headers]
    for path, caller, status in (
        ("/v1/responses", [], 401),
        ("/v1/responses", CODEX, 403),
        ("/backend-api/codex/responses", [], 403),
    ):
        answer = post(proxy, path + query, [*wrong, *caller])
        assert (answer.status, answer.code) == (status, "invalid_api_key")
        assert b"wrong-key" not in answer.body
    assert upstream.requests == []


def test_other_hosts_and_origins_are_refused_before_the_key(proxy: Proxy, upstream: Backend) -> None:
    """A name that a page could make resolve to us (DNS rebinding), and a page that is not listed: 403, with the right
    key too; a listed host and origin are served, and the page may read the answer."""
    for host in ("evil.example", f"evil.example:{proxy.port}", "127.0.0.1.evil.example", "localhost@evil.example"):
        assert Answer(proxy, "POST", "/v1/responses", BEARER, ASK, host).status == 403
    for origin in ("https://evil.example", "http://localhost", "null", "https://page.example.evil.example"):
        refused = post(proxy, headers=[*BEARER, ("origin", origin)])
        assert (refused.status, refused.code) == (403, "forbidden")
        assert "access-control-allow-origin" not in refused.headers
    assert upstream.requests == []
    assert Answer(proxy, "POST", "/v1/responses", BEARER, ASK, "codex.lan:1").status == 200
    served = post(proxy, headers=[*BEARER, ("origin", "https://page.example")])
    assert (served.status, served.headers["access-control-allow-origin"]) == (200, "https://page.example")


def test_a_preflight_is_answered_without_a_key(proxy: Proxy, upstream: Backend) -> None:
    """Browsers send it without credentials: 204 for a listed page, 403 for any other, nothing upstream."""
    asked = [("access-control-request-method", "POST"), ("access-control-request-headers", "authorization")]
    answer = Answer(proxy, "OPTIONS", "/v1/responses", [("origin", "https://page.example"), *asked])
    assert (answer.status, answer.headers["access-control-allow-headers"]) == (204, "authorization")
    assert answer.headers["access-control-allow-origin"] == "https://page.example"
    assert Answer(proxy, "OPTIONS", "/v1/responses", [("origin", "https://evil.example"), *asked]).status == 403
    assert upstream.requests == []


def test_health_needs_no_key_but_a_good_host(proxy: Proxy) -> None:
    """Both paths, GET and HEAD; a probe from a page of another name gets nothing."""
    for path in ("/health", "/healthz"):
        assert json.loads(Answer(proxy, "GET", path, []).body)["status"] == "ok"
        assert Answer(proxy, "HEAD", path, []).body == b""
        assert Answer(proxy, "GET", path, [], host="evil.example").status == 403


def test_unknown_paths_and_methods_are_told_in_the_protocols_form(proxy: Proxy, upstream: Backend) -> None:
    """404, and 405 with ``allow``; without the key it is not even told what there is."""
    for path in ("/v2/responses", "/v1/responses/", "/v1/responses/../models", "//v1/responses"):
        assert (post(proxy, path).status, post(proxy, path).code) == (404, "not_found")
        assert post(proxy, path, []).status == 401
    for method, path, allowed in (("GET", "/v1/responses", "POST"), ("DELETE", "/v1/models", "GET")):
        answer = Answer(proxy, method, path, BEARER)
        assert (answer.status, answer.code) == (405, "method_not_allowed")
        assert allowed in answer.headers["allow"].split(", ")
    upgrade = [("connection", "upgrade"), ("upgrade", "websocket"), ("sec-websocket-version", "13")]
    assert Answer(proxy, "GET", "/v1/responses", [*BEARER, *upgrade]).status == 426
    assert upstream.requests == []


CODINGS: dict[str, Callable[[bytes], bytes]] = {
    "identity": lambda data: data,
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstandard.compress,
    "gzip, zstd": lambda data: zstandard.compress(gzip.compress(data)),
}


@pytest.mark.parametrize("coding", CODINGS)
def test_the_limit_holds_for_the_decoded_body(proxy: Proxy, upstream: Backend, coding: str) -> None:
    """In each content coding: a body just within the limit arrives decoded, one that grows over it is 413."""
    headers = [*BEARER, ("content-type", "application/json"), ("content-encoding", coding)]
    within = json.dumps({"model": "gpt-5.5", "input": "x" * (LIMIT - 80)}).encode()
    assert len(within) <= LIMIT
    assert post(proxy, headers=headers, body=CODINGS[coding](within)).status == 200
    assert "x" * (LIMIT - 80) in upstream.requests[0].body.decode()
    over = json.dumps({"model": "gpt-5.5", "input": "x" * LIMIT}).encode()
    answer = post(proxy, headers=headers, body=CODINGS[coding](over))
    assert (answer.status, answer.code) == (413, "body_too_large")
    assert len(upstream.requests) == 1


def test_the_gate_is_the_same_over_http2(proxy: Proxy, upstream: Backend) -> None:
    """Key, host (``:authority``), origin and path are judged as over HTTP/1.1, on one connection."""
    with Http2Wire(proxy.port) as client:

        def status(path: str, headers: Pairs) -> str:
            number = client.send("POST", path, headers, ASK)
            client.read_body(number)
            return client.read_head(number)[":status"]

        for query, headers in RIGHT.values():
            assert status(f"/v1/responses{query}", headers) == "200"
        asked = len(upstream.requests)
        assert status("/v1/responses", []) == "401"
        assert status("/v1/responses", CODEX) == "403"
        assert status("/v1/responses", [*BEARER, ("origin", "https://evil.example")]) == "403"
        assert status("/v1/nothing", BEARER) == "404"
    assert status_of_authority(proxy, "evil.example") == "403"
    assert status_of_authority(proxy, "codex.lan") == "200"
    assert len(upstream.requests) == asked + 1


def status_of_authority(proxy: Proxy, authority: str) -> str:
    with Http2Wire(proxy.port) as client:
        client.authority = authority
        number = client.send("POST", "/v1/responses", BEARER, ASK)
        return client.read_head(number)[":status"]
