"""The snippets that people try first, as other proxies' documents have them: no more than a base URL and, where one is
set, a key (seeds.md section 16)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support import chatgpt_answers as chatgpt
from support.answers import Gate, Pause
from support.auth import Login
from support.backend import Backend
from support.client import Answer, Sent, call
from support.clients import Sdk
from support.proxy import Proxy
from support.tls import Authority
from support.upstreams import to_chatgpt

CHAT = "/v1/chat/completions"
KEY = "k-client"
JSON = dict[str, Any]
Start = Callable[..., Proxy]


@pytest.fixture
def start(tmp_path: Path, backend: Backend, ca: Authority, login: Login) -> Iterator[Start]:
    proxies: list[Proxy] = []

    def run(**settings: Any) -> Proxy:
        proxies.append(Proxy(tmp_path, {**to_chatgpt(backend, ca, login.path), **settings}))
        return proxies[-1].__enter__()

    backend.script(lambda request: chatgpt.stream(chatgpt.text("proxy-ok")))
    yield run
    for proxy in proxies:
        proxy.__exit__()


def with_key(tmp_path: Path) -> JSON:
    path = tmp_path / "client.key"
    path.write_text(KEY)
    return {"client_keys": [{"file": str(path)}]}


def curl(proxy: Proxy, body: JSON, key: str = "") -> Sent:
    headers = [("host", "localhost"), ("content-type", "application/json")]
    headers += [("authorization", f"Bearer {key}")] if key else []
    return Sent(proxy, "POST", CHAT, headers, json.dumps(body).encode())


def said(answer: Answer) -> str:
    return str(answer.json["choices"][0]["message"]["content"])


def user(text: str) -> list[JSON]:
    return [{"role": "user", "content": text}]


def test_a_name_that_is_no_codex_model_is_answered(start: Start, backend: Backend) -> None:
    """seeds S333: healthz, then gpt-4.1, which the backend can't have: a mapping, told as one, under the asked name."""
    proxy = start()
    assert call(proxy, "GET", "/healthz", [("host", "localhost")]).status == 200
    answer = curl(proxy, {"model": "gpt-4.1", "messages": user("Reply with exactly: proxy-ok")}).to_end()
    assert (answer.status, said(answer), answer.json["model"]) == (200, "proxy-ok", "gpt-4.1")
    assert int(answer.first("x-mitmcodex-loss")) >= 1
    assert backend.requests[0].json["model"] != "gpt-4.1"


def test_a_stream_by_curl(start: Start, backend: Backend, tmp_path: Path) -> None:
    """seeds S334: the first text is there while the backend still speaks; a wrong key is a 401 and no call."""
    gate = Gate()
    events = chatgpt.said(chatgpt.text("Hello world"))
    backend.script(lambda request: [*chatgpt.opened(), *events[:3], Pause(gate), *events[3:], *chatgpt.ended()])
    proxy = start(**with_key(tmp_path))
    body = {"model": "gpt-5.4", "messages": user("Hello"), "stream": True}
    with curl(proxy, body, KEY) as sent:
        assert b"data: " in sent.read_until(b'"Hell')
        gate.open()
        rest = sent.to_end()
    assert rest.status == 200 and rest.body.endswith(b"data: [DONE]\n\n")
    for wrong in ("", "k-other"):
        refused = curl(proxy, body, wrong).to_end()
        assert (refused.status, refused.error["code"]) == (401, "invalid_api_key")
    assert len(backend.calls) == 1


def test_no_model_and_no_key(start: Start, backend: Backend) -> None:
    """seeds S335: on loopback without a key set, and the catalog's default model."""
    answer = curl(start(), {"messages": user("Hello!")}).to_end()
    assert (answer.status, said(answer)) == (200, "proxy-ok")
    assert answer.json["model"] == backend.requests[0].json["model"] != ""


FIRST = {
    "python": """
from openai import OpenAI
answer = OpenAI().chat.completions.create(model="gpt-5.5", messages=[{"role": "user", "content": "Hello"}])
show(answer.choices[0].message.content)
text = ""
given = OpenAI(base_url=os.environ["BASE_URL"] + "/v1", api_key=os.environ["API_KEY"])
for chunk in given.chat.completions.create(model="gpt-5.5", messages=[{"role": "user", "content": "Hi"}], stream=True):
    text += chunk.choices[0].delta.content or ""
show(text)
try:
    OpenAI(api_key="k-other").models.list()
except Exception as error:
    show([type(error).__name__, error.code])
""",
    "node": """
import OpenAI from "openai";
const messages = [{role: "user", content: "Hello"}];
show((await new OpenAI().chat.completions.create({model: "gpt-5.5", messages})).choices[0].message.content);
const given = new OpenAI({baseURL: process.env.BASE_URL + "/v1", apiKey: process.env.API_KEY});
let text = "";
for await (const chunk of await given.chat.completions.create({model: "gpt-5.5", messages, stream: true}))
  text += chunk.choices[0]?.delta?.content ?? "";
show(text);
await new OpenAI({apiKey: "k-other"}).models.list().catch((error) => show([error.constructor.name, error.code]));
""",
}


@pytest.mark.clients
@pytest.mark.parametrize("language", FIRST)
def test_the_first_lines_of_each_sdk(language: str, start: Start, tmp_path: Path) -> None:
    """seeds S331, S350, S351, S352: by the two environment variables or two arguments, whole and as a stream; a wrong
    key is the SDK's own exception."""
    sdk = Sdk(tmp_path / "home", start(**with_key(tmp_path)).url, KEY)
    run = sdk.python(FIRST[language]) if language == "python" else sdk.node(FIRST[language])
    assert run.shown == ["proxy-ok", "proxy-ok", ["AuthenticationError", "invalid_api_key"]]


NAMES: dict[str, tuple[str, str | None, str | None]] = {
    "gpt-5.5": ("gpt-5.5", None, None),
    "gpt-5.5-high": ("gpt-5.5", "high", None),
    "gpt-5.5/low": ("gpt-5.5", "low", None),
    "gpt-5.5-fast": ("gpt-5.5", None, "priority"),
    "gpt-6-sol-medium-fast": ("gpt-6-sol", "medium", "priority"),
}
"""Name → model, effort and tier upstream."""


@pytest.mark.clients
def test_effort_and_tier_by_the_name(start: Start, backend: Backend, tmp_path: Path) -> None:
    """seeds S353: for tools that can only set a model; the answer has the name as it was asked for."""
    script = f"""
from openai import OpenAI
client = OpenAI()
for name in {[*NAMES]}:
    show(client.chat.completions.create(model=name, messages=[{{"role": "user", "content": "Hello"}}]).model)
"""
    run = Sdk(tmp_path / "home", start().url, KEY).python(script)
    assert run.shown == [*NAMES]
    bodies = [request.json for request in backend.requests]
    asked = [(body["model"], body["reasoning"].get("effort"), body.get("service_tier")) for body in bodies]
    assert asked == [*NAMES.values()]
