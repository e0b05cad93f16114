"""Ollama's listener: the paths of Ollama on a port of its own, for clients that know no key."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.answers import Pairs
from support.auth import Login
from support.backend import Backend
from support.client import Answer, call
from support.clients import Sdk
from support.proxy import Proxy
from support.tls import Authority
from support.upstreams import to_chatgpt

KEY = "client-key-1"
PAGE = "http://localhost:5173"
ASK = json.dumps({"model": "gpt-5.5", "messages": [{"role": "user", "content": "hi"}], "stream": False}).encode()


@pytest.fixture
def config(backend: Backend, ca: Authority, login: Login, tmp_path: Path) -> dict[str, Any]:
    """A client key is needed, but not at Ollama's listener; a page is allowed, but not there."""
    (tmp_path / "key").write_text(KEY)
    return {
        **to_chatgpt(backend, ca, login.path),
        "client_keys": [{"file": str(tmp_path / "key")}],
        "allowed_origins": ["https://page.example"],
        "ollama": {"enabled": True},
    }


@pytest.fixture
def proxy(config: dict[str, Any], tmp_path: Path) -> Iterator[Proxy]:
    with Proxy(tmp_path, config) as running:
        yield running


class Ollama:
    """Stands for a Proxy whose port is that listener's."""

    def __init__(self, proxy: Proxy) -> None:
        self.port = proxy.ollama_port


def ask(proxy: Proxy, method: str, path: str, headers: Pairs = (), body: bytes | None = None) -> Answer:
    return call(Ollama(proxy), method, path, headers, body)  # type: ignore[arg-type]


def test_it_is_off_by_default(config: dict[str, Any], tmp_path: Path) -> None:
    """And the main listener has none of Ollama's paths, with the right key too (seeds S244)."""
    del config["ollama"]
    with Proxy(tmp_path, config) as proxy:
        assert proxy.ollama_port == 0
        for path in ("/api/tags", "/api/version", "/api/chat", "/api/show"):
            assert call(proxy, "GET", path, [("x-api-key", KEY)]).status == 404


def test_what_it_says_of_itself(proxy: Proxy) -> None:
    """Version, models, one model, none in memory, without a key (seeds S245-S248, S253; conformance 71)."""
    assert ask(proxy, "GET", "/api/version").json == {"version": "0.18.3"}
    names = [model["name"] for model in ask(proxy, "GET", "/api/tags").json["models"]]
    assert names[0] == "gpt-6.1-sol" and "gpt-5.5-high" in names
    shown = ask(proxy, "POST", "/api/show", body=json.dumps({"model": names[0]}).encode()).json
    assert "tools" in shown["capabilities"] and 272000 in shown["model_info"].values()
    assert ask(proxy, "GET", "/api/ps").json == {"models": []}


def test_it_is_found(proxy: Proxy) -> None:
    """``GET /`` and ``HEAD /`` there (seeds S255, conformance 74); on the main listener ``HEAD /`` is an empty 200
    without a key, and ``GET /`` nothing."""
    assert ask(proxy, "GET", "/").body == b"Ollama is running"
    assert (ask(proxy, "HEAD", "/").status, ask(proxy, "HEAD", "/").body) == (200, b"")
    head = call(proxy, "HEAD", "/")
    assert (head.status, head.body, head.first("content-length")) == (200, b"", "0")
    assert call(proxy, "GET", "/", [("x-api-key", KEY)]).status == 405


def test_errors_are_texts(proxy: Proxy, backend: Backend) -> None:
    """Unknown paths, missing fields, bad JSON, what is not supported (seeds S247, S251; conformance 74)."""
    for path, body, status in (
        ("/api/nothing", b"{}", 404),
        ("/health", None, 404),
        ("/api/show", b"{}", 400),
        ("/api/show", b"{", 400),
        ("/api/chat", b"{}", 400),
        ("/api/chat", b"not json", 400),
        ("/api/show", b'{"model": "no-such"}', 404),
        ("/api/pull", b'{"model": "x"}', 501),
        ("/api/embed", b'{"model": "x"}', 501),
    ):
        answer = ask(proxy, "POST" if body else "GET", path, body=body)
        assert (answer.status, [*answer.json]) == (status, ["error"]) and isinstance(answer.json["error"], str), path
    assert "model, messages" in ask(proxy, "POST", "/api/chat", body=b"{}").json["error"]
    assert backend.requests == []


