"""The effort that a budget of reasoning tokens stands for (conformance 58)."""

from __future__ import annotations

_STEPS = ((0, "none"), (4096, "low"), (16384, "medium"))
"""Up to how many tokens a budget is which effort; above all of them high."""


def effort_of(budget: int | None) -> str:
    """Tokens → effort; empty when no budget is given (absent, -1)."""
    if budget is None or budget < 0:
        return ""
    return next((effort for most, effort in _STEPS if budget <= most), "high")
