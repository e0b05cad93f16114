"""What a Gemini client makes of a stream, as server-sent events or as a JSON array."""

from __future__ import annotations

import json
from typing import Any


def fold(data: bytes) -> dict[str, Any] | None:
    """The chunks as one answer; None when it failed or was cut."""
    chunks = json.loads(data) if data.lstrip()[:1] == b"[" else events(data)
    if not chunks or any("error" in chunk for chunk in chunks):
        return None
    parts: list[dict[str, Any]] = []
    reasons = []
    for chunk in chunks:
        candidate = chunk["candidates"][0]
        parts += candidate["content"]["parts"]
        reasons += [candidate["finishReason"]] if "finishReason" in candidate else []
    if len(reasons) != 1 or "finishReason" not in chunks[-1]["candidates"][0]:
        return None
    whole: dict[str, Any] = chunks[-1]
    whole["candidates"][0]["content"]["parts"] = joined(parts) or [{"text": ""}]
    return whole


def events(data: bytes) -> list[dict[str, Any]]:
    """As google-genai reads them: a line that is neither data nor blank is an error."""
    found = []
    for line in data.decode().splitlines():
        if line:
            name, _, text = line.partition(": ")
            assert name == "data", line
            found.append(json.loads(text))
    return found


def joined(parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Neighbouring texts of one kind are one text; a signature ends it."""
    result: list[dict[str, Any]] = []
    for part in parts:
        last = result[-1] if result else {}
        can_grow = "text" in last and "text" in part and "thoughtSignature" not in last
        if can_grow and last.get("thought") == part.get("thought"):
            last["text"] += part["text"]
            last.update({key: value for key, value in part.items() if key != "text"})
        elif part != {"text": ""}:
            result.append(dict(part))
    return result
