"""Which provider answers: prefixes, routing and aliases lead any client to another one than the one in force."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from support import chat_answers, gemini_answers, messages_answers
from support.answers import Answer as Script
from support.answers import say
from support.auth import Login
from support.backend import Backend
from support.client import Answer, call
from support.proxy import Proxy
from support.records import Request
from support.tls import Authority
from support.upstreams import to_api, to_chatgpt

JSON = dict[str, Any]
Start = Callable[..., Proxy]

USER = {"role": "user", "content": "hello"}
GEMINI = "/v1beta/models/{}:generateContent"
BODIES: dict[str, tuple[str, JSON, str]] = {
    # path, body, where the answer has the model's name
    "chat": ("/v1/chat/completions", {"messages": [USER]}, "model"),
    "responses": ("/v1/responses", {"input": "hello"}, "model"),
    "messages": ("/v1/messages", {"messages": [USER], "max_tokens": 99}, "model"),
    "gemini": (GEMINI, {"contents": [{"role": "user", "parts": [{"text": "hello"}]}]}, "modelVersion"),
}
CHAT = {"my-deepseek": "deepseek-chat", "deepseek-chat": "deepseek-chat", "side:other-model": "other-model"}
"""Name → what the service gets: by alias and routing, by routing, by prefix."""
TARGETS = {"gemini-2.5-flash": "gpt-6-luna", "claude-opus-4-8": "gpt-6.1-sol"}
"""Where these names go at the ChatGPT backend."""

each_route = pytest.mark.parametrize("route", BODIES)


def answers(kind: str) -> Callable[[Request], Script]:
    """What a service of the kind says, streaming or not."""

    def script(request: Request) -> Script:
        if kind == "gemini":
            form = gemini_answers.stream if "stream" in request.target else gemini_answers.whole
            return form(gemini_answers.text("hi"))
        if kind == "messages":
            said = messages_answers.text("hi")
            return messages_answers.stream(said) if request.json.get("stream") else messages_answers.whole(said)
        chunks = chat_answers.text("hi")
        return chat_answers.stream(chunks) if request.json.get("stream") else chat_answers.whole(chunks)

    return script


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    with ExitStack() as running:
        yield lambda config: running.enter_context(Proxy(tmp_path, {"client_keys": [], **config}))


@pytest.fixture
def to_both(
    backend: Backend,
    make_service: Callable[[str], Backend],
    ca: Authority,
    login: Login,
    tmp_path: Path,
) -> Callable[[str], tuple[JSON, Backend]]:
    """The ChatGPT backend is in force, ``side`` is a service of the kind."""
    backend.script(lambda request: say("hi"))

    def config(kind: str) -> tuple[JSON, Backend]:
        service = make_service(kind)
        service.script(answers(kind))
        found = to_chatgpt(backend, ca, login.path)
        found["providers"]["side"] = to_api(service, ca, tmp_path, kind)["providers"]["work"]
        return found, service

    return config


def ask(proxy: Proxy, route: str, model: str, **fields: object) -> Answer:
    path, body, _ = BODIES[route]
    named = body if route == "gemini" else {"model": model, **body}
    return call(proxy, "POST", path.format(model), [], json.dumps({**named, **fields}).encode())


def told_model(route: str, answer: Answer) -> str:
    assert answer.status == 200, answer.body
    return str(answer.json[BODIES[route][2]])


@each_route
def test_aliases_routing_and_prefixes_lead_there(
    start: Start, to_both: Callable[[str], tuple[JSON, Backend]], backend: Backend, route: str
) -> None:
    """On all four routes, with the target as ``model`` and nothing for the provider in force (seeds S123, S127, S128,
    S129, S201, S214); the answer has the client's own name (seeds S96), unless it passes unread."""
    config, service = to_both("chat")
    names = {"aliases": {"my-deepseek": "deepseek-chat"}, "routing": {"deepseek-chat": "side"}}
    proxy = start({**config, **names})
    for name in CHAT:
        assert told_model(route, ask(proxy, route, name)) == ("mock-chat" if route == "chat" else name)
    assert [request.json["model"] for request in service.requests] == [*CHAT.values()]
    assert backend.requests == []


