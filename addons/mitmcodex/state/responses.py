"""Responses kept for ``previous_response_id``, where the provider keeps none (conformance 33).

One file a response, named by the hash of its id. They hold the conversation, so only their owner may read them.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import re
import threading
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from mitmcodex.state.files import private_folder, write_private
from mitmcodex.wire.shapes import Fields

logger = logging.getLogger(__name__)

_NAME = re.compile(r"[0-9a-f]{64}\.json|\.[0-9a-f]{64}\.json\.\w+")
"""Our files; the second form is what a crash leaves of one that was being written."""


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """What it takes to go on from a response. Nothing of it may change while it is being put."""

    response: Fields
    """The whole Response object, as the client got it."""
    input: list[Fields]
    """Every item that led to it, those of the responses before it included, in canonical form."""
    account: str
    """Tag of the account that paid: encrypted reasoning is of use to that one alone."""
    created_at: float
    """Unix seconds."""


_FIELDS = tuple(field.name for field in fields(StoredResponse))


class ResponseStore:
    """A folder of responses that stays below ``max_bytes`` (0 = no limit) by dropping the oldest written first.

    Files of earlier runs count from the first ``put`` on; other files in the folder are left alone. Nothing here raises
    for what the disk does: what can't be kept or read is a warning.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._lock = threading.Lock()  # the work is done in threads, and tasks of any loop may ask for it
        self._sizes: dict[str, int] | None = None
        """File name → bytes, the oldest first; None until the first ``put``."""

    async def put(self, id: str, record: StoredResponse) -> bool:
        """Keep it in place of an older one with this id.

        False when it is larger than the store, nested deeper than JSON can be written, or the disk refuses.
        """
        return await asyncio.to_thread(self._put, id, record)

    async def get(self, id: str) -> StoredResponse | None:
        """None when it is not held, any more or at all. A file that makes no sense is removed."""
        return await asyncio.to_thread(self._get, id)

    async def delete(self, id: str) -> bool:
        """Whether it was held."""
        return await asyncio.to_thread(self._delete, id)

    def _put(self, id: str, record: StoredResponse) -> bool:
        name = _name(id)
        content = {field: getattr(record, field) for field in _FIELDS}
        try:
            data = json.dumps(content, ensure_ascii=False).encode("utf-8", "surrogatepass")
        except RecursionError:
            return False
        with self._lock:
            try:
                if self._max_bytes and len(data) > self._max_bytes:
                    self._remove(name)  # else the id would lead to an older state
                    return False
                self._make_room(len(data), name)
                write_private(self._folder / name, data)
                sizes = self._known()
                sizes.pop(name, None)
                sizes[name] = len(data)
            except OSError as error:
                logger.warning("a response can't be kept in %s (%s)", self._folder, error.strerror)
                return False
        return True

    def _get(self, id: str) -> StoredResponse | None:
        path = self._folder / _name(id)
        with self._lock:
            try:
                return _record(json.loads(path.read_bytes()))
            except FileNotFoundError:
                return None
            except OSError as error:
                logger.warning("the response in %s can't be read (%s)", path, error.strerror)
                return None
            except (ValueError, RecursionError):
                logger.warning("%s holds no response: it is removed", path)
                self._remove(path.name)
                return None

    def _delete(self, id: str) -> bool:
        with self._lock:
            return self._remove(_name(id))

    def _remove(self, name: str) -> bool:
        """Whether the file was there and is gone."""
        if self._sizes is not None:
            self._sizes.pop(name, None)
        try:
            (self._folder / name).unlink()
        except FileNotFoundError:
            return False
        except OSError as error:
            logger.warning("%s can't be removed (%s)", self._folder / name, error.strerror)
            return False
        return True

    def _make_room(self, needed: int, name: str) -> None:
        """Drop the oldest until ``needed`` bytes fit in under this name."""
        if not self._max_bytes:
            return
        sizes = self._known()
        total = sum(sizes.values()) - sizes.get(name, 0)
        for other in [other for other in sizes if other != name]:
            if total + needed <= self._max_bytes:
                return
            total -= sizes[other]
            self._remove(other)

    def _known(self) -> dict[str, int]:
        if self._sizes is None:
            self._sizes = _found(private_folder(self._folder))
        return self._sizes


def _name(id: str) -> str:
    """Whatever a client sends as an id becomes a harmless file name."""
    return hashlib.sha256(id.encode("utf-8", "surrogatepass")).hexdigest() + ".json"


def _found(folder: Path) -> dict[str, int]:
    """What earlier runs left, by age."""
    found = [(file.stat(), file.name) for file in folder.iterdir() if _NAME.fullmatch(file.name)]
    found.sort(key=lambda entry: (entry[0].st_mtime_ns, entry[1]))
    return {name: status.st_size for status, name in found}


def _record(value: Any) -> StoredResponse:
    """Raises ValueError for what ``put`` would not have written."""
    match value:
        case {"response": dict(response), "input": list(items), "account": str(account), "created_at": float() | int()}:
            if all(isinstance(item, dict) for item in items):
                return StoredResponse(response, items, account, float(value["created_at"]))
    raise ValueError("not a stored response")
