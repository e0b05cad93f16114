"""wire/messages_tools.py: Messages, decode: tools and tool_choice."""

from __future__ import annotations

from typing import Any

import pytest

from mitmcodex.wire.codec import Decoded
from mitmcodex.wire.errors import WireError
from mitmcodex.wire.messages_fields import Block
from mitmcodex.wire.messages_tools import read_tools

STRICT = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False}


def decoded(**body: Any) -> Decoded:
    made = Decoded({})
    with Block(body, "", made.losses) as fields:
        read_tools(fields, made)
    return made


@pytest.mark.parametrize(
    ("choice", "made"),
    [
        ({"type": "auto"}, "auto"),
        ({"type": "any"}, "required"),
        ({"type": "none"}, "none"),
        ({"type": "tool", "name": "f"}, {"type": "function", "name": "f"}),
    ],
)
def test_tool_choice(choice, made):
    """conformance 59: the four kinds; parallel calls are said to be off only when they are."""
    tools = [{"name": "f", "input_schema": {"type": "object"}}]
    assert decoded(tools=tools, tool_choice=choice).fields["tool_choice"] == made
    assert "parallel_tool_calls" not in decoded(tools=tools, tool_choice=choice).fields
    one = decoded(tools=tools, tool_choice={**choice, "disable_parallel_tool_use": True})
    assert one.fields["parallel_tool_calls"] is False


def test_a_tool_is_not_strict_unless_it_says_so():
    """conformance 53: strict by default would make the model give every optional parameter, ``pages`` too."""
    tool = {"name": "f", "description": "d", "input_schema": {"type": "object"}}
    got = decoded(tools=[tool, {**tool, "input_schema": STRICT, "strict": True}])
    assert [made["strict"] for made in got.fields["tools"]] == [False, True] and got.losses == []
    assert got.fields["tools"][0] == {
        "type": "function",
        "name": "f",
        "description": "d",
        "parameters": {"type": "object"},
        "strict": False,
    }


def test_a_strict_tool_with_optional_parameters_is_no_error():
    """Anthropic takes one, the Responses API would refuse it: it goes without, and that is told."""
    optional = {**STRICT, "required": []}
    got = decoded(tools=[{"name": "f", "input_schema": optional, "strict": True}])
    assert got.fields["tools"][0]["strict"] is False and got.fields["tools"][0]["parameters"] == optional
    assert [(loss.path, loss.what) for loss in got.losses] == [("tools[0].strict", "changed")]


@pytest.mark.parametrize("version", ["web_search_20250305", "web_search_20260209"])
def test_web_search(version):
    """conformance 51: the server tool with its limits."""
    got = decoded(tools=[{"type": version, "name": "web_search", "allowed_domains": ["a.b"], "max_uses": 2}])
    assert got.fields["tools"] == [{"type": "web_search", "filters": {"allowed_domains": ["a.b"]}}]
    assert got.fields["max_tool_calls"] == 2
    assert got.path("max_tool_calls") == "tools[0].max_uses"
    assert got.losses == []


@pytest.mark.parametrize(
    "limits",
    [
        {"blocked_domains": ["a.b"]},
        {"type": "web_search_20991231"},
        {"allowed_callers": ["code_execution_20250825"]},
    ],
)
def test_web_search_fails_closed(limits):
    """conformance 51: a limit that can't be kept is refused, never widened in silence."""
    with pytest.raises(WireError, match=r"tools\[0\]\."):
        decoded(tools=[{"type": "web_search_20250305", "name": "web_search", **limits}])


def test_tools_without_a_counterpart_are_reported():
    """Those of the service itself are dropped with an entry; the search of tools only as a hint: all are shown."""
    kinds = ("code_execution_20250825", "tool_search_tool_regex_20251119")
    got = decoded(tools=[{"type": kind, "name": "x"} for kind in kinds])
    assert [(loss.path, loss.is_hint) for loss in got.losses] == [("tools[0]", False), ("tools[1]", True)]
    assert got.fields == {}


def test_a_tool_that_only_code_may_call_is_refused():
    """conformance 51: callers that are not supported fail closed."""
    with pytest.raises(WireError, match=r"tools\[0\]\.allowed_callers"):
        decoded(tools=[{"name": "f", "input_schema": {}, "allowed_callers": ["code_execution_20250825"]}])


def test_the_search_may_be_forced():
    """conformance 51, 59: a choice of the server tool, unless a tool of the client has its name."""
    choice = {"type": "tool", "name": "web_search"}
    search = {"type": "web_search_20250305", "name": "web_search"}
    assert decoded(tools=[search], tool_choice=choice).fields["tool_choice"] == {"type": "web_search"}
    own = {"name": "web_search", "input_schema": {}}
    made = decoded(tools=[own], tool_choice=choice).fields["tool_choice"]
    assert made == {"type": "function", "name": "web_search"}
