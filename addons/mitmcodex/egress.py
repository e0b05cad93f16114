"""Addon: runs each exchange. Attempts, stages, transport, emission, cancellation; and nothing leaves by another way.

Egress calls the stages itself, because mitmproxy logs an addon's exception and goes on with the next addon: here that
would send an untranslated body upstream. The first exception of a stage ends the exchange (house.md section 2).
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import sys
from collections.abc import AsyncIterator, Sequence
from typing import Any

from mitmproxy import ctx
from mitmproxy.addonmanager import traverse

from mitmcodex import emission
from mitmcodex.exchange import End, Exchange, Failed, Reply, Retry
from mitmcodex.failures import as_wire_error, describe
from mitmcodex.keepalive import Keepalive
from mitmcodex.observers import Observers
from mitmcodex.process import Process
from mitmcodex.resources import Resources
from mitmcodex.upstream.retry import MAX_ATTEMPTS
from mitmcodex.upstream.transport import UpstreamCall
from mitmcodex.wire.error_replies import reply_for
from mitmcodex.wire.errors import WireError

log = logging.getLogger(__name__)


STEPS = ("upstream_request", "upstream_response", "upstream_done")
"""The methods of a stage, each optional."""


class Unsealed(Exception):
    """A stage did not set its part: the list of stages is not whole, so nothing may leave."""


class Egress:
    def __init__(self, process: Process, resources: Resources, stages: Sequence[Any], observers: Sequence[Any]) -> None:
        """``stages`` from the outermost (next to the client) to the innermost (next to the wire)."""
        self._process = process
        self._resources = resources
        self._stages = stages
        self._observers = observers
        self._chain: list[Any] = []
        self._users_stages: list[Any] = []
        """Those in ``_chain``."""
        self._resize()

    def configure(self, updated: set[str]) -> None:
        if {"codex_max_concurrency", "codex_max_queue"} & updated:
            self._resize()

    def _resize(self) -> None:
        settings = self._process.current
        self._process.slots.resize(settings.max_concurrency, settings.max_queue)

    # -- one exchange -------------------------------------------------------------------------

    def begin(self, exchange: Exchange) -> None:
        """Called by the seam when a request is whole."""
        exchange.number = self._process.next_number()
        self._process.running.add(exchange)
        exchange.task = asyncio.get_running_loop().create_task(self._run(exchange), name=f"exchange {exchange.number}")

    async def _run(self, exchange: Exchange) -> None:
        observers = Observers(self._observers, exchange)
        stages = [*self._stages, *self._foreign()]
        limit_s = self._process.current.request_timeout_s or None
        try:
            with exchange.leg.held_open():
                try:
                    async with self._process.slots.held(), asyncio.timeout(limit_s):
                        silence_s = self._process.current.keepalive_s
                        async with Keepalive(exchange, silence_s, observers) as keepalive:
                            await self._attempts(exchange, observers, stages, keepalive)
                except asyncio.CancelledError:
                    exchange.outcome = "aborted"
                except Exception as error:  # noqa: BLE001 - an exchange ends here, and must say so to its client
                    await self._fail(exchange, observers, as_wire_error(error, limit_s, f"exchange {exchange.number}"))
        except asyncio.CancelledError:
            exchange.outcome = "aborted"
        finally:
            self._process.running.discard(exchange)
            observers.tell("exchange_ended", exchange.outcome)
            await self._finish(exchange, stages)

    async def _attempts(
        self, exchange: Exchange, observers: Observers, stages: Sequence[Any], keepalive: Keepalive
    ) -> None:
        while True:
            exchange.provider = self._process.current.provider
            exchange.attempt += 1
            exchange.retry = exchange.reply = None
            exchange.losses = []
            how = "cut"
            call = await self._open(exchange, observers, stages)
            try:
                retry = await self._up(exchange, stages)
                if retry is None:
                    await self._deliver(exchange, observers, keepalive)
                    how = exchange.outcome
                    return
                how = "retried"
            finally:
                call.close()
                await _closed(exchange.body)
                observers.tell("upstream_ended", how)
            log.info(f"exchange {exchange.number}: attempt {exchange.attempt + 1}, as {retry.reason}")
            await asyncio.sleep(retry.delay_s)

    async def _open(self, exchange: Exchange, observers: Observers, stages: Sequence[Any]) -> UpstreamCall:
        """Down through the stages, then the transport; sets ``upstream``, ``reply`` and ``body``."""
        for stage in stages:
            await self._call(stage, "upstream_request", exchange)
        check_sealed(exchange)
        assert exchange.request and exchange.provider and exchange.identity
        observers.tell("upstream_requested")
        transport = self._resources.transport(exchange.identity, exchange.provider)
        call = await transport.open(exchange.request, exchange.provider.first_byte_timeout_s)
        exchange.upstream = call.head
        exchange.reply = emission.mirrored(call.head, strict=self._process.current.secure)
        exchange.body = _tapped(call, observers)
        observers.tell("upstream_responded")
        return call

    async def _up(self, exchange: Exchange, stages: Sequence[Any]) -> Retry | None:
        """Up through the stages; a retry ends the way where it is asked for."""
        for stage in reversed(stages):
            await self._call(stage, "upstream_response", exchange)
            if exchange.retry is not None and exchange.attempt < MAX_ATTEMPTS:
                return exchange.retry
        return None

    async def _deliver(self, exchange: Exchange, observers: Observers, keepalive: Keepalive) -> None:
        """Head (unless it is out), pieces as they arrive, end. Raises WireError for what an open stream can't take."""
        reply = exchange.reply
        assert reply is not None
        if exchange.is_open and not reply.is_encoded:
            raise reply.error or WireError("upstream_failed", f"The upstream answered {reply.status} and no stream.")
        if reply.body is not None:
            await self._answer(exchange, observers, reply)
            exchange.outcome = "complete" if reply.status < 400 else "failed"
            return
        if not exchange.is_open:
            head = emission.framed(reply, exchange.flow.request)
            exchange.committed, exchange.is_open = True, reply.is_encoded
            observers.tell("client_head", head.status, head.headers)
            await exchange.emit(head)
        exchange.committed = True
        assert exchange.body is not None
        async for piece in exchange.body:
            if piece:
                observers.tell("client_data", piece)
                await keepalive.emit(piece)
        exchange.outcome = "cut" if exchange.encoder is not None and exchange.encoder.is_cut else "complete"
        await exchange.emit(End())

    async def _fail(self, exchange: Exchange, observers: Observers, error: WireError) -> None:
        try:
            await self._break(exchange, observers, error)
        except Exception as second:  # noqa: BLE001 - what can't be said must not leave the client hanging
            log.error(f"exchange {exchange.number}: {describe(second)}")
            exchange.outcome = "cut"
            await exchange.emit(Failed("mitmcodex failed on this exchange; the proxy's log says why."))

    async def _break(self, exchange: Exchange, observers: Observers, error: WireError) -> None:
        """The exchange failed: with an answer of its own while no head is out, else by an end that tells the truth."""
        log.warning(f"exchange {exchange.number}: {describe(error)}")
        if self._process.current.secure:
            # That mode is quiet, and its client is told nothing but the status (protocol.md 9).
            print(f"forwarding error: forwarding request to upstream: {describe(error)}", file=sys.stderr, flush=True)
        exchange.outcome = "failed" if exchange.committed else "refused"
        if exchange.flow.response is None and not (exchange.committed or exchange.is_open):
            await self._answer(exchange, observers, self._error_reply(exchange, error))
            return
        exchange.outcome = "cut"
        if exchange.encoder is not None and exchange.is_open:
            last = exchange.encoder.fail(error)
            observers.tell("client_data", last)
            await exchange.emit(last)
            await exchange.emit(End())
        else:
            await exchange.emit(Failed(error.message, error))

    def _error_reply(self, exchange: Exchange, error: WireError) -> Reply:
        if self._process.current.secure:
            return Reply(500, [], b"")
        exchange_is_stream = exchange.canonical is not None and exchange.canonical.wants_stream
        if error.kind == "stream_incomplete" and exchange.is_codex and exchange_is_stream and exchange.encoder:
            # Codex posts again up to 30 times after a 5xx; an event makes it try again at stream level alone.
            return Reply(200, [("content-type", "text/event-stream")], exchange.encoder.fail(error))
        return emission.of_error(reply_for(error, exchange.admission.protocol, exchange.is_codex))

    async def _answer(self, exchange: Exchange, observers: Observers, reply: Reply) -> None:
        head = emission.framed(reply, exchange.flow.request)
        exchange.committed = True
        observers.tell("client_head", head.status, head.headers)
        await exchange.emit(head)
        if reply.body and exchange.flow.request.method != "HEAD":
            observers.tell("client_data", reply.body)
            await exchange.emit(reply.body)
        await exchange.emit(End())

    async def _finish(self, exchange: Exchange, stages: Sequence[Any]) -> None:
        for stage in stages:
            try:
                await self._call(stage, "upstream_done", exchange)
            except Exception as error:  # noqa: BLE001 - the client has its answer: nothing can fail closed any more
                log.warning(f"exchange {exchange.number}: {describe(error)}")

    # -- stages -------------------------------------------------------------------------------

    async def _call(self, stage: Any, step: str, exchange: Exchange) -> None:
        method = getattr(stage, step, None)
        if method is None:
            return
        result = method(exchange)
        if result is not None and inspect.isawaitable(result):
            await result

    def _foreign(self) -> list[Any]:
        """A user's own addons (``-s mine.py``) that have a stage's methods: innermost, in the order they were given."""
        chain = list(traverse(ctx.master.addons.chain))
        if chain != self._chain:
            own = (*map(type, self._stages), Egress)  # by type: after a reload the chain holds another build's stages
            others = [addon for addon in chain if not isinstance(addon, own)]
            self._users_stages = [addon for addon in others if any(hasattr(addon, step) for step in STEPS)]
            self._chain = chain
        return self._users_stages


async def _tapped(call: UpstreamCall, observers: Observers) -> AsyncIterator[bytes]:
    while data := await call.read():
        observers.tell("upstream_data", data)
        yield data


async def _closed(body: AsyncIterator[bytes] | None) -> None:
    """Ends the stages' generators now and not when they are collected, also where nobody has read them."""
    aclose = getattr(body, "aclose", None)
    if aclose is not None:
        await aclose()


def check_sealed(exchange: Exchange) -> None:
    """No transport is opened unless every stage that must has set its part; raises Unsealed."""
    for name in ("canonical", "adapted", "form", "credential", "identity", "request"):
        if getattr(exchange, name) is None:
            raise Unsealed(f"no stage has set {name}")
