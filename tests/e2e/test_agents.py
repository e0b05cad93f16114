"""Claude Code and opencode, unmodified, edit a file through the real proxy; strict upstreams see what comes back."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mitmcodex.upstream import retry
from support import chatgpt_answers as chatgpt
from support.answers import Answer, Cut, Data, Delay
from support.auth import API_KEY, Login
from support.backend import Backend
from support.clients import MODEL, Claude, OpenCode
from support.editing import AFTER, BEFORE, DONE, MARKER, ONCE_MORE, STILL, THOUGHT, Editing
from support.events import ev_failed, sse
from support.proxy import Proxy
from support.records import Request
from support.tls import Authority
from support.upstreams import to_api, to_chatgpt

pytestmark = pytest.mark.clients
KEY = "k-client"
PROMPT = "make it blue"
CLAUDE = "claude-sonnet-4-6"
OVERFLOW = ev_failed("context_length_exceeded", "Your input exceeds the context window of this model.")
Start = Callable[..., Proxy]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """The proxy with these settings, for whoever shows KEY."""
    key_file = tmp_path / "client.key"
    key_file.write_text(KEY)
    with ExitStack() as stack:
        yield lambda config: stack.enter_context(Proxy(tmp_path, {**config, "client_keys": [{"file": str(key_file)}]}))


@pytest.fixture
def chatgpt_config(backend: Backend, ca: Authority, login: Login, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setattr(retry, "FIRST_DELAY_S", 0.01)
    return to_chatgpt(backend, ca, login.path)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "work").mkdir()
    file = tmp_path / "work" / "notes.txt"
    file.write_text(f"{BEFORE}\n")
    return file


def claude(proxy: Proxy, tmp_path: Path) -> Claude:
    return Claude(tmp_path / "home", proxy.url, KEY, CLAUDE)


def assert_edited(editing: Editing, upstream: Backend) -> None:
    """The file is changed, and the upstream got what each tool gave."""
    assert editing.path.read_text() == f"{AFTER}\n"
    results = editing.results(upstream.requests[-1])
    assert [*results] == ["call_read", "call_bash", "call_edit"]
    assert BEFORE in results["call_read"]
    assert MARKER in results["call_bash"]
    assert "rror" not in results["call_edit"]


def session_of(request: Request) -> tuple[str, str, str]:
    """What tells the ChatGPT backend that requests are one conversation's."""
    ids = request.json["prompt_cache_key"], request.first("session-id"), request.first("thread-id")
    assert all(ids)
    return ids


# --- Claude Code


def silent(answer: Answer) -> Answer:
    """The answer after a silence behind its first event."""
    return [*answer[:2], Delay(0.4), *answer[2:]]


def test_claude_code_edits_a_file(
    tmp_path: Path, backend: Backend, chatgpt_config: dict[str, Any], file: Path, start: Start
) -> None:
    """conformance 48, 53, 57, pains P1, P2: two tools side by side, then a third, in a strict proxy; a thought is
    shown and comes back as it was; pings fill the silence; all turns, the continued session's too, share their ids."""
    editing, dumps = Editing("chatgpt", file), tmp_path / "dumps"
    backend.script(lambda request: silent(editing(request)))
    proxy = start({**chatgpt_config, "strict": True, "dump_dir": str(dumps)})
    proxy.process.settings = replace(proxy.process.current, keepalive_s=0.1)
    client = claude(proxy, tmp_path)
    *told, end = client.ask(PROMPT, file.parent, "--output-format", "stream-json", "--verbose").shown
    assert (end["result"], end["is_error"]) == (DONE, False)
    assert end["usage"]["output_tokens_details"] == {"thinking_tokens": 3 * chatgpt.USAGE.reasoning}
    shown = [block for event in told if event["type"] == "assistant" for block in event["message"]["content"]]
    assert THOUGHT in [block.get("thinking") for block in shown]
    assert_edited(editing, backend)
    (thought,) = [item for item in backend.requests[1].json["input"] if item["type"] == "reasoning"]
    assert thought["encrypted_content"] == chatgpt.ENCRYPTED
    assert thought["summary"] == [{"type": "summary_text", "text": THOUGHT}]
    (read,) = [item for item in backend.requests[1].json["input"] if item.get("name") == "Read"]
    assert json.loads(read["arguments"]) == {"file_path": str(file)}, "without the empty pages"
    assert b"x-anthropic-billing-header" not in backend.requests[0].body
    assert client.ask(ONCE_MORE, file.parent, "-c").text == STILL
    continued = backend.requests[-1]
    assert [*editing.results(continued)] == ["call_read", "call_bash", "call_edit"]
    assert len({session_of(request) for request in backend.requests}) == 1
    proxy.wait_idle()
    assert any(b"event: ping" in dump.read_bytes() for dump in dumps.rglob("*") if dump.is_file())


