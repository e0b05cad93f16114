"""What the fake backend saw: connections, requests, and what became of each call. Waiters work from any thread."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

import zstandard

Pairs = list[tuple[str, str]]


class NotSeen(AssertionError):
    """A waiter's time ran out."""


@dataclass(slots=True)
class Connection:
    """One accepted TCP connection."""

    number: int
    opened_at: float
    client_hello_raw: bytes = b""
    client_hello: dict[str, Any] = field(default_factory=dict)
    """Parsed by support.clienthello; empty on plain HTTP."""
    alpn: str = ""
    frames: list[dict[str, Any]] = field(default_factory=list)
    """HTTP/2 frames of the client, in the form of the captures in tests/fixtures/fingerprints."""
    closed: threading.Event = field(default_factory=threading.Event)

    def wait_closed(self, timeout_s: float = 5.0) -> None:
        if not self.closed.wait(timeout_s):
            raise NotSeen(f"connection {self.number} is still open after {timeout_s} s")

    @property
    def akamai(self) -> str:
        """The HTTP/2 fingerprint: settings | window update | priority | order of the pseudo-headers' first letters."""
        settings: list[list[int]] = next((f["settings"] for f in self.frames if f.get("settings")), [])
        window = next((f["increment"] for f in self.frames if f.get("type") == "WindowUpdateFrame"), 0)
        head: dict[str, Any] = next(
            (f for f in self.frames if f.get("type") == "HeadersFrame"), {"flags": [], "headers": []}
        )
        pseudo = ",".join(name[1] for name, _ in head["headers"] if name.startswith(":"))
        priority = int("PRIORITY" in head["flags"])
        return "|".join([";".join(f"{key}:{value}" for key, value in settings), str(window), str(priority), pseudo])


@dataclass(frozen=True, slots=True)
class Request:
    """A whole request; ``headers`` are ordered pairs as on the wire (HTTP/2: with the pseudo-headers)."""

    method: str
    target: str
    headers: Pairs
    raw_body: bytes
    http_version: str
    """HTTP/1.1 | HTTP/2"""
    connection: Connection

    @property
    def path(self) -> str:
        return unquote(urlsplit(self.target).path)

    @property
    def query(self) -> str:
        return urlsplit(self.target).query

    def first(self, name: str) -> str:
        """The first value of a header, "" when absent."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), "")

    def has(self, name: str) -> bool:
        return any(key.lower() == name.lower() for key, _ in self.headers)

    @property
    def body(self) -> bytes:
        """The body with zstd taken off; raises zstandard.ZstdError when it is none."""
        if self.first("content-encoding") != "zstd":
            return self.raw_body
        return zstandard.ZstdDecompressor().decompressobj().decompress(self.raw_body)

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(slots=True, eq=False)
class Call:
    """A request and what became of its answer."""

    request: Request
    arrived_at: float = field(default_factory=time.monotonic)
    accepted_bytes: int = 0
    """Bytes of the answer's body that the socket (HTTP/2: and the client's windows) took."""
    aborted_at: float = 0.0
    """``time.monotonic()`` when the client's reset or close was seen, 0 while it was not."""
    finished: threading.Event = field(default_factory=threading.Event)
    """The answer was played to its end or its cut."""
    _aborted: threading.Event = field(default_factory=threading.Event)

    @property
    def is_aborted(self) -> bool:
        return self._aborted.is_set()

    def note_abort(self) -> None:
        if not self._aborted.is_set():
            self.aborted_at = time.monotonic()
            self._aborted.set()

    def wait_aborted(self, timeout_s: float = 5.0) -> float:
        """When the client went away. Raises NotSeen."""
        if not self._aborted.wait(timeout_s):
            raise NotSeen(f"the client did not abort {self.request.target} within {timeout_s} s")
        return self.aborted_at

    def wait_finished(self, timeout_s: float = 5.0) -> None:
        if not self.finished.wait(timeout_s):
            raise NotSeen(f"the answer to {self.request.target} did not end within {timeout_s} s")
