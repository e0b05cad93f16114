"""The console script."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import pytest

from mitmcodex import cli, paths


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No settings, keys or login of the machine."""
    for name in [name for name in os.environ if name.startswith(("MITMCODEX_", "OPENAI_"))]:
        monkeypatch.delenv(name)
    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "CODEX_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    return tmp_path


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, list[str]]]:
    """The programs that would have been started, with their arguments."""
    calls: list[tuple[str, list[str]]] = []

    def stand_in(name: str) -> Any:
        return lambda arguments: calls.append((name, arguments))

    for name in ("mitmdump", "mitmweb", "mitmproxy"):
        monkeypatch.setattr(cli.programs, name, stand_in(name))
    return calls


@pytest.mark.parametrize(
    ("arguments", "program"), [([], "mitmdump"), (["--web"], "mitmweb"), (["--console"], "mitmproxy")]
)
def test_run_starts_the_program_with_our_listener(
    started: list[tuple[str, list[str]]], arguments: list[str], program: str
) -> None:
    """`mitmcodex run` names script and mode, and hands on what it doesn't know."""
    assert cli.main(["run", *arguments, "--set", "codex_listen=127.0.0.1:0", "-q", "--flow-detail", "0"]) == 0
    ((name, given),) = started
    assert name == program
    assert given[:2] == ["-s", str(paths.script())]
    assert given[2] == "--mode" and given[3].startswith("reverse:http://codex.invalid@127.0.0.1:")
    assert given[4:] == ["--set", "codex_listen=127.0.0.1:0", "-q", "--flow-detail", "0"]


def test_run_checks_first(started: list[tuple[str, list[str]]], capsys: pytest.CaptureFixture[str]) -> None:
    """A fault is one line and exit code 1, and nothing was started."""
    assert cli.main(["run", "--set", "codex_lisen=x"]) == 1
    assert capsys.readouterr().err == "mitmcodex: --set: unknown setting codex_lisen: did you mean codex_listen?\n"
    assert started == []


def test_secure_becomes_settings(started: list[tuple[str, list[str]]], tmp_path: Path) -> None:
    """Each flag of the original is one setting; one listener on 127.0.0.1; quiet."""
    flags = ["--http-shutdown", "--upstream-url", "https://u.example/v1/responses?a=b", "--server-info", "i"]
    assert cli.main(["secure", *flags, "--dump-dir", str(tmp_path)]) == 0
    ((name, given),) = started
    assert name == "mitmdump" and given.count("--mode") == 1 and given[-1] == "-q"
    assert {part for part in given if part.startswith("codex_")} == {
        "codex_listen=127.0.0.1:0",
        "codex_secure=true",
        "codex_http_shutdown=true",
        "codex_upstream_url=https://u.example/v1/responses?a=b",
        "codex_server_info=i",
        f"codex_dump_dir={tmp_path}",
    }