def test_claude_code_hears_of_an_overflow(
    tmp_path: Path, backend: Backend, chatgpt_config: dict[str, Any], file: Path, start: Start
) -> None:
    """conformance 49, pains P31: one call, and the words by which it knows an overflow."""
    backend.script(lambda request: chatgpt.broken([], Data(sse([OVERFLOW], 500))))
    run = claude(start(chatgpt_config), tmp_path).ask(PROMPT, file.parent)
    assert (run.result["is_error"], run.text) == (True, "Prompt is too long")
    assert len(backend.requests) == 1


def test_claude_code_goes_on_after_a_cut(
    tmp_path: Path, backend: Backend, chatgpt_config: dict[str, Any], file: Path, start: Start
) -> None:
    """conformance 29, 81, clients.md claude-code: no half answer is taken for a whole one; it asks again without a
    stream, and that is the same conversation."""
    answers = iter([[*chatgpt.opened(), *chatgpt.said(chatgpt.text("half an answer"))[:3], Cut()]])
    backend.script(lambda request: next(answers, chatgpt.stream(chatgpt.text("whole"))))
    run = claude(start(chatgpt_config), tmp_path).ask(PROMPT, file.parent)
    assert (run.text, run.result["is_error"]) == ("whole", False)
    first, second = backend.requests
    assert session_of(first) == session_of(second)
    assert first.json["input"] == second.json["input"]


def test_claude_code_at_a_chat_service(
    tmp_path: Path, ca: Authority, make_service: Callable[[str], Backend], file: Path, start: Start
) -> None:
    """The same loop with a provider of kind chat."""
    service, editing = make_service("chat"), Editing("chat", file)
    service.script(editing)
    run = claude(start(to_api(service, ca, tmp_path, "chat")), tmp_path).ask(PROMPT, file.parent)
    assert (run.text, run.result["is_error"]) == (DONE, False)
    assert_edited(editing, service)


def test_claude_code_at_its_own_service(
    tmp_path: Path, ca: Authority, make_service: Callable[[str], Backend], file: Path, start: Start
) -> None:
    """conformance 61: kind messages gets what the client says, betas and query too, with our key for its own."""
    service, editing = make_service("messages"), Editing("messages", file)
    service.script(editing)
    config = {**to_api(service, ca, tmp_path, "messages"), "strict": True, "aliases": {CLAUDE: "claude-real"}}
    run = claude(start(config), tmp_path).ask(PROMPT, file.parent)
    assert (run.text, run.result["is_error"]) == (DONE, False)
    assert_edited(editing, service)
    for request in service.requests:
        assert (request.query, request.first("x-api-key")) == ("beta=true", API_KEY)
        assert "claude-code" in request.first("anthropic-beta")
        assert request.first("anthropic-version") == "2023-06-01"
        assert request.json["model"] == "claude-real"
        assert b"x-anthropic-billing-header" in request.body, "native: unchanged but for the model"
        assert KEY.encode() not in request.body


# --- opencode


@pytest.mark.parametrize(
    ("npm", "thoughts"),
    [("@ai-sdk/openai-compatible", []), ("@ai-sdk/openai", [chatgpt.ENCRYPTED]), ("@ai-sdk/anthropic", [])],
)
def test_opencode_edits_a_file(
    tmp_path: Path,
    backend: Backend,
    chatgpt_config: dict[str, Any],
    file: Path,
    start: Start,
    npm: str,
    thoughts: list[str],
) -> None:
    """conformance 18, 34, 55, pains P2: by Chat Completions, Responses and Messages: tools run and their results come
    back, with the reasoning where it asks for it; all that it asks is of one conversation."""
    editing = Editing("chatgpt", file)
    backend.script(editing)
    model = CLAUDE if npm == "@ai-sdk/anthropic" else MODEL
    run = OpenCode(tmp_path / "home", start(chatgpt_config).url, KEY, npm, model).ask(PROMPT, file.parent)
    assert run.text == DONE
    assert_edited(editing, backend)
    # By its session header the title is of the conversation too; Responses has a cache key, but not for the title.
    of_one = [request for request in backend.requests if npm != "@ai-sdk/openai" or editing.tools(request)]
    assert len({session_of(request) for request in of_one}) == 1
    items = backend.requests[-1].json["input"]
    assert [item["encrypted_content"] for item in items if item["type"] == "reasoning"] == thoughts


def test_opencode_at_a_chat_service(
    tmp_path: Path, ca: Authority, make_service: Callable[[str], Backend], file: Path, start: Start
) -> None:
    """By Responses to a provider of kind chat."""
    service, editing = make_service("chat"), Editing("chat", file)
    service.script(editing)
    proxy = start(to_api(service, ca, tmp_path, "chat"))
    run = OpenCode(tmp_path / "home", proxy.url, KEY, "@ai-sdk/openai").ask(PROMPT, file.parent)
    assert run.text == DONE
    assert_edited(editing, service)
