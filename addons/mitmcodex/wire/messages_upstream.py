"""Anthropic Messages towards a provider (kind ``messages``): a canonical request in its form.

What the service takes depends on the model (its public documentation and the types of its SDK 2.12, 2026): Claude 4.6
and later think by ``thinking.type: adaptive`` and ``output_config.effort`` and, from 4.7, refuse sampling parameters;
3.7 to 4.5 think by ``budget_tokens``; older ones don't think. Models of other houses behind this protocol know the
older form.
"""

from __future__ import annotations

import base64
from typing import Any

from mitmcodex.wire.codec import Decoded, Encoded, Reverse
from mitmcodex.wire.history import ASSISTANT, Call, HistoryEncoder, Media, Piece, Turn
from mitmcodex.wire.messages_thinking import Wish, think
from mitmcodex.wire.messages_upstream_reply import KIND, MessagesDecoder, decode_response
from mitmcodex.wire.reading import Reading
from mitmcodex.wire.shapes import Fields
from mitmcodex.wire.signatures import unwrap
from mitmcodex.wire.toolbox import Function
from mitmcodex.wire.upstream_request import Choice, RequestEncoder, generation

DEFAULT_MAX_TOKENS = 32_000
"""The field is mandatory there; every model since Claude 3.7 can give as much."""
SMALL_MAX_TOKENS = 4_096
"""Of the models before."""
FIRST_LARGE, FIRST_STRICT = (3, 7), (4, 5)
LAST_SAMPLING, LAST_BOTH = (4, 6), (4, 0)
"""The last that takes temperature and top_p at all, and both at once."""
MAX_TEMPERATURE = 1

JSON_WANTED = "Answer with one JSON object and nothing else."
SEARCH_TYPE = "web_search_20250305"
_CHOICES = {"auto": "auto", "required": "any", "none": "none", "named": "tool", "search": "tool"}


class MessagesHistory(HistoryEncoder):
    def text(self, text: str) -> Fields:
        return {"type": "text", "text": text}

    def media(self, media: Media) -> Fields:
        source = {"type": "url", "url": media.url} if media.url else _content(media)
        title = {"title": media.name} if media.name else {}
        return {"type": "image" if media.is_image else "document", "source": source, **title}

    def call(self, call: Call) -> Fields:
        return {"type": "tool_use", "id": call.call_id, "name": call.name, "input": call.arguments}

    def result(self, turn: Turn, call_id: str, name: str, pieces: list[Piece]) -> None:
        is_text = len(pieces) == 1 and isinstance(pieces[0], str)
        content: Any = pieces[0] if is_text else [self._part(piece) for piece in pieces]
        turn.results.append({"type": "tool_result", "tool_use_id": call_id, "content": content})

    def thoughts(self, encrypted: Any) -> list[Fields] | None:
        block = unwrap(KIND, encrypted)
        return None if block is None else [block]

    def messages(self) -> list[Fields]:
        return [{"role": turn.role, "content": [*turn.results, *turn.parts]} for turn in self.turns]


def _content(media: Media) -> Fields:
    if media.is_image or media.mime == "application/pdf":
        return {"type": "base64", "media_type": media.mime, "data": media.data}
    if not media.mime.startswith("text/"):
        raise media.refused("the provider reads images, PDF and text")
    try:
        content = base64.b64decode(media.data, validate=True).decode()
    except ValueError:
        raise media.refused("it must hold base64 of UTF-8 text") from None
    return {"type": "text", "media_type": "text/plain", "data": content}


