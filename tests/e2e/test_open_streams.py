"""A stream whose head went out before anything was said: kept alive, tried again unseen, and honest about a failure."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from support.answers import Answer as Script
from support.answers import Cut, Data, Gate, Head, Pause, Stall, say, server_error, usage_limit
from support.auth import Login
from support.backend import Backend
from support.client import CODEX, Answer, Pairs, Sent, a_request
from support.events import ev_created, ev_failed, sse
from support.proxy import Proxy
from support.tls import Authority
from support.upstreams import to_chatgpt

StartProxy = Callable[..., Proxy]


class Client(NamedTuple):
    """One way to ask for a stream, and what its protocol says in silence and at its good end."""

    path: str
    body: dict[str, Any]
    idle: bytes
    end: bytes
    headers: Pairs = ()
    is_ollama: bool = False


_SAID = {"messages": [{"role": "user", "content": "hi"}], "model": "gpt-5.5", "stream": True}
_CONTENTS = {"contents": [{"parts": [{"text": "hi"}]}]}
_GEMINI = "/v1beta/models/gpt-5.5:streamGenerateContent"
CLIENTS = {
    "codex": Client("/v1/responses", a_request(), b'{"type":"keepalive"}', b"response.completed", CODEX),
    "responses": Client("/v1/responses", a_request(), b": keepalive\n\n", b"response.completed"),
    "chat": Client("/v1/chat/completions", _SAID, b": keepalive\n\n", b"[DONE]"),
    "messages": Client("/v1/messages", {**_SAID, "max_tokens": 9}, b"event: ping", b"message_stop"),
    "gemini": Client(f"{_GEMINI}?alt=sse", _CONTENTS, b"\n", b'"STOP"'),
    "gemini array": Client(_GEMINI, _CONTENTS, b" ", b'"STOP"'),
    "ollama": Client("/api/chat", _SAID, b'"done":false', b'"done":true', is_ollama=True),
}
each_client = pytest.mark.parametrize("client", CLIENTS.values(), ids=CLIENTS)
CREATED = Data(sse([ev_created()]))
FAULTS: dict[str, Callable[[Gate], Script]] = {
    "an overload": lambda gate: [
        Head(), CREATED, Pause(gate), Data(sse([ev_failed("server_is_overloaded", "Later.")], 1)), Stall(),
    ],
    "a cut": lambda gate: [Head(), CREATED, Pause(gate), Cut()],
    "a late head": lambda gate: [Pause(gate), *server_error()],
}  # fmt: skip


@pytest.fixture
def start(tmp_path: Path, backend: Backend, ca: Authority, login: Login) -> Iterator[StartProxy]:
    with ExitStack() as stack:

        def start_proxy(keepalive_s: float = 0.05) -> Proxy:
            config = {**to_chatgpt(backend, ca, login.path), "ollama": {"enabled": True}}
            proxy = stack.enter_context(Proxy(tmp_path, config))
            # The setting takes whole seconds, which no test wants to wait for.
            settings: Any = replace(proxy.process.current, keepalive_s=keepalive_s)
            proxy.process.settings = settings
            return proxy

        yield start_proxy


class AtOllama:
    """Stands for a Proxy whose port is that listener's."""

    def __init__(self, proxy: Proxy) -> None:
        self.port = proxy.ollama_port


def ask(proxy: Proxy, client: Client, **fields: Any) -> Sent:
    at: Any = AtOllama(proxy) if client.is_ollama else proxy
    return Sent(at, "POST", client.path, client.headers, json.dumps({**client.body, **fields}).encode())


def heard(sent: Sent, client: Client, gate: Gate) -> Answer:
    """The whole answer; the gate opens when its client has heard that it is waited for."""
    with sent:
        seen = sent.read_until(client.idle)
        gate.open()
        answer = sent.to_end()
    return Answer(answer.status, answer.headers, seen + answer.body, answer.is_whole)


@pytest.mark.parametrize("fault", FAULTS)
@each_client
def test_a_passing_fault_is_not_seen(client: Client, fault: str, start: StartProxy, backend: Backend) -> None:
    """conformance 81: keep-alives promise nothing, so what fails before the first meaningful event is tried again."""
    gate = Gate()
    backend.queue(FAULTS[fault](gate), say("cured"))
    answer = heard(ask(start(), client), client, gate)
    assert answer.status == 200 and answer.is_whole and len(backend.calls) == 2
    assert b"cured" in answer.body and answer.body.count(client.end) >= 1
    assert b"error" not in answer.body.replace(b'"error":null', b"").replace(b'"error": null', b"")
    if client.path == "/v1/responses":
        assert answer.kinds.count("response.created") == 1


@each_client
def test_a_refusal_takes_the_form_that_an_open_stream_has(client: Client, start: StartProxy, backend: Backend) -> None:
    """conformance 4, 48: the head is out, so that a status can't say it; the end is no good one."""
    gate = Gate()
    backend.queue([Pause(gate), *usage_limit()])
    answer = heard(ask(start(), client), client, gate)
    assert answer.status == 200 and answer.is_whole and len(backend.calls) == 1
    assert b"usage limit" in answer.body.lower()
    if client.end != b"[DONE]":
        assert client.end not in answer.body
    if client.path == _GEMINI:
        assert answer.json[-1]["error"]["code"] == 429


def test_n_streams_open_once(start: StartProxy, backend: Backend) -> None:
    """conformance 23: two silent calls, one head, one of them tried again; both choices come."""
    client, gate = CLIENTS["chat"], Gate()
    held = [Head(), CREATED, Pause(gate)]
    backend.queue([*held, Cut("reset")], [*held, *say("good")[1:]], say("cured"))
    answer = heard(ask(start(), client, n=2), client, gate)
    assert answer.status == 200 and b"good" in answer.body and b"cured" in answer.body
    assert answer.body.count(b"[DONE]") == 1 and b'"error"' not in answer.body


def test_a_client_that_goes_from_an_open_stream_is_followed(start: StartProxy, backend: Backend) -> None:
    """conformance 84: the upstream's call is ended, though it has not said a word yet."""
    client = CLIENTS["chat"]
    backend.queue([Stall()])
    with ask(start(), client) as sent:
        sent.read_until(client.idle)
        call = backend.wait_for_call()
    call.wait_aborted()


def test_who_waits_for_one_object_is_not_told_to_wait(start: StartProxy, backend: Backend) -> None:
    """A keep-alive has no place in it: nothing comes before the answer, however long that takes."""
    client, gate, proxy = CLIENTS["chat"], Gate(), start()
    backend.queue([Head(), CREATED, Pause(gate), *FAULTS["a cut"](gate)[3:]], say("cured"))
    with ask(proxy, client, stream=False) as sent:
        backend.wait_for_call()
        proxy.loop.call_soon_threadsafe(proxy.loop.call_later, 0.3, gate.open)
        answer = sent.to_end()
    assert answer.json["choices"][0]["message"]["content"] == "cured" and answer.body.startswith(b"{")


def test_zero_keeps_the_head_back(start: StartProxy, backend: Backend) -> None:
    """``keepalive_s: 0``: no head before the first event, so that its failure has a status of its own."""
    backend.queue([Head(), CREATED, Data(sse([ev_failed("invalid_prompt", "No.")], 1))])
    assert ask(start(keepalive_s=0), CLIENTS["chat"]).to_end().status == 400
