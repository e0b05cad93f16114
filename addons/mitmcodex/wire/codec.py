"""What a protocol is made of: the two directions of a codec, and what passes between them and the stages.

Canonical form is Responses JSON for requests and whole answers, and the Responses API's event stream, as bytes, for
streams (house.md section 3). decode: a client's form → canonical. encode: canonical → a client's form. Towards a
provider that speaks another protocol the same two words hold from its side: ``Reverse``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from mitmcodex.wire.errors import WireError
from mitmcodex.wire.shapes import Fields


class Loss(NamedTuple):
    """A field that does not go on as it came."""

    path: str
    """As the client wrote it: ``stop``, ``messages[2].name``, ``generationConfig.seed``."""
    what: str
    """dropped | changed | emulated | mapped"""
    why: str
    is_hint: bool = False
    """Without effect on the answer (cache_control, a billing line): ``strict`` lets it pass."""


class Extra(NamedTuple):
    """A request parameter that canonical form has no name for, by a neutral name in ``Decoded.extras``."""

    path: str
    value: Any


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request says besides its body."""

    model: str = ""
    """From the path (Gemini)."""
    action: str = ""
    """From the path (Gemini: generateContent …)."""
    query: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    """The client's headers without credentials, as they came."""

    def header(self, name: str) -> str:
        """The first value of a header (its name in lower case), "" when absent."""
        return next((value for key, value in self.headers if key.lower() == name), "")


@dataclass(slots=True)
class Decoded:
    """A generation in canonical form.

    ``fields`` holds system and developer texts as ``input`` items in their order (role as the client gave it);
    sampling parameters under the Responses API's names (temperature, top_p, max_output_tokens …); reasoning items
    made from a signature of ours carry ``ACCOUNT_KEY``.
    """

    fields: Fields
    wants_stream: bool = False
    losses: list[Loss] = field(default_factory=list)
    stop: tuple[str, ...] = ()
    """Stop sequences, which canonical form has no place for."""
    n: int = 1
    extras: dict[str, Extra] = field(default_factory=dict)
    """seed, top_k, frequency_penalty, presence_penalty, logit_bias …: adapt carries them on or reports them."""
    paths: dict[str, str] = field(default_factory=dict)
    """Canonical top-level key → where the client wrote it, for losses: max_output_tokens → max_tokens."""
    session: str = ""
    """What the body says of the conversation (metadata.user_id, user …), for stable ids (pains.md P2)."""
    reply: Any = None
    """What this codec's encoder needs to know of the request; its own type."""

    def path(self, key: str) -> str:
        return self.paths.get(key, key)


ACCOUNT_KEY = "mitmcodex_account"
"""In a canonical reasoning item: the tag of the account that its encrypted content belongs to. Never leaves us."""

STOP_KEY = "mitmcodex_stop_sequence"
"""In the terminal event's response: the stop sequence at which the stream was cut here. Never leaves us."""


def _nobody() -> str:
    return ""


def _one() -> int:
    return 1


def _by_length(text: str) -> int:
    return (len(text) + 3) // 4


def _no_time() -> int:
    return 0


@dataclass(frozen=True, slots=True)
class ReplyContext:
    """What an encoder knows besides the request. The callables are asked when an answer is there, not before."""

    is_codex: bool = False
    model: str = ""
    """The name that the client asked for; every chunk carries it (conformance 2)."""
    reasoning_out: str = "reasoning_content"
    """reasoning_content | reasoning | think | off, for Chat Completions."""
    choice: int = 0
    """Which of ``n`` parallel answers this is."""
    account: Callable[[], str] = _nobody
    """Tag of the account that pays; binds signatures."""
    input_tokens: Callable[[], int] = _one
    """Estimate of the request's size, for a stream's first event; never 0."""
    count: Callable[[str], int] = _by_length
    """Tokens of a text."""
    now_ns: Callable[[], int] = _no_time
    """Unix time in nanoseconds."""
    new_id: Callable[[], str] = _nobody
    """32 fresh hexadecimal digits."""


class StreamEncoder(Protocol):
    """A sans-IO state machine from a canonical stream to the client's bytes."""

    content_type: str
    """Of the answer's head."""
    is_cut: bool
    """The end that the client saw was made by us: ``finish`` without a terminal event, or ``fail``."""

    def feed(self, data: bytes) -> bytes: ...
    def idle(self) -> bytes:
        """The protocol's keep-alive; b"" where none can be said now."""

    def finish(self) -> bytes:
        """The upstream ended; without a terminal event this says that the answer was cut."""

    def fail(self, error: WireError) -> bytes:
        """The stream broke: says so in the protocol's own way. Works before any ``feed`` too."""


@dataclass(frozen=True, slots=True)
class Codec:
    """A client protocol."""

    name: str
    decode_request: Callable[[Fields, Asked], Decoded]
    """Raises WireError. ``fields`` is the parsed body; it may be kept and changed."""
    encoder: Callable[[Decoded, ReplyContext], StreamEncoder]
    """A new one for each stream."""
    encode_response: Callable[[Fields, Decoded, ReplyContext], Any]
    """A whole canonical response (completed or incomplete) → the client's JSON."""
    is_canonical: bool = False
    """Its requests are canonical as they stand: their bytes can go on."""


class StreamDecoder(Protocol):
    """A sans-IO state machine from a provider's stream to canonical SSE bytes."""

    def feed(self, data: bytes) -> bytes: ...
    def finish(self) -> bytes:
        """The provider's stream ended. Where it ended without its protocol's proper end no terminal event is made:
        who reads the canonical stream sees a cut."""


class Encoded(NamedTuple):
    """A canonical request in a provider's form."""

    fields: Fields
    losses: list[Loss]


@dataclass(frozen=True, slots=True)
class Reverse:
    """The directions of a codec towards a provider that speaks its protocol (kinds chat, messages, gemini)."""

    kind: str
    encode_request: Callable[[Decoded], Encoded]
    """Always a streaming one. ``Decoded.fields`` has its final model, effort and repaired history."""
    decoder: Callable[[Decoded], StreamDecoder]
    decode_response: Callable[[Fields, Decoded], Fields]
    """A provider's whole JSON answer → a canonical response; raises WireError when it is none."""
