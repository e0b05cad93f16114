"""Ollama's messages as canonical input items (conformance 73; clients.md ollama-python)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from mitmcodex.wire import media
from mitmcodex.wire.codec import Loss
from mitmcodex.wire.ollama_reading import OllamaReading
from mitmcodex.wire.reading import wrong
from mitmcodex.wire.shapes import Fields

_ROLES = ("system", "user", "assistant", "tool")


class Messages:
    """Decodes one after the other: the answers of tools are paired with the calls before them."""

    def __init__(self) -> None:
        self.items: list[Fields] = []
        self._unanswered: list[tuple[str, str]] = []
        """Call ids and names, in order."""

    def decode(self, messages: Iterable[OllamaReading]) -> None:
        for index, message in enumerate(messages):
            role = message.need("role", str)
            if role not in _ROLES:
                raise wrong(message.at("role"), f"must be one of {', '.join(_ROLES)}")
            if role == "tool":
                self._answer(message, index)
            else:
                self._message(message, role)
                self._calls(message, index)

    def _message(self, message: OllamaReading, role: str) -> None:
        message.lose("thinking", "what a model thought aloud is not shown to it again", is_hint=True)
        text, images = message.take("content", str), image_parts(message)
        kind = "output_text" if role == "assistant" else "input_text"
        parts: list[Fields] = [{"type": kind, "text": text}] if text else []
        if role == "user":
            parts += images
        if parts:
            self.items.append({"type": "message", "role": role, "content": parts})
        if images and role != "user":
            why = f"a message of role {role} holds text alone: they go on as the user's"
            message.losses.append(Loss(message.at("images"), "changed", why))
            self.items.append({"type": "message", "role": "user", "content": images})

    def _calls(self, message: OllamaReading, index: int) -> None:
        for number, call in enumerate(message.objects("tool_calls")):
            call_id = call.take("id", str) or f"call_{index}_{number}"
            call.take("type", str)
            function = call.inner("function")
            if function is None:
                raise wrong(call.at("function"), "is missing")
            with function:
                name, arguments = function.need("name", str), function.take("arguments", dict) or {}
                function.whole_number("index")  # says which of the list it is
            item = {"type": "function_call", "call_id": call_id, "name": name}
            self.items.append(item | {"arguments": json.dumps(arguments, ensure_ascii=False, separators=(",", ":"))})
            self._unanswered.append((call_id, name))

    def _answer(self, message: OllamaReading, index: int) -> None:
        call_id, name = message.take("tool_call_id", str) or "", message.take("tool_name", str) or ""
        output: Any = message.take("content", str) or ""
        images = image_parts(message)
        if images:
            output = [{"type": "input_text", "text": output}, *images] if output else images
        answered = self._answered(call_id, name) or f"call_{index}"
        self.items.append({"type": "function_call_output", "call_id": answered, "output": output})

    def _answered(self, call_id: str, name: str) -> str:
        """The call that is meant: by id, else the first of that name, else (older clients name none) the first."""
        for place, (known_id, known_name) in enumerate(self._unanswered):
            if (known_id == call_id) if call_id else (name in ("", known_name)):
                del self._unanswered[place]
                return known_id
        return call_id


def image_parts(reading: OllamaReading) -> list[Fields]:
    """``images``: base64 alone; what they are is told by their first bytes."""
    parts = []
    for index, text in enumerate(reading.texts("images")):
        data = media.standard_base64(text)
        mime = media.image_type(data)
        if not mime:
            raise wrong(f"{reading.at('images')}[{index}]", "must be the base64 of a PNG, JPEG, GIF or WebP image")
        parts.append({"type": "input_image", "image_url": media.data_url(mime, data)})
    return parts
