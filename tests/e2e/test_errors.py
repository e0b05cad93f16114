"""What each failure of the upstream becomes for its caller: the table of protocol.md 5.6, row by row."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mitmcodex import translate
from mitmcodex.upstream import retry
from support import answers
from support.answers import Answer as Script
from support.answers import Cut, Data, Gate, Head, Pause, Stall, detail, quota, reply, say, stream
from support.auth import Login
from support.backend import Backend
from support.client import CODEX, Answer, Pairs, call, is_codex, post, posted
from support.events import ev_completed, ev_created, ev_failed, ev_message_done, ev_text_delta, sse, text_events
from support.proxy import Proxy
from support.tls import Authority
from support.upstreams import to_chatgpt

StartProxy = Callable[..., Proxy]
each_client = pytest.mark.parametrize("client", [(), CODEX], ids=["other", "codex"])

CREATED = Data(sse([ev_created()]))
OVERLOADED = ev_failed("server_is_overloaded", "Overloaded")


@pytest.fixture(autouse=True)
def _quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "FIRST_DELAY_S", 0.01)
    monkeypatch.setattr(translate, "FIRST_DELAY_S", 0.01)


@pytest.fixture
def start(tmp_path: Path, backend: Backend, ca: Authority, login: Login) -> Iterator[StartProxy]:
    """Starts a proxy for ``backend``; ``provider`` overrides its entry, the rest are settings in force."""
    with ExitStack() as stack:

        def start_proxy(provider: dict[str, Any] | None = None, **settings: Any) -> Proxy:
            config = to_chatgpt(backend, ca, login.path, **(provider or {}))
            proxy = stack.enter_context(Proxy(tmp_path, config))
            # Here, as a file holds whole seconds only.
            proxy.process.settings = replace(proxy.process.current, **settings)
            return proxy

        yield start_proxy


def by_client(client: Pairs, codex: int, other: int) -> int:
    return codex if is_codex(client) else other


def posts(backend: Backend) -> int:
    return len(backend.calls)


# -- nothing reached the upstream -----------------------------------------------------------------


@each_client
def test_a_closed_port_is_a_502_that_names_it(client: Pairs, start: StartProxy) -> None:
    """Nothing was generated: 502 to everyone, with the host in the text."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        base = f"https://codex-backend.test:{bound.getsockname()[1]}/backend-api/codex"
        answer = post(start({"base_url": base}), headers=client)
    assert answer.status == 502 and "codex-backend.test" in answer.error["message"]
    assert answer.error["code"] == "unreachable"


@each_client
def test_a_name_that_does_not_resolve_is_a_502(client: Pairs, start: StartProxy, backend: Backend) -> None:
    """DNS counts as unreachable; .invalid never resolves (RFC 6761)."""
    entry = {"base_url": "https://codex.invalid/backend-api/codex", "resolve": None}
    answer = post(start(entry), headers=client)
    assert (answer.status, answer.error["code"]) == (502, "unreachable")
    assert "codex.invalid" in answer.error["message"]


@each_client
def test_an_unknown_authority_is_a_502(client: Pairs, start: StartProxy, backend: Backend) -> None:
    """A certificate that nobody trusts: no request goes out, the text says what to set."""
    answer = post(start({"ca_file": None}), headers=client)
    assert (answer.status, answer.error["code"]) == (502, "unreachable")
    assert "ca_file" in answer.error["message"]
    assert posts(backend) == 0


# -- silence --------------------------------------------------------------------------------------


@each_client
def test_no_first_byte_is_told_with_the_setting(client: Pairs, start: StartProxy, backend: Backend) -> None:
    """A generation may be running: never a second POST, and no 5xx to Codex, which would make some."""
    backend.queue([Stall()])
    answer = post(start({"first_byte_timeout_s": 1.0}), headers=client)
    assert answer.status == by_client(client, codex=400, other=504)
    assert "first_byte_timeout_s" in answer.error["message"]
    backend.calls[0].wait_aborted()
    assert posts(backend) == 1


@each_client
def test_a_call_beyond_its_whole_time_ends(client: Pairs, start: StartProxy, backend: Backend) -> None:
    """Before the head the status says so and names the setting; the upstream's call is ended."""
    backend.queue([Stall()])
    answer = post(start(request_timeout_s=1.0), headers=client)
    assert answer.status == by_client(client, codex=400, other=504)
    assert "request_timeout_s" in answer.error["message"]
    backend.calls[0].wait_aborted()
    assert posts(backend) == 1


