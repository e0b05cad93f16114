"""Gemini's ``tools`` and ``toolConfig`` in canonical form (conformance 66)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mitmcodex.wire.gemini_reading import GeminiReading
from mitmcodex.wire.gemini_schema import json_schema
from mitmcodex.wire.reading import wrong
from mitmcodex.wire.shapes import Fields

_SEARCHES = ("googleSearch", "googleSearchRetrieval", "enterpriseWebSearch")
_MODES = {"AUTO": "auto", "ANY": "required", "NONE": "none", "VALIDATED": "auto"}


def tools(groups: Iterable[GeminiReading]) -> list[Fields]:
    """Functions and web search; Google's other tools are losses, which ``strict`` refuses."""
    found: list[Fields] = []
    for tool in groups:
        found += [_function(one) for one in tool.objects("functionDeclarations")]
        for key in _SEARCHES:
            search = tool.inner(key)
            if search is not None:
                with search:
                    found.append({"type": "web_search"})
        for key in ("codeExecution", "urlContext", "fileSearch", "googleMaps", "computerUse"):
            inside = tool.inner(key)
            if inside is not None:  # mostly {}, which asks for the tool all the same
                inside.drop("only Google's own service has this tool")
    return found


def _function(declaration: GeminiReading) -> Fields:
    name = declaration.need("name", str)
    if not name:
        raise wrong(declaration.at("name"), "must name the function")
    function: Fields = {"type": "function", "name": name}
    description = declaration.take("description", str)
    if description:
        function["description"] = description
    if declaration.take("behavior", str) not in (None, "UNSPECIFIED", "BLOCKING"):
        declaration.lose("behavior", "the model waits for what a function returns")
    # Without ``strict`` canonical form takes a function for a strict one, which Gemini's are not.
    return function | {"parameters": _parameters(declaration), "strict": False}


def _parameters(declaration: GeminiReading) -> Fields:
    schema = declaration.take("parametersJsonSchema", dict)
    if schema is not None:
        return schema
    if declaration.raw("parameters") is None:
        return {"type": "object", "properties": {}}
    return json_schema(declaration.raw("parameters"), declaration.at("parameters"), declaration.losses)


def tool_choice(calling: GeminiReading) -> Any:
    """``functionCallingConfig`` as ``tool_choice``; None when it says nothing."""
    told, names = calling.take("mode", str) or "MODE_UNSPECIFIED", calling.texts("allowedFunctionNames")
    mode = _MODES.get(told.upper(), "")
    if not mode and told != "MODE_UNSPECIFIED":
        raise wrong(calling.at("mode"), f"must be one of {', '.join(_MODES)}")
    if told.upper() == "VALIDATED":
        calling.lose("mode", "calls are not held to their schema, AUTO is what there is", what="changed")
    if not names or mode == "none":
        return mode or None
    if mode == "required" and len(names) == 1:
        return {"type": "function", "name": names[0]}
    named = [{"type": "function", "name": name} for name in names]
    return {"type": "allowed_tools", "mode": mode or "auto", "tools": named}
