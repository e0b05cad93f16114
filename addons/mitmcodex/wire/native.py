"""A stream whose provider speaks the client's own protocol: it passes byte for byte.

Between two events a keep-alive may stand, and a stream that broke or that ended without its protocol's end says so.
"""

from __future__ import annotations

import json
import re

from mitmcodex.wire.error_replies import FORMS
from mitmcodex.wire.errors import WireError
from mitmcodex.wire.fold import STREAM_INCOMPLETE

KEEPALIVES = {"chat": b": keepalive\n\n", "messages": b'event: ping\ndata: {"type": "ping"}\n\n', "gemini": b"\n"}
"""A comment would kill google-genai (conformance 48)."""
ERRORS = {
    "chat": b"data: %b\n\ndata: [DONE]\n\n",
    "messages": b"event: error\ndata: %b\n\n",
    "gemini": b"data: %b\n\n",
}
ENDS = {
    "chat": re.compile(rb'"finish_reason"\s*:\s*"|\[DONE\]|"error"\s*:'),
    "messages": re.compile(rb"message_stop|event:\s*error"),
    "gemini": re.compile(rb'"(?:finishReason|blockReason|error)"\s*:'),
}
"""What a stream holds that came to its end, be it good or bad. Services differ in the rest: not all say [DONE]."""

_TAIL = 64
"""Bytes kept of what went by: none of ``ENDS``, and no blank line, is longer."""
_BLANK_LINE = (b"\n\n", b"\r\n\r\n", b"\r\r")


class NativeEncoder:
    content_type = "text/event-stream; charset=utf-8"

    def __init__(self, protocol: str) -> None:
        """``protocol``: chat | messages | gemini."""
        self.is_cut = False
        self._protocol = protocol
        self._tail = b""
        self._has_ended = False

    def feed(self, data: bytes) -> bytes:
        seen = self._tail + data
        if not self._has_ended and ENDS[self._protocol].search(seen):
            self._has_ended = True
        self._tail = seen[-_TAIL:]
        return data

    def idle(self) -> bytes:
        return KEEPALIVES[self._protocol] if self._is_between else b""

    def finish(self) -> bytes:
        return b"" if self._has_ended else self.fail(WireError("stream_incomplete", STREAM_INCOMPLETE))

    def fail(self, error: WireError) -> bytes:
        """Also after the mark of the end: what broke behind it (a usage, say) is missing."""
        self.is_cut = True
        body = json.dumps(FORMS[self._protocol].body(error), ensure_ascii=False).encode("utf-8", "backslashreplace")
        closing = b"" if self._is_between else b"\n\n"
        return closing + ERRORS[self._protocol] % body

    @property
    def _is_between(self) -> bool:
        return not self._tail or self._tail.endswith(_BLANK_LINE)
