"""Responses API, encode: the upstream's stream to a client that speaks the same protocol.

Frames go through byte for byte. What is added is the truth about the end: a stream that was cut never looks complete
(conformance.md 26 to 30, 36; protocol.md 5.6). A client that is not Codex besides reads its own words where a response
repeats its request: the model's name (conformance 2, seeds S96, S103), metadata, whether it is stored.
"""

from __future__ import annotations

import time
import uuid
from typing import Any

from mitmcodex.wire import verdict
from mitmcodex.wire.codec import Decoded, ReplyContext
from mitmcodex.wire.errors import WireError
from mitmcodex.wire.fold import STREAM_INCOMPLETE, OutputItems
from mitmcodex.wire.shapes import CREATED, FAILED, ITEM_DONE, TERMINAL, Fields, ResponseShape
from mitmcodex.wire.sse import FrameSplitter, data_of, event_of, event_type, format_event

# SSE comments do not reset Codex's idle timer, an event with data does (protocol.md 3.3).
CODEX_KEEPALIVE = b'event: keepalive\ndata: {"type":"keepalive"}\n\n'
PUBLIC_KEEPALIVE = b": keepalive\n\n"

ITEMS_LIMIT = 64 * 1024 * 1024
"""Bytes of finished items that are kept of one stream, to rebuild the terminal event's ``output``."""

_WITH_IDENTITY = frozenset((CREATED, "response.in_progress", "response.queued"))


