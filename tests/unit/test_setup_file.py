"""A client's settings file: what is there stays, what is ours is added."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mitmcodex.schema import SettingsError
from mitmcodex.setup_file import write

OURS = {"env": {"BASE": "http://x"}, "apiKey": "canary"}


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_a_new_file_is_private(tmp_path: Path) -> None:
    """With its folder; the second time it holds it already."""
    path = tmp_path / "home" / "settings.json"
    assert write(path, OURS, holds_key=False).is_new
    assert json.loads(path.read_text()) == OURS and mode(path) == 0o600
    again = write(path, OURS, holds_key=False)
    assert not again.is_new and not again.difference


def test_what_is_there_stays(tmp_path: Path) -> None:
    """Other keys, also beside ours within an object, with their order and their letters."""
    path = tmp_path / "settings.json"
    path.write_text('{"theme": "dünn", "env": {"A": "1"}}')
    path.chmod(0o644)
    assert write(path, OURS, holds_key=False).is_new
    assert json.loads(path.read_text()) == {"theme": "dünn", "env": {"A": "1", "BASE": "http://x"}, "apiKey": "canary"}
    assert "dünn" in path.read_text() and mode(path) == 0o644


def test_a_file_that_gets_a_key_becomes_private(tmp_path: Path) -> None:
    """Others of the machine could read it."""
    path = tmp_path / "settings.json"
    path.write_text("{}")
    path.chmod(0o644)
    assert write(path, OURS, holds_key=True).is_new
    assert mode(path) == 0o600


@pytest.mark.parametrize(
    ("there", "shown"),
    [
        ('{"env": {"BASE": "http://other"}}', '-env.BASE: "http://other"\n+env.BASE: "http://x"\n'),
        ('{"env": "text"}', '-env: "text"\n+env: {"BASE": "http://x"}\n'),
        ('{"apiKey": "canary-of-theirs"}', "-apiKey: …\n+apiKey: …\n"),
    ],
)
def test_what_differs_is_shown_and_left(tmp_path: Path, there: str, shown: str) -> None:
    """Nothing is written at all then, and no key is shown, neither theirs nor ours."""
    path = tmp_path / "settings.json"
    path.write_text(there)
    assert write(path, OURS, holds_key=True).difference == shown
    assert path.read_text() == there


@pytest.mark.parametrize("there", ['// mine\n{"a": 1}', "[]", "", b"\xff"])
def test_what_is_no_plain_json_is_left(tmp_path: Path, there: str | bytes) -> None:
    """VS Code's settings may have comments: they would be lost."""
    path = tmp_path / "settings.json"
    data = there if isinstance(there, bytes) else there.encode()
    path.write_bytes(data)
    with pytest.raises(SettingsError, match="no plain JSON object"):
        write(path, OURS, holds_key=False)
    assert path.read_bytes() == data


def test_what_can_not_be_written_is_one_line(tmp_path: Path) -> None:
    """A folder that is a file: SettingsError."""
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match="can't"):
        write(tmp_path / "file" / "settings.json", OURS, holds_key=False)


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    """Some keep such files in a repository of their own."""
    real, path = tmp_path / "dotfiles.json", tmp_path / "settings.json"
    real.write_text('{"a": 1}')
    path.symlink_to(real)
    write(path, OURS, holds_key=False)
    assert path.is_symlink() and json.loads(real.read_text()) == {"a": 1, **OURS}
