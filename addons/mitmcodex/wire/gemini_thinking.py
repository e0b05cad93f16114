"""How an effort is told to a provider of kind gemini: by level, by a budget, or not at all (conformance 58 read
backwards)."""

from __future__ import annotations

from mitmcodex.wire.codec import Loss
from mitmcodex.wire.shapes import Fields
from mitmcodex.wire.upstream_request import Thinking

FIRST_THINKING, FIRST_LEVELS = (2, 5), (3, 0)
LEVELS = {
    "none": "MINIMAL",
    "minimal": "MINIMAL",
    "low": "LOW",
    "medium": "MEDIUM",
    "high": "HIGH",
    "xhigh": "HIGH",
    "max": "HIGH",
    "ultra": "HIGH",
}
BUDGETS = {
    "none": 0,
    "minimal": 512,
    "low": 4_096,
    "medium": 16_384,
    "high": 24_576,
    "xhigh": 24_576,
    "max": 24_576,
    "ultra": 24_576,
}
"""Tokens; 24,576 is what each model of 2.5 takes."""
MIN_PRO_BUDGET = 128
"""Of 2.5 pro, which always thinks."""
_PATH = "reasoning.effort"


def thinking_config(thinking: Thinking, model: str, version: tuple[int, int] | None) -> tuple[Fields, list[Loss]]:
    """``version``: of Gemini; None for a model of another family, which is taken for a new one."""
    config: Fields = {"includeThoughts": True} if thinking.is_shown else {}
    effort = thinking.effort
    if version is not None and version < FIRST_THINKING:
        is_wanted = thinking.is_shown or effort not in ("", "none")
        return {}, [Loss("reasoning", "dropped", f"{model} does not think")] if is_wanted else []
    if not effort:
        return config, []
    if effort not in LEVELS:
        return config, [Loss(_PATH, "dropped", f"must be one of {', '.join(LEVELS)}")]
    if version is not None and version < FIRST_LEVELS:
        return _budgeted(config, effort, model)
    level = LEVELS[effort]
    if level == "MINIMAL" and "pro" in model.lower():
        level = "LOW"
    losses = [] if level == effort.upper() else [Loss(_PATH, "changed", f"the provider's next level is {level}")]
    return {**config, "thinkingLevel": level}, losses


def _budgeted(config: Fields, effort: str, model: str) -> tuple[Fields, list[Loss]]:
    budget = BUDGETS[effort]
    if budget == 0 and "pro" in model.lower():
        budget = MIN_PRO_BUDGET
        why = f"{model} always thinks, {budget} tokens at least"
        return {**config, "thinkingBudget": budget}, [Loss(_PATH, "changed", why)]
    why = f"the model takes it as a budget: {budget} tokens"
    return {**config, "thinkingBudget": budget}, [Loss(_PATH, "mapped", why)]
