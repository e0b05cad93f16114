"""Tools and tool_choice as a provider of the Responses family takes them, and the schema of structured output."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from mitmcodex.wire import tuples
from mitmcodex.wire.codec import Loss
from mitmcodex.wire.errors import WireError
from mitmcodex.wire.image_tool import check_image_tool
from mitmcodex.wire.reading import wrong
from mitmcodex.wire.schema_repair import repaired_parameters, repaired_schema, strict_fault
from mitmcodex.wire.shapes import Fields
from mitmcodex.wire.sparing import put, unless_same, without

CHATGPT_TOOLS = frozenset(
    "function custom namespace tool_search web_search image_generation local_shell".split()
)
"""What the ChatGPT backend has (protocol.md 2.2)."""
CHECKS_STRICT = ("chatgpt", "openai", "azure")
"""Kinds that are known to refuse a strict schema by these rules; others may be laxer."""

NO_PARAMETERS: Fields = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}

_WEB_SEARCH = re.compile(r"web_search(_preview)?(_\d{4}_\d\d_\d\d)?")


class ToolFitter:
    """Fits one request. The methods raise WireError (invalid_request) for what is no tool or can't be held strictly."""

    def __init__(self, kind: str, path: Callable[[str], str], losses: list[Loss]) -> None:
        """``path``: canonical top-level key → where the client wrote it."""
        self.tuple_schemas: dict[str, Fields] = {}
        """Name of a function → its schema as the client gave it, of those with tuples."""
        self.tuple_format: Fields | None = None
        """Schema of the structured output as the client gave it, if it has tuples."""
        self._kind = kind
        self._path = path
        self._losses = losses
        self._dialects = 0

    def fitted(self, fields: Fields) -> Fields:
        """With fitting ``tools``, ``tool_choice`` and ``text.format``; the very same where all fit."""
        has_tools = False
        if (tools := fields.get("tools")) is not None:
            fitting = self._tools(tools, self._path("tools"))
            has_tools = bool(fitting)
            fields = put(fields, "tools", fitting) if fitting or not tools else without(fields, "tools")
        if isinstance(items := fields.get("input"), list):
            brought = [self._brought(item, index) for index, item in enumerate(items)]
            has_tools |= any(map(_brings_tools, brought))
            fields = put(fields, "input", unless_same(brought, items))
        if fields.get("tool_choice") is not None and "prompt" not in fields:
            fields = self._choice(fields, has_tools)
        if isinstance(text := fields.get("text"), dict) and isinstance(text.get("format"), dict):
            fields = put(fields, "text", put(text, "format", self._format(text["format"])))
        if self._dialects:
            why = f"a schema's dialect is not asked for ({self._dialects} times)"
            self._losses.append(Loss(f"{self._path('tools')}[*].parameters.$schema", "dropped", why, True))
        return fields

    # -- tools ------------------------------------------------------------------------------------

    def _tools(self, tools: Any, path: str) -> list[Any]:
        if not isinstance(tools, list):
            raise wrong(path, "must be a list")
        fitting = []
        for index, tool in enumerate(tools):
            here = f"{path}[{index}]"
            if not isinstance(tool, dict):
                raise wrong(here, "must be an object")
            if (fitted := self._tool(tool, here)) is not None:
                fitting.append(fitted)
        return unless_same(fitting, tools)

    def _brought(self, item: Any, index: int) -> Any:
        """An item of the Lite form holds tools too."""
        if not isinstance(item, dict) or item.get("type") != "additional_tools":
            return item
        path = f"{self._path('input')}[{index}].tools"
        return put(item, "tools", self._tools(item.get("tools") or [], path))

    def _tool(self, tool: Fields, path: str) -> Fields | None:
        """None = dropped."""
        kind = tool.get("type")
        if not isinstance(kind, str):
            raise wrong(f"{path}.type", "is missing, must be a text")
        if self._kind == "chatgpt":
            if _WEB_SEARCH.fullmatch(kind) and kind != "web_search":
                self._losses.append(Loss(f"{path}.type", "mapped", f"{kind} goes as web_search"))
                tool = {**tool, "type": "web_search"}
            elif kind not in CHATGPT_TOOLS:
                self._losses.append(Loss(path, "dropped", f"the ChatGPT backend has no tool {kind}"))
                return None
            if kind == "image_generation":
                check_image_tool(tool, path)
        if kind in ("function", "custom", "namespace") and not isinstance(tool.get("name"), str):
            raise wrong(f"{path}.name", "is missing, must be a text")
        if kind == "function":
            return self._function(tool, path)
        if kind == "namespace" and tool.get("tools") is not None:
            return put(tool, "tools", self._tools(tool["tools"], f"{path}.tools"))
        return tool

    def _function(self, tool: Fields, path: str) -> Fields:
        given = tool.get("parameters")
        if given is not None and not isinstance(given, dict):
            raise wrong(f"{path}.parameters", "must be an object")
        if not given:
            return put(tool, "parameters", dict(NO_PARAMETERS))
        schema = repaired_parameters(given)
        if "$schema" in given:
            self._dialects += 1
        if tuples.has_tuples(given):
            self.tuple_schemas[tool["name"]] = given
            self._losses.append(Loss(f"{path}.parameters", "mapped", "tuples go as objects with the keys 0, 1, …"))
        if tool.get("strict") is True:
            self._check_strict(schema, f"{path}.parameters")
        return put(tool, "parameters", schema)

    # -- tool_choice ------------------------------------------------------------------------------

    def _choice(self, fields: Fields, has_tools: bool) -> Fields:
        choice, path = fields["tool_choice"], self._path("tool_choice")
        if not has_tools:
            if choice not in ("auto", "none"):
                self._losses.append(Loss(path, "dropped", "there is no tool to choose"))
            return without(fields, "tool_choice")
        if not isinstance(choice, dict) or self._kind != "chatgpt":
            return fields
        if isinstance(choice.get("tools"), list):
            allowed = [self._chosen(one, f"{path}.tools[{index}]") for index, one in enumerate(choice["tools"])]
            return put(fields, "tool_choice", {**choice, "tools": [one for one in allowed if one is not None]})
        chosen = self._chosen(choice, path)
        return without(fields, "tool_choice") if chosen is None else put(fields, "tool_choice", chosen)

    def _chosen(self, choice: Any, path: str) -> Any:
        """None = dropped, as its tool was."""
        kind = choice.get("type") if isinstance(choice, dict) else None
        if isinstance(kind, str) and _WEB_SEARCH.fullmatch(kind):
            return put(choice, "type", "web_search")
        if isinstance(kind, str) and kind not in CHATGPT_TOOLS and kind != "allowed_tools":
            self._losses.append(Loss(path, "dropped", f"the ChatGPT backend has no tool {kind}"))
            return None
        return choice

    # -- structured output ------------------------------------------------------------------------

    def _format(self, form: Fields) -> Fields:
        schema = form.get("schema")
        if form.get("type") != "json_schema" or not isinstance(schema, dict):
            return form
        path = self._path("text") if self._path("text") != "text" else "text.format.schema"
        fitting = repaired_schema(schema)
        if "$schema" in schema:
            self._losses.append(Loss(f"{path}.$schema", "dropped", "a schema's dialect is not asked for", True))
        if tuples.has_tuples(schema):
            self.tuple_format = schema
            self._losses.append(Loss(path, "mapped", "tuples go as objects with the keys 0, 1, …"))
        if form.get("strict") is True:
            self._check_strict(fitting, path)
        return put(form, "schema", fitting)

    def _check_strict(self, schema: Fields, path: str) -> None:
        fault = strict_fault(schema) if self._kind in CHECKS_STRICT else None
        if fault:
            place = f"{path}#{fault.pointer}"
            message = f"{place}: {fault.why} where strict is true. Mend the schema or leave strict out."
            raise WireError("invalid_request", message, code="invalid_schema", param=place)


def _brings_tools(item: Any) -> bool:
    return isinstance(item, dict) and item.get("type") in ("additional_tools", "tool_search_output")
