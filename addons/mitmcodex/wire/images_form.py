"""The body of an image request as one JSON object, whether it came as JSON or as multipart/form-data.

A form becomes what the JSON form of ``/v1/images/edits`` is: ``images: [{"image_url": data URL}]``, ``mask`` likewise,
numbers as numbers.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from email.message import Message
from email.parser import BytesHeaderParser
from typing import NamedTuple

from mitmcodex.wire import body as json_body
from mitmcodex.wire import media
from mitmcodex.wire.errors import WireError
from mitmcodex.wire.reading import wrong
from mitmcodex.wire.shapes import Fields

MULTIPART = "multipart/form-data"
NUMBERS = ("n", "output_compression", "partial_images")
SWITCHES = ("stream",)
_SWITCHED = {"true": True, "false": False}


class Part(NamedTuple):
    name: str
    mime: str
    """As the client called it, "" when it did not."""
    data: bytes


def parsed(body: bytes, content_type: str) -> Fields:
    """``content_type``: of the request; all but multipart/form-data is taken for JSON (curl -d calls it a form).

    Raises WireError (invalid_request).
    """
    if not content_type.lower().startswith(MULTIPART):
        return json_body.parsed(body)
    fields: Fields = {}
    for part in parts(body, content_type):
        _add(fields, part)
    return fields


def parts(body: bytes, content_type: str) -> Iterator[Part]:
    """The parts in their order. Raises WireError (invalid_request) for what is no form."""
    head = Message()
    head["content-type"] = content_type
    boundary = head.get_boundary()
    if not boundary:
        raise WireError("invalid_request", "The content-type multipart/form-data names no boundary.")
    # The first boundary has no line before it.
    opening, *pieces = (b"\r\n" + body).split(b"\r\n--" + boundary.encode("latin-1", "replace"))
    if len(pieces) < 2 or opening.strip() or not pieces[-1].startswith(b"--"):
        raise WireError("invalid_request", "The request body is no whole multipart/form-data.")
    for piece in pieces[:-1]:
        header, blank, data = piece.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        told = BytesHeaderParser().parsebytes(header)
        name = told.get_param("name", header="content-disposition")
        if not blank or not isinstance(name, str):
            raise WireError("invalid_request", "A part of the multipart/form-data body has no name.")
        yield Part(name, told.get_content_type() if "content-type" in told else "", data)


def _add(fields: Fields, part: Part) -> None:
    name = part.name.removesuffix("[]")
    if name == "image":
        fields.setdefault("images", []).append(_image(part))
    elif name == "mask":
        fields["mask"] = _image(part)
    else:
        fields[name] = _value(name, part.data)


def _image(part: Part) -> Fields:
    """What an image is its first bytes tell: SDKs that get bare bytes call them application/octet-stream."""
    data = base64.b64encode(part.data).decode("ascii")
    return {"image_url": media.data_url(media.image_type(data) or part.mime or "application/octet-stream", data)}


def _value(name: str, data: bytes) -> str | int | bool:
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise wrong(name, "must be a text in UTF-8") from None
    if name in NUMBERS:
        if not (text.isascii() and text.isdigit() and len(text) < 10):
            raise wrong(name, "must be a whole number")
        return int(text)
    if name in SWITCHES:
        if text.lower() not in _SWITCHED:
            raise wrong(name, "must be true or false")
        return _SWITCHED[text.lower()]
    return text
