"""wire/chat_tools.py: tools and the choice among them."""

from __future__ import annotations

from typing import Any

import pytest

from mitmcodex.wire.chat_reading import ChatReading
from mitmcodex.wire.chat_tools import decode_tools
from mitmcodex.wire.codec import Decoded
from mitmcodex.wire.errors import WireError

LOOK = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
PATCH = {"type": "custom", "custom": {"name": "patch"}}
GRAMMAR = {"syntax": "lark", "definition": "start: /.+/"}


def decoded(**body: Any) -> Decoded:
    got = Decoded({})
    with ChatReading(body, "", got.losses) as reading:
        decode_tools(reading, got)
    return got


def test_a_function_is_not_strict_unless_told_so():
    """seeds S81: flat, with what was told; the Responses API would make it strict if nothing were said."""
    flat = {"type": "function", "name": "look", "parameters": {"type": "object"}}
    assert decoded(tools=[LOOK]).fields == {"tools": [{**flat, "strict": False}]}
    strict = {"type": "function", "function": {**LOOK["function"], "strict": True, "description": "d"}}
    assert decoded(tools=[strict]).fields["tools"] == [{**flat, "description": "d", "strict": True}]


def test_a_custom_tool_keeps_its_grammar():
    """conformance 6: custom stays custom, its format without the inner object."""
    tool = {"type": "custom", "custom": {"name": "patch", "format": {"type": "grammar", "grammar": GRAMMAR}}}
    wanted = {"type": "custom", "name": "patch", "format": {"type": "grammar", **GRAMMAR}}
    assert decoded(tools=[tool]).fields["tools"] == [wanted]
    assert decoded(tools=[wanted]).fields["tools"] == [wanted]
    text = {"type": "custom", "custom": {"name": "patch", "format": {"type": "text"}}}
    assert decoded(tools=[text]).fields["tools"] == [{"type": "custom", "name": "patch", "format": {"type": "text"}}]


def test_flat_tools_are_understood():
    """conformance 25: Cursor sends the Responses API's form on this route."""
    flat = {"type": "function", "name": "look", "parameters": {"type": "object"}}
    assert decoded(tools=[flat]).fields == decoded(tools=[LOOK]).fields


def test_hosted_tools_go_on_as_they_came():
    """seeds S143: ``image_generation`` is accepted."""
    tool = {"type": "image_generation", "size": "1024x1024"}
    got = decoded(tools=[tool], tool_choice={"type": "image_generation"})
    assert got.fields == {"tools": [tool], "tool_choice": {"type": "image_generation"}}
    assert got.losses == []


def test_web_search_options_are_the_hosted_tool():
    """With its place, flat."""
    location = {"type": "approximate", "approximate": {"country": "CH"}}
    got = decoded(web_search_options={"search_context_size": "low", "user_location": location})
    place = {"type": "approximate", "country": "CH"}
    assert got.fields["tools"] == [{"type": "web_search", "search_context_size": "low", "user_location": place}]
    assert decoded(web_search_options={}).fields["tools"] == [{"type": "web_search"}]


def test_legacy_functions_are_tools_of_which_one_is_called_at_a_time():
    """conformance 19: the legacy answer has room for one call."""
    got = decoded(functions=[LOOK["function"]], function_call={"name": "look"})
    assert got.fields["tools"][0]["name"] == "look"
    assert got.fields["tool_choice"] == {"type": "function", "name": "look"}
    assert got.fields["parallel_tool_calls"] is False
    assert got.path("tool_choice") == "function_call" and got.path("tools") == "functions"


@pytest.mark.parametrize("mode", ["none", "auto", "required"])
def test_a_mode_goes_on(mode):
    """conformance 21."""
    assert decoded(tools=[LOOK], tool_choice=mode).fields["tool_choice"] == mode


def test_a_named_choice_is_flat():
    """conformance 21: function and custom."""
    choice = {"type": "function", "function": {"name": "look"}}
    assert decoded(tools=[LOOK], tool_choice=choice).fields["tool_choice"] == {"type": "function", "name": "look"}
    choice = {"type": "custom", "custom": {"name": "patch"}}
    assert decoded(tools=[PATCH], tool_choice=choice).fields["tool_choice"] == {"type": "custom", "name": "patch"}


def test_allowed_tools_are_flat():
    """conformance 21: the mode and each tool, whether the inner object is there or not."""
    inner = {"mode": "required", "tools": [{"type": "function", "function": {"name": "look"}}]}
    wanted = {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "look"}]}
    choice = {"type": "allowed_tools", "allowed_tools": inner}
    assert decoded(tools=[LOOK], tool_choice=choice).fields["tool_choice"] == wanted
    assert decoded(tools=[LOOK], tool_choice=wanted).fields["tool_choice"] == wanted


def test_a_choice_without_tools_is_dropped():
    """conformance 21: with a loss, a hint where nothing could be chosen anyway."""
    got = decoded(tools=[], tool_choice="required")
    assert "tool_choice" not in got.fields and "tools" not in got.fields
    assert [(loss.path, loss.what, loss.is_hint) for loss in got.losses] == [("tool_choice", "dropped", False)]
    assert [loss.is_hint for loss in decoded(tool_choice="auto").losses] == [True]


@pytest.mark.parametrize("value", [True, False])
def test_parallel_calls_are_as_the_client_says(value):
    """conformance 22."""
    assert decoded(tools=[LOOK], parallel_tool_calls=value).fields["parallel_tool_calls"] is value


def test_parallel_calls_are_left_out_where_the_client_left_them_out():
    """conformance 22."""
    assert "parallel_tool_calls" not in decoded(tools=[LOOK]).fields


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"tools": [{"type": "computer"}]}, "tools[0].type"),
        ({"tools": [{"type": "function", "function": {}}]}, "tools[0].function.name"),
        ({"tools": [{"type": "custom", "name": "x", "format": {"type": "y"}}]}, "tools[0].format.type"),
        ({"tools": [LOOK], "tool_choice": "any"}, "tool_choice"),
        ({"tools": [LOOK], "tool_choice": {"type": "function"}}, "tool_choice.name"),
        ({"tools": [LOOK], "function_call": "required"}, "function_call"),
        ({"tools": [LOOK], "function_call": 1}, "function_call"),
        ({"functions": [{"description": "nameless"}]}, "functions[0].name"),
    ],
)
def test_what_is_no_tool_or_choice_is_refused_by_path(body, param):
    """400 that says where."""
    with pytest.raises(WireError) as raised:
        decoded(**body)
    assert raised.value.param == param
