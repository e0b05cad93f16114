"""Builds a canonical stream: for what comes from providers of other protocols, and for what is made here.

Each method returns the events as bytes of the Responses API's stream. Items open when their first piece comes; a text,
refusal or reasoning item closes when another kind of content begins, calls stay open side by side until they are ended.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any
from uuid import uuid4

from mitmcodex.wire.errors import WireError
from mitmcodex.wire.shapes import COMPLETED, CREATED, FAILED, INCOMPLETE, ITEM_DONE, Fields
from mitmcodex.wire.sse import format_event

ITEM_ADDED = "response.output_item.added"


def fresh_id() -> str:
    """32 random hexadecimal digits."""
    return uuid4().hex


def usage(input_tokens: int, output_tokens: int, cached: int = 0, reasoning: int = 0, cache_write: int = 0) -> Fields:
    """Usage as the Responses API counts it: input with what was cached, output with reasoning (protocol.md 3.2)."""
    return {
        "input_tokens": input_tokens,
        "input_tokens_details": {"cached_tokens": cached, "cache_write_tokens": cache_write},
        "output_tokens": output_tokens,
        "output_tokens_details": {"reasoning_tokens": reasoning},
        "total_tokens": input_tokens + output_tokens,
    }


class _Open:
    """One output item that is being written."""

    def __init__(self, index: int, item: Fields) -> None:
        self.index = index
        self.item = item
        self.pieces: list[str] = []
        self.kind = ""
        """Of a message: output_text | refusal."""
        self.annotations: list[Fields] = []


class ResponseWriter:
    """One response. ``created`` comes by itself with the first piece."""

    def __init__(self, model: str, created_at: int = 0, new_id: Callable[[], str] = fresh_id) -> None:
        self._new_id = new_id
        self.response: Fields = {
            "id": f"resp_{new_id()}",
            "object": "response",
            "created_at": created_at,
            "status": "in_progress",
            "error": None,
            "incomplete_details": None,
            "model": model,
            "output": [],
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
            "usage": None,
        }
        """As it stands in the lifecycle events; may be filled before the first piece."""
        self.has_ended = False
        self._has_begun = False
        self._number = 0
        self._items: dict[int, Fields] = {}
        self._next_index = 0
        self._message: _Open | None = None
        self._reasoning: _Open | None = None
        self._calls: dict[Hashable, _Open] = {}

    def created(self) -> bytes:
        if self._has_begun:
            return b""
        self._has_begun = True
        lifecycle = {**self.response, "output": []}
        first = self._event(CREATED, response=lifecycle)
        return first + self._event("response.in_progress", response=lifecycle)

    # -- texts ------------------------------------------------------------------------------------

    def text(self, delta: str) -> bytes:
        return self._say("output_text", delta)

    def refusal(self, delta: str) -> bytes:
        return self._say("refusal", delta)

    def annotation(self, annotation: Fields) -> bytes:
        """Of the message that is open; without one it opens an empty one."""
        opened, message = self._opened_message("output_text")
        place = self._place(message, content_index=0, annotation_index=len(message.annotations))
        message.annotations.append(annotation)
        return opened + self._event("response.output_text.annotation.added", **place, annotation=annotation)

    def reasoning(self, delta: str) -> bytes:
        """Shown reasoning, as one summary part."""
        if not delta:
            return b""
        opened, item = self._opened_reasoning()
        if not item.pieces:
            part = {"type": "summary_text", "text": ""}
            place = self._place(item, summary_index=0)
            opened += self._event("response.reasoning_summary_part.added", **place, part=part)
        item.pieces.append(delta)
        return opened + self._event(
            "response.reasoning_summary_text.delta", **self._place(item, summary_index=0), delta=delta
        )

    def reasoning_done(self, encrypted: str = "") -> bytes:
        """Ends the reasoning item with its encrypted content; an item that only has that is made here."""
        opened = b""
        if self._reasoning is None:
            if not encrypted:
                return b""
            opened, _ = self._opened_reasoning()
        assert self._reasoning is not None
        if encrypted:
            self._reasoning.item["encrypted_content"] = encrypted
        return opened + self._close_reasoning()

    # -- calls ------------------------------------------------------------------------------------

    def call_begin(
        self, key: Hashable, call_id: str, name: str, *, is_custom: bool = False, namespace: str = ""
    ) -> bytes:
        """``key`` names the call until ``call_end``."""
        closed = self._close_texts()
        kind, field, prefix = "function_call", "arguments", "fc"
        if is_custom:
            kind, field, prefix = "custom_tool_call", "input", "ctc"
        item = {"id": f"{prefix}_{self._new_id()}", "type": kind, "status": "in_progress", "call_id": call_id}
        if namespace:
            item["namespace"] = namespace
        opened, self._calls[key] = self._open({**item, "name": name, field: ""})
        return closed + opened

    def call_delta(self, key: Hashable, delta: str) -> bytes:
        if not delta:
            return b""
        call = self._calls[key]
        call.pieces.append(delta)
        kind = "custom_tool_call_input" if "input" in call.item else "function_call_arguments"
        return self._event(f"response.{kind}.delta", **self._place(call), delta=delta)

    def call_end(self, key: Hashable) -> bytes:
        call = self._calls.pop(key)
        field = "input" if "input" in call.item else "arguments"
        kind = "custom_tool_call_input" if field == "input" else "function_call_arguments"
        call.item[field] = "".join(call.pieces)
        done = self._event(f"response.{kind}.done", **self._place(call), **{field: call.item[field]})
        return done + self._close(call)

    def item(self, item: Fields) -> bytes:
        """A finished item as it stands: a web search, an image, any item of a whole response."""
        closed = self._close_texts()
        opened, made = self._open({"status": "in_progress", **item, "id": item.get("id") or f"item_{self._new_id()}"})
        made.item |= item
        return closed + opened + self._close(made, status=item.get("status"))

    # -- the end ----------------------------------------------------------------------------------

    def completed(self, usage: Fields | None) -> bytes:
        """Ends what is still open."""
        if self.has_ended:
            return b""
        closed = self._close_texts() + b"".join([self.call_end(key) for key in list(self._calls)])
        return closed + self._end(COMPLETED, {"status": "completed", "usage": usage})

    def incomplete(self, reason: str, usage: Fields | None) -> bytes:
        """``reason``: max_output_tokens | content_filter. A call that is open was cut: it stays unfinished, as Codex
        runs what it gets as a finished item."""
        if self.has_ended:
            return b""
        fields = {"status": "incomplete", "incomplete_details": {"reason": reason}, "usage": usage}
        return self._close_texts("incomplete") + self._end(INCOMPLETE, fields)

    def failed(self, error: WireError) -> bytes:
        """What is open stays unfinished."""
        if self.has_ended:
            return b""
        told = {key: value for key, value in error.as_object().items() if key != "param"}
        return self._end(FAILED, {"status": "failed", "error": told})

    def _end(self, kind: str, fields: Fields) -> bytes:
        begun = self.created()
        self.has_ended = True
        self.response |= fields
        self.response["output"] = [self._items[index] for index in sorted(self._items)]
        return begun + self._event(kind, response=self.response)

    # -- parts ------------------------------------------------------------------------------------

    def _say(self, kind: str, delta: str) -> bytes:
        if not delta:
            return b""
        opened, message = self._opened_message(kind)
        message.pieces.append(delta)
        told = {"delta": delta, "logprobs": []} if kind == "output_text" else {"delta": delta}
        return opened + self._event(f"response.{kind}.delta", **self._place(message, content_index=0), **told)

    def _opened_message(self, kind: str) -> tuple[bytes, _Open]:
        closed = self._close_reasoning()
        if self._message is not None and self._message.kind != kind:
            closed += self._close_message()
        if self._message is None:
            item = {"id": f"msg_{self._new_id()}", "type": "message", "status": "in_progress", "role": "assistant"}
            opened, self._message = self._open({**item, "content": []})
            self._message.kind = kind
            place = self._place(self._message, content_index=0)
            closed += opened + self._event("response.content_part.added", **place, part=_part(self._message))
        return closed, self._message

    def _opened_reasoning(self) -> tuple[bytes, _Open]:
        closed = self._close_message()
        if self._reasoning is None:
            item = {"id": f"rs_{self._new_id()}", "type": "reasoning", "summary": []}
            opened, self._reasoning = self._open(item)
            closed += opened
        return closed, self._reasoning

    def _close_texts(self, status: str = "completed") -> bytes:
        return self._close_reasoning() + self._close_message(status)

    def _close_message(self, status: str = "completed") -> bytes:
        if self._message is None:
            return b""
        message, self._message = self._message, None
        part, place = _part(message), self._place(message, content_index=0)
        told = {key: part[key] for key in ("text", "refusal", "logprobs") if key in part}
        done = self._event(f"response.{message.kind}.done", **place, **told)
        message.item["content"] = [part]
        return done + self._event("response.content_part.done", **place, part=part) + self._close(message, status)

    def _close_reasoning(self) -> bytes:
        if self._reasoning is None:
            return b""
        item, self._reasoning = self._reasoning, None
        if not item.pieces:
            return self._close(item, status=None)
        part, place = {"type": "summary_text", "text": "".join(item.pieces)}, self._place(item, summary_index=0)
        item.item["summary"] = [part]
        done = self._event("response.reasoning_summary_text.done", **place, text=part["text"])
        return done + self._event("response.reasoning_summary_part.done", **place, part=part) + self._close(item, None)

    def _open(self, item: Fields) -> tuple[bytes, _Open]:
        made = _Open(self._next_index, item)
        self._next_index += 1
        return self.created() + self._event(ITEM_ADDED, output_index=made.index, item=item), made

    def _close(self, made: _Open, status: str | None = "completed") -> bytes:
        if status:
            made.item["status"] = status
        else:
            made.item.pop("status", None)
        self._items[made.index] = made.item
        return self._event(ITEM_DONE, output_index=made.index, item=made.item)

    def _place(self, made: _Open, **further: int) -> Fields:
        return {"item_id": made.item["id"], "output_index": made.index, **further}

    def _event(self, kind: str, **fields: Any) -> bytes:
        number, self._number = self._number, self._number + 1
        return format_event({"type": kind, "sequence_number": number, **fields})


def _part(message: _Open) -> Fields:
    text = "".join(message.pieces)
    if message.kind == "refusal":
        return {"type": "refusal", "refusal": text}
    return {"type": "output_text", "text": text, "annotations": message.annotations, "logprobs": []}


def replay(response: Fields) -> bytes:
    """A whole canonical response as the stream that would have led to it; its items come finished, without deltas."""
    writer = ResponseWriter(str(response.get("model") or ""))
    writer.response |= {key: value for key, value in response.items() if key not in ("output", "status")}
    sent = [writer.created()]
    output = response.get("output")
    sent += [writer.item(item) for item in (output if isinstance(output, list) else []) if isinstance(item, dict)]
    if response.get("status") == "incomplete":
        details = response.get("incomplete_details") or {}
        sent.append(writer.incomplete(str(details.get("reason") or "max_output_tokens"), response.get("usage")))
    else:
        sent.append(writer.completed(response.get("usage")))
    return b"".join(sent)
