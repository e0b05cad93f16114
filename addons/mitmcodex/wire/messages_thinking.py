"""How an effort is told to a provider of kind messages: by effort, by a budget, or not at all (conformance 58 read
backwards)."""

from __future__ import annotations

from typing import NamedTuple

from mitmcodex.wire.codec import Loss
from mitmcodex.wire.shapes import Fields
from mitmcodex.wire.upstream_request import Thinking

FIRST_THINKING, FIRST_ADAPTIVE = (3, 7), (4, 6)
EFFORTS = ("low", "medium", "high", "xhigh", "max")
_NEXT_EFFORT = {"minimal": "low", "ultra": "max"}
BUDGETS = {
    "minimal": 1_024,
    "low": 4_096,
    "medium": 16_384,
    "high": 24_000,
    "xhigh": 24_000,
    "max": 24_000,
    "ultra": 24_000,
}
"""Tokens. The highest leaves a quarter of the default limit, which counts thoughts too, to the answer."""
MIN_BUDGET = 1_024
_PATH = "reasoning.effort"


class Wish(NamedTuple):
    thinking: Thinking
    model: str
    version: tuple[int, int] | None
    """Of Claude; None for a model of another house."""
    max_tokens: int
    is_forced: bool
    """The model must use a tool."""


def think(wish: Wish, messages: list[Fields]) -> tuple[Fields, list[Loss]]:
    """``thinking`` and ``output_config`` of the request, as far as they have something to say."""
    effort = wish.thinking.effort
    is_able = wish.version is None or wish.version >= FIRST_THINKING
    if not effort:
        why = "the model does not think unless an effort is named"
        return {}, [Loss("reasoning.summary", "dropped", why, True)] if wish.thinking.is_shown else []
    if effort == "none":
        return ({"thinking": {"type": "disabled"}} if is_able else {}), []
    if not is_able:
        return _lost("dropped", f"{wish.model} does not think")
    if wish.is_forced:
        return _lost("dropped", "the provider does not think when a tool's use is forced")
    if wish.version and wish.version >= FIRST_ADAPTIVE:
        return _adaptive(wish.thinking)
    return _budgeted(wish, messages)


def _adaptive(thinking: Thinking) -> tuple[Fields, list[Loss]]:
    effort = _NEXT_EFFORT.get(thinking.effort, thinking.effort)
    if effort not in EFFORTS:
        return _lost("dropped", f"the provider's efforts are {', '.join(EFFORTS)}")
    losses = [] if effort == thinking.effort else [Loss(_PATH, "changed", f"the provider's next effort is {effort}")]
    # Without a word about it, newer models keep their thoughts to themselves.
    shown = {"display": "summarized"} if thinking.is_shown else {}
    return {"thinking": {"type": "adaptive", **shown}, "output_config": {"effort": effort}}, losses


def _budgeted(wish: Wish, messages: list[Fields]) -> tuple[Fields, list[Loss]]:
    budget = min(BUDGETS.get(wish.thinking.effort, 0), wish.max_tokens * 3 // 4)
    if budget < MIN_BUDGET:
        return _lost("dropped", f"no budget of {MIN_BUDGET} tokens or more fits this effort and max_tokens")
    if _is_thoughtless_loop(messages):
        return _lost("dropped", "in a loop of tools the provider wants its own thoughts back, which are lost")
    why = f"the model takes it as a budget: {budget} tokens"
    return {"thinking": {"type": "enabled", "budget_tokens": budget}}, [Loss(_PATH, "mapped", why)]


def _is_thoughtless_loop(messages: list[Fields]) -> bool:
    """The last turn answers calls that were made without a thought before them."""
    if len(messages) < 2 or messages[-1]["content"][0]["type"] != "tool_result":
        return False
    return messages[-2]["content"][0]["type"] not in ("thinking", "redacted_thinking")


def _lost(what: str, why: str) -> tuple[Fields, list[Loss]]:
    return {}, [Loss(_PATH, what, why)]
