"""Stage: what the upstream's answer means, before anything is promised to the client.

It holds a stream until its first event that means something, so that an overload or a cut before that can still become
a new attempt or, while no head is out, the right status.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import AsyncIterator

from mitmcodex import emission
from mitmcodex.exchange import Exchange, Retry
from mitmcodex.process import Process
from mitmcodex.resources import Resources
from mitmcodex.upstream.retry import backoff_s
from mitmcodex.upstream.transport import Closed
from mitmcodex.wire import REVERSES
from mitmcodex.wire.error_replies import reply_for
from mitmcodex.wire.errors import WireError
from mitmcodex.wire.fold import STREAM_INCOMPLETE
from mitmcodex.wire.sse import FRAME_LIMIT, FrameSplitter, event_of, event_type
from mitmcodex.wire.verdict import Verdict, is_meaningful, of_event, of_head

ERROR_BODY_LIMIT = 1024 * 1024
"""Of an error body this much is read to judge it; the rest follows unread."""

ERROR_BODY_S = 10.0
"""So long each piece of it is waited for: an error is told even if its body never ends."""

KEPT = ("x-request-id", "cf-ray")


class Classify:
    def __init__(self, process: Process, resources: Resources) -> None:
        self._process = process
        self._resources = resources

    def upstream_request(self, exchange: Exchange) -> None:
        assert exchange.provider is not None
        wait_s = self._process.blocked.remaining_s(exchange.provider.name, time.monotonic())
        if wait_s and not exchange.admission.is_raw:
            text = f"Cloudflare stands in front of {exchange.provider.name}; it is not called for {wait_s:.0f} s more."
            raise WireError("blocked", text, headers=[("retry-after", str(math.ceil(wait_s)))])

    async def upstream_response(self, exchange: Exchange) -> None:
        upstream, reply = exchange.upstream, exchange.reply
        assert upstream is not None and reply is not None and exchange.body is not None
        if exchange.admission.is_raw or exchange.provider is None:
            return
        if upstream.status < 300:
            self._process.blocked.clear(exchange.provider.name)
        if upstream.status >= 300:
            await self._refused(exchange)
        elif _is_canonical(exchange) and emission.is_event_stream(reply.headers):
            await self._hold(exchange)

    async def _refused(self, exchange: Exchange) -> None:
        """An error status: retried, passed as it came, or answered in our words (protocol.md 5.6)."""
        assert exchange.upstream is not None and exchange.body is not None and exchange.reply is not None
        ahead = Ahead(exchange.body)
        exchange.body = ahead
        seen = b""
        try:
            while len(seen) < ERROR_BODY_LIMIT and (piece := await ahead.look(ERROR_BODY_S)):
                seen += piece
        except Closed:
            pass  # the status and what came are the answer; who reads on hears of the break
        verdict = of_head(exchange.upstream.status, exchange.upstream.headers, seen)
        if verdict is None:
            return
        if verdict.kind == "blocked":
            self._blocked(exchange)
        if verdict.retryable and self._retry(exchange, verdict):
            return
        if verdict.pass_through and _reads_provider(exchange):
            exchange.reply.error = verdict.error
            return
        self._answer(exchange, verdict)

    async def _hold(self, exchange: Exchange) -> None:
        assert exchange.body is not None
        ahead = Ahead(exchange.body)
        exchange.body = ahead
        splitter = FrameSplitter()
        held = 0
        try:
            while held <= FRAME_LIMIT:
                piece = await ahead.look(None)
                if not piece:
                    return self._cut(exchange)
                held += len(piece)
                for frame in splitter.feed(piece):
                    kind = event_type(frame)
                    if is_meaningful(kind):
                        return self._first_event(exchange, of_event(event_of(frame) or {}) if _may_fail(kind) else None)
        except Closed:
            self._cut(exchange)

    def _first_event(self, exchange: Exchange, verdict: Verdict | None) -> None:
        """The stream says something: a failure is answered now, while the status is still open."""
        if verdict is None:
            return
        if verdict.retryable and self._retry(exchange, verdict):
            return
        if verdict.pass_through and exchange.is_codex:
            return
        self._answer(exchange, verdict)

    def _answer(self, exchange: Exchange, verdict: Verdict) -> None:
        """In our words, with the upstream's quota and request id: clients show them (conformance 40)."""
        assert exchange.reply is not None
        told = [(n, v) for n, v in exchange.reply.headers if n.lower().startswith("x-codex-") or n.lower() in KEPT]
        exchange.reply = emission.of_error(reply_for(verdict.error, exchange.admission.protocol, exchange.is_codex))
        exchange.reply.headers.extend(told)
        exchange.reply.error = verdict.error

    def _cut(self, exchange: Exchange) -> None:
        """The stream ended before anything went to the client."""
        delay_s = backoff_s(exchange.attempt)
        if exchange.attempt > 1 or delay_s is None:
            raise WireError("stream_incomplete", STREAM_INCOMPLETE)
        exchange.retry = Retry("the upstream cut the stream before its first event", delay_s)

    def _retry(self, exchange: Exchange, verdict: Verdict) -> bool:
        if exchange.admission.call == "side":
            return False  # what such a call does is not ours to know: done twice may be once too often
        delay_s = backoff_s(exchange.attempt, verdict.delay_s)
        if delay_s is None:
            return False
        exchange.retry = Retry(f"the upstream answered {verdict.kind}", delay_s)
        return True

    def _blocked(self, exchange: Exchange) -> None:
        """The cookies are worth nothing any more, and calling on would make it worse."""
        assert exchange.identity is not None and exchange.provider is not None
        self._process.blocked.add(exchange.provider.name, time.monotonic())
        if exchange.provider.kind == "chatgpt":
            self._resources.jar(exchange.identity.key, exchange.provider).drop()


