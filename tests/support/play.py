"""One run of a real client that makes many calls, each answered by the case that its prompt names.

    with Stage(folder, "chatgpt", ca, {"text": chatgpt.stream(chatgpt.text("hi"))}) as stage:
        play = stage.python("from google import genai …\ncase('text', lambda prompt: …)")
    assert play.shown["text"] == "hi" and play.sent["text"][0].json["model"] == "gpt-5.5"

A client starts slowly, so that one run serves a module's tests. A script's ``case(name, run)`` calls ``run`` with the
prompt and shows what it returns, or what it raised: ``{"raised", "code", "status", "message"}``. A conversation keeps
its case, as the first name in a request counts.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from support.answers import Answer, Gate, server_error
from support.auth import ACCOUNT_ID, API_KEY, write_login
from support.backend import Backend
from support.clients import Run, Sdk
from support.proxy import Proxy
from support.records import Call, Request
from support.strictness import Strictness
from support.tls import Authority
from support.upstreams import to_api, to_chatgpt

KEY = "k-client"
Turn = Answer | Callable[[Request], Answer]
Cases = dict[str, Turn]

_NAME = re.compile(rb"case:([a-z0-9_]+)")

PYTHON = '''
def case(name, run):
    try:
        value = run("case:" + name)
    except Exception as error:
        code = getattr(error, "status_code", getattr(error, "code", None))
        value = {"raised": type(error).__name__, "code": code, "message": str(error)}
        value["status"] = getattr(error, "status", None)
    show([name, value])
'''

NODE = """
async function run(name, how) {
  let value;
  try {
    value = await how("case:" + name);
  } catch (error) {
    const code = error.status ?? null;
    value = {raised: error.constructor.name, code, message: error.message, status: null};
  }
  show([name, value ?? null]);
}
"""
"""``case`` is a word of the language: here it is ``await run(name, how)``."""


@dataclass(frozen=True, slots=True)
class Play:
    shown: dict[str, Any]
    """What a case returned, or raised."""
    calls: dict[str, list[Call]]
    """What the upstream got, by case; "" holds what names none."""
    violations: list[str]

    def sent(self, case: str) -> list[Any]:
        """The bodies."""
        return [call.request.json for call in self.calls[case]]


def opening(gate: Gate, turn: Turn) -> Turn:
    """A case by which a client opens the gate at which another one waits: it has seen what came before."""

    def opened(request: Request) -> Answer:
        gate.open()
        return turn(request) if callable(turn) else turn

    return opened


class Stage:
    """The proxy between a client and a strict upstream of one kind, for as long as a run lasts."""

    def __init__(self, folder: Path, kind: str, ca: Authority, cases: Cases, **settings: Any) -> None:
        """``settings`` go into the settings file; the client has to show KEY."""
        self._folder, self._kind, self._ca, self._cases, self._settings = folder, kind, ca, cases, settings
        (folder / "client.key").write_text(KEY)
        is_chatgpt = kind == "chatgpt"
        secret = write_login(folder / "auth.json").access_token if is_chatgpt else API_KEY
        strictness = Strictness(kind, secret, ACCOUNT_ID if is_chatgpt else "")
        self.backend = Backend(tls=ca.server_context(), strictness=strictness, name="codex-backend.test")
        self._stack = ExitStack()
        self.proxy: Proxy

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(self.backend)
            self.backend.script(self._answer)
            config = {**self._upstream(), **self._keys(), **self._settings}
            self.proxy = stack.enter_context(Proxy(self._folder, config))
            self._stack = stack.pop_all()
        return self

    def keep_alive(self, silence_s: float) -> None:
        """Sooner than the settings file can say it, which has whole seconds."""
        process = self.proxy.process
        process.settings = replace(process.current, keepalive_s=silence_s)

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _upstream(self) -> dict[str, Any]:
        if self._kind == "chatgpt":
            return to_chatgpt(self.backend, self._ca, self._folder / "auth.json")
        return to_api(self.backend, self._ca, self._folder, self._kind)

    def _keys(self) -> dict[str, Any]:
        return {"client_keys": [{"file": str(self._folder / "client.key")}]}

    def _answer(self, request: Request) -> Answer:
        turn = self._cases.get(_case_of(request), server_error(400))
        return turn(request) if callable(turn) else turn

    def python(self, script: str, *, is_ollama: bool = False, timeout_s: float = 60) -> Play:
        """``is_ollama``: by the Ollama listener."""
        port = self.proxy.ollama_port if is_ollama else self.proxy.port
        run = Sdk(self._folder / "home", f"http://127.0.0.1:{port}", KEY).python(PYTHON + script, timeout_s)
        return self._played(run)

    def node(self, script: str, *, timeout_s: float = 60) -> Play:
        """An ES module: its imports may stand anywhere."""
        run = Sdk(self._folder / "home", self.proxy.url, KEY).node(NODE + script, timeout_s)
        return self._played(run)

    def _played(self, run: Run) -> Play:
        shown = dict(run.shown)
        self.proxy.wait_idle()
        calls: dict[str, list[Call]] = defaultdict(list)
        for call in self.backend.calls:
            calls[_case_of(call.request)].append(call)
        return Play(shown, calls, [*self.backend.violations])


def _case_of(request: Request) -> str:
    found = _NAME.search(request.body)
    return found[1].decode() if found else ""
