"""Ollama's /api/chat and /api/generate: decode (conformance 72, 73; seeds S250, S251)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mitmcodex.wire.codec import Asked, Decoded, Extra
from mitmcodex.wire.errors import WireError
from mitmcodex.wire.nested_reading import nested_safely, put
from mitmcodex.wire.ollama_messages import Messages, image_parts
from mitmcodex.wire.ollama_reading import OllamaReading
from mitmcodex.wire.reading import wrong
from mitmcodex.wire.schema_closing import NOT_ENFORCED, closed
from mitmcodex.wire.shapes import Fields

_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
_EXTRAS = ("seed", "top_k", "presence_penalty", "frequency_penalty")


@dataclass(frozen=True, slots=True)
class OllamaReply:
    """What the encoder needs to know of the request."""

    is_generate: bool = False
    shows_thinking: bool = True


def decode_request(fields: Fields, asked: Asked) -> Decoded:
    """``asked.action``: chat | generate. Raises WireError."""
    return nested_safely(lambda: _decoded(fields, asked.action == "generate"))


def _decoded(fields: Fields, is_generate: bool) -> Decoded:
    content = "prompt" if is_generate else "messages"
    if not all(fields.get(key) for key in ("model", content)):
        # Ollama itself would load the model; here is nothing to load.
        raise WireError("invalid_request", f"Missing required fields: model, {content}")
    decoded = Decoded({})
    with OllamaReading(fields, "", decoded.losses) as body:
        read = _generate_items if is_generate else _chat_items
        decoded.fields |= {"model": body.need("model", str), "input": read(body)}
        stream = body.take("stream", bool)
        decoded.wants_stream = stream is not False
        _read_tools(body, decoded)
        _read_format(body, decoded)
        think = _think(body, decoded)
        for key in ("logprobs", "top_logprobs"):
            if body.raw(key) not in (None, False, 0):
                raise wrong(body.at(key), "no log probabilities can be had, leave it out")
        options = body.inner("options")
        if options is not None:
            with options:
                _read_options(options, decoded)
    decoded.reply = OllamaReply(is_generate, think is not False)
    return decoded


def _chat_items(body: OllamaReading) -> list[Fields]:
    messages = Messages()
    messages.decode(body.objects("messages"))
    return messages.items


def _generate_items(body: OllamaReading) -> list[Fields]:
    """``raw``, ``template``, ``suffix`` and ``context`` are for a model at hand: losses."""
    items: list[Fields] = []
    system = body.take("system", str)
    if system:
        items.append({"type": "message", "role": "system", "content": [{"type": "input_text", "text": system}]})
    parts = [{"type": "input_text", "text": body.need("prompt", str)}, *image_parts(body)]
    return [*items, {"type": "message", "role": "user", "content": parts}]


def _read_tools(body: OllamaReading, decoded: Decoded) -> None:
    found = []
    for tool in body.objects("tools"):
        if tool.take("type", str) not in (None, "function"):
            raise wrong(tool.at("type"), "must be function")
        function = tool.inner("function")
        if function is None:
            raise wrong(tool.at("function"), "is missing")
        with function:
            found.append(_function(function))
    if found:
        decoded.fields["tools"] = found


def _function(function: OllamaReading) -> Fields:
    """Without ``strict`` canonical form takes a function for a strict one, which Ollama's are not."""
    found: Fields = {"type": "function", "name": function.need("name", str)}
    put(found, "description", function.take("description", str))
    parameters = function.take("parameters", dict)
    return found | {"parameters": parameters or {"type": "object", "properties": {}}, "strict": False}


def _read_format(body: OllamaReading, decoded: Decoded) -> None:
    form = _text_format(body)
    if form:
        decoded.fields["text"] = {"format": form}
        decoded.paths["text"] = body.at("format")


def _text_format(body: OllamaReading) -> Fields | None:
    told = body.raw("format")
    if isinstance(told, dict):
        strict = closed(told)
        if strict is None:
            body.lose("format", NOT_ENFORCED, what="changed")
        elif strict != told:
            body.lose("format", "its objects are closed, to hold it strictly", what="changed", is_hint=True)
        schema = {"name": "ollama_schema", "schema": strict or told, "strict": strict is not None}
        return {"type": "json_schema", **schema}
    if told not in (None, "", "json"):
        raise wrong(body.at("format"), "must be json or a JSON schema")
    return {"type": "json_object"} if told else None


def _think(body: OllamaReading, decoded: Decoded) -> bool | str | None:
    """False gives no effort (seeds S250), and its answer no thinking."""
    told: Any = body.raw("think")
    if told is None:
        return None
    decoded.paths["reasoning"] = body.at("think")
    effort = "medium" if told is True else told
    if effort is False:
        decoded.fields["reasoning"] = {"summary": None}
    elif effort in _EFFORTS:
        decoded.fields["reasoning"] = {"effort": effort}
    else:
        raise wrong(body.at("think"), f"must be true, false or one of {', '.join(_EFFORTS)}")
    found: bool | str = told
    return found


def _read_options(options: OllamaReading, decoded: Decoded) -> None:
    for key in ("temperature", "top_p"):
        value = options.number(key)
        if value is not None:
            decoded.fields[key] = value
            decoded.paths[key] = options.at(key)
    limit = options.whole_number("num_predict")
    if limit is not None and limit > 0:  # -1 and -2: no limit
        decoded.fields["max_output_tokens"] = limit
        decoded.paths["max_output_tokens"] = options.at("num_predict")
    for key in _EXTRAS:
        value = options.number(key)
        if value is not None:
            decoded.extras[key] = Extra(options.at(key), value)
    stop = options.raw("stop")
    texts = [options.need("stop", str)] if isinstance(stop, str) else options.texts("stop")
    decoded.stop = tuple(text for text in texts if text)
    if decoded.stop:
        decoded.paths["stop"] = options.at("stop")