def _is_canonical(exchange: Exchange) -> bool:
    """Whether the stream is one whose events we know."""
    canonical = exchange.canonical
    return canonical is not None and canonical.call == "responses" and not canonical.is_native


def _reads_provider(exchange: Exchange) -> bool:
    """Whether the client knows the errors of the provider's own protocol."""
    if exchange.canonical is not None and exchange.canonical.is_native:
        return True
    assert exchange.provider is not None
    return exchange.is_codex and exchange.provider.kind not in REVERSES


def _may_fail(kind: str) -> bool:
    return kind in ("response.failed", "error")


class Ahead:
    """A body that can be looked at before it is read: what was seen is kept and comes again when it is iterated."""

    def __init__(self, body: AsyncIterator[bytes]) -> None:
        self._body = body
        self._seen: deque[bytes] = deque()
        self._pending: asyncio.Future[bytes] | None = None
        self._broken: BaseException | None = None

    async def look(self, limit_s: float | None) -> bytes | None:
        """The next piece, b"" at the end, None when nothing came within ``limit_s`` seconds (it is not lost)."""
        if self._pending is None:
            self._pending = asyncio.ensure_future(anext(self._body, b""))
            # When the exchange ends here nobody comes for it: closing the call ends it.
            self._pending.add_done_callback(lambda done: done.cancelled() or done.exception())
        await asyncio.wait((self._pending,), timeout=limit_s)
        if not self._pending.done():
            return None
        pending, self._pending = self._pending, None
        self._broken = pending.exception()
        piece = pending.result()
        self._seen.append(piece)
        return piece

    def __aiter__(self) -> Ahead:
        return self

    async def __anext__(self) -> bytes:
        if self._seen:
            piece = self._seen.popleft()
        elif self._broken is not None:
            raise self._broken
        elif self._pending is not None:
            pending, self._pending = self._pending, None
            piece = await pending
        else:
            return await anext(self._body)
        if not piece:
            raise StopAsyncIteration
        return piece

    async def aclose(self) -> None:
        if self._pending is not None:
            self._pending.cancel()
            await asyncio.wait((self._pending,))
