"""Says something while the upstream is silent, so that the client (and what stands between) does not give up."""

from __future__ import annotations

import asyncio
from types import TracebackType

from mitmcodex import emission
from mitmcodex.exchange import Exchange
from mitmcodex.observers import Observers


class Keepalive:
    """Wraps all attempts of one exchange; after ``silence_s`` without a piece it emits the encoder's ``idle()``.

    A client that waits for a stream and has no head after that time gets one. It promises nothing but a stream: as
    long as idle pieces alone went out, another attempt may follow, with an encoder of its own.

    Between two pieces one timer runs, re-armed when it fires and not per piece: a fast stream pays nothing for it.
    """

    def __init__(self, exchange: Exchange, silence_s: float, observers: Observers) -> None:
        self._exchange = exchange
        self._silence_s = silence_s
        self._observers = observers
        self._loop = asyncio.get_running_loop()
        self._last = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None
        self._idle: asyncio.Task[None] | None = None
        self._emitting = False
        self._opening = False

    async def __aenter__(self) -> Keepalive:
        if self._silence_s > 0:
            self._timer = self._loop.call_later(self._silence_s, self._tick)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._idle is not None:
            if self._opening and not isinstance(error, asyncio.CancelledError):
                await self._idle  # a head that is promised goes out before what follows it
            self._idle.cancel()

    async def emit(self, piece: bytes) -> None:
        self._emitting = True
        await self._exchange.emit(piece)
        self._emitting = False
        self._last = self._loop.time()

    def _tick(self) -> None:
        silent_s = self._loop.time() - self._last
        due_s = self._silence_s - silent_s
        is_waiting = self._emitting or (self._idle is not None and not self._idle.done())  # for the client to read
        if due_s <= 0 and not is_waiting:
            self._idle = self._loop.create_task(self._say_idle())
            due_s = self._silence_s
        self._timer = self._loop.call_later(max(due_s, 0.01), self._tick)

    async def _say_idle(self) -> None:
        exchange = self._exchange
        if exchange.outcome or exchange.encoder is None or not (exchange.is_open or may_open(exchange)):
            return
        if not exchange.is_open:
            await self._open(exchange.encoder.content_type)
        piece = exchange.encoder.idle()
        if piece:
            self._last = self._loop.time()
            self._observers.tell("client_data", piece)
            await exchange.emit(piece)

    async def _open(self, content_type: str) -> None:
        exchange = self._exchange
        exchange.is_open = self._opening = True
        opening = emission.opening(exchange.reply, content_type, len(exchange.losses))
        head = emission.framed(opening, exchange.flow.request)
        self._observers.tell("client_head", head.status, head.headers)
        await exchange.emit(head)
        self._opening = False


def may_open(exchange: Exchange) -> bool:
    """Whether a stream is what this client waits for, and nothing of an answer is out."""
    return not exchange.committed and exchange.canonical is not None and exchange.canonical.wants_stream
