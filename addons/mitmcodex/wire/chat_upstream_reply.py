"""From a Chat Completions service: its stream, or its whole answer, → a canonical stream or response.

Services differ in what they leave out: roles, ids, indexes, ``[DONE]``, usage. A ``<think>`` block in the content is
text like any other: no service marks where such a block is meant.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, ClassVar

from mitmcodex.wire import verdict
from mitmcodex.wire.chat_upstream_calls import CallReader
from mitmcodex.wire.chat_upstream_messages import KIND, THOUGHT_FIELDS
from mitmcodex.wire.codec import Decoded
from mitmcodex.wire.encoder import FRAME_LIMIT
from mitmcodex.wire.errors import WireError
from mitmcodex.wire.lenient import number_at, objects_of, text_of
from mitmcodex.wire.shapes import Fields
from mitmcodex.wire.signatures import wrap
from mitmcodex.wire.sse import FrameSplitter, data_of, event_of
from mitmcodex.wire.toolbox import Toolbox
from mitmcodex.wire.writer import ResponseWriter, fresh_id, usage

_LIMITS = {
    "length": "max_output_tokens",
    "max_tokens": "max_output_tokens",
    "model_length": "max_output_tokens",
    "content_filter": "content_filter",
}
"""finish_reason → why the response is incomplete; ``model_length`` is Mistral's. All others but _FAILURES complete."""
_FAILURES = {
    "error": ("upstream_failed", "The provider ended its answer with an error."),
    "insufficient_system_resource": ("overloaded", "The provider is overloaded. Try again later."),
}
"""finish_reason → error: OpenRouter's, DeepSeek's."""
_IMAGE_DATA = ";base64,"
_STATUS = re.compile("[1-5][0-9]{2}")


class ChatDecoder:
    """A StreamDecoder; ``feed`` raises WireError for one event that is larger than 64 MiB."""

    def __init__(self, decoded: Decoded, new_id: Callable[[], str] = fresh_id) -> None:
        self.writer = ResponseWriter(str(decoded.fields.get("model") or ""), new_id=new_id)
        self.error: WireError | None = None
        """Why the answer failed."""
        self._calls = CallReader(Toolbox(decoded.fields, []), self.writer, new_id)
        self._splitter = FrameSplitter(FRAME_LIMIT)
        self._finish = ""
        self._usage: Fields | None = None
        self._thoughts: list[str] = []
        """Pieces of the reasoning that is open."""
        self._field = ""
        """Where it came; "" where the service would not take it back."""

    def feed(self, data: bytes) -> bytes:
        sent = [self._take(frame) for frame in self._splitter.feed(data)]
        if self._splitter.oversize:
            raise WireError("upstream_failed", f"One event of the upstream is larger than {FRAME_LIMIT} bytes.")
        return b"".join(sent)

    def finish(self) -> bytes:
        sent = self._take(self._splitter.rest())  # the last event may lack its blank line (conformance 36)
        return sent + self.end() if self._finish else sent

    def end(self) -> bytes:
        """The terminal event. It waits for the proper end of the stream, as usage comes behind finish_reason."""
        if self._finish in _LIMITS:
            return self._closed(is_cut=True) + self.writer.incomplete(_LIMITS[self._finish], self._usage)
        return self._closed(is_cut=False) + self.writer.completed(self._usage)

    def read(self, chunk: Fields) -> bytes:
        """One chunk of a stream, or a whole answer: it has ``message`` in place of ``delta``."""
        if self.writer.has_ended:
            return b""
        if chunk.get("error"):
            return self._failed(_error(chunk["error"]))
        if isinstance(chunk.get("usage"), dict):
            self._usage = _usage(chunk["usage"])
        if isinstance(chunk.get("created"), int):
            self.writer.response["created_at"] = chunk["created"]
        return b"".join([self._choice(choice) for choice in objects_of(chunk.get("choices"))])

    def _take(self, frame: bytes) -> bytes:
        if data_of(frame).strip() == b"[DONE]":
            return b"" if self.writer.has_ended else self.end()
        chunk = event_of(frame)
        return self.read(chunk) if chunk is not None else b""

    def _choice(self, choice: Fields) -> bytes:
        if choice.get("index") not in (None, 0):  # n is asked for by as many requests
            return b""
        delta = choice.get("delta") or choice.get("message")
        sent = b""
        if isinstance(delta, dict):
            sent = b"".join([read(self, delta) for key, read in self._READERS.items() if delta.get(key)])
        finish = choice.get("finish_reason")
        if not isinstance(finish, str) or not finish:
            return sent
        self._finish = finish
        if finish in _FAILURES:
            error = _error(choice["error"]) if choice.get("error") else WireError(*_FAILURES[finish])
            return sent + self._failed(error)
        return sent + self._closed(is_cut=finish in _LIMITS)

    def _failed(self, error: WireError) -> bytes:
        self.error = error
        return self.writer.failed(error)

    def _closed(self, *, is_cut: bool) -> bytes:
        return self._thought_out() + self._calls.end(is_cut=is_cut)

    # -- what a delta holds -----------------------------------------------------------------------

    def _reasoning(self, delta: Fields) -> bytes:
        """OpenRouter sends the same text in several fields: the first counts."""
        name = next((name for name in THOUGHT_FIELDS if isinstance(delta.get(name), str) and delta[name]), "")
        return self._think(delta[name], name) if name else b""

    def _reasoning_details(self, delta: Fields) -> bytes:
        if any(delta.get(name) for name in THOUGHT_FIELDS):
            return b""
        details = objects_of(delta["reasoning_details"])
        return b"".join([self._think(text_of(one.get("text") or one.get("summary")), "") for one in details])

    def _think(self, text: str, field: str) -> bytes:
        if text:
            self._thoughts.append(text)
            self._field = field
        return self.writer.reasoning(text)

    def _thought_out(self) -> bytes:
        """Ends the reasoning that is open, signed: what comes next would end it without."""
        thought, self._thoughts = "".join(self._thoughts), []
        is_signed = thought and self._field
        return self.writer.reasoning_done(wrap(KIND, {"field": self._field, "text": thought}) if is_signed else "")

    def _content(self, delta: Fields) -> bytes:
        content = delta["content"]
        if isinstance(content, str):
            return self._thought_out() + self.writer.text(content)
        return b"".join([self._part(part) for part in objects_of(content)])

    def _part(self, part: Fields) -> bytes:
        """Mistral's reasoning models send lists: text, and thinking that is a list again."""
        if part.get("type") == "thinking":
            return b"".join([self._think(text_of(one.get("text")), "") for one in objects_of(part.get("thinking"))])
        text = text_of(part.get("text"))
        return self._thought_out() + self.writer.text(text) if text else b""

    def _refusal(self, delta: Fields) -> bytes:
        return self._thought_out() + self.writer.refusal(text_of(delta["refusal"]))

    def _annotations(self, delta: Fields) -> bytes:
        found = [_flat(one) for one in objects_of(delta["annotations"])]
        return self._thought_out() + b"".join(map(self.writer.annotation, found))

    def _images(self, delta: Fields) -> bytes:
        return self._thought_out() + b"".join([self._image(image) for image in objects_of(delta["images"])])

    def _image(self, image: Fields) -> bytes:
        inner = image.get("image_url")
        url = text_of(inner.get("url") if isinstance(inner, dict) else inner)
        if url.startswith("data:") and _IMAGE_DATA in url:
            result = url.partition(_IMAGE_DATA)[2]
            return self.writer.item({"type": "image_generation_call", "status": "completed", "result": result})
        return self.writer.text(f"![image]({url})") if url else b""

    def _tool_calls(self, delta: Fields) -> bytes:
        return self._thought_out() + b"".join(map(self._calls.read, objects_of(delta["tool_calls"])))

    def _function_call(self, delta: Fields) -> bytes:
        return self._thought_out() + self._calls.read({"index": 0, "function": delta["function_call"]})

    _READERS: ClassVar[dict[str, Callable[[ChatDecoder, Fields], bytes]]] = {
        "reasoning_content": _reasoning,
        "reasoning": lambda self, delta: b"" if delta.get("reasoning_content") else self._reasoning(delta),
        "reasoning_details": _reasoning_details,
        "content": _content,
        "refusal": _refusal,
        "annotations": _annotations,
        "images": _images,
        "tool_calls": _tool_calls,
        "function_call": _function_call,
    }
    """In the order in which a whole message is read."""


