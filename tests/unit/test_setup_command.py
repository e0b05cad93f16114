"""``mitmcodex setup CLIENT``, through the console script."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mitmcodex import cli, paths

KEY = "canary-key"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("HOME", "CODEX_HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "HOME"))
    monkeypatch.delenv("MITMCODEX_CLIENT_KEY", raising=False)
    return tmp_path / "HOME"


def test_it_prints_and_writes_nothing(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without --write."""
    assert cli.main(["setup", "opencode"]) == 0
    assert '"baseURL": "http://127.0.0.1:8787/v1"' in capsys.readouterr().out
    assert not home.exists()


def test_write_makes_the_file_once(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Written, then held already, then left alone where something else stands."""
    path = home / ".claude" / "settings.json"
    assert cli.main(["setup", "claude-code", "--write"]) == 0
    assert "written" in capsys.readouterr().out
    assert json.loads(path.read_text())["env"]["ANTHROPIC_BASE_URL"] == "http://127.0.0.1:8787"
    assert cli.main(["setup", "claude-code", "--write"]) == 0
    assert "holds it already" in capsys.readouterr().out
    assert cli.main(["setup", "claude-code", "--write", "--set", "codex_listen=127.0.0.1:9"]) == 1
    told = capsys.readouterr()
    assert '+env.ANTHROPIC_BASE_URL: "http://127.0.0.1:9"' in told.out and "left as it is" in told.err


@pytest.mark.parametrize("client", ["claude-code", "claude-vscode", "opencode", "continue", "openai", "cursor"])
def test_a_key_is_never_printed(
    home: Path, client: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Printing, writing, and showing a difference to another key."""
    monkeypatch.setenv("MITMCODEX_CLIENT_KEY", KEY)
    cli.main(["setup", client])
    cli.main(["setup", client, "--write"])
    monkeypatch.setenv("MITMCODEX_CLIENT_KEY", "another")
    cli.main(["setup", client, "--write"])
    told = capsys.readouterr()
    assert KEY not in told.out + told.err and "another" not in told.out


def test_a_file_without_references_holds_the_key(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """seeds S342: readable by its owner alone; where the client can refer to it, the key is in no file."""
    monkeypatch.setenv("MITMCODEX_CLIENT_KEY", KEY)
    for client in ("claude-vscode", "claude-code", "opencode", "continue"):
        assert cli.main(["setup", client, "--write"]) == 0
    holding = [file for file in home.rglob("*") if file.is_file() and KEY in file.read_text()]
    assert [file.name for file in holding] == ["settings.json"]
    assert holding[0].parent.name == "User" and holding[0].stat().st_mode & 0o777 == 0o600


def test_continues_file_is_left_when_it_differs(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """seeds S346: YAML has comments, so it is not merged."""
    path = home / ".continue" / "config.yaml"
    path.parent.mkdir(parents=True)
    path.write_text("name: mine\n")
    assert cli.main(["setup", "continue", "--write"]) == 1
    assert "-name: mine" in capsys.readouterr().out and path.read_text() == "name: mine\n"


def test_a_client_without_a_file_says_so(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line and 1, with the command that helps."""
    assert cli.main(["setup", "cursor", "--write"]) == 1
    assert "mitmcodex setup cursor" in capsys.readouterr().err


def test_a_wrong_name_gets_a_hint(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The nearest one, and all of them."""
    assert cli.main(["setup", "openconde"]) == 1
    assert "Did you mean opencode?" in capsys.readouterr().err


def test_help_names_the_clients(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What can be set up is seen without reading the README."""
    with pytest.raises(SystemExit, match="0"):
        cli.main(["setup", "--help"])
    told = capsys.readouterr().out.replace("\n", " ")
    assert "cherry-studio" in told and "--write" in told


def test_the_texts_travel_with_the_package() -> None:
    """config/ is in the wheel."""
    assert paths.clients().parent == paths.default_config().parent
