"""Files that only their owner may read. On Windows modes are not set: access follows the folder's rights there."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import BinaryIO


def private_folder(path: Path) -> Path:
    """Make the folder and its missing parents with mode 0700. One that exists keeps its mode: it may be shared."""
    missing = [path, *path.parents]
    for folder in reversed([folder for folder in missing if not folder.exists()]):
        folder.mkdir(mode=0o700, exist_ok=True)
    return path


def create_private(path: Path) -> BinaryIO:
    """A new file of mode 0600, open for writing. Raises FileExistsError: an existing one may be readable by others."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    return os.fdopen(os.open(path, flags, 0o600), "wb")


def write_private(path: Path, data: bytes) -> None:
    """Replace a file as a whole: a reader or a crash sees the old content or the new, never a part. Raises OSError."""
    private_folder(path.parent)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # created with mode 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise
