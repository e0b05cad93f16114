"""A canonical request as a provider of the Responses family takes it (issue "To the backend"; protocol.md 2.1 to 2.3).

The ChatGPT backend takes a short list of parameters and refuses the request for any other; the kinds that speak the
public API get what the client wrote, but for what that API has no name for. What a Codex client wrote is not touched.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mitmcodex.wire import json_word, lite, tuples
from mitmcodex.wire.codec import Decoded, Loss
from mitmcodex.wire.errors import WireError
from mitmcodex.wire.input_items import ItemRules, fitted_items
from mitmcodex.wire.patch import REMOVE, Changes
from mitmcodex.wire.reading import wrong
from mitmcodex.wire.repair import repaired
from mitmcodex.wire.restore import Changed, Restore
from mitmcodex.wire.shapes import Fields
from mitmcodex.wire.sparing import each, put, within, without
from mitmcodex.wire.tool_names import named
from mitmcodex.wire.tools import ToolFitter

CHATGPT_KEYS = (
    *("model", "stream", "service_tier", "instructions", "input", "tools", "tool_choice", "parallel_tool_calls"),
    *("reasoning", "store", "stream_options", "include", "prompt_cache_key", "text", "client_metadata"),
)
"""All that the ChatGPT backend takes, in the order in which Codex writes it (protocol.md 2.1 and 2.2)."""
HINTS = ("user", "safety_identifier", "metadata", "prompt_cache_retention", "prompt_cache_options")
"""Parameters without effect on the answer."""
SILENT: dict[str, tuple[Any, ...]] = {
    "background": (False,),
    "metadata": ({},),
    "top_logprobs": (0,),
    "truncation": ("disabled",),
}
"""Values that ask for what comes without them."""
UNSHOWN = ("none", None)
"""Values of reasoning.summary by which a client turned the reasoning's text off."""
REASONING_INCLUDE = "reasoning.encrypted_content"
CACHE_KEY_LIMIT = 64
_NESTED = {
    "reasoning": ("effort", "summary", "context"),
    "text": ("format", "verbosity"),
    "stream_options": ("reasoning_summary_delivery",),
}
"""What the ChatGPT backend takes within these."""
_INCLUDES = (REASONING_INCLUDE, "web_search_call.action.sources")
_REFUSED = "the ChatGPT backend refuses a request with it"
_STORED = {
    "conversation": "The ChatGPT backend keeps no conversations. Send the whole conversation as input.",
    "prompt": "The ChatGPT backend keeps no prompts. Send the prompt's text as instructions.",
}


@dataclass(frozen=True, slots=True)
class Target:
    """Whom a request is for."""

    kind: str
    """chatgpt | openai | azure | responses | demo"""
    is_codex: bool = False
    """The client is Codex, which writes what its backend wants."""
    is_lite: bool = False
    """The model's catalog entry asks for the Lite form."""
    lite: str = "auto"
    """auto | on | off"""
    account: str = ""
    """The account's tag."""
    instructions: str = ""
    """The user's own, added to each client's."""
    is_translated: bool = False
    """The client speaks another protocol: it asked for no response to be stored."""

    @property
    def is_chatgpt(self) -> bool:
        return self.kind == "chatgpt"


@dataclass(frozen=True, slots=True)
class Adapted:
    """The request for the target."""

    changes: Changes
    """Top-level keys of ``Decoded.fields`` to set or remove: all others stay as the client wrote them."""
    fields: Fields
    """The whole request with these changes."""
    losses: list[Loss] = field(default_factory=list)
    is_lite: bool = False
    """It has the Lite form, which a header tells the backend."""
    restore: Restore | None = None
    """For the answer, where something was changed that must be undone there."""


def adapted(decoded: Decoded, target: Target, settled: Changes) -> Adapted:
    """``decoded`` is left as it is. ``settled``: changes that were decided elsewhere (model, effort, tier), made first.

    Raises WireError (invalid_request) for what the target can't take.
    """
    fields = _merged(decoded.fields, settled)
    if target.is_codex:
        fields = put(fields, "stream", True)
        return Adapted(_difference(decoded.fields, fields), fields, is_lite=_is_lite_form(fields))
    adaptation = _Adaptation(decoded, target)
    try:
        fields = adaptation.run(fields)
    except RecursionError:
        raise WireError("invalid_request", "The request is nested too deeply. Send it flatter.") from None
    restore = Restore(adaptation.changed) if adaptation.changed else None
    return Adapted(_difference(decoded.fields, fields), fields, adaptation.losses, adaptation.is_lite, restore)


