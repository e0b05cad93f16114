"""What google-genai never does: streams as an array, a key in the query; and its streams byte by byte."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import chatgpt_answers as chatgpt
from support.answers import Cut, Gate
from support.client import Sent
from support.play import KEY, Stage
from support.tls import Authority


@pytest.fixture
def stage(ca: Authority, tmp_path: Path) -> Iterator[Stage]:
    with Stage(tmp_path, "chatgpt", ca, {}) as stage:
        yield stage


def posting(stage: Stage, query: str) -> Sent:
    body = json.dumps({"contents": [{"parts": [{"text": "hello"}]}]}).encode()
    return Sent(stage.proxy, "POST", f"/v1beta/models/gpt-5.5:streamGenerateContent?{query}", (), body)


def test_an_array_grows(stage: Stage) -> None:
    """conformance 48, 64, seeds S69: without alt=sse a stream is one JSON array, in pieces, spaces in its silences; the
    key may stand in the query."""
    gate = Gate()
    stage.backend.queue(chatgpt.gated(gate))
    stage.keep_alive(0.05)
    with posting(stage, f"key={KEY}") as sent:
        begun = sent.read_until(b'"a"')
        begun += sent.read_until(b" ")
        gate.open()
        whole = json.loads(begun + sent.to_end().body)
        assert sent.response.getheader("content-type") == "application/json; charset=utf-8"
    texts = [chunk["candidates"][0]["content"]["parts"][0]["text"] for chunk in whole]
    assert texts == ["a", "b", ""] and whole[-1]["candidates"][0]["finishReason"] == "STOP"


def test_an_array_that_breaks_is_still_one(stage: Stage) -> None:
    """conformance 64, 70: the error is its last element, and it is closed."""
    stage.backend.queue([*chatgpt.opened(), *chatgpt.said(chatgpt.text("half a word"))[:3], Cut()])
    chunks = posting(stage, f"key={KEY}").to_end().json
    assert chunks[0]["candidates"][0]["content"]["parts"] == [{"text": "half"}]
    assert (chunks[-1]["error"]["code"], chunks[-1]["error"]["status"]) == (503, "UNAVAILABLE")


def test_silence_is_a_blank_line(stage: Stage) -> None:
    """conformance 48: one, and no comment, which kills google-genai."""
    gate = Gate()
    stage.backend.queue(chatgpt.gated(gate))
    stage.keep_alive(0.05)
    with posting(stage, f"alt=sse&key={KEY}") as sent:
        begun = sent.read_until(b"}\n\n\n")
        gate.open()
        lines = (begun + sent.to_end().body).split(b"\n")
    assert {line[:6] for line in lines if line} == {b"data: "}


@pytest.mark.parametrize("query", ["alt=sse&key=wrong", "alt=sse"])
def test_a_wrong_key(stage: Stage, query: str) -> None:
    """conformance 70, seeds S85: refused in Gemini's form, and nothing is posted."""
    answer = posting(stage, query).to_end()
    error = answer.json["error"]
    assert (answer.status, error["code"], error["status"]) == (401, 401, "UNAUTHENTICATED")
    assert stage.backend.calls == []
