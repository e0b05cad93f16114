"""What is known of a caller (Admission) and of one generation (Exchange).

The stages, egress and the seam meet here and nowhere else: an addon imports no other addon.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from mitmproxy import http

from mitmcodex.upstream.transport import UpstreamHead, UpstreamRequest
from mitmcodex.wire.patch import REMOVE, Changes, set_top_level

if TYPE_CHECKING:
    from mitmcodex.state.credentials import Credential
    from mitmcodex.upstream.fingerprint import Profile
    from mitmcodex.upstream.providers import Provider
    from mitmcodex.upstream.resolution import Resolution
    from mitmcodex.upstream.transport import ConnectionKey
    from mitmcodex.wire.codec import Decoded, Loss, StreamEncoder
    from mitmcodex.wire.errors import WireError
    from mitmcodex.wire.limits import Limiter
    from mitmcodex.wire.restore import Restore
    from mitmcodex.wire.shapes import Fields

Pairs = list[tuple[str, str]]
"""Ordered header pairs as they stand on the wire: order, case and duplicates count."""


@dataclass(slots=True)
class Admission:
    """What the gate knows of the caller of one flow. It holds what was taken off the flow: never serialise it; ``repr``
    shows nothing of it."""

    listener: str = "main"
    """main | ollama | internal (a call of our own, without a client)"""
    protocol: str = "responses"
    """The codec whose form the answers (errors too) take: a key of ``wire.CODECS``."""
    call: str = ""
    """See ``routes.Route``; "" while no route was found."""
    path: str = ""
    """For ``side`` calls what is appended to the base URL less its last segment; else see ``routes.Route``."""
    model: str = ""
    """From the path (Gemini, model lists)."""
    action: str = ""
    """From the path, see ``routes.Route``."""
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


@dataclass(slots=True)
class Canonical:
    """The call in canonical form: Responses JSON for generations, the raw body for all other calls."""

    call: str
    """What is asked of the provider: responses | compact | models | images/generations | images/edits | side."""
    decoded: Decoded
    """With empty fields for calls that are neither generation nor compaction."""
    body: bytes | None
    """The client's bytes where they are canonical, or the provider's own protocol, as they stand; else None."""
    is_native: bool = False
    """Client and provider speak the same other protocol: body and answer pass unread, but for ``model``."""

    @property
    def fields(self) -> Fields:
        return self.decoded.fields

    @property
    def wants_stream(self) -> bool:
        return self.decoded.wants_stream

    def change(self, changes: Changes) -> None:
        """Top-level keys, in the fields and, where they stand for the fields, in the client's bytes."""
        fields = {**self.fields, **changes}
        self.decoded.fields = {key: value for key, value in fields.items() if value is not REMOVE}
        if self.body is not None:
            self.body = set_top_level(self.body, changes)


@dataclass(slots=True, frozen=True)
class Form:
    """What the provider gets, besides the body's bytes."""

    call: str
    fields: Fields
    """The body as JSON; {} where it passes unread."""
    model: str = ""
    """For the path (Gemini)."""
    action: str = ""
    """For the path (Gemini): generateContent …"""
    query: str = ""
    is_lite: bool = False
    """The Lite contract holds (protocol.md 2.3)."""
    restore: Restore | None = None
    """Undoes in the answer what was changed reversibly in the request."""


@dataclass(slots=True)
class Reply:
    """The head that the client gets."""

    status: int
    headers: Pairs
    body: bytes | None = None
    """A complete answer; None while ``exchange.body`` streams it."""
    is_encoded: bool = False
    """``exchange.body`` comes from ``exchange.encoder``, which knows how to say that nothing comes."""
    error: WireError | None = None
    """What a refusal says, for a client whose stream is open already."""


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
    error: WireError | None = None
    """The same, for a leg that can still tell it."""


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
    | leg        | the seam, then fanout                                            |
    | choice     | fanout                                                           |
    | siblings   | fanout                                                           |
    | parsed     | alias                                                            |
    | resolution | alias                                                            |
    | provider   | egress, then alias                                               |
    | canonical  | translate                                                        |
    | losses     | egress (cleared), then alias, translate, fanout, remember, emulate, adapt |
    | encoder    | translate                                                        |
    | history    | remember                                                         |
    | limiter    | emulate                                                          |
    | adapted    | adapt                                                            |
    | form       | adapt                                                            |
    | credential | credentials                                                      |
    | identity   | identity                                                         |
    | request    | identity                                                         |
    | upstream   | egress                                                           |
    | reply      | egress (the upstream's head), then adapt, classify, credentials, translate, enlist |
    | body       | egress (the upstream's bytes), then adapt, classify, emulate, remember, translate |
    | attempt    | egress                                                           |
    | retry      | egress (cleared), then credentials, classify, translate          |
    | is_open    | egress, keepalive                                                |
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
    choice: int = 0
    """Which of a request's ``n`` answers this is."""
    siblings: tuple[Exchange, ...] = ()
    """Of the first of ``n``: the others."""
    parsed: Fields | None = None
    """The client's body as JSON; None where the call is none that has a model."""
    resolution: Resolution | None = None
    provider: Provider | None = None
    losses: list[Loss] = field(default_factory=list)
    canonical: Canonical | None = None
    encoder: StreamEncoder | None = None
    history: list[Fields] | None = None
    """All that leads to an answer which is to be kept, its own request included; None: it is not kept."""
    limiter: Limiter | None = None
    """Ends the answer where the provider was not told to end it."""
    adapted: bytes | None = None
    form: Form | None = None
    credential: Credential | None = None
    identity: WireIdentity | None = None
    request: UpstreamRequest | None = None
    upstream: UpstreamHead | None = None
    reply: Reply | None = None
    body: AsyncIterator[bytes] | None = None
    attempt: int = 0
    retry: Retry | None = None
    is_open: bool = False
    """The head of a stream is out: whatever follows, a failure too, is said by the encoder."""
    committed: bool = False
    """Something meaningful went to the client (or is about to): no further attempt."""
    outcome: str = ""
    """Empty while it runs, then complete | failed | cut | refused | aborted."""
    task: asyncio.Task[None] | None = None

    @property
    def is_codex(self) -> bool:
        return self.admission.is_codex

    @property
    def asked_model(self) -> str:
        """The model's name as the client wrote it, "" when it named none."""
        named = self.admission.model or (self.parsed or {}).get("model")
        return named if isinstance(named, str) else ""

    @property
    def told_model(self) -> str:
        """The model's name as answers tell it: the client's own, whatever it stands for (conformance 2)."""
        return self.asked_model or (self.resolution.model if self.resolution else "")

    @property
    def account_tag(self) -> str:
        """Tells one account's encrypted reasoning from another's; nothing can be read from it."""
        name = self.provider.name if self.provider else ""
        account = self.credential.account if self.credential else ""
        return hashlib.sha256(f"{name}\0{account}".encode()).hexdigest()[:12]

    async def emit(self, payload: Emission) -> None:
        await self.leg.emit(payload)

    def cancel(self) -> None:
        """The client is gone, the flow was killed or the proxy stops: ends the upstream call at once."""
        for exchange in (self, *self.siblings):
            if exchange.task is not None and not exchange.task.done():
                exchange.task.cancel()
