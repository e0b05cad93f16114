"""Secure mode does what the real ``codex responses-api-proxy`` does, but for the listed differences."""

from __future__ import annotations

import pytest

from support.compare_secure import INTENDED, Difference, Stale, both, compare


@pytest.mark.codex
def test_it_is_the_real_proxy_but_for_the_listed_differences() -> None:
    """The same calls, keys and flags to both: every finding is equal, or differs exactly as its reason says."""
    rows = compare(*both(), INTENDED)
    assert {row.name: (row.expected, row.ours) for row in rows if not row.is_right} == {}
    assert len(rows) > 400


def test_a_difference_must_be_exact_and_needed() -> None:
    """What is not listed, or differs in another way than listed, is wrong; what is listed in vain is refused."""
    listed = Difference("a / *", lambda value: value + 1, "why")
    (right,) = compare({"a / x": 1}, {"a / x": 2}, (listed,))
    assert right.is_right and right.reasons == ("why",)
    assert not compare({"a / x": 1}, {"a / x": 3}, (listed,))[0].is_right
    assert not compare({"a / x": 1}, {"a / x": 2}, ())[0].is_right
    assert [row.is_right for row in compare({"b": 1}, {"c": 1}, ())] == [False, False], "a finding of one side alone"
    with pytest.raises(Stale):
        compare({"b": 1}, {"b": 1}, (listed,))
