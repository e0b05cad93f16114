"""Claude Code and opencode run in a tool loop; the runner is clean, ends in time and says what is missing."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from support import chat_answers, clients, messages_answers
from support.answer_parts import ToolCall
from support.answers import Answer, say
from support.backend import Backend
from support.clients import Claude, OpenCode, Sdk, run_child
from support.records import Request
from support.strictness_kinds import body_problems

KEY = "k-client"


@pytest.fixture
def server(make_backend: Callable[..., Backend]) -> Backend:
    """Any client's server: it only records."""
    return make_backend()


def assert_taken(server: Backend) -> None:
    """A strict Messages service has nothing against what the real client sent."""
    assert server.requests
    assert [body_problems("messages", request) for request in server.requests] == [[]] * len(server.requests)


def editing(path: Path) -> Callable[[Request], Answer]:
    """Turns: a title; a file to write and a command to run, side by side; with both results, a word."""

    def turn(request: Request) -> Answer:
        body = request.json
        names = {tool["name"].lower(): tool["name"] for tool in body.get("tools", [])}
        if "write" not in names:
            return messages_answers.stream(messages_answers.text("A title"))
        results = [
            block["tool_use_id"]
            for message in body["messages"]
            for block in message["content"]
            if isinstance(block, dict) and block["type"] == "tool_result"
        ]
        if results == ["call_1", "call_2"]:
            return messages_answers.stream(messages_answers.text("all done"))
        place = "filePath" if names["write"] == "write" else "file_path"
        write = ToolCall("call_1", names["write"], {place: str(path), "content": "edited"})
        shell = ToolCall("call_2", names["bash"], {"command": "echo marker", "description": "says a word"})
        return messages_answers.stream(messages_answers.calls(write, shell))

    return turn


@pytest.mark.clients
def test_claude_code_works_in_a_tool_loop(server: Backend, tmp_path: Path) -> None:
    """It runs both calls of a turn, sends their results and reports the closing text."""
    workdir = tmp_path / "work"
    workdir.mkdir()
    server.script(editing(workdir / "out.txt"))
    run = Claude(tmp_path / "home", server.origin, KEY).ask("write the file", workdir)
    assert (run.code, run.text, run.result["is_error"]) == (0, "all done", False), run.stderr
    assert (workdir / "out.txt").read_text() == "edited"
    assert {request.path for request in server.requests} == {"/v1/messages"}
    assert {request.first("x-api-key") for request in server.requests} == {KEY}
    assert_taken(server)


@pytest.mark.clients
def test_opencode_works_in_a_tool_loop(server: Backend, tmp_path: Path) -> None:
    """It runs both calls of a turn, sends their results and tells of each."""
    workdir = tmp_path / "work"
    server.script(editing(workdir / "out.txt"))
    client = OpenCode(tmp_path / "home", server.origin, KEY, npm="@ai-sdk/anthropic", model="claude-sonnet-4-6")
    run = client.ask("write the file", workdir)
    assert (run.text, [part["tool"] for part in run.tools]) == ("all done", ["write", "bash"])
    assert (workdir / "out.txt").read_text() == "edited"
    assert_taken(server)


@pytest.mark.clients
@pytest.mark.parametrize(
    ("npm", "answer", "path"),
    [
        ("@ai-sdk/openai-compatible", chat_answers.stream(chat_answers.text("hi")), "/v1/chat/completions"),
        ("@ai-sdk/openai", say("hi"), "/v1/responses"),
    ],
)
def test_opencode_speaks_the_protocol_of_its_package(
    server: Backend, tmp_path: Path, npm: str, answer: Answer, path: str
) -> None:
    """The package in opencode.json decides where the calls go."""
    server.script(lambda request: answer)
    run = OpenCode(tmp_path / "home", server.origin, KEY, npm=npm).ask("say hi", tmp_path / "work")
    assert run.text == "hi"
    assert {request.path for request in server.requests} == {path}


# --- the runner itself


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The runner takes the clients for installed: these tests need none of them."""
    monkeypatch.setattr(clients, "STAMP", tmp_path)


def test_missing_clients_fail_the_test_with_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without them every run is an AssertionError that says what to do; nothing is left out in silence."""
    monkeypatch.setattr(clients, "STAMP", tmp_path / "nothing")
    for start in (Sdk(tmp_path, "", "").python, Sdk(tmp_path, "", "").node):
        with pytest.raises(AssertionError, match="make clients"):
            start("")


@pytest.mark.usefixtures("installed")
def test_nothing_of_the_person_goes_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PATH alone is taken over; home and temporary files lie in the test's folder."""
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-person")
    run = run_child([sys.executable, "-c", SHOW_ENVIRONMENT], {"A": "b"}, tmp_path, 30)
    [variables] = run.shown
    assert not {"HTTPS_PROXY", "OPENAI_API_KEY"} & variables.keys()
    assert (variables["A"], variables["HOME"], variables["TMPDIR"]) == ("b", str(tmp_path), str(tmp_path / "tmp"))


SHOW_ENVIRONMENT = "import json, os; print(json.dumps(dict(os.environ)))"
GRANDCHILD = """
import socket, subprocess, sys
peer = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"], pass_fds=[peer.fileno()])
if sys.argv[2] == "wait":
    import signal
    signal.pause()
"""


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("way", ["end", "wait"])
def test_grandchildren_end_with_the_child(tmp_path: Path, way: str) -> None:
    """Whether the child ends or runs out of time: what it started is gone too, and no run waits for it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        command = [sys.executable, "-c", GRANDCHILD, str(listener.getsockname()[1]), way]
        if way == "end":
            assert run_child(command, {}, tmp_path, 30).code == 0
        else:
            with pytest.raises(subprocess.TimeoutExpired):
                run_child(command, {}, tmp_path, 3)
        listener.settimeout(10)
        peer, _ = listener.accept()
        with peer:
            peer.settimeout(10)
            assert peer.recv(1) == b"", "the socket that the grandchild held is still open"


@pytest.mark.usefixtures("installed")
def test_failed_run_shows_its_complaint(tmp_path: Path) -> None:
    """The result of a child that failed is an AssertionError with what it said."""
    run = run_child([sys.executable, "-c", "raise SystemExit('no such model')"], {}, tmp_path, 30)
    with pytest.raises(AssertionError, match="no such model"):
        _ = run.shown
