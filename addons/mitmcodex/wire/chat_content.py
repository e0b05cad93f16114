"""Chat Completions, decode: the content of one message, a string or a list of parts → canonical parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from mitmcodex.wire.chat_reading import ChatReading, one_of
from mitmcodex.wire.reading import wrong
from mitmcodex.wire.shapes import Fields


def decode_heard(message: ChatReading) -> list[Fields]:
    """What the model is told: ``content`` of any role but the assistant's, or of a tool's result; [] when absent."""
    content = message.raw("content")
    return [{"type": "input_text", "text": content}] if isinstance(content, str) else _decode(message, _HEARD)


def decode_spoken(message: ChatReading) -> list[Fields]:
    """What the assistant said; [] for the empty content beside its calls."""
    content = message.raw("content")
    if isinstance(content, str):
        return [{"type": "output_text", "text": content}] if content else []
    return _decode(message, _SPOKEN)


def _decode(message: ChatReading, readers: Mapping[str, Callable[[ChatReading], Fields]]) -> list[Fields]:
    content = message.raw("content")
    if content is not None and not isinstance(content, list):
        raise wrong(message.at("content"), "must be a text or a list of parts")
    return [
        readers[one_of(part.need("type", str), readers, part.at("type"))](part) for part in message.objects("content")
    ]


def _input_text(part: ChatReading) -> Fields:
    return {"type": "input_text", "text": part.need("text", str)}


def _output_text(part: ChatReading) -> Fields:
    return {"type": "output_text", "text": part.need("text", str)}


def _refusal(part: ChatReading) -> Fields:
    return {"type": "refusal", "refusal": part.need("refusal", str)}


def _image(part: ChatReading) -> Fields:
    if isinstance(part.raw("image_url"), str):  # some clients leave the object out
        return {"type": "input_image", "image_url": part.need("image_url", str)}
    with part.inner("image_url") as image:
        detail = image.take("detail", str)
        decoded: Fields = {"type": "input_image", "image_url": image.need("url", str)}
        return decoded if detail is None else {**decoded, "detail": detail}


def _file(part: ChatReading) -> Fields:
    with part.inner("file") as file:
        told = {key: file.take(key, str) for key in ("file_data", "file_id", "filename")}
        if not told["file_data"] and not told["file_id"]:
            raise wrong(file.path, "needs file_data (a data URL) or file_id")
        return {"type": "input_file", **{key: value for key, value in told.items() if value is not None}}


def _audio(part: ChatReading) -> Fields:
    raise wrong(part.path, "audio is not supported; send a transcript as text")


_HEARD = {"text": _input_text, "image_url": _image, "file": _file, "input_audio": _audio}
_SPOKEN = {"text": _output_text, "refusal": _refusal}