class MessagesRequest(RequestEncoder):
    def __init__(self, decoded: Decoded) -> None:
        super().__init__(decoded)
        self._model = str(decoded.fields.get("model"))
        self._version = generation(self._model, "claude")

    def assemble(self, asked: Reading) -> None:
        history = MessagesHistory(self.toolbox, self.losses)
        history.encode(asked)
        messages = history.messages()
        _strip_end(messages[-1])
        self.fields |= {"model": asked.need("model", str), "messages": messages, "stream": True}
        self._limit(asked)
        self._sampling(asked)
        self._tools(asked)
        self._form(asked, history.system)
        self._think(asked, messages)
        self._service(asked)
        if history.system:
            self.fields["system"] = [{"type": "text", "text": text} for text in history.system]

    def _limit(self, asked: Reading) -> None:
        limit = asked.take("max_output_tokens", int)
        if limit is None:
            is_small = self._version is not None and self._version < FIRST_LARGE
            limit = SMALL_MAX_TOKENS if is_small else DEFAULT_MAX_TOKENS
            self.lose("max_output_tokens", "mapped", f"the provider wants a limit: {limit}")
        self.fields["max_tokens"] = limit

    def _sampling(self, asked: Reading) -> None:
        if self._version and self._version > LAST_SAMPLING:
            for key in ("temperature", "top_p"):
                asked.lose(key, f"{self._model} takes no sampling parameters")
            self.extras({})
        else:
            for key in ("temperature", "top_p"):
                self.number(asked, key, key)
            self.fields |= self.extras({"top_k": "top_k"})
            self._within_limits()
        spoken = [one for one in self.decoded.stop if one.strip()]
        if spoken:
            self.fields["stop_sequences"] = spoken
        if len(spoken) < len(self.decoded.stop):
            self.lose("stop", "dropped", "the provider takes no stop sequence of white space alone")

    def _within_limits(self) -> None:
        if self.fields.get("temperature", 0) > MAX_TEMPERATURE:
            self.fields["temperature"] = MAX_TEMPERATURE
            self.lose("temperature", "changed", f"the provider's highest is {MAX_TEMPERATURE}")
        if self._version and self._version > LAST_BOTH and {"temperature", "top_p"} <= self.fields.keys():
            del self.fields["top_p"]
            self.lose("top_p", "dropped", f"{self._model} does not take it beside a temperature")

    def _service(self, asked: Reading) -> None:
        """The end user's id and the wish for a cache, as the service has them."""
        safe, user = (asked.take(key, str) for key in ("safety_identifier", "user"))
        if safe or user:
            self.fields["metadata"] = {"user_id": safe or user}
        if safe and user:
            self.lose("user", "dropped", "the provider takes one id: safety_identifier", is_hint=True)
        if asked.take("prompt_cache_key", str):
            self.fields["cache_control"] = {"type": "ephemeral"}
            self.lose("prompt_cache_key", "mapped", "the provider keeps a prompt when asked, and finds it by itself")

    # -- tools ------------------------------------------------------------------------------------

    def _tools(self, asked: Reading) -> None:
        choice, is_parallel = self.choice(asked), asked.take("parallel_tool_calls", bool) is not False
        tools = [self._tool(function) for function in self.tools]
        tools += [self._search(path, tool) for path, tool in self.toolbox.hosted[:1]]
        for path, _ in self.toolbox.hosted[1:]:
            self.lose(path, "dropped", "the provider has one search")
        if not tools:
            return
        self.fields["tools"] = tools
        if wanted := _tool_choice(choice, is_parallel):
            self.fields["tool_choice"] = wanted

    def _tool(self, function: Function) -> Fields:
        schema = {"type": "object", "properties": {}} | function.parameters
        made: Fields = {"name": function.name, "input_schema": schema}
        if function.description:
            made["description"] = function.description
        if function.strict:
            if self._version and self._version >= FIRST_STRICT:
                made["strict"] = True
            else:
                path = f"{function.path}.strict"
                self.lose(path, "changed", f"{self._model} does not hold calls to their schema")
        return made

    def _search(self, path: str, value: Fields) -> Fields:
        made: Fields = {"type": SEARCH_TYPE, "name": "web_search"}
        with Reading(value, path, self.losses) as tool:
            tool.raw("type")
            if place := tool.take("user_location", dict):
                made["user_location"] = place
            for key in ("search_context_size", "external_web_access", "search_content_types"):
                tool.lose(key, "the provider's search has no such setting", is_hint=True)
            filters = tool.take("filters", dict) or {}
        with Reading(filters, f"{path}.filters", self.losses) as limits:
            for key in ("allowed_domains", "blocked_domains"):
                if domains := limits.take(key, list):
                    made[key] = domains
        return made

    # -- how the model is to think and to write ---------------------------------------------------

    def _form(self, asked: Reading, system: list[str]) -> None:
        kind, schema = self.form(asked)
        if kind == "json_schema":
            self.fields["output_config"] = {"format": {"type": kind, "schema": schema}}
        elif kind == "json_object":
            system.append(JSON_WANTED)
            self.lose("text.format", "mapped", "the provider is asked for JSON in its system prompt")

    def _think(self, asked: Reading, messages: list[Fields]) -> None:
        thinking = self.thinking(asked)
        is_forced = self.fields.get("tool_choice", {}).get("type") in ("any", "tool")
        wish = Wish(thinking, self._model, self._version, self.fields["max_tokens"], is_forced)
        told, losses = think(wish, messages)
        self.losses += losses
        config = self.fields.get("output_config", {}) | told.pop("output_config", {})
        self.fields |= told
        if config:
            self.fields["output_config"] = config
        if told.get("thinking", {}).get("type") in ("enabled", "adaptive"):
            self._drop_sampling()

    def _drop_sampling(self) -> None:
        for key in ("temperature", "top_p", "top_k"):
            if self.fields.pop(key, 1) != 1:
                extra = self.decoded.extras.get(key)
                path = extra.path if extra else key
                self.lose(path, "dropped", "the provider takes it only when the model does not think")


def _tool_choice(choice: Choice, is_parallel: bool) -> Fields | None:
    if not choice.mode and is_parallel:
        return None
    wanted: Fields = {"type": _CHOICES[choice.mode or "auto"]}
    if wanted["type"] == "tool":
        wanted["name"] = choice.name or "web_search"
    if not is_parallel and choice.mode != "none":
        wanted["disable_parallel_tool_use"] = True
    return wanted


def _strip_end(last: Fields) -> None:
    """An answer that the client began (prefill) may not end with white space."""
    block = last["content"][-1]
    if last["role"] == ASSISTANT and block["type"] == "text":
        block["text"] = block["text"].rstrip()


def encode_request(decoded: Decoded) -> Encoded:
    """For ``POST /messages``, which besides wants a header ``anthropic-version``."""
    return MessagesRequest(decoded).encode()


REVERSE = Reverse(KIND, encode_request, MessagesDecoder, decode_response)
