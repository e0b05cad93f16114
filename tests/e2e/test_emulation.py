"""Stop sequences and token limits of each client protocol before the ChatGPT backend, which takes neither.

That the strict backend sees no such key is checked by its fixture (conformance 23 and 63, seeds S72).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support import chat_answers
from support.answers import Answer, Data, Head, Stall, say
from support.auth import Login
from support.backend import Backend
from support.client import Answer as Got
from support.client import Sent, call
from support.events import ev_created, ev_message_added, ev_text_delta, sse
from support.proxy import Proxy
from support.tls import Authority
from support.upstreams import to_api, to_chatgpt

JSON = dict[str, Any]
Start = Callable[..., Proxy]

USER = {"role": "user", "content": "count"}
PATHS = {
    "chat": "/v1/chat/completions",
    "messages": "/v1/messages",
    "gemini": "/v1beta/models/gpt-5.5:generateContent",
    "responses": "/v1/responses",
}
GEMINI_STREAM = "/v1beta/models/gpt-5.5:streamGenerateContent?alt=sse"
BODIES: dict[str, JSON] = {
    "chat": {"model": "gpt-5.5", "messages": [USER]},
    "messages": {"model": "gpt-5.5", "messages": [USER], "max_tokens": 1000},
    "gemini": {"contents": [{"parts": [{"text": "count"}]}]},
    "responses": {"model": "gpt-5.5", "input": "count", "store": False},
}


@pytest.fixture
def start(tmp_path: Path, backend: Backend, ca: Authority, login: Login) -> Iterator[Start]:
    proxies: list[Proxy] = []

    def run(**settings: Any) -> Proxy:
        proxies.append(Proxy(tmp_path, {**to_chatgpt(backend, ca, login.path), **settings}))
        return proxies[-1].__enter__()

    yield run
    for proxy in proxies:
        proxy.__exit__()


def going_on(*texts: str) -> Answer:
    """Says this and more is to come, which never does."""
    return [Head(), Data(sse([ev_created(), ev_message_added(), *map(ev_text_delta, texts)])), Stall()]


def post(proxy: Proxy, protocol: str, path: str = "", **fields: Any) -> Got:
    body = {**BODIES[protocol], **fields}
    return call(proxy, "POST", path or PATHS[protocol], [("host", "localhost")], json.dumps(body).encode())


def losses(backend: Backend, got: Got) -> str:
    sent = backend.requests[-1].json
    assert not {"stop", "stop_sequences", "max_tokens", "max_output_tokens"} & sent.keys()
    return got.first("x-mitmcodex-loss")


STOPS: dict[str, tuple[JSON, Callable[[Any], Any], Any]] = {
    "chat": (
        {"stop": ["3"]},
        lambda it: (it["choices"][0]["message"]["content"], it["choices"][0]["finish_reason"]),
        ("1 2 ", "stop"),
    ),
    "messages": (
        {"stop_sequences": ["3"]},
        lambda it: (it["content"][0]["text"], it["stop_reason"], it["stop_sequence"]),
        ("1 2 ", "stop_sequence", "3"),
    ),
    "gemini": (
        {"generationConfig": {"stopSequences": ["3"]}},
        lambda it: (it["candidates"][0]["content"]["parts"][0]["text"], it["candidates"][0]["finishReason"]),
        ("1 2 ", "STOP"),
    ),
}
LIMITS: dict[str, tuple[JSON, Callable[[Any], Any], Any]] = {
    "chat": ({"max_completion_tokens": 2}, STOPS["chat"][1], ("one two", "length")),
    "messages": ({"max_tokens": 2}, STOPS["messages"][1], ("one two", "max_tokens", None)),
    "gemini": ({"generationConfig": {"maxOutputTokens": 2}}, STOPS["gemini"][1], ("one two", "MAX_TOKENS")),
    "responses": (
        {"max_output_tokens": 2},
        lambda it: (it["output"][0]["content"][0]["text"], it["incomplete_details"]["reason"]),
        ("one two", "max_output_tokens"),
    ),
}


@pytest.mark.parametrize("protocol", STOPS)
def test_a_stop_sequence_ends_the_answer(start: Start, backend: Backend, protocol: str) -> None:
    """Before it, without it, with the protocol's own reason; the upstream is aborted (conformance 23)."""
    fields, read, expected = STOPS[protocol]
    backend.queue(going_on("1 ", "2 ", "3 ", "4"))
    got = post(start(), protocol, **fields)
    assert (got.status, read(got.json)) == (200, expected)
    assert losses(backend, got)
    backend.wait_for_call().wait_aborted()


