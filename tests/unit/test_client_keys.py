"""Client keys by reference."""

from __future__ import annotations

from pathlib import Path

import pytest

from mitmcodex import client_keys
from mitmcodex.schema import SettingsError
from mitmcodex.upstream.providers import CredentialRef


def test_client_keys_are_read_by_reference(tmp_path: Path) -> None:
    """An unset variable counts as none; a missing or empty file is an error, never an open door."""
    (tmp_path / "key").write_text("from-file\n")
    (tmp_path / "empty").write_text("\n")
    references = [
        CredentialRef("env", "SET"),
        CredentialRef("env", "UNSET"),
        CredentialRef("file", str(tmp_path / "key")),
    ]
    assert client_keys.read(references, {"SET": "from-env"}) == (b"from-env", b"from-file")
    for name in ("missing", "empty"):
        with pytest.raises(SettingsError, match=name):
            client_keys.read([CredentialRef("file", str(tmp_path / name))], {})
