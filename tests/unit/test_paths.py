"""Folders in both layouts, and the user's."""

from __future__ import annotations

from pathlib import Path

import pytest

from mitmcodex import paths
from mitmcodex.schema import SettingsError


def test_our_files_are_there() -> None:
    """Settings, profiles and the script are found from wherever the package was imported."""
    assert paths.default_config().is_file()
    assert [*paths.fingerprints().glob("*.yaml")]
    assert paths.script().name == "main.py" and paths.script().is_file()


def test_in_a_wheel_they_lie_in_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a checkout around it the package holds them itself."""
    package = tmp_path / "lib" / "site-packages" / "mitmcodex"
    monkeypatch.setattr(paths, "PACKAGE", package)
    assert paths.default_config() == package / "_config" / "default.yaml"
    assert paths.fingerprints() == package / "_fingerprints"
    assert paths.script() == package / "_script" / "main.py"


def test_the_users_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """XDG variables count when absolute; CODEX_HOME counts when set; else the usual places below the home."""
    monkeypatch.setenv("HOME", str(tmp_path))
    assert paths.user_config({}) == tmp_path / ".config" / "mitmcodex" / "config.yaml"
    assert paths.state_folder({"XDG_STATE_HOME": "relative"}) == tmp_path / ".local" / "state" / "mitmcodex"
    assert paths.state_folder({"XDG_STATE_HOME": "/s"}) == Path("/s/mitmcodex")
    assert paths.codex_home({}) == tmp_path / ".codex"
    assert paths.codex_home({"CODEX_HOME": "/c"}) == Path("/c")


def test_a_home_that_is_not_there_is_a_fault_of_the_settings() -> None:
    """Path.expanduser() raises RuntimeError, which no caller expects."""
    with pytest.raises(SettingsError, match="home folder"):
        paths.expanded("~no-such-user-here/x")
