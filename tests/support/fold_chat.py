"""What a client makes of a Chat Completions stream: the rules by which openai-python and openai-node add it up.

Texts are appended, ``tool_calls`` are merged by index, any other key of a delta takes the place of the one before.
"""

from __future__ import annotations

import json
from typing import Any


def fold(data: bytes) -> dict[str, Any] | None:
    """The chat.completion; None when the stream told an error or did not end."""
    frames = [frame.removeprefix(b"data: ") for frame in data.split(b"\n\n") if frame.startswith(b"data:")]
    if not frames or frames[-1] != b"[DONE]":
        return None
    chunks = [json.loads(frame) for frame in frames[:-1]]
    if any("error" in chunk for chunk in chunks):
        return None
    assert len({(chunk["id"], chunk["created"], chunk["model"], chunk["object"]) for chunk in chunks}) == 1
    choice, further = _choice([chunk["choices"][0] for chunk in chunks if chunk["choices"]]), {}
    for chunk in chunks:
        further |= {key: chunk[key] for key in ("usage", "service_tier") if chunk.get(key) is not None}
    head = {key: chunks[0][key] for key in ("id", "created", "model")}
    return {**head, "object": "chat.completion", "choices": [choice], **further}


def _choice(pieces: list[dict[str, Any]]) -> dict[str, Any]:
    message: dict[str, Any] = {"content": "", "refusal": None}
    calls: dict[int, dict[str, Any]] = {}
    for piece in pieces:
        for key, value in piece["delta"].items():
            if key == "tool_calls":
                for call in value:
                    _merge(calls.setdefault(call["index"], {}), call)
            elif isinstance(value, str):
                message[key] = (message.get(key) or "") + value
            else:
                message[key] = value
    [reason] = [piece["finish_reason"] for piece in pieces if piece["finish_reason"]]
    whole = [calls[index] for index in range(len(calls)) if reason != "length" or _is_whole(calls[index])]
    told = [_without_index(call) for call in whole]
    if told:
        message["tool_calls"] = told
    if not message["content"] and (told or message["refusal"]):
        message["content"] = None
    return {"index": pieces[0]["index"], "message": message, "logprobs": None, "finish_reason": reason}


def _merge(held: dict[str, Any], piece: dict[str, Any]) -> None:
    for key, value in piece.items():
        if isinstance(value, dict):
            _merge(held.setdefault(key, {}), value)
        elif isinstance(value, str) and key not in ("id", "type"):
            held[key] = held.get(key, "") + value
        else:
            held[key] = value


def _without_index(call: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in call.items() if key != "index"}


def _is_whole(call: dict[str, Any]) -> bool:
    """At a limit the last call may be cut: a client can't run what it can't parse."""
    try:
        json.loads(call["function"]["arguments"])
    except ValueError:
        return False
    return True
