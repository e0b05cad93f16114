"""Chat Completions, decode: what shapes the answer besides messages and tools (conformance 20, 23, 24)."""

from __future__ import annotations

from typing import NamedTuple

from mitmcodex.wire.chat_reading import ChatReading, one_of
from mitmcodex.wire.codec import Decoded, Extra, Loss
from mitmcodex.wire.effort_budget import effort_of
from mitmcodex.wire.errors import WireError
from mitmcodex.wire.reading import wrong
from mitmcodex.wire.shapes import Fields

MOST_CHOICES = 8
"""Of ``n``: each is an exchange of its own."""

_LIMITS = ("max_completion_tokens", "max_output_tokens", "max_tokens")
"""By precedence."""

_WEIGHTS = ("frequency_penalty", "presence_penalty")
"""Say nothing when 0."""


def decode_options(body: ChatReading, decoded: Decoded) -> None:
    for key in ("temperature", "top_p"):
        if (value := body.number(key)) is not None:
            decoded.fields[key] = value
    _decode_extras(body, decoded)
    _decode_limit(body, decoded)
    _decode_format(body, decoded)
    _decode_reasoning(body, decoded)
    _decode_stop(body, decoded)
    _decode_choices(body, decoded)
    _refuse(body)


def _decode_extras(body: ChatReading, decoded: Decoded) -> None:
    told = {key: body.number(key) or None for key in _WEIGHTS}
    told |= {key: body.take(key, int) for key in ("seed", "top_k")}
    for key, value in {**told, "logit_bias": body.take("logit_bias", dict) or None}.items():
        if value is not None:
            decoded.extras[key] = Extra(key, value)


def _decode_limit(body: ChatReading, decoded: Decoded) -> None:
    for key in _LIMITS:
        limit = body.take(key, int)
        if limit is None:
            continue
        if limit < 1:
            raise wrong(key, "must be at least 1")
        if "max_output_tokens" not in decoded.fields:
            decoded.fields["max_output_tokens"] = limit
            decoded.paths["max_output_tokens"] = key
        else:
            counts = decoded.paths["max_output_tokens"]
            body.lose(key, f"{counts} counts", is_hint=limit == decoded.fields["max_output_tokens"])


def _decode_format(body: ChatReading, decoded: Decoded) -> None:
    text: Fields = {}
    if body.raw("response_format") is not None:
        with body.inner("response_format") as asked:
            kind = one_of(asked.need("type", str), ("text", "json_object", "json_schema"), asked.at("type"))
            text["format"] = {"type": kind, **(_schema(asked) if kind == "json_schema" else {})}
    if (verbosity := body.take("verbosity", str)) is not None:
        text["verbosity"] = verbosity
    if text:
        decoded.fields["text"] = text
        decoded.paths["text"] = "response_format" if "format" in text else "verbosity"


def _schema(asked: ChatReading) -> Fields:
    with asked.inner("json_schema") as schema:
        told = {
            "name": schema.need("name", str),
            "description": schema.take("description", str),
            "schema": schema.need("schema", dict),
            "strict": schema.take("strict", bool),
        }
        return {key: value for key, value in told.items() if value is not None}


def _decode_stop(body: ChatReading, decoded: Decoded) -> None:
    stop = body.raw("stop")
    texts = [] if stop is None else [stop] if isinstance(stop, str) else stop
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise wrong("stop", "must be a text or a list of texts")
    decoded.stop = tuple(text for text in texts if text)


def _decode_choices(body: ChatReading, decoded: Decoded) -> None:
    n = body.take("n", int)
    if n is not None and not 1 <= n <= MOST_CHOICES:
        raise wrong("n", f"must be from 1 to {MOST_CHOICES}")
    decoded.n = n or 1


def _refuse(body: ChatReading) -> None:
    """What a client would wait for in vain."""
    if body.take("logprobs", bool) or body.take("top_logprobs", int):
        raise WireError("invalid_request", "logprobs are not supported; leave logprobs out.", param="logprobs")
    if "audio" in (body.take("modalities", list) or []) or body.raw("audio") is not None:
        raise WireError("invalid_request", "Audio is not supported; leave it out of modalities.", param="modalities")
    if body.raw("modalities") != ["text"]:
        body.lose("modalities", "the answer is text; name the tool image_generation for images")
    body.lose("prediction", "the provider takes no predicted output; it would only be faster", is_hint=True)


# -- reasoning ------------------------------------------------------------------------------------


class _Effort(NamedTuple):
    path: str
    effort: str
    """ "" leaves it to the model."""
    is_mapped: bool = True
    """Was asked for in other words than an effort's name."""


def _decode_reasoning(body: ChatReading, decoded: Decoded) -> None:
    """The effort, by precedence: reasoning_effort, reasoning.effort, then what other services call it."""
    efforts = []
    if effort := body.take("reasoning_effort", str):
        efforts.append(_Effort("reasoning_effort", effort, is_mapped=False))
    reasoning: Fields = {}
    if body.raw("reasoning") is not None:
        with body.inner("reasoning") as asked:
            efforts += _router_efforts(asked)
            if summary := asked.take("summary", str):
                reasoning["summary"] = summary
    efforts += _thinking_efforts(body)
    reasoning |= _chosen(efforts, decoded)
    if reasoning:
        decoded.fields["reasoning"] = reasoning


def _chosen(efforts: list[_Effort], decoded: Decoded) -> Fields:
    """The first that says something counts; what becomes of the others is a loss."""
    counts = next((one for one in efforts if one.effort), None)
    for one in efforts:
        if counts is None:
            decoded.losses.append(Loss(one.path, "mapped", "the model's default effort", is_hint=True))
        elif one is not counts:
            is_hint = one.effort in ("", counts.effort)
            decoded.losses.append(Loss(one.path, "dropped", f"{counts.path} counts", is_hint))
        elif one.is_mapped:
            decoded.losses.append(Loss(one.path, "mapped", f"asked as effort {one.effort}"))
    if counts is None:
        return {}
    decoded.paths["reasoning"] = counts.path
    return {"effort": counts.effort}


def _router_efforts(reasoning: ChatReading) -> list[_Effort]:
    """OpenRouter's ``reasoning``. What ``exclude`` hides is the encoder's business."""
    reasoning.take("exclude", bool)
    efforts = []
    if effort := reasoning.take("effort", str):
        efforts.append(_Effort(reasoning.at("effort"), effort, is_mapped=False))
    if (budget := reasoning.take("max_tokens", int)) is not None:
        efforts.append(_Effort(reasoning.at("max_tokens"), effort_of(budget)))
    if (is_on := reasoning.take("enabled", bool)) is not None:
        efforts.append(_Effort(reasoning.at("enabled"), "" if is_on else "none"))
    return efforts


def _thinking_efforts(body: ChatReading) -> list[_Effort]:
    efforts = []
    if body.raw("thinking") is not None:
        with body.inner("thinking") as thinking:
            kind = one_of(thinking.need("type", str), ("enabled", "disabled", "adaptive", "auto"), thinking.at("type"))
            budget = thinking.take("budget_tokens", int)
        efforts.append(_Effort("thinking", "none" if kind == "disabled" else effort_of(budget)))
    if (is_on := body.take("enable_thinking", bool)) is not None:
        efforts.append(_Effort("enable_thinking", "" if is_on else "none"))
    return efforts
