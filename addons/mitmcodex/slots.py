"""How many calls may run at once, and who is next."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from mitmcodex.wire.errors import WireError


class Slots:
    """First come, first served. ``limit`` 0 = no limit; more than ``max_queue`` waiters are turned away."""

    def __init__(self, limit: int = 0, max_queue: int = 0) -> None:
        self._limit = limit
        self._max_queue = max_queue
        self._held = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """Hold one slot, waiting for it if need be. Raises WireError ``busy`` when the queue is full."""
        await self._take()
        try:
            yield
        finally:
            self._held -= 1
            self._pass_on()

    def resize(self, limit: int, max_queue: int) -> None:
        """Applies to the next in line at once; nobody who runs or waits is turned away."""
        self._limit = limit
        self._max_queue = max_queue
        self._pass_on()

    @property
    def _is_full(self) -> bool:
        return 0 < self._limit <= self._held

    async def _take(self) -> None:
        if not self._is_full:
            self._held += 1
            return
        if len(self._waiting) >= self._max_queue:
            raise WireError(
                "busy",
                f"{self._held} calls are running and {len(self._waiting)} waiting. Try again later, "
                "or raise max_concurrency or max_queue.",
                headers=[("retry-after", "1")],
            )
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():
                # The slot was handed over in the same moment: it belongs to the next one.
                self._held -= 1
                self._pass_on()
            elif turn in self._waiting:
                self._waiting.remove(turn)
            raise

    def _pass_on(self) -> None:
        while self._waiting and not self._is_full:
            turn = self._waiting.popleft()
            if not turn.cancelled():
                self._held += 1
                turn.set_result(None)
