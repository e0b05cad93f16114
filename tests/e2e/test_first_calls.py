"""The first calls of any client, by hand: what the older systems' manuals show, and the errors that come first."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from support import answers
from support.answers import Answer as Script
from support.answers import Pairs, detail, reply, say
from support.auth import Login
from support.backend import Backend
from support.client import Answer, call
from support.proxy import Proxy
from support.tls import Authority
from support.upstreams import to_api, to_chatgpt

JSON = dict[str, Any]
Start = Callable[..., Proxy]

KEY = "the-client-key"
BEARER = ("authorization", f"Bearer {KEY}")
USER = {"role": "user", "content": "Reply with exactly: proxy-ok"}
GEMINI = "/v1beta/models/gpt-5.5:generateContent"
BODIES: dict[str, tuple[str, JSON]] = {
    "chat": ("/v1/chat/completions", {"model": "gpt-5.5", "messages": [USER]}),
    "responses": ("/v1/responses", {"model": "gpt-5.5", "input": "x"}),
    "messages": ("/v1/messages", {"model": "gpt-5.5", "messages": [USER], "max_tokens": 99}),
    "gemini": (GEMINI, {"contents": [{"parts": [{"text": "x"}]}]}),
}

each_route = pytest.mark.parametrize("route", BODIES)


@pytest.fixture
def start(tmp_path: Path, backend: Backend, ca: Authority, login: Login) -> Iterator[Start]:
    """With a client key unless told otherwise."""
    (tmp_path / "client.key").write_text(KEY)
    keys = {"client_keys": [{"file": str(tmp_path / "client.key")}]}
    backend.script(lambda request: say("proxy-ok"))
    with ExitStack() as running:
        yield lambda **settings: running.enter_context(
            Proxy(tmp_path, {**to_chatgpt(backend, ca, login.path), **keys, **settings})
        )


def post(proxy: Proxy, path: str, body: JSON | bytes, headers: Pairs | None = None) -> Answer:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return call(proxy, "POST", path, [BEARER] if headers is None else headers, data)


def told(route: str, answer: Answer) -> tuple[Any, ...]:
    """What the protocol's clients branch on, and the words."""
    found = answer.json
    error = found["error"]
    if route == "messages":
        assert found["type"] == "error"
        return error["type"], error["message"]
    if route == "gemini":
        assert error["code"] == answer.status
        return error["status"], error["message"]
    assert {*error} >= {"message", "type", "param", "code"}
    return error["code"], error["message"]


# -- what the manuals show ------------------------------------------------------------------------


def test_a_smoke_test_by_a_name_that_codex_lacks(start: Start, backend: Backend) -> None:
    """Health without a key, then a chat call for gpt-4.1, whose answer comes and bears that name (seeds S333)."""
    proxy = start()
    assert call(proxy, "GET", "/healthz").status == 200
    answer = post(proxy, "/v1/chat/completions", {"model": "gpt-4.1", "messages": [USER]})
    assert (answer.json["choices"][0]["message"]["content"], answer.json["model"]) == ("proxy-ok", "gpt-4.1")
    assert backend.requests[0].json["model"] == "gpt-6.1-sol"


def test_a_smoke_test_that_streams(start: Start) -> None:
    """An old slug, a Bearer key: chunks of text; another key is a 401 (seeds S334)."""
    proxy, asked = start(), {"model": "gpt-5.4", "messages": [USER], "stream": True}
    answer = post(proxy, "/v1/chat/completions", asked)
    assert answer.body.endswith(b"data: [DONE]\n\n")
    chunks = [json.loads(line[6:]) for line in answer.body.decode().splitlines() if line.startswith("data: {")]
    assert "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks) == "proxy-ok"
    assert {chunk["model"] for chunk in chunks} == {"gpt-5.4"}
    assert post(proxy, "/v1/chat/completions", asked, [("authorization", "Bearer other")]).status == 401


