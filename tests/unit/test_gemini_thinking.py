"""wire/gemini_thinking.py."""

from __future__ import annotations

import pytest

from mitmcodex.wire.gemini_thinking import BUDGETS, thinking_config
from mitmcodex.wire.upstream_request import NEWEST, Thinking

FLASH, PRO = "gemini-flash-latest", "gemini-3-pro"


@pytest.mark.parametrize("effort", ["minimal", "low", "medium", "high"])
def test_newer_models_take_a_level(effort):
    """Gemini 3 and later, under the same names; nothing is lost."""
    assert thinking_config(Thinking(effort), FLASH, NEWEST) == ({"thinkingLevel": effort.upper()}, [])


@pytest.mark.parametrize(
    ("effort", "model", "level"),
    [("none", FLASH, "MINIMAL"), ("minimal", PRO, "LOW"), ("none", PRO, "LOW"), ("xhigh", PRO, "HIGH")],
)
def test_a_level_they_lack_becomes_the_next(effort, model, level):
    """They can't stop thinking, and pro knows no minimal; the change is reported."""
    config, losses = thinking_config(Thinking(effort), model, (3, 0))
    assert config == {"thinkingLevel": level}
    assert [(loss.path, loss.what) for loss in losses] == [("reasoning.effort", "changed")]


@pytest.mark.parametrize("effort", [*BUDGETS])
def test_2_5_takes_a_budget(effort):
    """conformance 58 read backwards: 0 none, up to 4096 tokens low, up to 16384 medium, more is high."""
    config, losses = thinking_config(Thinking(effort), "gemini-2.5-flash", (2, 5))
    budget = config["thinkingBudget"]
    step = "none" if not budget else "low" if budget <= 4096 else "medium" if budget <= 16384 else "high"
    assert step == {"minimal": "low", "xhigh": "high", "max": "high", "ultra": "high"}.get(effort, effort)
    assert [loss.what for loss in losses] == ["mapped"]


def test_2_5_pro_always_thinks():
    """It refuses a budget of 0."""
    config, losses = thinking_config(Thinking("none"), "gemini-2.5-pro", (2, 5))
    assert config == {"thinkingBudget": 128} and [loss.what for loss in losses] == ["changed"]


def test_thoughts_are_shown_when_a_summary_is_wanted():
    """With an effort or without."""
    assert thinking_config(Thinking("", is_shown=True), PRO, (3, 0)) == ({"includeThoughts": True}, [])
    assert thinking_config(Thinking("low", is_shown=True), PRO, (3, 0))[0]["includeThoughts"] is True


@pytest.mark.parametrize("thinking", [Thinking("high"), Thinking("", is_shown=True)])
def test_models_that_do_not_think_are_told_nothing(thinking):
    """They refuse a thinkingConfig; what was wanted is a loss, but for none."""
    config, losses = thinking_config(thinking, "gemini-2.0-flash", (2, 0))
    assert config == {} and [loss.what for loss in losses] == ["dropped"]
    assert thinking_config(Thinking("none"), "gemini-2.0-flash", (2, 0)) == ({}, [])


def test_an_unknown_effort_is_dropped():
    """And named."""
    config, losses = thinking_config(Thinking("novel"), PRO, (3, 0))
    assert config == {} and [(loss.path, loss.what) for loss in losses] == [("reasoning.effort", "dropped")]
