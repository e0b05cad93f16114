"""How often and after how long an upstream call is tried again. Pure."""

from __future__ import annotations

MAX_ATTEMPTS = 3
FIRST_DELAY_S = 0.25
BLOCKED_PAUSES_S = (10.0, 30.0, 90.0, 120.0)
LONGEST_DELAY_S = 5.0
"""An upstream that asks for a longer pause is not waited for: the client is told instead."""


def backoff_s(attempt: int, asked_s: float = 0.0) -> float | None:
    """Seconds to wait after the ``attempt``-th attempt (from 1), None when there is to be no further one."""
    if attempt >= MAX_ATTEMPTS or asked_s > LONGEST_DELAY_S:
        return None
    return max(asked_s, FIRST_DELAY_S * 2 ** (attempt - 1))


class BlockedUpstreams:
    """Upstreams that Cloudflare stands in front of: left alone for a while, longer each time it happens again."""

    def __init__(self) -> None:
        self._blocked: dict[str, tuple[int, float]] = {}

    def add(self, name: str, now: float) -> None:
        """``now`` in seconds of a monotonic clock. A call that ran beside the first counts no second time."""
        if self.remaining_s(name, now):
            return
        times = self._blocked.get(name, (0, 0.0))[0] + 1
        self._blocked[name] = (times, now + BLOCKED_PAUSES_S[min(times, len(BLOCKED_PAUSES_S)) - 1])

    def remaining_s(self, name: str, now: float) -> float:
        """Seconds until it may be called again; 0 = now."""
        return max(0.0, self._blocked.get(name, (0, 0.0))[1] - now)

    def clear(self, name: str) -> None:
        """It answered."""
        self._blocked.pop(name, None)