@each_client
def test_a_stream_beyond_its_whole_time_fails(client: Pairs, start: StartProxy, backend: Backend) -> None:
    """After the head the stream ends with response.failed."""
    backend.queue([Head(), Data(sse([ev_created(), ev_text_delta("some")])), Stall()])
    answer = post(start(request_timeout_s=1.0), headers=client)
    assert answer.status == 200 and answer.kinds[-1] == "response.failed"
    assert answer.events[-1]["response"]["error"]["code"] == "request_timeout"
    assert posts(backend) == 1


@each_client
def test_a_silent_upstream_is_kept_alive(client: Pairs, start: StartProxy, backend: Backend) -> None:
    """conformance 48, 82: Codex gets an event with data, which alone resets its timer; others a comment. The silence
    before the first event ends the hold: the head goes out."""
    hold = Gate()
    backend.queue([Head(), CREATED, Pause(hold), *[Data(sse([e], n)) for n, e in enumerate(text_events("x")[1:], 1)]])
    word = b'data: {"type":"keepalive"}' if is_codex(client) else b": keepalive"
    with posted(start(keepalive_s=0.05), client) as sent:
        seen = sent.read_until(word)
        hold.open()
        answer = sent.to_end()
    assert answer.status == 200 and b"response.completed" in answer.body
    assert (b'"keepalive"' in seen) == is_codex(client)
    assert posts(backend) == 1


@each_client
def test_only_streams_of_events_are_kept_alive(client: Pairs, start: StartProxy, backend: Backend) -> None:
    """Whatever else comes slowly has no place for a keep-alive in it."""
    hold = Gate()
    head = Head(200, [("content-type", "application/json")])
    backend.queue([head, Data(b'{"a":'), Pause(hold), Data(b"1}")])
    proxy = start(keepalive_s=0.5)
    with posted(proxy, client, stream=is_codex(client)) as sent:
        sent.read_until(b'{"a":')
        proxy.call(asyncio.sleep(1.1))  # twice the silence after which a stream is kept alive
        hold.open()
        assert sent.to_end().body == b"1}"


# -- the upstream refuses -------------------------------------------------------------------------

REFUSALS = [detail(400, "Unsupported parameter: x"), detail(402, "Payment required"), answers.forbidden()]
REFUSALS += [detail(404, "Not Found")]


@each_client
@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda script: str(script[0].status))
def test_a_plain_4xx_is_not_tried_again(refusal: Script, client: Pairs, start: StartProxy, backend: Backend) -> None:
    """Codex gets status and body as they came, others the same status and words in their own form; one POST."""
    backend.queue(refusal)
    answer = post(start(), headers=client)
    head, data = refusal[0], refusal[1]
    assert isinstance(head, Head) and isinstance(data, Data)
    assert answer.status == head.status and posts(backend) == 1
    if is_codex(client):
        assert answer.body == data.data
    else:
        assert answer.error["message"].encode() in data.data


@each_client
def test_a_rate_limit_keeps_its_meaning(client: Pairs, start: StartProxy, backend: Backend) -> None:
    """429 as it came for Codex; others are told how long to wait."""
    text = "Rate limit reached. Please try again in 1.5s."
    backend.queue(reply(429, {"error": {"message": text, "type": "tokens", "code": "rate_limit_exceeded"}}))
    answer = post(start(), headers=client)
    assert (answer.status, answer.error["message"], posts(backend)) == (429, text, 1)
    assert answer.first("retry-after") == ("" if is_codex(client) else "2")


LIMITS: dict[str, Script] = {
    "429": answers.usage_limit(120),
    "404": reply(
        404, {"error": {"code": "usage_limit_reached", "message": "Limit", "resets_in_seconds": 120}}, quota()
    ),
    "failed": stream([ev_created(), ev_failed("usage_limit_reached", "Limit", resets_at=4102444800)], quota()),
}


@each_client
@pytest.mark.parametrize("form", LIMITS)
def test_a_usage_limit_in_any_form_is_a_429(form: str, client: Pairs, start: StartProxy, backend: Backend) -> None:
    """conformance 40: with the time of the reset; Codex understands it in this form alone, and one POST is enough."""
    backend.queue(LIMITS[form])
    answer = post(start(), headers=client)
    assert answer.status == 429 and posts(backend) == 1
    assert answer.error["type"] == "usage_limit_reached"
    assert "resets_at" in answer.error or "resets_in_seconds" in answer.error
    assert answer.first("x-codex-plan-type") == "plus"
    if not is_codex(client):
        assert int(answer.first("retry-after")) > 60


