"""The tools of a canonical request as plain functions, for providers that know nothing else, and the way back.

Custom tools take one text, namespaces become a prefix, the client-side tools ``tool_search`` and ``local_shell`` become
functions. Both directions build their Toolbox from the same request, so nothing has to be kept between them.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from mitmcodex.wire.codec import Loss
from mitmcodex.wire.reading import Reading, wrong
from mitmcodex.wire.shapes import Fields

NAME_LIMIT = 64
_ILLEGAL = re.compile("[^a-zA-Z0-9_-]")
_INPUT = "input"
_NO_PARAMETERS: Fields = {"type": "object", "properties": {}}
_SHELL_PARAMETERS: Fields = {
    "type": "object",
    "properties": {
        "command": {"type": "array", "items": {"type": "string"}, "description": "The program and its arguments."},
        "working_directory": {"type": "string"},
        "timeout_ms": {"type": "integer"},
    },
    "required": ["command"],
}


class Tool(NamedTuple):
    """A tool as the client knows it."""

    kind: str
    """function | custom | tool_search | local_shell"""
    name: str
    namespace: str = ""


class Function(NamedTuple):
    """The same tool as the provider knows it."""

    name: str
    description: str
    parameters: Fields
    strict: bool | None
    path: str
    """Where the client declared it."""


class ToolReading(Reading):
    hints = {
        "defer_loading": "all tools are sent at once",
        "output_schema": "the provider takes none",
        "allowed_callers": "only the model calls tools there",
    }


class Toolbox:
    """Raises WireError (invalid_request) for a tool that is none."""

    def __init__(self, request: Fields, losses: list[Loss], hosted: str = "") -> None:
        """``request``: canonical; its tools stand in ``tools`` and in items ``additional_tools`` (the Lite form) and
        ``tool_search_output``. ``hosted``: how the types begin that the provider runs itself; those are left to the
        caller."""
        self.hosted: list[tuple[str, Fields]] = []
        """Path and tool, as they came."""
        self._losses = losses
        self._hosted = hosted
        self._tools: dict[str, Tool] = {}
        self._functions: dict[Tool, Function] = {}
        for path, tools in _declared(request):
            for index, tool in enumerate(tools):
                self._read(tool, f"{path}[{index}]", "")

    @property
    def functions(self) -> dict[Tool, Function]:
        """In the order of their declaration."""
        return self._functions

    def name(self, tool: Tool) -> str:
        """What the provider calls a tool, also one that the history alone knows."""
        known = self._functions.get(tool)
        return known.name if known else _legal(tool)

    def tool(self, name: str) -> Tool:
        """What the client calls it; a name that nobody declared is a function's."""
        return self._tools.get(name) or Tool("function", name)

    def _read(self, value: Any, path: str, namespace: str) -> None:
        if self._hosted and isinstance(value, dict) and str(value.get("type")).startswith(self._hosted):
            self.hosted.append((path, value))
            return
        with ToolReading(value, path, self._losses) as tool:
            kind = tool.need("type", str)
            read = _READERS.get(kind)
            if read is None:
                tool.drop(f"{kind!r} is a tool of the Responses API, which this provider can't run")
            else:
                read(self, tool, namespace)

    def _function(self, tool: Reading, namespace: str) -> None:
        name = Tool("function", _named(tool), namespace)
        parameters = tool.take("parameters", dict) or _NO_PARAMETERS
        description, strict = tool.take("description", str) or "", tool.take("strict", bool)
        self._add(name, Function("", description, parameters, strict, tool.path))

    def _custom(self, tool: Reading, namespace: str) -> None:
        name, description = Tool("custom", _named(tool), namespace), tool.take("description", str) or ""
        told = "The text that the tool gets."
        form = tool.take("format", dict)
        if form is not None:
            with Reading(form, tool.at("format"), self._losses) as grammar:
                if grammar.need("type", str) == "grammar":
                    syntax, definition = grammar.need("syntax", str), grammar.need("definition", str)
                    told += f" It must match this {syntax} grammar:\n{definition}"
        parameters = {
            "type": "object",
            "properties": {_INPUT: {"type": "string", "description": told}},
            "required": [_INPUT],
            "additionalProperties": False,
        }
        self._add(name, Function("", description, parameters, None, tool.path))
        self._map(tool, f"a custom tool goes as a function with the argument {_INPUT!r}; a grammar is only told")

    def _namespace(self, tool: Reading, namespace: str) -> None:
        if namespace:
            raise wrong(tool.path, "a namespace can't stand in a namespace")
        name, inner = _named(tool), tool.need("tools", list)
        tool.raw("description")
        self._map(tool, f"its tools go as functions named {name}__…, without the namespace's description")
        for index, value in enumerate(inner):
            self._read(value, f"{tool.at('tools')}[{index}]", name)

    def _search(self, tool: Reading, namespace: str) -> None:
        if tool.take("execution", str) != "client":
            tool.drop("the provider can't search tools; with execution 'client' the client does")
            return
        parameters = tool.take("parameters", dict) or _NO_PARAMETERS
        description = tool.take("description", str) or ""
        self._add(Tool("tool_search", "tool_search"), Function("", description, parameters, None, tool.path))
        self._map(tool, "goes as a function of this name")

    def _shell(self, tool: Reading, namespace: str) -> None:
        description = "Runs a command on the user's machine and returns its output."
        self._add(Tool("local_shell", "local_shell"), Function("", description, _SHELL_PARAMETERS, None, tool.path))
        self._map(tool, "goes as a function of this name")

    def _map(self, tool: Reading, why: str) -> None:
        self._losses.append(Loss(tool.path, "mapped", why))

    def _add(self, tool: Tool, function: Function) -> None:
        """``function`` gets its name here."""
        if tool in self._functions:  # a search may load a tool twice
            return
        name = _legal(tool)
        if name in self._tools:
            name = _shortened(name, repr(tuple(tool)))
        self._tools[name] = tool
        self._functions[tool] = function._replace(name=name)