class ResponsesEncoder:
    """Sans-IO. ``feed`` the upstream's bytes; at its end ask for ``finish()``, or ``fail()`` when it broke.

    ``response_id`` and ``created_at`` (Unix seconds) are what a response that we have to make up carries when the
    upstream never told its own. ``model`` and ``told`` (see ``repeat``) are not for Codex. ``told`` may still change
    until the first ``feed``.
    """

    content_type = "text/event-stream; charset=utf-8"

    def __init__(
        self,
        is_codex: bool,
        model: str = "",
        response_id: str = "",
        created_at: int = 0,
        told: Fields | None = None,
    ) -> None:
        self.terminal = ""
        """The type of the terminal event that was forwarded or made here, "" before it."""
        self.is_cut = False
        """The end was made by ``fail``, not by the upstream."""
        self._is_codex = is_codex
        self._model = model
        self._told: Fields = {} if told is None else told
        self._splitter = FrameSplitter()
        self._identity: Fields = {
            "id": response_id or f"resp_{uuid.uuid4().hex}",
            "created_at": created_at or int(time.time()),
            "model": model,
        }
        self._identity_is_known = False
        self._has_begun = False
        self._last_numbered = b""
        self._error_event = b""
        self._items = OutputItems()
        self._misses_items = False
        """An item was too large to be kept: an output rebuilt without it would be a lie."""
        self._oversize_type = ""
        self._oversize_passes = False

    @classmethod
    def for_request(cls, decoded: Decoded, context: ReplyContext) -> ResponsesEncoder:
        created_at = context.now_ns() // 1_000_000_000
        return cls(context.is_codex, context.model, created_at=created_at, told=decoded.reply)

    def feed(self, data: bytes) -> bytes:
        was_oversize = self._splitter.oversize
        frames = self._splitter.feed(data)
        if not frames:
            return b""
        if was_oversize or self._splitter.oversize:
            return b"".join(self._take_around_oversize(frames, was_oversize))
        return b"".join([self._take(frame) for frame in frames])

    def idle(self) -> bytes:
        """The keep-alive to send while the upstream is silent."""
        if self._splitter.oversize:
            return b""
        return CODEX_KEEPALIVE if self._is_codex else PUBLIC_KEEPALIVE

    def finish(self) -> bytes:
        """The upstream ended cleanly: what is missing for the client to know how it ended."""
        sent = b""
        if not self._splitter.oversize:
            rest = self._splitter.rest()
            if event_of(rest) or data_of(rest) == b"[DONE]":
                sent = self._take(rest + (b"\n" if rest.endswith(b"\n") else b"\n\n"))
        if self.terminal:
            return sent
        judged = verdict.of_event(event_of(self._error_event) or {})
        error = judged.error if judged else WireError("stream_incomplete", STREAM_INCOMPLETE)
        return sent + self.fail(error)

    def fail(self, error: WireError) -> bytes:
        """End the stream with ``response.failed``; nothing after a terminal event."""
        if self.terminal:
            return b""
        self.terminal = FAILED
        self.is_cut = True
        number = self._next_number()
        closing = b"\n\n" if self._splitter.oversize else b""
        created = b""
        if not self._is_codex and not self._has_begun:
            begun = self._response("in_progress")
            self._repeat(begun)
            created = self._created(begun, number)
            number += 1
        response = self._response("failed")
        response["error"] = {key: value for key, value in error.as_object().items() if key != "param"}
        response["output"] = self._items.in_order()
        self._repeat(response)
        return closing + created + format_event({"type": FAILED, "sequence_number": number, "response": response})

    def _take(self, frame: bytes) -> bytes:
        """Look at one whole frame; returns what the client gets for it."""
        kind = event_type(frame)
        if kind in TERMINAL and not self.terminal:
            return self._take_terminal(kind, frame)
        if b'"sequence_number"' in frame:
            self._last_numbered = frame
        if kind in _WITH_IDENTITY:
            frame = self._take_lifecycle(frame)
        elif kind == ITEM_DONE and not self._is_codex:
            self._keep(frame)
        elif kind == "error":
            self._error_event = frame
        return frame if self._passes(kind) else b""

    def _keep(self, frame: bytes) -> None:
        if self._items.size + len(frame) > ITEMS_LIMIT:
            self._misses_items = True
        else:
            self._items.add(frame)

    def _passes(self, kind: str) -> bool:
        if self._is_codex:
            return True
        if kind.startswith("response."):
            self._has_begun = True
            return True
        # A frame without a type is a comment, or the [DONE] that may follow the end. Before the end such data would
        # be no JSON to a client's parser.
        return kind == "error" or (kind == "" and bool(self.terminal))

    def _take_terminal(self, kind: str, frame: bytes) -> bytes:
        self.terminal = kind
        if self._is_codex:
            return frame
        event = event_of(frame) or {}
        response = event.get("response")
        if not isinstance(response, dict):
            return frame
        is_changed = self._repeat(response)
        created = b""
        if not self._has_begun:
            # openai-python raises when the first event is any other than response.created (conformance.md 26)
            number = _number_of(event, default=0)
            created = self._created({**response, "status": "in_progress", "error": None, "output": []}, number)
            event["sequence_number"] = number + 1
        items = [] if response.get("output") or self._misses_items else self._items.in_order()
        if items:
            response["output"] = items
        return created + format_event(event) if is_changed or created or items else frame

    def _take_around_oversize(self, frames: list[bytes], was_oversize: bool) -> list[bytes]:
        """Frames of which the first continues a frame beyond the limit, or the last begins one, or both."""
        is_oversize = self._splitter.oversize
        sent: list[bytes] = []
        if was_oversize:
            piece = frames.pop(0)
            sent.append(piece if self._oversize_passes else b"")
            if is_oversize and not frames:
                return sent
            if self._oversize_type in TERMINAL:
                self.terminal = self.terminal or self._oversize_type
        beginning = frames.pop() if is_oversize else b""
        sent.extend(self._take(frame) for frame in frames)
        if beginning:
            self._oversize_type = event_type(beginning)
            self._oversize_passes = self._passes(self._oversize_type)
            self._misses_items |= self._oversize_type == ITEM_DONE
            sent.append(beginning if self._oversize_passes else b"")
        return sent

    def _take_lifecycle(self, frame: bytes) -> bytes:
        """Who the response is, once; and the client's own words in each."""
        if self._is_codex and self._identity_is_known:
            return frame
        event = event_of(frame) or {}
        response = event.get("response")
        if not isinstance(response, dict):
            return frame
        if not self._identity_is_known:
            self._identity_is_known = True
            self._identity.update({key: response[key] for key in self._identity if response.get(key)})
        is_changed = self._repeat(response)
        if not self._is_codex and not response.get("created_at"):
            # A service of another kind tells none. The public API always has it, and the AI SDK takes no
            # response.created without (measured).
            response["created_at"] = self._identity["created_at"]
            is_changed = True
        return format_event(event) if is_changed else frame

    def _repeat(self, response: Any) -> bool:
        return not self._is_codex and repeat(response, self._told, self._model)

    def _response(self, status: str) -> ResponseShape:
        return {
            "id": self._identity["id"],
            "object": "response",
            "created_at": self._identity["created_at"],
            "status": status,
            "error": None,
            "incomplete_details": None,
            "model": self._identity["model"],
            "output": [],
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
            "usage": None,
        }

    def _created(self, response: Any, number: int) -> bytes:
        self._has_begun = True
        return format_event({"type": CREATED, "sequence_number": number, "response": response})

    def _next_number(self) -> int:
        return _number_of(event_of(self._last_numbered) or {}, default=-1) + 1


def encode_response(response: Fields, decoded: Decoded, context: ReplyContext) -> Fields:
    """Canonical as it stands, but for what it repeats of the request."""
    if not context.is_codex:
        repeat(response, decoded.reply or {}, context.model)
        if not response.get("created_at"):
            response["created_at"] = context.now_ns() // 1_000_000_000
    return response


def repeat(response: Fields, told: Fields, model: str) -> bool:
    """Put into a response what the client asked for, in its words; whether anything was another.

    ``told``: further keys and their values; what changes on its way to a provider (metadata that is left out,
    instructions that are added) would come back changed. ``model`` may be "": then it stays.
    """
    asked = {**told, "model": model} if model else told
    other = {key: value for key, value in asked.items() if response.get(key) != value}
    response.update(other)
    return bool(other)


def _number_of(event: Fields, default: int) -> int:
    number = event.get("sequence_number")
    return number if isinstance(number, int) else default
