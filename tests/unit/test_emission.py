"""Which headers a client gets, and in which framing."""

from __future__ import annotations

import pytest
from mitmproxy import http

from mitmcodex import emission
from mitmcodex.exchange import Pairs, Reply
from mitmcodex.upstream.transport import UpstreamHead

SSE = ("content-type", "text/event-stream; charset=utf-8")


def request(method: str = "POST", version: str = "HTTP/1.1") -> http.Request:
    made = http.Request.make(method, "http://127.0.0.1/v1/responses")
    made.http_version = version
    return made


def test_the_head_is_mirrored_in_order() -> None:
    """Case, order and duplicates stay; the connection's own headers, cookies and credentials do not."""
    kept = [("X-B", "1"), ("x-codex-plan-type", "plus"), ("x-b", "2")]
    dropped = [("Connection", "close"), ("Set-Cookie", "a=b"), ("Authorization", "S"), ("alt-svc", "h3")]
    head = UpstreamHead("HTTP/2", 206, "", (*kept[:1], *dropped, *kept[1:]))
    assert emission.mirrored(head, strict=False) == Reply(206, kept)


def test_the_secure_mode_mirrors_cookies_too() -> None:
    """seeds S49: all but hop-by-hop headers."""
    head = UpstreamHead("HTTP/2", 200, "", (("set-cookie", "a=b"), ("transfer-encoding", "chunked")))
    assert emission.mirrored(head, strict=True).headers == [("set-cookie", "a=b")]


@pytest.mark.parametrize(
    ("reply", "asked", "framing"),
    [
        (Reply(200, [SSE]), request(), [("transfer-encoding", "chunked")]),
        (Reply(200, [SSE]), request(version="HTTP/1.0"), []),
        (Reply(200, [SSE]), request(version="HTTP/2.0"), []),
        (Reply(200, [SSE, ("content-length", "5")]), request(), [("transfer-encoding", "chunked")]),
        (Reply(200, [("content-length", "5")]), request(), [("content-length", "5")]),
        (Reply(400, [("content-length", "9")], b"four"), request(), [("content-length", "4")]),
        (Reply(204, []), request(), []),
        (Reply(304, []), request(), []),
        (Reply(200, [SSE]), request("HEAD"), []),
    ],
)
def test_framing_is_ours(reply: Reply, asked: http.Request, framing: Pairs) -> None:
    """A known length, else chunks on HTTP/1.1, else the stream's end; a stream of events never has a length."""
    head = emission.framed(reply, asked)
    assert [pair for pair in head.headers if pair[0] in ("content-length", "transfer-encoding")] == framing


def test_a_length_that_does_not_count_is_not_passed_on() -> None:
    """Beside chunks a content-length means nothing; in our answer it would cut the body or swallow the next one."""
    head = UpstreamHead("HTTP/1.1", 200, "", (("content-length", "3"), ("Transfer-Encoding", "chunked")))
    assert emission.mirrored(head, strict=False).headers == emission.mirrored(head, strict=True).headers == []


@pytest.mark.parametrize("pair", [("x", "\u4e2d"), ("x", "a\r\nb: c"), ("x\ny", "1"), ("x", "\0")])
def test_a_header_that_would_break_the_answer_is_refused(pair: tuple[str, str]) -> None:
    """Here, where the exchange can still say so, and not in mitmproxy's layers."""
    with pytest.raises(ValueError):
        emission.framed(Reply(200, [SSE, pair]), request())


def test_the_reply_itself_is_not_changed() -> None:
    """Observers and a second look see the reply as the stages left it."""
    reply = Reply(200, [SSE])
    emission.framed(reply, request())
    assert reply.headers == [SSE]


def test_an_early_head_tells_what_the_upstreams_head_told() -> None:
    """Codex reads its turn state and limits there; an error's head, or none, is not what the client gets."""
    seen = Reply(200, [("content-type", "text/event-stream"), ("x-codex-turn-state", "s"), ("content-length", "9")])
    told = emission.opening(seen, "application/x-ndjson", 2).headers
    assert told[:2] == [("content-type", "application/x-ndjson"), ("x-codex-turn-state", "s")]
    assert told[-1] == ("x-mitmcodex-loss", "2") and "content-length" not in dict(told)
    bare = emission.opening(None, "text/event-stream", 0)
    assert (bare.status, bare.is_encoded, bare.headers[0][0]) == (200, True, "content-type")
    assert emission.opening(Reply(503, seen.headers), "text/event-stream", 0).headers == bare.headers