_READERS: dict[str, Callable[[Toolbox, Reading, str], None]] = {
    "function": Toolbox._function,
    "custom": Toolbox._custom,
    "namespace": Toolbox._namespace,
    "tool_search": Toolbox._search,
    "local_shell": Toolbox._shell,
}


def wrapped(text: str) -> str:
    """The input of a custom call as a function's arguments."""
    return json.dumps({_INPUT: text}, ensure_ascii=False)


def unwrapped(arguments: str) -> str:
    """A function's arguments as the input of a custom call. A model that left the wrapping out meant the text."""
    try:
        value = json.loads(arguments)
    except (ValueError, RecursionError):
        return arguments
    text = value.get(_INPUT) if isinstance(value, dict) else None
    return text if isinstance(text, str) else arguments


def _declared(request: Fields) -> Iterator[tuple[str, list[Any]]]:
    if request.get("tools") is not None:
        yield "tools", _listed(request["tools"], "tools")
    items = request.get("input")
    for index, item in enumerate(items if isinstance(items, list) else []):
        if isinstance(item, dict) and item.get("type") in ("additional_tools", "tool_search_output"):
            path = f"input[{index}].tools"
            yield path, _listed(item.get("tools") or [], path)


def _listed(value: Any, path: str) -> list[Any]:
    if not isinstance(value, list):
        raise wrong(path, "must be a list")
    return value


def _named(tool: Reading) -> str:
    name = tool.need("name", str)
    if not name:
        raise wrong(tool.at("name"), "must not be empty")
    return name


def _legal(tool: Tool) -> str:
    """Letters, digits, _ and -, at most 64: what OpenAI demands and others took over. Gemini besides wants a letter or
    _ first."""
    name = f"{tool.namespace}__{tool.name}" if tool.namespace else tool.name
    legal = _ILLEGAL.sub("_", name)
    if not legal[:1].isalpha() and not legal.startswith("_"):
        legal = f"_{legal}"
    return legal if legal == name and len(name) <= NAME_LIMIT else _shortened(legal, name)


def _shortened(legal: str, whole: str) -> str:
    mark = hashlib.sha256(whole.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{legal[: NAME_LIMIT - 9]}_{mark}"
