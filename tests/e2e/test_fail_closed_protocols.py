"""Whatever breaks in the proxy: each client protocol is told so in its own form, and no untranslated byte passes
(house.md 2)."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from mitmcodex.adapt import Adapt
from mitmcodex.alias import Alias
from mitmcodex.classify import Classify
from mitmcodex.count import Count
from mitmcodex.credentials import Credentials
from mitmcodex.emulate import Emulate
from mitmcodex.enlist import Enlist
from mitmcodex.exchange import Exchange
from mitmcodex.fanout import Fanout
from mitmcodex.identity import Identity
from mitmcodex.lists import Lists
from mitmcodex.ollama import Ollama
from mitmcodex.remember import Remember
from mitmcodex.stored import Stored
from mitmcodex.translate import Translate
from support.answers import Data, End, Head, Stall
from support.auth import Login
from support.backend import Backend
from support.client import Answer, call, post
from support.events import ev_created, ev_message_added, ev_text_delta, sse
from support.proxy import Proxy
from support.tls import Authority
from support.upstreams import to_api, to_chatgpt

JSON = dict[str, Any]
SECRET_TEXT = "what nobody may read"
STAGES = (Enlist, Alias, Translate, Fanout, Remember, Emulate, Classify, Credentials, Adapt, Identity)

StartProxy = Callable[..., Proxy]


class Planted(Exception):
    """Stands for any defect."""


class Client(NamedTuple):
    """One way to ask for a generation."""

    path: str
    body: JSON
    message_of: Callable[[Any], object]
    """The text in an error of its protocol; fails for any other form."""
    is_ollama: bool = False
    calls: int = 1
    """Upstream calls that it makes."""


def _openai(error: JSON) -> object:
    assert set(error) == {"error"} and {"message", "type", "param", "code"} <= set(error["error"])
    return error["error"]["message"]


def _messages(error: JSON) -> object:
    assert error["type"] == "error" and error["error"]["type"] == "api_error"
    return error["error"]["message"]


def _gemini(error: Any) -> object:
    found = error[0] if isinstance(error, list) else error
    assert found["error"]["code"] == 500 and found["error"]["status"] == "INTERNAL"
    return found["error"]["message"]


def _ollama(error: JSON) -> object:
    return error["error"]


_SAID = {"messages": [{"role": "user", "content": "hi"}], "model": "gpt-5.5"}
_CONTENTS = {"contents": [{"parts": [{"text": "hi"}]}]}
_GEMINI = "/v1beta/models/gpt-5.5:"
CLIENTS = {
    "chat": Client("/v1/chat/completions", {**_SAID, "stream": True}, _openai),
    "chat whole": Client("/v1/chat/completions", _SAID, _openai),
    "chat n": Client("/v1/chat/completions", {**_SAID, "n": 2, "stream": True}, _openai, calls=2),
    "chat n whole": Client("/v1/chat/completions", {**_SAID, "n": 2}, _openai, calls=2),
    "messages": Client("/v1/messages", {**_SAID, "max_tokens": 9, "stream": True}, _messages),
    "gemini": Client(f"{_GEMINI}streamGenerateContent?alt=sse", _CONTENTS, _gemini),
    "gemini array": Client(f"{_GEMINI}streamGenerateContent", _CONTENTS, _gemini),
    "gemini whole": Client(f"{_GEMINI}generateContent", _CONTENTS, _gemini),
    "ollama chat": Client("/api/chat", _SAID, _ollama, is_ollama=True),
    "ollama generate": Client("/api/generate", {"model": "gpt-5.5", "prompt": "hi"}, _ollama, is_ollama=True),
    "ollama openai": Client("/v1/chat/completions", _SAID, _openai, is_ollama=True),
    "images": Client("/v1/images/generations", {"prompt": "a cat"}, _openai),
    "images n": Client("/v1/images/generations", {"prompt": "a cat", "n": 2}, _openai, calls=2),
}
STREAMS = [name for name, client in CLIENTS.items() if not name.endswith(("whole", "openai", "images", "images n"))]
"""Those that get a stream."""
each_client = pytest.mark.parametrize("client", CLIENTS.values(), ids=CLIENTS)


@pytest.fixture
def start(tmp_path: Path, backend: Backend, ca: Authority, login: Login) -> Iterator[StartProxy]:
    with ExitStack() as stack:

        def start_proxy(*extra: Any) -> Proxy:
            config = {**to_chatgpt(backend, ca, login.path), "ollama": {"enabled": True}}
            return stack.enter_context(Proxy(tmp_path, config, extra=extra))

        yield start_proxy


class AtOllama:
    """Stands for a Proxy whose port is that listener's."""

    def __init__(self, proxy: Proxy) -> None:
        self.port = proxy.ollama_port


def ask(proxy: Proxy, client: Client, method: str = "POST") -> Answer:
    at: Any = AtOllama(proxy) if client.is_ollama else proxy
    return call(at, method, client.path, [("content-type", "application/json")], json.dumps(client.body).encode())


def broken(*_: object) -> None:
    raise Planted(SECRET_TEXT)


async def broken_later(*_: object) -> None:
    raise Planted(SECRET_TEXT)


def assert_own_error(answer: Answer, client: Client) -> None:
    assert answer.status == 500 and answer.is_whole
    assert "mitmcodex failed" in str(client.message_of(answer.json))
    assert SECRET_TEXT.encode() not in answer.body


@each_client
def test_a_stage_that_fails_on_the_way_down_keeps_all_here(client: Client, start: StartProxy, backend: Backend) -> None:
    """Whichever it is: the upstream sees no connection, the client an error in its protocol's form."""
    proxy = start()
    for stage in STAGES:
        addon = proxy.addon(stage)
        addon.upstream_request = broken
        assert_own_error(ask(proxy, client), client)
        del addon.upstream_request
    proxy.wait_idle()
    assert backend.connections == []


