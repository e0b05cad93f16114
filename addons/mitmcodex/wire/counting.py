"""How many tokens a canonical request takes: exact for its texts, an estimate for what surrounds them.

Nobody outside knows how the provider renders roles, calls, tools, pictures and files, so these have a rule each, with
its source. Wherever the source is "Codex", it is the estimator of the Codex CLI (core/src/context_manager/history.rs).
"""

from __future__ import annotations

import binascii
import json
import math
from collections.abc import Callable
from typing import Any

from mitmcodex.wire.image_size import image_size
from mitmcodex.wire.shapes import Fields

Count = Callable[[str], int]
"""Tokens of a text."""

BYTES_PER_TOKEN = 4
"""Of UTF-8; Codex counts so, too. Measured with o200k_base: English 4.7, Python 4.1 to 4.8, JavaScript 3.9, tool
schemas 3.9, captured requests 3.3, German 3.7, Chinese 3.0 to 3.8, Japanese 3.7, Korean 3.7, Russian 5.2. So an
estimate by it lies between 0.75 and 1.3 of the truth."""

ITEM_TOKENS = 4
"""Of each message or call: role and frame (OpenAI's cookbook on counting: 3 and the role)."""

REPLY_TOKENS = 3
"""The answer's opening, which is part of the input (the same cookbook)."""

PATCH_PIXELS = 32
PATCHES = 1536
TOKENS_PER_PATCH = 1.2
"""A picture is covered with squares of 32 pixels, scaled down where that takes more than 1536 (OpenAI's guide to
vision); 1.2 tokens each were measured by users of the API. Codex's fixed 1844 per picture is this rule's maximum."""

ORIGINAL_PATCHES = 10_000
"""Of a picture with ``detail: original``, one token each (Codex)."""

LOW_IMAGE_TOKENS = 85
"""Of a picture with ``detail: low`` (OpenAI's guide to vision)."""

IMAGE_TOKENS = math.ceil(PATCHES * TOKENS_PER_PATCH)
"""Of a picture whose size can't be known: one behind a URL or a file id."""

IMAGE_HEAD_CHARACTERS = 256 * 1024
"""Of a picture's base64 this much is decoded to find its size: a JPEG may have long metadata before it."""

BINARY_BYTES_PER_TOKEN = 10
"""Of a PDF, which is read as text and a picture of each page, some 2,000 tokens: two with text alone had 7 to 8 kB a
page, scanned ones have 100 kB and more."""

FILE_TOKENS = 2000
"""Of a file that lies elsewhere."""


def request_tokens(fields: Fields, count: Count) -> int:
    """Input tokens of a canonical request, at least 1. Linear in its size; takes any JSON, counts what it understands.

    ``previous_response_id`` counts nothing: ``input`` must hold the whole chain.
    """
    total = REPLY_TOKENS
    instructions = fields.get("instructions")
    if isinstance(instructions, str) and instructions:
        total += ITEM_TOKENS + count(instructions)
    items = fields.get("input")
    if isinstance(items, str):
        total += ITEM_TOKENS + count(items)
    elif isinstance(items, list):
        total += sum(_item(item, count) for item in items)
    total += _tools(fields.get("tools"), count)
    text = fields.get("text")
    form = text.get("format") if isinstance(text, dict) else None
    return total + (count(_json(form)) if isinstance(form, dict) and form.get("type") != "text" else 0)


