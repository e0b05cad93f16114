"""state/catalogs.py: lists of models on disk."""

from __future__ import annotations

import asyncio
import logging
import stat
from pathlib import Path

import pytest

from mitmcodex.state import catalogs
from mitmcodex.state.catalogs import StoredCatalog

ONE = StoredCatalog('{"models": []}', 'W/"1"', 1_800_000_000.5)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """By its name, in a folder and a file that only their owner may read (seeds S119)."""
    asyncio.run(catalogs.write(tmp_path, "a", ONE))
    assert asyncio.run(catalogs.read(tmp_path, "a")) == ONE
    assert asyncio.run(catalogs.read(tmp_path, "b")) is None
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "models", tmp_path / "models" / "a.json")]
    assert modes == [0o700, 0o600]


@pytest.mark.parametrize("content", [b"", b"\xff", b"[1]", b'{"body": 1, "etag": "", "fetched_at": 1}', b"[" * 99999])
def test_what_makes_no_sense_is_nothing(tmp_path: Path, content: bytes) -> None:
    """Half a file, another shape, a nest of brackets."""
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "a.json").write_bytes(content)
    assert asyncio.run(catalogs.read(tmp_path, "a")) is None


def test_a_disk_that_refuses_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Which names the folder."""
    (tmp_path / "models").write_text("")
    with caplog.at_level(logging.WARNING):
        asyncio.run(catalogs.write(tmp_path, "a", ONE))
    assert str(tmp_path) in caplog.text
