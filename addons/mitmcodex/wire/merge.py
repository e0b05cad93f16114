"""The answers to a request with ``n`` > 1, each encoded alone, as the one answer that its client gets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from mitmcodex.wire import chat_reply, gemini_reply, images_reply
from mitmcodex.wire.errors import WireError
from mitmcodex.wire.shapes import Fields


def _as_it_is(data: bytes) -> bytes:
    return data


def _nothing(parts: Any) -> bytes:
    return b""


class Form(NamedTuple):
    """How the parts of one protocol become one answer."""

    whole: Callable[[Sequence[Fields]], Fields]
    """The JSON of all parts, in their order → that of the answer."""
    opened: Callable[[bytes], bytes] = _as_it_is
    """The first chunk of a stream, as a part wrote it."""
    end: Callable[[Sequence[Any]], bytes] = _nothing
    """What follows when the encoders of all parts have ended."""
    broken: Callable[[Any], bytes] = _nothing
    """What follows when an encoder has told that it failed."""
    has_head: bool = True
    """The encoders have a ``head`` (Fields), which must be one object for all of them."""
    most: int = 8
    """Parts that one request may ask for: each is a call of its own."""


FORMS = {
    "chat": Form(chat_reply.join_responses, end=chat_reply.end_of, broken=lambda _: chat_reply.DONE),
    "gemini": Form(
        gemini_reply.join_responses, gemini_reply.opened, gemini_reply.end_of, gemini_reply.end_of_array
    ),
    "images": Form(images_reply.join_responses, has_head=False, most=10),
}
"""By the client's protocol; in all others an answer has one part."""


class StreamMerge:
    """Sans-IO: the pieces of parallel streams, each whole chunks, become one stream as they come."""

    def __init__(self, form: Form, count: int) -> None:
        self.is_over = False
        self._form = form
        self._count = count
        self._ended: dict[int, Any] = {}
        self._has_begun = False

    def piece(self, data: bytes) -> bytes:
        if self._has_begun or not data.strip():  # white space is a keep-alive
            return data
        self._has_begun = True
        return self._form.opened(data)

    def end(self, choice: int, encoder: Any) -> bytes:
        """A part's end; its encoder may have told a failure, with which all ends."""
        self._ended[choice] = encoder
        if encoder.is_cut:
            self.is_over = True
            return self._form.broken(encoder)
        if len(self._ended) < self._count:
            return b""
        self.is_over = True
        return self._form.end([self._ended[choice] for choice in sorted(self._ended)])

    def fail(self, encoder: Any, error: WireError) -> bytes:
        """A part ended with an error that is not told yet."""
        self.is_over = True
        return self.piece(encoder.fail(error)) + self._form.broken(encoder)


def error_of(status: int, body: Any) -> WireError:
    """What a part was answered with (JSON), to be told within a stream."""
    error = body.get("error") if isinstance(body, dict) else None
    told = error if isinstance(error, dict) else {}
    message = told.get("message")
    text = message if isinstance(message, str) else f"One of the answers failed with status {status}."
    return WireError("upstream_failed", text, status=status, detail=told)
