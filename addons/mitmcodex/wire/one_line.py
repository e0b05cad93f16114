"""What must stay on one line: JSON for readers that split where Python's ``splitlines`` does (ollama, httpx's
iter_lines), and what others wrote in a line of a log."""

from __future__ import annotations

import json
from typing import Any

_BREAKS = (("\u2028", "\\u2028"), ("\u2029", "\\u2029"), ("\u0085", "\\u0085"))


def one_line(value: Any) -> bytes:
    """Without U+2028, U+2029 and U+0085; a lone surrogate stays the escape it came as."""
    line = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    if line.isascii():
        return line.encode()
    for char, escape in _BREAKS:
        if char in line:
            line = line.replace(char, escape)
    return line.encode("utf-8", "backslashreplace")


def printable(text: str) -> str:
    """With escapes for line breaks, terminal controls and lone surrogates: nobody forges a line of a log with it."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
