"""The Images API, decode: ``/v1/images/generations`` and ``/edits`` → a call of the ``image_generation`` tool.

For the ChatGPT backend, which draws by that tool alone; its image model can't be chosen (seeds S135, S140).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from mitmcodex.wire.codec import Asked, Decoded, Loss
from mitmcodex.wire.image_tool import check_image_tool
from mitmcodex.wire.reading import Reading, wrong
from mitmcodex.wire.shapes import Fields

TOOL = "image_generation"
IMAGE_MODEL = "gpt-image-2"
MOST_IMAGES = 10
"""``n`` of the public API."""

_OPTIONS: tuple[tuple[str, type[Any]], ...] = (
    ("size", str),
    ("quality", str),
    ("output_format", str),
    ("output_compression", int),
    ("background", str),
    ("moderation", str),
    ("partial_images", int),
    ("input_fidelity", str),
)
"""Parameters that the tool has by the same names."""
_OLD_QUALITIES = {"standard": "medium", "hd": "high"}
_QUALITIES = ("auto", "low", "medium", "high")
_USERS = ("user", "safety_identifier")


@dataclass(frozen=True, slots=True)
class ImagesReply:
    """What the encoder needs of the request."""

    event: str = "image_generation"
    """Start of the events' names: image_generation | image_edit."""
    options: Fields = field(default_factory=dict)
    """size, quality, background, output_format as they were asked for."""


def decode_request(fields: Fields, asked: Asked) -> Decoded:
    """``fields``: what ``images_form.parsed`` makes of the body; ``asked.action``: generations | edits."""
    decoded = Decoded({})
    is_edit = asked.action == "edits"
    with Reading(fields, "", decoded.losses) as body:
        content = [{"type": "input_text", "text": body.need("prompt", str)}]
        tool = _tool(body)
        if is_edit:
            content += [{"type": "input_image", "image_url": url} for url in _images(body)]
            if (mask := body.raw("mask")) is not None:
                tool["input_image_mask"] = {"image_url": _url(mask, "mask", decoded.losses)}
        _read_model(body)
        _read_response_format(body)
        decoded.n = _number_of_images(body)
        decoded.wants_stream = body.take("stream", bool) or False
        users = {key: value for key in _USERS if (value := body.take(key, str)) is not None}
    decoded.fields = {
        "input": [{"type": "message", "role": "user", "content": content}],
        "tools": [tool],
        "tool_choice": {"type": TOOL},
        **users,
    }
    decoded.reply = ImagesReply("image_edit" if is_edit else "image_generation", tool)
    return decoded


def _tool(body: Reading) -> Fields:
    tool: Fields = {"type": TOOL}
    for key, kind in _OPTIONS:
        if (value := body.take(key, kind)) is not None:
            tool[key] = value
    quality = tool.get("quality")
    if quality in _OLD_QUALITIES:
        tool["quality"] = _OLD_QUALITIES[quality]
        body.lose("quality", f"the image model calls it {tool['quality']}", what="mapped")
    elif quality is not None and quality not in _QUALITIES:
        raise wrong("quality", f"must be one of {', '.join(_QUALITIES)}")
    check_image_tool(tool, "")
    return tool


def _read_model(body: Reading) -> None:
    if body.take("model", str) not in (None, IMAGE_MODEL):
        body.lose("model", f"the ChatGPT backend draws with {IMAGE_MODEL}", what="mapped")


def _read_response_format(body: Reading) -> None:
    form = body.take("response_format", str)
    if form == "url":
        body.lose("response_format", "images come as b64_json: there is no place to fetch them from", what="changed")
    elif form not in (None, "b64_json"):
        raise wrong("response_format", "must be b64_json")


def _number_of_images(body: Reading) -> int:
    count = body.take("n", int)
    if count is not None and not 1 <= count <= MOST_IMAGES:
        raise wrong("n", f"must be a whole number from 1 to {MOST_IMAGES}")
    return 1 if count is None else count


def _images(body: Reading) -> list[str]:
    """``images``, or ``image`` (one or a list), each an object with ``image_url`` or the URL itself."""
    key = "image" if body.raw("images") is None else "images"
    given = body.raw(key)
    if given is None:
        raise wrong("image", "is missing, must be an image to edit")
    listed = given if isinstance(given, list) else [given]
    if not listed:
        raise wrong(key, "must hold an image")
    paths = [f"{key}[{index}]" for index in range(len(listed))] if isinstance(given, list) else [key]
    return [_url(one, path, body.losses) for one, path in zip(listed, paths, strict=True)]


def _url(given: Any, path: str, losses: list[Loss]) -> str:
    if isinstance(given, str):
        return _checked(given, path)
    with Reading(given, path, losses) as image:
        if image.raw("file_id") is not None:
            raise wrong(image.at("file_id"), "names a file, and none are kept here: send image_url")
        return _checked(image.need("image_url", str), image.at("image_url"))


def _checked(url: str, path: str) -> str:
    if not url.startswith(("data:image/", "https://", "http://")):
        raise wrong(path, "must be a PNG, JPEG or WebP image: a data URL like data:image/png;base64,…, or https://…")
    return url