def test_generations_need_no_key_there(proxy: Proxy, backend: Backend) -> None:
    """``/api/chat``, and ``/v1/*`` as on the main listener, which goes on asking for one (seeds S252, S253)."""
    assert ask(proxy, "POST", "/api/chat", body=ASK).json["message"]["role"] == "assistant"
    assert ask(proxy, "POST", "/v1/chat/completions", body=ASK).json["object"] == "chat.completion"
    assert ask(proxy, "GET", "/v1/models").json["object"] == "list"
    assert len(backend.requests) == 2
    for path in ("/v1/chat/completions", "/v1/models"):
        assert call(proxy, "POST", path, body=ASK).status == 401


def test_pages_of_this_machine_may_call(proxy: Proxy) -> None:
    """By http and https, by name and address; they may read the answer (seeds S254)."""
    for origin in (PAGE, "https://localhost", "http://127.0.0.1:3000", "http://127.8.9.1", "http://[::1]:1"):
        answer = ask(proxy, "GET", "/api/tags", [("origin", origin)])
        assert (answer.status, answer.first("access-control-allow-origin")) == (200, origin)


def test_other_pages_may_not(proxy: Proxy, backend: Backend) -> None:
    """Nor one that the main listener allows: it has a key to show, here nobody has. A name that was made to lead to
    this machine (DNS rebinding) is refused by its Host (seeds S254)."""
    for origin in ("https://page.example", "http://localhost.evil.example", "null", "file://localhost", "localhost"):
        answer = ask(proxy, "POST", "/api/chat", [("origin", origin)], ASK)
        assert (answer.status, answer.first("access-control-allow-origin")) == (403, "")
        assert isinstance(answer.json["error"], str)
    assert ask(proxy, "GET", "/api/tags", [("host", "evil.example")]).status in (400, 403)
    assert backend.requests == []


def test_preflights(proxy: Proxy) -> None:
    """204 with what may be sent for pages of this machine, 403 for others (seeds S254)."""
    wanted = [("access-control-request-method", "POST"), ("access-control-request-headers", "x-any")]
    answer = ask(proxy, "OPTIONS", "/api/chat", [("origin", PAGE), *wanted])
    assert (answer.status, answer.body) == (204, b"")
    assert answer.first("access-control-allow-methods") == "GET,POST,OPTIONS"
    assert answer.first("access-control-allow-headers") == "Content-Type, Authorization"
    assert answer.first("access-control-allow-origin") == PAGE
    assert ask(proxy, "OPTIONS", "/api/chat", [("origin", "https://page.example"), *wanted]).status == 403


def test_a_page_of_this_machine_may_not_call_the_main_listener(proxy: Proxy) -> None:
    """There the rule is that of ``allowed_origins``, told in the protocol of the path that was asked."""
    answer = call(proxy, "POST", "/v1/messages", [("origin", PAGE), ("x-api-key", KEY)], b"{}")
    assert (answer.status, answer.json["type"], answer.error["type"]) == (403, "error", "permission_error")


@pytest.mark.clients
def test_the_sdk_reads_it(proxy: Proxy, tmp_path: Path) -> None:
    """ollama-python: list, show, ps, and a missing model as its own error."""
    sdk = Sdk(tmp_path / "home", f"http://127.0.0.1:{proxy.ollama_port}", "")
    script = """
import ollama
show([model.model for model in ollama.list().models])
show(ollama.show("gpt-5.5").capabilities)
show([len(ollama.ps().models)])
try:
    ollama.show("no-such")
except ollama.ResponseError as error:
    show([error.status_code, error.error])
"""
    names, capabilities, (running,), (status, text) = sdk.python(script).shown
    assert "gpt-5.5" in names and {"completion", "tools", "thinking"} <= {*capabilities}
    assert (running, status) == (0, 404) and "no-such" in text
