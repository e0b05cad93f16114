"""wire/tool_names.py: legal names, reversibly (conformance 21, 52; pains P11)."""

from __future__ import annotations

import re
from typing import Any

import pytest

from mitmcodex.wire.tool_names import LIMIT, aliases_of, named

LONG = "mcp__server__" + "x" * 80


def function(name: str) -> dict[str, Any]:
    return {"type": "function", "name": name, "parameters": {}}


def test_legal_names_are_left_alone() -> None:
    """The very same fields come back."""
    fields = {"tools": [function("a-b_C1"), function("x" * LIMIT)], "input": [{"type": "function_call", "name": "a"}]}
    found = named(fields)
    assert found.fields is fields and found.originals == {} and found.losses == []


@pytest.mark.parametrize("name", [LONG, "a.b", "a:b", "ä", "with space", "\ud800", "", "x" * (LIMIT + 1)])
def test_an_illegal_name_gets_an_alias(name: str) -> None:
    """pains P11: at most 64 characters of the pattern."""
    (alias,) = aliases_of([name]).values()
    assert re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", alias)


def test_names_are_changed_wherever_they_stand() -> None:
    """conformance 21: in tools, in namespaces, in tool_choice and what it allows, in calls of the history."""
    choice = {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "a.b"}]}
    item = {"type": "function_call", "call_id": "1", "name": "a.b", "namespace": "n.s", "arguments": "{ }"}
    inner = {"type": "namespace", "name": "n.s", "tools": [function("a.b"), function("ok")]}
    brought = {"type": "additional_tools", "tools": [function("a.b")]}
    fields = {"tools": [function("a.b"), inner], "tool_choice": choice, "input": [brought, item, {"role": "user"}]}
    found = named(fields)
    names = {name: alias for alias, name in found.originals.items()}
    assert {*names} == {"a.b", "n.s"}
    tools, items = found.fields["tools"], found.fields["input"]
    assert tools[0]["name"] == tools[1]["tools"][0]["name"] == items[0]["tools"][0]["name"] == names["a.b"]
    assert tools[1]["tools"][1] is inner["tools"][1] and items[2] is fields["input"][2]
    assert found.fields["tool_choice"]["tools"][0]["name"] == names["a.b"]
    assert items[1] == {**item, "name": names["a.b"], "namespace": names["n.s"]}
    assert [loss.what for loss in found.losses] == ["mapped", "mapped"]
    assert named({"tool_choice": {"type": "function", "name": "a.b"}}).fields["tool_choice"]["name"] == names["a.b"]


def test_an_alias_is_the_same_in_every_turn() -> None:
    """conformance 52: it follows from the name alone, whatever stands beside it, declared or only in the history."""
    first = aliases_of([LONG])
    assert aliases_of(["other", "c.d", LONG])[LONG] == first[LONG]
    history = named({"input": [{"type": "function_call", "name": LONG}]})
    assert history.fields["input"][0]["name"] == first[LONG]
    assert history.losses == []


def test_names_that_look_alike_stay_apart() -> None:
    """pains P11: collisions, also with a tool that bears another's alias as its own name."""
    taken = aliases_of(["a.b"])["a.b"]
    found = aliases_of(["a.b", "a:b", "a b", LONG, f"{LONG}y", taken])
    assert len({*found.values()}) == 5 and taken not in found.values() and taken not in found


@pytest.mark.parametrize("value", [None, 1, "x", [], {}, [1], [[]], [{"name": 1}], {"a": 1}])
def test_any_json_is_survived(value: Any) -> None:
    """What is no tool has no name."""
    fields = {"tools": value, "tool_choice": value, "input": value}
    assert named(fields).fields is fields
