"""wire/tools.py: tools, tool_choice and structured output for a provider (conformance 21, 32, 37)."""

from __future__ import annotations

from typing import Any

import pytest

from mitmcodex.wire.codec import Loss
from mitmcodex.wire.errors import WireError
from mitmcodex.wire.tools import ToolFitter

CLOSED = {"type": "object", "properties": {}, "additionalProperties": False}
PAIR = {"type": "object", "properties": {"p": {"prefixItems": [{"type": "string"}]}}}
PLAIN = {"type": "function", "name": "f", "parameters": CLOSED}


def fitted(fields: dict[str, Any], kind: str = "chatgpt") -> tuple[dict[str, Any], list[Loss], ToolFitter]:
    losses: list[Loss] = []
    fitter = ToolFitter(kind, lambda key: {"text": "response_format"}.get(key, key), losses)
    return fitter.fitted(fields), losses, fitter


def test_good_tools_are_not_touched() -> None:
    """conformance 32 and 76: the very same fields, order kept, nothing invented."""
    custom = {"type": "custom", "name": "c", "format": {"type": "grammar"}}
    tools = [PLAIN, custom, {"type": "namespace", "name": "n", "tools": [PLAIN]}, {"type": "web_search"}]
    for fields in ({"tools": tools, "tool_choice": "required"}, {"input": [{"role": "user"}]}, {"tools": []}):
        found, losses, _ = fitted(fields)
        assert found is fields and losses == []


@pytest.mark.parametrize("kind", ["web_search_preview", "web_search_preview_2025_03_11", "web_search_2025_08_26"])
def test_old_names_of_the_search_are_the_new_one(kind: str) -> None:
    """conformance 37: in tools and in tool_choice, for the backend; other services know the name."""
    fields = {"tools": [{"type": kind, "search_context_size": "low"}], "tool_choice": {"type": kind}}
    found, losses, _ = fitted(fields)
    assert found == {
        "tools": [{"type": "web_search", "search_context_size": "low"}],
        "tool_choice": {"type": "web_search"},
    }
    assert [(loss.path, loss.what) for loss in losses] == [("tools[0].type", "mapped")]
    assert fitted(fields, "openai")[0] is fields


@pytest.mark.parametrize("kind", ["file_search", "code_interpreter", "computer_use_preview", "mcp", "shell"])
def test_tools_that_the_backend_has_not_are_dropped(kind: str) -> None:
    """Each with its reason, and the choice of it too; a service of the public API gets them."""
    fields = {"tools": [PLAIN, {"type": kind}], "tool_choice": {"type": kind}}
    found, losses, _ = fitted(fields)
    assert found == {"tools": [PLAIN]}
    assert [(loss.path, loss.what) for loss in losses] == [("tools[1]", "dropped"), ("tool_choice", "dropped")]
    assert kind in losses[0].why
    assert fitted(fields, "openai")[0] is fields
    alone, _, _ = fitted({"tools": [{"type": kind}], "tool_choice": "auto"})
    assert alone == {}


def test_a_choice_without_tools_is_dropped() -> None:
    """conformance 21; auto and none say nothing then."""
    assert fitted({"tool_choice": "auto"})[:2] == ({}, [])
    found, losses, _ = fitted({"tool_choice": "required", "tools": []})
    assert found == {"tools": []} and [loss.path for loss in losses] == ["tool_choice"]
    brought = {"input": [{"type": "additional_tools", "tools": [PLAIN]}], "tool_choice": "required"}
    assert fitted(brought)[0] is brought
    stored = {"prompt": {"id": "p"}, "tool_choice": "required"}
    assert fitted(stored, "openai")[0] is stored


def test_allowed_tools_lose_those_that_were_dropped() -> None:
    """conformance 21."""
    allowed = [{"type": "function", "name": "f"}, {"type": "mcp"}, {"type": "web_search_preview"}]
    choice = {"type": "allowed_tools", "mode": "auto", "tools": allowed}
    found, _, _ = fitted({"tools": [PLAIN], "tool_choice": choice})
    assert found["tool_choice"]["tools"] == [allowed[0], {"type": "web_search"}]


def test_schemas_are_mended_and_remembered() -> None:
    """pains P12 and seeds S80: tuples, dialects, missing parameters, also in namespaces and items of the Lite form."""
    tools = [
        {"type": "function", "name": "t", "parameters": PAIR},
        {"type": "function", "name": "d", "parameters": {"$schema": "x", **CLOSED}},
        {"type": "function", "name": "e", "strict": True},
    ]
    found, losses, fitter = fitted({"tools": tools, "input": [{"type": "additional_tools", "tools": tools[1:2]}]})
    assert found["tools"][0]["parameters"]["properties"]["p"]["required"] == ["0"]
    assert found["tools"][1]["parameters"] == CLOSED == found["input"][0]["tools"][0]["parameters"]
    assert found["tools"][2]["parameters"]["additionalProperties"] is False
    assert fitter.tuple_schemas == {"t": PAIR}
    assert [(loss.path, loss.what, loss.is_hint) for loss in losses] == [
        ("tools[0].parameters", "mapped", False),
        ("tools[*].parameters.$schema", "dropped", True),
    ]


@pytest.mark.parametrize("kind", ["chatgpt", "openai", "azure"])
def test_a_strict_schema_is_checked(kind: str) -> None:
    """pains P12: 400 whose text and param hold the pointer to the fault, in tools and in structured output."""
    open_one = {**CLOSED, "properties": {"a": {"type": "object"}}, "required": ["a"]}
    tool = {"type": "function", "name": "f", "strict": True, "parameters": open_one}
    form = {"type": "json_schema", "strict": True, "schema": open_one}
    for fields, path in (({"tools": [tool]}, "tools[0].parameters"), ({"text": {"format": form}}, "response_format")):
        with pytest.raises(WireError) as caught:
            fitted(fields, kind)
        place = f"{path}#/properties/a/additionalProperties"
        assert caught.value.param == place and place in caught.value.message
        assert caught.value.status_for(is_codex=False) == 400
        fitted(fields, "responses")


def test_structured_output_with_tuples() -> None:
    """seeds S80: the schema goes as objects and is remembered."""
    form = {"type": "json_schema", "name": "n", "schema": {"$schema": "x", **PAIR}}
    found, losses, fitter = fitted({"text": {"verbosity": "low", "format": form}})
    assert found["text"]["format"]["schema"]["properties"]["p"]["type"] == "object"
    assert found["text"]["verbosity"] == "low" and fitter.tuple_format == form["schema"]
    assert [loss.path for loss in losses] == ["response_format.$schema", "response_format"]


def test_image_tools_are_checked_for_the_backend_alone() -> None:
    """seeds S137: other services have rules of their own."""
    fields = {"tools": [{"type": "image_generation", "size": "1x1"}]}
    with pytest.raises(WireError, match=r"tools\[0\]\.size"):
        fitted(fields)
    assert fitted(fields, "openai")[0] is fields


@pytest.mark.parametrize(
    "tools",
    [
        *(1, "x", {}, [1], [None], [{}], [{"type": 1}], [{"type": "function"}], [{"type": "custom", "name": 1}]),
        [{"type": "function", "name": "f", "parameters": [1]}],
        [{"type": "namespace", "name": "n", "tools": 1}],
    ],
)
def test_what_is_no_tool_is_refused(tools: Any) -> None:
    """Status 400 with its place."""
    with pytest.raises(WireError) as caught:
        fitted({"tools": tools})
    assert caught.value.kind == "invalid_request" and str(caught.value.param).startswith("tools")