@each_route
@pytest.mark.parametrize(
    ("kind", "model", "other"),
    [("messages", "claude-opus-4-8", "gemini-2.5-flash"), ("gemini", "gemini-2.5-flash", "claude-opus-4-8")],
)
def test_a_family_goes_to_who_has_the_real_models(
    start: Start,
    to_both: Callable[[str], tuple[JSON, Backend]],
    backend: Backend,
    route: str,
    kind: str,
    model: str,
    other: str,
) -> None:
    """``claude*`` and ``gemini*`` by their names, but where an alias of the user's says something else (seeds S130,
    S201, S214); the other family stays with the provider in force."""
    config, service = to_both(kind)
    proxy = start({**config, "aliases": {"claude-own": "gpt-5.5", "gemini-own": "gpt-5.5"}})
    assert ask(proxy, route, model).status == 200
    (got,) = service.requests
    assert (model in got.target) if kind == "gemini" else got.json["model"] == model
    assert backend.requests == []
    for name in (f"{model.split('-')[0]}-own", other):
        assert ask(proxy, route, name).status == 200
    assert len(service.requests) == 1
    assert [request.json["model"] for request in backend.requests] == ["gpt-5.5", TARGETS[other]]


@each_route
def test_a_forced_model_is_used_whatever_was_asked_for(
    start: Start, to_both: Callable[[str], tuple[JSON, Backend]], backend: Backend, route: str
) -> None:
    """The answer still carries the client's name (seeds S7), and says that something was lost."""
    config, _ = to_both("chat")
    answer = ask(start({**config, "force_model": "gpt-5.5"}), route, "side:gpt-5.6-sol")
    assert told_model(route, answer) == "side:gpt-5.6-sol"
    assert backend.requests[0].json["model"] == "gpt-5.5" and int(answer.first("x-mitmcodex-loss")) >= 1


@each_route
def test_a_routed_model_needs_no_codex_login(
    start: Start, to_both: Callable[[str], tuple[JSON, Backend]], backend: Backend, login: Login, route: str
) -> None:
    """When it is gone, what another provider serves goes on; the rest says what to do (seeds S213)."""
    config, service = to_both("chat")
    proxy = start(config)
    login.path.unlink()
    assert ask(proxy, route, "side:x").status == 200
    refused = ask(proxy, route, "gpt-5.5")
    assert refused.status == 401 and "codex login" in refused.error["message"]
    assert len(service.requests) == 1 and backend.requests == []


@each_route
def test_a_provider_alone_is_enough(
    start: Start,
    make_service: Callable[[str], Backend],
    ca: Authority,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    route: str,
) -> None:
    """Without any ChatGPT account (seeds S213), found by ``upstream: auto``."""
    monkeypatch.setenv("CODEX_HOME", str(tmp_path / "no-codex"))
    service = make_service("chat")
    service.script(answers("chat"))
    proxy = start({**to_api(service, ca, tmp_path, "chat"), "upstream": "auto"})
    assert ask(proxy, route, "llama-3").status == 200
    assert service.requests[0].json["model"] == "llama-3"


@each_route
def test_suffixes_fill_what_the_body_leaves_open(
    start: Start, to_both: Callable[[str], tuple[JSON, Backend]], backend: Backend, route: str
) -> None:
    """Effort and tier of the name reach upstream as ``reasoning.effort`` and ``service_tier`` on each route (seeds
    S104, S114, S134, S353), of an alias and a custom model too (seeds S115, S132)."""
    config, _ = to_both("chat")
    names = {"aliases": {"swift": "gpt-5.5"}, "custom_models": ["gpt-5.6-luna"]}
    proxy = start({**config, **names, "default_effort": "low", "default_tier": "priority"})
    for name, model, effort in (
        ("gpt-5.5-high-fast", "gpt-5.5", "high"),
        ("swift-xhigh", "gpt-5.5", "xhigh"),
        ("gpt-5.6-luna-high", "gpt-5.6-luna", "high"),
        ("gpt-5.5", "gpt-5.5", "low"),
    ):
        assert told_model(route, ask(proxy, route, name)) == name
        sent = backend.requests[-1].json
        assert (sent["model"], sent["reasoning"]["effort"], sent["service_tier"]) == (model, effort, "priority")
