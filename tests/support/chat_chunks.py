"""Streams of the Chat Completions encoder, for its unit tests."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from mitmcodex.wire.chat_reply import ChatEncoder, encode_response
from mitmcodex.wire.chat_request import ChatReply
from mitmcodex.wire.codec import Decoded, ReplyContext
from mitmcodex.wire.writer import ResponseWriter, usage

CONTEXT = ReplyContext(model="asked", now_ns=lambda: 7_000_000_000, new_id=lambda: "f" * 32)


def encoder(reply: ChatReply | None = None, n: int = 1, **context: Any) -> ChatEncoder:
    return ChatEncoder(Decoded({}, n=n, reply=reply or ChatReply()), replace(CONTEXT, **context))


def told(data: bytes) -> list[dict[str, Any]]:
    """The chunks of a stream that ends with [DONE]."""
    frames = [frame.removeprefix(b"data: ") for frame in data.split(b"\n\n") if frame]
    assert frames[-1] == b"[DONE]"
    return [json.loads(frame) for frame in frames[:-1]]


def deltas(data: bytes) -> list[dict[str, Any]]:
    return [chunk["choices"][0]["delta"] for chunk in told(data) if chunk["choices"]]


def chunks_of(written: bytes, reply: ChatReply | None = None, **context: Any) -> list[dict[str, Any]]:
    made = encoder(reply, **context)
    return told(made.feed(written) + made.finish())


def deltas_of(written: bytes, reply: ChatReply | None = None, **context: Any) -> list[dict[str, Any]]:
    made = encoder(reply, **context)
    return deltas(made.feed(written) + made.finish())


def whole_of(writer: ResponseWriter, reply: ChatReply | None = None, n: int = 1, **context: Any) -> dict[str, Any]:
    """The answer to a client that does not stream."""
    decoded = Decoded({}, n=n, reply=reply or ChatReply())
    return encode_response(writer.response, decoded, replace(CONTEXT, **context))


def message_of(writer: ResponseWriter, reply: ChatReply | None = None, **context: Any) -> dict[str, Any]:
    message: dict[str, Any] = whole_of(writer, reply, **context)["choices"][0]["message"]
    return message


def spoken() -> tuple[ResponseWriter, bytes]:
    writer = ResponseWriter("upstream-model")
    written = writer.text("Hel") + writer.text("lo") + writer.completed(usage(10, 5, cached=4, reasoning=2))
    return writer, written
