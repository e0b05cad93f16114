"""An answer that its client sends back: reasoning, texts and calls stand where the model had put them (conformance 57
and 67; protocol.md 2.4: encrypted reasoning is replayed unchanged and in place)."""

from __future__ import annotations

import json
from itertools import product
from typing import Any

import pytest

from mitmcodex.wire import CODECS
from mitmcodex.wire.codec import ACCOUNT_KEY, Asked, Decoded, ReplyContext
from mitmcodex.wire.shapes import Fields
from mitmcodex.wire.sse import FrameSplitter, data_of
from mitmcodex.wire.writer import replay
from support.fold_messages import fold

LONGEST = 5
ORDERS = ["".join(kinds) for count in range(1, LONGEST + 1) for kinds in product("rmc", repeat=count)]
CONTEXT = ReplyContext(model="m", account=lambda: "acct", new_id=lambda: "0" * 32)
Q = {"role": "user", "parts": [{"text": "q"}]}


def answer(order: str) -> Fields:
    """r = reasoning, m = message, c = call."""
    makers = {
        "r": lambda n: {"type": "reasoning", "id": f"rs_{n}", "summary": [], "encrypted_content": f"E{n}"},
        "m": lambda n: {
            **{"type": "message", "id": f"msg_{n}", "role": "assistant", "status": "completed"},
            "content": [{"type": "output_text", "text": f"T{n}.", "annotations": []}],
        },
        "c": lambda n: {
            **{"type": "function_call", "id": f"fc_{n}", "call_id": f"c{n}", "name": "f", "status": "completed"},
            "arguments": '{"a":"é"}',
        },
    }
    output = [makers[kind](number) for number, kind in enumerate(order)]
    return {"id": "resp_1", "status": "completed", "model": "m", "output": output, "usage": None}


def order_of(items: list[Fields]) -> list[str]:
    """What each item says; texts that follow one another are one."""
    told: list[str] = []
    for item in items:
        if item["type"] == "reasoning":
            assert item.get(ACCOUNT_KEY, "acct") == "acct"
            told.append(f"r {item['encrypted_content']}")
        elif item["type"] == "function_call":
            told.append(f"c {item['call_id']} {item['arguments']}")
        else:
            text = "".join(part["text"] for part in item["content"])
            is_more = bool(told) and told[-1].startswith("m ")
            told[-1:] = [told[-1] + text] if is_more else [*told[-1:], f"m {text}"]
    return told


def streamed(codec: str, asked: Decoded, response: Fields) -> list[Any]:
    encoder = CODECS[codec].encoder(asked, CONTEXT)
    return [json.loads(data_of(frame)) for frame in FrameSplitter().feed(encoder.feed(replay(response)))]


def messages(*turns: Fields) -> Decoded:
    body = {"model": "m", "max_tokens": 9, "thinking": {"type": "adaptive"}, "messages": list(turns)}
    return CODECS["messages"].decode_request(body, Asked())


def gemini(*turns: Fields) -> Decoded:
    return CODECS["gemini"].decode_request({"contents": list(turns)}, Asked("m", "generateContent", "alt=sse"))


@pytest.mark.parametrize("is_stream", [False, True])
def test_a_messages_client_returns_what_the_model_made(is_stream: bool) -> None:
    """conformance 57: each order of five items and fewer. A turn of reasoning alone can't be replayed."""
    user: Fields = {"role": "user", "content": "q"}
    asked = messages(user)
    for order in ORDERS:
        if set(order) == {"r"}:
            continue
        if is_stream:
            encoder = CODECS["messages"].encoder(asked, CONTEXT)
            content = fold(encoder.feed(replay(answer(order))))["content"]
        else:
            content = CODECS["messages"].encode_response(answer(order), asked, CONTEXT)["content"]
        items = messages(user, {"role": "assistant", "content": content}, user).fields["input"][1:-1]
        assert order_of(items) == order_of(answer(order)["output"]), order


@pytest.mark.parametrize("form", ["whole", "chunks", "joined"])
def test_a_gemini_client_returns_what_the_model_made(form: str) -> None:
    """conformance 67: also where each chunk of a stream comes back as a content of its own, as google-genai does."""
    asked = gemini(Q)
    for order in ORDERS:
        if form == "whole":
            answers = [CODECS["gemini"].encode_response(answer(order), asked, CONTEXT)]
        else:
            answers = streamed("gemini", asked, answer(order))
        contents = [one["candidates"][0]["content"] for one in answers]
        if form == "joined":
            contents = [{"role": "model", "parts": [part for content in contents for part in content["parts"]]}]
        items = gemini(Q, *contents, Q).fields["input"][1:-1]
        assert order_of(items) == order_of(answer(order)["output"]), order
