"""Gemini towards a provider (kind ``gemini``): a canonical request in its form. The model stands in the path.

What the service takes depends on the model (its public documentation and the types of google-genai 3.4, 2026):
Gemini 3 and later think by ``thinkingLevel`` and want the signatures of the calls they made back, 2.5 thinks by a
budget, older ones don't think.
"""

from __future__ import annotations

import json
import mimetypes
from typing import Any
from urllib.parse import urlsplit

from mitmcodex.wire.codec import Decoded, Encoded, Loss, Reverse
from mitmcodex.wire.gemini_thinking import thinking_config
from mitmcodex.wire.gemini_upstream_reply import KIND, ON_CALL, GeminiDecoder, decode_response
from mitmcodex.wire.history import ASSISTANT, Call, HistoryEncoder, Media, Piece, Turn
from mitmcodex.wire.reading import Reading, wrong
from mitmcodex.wire.shapes import Fields
from mitmcodex.wire.signatures import unwrap
from mitmcodex.wire.toolbox import Function
from mitmcodex.wire.upstream_request import RequestEncoder, generation

FIRST_SIGNED = (3, 0)
NO_SIGNATURE = "skip_thought_signature_validator"
"""Google's documented stand-in for calls that another model made: without any, Gemini 3 refuses the request."""
STOP_LIMIT = 5

_EXTRAS = {
    "top_k": "topK",
    "seed": "seed",
    "presence_penalty": "presencePenalty",
    "frequency_penalty": "frequencyPenalty",
}
_MODES = {"auto": "AUTO", "required": "ANY", "none": "NONE", "named": "ANY"}


class GeminiHistory(HistoryEncoder):
    """A signature that waits in ``thoughts`` goes to the part that the model had signed."""

    _signature = ""

    def text(self, text: str) -> Fields:
        return {"text": text}

    def media(self, media: Media) -> Fields:
        if media.name:
            self._losses.append(Loss(media.path, "changed", "the provider keeps no file names", True))
        if media.url:
            known = mimetypes.guess_type(urlsplit(media.url).path)[0]
            return {"fileData": {"fileUri": media.url} | ({"mimeType": known} if known else {})}
        if not media.mime:
            raise media.refused("the provider wants to know the type: name it in the data URL")
        return {"inlineData": {"mimeType": media.mime, "data": media.data}}

    def call(self, call: Call) -> Fields:
        signature, self._signature = self._signature, ""
        made: Fields = {"functionCall": {"id": call.call_id, "name": call.name, "args": call.arguments}}
        return made | ({"thoughtSignature": signature} if signature else {})

    def result(self, turn: Turn, call_id: str, name: str, pieces: list[Piece]) -> None:
        texts = [piece for piece in pieces if isinstance(piece, str)]
        response = _object_of(texts[0]) if len(texts) == 1 else None
        told = {"output": "\n".join(texts)} if response is None else response
        turn.results.append({"functionResponse": {"id": call_id, "name": name, "response": told}})
        media = [piece for piece in pieces if not isinstance(piece, str)]
        if media:
            self._losses.append(Loss(media[0].path, "changed", "images and files stand behind the results"))
        turn.parts += map(self._part, media)

    def thoughts(self, encrypted: Any) -> list[Fields] | None:
        signed = unwrap(KIND, encrypted)
        if signed is None:
            return None
        signature = str(signed.get("signature"))
        if signed.get("on") == ON_CALL:
            self._signature = signature
            return []
        return [{"text": "", "thoughtSignature": signature}]

    def contents(self, needs_signature: bool) -> list[Fields]:
        if needs_signature:
            for turn in self.turns:
                _sign(turn)
        roles = {ASSISTANT: "model"}
        return [{"role": roles.get(turn.role, "user"), "parts": [*turn.results, *turn.parts]} for turn in self.turns]


def _sign(turn: Turn) -> None:
    """The first of a turn's calls carries the signature for all."""
    calls = [part for part in turn.parts if "functionCall" in part]
    if calls and not any("thoughtSignature" in part for part in calls):
        calls[0]["thoughtSignature"] = NO_SIGNATURE


