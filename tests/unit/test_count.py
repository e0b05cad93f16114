"""Addon count: the tokens of a request, in each protocol's form."""

from __future__ import annotations

import asyncio
import json
import threading
from pathlib import Path
from typing import Any

import pytest
from mitmproxy import http
from mitmproxy.test import tflow

from mitmcodex.count import Count
from mitmcodex.exchange import Admission
from mitmcodex.process import Process
from mitmcodex.resources import Resources
from mitmcodex.schema import Settings
from mitmcodex.state.responses import StoredResponse
from mitmcodex.wire.counting import request_tokens

TEXT = "words " * 50
ASKED: dict[str, dict[str, Any]] = {
    "responses": {"model": "m", "input": TEXT},
    "messages": {"model": "m", "messages": [{"role": "user", "content": TEXT}]},
    "gemini": {"contents": [{"parts": [{"text": TEXT}]}]},
}
REPLIES: dict[str, dict[str, Any]] = {
    "responses": {"object": "response.input_tokens", "input_tokens": 0},
    "messages": {"input_tokens": 0},
    "gemini": {"totalTokens": 0},
}
ACTIONS = {"messages": "count_tokens", "gemini": "countTokens"}


class Bench:
    def __init__(self, folder: Path) -> None:
        self.process = Process(settings=Settings(state_dir=folder))
        self.resources = Resources(self.process)
        self.threads: set[str] = set()
        self.addon = Count(self.process, self.resources, self.count)

    def count(self, text: str) -> int:
        self.threads.add(threading.current_thread().name)
        return len(text)

    def ask(self, body: bytes, protocol: str = "responses", call: str = "count") -> http.Response | None:
        flow: http.HTTPFlow = tflow.tflow()
        action = ACTIONS.get(protocol, "")
        self.process.admissions[flow] = Admission(call=call, protocol=protocol, action=action, model="m", body=body)
        asyncio.run(self.addon.request(flow))
        return flow.response

    def told(self, fields: dict[str, Any], protocol: str = "responses") -> Any:
        response = self.ask(json.dumps(fields).encode(), protocol)
        assert response is not None and response.status_code == 200, response and response.content
        return json.loads(response.content or b"")


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.mark.parametrize("protocol", ASKED)
def test_the_count_has_the_protocols_form(bench: Bench, protocol: str) -> None:
    """conformance 60, 69: the number is that of the canonical request, its tools and texts, whatever protocol it came
    in."""
    told = bench.told(ASKED[protocol], protocol)
    wanted = request_tokens({"input": TEXT}, len)
    assert told == {key: value or wanted for key, value in REPLIES[protocol].items()}


def test_gemini_may_wrap_the_request(bench: Bench) -> None:
    """``generateContentRequest`` counts tools and system text too."""
    wrapped = {"generateContentRequest": {**ASKED["gemini"], "systemInstruction": {"parts": [{"text": TEXT}]}}}
    assert bench.told(wrapped, "gemini")["totalTokens"] > bench.told(ASKED["gemini"], "gemini")["totalTokens"]


def test_a_chain_is_counted_whole(bench: Bench) -> None:
    """What stands behind ``previous_response_id`` is input, too."""
    item = {"role": "user", "content": TEXT}
    record = StoredResponse({"output": [item]}, [item], "tag", 1.0)
    asyncio.run(bench.resources.responses().put("resp_1", record))
    chained = bench.told({**ASKED["responses"], "previous_response_id": "resp_1"})
    assert chained["input_tokens"] == request_tokens({"input": [item, item, item]}, len)


def test_counting_does_not_stop_the_streams_of_others(bench: Bench) -> None:
    """It happens in a thread of its own."""
    bench.told(ASKED["responses"])
    assert bench.threads and threading.main_thread().name not in bench.threads


@pytest.mark.parametrize("protocol", ASKED)
@pytest.mark.parametrize("body", [b"{", b"[]", b'{"input":5,"messages":5,"contents":5}'])
def test_what_is_no_request_is_refused(bench: Bench, protocol: str, body: bytes) -> None:
    """400 in the protocol's form."""
    response = bench.ask(body, protocol)
    assert response is not None and response.status_code == 400
    assert json.loads(response.content or b"")["error"]["message"]


def test_an_unknown_previous_response_is_refused(bench: Bench) -> None:
    """A count without it would be wrong."""
    response = bench.ask(b'{"model":"m","input":"a","previous_response_id":"resp_0"}')
    assert response is not None and response.status_code == 400
    assert json.loads(response.content or b"")["error"]["code"] == "previous_response_not_found"


def test_other_calls_are_left_alone(bench: Bench) -> None:
    """A generation goes to its provider."""
    assert bench.ask(b"{}", call="responses") is None
