"""Kept responses and counts through the real proxy, with providers of every kind."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from support import chat_answers
from support.answers import Cut, Data, Head, reply, say
from support.auth import API_KEY, Login
from support.backend import Backend
from support.client import CODEX, Answer, call
from support.events import ev_created, ev_text_delta, sse
from support.proxy import Proxy
from support.tls import Authority
from support.upstreams import to_api, to_chatgpt

StartProxy = Callable[..., Proxy]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[StartProxy]:
    with ExitStack() as stack:
        yield lambda config: stack.enter_context(Proxy(tmp_path, config))


@pytest.fixture
def chatgpt(start: StartProxy, backend: Backend, ca: Authority, login: Login) -> Proxy:
    return start(to_chatgpt(backend, ca, login.path))


def ask(proxy: Proxy, **fields: Any) -> Answer:
    body = json.dumps({"model": "gpt-5.5", "input": "hi", **fields}).encode()
    return call(proxy, "POST", "/v1/responses", [("content-type", "application/json")], body)


def test_a_provider_of_another_protocol_is_told_the_whole_conversation(
    start: StartProxy, make_service: Callable[[str], Backend], ca: Authority, tmp_path: Path
) -> None:
    """conformance 33: kind chat knows no responses; its second request holds the first question and its answer."""
    service = make_service("chat")
    proxy = start(to_api(service, ca, tmp_path, kind="chat"))
    service.script(lambda request: chat_answers.stream(chat_answers.text("one")))
    first = ask(proxy)
    second = ask(proxy, previous_response_id=first.json["id"], input="and now?")
    assert (second.status, second.json["previous_response_id"]) == (200, first.json["id"])
    told = [(message["role"], message["content"]) for message in service.requests[1].json["messages"]]
    assert [role for role, _ in told] == ["user", "assistant", "user"] and "one" in str(told[1])


@pytest.mark.parametrize("action", ["", "/input_items?limit=2&order=asc"])
def test_a_provider_that_keeps_responses_is_asked(
    action: str, start: StartProxy, api_backend: Backend, ca: Authority, tmp_path: Path
) -> None:
    """conformance 33: ids go there as they came, for a generation and for reading; nothing is written here."""
    proxy = start(to_api(api_backend, ca, tmp_path))
    api_backend.queue(say("hi"), reply(200, {"id": "resp_9"}))
    assert ask(proxy, previous_response_id="resp_9", store=True).status == 200
    sent = api_backend.requests[0].json
    assert (sent["previous_response_id"], sent["store"], sent["input"]) == ("resp_9", True, "hi")
    assert call(proxy, "GET", f"/v1/responses/resp_9{action}").json == {"id": "resp_9"}
    assert (api_backend.requests[1].method, api_backend.requests[1].target) == ("GET", f"/v1/responses/resp_9{action}")
    assert api_backend.requests[1].first("authorization") == f"Bearer {API_KEY}"
    assert not (tmp_path / "state" / "responses").exists()


def test_a_cut_answer_can_not_be_gone_on_from(chatgpt: Proxy, backend: Backend) -> None:
    """conformance 33: it is not kept, and the backend sees no second request."""
    backend.queue([Head(), Data(sse([ev_created("resp_cut"), ev_text_delta("ha")])), Cut()])
    assert ask(chatgpt, stream=True).kinds[-1] == "response.failed"
    refused = ask(chatgpt, previous_response_id="resp_cut")
    assert (refused.status, refused.error["code"]) == (400, "previous_response_not_found")
    assert call(chatgpt, "GET", "/v1/responses/resp_cut").status == 404
    assert len(backend.requests) == 1


def test_what_is_kept_is_for_its_owner_alone(chatgpt: Proxy, backend: Backend, tmp_path: Path) -> None:
    """Files 0600 below the state folder, and no credential in them."""
    answer = ask(chatgpt, store=True)
    assert answer.json["store"] is True and answer.first("x-mitmcodex-loss") == "1"
    (file,) = (tmp_path / "state" / "responses").iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    assert backend.requests[0].first("authorization").removeprefix("Bearer ") not in file.read_text()


def test_codex_keeps_nothing(chatgpt: Proxy, backend: Backend, tmp_path: Path) -> None:
    """It sends its whole history each time."""
    backend.queue(say("hi"))
    body = b'{"model":"gpt-5.5","instructions":"x","input":[],"store":false,"stream":true}'
    assert call(chatgpt, "POST", "/v1/responses", CODEX, body).status == 200
    assert not (tmp_path / "state" / "responses").exists()


COUNTS = [
    ("/v1/responses/input_tokens", {"model": "m", "input": "hello world"}, "input_tokens"),
    ("/v1/messages/count_tokens", {"model": "m", "messages": [{"role": "user", "content": "hi"}]}, "input_tokens"),
    ("/v1beta/models/m:countTokens", {"contents": [{"parts": [{"text": "hi"}]}]}, "totalTokens"),
]


@pytest.mark.parametrize(("path", "body", "key"), COUNTS, ids=[path for path, _, _ in COUNTS])
def test_counting_asks_nobody(path: str, body: dict[str, Any], key: str, chatgpt: Proxy, backend: Backend) -> None:
    """Each protocol's own answer, from here."""
    answer = call(chatgpt, "POST", path, [("content-type", "application/json")], json.dumps(body).encode())
    assert answer.status == 200 and 5 <= answer.json[key] <= 20
    assert backend.connections == []
