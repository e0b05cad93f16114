"""Every codec on one event of 12 MB: an image comes whole in one (seeds S144)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mitmcodex.wire import CODECS
from mitmcodex.wire.codec import Asked, ReplyContext
from mitmcodex.wire.fold import Folder
from mitmcodex.wire.writer import ResponseWriter, usage

IMAGE = "iVBORw0KGgoA" * 1_000_000
CHAT: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "x"}], "stream": True}
REQUESTS: dict[str, tuple[dict[str, Any], str]] = {
    "responses": ({"model": "m", "input": "x", "stream": True}, ""),
    "chat": (CHAT, ""),
    "messages": ({**CHAT, "max_tokens": 9}, ""),
    "gemini": ({"contents": [{"parts": [{"text": "x"}]}]}, "streamGenerateContent"),
    "ollama": ({"model": "m", "prompt": "x", "stream": True}, "generate"),
    "images": ({"prompt": "x"}, "generations"),
}


def drawing() -> bytes:
    writer = ResponseWriter("m", new_id=lambda: "1")
    return writer.item({"type": "image_generation_call", "result": IMAGE}) + writer.completed(usage(1, 1))


@pytest.mark.parametrize("protocol", CODECS)
def test_a_large_image_comes_out_of_every_protocol(protocol: str) -> None:
    """seeds S143, S144: as a stream that is read in pieces, and in a whole answer."""
    codec, (fields, action) = CODECS[protocol], REQUESTS[protocol]
    decoded = codec.decode_request(fields, Asked(action=action))
    encoder, stream = codec.encoder(decoded, ReplyContext(model="m")), drawing()
    sent = [encoder.feed(stream[at : at + 65536]) for at in range(0, len(stream), 65536)]
    assert IMAGE.encode() in b"".join([*sent, encoder.finish()]) and not encoder.is_cut
    folder = Folder()
    folder.feed(stream)
    assert IMAGE in json.dumps(codec.encode_response(folder.result(), decoded, ReplyContext(model="m")))
