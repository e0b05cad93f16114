"""Kind ``chat``, any service that speaks Chat Completions: a canonical request → its request.

What changes the answer goes on under the name that Chat Completions has for it; what does not (ids of users and
caches, metadata, storage) is left out and told, as Gemini's and Mistral's services refuse what they don't know.
"""

from __future__ import annotations

from typing import Any

from mitmcodex.wire import json_word
from mitmcodex.wire.chat_upstream_messages import encode_messages
from mitmcodex.wire.chat_upstream_reply import ChatDecoder, decode_response
from mitmcodex.wire.codec import Decoded, Encoded, Loss, Reverse
from mitmcodex.wire.reading import Reading, wrong
from mitmcodex.wire.shapes import Fields
from mitmcodex.wire.toolbox import Tool, Toolbox

_NUMBERS = {
    "temperature": "temperature",
    "top_p": "top_p",
    # Not max_completion_tokens: OpenAI's reasoning models alone demand it, and OpenAI has a kind of its own; Mistral
    # refuses it, DeepSeek and Ollama read max_tokens, OpenRouter and vLLM take both.
    "max_output_tokens": "max_tokens",
}
_EXTRAS = ("seed", "frequency_penalty", "presence_penalty", "logit_bias")
_DEFAULTS: dict[str, tuple[Any, ...]] = {
    "stream": (True, False),
    "store": (True, False),  # kept by our own response store (conformance 33)
    "truncation": ("disabled",),
    "top_logprobs": (0,),
    "service_tier": ("auto", "default"),
    "generate": (True,),
}
"""Values that a Chat Completions service acts by without being told."""
_ELSEWHERE = ("previous_response_id", "conversation", "prompt")
"""What stands for messages that are stored at the provider."""


class _Request(Reading):
    hints = dict.fromkeys(
        (
            *("client_metadata", "include", "metadata", "prompt_cache_key", "prompt_cache_options"),
            *("prompt_cache_retention", "safety_identifier", "service_tier", "stream_options", "user"),
        ),
        "is without effect on the answer, and many Chat Completions services refuse it",
    )


