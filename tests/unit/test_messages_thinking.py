"""wire/messages_thinking.py."""

from __future__ import annotations

import pytest

from mitmcodex.wire.messages_thinking import BUDGETS, Wish, think
from mitmcodex.wire.upstream_request import NEWEST, Thinking

HI = [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]
OLD, NEW = (4, 5), (4, 6)


def wish(effort: str, version: tuple[int, int] | None, **changes: object) -> Wish:
    made = Wish(Thinking(effort), "a-model", version, 32_000, False)
    return made._replace(**changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("effort", ["low", "medium", "high", "xhigh", "max"])
def test_newer_models_take_the_effort(effort):
    """Claude 4.6 and later think as much as they find right, led by the effort; nothing is lost."""
    told = {"thinking": {"type": "adaptive"}, "output_config": {"effort": effort}}
    assert think(wish(effort, NEW), HI) == (told, [])


@pytest.mark.parametrize(("effort", "next_one"), [("minimal", "low"), ("ultra", "max")])
def test_an_effort_they_lack_becomes_the_next(effort, next_one):
    """And is reported as changed."""
    told, losses = think(wish(effort, NEWEST), HI)
    assert told["output_config"] == {"effort": next_one}
    assert [(loss.path, loss.what) for loss in losses] == [("reasoning.effort", "changed")]


def test_thoughts_are_shown_when_a_summary_is_wanted():
    """Newer models leave their text out unless they are asked for it."""
    told, _ = think(wish("low", NEW, thinking=Thinking("low", is_shown=True)), HI)
    assert told["thinking"] == {"type": "adaptive", "display": "summarized"}


@pytest.mark.parametrize("version", [OLD, None], ids=["older", "other house"])
@pytest.mark.parametrize("effort", ["minimal", "low", "medium", "high", "xhigh", "max", "ultra"])
def test_older_models_take_a_budget(effort, version):
    """conformance 58 read backwards: up to 4096 tokens are low, up to 16384 medium, more is high."""
    told, losses = think(wish(effort, version), HI)
    budget = told["thinking"]["budget_tokens"]
    assert told == {"thinking": {"type": "enabled", "budget_tokens": BUDGETS[effort]}}
    step = "low" if budget <= 4096 else "medium" if budget <= 16384 else "high"
    assert step == {"minimal": "low", "xhigh": "high", "max": "high", "ultra": "high"}.get(effort, effort)
    assert [loss.what for loss in losses] == ["mapped"]


def test_a_budget_leaves_room_for_the_answer():
    """max_tokens counts thoughts too; the service demands at least 1024 of them."""
    told, _ = think(wish("high", OLD, max_tokens=2000), HI)
    assert told["thinking"]["budget_tokens"] == 1500
    told, losses = think(wish("high", OLD, max_tokens=1100), HI)
    assert told == {} and [loss.what for loss in losses] == ["dropped"]


def test_none_turns_thinking_off():
    """Where there is any to turn off."""
    assert think(wish("none", NEW), HI) == ({"thinking": {"type": "disabled"}}, [])
    assert think(wish("none", (3, 5)), HI) == ({}, [])


@pytest.mark.parametrize(
    "asked",
    [wish("high", (3, 5)), wish("high", NEW, is_forced=True), wish("high", OLD, is_forced=True), wish("novel", NEW)],
    ids=["can't think", "forced tool", "forced tool, older", "unknown effort"],
)
def test_what_the_service_would_refuse_is_dropped(asked):
    """The request goes on without thinking, and the loss says so."""
    told, losses = think(asked, HI)
    assert told == {} and [(loss.path, loss.what) for loss in losses] == [("reasoning.effort", "dropped")]


def test_nothing_said_is_nothing_told():
    """A summary alone is a hint that is lost: these models don't think unasked."""
    assert think(wish("", NEW), HI) == ({}, [])
    told, losses = think(wish("", NEW, thinking=Thinking("", is_shown=True)), HI)
    assert told == {} and [(loss.path, loss.is_hint) for loss in losses] == [("reasoning.summary", True)]
