import os
import stat
from pathlib import Path

import pytest

from mitmcodex.state.files import create_private, private_folder, write_private


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_new_folders_are_private_and_an_existing_one_keeps_its_mode(tmp_path: Path) -> None:
    """Every folder that is made has mode 0700; a folder of the user's is left alone."""
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o755)
    made = private_folder(shared / "a" / "b")
    assert [_mode(path) for path in (made, made.parent, shared)] == [0o700, 0o700, 0o755]
    assert private_folder(shared) == shared


def test_a_written_file_is_private_whatever_stood_there(tmp_path: Path) -> None:
    """The mode is 0600 for a new file, and for one that replaces a readable one."""
    path = tmp_path / "new" / "file.json"
    write_private(path, b"1")
    path.chmod(0o644)
    write_private(path, b"2")
    assert (_mode(path), path.read_bytes(), os.listdir(path.parent)) == (0o600, b"2", ["file.json"])


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the disk refuses, the old content stays and no part is left behind."""
    path = tmp_path / "file.json"
    write_private(path, b"old")

    def refuse(descriptor: int) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError, match="disk full"):
        write_private(path, b"new")
    assert (path.read_bytes(), os.listdir(tmp_path)) == (b"old", ["file.json"])


def test_a_created_file_is_private_and_new(tmp_path: Path) -> None:
    """A file for a stream has mode 0600 and is never one that was there before."""
    path = tmp_path / "dump.json"
    with create_private(path) as file:
        file.write(b"x")
    assert _mode(path) == 0o600
    with pytest.raises(FileExistsError):
        create_private(path)