def decode_response(fields: Fields, decoded: Decoded) -> Fields:
    """A whole answer → a canonical response. Raises WireError for an error object and for what is no completion."""
    if not fields.get("error") and not objects_of(fields.get("choices")):
        raise WireError("upstream_failed", "The upstream's answer is no chat completion. Check its base_url.")
    decoder = ChatDecoder(decoded)
    decoder.read(fields)
    if decoder.error:
        raise decoder.error
    decoder.end()
    return decoder.writer.response


def _error(error: Any) -> WireError:
    """An error object, or its text; OpenRouter's and vLLM's ``code`` is an HTTP status."""
    told = {**error} if isinstance(error, dict) else {"message": error}
    status, code = 0, str(told.get("code"))
    if _STATUS.fullmatch(code):
        status = int(code)
        del told["code"]
    judged = verdict.of_event({"type": "error", "error": told, "status": status})
    assert judged is not None
    return judged.error


def _usage(told: Fields) -> Fields:
    """Cached tokens are part of the prompt's, reasoning of the completion's, as in the Responses API."""
    prompt, answer = _details(told, "prompt_tokens_details"), _details(told, "completion_tokens_details")
    cached = number_at(prompt, "cached_tokens") or number_at(told, "prompt_cache_hit_tokens")  # DeepSeek's name
    return usage(
        number_at(told, "prompt_tokens"),
        number_at(told, "completion_tokens"),
        cached,
        number_at(answer, "reasoning_tokens"),
        number_at(prompt, "cache_write_tokens"),
    )


def _details(told: Fields, key: str) -> Fields:
    value = told.get(key)
    return value if isinstance(value, dict) else {}


def _flat(annotation: Fields) -> Fields:
    """Chat nests an annotation's fields under its type, the Responses API does not."""
    inner = annotation.get(text_of(annotation.get("type")))
    return {"type": annotation.get("type"), **inner} if isinstance(inner, dict) else annotation
