"""What ``mitmcodex setup`` prints and writes, used by the real clients as it stands; a client key is in force."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from mitmcodex import cli
from support.clients import QUIET_CLAUDE, QUIET_OPENCODE, TOOLS, Run, run_child
from support.proxy import Proxy

pytestmark = pytest.mark.clients
KEY = "k-setup-canary"
SAID = "mitmcodex demo"
BIN = TOOLS / "node_modules" / ".bin"


@pytest.fixture
def proxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """The demo, for callers with the key; this process's home is the client's."""
    monkeypatch.setenv("MITMCODEX_CLIENT_KEY", KEY)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    with Proxy(tmp_path, {"upstream": "demo"}) as running:
        yield running


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "home"
    home.mkdir(exist_ok=True)
    (home / ".claude.json").write_text(json.dumps({"hasCompletedOnboarding": True}))
    return home


def written(proxy: Proxy, client: str) -> None:
    assert cli.main(["setup", client, "--write", "--set", f"codex_listen=127.0.0.1:{proxy.port}"]) == 0


def shell_of(proxy: Proxy, client: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The lines for the shell, as they are printed."""
    assert cli.main(["setup", client, "--set", f"codex_listen=127.0.0.1:{proxy.port}"]) == 0
    block = re.search(r"```sh\n(.*?)\n```", capsys.readouterr().out, re.DOTALL)
    assert block
    return block[1].split("\n")


def run(home: Path, command: list[str], **variables: str) -> Run:
    """With the key's variable, and nothing else that names the proxy."""
    return run_child(command, {"MITMCODEX_CLIENT_KEY": KEY, **variables}, home, 90)


def test_claude_code_by_its_file(proxy: Proxy, home: Path) -> None:
    """seeds S336: base URL and key come from its settings file alone, the key by reference."""
    written(proxy, "claude-code")
    done = run(home, [str(BIN / "claude"), "-p", "hello", "--output-format", "json"], **QUIET_CLAUDE)
    assert done.code == 0, done.stdout + done.stderr
    assert SAID in json.loads(done.stdout)["result"]


def test_claude_code_by_the_shell(proxy: Proxy, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """seeds S336: the lines are pasted, and the last one starts it."""
    *lines, start = shell_of(proxy, "claude-code", capsys)
    assert start == "claude"
    script = "\n".join([*lines, f"{BIN}/{start} -p hello --output-format json"])
    done = run(home, ["sh", "-c", script], **QUIET_CLAUDE)
    assert done.code == 0, done.stdout + done.stderr
    assert SAID in json.loads(done.stdout)["result"]


def test_opencode_by_its_file(proxy: Proxy, home: Path) -> None:
    """seeds S353: provider, model and key come from its settings file alone."""
    written(proxy, "opencode")
    done = run(home, [str(BIN / "opencode"), "run", "--format", "json", "hello"], PWD=str(home), **QUIET_OPENCODE)
    assert SAID in "".join(event["part"]["text"] for event in done.shown if event["type"] == "text")


def test_the_sdk_by_the_shell_and_its_code(
    proxy: Proxy, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """seeds S331, S351: the variables and the code, both as they are printed."""
    lines = shell_of(proxy, "openai", capsys)
    assert cli.main(["setup", "openai"]) == 0
    code = re.search(r"```py\n(.*?)```", capsys.readouterr().out, re.DOTALL)
    assert code
    (home / "snippet.py").write_text(code[1])
    done = run(home, ["sh", "-c", "\n".join([*lines, f"{TOOLS}/py/bin/python snippet.py"])])
    assert done.code == 0 and SAID in done.stdout, done.stderr
