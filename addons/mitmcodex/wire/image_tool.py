"""Parameters of the ``image_generation`` tool as the ChatGPT backend takes them (seeds S137 to S139)."""

from __future__ import annotations

import re
from typing import Any

from mitmcodex.wire.reading import wrong
from mitmcodex.wire.shapes import Fields

LONGEST_EDGE = 3840
MOST_PIXELS = 3840 * 2160
SIDE_STEP = 16

CHOICES = {
    "output_format": ("png", "jpeg", "webp"),
    "background": ("auto", "opaque"),
    "moderation": ("auto", "low"),
}
_SIZE = re.compile(r"([1-9]\d{0,4})x([1-9]\d{0,4})")


def draws(fields: Fields) -> bool:
    """Whether a request in classic form has the tool; the Lite form can't."""
    tools = fields.get("tools")
    return isinstance(tools, list) and any(tool.get("type") == "image_generation" for tool in tools)


def check_image_tool(tool: Fields, path: str) -> None:
    """Raises WireError, which names the rule, for a value that the backend would refuse.

    ``path``: where the client wrote the tool, "" where its parameters are the request's own.
    """
    at = f"{path}." if path else ""
    for key, allowed in CHOICES.items():
        if tool.get(key) is not None and tool[key] not in allowed:
            raise wrong(f"{at}{key}", f"must be one of {', '.join(allowed)}")
    _check_size(tool.get("size"), f"{at}size")
    _check_number(tool.get("partial_images"), 3, f"{at}partial_images")
    _check_number(tool.get("output_compression"), 100, f"{at}output_compression")
    is_png = tool.get("output_format") in (None, "png")
    if is_png and tool.get("output_compression") not in (None, 100):
        raise wrong(f"{at}output_compression", "must be 100 with PNG; output_format jpeg or webp can be compressed")


def _check_size(size: Any, path: str) -> None:
    if size in (None, "auto"):
        return
    match = _SIZE.fullmatch(size) if isinstance(size, str) else None
    if not match:
        raise wrong(path, 'must be "auto" or WIDTHxHEIGHT, like "1024x1024"')
    width, height = int(match[1]), int(match[2])
    if width % SIDE_STEP or height % SIDE_STEP:
        raise wrong(path, f"must have sides that are multiples of {SIDE_STEP}")
    if max(width, height) > LONGEST_EDGE:
        raise wrong(path, f"must have no side over {LONGEST_EDGE}")
    if width * height > MOST_PIXELS:
        raise wrong(path, f"must have at most {MOST_PIXELS} pixels, as 3840x2160 has")


def _check_number(value: Any, most: int, path: str) -> None:
    if value is not None and (type(value) is not int or not 0 <= value <= most):
        raise wrong(path, f"must be a whole number from 0 to {most}")
