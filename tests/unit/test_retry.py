"""How often an upstream is called again, and how long one is left alone."""

from __future__ import annotations

import pytest

from mitmcodex.upstream.retry import (
    BLOCKED_PAUSES_S,
    FIRST_DELAY_S,
    LONGEST_DELAY_S,
    MAX_ATTEMPTS,
    BlockedUpstreams,
    backoff_s,
)


def test_attempts_are_bounded_and_wait_longer_each_time() -> None:
    """conformance 81: twice as long after each attempt, and none after the last."""
    waits = [backoff_s(attempt) for attempt in range(1, MAX_ATTEMPTS + 1)]
    assert waits == [FIRST_DELAY_S, 2 * FIRST_DELAY_S, None]


@pytest.mark.parametrize(("asked_s", "expected"), [(2.0, 2.0), (0.01, FIRST_DELAY_S), (LONGEST_DELAY_S + 1, None)])
def test_what_the_upstream_asks_for_counts(asked_s: float, expected: float | None) -> None:
    """Never sooner than it asks; a pause that is too long is told to the client instead."""
    assert backoff_s(1, asked_s) == expected


def test_a_blocked_upstream_is_left_alone_longer_each_time() -> None:
    """The pauses of the table, the last one from then on; other upstreams are not touched."""
    blocked, now = BlockedUpstreams(), 100.0
    for pause_s in [*BLOCKED_PAUSES_S, BLOCKED_PAUSES_S[-1]]:
        blocked.add("work", now)
        assert blocked.remaining_s("work", now) == pause_s
        assert blocked.remaining_s("work", now + pause_s) == 0
        now += pause_s
    assert blocked.remaining_s("other", now) == 0


def test_an_answer_ends_the_pause() -> None:
    """And the next one begins with the shortest pause again."""
    blocked = BlockedUpstreams()
    blocked.add("work", 0)
    blocked.add("work", BLOCKED_PAUSES_S[0])
    blocked.clear("work")
    assert blocked.remaining_s("work", 0) == 0
    blocked.add("work", 0)
    assert blocked.remaining_s("work", 0) == BLOCKED_PAUSES_S[0]


def test_calls_that_ran_side_by_side_are_blocked_once() -> None:
    """Ten answers of one moment are one challenge."""
    blocked = BlockedUpstreams()
    for _ in range(10):
        blocked.add("work", 0)
    assert blocked.remaining_s("work", 0) == BLOCKED_PAUSES_S[0]
