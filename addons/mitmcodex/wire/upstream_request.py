"""What the requests to providers of kind messages and gemini have in common: each key of a canonical request is read
once, and what nobody took is a loss."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from mitmcodex.wire.codec import Decoded, Encoded, Loss
from mitmcodex.wire.reading import Reading, wrong
from mitmcodex.wire.shapes import Fields
from mitmcodex.wire.toolbox import Tool, Toolbox

HOSTED_SEARCH = "web_search"
"""How the types of tools begin that these providers have themselves (web_search, web_search_preview …)."""
NEWEST = (99, 0)

_DEFAULTS: dict[str, tuple[Any, ...]] = {
    "stream": (True, False),
    "store": (True, False),  # kept by our own response store (conformance 33)
    "background": (False,),
    "truncation": ("disabled",),
    "top_logprobs": (0,),
    "service_tier": ("auto", "default"),
    "generate": (True,),
}
"""Values that the providers act by without being told."""
_ELSEWHERE = ("previous_response_id", "conversation", "prompt")
"""What stands for messages that are stored at OpenAI."""


class _Request(Reading):
    hints = dict.fromkeys(
        (
            *("client_metadata", "metadata", "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention"),
            *("safety_identifier", "service_tier", "stream_options", "user"),
        ),
        "is without effect on the answer, and the provider does not know it",
    )


class Thinking(NamedTuple):
    effort: str = ""
    """none | minimal | low | medium | high | xhigh | max | ultra; "" when nothing is said."""
    is_shown: bool = False


class Choice(NamedTuple):
    """tool_choice in words that each protocol has."""

    mode: str = ""
    """auto | required | none | named | search; "" when nothing is said."""
    name: str = ""
    """Of mode named: what the provider calls the tool."""


class RequestEncoder:
    """One request on its way to a provider. Subclasses fill ``fields`` in ``assemble``."""

    def __init__(self, decoded: Decoded) -> None:
        self.losses: list[Loss] = []
        self.toolbox = Toolbox(decoded.fields, self.losses, HOSTED_SEARCH)
        self.tools = list(self.toolbox.functions.values())
        """Those that the model may call."""
        self.decoded = decoded
        self.fields: Fields = {}

    def assemble(self, asked: Reading) -> None:
        raise NotImplementedError

    def encode(self) -> Encoded:
        """Raises WireError (invalid_request) for what can't be a conversation."""
        with _Request(self.decoded.fields, "", self.losses) as asked:
            asked.raw("tools")  # the toolbox has read them
            self.assemble(asked)
            self._rest(asked)
        losses = [loss._replace(path=self.decoded.path(loss.path)) for loss in self.losses]
        return Encoded(self.fields, losses)

    def lose(self, path: str, what: str, why: str, *, is_hint: bool = False) -> None:
        self.losses.append(Loss(path, what, why, is_hint))

    def _rest(self, asked: Reading) -> None:
        for key, defaults in _DEFAULTS.items():
            if self.decoded.fields.get(key) in defaults:
                asked.raw(key)
        for key in _ELSEWHERE:
            if asked.raw(key) is not None:
                raise wrong(key, "can't be sent to this provider. Send the whole conversation in input")
        for one in asked.take("include", list) or []:
            if one != "reasoning.encrypted_content":
                self.lose("include", "dropped", f"{one}: the provider's answers don't hold it", is_hint=True)

    # -- what both protocols say, each in its words -----------------------------------------------

    def number(self, asked: Reading, key: str, name: str) -> None:
        """Goes on as it is, under the provider's name."""
        if (value := asked.number(key)) is not None:
            self.fields[name] = value

    def extras(self, names: dict[str, str]) -> Fields:
        """``Decoded.extras`` under the provider's names; those without one are losses."""
        carried: Fields = {}
        for key, extra in self.decoded.extras.items():
            if key in names:
                carried[names[key]] = extra.value
            else:
                self.lose(extra.path, "dropped", "the provider has no such parameter")
        return carried

    def choice(self, asked: Reading) -> Choice:
        """``allowed_tools`` leaves no other function in ``tools``."""
        value = asked.raw("tool_choice")
        if value is None:
            return Choice()
        if not self.tools and not self.toolbox.hosted:
            if value not in ("auto", "none"):
                asked.lose("tool_choice", "no tool that it could choose goes to this provider")
            return Choice()
        if isinstance(value, str):
            if value not in ("auto", "required", "none"):
                raise wrong("tool_choice", "must be auto, required, none or an object")
            return Choice(value)
        with Reading(value, "tool_choice", self.losses) as choice:
            kind = choice.need("type", str)
            return self._allow(choice) if kind == "allowed_tools" else self._chosen(choice, kind)

    def _allow(self, choice: Reading) -> Choice:
        mode, allowed = choice.take("mode", str) or "auto", set()
        for index, value in enumerate(choice.need("tools", list)):
            with Reading(value, f"tool_choice.tools[{index}]", self.losses) as tool:
                allowed.add(self._chosen(tool, tool.need("type", str)).name)
        self.tools = [function for function in self.tools if function.name in allowed]
        self.lose("tool_choice", "mapped", "only the allowed functions are sent")
        return Choice("required" if mode == "required" else "auto")

    def _chosen(self, choice: Reading, kind: str) -> Choice:
        if kind.startswith(HOSTED_SEARCH):
            return Choice("search")
        tool = Tool(kind, choice.take("name", str) or kind, choice.take("namespace", str) or "")
        function = self.toolbox.functions.get(tool)
        if function is None:
            choice.drop("that tool does not go to this provider")
            return Choice()
        return Choice("named", function.name)

    def thinking(self, asked: Reading) -> Thinking:
        """Who names an effort is shown the thoughts, unless it turned them off: else no client would ever see any."""
        value = asked.raw("reasoning")
        if value is None:
            return Thinking()
        with Reading(value, "reasoning", self.losses) as reasoning:
            effort = reasoning.take("effort", str) or ""
            default = "none" if effort in ("", "none") or "summary" in value else "auto"
            wanted = reasoning.take("summary", str) or reasoning.take("generate_summary", str) or default
            if wanted not in ("none", "auto"):
                self.lose("reasoning.summary", "changed", "the provider's summaries have one length", is_hint=True)
            reasoning.lose("context", "the provider chooses which thoughts it reads again", is_hint=True)
            return Thinking(effort, wanted != "none")

    def form(self, asked: Reading) -> tuple[str, Fields]:
        """``text``: (text | json_object | json_schema, the schema)."""
        value = asked.raw("text")
        if value is None:
            return "text", {}
        with Reading(value, "text", self.losses) as text:
            text.lose("verbosity", "the provider has no such setting")
            wanted = text.raw("format")
        if wanted is None:
            return "text", {}
        with Reading(wanted, "text.format", self.losses) as form:
            kind = form.need("type", str)
            if kind not in ("text", "json_object", "json_schema"):
                raise wrong(form.at("type"), "must be text, json_object or json_schema")
            if kind != "json_schema":
                return kind, {}
            for key in ("name", "description"):
                form.lose(key, "the provider's formats have no names", is_hint=True)
            if form.take("strict", bool) is not True:
                self.lose(form.at("strict"), "changed", "the provider always holds to a schema", is_hint=True)
            return kind, form.need("schema", dict)


def generation(model: str, family: str) -> tuple[int, int] | None:
    """Version of a model by its name: claude-opus-4-6 → (4, 6), gemini-2.5-pro → (2, 5), claude-sonnet-4-20250514 →
    (4, 0). A name of the family without a number (gemini-flash-latest) is NEWEST, one of another family None."""
    name = model.lower()
    if family not in name:
        return None
    match = re.search(rf"{family}-(?:[a-z]+-)*(\d{{1,2}})(?:[-.](\d{{1,2}}))?(?!\d)", name)
    return (int(match[1]), int(match[2] or 0)) if match else NEWEST
