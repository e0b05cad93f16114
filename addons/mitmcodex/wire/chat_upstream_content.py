"""Towards a Chat Completions service: the content of one canonical item → parts of a chat message."""

from __future__ import annotations

from collections.abc import Callable

from mitmcodex.wire.codec import Loss
from mitmcodex.wire.reading import Reading, wrong
from mitmcodex.wire.shapes import Fields

_TAKES = {
    "system": ("text",),
    "assistant": ("text", "refusal"),
    "user": ("text", "image_url", "file", "input_audio"),
}
"""Kinds of parts by the role of a message."""
_DETAILS = ("auto", "low", "high")


class CanonicalReading(Reading):
    hints = {
        "phase": "Chat Completions has no phases",
        "internal_chat_message_metadata_passthrough": "metadata of the ChatGPT backend",
        "prompt_cache_breakpoint": "the provider caches by itself",
    }


def decoded_parts(item: Reading, key: str, role: str) -> list[Fields]:
    """``item[key]``, a text or a list, as chat parts that a message of this role takes; others become losses."""
    content = item.raw(key)
    if content is None:
        return []
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    if not isinstance(content, list):
        raise wrong(item.at(key), "must be a text or a list")
    parts = []
    for index, value in enumerate(content):
        with CanonicalReading(value, f"{item.at(key)}[{index}]", item.losses) as part:
            kind = part.need("type", str)
            read = _READERS.get(kind)
            made = read(part) if read else None
            if made is None:
                part.drop(f"a Chat Completions service takes no {kind} of this form")
            elif made["type"] not in _TAKES[role]:
                part.drop(f"a Chat Completions service takes no {kind} in a {role} message")
            else:
                parts.append(made)
    return parts


def _text(part: Reading) -> Fields:
    for key in ("annotations", "logprobs"):
        if part.raw(key):  # an empty list says nothing
            part.lose(key, "a Chat Completions service takes none back", is_hint=True)
    return {"type": "text", "text": part.need("text", str)}


def _refusal(part: Reading) -> Fields:
    return {"type": "refusal", "refusal": part.need("refusal", str)}


def _image(part: Reading) -> Fields | None:
    url, detail = part.take("image_url", str), part.take("detail", str)
    if url is None:
        return None
    image: Fields = {"url": url}
    if detail is not None:
        image["detail"] = detail if detail in _DETAILS else "high"
        if detail not in _DETAILS:
            part.losses.append(Loss(part.at("detail"), "changed", f"{detail!r} goes as 'high'", True))
    return {"type": "image_url", "image_url": image}


def _file(part: Reading) -> Fields | None:
    file = {key: part.take(key, str) for key in ("file_id", "file_data", "filename")}
    given = {key: value for key, value in file.items() if value is not None}
    return {"type": "file", "file": given} if given.keys() - {"filename"} else None


def _audio(part: Reading) -> Fields:
    with Reading(part.need("input_audio", dict), part.at("input_audio"), part.losses) as audio:
        sound = {"data": audio.need("data", str), "format": audio.need("format", str)}
    return {"type": "input_audio", "input_audio": sound}


_READERS: dict[str, Callable[[Reading], Fields | None]] = {
    "input_text": _text,
    "output_text": _text,
    "text": _text,
    "refusal": _refusal,
    "input_image": _image,
    "input_file": _file,
    "input_audio": _audio,
}
