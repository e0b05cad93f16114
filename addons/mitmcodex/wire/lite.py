"""The two forms of a request to the ChatGPT backend: classic, and Lite for newer models (protocol.md 2.3).

Classic: ``instructions``, ``tools``. Lite: neither; the tools are the first item of the input, flat ones within the
namespace ``functions``, and every system text is a developer item after it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from mitmcodex.wire.errors import WireError
from mitmcodex.wire.json_word import wants_json
from mitmcodex.wire.shapes import Fields
from mitmcodex.wire.sparing import each, put, without

DEFAULT_INSTRUCTIONS = "Follow the user's instructions."
NAMESPACE = "functions"
CONTEXT = "all_turns"
"""``reasoning.context`` of the Lite form."""
CLASSIC_MODEL = "gpt-5.5"
"""A model of the shipped catalog that takes the classic form."""

_LITE_TOOLS = frozenset(("function", "custom", "namespace", "tool_search"))
_FLAT_TOOLS = ("function", "custom")
_CALLS = ("function_call", "custom_tool_call")
_TOLD = ("system", "developer")


class Wish(NamedTuple):
    is_lite_model: bool
    """The model's catalog entry asks for the Lite form."""
    setting: str
    """auto | on | off"""


class Choice(NamedTuple):
    is_lite: bool
    path: str = ""
    """Of the hosted tool that forbids the Lite form, "" when none does."""
    why: str = ""


def choose(fields: Fields, wish: Wish) -> Choice:
    """Which form a request takes. Raises WireError for a hosted tool where Lite is insisted on for a Lite model."""
    if wish.setting == "off" or (wish.setting == "auto" and not wish.is_lite_model):
        return Choice(False)
    for index, tool in enumerate(fields.get("tools") or ()):
        if (kind := tool["type"]) in _LITE_TOOLS:
            continue
        if wish.setting == "on" and wish.is_lite_model:
            message = (
                f"tools[{index}]: the Lite form has no tool {kind}. Use a model that takes the classic form, like "
                f"{CLASSIC_MODEL}, or set responses_lite to auto."
            )
            raise WireError("invalid_request", message, param=f"tools[{index}]")
        return Choice(False, f"tools[{index}]", f"the Lite form has no tool {kind}: the request goes in classic form")
    return Choice(True)


class System(NamedTuple):
    """What is told before the conversation begins."""

    items: list[Any]
    """Developer messages, in their order."""
    texts: list[str]
    """What they say."""
    rest: list[Any]
    """The other items; system messages among them are developer messages."""


def system_of(fields: Fields, extra: str) -> System:
    """``instructions``, leading system and developer texts, then ``extra``: the user's own instructions."""
    given, items = fields.get("instructions"), fields["input"]
    leading = 0
    while leading < len(items) and _is_told(items[leading]) and _texts_of(items[leading]) is not None:
        leading += 1
    told = [_message(given)] if isinstance(given, str) and given else []
    told += [_as_developer(item) for item in items[:leading]]
    told += [_message(extra)] if extra else []
    texts = ["\n\n".join(_texts_of(item) or []) for item in told]
    return System(told, [text for text in texts if text], each(items[leading:], _as_developer))


def classic(fields: Fields, extra: str) -> Fields:
    """With ``instructions``, never empty, and ``tools``; no item of the Lite form."""
    fields = _flat(fields)
    if wants_json(fields):
        # The API looks for the word JSON in the input alone (conformance.md 20): what says it stays there.
        extras = [_message(extra)] if extra else []
        given = fields.get("instructions")
        fields = put(fields, "instructions", given or DEFAULT_INSTRUCTIONS)
        return {**fields, "input": [*extras, *each(fields["input"], _as_developer)]}
    system = system_of(fields, extra)
    instructions = "\n\n".join(system.texts) or DEFAULT_INSTRUCTIONS
    return {**fields, "instructions": instructions, "input": system.rest}


def lite(fields: Fields, extra: str) -> Fields:
    """Without ``instructions`` and ``tools``; the first item holds the tools, if there are any."""
    system = system_of(fields, extra)
    rest = system.rest
    tools = fields.get("tools") or []
    opening: list[Fields] = []
    if tools:
        namespaced = _namespaced(tools)
        opening = [{"type": "additional_tools", "role": "developer", "tools": namespaced}]
        flat = {tool.get("name") for tool in tools if tool["type"] in _FLAT_TOOLS}
        rest = each(rest, lambda item: _in_namespace(item, flat))
    leading = [item for item in system.items if item.get("type") == "additional_tools"]
    told = [item for item in system.items if item.get("type") != "additional_tools"]
    changed = without(fields, "instructions", "tools")
    reasoning = changed.get("reasoning") or {}
    return {
        **changed,
        "input": [*opening, *leading, *told, *rest],
        "parallel_tool_calls": False,
        "reasoning": {**reasoning, "context": CONTEXT},
    }


def has_own_functions(tools: Any) -> bool:
    """The client itself calls a namespace ``functions``: calls of it come back so."""
    return any(tool.get("type") == "namespace" and tool.get("name") == NAMESPACE for tool in tools or ())


def _namespaced(tools: list[Fields]) -> list[Fields]:
    flat = [tool for tool in tools if tool["type"] in _FLAT_TOOLS]
    others = [tool for tool in tools if tool["type"] not in _FLAT_TOOLS]
    if not flat:
        return others
    own = next((tool for tool in others if tool.get("name") == NAMESPACE), None)
    functions: Fields = own or {"type": "namespace", "name": NAMESPACE, "description": ""}
    held = functions.get("tools") or []
    return [{**functions, "tools": [*held, *flat]}, *(tool for tool in others if tool is not own)]


def _in_namespace(item: Any, flat: set[Any]) -> Any:
    """A call of the history as the model made it in this form."""
    if item.get("type") in _CALLS and item.get("namespace") is None and item.get("name") in flat:
        return {**item, "namespace": NAMESPACE}
    return item


def _flat(fields: Fields) -> Fields:
    """The tools of Lite items among ``tools``, and calls without the namespace that only the Lite form has."""
    items, tools = fields["input"], fields.get("tools") or []
    brought = [item for item in items if item.get("type") == "additional_tools"]
    for item in brought:
        for tool in item.get("tools") or ():
            is_functions = tool.get("type") == "namespace" and tool.get("name") == NAMESPACE
            tools = [*tools, *(tool.get("tools") or ())] if is_functions else [*tools, tool]
    if brought:
        fields = {**fields, "tools": tools}
        items = [item for item in items if item.get("type") != "additional_tools"]
    if not has_own_functions(tools):
        items = each(items, _out_of_namespace)
    return put(fields, "input", items)


def _out_of_namespace(item: Any) -> Any:
    is_call = item.get("type") in _CALLS and item.get("namespace") == NAMESPACE
    return without(item, "namespace") if is_call else item


def _is_told(item: Any) -> bool:
    return item.get("role") in _TOLD and item.get("type") in ("message", "additional_tools")


def _texts_of(item: Any) -> list[str] | None:
    """The texts of a message; None when it has other parts. An item of tools says nothing."""
    texts = []
    for part in item.get("content") or ():
        if not isinstance(part, dict) or not isinstance(part.get("text"), str):
            return None
        texts.append(part["text"])
    return texts


def _as_developer(item: Any) -> Any:
    return put(item, "role", "developer") if item.get("role") == "system" else item


def _message(text: str) -> Fields:
    return {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": text}]}