def test_a_call_without_model_and_key(start: Start, backend: Backend) -> None:
    """As ``curl -d`` makes it, which calls it a form: the configured model answers, in one object (seeds S71, S113,
    S335)."""
    asked = {"messages": [{"role": "user", "content": "Hello!"}]}
    proxy = start(client_keys=[], default_model="gpt-6-luna")
    answer = post(proxy, "/v1/chat/completions", asked, [("content-type", "application/x-www-form-urlencoded")])
    assert (answer.status, answer.json["object"]) == (200, "chat.completion")
    assert backend.requests[0].json["model"] == "gpt-6-luna"


@pytest.mark.parametrize("path", [GEMINI, f"/gemini{GEMINI}", GEMINI.replace("v1beta", "v1")])
@pytest.mark.parametrize("form", ["x-goog-api-key", "key", "bearer"])
def test_geminis_paths_and_keys(start: Start, path: str, form: str) -> None:
    """Each base, and the key by header, query or Bearer (seeds S69)."""
    headers = {"x-goog-api-key": [("x-goog-api-key", KEY)], "key": [], "bearer": [BEARER]}[form]
    query = f"?key={KEY}" if form == "key" else ""
    answer = post(start(), path + query, BODIES["gemini"][1], headers)
    assert answer.json["candidates"][0]["content"]["parts"][0]["text"] == "proxy-ok"


@pytest.mark.parametrize("headers", [[("x-api-key", KEY)], [BEARER]])
def test_messages_keys(start: Start, headers: Pairs) -> None:
    """``x-api-key`` or Bearer, and ``thinking`` is taken (seeds S77)."""
    path, body = BODIES["messages"]
    thinking = {"type": "enabled", "budget_tokens": 1024}
    answer = post(start(), path, {**body, "max_tokens": 2000, "thinking": thinking}, headers)
    assert answer.json["content"] == [{"type": "text", "text": "proxy-ok"}]


# -- errors that come first -----------------------------------------------------------------------

WRONG_KEY = {"chat": "invalid_api_key", "responses": "invalid_api_key", "messages": "authentication_error"}
BAD_REQUEST = {"messages": "invalid_request_error", "gemini": "INVALID_ARGUMENT"}


@each_route
@pytest.mark.parametrize("key", [[], [("authorization", "Bearer other")]])
def test_no_key_or_a_wrong_one(start: Start, backend: Backend, route: str, key: Pairs) -> None:
    """401 in the form of the route (seeds S85)."""
    answer = post(start(), *BODIES[route], key)
    assert (answer.status, told(route, answer)[0]) == (401, WRONG_KEY.get(route, "UNAUTHENTICATED"))
    assert backend.requests == []


@each_route
@pytest.mark.parametrize("body", [b"{", b"not json", b"\xff"])
def test_a_body_that_is_no_json(start: Start, backend: Backend, route: str, body: bytes) -> None:
    """400, ``invalid_json`` where a protocol has codes (seeds S84, S72)."""
    answer = post(start(), BODIES[route][0], body)
    assert (answer.status, told(route, answer)[0]) == (400, BAD_REQUEST.get(route, "invalid_json"))
    if route in ("chat", "responses"):
        assert (answer.error["type"], answer.error["param"]) == ("invalid_request_error", None)
    assert backend.requests == []


UPSTREAM: dict[str, tuple[Script, int, JSON]] = {
    # what the backend says, the status, and what each form calls it
    "401": (
        answers.token_expired(),
        401,
        {"openai": "credential", "messages": "authentication_error", "gemini": "UNAUTHENTICATED"},
    ),
    "429": (
        answers.usage_limit(),
        429,
        {"openai": "usage_limit_reached", "messages": "rate_limit_error", "gemini": "RESOURCE_EXHAUSTED"},
    ),
    "503": (
        answers.overloaded(),
        503,
        {"openai": "server_is_overloaded", "messages": "overloaded_error", "gemini": "UNAVAILABLE"},
    ),
}


