"""Anthropic Messages, decode: a client's request → canonical (conformance 54 to 63)."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from mitmcodex.wire.codec import Asked, Decoded, Extra, Loss
from mitmcodex.wire.effort_budget import effort_of
from mitmcodex.wire.errors import WireError
from mitmcodex.wire.messages_content import message_items, system_items
from mitmcodex.wire.messages_errors import NO_THREADS
from mitmcodex.wire.messages_fields import Block
from mitmcodex.wire.messages_tools import read_tools
from mitmcodex.wire.nested_reading import nested_safely
from mitmcodex.wire.reading import wrong
from mitmcodex.wire.schema_closing import NOT_ENFORCED, closed
from mitmcodex.wire.shapes import Fields

COUNT = "count_tokens"
"""``Asked.action`` of ``/v1/messages/count_tokens``: the same body, but nothing is generated."""

_SESSION = re.compile(r"_session_([0-9A-Za-z-]+)$")
_UNCARRIED = {
    "container": "there is no container to run code in",
    "mcp_servers": "MCP servers are not called from here; connect them in the client",
    "inference_geo": "the provider chooses the region",
}


@dataclass(frozen=True, slots=True)
class MessagesReply:
    """What the encoder must know of the request."""

    thinking: str = ""
    """text | signature (the client asked for none of the text, but replays the block) | "" (no thinking blocks)."""


def decode_request(fields: Fields, asked: Asked) -> Decoded:
    """Raises WireError (invalid_request), which names the place."""
    return nested_safely(lambda: _decoded(fields, asked))


def _decoded(fields: Fields, asked: Asked) -> Decoded:
    decoded = Decoded({})
    with Block(fields, "", decoded.losses) as body:
        _refuse_thread(body)
        model = body.take("model", str)
        if model is not None:
            decoded.fields["model"] = model
        system = body.raw("system")
        items = system_items(system, body.losses) if system is not None else []
        decoded.fields["input"] = items + message_items(body.need("messages", list), body.losses)
        decoded.paths["input"] = "messages"
        read_tools(body, decoded)
        _read_limits(body, asked, decoded)
        _read_sampling(body, decoded)
        _read_thinking(body, decoded)
        _read_service(body, decoded)
        _read_session(body, asked, decoded)
        _read_uncarried(body)
        decoded.wants_stream = body.take("stream", bool) or False
    return decoded


def _refuse_thread(body: Block) -> None:
    """Without what the service keeps, the messages of a thread are no conversation."""
    if body.raw("thread") is not None:
        text = "No threads are kept here. Send the whole conversation, without thread."
        raise WireError("invalid_request", text, code=NO_THREADS, param="thread")


def _read_limits(body: Block, asked: Asked, decoded: Decoded) -> None:
    limit = body.take("max_tokens", int) if asked.action == COUNT else body.need("max_tokens", int)
    if limit is not None:
        if limit < 1:
            raise wrong("max_tokens", "must be at least 1")
        decoded.fields["max_output_tokens"] = limit
        decoded.paths["max_output_tokens"] = "max_tokens"
    stop = body.take("stop_sequences", list)
    if stop:
        if not all(isinstance(one, str) and one for one in stop):
            raise wrong("stop_sequences", "must be a list of texts, none of them empty")
        decoded.stop = tuple(stop)
        decoded.paths["stop"] = "stop_sequences"


def _read_sampling(body: Block, decoded: Decoded) -> None:
    for key in ("temperature", "top_p"):
        value = body.number(key)
        if value is not None:
            decoded.fields[key] = value
    top_k = body.take("top_k", int)
    if top_k is not None:
        decoded.extras["top_k"] = Extra("top_k", top_k)


# -- thinking and output_config -------------------------------------------------------------------


def _read_thinking(body: Block, decoded: Decoded) -> None:
    """``output_config.effort`` wins over the budget (conformance 58)."""
    effort = _read_output(body, decoded)
    thinking, show = body.take("thinking", dict), ""
    if thinking is not None:
        with Block(thinking, "thinking", body.losses) as wish:
            budgeted, show = _wish(wish, has_effort=effort is not None)
        effort = effort or budgeted
    decoded.reply = MessagesReply(show)
    reasoning: Fields = {"effort": effort} if effort else {}
    if thinking is not None and show != "text":
        reasoning["summary"] = "none"  # nobody would see it
    if reasoning:
        decoded.fields["reasoning"] = reasoning
        decoded.paths["reasoning"] = "thinking"


def _wish(wish: Block, has_effort: bool) -> tuple[str, str]:
    """(effort, how thinking is shown)"""
    kind = wish.need("type", str)
    if kind not in ("enabled", "adaptive", "disabled"):
        raise wrong(wish.at("type"), "must be enabled, adaptive or disabled")
    budget, display = wish.take("budget_tokens", int), wish.take("display", str)
    if budget is not None:
        why = "output_config.effort says it" if has_effort else "told as an effort"
        wish.lose("budget_tokens", why, what="mapped")
    if display not in (None, "summarized", "omitted"):
        wish.lose("display", "thinking is shown as a summary", is_hint=True)
    if kind == "disabled":
        return "none", ""
    return effort_of(budget), "signature" if display == "omitted" else "text"


def _read_output(body: Block, decoded: Decoded) -> str | None:
    """The effort; the format goes to ``text``. ``output_format`` is its name in older betas."""
    effort, form, path = None, None, "output_config.format"
    config = body.take("output_config", dict)
    if config is not None:
        with Block(config, "output_config", body.losses) as output:
            effort, form = output.take("effort", str), output.take("format", dict)
    if form is None:
        form, path = body.take("output_format", dict), "output_format"
    if form is not None:
        with Block(form, path, body.losses) as wish:
            decoded.fields["text"] = {"format": _format(wish)}
        decoded.paths["text"] = path
    return effort


def _format(wish: Block) -> Fields:
    if wish.need("type", str) != "json_schema":
        raise wrong(wish.at("type"), "must be json_schema")
    schema = wish.need("schema", dict)
    made = {"type": "json_schema", "name": wish.take("name", str) or "output"}  # a name is required there
    strict = closed(schema)
    if strict is None:
        wish.losses.append(Loss(wish.at("schema"), "changed", NOT_ENFORCED))
        return {**made, "schema": schema}
    return {**made, "schema": strict, "strict": True}


# -- the rest -------------------------------------------------------------------------------------


def _read_service(body: Block, decoded: Decoded) -> None:
    tier = body.take("service_tier", str)
    if tier == "standard_only":
        decoded.fields["service_tier"] = "default"
        body.lose("service_tier", "told as the tier default", what="mapped")
    elif tier not in (None, "auto"):
        body.lose("service_tier", "this tier is not known")
    speed = body.take("speed", str)
    if speed == "fast":
        decoded.fields["service_tier"] = "priority"
        decoded.paths["service_tier"] = "speed"
        body.lose("speed", "told as the tier priority", what="mapped")
    elif speed not in (None, "standard"):
        body.lose("speed", "this speed is not known")


def _read_session(body: Block, asked: Asked, decoded: Decoded) -> None:
    """Claude Code's header first, then ``metadata.user_id`` (conformance 62)."""
    metadata = body.take("metadata", dict)
    told = None
    if metadata is not None:
        with Block(metadata, "metadata", body.losses) as about:
            told = about.take("user_id", str)
    decoded.session = asked.header("x-claude-code-session-id") or _session_of(told or "")


def _session_of(user_id: str) -> str:
    """Claude Code packs the session into it, as JSON or behind ``_session_``; any other text stands for itself."""
    if user_id.startswith("{"):
        try:
            session: Any = json.loads(user_id).get("session_id")
        except (ValueError, RecursionError):
            session = None
        if isinstance(session, str) and session:
            return session
    match = _SESSION.search(user_id)
    return match[1] if match else user_id


def _read_uncarried(body: Block) -> None:
    for key, why in _UNCARRIED.items():
        if body.raw(key):
            body.lose(key, why)
    management = body.take("context_management", dict)
    if management:
        edits = management.get("edits")
        is_hint = isinstance(edits, list) and all(map(_clears_thinking, edits))
        body.lose("context_management", "the context goes on as the client sent it", is_hint=is_hint)


def _clears_thinking(edit: Any) -> bool:
    """The provider keeps or forgets old reasoning by its own rules, whatever an edit says."""
    return isinstance(edit, dict) and str(edit.get("type")).startswith("clear_thinking_")
