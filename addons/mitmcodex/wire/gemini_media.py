"""Gemini's ``inlineData`` and ``fileData`` as canonical parts, by their MIME type (conformance 67)."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from mitmcodex.wire import media
from mitmcodex.wire.gemini_reading import GeminiReading
from mitmcodex.wire.reading import wrong
from mitmcodex.wire.shapes import Fields

_MIME = re.compile(r"[\w.+-]+/[\w.+-]+(;.*)?", re.ASCII)


def inline_part(blob: GeminiReading) -> Fields:
    """Images, and files of any other type but audio and video, which are a WireError."""
    mime = _type(blob, blob.need("mimeType", str))
    data = blob.need("data", str)
    url = media.data_url(mime, media.standard_base64(data))
    if mime.startswith("image/"):
        return {"type": "input_image", "image_url": url}
    name = blob.take("displayName", str) or media.file_name(mime)
    return {"type": "input_file", "filename": name, "file_data": url}


def linked_part(link: GeminiReading) -> Fields:
    """A public address; what is kept at Google is a WireError."""
    mime = link.take("mimeType", str)
    is_image = bool(mime) and _type(link, mime or "").startswith("image/")
    uri = link.need("fileUri", str)
    try:
        scheme = urlsplit(uri).scheme
    except ValueError:
        scheme = ""
    if scheme not in ("http", "https"):
        raise wrong(link.at("fileUri"), "must be an http(s) address: files kept at Google reach no other model")
    return {"type": "input_image", "image_url": uri} if is_image else {"type": "input_file", "file_url": uri}


def _type(reading: GeminiReading, mime: str) -> str:
    if not _MIME.fullmatch(mime):
        raise wrong(reading.at("mimeType"), "must be a MIME type such as image/png")
    if mime.lower().startswith(("audio/", "video/")):
        raise wrong(reading.at("mimeType"), "audio and video can't be carried over, send text, images or files")
    return mime.lower()
