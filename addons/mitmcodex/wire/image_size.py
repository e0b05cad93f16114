"""How large a picture is, from its first bytes: PNG, GIF, WebP, JPEG, the forms that the API takes."""

from __future__ import annotations

import struct

Size = tuple[int, int]
"""Width and height in pixels."""

_NO_FRAME = frozenset((0xC4, 0xC8, 0xCC))
"""JPEG markers in the range of the frame headers (C0 to CF) that are none: tables and reserved ones."""

_STANDALONE = frozenset((0x01, *range(0xD0, 0xD9)))
"""JPEG markers without a length behind them."""


def image_size(head: bytes) -> Size | None:
    """Width and height; None for another form, damaged data, or a ``head`` that ends before they are said.

    30 bytes are enough but for JPEG, which says its size behind metadata of any length.
    """
    try:
        for signature, offset, read in _FORMS:
            if head.startswith(signature, offset):
                size = read(head)
                return size if size is not None and min(size) > 0 else None
    except (struct.error, IndexError):
        pass  # cut before the size
    return None


def _png(head: bytes) -> Size | None:
    width, height = struct.unpack_from(">II", head, 16)
    return width, height


def _gif(head: bytes) -> Size | None:
    width, height = struct.unpack_from("<HH", head, 6)
    return width, height


def _webp(head: bytes) -> Size | None:
    """By the first chunk: extended, lossless or lossy."""
    chunk = head[12:16]
    if chunk == b"VP8X":
        width, width_high, height, height_high = struct.unpack_from("<HBHB", head, 24)
        return 1 + width + (width_high << 16), 1 + height + (height_high << 16)
    if chunk == b"VP8L":
        (bits,) = struct.unpack_from("<I", head, 21)
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if chunk == b"VP8 ":
        width, height = struct.unpack_from("<HH", head, 26)
        return width & 0x3FFF, height & 0x3FFF  # the two high bits of each are a scale
    return None


def _jpeg(head: bytes) -> Size | None:
    """Segment by segment to the frame header."""
    at = 2
    while head[at] == 0xFF:
        marker = head[at + 1]
        if marker == 0xFF:  # padding
            at += 1
        elif marker in _STANDALONE:
            at += 2
        elif 0xC0 <= marker <= 0xCF and marker not in _NO_FRAME:
            height, width = struct.unpack_from(">HH", head, at + 5)
            return width, height
        else:
            (length,) = struct.unpack_from(">H", head, at + 2)
            at += 2 + length
    return None


_FORMS = (
    (b"\x89PNG\r\n\x1a\n", 0, _png),
    (b"GIF8", 0, _gif),
    (b"WEBP", 8, _webp),
    (b"\xff\xd8\xff", 0, _jpeg),
)
