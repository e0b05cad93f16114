"""Gemini from a provider (kind ``gemini``): its stream (``alt=sse``), or its whole answer, → a canonical one.

A ``thoughtSignature`` is carried by a reasoning item (signatures.py): before the call that has it, behind the message
that has it. What Google found for the text is told at the end: annotations, and a web_search_call item.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from mitmcodex.wire import verdict
from mitmcodex.wire.chat_upstream_calls import CallReader
from mitmcodex.wire.codec import Decoded
from mitmcodex.wire.encoder import FRAME_LIMIT
from mitmcodex.wire.errors import WireError
from mitmcodex.wire.lenient import list_of, object_of, objects_of, text_of
from mitmcodex.wire.shapes import Fields
from mitmcodex.wire.signatures import wrap
from mitmcodex.wire.sse import FrameSplitter, event_of
from mitmcodex.wire.toolbox import Toolbox
from mitmcodex.wire.writer import ResponseWriter, fresh_id, usage

KIND = "gemini"
ON_CALL, ON_TEXT = "call", "text"
"""What a signature stood on."""

_LIMITS = {
    "MAX_TOKENS": "max_output_tokens",
    "CONTINUATION": "max_output_tokens",
    **dict.fromkeys(
        (
            *("SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "MODEL_ARMOR"),
            *("ESCALATION", "PUP_LIMITED_DISABLED", "IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION"),
        ),
        "content_filter",
    ),
}
"""finishReason → why the response is incomplete. STOP completes; all others are failures."""

_CODES = {
    "UNAVAILABLE": "server_is_overloaded",
    "RESOURCE_EXHAUSTED": "rate_limit_exceeded",
    "INVALID_ARGUMENT": "invalid_request_error",
    "FAILED_PRECONDITION": "invalid_request_error",
    "NOT_FOUND": "invalid_request_error",
}
"""Google's names of a status → the codes that verdict.py knows."""


