"""Pure protocol code: standard library only, no I/O. Each client or provider protocol is one line here."""

from __future__ import annotations

from mitmcodex.wire import (
    chat_reply,
    chat_request,
    chat_upstream,
    gemini_reply,
    gemini_request,
    gemini_upstream,
    images_reply,
    images_request,
    messages_reply,
    messages_request,
    messages_upstream,
    messages_whole,
    ollama_reply,
    ollama_request,
    responses_request,
)
from mitmcodex.wire.codec import Codec, Reverse
from mitmcodex.wire.errors import WireError
from mitmcodex.wire.responses_reply import ResponsesEncoder, encode_response

_RESPONSES = Codec(
    "responses", responses_request.decode_request, ResponsesEncoder.for_request, encode_response, is_canonical=True
)
_CODECS: tuple[Codec, ...] = (
    _RESPONSES,
    Codec("chat", chat_request.decode_request, chat_reply.ChatEncoder, chat_reply.encode_response),
    Codec("messages", messages_request.decode_request, messages_reply.MessagesEncoder, messages_whole.encode_response),
    Codec("gemini", gemini_request.decode_request, gemini_reply.GeminiEncoder, gemini_reply.encode_response),
    Codec("images", images_request.decode_request, images_reply.ImagesEncoder, images_reply.encode_response),
    Codec("ollama", ollama_request.decode_request, ollama_reply.OllamaEncoder, ollama_reply.encode_response),
)  # fmt: skip
_REVERSES: tuple[Reverse, ...] = (
    chat_upstream.REVERSE,
    messages_upstream.REVERSE,
    gemini_upstream.REVERSE,
)  # fmt: skip

CODECS = {codec.name: codec for codec in _CODECS}
"""By ``Admission.protocol``."""

REVERSES = {reverse.kind: reverse for reverse in _REVERSES}
"""By ``Provider.kind``; the other kinds speak canonical form."""


def codec_for(name: str) -> Codec:
    """The codec of ``Admission.protocol``. Raises WireError (not_supported) for a protocol that is not built."""
    try:
        return CODECS[name]
    except KeyError:
        raise WireError("not_supported", f"The protocol {name!r} is not supported.") from None
