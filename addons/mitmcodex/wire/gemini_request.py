"""Gemini's generateContent, streamGenerateContent and countTokens: decode (conformance 58, 64 to 67, 69)."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import parse_qsl

from mitmcodex.wire import gemini_tools
from mitmcodex.wire.codec import Asked, Decoded
from mitmcodex.wire.gemini_config import GeminiReply, read_config
from mitmcodex.wire.gemini_contents import Contents
from mitmcodex.wire.gemini_reading import GeminiReading
from mitmcodex.wire.nested_reading import nested_safely
from mitmcodex.wire.reading import wrong
from mitmcodex.wire.shapes import Fields

_TIERS = {"standard": "default", "flex": "flex", "priority": "priority"}


def decode_request(fields: Fields, asked: Asked) -> Decoded:
    """``asked`` has the model and the action, which Gemini writes into the path, and the query. Raises WireError."""
    return nested_safely(lambda: _decoded(fields, asked))


def _decoded(fields: Fields, asked: Asked) -> Decoded:
    contents = Contents()
    decoded = Decoded({"model": asked.model, "input": contents.items}, asked.action == "streamGenerateContent")
    decoded.reply = GeminiReply()
    with GeminiReading(fields, "", decoded.losses) as body:
        wrapped = body.inner("generateContentRequest")
        if wrapped is not None:  # countTokens takes a request whole, to count its tools and system text too
            with wrapped:
                _read(wrapped, contents, decoded)
        else:
            _read(body, contents, decoded)
    if not contents.items:
        raise wrong("contents", "must hold at least one part")
    decoded.reply = replace(decoded.reply, is_array=("alt", "sse") not in parse_qsl(asked.query))
    return decoded


def _read(body: GeminiReading, contents: Contents, decoded: Decoded) -> None:
    model = body.take("model", str)  # the path names it, the body may repeat it as models/NAME
    decoded.fields["model"] = decoded.fields["model"] or (model or "").removeprefix("models/")
    system = body.inner("systemInstruction")
    if system is not None:
        with system:
            contents.system(system)
    contents.decode(body.objects("contents"))
    tools = gemini_tools.tools(body.objects("tools"))
    if tools:
        decoded.fields["tools"] = tools
    _read_tool_config(body, decoded)
    config = body.inner("generationConfig")
    if config is not None:
        with config:
            decoded.reply = read_config(config, decoded)
    _read_service(body, decoded)


def _read_tool_config(body: GeminiReading, decoded: Decoded) -> None:
    config = body.inner("toolConfig")
    if config is None:
        return
    with config:
        calling = config.inner("functionCallingConfig")
        if calling is not None:
            with calling:
                choice = gemini_tools.tool_choice(calling)
                if choice is not None:
                    decoded.fields["tool_choice"] = choice


def _read_service(body: GeminiReading, decoded: Decoded) -> None:
    if body.take("cachedContent", str):
        raise wrong(body.at("cachedContent"), "names what is kept at Google, send it in contents")
    tier = (body.take("serviceTier", str) or "unspecified").lower()
    if tier in _TIERS:
        decoded.fields["service_tier"] = _TIERS[tier]
    elif tier != "unspecified":
        body.lose("serviceTier", "no such tier is known")
