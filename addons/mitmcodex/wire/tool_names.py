"""Names of tools as providers take them, and the way back (pains.md P11, conformance.md 21 and 52).

A name that is too long or has other characters goes by an alias: its legal part and a hash of the whole. The alias
follows from the name alone, so that it is the same in each turn of a conversation and the provider's cache holds.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from mitmcodex.wire.codec import Loss
from mitmcodex.wire.shapes import Fields
from mitmcodex.wire.sparing import each, put, within

LIMIT = 64
_ILLEGAL = re.compile(r"[^a-zA-Z0-9_-]")
_HASH_LENGTH = 8
_CALLS = ("function_call", "custom_tool_call", "function_call_output", "custom_tool_call_output")


class Named(NamedTuple):
    fields: Fields
    originals: dict[str, str]
    """Alias → the client's name, of those that were changed."""
    losses: list[Loss]


def named(fields: Fields) -> Named:
    """The request with legal names in tools, tool_choice and history; the very same fields when all are legal."""
    told = [*_names_in_tools(fields.get("tools")), *_names_in_choice(fields.get("tool_choice"))]
    aliases = aliases_of([*told, *_names_in_items(fields.get("input"))])
    if not aliases:
        return Named(fields, {}, [])
    renaming = _Renaming(aliases)
    changed = within(fields, "tools", renaming.tools)
    changed = within(changed, "input", renaming.items)
    if isinstance(choice := fields.get("tool_choice"), dict):
        changed = put(changed, "tool_choice", renaming.tool(choice))
    losses = [Loss("tools", "mapped", f"{name!r} goes as {alias}") for name, alias in aliases.items() if name in told]
    return Named(changed, {alias: name for name, alias in aliases.items()}, losses)


def aliases_of(names: Iterable[str]) -> dict[str, str]:
    """Name → alias, of those that are not legal. An alias that is the name of another tool is not taken."""
    asked = dict.fromkeys(names)
    taken = set(asked)
    aliases: dict[str, str] = {}
    for name in sorted(name for name in asked if not _is_legal(name)):
        alias = _alias(name, 0)
        attempt = 0
        while alias in taken:
            attempt += 1
            alias = _alias(name, attempt)
        taken.add(alias)
        aliases[name] = alias
    return aliases


def _is_legal(name: str) -> bool:
    return 0 < len(name) <= LIMIT and not _ILLEGAL.search(name)


def _alias(name: str, attempt: int) -> str:
    salted = f"{name}\0{attempt}" if attempt else name
    digest = hashlib.sha256(salted.encode("utf-8", "backslashreplace")).hexdigest()[:_HASH_LENGTH]
    return f"{_ILLEGAL.sub('_', name)[: LIMIT - _HASH_LENGTH - 1]}_{digest}"


class _Renaming:
    def __init__(self, aliases: dict[str, str]) -> None:
        self._aliases = aliases

    def tools(self, tools: list[Any]) -> list[Any]:
        return each(tools, self.tool)

    def tool(self, tool: Any) -> Any:
        """A tool, a namespace with its tools, or a choice with those that it allows."""
        return within(self._at(tool, "name"), "tools", self.tools) if isinstance(tool, dict) else tool

    def items(self, items: list[Any]) -> list[Any]:
        return each(items, self._item)

    def _item(self, item: Any) -> Any:
        kind = item.get("type") if isinstance(item, dict) else None
        if kind in _CALLS:
            return self._at(self._at(item, "name"), "namespace")
        return within(item, "tools", self.tools) if kind == "additional_tools" else item

    def _at(self, fields: Fields, key: str) -> Fields:
        name = fields.get(key)
        return put(fields, key, self._aliases[name]) if isinstance(name, str) and name in self._aliases else fields


def _names_in_tools(tools: Any) -> Iterator[str]:
    for tool in tools if isinstance(tools, list) else ():
        if isinstance(tool, dict):
            yield from _texts(tool.get("name"))
            yield from _names_in_tools(tool.get("tools"))


def _names_in_choice(choice: Any) -> Iterator[str]:
    return _names_in_tools([choice])


def _names_in_items(items: Any) -> Iterator[str]:
    for item in items if isinstance(items, list) else ():
        kind = item.get("type") if isinstance(item, dict) else None
        if kind in _CALLS:
            yield from _texts(item.get("name"))
            yield from _texts(item.get("namespace"))
        elif kind == "additional_tools":
            yield from _names_in_tools(item.get("tools"))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
