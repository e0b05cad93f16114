"""A request for n answers through the real proxy: n calls side by side, one answer (conformance 23)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support import chat_answers
from support.answers import Answer, Cut, Data, End, Gate, Head, Pause, Stall, say, usage_limit
from support.auth import Login
from support.backend import Backend
from support.client import Answer as Got
from support.client import Sent
from support.events import ev_completed, ev_created, ev_message_added, ev_text_delta, sse
from support.proxy import Proxy
from support.records import Request
from support.tls import Authority
from support.upstreams import to_api, to_chatgpt

Start = Callable[..., Proxy]
CHAT = "/v1/chat/completions"
GEMINI = "/v1beta/models/gpt-5.5:generateContent"
GEMINI_STREAM = "/v1beta/models/gpt-5.5:streamGenerateContent"


@pytest.fixture
def start(tmp_path: Path, backend: Backend, ca: Authority, login: Login) -> Iterator[Start]:
    """At the end of the test nothing may run in it."""
    proxies: list[Proxy] = []

    def run(**settings: Any) -> Proxy:
        proxies.append(Proxy(tmp_path, {**to_chatgpt(backend, ca, login.path), **settings}))
        return proxies[-1].__enter__()

    yield run
    for proxy in proxies:
        proxy.wait_idle()
        proxy.__exit__()


def asked(proxy: Proxy, n: int, path: str = CHAT, **fields: Any) -> Sent:
    body: dict[str, Any] = {"model": "gpt-5.5", "messages": [{"role": "user", "content": "hi"}], "n": n}
    if path != CHAT:
        body = {"contents": [{"parts": [{"text": "hi"}]}], "generationConfig": {"candidateCount": n}}
    return Sent(proxy, "POST", path, [("host", "localhost")], json.dumps({**body, **fields}).encode())


def ask(proxy: Proxy, n: int, path: str = CHAT, **fields: Any) -> Got:
    return asked(proxy, n, path, **fields).to_end()


def begun(text: str) -> Data:
    return Data(sse([ev_created(), ev_message_added(), ev_text_delta(text)]))


def the_rest(text: str) -> Data:
    return Data(sse([ev_text_delta(text), ev_completed()], 3))


def held(first: str, gate: Gate, last: str) -> Answer:
    return [Head(), begun(first), Pause(gate), the_rest(last), End()]


def chunks(body: bytes) -> list[Any]:
    return [json.loads(line[6:]) for line in body.split(b"\n") if line.startswith(b"data: {")]


def texts(body: bytes) -> list[str]:
    """What each choice says, in order of their index."""
    found: dict[int, str] = {}
    for choice in (choice for chunk in chunks(body) for choice in chunk.get("choices", ())):
        found[choice["index"]] = found.get(choice["index"], "") + (choice["delta"].get("content") or "")
    return [found[index] for index in sorted(found)]


def test_a_stream_has_all_choices_as_they_come(start: Start, backend: Backend) -> None:
    """conformance 23: each piece is there while the other answer is silent; one usage, one end, and a loss that tells
    of the calls."""
    one, two = Gate(), Gate()
    backend.queue(held("a", one, "b"), held("c", two, "d"))
    with asked(start(), 2, stream=True, stream_options={"include_usage": True}) as sent:
        body = sent.read_until(b'"c"')
        body += sent.read_until(b'"a"') if b'"a"' not in body else b""
        two.open()
        body += sent.read_until(b'"d"')
        assert b'"b"' not in body and b"[DONE]" not in body
        one.open()
        body += sent.read_until(b"data: [DONE]\n\n")
        assert sent.response.getheader("x-mitmcodex-loss")
    assert sorted(texts(body)) == ["ab", "cd"]
    assert [chunk["usage"]["total_tokens"] for chunk in chunks(body) if chunk["usage"]] == [22]
    assert len(backend.calls) == 2 and len({(chunk["id"], chunk["created"]) for chunk in chunks(body)}) == 1


def test_without_stream_all_choices_are_in_one_object(start: Start, backend: Backend) -> None:
    """In their order, with the usage of all."""
    backend.queue(say("one"), say("two"), say("three"))
    got = ask(start(), 3).json
    assert [choice["index"] for choice in got["choices"]] == [0, 1, 2]
    assert sorted(choice["message"]["content"] for choice in got["choices"]) == ["one", "three", "two"]
    assert got["usage"]["total_tokens"] == 33


@pytest.mark.parametrize("path", [GEMINI, GEMINI_STREAM, GEMINI_STREAM + "?alt=sse"])
def test_gemini_has_candidates(start: Start, backend: Backend, path: str) -> None:
    """``candidateCount`` is Gemini's n; the usage of all is in the last chunk."""
    backend.queue(say("one"), say("two"))
    body = ask(start(), 2, path).body
    told = chunks(body) if "sse" in path else json.loads(body)
    told = told if isinstance(told, list) else [told]
    assert {one["index"] for chunk in told for one in chunk["candidates"]} == {0, 1}
    assert told[-1]["usageMetadata"]["totalTokenCount"] == 22
    assert all(text in body for text in (b"one", b"two"))