class GeminiDecoder:
    """A StreamDecoder; ``feed`` raises WireError for one event that is larger than 64 MiB."""

    def __init__(self, decoded: Decoded, new_id: Callable[[], str] = fresh_id) -> None:
        self.writer = ResponseWriter(str(decoded.fields.get("model") or ""), new_id=new_id)
        self.error: WireError | None = None
        """Why the answer failed."""
        self._calls = CallReader(Toolbox(decoded.fields, []), self.writer, new_id)
        self._splitter = FrameSplitter(FRAME_LIMIT)
        self._count = 0
        """Of calls."""
        self._message: list[str] = []
        """The texts of the message that is open."""
        self._signature = ""
        """That the message's text has."""
        self._grounding: Fields = {}
        self._usage: Fields = {}
        self.finish_reason = ""
        self._reason = ""
        """What the service says of the end."""

    def feed(self, data: bytes) -> bytes:
        sent = [self.read(event_of(frame) or {}) for frame in self._splitter.feed(data)]
        if self._splitter.oversize:
            raise WireError("upstream_failed", f"One event of the upstream is larger than {FRAME_LIMIT} bytes.")
        return b"".join(sent)

    def finish(self) -> bytes:
        sent = self.read(event_of(self._splitter.rest()) or {})  # it may lack its blank line (conformance 36)
        return sent + self.end() if self.finish_reason else sent

    def read(self, chunk: Fields) -> bytes:
        """One chunk of a stream, or a whole answer: they have one form."""
        if self.writer.has_ended or not chunk:
            return b""
        if "error" in chunk:
            return self._failed(error_of(chunk))
        self._usage |= object_of(chunk.get("usageMetadata"))
        sent = [self.writer.created()]
        sent += [self._candidate(one) for one in objects_of(chunk.get("candidates"))[:1]]
        if blocked := text_of(object_of(chunk.get("promptFeedback")).get("blockReason")):
            self.finish_reason = "SAFETY"
            sent.append(self.writer.refusal(f"The provider refused the prompt: {blocked}."))
        return b"".join(sent)

    def end(self) -> bytes:
        """The terminal event. It waits for the end of the stream, as more may come in the chunk of the reason."""
        if self.writer.has_ended:
            return b""
        reason = _LIMITS.get(self.finish_reason)
        if reason is None and self.finish_reason != "STOP":
            told = f"{self.finish_reason}. {self._reason}".rstrip()
            return self._failed(WireError("upstream_failed", f"The provider ended its answer: {told}"))
        sent = self._grounded() + self._close_message() + self._calls.end(is_cut=reason is not None)
        if reason:
            return sent + self.writer.incomplete(reason, self._counted())
        return sent + self.writer.completed(self._counted())

    def _failed(self, error: WireError) -> bytes:
        self.error = error
        return self.writer.failed(error)

    def _counted(self) -> Fields | None:
        """There thoughts are no part of the answer's tokens, and what a search put in is none of the prompt's."""
        if not self._usage:
            return None
        told = {key: value for key, value in self._usage.items() if isinstance(value, int)}
        thought = told.get("thoughtsTokenCount", 0)
        return usage(
            told.get("promptTokenCount", 0) + told.get("toolUsePromptTokenCount", 0),
            told.get("candidatesTokenCount", 0) + thought,
            cached=told.get("cachedContentTokenCount", 0),
            reasoning=thought,
        )

    # -- candidate --------------------------------------------------------------------------------

    def _candidate(self, candidate: Fields) -> bytes:
        parts = objects_of(object_of(candidate.get("content")).get("parts"))
        sent = b"".join(map(self._part, parts))
        self._grounding |= object_of(candidate.get("groundingMetadata"))
        self.finish_reason = text_of(candidate.get("finishReason")) or self.finish_reason
        self._reason = text_of(candidate.get("finishMessage")) or self._reason
        return sent

    def _part(self, part: Fields) -> bytes:
        read = next((read for key, read in self._READERS.items() if key in part), None)
        return read(self, part, text_of(part.get("thoughtSignature"))) if read else b""

    def _say(self, part: Fields, signature: str) -> bytes:
        """A text's signature waits for the end of the message, which it would cut in two."""
        text = text_of(part["text"])
        if part.get("thought"):
            thought = self._close_message() + self.writer.reasoning(text)
            return thought + (self._signed(signature, ON_TEXT) if signature else b"")
        self._signature = signature or self._signature
        self._message.append(text)
        return self.writer.text(text)

    def _call(self, part: Fields, signature: str) -> bytes:
        """Calls come whole; older models give them no ids."""
        sent = self._close_message()
        if signature:
            sent += self._signed(signature, ON_CALL)
        call, number = object_of(part["functionCall"]), self._count
        self._count += 1
        function = {"name": call.get("name"), "arguments": object_of(call.get("args"))}
        return sent + self._calls.read({"index": number, "id": call.get("id"), "function": function})

    def _image(self, part: Fields, signature: str) -> bytes:
        data = object_of(part["inlineData"])
        kind, _, form = text_of(data.get("mimeType")).partition("/")
        if kind != "image":
            return b""
        made = {"type": "image_generation_call", "status": "completed", "output_format": form}
        return self._close_message() + self.writer.item({**made, "result": text_of(data.get("data"))})

    def _close_message(self) -> bytes:
        self._message.clear()
        signature, self._signature = self._signature, ""
        return self._signed(signature, ON_TEXT) if signature else b""

    def _signed(self, signature: str, on: str) -> bytes:
        return self.writer.reasoning_done(wrap(KIND, {"signature": signature, "on": on}))

    _READERS: ClassVar[dict[str, Callable[[GeminiDecoder, Fields, str], bytes]]] = {
        "text": _say,
        "functionCall": _call,
        "inlineData": _image,
    }

    # -- grounding --------------------------------------------------------------------------------

    def _grounded(self) -> bytes:
        """The annotations of the last message, as long as it is open, and the search as an item."""
        pages = [object_of(one.get("web")) for one in objects_of(self._grounding.get("groundingChunks"))]
        queries = [one for one in list_of(self._grounding.get("webSearchQueries")) if isinstance(one, str)]
        sent = b""
        text = "".join(self._message).encode("utf-8", "surrogatepass")
        if text:
            found = [self._cited(one, pages, text) for one in objects_of(self._grounding.get("groundingSupports"))]
            sent = b"".join(map(self.writer.annotation, [one for each in found for one in each]))
        if not queries:
            return sent
        sources = [{"type": "url", "url": page["uri"]} for page in pages if text_of(page.get("uri"))]
        action = {"type": "search", "query": queries[0], "queries": queries, "sources": sources}
        return sent + self.writer.item({"type": "web_search_call", "status": "completed", "action": action})

    def _cited(self, support: Fields, pages: list[Fields], text: bytes) -> list[Fields]:
        """Google counts in bytes of UTF-8, annotations in characters (conformance 15)."""
        segment, chosen = object_of(support.get("segment")), list_of(support.get("groundingChunkIndices"))
        begin, end = (_characters(text, segment.get(key)) for key in ("startIndex", "endIndex"))
        place = {"type": "url_citation", "start_index": begin, "end_index": end}
        known = [pages[one] for one in chosen if isinstance(one, int) and 0 <= one < len(pages)]
        named = [page for page in known if text_of(page.get("uri"))]
        return [{**place, "url": page["uri"], "title": text_of(page.get("title"))} for page in named]


def _characters(text: bytes, index: Any) -> int:
    """Of the first ``index`` bytes; 0 is left out in Google's JSON."""
    return len(text[: index if isinstance(index, int) else 0].decode("utf-8", "replace"))


def error_of(chunk: Fields) -> WireError:
    """Google's ``{"error": {code, message, status}}`` in our vocabulary."""
    error = object_of(chunk.get("error"))
    status = text_of(error.get("status"))
    told = {"code": _CODES.get(status, status.lower()), "message": error.get("message")}
    judged = verdict.of_event({"type": "error", "error": told})
    assert judged is not None
    return judged.error


def decode_response(fields: Fields, decoded: Decoded) -> Fields:
    """A whole answer → a canonical response. Raises WireError for an error object and for what is no answer."""
    decoder = GeminiDecoder(decoded)
    decoder.read(fields)
    if not decoder.error and not decoder.finish_reason:
        raise WireError("upstream_failed", "The upstream's answer is no generated content. Check its base_url.")
    decoder.end()
    if decoder.error:
        raise decoder.error
    return decoder.writer.response