def _object_of(text: str) -> Fields | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


class GeminiRequest(RequestEncoder):
    def __init__(self, decoded: Decoded) -> None:
        super().__init__(decoded)
        self._model = str(decoded.fields.get("model"))
        self._version = generation(self._model, "gemini")
        self._config: Fields = {}
        """generationConfig"""

    def assemble(self, asked: Reading) -> None:
        asked.raw("model")
        history = GeminiHistory(self.toolbox, self.losses)
        history.encode(asked)
        is_signed = self._version is not None and self._version >= FIRST_SIGNED
        self.fields["contents"] = history.contents(is_signed)
        if history.system:
            self.fields["systemInstruction"] = {"parts": [{"text": text} for text in history.system]}
        self._tools(asked)
        self._sampling(asked)
        self._form(asked)
        config, losses = thinking_config(self.thinking(asked), self._model, self._version)
        self.losses += losses
        if config:
            self._config["thinkingConfig"] = config
        if self._config:
            self.fields["generationConfig"] = self._config

    def _sampling(self, asked: Reading) -> None:
        for key, name in (("temperature", "temperature"), ("top_p", "topP"), ("max_output_tokens", "maxOutputTokens")):
            if (value := asked.number(key)) is not None:
                self._config[name] = value
        self._config |= self.extras(_EXTRAS)
        stop = list(self.decoded.stop)
        if stop:
            self._config["stopSequences"] = stop[:STOP_LIMIT]
        if len(stop) > STOP_LIMIT:
            self.lose("stop", "dropped", f"the provider takes {STOP_LIMIT} stop sequences, the first ones are sent")

    def _form(self, asked: Reading) -> None:
        kind, schema = self.form(asked)
        if kind != "text":
            self._config["responseMimeType"] = "application/json"
        if kind == "json_schema":
            self._config["responseJsonSchema"] = schema

    def _tools(self, asked: Reading) -> None:
        choice = self.choice(asked)
        if asked.take("parallel_tool_calls", bool) is False and self.tools:
            self.lose("parallel_tool_calls", "dropped", "the provider decides how many functions it calls at once")
        tools: list[Fields] = []
        if self.tools:
            tools.append({"functionDeclarations": [self._declared(function) for function in self.tools]})
        for path, tool in self.toolbox.hosted:
            if self.tools:
                self.lose(path, "dropped", "the provider does not search and call functions in one request")
            elif not tools:
                tools.append({"googleSearch": self._search(path, tool)})
        if tools:
            self.fields["tools"] = tools
        if choice.mode == "search":
            self.lose("tool_choice", "changed", "the provider decides when it searches")
        elif choice.mode and self.tools:
            named = {"allowedFunctionNames": [choice.name]} if choice.name else {}
            self.fields["toolConfig"] = {"functionCallingConfig": {"mode": _MODES[choice.mode], **named}}

    def _declared(self, function: Function) -> Fields:
        made: Fields = {"name": function.name, "parametersJsonSchema": function.parameters}
        if function.description:
            made["description"] = function.description
        if function.strict:
            path = f"{function.path}.strict"
            self.lose(path, "changed", "the provider does not hold calls to their schema")
        return made

    def _search(self, path: str, value: Fields) -> Fields:
        with Reading(value, path, self.losses) as tool:
            tool.raw("type")
            for key in ("user_location", "search_context_size", "external_web_access", "search_content_types"):
                tool.lose(key, "the provider's search has no such setting", is_hint=True)
            if tool.raw("filters"):
                raise wrong(tool.at("filters"), "can't limit this provider's search. Leave it out")
        return {}


def encode_request(decoded: Decoded) -> Encoded:
    """For ``POST /models/{model}:streamGenerateContent?alt=sse``."""
    return GeminiRequest(decoded).encode()


REVERSE = Reverse(KIND, encode_request, GeminiDecoder, decode_response)
