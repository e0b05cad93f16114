"""Planted secrets in every protocol: a client's credentials reach no provider, no dump, no store, no log."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from support import canary, chat_answers, gemini_answers, messages_answers
from support.answers import Answer as Script
from support.answers import Pairs, reply, say
from support.auth import API_KEY, Login
from support.backend import Backend
from support.canary import secret
from support.client import call
from support.proxy import Proxy
from support.records import Request
from support.tls import Authority
from support.upstreams import Config, to_api, to_chatgpt

HEADERS = ("authorization", "proxy-authorization", "x-api-key", "api-key", "x-goog-api-key", "cookie")
KEY = "?key"


class Client(NamedTuple):
    """One way to ask for a generation."""

    path: str
    body: dict[str, Any]
    is_ollama: bool = False


_SAID = {"messages": [{"role": "user", "content": "hi"}], "model": "gpt-5.5"}
_CONTENT = {"role": "user", "parts": [{"text": "hi"}]}
CLIENTS = {
    "responses": Client("/v1/responses", {"model": "gpt-5.5", "input": "hi", "store": True}),
    "chat": Client("/v1/chat/completions", {**_SAID, "seed": 1}),
    "messages": Client("/v1/messages", {**_SAID, "max_tokens": 9}),
    "gemini": Client("/v1beta/models/gpt-5.5:generateContent", {"contents": [_CONTENT]}),
    "ollama": Client("/api/chat", _SAID, is_ollama=True),
}
AUTH = {"chat": "authorization", "messages": "x-api-key", "gemini": "x-goog-api-key"}
"""Kind → the header that holds its key."""


def said(kind: str) -> Callable[[Request], Script]:
    """What a service of the kind answers, streaming or not."""

    def script(request: Request) -> Script:
        if kind == "gemini":
            form = gemini_answers.stream if "stream" in request.target else gemini_answers.whole
            return form(gemini_answers.text("hi"))
        is_stream = request.json.get("stream")
        if kind == "messages":
            told = messages_answers.text("hi")
            return messages_answers.stream(told) if is_stream else messages_answers.whole(told)
        chunks = chat_answers.text("hi")
        return chat_answers.stream(chunks) if is_stream else chat_answers.whole(chunks)

    return script


class AtOllama:
    """Stands for a Proxy whose port is that listener's."""

    def __init__(self, proxy: Proxy) -> None:
        self.port = proxy.ollama_port


def plant(folder: Path, config: Config) -> dict[str, bytes]:
    """Each client asks with all its credentials, and for what is answered here; the answers and all that is left."""
    planted: Pairs = [(name, f"Bearer {secret(name)}") for name in HEADERS]
    config = {**config, "ollama": {"enabled": True}, "dump_dir": str(folder / "dumps")}
    answers = {}
    with Proxy(folder, config) as proxy:
        for name, client in CLIENTS.items():
            at: Any = AtOllama(proxy) if client.is_ollama else proxy
            target = f"{client.path}?key={secret(KEY)}"
            answer = call(at, "POST", target, planted, json.dumps(client.body).encode())
            assert answer.status == 200, (name, answer.body)
            answers[name] = answer.body + repr(answer.headers).encode()
        for path in ("/v1/models", "/v1beta/models", "/v1/responses/resp_1", "/v1/nothing", "/v1/embeddings"):
            answers[path] = call(proxy, "GET", f"{path}?key={secret(KEY)}", planted).body
        proxy.wait_idle()
    return {**answers, **canary.files(folder / "dumps", folder / "state")}


@pytest.fixture(autouse=True)
def talkative(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)


@pytest.mark.parametrize("kind", AUTH)
def test_a_service_gets_the_key_of_the_settings_alone(
    kind: str, tmp_path: Path, make_service: Callable[[str], Backend], ca: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    """Also from a client of its own protocol, whose body passes unread: one credential header, ours."""
    service = make_service(kind)
    service.script(said(kind))
    left = plant(tmp_path, to_api(service, ca, tmp_path, kind=kind))
    assert len(service.requests) >= len(CLIENTS)
    for request in service.requests:
        told = [(name, value) for name, value in request.headers if name in HEADERS]
        bearer = f"Bearer {API_KEY}" if kind == "chat" else API_KEY
        assert told == [(AUTH[kind], bearer)] and "key=" not in request.target
    sent = {f"request {number}": repr(request).encode() for number, request in enumerate(service.requests)}
    logged = {"log": caplog.text.encode()}
    assert canary.leaks({**left, **sent, **logged}, [*HEADERS, KEY]) == {}
    assert canary.found({**left, **logged}, {"key of the service": API_KEY}) == {}


def test_the_backend_and_what_is_kept_get_none(
    tmp_path: Path, backend: Backend, ca: Authority, login: Login, caplog: pytest.LogCaptureFixture
) -> None:
    """The ChatGPT backend, the store of responses and the kept list of models, beside dumps and log."""
    models = {"models": [{"slug": "gpt-5.5", "visibility": "list"}]}
    backend.script(lambda request: reply(200, models) if request.method == "GET" else say("hi"))
    config = {**to_chatgpt(backend, ca, login.path), "models_refresh_s": 300}
    left = plant(tmp_path, config)
    sent = {f"request {number}": repr(request).encode() for number, request in enumerate(backend.requests)}
    artefacts = {**left, "log": caplog.text.encode()}
    assert canary.leaks({**artefacts, **sent}, [*HEADERS, KEY]) == {}
    assert canary.found(artefacts, {"access": login.access_token, "refresh": login.refresh_token}) == {}
    kept = {Path(name).parent.name for name in left if f"{tmp_path}/state" in name}
    assert {"responses", "models"} <= kept