class _Adaptation:
    def __init__(self, decoded: Decoded, target: Target) -> None:
        self.losses: list[Loss] = []
        self.is_lite = False
        self.changed = Changed()
        self._decoded = decoded
        self._target = target

    def run(self, fields: Fields) -> Fields:
        is_chatgpt = self._target.is_chatgpt
        if is_chatgpt:
            fields = self._checked({key: value for key, value in fields.items() if value is not None})
        if fields.get("background") is True:
            self._lose("background", "changed", "the answer comes in the foreground")
            fields = put(fields, "background", False)
        fields = self._input(fields)
        fields = self._tools(fields)
        fields = self._as_chatgpt_takes_it(fields) if is_chatgpt else self._as_public_api_takes_it(fields)
        self._report_nameless()
        return fields

    # -- both families ----------------------------------------------------------------------------

    def _input(self, fields: Fields) -> Fields:
        """History in which calls and outputs match. Part of it may lie at a provider that stores it."""
        items = fields.get("input")
        if not isinstance(items, list):
            return fields
        path = self._decoded.path("input")
        continues = fields.get("previous_response_id") is not None or fields.get("conversation") is not None
        keeps_ids = not (self._target.is_chatgpt or self._target.is_translated or fields.get("store") is False)
        rules = ItemRules(self._target.is_chatgpt, keeps_ids, self._target.account)
        if not continues:
            items, losses = repaired(items, path)
            self.losses += losses
        return put(fields, "input", fitted_items(items, rules, path, self.losses))

    def _tools(self, fields: Fields) -> Fields:
        fitter = ToolFitter(self._target.kind, self._decoded.path, self.losses)
        fitted = fitter.fitted(fields)
        if fitter.tuple_schemas:
            fold = _folding(fitter.tuple_schemas)
            fitted = within(fitted, "input", lambda items: each(items, fold))
        renamed, names, losses = named(fitted)
        self.losses += losses
        asked = self._decoded.fields
        echo = {key: asked[key] for key in ("tools", "tool_choice", "text") if asked.get(key) is not None}
        self.changed = Changed(names, False, fitter.tuple_schemas, fitter.tuple_format, echo)
        return renamed

    def _report_nameless(self) -> None:
        """What the Responses API has no name for at all."""
        if self._decoded.stop:
            self._lose("stop", "dropped", "the Responses API has no stop sequences")
        for extra in self._decoded.extras.values():
            if extra.value is not None:
                self.losses.append(Loss(extra.path, "dropped", "the Responses API has no such parameter"))

    def _lose(self, key: str, what: str, why: str, is_hint: bool = False) -> None:
        self.losses.append(Loss(self._decoded.path(key), what, why, is_hint))

    def _json_said(self, fields: Fields) -> Fields:
        hinted = json_word.said(fields)
        if hinted is not fields:
            self._lose("text", "changed", json_word.WHY, is_hint=True)
        return hinted

    # -- the public API ---------------------------------------------------------------------------

    def _as_public_api_takes_it(self, fields: Fields) -> Fields:
        if extra := self._target.instructions:
            given = fields.get("instructions")
            fields = put(fields, "instructions", f"{given}\n\n{extra}" if given else extra)
        reasoning = fields.get("reasoning")
        # A null of a client of the public API itself goes on as it came: it says the same there.
        unshown = UNSHOWN if self._target.is_translated else UNSHOWN[:1]
        if isinstance(reasoning, dict) and reasoning.get("summary", "") in unshown:
            reasoning = without(reasoning, "summary")
            fields = put(fields, "reasoning", reasoning) if reasoning else without(fields, "reasoning")
        if self._target.is_translated:
            fields = {"store": False, **self._json_said(fields)}
            if reasoning and "include" not in fields:  # models without reasoning refuse it
                fields = put(fields, "include", [REASONING_INCLUDE])
        return put(fields, "stream", True)

    # -- the ChatGPT backend ----------------------------------------------------------------------

    def _checked(self, fields: Fields) -> Fields:
        """Raises WireError for what the backend would need a memory for, and for wrong types of what is read here."""
        for key, message in _STORED.items():
            if key in fields:
                raise WireError("invalid_request", message, param=self._decoded.path(key))
        if "previous_response_id" in fields:
            message = "The ChatGPT backend keeps no responses. Send the whole conversation as input."
            code = "previous_response_not_found"
            raise WireError("invalid_request", message, code=code, param="previous_response_id")
        items = fields.get("input")
        if isinstance(items, str):
            text = {"type": "input_text", "text": items}
            fields = put(fields, "input", [{"type": "message", "role": "user", "content": [text]}])
        elif not isinstance(items, list):
            raise wrong(self._decoded.path("input"), "must be a text or a list of items")
        for key, kind, demand in (("instructions", str, "a text"), ("include", list, "a list"), *_OBJECTS):
            if key in fields and not isinstance(fields[key], kind):
                raise wrong(self._decoded.path(key), f"must be {demand}")
        return fields

    def _as_chatgpt_takes_it(self, fields: Fields) -> Fields:
        fields = self._allowed(fields)
        if fields.get("store") is True:
            self._lose("store", "changed", "the ChatGPT backend stores no responses")
        fields = self._in_form({**fields, "store": False, **self._reasoning(fields), **self._include(fields)})
        fields = self._json_said(fields)
        key = fields.get("prompt_cache_key")
        if isinstance(key, str) and len(key) > CACHE_KEY_LIMIT:
            self._lose("prompt_cache_key", "mapped", f"has at most {CACHE_KEY_LIMIT} characters: its hash goes")
            digest = hashlib.sha256(key.encode("utf-8", "backslashreplace")).hexdigest()
            fields = put(fields, "prompt_cache_key", digest)
        made = {**fields, "stream": True}
        return {key: made[key] for key in CHATGPT_KEYS if key in made}

    def _allowed(self, fields: Fields) -> Fields:
        """Only what the backend takes; each other key is a loss, unless it says nothing."""
        kept: Fields = {}
        for key, value in fields.items():
            if key in CHATGPT_KEYS:
                kept[key] = self._inner(key, value) if key in _NESTED else value
            elif value not in SILENT.get(key, ()):
                self._lose(key, "dropped", _REFUSED, key in HINTS)
        return {key: value for key, value in kept.items() if value != {} or key not in _NESTED}

    def _inner(self, key: str, value: Fields) -> Fields:
        older = value.get("generate_summary")  # the older name of summary
        if key == "reasoning" and older is not None and value.get("summary") is None:
            value = {**without(value, "generate_summary"), "summary": older}
        says_nothing = [name for name in value if value[name] is None and name != "summary"]
        foreign = [name for name in value if name not in _NESTED[key] or name in says_nothing]
        for name in foreign:
            if value[name] is not None:
                path = f"{self._decoded.path(key)}.{name}"
                self.losses.append(Loss(path, "dropped", _REFUSED, key == "stream_options"))
        return without(value, *foreign)

    def _reasoning(self, fields: Fields) -> Fields:
        """With a summary, without which no reasoning text would ever come, unless the client wants none."""
        reasoning = fields.get("reasoning") or {}
        shown = reasoning.get("summary", "auto")
        return {"reasoning": without(reasoning, "summary") if shown in UNSHOWN else put(reasoning, "summary", shown)}

    def _include(self, fields: Fields) -> Fields:
        asked = fields.get("include") or []
        for index, name in enumerate(asked):
            if name not in _INCLUDES:
                path = f"{self._decoded.path('include')}[{index}]"
                self.losses.append(Loss(path, "dropped", "the ChatGPT backend's answers don't hold it"))
        kept = [name for name in asked if name in _INCLUDES]
        return {"include": kept if REASONING_INCLUDE in kept else [*kept, REASONING_INCLUDE]}

    def _in_form(self, fields: Fields) -> Fields:
        choice = lite.choose(fields, lite.Wish(self._target.is_lite, self._target.lite))
        if choice.path:
            self.losses.append(Loss(choice.path, "changed", choice.why))
        if not choice.is_lite:
            fields = lite.classic(fields, self._target.instructions)
            reasoning = fields["reasoning"]
            return fields if reasoning else without(fields, "reasoning")
        self.is_lite = True
        if fields["reasoning"].get("context") not in (None, lite.CONTEXT):
            self._lose("reasoning", "changed", f"the Lite form has the context {lite.CONTEXT} alone")
        if fields.get("parallel_tool_calls") is True:
            self._lose("parallel_tool_calls", "changed", "the Lite form has one call at a time")
        has_own = lite.has_own_functions(fields.get("tools"))
        changed = self.changed
        self.changed = Changed(changed.names, not has_own, changed.schemas, changed.format, changed.echo)
        return lite.lite(fields, self._target.instructions)


_OBJECTS = tuple((key, dict, "an object") for key in _NESTED)


def _folding(schemas: Mapping[str, Fields]) -> Any:
    """Calls of the history with their tuples in the backend's form."""

    def change(item: Fields) -> Fields:
        schema = schemas.get(str(item.get("name"))) if item.get("type") == "function_call" else None
        if schema is None or not isinstance(item.get("arguments"), str):
            return item
        text = tuples.folded(item["arguments"], schema)
        return item if text == item["arguments"] else put(item, "arguments", text)

    return change


def _merged(fields: Fields, changes: Changes) -> Fields:
    return {key: value for key, value in {**fields, **changes}.items() if value is not REMOVE}


def _difference(before: Fields, after: Fields) -> dict[str, Any]:
    gone = {key: REMOVE for key in before if key not in after}
    return {**gone, **{key: value for key, value in after.items() if key not in before or before[key] is not value}}


def _is_lite_form(fields: Fields) -> bool:
    items = fields.get("input")
    first = items[0] if isinstance(items, list) and items else None
    return isinstance(first, dict) and first.get("type") == "additional_tools"
