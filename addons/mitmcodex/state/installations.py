"""The installation id that the real client makes once per machine: ours, one per ConnectionKey, and to which account a
Codex client's own belongs (conformance 79). Both are kept on disk."""

from __future__ import annotations

import hashlib
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


def first_account(folder: Path, installation: str, account: str) -> str:
    """The account with which a client's own id was first used: ``account`` when it is new. Raises OSError."""
    name = hashlib.sha256(installation.encode("utf-8", "surrogatepass")).hexdigest()[:24]
    path = private_folder(folder / "installations") / f"client-{name}"
    try:
        known = path.read_text("ascii").strip()
    except (FileNotFoundError, ValueError):
        known = ""
    if not known:
        write_private(path, account.encode("ascii", "replace") + b"\n")
    return known or account
