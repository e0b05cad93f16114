"""The driver of the real Codex CLI finds it, keeps it quiet and reads what it prints."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from support import codex
from support.codex import ROOT, Codex, CodexRun, find_codex

FAKE = """#!/bin/sh
env | sort > "$HOME/env.txt"
printf '%s\\n' "$@" > "$HOME/args.txt"
echo '{"type":"item.completed","item":{"type":"agent_message","text":"hi"}}'
echo '{"type":"turn.failed","error":{"message":"broken"}}'
exit 3
"""


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in that writes down how it was called."""
    path = tmp_path / "codex"
    path.write_text(FAKE)
    path.chmod(0o755)
    monkeypatch.setenv("MITMCODEX_CODEX", str(path))
    return path


def test_named_cli_is_the_only_candidate(fake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MITMCODEX_CODEX decides alone: a wrong path is no CLI, not another one."""
    assert find_codex() == fake
    monkeypatch.setenv("MITMCODEX_CODEX", str(fake.with_name("nothing")))
    assert find_codex() is None


def test_run_is_quiet_and_clean(fake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy or key of the person's environment goes in, the home is not below TMPDIR, the output is read."""
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-person")
    home = tmp_path / "home"
    run = Codex(home, "http://127.0.0.1:1/v1", key="k-1").exec("do it", tmp_path / "work", "-i", "x.png")
    variables = dict(line.split("=", 1) for line in (home / "env.txt").read_text().splitlines())
    assert not {"HTTPS_PROXY", "OPENAI_API_KEY"} & variables.keys()
    assert variables["PROXY_KEY"] == "k-1"
    assert not home.is_relative_to(variables["TMPDIR"])
    assert (home / "args.txt").read_text().splitlines()[-2:] == ["--", "do it"]
    assert (run.code, run.said) == (3, ["hi"]) and "broken" in run.errors


@pytest.mark.parametrize("native", [False, True])
def test_config_is_toml_for_the_base_url(fake: Path, tmp_path: Path, native: bool) -> None:
    """The file parses, points every call at the base URL's origin, and uses no WebSocket on a custom provider."""
    home = tmp_path / "home"
    Codex(home, "https://h:1/v1", native=native, extra='service_tier = "fast"').exec("x", tmp_path / "work")
    fields = tomllib.loads((home / "config.toml").read_text())
    assert fields["chatgpt_base_url"] == "https://h:1/backend-api/" and fields["service_tier"] == "fast"
    assert fields["features"] == {"plugins": False, "remote_plugin": False, "apps": False}
    if native:
        assert fields["openai_base_url"] == "https://h:1/v1" and "model_providers" not in fields
    else:
        assert fields["model_providers"]["proxy"]["base_url"] == "https://h:1/v1"
        assert fields["model_providers"]["proxy"]["supports_websockets"] is False


def test_other_lines_are_no_events() -> None:
    """What is printed beside the JSON lines does not break their reading."""
    assert CodexRun(0, 'note\n{"type":"turn.completed"}\n', "").events == [{"type": "turn.completed"}]


def test_without_the_cli_the_run_says_what_it_left_out() -> None:
    """Tests that need the CLI are left out, and one line says so and how to get it."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/e2e/test_codex_direct.py"],
        cwd=ROOT,
        env={**os.environ, "MITMCODEX_CODEX": "/nonexistent/codex"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("Left out")]
    assert len(lines) == 1 and codex.HOW_TO_GET in lines[0]
    assert "deselected" in done.stdout and "passed" not in done.stdout
