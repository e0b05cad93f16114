"""Anthropic Messages, encode: a whole canonical response → the answer to a request without ``stream``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from mitmcodex.wire.codec import Decoded, ReplyContext
from mitmcodex.wire.lenient import objects_of, text_of
from mitmcodex.wire.messages_blocks import (
    Searches,
    broken_call,
    citation_of,
    cleaned,
    image_text,
    input_of,
    signature_of,
    stop_of,
    usage_of,
)
from mitmcodex.wire.messages_content import clamped_id
from mitmcodex.wire.messages_reply import head
from mitmcodex.wire.messages_request import MessagesReply
from mitmcodex.wire.shapes import Fields


def encode_response(response: Fields, decoded: Decoded, context: ReplyContext) -> Fields:
    """Raises WireError (upstream_failed) for a completed call whose arguments are no JSON object (conformance 45)."""
    return _Answer(response, decoded, context).message()


class _Answer:
    def __init__(self, response: Fields, decoded: Decoded, context: ReplyContext) -> None:
        self._response = response
        self._context = context
        self._thinking = decoded.reply.thinking if isinstance(decoded.reply, MessagesReply) else ""
        self._searches = Searches(context)
        self._has_call = False
        self._has_refusal = False

    def message(self) -> Fields:
        made = head(self._context)
        content: list[Fields] = []
        for item in objects_of(self._response.get("output")):
            read = self._READERS.get(str(item.get("type")))
            content += read(self, item) if read else []
        content += self._searches.results()
        stop = stop_of(self._response, has_call=self._has_call, has_refusal=self._has_refusal)
        usage = usage_of(self._response, self._context, self._searches.count)
        return {**made, "content": content, **stop, "usage": usage}

    def _message(self, item: Fields) -> list[Fields]:
        parts = objects_of(item.get("content"))
        self._has_refusal |= any(part.get("refusal") for part in parts)
        text = "".join([text_of(part.get("text")) + text_of(part.get("refusal")) for part in parts])
        annotations = [one for part in parts for one in objects_of(part.get("annotations"))]
        citations = [found for one in annotations if (found := citation_of(one, text))]
        for citation in citations:
            self._searches.cited(citation)
        block: Fields = {"type": "text", "text": text}
        if citations:
            block["citations"] = citations
        return ([block] if text else []) + self._searches.results()

    def _reasoning(self, item: Fields) -> list[Fields]:
        told = [text_of(part.get("text")) for key in ("summary", "content") for part in objects_of(item.get(key))]
        summary = [text_of(part.get("text")) for part in objects_of(item.get("summary"))]
        parts = summary if any(summary) else told
        text = "\n\n".join([part for part in parts if part]) if self._thinking == "text" else ""
        if not self._thinking or not (text or item.get("encrypted_content")):
            return []
        return [{"type": "thinking", "thinking": text, "signature": signature_of(item, self._context.account())}]

    def _call(self, item: Fields) -> list[Fields]:
        name = text_of(item.get("name"))
        if not name:
            return []
        given: Fields | None = {"input": text_of(item.get("input"))}
        if item["type"] == "function_call":
            given = input_of(text_of(item.get("arguments")))
        if given is None and self._response.get("status") != "incomplete":
            raise broken_call(name)
        self._has_call |= given is not None
        call_id = clamped_id(text_of(item.get("call_id")) or text_of(item.get("id")))
        return [{"type": "tool_use", "id": call_id, "name": name, "input": cleaned(name, given or {})}]

    def _search(self, item: Fields) -> list[Fields]:
        return self._searches.called(item)

    def _image(self, item: Fields) -> list[Fields]:
        text = image_text(item)
        return [{"type": "text", "text": text}] if text else []

    _READERS: ClassVar[dict[str, Callable[[Any, Fields], list[Fields]]]] = {
        "message": _message,
        "reasoning": _reasoning,
        "function_call": _call,
        "custom_tool_call": _call,
        "web_search_call": _search,
        "image_generation_call": _image,
    }
