"""What transports take and give: what may be read of it, and what may not."""

from __future__ import annotations

import pytest

from mitmcodex.upstream.transport import (
    Blocked,
    Closed,
    ConnectFailed,
    TimedOut,
    TransportError,
    UpstreamHead,
    UpstreamRequest,
)


def test_a_request_shows_no_secret() -> None:
    """Its repr may land in a log: neither headers nor body are in it."""
    shown = repr(UpstreamRequest("POST", "https://u.example/v1", (("authorization", "Bearer canary"),), b"canary"))
    assert "u.example" in shown and "canary" not in shown


def test_the_first_value_of_a_header_counts() -> None:
    """Whatever the case on the wire; "" when there is none."""
    head = UpstreamHead("HTTP/1.1", 200, "OK", (("X-A", "1"), ("x-a", "2")))
    assert (head.first("x-a"), head.first("x-b")) == ("1", "")


@pytest.mark.parametrize("kind", [ConnectFailed, TimedOut, Closed, Blocked])
def test_every_failure_is_a_transport_error(kind: type[TransportError]) -> None:
    """With its message, and whether a head had come."""
    error = kind("why", head_seen=True)
    assert isinstance(error, TransportError) and (str(error), error.message, error.head_seen) == ("why", "why", True)
    assert not kind("why").head_seen
