"""lists.py: model lists in the shape of whoever asks."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from mitmproxy import http
from mitmproxy.test import tflow

from mitmcodex.catalogs import Catalogs
from mitmcodex.exchange import Admission
from mitmcodex.lists import Lists
from mitmcodex.process import Process
from mitmcodex.resources import Resources
from mitmcodex.schema import Naming, Settings
from mitmcodex.upstream.providers import Provider

CHATGPT = Provider("chatgpt", "chatgpt", "https://u.example/codex")
DEMO = Provider("demo", "demo", "http://demo.invalid/v1")


def asked(tmp_path: Path, provider: Provider = CHATGPT, call: str = "listing", **admission: Any) -> http.HTTPFlow:
    settings = Settings(
        provider=provider, state_dir=tmp_path, models_refresh_s=0, naming=Naming(aliases={"mine": "gpt-5.5"})
    )
    process = Process(settings=settings)
    flow: http.HTTPFlow = tflow.tflow()
    process.admissions[flow] = Admission(call=call, **admission)
    asyncio.run(Lists(process, Catalogs(process, Resources(process))).request(flow))
    return flow


def told(flow: http.HTTPFlow, status: int = 200) -> Any:
    assert flow.response is not None and flow.response.status_code == status, flow.response
    assert flow.response.headers["content-type"] == "application/json"
    return json.loads(flow.response.content or b"")


def test_each_protocol_has_its_list(tmp_path: Path) -> None:
    """OpenAI's (seeds S63, S64), Anthropic's and Gemini's (seeds S68, conformance 69), with aliases among the names."""
    openai = told(asked(tmp_path))
    assert openai["object"] == "list"
    assert {"gpt-6.1-sol", "gpt-5.5-high", "mine"} <= {row["id"] for row in openai["data"]}
    messages = told(asked(tmp_path, protocol="messages"))
    assert messages["first_id"] == messages["data"][0]["id"] and messages["data"][0]["type"] == "model"
    gemini = told(asked(tmp_path, protocol="gemini"))
    assert "models/mine" in [row["name"] for row in gemini["models"]]


@pytest.mark.parametrize(
    ("protocol", "key", "value"),
    [("responses", "id", "mine"), ("messages", "id", "mine"), ("gemini", "name", "models/mine")],
)
def test_each_protocol_has_its_entry(tmp_path: Path, protocol: str, key: str, value: str) -> None:
    """One model by its name (conformance 69)."""
    assert told(asked(tmp_path, protocol=protocol, model="mine"))[key] == value


def test_the_catalog_form(tmp_path: Path) -> None:
    """``/v1/models/catalog`` is an array (seeds S66), ``/v1/models/{id}/info`` one entry of it (seeds S67)."""
    rows = told(asked(tmp_path, model="catalog"))
    entry = told(asked(tmp_path, model="gpt-5.5", action="info"))
    assert entry in rows and entry["displayName"] == "GPT-5.5"


@pytest.mark.parametrize(
    ("protocol", "form"),
    [
        ("responses", {"error": {"code": "model_not_found", "param": "model"}}),
        ("messages", {"type": "error", "error": {"type": "not_found_error"}}),
        ("gemini", {"error": {"code": 404, "status": "NOT_FOUND"}}),
    ],
)
@pytest.mark.parametrize("action", ["", "info"])
def test_an_unknown_model_is_told_in_the_protocols_form(
    tmp_path: Path, protocol: str, form: dict[str, Any], action: str
) -> None:
    """404 (seeds S67)."""
    answer = told(asked(tmp_path, protocol=protocol, model="no-such", action=action), 404)
    assert answer["error"].items() >= form["error"].items() and answer.get("type") == form.get("type")


def test_codex_gets_its_shape_where_the_provider_has_none(tmp_path: Path) -> None:
    """With an ETag, which is the same as long as the list is (conformance 83, P48)."""
    flow = asked(tmp_path, DEMO, "models")
    assert [entry["slug"] for entry in told(flow)["models"]] == ["mitmcodex-demo", "mine"]
    again = asked(tmp_path, DEMO, "models")
    assert flow.response is not None and again.response is not None
    assert flow.response.headers["etag"] == again.response.headers["etag"] != ""


def test_codexs_own_list_is_the_backends(tmp_path: Path) -> None:
    """It goes there; so does every other call."""
    for call in ("models", "responses", "side", ""):
        assert asked(tmp_path, call=call).response is None


def test_an_answered_flow_keeps_its_answer(tmp_path: Path) -> None:
    """A refusal of the gate stands; a flow that the gate has not seen gets no answer."""
    process = Process(settings=Settings(state_dir=tmp_path))
    lists = Lists(process, Catalogs(process, Resources(process)))
    flow, unseen = tflow.tflow(), tflow.tflow()
    flow.response = refusal = http.Response.make(403)
    process.admissions[flow] = Admission(call="listing")
    for each in (flow, unseen):
        asyncio.run(lists.request(each))
    assert flow.response is refusal and unseen.response is None
