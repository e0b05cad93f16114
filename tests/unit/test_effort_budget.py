"""wire/effort_budget.py: the one table of budgets for the clients of all protocols."""

from __future__ import annotations

from mitmcodex.wire.effort_budget import effort_of


def test_a_budget_is_an_effort() -> None:
    """conformance 58: the steps and their borders."""
    budgets = {None: "", -1: "", 0: "none", 1: "low", 4096: "low", 4097: "medium", 16384: "medium", 16385: "high"}
    assert {budget: effort_of(budget) for budget in budgets} == budgets