@each_route
@pytest.mark.parametrize("case", UPSTREAM)
def test_what_the_upstream_refuses(start: Start, backend: Backend, route: str, case: str) -> None:
    """Not authenticated, limited, nobody there: each status in each form (seeds S86); Anthropic's own status for an
    overload is 529."""
    script, status, names = UPSTREAM[case]
    backend.script(lambda request: script)
    answer = post(start(), *BODIES[route])
    assert answer.status == (529 if (route, case) == ("messages", "503") else status)
    assert told(route, answer)[0] == names.get(route, names["openai"])


@each_route
def test_the_upstreams_words_stand_alone(start: Start, backend: Backend, route: str) -> None:
    """Nothing of ours and no envelope of the backend's is put before them (seeds S90)."""
    backend.queue(detail(400, "Unsupported value: x"))
    assert told(route, post(start(), *BODIES[route]))[1] == "Unsupported value: x"


ELSEWHERE = {
    "/v1/embeddings": "another service",
    "/v1/audio/speech": "/v1/responses",
    "/v1/audio/transcriptions": "/v1/responses",
    "/v1/files": "file_data",
    "/v1/files/file-1/content": "file_data",
    "/v1/uploads": "file_data",
    "/v1/batches": "/v1/chat/completions",
    "/v1/fine_tuning/jobs": "/v1/models",
    "/v1/realtime/sessions": "/v1/chat/completions",
    "/v1/completions": "/v1/chat/completions",
    "/v1/messages/batches": "/v1/messages",
    "/v1beta/models/gpt-5.5:embedContent": "another service",
    "/v1beta/models/gpt-5.5:batchEmbedContents": "another service",
}


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_what_is_not_there_names_what_to_use(start: Start, backend: Backend, method: str) -> None:
    """501 in the protocol's form, which no SDK repeats; nothing goes upstream (seeds S93)."""
    proxy = start()
    for path, remedy in ELSEWHERE.items():
        answer = call(proxy, method, path, [BEARER], b"{}" if method == "POST" else None)
        route = "messages" if "/messages" in path else "gemini" if "v1beta" in path else "chat"
        name, words = told(route, answer)
        assert answer.status == 501 and remedy in words, path
        assert name == {"messages": "invalid_request_error", "gemini": "UNIMPLEMENTED"}.get(route, "not_supported")
        assert route == "gemini" or answer.first("x-should-retry") == "false"
    assert backend.requests == []


def test_an_id_that_the_provider_forgot(api_backend: Backend, ca: Authority, tmp_path: Path) -> None:
    """A provider that keeps responses itself gets the id, and its refusal is the client's: sent again without the id
    the model would have lost the conversation (seeds S89)."""
    text = "Previous response with id 'resp_9' not found."
    api_backend.script(lambda request: reply(400, {"error": {"message": text, "code": "previous_response_not_found"}}))
    asked = {"model": "gpt-5.5", "input": "x", "previous_response_id": "resp_9"}
    with Proxy(tmp_path, {"client_keys": [], **to_api(api_backend, ca, tmp_path)}) as proxy:
        answer = post(proxy, "/v1/responses", asked)
    assert (answer.status, answer.error["code"]) == (400, "previous_response_not_found")
    assert [request.json["previous_response_id"] for request in api_backend.requests] == ["resp_9"]


@pytest.mark.parametrize("route", ["chat", "responses"])
def test_context_switches_are_no_switches(start: Start, backend: Backend, route: str) -> None:
    """The backend answers 400 to each: none goes there, each is counted (seeds S87)."""
    switches = {"context_window": 1, "max_context_window": 1, "truncation_policy": {"mode": "auto"}}
    proxy, (path, body) = start(), BODIES[route]
    plain, answer = post(proxy, path, body), post(proxy, path, {**body, **switches})
    assert answer.status == 200 and not {*switches} & backend.requests[-1].json.keys()
    assert int(answer.first("x-mitmcodex-loss")) == int(plain.first("x-mitmcodex-loss") or 0) + len(switches)
