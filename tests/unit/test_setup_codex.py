"""The Codex profile file."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from mitmcodex import setup_codex
from mitmcodex.schema import Listen, SettingsError
from mitmcodex.upstream.providers import CredentialRef


def test_the_profile_has_the_form_of_0_169() -> None:
    """model_provider at the top, one table, no WebSocket; env_key only with a client key (protocol.md 8)."""
    profile = tomllib.loads(setup_codex.profile_text(Listen("127.0.0.1", 4711)))
    provider = {
        "name": "mitmcodex",
        "base_url": "http://127.0.0.1:4711/v1",
        "wire_api": "responses",
        "supports_websockets": False,
    }
    assert profile == {"model_provider": "mitmcodex", "model_providers": {"mitmcodex": provider}}
    with_key = tomllib.loads(setup_codex.profile_text(Listen("127.0.0.1", 4711), [CredentialRef("file", "/k")]))
    assert with_key["model_providers"]["mitmcodex"] == {**provider, "env_key": "MITMCODEX_CLIENT_KEY"}


def test_env_key_is_the_variable_of_the_key() -> None:
    """Another variable than the default one is named, also when a file stands before it."""
    keys = [CredentialRef("file", "/k"), CredentialRef("env", "TEAM_KEY")]
    assert '\nenv_key = "TEAM_KEY"\n' in setup_codex.profile_text(Listen(), keys)


@pytest.mark.parametrize(("host", "shown"), [("0.0.0.0", "127.0.0.1"), ("::", "[::1]"), ("::1", "[::1]")])
def test_codex_connects_to_an_address_that_exists(host: str, shown: str) -> None:
    """A listener on all interfaces is reached by loopback."""
    assert f'"http://{shown}:1/v1"' in setup_codex.profile_text(Listen(host, 1))


def test_write_makes_the_file_once(tmp_path: Path) -> None:
    """New: written, with its folder. Same content: said. Different: left as it is, with the difference."""
    path = setup_codex.profile_path(tmp_path / "home", "mitmcodex")
    assert setup_codex.write(path, "a\n").is_new
    assert path.read_text() == "a\n"
    assert setup_codex.write(path, "a\n") == setup_codex.Written(path)
    different = setup_codex.write(path, "b\n")
    assert "-a\n+b\n" in different.difference and not different.is_new
    assert path.read_text() == "a\n"


def test_what_can_not_be_written_is_one_line(tmp_path: Path) -> None:
    """A folder that is a file, a file that is no text: SettingsError."""
    (tmp_path / "file").touch()
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    for path in (tmp_path / "file" / "x.config.toml", tmp_path / "binary"):
        with pytest.raises(SettingsError, match="can't write"):
            setup_codex.write(path, "a\n")


@pytest.mark.parametrize("name", ["", "../x", "a/b", "a b", "-x"])
def test_a_profile_name_is_no_path(tmp_path: Path, name: str) -> None:
    """NAME becomes a file name in CODEX_HOME and nothing else."""
    with pytest.raises(SettingsError, match="--profile takes"):
        setup_codex.profile_path(tmp_path, name)
