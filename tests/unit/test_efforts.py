"""Which effort and tier go upstream: seeds S104-S111, S114, S117, S134, conformance 37."""

from __future__ import annotations

from typing import Any

import pytest

from mitmcodex import paths
from mitmcodex.upstream.catalog import entry_of, shipped
from mitmcodex.upstream.efforts import settle
from mitmcodex.upstream.resolution import Names, Resolution, resolve
from mitmcodex.wire.errors import WireError
from mitmcodex.wire.patch import REMOVE

SHIPPED = shipped(paths.default_config().with_name("models.yaml"))
NAMES = Names(
    aliases={"hard": "gpt-6-sol-high"},
    custom_models=(
        entry_of({"slug": "free"}),
        entry_of({"slug": "lazy", "supported_reasoning_levels": [{"effort": "none"}, {"effort": "high"}]}),
        entry_of({"slug": "tiny", "supported_reasoning_levels": [{"effort": "minimal"}, {"effort": "low"}]}),
        entry_of({"slug": "edges", "supported_reasoning_levels": [{"effort": "low"}, {"effort": "high"}]}),
    ),
)


def resolved(model: str, kind: str = "chatgpt", names: Names = NAMES) -> Resolution:
    return resolve(model, names, SHIPPED.catalog, SHIPPED, kind)


def effort(model: str, fields: dict[str, Any] | None = None, names: Names = NAMES) -> tuple[str | None, list[str]]:
    """What goes up as reasoning.effort, and path and kind of each loss."""
    given = fields or {}
    changes, losses = settle(given, resolved(model, names=names), names)
    assert {*changes} <= {"reasoning", "reasoning_effort"}
    reasoning = {**given, **changes}.get("reasoning")
    sent = reasoning.get("effort") if isinstance(reasoning, dict) else None
    return sent, [f"{loss.path} {loss.what}" for loss in losses]


def body(effort: object) -> dict[str, Any]:
    return {"reasoning": {"effort": effort}}


@pytest.mark.parametrize(
    ("model", "fields", "sent", "lost"),
    [
        ("hard-low", {"reasoning_effort": "xhigh", **body("medium")}, "xhigh", ["reasoning.effort dropped"]),
        ("hard-low", {"reasoning_effort": "medium", **body("medium")}, "medium", []),
        ("hard-low", body("medium"), "medium", []),
        ("hard-low", {}, "low", []),
        ("hard", {}, "high", []),
        ("gpt-6-sol", {}, "xhigh", []),
        ("hard-low", {"reasoning_effort": None, "reasoning": None}, "low", []),
        ("hard-low", {"reasoning_effort": ""}, "low", ["reasoning_effort dropped"]),
        ("hard-low", body("lots"), "low", ["reasoning.effort dropped"]),
        ("hard", body(3), "high", ["reasoning.effort dropped"]),
        ("hard", body({"a": "b"}), "high", ["reasoning.effort dropped"]),
        ("hard", body(" Medium "), "medium", []),
    ],
)
def test_who_asks_first(model: str, fields: dict[str, Any], sent: str, lost: list[str]) -> None:
    """conformance 24: reasoning_effort > reasoning.effort > suffix > alias > configured default; what names no level
    counts as not given (seeds S104, S105, S117, S134)."""
    names = Names(NAMES.aliases, NAMES.custom_models, default_effort="xhigh")
    assert effort(model, fields, names) == (sent, lost)


def test_without_a_wish_the_field_is_left_out() -> None:
    """The model's own default holds (seeds S104, S106)."""
    for model in ("gpt-6-sol", "gpt-5"):
        assert settle({"reasoning": {"summary": "auto"}}, resolved(model), NAMES).changes == {}


@pytest.mark.parametrize(
    ("model", "asked", "sent"),
    [
        ("gpt-5", "minimal", "low"),  # the slug has it, the model that answers does not
        ("gpt-5", "xhigh", "high"),
        ("gpt-5-codex", "max", "high"),
        ("gpt-5.1", "minimal", "low"),
        ("gpt-5.1", "xhigh", "high"),
        ("gpt-5.1-codex", "none", "low"),
        ("gpt-5.1-codex", "ultra", "high"),
        ("gpt-5.1-codex-max", "minimal", "low"),
        ("gpt-5.1-codex-max", "xhigh", "xhigh"),
        ("gpt-5.1-codex-max", "max", "xhigh"),
        ("gpt-5-codex-mini", "low", "medium"),
        ("gpt-5-codex-mini", "minimal", "medium"),
        ("gpt-5-codex-mini", "none", "medium"),
        ("gpt-5.1-codex-mini", "xhigh", "high"),
        ("gpt-5.4", "max", "max"),  # no table of its own
        ("gpt-6-sol", "minimal", "low"),
        ("gpt-6-sol", "none", "low"),
        ("gpt-6-sol", "max", "max"),
        ("gpt-6-sol", "ultra", "max"),
        ("gpt-6-luna", "ultra", "max"),
        ("gpt-5.5", "ultra", "xhigh"),
        ("free", "none", "none"),
        ("free", "minimal", "minimal"),
        ("free", "ultra", "max"),
        ("lazy", "none", "none"),
        ("lazy", "minimal", "high"),
        ("edges", "medium", "low"),
        ("tiny", "none", "low"),
        ("no-catalog-has-it", "xhigh", "xhigh"),
    ],
)
def test_the_nearest_level_goes_up(model: str, asked: str, sent: str) -> None:
    """By the old slug's table, then by the model that answers; a change is a loss, `ultra` is no level on the wire
    (conformance 37, seeds S105, S106, S107, S108, S109, S111).
    """
    lost = [] if asked == sent else ["reasoning.effort changed"]
    assert effort(model, body(asked)) == (sent, lost)