@each_client
def test_cloudflare_is_named_and_left_alone(client: Pairs, start: StartProxy, backend: Backend) -> None:
    """JSON that names it, never its page; while the pause lasts no further call is made."""
    backend.queue(answers.challenge())
    proxy = start()
    for _ in range(2):
        answer = post(proxy, headers=client)
        assert answer.status == by_client(client, codex=403, other=503)
        assert answer.first("content-type") == "application/json"
        assert "Cloudflare" in answer.error["message"] and b"<html" not in answer.body
    assert posts(backend) == 1


# -- worth another attempt ------------------------------------------------------------------------

CURES: dict[str, Script] = {
    "overloaded": answers.overloaded(),
    "overloaded in the stream": stream([ev_created(), OVERLOADED]),
    "500": answers.server_error(),
    "cut": [Head(), CREATED, Cut()],
    "reset": [Head(), CREATED, Cut("reset")],
    "end without an end": stream([ev_created()]),
}


@each_client
@pytest.mark.parametrize("fault", CURES)
def test_a_passing_fault_is_not_seen(fault: str, client: Pairs, start: StartProxy, backend: Backend) -> None:
    """Nothing meaningful went out yet: one more attempt, and the client gets the whole answer of that one alone."""
    backend.queue(CURES[fault], say("cured"))
    answer = post(start(), headers=client)
    assert answer.status == 200 and answer.is_whole and posts(backend) == 2
    assert answer.kinds.count("response.created") == 1 and answer.kinds[-1] == "response.completed"


@each_client
@pytest.mark.parametrize("form", ["overloaded", "overloaded in the stream"])
def test_an_overload_that_stays_is_a_503(form: str, client: Pairs, start: StartProxy, backend: Backend) -> None:
    """conformance 81: after a bounded number of attempts, with the code that tells Codex not to go on."""
    backend.script(lambda request: CURES[form])
    answer = post(start(), headers=client)
    assert (answer.status, answer.error["code"]) == (503, "server_is_overloaded")
    assert posts(backend) == retry.MAX_ATTEMPTS


@each_client
def test_a_5xx_that_stays_is_passed_on(client: Pairs, start: StartProxy, backend: Backend) -> None:
    """After a bounded number of attempts; as it came for Codex."""
    backend.script(lambda request: answers.server_error())
    answer = post(start(), headers=client)
    assert answer.status == by_client(client, codex=500, other=502)
    assert answer.error["message"] == "The server had an error"
    assert posts(backend) == retry.MAX_ATTEMPTS


def test_a_side_call_is_made_once(start: StartProxy, backend: Backend) -> None:
    """What the CLI's other calls do is not ours to know: a 5xx is passed on, never tried again."""
    backend.script(lambda request: answers.server_error())
    assert call(start(), "POST", "/backend-api/wham/tasks", CODEX, b"{}").status == 500
    assert posts(backend) == 1


FAILURES = [
    ("context_length_exceeded", 400),
    ("invalid_prompt", 400),
    ("insufficient_quota", 429),
    ("server_error", 502),
]


@each_client
@pytest.mark.parametrize(("code", "status"), FAILURES)
def test_a_failure_before_any_output(
    code: str, status: int, client: Pairs, start: StartProxy, backend: Backend
) -> None:
    """Codex reads it inside the 200, as it came; for others the status says it. One POST."""
    script = stream([ev_created(), ev_failed(code, "Because.")])
    backend.queue(script)
    answer = post(start(), headers=client)
    assert posts(backend) == 1
    if is_codex(client):
        assert answer.status == 200
        assert answer.body == b"".join(step.data for step in script if isinstance(step, Data))
    else:
        assert (answer.status, answer.error["code"], answer.error["message"]) == (status, code, "Because.")


# -- cut ------------------------------------------------------------------------------------------


@each_client
def test_a_cut_before_anything_that_stays(client: Pairs, start: StartProxy, backend: Backend) -> None:
    """One retry, then Codex tries again at stream level (200 with response.failed), others get a 502."""
    backend.script(lambda request: [Head(), CREATED, Cut()])
    answer = post(start(), headers=client)
    assert posts(backend) == 2
    if is_codex(client):
        assert answer.status == 200 and answer.kinds[-1] == "response.failed"
        assert answer.events[-1]["response"]["error"]["code"] == "stream_incomplete"
    else:
        assert (answer.status, answer.error["code"]) == (502, "stream_incomplete")