@pytest.mark.parametrize("protocol", LIMITS)
def test_a_token_limit_ends_the_answer(start: Start, backend: Backend, protocol: str) -> None:
    """With what fits, and the protocol's reason for it (conformance 23, 63)."""
    fields, read, expected = LIMITS[protocol]
    backend.queue(going_on("one", " two", " three", " four"))
    got = post(start(), protocol, **fields)
    assert (got.status, read(got.json)) == (200, expected)
    assert losses(backend, got)
    backend.wait_for_call().wait_aborted()


def test_usage_after_a_cut_is_counted(start: Start, backend: Backend) -> None:
    """Output as the tokenizer counts what came, input estimated; the upstream never told its own."""
    backend.queue(going_on("one two three", " four five"))
    usage = post(start(), "chat", max_tokens=4).json["usage"]
    assert usage["completion_tokens"] == 4 and usage["prompt_tokens"] > 5


@pytest.mark.parametrize(
    ("protocol", "path", "fields", "end"),
    [
        ("chat", "", {"stop": "HALT", "stream": True}, b"data: [DONE]\n\n"),
        ("messages", "", {"stop_sequences": ["HALT"], "stream": True}, b'data: {"type":"message_stop"}\n\n'),
        ("gemini", GEMINI_STREAM, {"generationConfig": {"stopSequences": ["HALT"]}}, b'"finishReason":"STOP"'),
    ],
)
def test_a_stream_ends_at_once_and_nothing_leaks(
    start: Start, backend: Backend, protocol: str, path: str, fields: JSON, end: bytes
) -> None:
    """Split over events, the sequence is never seen; the rest comes before the cut, the upstream is aborted."""
    backend.queue(going_on("Say", " H", "AL", "T xyz", " zyx"))
    got = post(start(), protocol, path, **fields)
    backend.wait_for_call().wait_aborted()
    told = got.body.replace(b'"stop_sequence":"HALT"', b"")
    assert got.is_whole and end in got.body and b'"Say"' in told
    assert not any(leak in told for leak in (b'" H', b'"H', b"AL", b"HALT", b"xyz", b"zyx"))


def test_text_that_looked_like_a_stop_sequence_comes_later(start: Start, backend: Backend) -> None:
    """It is held back for as long as it may be one, and no longer."""
    backend.queue(going_on("a", " ST", "EP"))
    body = json.dumps({**BODIES["chat"], "stop": "STOP", "stream": True}).encode()
    with Sent(start(), "POST", PATHS["chat"], [("host", "localhost")], body) as sent:
        assert b'" ST"' in sent.read_until(b'"EP"')
    backend.wait_for_call().wait_aborted()


def test_without_emulation_it_is_a_loss(start: Start, backend: Backend) -> None:
    """The answer is whole, and the header counts what was dropped; with ``strict`` the request is refused."""
    backend.queue(say("1 2 3 4"))
    got = post(start(emulate=False), "chat", stop="3", max_tokens=1)
    assert got.json["choices"][0]["message"]["content"] == "1 2 3 4" and losses(backend, got) == "2"


def test_strict_takes_what_is_emulated(start: Start, backend: Backend) -> None:
    """Nothing of it is lost."""
    backend.queue(say("1 2 3 4"))
    assert post(start(strict=True), "chat", stop="3").json["choices"][0]["message"]["content"] == "1 2 "


@pytest.mark.parametrize(
    ("protocol", "fields", "param"),
    [
        ("chat", {"max_tokens": 0}, "max_tokens"),
        ("responses", {"max_output_tokens": 0}, "max_output_tokens"),
        ("responses", {"max_output_tokens": "9"}, "max_output_tokens"),
    ],
)
def test_what_is_no_limit_is_refused(start: Start, backend: Backend, protocol: str, fields: JSON, param: str) -> None:
    """400 with the parameter's name, and no call."""
    got = post(start(), protocol, **fields)
    assert (got.status, got.error["param"]) == (400, param) and backend.calls == []


def test_a_provider_that_knows_limits_gets_them(
    tmp_path: Path, make_service: Callable[[str], Backend], ca: Authority
) -> None:
    """Kind chat ends its answer itself."""
    service = make_service("chat")
    service.queue(chat_answers.stream(chat_answers.text("one")))
    with Proxy(tmp_path, to_api(service, ca, tmp_path, kind="chat")) as proxy:
        got = post(proxy, "messages", stop_sequences=["3"])
    assert got.status == 200
    assert service.requests[-1].json["stop"] == ["3"] and service.requests[-1].json["max_tokens"] == 1000
