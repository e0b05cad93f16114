"""The installation id that the real client makes once per machine: ours, one per ConnectionKey, kept on disk."""

from __future__ import annotations

import uuid
from pathlib import Path

from mitmcodex.state.files import private_folder, write_private


def installation_id(folder: Path, key_name: str) -> str:
    """The id kept in ``folder/installations/key_name``, made when there is none. Raises OSError."""
    path = private_folder(folder / "installations") / key_name
    try:
        return str(uuid.UUID(path.read_text("ascii").strip()))
    except (OSError, ValueError):
        made = str(uuid.uuid4())
        write_private(path, made.encode() + b"\n")
        return made