def cheap_estimate(body: bytes) -> int:
    """Input tokens of a request of any protocol by the length of its JSON, at least 1; a millisecond for a megabyte.

    A piece without a blank, a quote or a backslash is base64: however long, it counts as one picture.
    """
    text_bytes = len(body)
    blobs = 0
    was_blob = False
    for at in range(0, len(body) - _WINDOW + 1, _WINDOW):
        window = body[at : at + _WINDOW]
        is_blob = window.isascii() and not any(mark in window for mark in _TEXT_MARKS)
        text_bytes -= _WINDOW if is_blob else 0
        blobs += is_blob and not was_blob
        was_blob = is_blob
    return max(1, text_bytes // BYTES_PER_TOKEN + blobs * IMAGE_TOKENS)


_WINDOW = 4096
_TEXT_MARKS = (b'"', b" ", b"\\")


def _item(item: Any, count: Count) -> int:
    """A message, a call, an output, reasoning …: what the model sees of it stands in the same few fields in all."""
    if not isinstance(item, dict):
        return 0
    return ITEM_TOKENS + sum(_ITEM_FIELDS[key](value, count) for key, value in item.items() if key in _ITEM_FIELDS)


def _text(value: Any, count: Count) -> int:
    """A text, or an object that stands for one (arguments, a web search's action)."""
    if isinstance(value, str):
        return count(value)
    return count(_json(value)) if isinstance(value, dict) else 0


def _content(value: Any, count: Count) -> int:
    """A text or parts: of a message, a tool's output, reasoning."""
    if isinstance(value, list):
        return sum(_part(part, count) for part in value)
    return _text(value, count)


def _part(part: Any, count: Count) -> int:
    if isinstance(part, str):
        return count(part)
    if not isinstance(part, dict):
        return 0
    kind = part.get("type")
    if kind == "input_image":
        return _image(part.get("image_url"), part.get("detail"))
    if kind == "input_file":
        return _text(part.get("filename"), count) + _file(part.get("file_data"))
    if kind == "encrypted_content":
        return math.ceil(_length(part.get("encrypted_content")) * 9 / 16 / BYTES_PER_TOKEN)  # Codex
    return _text(part.get("text"), count) + _text(part.get("refusal"), count)


def _tools(tools: Any, count: Count) -> int:
    """Their JSON: names, descriptions, schemas, grammars; its punctuation stands for the frame that each one gets."""
    return sum(count(_json(tool)) for tool in tools if isinstance(tool, dict)) if isinstance(tools, list) else 0


def _sealed(value: Any, count: Count) -> int:
    """Encrypted reasoning or compaction: base64 of its text behind some 650 bytes of frame (Codex)."""
    return math.ceil(max(0, _length(value) * 3 // 4 - 650) / BYTES_PER_TOKEN)


def _made_image(value: Any, count: Count) -> int:
    """The base64 of an ``image_generation_call``."""
    return _image(f"data:;base64,{value}", None) if isinstance(value, str) and value else 0


def _image(url: Any, detail: Any) -> int:
    if detail == "low":
        return LOW_IMAGE_TOKENS
    size = image_size(_decoded(_base64(url), IMAGE_HEAD_CHARACTERS))
    if size is None:
        return IMAGE_TOKENS
    patches = math.prod(math.ceil(pixels / PATCH_PIXELS) for pixels in size)
    if detail == "original":
        return min(patches, ORIGINAL_PATCHES)
    return math.ceil(min(patches, PATCHES) * TOKENS_PER_PATCH)


def _file(data: Any) -> int:
    """``file_data``: a data URL or bare base64; None for a file behind a URL or an id."""
    if not isinstance(data, str) or not data:
        return FILE_TOKENS
    size = _length(_base64(data) or data) * 3 // 4
    is_text = data.startswith(("data:text/", "data:application/json"))
    return math.ceil(size / (BYTES_PER_TOKEN if is_text else BINARY_BYTES_PER_TOKEN))


def _base64(url: Any) -> str:
    """What a data URL holds; "" for any other."""
    if not isinstance(url, str) or not url.startswith("data:"):
        return ""
    comma = url.find(",")
    return url[comma + 1 :] if url[:comma].endswith(";base64") else ""


def _decoded(encoded: str, most: int) -> bytes:
    """The bytes of the first ``most`` (a multiple of 4) characters; b"" where they are no base64."""
    try:
        return binascii.a2b_base64(encoded[:most])
    except ValueError:
        return b""


def _length(value: Any) -> int:
    return len(value) if isinstance(value, str) else 0


def _json(value: Any) -> str:
    """Compact; "" for one too deep to be written, which holds brackets and little else."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    except RecursionError:
        return ""


_ITEM_FIELDS: dict[str, Callable[[Any, Count], int]] = {
    "content": _content,
    "output": _content,
    "name": _text,
    "namespace": _text,
    "arguments": _text,
    "input": _text,
    "action": _text,
    "encrypted_content": _sealed,
    "tools": _tools,
    "result": _made_image,
}
"""A reasoning item's ``summary`` is not among them: it is made for people, the model gets ``encrypted_content``."""
