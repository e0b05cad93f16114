"""ollama.py: what Ollama says of itself."""

from __future__ import annotations

import asyncio
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from mitmproxy import http
from mitmproxy.test import tflow

from mitmcodex.catalogs import Catalogs
from mitmcodex.exchange import Admission
from mitmcodex.ollama import Ollama
from mitmcodex.process import Process
from mitmcodex.resources import Resources
from mitmcodex.schema import Ollama as OllamaSettings
from mitmcodex.schema import Settings
from mitmcodex.upstream.providers import Provider

CHATGPT = Provider("chatgpt", "chatgpt", "https://u.example/codex")


def asked(folder: Path, action: str, body: bytes = b"", call: str = "ollama", **ollama: Any) -> http.HTTPFlow:
    settings = Settings(
        provider=CHATGPT, state_dir=folder, models_refresh_s=0, list_variants=False, ollama=OllamaSettings(**ollama)
    )
    process = Process(settings=settings)
    flow: http.HTTPFlow = tflow.tflow()
    admission = Admission("ollama", "ollama", call, action=action, body=body)
    process.admissions[flow] = admission
    asyncio.run(Ollama(process, Catalogs(process, Resources(process))).request(flow))
    return flow


def told(flow: http.HTTPFlow, status: int = 200) -> Any:
    assert flow.response is not None and flow.response.status_code == status
    return json.loads(flow.response.content or b"")


def test_version(tmp_path: Path) -> None:
    """Clients want at least 0.6.4 (conformance 71): a current one, or what the settings say (seeds S245)."""
    assert told(asked(tmp_path, "version")) == {"version": "0.18.3"}
    assert told(asked(tmp_path, "version", version="9.9")) == {"version": "9.9"}


def test_tags(tmp_path: Path) -> None:
    """Each model under both names, without a size, with a digest of its id (seeds S246)."""
    models = told(asked(tmp_path, "tags"))["models"]
    first = models[0]
    assert first["name"] == first["model"] == "gpt-6.1-sol"
    assert first["size"] == 0 and first["digest"] == hashlib.sha256(b"gpt-6.1-sol").hexdigest()


def test_show(tmp_path: Path) -> None:
    """Capabilities and context length from the catalog (seeds S247, S248; conformance 71); the older key is taken."""
    for body in (b'{"model": "gpt-5.5"}', b'{"name": "gpt-5.5", "verbose": true}'):
        shown = told(asked(tmp_path, "show", body))
        assert shown["capabilities"] == ["completion", "tools", "vision", "thinking"]
        information = shown["model_info"]
        assert information[f"{information['general.architecture']}.context_length"] == 272000


def test_vision_can_be_hidden(tmp_path: Path) -> None:
    """``disable_vision`` (seeds S248)."""
    shown = told(asked(tmp_path, "show", b'{"model": "gpt-5.5"}', disable_vision=True))
    assert shown["capabilities"] == ["completion", "tools", "thinking"]


@pytest.mark.parametrize(
    ("body", "status", "told_"),
    [
        (b"{}", 400, "Missing model"),
        (b'{"model": 1}', 400, "Missing model"),
        (b"{", 400, "not JSON"),
        (b'{"model": "no-such"}', 404, "no-such"),
    ],
)
def test_faults_of_show_are_texts(tmp_path: Path, body: bytes, status: int, told_: str) -> None:
    """``{"error": "text"}`` (seeds S247, S251; conformance 74)."""
    answer = told(asked(tmp_path, "show", body), status)
    assert [*answer] == ["error"] and told_ in answer["error"]


def test_nothing_is_in_memory(tmp_path: Path) -> None:
    """``/api/ps`` (conformance 71)."""
    assert told(asked(tmp_path, "ps")) == {"models": []}


def test_root(tmp_path: Path) -> None:
    """The text by which tools find it (seeds S255, conformance 74)."""
    flow = asked(tmp_path, "root")
    assert flow.response is not None and flow.response.text == "Ollama is running"
    assert flow.response.headers["content-type"].startswith("text/plain")


def test_other_calls_are_left_alone(tmp_path: Path) -> None:
    """A generation goes to the provider, a list to who makes it."""
    for call in ("responses", "listing", ""):
        assert asked(tmp_path, "chat", call=call).response is None
