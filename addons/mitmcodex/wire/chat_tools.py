"""Chat Completions, decode: tools and which of them may or must be called (conformance 20 to 22).

Tools are also taken flat, as the Responses API has them: Cursor sends them so on this route (pains.md P25).
"""

from __future__ import annotations

from typing import Any

from mitmcodex.wire.chat_reading import ChatReading, one_of
from mitmcodex.wire.codec import Decoded
from mitmcodex.wire.reading import wrong
from mitmcodex.wire.shapes import Fields

_HOSTED = ("image_generation", "web_search", "web_search_preview", "web_search_preview_2025_03_11")
"""Tools that the provider runs; they have one form in both APIs."""

_MODES = ("none", "auto", "required")


def decode_tools(body: ChatReading, decoded: Decoded) -> None:
    """Sets ``tools``, ``tool_choice`` and ``parallel_tool_calls``."""
    tools = [_tool(tool) for tool in body.objects("tools")]
    functions = [{"type": "function", **_function(function)} for function in body.objects("functions")]
    tools += functions + _search(body)
    if tools:
        decoded.fields["tools"] = tools
    if tools and len(tools) == len(functions):
        decoded.paths["tools"] = "functions"
    if (parallel := body.take("parallel_tool_calls", bool)) is not None:
        decoded.fields["parallel_tool_calls"] = parallel
    elif functions:
        decoded.fields["parallel_tool_calls"] = False  # the legacy form has room for one call
    _decode_choice(body, decoded)


def _tool(tool: ChatReading) -> Fields:
    kind = one_of(tool.need("type", str), ("function", "custom", *_HOSTED), tool.at("type"))
    if kind in _HOSTED:
        return tool.whole()
    read = _function if kind == "function" else _custom
    if tool.raw(kind) is None:
        return {"type": kind, **read(tool)}
    with tool.inner(kind) as inner:
        return {"type": kind, **read(inner)}


def _function(function: ChatReading) -> Fields:
    decoded: Fields = {"name": function.need("name", str)}
    decoded |= _told(description=function.take("description", str), parameters=function.take("parameters", dict))
    # Not strict unless told so, while the Responses API is strict unless told otherwise.
    return {**decoded, "strict": function.take("strict", bool) or False}


def _custom(custom: ChatReading) -> Fields:
    decoded: Fields = {"name": custom.need("name", str), **_told(description=custom.take("description", str))}
    if custom.raw("format") is None:
        return decoded
    with custom.inner("format") as form:
        kind = one_of(form.need("type", str), ("text", "grammar"), form.at("type"))
        if kind == "text":
            return {**decoded, "format": {"type": "text"}}
        if form.raw("grammar") is None:
            return {**decoded, "format": _grammar(form)}
        with form.inner("grammar") as grammar:
            return {**decoded, "format": _grammar(grammar)}


def _grammar(grammar: ChatReading) -> Fields:
    told = {key: grammar.need(key, str) for key in ("syntax", "definition")}
    return {"type": "grammar", **told}


def _search(body: ChatReading) -> list[Fields]:
    """``web_search_options``: the hosted tool, by another name."""
    if body.raw("web_search_options") is None:
        return []
    with body.inner("web_search_options") as options:
        tool: Fields = {"type": "web_search", **_told(search_context_size=options.take("search_context_size", str))}
        if options.raw("user_location") is None:
            return [tool]
        with options.inner("user_location") as location:
            place = location.take("approximate", dict) or {}
            return [{**tool, "user_location": {"type": location.take("type", str) or "approximate", **place}}]


# -- the choice -----------------------------------------------------------------------------------


def _decode_choice(body: ChatReading, decoded: Decoded) -> None:
    for key, read in (("function_call", _legacy_choice), ("tool_choice", _choice)):
        value = body.raw(key)
        if value is None:
            continue
        if "tools" not in decoded.fields:
            body.lose(key, "there are no tools to choose from", is_hint=value in ("none", "auto"))
            continue
        decoded.fields["tool_choice"] = read(body, value)
        if key != "tool_choice":
            decoded.paths["tool_choice"] = key


def _choice(body: ChatReading, value: Any) -> Any:
    if isinstance(value, str):
        return one_of(value, _MODES, "tool_choice")
    with body.inner("tool_choice") as choice:
        if choice.need("type", str) != "allowed_tools":
            return _named(choice)
        allowed = choice if choice.raw("allowed_tools") is None else choice.inner("allowed_tools")
        with allowed:
            mode = one_of(allowed.need("mode", str), ("auto", "required"), allowed.at("mode"))
            return {"type": "allowed_tools", "mode": mode, "tools": [_named(tool) for tool in allowed.objects("tools")]}


def _named(choice: ChatReading) -> Fields:
    kind = one_of(choice.need("type", str), ("function", "custom", *_HOSTED), choice.at("type"))
    if kind in _HOSTED:
        return {"type": kind}
    if choice.raw(kind) is None:
        return {"type": kind, "name": choice.need("name", str)}
    with choice.inner(kind) as inner:
        return {"type": kind, "name": inner.need("name", str)}


def _legacy_choice(body: ChatReading, value: Any) -> Any:
    if isinstance(value, str):
        return one_of(value, ("none", "auto"), "function_call")
    if not isinstance(value, dict):
        raise wrong("function_call", "must be a text or an object")
    with body.inner("function_call") as choice:
        return {"type": "function", "name": choice.need("name", str)}


def _told(**fields: Any) -> Fields:
    return {key: value for key, value in fields.items() if value is not None}
