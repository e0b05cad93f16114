"""The interface between egress and whatever carries a request to a backend.

A transport is made for one ConnectionKey, so that connections, cookies and identities of two accounts never mix.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class ConnectionKey:
    """What pooled connections, cookie jars, session ids, installation ids and cached refusals are kept by."""

    provider: str
    account: str
    """An opaque, non-secret name of the account: never a token."""
    egress_proxy: str
    profile: str
    transport: str


@dataclass(frozen=True, slots=True)
class UpstreamRequest:
    """A request as it goes on the wire: header order, case and duplicates are kept."""

    method: str
    url: str
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    """Not in the repr: it holds the credential."""
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class UpstreamHead:
    """The final response head (no 1xx). ``headers`` are ordered pairs, decoded as latin-1."""

    http_version: str
    """"HTTP/1.1" or "HTTP/2"."""
    status: int
    reason: str
    headers: tuple[tuple[str, str], ...]

    def first(self, name: str) -> str:
        """The first value of a header (name in lower case), "" when absent."""
        return next((value for key, value in self.headers if key.lower() == name), "")


@dataclass(frozen=True, slots=True)
class ConnectTarget:
    """How to reach a provider; part of what a transport is made from."""

    resolve: str = ""
    """Connect to this IP; TLS name, Host and cookies stay the URL's."""
    ca_file: str = ""
    """PEM, added to the system's authorities."""
    http_version: str = "auto"
    """auto | 1.1"""


class TransportError(Exception):
    """The upstream call failed. ``message`` names the host and never holds a credential."""

    def __init__(self, message: str, *, head_seen: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.head_seen = head_seen


class ConnectFailed(TransportError):
    """Nothing reached the upstream: DNS, TCP, TLS, CA."""


class TimedOut(TransportError):
    """No response head within ``first_byte_timeout_s``; a generation may be running."""


class Closed(TransportError):
    """The upstream ended or reset the call before its end."""


class Blocked(TransportError):
    """Cloudflare answered in place of the backend (protocol.md 5.5)."""


class UpstreamCall(Protocol):
    """A running call whose head has arrived."""

    head: UpstreamHead

    async def read(self) -> bytes:
        """All that has arrived since the last read, b"" at the end. Raises TransportError when the call broke."""

    def close(self) -> None:
        """Abort if it still runs (HTTP/2: RST_STREAM, HTTP/1.1: close); idempotent, immediate."""


class Transport(Protocol):
    async def open(self, request: UpstreamRequest, first_byte_timeout_s: float) -> UpstreamCall:
        """Send the request and wait for the response head; 0 = no limit. Cancelling it aborts the call at once."""

    async def aclose(self) -> None:
        """Abort what runs, close the connections."""