LATE_CUTS: dict[str, Script] = {
    "close": [Cut()],
    "reset": [Cut("reset")],
    "end without an end": [],
}


@each_client
@pytest.mark.parametrize("how", LATE_CUTS)
def test_a_later_cut_never_looks_like_an_end(how: str, client: Pairs, start: StartProxy, backend: Backend) -> None:
    """conformance 81: something went out, so there is no second POST; the stream ends with response.failed,
    stream_incomplete."""
    begun = [Head(), Data(sse([ev_created(), ev_text_delta("some")]))]
    hold = Gate()
    backend.queue([*begun, Pause(hold), *LATE_CUTS[how]])
    with posted(start(), client) as sent:
        seen = sent.read_until(b"some")
        hold.open()
        rest = sent.to_end()
    whole = Answer(rest.status, rest.headers, seen + rest.body, rest.is_whole)
    assert whole.is_whole and whole.kinds == ["response.created", "response.output_text.delta", "response.failed"]
    assert whole.events[-1]["response"]["error"]["code"] == "stream_incomplete"
    numbers = [event["sequence_number"] for event in whole.events]
    assert numbers == sorted(set(numbers)) and posts(backend) == 1


@each_client
def test_without_stream_a_cut_is_tried_again(client: Pairs, start: StartProxy, backend: Backend) -> None:
    """The client has nothing yet, however much came: one more attempt gives it the whole object."""
    backend.queue([Head(), Data(sse([ev_created(), ev_text_delta("some")])), Cut()], say("whole"))
    answer = post(start(), client, stream=False)
    assert answer.status == 200 and posts(backend) == 2
    assert answer.json["output"][0]["content"][0]["text"] == "whole"


@each_client
def test_without_stream_an_empty_answer_is_tried_again(client: Pairs, start: StartProxy, backend: Backend) -> None:
    """Completed with nothing in it: asked for once more; when it stays empty, that is the answer."""
    empty = stream([ev_created(), ev_completed()])
    backend.queue(empty, say("whole"), empty, empty)
    proxy = start()
    first, second = (post(proxy, client, stream=False) for _ in range(2))
    assert first.status == 200 and b"whole" in first.body
    assert second.status == 200 and second.json["output"] == []
    assert posts(backend) == 4


@each_client
def test_without_stream_a_cut_that_stays_is_a_502(client: Pairs, start: StartProxy, backend: Backend) -> None:
    """Never half an object, never a 200 with an empty output."""
    backend.script(lambda request: [Head(), Data(sse([ev_created(), ev_message_done("some")])), Cut()])
    answer = post(start(), client, stream=False)
    assert (answer.status, answer.error["code"], posts(backend)) == (502, "stream_incomplete", 2)


# -- queue ----------------------------------------------------------------------------------------


def waiting(proxy: Proxy, number: int) -> None:
    """Returns when so many calls wait for their turn."""

    async def look() -> None:
        while proxy.process.slots.waiting != number:
            await asyncio.sleep(0.005)

    proxy.call(asyncio.wait_for(look(), 5))


@each_client
def test_more_calls_than_the_queue_takes_are_told_to_wait(client: Pairs, start: StartProxy, backend: Backend) -> None:
    """One runs, one waits, the third gets 429 with retry-after; those that waited are served in their order, and one
    that leaves makes room."""
    proxy = start()
    proxy.process.slots.resize(1, 2)
    hold = Gate()
    backend.queue([Head(), CREATED, Pause(hold)])
    with posted(proxy, client, prompt_cache_key="first") as first, ThreadPoolExecutor(3) as pool:
        backend.wait_for_call(1)
        leaver = posted(proxy, client, prompt_cache_key="leaver")
        waiting(proxy, 1)
        second = pool.submit(post, proxy, client, prompt_cache_key="second")
        waiting(proxy, 2)
        refused = post(proxy, headers=client)
        assert (refused.status, refused.first("retry-after"), refused.error["code"]) == (429, "1", "busy")
        leaver.leave()
        waiting(proxy, 1)
        third = pool.submit(post, proxy, client, prompt_cache_key="third")
        waiting(proxy, 2)
        first.leave()
        hold.open()
        assert [second.result(10).status, third.result(10).status] == [200, 200]
    assert [request.json["prompt_cache_key"] for request in backend.requests] == ["first", "second", "third"]
