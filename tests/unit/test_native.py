"""wire/native.py: a stream of the client's own protocol passes as it came, and its end is the truth."""

from __future__ import annotations

import json

import pytest

from mitmcodex.wire.errors import WireError
from mitmcodex.wire.native import ENDS, ERRORS, KEEPALIVES, NativeEncoder

WHOLE = {
    "chat": b'data: {"choices":[{"delta":{"content":"a"}}]}\n\ndata: {"choices":[{"finish_reason": "stop"}]}\n\n',
    "messages": b'event: content_block_delta\ndata: {}\n\nevent: message_stop\ndata: {"type":"message_stop"}\n\n',
    "gemini": b'data: {"candidates":[{}]}\r\n\r\ndata: {"candidates":[{"finishReason":"STOP"}]}\r\n\r\n',
}
each_protocol = pytest.mark.parametrize("protocol", sorted(WHOLE))


def test_every_provider_protocol_has_its_forms() -> None:
    """A protocol that is left out would break in the middle of a stream."""
    assert KEEPALIVES.keys() == ERRORS.keys() == ENDS.keys() == WHOLE.keys()


@each_protocol
def test_bytes_pass_as_they_came(protocol: str) -> None:
    """Cut anywhere, and nothing is added to a stream that came to its end."""
    data = WHOLE[protocol]
    for cut in range(len(data)):
        encoder = NativeEncoder(protocol)
        pieces = (data[:cut], data[cut:])
        assert b"".join([*map(encoder.feed, pieces), encoder.finish()]) == data, cut
        assert not encoder.is_cut


@each_protocol
def test_an_end_without_the_protocols_end_is_told(protocol: str) -> None:
    """A cut stream never looks complete."""
    encoder = NativeEncoder(protocol)
    first = WHOLE[protocol][: len(WHOLE[protocol]) // 3]
    told = encoder.feed(first) + encoder.finish()
    assert told.startswith(first + b"\n\n") and encoder.is_cut
    error = next(line for line in told.splitlines() if b'"error"' in line)
    assert json.loads(error.removeprefix(b"data: "))["error"]["message"]


@each_protocol
def test_a_keepalive_stands_between_events_alone(protocol: str) -> None:
    """conformance 48: in the middle of an event it would break that event."""
    encoder = NativeEncoder(protocol)
    assert encoder.idle() == KEEPALIVES[protocol]
    encoder.feed(WHOLE[protocol][:10])
    assert encoder.idle() == b""
    encoder.feed(WHOLE[protocol][10:])
    assert encoder.idle() == KEEPALIVES[protocol]


@each_protocol
def test_a_break_is_told_in_the_protocols_form(protocol: str) -> None:
    """Before the first byte too."""
    told = NativeEncoder(protocol).fail(WireError("upstream_failed", "it broke"))
    assert b"it broke" in told and told.endswith(b"\n\n")
