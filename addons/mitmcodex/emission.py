"""What goes to the client: which of the upstream's headers, in which framing. Pure but for mitmproxy's Request type."""

from __future__ import annotations

from itertools import chain

from mitmproxy import http

from mitmcodex.exchange import Head, Pairs, Reply
from mitmcodex.upstream.transport import UpstreamHead
from mitmcodex.wire.errors import ErrorReply
from mitmcodex.wire.redact import CREDENTIAL_HEADERS

UNBUFFERED = (("cache-control", "no-cache"), ("x-accel-buffering", "no"))
"""conformance 39: what stands between must neither cache nor collect a stream."""

HOP_BY_HOP = {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}
"""The upstream's connection is not the client's: these never pass."""

NEVER_TO_CLIENT = {"set-cookie", "set-cookie2", "alt-svc", *CREDENTIAL_HEADERS}
"""Cookies stay in our jar; a credential that an upstream echoes goes nowhere; alt-svc would lead the client past us."""


LOSS_HEADER = "x-mitmcodex-loss"


def mirrored(head: UpstreamHead, strict: bool) -> Reply:
    """The upstream's head for the client: status, then headers with their order and duplicates.

    ``strict`` is the secure mode, which mirrors all but hop-by-hop headers (seeds S49).
    """
    hidden = HOP_BY_HOP if strict else HOP_BY_HOP | NEVER_TO_CLIENT
    if head.first("transfer-encoding"):
        hidden = hidden | {"content-length"}  # it does not count beside chunks (RFC 9112 6.3), and would in our answer
    return Reply(head.status, [(name, value) for name, value in head.headers if name.lower() not in hidden])


def of_error(error: ErrorReply) -> Reply:
    return Reply(error.status, list(error.headers), error.body)


def without(headers: Pairs, *names: str) -> Pairs:
    return [(name, value) for name, value in headers if name.lower() not in names]


def first(headers: Pairs, name: str) -> str:
    return next((value for key, value in headers if key.lower() == name), "")


def is_event_stream(headers: Pairs) -> bool:
    return first(headers, "content-type").lower().startswith("text/event-stream")


def opening(seen: Reply | None, content_type: str, losses: int) -> Reply:
    """The head of a stream of which nothing has come yet (conformance 39).

    ``seen``: the upstream's head, if it is there: Codex reads its turn state and limits from it.
    """
    kept: Pairs = []
    if seen is not None and seen.status == 200 and is_event_stream(seen.headers):
        kept = without(seen.headers, "content-type", "content-length", *(name for name, _ in UNBUFFERED))
    told = [(LOSS_HEADER, str(losses))] if losses else []
    return Reply(200, [("content-type", content_type), *kept, *UNBUFFERED, *told], is_encoded=True)


def framed(reply: Reply, request: http.Request) -> Head:
    """Message framing towards the client is ours: a known length, else chunks (HTTP/1.1), else the stream's end.

    Raises ValueError for a header (of a user's stage, say) that would break the answer: behind this, in mitmproxy's
    layers, it would leave the client hanging.
    """
    headers = list(reply.headers)
    text = "".join(chain.from_iterable(headers))
    text.encode("latin-1")
    if any(char in text for char in "\r\n\0"):
        raise ValueError("a header of the answer holds a line break")
    has_no_body = request.method == "HEAD" or reply.status in (204, 304)
    if reply.body is not None:
        headers = [*without(headers, "content-length"), ("content-length", str(len(reply.body)))]
    elif reply.is_encoded or is_event_stream(headers):
        headers = without(headers, "content-length")
    if not has_no_body and not first(headers, "content-length") and request.http_version == "HTTP/1.1":
        headers.append(("transfer-encoding", "chunked"))
    return Head(reply.status, headers)
