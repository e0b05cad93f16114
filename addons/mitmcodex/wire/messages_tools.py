"""Messages, decode: ``tools`` and ``tool_choice`` → canonical tools (conformance 51, 59)."""

from __future__ import annotations

import re
from typing import Any

from mitmcodex.wire.codec import Decoded
from mitmcodex.wire.messages_fields import Block
from mitmcodex.wire.reading import wrong
from mitmcodex.wire.schema_closing import NOT_ENFORCED, closed
from mitmcodex.wire.shapes import Fields

_WEB_SEARCH = re.compile(r"web_search_20(?:25|26)\d{4}")
_CHOICES = {"auto": "auto", "any": "required", "none": "none"}


def read_tools(body: Block, decoded: Decoded) -> None:
    tools: list[Fields] = []
    for index, one in enumerate(body.take("tools", list) or []):
        with Block(one, f"tools[{index}]", body.losses) as tool:
            tools += _tool(tool, decoded)
    if tools:
        decoded.fields["tools"] = tools
    choice = body.take("tool_choice", dict)
    if choice is not None:
        _read_choice(Block(choice, "tool_choice", body.losses), decoded)


def _tool(tool: Block, decoded: Decoded) -> list[Fields]:
    kind = tool.take("type", str) or "custom"
    if kind == "custom":
        return [_function(tool)]
    if kind.startswith("web_search_"):
        return [_web_search(tool, kind, decoded)]
    if kind.startswith("tool_search_tool_"):
        tool.drop("all tools are shown from the start", is_hint=True)
    else:
        tool.drop(f"a tool of the type {kind!r} has no counterpart")
    return []


def _function(tool: Block) -> Fields:
    made: Fields = {"type": "function", "name": tool.need("name", str)}
    description = tool.take("description", str)
    if description is not None:
        made["description"] = description
    made["parameters"] = tool.need("input_schema", dict)
    # Said in any case: absent means strict to the Responses API, which would make each optional parameter required.
    made["strict"] = False
    if tool.take("strict", bool):
        made |= _strict(tool, made["parameters"])
    callers = tool.take("allowed_callers", list)
    if callers is not None and "direct" not in callers:
        raise wrong(tool.at("allowed_callers"), 'must contain "direct": other callers are not supported')
    if callers is not None and callers != ["direct"]:
        tool.lose("allowed_callers", "the model alone calls tools")
    return made


def _strict(tool: Block, schema: Fields) -> Fields:
    """Anthropic's strict tools may have optional parameters, those of the Responses API may not."""
    strict = closed(schema)
    if strict is not None:
        return {"parameters": strict, "strict": True}
    tool.lose("strict", NOT_ENFORCED, what="changed")
    return {}


def _web_search(tool: Block, kind: str, decoded: Decoded) -> Fields:
    """What limits a search must hold or be refused: it is never widened in silence (conformance 51)."""
    if not _WEB_SEARCH.fullmatch(kind):
        raise wrong(tool.at("type"), f"{kind!r} is not known; use web_search_20250305")
    tool.take("name", str)
    if tool.take("blocked_domains", list):
        raise wrong(tool.at("blocked_domains"), "can't be kept by the provider; use allowed_domains or leave it out")
    if tool.take("allowed_callers", list) not in (None, [], ["direct"]):
        raise wrong(tool.at("allowed_callers"), 'must be ["direct"]: other callers are not supported')
    made: Fields = {"type": "web_search"}
    domains = tool.take("allowed_domains", list)
    if domains:
        made["filters"] = {"allowed_domains": domains}
    place = tool.take("user_location", dict)
    if place is not None:
        made["user_location"] = place
    most = tool.take("max_uses", int)
    if most is not None:
        decoded.fields["max_tool_calls"] = most  # counts hosted tools alone, and this is the only one
        decoded.paths["max_tool_calls"] = tool.at("max_uses")
    return made


def _read_choice(choice: Block, decoded: Decoded) -> None:
    with choice:
        kind = choice.need("type", str)
        if kind == "tool":
            decoded.fields["tool_choice"] = _named(choice.need("name", str), decoded)
        elif kind in _CHOICES:
            decoded.fields["tool_choice"] = _CHOICES[kind]
        else:
            raise wrong(choice.at("type"), "must be auto, any, tool or none")
        if choice.take("disable_parallel_tool_use", bool):
            decoded.fields["parallel_tool_calls"] = False
            decoded.paths["parallel_tool_calls"] = choice.at("disable_parallel_tool_use")


def _named(name: str, decoded: Decoded) -> Any:
    tools = decoded.fields.get("tools", [])
    is_function = any(tool.get("name") == name for tool in tools)
    if name == "web_search" and not is_function:
        return {"type": "web_search"}
    return {"type": "function", "name": name}
