"""Images and files that requests hold as base64."""

from __future__ import annotations

import base64
import binascii

_HEAD_CHARS = 32
"""Base64 characters of 24 bytes: each magic number lies in them."""

_EXTENSIONS = {
    "application/json": "json",
    "application/pdf": "pdf",
    "text/csv": "csv",
    "text/html": "html",
    "text/markdown": "md",
    "text/plain": "txt",
}


def standard_base64(data: str) -> str:
    """The standard alphabet with its padding: google-genai writes the one for URLs (measured), data URLs want this."""
    plain = data.replace("-", "+").replace("_", "/").rstrip("=")
    return plain + "=" * (-len(plain) % 4)


def data_url(mime: str, data: str) -> str:
    return f"data:{mime};base64,{data}"


def image_type(data: str) -> str:
    """MIME type of an image in standard base64 by its first bytes; "" when it is none that is known."""
    try:
        head = base64.b64decode(data[:_HEAD_CHARS], validate=True)
    except (binascii.Error, ValueError):
        return ""
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if head.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "image/webp"
    return ""


def file_name(mime: str) -> str:
    """A name for a file that came without one: it tells the type too."""
    return f"document.{_EXTENSIONS.get(mime) or mime.rpartition('/')[2] or 'bin'}"
