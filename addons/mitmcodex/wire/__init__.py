"""Pure protocol code: standard library only, no I/O. Each client protocol and each provider protocol is one line here."""

from __future__ import annotations

from mitmcodex.wire import responses_request
from mitmcodex.wire.codec import Codec, Reverse
from mitmcodex.wire.errors import WireError
from mitmcodex.wire.responses_reply import ResponsesEncoder, encode_response

CODECS: dict[str, Codec] = {
    codec.name: codec
    for codec in (Codec("responses", responses_request.decode_request, ResponsesEncoder.for_request, encode_response),)
}
"""By ``Admission.protocol``."""

REVERSES: dict[str, Reverse] = {reverse.kind: reverse for reverse in ()}
"""By ``Provider.kind``; the other kinds speak canonical form."""


def codec_for(name: str) -> Codec:
    """The codec of ``Admission.protocol``. Raises WireError (not_supported) for a protocol that is not built."""
    try:
        return CODECS[name]
    except KeyError:
        raise WireError("not_supported", f"The protocol {name!r} is not supported.") from None
