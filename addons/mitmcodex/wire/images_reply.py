"""The Images API, encode: the ``image_generation`` calls of a canonical answer → its events, or its one object."""

from __future__ import annotations

from collections.abc import Sequence

from mitmcodex.wire.codec import Decoded, ReplyContext
from mitmcodex.wire.encoder import EventEncoder, Item
from mitmcodex.wire.errors import WireError
from mitmcodex.wire.images_request import ImagesReply
from mitmcodex.wire.lenient import number_at, object_of
from mitmcodex.wire.shapes import Fields
from mitmcodex.wire.sse import format_event

TEXT_LIMIT = 500
"""Characters of the model's text that an error repeats."""

_TOLD = (("background", "auto"), ("output_format", "png"), ("quality", "auto"), ("size", "auto"))
"""What events say of an image, with what the Images API calls it where nobody knows."""


class ImagesEncoder(EventEncoder):
    """Partial images as they come; the finished ones with the end, which alone knows what they cost."""

    def __init__(self, decoded: Decoded, context: ReplyContext) -> None:
        super().__init__()
        self._asked: ImagesReply = decoded.reply
        self._created = context.now_ns() // 1_000_000_000
        self._texts: list[str] = []
        self._images: list[Fields] = []

    def text(self, item: Item, delta: str) -> bytes:
        self._texts.append(delta)
        return b""

    def refusal(self, item: Item, delta: str) -> bytes:
        self._texts.append(delta)
        return b""

    def image_partial(self, item: Item, event: Fields) -> bytes:
        index = event.get("partial_image_index")
        told = {"b64_json": event["partial_image_b64"], "created_at": self._created, **self._options(event)}
        kind = f"{self._asked.event}.partial_image"
        return format_event({"type": kind, **told, "partial_image_index": index if isinstance(index, int) else 0})

    def image_done(self, item: Item, whole: Fields) -> bytes:
        if isinstance(whole.get("result"), str) and whole["result"]:
            self._images.append(whole)
        return b""

    def end(self, response: Fields) -> bytes:
        if not self._images:
            self.is_cut = True
            return self.failed(self.no_image(response))
        return b"".join(self._completed(image, _usage(response)) for image in self._images)

    def failed(self, error: WireError) -> bytes:
        return format_event({"type": "error", "error": error.as_object()})

    def idle(self) -> bytes:
        return b": keep-alive\n\n"

    def no_image(self, response: Fields) -> WireError:
        """Why there is none the model's own words may tell: a refusal, or, on a free plan, which has no such tool, a
        drawing in letters (seeds S136)."""
        text = "".join(self._texts).strip()
        reason = (response.get("incomplete_details") or {}).get("reason")
        told = f" It said: {text[:TEXT_LIMIT]}" if text else f" It ended at: {reason}." if reason else ""
        message = f"The model made no image. Ask differently, or use an account whose plan has images.{told}"
        return WireError("invalid_request", message, code="no_image")

    def whole(self, response: Fields) -> Fields:
        """The answer without streaming; raises WireError when there is no image."""
        self.read(response)
        if not self._images:
            raise self.no_image(response)
        options = {key: value for key, value in self._options(self._images[0]).items() if value != "auto"}
        data = [{"b64_json": image["result"], **_prompt(image)} for image in self._images]
        return {"created": self._created, **options, "data": data, **_usage(response)}

    def _completed(self, image: Fields, usage: Fields) -> bytes:
        told = {"b64_json": image["result"], "created_at": self._created, **self._options(image), **_prompt(image)}
        return format_event({"type": f"{self._asked.event}.completed", **told, **usage})

    def _options(self, image: Fields) -> Fields:
        """As the backend says they were, else as they were asked for."""
        return {key: image.get(key) or self._asked.options.get(key) or unknown for key, unknown in _TOLD}


def encode_response(response: Fields, decoded: Decoded, context: ReplyContext) -> Fields:
    """A whole canonical response → ``{created, data: [{b64_json, revised_prompt}], usage …}``.

    Raises WireError (invalid_request, code no_image) when no image was made.
    """
    return ImagesEncoder(decoded, context).whole(response)


def join_responses(parts: Sequence[Fields]) -> Fields:
    """The answers to a request with ``n`` > 1 as one; at least one part."""
    joined = {**parts[0], "data": [image for part in parts for image in part["data"]]}
    usages = [part["usage"] for part in parts if "usage" in part]
    return {**joined, "usage": _sum(usages)} if usages else joined


def _prompt(image: Fields) -> Fields:
    return {"revised_prompt": image["revised_prompt"]} if isinstance(image.get("revised_prompt"), str) else {}


def _usage(response: Fields) -> Fields:
    """What the tool cost, where the backend counts it apart (seeds S146), else what the whole answer cost."""
    usage = object_of(object_of(response.get("tool_usage")).get("image_gen")) or object_of(response.get("usage"))
    if not usage:
        return {}
    told = {key: number_at(usage, key) for key in ("input_tokens", "output_tokens")}
    details = object_of(usage.get("input_tokens_details"))
    # The tokens of a request without details are those of its text.
    images, texts = number_at(details, "image_tokens"), details.get("text_tokens", told["input_tokens"])
    split = {"image_tokens": images, "text_tokens": texts}
    return {"usage": {**told, "total_tokens": sum(told.values()), "input_tokens_details": split}}


def _sum(usages: Sequence[Fields]) -> Fields:
    total: Fields = {}
    for usage in usages:
        for key, value in usage.items():
            total[key] = _sum([total.get(key, {}), value]) if isinstance(value, dict) else total.get(key, 0) + value
    return total
