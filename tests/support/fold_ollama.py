"""What an Ollama client makes of a stream."""

from __future__ import annotations

import json
from typing import Any


def fold(data: bytes) -> dict[str, Any] | None:
    """The lines as one answer; None when it failed or was cut."""
    lines = [json.loads(line) for line in data.decode().splitlines()]
    if not lines or any("error" in line for line in lines) or not lines[-1]["done"]:
        return None
    assert not any(line["done"] for line in lines[:-1])
    whole: dict[str, Any] = lines[-1]
    for key in ("content", "thinking", "tool_calls", "response", "image"):
        pieces = [piece[key] for piece in map(_said, lines) if key in piece]
        if pieces:
            _said(whole)[key] = sum(pieces, []) if key == "tool_calls" else "".join(pieces)
    return whole


def _said(line: dict[str, Any]) -> dict[str, Any]:
    """Of chat its message, of generate the line itself."""
    said: dict[str, Any] = line.get("message", line)
    return said
