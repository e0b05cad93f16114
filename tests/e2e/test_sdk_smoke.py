"""The snippets that people try first with an OpenAI SDK: no more than a base URL and a key (seeds.md section 16)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support import chatgpt_answers as chatgpt
from support.auth import Login
from support.backend import Backend
from support.clients import Sdk
from support.proxy import Proxy
from support.tls import Authority
from support.upstreams import to_chatgpt

pytestmark = pytest.mark.clients
KEY = "k-client"
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


def with_key(tmp_path: Path) -> dict[str, Any]:
    path = tmp_path / "client.key"
    path.write_text(KEY)
    return {"client_keys": [{"file": str(path)}]}


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
