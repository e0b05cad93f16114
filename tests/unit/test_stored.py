"""Addon stored: kept responses, read and deleted."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mitmproxy import http
from mitmproxy.test import tflow, tutils

from mitmcodex.exchange import Admission
from mitmcodex.process import Process
from mitmcodex.resources import Resources
from mitmcodex.schema import Settings
from mitmcodex.state.responses import StoredResponse
from mitmcodex.stored import Stored
from mitmcodex.upstream.providers import Provider

KEPT = {"id": "resp_1", "object": "response", "output": []}
ITEM = {"role": "user", "content": "hi"}


class Bench:
    def __init__(self, folder: Path, kind: str = "chatgpt", **settings: Any) -> None:
        held = replace(Settings(state_dir=folder, **settings), provider=Provider("work", kind, "https://u.example/v1"))
        self.process = Process(settings=held)
        self.resources = Resources(self.process)
        self.addon = Stored(self.process, self.resources)
        record = StoredResponse(dict(KEPT), [ITEM], "tag", 1.0)
        assert asyncio.run(self.resources.responses().put("resp_1", record))

    def call(self, method: str = "GET", path: str = "resp_1", **admission: Any) -> http.Response | None:
        flow: http.HTTPFlow = tflow.tflow(req=tutils.treq(method=method.encode()))
        self.process.admissions[flow] = Admission(**{"call": "stored", "path": path, **admission})
        asyncio.run(self.addon.request(flow))
        return flow.response


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def shown(response: http.Response | None) -> tuple[int, dict[str, Any]]:
    assert response is not None
    return response.status_code, json.loads(response.content or b"")


def test_a_kept_response_is_given(bench: Bench) -> None:
    """conformance 33: the object as its client got it."""
    assert shown(bench.call()) == (200, KEPT)


def test_a_deleted_one_is_gone(bench: Bench) -> None:
    """The answer says so, the next one is a 404 in OpenAI's form (conformance 38)."""
    assert shown(bench.call("DELETE")) == (200, {"id": "resp_1", "object": "response", "deleted": True})
    status, body = shown(bench.call())
    assert status == 404 and "resp_1" in body["error"]["message"]


def test_its_input_is_listed(bench: Bench) -> None:
    """A list object; the query is obeyed."""
    status, body = shown(bench.call(action="input_items", query="limit=1&order=asc"))
    assert (status, body["object"], [item["role"] for item in body["data"]]) == (200, "list", ["user"])
    assert shown(bench.call(action="input_items", query="limit=0"))[0] == 400


@pytest.mark.parametrize("call", [{"method": "POST", "action": "cancel"}, {"query": "stream=true"}], ids=str)
def test_what_a_whole_response_has_not_is_refused(bench: Bench, call: dict[str, Any]) -> None:
    """It does not run any more, and is not streamed again."""
    assert shown(bench.call(**call))[0] == 400


@pytest.mark.parametrize("kind", ["openai", "azure", "responses", "demo"])
def test_what_is_not_kept_here_is_asked_of_who_keeps(tmp_path: Path, kind: str) -> None:
    """conformance 33: no answer of ours; a response that is ours is found all the same."""
    bench = Bench(tmp_path, kind)
    assert bench.call(path="resp_2") is None and shown(bench.call())[0] == 200


def test_with_the_store_off_nothing_is_found(tmp_path: Path) -> None:
    """What lies on the disk from before is not told, and the error says why."""
    status, body = shown(Bench(tmp_path, response_store=False).call())
    assert status == 404 and "response_store is off" in body["error"]["message"]


@pytest.mark.parametrize("call", ["", "responses", "count"])
def test_other_calls_are_left_alone(bench: Bench, call: str) -> None:
    """Refused ones, which have no call, too."""
    assert bench.call(call=call) is None
