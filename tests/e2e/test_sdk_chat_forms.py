"""openai-python and openai-node on Chat Completions at a strict ChatGPT backend: custom tools, legacy functions, n,
what is kept by cutting, silence, citations."""

from __future__ import annotations

from typing import Any

import pytest

from support import chatgpt_answers as chatgpt
from support import openai_chat, openai_forms
from support.answer_parts import PAIR
from support.answers import Answer, Delay, Gate, Pause, Stall
from support.events import ev_item_done
from support.play import Cases, Play, Stage
from support.records import Request
from support.tls import Authority

pytestmark = pytest.mark.clients

SCRIPTS = {
    language: chat.partition(FIRST)[0] + forms
    for language, FIRST, chat, forms in (
        ("python", "def text(prompt):", openai_chat.PYTHON, openai_forms.PYTHON),
        ("node", 'await run("text"', openai_chat.NODE, openai_forms.NODE),
    )
}
"""The words of the first, the calls of the second."""
NOTE = "free ‘text’\nof two lines"
COUNTED = "one two three four five six seven"


def note(request: Request) -> Answer:
    if b"noted" in request.body:
        return chatgpt.stream(chatgpt.text("custom done"))
    item = {"id": "ctc_0", "type": "custom_tool_call", "call_id": "call_n", "name": "note", "input": ""}
    place = {"output_index": 0, "item_id": "ctc_0"}
    deltas = [
        {"type": "response.custom_tool_call_input.delta", **place, "delta": piece} for piece in (NOTE[:7], NOTE[7:])
    ]
    added = {"type": "response.output_item.added", "output_index": 0, "item": item}
    return chatgpt.stream([added, *deltas, ev_item_done({**item, "input": NOTE})])


def weather(request: Request) -> Answer:
    if b"sunny" in request.body:
        return chatgpt.stream(chatgpt.text("legacy done"))
    return chatgpt.stream(chatgpt.calls(PAIR[0]))


def cases() -> Cases:
    gate = Gate()
    page = {"type": "url_citation", "start_index": 2, "end_index": 5, "url": "https://example.test/", "title": "T"}

    def opened(request: Request) -> Answer:
        gate.open()
        return chatgpt.stream(chatgpt.text("opened"))

    stopped = [*chatgpt.opened(), *chatgpt.said(chatgpt.text("one STOP two")), Stall()]
    counted = [*chatgpt.opened(), *chatgpt.said(chatgpt.text(COUNTED)), Stall()]
    head, created = chatgpt.opened()
    words = chatgpt.said(chatgpt.text("here again"))
    return {
        "custom": note,
        "custom_stream": note,
        "legacy": weather,
        "two": chatgpt.stream(chatgpt.text("hi")),
        "two_stream": chatgpt.stream(chatgpt.text("hi")),
        "stop": stopped,
        "stop_stream": stopped,
        "limit": counted,
        "limit_stream": counted,
        "silent": [*chatgpt.opened(), Delay(0.2), *words[:4], Delay(0.2), *words[4:], *chatgpt.ended()],
        "silent_lines": [head, Pause(gate), created, *words, *chatgpt.ended()],
        "open": opened,
        "cited": chatgpt.stream(chatgpt.text("🙂 abc", [page])),
    }


@pytest.fixture(scope="module", params=SCRIPTS)
def play(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, ca: Authority) -> Play:
    with Stage(tmp_path_factory.mktemp("run"), "chatgpt", ca, cases()) as stage:
        stage.keep_alive(0.05)
        return stage.python(SCRIPTS["python"]) if request.param == "python" else stage.node(SCRIPTS["node"])


def items(body: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [item for item in body["input"] if item.get("type") == kind]


def test_the_backend_has_nothing_against_any_request(play: Play) -> None:
    """It knows neither stop nor max_tokens, n or functions."""
    assert play.violations == []


def test_custom_tool(play: Play) -> None:
    """conformance 6: free text in both directions; the result goes back in the family of its call."""
    assert play.shown["custom"] == ["custom", "note", NOTE, "custom done"]
    assert play.shown["custom_stream"] == ["custom", "note", NOTE]
    first, second = play.sent("custom")
    assert [tool["type"] for tool in first["tools"]] == ["custom"]
    assert [(one["call_id"], one["input"]) for one in items(second, "custom_tool_call")] == [("call_n", NOTE)]
    [result] = items(second, "custom_tool_call_output")
    assert (result["call_id"], result["output"]) == ("call_n", "noted")


def test_legacy_functions(play: Play) -> None:
    """conformance 19: the call is a function_call without an id, and its result finds it."""
    assert play.shown["legacy"] == ["weather", {"city": "Zürich"}, "function_call", None, "legacy done"]
    second = play.sent("legacy")[1]
    [call], [result] = items(second, "function_call"), items(second, "function_call_output")
    assert (call["name"], call["call_id"], result["output"]) == ("weather", result["call_id"], "sunny")


def test_two_answers(play: Play) -> None:
    """conformance 8, 23: two exchanges, one answer; what both cost is told once."""
    doubled = [34, 8, 18, 4, 52]
    assert play.shown["two"] == [[[0, "hi", "stop"], [1, "hi", "stop"]], doubled]
    assert play.shown["two_stream"] == [["hi", "hi"], 2, [doubled], 1]
    assert (len(play.calls["two"]), len(play.calls["two_stream"])) == (2, 2)


def test_stop_sequence(play: Play) -> None:
    """conformance 23, seeds S72: kept here; nothing of it is seen, and the upstream is not asked for more."""
    assert play.shown["stop"] == ["one ", "stop"]
    assert play.shown["stop_stream"] == ["one ", ["stop"], None]
    assert [call.is_aborted for name in ("stop", "stop_stream") for call in play.calls[name]] == [True, True]


def test_token_limit(play: Play) -> None:
    """conformance 7, 23, seeds S72: kept here; the usage counts what went out, and the upstream is ended."""
    (text, reason), tokens, has_input = play.shown["limit"]
    assert COUNTED.startswith(text) and text != COUNTED and (reason, tokens, has_input) == ("length", 3, True)
    assert play.shown["limit_stream"] == [text, ["length"], None]
    assert [call.is_aborted for name in ("limit", "limit_stream") for call in play.calls[name]] == [True, True]


def test_silence_is_kept_alive(play: Play) -> None:
    """conformance 39, 48: a comment, before the first event too, which the SDK's reader skips."""
    assert play.shown["silent"] == ["here again", ["stop"], None]
    head = ["text/event-stream; charset=utf-8", "no-cache"]
    assert play.shown["silent_lines"] == [": keepalive", 1, *head]


def test_citation(play: Play) -> None:
    """conformance 15: its place is counted in characters."""
    assert play.shown["cited"] == ["https://example.test/", "abc"]
    assert [tool["type"] for tool in play.sent("cited")[0]["tools"]] == ["web_search"]
