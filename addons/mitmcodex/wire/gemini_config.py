"""Gemini's ``generationConfig`` in canonical form (conformance 58, 66)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mitmcodex.wire import gemini_root
from mitmcodex.wire.codec import Decoded, Extra
from mitmcodex.wire.effort_budget import effort_of
from mitmcodex.wire.gemini_reading import GeminiReading
from mitmcodex.wire.gemini_schema import json_schema
from mitmcodex.wire.nested_reading import put
from mitmcodex.wire.reading import wrong
from mitmcodex.wire.schema_closing import NOT_ENFORCED, closed
from mitmcodex.wire.shapes import Fields

_ENUM = "text/x.enum"
_LEVELS = ("minimal", "low", "medium", "high", "xhigh")


@dataclass(frozen=True, slots=True)
class GeminiReply:
    """What the encoder needs to know of the request."""

    is_array: bool = False
    """A stream as one growing JSON array: asked without ``alt=sse``."""
    shows_thoughts: bool = False
    is_wrapped: bool = False
    """The structured answer comes inside an object of our making (gemini_root)."""
    is_enum: bool = False
    """The structured answer is one of an enum's values, without quotation marks."""


def read_config(config: GeminiReading, decoded: Decoded) -> GeminiReply:
    """Writes ``decoded``; what the encoder needs is returned."""
    _read_sampling(config, decoded)
    is_wrapped, is_enum = _read_format(config, decoded)
    _read_modalities(config, decoded)
    for key in ("responseLogprobs", "logprobs"):
        if config.raw(key) not in (None, False, 0):
            raise wrong(config.at(key), "no log probabilities can be had, leave it out")
    thinking = config.inner("thinkingConfig")
    if thinking is not None:
        with thinking:
            put(decoded.fields, "reasoning", _reasoning(thinking))
            decoded.paths["reasoning"] = config.at("thinkingConfig")
    shows = decoded.fields.get("reasoning", {}).get("summary") == "auto"
    return GeminiReply(shows_thoughts=shows, is_wrapped=is_wrapped, is_enum=is_enum)


def _read_sampling(config: GeminiReading, decoded: Decoded) -> None:
    kept: list[tuple[str, str, Any]] = [
        ("temperature", "temperature", config.number("temperature")),
        ("topP", "top_p", config.number("topP")),
        ("maxOutputTokens", "max_output_tokens", config.whole_number("maxOutputTokens")),
    ]
    for key, name, value in kept:
        if value is not None:
            decoded.fields[name] = value
            decoded.paths[name] = config.at(key)
    extras: list[tuple[str, str, Any]] = [
        ("topK", "top_k", config.whole_number("topK")),
        ("seed", "seed", config.whole_number("seed")),
        ("presencePenalty", "presence_penalty", config.number("presencePenalty")),
        ("frequencyPenalty", "frequency_penalty", config.number("frequencyPenalty")),
    ]
    for key, name, value in extras:
        if value is not None:
            decoded.extras[name] = Extra(config.at(key), value)
    count = config.whole_number("candidateCount")
    if count is not None and count < 1:
        raise wrong(config.at("candidateCount"), "must be at least 1")
    if count is not None:
        decoded.n = count
        decoded.paths["n"] = config.at("candidateCount")
    decoded.stop = tuple(text for text in config.texts("stopSequences") if text)
    if decoded.stop:
        decoded.paths["stop"] = config.at("stopSequences")


def _read_format(config: GeminiReading, decoded: Decoded) -> tuple[bool, bool]:
    """Whether the answer's root is wrapped, whether it is an enum's bare value."""
    mime = (config.take("responseMimeType", str) or "").lower()
    schema, key = config.take("responseJsonSchema", dict), "responseJsonSchema"
    if schema is None and config.raw("responseSchema") is not None:
        key = "responseSchema"
        schema = json_schema(config.raw(key), config.at(key), config.losses)
    if schema is not None:
        outer = gemini_root.wrapped(schema)
        if outer is not None:
            config.lose(key, "its root is asked for inside an object and taken out of the answer", what="emulated")
        decoded.fields["text"] = {"format": _schema_format(config, key, outer or schema)}
        decoded.paths["text"] = config.at(key)
        return outer is not None, mime == _ENUM
    if mime == "application/json":
        decoded.fields["text"] = {"format": {"type": "json_object"}}
        decoded.paths["text"] = config.at("responseMimeType")
    elif mime not in ("", "text/plain"):
        raise wrong(config.at("responseMimeType"), f"can't be {mime} without a schema")
    return False, False


def _schema_format(config: GeminiReading, key: str, schema: Fields) -> Fields:
    strict = closed(schema)
    if strict is None:
        config.lose(key, NOT_ENFORCED, what="changed")
    elif strict != schema:
        config.lose(key, "its objects are closed, to hold it strictly", what="changed", is_hint=True)
    return {"type": "json_schema", "name": "response", "schema": strict or schema, "strict": strict is not None}


def _read_modalities(config: GeminiReading, decoded: Decoded) -> None:
    for modality in config.texts("responseModalities"):
        if modality.upper() == "IMAGE":
            decoded.fields.setdefault("tools", []).append({"type": "image_generation"})
            config.lose("responseModalities", "a tool draws the images", what="mapped")
        elif modality.upper() not in ("TEXT", "MODALITY_UNSPECIFIED"):
            config.lose("responseModalities", f"an answer can't be {modality}")


def _reasoning(thinking: GeminiReading) -> Fields | None:
    """Without ``includeThoughts`` nothing is said of the summary: who asked for no thoughts gets none."""
    found: Fields = {}
    put(found, "effort", _effort(thinking))
    shows = thinking.take("includeThoughts", bool)
    if shows is not None:
        found["summary"] = "auto" if shows else None
    return found or None


def _effort(thinking: GeminiReading) -> str | None:
    """The level counts more than the budget; a budget of -1 leaves it to the model."""
    budget = thinking.whole_number("thinkingBudget")
    level = (thinking.take("thinkingLevel", str) or "thinking_level_unspecified").lower()
    if level in _LEVELS:
        thinking.lose("thinkingBudget", "thinkingLevel counts more")
        return level
    if level != "thinking_level_unspecified":
        raise wrong(thinking.at("thinkingLevel"), f"must be one of {', '.join(_LEVELS)}")
    if budget is None or budget < 0:
        return None
    effort = effort_of(budget)
    thinking.lose("thinkingBudget", f"{budget} tokens are effort {effort}", what="mapped")
    return effort