def encode_request(decoded: Decoded) -> Encoded:
    """Always streamed, with usage. Raises WireError (invalid_request) for what can't be a conversation."""
    losses: list[Loss] = []
    told = json_word.said(decoded.fields)
    if told is not decoded.fields:
        losses.append(Loss("text", "changed", json_word.WHY, True))
    toolbox = Toolbox(told, losses)
    with _Request(told, "", losses) as asked:
        fields: Fields = {
            "model": asked.need("model", str),
            "messages": encode_messages(asked, toolbox),
            **_tools(asked, toolbox),
            **_form(asked),
            **_sampling(asked, decoded),
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        _rest(asked, told)
    return Encoded(fields, [loss._replace(path=decoded.path(loss.path)) for loss in losses])


def _rest(asked: Reading, fields: Fields) -> None:
    for key, defaults in _DEFAULTS.items():
        if fields.get(key) in defaults:
            asked.raw(key)
    if asked.take("background", bool):
        asked.lose("background", "runs in the foreground", what="changed")
    for key in _ELSEWHERE:
        if asked.raw(key) is not None:
            raise wrong(key, "can't be sent to a provider of kind chat. Send the whole conversation in input")


def _tools(asked: Reading, toolbox: Toolbox) -> Fields:
    asked.raw("tools")  # the toolbox has read them
    chosen, allowed = _choice(asked, toolbox)
    names = [function.name for function in toolbox.functions.values() if allowed is None or function.name in allowed]
    is_parallel = asked.take("parallel_tool_calls", bool)
    if not names:
        if chosen not in (None, "auto", "none"):
            asked.lose("tool_choice", "no tool that it could choose goes to this provider")
        return {}
    fields: Fields = {"tools": [_declared(toolbox, name) for name in names]}
    if chosen is not None:
        fields["tool_choice"] = chosen
    if is_parallel is False:
        fields["parallel_tool_calls"] = False
    return fields


def _declared(toolbox: Toolbox, name: str) -> Fields:
    function = toolbox.functions[toolbox.tool(name)]
    told: Fields = {"name": name, "parameters": function.parameters}
    if function.description:
        told["description"] = function.description
    if function.strict is not None:
        told["strict"] = function.strict
    return {"type": "function", "function": told}


def _choice(asked: Reading, toolbox: Toolbox) -> tuple[Any, set[str] | None]:
    """``tool_choice`` in chat form, and the names that it allows (None: all)."""
    value = asked.raw("tool_choice")
    if value is None or isinstance(value, str):
        return value, None
    with Reading(value, "tool_choice", asked.losses) as choice:
        kind = choice.need("type", str)
        if kind == "allowed_tools":
            mode, tools = choice.take("mode", str) or "auto", choice.need("tools", list)
            why = "only the allowed tools are sent: few services know allowed_tools"
            asked.losses.append(Loss("tool_choice", "mapped", why))
            return mode, {name for index, tool in enumerate(tools) if (name := _chosen(tool, index, choice, toolbox))}
        name = _name(choice, kind, toolbox)
        if name is None:
            choice.drop("that tool does not go to this provider")
            return None, None
        return {"type": "function", "function": {"name": name}}, None


def _chosen(value: Any, index: int, choice: Reading, toolbox: Toolbox) -> str | None:
    with Reading(value, f"tool_choice.tools[{index}]", choice.losses) as tool:
        name = _name(tool, tool.need("type", str), toolbox)
        if name is None:
            tool.drop("that tool does not go to this provider")
        return name


def _name(choice: Reading, kind: str, toolbox: Toolbox) -> str | None:
    """The provider's name of the tool that a choice means; None when it was not declared."""
    name, namespace = choice.take("name", str) or kind, choice.take("namespace", str) or ""
    function = toolbox.functions.get(Tool(kind, name, namespace))
    return function.name if function else None


def _form(asked: Reading) -> Fields:
    """How the model is to think and to write."""
    fields: Fields = {}
    if (thinking := asked.take("reasoning", dict)) is not None:
        with _Thinking(thinking, "reasoning", asked.losses) as reasoning:
            if (effort := reasoning.take("effort", str)) is not None:
                fields["reasoning_effort"] = effort
    if (writing := asked.take("text", dict)) is not None:
        with Reading(writing, "text", asked.losses) as text:
            if (verbosity := text.take("verbosity", str)) is not None:
                fields["verbosity"] = verbosity
            if (wanted := text.take("format", dict)) is not None:
                fields |= _response_format(wanted, asked.losses)
    return fields


class _Thinking(Reading):
    hints = dict.fromkeys(
        ("summary", "generate_summary", "context"), "a Chat Completions service shows the reasoning that it shows"
    )


def _response_format(wanted: Fields, losses: list[Loss]) -> Fields:
    with Reading(wanted, "text.format", losses) as form:
        kind = form.need("type", str)
        if kind == "text":
            return {}
        if kind == "json_object":
            return {"response_format": {"type": kind}}
        if kind != "json_schema":
            form.drop("a Chat Completions service knows text, json_object and json_schema")
            return {}
        told: Fields = {"name": form.need("name", str), "schema": form.need("schema", dict)}
        for key, value in (("description", form.take("description", str)), ("strict", form.take("strict", bool))):
            if value is not None:
                told[key] = value
        return {"response_format": {"type": kind, kind: told}}


def _sampling(asked: Reading, decoded: Decoded) -> Fields:
    fields: Fields = {}
    for key, name in _NUMBERS.items():
        if (number := asked.number(key)) is not None:
            fields[name] = number
    if decoded.stop:
        fields["stop"] = list(decoded.stop)
    for name, extra in decoded.extras.items():
        if name in _EXTRAS:
            fields[name] = extra.value
        else:
            asked.losses.append(Loss(extra.path, "dropped", f"Chat Completions has no {name}"))
    return fields


REVERSE = Reverse("chat", encode_request, ChatDecoder, decode_response)
