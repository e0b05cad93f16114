"""Pure protocol code: standard library only, no I/O. One codec a client protocol, registered here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from mitmcodex.wire.errors import WireError
from mitmcodex.wire.fold import Folder
from mitmcodex.wire.responses_reply import ResponsesEncoder
from mitmcodex.wire.responses_request import Decoded, decode_request


class StreamEncoder(Protocol):
    """A sans-IO state machine from the upstream's bytes to the client's (house.md section 3)."""

    is_cut: bool
    """The end that the client saw was made by us: ``finish`` without a terminal event, or ``fail``."""

    def feed(self, data: bytes) -> bytes: ...
    def idle(self) -> bytes:
        """The protocol's keep-alive; b"" where none can be said now."""

    def finish(self) -> bytes:
        """The upstream ended; without a terminal event this says that the answer was cut."""

    def fail(self, error: WireError) -> bytes:
        """The stream broke: says so in the protocol's own way."""


@dataclass(frozen=True, slots=True)
class Codec:
    """What a client protocol is made of."""

    name: str
    decode_request: Callable[[bytes], Decoded]
    encoder: Callable[[bool, str], StreamEncoder]
    """(is_codex, model) → a new encoder."""
    folder: Callable[[], Folder]


CODECS = {codec.name: codec for codec in (Codec("responses", decode_request, ResponsesEncoder, Folder),)}


def codec_for(name: str) -> Codec:
    """The codec of ``Admission.protocol``. Raises WireError (not_supported) for a protocol that is not built."""
    try:
        return CODECS[name]
    except KeyError:
        raise WireError("not_supported", f"The protocol {name!r} is not supported.") from None
