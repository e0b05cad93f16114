"""What a client of Anthropic Messages makes of a stream: the official SDK's accumulation, with its strictness.

One block is open at a time, indexes are dense, the ``event`` line is the type. None when the stream failed or was cut.
"""

from __future__ import annotations

import json
from typing import Any

JSON = dict[str, Any]


def fold(data: bytes) -> JSON | None:
    message: JSON | None = None
    inputs: dict[int, str] = {}
    opened: int | None = None
    for kind, event in _events(data):
        if kind == "error":
            return None
        if kind == "ping":
            continue
        if kind == "message_start":
            assert message is None, "message_start came twice"
            message = event["message"]
            continue
        assert message is not None, f"{kind} before message_start"
        content = message["content"]
        if kind == "message_stop":
            assert opened is None, "the message ends inside a block"
            return _ended(message, inputs)
        if kind == "message_delta":
            message |= event["delta"]
            message["usage"] |= event["usage"]
        elif kind == "content_block_start":
            assert opened is None and event["index"] == len(content), "blocks must nest and have dense indexes"
            opened = event["index"]
            content.append(event["content_block"])
        elif kind == "content_block_delta":
            assert event["index"] == opened, "a delta of a block that is not open"
            _grow(content[opened], event["delta"], inputs, opened)
        else:
            assert kind == "content_block_stop" and event["index"] == opened, event
            opened = None
    return None


def _events(data: bytes) -> list[tuple[str, JSON]]:
    found = []
    for frame in data.decode().split("\n\n")[:-1]:
        name, _, rest = frame.partition("\n")
        event = json.loads(rest.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        found.append((event["type"], event))
    return found


def _grow(block: JSON, delta: JSON, inputs: dict[int, str], index: int) -> None:
    match delta["type"]:
        case "text_delta":
            block["text"] += delta["text"]
        case "thinking_delta":
            block["thinking"] += delta["thinking"]
        case "signature_delta":
            assert not block["signature"], "a block has one signature"
            block["signature"] = delta["signature"]
        case "citations_delta":
            block.setdefault("citations", []).append(delta["citation"])
        case "input_json_delta":
            inputs[index] = inputs.get(index, "") + delta["partial_json"]
        case kind:
            raise AssertionError(kind)


def _ended(message: JSON, inputs: dict[int, str]) -> JSON:
    """With the inputs of the calls; one that ``max_tokens`` cut can't be run and is left out."""
    whole = []
    for index, block in enumerate(message["content"]):
        if "input" in block:
            assert block["input"] == {}
            try:
                block["input"] = json.loads(inputs.get(index) or "{}")
            except ValueError:
                assert message["stop_reason"] == "max_tokens"
                continue
        whole.append(block)
    return {**message, "content": whole}
