"""Chat Completions, decode: a client's request → canonical (conformance 16 to 25)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mitmcodex.wire.chat_messages import decode_messages
from mitmcodex.wire.chat_options import decode_options
from mitmcodex.wire.chat_reading import ChatReading
from mitmcodex.wire.chat_tools import decode_tools
from mitmcodex.wire.codec import Asked, Decoded, Loss
from mitmcodex.wire.responses_request import decode_request as decode_responses
from mitmcodex.wire.shapes import Fields

_AS_IT_IS: dict[str, type[Any]] = {
    "model": str,
    "metadata": dict,
    "user": str,
    "safety_identifier": str,
    "prompt_cache_key": str,
    "prompt_cache_retention": str,
    "service_tier": str,
}
"""The Responses API has these by the same name."""


@dataclass(frozen=True, slots=True)
class ChatReply:
    """What the encoder must know of the request."""

    includes_usage: bool = False
    """In a stream: one more chunk with the usage (conformance 8)."""
    hides_reasoning: bool = False
    is_legacy: bool = False
    """Calls are told as ``function_call``, as the tools came as ``functions``."""
    custom_names: frozenset[str] = frozenset()
    """Tools whose calls are told as custom ones (conformance 6)."""


def decode_request(fields: Fields, asked: Asked) -> Decoded:
    """A body with ``input`` in place of ``messages`` is one of the Responses API (Cursor, conformance 25)."""
    if fields.get("messages") is None and fields.get("input") is not None:
        return _decode_responses(fields, asked)
    decoded = Decoded({}, paths={"input": "messages"})
    with ChatReading(fields, "", decoded.losses) as body:
        for key, kind in _AS_IT_IS.items():
            if (value := body.take(key, kind)) is not None:
                decoded.fields[key] = value
        decoded.fields["input"] = decode_messages(body)
        decode_tools(body, decoded)
        decode_options(body, decoded)
        _decode_store(body, decoded)
        decoded.wants_stream = body.take("stream", bool) or False
        decoded.session = decoded.fields.get("user", "")
        decoded.reply = _reply(decoded, fields, _includes_usage(body))
    return decoded


def _decode_responses(fields: Fields, asked: Asked) -> Decoded:
    """``stream_options`` are about the answer, which takes the form of the route."""
    losses: list[Loss] = []
    with ChatReading({"stream_options": fields.pop("stream_options", None)}, "", losses) as options:
        includes_usage = _includes_usage(options)
    decoded = decode_responses(fields, asked)
    decoded.losses += losses
    decoded.reply = _reply(decoded, fields, includes_usage)
    return decoded


def _includes_usage(body: ChatReading) -> bool:
    if body.raw("stream_options") is None:
        return False
    with body.inner("stream_options") as options:
        if options.take("include_obfuscation", bool):
            options.lose("include_obfuscation", "chunks are not padded", is_hint=True)
        return options.take("include_usage", bool) or False


def _decode_store(body: ChatReading, decoded: Decoded) -> None:
    """Not kept unless told so, while the Responses API keeps unless told otherwise."""
    decoded.fields["store"] = body.take("store", bool) or False
    if decoded.fields["store"]:
        body.lose("store", "kept as a response, not as a chat completion", what="mapped")


def _reply(decoded: Decoded, fields: Fields, includes_usage: bool) -> ChatReply:
    tools = decoded.fields.get("tools")
    named = [tool for tool in (tools if isinstance(tools, list) else []) if isinstance(tool, dict)]
    reasoning = fields.get("reasoning")
    return ChatReply(
        includes_usage=includes_usage,
        hides_reasoning=isinstance(reasoning, dict) and reasoning.get("exclude") is True,
        is_legacy=bool(fields.get("functions")) and not fields.get("tools"),
        custom_names=_names(named, "custom") - _names(named, "function"),
    )


def _names(tools: list[Fields], kind: str) -> frozenset[str]:
    return frozenset(tool["name"] for tool in tools if tool.get("type") == kind and isinstance(tool.get("name"), str))
