"""The items of a history as a provider takes them: ids, references, encrypted reasoning, the form of messages
(conformance.md 34; pains.md P13, P14).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from mitmcodex.wire.codec import ACCOUNT_KEY, Loss
from mitmcodex.wire.reading import wrong
from mitmcodex.wire.repair import OUTPUT_OF
from mitmcodex.wire.shapes import Fields
from mitmcodex.wire.sparing import each, put, unless_same, within, without

CHATGPT_ITEMS = frozenset(
    "message reasoning function_call function_call_output custom_tool_call custom_tool_call_output tool_search_call "
    "tool_search_output local_shell_call local_shell_call_output web_search_call image_generation_call compaction "
    "compaction_summary compaction_trigger context_compaction additional_tools agent_message configuration_update "
    "item_reference".split()
)
"""protocol.md 2.4"""
ROLES = ("user", "assistant", "system", "developer")
CALL_ID_LIMIT = 64

_NAMED_BY_ID = ("image_generation_call", "additional_tools")
"""Items whose id is a part of what they say."""
_WITH_CALL_ID = frozenset((*OUTPUT_OF, *OUTPUT_OF.values()))
_WRAPPED = "mcx-"
"""Start of an encrypted content that another provider's signature was put into (signatures.py)."""


@dataclass(frozen=True, slots=True)
class ItemRules:
    is_chatgpt: bool
    keeps_ids: bool
    """The provider stores responses, so ids name something there."""
    account: str
    """The tag of the account that will read encrypted reasoning."""


def fitted_items(items: list[Any], rules: ItemRules, path: str, losses: list[Loss]) -> list[Any]:
    """The items that the provider takes; the very same list when it takes all as they are. Raises WireError for what
    is no item."""
    fitter = _Fitter(rules, path, losses)
    fitting = [fitter.fitted(index, item) for index, item in enumerate(items)]
    fitter.report()
    return unless_same([item for item in fitting if item is not None], items)


class _Fitter:
    def __init__(self, rules: ItemRules, path: str, losses: list[Loss]) -> None:
        self._rules = rules
        self._path = path
        self._losses = losses
        self._counts = {"id": 0, "prompt_cache_breakpoint": 0, "call_id": 0}

    def fitted(self, index: int, item: Any) -> Fields | None:
        """None = dropped."""
        if not isinstance(item, dict):
            raise wrong(self._at(index), "must be an object")
        kind = item.get("type") or ("message" if "role" in item else "item_reference")
        if not isinstance(kind, str):
            raise wrong(self._at(index, "type"), "must be a text")
        if self._rules.is_chatgpt and kind not in CHATGPT_ITEMS:
            return self._drop(index, f"the ChatGPT backend knows no item {kind}")
        if kind == "item_reference" and not self._rules.keeps_ids:
            return self._drop(index, "nothing is stored there that an item_reference could name. Send the item itself")
        if kind == "reasoning":
            return self._reasoning(index, item)
        fitting = self._without_id(without(item, ACCOUNT_KEY), kind)
        if kind in _WITH_CALL_ID:
            fitting = self._call(index, fitting)
        if kind == "message" and self._rules.is_chatgpt:
            fitting = self._message(index, fitting)
        return fitting

    def report(self) -> None:
        """One entry for each thing that happens to many items."""
        for key, what, why in (
            ("id", "dropped", "nothing is stored there that an id could name"),
            ("prompt_cache_breakpoint", "dropped", "the ChatGPT backend takes none"),
            ("call_id", "mapped", f"an id has at most {CALL_ID_LIMIT} characters there"),
        ):
            if count := self._counts[key]:
                self._losses.append(Loss(f"{self._path}[*].{key}", what, f"{why} ({count} times)", True))

    def _reasoning(self, index: int, item: Fields) -> Fields | None:
        encrypted = item.get("encrypted_content")
        account = item.get(ACCOUNT_KEY)
        if account is not None and account != self._rules.account:
            return self._drop(index, "encrypted reasoning of another account, which can't be read with this one", True)
        if isinstance(encrypted, str) and encrypted.startswith(_WRAPPED):
            return self._drop(index, "reasoning of another provider", True)
        if not encrypted and not self._rules.keeps_ids:
            return self._drop(index, "reasoning without encrypted_content, of which nothing is stored", True)
        return self._without_id(without(item, ACCOUNT_KEY), "reasoning")

    def _without_id(self, item: Fields, kind: str) -> Fields:
        if self._rules.keeps_ids or kind in _NAMED_BY_ID or "id" not in item:
            return item
        self._counts["id"] += item["id"] is not None
        return without(item, "id")

    def _call(self, index: int, item: Fields) -> Fields:
        if item["type"] in OUTPUT_OF and not isinstance(item.get("name"), str):
            raise wrong(self._at(index, "name"), "is missing, must be a text")
        if item.get("type") == "function_call":
            arguments = item.get("arguments")
            if arguments is not None and not isinstance(arguments, str):
                raise wrong(self._at(index, "arguments"), "must be JSON in a text")
            if not arguments or arguments.isspace():
                item = put(item, "arguments", "{}")
        call_id = item.get("call_id")
        if isinstance(call_id, str) and len(call_id) > CALL_ID_LIMIT:
            self._counts["call_id"] += 1
            item = put(item, "call_id", _clamped(call_id))
        return item

    def _message(self, index: int, item: Fields) -> Fields:
        """As Codex writes it: with a type, its content a list of parts."""
        role, content = item.get("role"), item.get("content")
        if role not in ROLES:
            raise wrong(self._at(index, "role"), f"must be one of {', '.join(ROLES)}")
        if item.get("type") is None:
            item = {"type": "message", **without(item, "type")}
        if isinstance(content, str):
            kind = "output_text" if role == "assistant" else "input_text"
            return put(item, "content", [{"type": kind, "text": content}])
        if not isinstance(content, list):
            raise wrong(self._at(index, "content"), "must be a text or a list of parts")
        return within(item, "content", lambda parts: each(parts, self._part))

    def _part(self, part: Any) -> Any:
        if not isinstance(part, dict) or "prompt_cache_breakpoint" not in part:
            return part
        self._counts["prompt_cache_breakpoint"] += 1
        return without(part, "prompt_cache_breakpoint")

    def _drop(self, index: int, why: str, is_hint: bool = False) -> Fields | None:
        self._losses.append(Loss(self._at(index), "dropped", why, is_hint))
        return None

    def _at(self, index: int, key: str = "") -> str:
        return f"{self._path}[{index}].{key}" if key else f"{self._path}[{index}]"


def _clamped(call_id: str) -> str:
    """The same for a call and its output, in each turn of the conversation. Nothing comes back by this id."""
    digest = hashlib.sha256(call_id.encode("utf-8", "backslashreplace")).hexdigest()[:16]
    return f"{call_id[: CALL_ID_LIMIT - 17]}_{digest}"