@each_client
def test_a_stage_that_fails_on_the_way_up_shows_nothing(client: Client, start: StartProxy, backend: Backend) -> None:
    """Whichever it is: the client gets an error and no byte of the upstream's; all calls are ended at once."""
    proxy = start()
    for stage in STAGES[STAGES.index(Translate) :]:
        backend.queue(*[[Head(), Data(sse([ev_created(), ev_text_delta(SECRET_TEXT)])), Stall()]] * client.calls)
        addon = proxy.addon(stage)
        addon.upstream_response = broken
        assert_own_error(ask(proxy, client), client)
        del addon.upstream_response
        proxy.wait_idle()
        for made in backend.calls:
            made.wait_aborted()


class Breaks:
    """A user's stage, next to the wire: lets the pieces through up to the first that says something, then breaks."""

    async def pieces(self, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for piece in body:
            yield piece
            if b"first" in piece:
                raise Planted(SECRET_TEXT)

    def upstream_response(self, exchange: Exchange) -> None:
        assert exchange.body is not None
        exchange.body = self.pieces(exchange.body)


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_that_breaks_says_so(name: str, start: StartProxy, backend: Backend) -> None:
    """What was said stays, the end is the protocol's own error and never a normal one (conformance 4)."""
    client = CLIENTS[name]
    told = Data(sse([ev_created(), ev_message_added(), ev_text_delta("first")]))
    backend.queue(*[[Head(), told, Stall()]] * client.calls)
    answer = ask(start(Breaks()), client)
    assert answer.status == 200 and answer.is_whole and b"first" in answer.body
    assert b"mitmcodex failed" in answer.body and SECRET_TEXT.encode() not in answer.body
    normal = (b'"finish_reason":"stop"', b'"end_turn"', b"message_stop", b'"STOP"', b'"done":true')
    assert [end for end in normal if end in answer.body] == []
    for made in backend.calls:
        made.wait_aborted()


LOCAL = {
    "list": (Lists, "GET", "/v1/models"),
    "one model": (Lists, "GET", "/v1/models/gpt-5.5"),
    "count": (Count, "POST", "/v1/messages/count_tokens"),
    "gemini count": (Count, "POST", f"{_GEMINI}countTokens"),
    "stored": (Stored, "GET", "/v1/responses/resp_1"),
}
"""Calls that are answered here: by which addon, method, path."""


@pytest.mark.parametrize("what", LOCAL)
def test_a_call_that_is_answered_here_goes_nowhere_when_that_fails(
    what: str, start: StartProxy, backend: Backend, caplog: pytest.LogCaptureFixture
) -> None:
    """mitmproxy goes on after an addon's exception; the call reaches no upstream, and the exception's text no log."""
    kind, verb, path = LOCAL[what]
    proxy = start()
    addon = proxy.addon(kind)
    setattr(addon, "_listing" if kind is Lists else "_answer", broken_later)
    answer = call(proxy, verb, path, [], b"{}" if verb == "POST" else None)
    assert answer.status == 500 and b"mitmcodex failed" in answer.body
    assert SECRET_TEXT.encode() not in answer.body and SECRET_TEXT not in caplog.text
    assert backend.connections == []


def test_what_ollama_says_of_itself_fails_closed(
    start: StartProxy, backend: Backend, caplog: pytest.LogCaptureFixture
) -> None:
    """The same, as a text in Ollama's form (conformance 74)."""
    proxy = start()
    proxy.addon(Ollama)._answers["tags"] = broken_later
    answer = ask(proxy, Client("/api/tags", {}, _ollama, is_ollama=True), method="GET")
    assert answer.status == 500 and "mitmcodex failed" in answer.json["error"]
    assert SECRET_TEXT not in caplog.text and backend.connections == []


NONSENSE = (b"<html>hello</html>", b"[]", b"null", b"", b"{}")


@pytest.mark.parametrize("kind", ["chat", "messages", "gemini"])
def test_an_upstream_that_talks_nonsense_is_to_blame(
    kind: str, tmp_path: Path, make_service: Callable[[str], Backend], ca: Authority
) -> None:
    """A good request is not called bad: 502 for an answer that is none, and an SDK may try again (conformance 38)."""
    service = make_service(kind)
    with Proxy(tmp_path, to_api(service, ca, tmp_path, kind=kind)) as proxy:
        for body in NONSENSE:
            service.queue([Head(200, [("content-type", "application/json")]), Data(body), End()])
            answer = post(proxy, model="any")
            assert (answer.status, answer.error["code"]) == (502, "upstream_failed"), body
            assert not answer.first("x-should-retry")


@pytest.mark.parametrize("name", ["a\nb", "a\r\nx-evil: 1", "\ud800", " ", "x" * 100_000], ids=ascii)
def test_a_name_that_no_header_can_carry_is_refused(name: str, start: StartProxy, backend: Backend) -> None:
    """A model's name stands in headers, paths and the log: it is the client's error, and nothing is sent."""
    answer = post(start(), model=name)
    assert (answer.status, answer.error["param"]) == (400, "model")
    assert backend.connections == []


def test_a_client_forges_no_line_of_the_log(
    start: StartProxy, backend: Backend, caplog: pytest.LogCaptureFixture
) -> None:
    """What it wrote is in the list of losses with its line breaks escaped."""
    caplog.set_level(logging.INFO)
    answer = post(start(), **{"a\nexchange 9: forged": 1})
    assert answer.first("x-mitmcodex-loss")
    told = [record.getMessage() for record in caplog.records if "forged" in record.getMessage()]
    assert told and not any("\n" in line for line in told)
