"""The installation id on disk."""

from __future__ import annotations

import stat
import uuid
from pathlib import Path

import pytest

from mitmcodex.state.installations import first_account, installation_id


def test_made_once_and_kept(tmp_path: Path) -> None:
    """conformance 79: the same key has the same id at each start, another key another one, in a file for its owner
    alone."""
    first = installation_id(tmp_path, "a")
    assert uuid.UUID(first).version == 4
    assert installation_id(tmp_path, "a") == first != installation_id(tmp_path, "b")
    assert stat.S_IMODE((tmp_path / "installations" / "a").stat().st_mode) == 0o600


@pytest.mark.parametrize("content", [b"", b"half-an-id", b"\xff\xfe"])
def test_spoiled_file_is_made_anew(content: bytes, tmp_path: Path) -> None:
    """What is no UUID is replaced, and the new id is kept."""
    installation_id(tmp_path, "a")
    (tmp_path / "installations" / "a").write_bytes(content)
    made = installation_id(tmp_path, "a")
    assert uuid.UUID(made) and installation_id(tmp_path, "a") == made


def test_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    """The caller learns of a disk that refuses, and goes on with an id for this run."""
    (tmp_path / "installations").write_text("a file where the folder belongs")
    with pytest.raises(OSError):
        installation_id(tmp_path, "a")


def test_a_clients_id_belongs_to_the_first_account(tmp_path: Path) -> None:
    """conformance 79: whoever comes later, at another start too; each id has its own."""
    assert [first_account(tmp_path, "x", account) for account in ("one", "two", "one")] == ["one"] * 3
    assert first_account(tmp_path, "y\ud800", "two") == "two"
    (file, _) = sorted((tmp_path / "installations").iterdir(), key=lambda path: path.read_text())
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize("content", [b"", b"\xff\xfe"])
def test_a_spoiled_owner_is_set_anew(content: bytes, tmp_path: Path) -> None:
    """By the next account that comes with the id."""
    first_account(tmp_path, "x", "one")
    (file,) = (tmp_path / "installations").iterdir()
    file.write_bytes(content)
    assert first_account(tmp_path, "x", "two") == first_account(tmp_path, "x", "three") == "two"
