"""What is known of a caller (Admission) and of one generation (Exchange).

The stages, egress and the seam meet here and nowhere else: an addon imports no other addon.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from mitmproxy import http

from mitmcodex.upstream.transport import UpstreamHead, UpstreamRequest

if TYPE_CHECKING:
    from mitmcodex.state.credentials import Credential
    from mitmcodex.upstream.fingerprint import Profile
    from mitmcodex.upstream.providers import Provider
    from mitmcodex.upstream.transport import ConnectionKey
    from mitmcodex.wire import StreamEncoder

Pairs = list[tuple[str, str]]
"""Ordered header pairs as they stand on the wire: order, case and duplicates count."""


@dataclass(slots=True)
class Admission:
    """What the gate knows of the caller of one flow. It holds what was taken off the flow: never serialise it; ``repr``
    shows nothing of it."""

    listener: str = "main"
    protocol: str = "responses"
    """The codec whose form the answers (errors too) take: a key of ``wire.CODECS``."""
    call: str = ""
    """responses | compact | models | side | local; "" while no route was found."""
    path: str = ""
    """For ``side`` calls: what is appended to the base URL less its last segment. Else empty."""
    query: str = field(default="", repr=False)
    """The query without credentials, not decoded, without "?"."""
    is_codex: bool = False
    """house rule: ``originator`` starts with codex or Codex, or the path starts with /backend-api."""
    secrets: Pairs = field(default_factory=list, repr=False)
    """Credentials taken off the flow: (lower-case header name or "?key", value), in the order they came."""
    headers: Pairs = field(default_factory=list, repr=False)
    """The client's other headers, as they came."""
    body: bytes = field(default=b"", repr=False)
    """The body with every content coding removed (secure mode: as it came). ``flow.request`` keeps the coded bytes."""
    is_raw: bool = False
    """Secure mode: nothing is read or translated, ``headers`` holds the client's credentials but authorization too."""


@dataclass(slots=True, frozen=True)
class Loss:
    """A field that could not be carried over as it came."""

    path: str
    what: str
    """dropped | changed"""
    why: str


@dataclass(slots=True)
class Canonical:
    """The call in canonical form: Responses JSON for generations, the raw body for all other calls."""

    call: str
    body: bytes
    fields: dict[str, Any]
    """The parsed body of a generation or a compaction; empty for all other calls."""
    wants_stream: bool
    losses: list[Loss] = field(default_factory=list)


@dataclass(slots=True)
class Reply:
    """The head that the client gets."""

    status: int
    headers: Pairs
    body: bytes | None = None
    """A complete answer; None while ``exchange.body`` streams it."""


@dataclass(slots=True, frozen=True)
class WireIdentity:
    """Who the upstream sees."""

    profile: Profile
    key: ConnectionKey
    installation_id: str


@dataclass(slots=True, frozen=True)
class Retry:
    """Ask egress for one more attempt."""

    reason: str
    delay_s: float = 0.0


@dataclass(slots=True, frozen=True)
class Head:
    status: int
    headers: Pairs


@dataclass(slots=True, frozen=True)
class End:
    pass


@dataclass(slots=True, frozen=True)
class Failed:
    """The answer broke and can't be ended in the client's protocol: its connection (HTTP/2: stream) is cut."""

    message: str


Emission = Head | bytes | End | Failed


class ClientLeg(Protocol):
    """The client's side of an exchange, implemented by the seam (``proxy/``)."""

    def held_open(self) -> AbstractContextManager[None]:
        """While it lasts, silence does not make mitmproxy drop the client."""

    async def emit(self, payload: Emission) -> None:
        """Hand something to the client; returns when there is room for more."""


@dataclass(slots=True, eq=False, repr=False)
class Exchange:
    """One generation (or one other upstream call) for one client.

    | field      | written by                                                       |
    |------------|------------------------------------------------------------------|
    | provider   | egress                                                           |
    | canonical  | translate                                                        |
    | encoder    | translate                                                        |
    | adapted    | adapt                                                            |
    | credential | credentials                                                      |
    | identity   | identity                                                         |
    | request    | identity                                                         |
    | upstream   | egress                                                           |
    | reply      | egress (the upstream's head), then adapt, classify, credentials, translate |
    | body       | egress (the upstream's bytes), then classify, translate          |
    | attempt    | egress                                                           |
    | retry      | egress (cleared), then credentials, classify, translate          |
    | committed  | egress                                                           |
    | outcome    | egress                                                           |
    | task       | egress                                                           |
    | number     | egress                                                           |
    """

    flow: http.HTTPFlow
    admission: Admission
    leg: ClientLeg
    number: int = 0
    """Sequence number in this process, from 1; names dump files."""
    started_at: float = field(default_factory=time.time)
    provider: Provider | None = None
    canonical: Canonical | None = None
    encoder: StreamEncoder | None = None
    adapted: bytes | None = None
    credential: Credential | None = None
    identity: WireIdentity | None = None
    request: UpstreamRequest | None = None
    upstream: UpstreamHead | None = None
    reply: Reply | None = None
    body: AsyncIterator[bytes] | None = None
    attempt: int = 0
    retry: Retry | None = None
    committed: bool = False
    """Something meaningful went to the client (or is about to): no further attempt."""
    outcome: str = ""
    """Empty while it runs, then complete | failed | cut | refused | aborted."""
    task: asyncio.Task[None] | None = None

    @property
    def is_codex(self) -> bool:
        return self.admission.is_codex

    async def emit(self, payload: Emission) -> None:
        await self.leg.emit(payload)

    def cancel(self) -> None:
        """The client is gone, the flow was killed or the proxy stops: ends the upstream call at once."""
        if self.task is not None and not self.task.done():
            self.task.cancel()
