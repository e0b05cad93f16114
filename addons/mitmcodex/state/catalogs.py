"""Lists of models as providers sent them, kept on disk between runs: one file per account (seeds S119)."""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import asdict, dataclass
from pathlib import Path

from mitmcodex.state.files import write_private

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StoredCatalog:
    """What one call for the list of models brought."""

    body: str
    """As it came."""
    etag: str
    """"" when none came with it."""
    fetched_at: float
    """Unix seconds."""


async def read(folder: Path, name: str) -> StoredCatalog | None:
    """What is kept under this name; None for nothing, or for a file that makes no sense."""
    return await asyncio.to_thread(_read, _file(folder, name))


async def write(folder: Path, name: str, stored: StoredCatalog) -> None:
    """Replace what is kept. Never raises for what the disk does: then it is kept for this run alone."""
    try:
        await asyncio.to_thread(write_private, _file(folder, name), json.dumps(asdict(stored)).encode())
    except OSError as error:
        log.warning("the list of models can't be kept in %s (%s)", folder, error.strerror)


def _file(folder: Path, name: str) -> Path:
    return folder / "models" / f"{name}.json"


def _read(path: Path) -> StoredCatalog | None:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    match content:
        case {"body": str(body), "etag": str(etag), "fetched_at": float() | int() as fetched_at}:
            return StoredCatalog(body, etag, float(fetched_at))
    return None
