"""Server-sent events as raw frames: split, looked into and written, never re-encoded on the way through.

A frame ends with a blank line; lines end with LF, CRLF or CR, also mixed (conformance.md 36). Everything else, U+2028,
U+2029 and NEL included, is data. The concatenation of the frames is byte for byte what came in.
"""

from __future__ import annotations

import json
import re
from typing import Any

FRAME_LIMIT = 8 * 1024 * 1024
_LONGEST_BLANK_LINE = 3
"""No blank line is longer than LF CR LF, so this many bytes of the tail are enough to find one that was cut."""

# The end of the line before is part of each form. A CR after LF may be half a CRLF, so it waits for one more byte;
# CR CR does not wait, else a stream of bare CRs would always lag by one event.
_BLANK_LINE = re.compile(rb"\n(?:\n|\r\n|\r(?=[^\n]))|\r\r")
_REST_OF_LINE = re.compile(rb"[^\r\n]*")
_TYPE_FIRST = re.compile(rb'\s*\{\s*"type"\s*:\s*"([^"\\]*)"')
_BOM = b"\xef\xbb\xbf"


class FrameSplitter:
    """Cuts a byte stream into complete frames, each with its blank line.

    A frame that grows beyond ``limit`` bytes is handed out in pieces as it comes, so that memory stays bounded.
    ``oversize`` is true while such a frame is half out: was it true before ``feed``, the first item continues that
    frame; is it true after, the last item is a piece without an end.
    """

    __slots__ = ("_buffer", "_has_cr", "_limit", "oversize")

    def __init__(self, limit: int = FRAME_LIMIT) -> None:
        self.oversize = False
        self._limit = limit
        self._buffer = bytearray()
        self._has_cr = False

    def feed(self, data: bytes) -> list[bytes]:
        buffer = self._buffer
        if not self._has_cr and b"\r" in data:
            self._has_cr = True
        if not buffer and not self._has_cr and data.endswith(b"\n\n") and data.find(b"\n\n") == len(data) - 2:
            return [data]  # the common case, one whole event in one chunk, is not copied
        position = max(0, len(buffer) - _LONGEST_BLANK_LINE)
        buffer += data
        frames: list[bytes] = []
        begin = 0
        while (end := self._blank_line_end(position)) > 0:
            frames.append(bytes(memoryview(buffer)[begin:end]))
            begin = position = end
        if frames:
            del buffer[:begin]
            self.oversize = False
        if len(buffer) > (_LONGEST_BLANK_LINE if self.oversize else self._limit):
            frames.append(bytes(buffer[:-_LONGEST_BLANK_LINE]))
            del buffer[:-_LONGEST_BLANK_LINE]
            self.oversize = True
        return frames

    def rest(self) -> bytes:
        """What is left without a blank line; forgotten here."""
        rest = bytes(self._buffer)
        self._buffer.clear()
        return rest

    def _blank_line_end(self, position: int) -> int:
        if not self._has_cr:
            at = self._buffer.find(b"\n\n", position)
            return at + 2 if at >= 0 else 0
        match = _BLANK_LINE.search(self._buffer, position)
        return match.end() if match else 0


def data_of(frame: bytes) -> bytes:
    """The frame's ``data`` lines joined by LF; b"" when it has none."""
    lines = []
    for line in frame.removeprefix(_BOM).splitlines():
        if line.startswith(b"data:"):
            lines.append(line[6:] if line[5:6] == b" " else line[5:])
        elif line == b"data":
            lines.append(b"")
    return b"\n".join(lines)


def event_of(frame: bytes) -> dict[str, Any] | None:
    """The JSON object that the frame carries, None when its data is anything else."""
    try:
        value = json.loads(data_of(frame))
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def event_type(frame: bytes) -> str:
    """The event's name: its ``event`` line, else the JSON's top-level ``type``, else "".

    Called for each event: a ``type`` that is the first key is read without parsing, any other needs the parser, as
    nested objects have a ``type`` too.
    """
    at = 0 if frame.startswith(b"event:") else max(frame.find(b"\nevent:"), frame.find(b"\revent:")) + 1
    if at or frame.startswith(b"event:"):
        line = _REST_OF_LINE.match(frame, at + len(b"event:"))
        name = line[0].strip() if line else b""
        if name:
            return name.decode("utf-8", "replace")
    match = _TYPE_FIRST.match(frame, 5) if frame.startswith(b"data:") else _TYPE_FIRST.match(data_of(frame))
    if match:
        return match[1].decode("utf-8", "replace")
    if b'"type"' not in frame:
        return ""
    kind = (event_of(frame) or {}).get("type")
    return kind if isinstance(kind, str) else ""


def format_event(event: dict[str, Any]) -> bytes:
    """One frame of the Responses API; ``event`` must have a ``type``."""
    text = json.dumps(event, ensure_ascii=False, separators=(",", ":"))
    # Lone surrogates (valid as JSON escapes) have no UTF-8 form; they are written as the escapes they came as.
    data = text.encode("utf-8", "backslashreplace")
    return b"event: %b\ndata: %b\n\n" % (str(event["type"]).encode(), data)