@pytest.mark.parametrize(
    ("model", "sent"),
    [("gpt-5.1", "low"), ("gpt-5.1-codex", "low"), ("gpt-5.1-codex-max", "low"), ("gpt-5-codex-mini", "medium")],
)
def test_an_old_slugs_default_goes_up(model: str, sent: str) -> None:
    """The model that answers has another one; a configured default stands before it (seeds S107, S108, S109)."""
    assert effort(model) == (sent, [])
    assert effort(model, names=Names(default_effort="high")) == ("high", [])


def test_the_examples_of_the_seeds() -> None:
    """gpt-5.1-high asks for high; gpt-5-codex-mini-low for medium, with no other effort field (seeds S110)."""
    assert settle({}, resolved("gpt-5.1-high"), NAMES) == ({"reasoning": {"effort": "high"}}, [])
    changes, losses = settle({}, resolved("gpt-5-codex-mini-low"), NAMES)
    assert changes == {"reasoning": {"effort": "medium"}}
    assert [(loss.path, loss.what) for loss in losses] == [("model", "changed")]
    assert "low" in losses[0].why and "medium" in losses[0].why


def test_only_the_effort_is_touched() -> None:
    """Other keys of `reasoning` stay, the top-level form goes, an object that is left empty goes."""
    fields = {"reasoning_effort": "high", "reasoning": {"summary": "auto", "effort": "low"}}
    changes = settle(fields, resolved("gpt-6-sol"), NAMES).changes
    assert changes == {"reasoning_effort": REMOVE, "reasoning": {"summary": "auto", "effort": "high"}}
    assert settle(body("lots"), resolved("gpt-6-sol"), NAMES).changes == {"reasoning": REMOVE}
    kept = settle({"reasoning": {"effort": "x", "summary": "auto"}}, resolved("gpt-6-sol"), NAMES).changes
    assert kept == {"reasoning": {"summary": "auto"}}
    assert settle(body("high"), resolved("gpt-6-sol"), NAMES) == ({}, [])


def test_a_loss_names_the_clients_own_field() -> None:
    """Where a protocol has another word for it."""
    paths_of = {"reasoning": "thinking.budget_tokens", "service_tier": "speed"}
    fields = {**body("minimal"), "service_tier": "scale"}
    losses = settle(fields, resolved("gpt-6-sol"), NAMES, paths_of).losses
    assert [loss.path for loss in losses] == ["thinking.budget_tokens", "speed"]


@pytest.mark.parametrize("value", ["high", 3, [], True])
def test_reasoning_must_be_an_object(value: object) -> None:
    """The client's error, with the path."""
    with pytest.raises(WireError) as caught:
        settle({"reasoning": value}, resolved("gpt-6-sol"), NAMES)
    assert (caught.value.kind, caught.value.param) == ("invalid_request", "reasoning")


@pytest.mark.parametrize(
    ("model", "kind", "given", "sent", "lost"),
    [
        ("gpt-6-sol-fast", "chatgpt", ..., "priority", []),
        ("gpt-6-sol-flex", "chatgpt", "priority", "priority", []),
        ("gpt-6-sol-fast", "chatgpt", "default", "priority", []),
        ("gpt-6-sol", "chatgpt", "fast", "priority", []),
        ("gpt-6-sol", "chatgpt", "auto", None, []),
        ("gpt-6-sol", "chatgpt", None, None, []),
        ("gpt-6-sol", "chatgpt", ..., None, []),
        ("gpt-6-sol", "chatgpt", "flex", None, ["service_tier dropped"]),
        ("gpt-6-sol", "chatgpt", 3, None, ["service_tier dropped"]),
        ("gpt-6-sol", "chatgpt", ["flex"], None, ["service_tier dropped"]),
        ("gpt-6-sol", "chatgpt", "", None, ["service_tier dropped"]),
        ("gpt-6-sol-flex", "chatgpt", ..., None, ["model dropped"]),
        ("gpt-6-sol-flex", "openai", ..., "flex", []),
        ("gpt-6-sol", "openai", "scale", "scale", []),
        ("gpt-6-sol", "openai", "fast", "priority", []),
        ("gpt-6-sol", "openai", "auto", "auto", []),
        ("gpt-6-sol-fast", "openai", "auto", "priority", []),
    ],
)
def test_tiers(model: str, kind: str, given: object, sent: str | None, lost: list[str]) -> None:
    """Body over suffix; `fast` is `priority` on the wire, the only one that the ChatGPT backend keeps; `auto` and
    `default` say nothing (seeds S114, S134).
    """
    fields = {} if given is ... else {"service_tier": given}
    changes, losses = settle(fields, resolved(model, kind), NAMES)
    after = {**fields, **changes}.get("service_tier")
    assert (None if after is REMOVE else after) == sent
    assert [f"{loss.path} {loss.what}" for loss in losses] == lost


def test_the_configured_tier_comes_last() -> None:
    """seeds S117, S134"""
    names = Names(default_tier="flex")
    assert settle({}, resolved("gpt-6-sol", "openai"), names).changes == {"service_tier": "flex"}
    assert settle({}, resolved("gpt-6-sol-fast", "openai"), names).changes == {"service_tier": "priority"}
    assert settle({}, resolved("gpt-6-sol"), Names(default_tier="fast")).changes == {"service_tier": "priority"}
