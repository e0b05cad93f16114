"""Gemini's contents as canonical input items (conformance 65, 67; clients.md google-genai)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

from mitmcodex.wire.codec import ACCOUNT_KEY, Loss
from mitmcodex.wire.gemini_media import inline_part, linked_part
from mitmcodex.wire.gemini_reading import GeminiReading
from mitmcodex.wire.gemini_signature import Signature, unsigned
from mitmcodex.wire.reading import wrong
from mitmcodex.wire.shapes import Fields

_OUTPUT_KEYS = ("output", "result")
"""The keys under which an answer that is nothing else is wrapped; Google's documents and its SDK name one each."""


class Contents:
    """Decodes one after the other: answers are paired with the calls before them, signatures belong to their turn."""

    def __init__(self) -> None:
        self.items: list[Fields] = []
        self._role = ""
        self._place = ""
        """Number of the content and of the part: makes ids that are the same each time the history comes."""
        self._message: Fields | None = None
        """The last item, while more parts may join it."""
        self._text_start = 0
        """Of this turn, behind its last call or signed part: where the reasoning goes that stood before the text."""
        self._unanswered: list[tuple[str, str]] = []
        """Call ids and names, in order."""

    def system(self, content: GeminiReading) -> None:
        """``systemInstruction``: its role says nothing (google-genai writes ``user``)."""
        content.take("role", str)
        texts = [part.take("text", str) for part in content.objects("parts")]
        if any(texts):
            parts = [_input_text(text) for text in texts if text]
            self.items.append({"type": "message", "role": "system", "content": parts})

    def decode(self, contents: Iterable[GeminiReading]) -> None:
        for index, content in enumerate(contents):
            self._begin(content.take("role", str) or "user", content.at("role"))
            for number, part in enumerate(content.objects("parts")):
                self._place = f"{index}_{number}"
                self._part(part)

    def _begin(self, role: str, path: str) -> None:
        if role not in ("user", "model", "function"):
            raise wrong(path, "must be user or model; what the system says goes to systemInstruction")
        if role != "model" or self._role != "model":
            # google-genai's chats send each chunk of a stream back as a content of its own: those are one turn.
            self._message = None
            self._text_start = len(self.items)
        self._role = role

    def _part(self, part: GeminiReading) -> None:
        signature = self._signature(part)
        if signature and signature.is_before_text:
            self._reason(self._text_start, signature)
        if part.take("thought", bool):
            part.drop("what a model thought aloud is not shown to it again", is_hint=True)
        else:
            self._text(part.take("text", str) or "")
        if signature and not signature.is_before_text:
            self._reason(len(self.items), signature)
        for key, read in self._READERS.items():
            inside = part.inner(key)
            if inside is not None:
                with inside:
                    read(self, inside)
        if signature:
            self._text_start, self._message = len(self.items), None

    def _signature(self, part: GeminiReading) -> Signature | None:
        told = part.take("thoughtSignature", str)
        if not told:
            return None
        found = unsigned(told)
        if found is None or self._role != "model":
            part.lose("thoughtSignature", "no signature of ours", is_hint=True)
            return None
        return found

    def _reason(self, place: int, signature: Signature) -> None:
        encrypted = {"encrypted_content": signature.encrypted, ACCOUNT_KEY: signature.account}
        self.items.insert(place, {"type": "reasoning", "summary": [], **encrypted})

    def _text(self, text: str) -> None:
        if not text:  # google-genai sends the empty last part of a stream back (measured)
            return
        if self._role != "model":
            self._add("user", _input_text(text))
        elif self._message is not None:
            self._message["content"][-1]["text"] += text
        else:
            self._add("assistant", {"type": "output_text", "text": text})

    def _add(self, role: str, part: Fields) -> None:
        if self._message is None:
            self._message = {"type": "message", "role": role, "content": []}
            self.items.append(self._message)
        self._message["content"].append(part)

    # -- media ------------------------------------------------------------------------------------

    def _inline_data(self, blob: GeminiReading) -> None:
        self._media(inline_part(blob), blob)

    def _file_data(self, link: GeminiReading) -> None:
        self._media(linked_part(link), link)

    def _media(self, part: Fields, reading: GeminiReading) -> None:
        if self._role != "model":
            self._add("user", part)
            return
        why = "an assistant's message holds text alone: this goes on as the user's"
        reading.losses.append(Loss(reading.path, "changed", why))
        self._message = None
        self._add("user", part)
        self._message = None

    # -- calls ------------------------------------------------------------------------------------

    def _call(self, call: GeminiReading) -> None:
        name = call.need("name", str)
        if not name:
            raise wrong(call.at("name"), "must name a function")
        call_id = call.take("id", str) or f"call_{self._place}"
        arguments = _json(call.take("args", dict) or {})
        self._message = None
        self.items.append({"type": "function_call", "call_id": call_id, "name": name, "arguments": arguments})
        self._text_start = len(self.items)
        self._unanswered.append((call_id, name))

    def _answer(self, answer: GeminiReading) -> None:
        response = answer.take("response", dict) or {}
        attached = [media for part in answer.objects("parts") for media in _attached(part)]
        output: Any = _output_text(response)
        if attached:
            output = [*([_input_text(output)] if response else []), *attached]
        call_id = self._answered(answer.take("id", str) or "", answer.take("name", str) or "")
        self._message = None
        self.items.append({"type": "function_call_output", "call_id": call_id, "output": output})

    def _answered(self, call_id: str, name: str) -> str:
        """The call that is meant: by id, else the first of that name; without any, an id that no call has."""
        for place, (known_id, known_name) in enumerate(self._unanswered):
            if (known_id == call_id) if call_id else (known_name == name):
                del self._unanswered[place]
                return known_id
        return call_id or f"call_{self._place}"

    _READERS: ClassVar[dict[str, Callable[[Contents, GeminiReading], None]]] = {
        "inlineData": _inline_data,
        "fileData": _file_data,
        "functionCall": _call,
        "functionResponse": _answer,
    }


def _attached(part: GeminiReading) -> list[Fields]:
    found = []
    for key, read in (("inlineData", inline_part), ("fileData", linked_part)):
        inside = part.inner(key)
        if inside is not None:
            with inside:
                found.append(read(inside))
    return found


def _output_text(response: Fields) -> str:
    if len(response) == 1:
        key, value = next(iter(response.items()))
        if key in _OUTPUT_KEYS:
            return value if isinstance(value, str) else _json(value)
    return _json(response)


def _input_text(text: str) -> Fields:
    return {"type": "input_text", "text": text}


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