@pytest.mark.parametrize("stream", [True, False])
def test_a_failure_before_anything_is_the_answer(start: Start, backend: Backend, stream: bool) -> None:
    """Its status and words; the other call is aborted."""
    backend.queue([Stall()], usage_limit())
    got = ask(start(), 2, stream=stream)
    assert (got.status, got.error["type"]) == (429, "usage_limit_reached")
    sorted(backend.calls, key=lambda call: call.finished.is_set())[0].wait_aborted()


@pytest.mark.parametrize("late", ["refused", "cut"])
def test_a_late_failure_ends_the_stream(start: Start, backend: Backend, late: str) -> None:
    """With an error in the protocol's form after what the others said; the others are aborted."""
    gate = Gate()
    steps = {"refused": [Pause(gate), *usage_limit()], "cut": [Head(), begun("bad"), Pause(gate), Cut()]}
    backend.queue([Head(), begun("good"), Stall()], steps[late])
    with asked(start(), 2, stream=True) as sent:
        body = sent.read_until(b'"good"')
        gate.open()
        got = sent.to_end()
    assert got.is_whole and (body + got.body).endswith(b"data: [DONE]\n\n")
    assert "error" in chunks(got.body)[-1] and b'"finish_reason":"stop"' not in body + got.body
    sorted(backend.calls, key=lambda call: call.finished.is_set())[0].wait_aborted()


def test_a_client_that_goes_aborts_all_calls(start: Start, backend: Backend) -> None:
    """Also when the first answer is complete already."""
    backend.queue(say("one"), [Head(), begun("two"), Stall()], [Head(), begun("three"), Stall()])
    with asked(start(), 3, stream=True) as sent:
        seen = b""
        while not all(text in seen for text in (b'"one"', b'"two"', b'"three"', b'"finish_reason":"stop"')):
            seen += sent.response.read1(65536)
    for call in backend.calls:
        if not call.finished.is_set():
            call.wait_aborted()
    assert sum(call.is_aborted for call in backend.calls) == 2


def test_each_takes_a_slot(start: Start, backend: Backend) -> None:
    """With one call at a time they come one after the other; what finds no place in the queue is refused."""
    running: list[int] = []

    def script(request: Request) -> Answer:
        running.append(sum(not call.finished.is_set() for call in backend.calls))
        return say("x")

    backend.script(script)
    proxy = start(max_concurrency=1, max_queue=2)
    assert texts(ask(proxy, 3, stream=True).body) == ["x", "x", "x"]
    assert running == [1, 1, 1]
    assert ask(proxy, 4).status == 429


def test_each_is_recorded_alone(start: Start, backend: Backend, tmp_path: Path) -> None:
    """A pair of files for each call, with its own answer."""
    backend.queue(say("one"), say("two"))
    proxy = start(dump_dir=str(tmp_path / "dumps"))
    ask(proxy, 2)
    proxy.wait_idle()
    numbers = {path.name.split("-")[0] for path in (tmp_path / "dumps").rglob("*") if path.is_file()}
    assert len(numbers) == 2


def test_too_many_are_refused(start: Start, backend: Backend) -> None:
    """By each protocol, before any call."""
    proxy = start()
    assert (ask(proxy, 9).status, ask(proxy, 9, GEMINI).status) == (400, 400) and backend.calls == []


def test_a_provider_of_the_same_protocol_takes_n_itself(
    tmp_path: Path, make_service: Callable[[str], Backend], ca: Authority
) -> None:
    """One call, as the client wrote it."""
    service = make_service("chat")
    service.queue(chat_answers.whole(chat_answers.text("one")))
    with Proxy(tmp_path, to_api(service, ca, tmp_path, kind="chat")) as proxy:
        assert ask(proxy, 2).status == 200
    assert [request.json["n"] for request in service.requests] == [2]
