"""Gemini's generateContent and streamGenerateContent: encode (conformance 64, 65, 67, 68, 70)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mitmcodex.wire.codec import Decoded, ReplyContext
from mitmcodex.wire.encoder import Item
from mitmcodex.wire.errors import WireError
from mitmcodex.wire.gemini_config import GeminiReply
from mitmcodex.wire.gemini_errors import error_body
from mitmcodex.wire.gemini_grounding import Grounding
from mitmcodex.wire.gemini_root import unwrapped
from mitmcodex.wire.gemini_signature import Signature, signed
from mitmcodex.wire.lenient import number_at
from mitmcodex.wire.one_line import one_line
from mitmcodex.wire.shapes import Fields
from mitmcodex.wire.whole_calls import WholeCallEncoder

_REASONS = {"max_output_tokens": "MAX_TOKENS", "content_filter": "SAFETY"}
"""Of an incomplete response; any other: OTHER."""

NEXT = b",\n"
"""Between the elements of an array."""


class GeminiEncoder(WholeCallEncoder):
    """Chunks as server-sent events, or as the elements of one JSON array that grows.

    A signature rides on the first call after its reasoning, for that is the part which all clients send back; without
    a call on the last part. It says whether the reasoning stood before the text on the way to that part (``_say``).

    Of a request with ``candidateCount`` > 1 each encoder is a part, which leaves out the usage and an array's brackets.
    Who joins the parts adds ``opened`` and ``end_of(parts)``, and gives them one ``head``.
    """

    def __init__(self, decoded: Decoded, context: ReplyContext) -> None:
        super().__init__()
        reply = decoded.reply if isinstance(decoded.reply, GeminiReply) else GeminiReply()
        self._context = context
        self._reply = reply
        self.is_array = reply.is_array
        if self.is_array:
            self.content_type = "application/json; charset=utf-8"
        self.is_part = decoded.n > 1
        self.head: Fields = {}
        """What all chunks have in common; the first of several parts fills it."""
        self.usage: Fields | None = None
        """Known at the end."""
        self._opening, self._closing = (NEXT if self.is_part else b"[", b"") if self.is_array else (b"data: ", b"\n\n")
        self._before = self._after = b""
        """Of a chunk with one text: all but the text."""
        self._signature: Signature | None = None
        """Waits for its part."""
        self._has_text = False
        """Text was told since the last call or signed part."""
        self._has_refused = False
        self._wrapped: list[str] = []
        """The text of a structured answer that comes in an object of ours: it is whole only at the end."""
        self._grounding = Grounding()

    # -- chunks -----------------------------------------------------------------------------------

    def _frame(self, chunk: Fields) -> bytes:
        return self._framed(one_line(chunk))

    def _framed(self, line: bytes) -> bytes:
        sent = self._opening + line + self._closing
        if self.is_array:
            self._opening = NEXT
        return sent

    def chunk(self, candidates: list[Fields], usage: Fields | None = None) -> bytes:
        counted = {"usageMetadata": usage} if usage else {}
        return self._frame({"candidates": candidates, **counted, **self.head})

    def _parts(self, *parts: Fields, **further: Any) -> bytes:
        return self.chunk([self._candidate(*parts, **further)])

    def _candidate(self, *parts: Fields, **further: Any) -> Fields:
        return {"content": {"parts": [*parts], "role": "model"}, "index": self._context.choice, **further}

    def begin(self, response: Fields) -> bytes:
        told = response.get("id")
        name = told if isinstance(told, str) and told else self._context.new_id()
        if not self.head:
            self.head.update(modelVersion=self._context.model, responseId=name)
        self._before = b'{"candidates":[{"content":{"parts":[{"text":'
        self._after = b'}],"role":"model"},"index":%d}],%b' % (self._context.choice, one_line(self.head)[1:])
        return b""

    # -- content ----------------------------------------------------------------------------------

    def text(self, item: Item, delta: str) -> bytes:
        if self._reply.is_wrapped:
            self._wrapped.append(delta)
            return b""
        return self._say(delta)

    def _say(self, text: str) -> bytes:
        """A thought between two texts takes a part of its own: no later part could tell where it stood."""
        sent = b""
        if self._signature and self._has_text and not self._signature.is_before_text:
            sent = self._sign_text()
        self._has_text = True
        if self._signature and not self._signature.is_before_text:
            self._signature = self._signature._replace(is_before_text=True)
        return sent + self._told(text)

    def _told(self, text: str) -> bytes:
        return self._framed(self._before + one_line(text) + self._after)

    def refusal(self, item: Item, delta: str) -> bytes:
        self._has_refused = True
        return self._say(delta)

    def reasoning(self, item: Item, delta: str) -> bytes:
        return self._parts({"text": delta, "thought": True}) if self._reply.shows_thoughts else b""

    def reasoning_done(self, item: Item, whole: Fields) -> bytes:
        encrypted = whole.get("encrypted_content")
        if not isinstance(encrypted, str) or not encrypted:
            return b""
        earlier = self._sign_text() if self._signature else b""
        self._signature = Signature(self._context.account(), encrypted)
        return earlier

    def call(self, item: Item, arguments: Fields) -> bytes:
        call = self._signed({"functionCall": {"id": item.call_id, "name": item.name, "args": arguments}})
        self._has_text = False
        return self._parts(call)

    def _signed(self, part: Fields) -> Fields:
        if not self._signature:
            return part
        signature, self._signature, self._has_text = self._signature, None, False
        return {**part, "thoughtSignature": signed(signature)}

    def _sign_text(self) -> bytes:
        return self._parts(self._signed({"text": ""}))

    def message_done(self, item: Item, whole: Fields) -> bytes:
        self._grounding.read_message(whole)
        return b""

    def search_done(self, item: Item, whole: Fields) -> bytes:
        self._grounding.read_search(whole)
        return b""

    def image_done(self, item: Item, whole: Fields) -> bytes:
        data = whole.get("result")
        if not isinstance(data, str) or not data:
            return b""
        return self._parts({"inlineData": {"mimeType": f"image/{whole.get('output_format') or 'png'}", "data": data}})

    # -- the end ----------------------------------------------------------------------------------

    def end(self, response: Fields) -> bytes:
        sent = self.calls_left()
        if self._wrapped:
            sent += self._say(unwrapped("".join(self._wrapped), self._reply.is_enum))
        further: Fields = {"finishReason": self._reason(response)}
        if further["finishReason"] == "MALFORMED_FUNCTION_CALL":
            further["finishMessage"] = f"The arguments of the call of {self.malformed} are no JSON object."
        grounding = self._grounding.metadata()
        if grounding:
            further["groundingMetadata"] = grounding
        self.usage = _usage(response.get("usage"))
        # google-genai's chats forget a turn whose last chunk has no part.
        last = self._candidate(self._signed({"text": ""}), **further)
        return sent + self.chunk([last], None if self.is_part else self.usage) + self._end()

    def _reason(self, response: Fields) -> str:
        if response.get("status") == "incomplete":
            details = response.get("incomplete_details")
            return _REASONS.get(details.get("reason", "") if isinstance(details, dict) else "", "OTHER")
        if self.malformed:
            return "MALFORMED_FUNCTION_CALL"
        return "SAFETY" if self._has_refused else "STOP"

    def failed(self, error: WireError) -> bytes:
        return self._frame(error_body(error)) + self._end()

    def _end(self) -> bytes:
        return b"" if self.is_part else end_of_array(self)

    def idle(self) -> bytes:
        """A comment would kill google-genai (conformance 48)."""
        return b" " if self.is_array else b"\n"


class _Whole(GeminiEncoder):
    """Keeps the chunks."""

    def __init__(self, decoded: Decoded, context: ReplyContext) -> None:
        super().__init__(decoded, context)
        self.is_part = False
        self.chunks: list[Fields] = []

    def _frame(self, chunk: Fields) -> bytes:
        self.chunks.append(chunk)
        return b""

    def _told(self, text: str) -> bytes:
        return self._parts({"text": text})


def encode_response(response: Fields, decoded: Decoded, context: ReplyContext) -> Fields:
    """The last chunk with the parts of all, neighbouring texts of one kind joined."""
    whole = _Whole(decoded, context)
    whole.read(response)
    parts: list[Fields] = []
    for chunk in whole.chunks:
        for part in chunk["candidates"][0]["content"]["parts"]:
            _join(parts, part)
    answer = whole.chunks[-1]
    answer["candidates"][0]["content"]["parts"] = parts or [{"text": ""}]
    return answer


def join_responses(parts: Sequence[Fields]) -> Fields:
    """The answers to a request with ``candidateCount`` > 1, each with its index, as one; at least one part."""
    usages = [part["usageMetadata"] for part in parts if "usageMetadata" in part]
    joined = {**parts[0], "candidates": [candidate for part in parts for candidate in part["candidates"]]}
    return {**joined, "usageMetadata": _sum(usages)} if usages else joined


def opened(data: bytes) -> bytes:
    """The first chunk of joined parts: of an array it has the bracket before it."""
    return b"[" + data.removeprefix(NEXT) if data.startswith(NEXT) else data


def end_of(parts: Sequence[GeminiEncoder]) -> bytes:
    """What follows the candidates of joined parts: a chunk with the usage of all, an array's bracket. Like each last
    chunk it has a part."""
    usages = [part.usage for part in parts if part.usage]
    last = {"content": {"parts": [{"text": ""}], "role": "model"}, "index": 0}
    return (parts[0].chunk([last], _sum(usages)) if usages else b"") + end_of_array(parts[0])


def end_of_array(part: GeminiEncoder) -> bytes:
    return b"]" if part.is_array else b""


def _sum(usages: Sequence[Fields]) -> Fields:
    return {key: sum(usage[key] for usage in usages) for key in usages[0]}


def _join(parts: list[Fields], part: Fields) -> None:
    last = parts[-1] if parts else {}
    is_more_text = "text" in part and "text" in last and "thoughtSignature" not in last
    if is_more_text and part.get("thought") == last.get("thought"):
        parts[-1] = {**last, **part, "text": last["text"] + part["text"]}
    elif part != {"text": ""}:
        parts.append(part)


def _usage(told: Any) -> Fields | None:
    """Canonical output has the reasoning in it, Gemini's candidates don't."""
    if not isinstance(told, dict):
        return None
    given, made = number_at(told, "input_tokens"), number_at(told, "output_tokens")
    thoughts = number_at(told.get("output_tokens_details"), "reasoning_tokens")
    return {
        "promptTokenCount": given,
        "cachedContentTokenCount": number_at(told.get("input_tokens_details"), "cached_tokens"),
        "candidatesTokenCount": max(0, made - thoughts),
        "thoughtsTokenCount": thoughts,
        "totalTokenCount": given + made,
    }