def test_secure_warns_of_a_key_in_the_environment(
    started: list[tuple[str, list[str]]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The point of stdin is lost when the key stays in the environment (S17)."""
    monkeypatch.setenv("OPENAI_API_KEY", "canary")
    assert cli.main(["secure"]) == 0
    errors = capsys.readouterr().err
    assert "OPENAI_API_KEY is set in the environment" in errors and "canary" not in errors


@pytest.mark.parametrize("port", ["70000", "-1", "x"])
def test_secure_takes_a_port_number(
    started: list[tuple[str, list[str]]], port: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Wrong usage is exit code 2, as of the real proxy, with what is right, and nothing starts."""
    with pytest.raises(SystemExit, match="2"):
        cli.main(["secure", "--port", port])
    assert started == [] and "a number from 0 to 65535" in capsys.readouterr().err


def test_setup_prints_and_writes(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without --write nothing is written; with it once; a differing file is shown and left, exit code 1."""
    path = home / "CODEX_HOME" / "work.config.toml"
    assert cli.main(["setup", "codex", "--profile", "work"]) == 0
    assert "codex -p work" in capsys.readouterr().out and not path.exists()
    assert cli.main(["setup", "codex", "--profile", "work", "--write"]) == 0
    assert "written" in capsys.readouterr().out and "127.0.0.1:8787/v1" in path.read_text()
    assert cli.main(["setup", "codex", "--profile", "work", "--write"]) == 0
    assert "holds it already" in capsys.readouterr().out
    path.write_text("other\n")
    assert cli.main(["setup", "codex", "--profile", "work", "--write"]) == 1
    assert "-other" in capsys.readouterr().out and path.read_text() == "other\n"


def test_setup_needs_a_fixed_port(capsys: pytest.CaptureFixture[str]) -> None:
    """A profile for port 0 would lead nowhere."""
    assert cli.main(["setup", "codex", "--set", "codex_listen=127.0.0.1:0"]) == 1
    assert "port 0" in capsys.readouterr().err


def test_setup_with_a_client_key(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """env_key stands in the profile when a client key is in force; the key itself nowhere."""
    monkeypatch.setenv("MITMCODEX_CLIENT_KEY", "canary")
    assert cli.main(["setup", "codex"]) == 0
    out = capsys.readouterr().out
    assert 'env_key = "MITMCODEX_CLIENT_KEY"' in out and "canary" not in out


def test_config_show_names_value_and_origin(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every key with where it comes from, every provider with where its credential lies, and no secret."""
    monkeypatch.setenv("MITMCODEX_MAX_QUEUE", "3")
    monkeypatch.setenv("WORK_KEY", "canary-value")
    file = home / "c.yaml"
    file.write_text(
        "upstream: work\nproviders:\n  work: {kind: responses, base_url: 'https://u.example/v1?key=canary-query',"
        " credential: {env: WORK_KEY}, headers: [[X-Key, canary-header]]}\n"
        "ollama: {enabled: true}\naliases: {a: b}\ncustom_models: [own]\nrouting: {m: work}\n"
    )
    assert cli.main(["config", "show", "--set", f"codex_config={file}"]) == 0
    out = capsys.readouterr().out
    assert "max_queue: 3  # environment" in out and "keepalive_s: 15  # default" in out
    assert "provider work (in use): responses at https://u.example/v1" in out and "env: WORK_KEY" in out
    assert "canary" not in out
    assert f"# settings file: {file}" in out and 'ollama: {"enabled": true, "listen": "127.0.0.1:11434"' in out
    assert 'aliases: {"a": "b"}  # file' in out
    assert 'custom_models: ["own"]  # file' in out and 'routing: {"m": "work"}  # file' in out


def test_config_check(capsys: pytest.CaptureFixture[str]) -> None:
    """0 and the upstream when all is right, else 1 and the line."""
    assert cli.main(["config", "check"]) == 0
    assert "Upstream: demo" in capsys.readouterr().out
    assert cli.main(["config", "check", "--set", "codex_upstream=chatgpt"]) == 1
    assert "codex login" in capsys.readouterr().err
    assert cli.main(["config", "check", "--set", "codex_listen=0.0.0.0:8787"]) == 1
    assert "can be reached by others" in capsys.readouterr().err


@pytest.mark.parametrize("argument", ["--options", "--commands", "--version", "-n"])
def test_run_without_a_listener_looks_for_no_port(started: list[tuple[str, list[str]]], argument: str) -> None:
    """`mitmcodex run --options` works beside a proxy that runs."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        listen = f"codex_listen=127.0.0.1:{server.getsockname()[1]}"
        assert cli.main(["run", "--set", listen, argument]) == 0
    assert started == [("mitmdump", ["-s", str(paths.script()), "--set", listen, argument])]


def test_set_of_another_name_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """Where no mitmproxy runs, nobody else would see that `--set listen=…` lacks the prefix."""
    assert cli.main(["config", "check", "--set", "listen=127.0.0.1:1"]) == 1
    assert "settings of mitmcodex only" in capsys.readouterr().err


def test_only_run_takes_further_arguments() -> None:
    """A typo in a flag is an error, not something to ignore."""
    with pytest.raises(SystemExit) as caught:
        cli.main(["config", "check", "--sett", "x"])
    assert caught.value.code == 2
